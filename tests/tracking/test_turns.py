import numpy as np
import pytest

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import Detection, Image
from facemask.tracking.turns import Looks, detect_turned

IMAGE = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
"""Five rows, eight columns: no two pixels are alike."""
COPIES = {turn: np.rot90(IMAGE, turn // 90) for turn in (0, 90, 180, 270)}


class Scripted:
    """Finds given faces in each turned copy of the image, which it must get in one piece."""

    def __init__(self, faces: dict[int, list[Detection]]) -> None:
        self.faces = faces
        self.seen: list[int] = []

    def detect(self, image: Image) -> list[Detection]:
        assert image.flags["C_CONTIGUOUS"]
        (turn,) = (turn for turn, copy in COPIES.items() if np.array_equal(copy, image))
        self.seen.append(turn)
        return self.faces.get(turn, [])


# one pixel wide and two high, two from the left of the copy and one from its top
FACE = Detection(Box(2.0, 1.0, 3.0, 3.0), 0.75, 10.0)


@pytest.mark.parametrize(
    ("turn", "center", "roll"),
    [
        (0, (2.5, 2.0), 10.0),
        (90, (6.0, 2.5), 100.0),  # the copy's left edge is the image's top, its top the right edge
        (180, (5.5, 3.0), -170.0),
        (270, (2.0, 2.5), -80.0),
    ],
)
def test_one_turn(turn: int, center: tuple[float, float], roll: float) -> None:
    (face,) = detect_turned(Scripted({turn: [FACE]}), IMAGE)
    assert face.box.center == center
    assert (face.box.width, face.box.height) == (1.0, 2.0)  # as if it were upright
    assert face.roll == roll
    assert face.score == 0.75


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_pixel_is_found_where_it_lies(turn: int) -> None:
    copy = np.argwhere((COPIES[turn] == IMAGE[1, 6]).all(axis=2))  # row 1, column 6
    ((row, column),) = copy.tolist()
    around = Box(column, row, column + 1, row + 1)
    (face,) = detect_turned(Scripted({turn: [Detection(around, 0.5)]}), IMAGE)
    assert face.box == Box(6, 1, 7, 2)


def test_what_is_known_of_a_turn_is_not_asked_for_again() -> None:
    detector = Scripted({})
    looks = Looks(detector, IMAGE)
    assert looks.all_around((0, 90)) == []
    assert looks.all_around((180, 90, 0, 270)) == []
    assert looks.upright() == []
    assert detector.seen == [0, 90, 180, 270]
    known = [Detection(Box(2, 1, 4, 3), 0.75)]
    looks = Looks(detector, IMAGE, known)
    assert looks.upright() == known
    assert looks.all_around((0, 90)) == known
    assert detector.seen[4:] == [90]


def test_each_turn_once() -> None:
    detector = Scripted({})
    assert detect_turned(detector, IMAGE, (270, -90, 0, 360)) == []
    assert detector.seen == [270, 0]
    with pytest.raises(InputError, match="no turns are given: give degrees"):
        detect_turned(detector, IMAGE, ())
    with pytest.raises(InputError, match=r"shape \(5, 8\) was given"):
        detect_turned(detector, IMAGE[..., 0])


class Spots:
    """Finds the brightest spot, to parts of a pixel, and says that it has a roll of 7 degrees."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def detect(self, image: Image) -> list[Detection]:
        self.sizes.append(image.shape)
        light = image[..., 0].astype(float)
        y, x = (np.indices(light.shape) * light).sum(axis=(1, 2)) / light.sum() + 0.5
        return [Detection(Box.around(float(x), float(y), 12.0), 0.75, 7.0)]


@pytest.mark.parametrize(
    ("turn", "size"),  # sin 30° = 0.5: 60 · 0.5 + 30 · 0.866 high, 60 · 0.866 + 30 · 0.5 wide
    [(30, (56, 67, 3)), (-45, (64, 64, 3)), (400, (62, 66, 3))],
)
def test_any_turn(turn: int, size: tuple[int, ...]) -> None:
    y, x = np.indices((30, 60)) + 0.5
    spot = 250 * np.exp(-((x - 44.25) ** 2 + (y - 12.75) ** 2) / 8)
    image = np.repeat(spot.astype(np.uint8)[..., None], 3, axis=2)
    detector = Spots()
    (face,) = detect_turned(detector, image, (turn,))
    assert face.box.center == pytest.approx((44.25, 12.75), abs=0.05)
    assert face.box.side == pytest.approx(12)
    assert face.roll == pytest.approx((turn + 7 + 180) % 360 - 180)
    assert detector.sizes == [size]


def at(x: float, y: float, side: float, score: float, roll: float) -> Detection:
    return Detection(Box.around(x, y, side), score, roll)


def test_the_upright_turn_counts() -> None:
    # a face in the image's middle, which is that of all copies, with a roll of 20
    scripted = {
        0: [at(4.0, 2.5, 2.0, 0.8, 20.0)],
        270: [at(2.5, 4.1, 2.4, 0.82, 75.0)],  # scores better, but the points lie on their side
        180: [at(4.3, 2.5, 1.2, 0.6, 0.0)],
    }
    (face,) = detect_turned(Scripted(scripted), IMAGE)
    assert face.box == Box.around(4.0, 2.5, 2.0)
    assert face.roll == 20.0
    assert face.score == 0.82  # it is a face, whichever way it lies
    # the same without a doubt about the second one's points
    scripted[270] = [at(2.5, 4.0, 2.4, 0.95, 5.0)]
    (face,) = detect_turned(Scripted(scripted), IMAGE)
    assert face.box.side == pytest.approx(2.4)
    assert face.roll == -85.0


def test_turns_as_good_share_the_roll() -> None:
    # a face with a roll of 45: seen with 40 in one copy, and with -39 + 90 = 51 in another
    scripted = {0: [at(4.0, 2.5, 2.0, 0.8, 40.0)], 90: [at(2.5, 4.0, 2.0, 0.79, -39.0)]}
    (face,) = detect_turned(Scripted(scripted), IMAGE)
    assert face.roll == pytest.approx((40 + 51) / 2)
    scripted[90] = [at(2.5, 4.0, 2.0, 0.6, -39.0)]  # much less sure
    (face,) = detect_turned(Scripted(scripted), IMAGE)
    assert face.roll == 40.0
    # beyond 180 degrees: 180 + 44 and 270 - 50
    scripted = {180: [at(4.0, 2.5, 2.0, 0.8, 44.0)], 270: [at(2.5, 4.0, 2.0, 0.8, -50.0)]}
    (face,) = detect_turned(Scripted(scripted), IMAGE)
    assert face.roll == pytest.approx(222 - 360)


def test_faces_apart_stay_apart() -> None:
    scripted = {
        0: [at(2.0, 2.0, 2.0, 0.9, 0.0), at(2.8, 2.0, 2.0, 0.7, 0.0)],  # cheek to cheek
        180: [at(1.0, 2.5, 2.0, 0.8, 3.0)],  # (7, 2.5)
    }
    faces = detect_turned(Scripted(scripted), IMAGE)
    assert [face.score for face in faces] == [0.9, 0.8, 0.7]
    assert faces[1].box.center == (7.0, 2.5)
    assert faces[1].roll == -177.0
