"""ConvLSTM-FCN: the FCN with a memory over the frames of a clip (section 3.1, Fig. 1)."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from facemask.errors import InputError
from facemask.models.backbone import Encoder
from facemask.models.cell import CellActivation, GateActivation
from facemask.models.convlstm import ConvLSTM, State
from facemask.models.fcn import FCN, EncoderNetwork, check_positive, upsample_bilinear


class ConvLSTMFCN(EncoderNetwork):
    """FCN whose classifier is a ConvLSTM of the same filters (section 3.1, Fig. 1).

    The weights of the encoder have the same names in the state_dict (`encoder.…`) as the FCN's.

    Attributes:
        encoder: Images to features.
        convlstm: Features to C channels, with memory.

    Examples:
        >>> import torch
        >>> model = ConvLSTMFCN("resnet18").eval()
        >>> scores, state = model(torch.zeros(1, 2, 3, 64, 80))
        >>> scores.shape, state[0].shape
        (torch.Size([1, 2, 5, 64, 80]), torch.Size([1, 5, 4, 5]))
        >>> scores, state = model(torch.zeros(1, 3, 64, 80), state)  # the next frame
    """

    described = (
        *EncoderNetwork.described,
        *("kernel_size", "peephole", "cell_activation", "gate_activation"),
    )
    encoder: Encoder

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int = 5,
        pretrained: bool | str | Path | None = False,
        output_stride: int = 16,
        kernel_size: int = 1,
        peephole: bool = True,
        peephole_size: tuple[int, int] | None = None,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
        cell_activation: CellActivation = "linear",
        gate_activation: GateActivation = "sigmoid",
    ) -> None:
        """Build encoder and ConvLSTM.

        Args:
            backbone: A timm model name; see `facemask.models.backbone.Encoder`.
            num_classes: Number of classes C, background included.
            pretrained: Encoder weights: False for random ones, True for timm's download, the path
                of a local checkpoint of the timm model (.pth, .pt, .bin or .safetensors), or None
                where all weights are loaded afterwards.
            output_stride: Image pixels to a pixel of the encoder's last level along each side.
            kernel_size: Side of the ConvLSTM's kernels, odd; 1 as in the FCN's classifier.
            peephole: Whether the ConvLSTM has peepholes.
            peephole_size: Size of the feature maps for full-map peepholes; see `ConvLSTM`.
            skips: Strides of finer feature levels to add on the way up, such as (8, 4), so that
                the scores have the finest one's stride (`facemask.models.backbone.SkipFusion`).
                The paper has none.
            skip_channels: Channels of the features with skips.
            cell_activation: The ConvLSTM's of candidate and output: "linear" for free scores, as
                the FCN's are, or "tanh" for scores in (-1, 1), as Eq. 1 is printed.
            gate_activation: "sigmoid" (Eq. 1) or Keras 2's "hard_sigmoid".

        Raises:
            InputError: As `FCN` and `ConvLSTM`.
        """
        check_positive("ConvLSTMFCN", num_classes=num_classes)
        encoder = Encoder(backbone, pretrained, output_stride, skips, skip_channels)
        super().__init__(encoder, num_classes)
        self.convlstm = ConvLSTM(
            encoder.channels,
            num_classes,
            kernel_size,
            peephole,
            peephole_size,
            cell_activation,
            gate_activation,
        )

    @classmethod
    def from_fcn(
        cls,
        fcn: FCN,
        kernel_size: int = 1,
        peephole: bool = True,
        peephole_size: tuple[int, int] | None = None,
        classifier_scale: float | None = None,
        cell_activation: CellActivation = "linear",
        gate_activation: GateActivation = "sigmoid",
    ) -> "ConvLSTMFCN":
        """Turn a trained FCN into a ConvLSTM-FCN with a new ConvLSTM (section 3.1).

        Args:
            fcn: The FCN; its encoder is copied, so that it stays usable by itself.
            kernel_size: Side of the ConvLSTM's kernels, odd.
            peephole: Whether the ConvLSTM has peepholes.
            peephole_size: Size of the feature maps for full-map peepholes; see `ConvLSTM`.
            classifier_scale: None starts the ConvLSTM at random, as the paper does. A number
                starts it from the FCN's classifier scaled by it, so that training begins with the
                FCN's masks: 1 with the linear activation, 0.1 or so with tanh; see
                `ConvLSTM.start_from_convolution`.
            cell_activation: As in the constructor.
            gate_activation: As in the constructor.

        Returns:
            A model with the FCN's number of classes, device, dtype and training mode.

        Raises:
            InputError: As `ConvLSTM`.
        """
        model = cls(
            **fcn.description(),
            kernel_size=kernel_size,
            peephole=peephole,
            peephole_size=peephole_size,
            cell_activation=cell_activation,
            gate_activation=gate_activation,
        )
        model.train(fcn.training).to(fcn.classifier.weight)
        model.encoder = copy.deepcopy(fcn.encoder)
        if classifier_scale is not None:
            model.convlstm.start_from_convolution(fcn.classifier, classifier_scale)
        return model

    @property
    def bounded(self) -> bool:
        """True if scores lie in (-1, 1), as a tanh cell's do; a linear cell's are free."""
        return self.convlstm.activation == "tanh"

    def description(self) -> dict[str, Any]:
        """Return what a file says of the network, for JSON, by names of the constructor's."""
        layer = self.convlstm
        return super().description() | {
            "kernel_size": layer.kernel_size,
            "peephole": layer.weight_ci is not None,
            "peephole_size": layer.peephole_size,
            "cell_activation": layer.activation,
            "gate_activation": layer.gate_activation,
        }

    def forward(self, clips: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Score every pixel of every frame, knowing the frames before it.

        Args:
            clips: Floating point, normalised with `mean` and `std`, (B, T, 3, H, W), or
                (B, 3, H, W) for one frame of each of B videos.
            state: What the previous call returned, to go on where it ended; None to start anew.

        Returns:
            Scores (B, T, C, H, W), or (B, C, H, W) for one frame each: the ConvLSTM's H, free, or
            in (-1, 1) with `cell_activation="tanh"`, up-sampled; float32 under autocast. And the
            state (h, c) after the last frame, each (B, C, h, w).

        Raises:
            InputError: The clips or the state have another shape, or the clips hold integers.
        """
        features = self.encoder(clips)  # (B, [T,] F, h, w)
        return self.score_features(features, (clips.shape[-2], clips.shape[-1]), state)

    def score_windows(self, clips: Tensor, length: int = 5) -> Tensor:
        """Score each frame as the last one of a window of its own, starting without memory.

        Clips that follow each other give their first frames little to remember (Table 4), so
        that masks pulse with the clips' period; here every frame has `length - 1` predecessors,
        or as many as there are. The encoder sees each frame once.

        Args:
            clips: As in `forward`, (B, T, 3, H, W).
            length: Frames in a window, the paper's 5.

        Returns:
            Scores (B, T, C, H, W).

        Raises:
            InputError: The clips have another shape or hold integers, or `length` is below 1.
        """
        if length < 1 or clips.ndim != 5:
            raise InputError(
                f"score_windows got clips of shape {tuple(clips.shape)} and length {length}: give "
                "(B, T, 3, H, W) and a length of at least 1."
            )
        features = self.encoder(clips)  # (B, T, F, h, w)
        scores = self.convlstm.last_of_windows(features, length)
        return upsample_bilinear(self.calibrated(scores), (clips.shape[-2], clips.shape[-1]))

    def score_features(
        self, features: Tensor, size: tuple[int, int], state: State | None = None
    ) -> tuple[Tensor, State]:
        """Score every pixel of frames whose features the encoder has computed already.

        Args:
            features: The encoder's, (B, T, F, h, w), or (B, F, h, w) for one frame each.
            size: Height and width H, W of the scores in pixels.
            state: As in `forward`.

        Returns:
            As `forward`.

        Raises:
            InputError: The features or the state have another shape.
        """
        scores, state = self.convlstm(features, state)  # (B, [T,] C, h, w)
        # the state stays as it is: what is remembered does not depend on the calibration
        return upsample_bilinear(self.calibrated(scores), size), state
