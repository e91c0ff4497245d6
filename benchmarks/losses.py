"""Time and memory of each loss, forward + backward, against the usual ones.

All losses see the same scores (10, 5, 320, 320), ten frames of the paper's batch, contiguous as the
networks give them, and take turns in one run; on a busy machine the shortest time says most.
From the checkout: `python benchmarks/losses.py`, as root after `chrt -f 10` to hold off other work.
segmentation_models.pytorch is optional: `pip install segmentation-models-pytorch`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.losses import iou_loss, segmentation_loss

try:
    from segmentation_models_pytorch.losses import JaccardLoss, LovaszLoss
except ImportError:
    JaccardLoss = LovaszLoss = None

FRAMES, CLASSES, SIZE = 10, 5, 320
WARM_UP, ROUNDS = 3, 25


def draw_masks() -> Tensor:
    """Faces as ellipses, int64 (N, H, W); a strip is ignored in each."""
    masks = np.zeros((FRAMES, SIZE, SIZE), dtype=np.uint8)
    for n, mask in enumerate(masks):
        for center, axes, class_id in (
            ((160, 165), (105, 135), 1),
            ((115, 125), (22, 8), 2),
            ((205, 125), (22, 8), 2),
            ((160, 230), (42, 18), 3),
            ((160, 230), (30, 6 + n), 4),
        ):
            cv2.ellipse(mask, center, axes, 0, 0, 360, class_id, -1)
        mask[:8] = 255
    return torch.from_numpy(masks).long()


def per_class_loop(scores: Tensor, target: Tensor) -> Tensor:
    """Eq. 9 as one would write it down: a loop over classes, autograd for the rest."""
    counted = target != 255
    predicted = scores.detach().argmax(1)
    numerator, weights = scores.new_zeros(()), scores.new_zeros(())
    truth = scores.gather(1, target.masked_fill(~counted, 0).unsqueeze(1)).squeeze(1)
    for t in range(scores.shape[1]):
        positive, guess = (target == t) & counted, (predicted == t) & counted
        union = (positive | guess).sum()
        if union == 0:
            continue
        W_p, W_n = 1 / union, (positive & guess).sum() / union**2
        others = counted & ~positive & ~(truth > scores[:, t])
        numerator = numerator - W_p * scores[:, t][positive].sum()
        numerator = numerator + W_n * scores[:, t][others].sum()
        weights = weights + W_p + W_n
    return numerator / (counted.sum() * weights)


def peak_memory(loss: Callable[[Tensor], Tensor], scores: Tensor) -> float:
    """Most memory alive above the scores themselves during forward + backward, in score tensors."""
    scores.grad = None
    with torch.profiler.profile(profile_memory=True) as profile:
        torch.autograd.backward(loss(scores))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        # each change of memory: the sums by operator have what is freed at the operator's start
        profile.export_chrome_trace(str(path))
        trace = json.loads(path.read_text())
    changes = [event for event in trace["traceEvents"] if event["name"] == "[memory]"]
    changes.sort(key=lambda event: event["ts"])
    peak: int = max(accumulate(event["args"]["Bytes"] for event in changes))
    return peak / scores.numel() / scores.element_size()


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    torch.manual_seed(0)
    target = draw_masks()
    one_hot = F.one_hot(target.clamp(max=CLASSES - 1), CLASSES).movedim(-1, 1)
    scores = torch.tanh(2 * one_hot - 1 + torch.randn(FRAMES, CLASSES, SIZE, SIZE))
    scores = scores.contiguous().requires_grad_()
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "torch cross_entropy": lambda s: F.cross_entropy(s, target, ignore_index=255),
        "segmentation_loss, Eq. 9": lambda s: segmentation_loss(s, target, "linear"),
        "the same at temperature 0.1": lambda s: segmentation_loss(
            s, target, "linear", temperature=0.1
        ),
        "the same without an activation": lambda s: segmentation_loss(
            s, target, "linear", activation=None
        ),
        "the same with soft weights": lambda s: segmentation_loss(
            s, target, "linear", weights="soft"
        ),
        "segmentation_loss, Eq. 8": lambda s: segmentation_loss(s, target, "hinge"),
        "iou_loss": lambda s: iou_loss(s, target),
        "Eq. 9 as a loop over classes": lambda s: per_class_loop(s, target),
    }
    torch.testing.assert_close(
        per_class_loop(scores, target), segmentation_loss(scores, target, "linear", activation=None)
    )
    if JaccardLoss is not None:
        jaccard = JaccardLoss("multiclass")  # it has no ignore_index: here it counts all pixels
        everything = target.masked_fill(target == 255, 0)
        ways["segmentation_models JaccardLoss"] = lambda s: jaccard(s, everything)
        lovasz = LovaszLoss("multiclass", ignore_index=255)
        ways["segmentation_models LovaszLoss"] = lambda s: lovasz(s, target)
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            scores.grad = None
            start = time.perf_counter()
            torch.autograd.backward(way(scores))
            milliseconds[name].append(1000 * (time.perf_counter() - start))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {ROUNDS} rounds")
    titles = ("median ms", "ratio", "least ms", "ratio", "memory")
    print(f"{'forward + backward':<36}", *(f"{title:>9}" for title in titles))
    first: tuple[float, float] | None = None
    for name, times in milliseconds.items():
        median, least = statistics.median(times[WARM_UP:]), min(times[WARM_UP:])
        first = first or (median, least)
        numbers = (median, median / first[0], least, least / first[1])
        memory = peak_memory(ways[name], scores)
        print(f"{name:<36}", *(f"{number:>9.2f}" for number in (*numbers, memory)))


if __name__ == "__main__":
    main()
