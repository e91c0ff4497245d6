"""Tables over several seeds, against the same numbers worked out one by one."""

import csv
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest

from facemask.experiment.plan import PaperTable, Plan, Row
from facemask.experiment.seeds import scores_over_seeds
from facemask.experiment.tables import experiment_page
from facemask.report import Run, read_run
from facemask.report.page import Page
from facemask.report.runs import load_runs
from tests.report.runs import write_data, write_run

T_OF_THREE = 4.302653  # 97.5 % quantile of Student's t with two degrees of freedom


def table(positions: bool) -> PaperTable:
    return PaperTable(
        name="Table 4" if positions else "Table 5",
        title="t",
        baseline="fcn",
        columns=["T1"],
        rows=[Row(name="ConvLSTM", step="lstm"), Row(name="lost", step="lost")],
        positions=positions,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, list[tuple[Run, Run]], Path]:
    """The page of three seeds with two steps each (a third one of one seed only), and the runs."""
    place = tmp_path_factory.mktemp("seeds")
    root = write_data(place / "data")
    folders = []
    for seed, (before, after) in enumerate([(0.3, 0.1), (0.32, 0.2), (0.28, 0.05)]):
        write_run(place / str(seed) / "fcn", root, errors=before)
        write_run(place / str(seed) / "lstm", root, errors=after, clip_length=5)
        folders.append({step: place / str(seed) / step for step in ("fcn", "lstm")})
    folders[1]["lost"] = folders[1]["lstm"]
    plan = Plan(title="t", configs={}, steps={}, tables=[table(False), table(True)])
    runs = [(read_run(of["fcn"]), read_run(of["lstm"])) for of in folders]
    return experiment_page(plan, folders, {}, 3, 0), runs, place


def interval(values: list[float]) -> tuple[float, float]:
    return statistics.mean(values), T_OF_THREE * statistics.stdev(values) / 3**0.5


def rows_of(page: Page, number: int) -> list[dict[str, str]]:
    text = page.sections[number].tables[0].to_csv().decode()
    return list(csv.DictReader(text.splitlines()))


def test_scores_are_of_all_seeds_pixels_and_differences_of_pairs(
    found: tuple[Page, list[tuple[Run, Run]], Path],
) -> None:
    page, runs, _ = found
    baseline, lstm = rows_of(page, 0)
    intersection = sum(second.table.intersection.sum(axis=0) for _, second in runs)
    union = sum(second.table.union.sum(axis=0) for _, second in runs)
    iou = 100 * np.divide(intersection, union)
    assert float(lstm["iou_eyes"]) == pytest.approx(iou[2], abs=1e-3)
    assert float(lstm["miou"]) == pytest.approx(iou[1:].mean(), abs=1e-3)
    mean, half = interval([100 * (b.table.miou() - a.table.miou()) for a, b in runs])
    assert float(lstm["seeds_mean"]) == pytest.approx(mean, abs=1e-3)
    assert float(lstm["seeds_half_width"]) == pytest.approx(half, abs=1e-3)
    assert baseline["seeds_mean"] == ""
    header, cells = page.sections[0].tables[0].header, page.sections[0].tables[0].rows[1]
    assert dict(zip(header, cells, strict=True))["Over seeds"] == f"+{mean:.2f} ± {half:.2f}"
    assert float(lstm["interval_low"]) < float(lstm["difference"]) < float(lstm["interval_high"])


def test_places_in_the_clip_are_means_over_seeds(
    found: tuple[Page, list[tuple[Run, Run]], Path],
) -> None:
    page, runs, _ = found
    (row,) = rows_of(page, 1)
    by_hand = []
    for fcn, lstm in runs:
        gain = 100 * (lstm.table.frame_miou() - fcn.table.frame_miou())
        by_hand.append(float(gain[lstm.table.position == 2].mean()))
    mean, half = interval(by_hand)
    assert float(row["T3"]) == pytest.approx(mean, abs=1e-3)
    assert page.sections[1].tables[0].rows[0][3] == f"+{mean:.2f} ± {half:.2f}"


def test_a_step_that_one_seed_lacks_is_left_out(
    found: tuple[Page, list[tuple[Run, Run]], Path],
) -> None:
    assert [row["run"] for row in rows_of(found[0], 0)] == ["fcn", "ConvLSTM"]


def test_a_single_run_has_no_differences_over_seeds(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data")
    folders = [
        write_run(tmp_path / f"seed{s}/fcn", root, errors=e) for s, e in ((0, 0.1), (1, 0.3))
    ]
    section = scores_over_seeds([load_runs([str(f)], None, None) for f in folders], 10, 0)
    (scores,) = section.tables
    assert scores.header == ["Run", "mIoU", "skin", "eyes", "lips", "inner mouth", "background"]
    assert [row[0] for row in scores.rows] == ["fcn"]


def test_a_table_of_ones_own_says_how_many_were_scored_and_by_which_labels(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data")
    folders = {step: write_run(tmp_path / step, root) for step in ("fcn", "lstm")}
    for folder in folders.values():
        record = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps(record | {"pseudo_landmarks": True}))
    plan = Plan(title="t", configs={}, steps={}, tables=[table(False)])
    (section,) = experiment_page(plan, [folders], {}, 3, 0).sections
    assert section.text.startswith("The run '")
    assert "' has a mean agreement with dlib's landmarks (IoU) of" in section.text
    assert "over 19 frames of 2 subjects." in section.text
    assert "scores are agreement with dlib, not accuracy." in section.text


def test_a_table_of_ones_own_has_pictures(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data")
    folders = {
        step: write_run(tmp_path / step, root, errors=errors)
        for step, errors in (("fcn", 0.1), ("lstm", 0.3))
    }
    plan = Plan(title="t", configs={}, steps={}, tables=[table(False)])
    page = experiment_page(plan, [folders], {}, 3, 0)
    (picture,) = page.sections[0].pictures
    assert picture.file == page.sections[0].tables[0].file.replace(".csv", ".png")
    assert page.files()[picture.file].startswith(b"\x89PNG")
    assert len(page.sections[0].film) == 5  # frames, one a sequence
    assert picture.alt.startswith("5 frames, each with its true mask and the masks of 2 runs.")
    shutil.rmtree(root / "images_orig")
    gone = experiment_page(plan, [folders], {}, 3, 0).sections[0]
    assert (gone.pictures, [r[:10] for r in gone.remarks]) == ([], ["Left out: "])
