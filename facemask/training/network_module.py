"""Networks in LightningModules: how they are shown images, and what their checkpoints hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from facemask.checkpoints import check_weights, load_weights, weights_below
from facemask.lightning_guard import MODULE_KEY, build_from, keep_known
from facemask.models.description import USE_KEY, check_description, describe, describe_use, use_of
from facemask.models.fcn import EncoderNetwork
from facemask.models.normalisation import normalise
from facemask.models.own_network import check_network, first_output, takes_clips
from facemask.origin import KEY, describe_origins, origins_of, read_origins
from facemask.regions import Region
from facemask.training.descent import data_origins
from facemask.training.initial_weights import read_initial_weights
from facemask.training.scored_module import ScoredModule

Module = TypeVar("Module", bound="NetworkModule")


class NetworkModule(ScoredModule):
    """Scores a network with weights, whose checkpoints say what it takes to use them.

    Args:
        network: As in `MaskModule`.
        region: Part of the face in the images.
        means: Names of the values that `label` averages over frames.
        init_from: Checkpoint of a module with the same network, whose weights training starts from;
            or a cascade, as `read_initial_weights` takes it.

    Attributes:
        seen: `input_size`, [height, width], and `clips` of the batches it was trained on, if any.

    Raises:
        InputError: The region is unknown, or the network lacks an attribute.
    """

    needs_checkpoint = True

    def __init__(
        self, network: nn.Module, region: Region, means: Sequence[str], init_from: str | None
    ) -> None:
        check_network(network)
        super().__init__(network, region, means)
        self.init_from = init_from
        self.seen: dict[str, Any] = {}
        self._data: object = None
        self._restored = False
        self._whole_clips: bool | None = None  # whether the network takes them; None is unknown

    def setup(self, stage: str) -> None:
        """Check the region of the data, as `ScoredModule`, and keep the data module at hand."""
        super().setup(stage)
        self._data = getattr(self.trainer, "datamodule", None)

    def forward(self, images: Tensor) -> Tensor:
        """Score uint8 images (B, 3, H, W) or clips (B, T, 3, H, W): (B, [T,] C, H, W)."""
        pixels = normalise(images, self.network)
        if pixels.ndim == 5 and self._whole_clips is None:
            self._whole_clips = takes_clips(self.network, pixels)
        if pixels.ndim == 4 or self._whole_clips:
            return first_output(self.network(pixels))
        scores = first_output(self.network(pixels.flatten(0, 1)))
        return scores.reshape(*pixels.shape[:2], *scores.shape[1:])

    def describe_network(self) -> dict[str, Any]:
        """Describe what a checkpoint must share with this module for its weights to fit."""
        return describe(self.network) | {"region": self.region}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write beside the weights what it takes to use them: `docs/training.md` has the keys."""
        use = describe_use(self.network, self.seen, self._data)
        own = [] if self._data is None else data_origins(self._data, self.trainer, self.region)
        # a resumed training has those of its first part, too
        names = {origin.name for origin in own}
        before = [origin for origin in origins_of(self.network) if origin.name not in names]
        descent = describe_origins([*before, *own])
        checkpoint[USE_KEY] = self.describe_network() | use | descent

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
        self.seen = {k: v for k, v in use_of(checkpoint).items() if k in ("input_size", "clips")}
        setattr(self.network, KEY, read_origins(cast("dict[str, Any]", found)))
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
        """Build a module with a checkpoint's weights; no code is run from it, whatever it holds.

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
        """Load what training starts from.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count.
        """
        if self.init_from is not None:
            weights = self.initial_weights(self.describe_network())
            load_weights(self.network, weights, Path(self.init_from))
            if isinstance(self.network, EncoderNetwork):
                self.network.offsets.zero_()  # other weights need others

    def initial_weights(self, expected: dict[str, Any]) -> dict[str, Tensor]:
        """Read the weights of `init_from`, by their names in the network.

        Args:
            expected: Description of the network that they are for.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count.
        """
        checkpoint = read_initial_weights(str(self.init_from), self.region)
        found = checkpoint.get(USE_KEY)
        check_description(found, expected, str(self.init_from))
        setattr(self.network, KEY, read_origins(cast("dict[str, Any]", found)))
        return weights_below(checkpoint["state_dict"], "network.")
