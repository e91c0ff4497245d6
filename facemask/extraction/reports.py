"""Lines and bars of an extraction that goes on, here or in another process."""

from typing import NamedTuple, Protocol

from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn

from facemask.progress import Bars
from facemask.terminal import console_for_words


class Said(NamedTuple):
    """A line about a video, or about all of them if it has no name."""

    name: str
    text: str
    style: str | None = None


class Reports(Protocol):
    """Place where it is told how videos go."""

    def say(self, name: str, text: str, style: str | None = None) -> None:
        """Tell a line about a video."""

    def advance(self, name: str, done: int, total: int | None, speed: float) -> None:
        """Tell how many of a video's frames are done, of how many if known, and frames a second."""


class Gathered:
    """Lines that are shown elsewhere, once a video is done.

    Attributes:
        said: The lines.
    """

    def __init__(self) -> None:
        self.said: list[Said] = []

    def say(self, name: str, text: str, style: str | None = None) -> None:
        """Keep a line."""
        self.said.append(Said(name, text, style))

    def advance(self, name: str, done: int, total: int | None, speed: float) -> None:
        """Do nothing."""


class Terminal:
    """Lines on standard error and, where that is a terminal, a bar for each video in the making.

    A context manager: bars are there within its block.
    """

    def __init__(self) -> None:
        # names as they are
        self._console = console_for_words(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._videos: dict[str, TaskID] = {}
        self._all: TaskID | None = None

    def __enter__(self) -> "Terminal":
        """Show the bars, and return this."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bars away."""
        self._bars.stop()

    def expect(self, count: int, noun: str) -> None:
        """Show a bar of videos or photos, if there are several."""
        if count > 1:
            self._all = self._bars.add_task(noun, total=count, speed="")

    def line(self, text: str) -> None:
        """Print a line about the command."""
        self._console.print(text)

    def say(self, name: str, text: str, style: str | None = None) -> None:
        """Print a line about a video."""
        self._console.print(f"{name}: {text}" if name else text, style=style)

    def advance(self, name: str, done: int, total: int | None, speed: float) -> None:
        """Move a video's bar, which is there from then on."""
        if name not in self._videos:
            self._videos[name] = self._bars.add_task(name, total=total, speed="")
        told = f"{speed:.1f} frames/s"
        self._bars.update(self._videos[name], completed=done, speed=told)

    def end(self, name: str) -> None:
        """Take a video's bar away, and count it."""
        if name in self._videos:
            self._bars.remove_task(self._videos.pop(name))
        if self._all is not None:
            self._bars.advance(self._all)
