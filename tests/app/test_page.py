"""The page without a browser: its functions are called as Gradio calls them."""

from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("gradio", reason="needs facemask-video[app]")

import gradio as gr
import numpy as np

from facemask.app.extraction import Extractions, Result
from facemask.app.page import Page, _summary
from tests.extraction.faces import write_video

Updates = list[Any]


class Request:
    """What the page reads of Gradio's request."""

    session_hash = "abc"


REQUEST = cast("gr.Request", Request())


class Progress:
    """Notes what the bar shows, and may do something then."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.action: Any = None

    def __call__(self, value: object, **_: object) -> None:
        self.shown.append(value)
        if self.action is not None and isinstance(value, tuple):
            self.action()


@pytest.fixture
def page(model: Path, tmp_path: Path) -> Page:
    return Page(Extractions({"small": model, "other": model}, tmp_path, "cpu"))


def extract(page: Page, video: Path | None, progress: Progress, *, cropped: bool) -> Updates:
    return page.extract(
        None if video is None else str(video), "small", "clip", "dlib", cropped, 0, REQUEST,
        cast("gr.Progress", progress),
    )  # fmt: skip


def components(page: Page, kind: str) -> list[dict[str, Any]]:
    config = page.blocks.get_config_file()
    return [part["props"] for part in config["components"] if part["type"] == kind]


def test_what_is_on_the_page(page: Page) -> None:
    video, overlay = components(page, "video")
    assert video["sources"] == ["upload", "webcam"]
    assert not overlay["interactive"]
    model, temporal, detector, rotate = components(page, "dropdown")
    assert [value for _, value in rotate["choices"]] == [0, 90, 180, 270]
    assert [value for _, value in model["choices"]] == ["small", "other"]
    assert [value for _, value in temporal["choices"]] == [
        "window", "clip", "stream", "smooth", "off",
    ]  # fmt: skip
    assert (temporal["value"], detector["value"]) == ("window", "auto")
    assert [part["value"] for part in components(page, "button")] == ["Extract", "Stop"]
    assert len(components(page, "downloadbutton")) == 5
    assert "rgb(0, 255, 255)" in components(page, "html")[0]["value"]
    config = page.blocks.get_config_file()
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}


def test_extract_shows_and_offers_everything(page: Page, clip: Path) -> None:
    started = page.start(REQUEST)
    assert [update["visible"] for update in started[-2:]] == [False, True]
    progress = Progress()
    overlay, numbers, plot, downloads, *files = extract(page, clip, progress, cropped=True)
    assert progress.shown[:2] == [0, (1, 15)]
    assert Path(overlay).is_file()
    assert "| 15 | 100 % | 100 % | 0° |" in numbers["value"]
    assert Path(plot["value"]).is_file()
    assert downloads["visible"]
    assert [Path(file).suffix for file in files] == [".mp4", ".csv", ".mkv", ".npz", ".png"]
    assert len(started) == len([overlay, numbers, plot, downloads, *files]) + 2
    assert [update["visible"] for update in page.end()] == [True, False]


def test_a_video_without_a_face_says_so(page: Page, tmp_path: Path) -> None:
    grey = np.full((64, 64, 3), 99, np.uint8)
    video = write_video(tmp_path / "grey.mp4", [grey] * 3)
    numbers = extract(page, video, Progress(), cropped=False)[1]["value"]
    assert "| 3 | 0 % | 0 % | – |" in numbers
    assert "No face was found." in numbers


def test_the_numbers_say_how_faces_are_turned() -> None:
    numbers = _summary(Result({}, 10, 5, 2, -89.6, 2.0, None), cropped=False)
    assert "| turned clockwise by |" in numbers
    assert "| 10 | 50 % | 20 % | -90° | 5.0 |" in numbers


def test_wrong_input_is_one_sentence(page: Page, tmp_path: Path) -> None:
    page.start(REQUEST)
    with pytest.raises(gr.Error, match="There is no video yet"):
        extract(page, None, Progress(), cropped=True)
    broken = tmp_path / "<b>.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(gr.Error) as error:
        extract(page, broken, Progress(), cropped=True)
    assert error.value.message.startswith("<b>.mp4: ")  # without the folder
    said, extract_button, _ = page.fail(REQUEST)
    assert said["value"].startswith("&lt;b&gt;.mp4: ")
    assert extract_button["visible"]
    page.start(REQUEST)
    assert "the terminal says more" in page.fail(REQUEST)[0]["value"]


@pytest.mark.parametrize("by", ["stop", "close"])
def test_stop(page: Page, clip: Path, tmp_path: Path, by: str) -> None:
    page.stop(REQUEST)  # of what has not begun
    page.start(REQUEST)
    progress = Progress()
    progress.action = page.close if by == "close" else lambda: page.stop(REQUEST)
    overlay, numbers, *_, last = extract(page, clip, progress, cropped=True)
    assert (overlay, numbers["visible"], last) == (None, False, None)
    assert list(tmp_path.iterdir()) == []
