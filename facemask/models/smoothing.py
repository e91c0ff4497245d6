"""Temporal smoothing of any network's masks (the baseline of section 4.2)."""

import torch
from torch import Tensor, nn

from facemask.errors import InputError


class TemporalSmoothing(nn.Module):
    """Averages each frame's class probabilities with its neighbours', weighted by a Gaussian.

    The paper's "FCN-ResNet50 + temporal smoothing" (Tables 2 and 9): a window of five frames,
    weights from a Gaussian with σ = 0.6 around the current frame, after the softmax. At the ends
    of a clip the window is cut and its weights sum to 1 again. It has no parameters.

    Args:
        window: Frames in the window, odd.
        sigma: Standard deviation of the weights in frames, above 0.

    Raises:
        InputError: The window is even or below 1, or sigma is not above 0.

    Examples:
        >>> sure = torch.tensor([[[9.0, 0.0]], [[0.0, 9.0]], [[9.0, 0.0]]])  # one pixel of 3 frames
        >>> scores = sure.reshape(1, 3, 2, 1, 1)
        >>> TemporalSmoothing(window=3, sigma=1.0)(scores)[0, :, 1, 0, 0].round(decimals=2)
        tensor([0.3800, 0.4500, 0.3800])
    """

    def __init__(self, window: int = 5, sigma: float = 0.6) -> None:
        """Keep the options."""
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise InputError(f"window is {window}, expected an odd number of frames, at least 1.")
        if not sigma > 0:
            raise InputError(f"sigma is {sigma}, expected more than 0 frames.")
        self.window = window
        self.sigma = sigma

    def forward(self, scores: Tensor) -> Tensor:
        """Smooth clips.

        Args:
            scores: (..., T, C, H, W), before the softmax.

        Returns:
            Probabilities of the same shape, with sum 1 over C; their arg-max is the label.
        """
        frames = scores.shape[-4]
        time = torch.arange(frames, device=scores.device)
        distance = (time[:, None] - time).abs()
        weights = torch.exp(-0.5 * (distance / self.sigma) ** 2)
        weights = weights.masked_fill(distance > self.window // 2, 0.0)
        weights = weights / weights.sum(dim=1, keepdim=True)
        probabilities = scores.float().softmax(dim=-3)
        smoothed: Tensor = torch.tensordot(weights, probabilities, dims=([1], [-4 + scores.ndim]))
        return smoothed.movedim(0, -4)
