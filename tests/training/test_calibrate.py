"""`facemask calibrate`: from a run to a calibrated checkpoint."""

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from facemask.cli import main
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.models.cascade.file import read_header
from facemask.training.calibrate import calibrate
from facemask.training.mask_module import MaskModule
from facemask.training.modules import FCNModule
from tests.training.own_networks import ClipNetwork, OwnFCN

BACKBONE = "mobilenetv3_small_050"
MODEL = {
    "class_path": "FCNModule", "init_args": {"backbone": BACKBONE, "learning_rate": 0.01},
}  # fmt: skip
TRAINER = {
    "max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False,
    "logger": False, "enable_model_summary": False,
}  # fmt: skip


def settings(root: Path, **data: object) -> dict[str, object]:
    options = {"root": str(root), "size": 32, "batch_size": 4, "num_workers": 0, "seed": 0}
    data = {"class_path": "FaceMaskDataModule", "init_args": options | data}
    return {"model": MODEL, "data": data, "trainer": TRAINER}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


@pytest.fixture(scope="module")
def run(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as `facemask fit` leaves it: best.ckpt and config.yaml."""
    folder = tmp_path_factory.mktemp("run")
    saver = {
        "class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
        "init_args": {"dirpath": str(folder), "filename": "best", "monitor": "val/miou",
                      "mode": "max", "save_last": True},
    }  # fmt: skip
    config = settings(mask_root, clip_length=None)
    config["trainer"] = TRAINER | {"callbacks": [saver], "default_root_dir": str(folder)}
    (folder / "fit.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["facemask"])
        main(["fit", "-c", str(folder / "fit.yaml")])
    (folder / "fit.yaml").unlink()
    return folder


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_run_is_calibrated(
    run: Path, mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "best.ckpt").read_bytes()
    out = tmp_path / "c.ckpt"
    main(["calibrate", str(run), "-o", str(out), "--force"])
    said = capsys.readouterr().out
    assert "inner_mouth" in said
    assert (run / "best.ckpt").read_bytes() == before

    calibrated = FCNModule.load_from_checkpoint(out).network
    assert calibrated.offsets[0] == 0
    assert calibrated.offsets.any()
    plain = FCNModule.load_from_checkpoint(run / "best.ckpt").network
    assert not plain.offsets.any()
    assert plain.classifier.weight.equal(calibrated.classifier.weight)

    config = settings(mask_root, clip_length=None)
    (tmp_path / "v.yaml").write_text(yaml.safe_dump(config))
    mious = []
    for checkpoint in (run / "best.ckpt", out):
        main(["validate", "-c", "v.yaml", "--ckpt_path", str(checkpoint)])
        line = next(li for li in capsys.readouterr().out.splitlines() if "val/miou" in li)
        mious.append(round(100 * float(line.split("│")[2]), 1))
    row = next(line for line in said.splitlines() if "mIoU" in line and "│" in line)
    assert [float(cell) for cell in row.split("│")[3:5]] == mious
    assert mious[1] > mious[0]

    # again, from what is calibrated: the same
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    calibrate(str(out), out="again.ckpt", force=True)
    again = torch.load("again.ckpt", weights_only=True)["state_dict"]["network.offsets"]
    assert again.equal(calibrated.offsets)
    with pytest.raises(SystemExit):
        main(["fit", "-c", "v.yaml", "--ckpt_path", str(out)])
    assert "holds no state of a training to go on with" in capsys.readouterr().err


def test_a_cascade_is_calibrated_network_by_network(
    run: Path, mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = (FCNModule.load_from_checkpoint(run / "best.ckpt").network, None, FCN(BACKBONE, 3))
    cascade = Cascade(*networks, CascadeSettings(size=32))
    cascade.save("cascade.safetensors", dtype=torch.float16, card="# Mine")
    main(["calibrate", "cascade.safetensors", "--data", str(mask_root), "--force", "--pictures",
          "60"])  # fmt: skip
    said = capsys.readouterr().out
    assert "The primary network:" in said
    assert "The mouth network:" in said
    assert "The masks of the whole cascade, on the validation side: mIoU" in said
    assert "Confidence in 60 masks of the validation side" in said
    header = read_header(Path("calibrated.safetensors"))
    assert (header.card, header.dtypes) == ("# Mine", ["F16"])
    before = Cascade.load("cascade.safetensors").state_dict()
    after = Cascade.load("calibrated.safetensors").state_dict()
    different = {name for name in before if not before[name].equal(after[name])}
    assert different == {"primary.offsets", "mouth.offsets"}
    main(["weights", "info", "calibrated.safetensors"])
    assert "calibrated by" in (said := " ".join(capsys.readouterr().out.split()))
    assert "confidence: calibrated (intercept" in said
    main(["weights", "info", "cascade.safetensors"])
    assert "confidence: not calibrated" in " ".join(capsys.readouterr().out.split())
    assert "give --data FOLDER" in error_of(["cascade.safetensors"], capsys)


def test_a_confidence_alone_is_calibrated(
    mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = FCN(BACKBONE)
    network.offsets[1] = 0.5
    Cascade(network, settings=CascadeSettings(size=32)).save("cascade.safetensors")
    options = ["--data", str(mask_root), "--offsets", "off", "--pictures", "50"]
    main(["calibrate", "cascade.safetensors", *options, "-o", "c.safetensors"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Confidence in 50 masks" in said
    assert "The primary network" not in said
    loaded = Cascade.load("c.safetensors")
    assert loaded.settings.confidence is not None
    assert loaded.state_dict()["primary.offsets"].tolist() == [0, 0.5, 0, 0, 0]
    assert "none" in error_of(["cascade.safetensors", *options, "--split", "none"], capsys)
    assert "give at least 50" in error_of(["cascade.safetensors", *options[:-1], "9"], capsys)
    assert "is a cascade's alone" in error_of(["runs", *options[:4]], capsys)


def test_nothing_is_claimed_that_was_not_seen(
    run: Path, mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(mask_root, root)
    for path in (root / "labels_orig").glob("*.png"):  # no mouth is open, and there is one video
        labels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        cv2.imwrite(str(path), np.where(labels == 4, 3, labels))
    lists = root / "data_splits" / "split_1"
    lines = (lists / "train_per10.txt").read_text().splitlines(keepends=True)
    video = lines[0].split("_")[1]
    one = [line for line in lines if line.split("_")[1] == video]
    (lists / "val_per10.txt").write_text("".join(one))
    main(["calibrate", str(run), "--data", str(root), "-o", "zeros.ckpt"])
    said = capsys.readouterr().out
    assert "Not in the validation side, offset 0: inner_mouth." in said
    assert "is one video, so nothing says what they gain on others. Zeros are kept" in said
    assert not FCNModule.load_from_checkpoint("zeros.ckpt").network.offsets.any()
    main(["calibrate", str(run), "--data", str(root), "-o", "forced.ckpt", "--force"])
    forced = FCNModule.load_from_checkpoint("forced.ckpt").network.offsets.tolist()
    assert forced[0] == forced[4] == 0
    assert any(forced)


@pytest.mark.parametrize("network", [ClipNetwork(), OwnFCN(BACKBONE)])
def test_offsets_of_a_network_of_your_own_are_only_told(
    network: nn.Module, mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"tests.training.own_networks.{type(network).__name__}"
    options = {"backbone": BACKBONE} if isinstance(network, OwnFCN) else {}
    model = {"network": {"class_path": path, "init_args": options}}
    module = MaskModule(network)
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, "own.ckpt")
    config = settings(mask_root) | {"model": {"class_path": "MaskModule", "init_args": model}}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    main(["calibrate", "own.ckpt", "--force"])
    said = capsys.readouterr().out
    assert f"{type(network).__name__} does not add offsets to its scores" in said
    assert not Path("calibrated.ckpt").exists()


def test_bad_inputs(
    run: Path, mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.ckpt: no such checkpoint" in error_of(["none.ckpt"], capsys)
    assert "best.ckpt: no such checkpoint" in error_of([str(tmp_path)], capsys)
    alone = tmp_path / "best.ckpt"
    alone.write_bytes((run / "best.ckpt").read_bytes())
    said = error_of([str(alone)], capsys)
    assert "config.yaml: cannot read the configuration of the run (No such file" in said
    assert "is what is to be calibrated" in error_of([str(run), "-o", f"{run}/best.ckpt"], capsys)
    assert "give at least 1000" in error_of([str(run), "--pixels", "3"], capsys)
    assert "none" in error_of([str(run), "--data", "none"], capsys)
    content = torch.load(alone, weights_only=True)
    content["state_dict"]["network.classifier.bias"][1] = float("nan")
    torch.save(content, alone)
    said = error_of([str(alone), "--settings", str(run / "config.yaml")], capsys)
    assert "scores are not finite" in said
    tracker = {"class_path": "LandmarkTrackerModule"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings(mask_root) | {"model": tracker}))
    assert "no scores of one network to calibrate" in error_of([str(alone)], capsys)
    assert not (tmp_path / "calibrated.ckpt").exists()
