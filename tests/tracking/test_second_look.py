import cv2
import numpy as np
import pytest
from skimage import data

from facemask.boxes import Box
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Detection, Image
from facemask.tracking.second_look import faces_of_photograph, surer

NOISE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
SCENE: Image = np.asarray(cv2.GaussianBlur(NOISE, (0, 0), 2), dtype=np.uint8)


class Scripted:
    """Finds the given faces in the first picture that it gets, nothing in the others."""

    def __init__(self, *faces: Detection) -> None:
        self.faces = list(faces)
        self.seen: list[Image] = []

    def detect(self, image: Image) -> list[Detection]:
        self.seen.append(image)
        return self.faces if len(self.seen) == 1 else []


def test_what_is_sure_is_not_looked_at_again() -> None:
    detector = Scripted()
    faces = [Detection(Box(0.0, 0.0, 9.0, 9.0), score, 5.0) for score in (0.8, 0.95)]
    assert surer(detector, SCENE, faces) == faces[::-1]
    assert detector.seen == []


def test_a_second_look_says_where_the_face_is() -> None:
    weak = Detection(Box(20.0, 30.0, 40.0, 50.0), 0.4)
    # the part is 40 pixels wide, from (10, 20); in 216 pixels each of them is 5.4
    near = Detection(Box(54.0, 54.0, 172.8, 172.8), 0.81, 12.0)
    aside = Detection(Box(0.0, 0.0, 60.0, 60.0), 0.95)
    half_aside = Detection(Box(108.0, 64.0, 216.0, 172.0), 0.9)  # IoU 0.29
    detector = Scripted(aside, half_aside, near)
    (face,) = surer(detector, SCENE, [weak])
    assert [image.shape for image in detector.seen] == [(216, 216, 3)] * 4
    assert face.box == pytest.approx(Box(20.0, 30.0, 42.0, 52.0))
    assert face.roll == pytest.approx(12.0)
    assert face.score == pytest.approx(0.729)
    # the middle of the picture shown is the face's
    part = cv2.resize(SCENE[20:60, 10:50], (216, 216), interpolation=cv2.INTER_LINEAR)
    inside = slice(4, -4)  # at its edges, the part shows the pixels beside it
    difference = detector.seen[0].astype(int) - part
    assert np.abs(difference[inside, inside]).max() <= 2


def test_a_turned_face_is_shown_upright() -> None:
    weak = Detection(Box(50.0, 40.0, 70.0, 60.0), 0.4, 90.0)
    # a little below the middle of the upright part, which is to the left in the image
    below = Detection(Box.around(108.0, 108.0 + 27.0, 108.0), 1.0, 20.0)
    detector = Scripted(below)
    (face,) = surer(detector, SCENE, [weak])
    assert face.box == pytest.approx(Box.around(60.0 - 5.0, 50.0, 20.0))
    assert face.roll == pytest.approx(110.0)
    upright = np.rot90(SCENE[30:70, 40:80])
    shown = cv2.resize(detector.seen[0], (40, 40), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shown[5:-5, 5:-5].ravel(), upright[5:-5, 5:-5].ravel())[0, 1] > 0.95


def test_what_is_not_seen_again_counts_half() -> None:
    weak = Detection(Box(-20.0, -30.0, 10.0, 0.0), 0.6, 30.0)  # mostly outside
    assert surer(Scripted(), SCENE, [weak]) == [weak._replace(score=0.3)]
    assert surer(Scripted(), SCENE, []) == []


def test_a_real_face_and_something_else() -> None:
    portrait = data.astronaut()  # type: ignore[no-untyped-call]
    small = cv2.resize(portrait, (96, 96), interpolation=cv2.INTER_AREA)
    scene = np.full((400, 640, 3), 128, dtype=np.uint8)
    scene[200:296, 300:396] = np.rot90(small)
    where = Box.around(300 + 28, 200 + 96 - 1 - 42, 28)  # her face is at (42, 22) of 96
    weak = [Detection(where, 0.55, -60.0), Detection(Box(100.0, 50.0, 130.0, 80.0), 0.6)]
    face, other = surer(CenterFaceDetector(), scene, weak)
    assert face.score > 0.6
    assert abs(face.roll + 90) < 20
    assert other.score == pytest.approx(0.3)


class Counting:
    """Finds one face of a score in each picture, and counts the pictures."""

    def __init__(self, score: float) -> None:
        self.score, self.seen = score, 0

    def detect(self, image: Image) -> list[Detection]:
        self.seen += 1
        return [Detection(Box(2.0, 2.0, 12.0, 12.0), self.score)] if self.score else []


def test_a_picture_without_a_face_is_searched_closer_and_at_every_45_degrees() -> None:
    assert faces_of_photograph(nothing := Counting(0.0), SCENE, 0.5) == []
    assert nothing.seen == 4 + 4 + 8
    assert faces_of_photograph(sure := Counting(0.9), SCENE, 0.5)[0].score == 0.9
    assert sure.seen == 4


class Reader:
    """Sees a red square of at least 300 pixels, where it is."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, image: Image) -> list[Detection]:
        self.shapes.append(image.shape)
        red = (image[..., 0] > 128) & (image[..., 1] < 128)
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        if len(rows) == 0 or rows[-1] - rows[0] < 300:
            return []
        edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        return [Detection(Box(*map(float, edges)), 0.9)]


def test_a_small_face_is_found_in_an_enlarged_part_once() -> None:
    image = np.full((200, 400, 3), 255, dtype=np.uint8)
    image[90:150, 170:230] = (255, 0, 0)  # its 60 pixels are in all four parts but for some rows
    reader = Reader()
    (face,) = faces_of_photograph(reader, image, 0.5)
    assert reader.shapes[4:] == [(640, 1280, 3)] * 4  # of 120 × 240 pixels
    assert face.box == pytest.approx(Box(170, 90, 230, 150), abs=0.3)


def test_only_centerface_is_asked_again() -> None:
    """dlib's scores are lower: what it sees once with 0.55 is a face."""
    assert faces_of_photograph(weak := Counting(0.55), SCENE, 0.5)[0].score == 0.55
    assert weak.seen == 4
