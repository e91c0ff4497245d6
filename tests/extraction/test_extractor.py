"""Painted faces found again at their places."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask.boxes import Box, face_box_of_mask
from facemask.errors import InputError
from facemask.extraction import FaceMaskExtractor, load_model
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.tracking.detection import Detection
from facemask.tracking.tracker import TrackerSettings
from facemask.training.modules import FCNModule
from tests.extraction.faces import Frames, Image, PaletteReader, paint, paint_labels, reader
from tests.models.test_cascade_file import BACKBONE, checkpoint

HEIGHT, WIDTH = 120, 200


class Scripted:
    """A detector that knows where the painted faces are."""

    def __init__(self, boxes: dict[int, list[Box]]) -> None:
        self.boxes, self.frame = boxes, -1

    def detect(self, image: Image) -> list[Detection]:
        self.frame += 1
        return [Detection(box, 0.9) for box in self.boxes.get(self.frame, [])]


def moving(count: int) -> tuple[list[Image], dict[int, list[Box]]]:
    """A large face that moves right and a small one that stays, in textured pictures."""
    labels, boxes = [], {}
    for t in range(count):
        near, far = (60.0 + t, 60.0, 90.0), (160.0, 40.0, 48.0)
        of_frame = paint_labels(HEIGHT, WIDTH, *far)
        of_near = paint_labels(HEIGHT, WIDTH, *near)
        of_frame[of_near > 0] = of_near[of_near > 0]
        labels.append(of_frame)
        boxes[t] = [Box.around(*near), Box.around(*far)]
    return labels, boxes


def test_one_picture() -> None:
    labels, boxes = moving(1)
    once = FaceMaskExtractor(reader(), Scripted(boxes), device="cpu", passes=1)
    assert once.image(paint(labels[0])).faces[0].box.width == 90
    extractor = FaceMaskExtractor(reader(), Scripted(boxes), device="cpu")
    frame = extractor.image(paint(labels[0]))
    assert [face.track_id for face in frame.faces] == [0, 1]
    largest = face_box_of_mask(frame.faces[0].labels)
    assert largest is not None
    assert frame.faces[0].box.width == pytest.approx(largest.width, abs=2)  # the mask's, larger
    assert (frame.labels == labels[0]).mean() > 0.995
    assert (frame.faces[1].labels[:, :110] == 0).all()
    assert frame.faces[0].probabilities.shape == (5, HEIGHT, WIDTH)
    np.testing.assert_allclose(frame.faces[0].probabilities.sum(0), 1, atol=1e-5)
    assert frame.faces[0].confidence > 0.9
    assert (frame.alpha > 128).mean() == pytest.approx((labels[0] > 0).mean(), abs=0.01)


def test_faces_of_a_video_keep_their_ids_and_places() -> None:
    labels, boxes = moving(12)
    tracking = TrackerSettings(every=1)
    extractor = FaceMaskExtractor(reader(), Scripted(boxes), tracking=tracking, device="cpu")
    frames = list(extractor.video(Frames([paint(of_frame) for of_frame in labels])))
    assert [frame.index for frame in frames] == list(range(12))
    for frame, truth in zip(frames, labels, strict=True):
        assert [face.track_id for face in frame.faces] == [0, 1]
        assert (frame.labels == truth).mean() > 0.98, frame.index
    assert [face.restart for face in frames[0].faces] == [True, True]
    assert not any(face.restart for frame in frames[1:] for face in frame.faces)


@pytest.mark.parametrize("passes", [1, 2])
def test_a_mask_that_leaks_does_not_drag_the_crop_along(passes: Literal[1, 2]) -> None:
    labels = [paint_labels(HEIGHT, WIDTH, 70, 60, 60)] * 200

    class Leaking(PaletteReader):
        """Sees skin everywhere."""

        def forward(self, images: Tensor) -> Tensor:
            scores = torch.zeros(*images.shape[:-3], 5, *images.shape[-2:])
            scores[..., 1, :, :] = 9
            return scores

    truth = Box.around(70, 60, 60)
    extractor = FaceMaskExtractor(
        Cascade(Leaking(), settings=CascadeSettings(size=32)).eval(),
        Scripted({t: [truth] for t in range(200)}),
        device="cpu",
        passes=passes,
    )
    frames = list(extractor.video(Frames([paint(of_frame) for of_frame in labels])))
    sides = [frame.faces[0].box.width for frame in frames]
    # the first mask counts for all, until the detector has said often enough that it is smaller
    assert max(sides if passes == 1 else sides[150:]) <= 1.12 * truth.width + 1
    assert sides[-1] > truth.width  # within these limits the crop follows the mask


def test_frames_without_a_face_come_out_too() -> None:
    extractor = FaceMaskExtractor(reader(), Scripted({}), device="cpu")
    frames = list(extractor.video(Frames([np.zeros((20, 30, 3), dtype=np.uint8)] * 7)))
    assert [frame.faces for frame in frames] == [[]] * 7
    assert all((frame.labels == 0).all() and frame.labels.shape == (20, 30) for frame in frames)


def test_a_box_beyond_the_frame_is_cut_there() -> None:
    labels = paint_labels(100, 100, 20, 50, 80)
    extractor = FaceMaskExtractor(
        reader(), Scripted({0: [Box.around(20, 50, 80), Box.around(300, 50, 80)]}),
        device="cpu", passes=1,
    )  # fmt: skip
    frame = extractor.image(paint(labels))
    assert len(frame.faces) == 1
    assert frame.faces[0].box == (0, 10, 60, 90)
    assert (frame.labels == labels).mean() > 0.98


def test_pictures_of_another_kind_are_refused() -> None:
    extractor = FaceMaskExtractor(reader(), Scripted({}), device="cpu")
    for image in (np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4, 3), dtype=np.float32)):
        with pytest.raises(InputError, match=r"expected (uint8|RGB)"):
            extractor.image(image)  # type: ignore[arg-type]


def test_models_from_any_file(tmp_path: Path) -> None:
    saved = tmp_path / "cascade.safetensors"
    Cascade(FCN(BACKBONE), settings=CascadeSettings(size=64)).save(saved)
    assert load_model(saved).settings.size == 64
    extractor = FaceMaskExtractor.load(saved, "cpu", detector="cropped")
    assert extractor.image(np.zeros((30, 40, 3), dtype=np.uint8)).labels.shape == (30, 40)

    torch.manual_seed(0)
    module = FCNModule(BACKBONE)
    from_checkpoint = load_model(checkpoint(tmp_path / "face.ckpt", module))
    assert from_checkpoint.settings.temperature is None  # as suits the network
    assert torch.equal(
        from_checkpoint.primary.get_parameter("classifier.weight"), module.network.classifier.weight
    )


def test_files_that_hold_no_such_model(tmp_path: Path) -> None:
    eyes = checkpoint(tmp_path / "eyes.ckpt", FCNModule(BACKBONE, region="eyes"))
    with pytest.raises(InputError, match=r"eyes.ckpt: holds a model of the region 'eyes'"):
        load_model(eyes)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other.ckpt: was not written by facemask"):
        load_model(tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(InputError, match=r"text.ckpt: .*no checkpoint"):
        load_model(tmp_path / "text.ckpt")
    with pytest.raises(InputError, match=r"none.ckpt: no such checkpoint"):
        load_model(tmp_path / "none.ckpt")
