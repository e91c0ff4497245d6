"""Time to count one pair of 1280 × 720 masks, against a bare `torch.bincount` and torchmetrics.

All ways count the same masks, are checked to agree and are timed alternately in one run. From the
checkout: `OMP_WAIT_POLICY=PASSIVE python benchmarks/metrics.py`.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.classes import IGNORE, NUM_CLASSES
from facemask.metrics import MaskIoU

from torchmetrics.classification import MulticlassConfusionMatrix  # isort: skip  # after the mend

HEIGHT, WIDTH = 720, 1280
WARM_UP, ROUNDS = 10, 100


def smooth_mask(seed: int) -> Tensor:
    """Class ids in patches, like a mask, uint8 (HEIGHT, WIDTH)."""
    scores = torch.randn(1, NUM_CLASSES, 9, 16, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(scores, (HEIGHT, WIDTH), mode="bilinear")[0].argmax(0).byte()


def torchmetrics_way(prediction: Tensor, target: Tensor, validate: bool) -> Callable[[], Tensor]:
    metric = MulticlassConfusionMatrix(NUM_CLASSES, ignore_index=IGNORE, validate_args=validate)

    def count() -> Tensor:
        metric.reset()
        metric.update(prediction, target)
        return metric.confmat

    return count


def time_dtype(dtype: torch.dtype) -> None:
    prediction, target = smooth_mask(0), smooth_mask(1)
    target[:40] = IGNORE
    # pairs as one number, made beforehand: what is left to a bare bincount
    pairs = torch.where(target == IGNORE, NUM_CLASSES**2, target * NUM_CLASSES + prediction)
    pairs = pairs.to(dtype).flatten()
    prediction, target = prediction.to(dtype), target.to(dtype)
    labels = target.flatten()
    metric = MaskIoU()

    def bare() -> Tensor:
        counts = torch.bincount(pairs, minlength=NUM_CLASSES**2 + 1)
        return counts[:-1].view(NUM_CLASSES, NUM_CLASSES)

    def unchecked() -> Tensor:
        # what people write; right only without ignored pixels, and for few classes in uint8
        indices = (target * NUM_CLASSES + prediction).flatten()
        return torch.bincount(indices, minlength=NUM_CLASSES**2)

    def ours() -> Tensor:
        metric.reset()
        metric.update(prediction, target)
        return metric.confusion

    ways: dict[str, Callable[[], Tensor]] = {
        "torch.bincount of the target alone": lambda: torch.bincount(labels),
        "torch.bincount of ready-made pairs": bare,
        "bincount(target * 5 + prediction)": unchecked,
        "MaskIoU.update": ours,
        "torchmetrics, validate_args=False": torchmetrics_way(prediction, target, False),
        "torchmetrics, validate_args=True": torchmetrics_way(prediction, target, True),
    }
    for name, way in ways.items():
        if way not in (unchecked, ways["torch.bincount of the target alone"]):
            assert torch.equal(way(), bare()), name
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            milliseconds[name].append(1000 * (time.perf_counter() - start))
    medians = {name: statistics.median(times[WARM_UP:]) for name, times in milliseconds.items()}
    first, second = list(medians.values())[:2]
    print(f"\n{dtype}")
    print(f"{'':<36}{'median ms':>10}{'/ target':>10}{'/ pairs':>10}")
    for name, median in medians.items():
        print(f"{name:<36}{median:>10.2f}{median / first:>10.2f}{median / second:>10.2f}")


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {ROUNDS}")
    for dtype in (torch.uint8, torch.int64):
        time_dtype(dtype)


if __name__ == "__main__":
    main()
