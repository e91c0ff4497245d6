"""The command line in-process, through the YAML files that users run."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from facemask.cli import VERBS, main, verb_function
from facemask.data.vw300_mask import read_label
from facemask.report import read_run

CONFIGS = Path(__file__).parent.parent / "configs"
BACKBONE = "mobilenetv3_small_050"
# what makes a run on the small data set take a second; everything else is the file's own
SMALL = [
    f"--model.backbone={BACKBONE}", "--data.size=32", "--data.num_workers=0",
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    "--trainer.limit_train_batches=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, expect exit status 2, and return what was said on standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Like `fails`, and check that the last line is one sentence without a traceback."""
    said = fails(arguments, capsys)
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("facemask: error: ")
    return line


def fit_fcn(root: Path) -> Path:
    config = str(CONFIGS / "fcn.yaml")
    main(["fit", "-c", config, *SMALL, f"--data.root={root}", "--model.pretrained=false",
          "--trainer.max_epochs=1"])  # fmt: skip
    return Path("runs/fcn/best.ckpt")


def test_both_steps_through_the_papers_configs(mask_root: Path) -> None:
    checkpoint = fit_fcn(mask_root)
    assert checkpoint.is_file()
    assert Path("runs/fcn/last.ckpt").is_file()
    trained = Path("runs/fcn/metrics.csv").read_bytes()
    config = Path("runs/fcn/config.yaml").read_bytes()
    assert b"val/miou" in trained

    step2 = ["-c", str(CONFIGS / "convlstm_fcn.yaml"), *SMALL, f"--data.root={mask_root}"]
    main(["fit", *step2, "--trainer.max_epochs=1"])
    best = "--ckpt_path=runs/convlstm_fcn/best.ckpt"
    main(["validate", *step2, best])
    main(["test", *step2, best])
    main(["predict", *step2, best, "--predictions.folder=out"])
    main(["predict", *step2, best, "--predictions.folder=color", "--predictions.color=true",
          f"--data.predict_dir={mask_root / 'images_orig'}"])  # fmt: skip

    header, row = Path("runs/convlstm_fcn/test/metrics.csv").read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert 0 <= float(values["test/miou"]) <= 1
    assert "test/iou_inner_mouth" in values
    # testing leaves what training wrote alone
    main(["test", "-c", str(CONFIGS / "fcn.yaml"), *SMALL, f"--data.root={mask_root}",
          "--ckpt_path", str(checkpoint)])  # fmt: skip
    assert Path("runs/fcn/metrics.csv").read_bytes() == trained
    assert Path("runs/fcn/config.yaml").read_bytes() == config

    lines = (mask_root / "data_splits/split_1/test_per10.txt").read_text().split()[1::2]
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(Path(x).name for x in lines)
    for name in lines:
        expected = read_label(mask_root / name[1:])
        assert read_label(Path("out") / Path(name).name).shape == expected.shape
    assert len(list(Path("color").iterdir())) == 140
    image = cv2.imread(str(Path("color") / Path(lines[0]).name), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.ndim == 3
    ids = read_label(Path("out") / Path(lines[0]).name)
    np.testing.assert_array_equal(read_label(Path("color") / Path(lines[0]).name), ids)


def test_training_continues_from_its_last_checkpoint(mask_root: Path) -> None:
    fit_fcn(mask_root)
    main(["fit", "-c", str(CONFIGS / "fcn.yaml"), *SMALL, f"--data.root={mask_root}",
          "--trainer.max_epochs=3", "--ckpt_path=runs/fcn/last.ckpt"])  # fmt: skip
    assert torch.load("runs/fcn/last.ckpt", weights_only=True)["epoch"] == 2
    rows = Path("runs/fcn/metrics.csv").read_text()  # those of the first run, then the others
    assert "\n0," in rows
    assert "\n2," in rows
    assert not list(Path("runs/fcn").glob("metrics.*.csv"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fcn", {"max_epochs": 80, "batch_size": 16, "clip_length": None, "lr": 0.001}),
        ("convlstm_fcn", {"max_epochs": 60, "batch_size": 2, "clip_length": 5, "lr": 0.001}),
    ],
)
def test_configs_hold_the_papers_settings(name: str, expected: dict[str, object]) -> None:
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    data, model = config["data"]["init_args"], config["model"]["init_args"]
    found = {
        "max_epochs": config["trainer"]["max_epochs"],
        "batch_size": data["batch_size"],
        "clip_length": data["clip_length"],
        "lr": model["learning_rate"],
    }
    assert found == expected
    assert data["size"] == 320
    assert model["backbone"] == "resnet50"


def test_synth_and_prepare() -> None:
    main(["synth", "videos", "--videos=3", "--seconds=0.2", "--width=128", "--height=112",
          "--workers=1"])  # fmt: skip
    main(["prepare", "videos", "data", "--fraction=1", "--workers=1"])
    names = [p.name for p in Path("data/images_orig").iterdir()]
    assert len(names) == 18
    assert json.loads(Path("data/.prepare/001.json").read_text())["frames"] == [1, 2, 3, 4, 5, 6]
    for side in ("train", "val", "test"):
        lines = Path(f"data/data_splits/split_1/{side}_per10.txt").read_text().splitlines()
        assert len(lines) == 6


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for verb in ("fit", "validate", "test", "predict", "prepare", "report", "show", "synth"):
        assert f"    {verb} " in out
    for verb, option in (("prepare", "--fraction"), ("synth", "--videos")):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        assert option in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_says_of_a_verb_what_its_docstring_says_first(verb: str) -> None:
    assert (verb_function(verb).__doc__ or "").partition("\n")[0] == VERBS[verb][1]


def test_an_unknown_verb_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'extrakt' is not a verb (did you mean extract?): give one of fit, " in error_of(
        ["extrakt"], capsys
    )
    assert "no verb was given: give one of fit, " in error_of([], capsys)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert "facemask 0." in capsys.readouterr().out


