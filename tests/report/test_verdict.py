"""The sentence that says whether one model is better than another."""

import re
import shutil
from pathlib import Path

import pytest

from facemask.report.command import report
from facemask.report.runs import load_runs
from facemask.report.tables import scores_section
from facemask.report.verdict import verdict
from tests.report.runs import write_data, write_run

SIX = {f"video{n}": (f"person {n}", [1, 2, 3, 31, 32]) for n in range(6)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of six people and of two, "good" and "bad"; "even" is as good as "good"."""
    folder = tmp_path_factory.mktemp("verdict")
    for name, videos in (
        ("six", SIX),
        ("two", {video: SIX[video] for video in ("video0", "video1")}),
    ):
        root = write_data(folder / name / "data", videos)
        for run, errors in (("good", 0.1), ("bad", 0.3)):
            write_run(folder / name / run, root, errors=errors)
        shutil.copytree(folder / name / "good", folder / name / "even")
    return folder


def said(folder: Path, base: str, run: str) -> str:
    runs = load_runs([str(folder / base), str(folder / run)], str(folder / base), [base, run])
    return verdict(runs, scores_section(runs, 10, 0).tables[0])


def test_better_and_not(place: Path) -> None:
    better = said(place / "six", "bad", "good")
    found = re.fullmatch(
        r"'good' is better than 'bad': ([\d.]+) against ([\d.]+) % mIoU \(95 % interval of the "
        r"difference \+[\d.]+ to \+[\d.]+\) on 30 frames of 6 subjects\.", better
    )  # fmt: skip
    assert found is not None, better
    assert float(found[1]) > float(found[2])
    worse = said(place / "six", "good", "bad")
    assert worse.startswith(f"'bad' is not better than 'good': {found[2]} against {found[1]} % mI")
    assert said(place / "six", "good", "even").startswith("'even' is not better than 'good': ")


def test_too_little(place: Path) -> None:
    start = "Too little was tested to tell whether 'good' is better than 'bad': "
    few = said(place / "two", "bad", "good")
    assert few.startswith(start)
    assert few.endswith(" on 10 frames of 2 subjects.")
    assert said(place / "two", "good", "bad").startswith("'bad' is not better than 'good': ")
    lists = place / "six" / "data/data_splits/split_1"
    lines = (lists / "test_per10.txt").read_text().splitlines()
    (lists / "train_per10.txt").write_text(lines[0])  # as where videos are split by time
    by_time = said(place / "six", "bad", "good")
    (lists / "train_per10.txt").unlink()
    assert by_time.startswith(start)
    assert by_time.endswith(" on 30 frames of 6 subjects that training has seen, split by time.")


@pytest.mark.parametrize(
    ("people", "runs", "last"),
    [
        ("two", ["bad", "good"], "Too little was tested to tell whether 'good' is better than 'ba"),
        ("six", ["bad", "good"], "'good' is better than 'bad': "),
        (
            "two",
            ["good"],
            "Too little was tested to tell of other people: 10 frames of 2 s",
        ),
        ("two", ["bad", "good", "even"], "Too little was tested to tell of other people: 10 fram"),
        ("six", ["good"], "It is best at "),
        ("six", ["bad", "good", "even"], "It is best at "),
    ],
)
def test_a_report_says_it_too(
    people: str, runs: list[str], last: str, place: Path, tmp_path: Path
) -> None:
    report([str(place / people / run) for run in runs], out=str(tmp_path))
    summary = (tmp_path / "report.md").read_text("utf-8").splitlines()[2]
    sentences = re.split(r"(?<=\.) (?=[A-Z'])", summary)
    assert sentences[-1].startswith(last), summary
    assert summary.count("Too little") == (people == "two")
