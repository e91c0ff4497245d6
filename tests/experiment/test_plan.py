"""Experiments' YAML: what is read, chosen and refused."""

from pathlib import Path

import pytest
import yaml

from facemask.errors import InputError
from facemask.experiment.job import Job
from facemask.experiment.plan import Plan, chosen_steps, read_plan

CONFIGS = Path(__file__).parents[2] / "configs"
IJCV = CONFIGS / "experiments" / "ijcv2019.yaml"


def small_plan() -> dict[str, object]:
    return {
        "title": "Small",
        "configs": {"a": {"full": "a.yaml", "fast": "b.yaml"}},
        "steps": {"one": {"config": "a"}, "two": {"config": "a", "init_from": "one"},
                  "three": {"config": "a", "networks": {"primary": "two"}},
                  "four": {"config": "a"}},
        "tables": [{"name": "Table 1", "title": "t", "baseline": "one", "columns": ["mIoU", "BG"],
                    "rows": [{"name": "Two", "step": "two", "paper": [54.5, 90]}]}],
    }  # fmt: skip


def write(folder: Path, content: object) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_a_table_a_row_and_a_step_bring_what_they_need(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, small_plan()))
    assert chosen_steps(plan, None) == ["one", "two", "three", "four"]
    assert chosen_steps(plan, ["three"]) == ["one", "two", "three"]
    assert chosen_steps(plan, ["Table 1"]) == ["one", "two"]
    assert chosen_steps(plan, ["four", "Table 1: Two"]) == ["one", "two", "four"]
    with pytest.raises(InputError, match="no table, row or step 'Table 2': the tables are"):
        chosen_steps(plan, ["Table 2"])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("titel", "x", "titel: there is no such key"),
        ("title", None, "title: input should be a valid string"),
        ("steps", {"one": {"config": "b"}}, "step 'one': there is no configuration 'b'"),
        ("steps", {"one": {"config": "a", "init_from": "zero"}}, "there is no step 'zero'"),
        ("steps", {"one": {"config": "a", "set": {}}}, "steps.one.set: there is no such key"),
        ("steps", {"one": {"config": "a", "weights_of": "two"},
                   "two": {"config": "a", "init_from": "one"}}, "each other in a circle: "),
        ("steps", {"one": {"config": "a", "calibrated": True}},
         "step 'one' has calibrated, but no weights_of"),
        ("tables", [{"name": "T", "title": "t", "baseline": "one", "columns": ["mIoU"],
                     "rows": [{"name": "Two", "step": "two", "paper": [1, 2]}]}],
         "row 'Two' has 2 values of the paper for 1 columns"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_refused(tmp_path: Path, key: str, value: object, said: str) -> None:
    path = write(tmp_path, small_plan() | {key: value})
    with pytest.raises(InputError, match=said) as error:
        read_plan(path)
    assert str(path) in str(error.value)


def test_files_that_are_no_plan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the experiment: No such file"):
        read_plan(tmp_path / "none.yaml")
    path = tmp_path / "plan.yaml"
    path.write_text("a: [1")
    with pytest.raises(InputError, match="not YAML"):
        read_plan(path)
    path.write_text("- 1")
    with pytest.raises(InputError, match="not an experiment: the file: "):
        read_plan(path)


def job(plan: Plan, fast: bool) -> Job:
    return Job(plan, IJCV.parent, Path("/data"), Path("/out"), fast, seed=7)


def test_the_papers_experiment_has_the_papers_rows() -> None:
    plan = read_plan(IJCV)
    of_the_paper = [table.name for table in plan.tables if len(table.name.split()) == 2]
    assert of_the_paper == [f"Table {n}" for n in range(2, 10)]
    for table in plan.tables:
        assert all(len(row.paper) in (0, len(table.columns)) for row in table.rows)
        if table.name in of_the_paper:
            assert any(row.paper for row in table.rows)
    settings = {}
    for name in plan.steps:
        model = job(plan, fast=False).config(name, "fit")["model"]["init_args"]
        settings[name] = (model.get("gamma"), model.get("region", "face"),
                          str(model.get("loss", {}).get("class_path")).rpartition(".")[2],
                          model.get("loss", {}).get("init_args"))  # fmt: skip
    segmentation = {"form": "linear", "margin": 1.0, "sync": True}
    assert settings["frozen_iou"] == (0, "face", "IoULoss", {"sync": True})
    assert settings["frozen_eq9_full"] == (0, "face", "SegmentationLoss", segmentation)
    assert settings["frozen_eq9"][3] == segmentation | {"margin": 0.0}
    assert settings["frozen_eq9_margin"][3] == segmentation | {"margin": 0.1}
    assert settings["frozen_eq8"][3] == {"form": "hinge", "margin": 1.0, "sync": True}
    for region, prefix in (("face", "primary"), ("eyes", "eyes"), ("mouth", "mouth")):
        for gamma in (0.01, 0.02, 0.05, 0.1):
            expected = (gamma, region, "SegmentationLoss", segmentation)
            assert settings[f"{prefix}_{gamma}"] == expected
    networks = plan.steps["cascade"].networks
    assert networks == {"primary": "primary_0.05", "eyes": "eyes_0.02", "mouth": "mouth_0.02"}


@pytest.mark.parametrize("fast", [False, True])
def test_frozen_steps_have_free_scores_and_a_cache_when_fast(fast: bool) -> None:
    plan = read_plan(IJCV)
    for name, step in plan.steps.items():
        model = job(plan, fast).config(name, "fit")["model"]["init_args"]
        if model.get("gamma") != 0:
            assert "feature_cache" not in model
            continue
        cell = "tanh" if name.startswith("bounded") else "linear"
        assert (model["cell_activation"], step.trains) == (cell, True)
        assert model["classifier_scale"] == (0.1 if cell == "tanh" else 1.0)
        assert model.get("feature_cache") == ("/out/features" if fast else None)


def test_the_literal_plan_is_the_papers_text() -> None:
    plan = read_plan(IJCV.with_name("ijcv2019_literal.yaml"))
    for row in plan.tables[0].rows:
        model = job(plan, False).config(row.step, "fit")["model"]["init_args"]
        assert (model["gamma"], model["cell_activation"]) == (0, "tanh")
        assert model["classifier_scale"] is None
        loss = model["loss"].get("init_args", {})
        assert "temperature" not in loss
        if loss.get("form") == "linear":
            assert loss["activation"] is None


def test_a_steps_configuration_has_its_own_folder_data_seed_and_weights() -> None:
    plan = read_plan(IJCV)
    config = job(plan, fast=True).config("eyes_0.02", "fit")
    assert config["trainer"]["logger"]["init_args"]["save_dir"] == "/out/runs"
    assert config["trainer"]["logger"]["init_args"]["name"] == "eyes_0.02"
    assert config["trainer"]["callbacks"][0]["init_args"]["dirpath"] == "/out/runs/eyes_0.02"
    assert config["model"]["init_args"]["init_from"] == "/out/runs/fcn_eyes/best.ckpt"
    assert config["model"]["init_args"]["loss"]["init_args"]["margin"] == 1
    assert config["data"]["init_args"] | {"root": "/data", "seed": 7} == config["data"]["init_args"]
    assert config["seed_everything"] == 7
    test = job(plan, fast=True).config("fcn_eyes", "test")
    assert test["data"]["init_args"]["clip_length"] == 5
    assert job(plan, fast=True).best("fcn_smoothed") == Path("/out/runs/fcn/best.ckpt")
    assert job(plan, fast=True).best("last_eq9") == Path("/out/runs/frozen_eq9/last.ckpt")
    assert job(plan, fast=True).best("fcn_calibrated") == Path("/out/runs/fcn_calibrated/best.ckpt")
    assert job(plan, fast=True).source("fcn_calibrated") == Path("/out/runs/fcn/best.ckpt")
    cascade = job(plan, fast=False).config("cascade", "test")["model"]["init_args"]
    assert cascade["mouth"] == "/out/runs/mouth_0.02/best.ckpt"


def test_steps_of_one_run_share_a_folder_of_features(tmp_path: Path) -> None:
    config = {"model": {"init_args": {"feature_cache": "features"}},
              "data": {"init_args": {}}, "trainer": {}}  # fmt: skip
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    plan = read_plan(write(tmp_path, small_plan()))
    of_step = Job(plan, tmp_path, Path("/data"), Path("/out"), False, seed=7).config("two", "fit")
    assert of_step["model"]["init_args"]["feature_cache"] == "/out/features"


def test_table_2_has_the_papers_baselines_small_when_fast() -> None:
    plan = read_plan(IJCV)
    table = next(table for table in plan.tables if table.name == "Table 2")
    assert table.baseline == "fcn"
    miou = {row.step: row.paper[0] for row in table.rows}
    assert miou == {
        "face_tracker": 60.09, "deeplab_v2": 58.66, "fcn_vgg16": 55.71, "fcn": 54.5,
        "fcn_smoothed": 54.21,
    }  # fmt: skip
    for step, kind in (("deeplab_v2", "DeepLabModule"), ("fcn_vgg16", "FCNVGG16Module")):
        full, fast = (job(plan, fast).config(step, "fit") for fast in (False, True))
        for config in (full, fast):
            assert config["model"]["class_path"] == f"facemask.training.baseline_modules.{kind}"
            assert config["trainer"]["callbacks"][0]["init_args"]["dirpath"] == f"/out/runs/{step}"
        assert "base_channels" not in full["model"]["init_args"]
        assert full["model"]["init_args"]["pretrained"] is True
        assert fast["model"]["init_args"]["base_channels"] == 8
        assert "pretrained" not in fast["model"]["init_args"]  # nothing is downloaded
        assert (full["data"]["init_args"]["size"], fast["data"]["init_args"]["size"]) == (320, 128)
