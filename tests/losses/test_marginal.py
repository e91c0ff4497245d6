"""Labels that leave several classes open: the merge of Shi et al. 2021, before any loss."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.losses import (
    CompositeLoss,
    CrossEntropyLoss,
    IoULoss,
    SegmentationLoss,
    cross_entropy,
    iou_loss,
    merge_class_sets,
    segmentation_loss,
)
from facemask.losses.marginal import holds_class_sets, merging_temperature
from tests.losses import reference

SETS = (131, 135, 138, 152, 159)


def draw(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two clips of two frames, five classes; classes, sets and ignored pixels by turns."""
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(2, 2, 5, 4, 7, generator=generator, dtype=dtype)
    labels = torch.tensor([*range(5), *SETS, 255])
    return scores, labels[torch.arange(2 * 2 * 4 * 7) % len(labels)].view(2, 2, 4, 7)


def members(label: int) -> list[int]:
    """The bits of a set, by hand."""
    return [label] if label < 5 else [c for c in range(5) if label - 128 & 2**c]


def sum_of_probabilities(scores: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Mean of -log Σ p over the classes of each pixel's label, pixel by pixel.

    Pixels that may be anything are left out, as the ignored ones.
    """
    losses = []
    for vector, label in zip(
        scores.movedim(-3, -1).reshape(-1, 5), target.flatten().tolist(), strict=True
    ):
        if label not in (159, 255):
            p = torch.exp(vector / temperature) / torch.exp(vector / temperature).sum()
            losses.append(-torch.log(p[members(label)].sum()))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("temperature", [1.0, 0.25, 3.0])
def test_cross_entropy_is_minus_the_logarithm_of_the_sum(temperature: float) -> None:
    scores, target = draw()
    first, second = (scores.clone().requires_grad_() for _ in range(2))
    loss = cross_entropy(*merge_class_sets(first, target, temperature), temperature=temperature)
    expected = sum_of_probabilities(second, target, temperature)
    torch.testing.assert_close(loss, expected)
    torch.autograd.backward([loss, expected])
    assert second.grad is not None
    assert second.grad.abs().max() > 1e-3
    torch.testing.assert_close(first.grad, second.grad)


# two pixels, probabilities by hand; the first is background or skin, the second lips or inner mouth
PROBABILITIES = torch.tensor(
    [[0.3, 0.2, 0.4, 0.05, 0.05], [0.1, 0.1, 0.2, 0.25, 0.35]], dtype=torch.float64
)
LABELS = torch.tensor([131, 152])


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_losses_by_hand(temperature: float) -> None:
    scores = temperature * PROBABILITIES.log()
    merged, target = merge_class_sets(scores, LABELS, temperature)
    assert target.tolist() == [0, 3]
    p = torch.softmax(merged / temperature, dim=1)
    expected = torch.tensor([[0.5, 0, 0.4, 0.05, 0.05], [0.1, 0.1, 0.2, 0.6, 0]])
    torch.testing.assert_close(p, expected.double())

    def of(loss: Callable[..., Tensor], *options: object) -> float:
        return loss(merged, target, *options, temperature=temperature).item()

    assert of(cross_entropy) == pytest.approx(-(math.log(0.5) + math.log(0.6)) / 2)
    # IoU: background 0.5 / (1 + 0.1), lips 0.6 / (1 + 0.05); the other three occur nowhere: 0
    assert of(iou_loss) == pytest.approx(1 - (0.5 / 1.1 + 0.6 / 1.05) / 5)
    # Eq. 9 of softmax: both pixels are hit, g = f = 1, K (W_p + W_n) summed: 2 (2 + 2)
    # each pixel pays for the other's class: 0.05 of lips, 0.1 of background
    assert of(segmentation_loss, "linear") == pytest.approx((-0.5 - 0.6 + 0.05 + 0.1) / 8)
    # Eq. 8 sees logarithms, g = 1: the largest of the other classes' and 0, which is 0
    first, second = -math.log(0.5) + 1, -math.log(0.6) + 1
    # of the other pixel's class: log 0.05 - log 0.5 + 1 < 0, log 0.1 - log 0.6 + 1 < 0
    assert of(segmentation_loss, "hinge") == pytest.approx((first + second) / 8)


@pytest.mark.parametrize("form", ["linear", "hinge"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_segmentation_losses_equal_the_reference(form: str, temperature: float) -> None:
    scores, target = draw()
    activation = "softmax" if form == "linear" else None
    loss = SegmentationLoss(form, 1.0, temperature=temperature)  # type: ignore[arg-type]
    # the reference sees what the paper says: one score for all that a pixel may be
    frames, labels = scores.flatten(0, 1).movedim(1, -1).reshape(-1, 5), target.flatten()
    merged, ids = frames.clone(), labels.clone()
    for n, label in enumerate(labels.tolist()):
        if label == 159:
            ids[n] = 255
        elif label in SETS:
            inside = members(label)
            ids[n] = inside[0]
            merged[n, inside] = -300
            powers = [math.exp(float(frames[n, c]) / temperature) for c in inside]
            merged[n, inside[0]] = temperature * math.log(sum(powers))
    expected = reference.segmentation_loss(
        merged, ids, form, 1.0, activation=activation, temperature=temperature
    )
    found = loss(*merge_class_sets(scores, target, temperature))
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [SegmentationLoss(), SegmentationLoss("linear"), IoULoss()])
def test_gradients_are_those_of_finite_differences(loss: nn.Module) -> None:
    scores, target = draw()
    leaf = scores.clone().requires_grad_()
    torch.autograd.backward(loss(*merge_class_sets(leaf, target)))
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    step = 1e-6
    for place in torch.randint(scores.numel(), (40,)).tolist():
        moved = [scores.clone(), scores.clone()]
        moved[0].view(-1)[place] += step
        moved[1].view(-1)[place] -= step
        up, down = (float(loss(*merge_class_sets(s, target))) for s in moved)
        assert leaf.grad.view(-1)[place].item() == pytest.approx(
            (up - down) / (2 * step), abs=1e-7, rel=1e-4
        )


def test_a_set_has_no_say_in_how_its_classes_share() -> None:
    # of three equal scores the two of the set rise alike, and the third falls by what both rise
    scores = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(cross_entropy(*merge_class_sets(scores, torch.tensor([131]))))
    assert scores.grad is not None
    assert scores.grad.tolist() == [pytest.approx([-1 / 6, -1 / 6, 1 / 3])]


def test_without_sets_nothing_is_made() -> None:
    scores, target = draw()
    for dtype in (torch.uint8, torch.int16, torch.int64):
        plain = target.clamp(max=4).to(dtype)
        plain[0, 0, 0] = 255
        assert not holds_class_sets(plain)
        same, labels = merge_class_sets(scores, plain)
        assert same is scores
        assert labels is plain
    assert holds_class_sets(target)
    assert holds_class_sets(target.byte(), ignore_index=-100)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_layouts_and_types_agree(dtype: torch.dtype) -> None:
    scores, target = draw()
    merged, labels = merge_class_sets(scores, target.to(dtype))
    assert labels.dtype == torch.int64
    frames, flat = merge_class_sets(scores.flatten(0, 1), target.flatten(0, 1).to(dtype))
    torch.testing.assert_close(merged.flatten(0, 1), frames)
    assert torch.equal(labels.flatten(0, 1), flat)
    vectors, single = merge_class_sets(frames.new_tensor([[1.0, 2.0]]), torch.tensor([131]))
    assert vectors.tolist() == [[1.0, 2.0]]  # may be anything: ignored
    assert single.tolist() == [255]
    half = merge_class_sets(scores.half(), target)[0]
    assert half.dtype == torch.float32
    assert half.isfinite().all()


def test_other_pixels_stay_as_they_are() -> None:
    scores, target = draw(torch.float32)
    merged, labels = merge_class_sets(scores, target, temperature=0.3)
    closed = (target < 5) | (target == 255) | (target == 159)
    moved = closed.unsqueeze(2).expand_as(scores)
    assert torch.equal(merged[moved], scores[moved])
    assert torch.equal(labels[target < 5], target[target < 5])
    assert (labels[(target == 255) | (target == 159)] == 255).all()


@pytest.mark.parametrize(
    ("label", "classes", "message"),
    [
        (135, 2, "label 135, which is class 0 or 1 or 2, and scores of 2 classes: give .* 0 to 1"),
        (129, 5, "label 129 stands for no classes, expected 0 to 4, or 128 "),
        (160, 5, "label 160 stands for no classes"),
    ],
)
def test_bad_labels(label: int, classes: int, message: str) -> None:
    with pytest.raises(InputError, match=f"merge_class_sets.*{message}"):
        merge_class_sets(torch.zeros(1, classes), torch.tensor([label]))


def test_other_bad_input() -> None:
    scores, target = torch.zeros(2, 5), torch.tensor([131, 0])
    with pytest.raises(InputError, match="merge_class_sets got temperature 0"):
        merge_class_sets(scores, target, temperature=0)
    with pytest.raises(InputError, match="merge_class_sets got scores of shape"):
        merge_class_sets(scores, target[:1])


def test_a_losss_temperature() -> None:
    assert merging_temperature(nn.CrossEntropyLoss()) == 1.0
    assert merging_temperature(IoULoss(temperature=0.1)) == 0.1
    both = CompositeLoss(
        {"ce": CrossEntropyLoss(temperature=0.5), "seg": SegmentationLoss(temperature=0.5)}
    )
    assert merging_temperature(both) == 0.5
    mixed = CompositeLoss({"ce": CrossEntropyLoss(temperature=0.5), "iou": IoULoss()})
    with pytest.raises(InputError, match=r"several temperatures \(ce 0.5, iou 1\) and got labels"):
        merging_temperature(mixed)


@pytest.mark.parametrize(
    "loss", [SegmentationLoss("linear", activation=None), IoULoss(activation=None)]
)
def test_losses_that_cannot_take_merged_scores(loss: nn.Module) -> None:
    with pytest.raises(InputError, match=f"{type(loss).__name__} without an activation got labels"):
        merging_temperature(CompositeLoss({"raw": loss}))
