"""Lines on what the program has chosen by itself, and why, for those who ask for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
