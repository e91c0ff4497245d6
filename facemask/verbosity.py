"""Lines on what a user should know, and for those who ask, on what is chosen by itself and why."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from facemask.errors import Notice

VERBOSE: Final = "Say on standard error what is chosen by itself, and why, such as threads."
"""Help of the option that asks for them."""


@contextmanager
def choices_told(told: bool) -> Iterator[None]:
    """Show what modules of this package log at the level INFO, as plain lines on standard error.

    Args:
        told: Whether to show it; else nothing is changed.
    """
    if not told:
        yield
        return
    logger, handler = logging.getLogger("facemask"), logging.StreamHandler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def notices_told(tell: Callable[[str], object], kind: type[Notice] = Notice) -> Iterator[None]:
    """Hand on notices as lines, instead of warnings with a place in the code.

    Args:
        tell: Gets the text of each.
        kind: The notices that are meant; others are warnings as before.
    """
    show = warnings.showwarning

    def show_plainly(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, kind):
            tell(str(message))
        else:
            show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.showwarning = show_plainly
        yield
