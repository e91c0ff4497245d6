"""The report's figures against slow computations from the files alone."""

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import ttest_rel

from facemask.errors import InputError
from facemask.report.figures import choose_frames, score_subjects, subjects_section
from facemask.report.runs import Comparison, load_runs
from facemask.report.tables import consistency_section, positions_section, scores_section
from tests.report.runs import write_data, write_run

CLASSES = ["background", "skin", "eyes", "lips", "inner_mouth"]
Row = dict[str, str]


def rows_of(folder: Path) -> list[Row]:
    with (folder / "frames.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def iou(rows: list[Row], name: str) -> float:
    union = sum(int(row[f"union_{name}"]) for row in rows)
    return sum(int(row[f"intersection_{name}"]) for row in rows) / union if union else math.nan


def miou(rows: list[Row]) -> float:
    found = [value for name in CLASSES[1:] if not math.isnan(value := iou(rows, name))]
    return sum(found) / len(found)


@pytest.fixture(scope="module")
def compared(workplace: Path) -> Comparison:
    runs = workplace / "runs"
    folders = [str(runs / name) for name in ("lstm", "fcn", "frames")]
    return load_runs(folders, str(runs / "fcn"), ["B", "A", "C"])


@pytest.fixture(scope="module")
def rows(workplace: Path) -> dict[str, list[Row]]:
    folders = {"A": "fcn/test", "B": "lstm/test", "C": "frames"}
    return {name: rows_of(workplace / "runs" / folder) for name, folder in folders.items()}


def test_the_baseline_comes_first(compared: Comparison) -> None:
    assert [run.name for run in compared.runs] == ["A", "B", "C"]
    assert compared.sequences() == 5


def test_table_9(compared: Comparison, rows: dict[str, list[Row]]) -> None:
    (table,) = scores_section(compared, groups=10, seed=3).tables
    assert table.header[:7] == [
        "Run", "mIoU", "skin", "eyes", "lips", "inner mouth", "background",
    ]  # fmt: skip
    for line, cells in zip(table.csv_rows, table.rows, strict=True):
        name, found = str(line[0]), [float(value) for value in line[1:7] if value is not None]
        expected = [miou(rows[name]), *(iou(rows[name], c) for c in [*CLASSES[1:], CLASSES[0]])]
        np.testing.assert_allclose(found, 100 * np.array(expected))
        assert cells[2] == f"{100 * expected[1]:.2f}"
    baseline, better, _ = table.rows
    assert baseline[7:] == ["–", "–", "–"]
    assert better[1].endswith(" ᵃ")
    assert better[7] == f"+{100 * (miou(rows['B']) - miou(rows['A'])):.2f}"
    # five sequences are five groups, whatever the seed
    groups = [
        [
            miou([r for r in rows[name] if (r["video"], r["sequence"]) == key])
            for key in sorted({(r["video"], r["sequence"]) for r in rows["A"]})
        ]
        for name in "BA"
    ]
    values = dict(zip(table.csv_header, table.csv_rows[1], strict=True))
    assert values["p_value"] == pytest.approx(ttest_rel(groups[0], groups[1]).pvalue)
    assert values["groups"] == 5
    assert values["significant"] is True
    assert float(str(values["interval_low"])) <= float(str(values["difference"]))
    assert any("only 5 sequences" in note for note in table.notes)
    csv_line = table.to_csv().decode().splitlines()[1]
    assert csv_line.startswith(f"A,{100 * miou(rows['A']):.7g},")
    assert csv_line.endswith(",,,,,,")


def test_table_9_of_one_sequence_has_no_p_value(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", {"003": ("ann", [1, 2, 3])})
    folders = [write_run(tmp_path / name, root, e) for name, e in (("a", 0.3), ("b", 0.1))]
    runs = load_runs([str(folders[1])], str(folders[0]), None)
    assert [run.name for run in runs.runs] == ["a", "b"]
    (table,) = scores_section(runs, groups=10, seed=0).tables
    assert table.rows[1][-2:] == ["–", "–"]
    assert table.rows[1][-3].startswith("+")
    assert "P needs at least two sequences, and there is one." in table.notes


def test_table_9_of_one_video_has_no_interval(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", {"002": ("bob", [29, 30, 31, 32])})
    folders = [write_run(tmp_path / name, root, e) for name, e in (("a", 0.3), ("b", 0.1))]
    (table,) = scores_section(load_runs([str(folders[1])], str(folders[0]), None), 2, 0).tables
    assert table.rows[1][-2] == "–"
    assert table.rows[1][-1] != "–"
    assert any("at least two videos" in note for note in table.notes)


def test_table_4(compared: Comparison, rows: dict[str, list[Row]]) -> None:
    (table,) = positions_section(compared).tables
    positions = [int(row["position"]) for row in rows["B"]]
    for name, line in zip("BC", table.csv_rows, strict=True):
        gains: list[list[float]] = [[] for _ in range(5)]
        pairs = zip(positions, rows["A"], rows[name], strict=True)
        for position, first, second in pairs:
            gains[position].append(miou([second]) - miou([first]))
        assert line[0] == name
        np.testing.assert_allclose(
            [float(str(value)) for value in line[1:]], [100 * np.mean(gain) for gain in gains]
        )
    assert table.header == ["Run", "T1", "T2", "T3", "T4", "T5"]
    # the third run looked at single frames: its frames stand where the second run's do
    assert any("places in the clips of B" in note for note in table.notes)


def test_without_clips_there_is_no_table_4(workplace: Path) -> None:
    runs = workplace / "runs"
    section = positions_section(load_runs([str(runs / "frames")], str(runs / "fcn"), None))
    assert not section.tables
    assert section.remarks == ["Left out: no run has clips."]
    alone = positions_section(load_runs([str(runs / "lstm")], str(runs / "lstm"), None))
    assert alone.remarks == ["Left out: there is no run beside the baseline."]


def test_subjects(compared: Comparison, rows: dict[str, list[Row]]) -> None:
    scores = score_subjects(compared)
    assert (scores.subjects, scores.frames) == (["ann", "bob"], [13, 6])
    for r, name in enumerate("ABC"):
        for s, subject in enumerate(["ann", "bob"]):
            values = [miou([row]) for row in rows[name] if row["subject"] == subject]
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / len(values)
            assert scores.mean[r, s] == pytest.approx(mean)
            assert scores.deviation[r, s] == pytest.approx(math.sqrt(variance))
    section = subjects_section(compared)
    assert section.tables[0].csv_header == [
        "subject", "frames", "A mean", "A std", "B mean", "B std", "C mean", "C std",
    ]  # fmt: skip
    assert section.tables[0].rows[0][:2] == ["ann", "13"]
    assert section.pictures[0].png.startswith(b"\x89PNG")


def test_examples_are_where_runs_differ_most(
    compared: Comparison, rows: dict[str, list[Row]], workplace: Path
) -> None:
    table = compared.baseline.table
    spread: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for lines in zip(rows["A"], rows["B"], rows["C"], strict=True):
        values = [miou([line]) for line in lines]
        key = (lines[0]["video"], lines[0]["sequence"])
        spread.setdefault(key, []).append((max(values) - min(values), lines[0]["name"]))
    best = sorted((max(found) for found in spread.values()), reverse=True)
    chosen = choose_frames(compared, 3)
    assert table.name[chosen].tolist() == [name for _, name in best[:3]]
    assert len(choose_frames(compared, 100)) == 5  # one a sequence
    alone = load_runs([str(workplace / "runs/fcn")], str(workplace / "runs/fcn"), None)
    worst = min((miou([row]), row["name"]) for row in rows["A"])
    assert table.name[choose_frames(alone, 1)].tolist() == [worst[1]]


def test_consistency_with_its_ceiling(compared: Comparison, workplace: Path) -> None:
    section = consistency_section(compared)
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["A", "B", "true masks"]
    assert section.remarks == ["C recorded no consistency and is left out."]
    header = list(table.csv_header)
    for line, folder, prefix in zip(
        table.csv_rows, ("fcn", "lstm", "lstm"), ("", "", "truth_"), strict=True
    ):
        with (workplace / "runs" / folder / "test" / "consistency.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for column in ("tc_none", "tc_none_lips", "area_jitter_eyes", "boundary_jitter_skin"):
            values = [float(cell) for row in rows if (cell := row[prefix + column])]
            assert line[header.index(column)] == pytest.approx(sum(values) / len(values))
        assert line[header.index("pairs")] == 13
    assert float(table.rows[2][1]) > float(table.rows[1][1]) > float(table.rows[0][1])


def test_no_run_or_another_flow_has_consistency(workplace: Path, tmp_path: Path) -> None:
    frames = str(workplace / "runs" / "frames")
    section = consistency_section(load_runs([frames], frames, None))
    assert section.remarks == ["Left out: no run recorded it (--record.flow)."]
    other = write_run(tmp_path / "other", workplace / "data", 0.2, flow="dis_ultrafast")
    runs = load_runs([str(other)], str(workplace / "runs" / "fcn"), None)
    section = consistency_section(runs)
    assert [row[0] for row in section.tables[0].rows] == ["fcn", "true masks"]
    assert section.remarks == ["other recorded another flow (dis_ultrafast) and is left out."]


def test_a_group_without_foreground_leaves_p_out(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", {"002": ("bob", [30, 31]), "003": ("ann", [1])})
    for name in ("002_000031", "003_000001"):
        path = str(root / "labels_orig" / f"{name}.png")
        mask = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(path, 0 * mask)
    folders = [str(write_run(tmp_path / n, root, e)) for n, e in (("a", 0.3), ("b", 0.1))]
    (table,) = scores_section(load_runs(folders[1:], folders[0], None), 10, 0).tables
    assert table.rows[1][-2:] == ["–", "–"]
    assert any(n.startswith("No P value and interval of b: One of 3 groups") for n in table.notes)


def test_errors_name_both_runs(workplace: Path, tmp_path: Path) -> None:
    fcn = str(workplace / "runs" / "fcn")
    other = write_data(tmp_path / "data", {"003": ("ann", [1, 2, 3])})
    foreign = str(write_run(tmp_path / "foreign", other))
    with pytest.raises(InputError, match=r"^fcn \(.*\) and foreign \(.*\) were scored on differ"):
        load_runs([foreign], fcn, None)
