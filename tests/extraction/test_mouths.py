"""The line between shut lips neither comes and goes nor leaves anything else changed."""

from pathlib import Path

import numpy as np
import pytest

from facemask.boxes import Crop
from facemask.classes import EYES, INNER_MOUTH, LIPS, SKIN
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.choices import Temporal
from facemask.extraction.journal import Journal
from facemask.extraction.mouths import shut_mouths
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.tracking.detectors import open_detector
from tests.extraction.faces import Frames, Image, paint, paint_labels, reader


def a_face(inner: int, *, track_id: int = 7, restart: bool = False) -> ExtractedFace:
    """A face of 200 pixels of mouth, so many of them inside."""
    labels = np.full((20, 25), SKIN, dtype=np.uint8)
    labels[:2, :9] = EYES
    mouth = labels[5:15, 3:23]
    mouth[:] = LIPS
    mouth[np.unravel_index(np.arange(inner), mouth.shape)] = INNER_MOUTH
    probabilities = np.full((5, 20, 25), 0.05, dtype=np.float32)
    np.put_along_axis(probabilities, labels[None].astype(np.int64), 0.7, axis=0)
    probabilities[LIPS][labels == INNER_MOUTH] = 0.15
    probabilities[SKIN][labels == LIPS] = 0.15
    expected = np.array([0.9, 0.8, 0.7, 0.6])
    return ExtractedFace(
        track_id, Crop(4, 3, 29, 23), 0.9, restart, (40, 50), labels, probabilities,
        expected=expected,
    )  # fmt: skip


def a_frame(index: int, *faces: ExtractedFace) -> ExtractedFrame:
    return ExtractedFrame(index, index / 25, np.zeros((40, 50, 3), np.uint8), list(faces))


def drawn(frames: list[ExtractedFrame]) -> list[int]:
    """Pixels of inner mouth of each frame's last face."""
    return [int(np.count_nonzero(frame.faces[-1].crop_labels == INNER_MOUTH)) for frame in frames]


def test_a_mouth_opens_at_more_than_it_shuts_at() -> None:
    # shares of 5.5, 6, 5, 4, 5, 7, 8, 5, 4.5, 4.4 and 7 %
    inner = [11, 12, 10, 8, 10, 14, 16, 10, 9, 8, 14]
    frames = [a_frame(n, a_face(count)) for n, count in enumerate(inner)]
    shut, is_open = shut_mouths(frames[:6], {})
    assert drawn(shut) == [0, 0, 0, 0, 0, 0]
    assert is_open == {7: False}
    shut, is_open = shut_mouths(frames[6:], is_open)
    assert drawn(shut) == [16, 10, 9, 0, 0]
    assert is_open == {7: False}
    assert drawn(shut_mouths(frames[1:4], {})[0]) == [12, 10, 0]  # 6 % in its first frame
    assert drawn(shut_mouths(frames[2:3], {7: True})[0]) == [10]
    begins_anew = a_frame(0, a_face(10, restart=True))
    assert drawn(shut_mouths([begins_anew], {7: True})[0]) == [0]


def test_faces_are_told_apart_and_forgotten() -> None:
    both = [a_frame(n, a_face(10, track_id=1), a_face(10, track_id=2)) for n in (0, 1)]
    shut, is_open = shut_mouths(both, {2: True})
    assert drawn(shut) == [10, 10]
    assert is_open == {1: False, 2: True}
    assert not (shut[1].faces[0].crop_labels == INNER_MOUTH).any()
    assert shut_mouths([a_frame(2)], is_open).open == {}


def test_what_else_is_said_of_a_shut_mouth() -> None:
    face = a_face(6)
    [frame], _ = shut_mouths([a_frame(0, face)], {})
    [shut] = frame.faces
    line = face.crop_labels == INNER_MOUTH
    assert (shut.crop_labels[line] == LIPS).all()
    assert (shut.crop_labels[~line] == face.crop_labels[~line]).all()
    assert (shut.crop_probabilities.argmax(axis=0) == shut.crop_labels).all()
    assert np.allclose(shut.crop_probabilities.sum(axis=0), face.crop_probabilities.sum(axis=0))
    assert np.isnan(shut.part_confidences["inner_mouth"])
    assert shut.part_confidences["lips"] == face.part_confidences["lips"]
    assert line.any()
    assert (face.crop_labels[line] == INNER_MOUTH).all()
    [frame], _ = shut_mouths([a_frame(0, a_face(0))], {})
    assert frame.faces[0].found is not None
    assert not frame.faces[0].crop_labels.max() > LIPS
    unchanged = a_face(30)
    assert shut_mouths([a_frame(0, unchanged)], {}).frames[0].faces == [unchanged]


def film(counts: list[int]) -> list[Image]:
    """Painted faces with so many pixels of inner mouth, of about 290 of mouth."""
    images = []
    for count in counts:
        labels = paint_labels(96, 96, 48, 48, 90)
        rows, columns = (labels == INNER_MOUTH).nonzero()
        labels[rows[count:], columns[count:]] = LIPS
        images.append(paint(labels))
    return images


@pytest.mark.parametrize("temporal", ["window", "off", "stream"])
def test_a_video_and_where_it_goes_on(temporal: Temporal) -> None:
    images = film([60] * 3 + [8] * 7 + [17] * 12 + [60] * 4 + [17] * 20)
    cascade = reader()
    extractor = FaceMaskExtractor(
        cascade, open_detector("cropped"), temporal=temporal, device="cpu"
    )
    journal = Journal()
    whole = [drawn([frame])[0] for frame in extractor.video(Frames(images), journal=journal)]
    assert whole[2] > 0
    assert whole[3:22] == [0] * 19
    assert min(whole[22:]) > 0
    assert whole[10] == 0 < whole[30]  # the same picture
    for first in (4, 13, 29, 41):
        later = list(extractor.video(Frames(images), first, journal=journal))
        assert [drawn([frame])[0] for frame in later] == whole[first:]


def test_a_picture_and_a_live_stream() -> None:
    wide, line, less = film([60, 17, 8])
    extractor = FaceMaskExtractor(reader(), open_detector("cropped"), device="cpu")
    assert drawn([extractor.image(wide)])[0] > 0 == drawn([extractor.image(less)])[0]
    stream = extractor.stream()
    steps = [drawn([stream.step(image)])[0] for image in (wide, line, less, line)]
    assert steps[0] > steps[1] > 0 == steps[2] == steps[3]
    stream.reset()
    assert drawn([stream.step(less)]) == [0]


def test_a_part_keeps_open_mouths(tmp_path: Path) -> None:
    journal = Journal(open_mouths={5: {0: True}, 10: {0: True, 3: False}, 15: {}, 20: {3: True}})
    journal.save(tmp_path / "part", 5, 15)
    later = Journal()
    assert later.load(tmp_path / "part")
    assert later.open_mouths == {10: {0: True, 3: False}, 15: {}}
