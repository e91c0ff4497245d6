from pathlib import Path

import pytest

from tests.extraction.faces import paint, paint_labels, random_cascade, write_video


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "cascade.safetensors"
    random_cascade().save(path)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen frames of a face crop."""
    images = [paint(paint_labels(64, 64, 31 + t % 3, 32, 60)) for t in range(15)]
    return write_video(tmp_path_factory.mktemp("videos") / "clip.mp4", images)
