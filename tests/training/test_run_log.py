"""What a training tells its loggers, through the YAML that users run."""

import csv
import hashlib
import json
import math
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
import wandb
import yaml
from PIL import Image
from pytorch_lightning import LightningModule
from wandb.proto import wandb_internal_pb2 as protocol

from facemask.classes import CLASS_NAMES
from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipDataset
from facemask.data.vw300_mask import read_label, read_split

CONFIGS = Path(__file__).parents[2] / "configs"
SIZE = 32
SMALL = [
    f"--data.size={SIZE}", "--data.num_workers=0", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.limit_train_batches=2",
    "--trainer.log_every_n_steps=1",
]  # fmt: skip
TERMS = {
    "ce": {"class_path": "facemask.losses.CrossEntropyLoss", "init_args": {"temperature": 0.1}},
    "seg": {"class_path": "facemask.losses.SegmentationLoss"},
}
LOGGED = [
    "train/loss_ce_epoch", "train/loss_seg_step", "val/loss", "val/loss_ce", "val/miou",
    *(f"val/iou_{name}" for name in CLASS_NAMES), "train/miou", "lr-Adam/pg1", "lr-Adam/pg2",
    *(f"train/{name}_{when}" for name in ("gradient_norm", "frames_per_second", "data_wait")
      for when in ("step", "epoch")),
    "best/miou", "best/epoch", *(f"best/iou_{name}" for name in CLASS_NAMES),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    yield
    wandb.finish()


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file, which is a LevelDB log of protocol buffers."""
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:  # a header does not cross blocks
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            parsed = protocol.Record()  # type: ignore[attr-defined]
            parsed.ParseFromString(record)
            record = b""
            yield parsed


class WandbRun(NamedTuple):
    """What an offline run wrote."""

    folder: Path
    history: dict[str, list[Any]]
    summary: dict[str, Any]
    config: dict[str, Any]
    artifacts: list[Any]


def read_wandb(root: Path) -> WandbRun:
    (folder,) = root.glob("offline-run-*")
    (path,) = folder.glob("*.wandb")
    deadline = time.monotonic() + 60
    while not any(record.HasField("exit") for record in records(path)):  # another process writes
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run = WandbRun(folder / "files", {}, {}, {}, [])
    for record in records(path):
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            run.history.setdefault(name, []).append(json.loads(item.value_json))
        for values, target in ((record.summary.update, run.summary),
                               (record.config.update, run.config)):  # fmt: skip
            for item in values:
                target[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        if record.HasField("artifact"):
            run.artifacts.append(record.artifact)
    return run


def read_metrics(path: Path) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value:
                    values.setdefault(name, []).append(float(value))
    return values


def read_confusion(path: Path) -> npt.NDArray[np.int64]:
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    assert header == ["truth", *CLASS_NAMES]
    assert [row[0] for row in rows] == list(CLASS_NAMES)
    return np.array([row[1:] for row in rows], dtype=np.int64)


def commit(folder: Path) -> str:
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


def fit_convlstm(root: Path, *options: str) -> None:
    """Two epochs through the paper's YAML, with a loss of two terms."""
    loss = {"class_path": "facemask.losses.CompositeLoss", "init_args": {"terms": TERMS}}
    overlay = {"model": {"init_args": {"loss": loss, "init_from": None}}}
    Path("terms.yaml").write_text(yaml.safe_dump(overlay))
    main(["fit", "-c", str(CONFIGS / "convlstm_fcn.yaml"), "-c", "terms.yaml",
          "--model.backbone=test_resnet", f"--data.root={root}", *SMALL,
          "--trainer.max_epochs=2", *options])  # fmt: skip


class Run(NamedTuple):
    """A folder that a training with W&B and CSV wrote to, and its git revision."""

    folder: Path
    wandb: WandbRun
    revision: str

    @property
    def best(self) -> int:
        """The epoch of the highest mIoU."""
        return int(np.argmax(self.wandb.history["val/miou"]))

    @property
    def csv(self) -> Path:
        return self.folder / "runs/convlstm_fcn"


@pytest.fixture(scope="module")
def run(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    revision = commit(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["facemask"])
        fit_convlstm(mask_root, "-c", str(CONFIGS / "logging/wandb.yaml"),
                     "--trainer.logger.log_model=true")  # fmt: skip
        wandb.finish()
    return Run(folder, read_wandb(folder / "runs/wandb"), revision)


def test_config_says_what_the_run_was_made_from(run: Run, mask_root: Path) -> None:
    config = run.wandb.config
    assert config["git_revision"] == run.revision
    assert config["git_changes"] is False
    assert config["torch_version"] == torch.__version__
    terms = config["model"]["init_args"]["loss"]["init_args"]["terms"]
    assert terms["ce"]["init_args"]["temperature"] == 0.1
    assert config["data"]["init_args"]["batch_size"] == 2
    for side in ("train", "val"):
        total, lines = hashlib.sha256(), (
            mask_root / f"data_splits/split_1/{side}_per10.txt"
        ).read_text().split()  # fmt: skip
        for label in sorted(lines[1::2]):
            total.update(hashlib.sha256(Path(label).stem.encode()).digest())
            total.update(hashlib.sha256((mask_root / label[1:]).read_bytes()).digest())
        assert config[f"fingerprint_{side}"] == total.hexdigest()
        assert config[f"frames_{side}"] == len(lines) // 2
    hparams = yaml.safe_load((run.csv / "hparams.yaml").read_text())
    assert hparams["git_revision"] == run.revision
    assert hparams["fingerprint_val"] == config["fingerprint_val"]


def test_every_scalar_reaches_both_loggers_with_the_same_values(run: Run) -> None:
    metrics = read_metrics(run.csv / "metrics.csv")
    for name in LOGGED:
        assert run.wandb.history[name] == pytest.approx(metrics[name], rel=1e-6), name
        assert all(map(math.isfinite, metrics[name]))
    assert len(metrics["train/gradient_norm_step"]) == 4
    assert len(metrics["train/gradient_norm_epoch"]) == 2
    assert metrics["train/gradient_norm_epoch"][1] == pytest.approx(
        np.mean(metrics["train/gradient_norm_step"][2:]), rel=1e-5
    )
    assert all(0 < share < 1 for share in metrics["train/data_wait_epoch"])
    assert min(metrics["train/frames_per_second_step"]) > 0


def test_the_summary_holds_the_best_epoch(run: Run) -> None:
    metrics = read_metrics(run.csv / "metrics.csv")
    best = int(np.argmax(metrics["val/miou"]))
    summary = run.wandb.summary
    assert summary["best/epoch"] == best
    for name in ("miou", *(f"iou_{name}" for name in CLASS_NAMES)):
        assert summary[f"best/{name}"] == pytest.approx(metrics[f"val/{name}"][best])
        assert summary[f"val/{name}"]["max"] == pytest.approx(max(metrics[f"val/{name}"]))


def test_the_checkpoint_callback_is_kept_and_its_best_model_uploaded(run: Run) -> None:
    assert (run.csv / "best.ckpt").is_file()
    (model,) = [artifact for artifact in run.wandb.artifacts if "best" in artifact.aliases]
    assert model.type == "model"
    digest = {entry.path: entry.size for entry in model.manifest.contents}
    assert digest == {"model.ckpt": (run.csv / "best.ckpt").stat().st_size}


def picture(run: Run, name: str) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(run.wandb.folder / name))


def media(run: Run, key: str, epoch: int) -> dict[str, Any]:
    """The parts of an epoch's record of some media."""
    parts = {k: v for k, v in run.wandb.history.items() if k.startswith(key + ".")}
    assert {len(values) for values in parts.values()} == {2}  # epochs
    return {k.removeprefix(key + "."): values[epoch] for k, values in parts.items()}


def wandb_confusion(run: Run, epoch: int) -> dict[tuple[str, str], tuple[int, float]]:
    """Pixels and their share by truth and prediction."""
    path = run.wandb.folder / media(run, "val/confusion_table", epoch)["path"]
    table = json.loads(path.read_text())
    assert table["columns"] == ["truth", "prediction", "pixels", "share"]
    return {(truth, guess): (pixels, share) for truth, guess, pixels, share in table["data"]}


def test_clips_are_shown_with_both_masks_to_toggle(run: Run, mask_root: Path) -> None:
    shown = media(run, "val/clips", run.best)
    assert shown["count"] == 4
    frames = {f.image.stem: f for f in read_split(mask_root, "split_1", "val")}
    data = FaceMaskDataModule(str(mask_root), size=SIZE, num_workers=0)
    data.setup("validate")
    module = TrainedModule.load(run.csv / "best.ckpt")
    parts = sorted(frames)
    positions = []
    for number, caption in enumerate(shown["captions"]):
        clip = caption.split()
        positions.append(parts.index(clip[0]) / len(parts))
        image = picture(run, shown["filenames"][number])
        assert image.shape == (SIZE, SIZE * len(clip), 3)
        masks = shown["all_masks"][number]
        truth = [nearest(read_label(cast("Path", frames[name].label))) for name in clip]
        np.testing.assert_array_equal(
            picture(run, masks["ground_truth"]["path"]), np.concatenate(truth, axis=1)
        )
        predicted = module.predict(data.datasets["val"], clip)
        np.testing.assert_array_equal(
            picture(run, masks["prediction"]["path"]), np.concatenate(predicted, axis=1)
        )
    quarters = [int(4 * position) for position in positions]
    assert quarters == sorted(quarters)  # evenly over the validation set
    assert len(set(positions)) == 4
    labels = run.wandb.config["_wandb"]["mask/class_labels"]["val/clips_wandb_delimeter_prediction"]
    assert labels["value"] == {**{str(i): n for i, n in enumerate(CLASS_NAMES)}, "255": "ignored"}


def nearest(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A label image at SIZE: the pixel under each new pixel's centre."""
    rows, columns = (((np.arange(SIZE) + 0.5) * side / SIZE).astype(int) for side in mask.shape)
    return np.ascontiguousarray(mask[rows][:, columns])


class TrainedModule(NamedTuple):
    """The module as it was at the best epoch."""

    module: LightningModule

    @classmethod
    def load(cls, path: Path) -> "TrainedModule":
        from facemask.training.modules import ConvLSTMFCNModule

        module = ConvLSTMFCNModule("test_resnet")
        module.load_state_dict(torch.load(path, weights_only=True)["state_dict"], strict=False)
        return cls(module.eval())

    def predict(self, dataset: ClipDataset, clip: list[str]) -> list[npt.NDArray[np.uint8]]:
        index = [[f.image.stem for f in frames] for frames in dataset.clips].index(clip)
        sample = dataset[index]
        with torch.no_grad():
            scores = self.module(sample["images"][None])[0]  # (T, C, S, S)
        labels = []
        for frame, size in zip(scores, sample["original_sizes"], strict=False):
            resized = torch.nn.functional.interpolate(frame[None], size, mode="bilinear")
            labels.append(nearest(resized[0].argmax(dim=0).byte().numpy()))
        return labels


def test_the_video_shows_consecutive_frames(run: Run) -> None:
    shown = media(run, "val/video", 0)
    with Image.open(run.wandb.folder / shown["path"]) as video:
        assert video.format == "GIF"
        assert video.size == (2 * SIZE, SIZE)
        assert 5 < getattr(video, "n_frames", 1) <= 30


def test_confusion_has_the_truth_in_rows(run: Run, mask_root: Path) -> None:
    matrix = read_confusion(run.csv / "confusion.csv")
    labels = [read_label(cast("Path", f.label)) for f in read_split(mask_root, "split_1", "val")]
    counts = sum(np.bincount(label[label < 255], minlength=5) for label in labels)
    np.testing.assert_array_equal(matrix.sum(axis=1), counts)
    last = {name: values[-1] for name, values in read_metrics(run.csv / "metrics.csv").items()}
    for i, name in enumerate(CLASS_NAMES):
        union = matrix[i].sum() + matrix[:, i].sum() - matrix[i, i]
        assert last[f"val/iou_{name}"] == pytest.approx(matrix[i, i] / union, rel=1e-5)

    shown = wandb_confusion(run, 1)
    for i, truth in enumerate(CLASS_NAMES):
        for j, guess in enumerate(CLASS_NAMES):
            pixels, share = shown[truth, guess]
            assert pixels == matrix[i, j]
            assert share == pytest.approx(matrix[i, j] / matrix[i].sum())


def test_validate_shows_its_own(run: Run, mask_root: Path, tmp_path: Path) -> None:
    main(["validate", "-c", str(CONFIGS / "convlstm_fcn.yaml"),
          "-c", str(CONFIGS / "logging/csv.yaml"), "--model.backbone=test_resnet",
          f"--data.root={mask_root}", *SMALL, f"--ckpt_path={run.csv / 'best.ckpt'}"])  # fmt: skip
    matrix = read_confusion(tmp_path / "runs/convlstm_fcn/validate/confusion.csv")
    expected = [pixels for pixels, _ in wandb_confusion(run, run.best).values()]
    assert matrix.flatten().tolist() == expected
    header = Path("runs/convlstm_fcn/validate/metrics.csv").read_text().partition("\n")[0]
    assert "best/" not in header


def test_test_logs_the_fingerprint_of_its_record(run: Run, mask_root: Path) -> None:
    main(["test", "-c", str(CONFIGS / "convlstm_fcn.yaml"), "-c",
          str(CONFIGS / "logging/csv.yaml"), "--model.backbone=test_resnet", "--record.flow=null",
          f"--data.root={mask_root}", *SMALL, f"--ckpt_path={run.csv / 'best.ckpt'}"])  # fmt: skip
    folder = Path("runs/convlstm_fcn/test")
    hparams = yaml.safe_load((folder / "hparams.yaml").read_text())
    record = json.loads((folder / "record.json").read_text())
    assert hparams["fingerprint_test"] == record["fingerprint"]
    assert hparams["frames_test"] == record["frames"]


def test_tensorboard_gets_pictures_and_the_same_scalars(mask_root: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        EventAccumulator,
    )

    fit_convlstm(mask_root, "-c", str(CONFIGS / "logging/tensorboard.yaml"),
                 "--trainer.limit_val_batches=4")  # fmt: skip
    sizes = {"images": 0, "tensors": 0, "scalars": 0}
    events = EventAccumulator("runs/tensorboard/version_0", size_guidance=sizes)
    events.Reload()
    metrics = read_metrics(Path("runs/convlstm_fcn/metrics.csv"))
    for name in LOGGED:
        assert [e.value for e in events.Scalars(name)] == pytest.approx(metrics[name]), name
    pictures = {name: events.Images(name) for name in events.Tags()["images"]}
    assert {name: len(shown) for name, shown in pictures.items()} == {
        f"val/clips/{i}": 2 for i in range(4)
    }
    text = events.Tensors("val/confusion/text_summary")[-1].tensor_proto.string_val[0].decode()
    matrix = read_confusion(Path("runs/convlstm_fcn/confusion.csv"))
    assert f"| skin | {100 * matrix[1, 0] / matrix[1].sum():.2f} |" in text
    hparams = yaml.safe_load(Path("runs/tensorboard/version_0/hparams.yaml").read_text())
    assert len(hparams["fingerprint_train"]) == 64


def test_disabled_writes_nothing(mask_root: Path) -> None:
    fit_convlstm(mask_root, "-c", str(CONFIGS / "logging/wandb.yaml"),
                 "--trainer.logger.mode=disabled", "--trainer.limit_val_batches=1",
                 "--trainer.max_epochs=1")  # fmt: skip
    assert not Path("runs/wandb").exists()
    assert Path("runs/convlstm_fcn/best.ckpt").is_file()
