"""Landmarks, masks, crops, data sets and their loaders.

The data module and the transforms are imported on first use: they bring Lightning and
albumentations, which converting landmarks does not need.
"""

import importlib
from typing import TYPE_CHECKING

from facemask.data.landmarks import read_pts, write_pts
from facemask.data.masks import color_to_mask, landmarks_to_mask, mask_to_color

if TYPE_CHECKING:
    from facemask.data.augment.occlusion import Occluders
    from facemask.data.augment.still_motion import StillMotion
    from facemask.data.augment.transforms import ClipAugmentation, ClipTransform
    from facemask.data.clips import ClipBatch, ClipDataset
    from facemask.data.datamodule import FaceMaskDataModule

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
        "ClipAugmentation": "augment.transforms",
        "ClipTransform": "augment.transforms",
        "Occluders": "augment.occlusion",
        "StillMotion": "augment.still_motion",
    }
    module = modules.get(name, "datamodule")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
