import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask.errors import InputError
from facemask.losses import SegmentationLoss, segmentation_loss
from facemask.losses import segmentation as module
from facemask.losses._pixels import Activation
from tests.losses import reference

# three pixels of three classes: hit, miss, ignored; a fourth is a hit of class 2
SCORES = torch.tensor(
    [[0.75, -0.25, 0.5], [0.5, 0.25, -0.5], [0.9, 0.9, 0.9], [-0.5, 0.125, 0.25]],
    dtype=torch.float64,
)
TARGET = torch.tensor([0, 1, 255, 2])
# arg-max: 0, 0, -, 2. Class 0: g 1, f 2; class 1: g 0, f 1; class 2: g 1, f 1; K 3
W_P, W_N = (1 / 2, 1.0, 1.0), (1 / 4, 0.0, 1.0)
DENOMINATOR = 3 * (1 / 2 + 1 + 1 + 1 / 4 + 0 + 1)


def draw(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two clips of three frames, four classes unequally often, some pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.tanh(torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=dtype))
    target = torch.randint(0, 9, (2, 3, 5, 6), generator=generator).clamp(max=3)
    target[0, 1, :3] = 255
    target[1, 2, 0, ::2] = 255
    return scores, target


def gradient(scores: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    leaf = scores.clone().requires_grad_()
    torch.autograd.backward(loss(leaf))
    assert leaf.grad is not None
    return leaf.grad


def test_linear_by_hand() -> None:
    # pixel 0 (class 0): L_p = -0.75; 0.75 > -0.25 and 0.75 > 0.5: no negative loss
    # pixel 1 (class 1): L_p = -0.25; 0.25 > 0.5 fails: 0.5 for class 0; class 2 is below
    # pixel 3 (class 2): L_p = -0.25; class 0 and 1 are below
    numerator = -0.75 * W_P[0] - 0.25 * W_P[1] + 0.5 * W_N[0] - 0.25 * W_P[2]
    assert segmentation_loss(SCORES, TARGET, "linear", activation=None).item() == pytest.approx(
        numerator / DENOMINATOR
    )
    # margin 0.25: 0.75 > 0.5 + 0.25 is strict, so pixel 0 now pays for class 2; pixel 3 pays
    # for class 1: 0.25 > 0.125 + 0.25 fails
    numerator += 0.5 * W_N[2] + 0.125 * W_N[1]
    loss = segmentation_loss(SCORES, TARGET, "linear", 0.25, activation=None)
    assert loss.item() == pytest.approx(numerator / DENOMINATOR)


def test_hinge_by_hand() -> None:
    # pixel 0: max(0, -0.25, 0.5) - 0.75 + 1 = 0.75; L_n[1] = 0, L_n[2] = 0.75
    # pixel 1: max(0.5, 0, -0.5) - 0.25 + 1 = 1.25; L_n[0] = 1.25, L_n[2] = 0.25
    # pixel 3: max(-0.5, 0.125, 0) - 0.25 + 1 = 0.875; L_n[0] = 0.25, L_n[1] = 0.875
    numerator = 0.75 * W_P[0] + 0 * W_N[1] + 0.75 * W_N[2]
    numerator += 1.25 * W_P[1] + 1.25 * W_N[0] + 0.25 * W_N[2]
    numerator += 0.875 * W_P[2] + 0.25 * W_N[0] + 0.875 * W_N[1]
    loss = segmentation_loss(SCORES, TARGET, form="hinge", margin=1.0)
    assert loss.item() == pytest.approx(numerator / DENOMINATOR)


def test_hinge_counts_the_true_classes_entry_as_zero() -> None:
    # all other scores are below 0, so the maximum of PR ∘ (GT)⁻¹ is the true class's 0:
    # L_p = 0 - 0.5 + 1; over the others alone it would be -0.25 - 0.5 + 1
    scores = torch.tensor([[0.5, -0.25, -0.75]])
    leaf = scores.clone().requires_grad_()
    loss = segmentation_loss(leaf, torch.tensor([0]), form="hinge", margin=1.0)
    # W_p = W_n = 1 for class 0, other unions are empty
    assert loss.item() == pytest.approx(0.5 / 2)
    torch.autograd.backward(loss)
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [[-0.5, 0, 0]]


def test_gradient_by_hand() -> None:
    result = gradient(SCORES, lambda s: segmentation_loss(s, TARGET, "linear", activation=None))
    result *= DENOMINATOR
    assert result.tolist() == [
        [pytest.approx(-W_P[0]), 0, 0],
        [pytest.approx(W_N[0]), pytest.approx(-W_P[1]), 0],
        [0, 0, 0],
        [0, 0, pytest.approx(-W_P[2])],
    ]


@pytest.mark.parametrize("weights", ["hard", "soft"])
@pytest.mark.parametrize(("activation", "temperature"), [(None, 1), ("tanh", 2), ("softmax", 0.5)])
@pytest.mark.parametrize(
    ("form", "margin"), [("linear", 0), ("linear", 0.1), ("hinge", 1), ("hinge", 0.25)]
)
def test_equals_the_transcription(
    form: module.Form,
    margin: float,
    activation: Activation | None,
    temperature: float,
    weights: module.Weights,
) -> None:
    scores, target = draw()
    for background, ignore in itertools.product((True, form == "linear"), (255, 2)):
        options = (form, margin, weights, activation, background, ignore, temperature)
        known = target.masked_fill(target == 255, ignore)
        expected = reference.segmentation_loss(scores, known, *options)
        assert segmentation_loss(scores, known, *options).item() == pytest.approx(expected)
        loss = SegmentationLoss(*options)(scores.float(), known.to(torch.uint8))
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_layouts_agree() -> None:
    scores, target = draw()
    expected = reference.segmentation_loss(scores, target, "hinge", 1.0)
    frames = scores.flatten(0, 1)
    vectors = scores.movedim(2, -1).reshape(-1, 4)
    last = frames.contiguous(memory_format=torch.channels_last)
    for s, t in (
        (frames, target.flatten(0, 1)),
        (last, target.flatten(0, 1)),
        (vectors, target.flatten()),
        (scores.transpose(0, 1), target.transpose(0, 1)),
    ):
        for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64):
            assert segmentation_loss(s, t.to(dtype), "hinge", 1.0).item() == pytest.approx(expected)
    one = gradient(frames, lambda s: segmentation_loss(s, target.flatten(0, 1), "hinge", 1.0))
    two = gradient(last, lambda s: segmentation_loss(s, target.flatten(0, 1), "hinge", 1.0))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("activation", [None, "tanh", "softmax"])
