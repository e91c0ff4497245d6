"""Label images to and from the files of annotation tools: COCO, CVAT and Label Studio."""

from facemask.annotations.rle import (
    from_brush,
    from_coco,
    from_runs,
    to_brush,
    to_coco,
    to_runs,
)

__all__ = ["from_brush", "from_coco", "from_runs", "to_brush", "to_coco", "to_runs"]
