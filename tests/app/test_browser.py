"""The page in a browser: a video goes in, and masks come out."""

import csv
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="needs facemask-video[app]")
pytest.importorskip("playwright", reason="needs playwright")

from playwright.sync_api import Browser, Page, expect

PATIENCE = 120_000  # ms


@pytest.fixture
def address(model: Path, tmp_path: Path) -> Iterator[str]:
    """Where `facemask app` answers; at the end it leaves no file behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "facemask", "app", "--models", str(model), "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "The page is at" in process.stderr.readline()
        yield f"http://127.0.0.1:{port}"
        assert list(tmp_path.glob("facemask-app-*/*/clip.csv"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    assert not list(tmp_path.glob("facemask-app-*"))


@pytest.mark.slow
def test_masks_of_a_short_clip(browser: Browser, address: str, clip: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    response = page.goto(address)
    assert response is not None
    assert "default-src 'self'" in response.headers["content-security-policy"]
    button = page.get_by_role("button", name="Extract")
    button.click(timeout=PATIENCE)
    expect(page.get_by_text("There is no video yet").first).to_be_visible(timeout=PATIENCE)

    page.locator("input[type=file]").first.set_input_files(clip)
    expect(page.locator("video")).to_have_count(1, timeout=PATIENCE)
    page.get_by_label("The video is a face crop already").check()
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

    page.set_viewport_size({"width": 390, "height": 844})  # a phone
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
