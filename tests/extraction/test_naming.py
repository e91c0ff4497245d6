"""What results are called."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.extraction.choices import SUFFIXES
from facemask.extraction.jobs import make_jobs, source_names
from facemask.extraction.record import RECORD_SUFFIX


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["x/a.mp4", "y/a.mp4", "z/a_2.mp4"], ["x-a", "y-a", "a_2"]),
        (["a.mp4", "a.avi"], ["a.mp4", "a.avi"]),
        (["x/a.mp4", "y/a.mp4", "x-a.mp4"], ["x-a.mp4", "y-a", "x-a"]),
        (["one/cam/a.mp4", "two/cam/a.mp4", "b.mp4"], ["one-cam-a", "two-cam-a", "b"]),
        (["001/vid.avi", "002/vid.avi"], ["001", "002"]),
        (["m/001/vid.avi", "n/001/vid.avi", "n/001.avi"], ["m-001", "n-001", "001.avi"]),
        (["m/vid.avi", "m/vid.mp4"], ["m-vid.avi", "m-vid.mp4"]),
        (["a.mp4", "a.labels.mp4", "a.overlay.mp4"], ["a", "a.labels", "a.overlay"]),
        ([1, "camera1.mp4"], None),
        (["A.mp4", "a.mp4"], None),
        (["x/a.mp4", "X/a.mp4"], None),
        (["caf\u00e9.mp4", "cafe\u0301.mp4"], None),
        (["/p/q/a.mp4", "/p-q/a.mp4", "/p/q-a.mp4", "/p-q-a.mp4", "/a.mp4"], None),
    ],
)
def test_names(
    sources: list[str | int],
    names: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = source_names(sources)
    if names is not None:
        assert found == names
    assert len({name.casefold() for name in found}) == len(sources)
    of = dict(zip(sources, found, strict=True))
    for order in itertools.permutations(sources):
        assert source_names(order) == [of[source] for source in order]


PARTS = st.sampled_from(["a", "b", "A", "a-b", "b-a", "a.mp4", "vid", "a-a"])
PATHS = st.builds(
    lambda folders, stem, suffix: "/" + "/".join([*folders, stem]) + suffix,
    st.lists(PARTS, max_size=3), PARTS, st.sampled_from([".mp4", ".avi", ""]),
)  # fmt: skip


@given(st.lists(PATHS, unique=True, min_size=1, max_size=8), st.randoms())
def test_no_two_names_are_alike_in_any_order(paths: list[str], random: object) -> None:
    sources: list[str | int] = list(paths)
    names = dict(zip(sources, source_names(sources), strict=True))
    assert len({name.casefold() for name in names.values()}) == len(sources)
    assert not any("/" in name for name in names.values())
    order = sources.copy()
    random.shuffle(order)  # type: ignore[attr-defined]
    assert source_names(order) == [names[source] for source in order]


def test_long_paths_give_names_that_fit() -> None:
    deep = "/".join(["folder" * 8] * 5)
    names = source_names([f"/x/{deep}/a.mp4", f"/y/{deep}/a.mp4"])
    assert len(set(names)) == 2
    assert all(len(os.fsencode(name)) < 200 for name in names)


def test_no_output_of_one_is_an_output_of_another(tmp_path: Path) -> None:
    """One name may be another with something behind it, but no suffix ends in another one."""
    suffixes = [*SUFFIXES.values(), ".signals.png", RECORD_SUFFIX]
    for one, other in itertools.permutations(suffixes, 2):
        assert not one.endswith(other)
    sources = [f"a{suffix}.mp4" for suffix in ["", *suffixes]] + ["a.mp4.mp4", "a.mkv"]
    jobs = make_jobs(sources, tmp_path, [*SUFFIXES, "plot"])
    written = [str(path) for job in jobs for path in job.paths.values()]
    assert len(set(written)) == len(written)
