"""Networks: plain `torch.nn.Module`s that know nothing of Lightning."""

from facemask.models.cascade import Cascade, CascadeOutput
from facemask.models.cascade_settings import CascadeSettings
from facemask.models.convlstm import ConvLSTM
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN
from facemask.models.smoothing import TemporalSmoothing

__all__ = [
    "FCN",
    "Cascade",
    "CascadeOutput",
    "CascadeSettings",
    "ConvLSTM",
    "ConvLSTMFCN",
    "TemporalSmoothing",
]
