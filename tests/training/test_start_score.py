"""Fine-tuning says whether it made the weights better; checkpoints say what they come from."""

import re
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint

from facemask.cli import main
from facemask.files import sha256_of
from facemask.models.cascade.file import network_of
from facemask.origin import Origin, origins_of, terms_of
from facemask.training.descent import DLIB_TERMS
from facemask.training.start_score import StartScore


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(root: Path, name: str, rate: float, init_from: str | None = None, **trainer: Any) -> str:  # noqa: ANN401
    """Train for two steps; return what was warned of."""
    saver = {"dirpath": name, "filename": "best", "monitor": "val/miou", "mode": "max",
             "save_last": True, "enable_version_counter": False}  # fmt: skip
    content = {
        "trainer": {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "max_epochs": 1,
            "enable_model_summary": False, "limit_train_batches": 2, "num_sanity_val_steps": -1,
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": saver}], **trainer,
        },
        "model": {"class_path": "FCNModule", "init_args": {
            "backbone": "test_resnet", "output_stride": 8, "learning_rate": rate,
            "pretrained": False, "init_from": init_from}},
        "data": {"class_path": "FaceMaskDataModule", "init_args": {
            "root": str(root), "clip_length": None, "size": 32, "batch_size": 4,
            "num_workers": 0}},
    }  # fmt: skip
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        main(["fit", "-c", f"{name}.yaml", "--resume=auto"])
    return "\n".join(str(warning.message) for warning in caught)


def origins(path: str) -> tuple[Origin, ...]:
    checkpoint = torch.load(path, weights_only=True)
    return origins_of(network_of(checkpoint, Path(path), "face"))


def test_a_training_that_spoils_its_weights_says_so(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "faces"
    shutil.copytree(mask_root, root)
    assert "not made the weights better" not in fit(
        root, "base", 0.02, limit_train_batches=1.0, max_epochs=5
    )
    [data] = origins("base/best.ckpt")
    assert data.name == "data set faces"
    assert data.licence is None
    assert " before, " not in str(data.note)  # it started from no weights
    main(["validate", "-c", "base.yaml", "--ckpt_path", "base/best.ckpt"])
    score = float(re.findall(r"val/miou\W+([\d.]+)", capsys.readouterr().out)[0])

    (root / "PSEUDO_LANDMARKS.md").write_text("by dlib")
    said = fit(root, "spoilt", 3.0, "base/best.ckpt")
    found = re.search(
        r"not made the weights better: mIoU on the validation side is ([\d.]+) % after training, "
        r"([\d.]+) % before\. Keep those that it started from \(base/best\.ckpt\)", said
    )  # fmt: skip
    assert found is not None, said + capsys.readouterr().out
    assert float(found[2]) == pytest.approx(100 * score, abs=0.051)
    assert float(found[1]) < float(found[2])
    base, data = origins("spoilt/best.ckpt")
    assert (base.name, base.sha256) == ("base/best.ckpt", sha256_of(Path("base/best.ckpt")))
    lines = (root / "data_splits/split_1/train_per10.txt").read_text().splitlines()
    videos = {line.split("/")[2].rpartition("_")[0] for line in lines}
    people = f"{len(videos)} subject{'s' * (len(videos) > 1)}"
    assert f"face: trained on {len(lines)} frames of {people}, " in str(data.note)
    assert "labels: pseudo-landmarks of dlib; 2 steps, epoch 1, 20" in str(data.note)
    assert f"side {found[2]} % before, {found[1]} % after." in str(data.note)
    assert terms_of([base, data]) == f"from 'data set faces': {DLIB_TERMS}"

    # resumed, it knows the score at the start, and names its data once
    said = fit(root, "spoilt", 3.0, "base/best.ckpt", max_epochs=2)
    assert f"{found[2]} % before" in said
    assert [origin.name for origin in origins("spoilt/last.ckpt")] == [base.name, data.name]


def test_the_best_checkpoint_counts() -> None:
    told = StartScore()
    saver = ModelCheckpoint(monitor="val/miou", mode="max")
    saver.best_model_score = torch.tensor(0.75)
    trainer: Any = SimpleNamespace(
        callback_metrics={"val/miou": torch.tensor(0.5)}, checkpoint_callback=saver,
        num_sanity_val_steps=2, datamodule=None,
    )  # fmt: skip
    module: Any = SimpleNamespace(init_from="default")
    told.on_sanity_check_end(trainer, module)
    assert told.state_dict() == {"before": None}  # two batches are not the whole side
    trainer.num_sanity_val_steps = float("inf")
    told.on_sanity_check_end(trainer, module)
    assert told.state_dict() == {"before": 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told.on_fit_end(trainer, module)  # 75 is better than 50
    told.before = 0.75
    with pytest.warns(UserWarning, match=r"is 75\.0 % after training, 75\.0 % before\. .*default"):
        told.on_fit_end(trainer, module)
