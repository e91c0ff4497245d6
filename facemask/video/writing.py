"""Writing results, one item a frame: videos, label images, arrays, tables.

Every writer is a [`FrameWriter`][facemask.video.writing.FrameWriter]: `write(frame, item)` for
each frame, then `finish()`, or `abort()` to leave nothing behind; as a context manager it does so
by itself.
"""

from facemask.video.arrays import ArrayWriter, LabelFolderWriter, TableWriter
from facemask.video.encoding import GreyVideoWriter, LabelVideoWriter, VideoWriter
from facemask.video.output import FrameWriter

__all__ = [
    "ArrayWriter",
    "FrameWriter",
    "GreyVideoWriter",
    "LabelFolderWriter",
    "LabelVideoWriter",
    "TableWriter",
    "VideoWriter",
]
