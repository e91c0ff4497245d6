"""Ctrl-C heard at once, and outputs that nobody reads any more."""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, TextIO

CLOSED_PIPE: Final = 141
"""Exit status where nobody reads the output any more, as after `| head`: 128 + SIGPIPE."""


@contextmanager
def ctrl_c_told(tell: Callable[[str], object], text: str) -> Iterator[None]:
    """Tell a line as soon as Ctrl-C comes in a block that takes a while to end.

    It then goes on as it does without this, and so does a second Ctrl-C. Nothing is changed where
    Ctrl-C is ignored, or another handler has it.

    Args:
        tell: Gets the line, while the program stands wherever it is.
        text: The line.
    """
    here = threading.current_thread() is threading.main_thread()  # no other may set a handler
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(OSError, RuntimeError):  # closed, or in the middle of another line
            tell(text)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def closed_pipes_heeded() -> Iterator[None]:
    """End the program without a word where its output is a pipe that nobody reads any more.

    Other pipes that break, such as a worker's, are errors as ever.

    Raises:
        SystemExit: With status `CLOSED_PIPE`, after the block has tidied up.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # what is left would fail when Python ends
    except (BrokenPipeError, SystemExit) as error:
        of_rich = isinstance(error.__context__, BrokenPipeError)  # it ends with status 1
        closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
        if not of_rich and (isinstance(error, SystemExit) or not closed):
            raise
        for stream in closed:  # Python writes what is left when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(CLOSED_PIPE) from None


def _is_closed(stream: TextIO) -> bool:
    """Return whether a stream is a pipe that nobody reads any more."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file of the system's, or closed here
        return False
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