@pytest.mark.parametrize(("form", "margin"), [("linear", 0.1), ("hinge", 1.0), ("hinge", 0.0)])
def test_gradcheck_with_hard_weights(
    form: module.Form, margin: float, activation: Activation | None
) -> None:
    scores, target = draw(1)
    scores, target = scores[:, :2, :, :3, :3].clone(), target[:, :2, :3, :3]
    target[0, 0, 0] = 255
    leaf = scores.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: segmentation_loss(s, target, form, margin, activation=activation), leaf
    )


def test_gradcheck_with_soft_weights_held_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, target = draw(2)
    scores, target = scores[:, :1, :, :3, :3].clone(), target[:, :1, :3, :3]
    fixed = module._normalised_weights(
        torch.tensor([1.5, 2.0, 0.25, 0.5]).double(), torch.tensor([5.0, 4.0, 3.0, 2.0]).double(),
        torch.tensor(18.0).double(), True,
    )  # fmt: skip
    expected = segmentation_loss(scores, target, weights="soft").item()
    monkeypatch.setattr(module, "_normalised_weights", lambda *_: fixed)
    assert segmentation_loss(scores, target, weights="soft").item() != pytest.approx(expected)
    assert torch.autograd.gradcheck(
        lambda s: segmentation_loss(s, target, "hinge", 1.0, "soft"), scores.requires_grad_()
    )


def test_no_gradient_flows_through_soft_weights() -> None:
    scores, target = draw(3)
    leaf = scores.clone().requires_grad_()
    torch.autograd.backward(segmentation_loss(leaf, target, "linear", None, "soft", None))
    assert leaf.grad is not None
    # linear form: every entry is -W_p, W_n or 0 of its class, whatever the score
    for c in range(4):
        assert len(set(leaf.grad[:, :, c].flatten().tolist())) <= 3


def test_backward_twice_through_a_kept_graph() -> None:
    scores, target = draw()
    for form in ("linear", "hinge"):
        leaf = scores.clone().requires_grad_()
        loss = 3 * segmentation_loss(leaf, target, form, 0.1)
        (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        kept = first.clone()
        (second,) = torch.autograd.grad(loss, leaf)
        torch.testing.assert_close(kept, second, rtol=0, atol=0)
        torch.testing.assert_close(first, kept, rtol=0, atol=0)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(loss, leaf)


def test_a_class_with_an_empty_union_contributes_nothing() -> None:
    scores, target = draw()
    wider = torch.cat([scores, torch.full_like(scores[:, :, :1], -2.0)], dim=2)  # never predicted
    for form in ("linear", "hinge"):
        narrow = segmentation_loss(scores, target, form, activation=None)
        wide = segmentation_loss(wider, target, form, activation=None)
        torch.testing.assert_close(narrow, wide)


@pytest.mark.parametrize("form", ["linear", "hinge"])
@pytest.mark.parametrize("weights", ["hard", "soft"])
def test_nothing_that_counts_is_zero(form: module.Form, weights: module.Weights) -> None:
    for scores, target in (
        (torch.randn(2, 3, 4, 4), torch.full((2, 4, 4), 255)),
        (torch.randn(0, 3, 4, 4), torch.zeros((0, 4, 4)).long()),
        (torch.randn(0, 3), torch.zeros(0).long()),
    ):
        leaf = scores.requires_grad_()
        loss = segmentation_loss(leaf, target, form, 1.0, weights)
        torch.autograd.backward(loss)
        assert loss.item() == 0
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_many_classes_and_ties() -> None:
    # the byte arithmetic of small class counts must not reach large ones; ties go to the first
    generator = torch.Generator().manual_seed(0)
    for classes in (15, 16, 150, 300):
        scores = torch.randint(-2, 3, (40, classes), generator=generator).double()
        target = torch.randint(0, classes, (40,), generator=generator)
        target[::7] = 255 if classes < 255 else -100
        for form in ("linear", "hinge"):
            options = (form, 1.0, "hard", None, True, 255 if classes < 255 else -100)
            expected = reference.segmentation_loss(scores, target, *options)
            loss = segmentation_loss(scores, target, *options)  # type: ignore[arg-type]
            assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["linear", "hinge"])
