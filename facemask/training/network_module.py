"""What the checkpoints of all LightningModules hold, and how they are read."""

from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from facemask.checkpoints import check_weights, weights_below
from facemask.hyperparameters import MODULE_KEY, build_from, keep_known
from facemask.lightning_trees import warn_of_lightning
from facemask.models.description import (
    USE_KEY,
    check_description,
    describe,
    describe_use,
    use_of,
)
from facemask.models.own_network import check_network
from facemask.regions import Region, check_region

Module = TypeVar("Module", bound="NetworkModule")


class NetworkModule(LightningModule):
    """A LightningModule with a network, whose checkpoints say what it takes to use them.

    Attributes:
        network: Images to scores.
        region: What it looks at.
    """

    needs_checkpoint: ClassVar[bool] = True
    """Whether `facemask test` needs --ckpt_path; False of what has its weights, or has none."""

    def __init__(self, network: nn.Module, region: Region) -> None:
        """Keep the network.

        Raises:
            InputError: The region is unknown, or the network lacks an attribute.
        """
        super().__init__()
        if self.needs_checkpoint:
            check_network(network)
        warn_of_lightning()
        self.network = network
        self.region = check_region(region)
        self._restored = False
        self._use: dict[str, Any] = {}  # what a checkpoint says of the images

    def note_use(self, masks: Tensor) -> None:
        """Keep what a batch of training shows the network, from its masks (B, [T,] S, S)."""
        self._use = {"input_size": list(masks.shape[-2:]), "clips": masks.ndim == 4}

    def describe_network(self) -> dict[str, Any]:
        """What a checkpoint must share with this module for its weights to fit."""
        return describe(self.network) | {"region": self.region}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write beside the weights what it takes to use them: `docs/training.md` has the keys."""
        data: object = getattr(self._trainer, "datamodule", None)
        checkpoint[USE_KEY] = self.describe_network() | describe_use(self.network, self._use, data)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another network, and hyperparameters of unknown names.

        Raises:
            InputError: The checkpoint's network, backbone, class count or region is another, or
                its tensors do not fit.
        """
        keep_known(checkpoint, type(self))
        found = checkpoint.get(USE_KEY)
        check_description(found, self.describe_network(), "the checkpoint")
        weights = weights_below(checkpoint["state_dict"], "network.")
        check_weights(self.network, weights, "the checkpoint")
        self._use = {k: v for k, v in use_of(checkpoint).items() if k in ("input_size", "clips")}
        self._restored = True

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # files only, and no objects in them
        cls: type[Module],
        checkpoint_path: str | Path,
        map_location: torch.device | str = "cpu",
        hparams_file: None = None,  # noqa: ARG003  # Lightning's; hyperparameters are keywords here
        strict: bool | None = None,
        weights_only: Literal[True] | None = True,  # noqa: ARG003  # Lightning's; always true
        **kwargs: Any,  # noqa: ANN401  # the class's own
    ) -> Module:
        """A module with a checkpoint's weights; no code is run from it, whatever it holds.

        Of its hyperparameters those are taken that the class knows by name.

        Args:
            checkpoint_path: The checkpoint.
            map_location: The module's device.
            hparams_file: Not used.
            strict: Whether all tensors must fit; None is the module's `strict_loading`.
            weights_only: Not used: nothing else is read.
            kwargs: Hyperparameters that win, and what a checkpoint does not hold: `loss`,
                `optimizer`, a `network` of your own.

        Raises:
            InputError: The checkpoint cannot be read, or is of another network or class.
        """
        module, checkpoint = build_from(cls, Path(checkpoint_path), MODULE_KEY, kwargs)
        module.configure_model()
        module.on_load_checkpoint(checkpoint)
        strict = module.strict_loading if strict is None else strict
        module.load_state_dict(checkpoint["state_dict"], strict=strict)
        return module.to(map_location)

    def prepare_weights(self) -> None:
        """Load the weights to start from, unless a checkpoint brought all weights."""
        if not self._restored:
            self.load_initial_weights()

    def load_initial_weights(self) -> None:
        """Load what training starts from; nothing here."""
