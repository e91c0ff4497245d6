"""Stages in threads: the same items in the same order, a bound, and an end without leftovers."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest

from facemask.ahead import ahead


def threads() -> int:
    return threading.active_count()


def test_items_in_order_through_three_stages() -> None:
    before = threads()

    def squares(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            yield number**2

    def labels(numbers: Iterator[int]) -> Iterator[str]:
        for number in numbers:
            time.sleep(0.001 * (number % 3))
            yield f"{number}"

    stages = ahead(labels(ahead(squares(ahead(iter(range(50)), 1)), 4)), 2)
    assert list(stages) == [f"{n**2}" for n in range(50)]
    assert threads() == before
    assert list(ahead([], 3)) == []


def test_no_more_wait_than_allowed() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    with closing(ahead(numbers(), 3)) as stage:
        for n in stage:
            time.sleep(0.02)
            # the one here, three that wait, and the one that there is no room for
            assert len(made) <= n + 1 + 3 + 1
            if n == 5:
                break
    assert len(made) <= 10


def test_stages_work_at_the_same_time() -> None:
    """Each side waits for the other: without a thread neither would go on."""
    asked, given = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        yield 1
        given.set()
        assert asked.wait(5)
        yield 2

    stage = ahead(numbers(), 2)
    assert next(stage) == 1
    assert given.wait(5)  # it has gone on by itself
    asked.set()
    assert list(stage) == [2]


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_an_exception_of_any_stage_comes_out_after_what_was_before_it(broken: int) -> None:
    before = threads()
    closed: list[int] = []

    def stage(number: int, items: Generator[int, None, None]) -> Generator[int, None, None]:
        try:
            with closing(items):
                for item in items:
                    if number == broken and item == 3:
                        raise ValueError(f"stage {number}")
                    yield item
        finally:
            closed.append(number)

    taken: list[int] = []

    def take_all() -> None:
        source = ahead(stage(0, (n for n in range(9))), 2)
        taken.extend(stage(2, ahead(stage(1, source), 2)))

    with pytest.raises(ValueError, match=f"stage {broken}"):
        take_all()
    assert taken == [0, 1, 2]
    assert sorted(closed) == [0, 1, 2]
    assert threads() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_ends_the_last_stage_ends_all(error: type[BaseException]) -> None:
    before = threads()
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def interrupted() -> None:
        with closing(ahead(ahead(endless(), 2), 2)) as stage:
            for _ in stage:
                raise error

    with pytest.raises(error):
        interrupted()
    assert closed.is_set()
    assert threads() == before


def test_nothing_begins_before_it_is_asked_for() -> None:
    before = threads()
    stage = ahead(iter(range(3)), 2)
    assert threads() == before
    stage.close()
    assert threads() == before


def test_items_are_not_kept() -> None:
    import gc
    import weakref

    class Frame:
        pass

    def frames() -> Iterator[Frame]:
        for _ in range(30):
            yield Frame()

    seen: list[weakref.ref[Frame]] = []
    for frame in ahead(frames(), 2):
        seen.append(weakref.ref(frame))
        gc.collect()
        assert sum(one() is not None for one in seen) <= 2
