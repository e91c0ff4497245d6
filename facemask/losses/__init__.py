"""Losses: a function and a thin `torch.nn.Module` each."""

from facemask.losses.cross_entropy import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy"]
