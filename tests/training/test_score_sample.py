"""The pixels that a calibration is fitted on."""

from itertools import starmap

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.metrics.operating_point import ScoredPixels, fit_offsets
from facemask.resample import scores_at_size
from facemask.training.score_sample import ScoreSample


def clips(count: int, seed: int = 0) -> tuple[Tensor, list[list[Tensor]]]:
    """Scores (B, 2, 3, 24, 24) of smooth noise, and masks of two sizes that mostly agree."""
    torch.manual_seed(seed)
    scores = 3 * torch.nn.functional.avg_pool2d(torch.randn(count, 6, 28, 28), 5, 1)
    scores = scores.view(count, 2, 3, 24, 24) + torch.tensor([0.6, 0.3, 0.0]).view(3, 1, 1)
    masks: list[list[Tensor]] = []
    for clip in scores:
        masks.append([])
        for frame, size in zip(clip, ((40, 36), (42, 37)), strict=True):
            noisy = scores_at_size(frame, *size) + 0.3 * torch.randn(3, *size)
            mask = noisy.argmax(0).byte()
            mask[:3] = 255
            masks[-1].append(mask)
    return scores, masks


def sample(size: int, scores: Tensor, masks: list[list[Tensor]], seed: int = 0) -> ScoredPixels:
    """What is kept of clips, each of a video of its own."""
    kept = ScoreSample(size, seed)
    kept.share(2 * len(masks))
    names = [[f"v_{i}_{frame:06d}" for frame in (1, 2)] for i in range(len(masks))]
    for clip in zip(scores, masks, names, strict=True):
        kept.add(*clip)
    return kept.pixels()


def confusion(pixels: ScoredPixels, offsets: list[float]) -> npt.NDArray[np.float64]:
    predicted = (pixels.scores + np.array(offsets, np.float32)).argmax(1)
    counts = np.bincount(3 * pixels.target + predicted, pixels.weight, 9)
    return np.asarray(counts, np.float64).reshape(3, 3)


def test_a_small_sample_counts_as_all_pixels_do() -> None:
    scores, masks = clips(12)
    everything = sample(10**9, scores, masks)
    total = 12 * (37 * 36 + 39 * 37)  # without the ignored rows
    assert len(everything.target) == total
    assert (everything.weight == 1).all()
    assert everything.video.tolist() == sorted(everything.video.tolist())
    assert set(everything.video) == set(range(12))

    few = sample(6000, scores, masks)
    assert len(few.target) < 6000
    np.testing.assert_array_equal(confusion(few, [0, 0, 0]), confusion(everything, [0, 0, 0]))
    for offsets in ([0, 0.2, -0.1], [0, -0.3, 0.4]):
        expected = confusion(everything, offsets)
        np.testing.assert_allclose(confusion(few, offsets), expected, atol=0.01 * total)
    np.testing.assert_allclose(fit_offsets(few), fit_offsets(everything), atol=0.15)


def test_more_frames_than_pixels() -> None:
    scores, masks = clips(12)
    assert len(sample(1000, scores, masks).target) <= 1000


def test_the_seed_decides() -> None:
    one, same, other = starmap(sample, ((6000, *clips(3), seed) for seed in (0, 0, 1)))
    assert np.array_equal(one.scores, same.scores)
    assert not np.array_equal(one.scores, other.scores)
