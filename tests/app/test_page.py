"""The page without a browser: its functions are called as Gradio calls them."""

from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("gradio", reason="needs facemask-video[app]")

import cv2
import gradio as gr
import numpy as np

from facemask.app import legend
from facemask.app.extraction import Extractions, Result
from facemask.app.legend import in_order
from facemask.app.page import Page
from facemask.app.video_tab import _summary
from facemask.classes import FACE_CLASSES
from facemask.weights.catalog import find_weights, shipped
from tests.extraction.faces import paint, paint_labels, random_cascade, write_video

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
    return page.video.extract(
        None if video is None else str(video), "clip", "small", "dlib", cropped, 0,
        list(FACE_CLASSES), REQUEST, cast("gr.Progress", progress),
    )  # fmt: skip


def components(page: Page, kind: str) -> list[dict[str, Any]]:
    config = page.blocks.get_config_file()
    return [part["props"] for part in config["components"] if part["type"] == kind]


def test_what_is_on_the_page(page: Page) -> None:
    video, overlay = components(page, "video")
    assert video["sources"] == ["upload", "webcam"]
    assert not overlay["interactive"]
    model, detector, rotate, temporal = components(page, "dropdown")
    assert [value for _, value in rotate["choices"]] == [0, 90, 180, 270]
    assert [value for _, value in model["choices"]] == ["small", "other"]
    assert [value for _, value in temporal["choices"]] == [
        "window", "clip", "stream", "smooth", "off",
    ]  # fmt: skip
    assert (temporal["value"], detector["value"]) == ("window", "auto")
    assert [part["value"] for part in components(page, "button")] == [
        "Try a made-up face", "Extract", "Stop", "Try a portrait", "Extract", "Stop",
    ]  # fmt: skip
    assert len(components(page, "downloadbutton")) == 6
    (switches,) = components(page, "checkboxgroup")
    assert [name for _, name in switches["choices"]] == switches["value"] == list(FACE_CLASSES)
    assert ".legend label:nth-of-type(3) { --chip: rgb(0, 255, 255); }" in legend.CSS
    camera = components(page, "image")[-2]
    assert (camera["sources"], camera["streaming"]) == (["webcam"], True)
    config = page.blocks.get_config_file()
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}


def test_extract_shows_and_offers_everything(page: Page, clip: Path) -> None:
    started = page.video.start(REQUEST)
    assert [update["visible"] for update in started[-2:]] == [False, True]
    progress = Progress()
    overlay, numbers, plot, downloads, *files = extract(page, clip, progress, cropped=True)
    assert progress.shown[:2] == [0, (1, 15)]
    assert Path(overlay).is_file()
    assert "| 15 | 100 % | – | 0° |" in numbers["value"]
    assert Path(plot["value"]).is_file()
    assert downloads["visible"]
    assert [Path(file["value"]).suffix for file in files] == [
        ".mp4",
        ".csv",
        ".mkv",
        ".npz",
        ".png",
    ]
    assert len(started) == len([overlay, numbers, plot, downloads, *files]) + 2
    assert [update["visible"] for update in page.video.end()] == [True, False]


def test_a_video_without_a_face_says_so(page: Page, tmp_path: Path) -> None:
    grey = np.full((64, 64, 3), 99, np.uint8)
    video = write_video(tmp_path / "grey.mp4", [grey] * 3)
    _, numbers, plot, _, *files = extract(page, video, Progress(), cropped=False)
    assert "| 3 | 0 % | – | – |" in numbers["value"]
    assert "No face was found." in numbers["value"]
    assert [plot["visible"], *(file["visible"] for file in files)] == [False, *[True] * 4, False]


def test_the_numbers_say_how_faces_are_turned() -> None:
    numbers = _summary(Result(Path(), 0, {}, {}, [], 10, 5, 2, -89.6, 2.0, None), cropped=False)
    assert "| turned clockwise by |" in numbers
    assert "| 10 | 50 % | 20 % | -90° | 5.0 |" in numbers


