"""How well a cascade's confidence agrees with the truth, by what makes pictures hard.

    python examples/score_confidence.py CASCADE DATA --split default

CASCADE is a saved cascade, after `facemask calibrate`, or the name of shipped weights; DATA a data
set in the 300VW-Mask layout. Each of the pictures of its test side is scored as it is and made
harder in each of several ways: things are drawn before the face, light is taken away and so on.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from facemask.confidence import ConfidenceFit
from facemask.data.augment.occlusion import Occluders
from facemask.data.augment.transforms import ClipAugmentation
from facemask.data.vw300_mask import read_split
from facemask.extraction import load_model
from facemask.training.confidence import (
    ScoredMasks,
    score_confidence,
    score_masks,
    sentence_on_unsure,
    table_of,
)

NONE: dict[str, Any] = dict.fromkeys(
    ("flip", "rotate", "shift", "color", "gamma", "gray", "blur", "low_resolution", "compression",
     "noise", "occlusion"),
    0.0,
)  # fmt: skip
BAD_PICTURES = ("blur", "low_resolution", "compression", "noise", "lighting", "low_light")
THINGS = ("hand", "glasses", "object", "hair", "patch")


def harder(kind: str) -> ClipAugmentation | None:
    """What makes every picture harder in one way; None leaves it as it is."""
    if kind == "as it is":
        return None
    if kind in THINGS:
        probabilities: dict[str, Any] = dict.fromkeys(THINGS, 0.0) | {kind: 1.0}
        drawn = Occluders(**probabilities)
        return ClipAugmentation(**NONE, scale=(1.0, 1.0), occluders=drawn)
    return ClipAugmentation(**(NONE | {kind: 1.0}), scale=(1.0, 1.0))


def together(masks: list[ScoredMasks]) -> ScoredMasks:
    """All masks as one."""
    parts = [(m.expected, m.ious, m.known, m.video) for m in masks]
    expected, ious, known, video = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ScoredMasks(expected, ious, known, video)


def main() -> None:
    """Print a table for each way, and one of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cascade")
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="split_1")
    parser.add_argument("--pictures", type=int, default=100, help="of each way")
    options = parser.parse_args()
    cascade = load_model(options.cascade)
    frames = read_split(options.data, options.split, "test")
    fit = cascade.settings.confidence or ConfidenceFit()
    console = Console(width=110)
    scored = {}
    for seed, kind in enumerate(("as it is", *THINGS, *BAD_PICTURES)):
        scored[kind] = score_masks(cascade, frames, options.pictures, harder(kind), seed, plain=0.0)
    for kind, masks in (scored | {"all": together(list(scored.values()))}).items():
        confidence = score_confidence(masks, fit)
        table = table_of(masks, confidence)
        table.title = f"{kind}, in %"
        console.print(table, sentence_on_unsure(confidence))


if __name__ == "__main__":
    main()
