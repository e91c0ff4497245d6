"""The face tracker of Table 2: 68 landmarks by dlib, tracked and turned into masks, to be scored.

Nothing is trained; `facemask test` and `facemask predict` run it like any other model.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from facemask.annotate.landmark_tracker import LandmarkTracker, LandmarkTrackerSettings
from facemask.annotate.predictor import LandmarkPredictor
from facemask.classes import NUM_CLASSES
from facemask.data.datamodule import ClipBatch
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300_mask import parse_stem, sequence_id
from facemask.errors import InputError
from facemask.metrics import MaskIoU
from facemask.training.mask_module import MaskModule, labels_by_name
from facemask.training.means import WeightedMeans

__all__ = ["CROP_SETTINGS", "LandmarkMasks", "LandmarkTrackerModule"]

CROP_SETTINGS: Final = LandmarkTrackerSettings(find_above=-0.5, smallest_face=0.5, margin=0.25)
"""For face crops: a face is there, fills most of the frame and ends near its border. On 290 stills
(Helen) the detector finds 263 of the faces without margin, 283 with it and 290 from -0.5 on."""


class LandmarkMasks(nn.Module):
    """Label images of successive face crops, from the landmarks of one tracked face.

    A module without parameters. A crop without a face is all background.

    Args:
        predictor: A file of dlib's 68-point predictor; None takes that of the package
            face-recognition-models.
        settings: When a face is found and lost; None is `CROP_SETTINGS`.

    Attributes:
        num_classes: Number of classes, background included.
        tracker: The tracker with its state.

    Raises:
        InputError: dlib or the predictor's file is missing, or the file holds something else.
    """

    def __init__(
        self,
        predictor: str | Path | None = None,
        settings: LandmarkTrackerSettings | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = NUM_CLASSES
        self.tracker = LandmarkTracker(LandmarkPredictor(predictor), settings or CROP_SETTINGS)

    def forward(self, image: Tensor) -> tuple[Tensor, bool]:
        """Label the next frame.

        Args:
            image: Face crop, uint8 (3, H, W) RGB, at any size; that of the frame before may
                differ.

        Returns:
            Class ids, uint8 (H, W), on the image's device, and whether a face was found.
        """
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        points = self.tracker.step(pixels)
        height, width = pixels.shape[:2]
        if points is None:
            mask = np.zeros((height, width), dtype=np.uint8)
        else:
            mask = landmarks_to_mask(points, height, width)
        return torch.from_numpy(mask).to(image.device), points is not None


class LandmarkTrackerModule(MaskModule):
    """Scores the face tracker at original size, or predicts with it (section 4.2, Table 2).

    Each sequence of consecutive frames is tracked from its first frame on: the state is carried
    from clip to clip, and starts anew at another sequence or after a gap. The data module hands
    out faces with `original_images=True`, in order and to one process.

    Logged: `test/miou`, `test/iou_<class>`, `test/pixel_accuracy` and `test/face_found`, the
    share of frames in which a face was found; the same for `val`.
    """

    network: LandmarkMasks
    needs_checkpoint = False

    def __init__(
        self,
        predictor: str | None = None,
        settings: LandmarkTrackerSettings | None = None,
    ) -> None:
        """Read the predictor.

        Args:
            predictor: File of a 68-point model for dlib's shape predictor; null takes
                shape_predictor_68_face_landmarks.dat of the package face-recognition-models.
            settings: When a face is found and lost; null is what suits face crops.

        Raises:
            InputError: dlib or the predictor's file is missing, or the file holds something else.
        """
        super().__init__(
            LandmarkMasks(predictor, settings),
            loss=None,
            optimizer=torch.optim.Adam,
            learning_rate=1e-3,
            freeze_bn=True,
        )
        self.save_hyperparameters(ignore=["settings"])
        self.val_means = WeightedMeans(["face_found"])
        self.test_means = WeightedMeans(["face_found"])
        self._previous: str | None = None  # the frame that the tracker has seen last

    def setup(self, stage: str) -> None:
        """Start anew, and refuse to train or to share the frames out.

        Raises:
            InputError: The stage is "fit", there are several processes, or the data are of
                another region.
        """
        if stage == "fit":
            raise InputError(
                "The face tracker has nothing to train: run it with `facemask test` or "
                "`facemask predict`."
            )
        if self.trainer.world_size > 1:
            raise InputError(
                "The face tracker follows each sequence frame by frame, but each of "
                f"{self.trainer.world_size} processes would get a part of it: give "
                "--trainer.devices 1."
            )
        super().setup(stage)
        self._previous = None

    def forward(self, clip: Sequence[Tensor], names: Sequence[str]) -> tuple[list[Tensor], int]:  # type: ignore[override]
        """Label the next frames.

        Args:
            clip: Face crops, uint8 (3, H, W), each at its own size.
            names: Their names, VIDEO_FRAME; a frame that does not follow the one before starts
                the tracker anew.

        Returns:
            Class ids uint8 (H, W) of each frame, and in how many of them a face was found.
        """
        labels, found = [], 0
        for image, name in zip(clip, names, strict=True):
            if not follows(name, self._previous):
                self.network.tracker.reset()
            self._previous = name
            label, face = self.network(image)
            labels.append(label)
            found += face
        return labels, found

    def validation_step(self, batch: ClipBatch, _batch_index: int) -> None:
        """Count one batch at original size."""
        self._count(batch, self.val_iou, self.val_means)

    def test_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:  # noqa: PT019
        """Count one batch at original size; returns its label images as `predict_step` does."""
        return self._count(batch, self.test_iou, self.test_means)

    def predict_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:
        """Label image, uint8 (H, W) at original size, of each frame by its name.

        Raises:
            InputError: The batch has no original images.
        """
        return labels_by_name(self._labels(batch)[0], batch)

    def _count(self, batch: ClipBatch, metric: MaskIoU, means: WeightedMeans) -> dict[str, Tensor]:
        labels, found = self._labels(batch)
        frames = 0
        for clip_labels, masks in zip(labels, batch["original_masks"], strict=True):
            for label, mask in zip(clip_labels, masks, strict=True):
                metric.update(label, mask)
                frames += 1
        means.update({"face_found": torch.tensor(found / max(frames, 1))}, frames)
        return labels_by_name(labels, batch)

    def _labels(self, batch: ClipBatch) -> tuple[list[list[Tensor]], int]:
        """Label images of each clip's real frames, and in how many of them a face was found."""
        images = batch.get("original_images") or []
        if len(images) != len(batch["names"]) or not all(images):
            raise InputError(
                "The batches have no original images, in which the face tracker looks for "
                "landmarks: set data.original_images=true."
            )
        results = [self(clip, names) for clip, names in zip(images, batch["names"], strict=True)]
        return [labels for labels, _ in results], sum(found for _, found in results)

    def describe_network(self) -> dict[str, Any]:
        """What the tracker is made of."""
        tracker = self.network.tracker
        return {
            "network": type(tracker).__name__,
            "num_classes": self.network.num_classes,
            "region": self.region,
            "predictor": tracker.predictor.file.name,
            "settings": asdict(tracker.settings),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> NoReturn:  # noqa: ARG002
        """Refuse a checkpoint: there are no weights.

        Raises:
            InputError: Always.
        """
        raise InputError("The face tracker has no weights to load: leave --ckpt_path out.")


def follows(name: str, previous: str | None) -> bool:
    """Whether a frame is the next one of the same sequence.

    Args:
        name: Its name, VIDEO_FRAME with frames counted from 1.
        previous: The name of the frame before; None if there was none.

    Examples:
        >>> follows("001_000030", "001_000029")
        True
        >>> follows("001_000031", "001_000030")  # another second
        False
    """
    if previous is None:
        return False
    (video, number), (last_video, last) = parse_stem(name), parse_stem(previous)
    if number is None or last is None or video != last_video or number != last + 1:
        return False
    return sequence_id(number) == sequence_id(last)