def test_half_precision_is_close_to_float64(form: module.Form, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    # enough pixels for a sum in half precision to go wrong
    scores = torch.tanh(torch.randn(2, 5, 200, 200, generator=generator)).to(dtype)
    target = torch.randint(0, 5, (2, 200, 200), generator=generator)
    expected = segmentation_loss(scores.double(), target, form, 0.1)
    leaf = scores.requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        loss = segmentation_loss(leaf, target, form, 0.1)
    torch.autograd.backward(loss * 2.0**16)  # fp16 needs a loss scale
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-7)
    assert leaf.grad is not None
    true = gradient(scores.detach().double(), lambda s: segmentation_loss(s, target, form, 0.1))
    torch.testing.assert_close(leaf.grad.double() / 2**16, true, rtol=1e-2, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "square"}, r"form='square': give one of 'hinge', 'linear'"),
        ({"weights": "medium"}, r"weights='medium': give one of 'hard', 'soft'"),
        ({"activation": "relu"}, r"activation='relu': give one of 'auto', None, 'tanh', 'softmax'"),
        ({"margin": -0.5}, "margin -0.5: give a finite number, 0 or more"),
        ({"margin": float("nan")}, "margin nan"),
        ({"margin": float("inf")}, "margin inf"),
        ({"temperature": 0.0}, "temperature 0.0: give a finite number above 0"),
        (
            {"form": "linear", "include_background": False},
            "its IoU falls to 0. Give include_background=True or form",
        ),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation_loss(SCORES, TARGET, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        SegmentationLoss(**options)  # type: ignore[arg-type]


def test_repr_shows_every_option() -> None:
    shown = repr(SegmentationLoss("hinge", sync=True))
    for option in ("form='hinge'", "margin=1.0", "weights='hard'", "activation=None"):
        assert option in shown
    assert "include_background=True, ignore_index=255, temperature=1.0, sync=True" in shown
    assert "activation='softmax'" in repr(SegmentationLoss("linear"))


def test_defaults() -> None:
    scores, target = draw()
    free = 3 * scores
    for form, margin, activation in (("linear", 1.0, "softmax"), ("hinge", 1.0, None)):
        expected = reference.segmentation_loss(free, target, form, margin, activation=activation)
        assert SegmentationLoss(form)(free, target).item() == pytest.approx(expected)  # type: ignore[arg-type]
    for activation in (None, "tanh"):
        assert SegmentationLoss("linear", activation=activation).margin == 0  # type: ignore[arg-type]
    assert SegmentationLoss().form == "hinge"


def test_the_printed_linear_form_is_not_trained_on_free_scores() -> None:
    scores, target = draw()
    loss = SegmentationLoss("linear", activation=None, temperature=0.1)
    assert loss(scores.requires_grad_(), target).isfinite()
    free = (1.5 * scores.detach() / scores.detach().abs().max()).requires_grad_()
    with pytest.raises(InputError, match=r"scores up to 1\.5 from 0: Eq\. 9 without an activation"):
        loss(free, target)
    loss(free.detach(), target)  # nothing falls without bound in an evaluation
    SegmentationLoss("linear", activation=None)(free[:0], target[:0])
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    value = compiled(free, target)
    torch.autograd.backward(value)
    assert value.isnan()
    assert free.grad is not None
    assert not free.grad.any()
    assert compiled(scores, target.masked_fill(target == 1, 7)).isnan()  # no such class
    torch.testing.assert_close(compiled(scores, target), loss(scores, target))


@pytest.mark.parametrize("form", ["linear", "hinge"])
def test_it_optimises_iou(form: module.Form) -> None:
    # free scores, trained on a small mask that plain counting would neglect
    target = torch.zeros(1, 24, 24, dtype=torch.long)
    target[0, 10:13, 9:14] = 1
    target[0, 4:6, 4:6] = 2
    scores = torch.zeros(1, 3, 24, 24).requires_grad_()
    optimizer = torch.optim.SGD([scores], lr=50.0)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(segmentation_loss(scores, target, form))
        optimizer.step()
    assert np.array_equal(scores.argmax(dim=1).numpy(), target.numpy())
