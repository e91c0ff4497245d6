"""Bars where there is no terminal."""

import io
import time

import pytest
from rich.console import Console
from rich.progress import TextColumn

from facemask.extraction.reports import Terminal
from facemask.progress import Bars


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_a_line_every_ten_seconds(clock: Clock) -> None:
    text = io.StringIO()
    with Bars(TextColumn("x"), console=Console(file=text, width=80)) as bars:
        task = bars.add_task("prepare [1]", total=40)
        for second in range(25):
            clock.now = 100.0 + second
            bars.advance(task)
        endless = bars.add_task("camera0", total=None, speed="25.0 frames/s")
        bars.update(endless, completed=7)
    assert text.getvalue().splitlines() == [
        "prepare [1]: 11 of 40", "prepare [1]: 21 of 40", "camera0: 7, 25.0 frames/s",
    ]  # fmt: skip


def test_on_a_terminal_there_are_bars_alone(clock: Clock) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    with Bars(TextColumn("{task.description}"), console=console) as bars:
        task = bars.add_task("prepare", total=40)
        clock.now += 60
        bars.update(task, completed=3)
    assert "3 of 40" not in text.getvalue()


def test_extraction_tells_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal.advance("clip", 10, 900, 21.5)
        clock.now += 11
        terminal.advance("clip", 250, 900, 22.5)
    assert capsys.readouterr().err == "clip: 250 of 900, 22.5 frames/s\n"
