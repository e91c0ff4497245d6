"""The configuration that a training left is found by its folder, or by its checkpoint."""

from pathlib import Path

import pytest

from facemask.cli import main
from facemask.errors import InputError
from facemask.report import read_run
from facemask.training.own_config import with_own_config


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs") / "fcn"
    folder.mkdir(parents=True)
    for name in ("config.yaml", "last.ckpt", "best.ckpt"):
        (folder / name).touch()
    return str(folder)


def test_a_folder(run: str) -> None:
    own = ["-c", f"{run}/config.yaml", "--ckpt_path", f"{run}/best.ckpt"]
    assert with_own_config([run, "--data.root", "x"]) == [*own, "--data.root", "x"]
    assert with_own_config([run, "--ckpt_path=other.ckpt"]) == [*own[:2], "--ckpt_path=other.ckpt"]
    Path(run, "best.ckpt").unlink()
    assert with_own_config([run]) == [*own[:3], f"{run}/last.ckpt"]
    Path(run, "last.ckpt").unlink()
    assert with_own_config([run]) == own[:2]  # some models have no weights


def test_a_checkpoint(run: str) -> None:
    for words in (["--ckpt_path", f"{run}/last.ckpt"], [f"--ckpt_path={run}/last.ckpt"]):
        assert with_own_config(words) == ["-c", f"{run}/config.yaml", *words]
        assert with_own_config([*words, "-c", "a.yaml"]) == [*words, "-c", "a.yaml"]
        assert with_own_config([*words, "--config=a.yaml"]) == [*words, "--config=a.yaml"]
        assert with_own_config([*words, "-ca.yaml"]) == [*words, "-ca.yaml"]
    last = ["--ckpt_path", "else.ckpt", f"--ckpt_path={run}/last.ckpt"]
    assert with_own_config(last) == ["-c", f"{run}/config.yaml", *last]
    assert with_own_config(["--ckpt_path", "else.ckpt"]) == ["--ckpt_path", "else.ckpt"]
    assert with_own_config(["--ckpt_path"]) == ["--ckpt_path"]  # the parser says what is missing
    assert with_own_config([]) == []


def test_other_folders(run: str) -> None:
    with pytest.raises(
        InputError, match=r"^runs: holds no config\.yaml; give the folder of a `fac"
    ):
        with_own_config(["runs"])
    Path("runs/cascade").mkdir()  # of an experiment: only tested, with weights that it names
    Path("runs/cascade/test.yaml").touch()
    assert with_own_config(["runs/cascade", "--x=1"]) == ["-c", "runs/cascade/test.yaml", "--x=1"]
    Path("runs/fcn/test.yaml").touch()
    assert with_own_config([run])[:2] == ["-c", f"{run}/config.yaml"]
    with pytest.raises(
        InputError, match=r"^\.: .*, but its steps do: give one of them, runs/fcn, runs/cascade\.$"
    ):
        with_own_config(["."])
    with pytest.raises(InputError, match=r"^none: no such folder; give the folder"):
        with_own_config(["none"])


def test_a_training_and_its_test(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was overridden in training is not to be said again."""
    monkeypatch.chdir(tmp_path)
    config = Path(__file__).parents[2] / "configs" / "demo" / "fcn.yaml"
    main(["fit", "-c", str(config), "--data.root", str(mask_root), "--data.size", "48",
          "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"])  # fmt: skip
    main(["test", "demo/runs/fcn"])
    record = read_run("demo/runs/fcn").record
    assert record.checkpoint == "demo/runs/fcn/best.ckpt"
    assert Path(record.data_root) == mask_root.resolve()
    main(["predict", "demo/runs/fcn", "--predictions.folder", "labels"])
    assert any(Path("labels").glob("*.png"))
