"""Several videos at a time: processes of this machine."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from facemask.cli import main
from facemask.extraction.jobs import make_jobs, say_left
from facemask.models import FCN
from facemask.origin import Origin
from facemask.weights import catalog
from tests.extraction.faces import random_cascade
from tests.extraction.killing import killed_while_at
from tests.video.videos import make_video

OPTIONS = ["--model", "model.safetensors", "--cropped", "--jobs", "2"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # an encoder's bytes depend on it
    cascade = random_cascade()
    for network in cascade.networks().values():
        cast("FCN", network).origins = (Origin("base", licence="for tests alone."),)
    cascade.save(Path("model.safetensors"))
    catalog._TOLD.clear()


def said_by(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) if status else nullcontext() as stop:
        main(["extract", *arguments])
    assert stop is None or stop.value.code == status
    return " ".join(capsys.readouterr().err.split())  # the console wraps lines


def content(folder: str) -> dict[str, bytes]:
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_files_as_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate("abc"):
        make_video(Path(f"{name}.mp4"), 7 + number)
    Path("broken.mp4").write_bytes(b"no video")
    given = ["a.mp4", "broken.mp4", "b.mp4", "c.mp4", "--save", "overlay,png,csv"]
    said = said_by([*given, *OPTIONS, "-o", "several"], capfd, status=2)
    assert said.count("from 'base': for tests alone.") == 1  # and not by each process
    assert said.count("not calibrated") == 1
    assert "a: 7 frames, 100 % with a face" in said
    assert "in several, from c.mp4" in said
    assert re.search(r"1 of 4 videos failed, the first: broken\.mp4: [^:]+\.?$", said), said
    said_by([*given, *OPTIONS[:-1], "1", "-o", "one"], capfd, status=2)
    assert content("several") == content("one")
    assert len(content("one")) == 3 * 3 + 7 + 8 + 9

    Path("broken.mp4").unlink()
    given.remove("broken.mp4")
    Path("several/b.csv").unlink()
    said = said_by([*given, *OPTIONS, "-o", "several", "--resume"], capfd)
    assert "b: done anew, it has no csv." in said
    assert said.endswith("2 of 3 videos were left out: done before, or by others.")
    assert content("several") == content("one")


@pytest.mark.parametrize(
    ("count", "share", "left", "rank", "processes", "said"),
    [
        (1, 1, 1, 0, 1, None),
        (5, 5, 5, 0, 1, None),
        (1, 1, 0, 0, 1, "The video is done already."),
        (5, 5, 0, 0, 1, "All 5 videos are done already."),
        (5, 5, 2, 0, 1, "2 of 5 videos are to be done; the others are done already."),
        (5, 3, 3, 0, 2, "Process 0 of 2 has 3 of 5 videos."),
        (5, 2, 1, 1, 2, "Process 1 of 2 has 2 of 5 videos, of which 1 is to be done; the others "
         "are done already."),
        (5, 2, 0, 1, 2, "Process 1 of 2 has 2 of 5 videos, which are done already."),
    ],
)  # fmt: skip
def test_what_is_left_is_said(
    count: int, share: int, left: int, rank: int, processes: int, said: str | None
) -> None:
    jobs = make_jobs([f"{n}.mp4" for n in range(count)], Path("masks"), ["csv"])
    assert say_left(jobs, share, left, rank, processes) == said


@pytest.mark.usefixtures("quick_processes")
def test_a_killed_process_takes_its_video_alone(capsys: pytest.CaptureFixture[str]) -> None:
    make_video(Path("a.mp4"), 300)
    for name in "bcd":
        make_video(Path(f"{name}.mp4"), 9)
    given = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "--save", "csv", *OPTIONS]
    with killed_while_at(Path("masks/a.csv")):
        said = said_by(given, capsys, status=2)
    assert "a: a.mp4: the process at work on it was killed (SIGKILL), as the system does" in said
    assert "1 of 4 videos failed, the first: a.mp4: the process at work on it was killed" in said
    assert sorted(path.name for path in Path("masks").glob("[a-z]*.csv")) == [
        "b.csv", "c.csv", "d.csv",
    ]  # fmt: skip
    assert "a: 300 frames" in said_by([*given, "--resume"], capsys)
    assert len(Path("masks/a.csv").read_text().splitlines()) == 301
    assert not [path for path in Path("masks").iterdir() if path.name.startswith(".")]


def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    make_video(Path("a.mp4"), 400)
    make_video(Path("b.mp4"), 400)
    make_video(Path("c.mp4"), 5)
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from facemask.cli import main\n"
        "if __name__ == '__main__':\n"
        f"    main(['extract', 'c.mp4', 'a.mp4', 'b.mp4', '--save', 'csv', *{OPTIONS}])\n"
    )
    Path("program.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "program.py"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as run:  # fmt: skip
        while run.poll() is None and not (
            Path("masks/c.facemask.json").is_file() and len([*Path("masks").glob(".*.tmp")]) == 2
        ):
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as the terminal does
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "facemask: stopped by Ctrl-C: 1 of 3 videos are done, and the same command with --resume "
        "goes on."
    )
    names = sorted(path.name for path in Path("masks").iterdir())
    assert names == ["c.csv", "c.facemask.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--jobs", "0"], "jobs is 0: give 1 or more."),
        (["0", "--jobs", "2"], "a camera is for a command of its own: leave out --jobs and"),
        (["--jobs", "2", "--cluster", "x"], "--cluster hands out videos itself: run it once"),
        (["--jobs", "2", "--model", "text.ckpt"], "text.ckpt: "),
    ],
)
@pytest.mark.usefixtures("quick_processes")
def test_wrong_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.ckpt").write_text("x")
    make_video(Path("a.mp4"), 3)
    make_video(Path("b.mp4"), 3)
    given = ["a.mp4", "b.mp4", *arguments, "--cropped"]
    if "--model" not in arguments:
        given += ["--model", "model.safetensors"]
    assert f"facemask: error: {said}" in said_by(given, capsys, status=2)
    assert not list(Path().glob("masks/*"))
