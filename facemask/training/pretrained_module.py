"""Base of the modules whose encoder may start from pretrained weights."""

from typing import Any, Literal

from torch import nn

from facemask.errors import InputError
from facemask.regions import REGIONS, Region, check_region
from facemask.training.mask_module import MaskModule


def class_count(num_classes: int | None, region: Region) -> int:
    """Return the number of classes of a network: the given one, or that of the region.

    Raises:
        InputError: The region is unknown, or eyes or mouth with another number.
    """
    names = REGIONS[check_region(region)].class_names
    if region != "face" and num_classes not in (None, len(names)):
        raise InputError(
            f"model.num_classes is {num_classes}, but the region {region!r} has {len(names)} "
            f"classes ({', '.join(names)}): leave num_classes out."
        )
    return len(names) if num_classes is None else num_classes


class PretrainedModule(MaskModule):
    """Trains a network whose encoder may start from pretrained weights.

    Args:
        network: As in `MaskModule`.
        pretrained: Encoder weights, loaded when training starts: false for random ones, true for
            timm's download, or the path of a local checkpoint of the timm model (for VGG-16 of
            torchvision's, too).
        training: Options of `MaskModule`.

    Raises:
        InputError: Both `pretrained` and `init_from` are given.
    """

    saves_arguments = True

    def __init__(
        self,
        network: nn.Module,
        *,
        pretrained: bool | str = False,
        **training: Any,  # noqa: ANN401  # options of MaskModule, which check them
    ) -> None:
        super().__init__(network, **training)
        if self.init_from is not None and pretrained is not False:
            raise InputError(
                f"model.pretrained is {pretrained} and model.init_from {self.init_from}: a "
                "checkpoint holds the encoder too; set pretrained to false, or leave init_from out."
            )
        self.pretrained = pretrained

    def load_pretrained(self, source: Literal[True] | str) -> None:
        """Load the encoder's weights, timm's or those of a file."""
        raise NotImplementedError

    def load_initial_weights(self) -> None:
        """Load the pretrained encoder, or a whole network.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count.
        """
        super().load_initial_weights()
        if self.pretrained is not False:
            self.load_pretrained(self.pretrained)