def test_wrong_input_is_one_sentence(page: Page, tmp_path: Path) -> None:
    page.video.start(REQUEST)
    with pytest.raises(gr.Error, match="There is no video yet"):
        extract(page, None, Progress(), cropped=True)
    broken = tmp_path / "<b>.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(gr.Error) as error:
        extract(page, broken, Progress(), cropped=True)
    assert error.value.message.startswith("<b>.mp4: ")  # without the folder
    said, extract_button, _ = page.video.fail(REQUEST)
    assert said["value"].startswith("&lt;b&gt;.mp4: ")
    assert extract_button["visible"]
    page.video.start(REQUEST)
    assert "the terminal says more" in page.video.fail(REQUEST)[0]["value"]


@pytest.mark.parametrize("by", ["stop", "close"])
def test_stop(page: Page, clip: Path, tmp_path: Path, by: str) -> None:
    page.leave(REQUEST)  # of what has not begun
    page.video.start(REQUEST)
    progress = Progress()
    progress.action = page.close if by == "close" else lambda: page.video.stop(REQUEST)
    overlay, numbers, *_, last = extract(page, clip, progress, cropped=True)
    assert (overlay, numbers["visible"], last) == (None, False, None)
    assert list(tmp_path.iterdir()) == []


def test_switches_draw_the_overlay_anew(page: Page, clip: Path) -> None:
    nothing = page.video.redraw(["eyes"], REQUEST)
    page.video.start(REQUEST)
    extract(page, clip, Progress(), cropped=True)
    assert page.video.redraw(list(FACE_CLASSES[::-1]), REQUEST) == nothing  # as it is
    shown, offered = page.video.redraw(["lips", "eyes"], REQUEST)
    assert shown == offered
    assert Path(shown).parts[-2:] == ("eyes-lips", "clip.overlay.mp4")
    page.video.start(REQUEST)
    assert page.video.redraw(["eyes"], REQUEST) == nothing
    assert in_order(["inner_mouth", "skin"]) == ("skin", "inner_mouth")


def photos_of(page: Page, photos: list[str] | None, shown: list[str]) -> Updates:
    progress = cast("gr.Progress", Progress())
    return page.photos.extract(photos, "small", "auto", True, 0, shown, REQUEST, progress)


def test_photos(page: Page, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match="There is no photo yet"):
        photos_of(page, None, [])
    (tmp_path / "<b>.png").write_bytes(b"no picture")
    with pytest.raises(gr.Error) as error:
        photos_of(page, [str(tmp_path / "<b>.png")], [])
    assert error.value.message.startswith("<b>.png: ")  # without the folder
    picture = cv2.imencode(".png", paint(paint_labels(64, 64, 32, 32, 60)))[1]
    (tmp_path / "anna.png").write_bytes(picture.tobytes())
    given = [str(tmp_path / name) for name in ("<b>.png", "anna.png")]
    page.photos.start(REQUEST)
    overlays, numbers, files, everything = photos_of(page, given, ["skin"])
    assert [name for _, name in overlays["value"]] == ["anna.png"]
    assert "| 1 | 1 | – |" in numbers["value"]
    assert "\n&lt;b&gt;.png: " in numbers["value"]
    assert [Path(file).name for file in files["value"]] == [
        "photos.csv", "anna.overlay.png", "anna.labels.png", "anna.alpha.png",
    ]  # fmt: skip
    assert Path(everything["value"]).name == "photos.zip"
    again, _, _ = page.photos.redraw(["eyes"], REQUEST)
    assert Path(again["value"][0][0]).parts[-2:] == ("eyes", "anna.overlay.png")
    assert page.photos.redraw(["eyes"], REQUEST)[0] == gr.skip()


def test_licence_and_card_of_the_chosen_model(model: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    random_cascade().save(own, card="## Mine")
    models = {"open": find_weights("open"), "plain": model, "own": own}
    page = Page(Extractions(models, tmp_path, "cpu"))
    notice = components(page, "markdown")[1]["value"]
    assert shipped()["open"].licence in notice
    said, about, card = page.about_model("open")
    assert (said, about["visible"]) == (notice, True)
    assert card.startswith("## ")
    assert "not known to facemask" in page.about_model("plain")[0]
    assert [page.about_model(name)[1]["visible"] for name in ("plain", "own")] == [False, True]
    assert page.about_model("own")[2] == "## Mine"
