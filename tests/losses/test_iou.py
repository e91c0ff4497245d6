import pytest
import torch

from facemask.losses import IoULoss, iou_loss
from tests.losses import reference
from tests.losses.test_segmentation import draw, gradient

# pixels of classes 0, 1, 1; the last one is ignored
PROBABILITIES = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875], [0.5, 0.5]]).double()
TARGET = torch.tensor([0, 1, 1, 255])


def test_by_hand() -> None:
    # class 0: 0.75 over 0.75 + 0.5 + 0.125 + 1 - 0.75; class 1: 1.375 over 1.625 + 2 - 1.375
    first, second = 0.75 / 1.625, 1.375 / 2.25
    loss = iou_loss(PROBABILITIES, TARGET, activation=None)
    assert loss.item() == pytest.approx(1 - (first + second) / 2)
    loss = iou_loss(PROBABILITIES, TARGET, activation=None, include_background=False)
    assert loss.item() == pytest.approx(1 - second)
    # d(-IoU)/dp: -1 / union where it is the class, intersection / union² where it is not
    result = gradient(PROBABILITIES, lambda p: iou_loss(p, TARGET, activation=None))
    expected = [
        [-1 / 1.625, 1.375 / 2.25**2],
        [0.75 / 1.625**2, -1 / 2.25],
        [0.75 / 1.625**2, -1 / 2.25],
        [0, 0],
    ]
    torch.testing.assert_close(result, torch.tensor(expected).double() / 2)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("include_background", [True, False])
def test_equals_the_transcription(temperature: float, include_background: bool) -> None:
    scores, target = draw()
    for ignore in (255, 2):
        options = ("softmax", include_background, ignore, temperature)
        known = target.masked_fill(target == 255, ignore)
        expected = reference.iou_loss(scores, known, *options)
        assert iou_loss(scores, known, *options).item() == pytest.approx(expected)  # type: ignore[arg-type]
        loss = IoULoss(*options)(scores.float().flatten(0, 1), known.flatten(0, 1).to(torch.uint8))  # type: ignore[arg-type]
        assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradcheck() -> None:
    scores, target = draw(1)
    scores, target = scores[:, :2, :, :3, :3].clone(), target[:, :2, :3, :3]
    target[0, 0, 0] = 255
    leaf = scores.requires_grad_()
    for background in (True, False):
        assert torch.autograd.gradcheck(
            lambda s, b=background: iou_loss(s, target, include_background=b, temperature=0.5), leaf
        )


def test_backward_twice_through_a_kept_graph() -> None:
    scores, target = draw()
    leaf = scores.clone().requires_grad_()
    loss = 3 * iou_loss(leaf, target)
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (second,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first.any()


def test_best_value_on_bounded_scores() -> None:
    # five classes of equal size, the true one +1 and the others -1: p = e² / (e² + 4) = 0.649;
    # a class's union is 1 + 4 pixels' (1 - p) / 4 = 2 - p, so the loss is 1 - p / (2 - p)
    target = torch.arange(5)
    scores = 2.0 * torch.eye(5) - 1
    p = torch.tensor(2.0).exp() / (torch.tensor(2.0).exp() + 4)
    assert iou_loss(scores, target).item() == pytest.approx((1 - p / (2 - p)).item())
    assert iou_loss(scores, target).item() == pytest.approx(0.52, abs=0.005)


def test_absent_classes() -> None:
    # Eq. 3 literally: a class that has probability but no pixel counts as IoU 0
    scores = torch.tensor([[2.0, 0.0, 1.0], [0.5, 1.5, -1.0]]).double()
    target = torch.tensor([0, 1])
    assert iou_loss(scores, target).item() == pytest.approx(reference.iou_loss(scores, target))
    # no probability either: an empty union is left out of the mean
    probabilities = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]])
    expected = 1 - (0.75 / 1.5 + 0.5 / 1.25) / 2
    assert iou_loss(probabilities, target, activation=None).item() == pytest.approx(expected)


def test_nothing_that_counts_is_zero() -> None:
    for scores, target in (
        (torch.randn(2, 3, 4, 4), torch.full((2, 4, 4), 255)),
        (torch.randn(0, 3, 4, 4), torch.zeros((0, 4, 4)).long()),
    ):
        leaf = scores.requires_grad_()
        loss = iou_loss(leaf, target)
        torch.autograd.backward(loss)
        assert loss.item() == 0
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_extreme_scores_stay_finite() -> None:
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]]).requires_grad_()
    loss = iou_loss(scores, torch.tensor([0, 0]))
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(1 - 0.5 / 2)  # IoU 1/2 and 0; class 2 has no union
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_float64(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, 200, 200, generator=generator).to(dtype)
    target = torch.randint(0, 5, (2, 200, 200), generator=generator)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        loss = iou_loss(scores.requires_grad_(), target)
    torch.autograd.backward(loss * 2.0**16)
    torch.testing.assert_close(loss.double(), iou_loss(scores.double(), target), rtol=1e-5, atol=0)
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, r"activation='tanh': give one of None, 'softmax'"),
        ({"temperature": 0.0}, "temperature 0.0: give a finite number above 0"),
        ({"temperature": float("nan")}, "temperature nan"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        iou_loss(PROBABILITIES, TARGET, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        IoULoss(**options)  # type: ignore[arg-type]


def test_repr_shows_every_option() -> None:
    assert "activation='softmax', include_background=True" in repr(IoULoss())
    assert "ignore_index=255, temperature=1.0, sync=False" in repr(IoULoss())
