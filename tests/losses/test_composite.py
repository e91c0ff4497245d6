from collections.abc import Mapping
from typing import Any

import pytest
import torch

from facemask.errors import InputError
from facemask.losses import CompositeLoss, CrossEntropyLoss, IoULoss, cross_entropy, iou_loss
from tests.losses.test_segmentation import draw


def test_total_and_terms() -> None:
    scores, target = draw()
    loss = CompositeLoss(
        {"ce": CrossEntropyLoss(), "iou": IoULoss(include_background=False)}, {"ce": 0.25}
    )
    leaf = scores.clone().requires_grad_()
    total, terms = loss.with_terms(leaf, target)
    assert list(terms) == ["ce", "iou"]
    torch.testing.assert_close(terms["ce"], cross_entropy(scores, target))
    torch.testing.assert_close(terms["iou"], iou_loss(scores, target, include_background=False))
    torch.testing.assert_close(total.detach(), 0.25 * terms["ce"] + terms["iou"])
    torch.testing.assert_close(loss(scores, target), total.detach())
    assert not terms["ce"].requires_grad
    torch.autograd.backward(total)
    again = scores.clone().requires_grad_()
    torch.autograd.backward(
        0.25 * cross_entropy(again, target) + iou_loss(again, target, include_background=False)
    )
    torch.testing.assert_close(leaf.grad, again.grad)


def test_terms_follow_the_mode() -> None:
    term = IoULoss(sync=True)
    loss = CompositeLoss({"iou": term}).eval()
    assert not term.training
    assert "weights={'iou': 1.0}" in repr(loss)


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        ({}, {}, "no terms: give at least one"),
        ({"ce": cross_entropy}, {}, "term 'ce' of type function: give a torch.nn.Module"),
        ({"a.b": IoULoss()}, {}, "the name 'a.b'"),
        ({"keys": IoULoss()}, {}, "the name 'keys'"),
        ({"iou": IoULoss()}, {"ce": 1.0}, "weights of ce, but its terms are iou"),
        ({"iou": IoULoss()}, {"iou": -1.0}, "weight -1.0 of iou"),
        ({"iou": IoULoss()}, {"iou": float("nan")}, "weight nan of iou"),
    ],
)
def test_bad_options(terms: Mapping[str, Any], weights: Mapping[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CompositeLoss(terms, weights)


def test_lists_of_terms_and_weights() -> None:
    scores, target = torch.rand(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    listed = CompositeLoss([CrossEntropyLoss(), IoULoss(), IoULoss(temperature=0.5)], [1, 2, 0.5])
    named = CompositeLoss(
        {"cross_entropy": CrossEntropyLoss(), "iou": IoULoss(), "iou_2": IoULoss(temperature=0.5)},
        {"iou": 2, "iou_2": 0.5},
    )
    assert listed.weights == named.weights
    total, terms = listed.with_terms(scores, target)
    expected, others = named.with_terms(scores, target)
    assert total == expected
    assert terms == others
    assert list(CompositeLoss([torch.nn.L1Loss(), torch.nn.Identity()]).terms) == ["l1", "identity"]
    with pytest.raises(InputError, match="got 1 weights and 2 terms: give one a term"):
        CompositeLoss([IoULoss(), IoULoss()], [1])
    with pytest.raises(InputError, match="got no terms"):
        CompositeLoss([])
