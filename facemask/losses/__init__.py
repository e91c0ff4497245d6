"""Losses: a function and a thin `torch.nn.Module` each, and their weighted sum."""

from facemask.losses.composite import CompositeLoss
from facemask.losses.cross_entropy import CrossEntropyLoss, cross_entropy
from facemask.losses.iou import IoULoss, iou_loss
from facemask.losses.marginal import merge_class_sets
from facemask.losses.segmentation import SegmentationLoss, segmentation_loss

__all__ = [
    "CompositeLoss",
    "CrossEntropyLoss",
    "IoULoss",
    "SegmentationLoss",
    "cross_entropy",
    "iou_loss",
    "merge_class_sets",
    "segmentation_loss",
]
