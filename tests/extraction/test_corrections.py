"""First masks put faces where they are and turn them upright, whatever the detector says."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from torch import Tensor

from facemask.boxes import Box, overlap
from facemask.classes import EYES, LIPS
from facemask.errors import InputError
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.corrections import Correction, corrections_of, first_corrections
from facemask.extraction.temporal import FaceLabeller
from facemask.models import Cascade, CascadeSettings
from facemask.tracking.detection import Detection
from facemask.tracking.detection import Image as Picture
from facemask.tracking.tracker import TrackedFace, TrackerSettings
from facemask.turned import TurnedBox, wrapped
from facemask.video import VideoFrame
from tests.extraction.faces import Frames, Image, PaletteReader, paint, paint_labels

SIZE = 160
TRUE = Box.around(70, 90, 60)


class UprightReader(PaletteReader):
    """Is the less sure, and the less apt to see eyes, the farther a face is from upright."""

    def forward(self, images: Tensor) -> Tensor:
        scores = super().forward(images)
        ids = scores.argmax(dim=-3)
        for index in np.ndindex(ids.shape[:-2]):
            rows = [np.argwhere(ids[index].numpy() == part)[:, 0] for part in (EYES, LIPS)]
            seen = all(len(found) for found in rows)
            down = (rows[1].mean() - rows[0].mean()) / ids.shape[-2] if seen else 0.0
            if down < 0.15:  # the network has never seen such a face
                scores[index] *= 0.2 + 0.1 * max(0.0, down)
        return scores


def cascade() -> Cascade:
    return Cascade(UprightReader(), settings=CascadeSettings(size=96, temperature=1.0)).eval()


def turned(labels: Image, roll: float) -> Image:
    """Turn a label image about its middle, by nearest pixels."""
    height, width = labels.shape
    rows, columns = np.indices(labels.shape)
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    there = TurnedBox(Box(0, 0, width, height), roll).to_upright(points)
    x, y = np.floor(there).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    out = np.zeros(labels.size, dtype=np.uint8)
    out[inside] = labels[y[inside], x[inside]]
    return out.reshape(labels.shape)


def scene(roll: float) -> tuple[Image, Box]:
    """A painted face with this roll, and its upright box about its centre."""
    labels = turned(paint_labels(SIZE, SIZE, *TRUE.center, TRUE.side), roll)
    whole = TurnedBox(Box(0, 0, SIZE, SIZE), roll)
    x, y = whole.to_image(np.array([TRUE.center]))[0]
    return labels, Box.around(x, y, TRUE.side)


def correct(labels: Image, faces: Sequence[TrackedFace], upright: bool = True) -> list[Correction]:
    frame = VideoFrame(0, 0.0, paint(labels))
    return first_corrections(frame, faces, FaceLabeller(cascade(), "off"), upright)


@pytest.mark.parametrize("wrong_by", [0.0, 40.0, -95.0, 180.0])
@pytest.mark.parametrize("roll", [0.0, 70.0, -160.0])
def test_the_surest_mask_decides_the_roll(roll: float, wrong_by: float) -> None:
    labels, box = scene(roll)
    x, y = box.center
    seen = TrackedFace(7, Box.around(x + 4, y - 3, 1.1 * box.side), 0.9, True, roll + wrong_by)
    (shown,) = correct(labels, [seen])
    assert shown.track_id == 7
    assert shown.box is not None
    assert shown.roll is not None
    assert abs(wrapped(shown.roll - roll)) < 3
    # skin is a disc here: its crop is 1.3 × 0.76 of the painted side
    assert overlap(shown.box, Box.around(x, y, 1.3 * 0.76 * box.side)) > 0.9


def test_without_turning_there_is_one_look_and_no_roll() -> None:
    labels, box = scene(180)
    (shown,) = correct(labels, [TrackedFace(0, box, 0.9, True)], upright=False)
    assert shown.roll is None
    assert shown.box is not None


def test_nothing_and_a_box_outside_are_no_faces() -> None:
    labels, box = scene(0)
    faces = [
        TrackedFace(1, Box.around(140, 20, 30), 0.9, True),
        TrackedFace(2, Box.around(900, 20, 30), 0.9, True),
        TrackedFace(3, box, 0.9, True),
    ]
    shown = {known.track_id: known for known in correct(labels, faces)}
    assert shown[1].box is None
    assert shown[2].box is None
    assert shown[3].box is not None


class Unsure(PaletteReader):
    def forward(self, images: Tensor) -> Tensor:
        return 0.1 * super().forward(images)


@pytest.mark.parametrize(("score", "side", "is_face"), [(0.6, 60, 0), (0.75, 60, 1), (0.6, 36, 1)])
def test_unsure_masks_of_weak_detections_are_no_faces(
    score: float, side: float, is_face: bool
) -> None:
    """Small faces are spared: their masks are never sure."""
    labels = paint_labels(SIZE, SIZE, *TRUE.center, side)
    unsure = Cascade(Unsure(), settings=CascadeSettings(size=96, temperature=1.0)).eval()
    faces = [TrackedFace(0, Box.around(*TRUE.center, side), score, True)]
    frame, labeller = VideoFrame(0, 0.0, paint(labels)), FaceLabeller(unsure, "off")
    for upright in (True, False):
        (shown,) = first_corrections(frame, faces, labeller, upright)
        assert (shown.box is not None) == is_face


class Says:
    """Sees faces in one picture, and none in turned copies of it."""

    def __init__(self, picture: Picture, *found: Detection) -> None:
        self.picture, self.found = picture, list(found)

    def detect(self, image: Picture) -> list[Detection]:
        return self.found if np.array_equal(image, self.picture) else []


def test_a_picture_is_labelled_from_where_the_first_mask_shows_the_face() -> None:
    labels, box = scene(140)
    x, y = box.center
    wrong = Detection(Box.around(x + 9, y + 9, 0.8 * box.side), 0.9, wrapped(140 + 170))
    same = Detection(Box.around(x - 9, y, box.side), 0.8, 140)  # of the same face
    nothing = Detection(Box.around(130, 20, 30), 0.7)
    extractor = FaceMaskExtractor(
        cascade(), Says(paint(labels), wrong, same, nothing), device="cpu"
    )
    frame = extractor.image(paint(labels))
    (face,) = frame.faces
    assert face.track_id == 0
    assert abs(wrapped(face.roll - 140)) < 3
    assert (frame.labels == labels).mean() > 0.99


@pytest.mark.parametrize("temporal", ["window", "stream"])
def test_a_video_is_right_from_its_first_frame_on(
    temporal: Literal["window", "stream"],
) -> None:
    labels, box = scene(-120)
    seen = Detection(Box.around(box.center[0] + 5, box.center[1], box.side), 0.9, 60.0)
    settings = TrackerSettings(every=3)
    extractor = FaceMaskExtractor(
        cascade(), Says(paint(labels), seen), temporal=temporal, tracking=settings, device="cpu"
    )
    images = [paint(labels)] * 24
    frames = list(extractor.video(Frames(images)))
    for frame in frames:
        (face,) = frame.faces
        assert abs(wrapped(face.roll + 120)) < 4, frame.index
        assert (frame.labels == labels).mean() > 0.985, frame.index
    stream = extractor.stream()
    live = [stream.step(image).faces[0].roll for image in images[:6]]
    assert live[0] == pytest.approx(frames[0].faces[0].roll)


def test_one_pass_keeps_what_the_detector_says() -> None:
    labels, box = scene(0)
    seen = Detection(box.shifted(5, 0), 0.9, 20.0)
    extractor = FaceMaskExtractor(cascade(), Says(paint(labels), seen), device="cpu", passes=1)
    (face,) = extractor.image(paint(labels)).faces
    assert face.roll == 20
    assert face.upright_box == pytest.approx(seen.box)


def test_without_turning_a_detector_that_knows_rolls_is_not_heard() -> None:
    labels, box = scene(0)
    seen = Detection(box.shifted(5, 0), 0.9, 20.0)
    settings = TrackerSettings(upright=False)
    extractor = FaceMaskExtractor(
        cascade(), Says(paint(labels), seen), tracking=settings, device="cpu"
    )
    (face,) = extractor.image(paint(labels)).faces
    assert face.roll == 0
    assert face.upright_box is None


def test_a_picture_of_a_face_on_its_side_is_searched_in_all_four_turns() -> None:
    labels, _ = scene(0)
    seen = Detection(TRUE, 0.9)  # by a detector of upright faces alone
    extractor = FaceMaskExtractor(cascade(), Says(paint(labels), seen), device="cpu")
    lying = np.ascontiguousarray(np.rot90(labels, -1))
    frame = extractor.image(paint(lying))
    assert [round(face.roll) for face in frame.faces] == [90]
    assert (frame.labels == lying).mean() > 0.99


def test_later_masks_correct_box_and_roll() -> None:
    labels, box = scene(50)
    frame = VideoFrame(0, 0.0, paint(labels))
    labeller = FaceLabeller(cascade(), "off")
    results = labeller.label([frame], [[TrackedFace(4, box, 0.9, True, 42.0)]])
    (shown,) = corrections_of(results, upright=True)
    assert (shown.track_id, shown.age) == (4, 0)
    assert shown.roll == pytest.approx(50, abs=3)
    (flat,) = corrections_of(results, upright=False)
    assert flat.roll is None


@pytest.mark.parametrize("passes", [0, 3])
def test_other_numbers_of_passes_are_refused(passes: int) -> None:
    with pytest.raises(InputError, match=f"passes is {passes}: give 1 or 2"):
        FaceMaskExtractor(cascade(), Says(paint(scene(0)[0])), passes=passes)  # type: ignore[arg-type]