def test_wrong_input_is_one_sentence(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcn = ["-c", str(CONFIGS / "fcn.yaml"), *SMALL, "--model.pretrained=false"]
    assert "none: no such folder" in error_of(["prepare", "none", "out"], capsys)
    assert "no such folder" in error_of(["fit", *fcn, "--data.root=none"], capsys)
    assert "data.root is not set" in error_of(["fit", *fcn], capsys)
    data = f"--data.root={mask_root}"
    missing = error_of(["test", *fcn, data, "--ckpt_path=none.ckpt"], capsys)
    assert "none.ckpt: no such checkpoint" in missing
    unknown = error_of(["fit", *fcn, data, "--model.backbone=resnet51"], capsys)
    assert "timm has no model named 'resnet51'; did you mean" in unknown
    download = error_of(["fit", *fcn, data, "--model.pretrained=true"], capsys)
    assert "could not be downloaded" in download
    assert "pretrained=PATH" in download
    assert "batch_size is 0" in error_of(["fit", *fcn, data, "--data.batch_size=0"], capsys)
    assert "needs trained weights" in error_of(["test", *fcn, data], capsys)
    assert "learning_rate is -1" in error_of(
        ["fit", *fcn, data, "--model.learning_rate=-1"], capsys
    )
    assert "num_workers is -1" in error_of(["fit", *fcn, data, "--data.num_workers=-1"], capsys)
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    garbage = error_of(["test", *fcn, data, "--ckpt_path=text.ckpt"], capsys)
    assert "text.ckpt" in garbage


def test_a_broken_label_in_a_worker_is_one_sentence(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(mask_root, tmp_path / "data")
    for label in (root / "labels_orig").iterdir():
        cv2.imwrite(str(label), np.full((4, 4), 9, dtype=np.uint8))
    fcn = ["-c", str(CONFIGS / "fcn.yaml"), *SMALL, "--model.pretrained=false"]
    line = error_of(["fit", *fcn, f"--data.root={root}", "--data.num_workers=1"], capsys)
    assert "label values [9] are not class ids" in line


def test_checkpoint_of_another_class_count(
    mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fit_fcn(mask_root)
    line = error_of(["test", "-c", str(CONFIGS / "fcn.yaml"), *SMALL, f"--data.root={mask_root}",
                     "--model.num_classes=3", f"--ckpt_path={checkpoint}"], capsys)  # fmt: skip
    assert "num_classes 5, but the model has num_classes 3" in line


def test_unknown_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--fractoin" in fails(["prepare", "a", "b", "--fractoin=1"], capsys)
    assert "extrct" in fails(["extrct", "clip.mp4"], capsys)


def test_optimiser_loss_and_transforms_by_class_path(mask_root: Path, tmp_path: Path) -> None:
    config = {
        "model": {
            "class_path": "facemask.training.modules.ConvLSTMFCNModule",
            "init_args": {
                "optimizer": {"class_path": "torch.optim.RMSprop", "init_args": {"alpha": 0.9}},
                "loss": {"class_path": "torch.nn.CrossEntropyLoss",
                         "init_args": {"ignore_index": 255, "label_smoothing": 0.1}},
            },
        },
        "data": {
            "class_path": "facemask.data.FaceMaskDataModule",
            "init_args": {
                "augmentation": {
                    "class_path": "facemask.data.ClipTransform",
                    "init_args": {"transforms": [
                        {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 1.0}},
                        {"class_path": "albumentations.RandomGamma"},
                    ]},
                },
            },
        },
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "-c", "own.yaml", *SMALL, f"--data.root={mask_root}", "--trainer.max_epochs=1",
          "--trainer.logger=false", "--trainer.limit_val_batches=1"])  # fmt: skip
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)["optimizer_states"][0]
    assert state["param_groups"][0]["alpha"] == 0.9
    assert [group["initial_lr"] for group in state["param_groups"]] == pytest.approx([1e-3, 5e-5])


