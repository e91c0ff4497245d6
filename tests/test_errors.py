"""What went wrong is what is said: the innermost cause, and no older sentence."""

import errno
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from facemask import cli
from facemask.checkpoints import read_checkpoint
from facemask.cli import main
from facemask.errors import InputError, cause_of, input_error, system_cause
from facemask.experiment import run
from facemask.experiment.job import Job
from facemask.experiment.plan import Plan, Step
from facemask.experiment.run import reason_of
from facemask.models.cascade.cascade import Cascade
from facemask.models.fcn import FCN
from tests.test_cli import error_of

REFUSED = [errno.EACCES, errno.EIO, errno.ENOMEM]


@pytest.fixture(autouse=True)
def _command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["facemask"])


@pytest.fixture(params=[".ckpt", ".safetensors"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"whole{request.param}"
    tensors = {"bias": torch.tensor([1.0, -2.0])}
    if path.suffix == ".ckpt":
        torch.save(tensors, path)
    else:
        safetensors.torch.save_file(tensors, path)
    return path


def refusing(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    """Let the system refuse to open a file; root would be let in whatever its rights are."""
    plain: Callable[..., Any] = open

    def refuse(file: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if os.fspath(file) == str(path):
            raise OSError(number, os.strerror(number), str(path))
        return plain(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    monkeypatch.setattr(Path, "open", refuse)  # Python 3.10 keeps the function that it found

    def no_map(*_: object, **__: object) -> None:  # what safetensors says, in Rust's words
        raise safetensors.SafetensorError(f"I/O error: {os.strerror(number)} (os error {number})")

    monkeypatch.setattr("safetensors.torch.safe_open", no_map)


@pytest.mark.parametrize("number", REFUSED)
def test_a_checkpoint_that_the_system_does_not_hand_out(
    number: int, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(read_checkpoint(checkpoint)["bias"]) == [1.0, -2.0]
    refusing(monkeypatch, checkpoint, number)
    with pytest.raises(InputError) as told:
        read_checkpoint(checkpoint)
    words = "not enough memory" if number == errno.ENOMEM else os.strerror(number)
    assert str(told.value) == f"{checkpoint}: cannot read it: {words}."


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate me"
                     "mory: you tried to allocate 400000000000 bytes. Error code 12"),
        RuntimeError("unable to mmap 4096 bytes from file <x>: Cannot allocate memory (12)"),
    ],
)  # fmt: skip
def test_a_checkpoint_larger_than_the_memory(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({}, tmp_path / "large.ckpt")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(InputError, match=r"large\.ckpt: cannot read it: not enough memory\."):
        read_checkpoint(tmp_path / "large.ckpt")


def test_a_damaged_checkpoint_says_what_is_wrong_with_it(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-30])
    reason = r"central directory" if checkpoint.suffix == ".ckpt" else r"header"
    said = rf"is no checkpoint, or a damaged one \(.*{reason}.*\); give a file that torch.save or"
    with pytest.raises(InputError, match=said):
        read_checkpoint(checkpoint)


def test_a_text_is_not_told_about_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("text\n")
    with pytest.raises(InputError, match="is no checkpoint, or a damaged one; give a file that"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_a_cascade_that_the_system_does_not_hand_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "saved.safetensors"
    Cascade(FCN("test_resnet", output_stride=8)).save(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("facemask.models.cascade.file.safe_open", refuse)
    with pytest.raises(InputError, match=r"saved\.safetensors: cannot read it: Permission denied"):
        Cascade.load(path)


def raised(error: BaseException, cause: BaseException) -> BaseException:
    """An error as it arrives when it was raised from another."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_only_a_declared_cause_stands_for_an_error() -> None:
    wrong = InputError("data.size is 0.")
    assert input_error(wrong) is wrong
    assert input_error(raised(ValueError("wrapped"), wrong)) is wrong
    twice = raised(ValueError("twice"), raised(ValueError("once"), wrong))
    assert input_error(twice) is wrong
    bug = KeyError("state")
    bug.__context__ = wrong
    assert input_error(bug) is None
    assert input_error(raised(ValueError("wrapped"), bug)) is None
    assert input_error(None) is None


def test_the_innermost_cause_is_named() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    library = raised(RuntimeError("Consistency check failed"), full)
    assert cause_of(raised(ValueError("no download"), library)) == "No space left on device"
    assert cause_of(raised(ValueError("no download"), KeyError("etag"))) == "KeyError: 'etag'"
    assert (
        cause_of(ValueError("No pretrained weights exist.\nTry")) == "No pretrained weights exist"
    )
    assert cause_of(TimeoutError()) == "TimeoutError"
    assert system_cause(ValueError("a plain error")) is None


def test_a_bug_while_wrong_input_is_handled_shows_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb(inputs: str) -> None:
        """Do something."""
        try:
            raise InputError("clip.mp4: is no video.")
        except InputError:
            raise KeyError("handler")  # noqa: B904  # as a lookup in vain

    monkeypatch.setattr(cli, "verb_function", lambda _: verb)
    with pytest.raises(KeyError, match="handler"):
        main(["show", "clip.mp4"])
    assert "is no video" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--data.size=0", "data.size is 0, expected at least 1."),  # a constructor of its own
        ("--model.learning_rate=-1", "model.learning_rate is -1.0, expected more than 0."),
        # a constructor's part
        ("--model.smoothing={class_path: facemask.models.TemporalSmoothing, init_args: {sigma: 0}}",
         "sigma"),
    ],
)  # fmt: skip
def test_what_a_constructor_refuses_stays_one_sentence(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(Path(__file__).parent.parent / "configs" / "fcn.yaml")
    assert said in error_of(["fit", "-c", config, "--model.backbone=test_resnet", option], capsys)


def test_why_a_step_of_an_experiment_failed() -> None:
    wrong = InputError("model.gamma is -1, expected 0 (freeze) or more.")
    stop = raised(SystemExit(2), raised(ValueError("wrapped"), wrong))
    assert reason_of(stop) == "model.gamma is -1, expected 0 (freeze) or more"
    worker = InputError("Caught InputError in worker.\nTraceback\n  line\nInputError: a.jpg: cut.")
    assert reason_of(worker) == "a.jpg: cut"
    assert reason_of(SystemExit(130)) == "it was interrupted"
    assert reason_of(SystemExit(3)) == "it ended with status 3"
    assert reason_of(SystemExit("no GPU")) == "no GPU"
    assert reason_of(RuntimeError("size mismatch\nat layer 3")) == "size mismatch"
    assert reason_of(raised(RuntimeError("a loop"), MemoryError())) == "not enough memory"


def test_a_step_whose_process_is_killed_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        """Stands in for processes: the first pool loses its worker."""

        made = 0

        def __init__(self) -> None:
            Pool.made += 1
            self.broken = Pool.made == 1

        def submit(self, *_: object) -> Future[tuple[str | None, float, list[str]]]:
            future: Future[tuple[str | None, float, list[str]]] = Future()
            if self.broken:
                future.set_exception(BrokenProcessPool("terminated abruptly"))
            else:
                future.set_result((None, 2.0, []))
            return future

        def shutdown(self, cancel_futures: bool = False) -> None:
            pass

    steps = {"large": Step(config="c"), "after": Step(config="c", init_from="large")}
    steps |= {"small": Step(config="c"), "last": Step(config="c", init_from="small")}
    plan = Plan(title="Two", configs={}, steps=steps, tables=[])
    job = Job(plan, tmp_path, tmp_path, tmp_path, False, 0)
    monkeypatch.setattr(run, "_pool", lambda _: Pool())
    monkeypatch.setattr(run, "_commands", lambda _job, name: [] if name == "small" else [["fit"]])
    monkeypatch.setattr(run, "_check", lambda *_: None)
    said: list[str] = []
    failed = run.run_steps(job, list(steps), 1, said.append)
    assert list(failed) == ["large", "after"]
    assert "was killed, as the system does when memory runs out" in failed["large"]
    assert "last: done (2 s)" in said
    assert Pool.made == 2


def test_what_is_no_checkpoint_is_not_advised_to_run_code(tmp_path: Path) -> None:
    path = tmp_path / "weights.ckpt"
    path.write_text("# A page of words\n")
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    assert str(raised.value).startswith(f"{path}: is no checkpoint, or a damaged one; ")
    assert "weights_only" not in str(raised.value)
