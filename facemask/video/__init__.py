"""Video: read any (file, folder, camera), paint masks over it, write the results."""

from facemask.video.painting import composite, overlay, side_by_side
from facemask.video.reading import FrameSource, VideoFrame, expand_inputs, open_source
from facemask.video.writing import (
    ArrayWriter,
    FrameWriter,
    GreyVideoWriter,
    LabelFolderWriter,
    LabelVideoWriter,
    TableWriter,
    VideoWriter,
)

__all__ = [
    "ArrayWriter",
    "FrameSource",
    "FrameWriter",
    "GreyVideoWriter",
    "LabelFolderWriter",
    "LabelVideoWriter",
    "TableWriter",
    "VideoFrame",
    "VideoWriter",
    "composite",
    "expand_inputs",
    "open_source",
    "overlay",
    "side_by_side",
]
