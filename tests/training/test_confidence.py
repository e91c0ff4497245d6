"""Masks scored against the truth, and the confidence that fits them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facemask.classes import IGNORE
from facemask.confidence import ConfidenceFit
from facemask.data.augment.transforms import ClipAugmentation
from facemask.data.vw300_mask import Frame, read_split
from facemask.errors import InputError
from facemask.files import write_image
from facemask.models import Cascade, CascadeSettings
from facemask.training.confidence import (
    ScoredMasks,
    calibrate_confidence,
    score_confidence,
    score_masks,
    score_on_others,
    sentence_on_unsure,
    table_of,
    true_ious,
)


class Halves(nn.Module):
    """Sees skin, with probability 0.8, in the left half of every picture."""

    num_classes = 5
    mean = torch.zeros(3, 1, 1)
    std = torch.ones(3, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(math.log(4 * 4)))

    def forward(self, images: Tensor) -> Tensor:
        """Score images (..., 3, S, S)."""
        scores = images.new_zeros(*images.shape[:-3], 5, *images.shape[-2:])
        half = images.shape[-1] // 2
        scores[..., 1, :, :half] = self.weight
        scores[..., 0, :, half:] = 30.0
        return scores


def cascade() -> Cascade:
    return Cascade(Halves(), settings=CascadeSettings(size=16)).eval()


def frame(folder: Path, video: str, mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Frame:
    image, label = folder / f"{video}_000001.png", folder / f"{video}_label.png"
    write_image(image, np.zeros((*mask.shape, 3), np.uint8))
    write_image(label, mask)
    return Frame(video, 1, image, label)


def test_true_ious_by_hand() -> None:
    labels = np.array([[1, 1, 1, 2], [2, 0, 0, 3]], dtype=np.uint8)
    truth = np.array([[1, 1, 0, 2], [1, IGNORE, 0, IGNORE]], dtype=np.uint8)
    ious, known = true_ious(labels, truth)
    np.testing.assert_allclose(ious, [2 / 4, 1 / 2, math.nan, math.nan])
    assert known.all()
    truth[0, 2] = 131  # background or skin: where skin is, is not known, and it is no eye
    truth[1, 0] = 131
    ious, known = true_ious(labels, truth)
    np.testing.assert_allclose(ious, [math.nan, 1 / 2, math.nan, math.nan])
    assert known.tolist() == [False, True, True, True]


def test_masks_are_scored_at_their_own_size(tmp_path: Path) -> None:
    left = np.zeros((16, 16), np.uint8)
    left[:, :8] = 1
    three_quarters = np.zeros((16, 16), np.uint8)
    three_quarters[:, :12] = 1
    frames = [frame(tmp_path, "a", left), frame(tmp_path, "b", three_quarters)]
    seen: list[None] = []
    masks = score_masks(cascade(), frames, 4, on_picture=lambda: seen.append(None))
    assert len(seen) == 4
    assert masks.video.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(masks.ious[:, 0], [1, 2 / 3, 1, 2 / 3])
    # 16 : 1 : 1 : 1 : 1 in the left half
    np.testing.assert_allclose(masks.expected[:, 0], 0.8, atol=1e-6)
    assert np.isnan(masks.expected[:, 1:]).all()
    one_of_three = score_masks(cascade(), [*frames, frames[0]], 1)
    assert one_of_three.ious.shape == (1, 4)
    with pytest.raises(InputError, match="no frames to score masks of"):
        score_masks(cascade(), [], 4)


def test_pictures_are_made_harder_and_the_same_every_time(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[4:28, 2:20] = 1
    frames = [frame(tmp_path, "a", mask)]
    moved = ClipAugmentation(flip=0, rotate=0, scale=(0.7, 0.8), shift=0.0, border="reflect")
    one, other = (score_masks(cascade(), frames, 40, moved, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.ious, other.ious)
    plain = score_masks(cascade(), frames, 1).ious[0, 0]
    assert 4 <= (one.ious[:, 0] == plain).sum() <= 18  # a quarter stays as it is


def made_up(videos: int) -> ScoredMasks:
    """Masks of which the true IoU is half of the odds that are expected."""
    random = np.random.default_rng(1)
    expected = random.uniform(0.3, 0.95, (60, 4))
    odds = 0.5 * expected / (1 - expected)
    known = np.ones((60, 4), np.bool_)
    return ScoredMasks(expected, odds / (1 + odds), known, np.arange(60) % videos)


def test_confidence_by_a_fit_to_other_videos() -> None:
    masks = made_up(6)
    scored = score_on_others(masks)
    assert scored is not None
    np.testing.assert_allclose(scored.masks, scored.true, atol=1e-4)
    np.testing.assert_allclose(scored.parts, masks.ious, atol=1e-4)
    assert score_on_others(made_up(1)) is None
    # the part that is scored takes no part in the fit
    masks.ious[masks.video == 2] = 0.1
    scored = score_on_others(masks)
    assert scored is not None
    spoilt = score_confidence(masks, masks.fit())
    wrong = masks.video == 2
    assert scored.masks[wrong].mean() > spoilt.masks[wrong].mean()


def test_the_table_and_the_sentence() -> None:
    masks = made_up(3)
    masks.known[:10, 0] = False
    masks.ious[:10, 0] = math.nan
    scored = score_confidence(masks, ConfidenceFit())
    assert np.isnan(scored.true).sum() == 10  # a mean of some classes is none
    table = table_of(masks, scored, scored)
    assert [next(iter(column.cells)) for column in table.columns[:2]] == ["skin", "50"]
    assert list(table.columns[0].cells)[-2:] == ["mask", "mask, before"]
    assert list(table.columns[4].cells)[1] == "1.00"
    unsure = scored.masks[10:] < 0.6
    low, high = (100 * scored.true[10:][chosen].mean() for chosen in (unsure, ~unsure))
    assert sentence_on_unsure(scored) == (
        f"{100 * unsure.mean():.0f} % of the masks are unsure (confidence below 0.6): their mIoU "
        f"is {low:.1f}, that of the others {high:.1f}."
    )


def test_a_cascade_is_fitted_on_a_data_set(
    mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = read_split(mask_root, "split_1", "val")
    fit = calibrate_confidence(cascade(), frames, pictures=60)
    said = " ".join(capsys.readouterr().out.split())
    assert said.index("compared with the truth on 60 pictures") < said.index("Confidence in 60 mas")
    assert "before" in said  # "mask, before" may be on two lines
    assert fit == calibrate_confidence(cascade(), frames, pictures=60)
    assert fit != ConfidenceFit()
    assert fit.missed[1] == 1  # eyes are there and never seen
