"""Wrong input to any of the losses, and what all of them share."""

import warnings
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
    segmentation_loss,
)
from tests.losses.test_segmentation import draw

Loss = Callable[[Tensor, Tensor], Tensor]
FUNCTIONS: list[Loss] = [cross_entropy, iou_loss, segmentation_loss]
MODULES: list[nn.Module] = [
    CrossEntropyLoss(),
    CrossEntropyLoss(temperature=0.1),
    IoULoss(),
    SegmentationLoss("linear", 0.1, temperature=0.5),
    SegmentationLoss("hinge", 1.0, temperature=0.5),
    SegmentationLoss("linear", weights="soft", sync=True),
    SegmentationLoss("linear", activation=None),
    CompositeLoss({"ce": CrossEntropyLoss(), "seg": SegmentationLoss()}, {"seg": 0.5}),
]


@pytest.mark.parametrize("loss", FUNCTIONS)
@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        ((2, 5, 4, 4), (2, 4, 5), r"scores of shape \(2, 5, 4, 4\) and a target of .*\(2, 4, 5\)"),
        ((2, 5, 4, 4), (2, 5, 4, 4), "the same without C"),
        ((2, 3, 5, 4, 4), (2, 5, 4, 4), "the same without C"),
        ((5, 4, 4), (4, 4), "the same without C"),
        ((2, 5), (2, 1), "the same without C"),
        ((2, 1, 4, 4), (2, 4, 4), "scores of 1 class: give at least 2"),
        ((3, 1), (3,), "scores of 1 class: give at least 2"),
    ],
)
def test_shapes(loss: Loss, scores: tuple[int, ...], target: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss(torch.zeros(scores), torch.zeros(target).long())


@pytest.mark.parametrize("loss", FUNCTIONS)
def test_types(loss: Loss) -> None:
    scores, ids = torch.zeros(2, 3), torch.zeros(2).long()
    with pytest.raises(InputError, match=r"scores of type torch\.int64: give floating point"):
        loss(scores.long(), ids)
    for wrong in (ids.float(), ids.bool(), ids.to(torch.complex64)):
        with pytest.raises(InputError, match=r"a target of type .*: give class ids"):
            loss(scores, wrong)
    with pytest.raises(InputError, match=r"scores of type ndarray: give a torch\.Tensor"):
        loss(scores.numpy(), ids)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"target of type list: give a torch\.Tensor"):
        loss(scores, [0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", FUNCTIONS)
@pytest.mark.parametrize("wrong", [3, -1, 254])
def test_class_ids_out_of_range(loss: Loss, wrong: int) -> None:
    target = torch.tensor([0, wrong, 255, 2])
    with pytest.raises(InputError, match=rf"{wrong}.*give 0 to 2, or 255 for"):
        loss(torch.zeros(4, 3), target)


@pytest.mark.parametrize("loss", FUNCTIONS)
def test_a_negative_ignore_index_does_not_wrap(loss: Loss) -> None:
    scores = torch.zeros(3, 200)  # -100 as a byte is 156, a class here
    target = torch.tensor([0, 156, 7], dtype=torch.uint8)
    counted = loss(scores, target, ignore_index=-100)  # type: ignore[call-arg]
    torch.testing.assert_close(counted, loss(scores, target.long()))


@pytest.mark.parametrize("loss", MODULES)
def test_torch_compile_takes_it_whole(loss: nn.Module) -> None:
    scores, target = draw(dtype=torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    results = []
    for way in (loss, compiled):
        leaf = scores.clone().requires_grad_()
        value = way(leaf, target)
        torch.autograd.backward(value)
        results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [MODULES[3], MODULES[4], MODULES[2]])
def test_compiled_to_machine_code(loss: nn.Module) -> None:
    scores, target = draw(dtype=torch.float32)
    torch.compiler.reset()
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own
        for way in (loss, torch.compile(loss, fullgraph=True)):
            leaf = scores.clone().requires_grad_()
            value = way(leaf, target)
            torch.autograd.backward(value)
            results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-8)
