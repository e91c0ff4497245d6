"""Temporal smoothing against a direct sum over the window."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from facemask.cli import main
from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.models import TemporalSmoothing
from facemask.training.modules import FCNModule


def smoothed_directly(
    scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]], window: int, sigma: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Section 4.2, frame by frame: scores (T, C, H, W)."""
    probabilities = softmax(scores, axis=1)
    out = np.zeros_like(probabilities)
    for t in range(len(scores)):
        near = [s for s in range(len(scores)) if abs(s - t) <= window // 2]
        weights = [math.exp(-((s - t) ** 2) / (2 * sigma**2)) for s in near]
        for s, weight in zip(near, weights, strict=True):
            out[t] += weight / sum(weights) * probabilities[s]
    return out


@pytest.mark.parametrize(
    ("frames", "window", "sigma"), [(7, 5, 0.6), (3, 5, 0.6), (1, 5, 2.0), (6, 3, 4)]
)
def test_equals_a_direct_sum(frames: int, window: int, sigma: float) -> None:
    scores = np.random.default_rng(0).normal(size=(frames, 3, 4, 2), scale=3)
    found = TemporalSmoothing(window, sigma)(torch.from_numpy(scores)[None])
    expected = smoothed_directly(scores, window, sigma)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(dim=2), 1, atol=1e-6)


def test_the_papers_weights() -> None:
    """σ = 0.6: exp(−1/0.72) = 0.2494 and exp(−4/0.72) = 0.00387 beside 1, sum 1.5065."""
    scores = torch.full((1, 5, 2, 1, 1), -50.0)
    scores[:, :, 0] = 50.0
    scores[0, 2] = scores[0, 2].flip(0)  # only the middle frame shows class 1
    found = TemporalSmoothing()(scores)[0, :, 1, 0, 0].tolist()
    # the first frame's window holds 3 frames, the second's 4
    expected = [0.00387 / 1.2533, 0.2494 / 1.5027, 1 / 1.5065, 0.2494 / 1.5027, 0.00387 / 1.2533]
    assert found == pytest.approx(expected, abs=2e-4)


def test_a_clip_does_not_depend_on_the_others() -> None:
    scores = torch.randn(3, 5, 4, 2, 2)
    smoothing = TemporalSmoothing()
    together = smoothing(scores)
    for clip, alone in zip(together, scores, strict=True):
        torch.testing.assert_close(clip, smoothing(alone))


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="window is 4, expected an odd number"):
        TemporalSmoothing(window=4)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match=r"sigma is .*, expected more than 0"):
            TemporalSmoothing(sigma=sigma)


def test_a_module_smooths_what_it_predicts_without_padding() -> None:
    """One flickering frame is voted down; the padding after a short clip has no say."""
    module = FCNModule("test_resnet", smoothing=TemporalSmoothing(window=3, sigma=5.0))
    scores = torch.zeros(1, 5, 5, 8, 8)
    for t, label in enumerate([2, 2, 1, 2]):  # frame 4 is padding
        scores[0, t, label] = 10.0
    scores[0, 4, 1] = 10.0
    batch = {"original_sizes": [[(8, 8)] * 4]}
    labels = module._original_labels(scores, batch)  # type: ignore[arg-type]  # all it looks at
    assert [int(label[0, 0]) for label in labels[0]] == [2, 2, 2, 2]
    assert "original_sizes" in ClipBatch.__annotations__


def test_single_frames_cannot_be_smoothed(
    mask_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    config = str(Path(__file__).parents[2] / "configs" / "demo" / "fcn.yaml")
    with pytest.raises(SystemExit):
        main(["fit", "-c", config, f"--data.root={mask_root}", "--data.num_workers=0",
              "--model.smoothing=facemask.models.TemporalSmoothing"])  # fmt: skip
    assert "data.clip_length is null: give --data.clip_length 5" in capsys.readouterr().err


def test_a_regions_network_has_the_regions_classes() -> None:
    with pytest.raises(InputError, match=r"num_classes is 5, but the region 'eyes' has 2 classes"):
        FCNModule("test_resnet", num_classes=5, region="eyes")
    assert FCNModule("test_resnet", num_classes=2, region="eyes").network.num_classes == 2