def test_composite_loss_in_yaml(mask_root: Path, tmp_path: Path) -> None:
    config = {
        "model": {
            "class_path": "facemask.training.modules.ConvLSTMFCNModule",
            "init_args": {
                "loss": {
                    "class_path": "facemask.losses.CompositeLoss",
                    "init_args": {
                        "terms": {
                            "ce": {"class_path": "facemask.losses.CrossEntropyLoss",
                                   "init_args": {"temperature": 0.1}},
                            "seg": {"class_path": "facemask.losses.SegmentationLoss",
                                    "init_args": {"form": "hinge", "margin": 1.0}},
                        },
                        "weights": {"ce": 0.5},
                    },
                },
            },
        },
        "data": {"class_path": "facemask.data.FaceMaskDataModule"},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "-c", "own.yaml", *SMALL, f"--data.root={mask_root}", "--trainer.max_epochs=1",
          "--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path}",
          "--trainer.limit_val_batches=1"])  # fmt: skip
    (metrics,) = tmp_path.rglob("metrics.csv")
    header = metrics.read_text().splitlines()[0]
    assert "train/loss_ce_epoch" in header
    assert "val/loss_seg" in header


def test_wrong_options_of_a_loss(mask_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "-c", str(CONFIGS / "convlstm_fcn.yaml"), *SMALL, f"--data.root={mask_root}"]
    line = error_of([*fit, "--model.loss.init_args.margin=-1"], capsys)
    assert "margin -1" in line


def test_test_records_every_frame_and_report_reads_it(
    mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = fit_fcn(mask_root)
    test = ["test", "-c", str(CONFIGS / "fcn.yaml"), *SMALL, f"--data.root={mask_root}",
            f"--ckpt_path={checkpoint}"]  # fmt: skip
    main(test)
    header, row = Path("runs/fcn/test/metrics.csv").read_text().splitlines()
    logged = dict(zip(header.split(","), row.split(","), strict=True))
    run = read_run("runs/fcn")
    assert run.table.miou() == pytest.approx(float(logged["test/miou"]), abs=1e-7)
    assert run.record.checkpoint == "runs/fcn/best.ckpt"
    names = {path.stem for path in Path("runs/fcn/test/labels").iterdir()}
    assert names == set(run.table.name.tolist())
    main([*test, "--record.folder=part", "--record.flow=null", "--record.labels=false",
          "--data.batch_size=5", "--trainer.limit_test_batches=2"])  # fmt: skip
    assert sorted(path.name for path in Path("part").iterdir()) == ["frames.csv", "record.json"]

    main(["report", "runs/fcn", "--baseline=runs/fcn", "--out=report"])
    for name in ("report.html", "report.md", "table9.csv", "figure6.png"):
        assert Path("report", name).is_file()
    different = error_of(["report", "part", "--baseline=runs/fcn", "--out=no"], capsys)
    assert "fcn (runs/fcn/test) and part (part) were scored on different data" in different
    assert "holds no record" in error_of(
        ["report", str(mask_root), "--baseline=runs/fcn", "--out=no"], capsys
    )
    taken = error_of(["report", "runs/fcn", "--baseline=runs/fcn", "--out=part"], capsys)
    assert "part: holds a test" in taken
