"""Base of the page's parts where a visitor's files go in and masks come out."""

import html
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import gradio as gr

from facemask.app.extraction import Extractions, OnFrame
from facemask.errors import InputError

WORK: Final = "work"
"""Name of the line in which extractions and cameras of all visitors wait for each other."""
_SECONDS_BETWEEN: Final = 0.3
"""From one message of the progress bar to the next."""


class StoppedError(Exception):
    """Someone pressed Stop, or left the page."""


@dataclass
class Visit:
    """State of one open page.

    Attributes:
        stop: Set when the work is to end.
        sentence: What was wrong at last.
        result: What there is to see.
        shown: Classes that the overlay shows.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    sentence: str = ""
    result: Any = None
    shown: tuple[str, ...] = ()

    def reporter(self, progress: gr.Progress, unit: str) -> OnFrame:
        """Return what moves a progress bar, and raises a `StoppedError` after Stop."""
        told = -1.0

        def on_frame(done: int, total: int | None) -> None:
            nonlocal told
            if self.stop.is_set():
                raise StoppedError
            if time.monotonic() - told > _SECONDS_BETWEEN:
                told = time.monotonic()
                progress((done, None if total is None else max(done, total)), unit=unit)

        return on_frame

    @contextmanager
    def errors_told(self, files: Sequence[Path]) -> Iterator[None]:
        """Turn an `InputError` into the browser's message, without folders of uploaded files."""
        try:
            yield
        except InputError as error:
            self.sentence = without_folders(str(error), files)
            raise gr.Error(self.sentence, print_exception=False) from error


class Tab(ABC):
    """Part of the page whose Extract begins a visitor's work, and whose Stop ends it.

    Args:
        extractions: Does the work.
    """

    def __init__(self, extractions: Extractions) -> None:
        self.extractions = extractions
        self._visits: dict[str, Visit] = {}

    @abstractmethod
    def no_results(self) -> list[Any]:
        """Return what takes results away."""

    def start(self, request: gr.Request) -> list[Any]:
        """Take away the results before, and show Stop in place of Extract."""
        self.stop(request)
        self._visits[session_of(request)] = Visit()
        return [*self.no_results(), *_buttons(running=True)]

    def end(self) -> list[Any]:
        """Show Extract again."""
        return _buttons(running=False)

    def fail(self, request: gr.Request) -> list[Any]:
        """Say what is wrong until the next try (Gradio's own message vanishes), and `end`."""
        sentence = self.visit(request).sentence or "Something went wrong: the terminal says more."
        return [gr.update(visible=True, value=html.escape(sentence)), *self.end()]

    def stop(self, request: gr.Request) -> None:
        """End this visitor's work at its next frame."""
        if visit := self._visits.pop(session_of(request), None):
            visit.stop.set()

    def close(self) -> None:
        """End the work of all."""
        for visit in list(self._visits.values()):
            visit.stop.set()

    def visit(self, request: gr.Request) -> Visit:
        """Return the state of this visitor's page."""
        return self._visits.setdefault(session_of(request), Visit())

    def connect(
        self,
        extract: Any,  # noqa: ANN401  # bound methods of the parts, each with inputs of its own
        redraw: Any,  # noqa: ANN401
        *,
        inputs: list[Any],
        results: list[Any],
        drawn: list[Any],
        said: gr.Markdown,
        legend: gr.CheckboxGroup,
    ) -> None:
        """Add the two buttons, and say what they and the switches of the classes do.

        Args:
            extract: Makes `results` of `inputs`.
            redraw: Makes `drawn`, those of the results that depend on the classes, of `legend`.
            inputs: Parts with what the visitor gives.
            results: Parts that show something then.
            drawn: Parts with overlays, the first of which shows that they are drawn.
            said: Where errors are said.
            legend: The switches.
        """
        start = gr.Button("Extract", variant="primary", size="lg")
        stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
        buttons = [start, stop]
        started = start.click(
            self.start, None, [*results, *buttons], queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        done = started.then(
            extract, inputs, results, show_progress_on=results[0], concurrency_limit=1,
            concurrency_id=WORK, api_visibility="private",
        )  # fmt: skip
        ended = done.success(
            self.end, None, buttons, queue=False, show_progress="hidden", api_visibility="private"
        )
        done.failure(
            self.fail, None, [said, *buttons], queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        stop.click(self.stop, None, None, queue=False, api_visibility="private")
        for event in (legend.input, ended.then):  # a switch may be used during an extraction
            event(
                redraw, [legend], drawn, show_progress_on=drawn[0], trigger_mode="always_last",
                api_visibility="private",
            )  # fmt: skip


def session_of(request: gr.Request) -> str:
    """Return the name of an open page."""
    return str(request.session_hash)


def without_folders(text: str, files: Sequence[Path]) -> str:
    """Return a sentence without the folders of these files, which say nothing to a visitor."""
    for folder in {file.parent for file in files}:
        text = text.replace(f"{folder}/", "")
    return text


def _buttons(*, running: bool) -> list[Any]:
    return [gr.update(visible=not running), gr.update(visible=running)]
