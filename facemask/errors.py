"""The error that means "the input is wrong", as opposed to "the program is", and its mild form."""

from collections.abc import Iterator
from typing import Final

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 + SIGINT."""


class InputError(ValueError):
    """Wrong input from the user: a file, an option or a shape.

    The message is one sentence that says what was given, what was expected and what to do.
    The command line prints it without a traceback and exits with status 2.
    """


class Notice(UserWarning):
    """Something that a user should know and that stops nothing.

    The command line prints it as a line of its own, without a place in the code.
    """


def input_error(error: BaseException | None) -> InputError | None:
    """Return the `InputError` that an exception stands for; None if the program is at fault.

    Only what was raised `from` an `InputError` stands for it, as jsonargparse raises what a
    constructor refused. What went wrong while one was handled is a fault of its own.
    """
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    return error


def sentence_of(error: InputError) -> str:
    """Return the sentence of an error, without the traceback that a loader's worker adds."""
    return str(error).rstrip().rpartition("InputError: ")[2]


def system_cause(error: BaseException) -> str | None:
    """Return the operating system's reason for a failure; None if it refused nothing.

    Args:
        error: An exception that may have been raised from, or while handling, the system's.

    Examples:
        >>> system_cause(PermissionError(13, "Permission denied", "best.ckpt"))
        'Permission denied'
        >>> system_cause(MemoryError())
        'not enough memory'
        >>> system_cause(KeyError("state_dict"))
    """
    for inner in reversed([*_chain(error)]):
        text = str(inner).lower()
        # torch raises a RuntimeError when malloc or mmap fails
        if isinstance(inner, MemoryError) or "allocate memory" in text or "out of memory" in text:
            return "not enough memory"
        if isinstance(inner, OSError) and inner.strerror:
            return str(inner.strerror)
    return None


def cause_of(error: BaseException) -> str:
    """Return the innermost cause of a failure, in a few words without a full stop.

    Args:
        error: An exception; what it was raised from, or while handling, is looked through.

    Examples:
        >>> cause_of(OSError(28, "No space left on device"))
        'No space left on device'
        >>> cause_of(KeyError("state_dict"))
        "KeyError: 'state_dict'"
    """
    *_, inner = _chain(error)
    first = next((line.strip() for line in str(inner).splitlines() if line.strip()), "")
    kind = type(inner).__name__
    named = first if " " in first else f"{kind}: {first}" if first else kind  # prose, or a key
    return system_cause(error) or named.rstrip(".")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and, from the outermost to the innermost, the ones that it came from."""
    following: BaseException | None = error
    while following is not None:
        yield following
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
