"""Models of eyes and mouth, and the cascade, through the command line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from facemask.cli import main
from facemask.configuration import read_configuration
from facemask.data.vw300_mask import read_label
from tests.test_cli import (
    CONFIGS,
    SMALL,
    _in_a_folder_of_its_own,  # noqa: F401  # applies to all tests
    error_of,
    fails,
)


def test_both_steps_of_a_regions_model(mask_root: Path) -> None:
    data, classes = f"--data.root={mask_root}", ["lips", "inner_mouth"]
    main(["fit", "-c", str(CONFIGS / "fcn_mouth.yaml"), *SMALL, data, "--model.pretrained=false",
          "--trainer.max_epochs=1", "--trainer.limit_val_batches=2"])  # fmt: skip
    step2 = ["-c", str(CONFIGS / "convlstm_fcn_mouth.yaml"), *SMALL, data]
    main(["fit", *step2, "--trainer.max_epochs=1", "--trainer.limit_val_batches=2"])
    main(["test", *step2, "--ckpt_path=runs/convlstm_fcn_mouth/best.ckpt"])
    header, row = Path("runs/convlstm_fcn_mouth/test/metrics.csv").read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    named = {name.removeprefix("test/iou_") for name in values if name.startswith("test/iou_")}
    assert named == {"background", *classes}
    mean = np.mean([float(values[f"test/iou_{name}"]) for name in classes])
    assert float(values["test/miou"]) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("region", ["eyes", "mouth"])
@pytest.mark.parametrize("name", ["fcn", "convlstm_fcn"])
def test_a_regions_configs_differ_from_the_faces_in_the_region_alone(
    name: str, region: str
) -> None:
    face = read_configuration(CONFIGS / f"{name}.yaml")
    config = read_configuration(CONFIGS / f"{name}_{region}.yaml")
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model.pop("region") == data.pop("region") == region
    if name == "convlstm_fcn":
        assert model.pop("gamma") == 0.02  # Tables 7 and 8
        assert face["model"]["init_args"].pop("gamma") == 0.05
    text = yaml.safe_dump(config).replace(f"fcn_{region}", "fcn")
    assert yaml.safe_load(text) == face


def test_eyes_and_regions_that_do_not_fit_together(
    mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"--data.root={mask_root}"
    eyes = ["-c", str(CONFIGS / "fcn_eyes.yaml"), *SMALL, data, "--model.pretrained=false"]
    mixed = error_of(["fit", *eyes, "--data.region=mouth"], capsys)
    assert "model.region is 'eyes', but data.region is 'mouth'" in mixed
    margin = error_of(["fit", *eyes, "--data.box_margin=0.5"], capsys)
    assert "data.box_margin is 0.5, expected at least 1." in margin
    main(["fit", *eyes, "--trainer.max_epochs=1", "--trainer.limit_val_batches=1"])
    main(["fit", "-c", str(CONFIGS / "convlstm_fcn_eyes.yaml"), *SMALL, data,
          "--trainer.fast_dev_run=1"])  # fmt: skip
    best = "--ckpt_path=runs/fcn_eyes/best.ckpt"
    assert "the cascade finds the boxes" in error_of(["predict", *eyes, best], capsys)
    mouth = ["-c", str(CONFIGS / "fcn_mouth.yaml"), *SMALL, data]
    line = error_of(["test", *mouth, best], capsys)
    assert "the checkpoint holds num_classes 2, region 'eyes', but the model has" in line
    line = error_of(["test", *mouth, best, "--model.num_classes=2"], capsys)
    assert "model.num_classes is 2, but the region 'mouth' has 3 classes" in line


def test_show(mask_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", str(mask_root), "--region=eyes", "--clips=2", "--tile=64"])
    assert "sheet.png: train of" in capsys.readouterr().out
    assert cv2.imread("sheet.png") is not None
    assert "none: no such folder" in error_of(["show", "none"], capsys)
    assert "--out is 'sheet.gif'" in error_of(["show", str(mask_root), "--out=sheet.gif"], capsys)
    assert "side" in fails(["show", str(mask_root), "--side=tset"], capsys)


def test_cascade_of_three_checkpoints(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [*SMALL, f"--data.root={mask_root}", "--trainer.max_epochs=1",
             "--trainer.limit_val_batches=1", "--model.pretrained=false"]  # fmt: skip
    for name in ("fcn", "fcn_eyes", "fcn_mouth"):
        main(["fit", "-c", str(CONFIGS / f"{name}.yaml"), *quick])
    cascade = ["-c", str(CONFIGS / "cascade.yaml"), f"--data.root={mask_root}", "--data.size=32",
               "--data.num_workers=0", "--model.settings.size=32", "--trainer.accelerator=cpu",
               "--trainer.enable_progress_bar=false"]  # fmt: skip
    models = [f"--model.{name}=runs/{folder}/best.ckpt" for name, folder in
              (("primary", "fcn"), ("eyes", "fcn_eyes"), ("mouth", "fcn_mouth"))]  # fmt: skip
    main(["test", *cascade, *models, "--record.flow=none"])
    frames = Path("runs/cascade/test/frames.csv").read_text().splitlines()
    lines = (mask_root / "data_splits/split_1/test_per10.txt").read_text().splitlines()
    assert len(frames) - 1 == len(lines)
    main(["predict", *cascade, *models, "--predictions.folder=labels"])
    for line in lines:
        label = read_label(mask_root / line.split()[1][1:])
        assert read_label(Path("labels", Path(line.split()[1]).name)).shape == label.shape

    wrong = error_of(["test", *cascade, *models, "--model.eyes=runs/fcn_mouth/best.ckpt"], capsys)
    assert "mouth" in wrong
    assert "eyes" in wrong
    blind = error_of(["test", *cascade, *models, "--data.original_images=false"], capsys)
    assert "set data.original_images=true" in blind
    assert "leave --ckpt_path out" in error_of(
        ["test", *cascade, *models, "--ckpt_path=runs/fcn/best.ckpt"], capsys
    )


def test_a_wrong_choice_of_a_verb_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["extract", "x.mp4", "--precision", "fp8"],
         "precision is 'fp8', expected one of 'auto', 'float32', 'bf16', 'int8'; --help lists"),
        (["weights", "bogus"], "action is 'bogus', expected one of 'list', 'info', 'verify'"),
        (["extract"], "the following arguments are required: inputs"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"facemask: error: {said}")
