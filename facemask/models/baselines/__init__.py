"""Baselines: networks that the paper compares with (Table 2)."""

from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.dense_crf import DenseCRF
from facemask.models.baselines.vgg16 import FCNVGG16

__all__ = ["FCNVGG16", "DeepLab", "DenseCRF"]
