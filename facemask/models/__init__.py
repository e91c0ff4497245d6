"""Networks: plain `torch.nn.Module`s that know nothing of Lightning."""

from facemask.models.convlstm import ConvLSTM
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN

__all__ = ["FCN", "ConvLSTM", "ConvLSTMFCN"]
