"""Gradients written by hand against torch's own, and what they ask for."""

from functools import partial

import pytest
import torch
from torch import Tensor

from facemask.losses import IoULoss, SegmentationLoss, _by_hand
from facemask.losses import segmentation as module
from tests.losses.test_segmentation import draw, gradient


def test_a_batch_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, target = draw()
    for loss_function in (
        SegmentationLoss("linear", 0.1, temperature=0.5),
        SegmentationLoss("hinge", temperature=0.5),
        SegmentationLoss("linear", 0.1, "soft", "tanh"),
        IoULoss(temperature=0.5),
    ):
        loss = partial(loss_function, target=target)
        results = []
        for frames in (6, 4, 2, 1):  # and twice as many with several threads
            monkeypatch.setattr(_by_hand, "_PART", frames * scores[0, 0].numel())
            results.append((loss(scores), gradient(scores, loss)))
        for result in results[1:]:
            torch.testing.assert_close(result, results[0])


def naive(scores: Tensor, target: Tensor, form: str, margin: float, temperature: float) -> Tensor:
    """Eqs. 7 to 9 of softmax with torch's own gradient; nothing ignored, no class empty."""
    p = (scores / temperature).softmax(dim=1)
    truth = torch.nn.functional.one_hot(target, scores.shape[1]).movedim(-1, 1).bool()
    guess = torch.zeros_like(truth).scatter(1, p.argmax(dim=1, keepdim=True), value=True)
    g, f = ((guess & truth).sum((0, 2, 3)), (guess | truth).sum((0, 2, 3)))
    W_p, W_n = (1 / f).double(), g / f.double() ** 2
    own = p.gather(1, target.unsqueeze(1))
    if form == "linear":
        L_p, L_n = -own, torch.where(own > p + margin, 0.0, p)
    else:
        rival = torch.where(truth, 0.0, p).amax(dim=1, keepdim=True)
        L_p, L_n = (rival - own + margin).clamp(min=0), (p - own + margin).clamp(min=0)
    loss = torch.where(truth, W_p.view(-1, 1, 1) * L_p, W_n.view(-1, 1, 1) * L_n).sum()
    return loss / (target.numel() * (W_p + W_n).sum())


@pytest.mark.parametrize("temperature", [0.25, 3.0])
@pytest.mark.parametrize(("form", "margin"), [("linear", 1.0), ("linear", 0.2), ("hinge", 0.3)])
def test_the_gradient_through_softmax_and_temperature(
    form: module.Form, margin: float, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 9, (3, 5, 6), generator=generator).clamp(max=3)
    loss = SegmentationLoss(form, margin, activation="softmax", temperature=temperature)
    torch.testing.assert_close(
        gradient(scores, lambda s: loss(s, target)),
        gradient(scores, lambda s: naive(s, target, form, margin, temperature)),
    )


def test_softmax_by_hand() -> None:
    # p = (1, 4, 5) / 10 at temperature 2; the truth is class 1, so g = 0 and W_n = 0 for all,
    # unions are 0, 1, 1 and the sum of weights is 2: loss = -0.4 / 2
    scores = 2 * torch.tensor([[1.0, 4.0, 5.0]]).log()
    loss = partial(SegmentationLoss("linear", 0.0, temperature=2.0), target=torch.tensor([1]))
    assert loss(scores).item() == pytest.approx(-0.2)
    # dp[1]/dz = p[1] · (0 - p[0], 1 - p[1], 0 - p[2]); z = scores / 2
    expected = torch.tensor([[0.4 * 0.1, -0.4 * 0.6, 0.4 * 0.5]]) / 2 / 2
    torch.testing.assert_close(gradient(scores, loss), expected)


@pytest.mark.parametrize(("right", "rises"), [(4, False), (5, True)])
def test_the_leading_class_rises_where_that_lifts_its_iou(right: int, rises: bool) -> None:
    # ten pixels that look alike, of which `right` are of class 1, which leads; ten hits beside
    # them. IoU = (10 + right) / 20; threshold IoU / (1 + IoU): 0.41 for 4, 0.43 for 5
    scores = torch.tensor([[0.3, 0.4]]).repeat(20, 1)
    target = torch.tensor([1] * right + [0] * (10 - right) + [1] * 10)
    iou = (10 + right) / 20
    assert (right / 10 > iou / (1 + iou)) == rises
    slopes = []
    for margin in (0.0, 2.0):
        loss = SegmentationLoss("linear", margin, activation=None)
        slopes.append(gradient(scores, partial(loss, target=target)))
    for slope in slopes:
        assert (slope[:10, 1].sum() < 0) == rises
    # with g = 0 nothing holds the other class down, whose posterior here is 0.6 or 0.5
    assert slopes[0][:10, 0].sum() < 0
    assert not slopes[0][:right, 0].any()
