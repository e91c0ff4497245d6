"""A dense CRF that draws masks to the image's edges, as DeepLab may (Chen et al. 2016)."""

import torch
from torch import Tensor, nn

from facemask.errors import InputError


class DenseCRF(nn.Module):
    """Mean-field inference in a fully connected CRF (Krähenbühl and Koltun 2011); no parameters.

    Every pair of pixels i, j with positions p and colours I is better off with one class, by

        w₁ exp(-|pᵢ - pⱼ|² / 2σ_α² - |Iᵢ - Iⱼ|² / 2σ_β²) + w₂ exp(-|pᵢ - pⱼ|² / 2σ_γ²),

    both terms normalised symmetrically, kᵢⱼ / √(nᵢ nⱼ) with nᵢ = Σⱼ kᵢⱼ. An iteration takes the
    class probabilities Q to softmax(scores + Σⱼ kᵢⱼ Qⱼ) at every pixel i.

    The second term is exact. The first, among all pairs of pixels, would be 10¹⁰ numbers at
    320 × 320: here j runs over a grid of at most `nodes` × `nodes` pixels instead of all, which
    leaves the result nearly as it is while the grid is much finer than σ_α. Images of at most
    `nodes` pixels a side are exact. It takes 4 H W nodes² bytes for an image at a time, 0.2 GB at
    320 × 320.

    The defaults are those of the authors' release for VGG-16 on Pascal VOC; nothing here has been
    tuned to faces.

    Examples:
        >>> image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
        >>> image[..., 4:] = 200  # bright on the right
        >>> scores = torch.zeros(1, 2, 8, 8)
        >>> scores[:, 0, :, :3] = scores[:, 1, :, 3:] = 1.0  # class 1 begins one pixel too early
        >>> DenseCRF()(scores, image).argmax(1)[0, 0]
        tensor([0, 0, 0, 0, 1, 1, 1, 1])
    """

    def __init__(
        self,
        bilateral_weight: float = 4.0,
        bilateral_position: float = 65.0,
        bilateral_color: float = 3.0,
        smooth_weight: float = 2.0,
        smooth_position: float = 2.0,
        iterations: int = 10,
        nodes: int = 24,
    ) -> None:
        """Keep the options.

        Args:
            bilateral_weight: w₁.
            bilateral_position: σ_α in pixels.
            bilateral_color: σ_β, colours being in 0 to 255.
            smooth_weight: w₂.
            smooth_position: σ_γ in pixels.
            iterations: Steps of the mean field.
            nodes: Largest number of grid pixels along each side.

        Raises:
            InputError: A weight is negative, or another number is not positive.
        """
        super().__init__()
        for name, weight in (
            ("bilateral_weight", bilateral_weight),
            ("smooth_weight", smooth_weight),
        ):
            if not weight >= 0:
                raise InputError(f"{name} is {weight}, expected 0 or more.")
        for name, value in (
            ("bilateral_position", bilateral_position),
            ("bilateral_color", bilateral_color),
            ("smooth_position", smooth_position),
            ("iterations", iterations),
            ("nodes", nodes),
        ):
            if not value > 0:
                raise InputError(f"{name} is {value}, expected more than 0.")
        self.bilateral_weight = bilateral_weight
        self.bilateral_position = bilateral_position
        self.bilateral_color = bilateral_color
        self.smooth_weight = smooth_weight
        self.smooth_position = smooth_position
        self.iterations = iterations
        self.nodes = nodes

    def forward(self, scores: Tensor, images: Tensor) -> Tensor:
        """Refine masks.

        Args:
            scores: Logits (N, C, H, W).
            images: What they are of, RGB in 0 to 255, usually uint8 (N, 3, H, W).

        Returns:
            Probabilities, float32 (N, C, H, W), with sum 1 over C.

        Raises:
            InputError: The shapes are others.
        """
        if scores.ndim != 4 or images.shape != (scores.shape[0], 3, *scores.shape[2:]):
            raise InputError(
                f"DenseCRF got scores {tuple(scores.shape)} and images {tuple(images.shape)}: give "
                "(N, C, H, W) and (N, 3, H, W) of one size."
            )
        with torch.autocast(scores.device.type, enabled=False):
            refined = [
                self._refine(of_image.float(), image.float())
                for of_image, image in zip(scores, images, strict=True)
            ]
        return torch.stack(refined) if refined else scores.float()

    def _refine(self, scores: Tensor, image: Tensor) -> Tensor:
        size = scores.shape[1:]
        nodes = _grid(size, self.nodes).to(scores.device)  # (M,), indices into H W
        bilateral = self._bilateral_kernel(image, nodes)  # (H W, M)
        vertical, horizontal = (_smoothing_kernel(n, self.smooth_position, image) for n in size)
        unary = scores.flatten(1).T  # (H W, C)
        q = unary.softmax(dim=1)
        for _ in range(self.iterations):
            near = vertical @ q.T.reshape(scores.shape) @ horizontal  # (C, H, W)
            alike = bilateral @ q[nodes]
            message = self.smooth_weight * near.flatten(1).T + self.bilateral_weight * alike
            q = (unary + message).softmax(dim=1)
        return q.T.reshape(scores.shape)

    def _bilateral_kernel(self, image: Tensor, nodes: Tensor) -> Tensor:
        """Return each grid pixel's weight for each pixel, normalised symmetrically, (H W, M)."""
        height, width = image.shape[1:]
        rows = torch.arange(height, device=image.device).repeat_interleave(width)
        columns = torch.arange(width, device=image.device).repeat(height)
        position = torch.stack([rows, columns], dim=1) / self.bilateral_position
        features = torch.cat([position, image.flatten(1).T / self.bilateral_color], dim=1)
        kernel = torch.cdist(
            features, features[nodes], compute_mode="donot_use_mm_for_euclid_dist"
        )  # products would cancel where colours are close
        kernel = kernel.square_().mul_(-0.5).exp_()
        norm = kernel.sum(dim=1).clamp_min(1e-20).rsqrt()  # a colour that no grid pixel has
        return kernel.mul_(norm[:, None]).mul_(norm[nodes])


def _grid(size: torch.Size, nodes: int) -> Tensor:
    """Return row-major indices of the grid's pixels, at most `nodes` along each side."""
    height, width = size
    rows, columns = (torch.arange((step := -(-n // nodes)) // 2, n, step) for n in (height, width))
    return (rows[:, None] * width + columns).flatten()


def _smoothing_kernel(length: int, sigma: float, like: Tensor) -> Tensor:
    """Return one axis of the second term, (length, length): it and its norm are separable."""
    place = torch.arange(length, device=like.device)
    kernel = torch.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    norm = kernel.sum(dim=1).rsqrt()
    return norm[:, None] * kernel * norm
