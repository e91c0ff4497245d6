"""The page in a browser: videos, photos and a camera go in, and masks come out."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="needs facemask-video[app]")
pytest.importorskip("playwright", reason="needs playwright")

import cv2
from playwright.sync_api import Browser, Page, expect

from tests.extraction.faces import paint, paint_labels

PATIENCE = 120_000  # ms


@pytest.fixture(scope="module")
def address(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `facemask app` answers, for all tests; at the end it leaves no file behind."""
    folder = tmp_path_factory.mktemp("app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "facemask", "app", "--models", str(model), "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "The page is at" in process.stderr.readline()
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    assert not list(folder.glob("facemask-app-*"))


@pytest.mark.slow
def test_masks_of_a_short_clip(browser: Browser, address: str, clip: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    response = page.goto(address)
    assert response is not None
    assert "default-src 'self'" in response.headers["content-security-policy"]
    button = page.get_by_role("button", name="Extract").locator("visible=true")
    button.click(timeout=PATIENCE)
    expect(page.get_by_text("There is no video yet").first).to_be_visible(timeout=PATIENCE)

    page.locator("input[type=file]").first.set_input_files(clip)
    expect(page.locator("video")).to_have_count(1, timeout=PATIENCE)
    page.get_by_text("Face detector, and how faces lie").click()
    page.get_by_label("Pictures are face crops already").check()
    button.click(timeout=PATIENCE)
    expect(page.locator("video")).to_have_count(2, timeout=PATIENCE)
    overlay = page.locator("video").last
    assert str(overlay.get_attribute("src")).endswith("clip.overlay.mp4")
    plays = "element => element.readyState > 0 && element.videoWidth === 64"
    page.wait_for_function(plays, arg=overlay.element_handle(), timeout=PATIENCE)
    expect(
        page.get_by_role("cell", name="100 %").first
    ).to_be_visible()  # with a face; unsure is another
    expect(page.locator('img[src$="clip.signals.png"]')).to_be_visible()

    names = [download(page, kind, tmp_path) for kind in ("MP4", "CSV", "MKV", "NPZ", "PNG")]
    assert names == [
        "clip.overlay.mp4", "clip.csv", "clip.labels.mkv", "clip.labels.npz", "clip.signals.png",
    ]  # fmt: skip
    with (tmp_path / "clip.csv").open(newline="") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == [str(n) for n in range(15)]

    page.get_by_label("skin").uncheck()
    expect(overlay).to_have_attribute(
        "src", re.compile(r"/eyes-lips-inner_mouth/clip\.overlay\.mp4$"), timeout=PATIENCE
    )
    page.get_by_role("button", name="Try a made-up face").click()
    expect(page.locator("video").first).to_have_attribute(
        "src", re.compile(r"/sample\.mp4$"), timeout=PATIENCE
    )
    leave(page, requests, address)


@pytest.mark.slow
def test_photos_and_a_switch(browser: Browser, address: str, tmp_path: Path) -> None:
    page, requests = opened(browser, address)
    expect(page.get_by_text("Licence of these weights:")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Photos").click()
    for name in ("anna.png", "ben.jpg"):
        cv2.imwrite(str(tmp_path / name), paint(paint_labels(64, 64, 32, 32, 60))[..., ::-1])
    page.get_by_text("Face detector, and how faces lie").click()
    page.get_by_label("Pictures are face crops already").check()
    chooser = page.locator("input[type=file]:not([accept^=video])").last
    chooser.set_input_files([tmp_path / "anna.png", tmp_path / "ben.jpg"])
    expect(page.get_by_text("ben.jpg").or_(page.get_by_label("ben.jpg")).first).to_be_visible(
        timeout=PATIENCE
    )
    page.get_by_role("button", name="Extract").locator("visible=true").click()
    expect(page.locator('img[src$="anna.overlay.png"]').first).to_be_visible(timeout=PATIENCE)
    names = ("photos.csv", "anna.labels.png", "anna.alpha.png", "ben.overlay.jpg")
    for name in names:
        expect(page.locator(f'a[download="{name}"]')).to_be_visible(timeout=PATIENCE)
    page.get_by_label("skin").uncheck()
    drawn_anew = page.locator('img[src$="/eyes-lips-inner_mouth/anna.overlay.png"]')
    expect(drawn_anew.first).to_be_visible(timeout=PATIENCE)
    chip = "getComputedStyle(element.parentElement.querySelector('span'), '::before')"
    color = page.get_by_label("lips").evaluate(f"element => {chip}.backgroundColor")
    assert color == "rgb(0, 255, 255)"
    leave(page, requests, address)


@pytest.mark.slow
def test_a_live_camera_ends_with_its_tab(browser: Browser, address: str) -> None:
    page, requests = opened(browser, address)
    page.add_init_script(
        "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "window.cameras = [];"
        "navigator.mediaDevices.getUserMedia = async wish => {"
        "const camera = await ask(wish); window.cameras.push(camera); return camera}"
    )
    page.reload()
    page.get_by_role("tab", name="Live camera").click(timeout=PATIENCE)
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click(timeout=PATIENCE)
    expect(page.get_by_text("frames/s,")).to_be_visible(timeout=PATIENCE)
    expect(page.locator('img[src^="data:image/jpeg"]')).to_be_visible()
    states = "window.cameras.flatMap(c => c.getTracks().map(track => track.readyState))"
    assert page.evaluate(states) == ["live"]
    page.get_by_role("tab", name="Video").click()
    page.wait_for_function(f"{states}.every(state => state === 'ended')", timeout=PATIENCE)
    button = page.get_by_role("button", name="Extract").locator("visible=true")
    button.click()  # the line is free again
    expect(page.get_by_text("There is no video yet").first).to_be_visible(timeout=PATIENCE)
    leave(page, requests, address)


def opened(browser: Browser, address: str) -> tuple[Page, list[str]]:
    """The page, and what the browser asks for from now on."""
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    return page, requests


def leave(page: Page, requests: list[str], address: str) -> None:
    """See that it fits on a phone and that nothing was loaded from elsewhere, and close it."""
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    elsewhere = [url for url in requests if not url.startswith((address, "data:", "blob:"))]
    assert elsewhere == []
    page.close()


def download(page: Page, kind: str, folder: Path) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"({kind})").click()
    name = download.value.suggested_filename
    download.value.save_as(folder / name)
    return name
