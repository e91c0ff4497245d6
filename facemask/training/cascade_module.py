"""Scoring and running a cascade: `facemask test|predict`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from facemask import __version__
from facemask.data.clips import ClipBatch
from facemask.data.vw300_mask import PSEUDO
from facemask.errors import InputError
from facemask.files import make_folder
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.clips import CascadeOutput, Clip
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.description import describe
from facemask.origin import descent_in_words, origins_of
from facemask.report.record import AGREEMENT
from facemask.training.means import WeightedMeans
from facemask.training.scored_module import ScoredModule, Stage
from facemask.weights.catalog import find_weights

__all__ = ["CascadeModule"]


class CascadeModule(ScoredModule):
    """Scores a `Cascade` at original size, or predicts with it; its networks are trained already.

    The data module hands out faces with `original_images=True`: batches then have
    `original_images`, for each clip the face crops of its real frames, uint8 (3, H, W) at their
    own sizes.

    Logged beside the scores: `test/eyes_found` and `test/mouth_found`, the share of clips in which
    the primary found them; the same for `val`.

    Args:
        primary: Checkpoint of the model of whole faces.
        eyes: Checkpoint of the eyes' model; null keeps the primary's eyes.
        mouth: Checkpoint of the mouth's model; null keeps the primary's mouth.
        cascade: Instead of checkpoints: weights that come with facemask (default, open), a file
            that `Cascade.save` wrote, or a Hugging Face repository id.
        settings: Size, margins and options of the cascade; null is the defaults, or what
            the file of `cascade` says.
        save: File to write the cascade to once it is tested (.safetensors, half precision), for
            `facemask extract --model`; null writes none.

    Raises:
        InputError: Neither or both of checkpoints and file are given, or one cannot be read
            or does not fit.
    """

    network: Cascade
    not_trained = (
        "A cascade is not trained as a whole: train a model for each region, and give their "
        "checkpoints to CascadeModule for `facemask test` or `facemask predict`."
    )

    def __init__(
        self,
        primary: str | None = None,
        eyes: str | None = None,
        mouth: str | None = None,
        cascade: str | None = None,
        settings: CascadeSettings | None = None,
        save: str | None = None,
    ) -> None:
        super().__init__(_read(primary, eyes, mouth, cascade, settings), "face")
        self.save_hyperparameters(ignore=["settings"])
        self.save = None if save is None else Path(save)

    def on_test_end(self) -> None:
        """Write the cascade's file, if one is asked for.

        Raises:
            InputError: It cannot be written.
        """
        if self.save is not None and self.trainer.is_global_zero:
            make_folder(self.save.parent)
            self.network.save(self.save, torch.float16, self._card(self.save.stem))
            rank_zero_info(f"The cascade is in {self.save}.")

    def _card(self, name: str) -> str | None:
        """Return a short model card of what is known; None where the file of `cascade` has one."""
        if self.network.card is not None:
            return None
        score = self.trainer.callback_metrics.get("test/miou")
        root = getattr(getattr(self.trainer, "datamodule", None), "root", None)
        tested = "Not scored." if score is None else f"mIoU {100 * float(score):.1f} %"
        if score is not None and root is not None:
            pseudo = Path(root, PSEUDO).is_file()
            tested += f" on the test side of {Path(root).resolve().name}"
            tested += f": {AGREEMENT}." if pseudo else "."
        return (
            f"## {name}\n\nFace masks from video: a cascade of facemask {__version__}.\n\n"
            f"**Trained from and on**\n\n{descent_in_words(origins_of(self.network))}\n\n"
            f"**Score.** {tested}\n\n**Licence.** The terms above hold for this file, too; those "
            "of data of your own come on top.\n\n**Confidence.** As it was trained it is not "
            "calibrated; the settings of the file say whether it is by now.\n"
        )

    def setup(self, stage: str) -> None:
        """Check the region of the data, and see which specialists there are.

        Raises:
            InputError: The data are of another region.
        """
        super().setup(stage)
        networks = self.network.networks()
        found = [f"{name}_found" for name in ("eyes", "mouth") if name in networks]
        self.val_means, self.test_means = WeightedMeans(found), WeightedMeans(found)

    def forward(self, clips: Sequence[Clip]) -> CascadeOutput:
        """Label clips of frames uint8 (3, H, W) at their own sizes."""
        output: CascadeOutput = self.network(clips)
        return output

    def label(self, batch: ClipBatch, stage: Stage) -> list[list[Tensor]]:
        """Label each clip's real frames, uint8 (H, W); note in how many the regions were found.

        Raises:
            InputError: The batch has no original images.
        """
        output: CascadeOutput = self(_original_images(batch))
        if stage != "predict":
            found = {f"{name}_found": share.float().mean() for name, share in output.found.items()}
            getattr(self, f"{stage}_means").update(found, len(output.labels))
        return output.labels

    def describe_network(self) -> dict[str, Any]:
        """Describe the networks and settings of the cascade."""
        networks = self.network.networks()
        return {
            "network": type(self.network).__name__,
            "num_classes": self.network.num_classes,
            "region": self.region,
            "networks": {name: describe(network) for name, network in networks.items()},
            "settings": asdict(self.network.settings),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> NoReturn:  # noqa: ARG002
        """Refuse a checkpoint: the weights are here already.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "CascadeModule takes its weights from model.primary, model.eyes and model.mouth, or "
            "from model.cascade: leave --ckpt_path out."
        )


def _read(
    primary: str | None,
    eyes: str | None,
    mouth: str | None,
    cascade: str | None,
    settings: CascadeSettings | None,
) -> Cascade:
    checkpoints = {"primary": primary, "eyes": eyes, "mouth": mouth}
    given = [name for name, path in checkpoints.items() if path is not None]
    if cascade is not None:
        if given:
            raise InputError(
                f"model.cascade and model.{given[0]} are both given: give one saved cascade, or "
                "checkpoints."
            )
        if settings is not None:
            raise InputError(
                "model.cascade and model.settings are both given, and a saved cascade has settings "
                "of its own: give --model.settings null."
            )
        return Cascade.load(find_weights(cascade))
    if primary is None:
        raise InputError(
            "model.primary is not set: give the checkpoint of the model of whole faces, or a saved "
            "cascade as model.cascade."
        )
    return Cascade.from_checkpoints(primary, eyes, mouth, settings)


def _original_images(batch: ClipBatch) -> list[list[Tensor]]:
    """Return each clip's face crops at their own sizes.

    Raises:
        InputError: The batch has none.
    """
    images = batch.get("original_images")
    if not isinstance(images, list) or len(images) != len(batch["names"]) or not all(images):
        raise InputError(
            "The batches have no original images, which a cascade zooms into: set "
            "data.original_images=true."
        )
    return images
