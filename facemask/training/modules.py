"""LightningModules of the FCN and the ConvLSTM-FCN (section 4.2)."""

from collections.abc import Sequence
from typing import Any, Literal

from facemask.models.backbone import Encoder
from facemask.models.cell import CellActivation, GateActivation
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN
from facemask.regions import Region
from facemask.training.convlstm_module import ConvLSTMModule
from facemask.training.pretrained_module import PretrainedModule, class_count

__all__ = ["ConvLSTMFCNModule", "ConvLSTMModule", "FCNModule", "PretrainedModule"]


class FCNModule(PretrainedModule):
    """Trains the FCN on single frames, or on the frames of clips independently.

    Args:
        backbone: A timm model name.
        num_classes: Number of classes, background included; null takes the region's.
        output_stride: Image pixels to a feature pixel along each side.
        region: What the images show, as the data module's: face, eyes or mouth.
        skips: Strides of finer feature levels to add on the way up, such as [8, 4]; the
            paper has none.
        skip_channels: Channels of the features with skips.
        training: Options of `PretrainedModule` and `MaskModule`.
    """

    network: FCN

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int | None = None,
        *,
        output_stride: int = 16,
        region: Region = "face",
        skips: Sequence[int] = (),
        skip_channels: int = 64,
        **training: Any,  # noqa: ANN401  # options of PretrainedModule, which checks them
    ) -> None:
        classes = class_count(num_classes, region)
        network = FCN(
            backbone, classes, output_stride=output_stride, skips=skips, skip_channels=skip_channels
        )
        super().__init__(network, region=region, **training)

    def load_pretrained(self, source: Literal[True] | str) -> None:
        """Load the weights of timm's network."""
        encoder = self.network.encoder
        pretrained = Encoder(encoder.name, source, encoder.stride)
        encoder.body.load_state_dict(pretrained.body.state_dict())


class ConvLSTMFCNModule(ConvLSTMModule):
    """Trains the ConvLSTM-FCN on clips, starting from an FCN.

    Args:
        backbone: A timm model name.
        num_classes: Number of classes, background included; null takes the region's.
        kernel_size: Side of the ConvLSTM's kernels, odd.
        peephole: Whether the ConvLSTM has peepholes.
        output_stride: Image pixels to a feature pixel along each side.
        region: What the images show, as the data module's: face, eyes or mouth.
        skips: Strides of finer feature levels to add on the way up, as in the FCN.
        skip_channels: Channels of the features with skips.
        cell_activation: The ConvLSTM's of candidate and output: linear for free scores, as the
            FCN's are, or tanh for scores in (-1, 1), as Eq. 1 is printed.
        gate_activation: The ConvLSTM's of its gates: sigmoid (Eq. 1), or Keras 2's hard_sigmoid.
        training: Options of `ConvLSTMModule` and `MaskModule`.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int | None = None,
        *,
        kernel_size: int = 1,
        peephole: bool = True,
        output_stride: int = 16,
        region: Region = "face",
        skips: Sequence[int] = (),
        skip_channels: int = 64,
        cell_activation: CellActivation = "linear",
        gate_activation: GateActivation = "sigmoid",
        **training: Any,  # noqa: ANN401  # options of ConvLSTMModule and MaskModule
    ) -> None:
        network = ConvLSTMFCN(
            backbone,
            class_count(num_classes, region),
            output_stride=output_stride,
            kernel_size=kernel_size,
            peephole=peephole,
            skips=skips,
            skip_channels=skip_channels,
            cell_activation=cell_activation,
            gate_activation=gate_activation,
        )
        super().__init__(network, region=region, **training)
