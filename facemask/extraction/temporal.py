"""Masks from crops of followed faces, by one of five ways to use time."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, cast, get_args

import numpy as np
import torch

from facemask.boxes import Box, Crop
from facemask.classes import BACKGROUND
from facemask.errors import InputError, Notice
from facemask.extraction.choices import Temporal
from facemask.extraction.results import ExtractedFace, ExtractedFrame, Probabilities
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.clips import CascadeMemory
from facemask.models.cascade.mask import Mask
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.smoothing import TemporalSmoothing
from facemask.tracking.tracker import TrackedFace
from facemask.turned import TurnedBox
from facemask.video.frames import VideoFrame
from facemask.views import View

CLIP_LENGTH: Final = 5
"""Frames that a ConvLSTM-FCN is trained on (section 4.1)."""
_WINDOWS: Final = 20
"""Windows labelled together: the first needs four more frames, whose share falls with the number"""


def check_temporal(temporal: str) -> Temporal:
    """Return a way to use time by its name.

    Raises:
        InputError: It is none of the five.
    """
    if temporal not in get_args(Temporal):
        raise InputError(f"temporal is {temporal!r}: give one of {', '.join(get_args(Temporal))}.")
    return cast("Temporal", temporal)


@dataclass
class _Past:
    """Knowledge of a face from the frames before."""

    last: int  # index of its last frame
    crops: deque[View] = field(default_factory=lambda: deque(maxlen=CLIP_LENGTH - 1))
    memory: CascadeMemory = field(default_factory=CascadeMemory)


class _FaceCrop(NamedTuple):
    place: int  # of the frame in its chunk
    face: TrackedFace
    box: Crop  # pixels of the frame around the view
    view: View  # on the device
    upright_box: Box | None  # in the frame, of a turned view


class FaceLabeller:
    """Labels the followed faces of a video's frames, a few frames at a time.

    All faces of a chunk of frames go through the networks together.

    Args:
        cascade: The networks, in eval mode on their device.
        temporal: "clip", "window", "stream" or "off"; "smooth" labels like "off", and what comes
            out is then smoothed by `smooth_frames`.
        bf16: Whether networks compute in bfloat16.

    Attributes:
        chunk: Number of frames to label together.
    """

    def __init__(self, cascade: Cascade, temporal: Temporal, bf16: bool = False) -> None:
        if temporal == "stream":
            _warn_if_unbounded(cascade)
        self._cascade = cascade
        self._temporal = temporal
        self._bf16 = bf16
        self._device = next(cascade.parameters(), torch.empty(0)).device
        self.chunk = _WINDOWS if temporal == "window" else CLIP_LENGTH
        self.reset()

    def reset(self) -> None:
        """Forget all faces."""
        self._past: dict[int, _Past] = {}

    def memories(self) -> dict[int, CascadeMemory]:
        """Return the networks' memory of each face, by track id; empty unless "stream"."""
        if self._temporal != "stream":
            return {}
        return {face: past.memory for face, past in self._past.items()}

    def remember(self, memories: Mapping[int, CascadeMemory], last: int) -> None:
        """Go on with faces whose latest frame has the number `last`, after `memories` of then."""
        for face, memory in memories.items():
            states = {
                name: (hidden.to(self._device), cell.to(self._device))
                for name, (hidden, cell) in memory.states.items()
            }
            self._past[face] = _Past(last, memory=CascadeMemory(states, memory.boxes))

    def label(
        self, frames: Sequence[VideoFrame], faces: Sequence[Sequence[TrackedFace]]
    ) -> list[ExtractedFrame]:
        """Label consecutive frames.

        Args:
            frames: Frames that follow those of the call before.
            faces: The faces of each. One whose box lies outside the frame is left out.
        """
        results = [ExtractedFrame(f.index, f.time, f.image, [], f.picture, f.label) for f in frames]
        if runs := self._runs(frames, faces):
            self._label(runs, results)
        for result in results:
            result.faces.sort(key=lambda face: face.track_id)
        end = frames[-1].index if frames else 0
        self._past = {key: past for key, past in self._past.items() if past.last == end}
        return results

    def _runs(
        self, frames: Sequence[VideoFrame], faces: Sequence[Sequence[TrackedFace]]
    ) -> list[list[_FaceCrop]]:
        """Return the crops of each face, cut where a frame is missing or the face begins anew."""
        runs: dict[int, list[list[_FaceCrop]]] = {}
        for place, (frame, of_frame) in enumerate(zip(frames, faces, strict=True)):
            for face in of_frame:
                try:
                    crop = self._crop(place, frame, face)
                except InputError:  # it has left the frame
                    continue
                of_face = runs.setdefault(face.track_id, [])
                if not of_face or face.restart or place != of_face[-1][-1].place + 1:
                    of_face.append([])
                of_face[-1].append(crop)
        return [run for of_face in runs.values() for run in of_face]

    def _crop(self, place: int, frame: VideoFrame, face: TrackedFace) -> _FaceCrop:
        height, width = frame.image.shape[:2]
        seen = face.turned_box.clipped(height, width)
        crop = seen.bounds.covering(height, width)
        pixels = np.ascontiguousarray(frame.image[crop.pixels].transpose(2, 0, 1))
        there = seen.box.shifted(-crop.left, -crop.top)
        view = View(torch.from_numpy(pixels).to(self._device), TurnedBox(there, seen.roll))
        return _FaceCrop(place, face, crop, view, seen.box if view.is_turned else None)

    def _label(self, runs: Sequence[list[_FaceCrop]], results: Sequence[ExtractedFrame]) -> None:
        """Label each run of one face's frames, and add the faces to their frames."""
        before = [self._before(results[run[0].place].index, run[0].face) for run in runs]
        views = [[crop.view for crop in run] for run in runs]
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16),
        ):
            if self._temporal == "window":
                clips = [[*past.crops, *clip] for past, clip in zip(before, views, strict=True)]
                context = [len(past.crops) for past in before]
                output = self._cascade(clips, window=CLIP_LENGTH, context=context)
            elif self._temporal == "stream":
                memories = [past.memory for past in before]
                output = self._cascade(views, memories=memories)
            elif self._temporal == "clip":
                output = self._cascade(views)
            else:
                output = self._cascade([[frame] for clip in views for frame in clip])
        masks = (mask for clip in output.masks for mask in clip)
        for number, (run, past) in enumerate(zip(runs, before, strict=True)):
            last = results[run[-1].place].index
            memory = output.memories[number] if self._temporal == "stream" else past.memory
            past.crops.extend(crop.view for crop in run)
            self._past[run[0].face.track_id] = _Past(last, past.crops, memory)
            for place, face, box, view, upright in run:
                mask = next(masks)
                height, width = results[place].image.shape[:2]
                labelled = ExtractedFace(
                    face.track_id, box, face.score, face.restart, (height, width),
                    mask.labels.cpu().numpy(), _later(mask), expected=mask.expected,
                    roll=view.place.roll, upright_box=upright,
                    confidence_fit=self._cascade.settings.confidence,
                )  # fmt: skip
                results[place].faces.append(labelled)

    def _before(self, first: int, face: TrackedFace) -> _Past:
        """Return what is known of a face before its frame `first`."""
        past = self._past.get(face.track_id)
        if past is None or face.restart or past.last != first - 1:
            return _Past(first - 1)
        return past


