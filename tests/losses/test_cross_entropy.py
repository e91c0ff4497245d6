import math

import pytest
import torch
from torch import nn

from facemask.errors import InputError
from facemask.losses import CrossEntropyLoss, cross_entropy


def test_equals_torch_on_frames_clips_and_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 5, 6, 7, generator=generator)
    target = torch.randint(0, 5, (2, 3, 6, 7), generator=generator)
    target[0, 1, :4] = 255
    flat_scores, flat_target = scores.flatten(0, 1), target.flatten(0, 1)
    expected = nn.CrossEntropyLoss(ignore_index=255)(flat_scores, flat_target)
    torch.testing.assert_close(cross_entropy(scores, target), expected)
    torch.testing.assert_close(CrossEntropyLoss()(flat_scores, flat_target.byte()), expected)
    vectors = flat_scores.movedim(1, -1).reshape(-1, 5)
    torch.testing.assert_close(cross_entropy(vectors, flat_target.flatten()), expected)
    sharp = nn.CrossEntropyLoss(ignore_index=255)(flat_scores / 0.1, flat_target)
    torch.testing.assert_close(CrossEntropyLoss(temperature=0.1)(scores, target), sharp)


def test_best_value_on_bounded_scores() -> None:
    # true class +1, the other four -1: -log(e / (e + 4 / e)) = 0.4326
    scores = -torch.ones(1, 5, 1, 1)
    scores[:, 2] = 1
    loss = cross_entropy(scores, torch.full((1, 1, 1), 2))
    assert loss.item() == pytest.approx(math.log(1 + 4 * math.exp(-2)))
    assert loss.item() == pytest.approx(0.4326, abs=1e-4)


def test_ignored_pixels_and_a_batch_without_any_that_counts() -> None:
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    target = torch.tensor([[[1, 7], [7, 7]]])
    loss = cross_entropy(scores, target, ignore_index=7)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, -scores.log_softmax(dim=1)[0, 1, 0, 0])
    assert scores.grad is not None
    assert scores.grad[0, :, 0, 0].abs().sum() > 0
    assert scores.grad[0, :, 1].abs().sum() == 0
    assert cross_entropy(scores, torch.full((1, 2, 2), 255)).item() == 0


@pytest.mark.parametrize(
    ("scores", "target", "temperature", "message"),
    [
        ((2, 5, 4, 4), (2, 4, 5), 1.0, r"\(2, 5, 4, 4\) and a target of shape \(2, 4, 5\)"),
        ((2, 3, 5, 4, 4), (2, 5, 4, 4), 1.0, "without C"),
        ((5, 4, 4), (4, 4), 1.0, "without C"),
        ((2, 5), (2,), 0.0, "temperature 0"),
    ],
)
def test_bad_input(
    scores: tuple[int, ...], target: tuple[int, ...], temperature: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cross_entropy(torch.zeros(scores), torch.zeros(target).long(), temperature=temperature)
    with pytest.raises(InputError, match="temperature nan"):
        CrossEntropyLoss(temperature=math.nan)
