"""Panels for each kind of logger, as far as it can show them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from facemask.classes import CLASS_SETS, IGNORE
from facemask.files import make_folder, write_atomic
from facemask.regions import Region
from facemask.training.loggers import names
from facemask.training.loggers.clips import LabelledClip, comparison, in_a_row, to_gif

_WANDB_STEP: Final = "trainer/global_step"  # WandbLogger's x-axis


@dataclass(frozen=True)
class Panels:
    """Content of a validation's panels.

    Attributes:
        clips: The fixed clips; none where no logger shows pictures.
        video: Consecutive frames; None where no logger shows videos.
        confusion: Pixels, int64 (C, C) [truth, prediction].
        class_names: Names of the C classes.
        region: What the module looks at.
    """

    clips: list[LabelledClip]
    video: LabelledClip | None
    confusion: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    region: Region


def shows_pictures(logger: Logger) -> bool:
    """Return whether a logger can show pictures."""
    return isinstance(logger, (WandbLogger, TensorBoardLogger))


def shows_videos(logger: Logger) -> bool:
    """Return whether a logger can show videos."""
    return isinstance(logger, WandbLogger)


def prepare_logger(logger: Logger, class_names: Sequence[str]) -> None:
    """Let W&B's summary of a run show the highest validation scores instead of the last.

    Args:
        logger: Any logger.
        class_names: Names of the classes whose IoU the module logs.
    """
    if not isinstance(logger, WandbLogger):
        return
    # one by one: a glob would compete with WandbLogger's own for every name
    for name in (names.MIOU, names.PIXEL_ACCURACY, *(names.CLASS_IOU + c for c in class_names)):
        logger.experiment.define_metric(
            names.VALIDATION + name, step_metric=_WANDB_STEP, step_sync=True, summary="max"
        )


def log_panels(logger: Logger, panels: Panels, step: int) -> None:
    """Log all that this logger can show.

    W&B gets the clips with masks to toggle, the video and a plot of the confusion matrix;
    TensorBoard pictures of the clips and the matrix as a table; a CSVLogger the matrix as
    confusion.csv beside its metrics.csv, that of the last validation. Others get nothing.
    """
    if isinstance(logger, WandbLogger):
        _to_wandb(logger, panels, step)
    elif isinstance(logger, TensorBoardLogger):
        _to_tensorboard(logger, panels, step)
    elif isinstance(logger, CSVLogger):
        folder = Path(logger.log_dir)
        make_folder(folder)
        write_atomic(folder / names.CONFUSION_FILE, confusion_to_csv(panels).encode())


def _to_wandb(logger: WandbLogger, panels: Panels, step: int) -> None:
    import wandb

    values: dict[str, Any] = {names.CONFUSION: _wandb_confusion(panels)}
    if panels.clips:
        values[names.CLIPS] = [_wandb_image(clip, panels.class_names) for clip in panels.clips]
    if panels.video is not None:
        # a file, because W&B needs moviepy to encode arrays
        gif = io.BytesIO(to_gif(panels.video, panels.region))
        values[names.VIDEO] = wandb.Video(gif, caption=panels.video.names[0], format="gif")
    logger.log_metrics(values, step=step)


def _wandb_image(clip: LabelledClip, class_names: tuple[str, ...]) -> Any:  # noqa: ANN401
    import wandb

    labels = dict(enumerate(class_names)) | {IGNORE: "ignored"}
    for label in CLASS_SETS.keys() & np.unique(clip.truth).tolist():
        labels[label] = " or ".join(class_names[c] for c in CLASS_SETS[label])
    masks = {
        name: {"mask_data": in_a_row(masks), "class_labels": labels}
        for name, masks in ((names.TRUTH, clip.truth), (names.PREDICTION, clip.prediction))
    }
    # JPEG: a run shows hundreds of them; masks are PNG
    caption = " ".join(clip.names)
    return wandb.Image(in_a_row(clip.images), caption=caption, masks=masks, file_type="jpg")


def _wandb_confusion(panels: Panels) -> Any:  # noqa: ANN401
    import wandb

    table = wandb.Table(columns=["truth", "prediction", "pixels", "share"])
    for truth, row in zip(panels.class_names, panels.confusion, strict=True):
        for prediction, pixels in zip(panels.class_names, row, strict=True):
            # of the true class: the background would outshine counts
            table.add_data(truth, prediction, int(pixels), float(pixels / max(1, row.sum())))
    fields = {"Actual": "truth", "Predicted": "prediction", "nPredictions": "share"}
    title = {"title": "Share of each true class's pixels (validation)"}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, fields, title)


def _to_tensorboard(logger: TensorBoardLogger, panels: Panels, step: int) -> None:
    for number, clip in enumerate(panels.clips):
        picture = comparison(clip, panels.region)
        name = f"{names.CLIPS}/{number}"
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    logger.experiment.add_text(names.CONFUSION, _confusion_to_markdown(panels), step)


def _confusion_to_markdown(panels: Panels) -> str:
    """Rows: truth, columns: prediction, in percent of the true class's pixels."""
    lines = [
        "| truth \\ prediction, % | " + " | ".join(panels.class_names) + " |",
        "| --- |" + " ---: |" * len(panels.class_names),
    ]
    for name, row in zip(panels.class_names, panels.confusion, strict=True):
        shares = 100 * row / max(1, row.sum())
        lines.append(f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    return "\n".join(lines)


def confusion_to_csv(panels: Panels) -> str:
    """Pixels of each true class (rows) by predicted class (columns)."""
    lines = [",".join(["truth", *panels.class_names])]
    for name, row in zip(panels.class_names, panels.confusion.tolist(), strict=True):
        lines.append(",".join([name, *map(str, row)]))
    return "\n".join(lines) + "\n"
