"""Masks of a real clip, then the whole method on data made on the spot; `make demo` runs it.

First the weights that come with the package extract the masks of a real talking head. Then
synth → prepare → an FCN and a ConvLSTM-FCN for face, eyes and mouth → the cascade → tests → report,
all in demo/. What an earlier run finished is not done again; a killed training goes on from its
last epoch. Run it from the root of the checkout.
"""

import os
import shutil
import time
from pathlib import Path

# before torch is imported; beside other programs, threads that spin while they wait cost a lot
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rich.console import Console
from rich.markdown import Markdown

from carphone import carphone
from facemask.cli import main as facemask
from facemask.models import Cascade, CascadeSettings

DEMO = Path("demo")
RUNS = DEMO / "runs"
DATA = DEMO / "data"
REGIONS = ("face", "eyes", "mouth")
# the ConvLSTM alone, which reads the FCN's frozen features from a cache: many epochs cost little
FROZEN = [
    "--model.gamma", "0", "--trainer.max_epochs", "12",
    "--model.feature_cache", str(DEMO / "features"), "--model.feature_variants", "3",
    "--data.num_workers", "0",
]  # fmt: skip
# rows of Table 9 between the FCN and the cascade: options of configs/demo/convlstm_fcn.yaml, whose
# loss is Eq. 9
CONVLSTMS = {
    "ConvLSTM + cross-entropy": [*FROZEN, "--model.loss", "facemask.losses.CrossEntropyLoss"],
    "ConvLSTM + IoU loss": [*FROZEN, "--model.loss", "facemask.losses.IoULoss"],
    "ConvLSTM + Eq. 8": [*FROZEN, "--model.loss.form", "hinge"],
    "ConvLSTM + Eq. 9": FROZEN,
    "Primary": [],
}


def fit(config: str, folder: Path, *options: str) -> Path:
    """Train, go on with, or skip what is trained, and return the best checkpoint."""
    done = folder / "done"
    if not done.is_file():
        last = folder / "last.ckpt"
        resume = ["--ckpt_path", str(last)] if last.is_file() else []
        facemask(["fit", "-c", f"configs/demo/{config}.yaml", *into(folder), *options,
                  "--trainer.callbacks.init_args.dirpath", str(folder), *resume])  # fmt: skip
        done.touch()
    return folder / "best.ckpt"


def into(folder: Path) -> list[str]:
    """The options that make a folder the place of a run."""
    return ["--trainer.logger.save_dir", str(folder.parent), "--trainer.logger.name", folder.name]


def of_region(region: str) -> list[str]:
    """The options that train on a region."""
    return ["--model.region", region, "--data.region", region]


def fit_fcn(runs: Path, region: str, *options: str) -> Path:
    """Step 1 of a region: an FCN on single frames."""
    return fit("fcn", runs / f"fcn_{region}", *of_region(region), *options)


def fit_convlstm(folder: Path, runs: Path, region: str, *options: str) -> Path:
    """Step 2 of a region: its FCN turned into a ConvLSTM-FCN, on clips."""
    start = ["--model.init_from", str(runs / f"fcn_{region}" / "best.ckpt")]
    return fit("convlstm_fcn", folder, *of_region(region), *start, *options)


def test(config: str, folder: Path, *options: str) -> None:
    """Score on the test side; the folder's test/ gets the record that the report reads."""
    if not (folder / "test" / "record.json").is_file():
        facemask(["test", "-c", f"configs/demo/{config}.yaml", *into(folder), *options])


def test_cascade(folder: Path, networks: dict[str, Path], *options: str) -> None:
    """Score the cascade of three checkpoints, by region."""
    test("cascade", folder, "--model.primary", str(networks["face"]),
         "--model.eyes", str(networks["eyes"]), "--model.mouth", str(networks["mouth"]),
         *options)  # fmt: skip


def save_cascade(networks: dict[str, Path]) -> None:
    """Write the file that `facemask extract --model` takes."""
    settings = CascadeSettings(size=128)
    cascade = Cascade.from_checkpoints(
        networks["face"], networks["eyes"], networks["mouth"], settings
    )
    cascade.save(DEMO / "cascade.safetensors")


def main() -> None:
    """Run every step."""
    start = time.monotonic()
    clip = carphone()
    facemask(["extract", str(clip), "--out", str(DEMO / "carphone")])
    print(f"A real clip with its masks: {DEMO / 'carphone' / clip.stem}.overlay.mp4", flush=True)
    videos = str(DEMO / "videos")
    facemask(["synth", videos, "--videos", "36", "--seconds", "0.5", "--seed", "1"])
    facemask(["prepare", videos, str(DATA), "--fraction", "1"])

    for region in REGIONS:
        fit_fcn(RUNS, region)
    networks = {
        region: fit_convlstm(RUNS / f"convlstm_{region}", RUNS, region)
        for region in ("eyes", "mouth")
    }
    tested = {"FCN": RUNS / "fcn_face"}
    test("fcn", tested["FCN"], "--ckpt_path", str(tested["FCN"] / "best.ckpt"))
    for number, (name, options) in enumerate(CONVLSTMS.items(), start=1):
        tested[name] = RUNS / f"convlstm_face_{number}"
        best = fit_convlstm(tested[name], RUNS, "face", *options)
        test("convlstm_fcn", tested[name], "--ckpt_path", str(best))
    tested["Primary + eyes + mouth"] = RUNS / "cascade"
    networks["face"] = tested["Primary"] / "best.ckpt"
    test_cascade(RUNS / "cascade", networks)
    save_cascade(networks)

    report = DEMO / "report"
    shutil.rmtree(report, ignore_errors=True)
    baseline, *others = (str(folder) for folder in tested.values())
    names = f"[{', '.join(tested)}]"
    facemask(["report", *others, "--baseline", baseline, "--names", names, "--out", str(report)])
    console = Console()
    accuracy = (report / "report.md").read_text(encoding="utf-8").split("\n## ")[1]
    console.print(Markdown(f"## {accuracy}"))
    console.print("The test side is four short videos: a few points up or down are chance.")
    console.print(f"All tables and figures: {report}/report.html "
                  f"({time.monotonic() - start:.0f} s in all)")  # fmt: skip
    console.print("For your videos: facemask extract clip.mp4 (real faces need the weights that "
                  "come with the package, not the demo's)")  # fmt: skip


if __name__ == "__main__":
    main()
