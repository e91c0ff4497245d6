"""Landmarks, masks, crops, data sets and their loaders.

The data module and the transforms are imported on first use: they bring Lightning and
albumentations, which converting landmarks does not need.
"""

import importlib
from typing import TYPE_CHECKING

from facemask.data.landmarks import read_pts, write_pts
from facemask.data.masks import color_to_mask, landmarks_to_mask, mask_to_color

if TYPE_CHECKING:
    from facemask.data.clips import ClipBatch, ClipDataset
    from facemask.data.datamodule import FaceMaskDataModule
    from facemask.data.occlusion import Occluders
    from facemask.data.still_motion import StillMotion
    from facemask.data.transforms import ClipAugmentation, ClipTransform

__all__ = [
    "ClipAugmentation",
    "ClipBatch",
    "ClipDataset",
    "ClipTransform",
    "FaceMaskDataModule",
    "Occluders",
    "StillMotion",
    "color_to_mask",
    "landmarks_to_mask",
    "mask_to_color",
    "read_pts",
    "write_pts",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = {
        "ClipAugmentation": "transforms",
        "ClipTransform": "transforms",
        "Occluders": "occlusion",
        "StillMotion": "still_motion",
    }
    module = modules.get(name, "datamodule")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
