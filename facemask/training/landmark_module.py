"""Scoring the face tracker of Table 2: 68 landmarks by dlib, tracked and turned into masks.

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
from facemask.data.clips import ClipBatch
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300_mask import parse_stem, sequence_id
from facemask.errors import InputError
from facemask.training.means import WeightedMeans
from facemask.training.scored_module import ScoredModule, Stage

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


class LandmarkTrackerModule(ScoredModule):
    """Scores the face tracker at original size, or predicts with it (section 4.2, Table 2).

    Each sequence of consecutive frames is tracked from its first frame on: the state is carried
    from clip to clip, and starts anew at another sequence or after a gap. The data module hands
    out faces with `original_images=True`, in order and to one process.

    Logged beside the scores: `test/face_found`, the share of frames in which a face was found; the
    same for `val`.

    Args:
        predictor: File of a 68-point model for dlib's shape predictor; null takes
            shape_predictor_68_face_landmarks.dat of the package face-recognition-models.
        settings: When a face is found and lost; null is what suits face crops.

    Raises:
        InputError: dlib or the predictor's file is missing, or the file holds something else.
    """

    network: LandmarkMasks
    not_trained = (
        "The face tracker has nothing to train: run it with `facemask test` or `facemask predict`."
    )

    def __init__(
        self,
        predictor: str | None = None,
        settings: LandmarkTrackerSettings | None = None,
    ) -> None:
        super().__init__(LandmarkMasks(predictor, settings), "face", ["face_found"])
        self.save_hyperparameters(ignore=["settings"])
        self._previous: str | None = None  # the frame that the tracker has seen last

    def setup(self, stage: str) -> None:
        """Start anew, and refuse to share the frames out.

        Raises:
            InputError: There are several processes, or the data are of another region.
        """
        if self.trainer.world_size > 1:
            raise InputError(
                "The face tracker follows each sequence frame by frame, but each of "
                f"{self.trainer.world_size} processes would get a part of it: give "
                "--trainer.devices 1."
            )
        super().setup(stage)
        self._previous = None

    def forward(self, clip: Sequence[Tensor], names: Sequence[str]) -> tuple[list[Tensor], int]:
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

    def label(self, batch: ClipBatch, stage: Stage) -> list[list[Tensor]]:
        """Label each clip's real frames, uint8 (H, W); note in how many a face was found.

        Raises:
            InputError: The batch has no original images.
        """
        images = batch.get("original_images") or []
        if len(images) != len(batch["names"]) or not all(images):
            raise InputError(
                "The batches have no original images, in which the face tracker looks for "
                "landmarks: set data.original_images=true."
            )
        results = [self(clip, names) for clip, names in zip(images, batch["names"], strict=True)]
        if stage != "predict":
            frames, found = sum(map(len, images)), sum(found for _, found in results)
            means: WeightedMeans = getattr(self, f"{stage}_means")
            means.update({"face_found": torch.tensor(found / frames)}, frames)
        return [labels for labels, _ in results]

    def describe_network(self) -> dict[str, Any]:
        """Describe the tracker and its settings."""
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
    """Return whether a frame is the next one of the same sequence.

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
