"""Ctrl-C ends a verb with one line and status 130."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from facemask.cli import VERBS, main
from facemask.experiment.run import _timed
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import ExtractedFrame
from facemask.interrupts import ctrl_c_told
from facemask.parallel import deaf_to_ctrl_c
from tests.extraction.faces import random_cascade
from tests.video.videos import make_video

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("heeds_ctrl_c")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def last_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 130
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("facemask.cli.verb_function", lambda _: interrupted)
    monkeypatch.setattr("facemask.cli.parse_verb", lambda *_: {})
    assert last_line([verb], capsys).startswith("facemask: stopped by Ctrl-C: ")


def test_extract_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = Outputs.write

    def interrupted(outputs: Outputs, frame: ExtractedFrame) -> None:
        seen.append(frame.index)
        if len(seen) == 17:
            signal.raise_signal(signal.SIGINT)
        write(outputs, frame)

    monkeypatch.setattr(Outputs, "write", interrupted)
    random_cascade().save(Path("model.safetensors"))
    make_video(Path("a.mp4"), 8)
    make_video(Path("b.mp4"), 19)
    options = ["--model", "model.safetensors", "--cropped", "--save", "csv"]

    seen: list[int] = []
    line = last_line(["extract", "b.mp4", *options], capsys)
    assert line.endswith("Ctrl-C: nothing is kept of the video that was being done.")
    assert not Path("masks").exists()

    seen.clear()
    line = last_line(["extract", "a.mp4", "b.mp4", *options], capsys)
    assert line.endswith(
        "Ctrl-C: 1 of 2 videos are done, and the same command with --resume goes on."
    )
    assert Path("masks/a.csv").is_file()

    monkeypatch.setattr("facemask.extraction.outputs.PART_FRAMES", 5)
    seen.clear()
    line = last_line(["extract", "b.mp4", *options], capsys)
    assert line.endswith(
        "the first 15 frames of b.mp4 are kept, and the same command with --resume goes on."
    )
    main(["extract", "b.mp4", *options, "--resume"])
    assert len(Path("masks/b.csv").read_text().splitlines()) == 20


def test_extract_answers_at_once_and_leaves_no_empty_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Outputs, "write", interrupted)
    random_cascade().save(Path("model.safetensors"))
    make_video(Path("b.mp4"), 8)
    monkeypatch.setattr("facemask.extraction.outputs.PART_FRAMES", 5)  # parts in a hidden folder
    command = ["extract", "b.mp4", "--model", "model.safetensors", "--cropped", "-o", "new/masks"]
    Path("there").mkdir()

    capsys.readouterr()
    with pytest.raises(SystemExit, match="130"):
        main(command)
    said = [line for line in capsys.readouterr().err.splitlines() if "top" in line]
    assert said == [
        "Stopping, which may take some seconds; Ctrl-C again stops at once.",
        "facemask: stopped by Ctrl-C: nothing is kept of the video that was being done.",
    ]
    assert not Path("new").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    last_line([*command[:-1], "there"], capsys)
    assert list(Path("there").iterdir()) == []  # it was there before


def test_the_second_one_is_told_nothing_and_stops_at_once() -> None:
    told: list[str] = []
    reached: list[str] = []

    @ctrl_c_told(told.append, "Stopping.")
    def interrupted_twice() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            reached.append("tidying")
            signal.raise_signal(signal.SIGINT)
            reached.append("tidied up")

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert (told, reached) == (["Stopping."], ["tidying"])


def test_ignored_it_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told: list[str] = []
    with ctrl_c_told(told.append, "Stopping."):
        signal.raise_signal(signal.SIGINT)
    assert (told, signal.getsignal(signal.SIGINT)) == ([], signal.SIG_IGN)


@pytest.mark.parametrize("module", ["importlib.util", "pathlib", "facemask.cli"])
def test_while_the_program_is_imported(module: str) -> None:
    """What the installed command runs, interrupted in its first imports."""
    program = f"""
        import builtins, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def interrupted(name, *rest, plain=builtins.__import__):
            if name == {module!r}:
                signal.raise_signal(signal.SIGINT)
            return plain(name, *rest)
        from facemask_video import main
        builtins.__import__ = interrupted
        main()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (130, "\nfacemask: stopped by Ctrl-C.\n")


def in_a_step_that_is_interrupted(folder: Path) -> list[str | None]:
    """What a worker of an experiment says of a step before which Ctrl-C came, and of the next."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGINT)  # it waits until the step's words go to its log
    first, *_ = _timed([], folder, folder / "step.log")
    second, *_ = _timed([], folder, folder / "step.log")
    return [first, second]


@pytest.mark.skipif(os.name != "posix", reason="only there a process can be begun deaf to Ctrl-C")
def test_a_step_of_an_experiment_hears_it_when_its_words_go_to_the_log(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with deaf_to_ctrl_c():
            future = pool.submit(in_a_step_that_is_interrupted, tmp_path)
        assert future.result() == ["it was interrupted"] * 2  # the next one may wait already
    assert "KeyboardInterrupt" in Path("step.log").read_text()


def test_worker_processes_end_without_a_word(tmp_path: Path) -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from facemask.cli import main\n"
        "if __name__ == '__main__':\n"
        "    main(['synth', 'videos', '--videos=90', '--seconds=0.2', '--workers=2'])\n"
    )
    Path("program.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "program.py"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as run:  # fmt: skip
        for _ in range(600):
            if (tmp_path / "videos" / "001").is_dir() or run.poll() is not None:
                break
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGINT)  # as the terminal does
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(
        "facemask: stopped by Ctrl-C: the videos that are done are kept"
    )
    assert 1 <= len(list(Path("videos").glob("0*/vid.avi"))) < 90
