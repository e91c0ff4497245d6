"""The cascade: a primary network, and two that look closer at eyes and mouth (section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facemask.argmax import first_argmax
from facemask.boxes import Box
from facemask.classes import NUM_CLASSES
from facemask.errors import InputError
from facemask.models.cascade.file import read_cascade, read_network, write_cascade
from facemask.models.cascade.frames import Clip, check_clip, cut_box, resize_whole, size_of
from facemask.models.cascade.memory import (
    CascadeMemory,
    ClipJob,
    keep_boxes,
    score_frames,
    split_states,
    stack_states,
)
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.cascade.stitch import Frame, Zoom, fill_holes, stitch
from facemask.models.cascade.zoom import ClipBoxes, find_boxes
from facemask.regions import REGIONS, Region

_ZOOMS: dict[str, Region] = {
    "eyes": "eyes",
    "left_eye": "eyes",
    "right_eye": "eyes",
    "mouth": "mouth",
}


@dataclass(frozen=True)
class CascadeOutput:
    """What a cascade says about B clips; tensors are on the frames' device.

    Attributes:
        labels: For each clip, each frame's class ids, uint8 (H, W).
        boxes: For "eyes" and "mouth", where there is a network for them, the box that was zoomed
            into, float32 (B, 4): left, top, right, bottom, relative to each frame's width and
            height; it may leave the image. NaN where nothing was found. With `refine_each_eye`
            also "left_eye" and "right_eye" (as seen in the image), and "eyes" is not zoomed into.
        found: For the same names, bool (B,): whether there is a box. Where there is none, the
            labels are the primary's.
        probabilities: For each clip, each frame's float32 (5, H, W) of the classes, with sum 1
            and the labels as arg-max; None unless asked for.
        memories: For each clip, what its next frames can go on with.
    """

    labels: list[list[Tensor]]
    boxes: dict[str, Tensor]
    found: dict[str, Tensor]
    probabilities: list[list[Tensor]] | None
    memories: list[CascadeMemory] = field(default_factory=list)


class _ClipResult(NamedTuple):
    labels: list[Tensor]
    probabilities: list[Tensor]
    boxes: ClipBoxes
    memory: CascadeMemory


class Cascade(nn.Module):
    """Final face masks at original size from up to three networks (sections 3.3 and 4.2).

    The primary sees whole frames. Its masks over all frames of a clip say where eyes and mouth
    are; their networks see these boxes cut out of the original frames and enlarged. Their masks
    replace the primary's inside the boxes. `docs/cascade.md` has the rules.

    Every network is an `FCN`, a `ConvLSTMFCN` or another module that is called alike: it takes
    normalised images (B, T, 3, size, size), gives scores (B, T, C, size, size) or a tuple that
    begins with them, and has `num_classes`, `mean` and `std`. Without the eyes' or the mouth's
    network the primary's mask is kept there.

    Examples:
        >>> from facemask.models import FCN
        >>> networks = [FCN("mobilenetv3_small_050", classes) for classes in (5, 2, 3)]
        >>> cascade = Cascade(*networks, CascadeSettings(size=64)).eval()
        >>> clip = [torch.zeros(3, 90, 88, dtype=torch.uint8), torch.zeros(3, 91, 89).byte()]
        >>> with torch.inference_mode():
        ...     output = cascade([clip])
        >>> [tuple(labels.shape) for labels in output.labels[0]]
        [(90, 88), (91, 89)]
        >>> output.boxes["mouth"].shape, output.found["mouth"].shape
        (torch.Size([1, 4]), torch.Size([1]))
    """

    def __init__(
        self,
        primary: nn.Module,
        eyes: nn.Module | None = None,
        mouth: nn.Module | None = None,
        settings: CascadeSettings | None = None,
    ) -> None:
        """Keep the networks.

        Args:
            primary: Scores the five classes of a face.
            eyes: Scores background and eyes; None to go without.
            mouth: Scores background, lips and inner mouth; None to go without.
            settings: Sizes and margins; None for the defaults.

        Raises:
            InputError: A network scores another number of classes.
        """
        super().__init__()
        self.settings = CascadeSettings() if settings is None else settings
        networks: dict[Region, nn.Module | None] = {"face": primary, "eyes": eyes, "mouth": mouth}
        for region, network in networks.items():
            if network is not None:
                _check_classes(network, region)
        self.primary = primary
        self.eyes = eyes
        self.mouth = mouth

    @property
    def num_classes(self) -> int:
        """The five classes of a face."""
        return NUM_CLASSES

    def networks(self) -> dict[str, nn.Module]:
        """The networks there are, by name: "primary", "eyes", "mouth"."""
        named = {"primary": self.primary, "eyes": self.eyes, "mouth": self.mouth}
        return {name: network for name, network in named.items() if network is not None}

    def forward(
        self,
        clips: Sequence[Clip] | Tensor,
        probabilities: bool = False,
        *,
        window: int | None = None,
        context: Sequence[int] | None = None,
        memories: Sequence[CascadeMemory] | None = None,
    ) -> CascadeOutput:
        """Label every pixel of every frame of B clips.

        Use `torch.inference_mode()` and `eval()`. A clip's result does not depend on the others.

        Args:
            clips: For each clip, its frames, uint8 RGB (3, H, W), each of its own size, or
                (T, 3, H, W). Clips may differ in length.
            probabilities: Whether to compute the classes' probabilities.
            window: Score each frame from this many, itself and those before it
                (`ConvLSTMFCN.score_windows`); None scores clips as they are.
            context: For each clip, how many of its first frames are only there for those after
                them: they get no labels. None labels all.
            memories: For each clip, what the call for the frames before it returned as
                `CascadeOutput.memories`, `CascadeMemory()` for a first one; the networks go on
                from there. None starts anew. Not together with `window`.

        Returns:
            Labels, boxes and, on request, probabilities.

        Raises:
            InputError: A frame has another shape or dtype, a clip has no frames, options do not
                go together, or a network's scores are not finite.
        """
        checked = [check_clip(clip, b) for b, clip in enumerate(clips)]
        jobs = _jobs(checked, window, context, memories)
        results: dict[int, _ClipResult] = {}
        for length in sorted({len(frames) for frames in checked}):
            alike = [b for b, frames in enumerate(checked) if len(frames) == length]
            step = max(1, self.settings.max_frames // length)
            for start in range(0, len(alike), step):
                chunk = alike[start : start + step]
                found = self._label([jobs[b] for b in chunk], probabilities, window)
                results |= zip(chunk, found, strict=True)
        ordered = [results[b] for b in range(len(checked))]
        device = checked[0][0].device if checked else torch.device("cpu")
        boxes = {name: _stack_boxes(ordered, name, device) for name in self._zoom_names()}
        return CascadeOutput(
            labels=[result.labels for result in ordered],
            boxes=boxes,
            found={name: ~box.isnan().any(dim=1) for name, box in boxes.items()},
            probabilities=[result.probabilities for result in ordered] if probabilities else None,
            memories=[result.memory for result in ordered],
        )

    def _zoom_names(self) -> list[str]:
        each_eye = self.settings.refine_each_eye
        return [
            name
            for name, region in _ZOOMS.items()
            if region in self.networks() and (each_eye or name == region)
        ]

    def _label(
        self, jobs: list[ClipJob], probabilities: bool, window: int | None
    ) -> list[_ClipResult]:
        """Label a few clips of one length."""
        size = self.settings.size
        whole = torch.stack(
            [torch.stack([resize_whole(f, size) for f in job.frames]) for job in jobs]
        )
        state = stack_states([job.memory.states.get("primary") for job in jobs])
        scores, state = score_frames(self.primary, "primary", whole, window, state)
        labels = first_argmax(scores)[1].squeeze(-3).byte().cpu().numpy()  # (b, T, S, S)
        regions = self.networks().keys() - {"primary"}
        results, zooms = [], []
        for job, of_clip, after in zip(jobs, labels, split_states(state, len(jobs)), strict=True):
            found = find_boxes(of_clip, [size_of(f) for f in job.frames], regions, self.settings)
            boxes = keep_boxes(found.boxes, job.memory)
            memory = CascadeMemory({} if after is None else {"primary": after}, boxes)
            results.append(_ClipResult([], [], ClipBoxes(found.face, boxes), memory))
            zooms.append([list[Zoom]() for _ in job.frames])
        for region in sorted(regions):
            self._look_closer(region, jobs, results, zooms, window)
        for job, of_scores, of_zooms, result in zip(jobs, scores, zooms, results, strict=True):
            self._stitch(job, of_scores, of_zooms, probabilities, result)
        return results

    def _look_closer(
        self,
        region: str,
        jobs: list[ClipJob],
        results: list[_ClipResult],
        zooms: list[list[list[Zoom]]],
        window: int | None,
    ) -> None:
        """Run a specialist on its boxes in these clips and add what it found to `zooms`."""
        names = [name for name in self._zoom_names() if _ZOOMS[name] == region]
        if len(names) > 1:
            names.remove(region)  # each eye instead of both
        todo = [
            (b, name, result.boxes.boxes[name])
            for b, result in enumerate(results)
            for name in names
            if name in result.boxes.boxes
        ]
        step = max(1, self.settings.max_frames // len(jobs[0].frames))  # as many as the primary's
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            cut = [
                [cut_box(f, box, self.settings.size) for f in jobs[b].frames] for b, _, box in part
            ]
            before = [
                memory.states.get(name) if memory.boxes.get(name) == box else None
                for memory, name, box in ((jobs[b].memory, name, box) for b, name, box in part)
            ]
            images = torch.stack([torch.stack(clip) for clip in cut])
            network = self.networks()[region]
            scores, state = score_frames(network, region, images, window, stack_states(before))
            scores = fill_holes(scores.flatten(0, 1)).view_as(scores)
            after = split_states(state, len(part))
            for (b, name, box), of_clip, of_state in zip(part, scores, after, strict=True):
                if of_state is not None:
                    results[b].memory.states[name] = of_state
                for t, (frame, of_frame) in enumerate(zip(jobs[b].frames, of_clip, strict=True)):
                    in_pixels = box.in_pixels(*size_of(frame))
                    zooms[b][t].append(Zoom(_ZOOMS[region], in_pixels, of_frame))

    def _stitch(
        self,
        job: ClipJob,
        scores: Tensor,
        zooms: list[list[Zoom]],
        with_probabilities: bool,
        result: _ClipResult,
    ) -> None:
        """Add the labels of a clip's frames to its result."""
        face_box = result.boxes.face
        for t in range(job.context, len(job.frames)):
            size = size_of(job.frames[t])
            face = None if face_box is None else face_box.in_pixels(*size)
            labels, probabilities = stitch(
                Frame(scores[t], size, face, zooms[t]),
                self.settings.temperature,
                with_probabilities,
                self.settings.primary_weight,
            )
            result.labels.append(labels)
            if probabilities is not None:
                result.probabilities.append(probabilities)

    def save(
        self, path: str | Path, dtype: torch.dtype | None = None, card: str | None = None
    ) -> None:
        """Write all networks, settings and class names into one safetensors file.

        Args:
            path: The file, usually `.safetensors`; written whole or not at all.
            dtype: `torch.float16` or `torch.bfloat16` halves the file; None keeps the weights as
                they are.
            card: Model card in Markdown, kept in the file: `facemask weights info` shows it.

        Raises:
            InputError: A network is none of this library's, a weight is too large for the dtype,
                or the file cannot be written.
        """
        write_cascade(Path(path), self.networks(), self.settings, dtype, card)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str | None = None) -> "Cascade":
        """Read what `save` wrote; no code is run from the file.

        Args:
            path: The file.
            device: Where the networks go; None is the CPU.

        Returns:
            A cascade in eval mode with float32 weights.

        Raises:
            InputError: The file is missing, damaged, no cascade, or of another version.
        """
        networks, settings = read_cascade(Path(path))
        return cls(**networks, settings=settings).eval().to(device)

    @classmethod
    def from_checkpoints(
        cls,
        primary: str | Path,
        eyes: str | Path | None = None,
        mouth: str | Path | None = None,
        settings: CascadeSettings | None = None,
    ) -> "Cascade":
        """Put checkpoints of `FCNModule`, `ConvLSTMFCNModule` or baselines together.

        Args:
            primary: Checkpoint of a model trained on the region "face".
            eyes: One trained on "eyes", or None.
            mouth: One trained on "mouth", or None.
            settings: Sizes and margins, as in training; None for the defaults.

        Returns:
            A cascade in eval mode on the CPU.

        Raises:
            InputError: A checkpoint is missing or damaged, or is of another region or class set.
        """
        return cls(
            read_network(Path(primary), "face"),
            None if eyes is None else read_network(Path(eyes), "eyes"),
            None if mouth is None else read_network(Path(mouth), "mouth"),
            settings,
        ).eval()


