"""Threads of Python that share work."""

import threading

import pytest
import torch

from facemask.workers import in_these_modes, in_threads


def test_items_are_shared_by_threads_with_one_thread_of_torchs_each() -> None:
    before = torch.get_num_threads()
    both_at_work = threading.Barrier(2, timeout=60)

    def work(item: int) -> tuple[int, int, int]:
        both_at_work.wait()
        return item * item, torch.get_num_threads(), threading.get_ident()

    squares, threads, who = zip(*in_threads(work, [3, 1, 4, 2], 2), strict=True)
    assert squares == (9, 1, 16, 4)
    assert threads == (1, 1, 1, 1)
    assert len(set(who)) == 2
    assert threading.get_ident() not in who
    assert torch.get_num_threads() == before
    of_new_thread: list[int] = []
    thread = threading.Thread(target=lambda: of_new_thread.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert of_new_thread == [before]
    assert in_threads(lambda _: threading.get_ident(), [1, 2], 1) == [threading.get_ident()] * 2
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // item, [1, 0], 2)


def test_threads_that_share_items_may_share_others_in_turn() -> None:
    """As a cascade's eyes and mouth do whose encoders another runtime computes, frame by frame."""
    both_at_work = threading.Barrier(2, timeout=10)

    def sum_of_squares(last: int) -> int:
        both_at_work.wait()  # no thread of the two is left for what follows
        return sum(in_threads(lambda item: item * item, range(last + 1), 2))

    assert in_threads(sum_of_squares, [3, 5], 2) == [14, 55]

    def fails_at(last: int) -> list[int]:
        return in_threads(lambda item: 6 // (last - item), [0, 1, 2], 2)

    with pytest.raises(ZeroDivisionError):
        in_threads(fails_at, [3, 1], 2)
    assert in_threads(sum_of_squares, [1, 2], 2) == [1, 5]


def test_modes_of_torch_hold_in_other_threads() -> None:
    def product(_: int) -> tuple[torch.dtype, bool, bool]:
        result = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
        return result.dtype, result.requires_grad, result.is_inference()

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        quick = in_these_modes(product)
    with torch.no_grad():
        without_gradient = in_these_modes(product)
    for function, expected in (
        (quick, (torch.bfloat16, False, True)),
        (without_gradient, (torch.float32, False, False)),
        (in_these_modes(product), (torch.float32, True, False)),
    ):
        assert in_threads(function, [0, 1], 2) == [expected] * 2
        assert function(0) == expected
