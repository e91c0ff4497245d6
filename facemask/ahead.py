"""Work of several stages at once: each stage is an iterator that a thread of its own runs.

    decoded = ahead(decode(file), 20)
    for mask in ahead(label(decoded), 20):
        write(mask)

The main thread writes while one thread labels the frames to come and another decodes those after
them. Items come in their order, and what is done is what one thread would do: decoding, networks
and encoding let other threads run meanwhile, since they hold no lock of Python's.
"""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from queue import Full, Queue
from typing import Final, NamedTuple, TypeVar

from facemask.threads import limit_this_thread

Item = TypeVar("Item")

_LOOK_UP: Final = 0.05
"""Seconds after which a thread whose items nobody takes asks whether they are still wanted."""


class _End(NamedTuple):
    """Mark after the last item: the exception that ended them, if one did."""

    error: BaseException | None


def ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """Yield items that a thread computes before they are asked for.

    The thread starts when the first one is asked for. It ends with the last one, and when the
    generator is closed, which Ctrl-C does as well: the item that it is working on is finished, and
    an iterator that can be closed is closed in the thread. An exception there comes out here, after
    all items before it.

    Args:
        items: The items; nothing else may use them meanwhile.
        most: Most items that wait to be taken, 1 or more.

    Examples:
        >>> list(ahead(iter("abc"), 2))
        ['a', 'b', 'c']
    """
    waiting: Queue[Item | _End] = Queue(max(1, most))
    unwanted = threading.Event()
    arguments = (iter(items), waiting, unwanted)
    thread = threading.Thread(target=_compute, args=arguments, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
            del item  # or it would stay in memory until the next one is there
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        thread.join()


def _compute(
    items: Iterator[Item], waiting: "Queue[Item | _End]", unwanted: threading.Event
) -> None:
    """Put items and the end into a queue, until they are unwanted."""
    error: BaseException | None = None
    limit_this_thread()
    try:
        for item in items:
            if not _put(item, waiting, unwanted):
                break
            del item
    except BaseException as reason:  # it is raised where the items are wanted
        error = reason
    finally:
        if isinstance(items, Generator):
            try:
                items.close()
            except BaseException as reason:
                error = error or reason
        _put(_End(error), waiting, unwanted)


def _put(item: Item | _End, waiting: "Queue[Item | _End]", unwanted: threading.Event) -> bool:
    """Put an item into a queue once there is room, and tell if it is still wanted."""
    while not unwanted.is_set():
        with suppress(Full):
            waiting.put(item, timeout=_LOOK_UP)
            return True
    return False
