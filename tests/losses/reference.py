"""Eqs. 3 and 7 to 9 pixel by pixel in NumPy float64, written from the paper alone."""

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def to_vectors(scores: torch.Tensor, target: torch.Tensor) -> tuple[Array, NDArray[np.int64]]:
    """(..., C, H, W) or (N, C) scores as (pixels, C), and class ids as (pixels,)."""
    axis = 1 if scores.ndim == 2 else -3
    vectors = np.moveaxis(scores.detach().double().numpy(), axis, -1)
    return vectors.reshape(-1, vectors.shape[-1]), target.numpy().astype(np.int64).reshape(-1)


def softmax(vectors: Array) -> Array:
    powers: Array = np.exp(vectors - vectors.max(axis=1, keepdims=True))
    total: Array = powers.sum(axis=1, keepdims=True)
    return powers / total


def counts(vectors: Array, ids: NDArray[np.int64], soft: bool) -> tuple[Array, Array]:
    """g and f of each class."""
    classes = vectors.shape[1]
    truth = np.eye(classes)[ids]
    guess = softmax(vectors) if soft else np.eye(classes)[vectors.argmax(axis=1)]
    g: Array = (guess * truth).sum(axis=0)
    f: Array = (guess + truth - guess * truth).sum(axis=0)
    return g, f


def positive_loss(pr: Array, y: int, form: str, margin: float) -> float:
    gt = np.eye(len(pr))[y]
    if form == "linear":
        return float(-(pr @ gt))
    return float(max(np.max(pr * (1 - gt)) - pr @ gt + margin, 0))


def negative_loss(pr: Array, y: int, t: int, form: str, margin: float) -> float:
    gt, one_hot = np.eye(len(pr))[y], np.eye(len(pr))[t]
    if form == "linear":
        return 0.0 if pr @ gt > pr @ one_hot + margin else float(pr @ one_hot)
    return float(max(pr @ one_hot - pr @ gt + margin, 0))


def segmentation_loss(
    scores: torch.Tensor,
    target: torch.Tensor,
    form: str = "linear",
    margin: float = 0.0,
    weights: str = "hard",
    activation: str | None = None,
    include_background: bool = True,
    ignore_index: int = 255,
    temperature: float = 1.0,
) -> float:
    vectors, ids = to_vectors(scores, target)
    vectors, ids = vectors[ids != ignore_index] / temperature, ids[ids != ignore_index]
    if activation == "tanh":
        vectors = np.tanh(vectors)
    counted = vectors
    if activation == "softmax":
        vectors = softmax(vectors)
        counted = np.log(vectors)  # softmax of it is the activated score itself
    g, f = counts(counted, ids, soft=weights == "soft")
    numerator = denominator = 0.0
    for t in range(0 if include_background else 1, vectors.shape[1]):
        if f[t] == 0:
            continue
        w_p, w_n = 1 / f[t], g[t] / f[t] ** 2
        denominator += w_p + w_n
        for pr, y in zip(vectors, ids, strict=True):
            if y == t:
                numerator += w_p * positive_loss(pr, int(y), form, margin)
            else:
                numerator += w_n * negative_loss(pr, int(y), t, form, margin)
    return numerator / (len(ids) * denominator) if denominator else 0.0


def iou_loss(
    scores: torch.Tensor,
    target: torch.Tensor,
    activation: str | None = "softmax",
    include_background: bool = True,
    ignore_index: int = 255,
    temperature: float = 1.0,
) -> float:
    vectors, ids = to_vectors(scores, target)
    vectors, ids = vectors[ids != ignore_index], ids[ids != ignore_index]
    p = softmax(vectors / temperature) if activation else vectors
    truth = np.eye(p.shape[1])[ids]
    first = 0 if include_background else 1
    intersection = (p * truth).sum(axis=0)[first:]
    union = (p + truth - p * truth).sum(axis=0)[first:]
    return float(1 - np.mean(intersection[union > 0] / union[union > 0]))
