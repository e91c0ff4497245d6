"""From crops of followed faces to masks, by one of five ways to use time."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from facemask.boxes import Crop
from facemask.errors import InputError
from facemask.extraction.results import ExtractedFace, ExtractedFrame, Probabilities
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.memory import CascadeMemory
from facemask.models.smoothing import TemporalSmoothing
from facemask.tracking.tracker import TrackedFace
from facemask.video.frames import VideoFrame

Temporal = Literal["clip", "window", "stream", "smooth", "off"]
"""How a frame's mask depends on other frames; see `docs/extract.md`."""

CLIP_LENGTH: Final = 5
"""Frames that a ConvLSTM-FCN is trained on (section 4.1)."""

# Frames labelled together. A window's first frames need four more before them, whose share of the
# work falls with the number.
CHUNK: Final[dict[Temporal, int]] = {
    "clip": CLIP_LENGTH, "window": 20, "stream": CLIP_LENGTH, "smooth": CLIP_LENGTH,
    "off": CLIP_LENGTH,
}  # fmt: skip


def check_temporal(temporal: str) -> Temporal:
    """One of the five names.

    Raises:
        InputError: It is another one.
    """
    for name in get_args(Temporal):
        if temporal == name:
            return name  # type: ignore[no-any-return]
    raise InputError(f"temporal is {temporal!r}: give one of {', '.join(get_args(Temporal))}.")


@dataclass
class _Past:
    """What is known of a face whose next frames come."""

    last: int  # index of its last frame
    crops: deque[Tensor] = field(default_factory=lambda: deque(maxlen=CLIP_LENGTH - 1))
    memory: CascadeMemory = field(default_factory=CascadeMemory)


class _Crop(NamedTuple):
    place: int  # of the frame in its chunk
    face: TrackedFace
    box: Crop
    pixels: Tensor  # uint8 (3, h, w) on the device


class FaceLabeller:
    """Labels the followed faces of a video's frames, a few frames at a time.

    All faces of a chunk of frames go through the networks together.

    Args:
        cascade: The networks, in eval mode on their device.
        temporal: "clip", "window", "stream" or "off"; "smooth" labels like "off", and what comes
            out is then smoothed by `smooth_frames`.
        bf16: Whether networks compute in bfloat16.
    """

    def __init__(self, cascade: Cascade, temporal: Temporal, bf16: bool = False) -> None:
        """Begin with no face known."""
        self._cascade = cascade
        self._temporal = temporal
        self._bf16 = bf16
        self._device = next(cascade.parameters(), torch.empty(0)).device
        self.reset()

    def reset(self) -> None:
        """Forget all faces."""
        self._past: dict[int, _Past] = {}

    def memories(self) -> dict[int, CascadeMemory]:
        """What the networks remember of each face, by track id; empty unless "stream"."""
        if self._temporal != "stream":
            return {}
        return {face: past.memory for face, past in self._past.items()}

    def remember(self, memories: Mapping[int, CascadeMemory], last: int) -> None:
        """Go on with faces whose latest frame has this number, after `memories` of then."""
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
            frames: They follow those of the call before.
            faces: The faces of each. One whose box lies outside the frame is left out.
        """
        results = [ExtractedFrame(f.index, f.time, f.image, [], f.picture, f.label) for f in frames]
        runs = [run for of_face in self._crops(frames, faces) for run in _runs(of_face)]
        if runs:
            for run, labelled in zip(runs, self._run(frames, runs), strict=True):
                for crop, face in zip(run, labelled, strict=True):
                    results[crop.place].faces.append(face)
        for result in results:
            result.faces.sort(key=lambda face: face.track_id)
        end = frames[-1].index if frames else 0
        self._past = {key: past for key, past in self._past.items() if past.last == end}
        return results

    def _crops(
        self, frames: Sequence[VideoFrame], faces: Sequence[Sequence[TrackedFace]]
    ) -> list[list[_Crop]]:
        """The crops of each face in turn."""
        crops: dict[int, list[_Crop]] = {}
        for place, (frame, of_frame) in enumerate(zip(frames, faces, strict=True)):
            for face in of_frame:
                try:
                    box = face.box.clipped(*frame.image.shape[:2])
                except InputError:  # it has left the frame
                    continue
                cut = frame.image[box.pixels]
                pixels = torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1)))
                crop = _Crop(place, face, box, pixels.to(self._device))
                crops.setdefault(face.track_id, []).append(crop)
        return list(crops.values())

    def _run(
        self, frames: Sequence[VideoFrame], runs: Sequence[list[_Crop]]
    ) -> list[list[ExtractedFace]]:
        """Label each face's run of frames."""
        before = [self._before(frames[run[0].place].index, run[0].face) for run in runs]
        pixels = [[crop.pixels for crop in run] for run in runs]
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16),
        ):
            if self._temporal == "window":
                clips = [[*past.crops, *clip] for past, clip in zip(before, pixels, strict=True)]
                context = [len(past.crops) for past in before]
                output = self._cascade(clips, True, window=CLIP_LENGTH, context=context)
            elif self._temporal == "stream":
                memories = [past.memory for past in before]
                output = self._cascade(pixels, True, memories=memories)
            elif self._temporal == "clip":
                output = self._cascade(pixels, True)
            else:
                output = self._cascade([[frame] for clip in pixels for frame in clip], True)
        flat_labels = (labels for clip in output.labels for labels in clip)
        flat_probabilities = (values for clip in output.probabilities for values in clip)
        results = []
        for number, (run, past) in enumerate(zip(runs, before, strict=True)):
            last = frames[run[-1].place].index
            memory = output.memories[number] if self._temporal == "stream" else past.memory
            past.crops.extend(crop.pixels for crop in run)
            self._past[run[0].face.track_id] = _Past(last, past.crops, memory)
            results.append(
                [
                    ExtractedFace(
                        crop.face.track_id, crop.box, crop.face.score, crop.face.restart,
                        (frames[0].image.shape[0], frames[0].image.shape[1]),
                        next(flat_labels).cpu().numpy(), next(flat_probabilities).cpu().numpy(),
                    )
                    for crop in run
                ]
            )  # fmt: skip
        return results

    def _before(self, first: int, face: TrackedFace) -> _Past:
        """What is known of a face before its frame `first`."""
        past = self._past.get(face.track_id)
        if past is None or face.restart or past.last != first - 1:
            return _Past(first - 1)
        return past


