"""The dense CRF against a sum over all pairs of pixels."""

import math

import pytest
import torch
from torch import Tensor

from facemask.errors import InputError
from facemask.models import DenseCRF


def by_pairs(crf: DenseCRF, scores: Tensor, image: Tensor) -> Tensor:
    """Mean field over all pairs of pixels, one after the other, in float64."""
    classes, height, width = scores.shape
    places = [(row, column) for row in range(height) for column in range(width)]
    colors = image.double()
    bilateral, smooth = (
        torch.zeros(len(places), len(places), dtype=torch.float64) for _ in range(2)
    )
    for i, (row, column) in enumerate(places):
        for j, (other_row, other_column) in enumerate(places):
            distance = (row - other_row) ** 2 + (column - other_column) ** 2
            color = (colors[:, row, column] - colors[:, other_row, other_column]).square().sum()
            bilateral[i, j] = math.exp(
                -distance / (2 * crf.bilateral_position**2)
                - float(color) / (2 * crf.bilateral_color**2)
            )
            smooth[i, j] = math.exp(-distance / (2 * crf.smooth_position**2))
    for kernel in (bilateral, smooth):
        norm = kernel.sum(dim=1)
        kernel /= (norm[:, None] * norm).sqrt()
    kernel = crf.bilateral_weight * bilateral + crf.smooth_weight * smooth
    unary = scores.flatten(1).T.double()
    q = unary.softmax(dim=1)
    for _ in range(crf.iterations):
        q = (unary + kernel @ q).softmax(dim=1)
    return q.T.reshape(classes, height, width)


@pytest.mark.parametrize(
    "crf",
    [
        DenseCRF(),
        DenseCRF(2.5, 4.0, 20.0, 1.5, 1.2, iterations=4),
        DenseCRF(bilateral_weight=0, smooth_position=3.0),
        DenseCRF(smooth_weight=0, bilateral_color=30.0),
    ],
)
def test_equals_the_sum_over_all_pairs(crf: DenseCRF) -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 7, 5)
    images = torch.randint(0, 60, (2, 3, 7, 5), dtype=torch.uint8)
    found = crf(scores, images)
    for b in range(2):
        expected = by_pairs(crf, scores[b], images[b])
        torch.testing.assert_close(found[b].double(), expected, rtol=0, atol=1e-4)
    assert (found - scores.softmax(dim=1)).abs().max() > 0.1
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 7, 5))


def disk() -> tuple[Tensor, Tensor, Tensor]:
    """Scores of a noisy disk that is too large and off centre, its image, and the true disk."""
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(64), indexing="ij")
    true = (rows - 30) ** 2 + (columns - 32) ** 2 < 18**2
    rough = (rows - 33) ** 2 + (columns - 34) ** 2 < 20**2
    image = torch.stack([60 + 120 * true, 80 + 60 * true, 90 + 10 * true])
    image = (image + 3 * torch.randn(3, 60, 64)).clamp(0, 255).byte()
    scores = 2 * torch.stack([~rough, rough]) + 0.5 * torch.randn(2, 60, 64)
    return scores[None], image[None], true


def test_draws_the_mask_to_the_edges_of_the_image() -> None:
    scores, image, true = disk()
    wrong_before = (scores.argmax(dim=1)[0] != true).float().mean()
    wrong_after = (DenseCRF()(scores, image).argmax(dim=1)[0] != true).float().mean()
    assert wrong_before > 0.05
    assert wrong_after < 0.005


def test_a_grid_of_pixels_says_nearly_what_all_pixels_say() -> None:
    scores, image, _ = disk()
    exact, coarse = (DenseCRF(nodes=n)(scores, image) for n in (64, 16))
    assert not torch.equal(exact, coarse)
    assert (exact - coarse).abs().mean() < 0.005
    assert (exact.argmax(dim=1) != coarse.argmax(dim=1)).float().mean() < 0.005


def test_a_color_that_no_grid_pixel_has_keeps_its_score() -> None:
    image = torch.zeros(1, 3, 9, 9, dtype=torch.uint8)
    image[..., 0, 0] = 255
    scores = torch.zeros(1, 2, 9, 9)
    scores[:, 0, 0, 0] = 5.0
    found = DenseCRF(smooth_weight=0, nodes=3)(scores, image)
    assert found.isfinite().all()
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([5.0, 0.0]).softmax(dim=0))


def test_sizes_and_half_precision() -> None:
    assert DenseCRF()(torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        found = DenseCRF()(torch.ones(1, 2, 1, 1, dtype=torch.bfloat16), images)
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == [0.5, 0.5]


def test_wrong_input() -> None:
    for name in ("bilateral_weight", "smooth_weight"):
        with pytest.raises(InputError, match=f"{name} is -1, expected 0 or more"):
            DenseCRF(**{name: -1})
    for name in ("bilateral_position", "bilateral_color", "smooth_position", "iterations", "nodes"):
        with pytest.raises(InputError, match=f"{name} is 0, expected more than 0"):
            DenseCRF(**{name: 0})
    for shape in ((1, 3, 4, 5), (2, 3, 4, 4), (1, 1, 4, 4), (3, 4, 4)):
        with pytest.raises(InputError, match=r"DenseCRF got scores .* of one size"):
            DenseCRF()(torch.zeros(1, 2, 4, 4), torch.zeros(shape))
