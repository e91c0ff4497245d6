"""Threads of Python that share work, each of which computes with one thread of torch's."""

import functools
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_this_thread: Final = threading.local()


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """Return a function's value of each item, computed by several threads that share the items.

    Each computes with one thread of torch's. torch's modes (inference, autocast) hold in the thread
    that they are set in: set them in the function. The function may call `in_threads` in turn: a
    thread that waits for items of its own works on those that no other has begun.

    Args:
        function: Lets other threads of Python run while it works, in few and long calls, as the
            runtimes of networks do: between short ones, threads would wait for each other.
        items: The items.
        threads: Number of threads; with 1, and for one item, the calling thread does it all.
    """
    if threads == 1 or len(items) <= 1:
        return [function(item) for item in items]
    pool = _workers(threads)
    if not getattr(_this_thread, "is_worker", False):
        return list(pool.map(function, items))
    # were they all to wait for threads, as the eyes' and the mouth's networks at the same time do,
    # there would be none left to wait for
    futures = [pool.submit(function, item) for item in items]
    try:
        return [
            function(item) if future.cancel() else future.result()
            for item, future in zip(items, futures, strict=True)
        ]
    finally:
        for future in futures:
            future.cancel()


def in_these_modes(function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """Return a function that computes in torch's present modes, whatever thread calls it.

    They are those for gradients, inference and autocast on the CPU.
    """
    import torch

    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    dtype, casts = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

    def run(item: Item) -> Result:
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(grad),
            torch.autocast("cpu", dtype, enabled=casts),
        ):
            return function(item)

    return run


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """Return threads that are kept, each with one thread of torch's."""
    torch = sys.modules.get("torch")
    elsewhere = torch.get_num_threads() if torch else 1
    started = threading.Barrier(threads + 1)

    def start() -> None:
        _this_thread.is_worker = True
        if torch:
            torch.get_num_threads()  # or its first operation would take the number of new threads
            torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "facemask-worker", start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    if torch:
        torch.set_num_threads(elsewhere)  # which new threads begin with: the last one set
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # the threads are the parent's