def _runs(crops: list[_Crop]) -> Iterator[list[_Crop]]:
    """Cut one face's crops where a frame is missing or it begins anew."""
    run: list[_Crop] = []
    for crop in crops:
        if run and (crop.place != run[-1].place + 1 or crop.face.restart):
            yield run
            run = []
        run.append(crop)
    if run:
        yield run


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
            yield _smoothed(list(held), done, smoothing)
            done += 1
    for place in range(done, len(held)):
        yield _smoothed(list(held), place, smoothing)


def _smoothed(
    frames: list[ExtractedFrame], place: int, smoothing: TemporalSmoothing
) -> ExtractedFrame:
    frame = frames[place]
    return replace(frame, faces=[_smooth(frames, place, f, smoothing) for f in frame.faces])


def _smooth(
    frames: list[ExtractedFrame], place: int, face: ExtractedFace, smoothing: TemporalSmoothing
) -> ExtractedFace:
    total = np.zeros_like(face.crop_probabilities)
    weights = 0.0
    for other, distance in _neighbours(frames, place, face.track_id, smoothing.window // 2):
        weight = float(np.exp(-0.5 * (distance / smoothing.sigma) ** 2))
        weights += weight
        _add(total, face.box, other, weight)
    probabilities = total / np.float32(weights)
    labels = probabilities.argmax(axis=0).astype(np.uint8)
    return replace(face, crop_labels=labels, crop_probabilities=probabilities)


def _neighbours(
    frames: list[ExtractedFrame], place: int, track_id: int, reach: int
) -> Iterator[tuple[ExtractedFace, int]]:
    """The face in this frame and in those around that it is seen in without a gap."""
    here = _find(frames[place], track_id)
    assert here is not None
    yield here, 0
    for step in (-1, 1):
        following = here
        for distance in range(1, reach + 1):
            at = place + step * distance
            other = _find(frames[at], track_id) if 0 <= at < len(frames) else None
            later = following if step < 0 else other
            if other is None or later is None or later.restart:
                break
            yield other, distance
            following = other


def _find(frame: ExtractedFrame, track_id: int) -> ExtractedFace | None:
    return next((face for face in frame.faces if face.track_id == track_id), None)


def _add(total: Probabilities, box: Crop, other: ExtractedFace, weight: float) -> None:
    """Add another frame's probabilities in the box's pixels, background outside its own box."""
    left, right = max(box.left, other.box.left), min(box.right, other.box.right)
    top, bottom = max(box.top, other.box.top), min(box.bottom, other.box.bottom)
    outside = np.ones(total.shape[1:], dtype=bool)
    if left < right and top < bottom:
        mine = _within(box, left, top, right, bottom)
        theirs = _within(other.box, left, top, right, bottom)
        rows, columns = theirs
        seen = other.crop_probabilities[:, rows, columns]
        rows, columns = mine
        total[:, rows, columns] += weight * seen
        outside[mine] = False
    total[0][outside] += weight


def _within(box: Crop, left: int, top: int, right: int, bottom: int) -> tuple[slice, slice]:
    """These edges of the frame as places in a box."""
    return slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left)
