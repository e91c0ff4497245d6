"""What a step's log says and a user should know is on the console, too."""

import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from facemask.experiment import run
from facemask.experiment.job import Job
from facemask.experiment.plan import read_plan
from facemask.training.start_score import NotBetterNotice
from tests.experiment.test_experiment import write_plan

SAID = "The training has not made the weights better: keep them."


def test_a_step_hands_on_that_its_training_is_not_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def train(command: list[str]) -> None:
        assert command == ["fit"]
        warnings.warn(SAID, NotBetterNotice, stacklevel=1)
        warnings.warn("of something else", UserWarning, stacklevel=1)

    monkeypatch.setattr(os, "dup2", Mock())  # the words stay in this test
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr("facemask.training.cli.run_trainer", train)
    with pytest.warns(UserWarning, match="something else"):
        reason, _, notices = run._timed([["fit"]], tmp_path, tmp_path / "step.log")
    assert (reason, notices) == (None, [SAID])
    assert SAID in capfd.readouterr().out.splitlines()


def test_the_line_of_a_step_ends_with_its_notices(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"fcn": (None, 61.4, [SAID]), "convlstm": ("it ran out", 2.0, [])}
    monkeypatch.setattr(run, "_pool", lambda _: ThreadPoolExecutor(1))
    monkeypatch.setattr(run, "_timed", lambda _, folder, __: ended[folder.name])
    lines: list[str] = []
    plan = read_plan(write_plan(tmp_path))
    job = Job(plan, tmp_path, mask_root, tmp_path / "out", True, 0, None)
    failed = run.run_steps(job, ["fcn", "convlstm"], 1, lines.append)
    assert lines == [f"fcn: done (61 s). {SAID}", "convlstm: failed: it ran out (2 s)"]
    assert failed == {"convlstm": "it ran out"}