def _later(mask: Mask) -> Callable[[], Probabilities]:
    """Return what computes a mask's probabilities when they are asked for."""

    def probabilities() -> Probabilities:
        with torch.inference_mode():
            return np.asarray(mask.probabilities().cpu().numpy())

    return probabilities


def smooth_frames(
    frames: Iterator[ExtractedFrame], smoothing: TemporalSmoothing
) -> Iterator[ExtractedFrame]:
    """Average each face's probabilities with those of the frames around (section 4.2).

    Boxes move, so pixels are averaged where they are in the frame; outside a box is background.
    At the ends of a face's appearance the window is cut.

    Args:
        frames: Consecutive frames.
        smoothing: Window and weights.
    """
    reach = smoothing.window // 2
    held: deque[ExtractedFrame] = deque(maxlen=smoothing.window)
    done = 0  # frames of `held` that came out, counted from its start
    for frame in frames:
        if len(held) == held.maxlen:
            done -= 1
        held.append(frame)
        if len(held) - done > reach:
            yield _smoothed(held, done, smoothing)
            done += 1
    for place in range(done, len(held)):
        yield _smoothed(held, place, smoothing)


def _smoothed(
    frames: Sequence[ExtractedFrame], place: int, smoothing: TemporalSmoothing
) -> ExtractedFrame:
    faces = []
    for face in frames[place].faces:
        total = np.zeros_like(face.crop_probabilities)
        weights = 0.0
        for other, distance in _neighbours(frames, place, face, smoothing.window // 2):
            weight = float(np.exp(-0.5 * (distance / smoothing.sigma) ** 2))
            weights += weight
            total += weight * _in_box(other, face.box)
        total /= np.float32(weights)
        labels = total.argmax(axis=0).astype(np.uint8)
        faces.append(replace(face, crop_labels=labels, found=total, expected=None))
    return replace(frames[place], faces=faces)


def _neighbours(
    frames: Sequence[ExtractedFrame], place: int, face: ExtractedFace, reach: int
) -> Iterator[tuple[ExtractedFace, int]]:
    """Yield a face in its frame and in those around that it is seen in without a gap."""
    yield face, 0
    for step in (-1, 1):
        before = face
        for distance in range(1, reach + 1):
            at = place + step * distance
            faces = frames[at].faces if 0 <= at < len(frames) else []
            other = next((f for f in faces if f.track_id == face.track_id), None)
            if other is None or (before if step < 0 else other).restart:
                break
            yield other, distance
            before = other


def _in_box(face: ExtractedFace, box: Crop) -> Probabilities:
    """Return a face's probabilities in another box, with background outside the face's own."""
    seen = np.zeros((len(face.crop_probabilities), box.height, box.width), dtype=np.float32)
    seen[BACKGROUND] = 1
    left, right = max(box.left, face.box.left), min(box.right, face.box.right)
    top, bottom = max(box.top, face.box.top), min(box.bottom, face.box.bottom)
    if left < right and top < bottom:
        shared = Crop(left, top, right, bottom)
        rows, columns = _within(shared, box)
        own_rows, own_columns = _within(shared, face.box)
        seen[:, rows, columns] = face.crop_probabilities[:, own_rows, own_columns]
    return seen


def _within(part: Crop, box: Crop) -> tuple[slice, slice]:
    """Return rows and columns of a box that a part of it covers."""
    x, y = box.left, box.top
    return Crop(part.left - x, part.top - y, part.right - x, part.bottom - y).pixels


def _warn_if_unbounded(cascade: Cascade) -> None:
    linear = [
        name
        for name, network in cascade.networks().items()
        if isinstance(network, ConvLSTMFCN) and not network.bounded
    ]
    if linear:
        warnings.warn(
            f"temporal='stream' carries on a memory that nothing bounds ({', '.join(linear)}: a "
            "ConvLSTM with a linear activation, trained on clips of five), so that masks may drift "
            "within a few dozen frames: take 'window', or reset now and then.",
            Notice,
            stacklevel=3,
        )
