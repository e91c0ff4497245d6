"""Pictures, a video and the confusion matrix after each validation."""

from typing import Any, Final, Protocol, TypeGuard, cast

import numpy as np
import numpy.typing as npt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import InputError
from facemask.metrics import MaskIoU
from facemask.regions import Region
from facemask.training.loggers.clips import (
    LabelledClip,
    choose_clips,
    following_clips,
    predict_clips,
)
from facemask.training.loggers.sinks import (
    Panels,
    log_panels,
    shows_pictures,
    shows_videos,
)

_LEAST: Final = {"clips": 0, "video_frames": 0, "every_n_epochs": 1, "seed": 0}


class ValidatedModule(Protocol):
    """LightningModule whose validation can be shown, as that of every `MaskModule` can.

    Its `predict_step` returns the label image, uint8 (H, W) at original size, of each frame by
    name.

    Attributes:
        val_iou: The validation's metric, reset in the module's own `on_validation_epoch_end`.
        region: What the model looks at.
    """

    val_iou: MaskIoU
    region: Region


def _is_validated(module: object) -> TypeGuard[ValidatedModule]:
    # from Python 3.12 on isinstance does not see metrics, which torch keeps as submodules
    return hasattr(module, "val_iou") and hasattr(module, "region")


class ValidationPanels(Callback):
    """Logs what the module predicts on a few fixed validation clips, and the confusion matrix.

    Each logger gets what it can show, see `sinks.log_panels`. Only the first process predicts and
    logs. Neither the module's mode and metrics nor any random state changes.

    Args:
        clips: Number of clips, the same all the time: one drawn from each of as many equal parts
            of the validation set. 0 shows none.
        video_frames: Frames of the video, at most: from the first of these clips on, as long as
            its video has no gap. 30 are one second. 0 leaves it out; it needs `clips`.
        every_n_epochs: Log at every n-th epoch only.
        seed: Decides which clips are drawn.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self, clips: int = 4, video_frames: int = 30, every_n_epochs: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        given = (clips, video_frames, every_n_epochs, seed)
        for (name, least), value in zip(_LEAST.items(), given, strict=True):
            if value < least:
                raise InputError(f"ValidationPanels.{name} is {value}, expected at least {least}.")
        self.clips = clips
        self.video_frames = video_frames
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self._samples: dict[int, dict[str, Any]] = {}  # entries of the data set, loaded once
        self._confusion: npt.NDArray[np.int64] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check what is to be shown.

        Raises:
            InputError: The module or the data module is another one.
        """
        self._samples = {}
        data: object = trainer.datamodule  # type: ignore[attr-defined]  # set by the data connector
        fits = _is_validated(pl_module) and isinstance(data, FaceMaskDataModule)
        if stage in ("fit", "validate") and not fits:
            raise InputError(
                f"ValidationPanels got a {type(pl_module).__name__} and a {type(data).__name__}: "
                "give a MaskModule and a FaceMaskDataModule (Trainer.fit(model, datamodule=...))."
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the confusion matrix of all processes; the module resets it after this."""
        self._confusion = None
        if trainer.sanity_checking or not self._due(trainer):
            return
        metric = cast("ValidatedModule", pl_module).val_iou  # setup has looked
        with metric.sync_context():
            self._confusion = metric.confusion.cpu().numpy().copy()

    def _due(self, trainer: Trainer) -> bool:
        return (
            trainer.state.fn != TrainerFn.FITTING
            or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict and log."""
        if self._confusion is None or not trainer.is_global_zero:
            return
        clips, video = self._predict(trainer, pl_module)
        shown = cast("ValidatedModule", pl_module)
        panels = Panels(clips, video, self._confusion, shown.val_iou.class_names, shown.region)
        for logger in trainer.loggers:
            log_panels(logger, panels, trainer.global_step)

    def _predict(
        self, trainer: Trainer, module: LightningModule
    ) -> tuple[list[LabelledClip], LabelledClip | None]:
        """The fixed clips and the video, or nothing where no logger shows them."""
        if self.clips == 0 or not any(map(shows_pictures, trainer.loggers)):
            return [], None
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        dataset = data.datasets["val"]
        chosen = choose_clips(len(dataset), self.clips, self.seed)
        filmed: list[int] = []
        if self.video_frames and any(map(shows_videos, trainer.loggers)):
            filmed = following_clips(dataset, chosen[0], self.video_frames)
        indices = list(dict.fromkeys([*chosen, *filmed]))
        self._samples |= {i: dataset[i] for i in indices if i not in self._samples}
        samples = [self._samples[i] for i in indices]
        labelled = dict(
            zip(indices, predict_clips(trainer, module, samples, data.batch_size), strict=True)
        )
        video = [labelled[i] for i in filmed]
        return [labelled[i] for i in chosen], self._joined(video) if video else None

    def _joined(self, clips: list[LabelledClip]) -> LabelledClip:
        """Consecutive clips as one, at most `video_frames` long."""
        names = [name for clip in clips for name in clip.names]
        images, truth, prediction = (
            np.concatenate([getattr(clip, part) for clip in clips])[: self.video_frames]
            for part in ("images", "truth", "prediction")
        )
        return LabelledClip(tuple(names[: self.video_frames]), images, truth, prediction)
