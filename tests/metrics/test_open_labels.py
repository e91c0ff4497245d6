"""Masks that leave classes open, counted."""

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask.errors import InputError
from facemask.metrics import FrameCounts, MaskIoU, confusion_matrix
from facemask.metrics.open_labels import count_open
from facemask.metrics.operating_point import ScoredPixels, fit_offsets, operating_point

# nine pixels: 131 is background or skin, 138 skin or lips
TARGET = torch.tensor([131, 131, 131, 138, 138, 2, 2, 3, 255], dtype=torch.uint8)
GUESS = torch.tensor([0, 1, 2, 1, 4, 2, 1, 3, 2])


def counted_by_hand(prediction: Tensor, target: Tensor) -> list[list[int]]:
    matrix = np.zeros((5, 5), int)
    for guess, label in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        members = [label] if label < 5 else [c for c in range(5) if (label - 128) >> c & 1]
        if label != 255 and (len(members) == 1 or guess not in members):
            matrix[members[0], guess] += 1
    table: list[list[int]] = matrix.tolist()
    return table


def test_by_hand() -> None:
    counts = count_open(GUESS, TARGET, 5)
    expected = [[0] * 5 for _ in range(5)]
    expected[0][2] = 1  # background or skin, and eyes were said
    expected[1][4] = 1  # skin or lips, and inner mouth was said
    expected[2][2] = expected[2][1] = expected[3][3] = 1
    assert counts.confusion.tolist() == expected
    assert counts.labelled.tolist() == [0, 0, 2, 1, 0]
    assert counts.possible.tolist() == [3, 5, 0, 2, 0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_equals_the_definition(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([*range(5), 131, 135, 138, 152, 159, 255])
    target = labels[torch.randint(len(labels), (3, 40, 50), generator=generator)].to(dtype)
    guess = torch.randint(5, target.shape, generator=generator)
    counts = count_open(guess, target, 5)
    assert counts.confusion.tolist() == counted_by_hand(guess, target)
    plain = torch.where(target < 5, target, 255)
    counts = count_open(guess, plain, 5)
    assert torch.equal(counts.confusion, confusion_matrix(guess, plain, 5))
    assert torch.equal(counts.labelled, counts.confusion.sum(dim=1))
    assert not counts.possible.any()


def test_classes_that_are_never_certain_have_no_iou() -> None:
    metric = MaskIoU(class_sets=True)
    metric.update(GUESS[None], TARGET[None])
    values = {name: float(value) for name, value in metric.compute().items()}
    assert list(metric.unsettled) == ["background", "skin"]
    assert np.isnan(values["iou_background"])
    assert np.isnan(values["iou_skin"])
    # eyes: 1 hit, 1 missed, 1 said of the background; inner mouth: said where it cannot be
    assert values["iou_eyes"] == pytest.approx(1 / 3)
    assert values["iou_lips"] == 1
    assert values["iou_inner_mouth"] == 0
    assert values["miou"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert values["pixel_accuracy"] == pytest.approx(2 / 5)

    # one pixel of skin settles it: nothing of it is hit, and it is said of an eye
    metric.update(torch.tensor([0]), torch.tensor([1]))
    values = {name: float(value) for name, value in metric.compute().items()}
    assert list(metric.unsettled) == ["background"]
    assert values["iou_skin"] == 0
    assert values["miou"] == pytest.approx((0 + 1 / 3 + 1 + 0) / 4)


def test_what_is_labelled_is_scored_as_on_full_labels() -> None:
    generator = torch.Generator().manual_seed(2)
    truth, guess = (torch.randint(5, (2, 30, 40), generator=generator) for _ in range(2))
    full, partial = MaskIoU(class_sets=True), MaskIoU(class_sets=True)
    full.update(guess, truth)
    partial.update(guess, torch.where(truth < 2, 131, truth))
    for name in ("iou_eyes", "iou_lips", "iou_inner_mouth"):
        assert full.compute()[name] == partial.compute()[name]


def test_scores_of_frames_of_several_sizes() -> None:
    scores = torch.nn.functional.one_hot(GUESS[None, None], 5).movedim(-1, 1).float()
    metric, other = MaskIoU(class_sets=True), MaskIoU(class_sets=True)
    metric.update(scores, [TARGET[None]])
    other.update(GUESS, TARGET)
    assert torch.equal(metric.confusion, other.confusion)
    assert torch.equal(metric.possible, other.possible)


def test_other_peoples_classes_stay_classes() -> None:
    metric = MaskIoU([f"class {i}" for i in range(150)])
    metric.update(torch.tensor([131, 2]), torch.tensor([131, 131]))
    assert float(metric.compute()["iou_class 131"]) == 0.5


def test_frame_counts() -> None:
    where = (["001", "001"], [1, 2], [0, 0], [0, 1])
    masks = [TARGET[None], torch.full((1, 9), 131)]
    guesses = [GUESS[None], torch.full((1, 9), 2)]
    counts = FrameCounts.from_masks(guesses, masks, *where, class_sets=True)
    assert counts.intersection.tolist() == [[0, 0, 1, 1, 0], [0] * 5]
    assert counts.union.tolist() == [[0, 0, 3, 1, 1], [0, 0, 9, 0, 0]]
    with pytest.raises(InputError, match="target holds class id 131"):
        FrameCounts.from_masks(guesses, masks, *where)


@pytest.mark.parametrize(
    ("guess", "target", "message"),
    [
        (0, 135, "target holds label 135, which is class 0 or 1 or 2: give sets of classes 0 to 1"),
        (0, 129, "target holds class id 129: give 0 to 1, or 255"),
        (0, 160, "target holds class id 160: give 0 to 1, or 255"),
        (2, 131, "prediction holds class id 2: give 0 to 1"),
        (-1, 131, "prediction holds class id -1"),
        (0.0, 131, "prediction holds float32"),
        (0, 131.0, "target holds float32"),
    ],
)
def test_bad_input(guess: float, target: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        count_open(torch.tensor([guess]), torch.tensor([target]), num_classes=2)
    with pytest.raises(InputError, match="prediction has shape"):
        count_open(torch.zeros(2).long(), torch.tensor([131]), num_classes=2)


def open_pixels(count: int, seed: int, videos: int = 1) -> ScoredPixels:
    """Pixels of four classes, most of which may be background or skin."""
    random = np.random.default_rng(seed)
    target = random.choice([131, 131, 131, 2, 2, 3, 134], count)
    scores = random.normal(0, 1.5, (count, 4))
    truth = np.array([0, 1, 2, 3] + [0] * 156)
    truth[134] = 1
    scores[np.arange(count), truth[target]] += 1.5
    return ScoredPixels(
        scores.astype(np.float32),
        target.astype(np.int64),
        random.integers(1, 4, count).astype(np.float64),
        random.integers(0, videos, count),
    )


def miou(pixels: ScoredPixels, offsets: list[float]) -> float:
    """Mean IoU of eyes and lips, by `MaskIoU`, each pixel as often as its weight says."""
    predicted = (pixels.scores + np.array(offsets, np.float32)).argmax(1)
    metric = MaskIoU(["background", "skin", "eyes", "lips"], class_sets=True)
    times = pixels.weight.astype(int)
    metric.update(
        torch.from_numpy(predicted.repeat(times)), torch.from_numpy(pixels.target.repeat(times))
    )
    return float(metric.compute()["miou"])


def test_offsets_are_fitted_to_what_the_metric_counts() -> None:
    pixels = open_pixels(300, seed=0)
    offsets = fit_offsets(pixels)
    assert offsets[:2].tolist() == [0, 0]  # nowhere for certain
    steps = np.arange(-3, 3.01, 0.25)
    best = max(miou(pixels, [0, 0, a, b]) for a in steps for b in steps)
    assert miou(pixels, offsets.tolist()) >= best - 0.003
    assert miou(pixels, offsets.tolist()) > miou(pixels, [0, 0, 0, 0]) + 0.01


def test_the_operating_point_leaves_out_what_is_never_certain() -> None:
    pixels = open_pixels(2000, seed=1, videos=6)
    point = operating_point(pixels)
    assert point.unsettled.tolist() == [True, True, False, False]
    assert not point.before[1].any()
    assert not point.before[:, 1].any()
    hit = np.diagonal(point.before)[2:]
    union = point.before.sum(0)[2:] + point.before.sum(1)[2:] - hit
    assert float(np.mean(hit / union)) == pytest.approx(miou(pixels, [0, 0, 0, 0]))
    assert point.gain > 0
