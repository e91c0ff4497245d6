import gc
import multiprocessing
import os
import shutil
import signal

# before any import that looks online or starts threads
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from facemask.annotate.predictor import LandmarkPredictor
from facemask.data.landmarks import write_pts
from facemask.data.prepare import prepare
from tests.faces import Points, face_points

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2  # with -n 2, a core for each process
torch.set_num_threads(THREADS)
cv2.setNumThreads(THREADS)


def pytest_collection_finish() -> None:
    """What is imported stays: no garbage collection of a test looks at its million objects."""
    gc.collect()
    gc.freeze()


# (frames in the video, subject) of each video of the small data set
VIDEOS = {"001": (64, "ann"), "002": (33, "bob"), "003": (12, "ann"), "004": (31, "eve")}
HEIGHT, WIDTH = 96, 128


def frame_points(video: str, frame: int) -> Points:
    """Landmarks of a frame of the small data set: the face moves and grows with the frames."""
    rng = np.random.default_rng(int(video))
    return face_points(rng, size=50 + 0.2 * frame, center=(60 + 0.1 * frame, 48))


def background(number: int) -> int:
    """Grey level that tells a frame from its neighbours even after two JPEGs."""
    return 30 + 10 * (number % 20)


def draw_frame(points: Points, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A flat face on a background whose brightness tells the frame's number."""
    image = np.full((HEIGHT, WIDTH, 3), background(number), dtype=np.uint8)
    for part, color in ((slice(0, 27), (80, 120, 200)), (slice(48, 60), (60, 60, 180))):
        polygon = points[part] if part.start else np.concatenate([points[:17], points[26:16:-1]])
        cv2.fillPoly(image, [np.rint(polygon).astype(np.int32)], color)
    return image


def write_video(path: Path, frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> None:
    """Write BGR frames as Motion JPEG."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="session")
def vw300_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short videos of three subjects in the 300VW layout. Read only: copy to change."""
    root = tmp_path_factory.mktemp("300vw")
    for video, (count, _) in VIDEOS.items():
        (root / video / "annot").mkdir(parents=True)
        frames = []
        for number in range(1, count + 1):
            points = frame_points(video, number)
            frames.append(draw_frame(points, number))
            write_pts(root / video / "annot" / f"{number:06d}.pts", points)
        write_video(root / video / "vid.avi", frames)
    rows = "".join(f"{video},{subject}\n" for video, (_, subject) in VIDEOS.items())
    (root / "subjects.csv").write_text("video,subject\n" + rows)
    return root


@pytest.fixture(scope="session")
def mask_root(vw300_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four videos, prepared whole (300VW-Mask layout). Read only: copy to change."""
    root = tmp_path_factory.mktemp("300vw_mask")
    prepare(vw300_root, root, fraction=1.0, workers=1)
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """playwright's Chromium or the system's, running; its type is playwright's `Browser`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome", "chrome")
        found = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
        if not Path(found).is_file():
            pytest.skip("needs Chromium: playwright install chromium, or the system's package")
        camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
        arguments = ["--no-sandbox", "--disable-gpu", *camera]
        running = playwright.chromium.launch(executable_path=found, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="session")
def predictor() -> LandmarkPredictor:
    """dlib's 68 landmarks, a file of 100 MB."""
    return LandmarkPredictor()


@pytest.fixture
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes begin with what takes long to import: forked from a server instead of spawned.

    Neither inherits threads or locks. What they print and their environment are the server's.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["facemask.training.cli", "facemask.extraction.run"])
    real = multiprocessing.get_context
    monkeypatch.setattr(
        multiprocessing, "get_context", lambda name: server if name == "spawn" else real(name)
    )


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even where a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _end_wandb_runs() -> Iterator[None]:
    """The next test's run is one of its own: W&B keeps one open for the whole process."""
    yield
    if wandb := sys.modules.get("wandb"):
        wandb.finish()
