import cv2
import numpy as np
import pytest

from facemask.boxes import Box
from facemask.tracking.flow import SmallFrame, face_motions
from facemask.turned import TurnedBox
from tests.tracking.scenes import Image, texture


def moved(image: Image, dx: float, dy: float, scale: float, about: tuple[float, float]) -> Image:
    """Shift by (dx, dy) and grow about a point in edge coordinates."""
    x, y = about[0] - 0.5, about[1] - 0.5
    move = np.array(
        [[scale, 0, x * (1 - scale) + dx], [0, scale, y * (1 - scale) + dy]], dtype=np.float64
    )
    size = (image.shape[1], image.shape[0])
    border = cv2.BORDER_REFLECT
    return np.asarray(cv2.warpAffine(image, move, size, borderMode=border), dtype=np.uint8)


@pytest.mark.parametrize("size", [(240, 320), (721, 1283)])
def test_shift_and_growth(size: tuple[int, int]) -> None:
    factor = size[0] / 240
    base = texture(1, 240, 320)
    image = np.asarray(cv2.resize(base, size[::-1]), dtype=np.uint8)
    box = Box.around(140 * factor, 110 * factor, 90 * factor)
    after = moved(image, 4 * factor, -2.5 * factor, 1.06, box.center)
    (motion,) = face_motions(SmallFrame.of(image), SmallFrame.of(after), [TurnedBox(box)])
    assert motion is not None
    assert (motion.x, motion.y) == pytest.approx((4 * factor, -2.5 * factor), abs=0.15 * factor)
    assert motion.scale == pytest.approx(1.06, abs=0.005)
    assert motion.reliable > 0.8


def test_each_face_by_itself() -> None:
    image = texture(2, 200, 300)
    after = image.copy()
    after[:, :150] = moved(image, 3, 0, 1, (0, 0))[:, :150]
    after[:, 150:] = moved(image, 0, -5, 1, (0, 0))[:, 150:]
    boxes = [TurnedBox(Box.around(x, 100, 80)) for x in (70, 230)]
    left, right = face_motions(SmallFrame.of(image), SmallFrame.of(after), boxes)
    assert left is not None
    assert right is not None
    assert (left.x, left.y, right.x, right.y) == pytest.approx((3, 0, 0, -5), abs=0.1)


def test_a_hand_over_a_third_of_the_face_does_not_matter() -> None:
    image = texture(3, 200, 200)
    after = moved(image, 2, 1, 1, (0, 0))
    after[110:] = texture(4, 90, 200)
    box = TurnedBox(Box.around(100, 90, 120))
    (motion,) = face_motions(SmallFrame.of(image), SmallFrame.of(after), [box])
    assert motion is not None
    assert (motion.x, motion.y) == pytest.approx((2, 1), abs=0.3)


def test_nothing_to_follow() -> None:
    image, other = SmallFrame.of(texture(5, 120, 160)), SmallFrame.of(texture(6, 120, 160))
    assert face_motions(image, image, []) == []
    (unlike,) = face_motions(image, other, [TurnedBox(Box.around(80, 60, 80))])
    assert unlike is None or unlike.reliable < 0.25
    (outside,) = face_motions(image, image, [TurnedBox(Box.around(400, 60, 80))])
    assert outside is None


def test_small_frames() -> None:
    image = texture(7, 1083, 1823)
    small = SmallFrame.of(image)
    assert small.colour.shape == (270, 455, 3)  # halved twice, whole pixels only
    assert small.scale == 0.25
    expected = image[4:8, 8:12].reshape(-1, 3).mean(axis=0)
    assert np.abs(small.colour[1, 2] - expected).max() <= 1.5  # rounded twice
    assert small.grey.shape == (270, 455)
    assert SmallFrame.of(image[:300, :480]).scale == 1
    assert SmallFrame.of(image[:1, :900]).scale == 1  # too thin to be reduced
