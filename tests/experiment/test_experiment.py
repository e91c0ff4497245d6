"""`facemask experiment` from the command line, small."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from facemask.cli import main
from facemask.experiment.job import Job
from facemask.experiment.plan import read_plan
from facemask.report import read_run

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "trainer": {"max_epochs": 1, "limit_train_batches": 1, "enable_progress_bar": False},
    "data": {"init_args": {"size": 32, "num_workers": 0}},
}


def write_plan(folder: Path) -> Path:
    names = ("fcn", "convlstm_fcn", "cascade")
    demo = CONFIGS / "demo"
    plan = {
        "title": "Small",
        "configs": {
            name: {"full": "none.yaml", "fast": str(demo / f"{name}.yaml")} for name in names
        },
        "steps": {
            "fcn": {"config": "fcn", "options": SMALL},
            "smoothed": {
                "config": "fcn", "weights_of": "fcn",
                "options": {
                    "data": {"init_args": {"size": 32, "num_workers": 0, "clip_length": 5}},
                    "model": {"init_args": {"smoothing": {
                        "class_path": "facemask.models.TemporalSmoothing"}}},
                },
            },
            "calibrated": {
                "config": "fcn", "weights_of": "fcn", "calibrated": True, "options": SMALL,
            },
            "convlstm": {"config": "convlstm_fcn", "init_from": "fcn", "options": SMALL},
            "broken": {"config": "convlstm_fcn", "init_from": "fcn",
                       "options": {"model": {"init_args": {"gamma": -1}}}},
            "after_broken": {"config": "cascade", "networks": {"primary": "broken"}},
        },
        "tables": [
            {"name": "Table 4", "title": "places", "baseline": "fcn", "positions": True,
             "columns": ["T1", "T2"],
             "rows": [{"name": "Adam", "step": "convlstm", "paper": [0.113, 0.964]}]},
            {"name": "Table 9", "title": "all", "baseline": "fcn", "columns": ["mIoU", "FS"],
             "rows": [{"name": "FCN", "step": "fcn", "paper": [54.5, 91.13]},
                      {"name": "smoothing", "step": "smoothed"},
                      {"name": "ConvLSTM", "step": "convlstm", "paper": [55.53, 91.07]},
                      {"name": "broken", "step": "broken"}]},
        ],
    }  # fmt: skip
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_processes: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["experiment", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_broken_step_keeps_the_others_and_nothing_is_done_twice(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = str(write_plan(tmp_path))
    options = [plan, "--data", str(mask_root), "--out", "out", "--fast"]
    said = error_of(options, capsys)
    assert "2 of 6 steps failed, first broken: model.gamma is -1" in said
    assert not Path("out/logs/after_broken.log").exists()  # it was not begun
    for name in ("fcn", "smoothed", "calibrated", "convlstm"):
        assert len(read_run(f"out/runs/{name}").table)
    report = Path("out/report.md").read_text("utf-8")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in report.splitlines() if "| " in line]
    assert rows.count("ConvLSTM") == 2  # found here, and the paper's
    assert rows.count("smoothing") == 1
    assert "broken" not in rows
    assert "| FCN | 54.50 | 91.13 |" in report
    assert "| Adam | 0.113 | 0.964 |" in report
    assert "calibrate" in Path("out/logs/calibrated.log").read_text()
    calibrated = torch.load("out/runs/calibrated/best.ckpt", weights_only=True)["state_dict"]
    trained = torch.load("out/runs/fcn/best.ckpt", weights_only=True)["state_dict"]
    different = {name for name in trained if not trained[name].equal(calibrated[name])}
    assert different <= {"network.offsets"}
    assert Path("out/table4.csv").read_text().startswith("run,T1")

    written = {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("*.ckpt")}
    main(["experiment", *options, "--only", "[Table 4]", "--parallel", "2"])
    assert "fcn: done before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == written

    other = error_of([*options, "--only", "[fcn]", "--seed", "1"], capsys)
    assert "step 'fcn' was run with other settings than it has now; give another --out" in other


@pytest.mark.slow
def test_several_seeds_have_a_folder_each_and_one_report(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(write_plan(tmp_path)), "--data", str(mask_root), "--out", "out", "--fast"]
    main(["experiment", *options, "--only", "[convlstm]", "--seed", "[3, 4]"])
    assert "4 of 4  convlstm: done" in capsys.readouterr().out
    for seed in (3, 4):
        fit = yaml.safe_load(Path(f"out/seed_{seed}/runs/convlstm/fit.yaml").read_text())
        assert fit["seed_everything"] == seed
        start = tmp_path / "out" / f"seed_{seed}" / "runs" / "fcn" / "best.ckpt"
        assert Path(fit["model"]["init_args"]["init_from"]) == start
    report = Path("out/report.md").read_text("utf-8")
    assert "| Over seeds |" in report
    assert "--seed [3, 4]" in report


def test_no_table_is_promised_where_all_failed(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plan(tmp_path)
    plan = yaml.safe_load(path.read_text())
    plan["steps"]["fcn"]["options"] = {**SMALL, "model": {"init_args": {"learning_rate": -1}}}
    path.write_text(yaml.safe_dump(plan))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["experiment", str(path), "--data", str(mask_root), "--out", "o", "--fast"])
    said = capsys.readouterr()
    assert "6 of 6 steps failed, first fcn: model.learning_rate is -1" in said.err
    assert "tables are in" not in said.out
    assert not Path("o/report.html").exists()


def test_a_misspelt_option_is_found_before_anything_runs(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plan(tmp_path)
    plan = yaml.safe_load(path.read_text())
    plan["steps"]["broken"]["options"] = {"model": {"init_args": {"gama": 0.1}}}
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    said = error_of([str(path), "--data", str(mask_root), "--out", "out", "--fast"], capsys)
    assert "step 'broken': model: " in said
    assert "'gama'" in said
    assert not list(Path("out/runs").rglob("*.ckpt"))


def test_a_logging_file_goes_over_each_training(mask_root: Path, tmp_path: Path) -> None:
    plan = read_plan(write_plan(tmp_path))
    logging = CONFIGS / "logging" / "tensorboard.yaml"
    job = Job(plan, tmp_path, mask_root, tmp_path / "out", True, 0, logging)
    fit, test = job.config("fcn", "fit")["trainer"], job.config("fcn", "test")["trainer"]
    assert [logger["class_path"] for logger in fit["logger"]] == ["CSVLogger", "TensorBoardLogger"]
    assert {logger["init_args"]["name"] for logger in fit["logger"]} == {"fcn"}
    assert {logger["init_args"]["save_dir"] for logger in fit["logger"]} == {
        str(tmp_path / "out" / "runs")
    }
    added = [callback["class_path"].split(".")[-1] for callback in fit["callbacks"]]
    assert added == ["ModelCheckpoint", "RunInfo", "TrainingScalars", "ValidationPanels"]
    assert test["logger"]["class_path"] == "CSVLogger"


def test_a_killed_experiment_leaves_no_training_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, os, pathlib, sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from facemask.experiment.run import _start_worker\n"
        "def work():\n"
        "    path = pathlib.Path(sys.argv[1])\n"
        "    path.with_suffix('.tmp').write_text(str(os.getpid()))\n"
        "    path.with_suffix('.tmp').rename(path)\n"
        "    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    places = spawn.SimpleQueue()\n"
        "    places.put(0)\n"
        "    with ProcessPoolExecutor(1, spawn, _start_worker, (places, 1)) as pool:\n"
        "        pool.submit(work).result()\n"
    )
    worker = tmp_path / "worker.txt"
    with subprocess.Popen([sys.executable, str(script), str(worker)]) as experiment:
        wait_for(worker.is_file)
        experiment.kill()
    pid = int(worker.read_text())

    def ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")  # nobody reads the exit status of an orphan here
        return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z"

    wait_for(ended)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_wrong_options(mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(write_plan(tmp_path))
    data = ["--data", str(mask_root)]
    assert "none.yaml" in error_of([plan, *data, "--out", "o", "--only", "[fcn]"], capsys)
    assert "not a data set" in error_of([plan, "--data", ".", "--out", "o", "--fast"], capsys)
    fast = [plan, *data, "--out", "o", "--fast"]
    assert "parallel is 0, expected at least 1" in error_of([*fast, "--parallel", "0"], capsys)
    assert "seed is -1, expected at least 0" in error_of([*fast, "--seed", "[0, -1]"], capsys)
    assert "seed is [1, 1], expected one or more different" in error_of(
        [*fast, "--seed", "[1, 1]"], capsys
    )
    assert "seed is [], expected one or more" in error_of([*fast, "--seed", "[]"], capsys)
    assert "no table, row or step 'x y'" in error_of([*fast, "--only", "x y"], capsys)
    assert "cannot read the experiment" in error_of(["no.yaml", *fast[1:]], capsys)
    assert "no.yaml: cannot read the configuration" in error_of(
        [*fast, "--only", "fcn", "--logging", "no.yaml"], capsys
    )
    half = Path("half/data_splits/split_1")
    half.mkdir(parents=True)
    (half / "train_per10.txt").write_bytes(
        (mask_root / "data_splits/split_1/train_per10.txt").read_bytes()
    )
    (half / "val_per10.txt").touch()
    for side in ("images_orig", "labels_orig"):
        (Path("half") / side).symlink_to(mask_root / side)
    empty = error_of([plan, "--data", "half", "--out", "p", "--fast"], capsys)
    assert "val_per10.txt: holds no frame, so there is nothing on the side val" in empty
    assert not Path("p").exists()  # nothing was begun
    Path("file").touch()
    assert "cannot write there" in error_of([plan, *data, "--out", "file", "--fast"], capsys)
