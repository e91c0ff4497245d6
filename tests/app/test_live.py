"""The live camera: pictures come one by one, as Gradio calls."""

import base64
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("gradio", reason="needs facemask-video[app]")

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt

from facemask.app import live
from facemask.app.extraction import Extractions
from facemask.app.live import LiveTab
from facemask.classes import FACE_CLASSES
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.results import numbers_of
from facemask.models import Cascade
from facemask.tracking.detectors import CroppedFrames
from facemask.video.look import Look
from tests.extraction.faces import paint, paint_labels

PICTURES = [paint(paint_labels(64, 48, 24 + t % 3, 32, 44)) for t in range(4)]


class Request:
    def __init__(self, name: str) -> None:
        self.session_hash = name


ANNA, BEN = (cast("gr.Request", Request(name)) for name in ("anna", "ben"))


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(live, "time", found)
    return found


@pytest.fixture
def tab(model: Path, tmp_path: Path) -> LiveTab:
    return LiveTab(Extractions({"small": model}, tmp_path, "cpu"))


def step(
    tab: LiveTab, picture: npt.NDArray[np.uint8], request: gr.Request = ANNA, *,
    shown: tuple[str, ...] = FACE_CLASSES, rotate: int = 0, detector: str = "auto",
) -> tuple[npt.NDArray[np.uint8], str]:  # fmt: skip
    answer, said = tab.step(picture, "small", detector, True, rotate, list(shown), request)
    assert answer is not None
    data = base64.b64decode(answer["url"].removeprefix("data:image/jpeg;base64,"))
    return decoded(data), said


def decoded(data: bytes) -> npt.NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image[..., ::-1], dtype=np.uint8)


def expected(model: Path, pictures: list[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
    """Overlays of one stream without the page, as JPEG leaves them."""
    extractor = FaceMaskExtractor(
        Cascade.load(model), CroppedFrames(), temporal="stream", device="cpu"
    )
    stream = extractor.stream()
    frames = [stream.step(picture) for picture in pictures]
    painted = [Look().paint(f.image, f.labels, numbers_of(f)) for f in frames]
    quality = (cv2.IMWRITE_JPEG_QUALITY, 85)
    return [decoded(cv2.imencode(".jpg", p[..., ::-1], quality)[1].tobytes()) for p in painted]


def apart(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_a_stream_remembers_and_is_forgotten(model: Path, tab: LiveTab, clock: Clock) -> None:
    told = []
    for picture, overlay in zip(PICTURES, expected(model, PICTURES), strict=True):
        clock.now += 0.25
        shown, said = step(tab, picture)
        np.testing.assert_array_equal(shown, overlay)
        told.append(said)
    assert told == ["1 face", *["**4.0 frames/s**, 1 face"] * 3]

    first = step(tab, PICTURES[3], BEN)[0]  # another visitor's stream begins
    np.testing.assert_array_equal(first, expected(model, PICTURES[3:])[0])
    clock.now += 1
    assert step(tab, PICTURES[0])[1].startswith("**2.")  # Anna's goes on
    tab.leave(ANNA)
    assert step(tab, PICTURES[0])[1] == "1 face"
    clock.now += 3  # a pause
    assert step(tab, PICTURES[0])[1] == "1 face"
    assert step(tab, np.ascontiguousarray(PICTURES[1].transpose(1, 0, 2)))[1] == "1 face"
    assert step(tab, PICTURES[1], rotate=90)[0].shape == (48, 64, 3)


def test_switches_and_nothing_on_disk(tab: LiveTab, tmp_path: Path) -> None:
    every, none = step(tab, PICTURES[0])[0], step(tab, PICTURES[0], shown=())[0]
    assert apart(none, PICTURES[0]) < apart(every, PICTURES[0])
    assert tab.step(None, "small", "auto", True, 0, [], ANNA)[0] is None
    assert list(tmp_path.iterdir()) == []
    entered, left = tab.enter(), tab.leave(ANNA)
    assert [entered[0]["visible"], left[0]["visible"], left[1]] == [True, False, None]


def test_wrong_input_is_one_sentence(tab: LiveTab) -> None:
    with pytest.raises(gr.Error, match="the model is 'large': choose"):
        tab.step(PICTURES[0], "large", "auto", True, 0, [], ANNA)
