"""Confidence of a cascade, fitted and scored on masks whose truth is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_SETS, FACE_CLASSES, IGNORE
from facemask.confidence import UNSURE, ConfidenceFit, expected_ious
from facemask.data.augment.occlusion import Occluders
from facemask.data.augment.transforms import ClipAugmentation, ClipTransform
from facemask.data.clips import read_frame
from facemask.data.vw300_mask import Frame
from facemask.errors import InputError
from facemask.metrics.confidence import agreement, fit_confidence
from facemask.models.cascade.cascade import Cascade
from facemask.models.own_network import evaluating
from facemask.progress import Bars
from facemask.terminal import console_for_words, print_table

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]

_FOLDS: Final = 5
"""Parts that videos are shared out to: each is scored with a fit to the others."""


def calibrate_confidence(
    cascade: Cascade, frames: Sequence[Frame], pictures: int = 800, seed: int = 0
) -> ConfidenceFit:
    """Fit the confidence in a cascade's masks, and print how it agrees with the truth.

    The same pictures always give the same fit. What is printed is the confidence by fits to other
    videos, where there are several.

    Args:
        cascade: The networks, on their device.
        frames: Frames with labels that no network was trained on.
        pictures: Number of pictures, most of them made harder.
        seed: Decides how, and how the videos are shared out.

    Raises:
        InputError: There are no frames, or a file cannot be read.
    """
    console = console_for_words()
    console.print(
        f"Confidence is compared with the truth on {pictures} pictures of the validation side, "
        "most of them made harder:"
    )
    with Bars(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Pictures", total=pictures)
        masks = score_masks(
            cascade, frames, pictures, harder_pictures(), seed,
            on_picture=lambda: progress.advance(task),
        )  # fmt: skip
    fit = masks.fit()
    of_others = score_on_others(masks, seed)
    scored = score_confidence(masks, fit) if of_others is None else of_others
    before = score_confidence(masks, cascade.settings.confidence or ConfidenceFit())
    fitted_on = "the same pictures, as there is one video" if of_others is None else "other videos"
    console.print(
        f"Confidence in {pictures} masks of the validation side, most of them of pictures made "
        f"harder, by a fit to {fitted_on}, in %:"
    )
    print_table(table_of(masks, scored, before), console)
    console.print(sentence_on_unsure(scored))
    return fit


def harder_pictures() -> ClipAugmentation:
    """Return what makes pictures harder: covered, dark, blurred, small, noisy or turned faces."""
    return ClipAugmentation(
        flip=0, rotate=20, scale=(0.9, 1.1), shift=0.05, border="reflect", color=0.3, blur=0.3,
        low_resolution=0.3, compression=0.3, noise=0.2, occlusion=0.1, lighting=0.2, low_light=0.25,
        occluders=Occluders(hand=0.2, glasses=0.12, object=0.15, hair=0.12, patch=0.15),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ScoredMasks:
    """Masks of single pictures: what is to be expected of them, and what is true.

    Attributes:
        expected: `expected_ious` of each, (N, 4).
        ious: The true IoU of skin, eyes, lips and inner mouth, (N, 4); NaN for a class that is
            neither there nor labelled, or that the truth does not tell.
        known: Whether the truth tells the class, (N, 4).
        video: Number of the video that each is of, from 0, int64 (N,).
    """

    expected: Floats
    ious: Floats
    known: Bools
    video: npt.NDArray[np.int64]

    def of(self, chosen: Bools) -> "ScoredMasks":
        """Return some of the masks; chosen is (N,)."""
        return ScoredMasks(
            self.expected[chosen], self.ious[chosen], self.known[chosen], self.video[chosen]
        )

    def fit(self) -> ConfidenceFit:
        """Return the confidence fitted to them."""
        return fit_confidence(self.expected, self.ious, self.known)


def score_masks(
    cascade: Cascade,
    frames: Sequence[Frame],
    pictures: int,
    harder: ClipTransform | None = None,
    seed: int = 0,
    *,
    plain: float = 0.25,
    on_picture: Callable[[], None] | None = None,
) -> ScoredMasks:
    """Label pictures one by one, and note what is to be expected of their masks and what is true.

    Frames are taken evenly; where there are fewer than pictures, each several times.

    Args:
        cascade: The networks, on their device.
        frames: Frames with labels.
        pictures: Number of pictures.
        harder: What changes pictures; None leaves all as they are.
        seed: Decides how.
        plain: Share of pictures that are left as they are all the same.
        on_picture: Called after each picture.

    Raises:
        InputError: There are no frames, or a file cannot be read.
    """
    if not frames:
        raise InputError("There are no frames to score masks of: give a data set that has some.")
    device = next(cascade.parameters()).device
    random = np.random.default_rng(seed)
    steps = np.arange(pictures) * max(len(frames), pictures) // pictures
    chosen = [frames[step % len(frames)] for step in steps]
    expected, true = [], []
    for frame in chosen:
        image, mask = read_frame(frame)
        if harder is not None and random.random() >= plain:
            (image,), (mask,) = harder([image], [mask], seed=int(random.integers(2**32)))
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
        with evaluating(cascade), torch.inference_mode():
            output = cascade([[pixels]], probabilities=True)
        labels = output.labels[0][0].cpu().numpy()
        [[probabilities]] = output.probabilities or [[torch.empty(0)]]
        expected.append(expected_ious(labels, probabilities.cpu().numpy()))
        true.append(true_ious(labels, mask))
        if on_picture is not None:
            on_picture()
    ious, known = (np.array(part) for part in zip(*true, strict=True))
    videos = np.unique([frame.video for frame in chosen], return_inverse=True)[1]
    return ScoredMasks(np.array(expected), ious, known, videos.astype(np.int64))


def true_ious(labels: Labels, truth: Labels) -> tuple[Floats, Bools]:
    """Return the IoU of skin, eyes, lips and inner mouth, and whether the truth tells each.

    Args:
        labels: Class ids of a mask, uint8 (H, W).
        truth: The true ones; 255 does not count, and of a class that a label leaves open
            (`facemask.classes.OPEN`) nothing is known in this picture.

    Returns:
        float64 (4,), NaN for a class that neither has or that is not known; bool (4,).
    """
    there = np.unique(truth).tolist()
    left_open = {c for label in there for c in CLASS_SETS.get(label, ())}
    known = np.array([c not in left_open for c in range(1, len(FACE_CLASSES) + 1)])
    ious = np.full(len(FACE_CLASSES), np.nan)
    counted = truth != IGNORE
    for i in np.flatnonzero(known):
        one, other = (labels == i + 1) & counted, truth == i + 1
        if union := np.count_nonzero(one | other):
            ious[i] = np.count_nonzero(one & other) / union
    return ious, known


@dataclass(frozen=True, eq=False)
class ScoredConfidence:
    """Confidence in some masks beside the truth.

    Attributes:
        parts: Confidence in each class, (N, 4).
        masks: Confidence in each mask, (N,).
        true: True mean IoU of each mask, (N,); NaN where the truth does not tell all classes.
    """

    parts: Floats
    masks: Floats
    true: Floats


def score_confidence(masks: ScoredMasks, fit: ConfidenceFit) -> ScoredConfidence:
    """Return the confidence that a fit has in masks."""
    parts = fit.parts(masks.expected)
    true = ConfidenceFit(missed=(0.0, 0.0, 0.0, 0.0)).mean(masks.ious)
    whole = masks.known.all(axis=1)
    return ScoredConfidence(parts, fit.mean(parts), np.where(whole, true, np.nan))


def score_on_others(masks: ScoredMasks, seed: int = 0) -> ScoredConfidence | None:
    """Return the confidence in each mask by a fit to other videos; None for a single video.

    Args:
        masks: Masks of several videos, which are shared out to five parts.
        seed: Decides how.
    """
    videos = int(masks.video.max(initial=-1)) + 1
    if videos < 2:
        return None
    part = np.random.default_rng(seed).permutation(videos) % _FOLDS
    scored = score_confidence(masks, ConfidenceFit())
    for fold in range(min(_FOLDS, videos)):
        inside = part[masks.video] == fold
        of_fold = score_confidence(masks.of(inside), masks.of(~inside).fit())
        scored.parts[inside], scored.masks[inside] = of_fold.parts, of_fold.masks
    return scored


def table_of(
    masks: ScoredMasks, scored: ScoredConfidence, before: ScoredConfidence | None = None
) -> Table:
    """Return a table of confidence and truth, class by class and of whole masks, also before."""
    table = Table("", "masks", "IoU", "expected", "rank correlation", "error", "calibration error")
    for c, name in enumerate(FACE_CLASSES):
        both = ~np.isnan(scored.parts[:, c]) & ~np.isnan(masks.ious[:, c])
        table.add_row(name, *_cells(scored.parts[both, c], masks.ious[both, c]))
    table.add_section()
    for name, of_masks in {"mask": scored, "mask, before": before}.items():
        if of_masks is not None:
            whole = ~np.isnan(of_masks.true)
            table.add_row(name, *_cells(of_masks.masks[whole], of_masks.true[whole]))
    return table


def _cells(confidence: Floats, truth: Floats) -> list[str]:
    if len(truth) < 2:
        return [str(len(truth)), *["–"] * 5]
    rank, error, _, calibration_error = agreement(confidence, truth)
    shares = (f"{100 * share:.1f}" for share in (error, calibration_error))
    means = (f"{100 * float(values.mean()):.1f}" for values in (truth, confidence))
    return [str(len(truth)), *means, f"{rank:.2f}", *shares]


def sentence_on_unsure(scored: ScoredConfidence) -> str:
    """Return a sentence on the masks that are flagged."""
    whole = ~np.isnan(scored.true)
    unsure = scored.masks[whole] < UNSURE
    true = scored.true[whole]
    start = f"{100 * unsure.mean():.0f} % of the masks are unsure (confidence below {UNSURE:g})"
    if unsure.all() or not unsure.any():
        return f"{start}."
    low, high = (100 * float(true[chosen].mean()) for chosen in (unsure, ~unsure))
    return f"{start}: their mIoU is {low:.1f}, that of the others {high:.1f}."
