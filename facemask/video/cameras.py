"""A camera as a source of frames."""

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from facemask.errors import InputError
from facemask.video.frames import FrameSource, VideoFrame

_USUAL_FPS: Final = 30  # of cameras that do not tell theirs


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own lines about a missing camera off the terminal."""
    log = getattr(cv2.utils, "logging", cv2)  # its place before OpenCV 5
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


class Camera(FrameSource):
    """A camera of this machine; its frames end when it stops or the source is closed.

    A frame's time is when it arrived.

    Args:
        index: Number of the camera, from 0.

    Raises:
        InputError: There is no such camera, or it gives no picture.
    """

    def __init__(self, index: int) -> None:
        self.name, self.path, self.frame_count = f"camera{index}", None, None
        with _quiet_opencv():
            self._capture = cv2.VideoCapture(index)
            working, image = self._capture.read() if self._capture.isOpened() else (False, None)
        if image is None or not working:
            self._capture.release()
            raise InputError(
                f"camera {index}: no such camera, or it gives no picture; cameras count from 0, "
                "and one that another program uses cannot be opened."
            )
        self.height, self.width = image.shape[:2]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        usable = 0 < rate < 1000  # NaN is not
        self.fps = Fraction(rate if usable else _USUAL_FPS).limit_denominator(1001)

    def _frames(self) -> Iterator[VideoFrame]:
        began, latest = math.nan, -math.inf
        for index in itertools.count():
            working, image = self._capture.read()  # a closed camera gives nothing either
            if not working:
                return
            arrived = time.monotonic()
            began = arrived if index == 0 else began
            latest = max(arrived - began, latest + 0.001)
            rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield VideoFrame(index, latest, rgb)

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
