"""Networks: plain `torch.nn.Module`s that know nothing of Lightning."""

from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.dense_crf import DenseCRF
from facemask.models.baselines.vgg16 import FCNVGG16
from facemask.models.cascade import Cascade, CascadeOutput
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.convlstm import ConvLSTM
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN
from facemask.models.smoothing import TemporalSmoothing

__all__ = [
    "FCN",
    "FCNVGG16",
    "Cascade",
    "CascadeOutput",
    "CascadeSettings",
    "ConvLSTM",
    "ConvLSTMFCN",
    "DeepLab",
    "DenseCRF",
    "TemporalSmoothing",
]
