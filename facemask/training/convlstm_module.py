"""LightningModule of a ConvLSTM-FCN, or a subclass of your own (section 4.2)."""

import math
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from facemask.checkpoints import load_weights, weights_below
from facemask.data.clips import ClipBatch
from facemask.data.datamodule import FaceMaskDataModule
from facemask.data.feature_clips import FeatureBatch
from facemask.errors import InputError
from facemask.models.cell import KernelStart
from facemask.models.convlstm import State
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.description import USE_KEY, take_cell
from facemask.models.fcn import FCN
from facemask.models.normalisation import normalise
from facemask.training.carried_state import CarriedState, check_dropout
from facemask.training.initial_weights import read_initial_weights
from facemask.training.input_scale import fit_to_features
from facemask.training.mask_module import MaskModule

_STATES: Final = "facemask_states"


class ConvLSTMModule(MaskModule):
    """Trains a ConvLSTM-FCN on clips, starting from an FCN.

    Args:
        network: A `ConvLSTMFCN`, or a subclass of your own.
        init_from: Checkpoint of an `FCNModule` whose weights training starts from, all but
            the classifier's (section 3.1); or of a ConvLSTM-FCN, all of whose weights it starts
            from: a checkpoint, weights that come with facemask (default, open), a cascade's
            file or a Hugging Face repository id, of which the region's network is taken.
        classifier_scale: Null starts the ConvLSTM at random, as the paper does. A number starts
            it from the FCN's classifier scaled by it, so that training begins with the FCN's
            masks: 1 for a linear cell, 0.1 or so for tanh.
        gamma: Learning rate of all other layers over that of the ConvLSTM (the paper's γ,
            Table 6); 0 freezes them (Tables 3 and 5).
        freeze_bn: Keep BatchNorm's running statistics as they are: ten frames of two clips
            say too little about all faces.
        feature_cache: With `gamma` 0 and `freeze_bn`: a folder for the encoder's features, in
            bfloat16, of training and validation, so that an epoch costs what the ConvLSTM
            costs. They are computed when training starts, where they are not there already.
            Null computes them anew at every step.
        feature_variants: How many augmented draws of each training clip the cache holds; epoch
            e sees draw e mod this number. 0 leaves augmentation out.
        kernel_start: Distribution of the ConvLSTM's input weights where it starts at random:
            glorot, Keras's own, or he_normal.
        kernel_l2: L2 penalty on these weights, as Keras's `kernel_regularizer=l2(kernel_l2)`
            (gradient 2 · kernel_l2 · w), with optimisers whose `weight_decay` adds to the gradient:
            Adam, RMSprop, SGD.
        input_deviation: How far the features shall seem to deviate from 0 to a ConvLSTM that starts
            at random: its input weights are divided by how far they do, in the first batch. Null
            leaves the weights as they were drawn.
        carry_state: In training, go on from the state after the clip before, where clips follow
            each other (`data.clips_in_a_row`), without a gradient across: truncated
            back-propagation through time. False begins each clip anew, as validation and test do.
        state_dropout: With `carry_state`: probability that a clip begins anew nevertheless.
        training: Options of `MaskModule`.

    Raises:
        InputError: `gamma`, `feature_variants` or `kernel_l2` is negative, `input_deviation` is
            not above 0, `state_dropout` is not in [0, 1) or has nothing to drop, or features are to
            be cached though the encoder changes; in `setup`, state is to be carried on though
            clips are shuffled.
    """

    network: ConvLSTMFCN
    saves_arguments = True

    def __init__(
        self,
        network: ConvLSTMFCN,
        init_from: str | None = None,
        classifier_scale: float | None = None,
        gamma: float = 0.05,
        *,
        freeze_bn: bool = True,
        feature_cache: str | None = None,
        feature_variants: int = 1,
        kernel_start: KernelStart = "glorot",
        kernel_l2: float = 0.0,
        input_deviation: float | None = 0.1,
        carry_state: bool = False,
        state_dropout: float = 0.0,
        **training: Any,  # noqa: ANN401  # options of MaskModule, which check them
    ) -> None:
        least = {"gamma": gamma, "kernel_l2": kernel_l2, "feature_variants": feature_variants}
        for name, value in least.items():
            if value < 0:
                raise InputError(f"model.{name} is {value}, expected 0 or more.")
        if input_deviation is not None and not 0 < input_deviation < math.inf:
            raise InputError(
                f"model.input_deviation is {input_deviation}, expected a number above 0, or null "
                "to leave the new weights as they are."
            )
        if feature_cache is not None and (gamma or not freeze_bn):
            raise InputError(
                f"model.feature_cache needs an encoder that stays as it is, but gamma is {gamma} "
                f"and freeze_bn {freeze_bn}: give gamma 0 and freeze_bn true, or leave it out."
            )
        check_dropout(state_dropout, carried=carry_state)
        super().__init__(network, init_from=init_from, freeze_bn=freeze_bn, **training)
        self.classifier_scale = classifier_scale
        self.gamma = gamma
        self.feature_cache = feature_cache
        self.feature_variants = feature_variants
        self.kernel_l2 = kernel_l2
        self.input_deviation = input_deviation
        self.carry_state = carry_state
        self._carried = CarriedState(state_dropout)
        self._saved_states: list[dict[str, Any]] = []  # of all processes, from a checkpoint
        self._fitted = False
        if kernel_start != "glorot":  # which it has already
            network.convlstm.reset_parameters(kernel_start)
        if gamma == 0:
            network.encoder.requires_grad_(False)

    def setup(self, stage: str) -> None:
        """Check the data, as `MaskModule`.

        Raises:
            InputError: As there, or state is to be carried on though clips are shuffled.
        """
        super().setup(stage)
        in_a_row = getattr(self._data, "clips_in_a_row", None) or 1
        if stage == "fit" and self.carry_state and in_a_row == 1:
            raise InputError(
                "model.carry_state is true, but training clips come shuffled, so that none goes on "
                "from the one before: give --data.clips_in_a_row 20."
            )

    def load_initial_weights(self) -> None:
        """Take over the weights of an FCN, or of a ConvLSTM-FCN.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count, or a
                classifier is to be scaled and there is none.
        """
        if self.init_from is None:
            return
        found = read_initial_weights(self.init_from, self.region).get(USE_KEY)
        if isinstance(found, dict) and found.get("network") == ConvLSTMFCN.__name__:
            if self.classifier_scale is not None:
                raise InputError(
                    f"model.classifier_scale is {self.classifier_scale}, which scales an FCN's "
                    f"classifier, but {self.init_from} holds a ConvLSTM-FCN: leave it null."
                )
            super().load_initial_weights()
            return
        own = {"class", *ConvLSTMFCN.described, "peephole_size"} - {*FCN.described}
        expected = {k: v for k, v in self.describe_network().items() if k not in own}
        weights = self.initial_weights(expected | {"network": FCN.__name__})
        encoder = self.network.encoder
        classifier = nn.Conv2d(encoder.channels, self.network.num_classes, kernel_size=1)
        for name, module in (("encoder", encoder), ("classifier", classifier)):
            load_weights(module, weights_below(weights, f"{name}."), Path(self.init_from))
        if self.classifier_scale is not None:
            self.network.convlstm.start_from_convolution(classifier, self.classifier_scale)

    def prepare_weights(self) -> None:
        """Load the weights to start from, cache features, and fit a new ConvLSTM to them.

        Raises:
            InputError: As `FeatureCache.fill` and `fit_to_features`.
        """
        super().prepare_weights()
        self._cache_features()
        if self.input_deviation is not None and not self._restored and not self._fitted:
            self._fitted = True  # a second training goes on with these weights
            fit_to_features(self, self.network, self.input_deviation)

    def _cache_features(self) -> None:
        trainer = self.trainer
        if self.feature_cache is None or getattr(trainer, "fast_dev_run", False):
            return  # a fast_dev_run leaves nothing on disk
        from facemask.training.feature_cache import FeatureCache  # few trainings need it

        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, FaceMaskDataModule):
            raise InputError(
                f"model.feature_cache got a {type(data).__name__}: give a FaceMaskDataModule."
            )
        folder = Path(self.feature_cache)
        cache = FeatureCache(folder, self.network.encoder, trainer, self.feature_variants)
        cache.fill(data, ["train", "val"] if trainer.limit_val_batches else ["train"])

    def score(self, batch: ClipBatch) -> Tensor:
        """Score a batch of images, or of features if these are cached: (B, [T,] C, S, S)."""
        return self._run(batch, None)[0] if "features" in batch else super().score(batch)

    def score_to_train(self, batch: ClipBatch) -> Tensor:
        """Score a batch of training, going on from the one before where that was asked for."""
        if not self.carry_state:
            return super().score_to_train(batch)
        numbers, epoch = batch["numbers"], self.current_epoch
        scores, state = self._run(batch, self._carried.before(numbers, epoch))
        self._carried.keep(numbers, epoch, state)
        return scores

    def on_train_start(self) -> None:
        """Go on from the state of this process in the checkpoint, if any."""
        trainer = self.trainer
        if len(self._saved_states) == trainer.world_size:
            self._carried.restore(self._saved_states[trainer.global_rank])
        self._saved_states = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state that is carried on, of every process; all of them save together."""
        super().on_save_checkpoint(checkpoint)
        if not self.carry_state:
            return
        states = [self._carried.saved()]
        if self.trainer.world_size > 1:
            states *= self.trainer.world_size
            torch.distributed.all_gather_object(states, self._carried.saved())
        checkpoint[_STATES] = states

    def _run(self, batch: ClipBatch, state: State | None) -> tuple[Tensor, State]:
        """Return scores (B, [T,] C, S, S) of a batch, and the state after it."""
        if "features" not in batch:
            result: tuple[Tensor, State] = self.network(
                normalise(batch["images"], self.network), state
            )
            return result
        features = cast("FeatureBatch", batch)["features"]
        device = features.device.type
        # as the encoder's own would be: autocast's dtype, or that of the weights
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        else:
            dtype = self.network.convlstm.bias.dtype
        size = batch["masks"].shape
        return self.network.score_features(features.to(dtype), (size[-2], size[-1]), state)

    def remedies(self) -> list[str]:
        """Return what helps a class that is never predicted, most likely first."""
        free = not self.network.bounded
        found = []
        if not free:
            found += [
                "cell_activation linear, which frees the scores",
                "on scores in (-1, 1) temperature 0.1 (cross-entropy, IoU loss, Eq. 9) or margin "
                "0.1 (Eq. 8)",
            ]
        if self.classifier_scale is None:
            scale = "1.0" if free else "0.1"
            found.append(f"classifier_scale {scale}, which starts from the FCN's classifier")
        if self.input_deviation is None:
            found.append("input_deviation 0.1, which fits new weights to the features")
        return [*found, *super().remedies()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the weights' cell from a checkpoint that does not name it, else as `NetworkModule`.

        Raises:
            InputError: The checkpoint's network, cell, backbone, class count or region is another,
                or its tensors do not fit.
        """
        described = checkpoint.get(USE_KEY)
        if isinstance(described, dict) and "cell_activation" not in described:
            take_cell(self.network, described)
            self.hparams.update(
                {k: v for k, v in self.describe_network().items() if k in self.hparams}
            )
        super().on_load_checkpoint(checkpoint)
        self._saved_states = checkpoint.get(_STATES, [])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the ConvLSTM's parameters, and all others at γ times its learning rate."""
        convlstm = dict(self.network.convlstm.named_parameters())
        groups: list[dict[str, Any]] = []
        if self.kernel_l2:  # the derivative of kernel_l2 · w² is 2 · kernel_l2 · w
            kernel = [convlstm.pop("weight_input")]
            groups.append({"params": kernel, "weight_decay": 2 * self.kernel_l2})
        groups.append({"params": list(convlstm.values())})
        for group in groups:
            group["lr"] = self.learning_rate
        if self.gamma:
            others = list(self.network.encoder.parameters())
            groups.append({"params": others, "lr": self.learning_rate * self.gamma})
        return groups
