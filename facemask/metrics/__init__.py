"""Metrics of face masks."""

from facemask.metrics.iou import MaskIoU

__all__ = ["MaskIoU"]
