from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from facemask.tracking.flow import CutDetector, SmallFrame
from tests.tracking.scenes import Image, texture

HEIGHT, WIDTH = 180, 240


def cuts(frames: Iterable[Image]) -> list[int]:
    """Numbers of the frames with which a new scene begins."""
    detector = CutDetector()
    return [i for i, frame in enumerate(frames) if detector.is_cut(SmallFrame.of(frame))]


def view(seed: int, x: int = 0) -> Image:
    return texture(seed, HEIGHT, 4 * WIDTH)[:, x : x + WIDTH]


def lit(image: Image, gain: float, offset: float) -> Image:
    return np.clip(gain * image.astype(np.float64) + offset, 0, 255).astype(np.uint8)


def test_hard_cuts() -> None:
    frames = [view(seed, x) for seed in range(6) for x in (0, 2, 4)]
    assert cuts(frames) == [3, 6, 9, 12, 15]


@pytest.mark.parametrize("speed", [3, 12, 30])
def test_camera_pans_are_none(speed: int) -> None:
    frames = [view(1, x) for x in range(0, 3 * WIDTH, speed)]
    assert cuts([np.asarray(cv2.blur(f, (max(1, speed // 3), 1)), np.uint8) for f in frames]) == []


@pytest.mark.parametrize(("gain", "offset"), [(1.5, 20), (3, 60), (1, 90), (0.3, 0)])
@pytest.mark.parametrize("length", [1, 3])
def test_flashes_and_lights_are_none(gain: float, offset: float, length: int) -> None:
    scene = [view(2, x) for x in range(10)]
    flash = [lit(frame, gain, offset) for frame in scene[4 : 4 + length]]
    assert cuts([*scene[:4], *flash, *scene[4 + length :]]) == []


@pytest.mark.parametrize("grey", [0, 255])
def test_blank_frames_end_no_scene(grey: int) -> None:
    blank = np.full((HEIGHT, WIDTH, 3), grey, dtype=np.uint8)
    before, after = [view(3, x) for x in range(3)], [view(3, x) for x in range(3, 6)]
    assert cuts([*before, blank, blank, *after]) == []
    assert cuts([*before, blank, blank, view(4), view(4, 1)]) == [5]
    assert cuts([blank, view(3), view(3, 1)]) == []  # the film begins


def test_fast_motion_in_front_of_a_still_camera_is_none() -> None:
    frames = []
    for i in range(12):
        frame = view(5).copy()
        left = 15 * i
        frame[30:130, left : left + 70] = texture(50 + i, 100, 70)  # never the same patch
        frames.append(frame)
    assert cuts(frames) == []


def test_another_size_is_a_cut() -> None:
    assert cuts([view(1), view(1), np.ascontiguousarray(view(1)[:, :200])]) == [2]


def test_first_frame_after_reset_is_none() -> None:
    detector = CutDetector()
    detector.is_cut(SmallFrame.of(view(1)))
    detector.reset()
    assert not detector.is_cut(SmallFrame.of(view(2)))