def _jobs(
    clips: list[list[Tensor]],
    window: int | None,
    context: Sequence[int] | None,
    memories: Sequence[CascadeMemory] | None,
) -> list[ClipJob]:
    """Clips with what belongs to each.

    Raises:
        InputError: There are more or fewer values than clips, or they do not go together.
    """
    for name, values in (("context", context), ("memories", memories)):
        if values is not None and len(values) != len(clips):
            raise InputError(f"{name} has {len(values)} entries for {len(clips)} clips.")
    if window is not None and memories is not None:
        raise InputError("window and memories are both given: a window begins without memory.")
    before = [0] * len(clips) if context is None else list(context)
    for b, (frames, count) in enumerate(zip(clips, before, strict=True)):
        if not 0 <= count < len(frames):
            raise InputError(
                f"context is {count} for clip {b} of {len(frames)} frames: give 0 to "
                f"{len(frames) - 1}."
            )
    known = [CascadeMemory()] * len(clips) if memories is None else list(memories)
    return [ClipJob(*parts) for parts in zip(clips, before, known, strict=True)]


def _check_classes(network: nn.Module, region: Region) -> None:
    names = REGIONS[region].class_names
    found = getattr(network, "num_classes", None)
    if found != len(names):
        role = "primary" if region == "face" else region
        raise InputError(
            f"The {role} network scores {found} classes, expected {len(names)} "
            f"({', '.join(names)}): give a network of the region {region!r}."
        )


def _stack_boxes(results: list[_ClipResult], name: str, device: torch.device) -> Tensor:
    missing = Box(*[float("nan")] * 4)
    rows = [result.boxes.boxes.get(name, missing) for result in results]
    return torch.tensor(rows, dtype=torch.float32, device=device).reshape(-1, 4)
