"""Metrics of face masks: accuracy, consistency over time, and whether a difference is real."""

from facemask.metrics.confusion import (
    class_iou,
    confusion_matrix,
    intersection_and_union,
)
from facemask.metrics.frame_counts import FrameCounts
from facemask.metrics.iou import MaskIoU
from facemask.metrics.motion import boundary_distance, warp_mask
from facemask.metrics.significance import (
    Significance,
    improvement_by_position,
    paired_significance,
)
from facemask.metrics.temporal import TemporalConsistency
from facemask.resample import labels_at_size

__all__ = [
    "FrameCounts",
    "MaskIoU",
    "Significance",
    "TemporalConsistency",
    "boundary_distance",
    "class_iou",
    "confusion_matrix",
    "improvement_by_position",
    "intersection_and_union",
    "labels_at_size",
    "paired_significance",
    "warp_mask",
]
