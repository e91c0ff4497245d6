"""The demo's models trained with three seeds and scored on 36 made-up videos that no run has seen.

Does the cascade beat its primary, and the primary the FCN? Run after `make demo`, from the same
folder. What is done is not done again: `python examples/compare_cascade.py` prints the table of
docs/cascade.md, and each seed's report is in demo/cascade/SEED/report.
"""

import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo import DATA, DEMO, REGIONS, fit_convlstm, fit_fcn, test, test_cascade
from facemask.cli import main as facemask
from unseen import COLUMNS, make_test_data, scores_of

SEEDS = (0, 1, 2)
MODELS = {
    "FCN": "fcn_face",
    "primary (ConvLSTM-FCN)": "convlstm_face",
    "cascade": "cascade",
    "cascade of the three FCNs": "cascade_of_fcns",
}


def train_and_test(runs: Path, seed: int, data: Path) -> None:
    """All models of one seed, and the report that compares them."""
    seeded = ["--seed_everything", str(seed), "--data.seed", str(seed), "--data.root", str(DATA)]
    unseen = ["--data.root", str(data), "--data.split", "all"]
    fcns, convlstms = {}, {}
    for region in REGIONS:
        fcns[region] = fit_fcn(runs, region, *seeded)
        convlstms[region] = fit_convlstm(runs / f"convlstm_{region}", runs, region, *seeded)
    test("fcn", runs / "fcn_face", "--ckpt_path", str(fcns["face"]), *unseen)
    test("convlstm_fcn", runs / "convlstm_face", "--ckpt_path", str(convlstms["face"]), *unseen)
    test_cascade(runs / "cascade", convlstms, *unseen)
    test_cascade(runs / "cascade_of_fcns", fcns, *unseen)
    if not (runs / "report").is_dir():
        folders = [str(runs / name) for name in MODELS.values()]
        facemask(["report", *folders[1:], "--baseline", folders[0], "--out", str(runs / "report")])


def main() -> None:
    """Train and score everything, then print the table."""
    if not (DATA / "data_splits").is_dir():
        raise SystemExit(f"{DATA} does not exist: run `make demo` first.")
    data = make_test_data()
    for seed in SEEDS:
        train_and_test(DEMO / "cascade" / str(seed), seed, data)
    table = Table("", *COLUMNS, title=f"IoU in % on made-up faces, mean of {len(SEEDS)} seeds")
    for title, name in MODELS.items():
        rows = [scores_of(DEMO / "cascade" / str(seed) / name) for seed in SEEDS]
        cells = []
        for column in COLUMNS:
            values = [row[column] for row in rows]
            cells.append(f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}")
        table.add_row(title, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
