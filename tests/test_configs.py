"""Every YAML file under configs/ is parsed and run for one step."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

from facemask.cli import main
from facemask.configuration import read_configuration
from facemask.experiment.job import Job
from facemask.experiment.plan import read_plan
from facemask.training.cli import check_arguments

CONFIGS = Path(__file__).parent.parent / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.y*ml"))
BACKBONE = "test_resnet"
# what makes each model small
WIDTHS = {
    "FCNVGG16Module": {"base_channels": 2, "fc_channels": 6},
    "DeepLabModule": {"base_channels": 2, "fc_channels": 6},
}
SMALL = [
    "--data.size=32", "--data.num_workers=0", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
]  # fmt: skip
# 2, and one step by accumulation: whether the parser takes 1 for one or for 100 % depends on what
# other modules have imported (typing keeps one order of Union[int, float] and Union[float, int])
ONE_STEP = [
    "--trainer.max_epochs=1", "--trainer.accumulate_grad_batches=2", "--data.batch_size=2",
    "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2",
    "--trainer.limit_test_batches=2", "--trainer.num_sanity_val_steps=0",
    "--trainer.check_val_every_n_epoch=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


def model_options(*files: Path) -> list[str]:
    """What makes the model of a training configuration small and independent of other runs."""
    options = []
    for path in files:
        content = read_configuration(path)["model"]
        widths = WIDTHS.get(content["class_path"].rpartition(".")[2], {"backbone": BACKBONE})
        options += [f"--model.{name}={value}" for name, value in widths.items()]
        model = content["init_args"]
        options += [f"--model.{name}={off}" for name, off in
                    (("init_from", "null"), ("pretrained", "false")) if name in model]  # fmt: skip
    return options


@pytest.fixture(scope="module")
def region_checkpoints(
    mask_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A small model of each region."""
    folder = tmp_path_factory.mktemp("regions")
    checkpoints = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["facemask"])
        for name, config in (("primary", "fcn"), ("eyes", "fcn_eyes"), ("mouth", "fcn_mouth")):
            path = CONFIGS / f"{config}.yaml"
            main(["fit", "-c", str(path), f"--data.root={mask_root}", *SMALL, *ONE_STEP,
                  *model_options(path)])  # fmt: skip
            checkpoints[name] = folder / "runs" / config / "best.ckpt"
    return checkpoints


def check_plan(path: Path) -> None:
    """What `facemask experiment` reads: every training is one that the command line takes."""
    plan = read_plan(path)
    job = Job(plan, path.parent, Path("data"), Path("out"), fast=False, seed=0)
    trained = [name for name, step in plan.steps.items() if step.trains]
    assert trained
    for name in trained:
        merged = Path(f"{name}.yaml")
        merged.write_text(yaml.safe_dump(job.config(name, "fit"), sort_keys=False))
        check_arguments(["fit", "-c", str(merged)])


@pytest.mark.parametrize("name", FILES)
def test_one_step(name: str, mask_root: Path, request: pytest.FixtureRequest) -> None:
    path = CONFIGS / name
    content = read_configuration(path)
    options = [*SMALL, *ONE_STEP, f"--data.root={mask_root}", "--data.split=split_1"]
    if "steps" in content:
        check_plan(path)
        return
    if name.startswith("logging/"):
        if name == "logging/tensorboard.yaml":
            pytest.importorskip("tensorboard")
        base = CONFIGS / "fcn.yaml"
        main(["fit", "-c", str(base), "-c", str(path), *options, *model_options(base)])
        assert Path("runs/fcn/best.ckpt").is_file()  # the base's callbacks stay
    elif "class_path" not in content["model"]:
        base = CONFIGS / "convlstm_fcn.yaml"
        main(["fit", "-c", str(base), "-c", str(path), *options, *model_options(base)])
        assert Path("runs/convlstm_fcn/best.ckpt").is_file()
    elif content["model"]["class_path"].endswith(".CascadeModule"):
        checkpoints: dict[str, Path] = request.getfixturevalue("region_checkpoints")
        assert checkpoints.keys() <= content["model"]["init_args"].keys()
        models = [f"--model.{region}={file}" for region, file in checkpoints.items()]
        main(["test", "-c", str(path), *options, *models, "--model.settings.size=32",
              "--record.flow=null"])  # fmt: skip
        assert list(Path().rglob("frames.csv"))
    elif content["model"]["class_path"].endswith(".LandmarkTrackerModule"):
        pytest.importorskip("dlib")
        main(["test", "-c", str(path), *options, "--record.flow=null"])
        assert list(Path().rglob("frames.csv"))
    else:
        main(["fit", "-c", str(path), *options, *model_options(path)])
        (best,) = Path().rglob("best.ckpt")
        assert torch.load(best, weights_only=True)["global_step"] == 1


def test_every_kind_of_file_is_found() -> None:
    assert {"fcn.yaml", "cascade.yaml", "demo/fcn.yaml", "demo/cascade.yaml"} <= set(FILES)
    assert {"baselines/fcn_vgg16.yaml", "baselines/deeplab_v2.yaml"} <= set(FILES)
    assert {"default_weights/fcn.yaml", "default_weights/real.yaml"} <= set(FILES)


def test_a_checkpoint_trained_on_cached_features_is_whole(mask_root: Path) -> None:
    path = CONFIGS / "convlstm_fcn.yaml"
    options = ["-c", str(path), *SMALL, f"--data.root={mask_root}", *model_options(path),
               "--model.gamma=0"]  # fmt: skip
    cached = ["--model.feature_cache=features", "--trainer.limit_train_batches=2"]
    main(["fit", *options, *cached, "--trainer.max_epochs=1"])
    assert list(Path("features").rglob("*.safetensors"))
    best = "runs/convlstm_fcn/best.ckpt"
    names = torch.load(best, weights_only=True)["state_dict"]
    assert any(name.startswith("network.encoder.") for name in names)
    main(["test", *options, f"--ckpt_path={best}", "--record.flow=null"])  # without the cache
    main(["fit", *options, *cached, "--trainer.max_epochs=2",
          "--ckpt_path=runs/convlstm_fcn/last.ckpt"])  # fmt: skip
    assert torch.load("runs/convlstm_fcn/last.ckpt", weights_only=True)["global_step"] == 4
