"""Cascade of a primary network, and two that look closer at eyes and mouth (section 3.3)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from facemask.argmax import first_argmax
from facemask.checkpoints import read_checkpoint
from facemask.classes import NUM_CLASSES
from facemask.errors import InputError
from facemask.models.cascade.clips import CascadeMemory, CascadeOutput, Clip, ClipJob, jobs_of
from facemask.models.cascade.file import ROLES, network_of, read_cascade, write_cascade
from facemask.models.cascade.frames import score_frames, stack_boxes
from facemask.models.cascade.in_words import in_words
from facemask.models.cascade.mask import make_mask
from facemask.models.cascade.rules import Rules
from facemask.models.cascade.settings import CascadeSettings, temperature_for
from facemask.models.cascade.stitch import Frame, Zoom, fill_holes, stitch_everywhere
from facemask.models.cascade.zoom import find_boxes
from facemask.models.sharing import Shared
from facemask.regions import REGIONS, Region
from facemask.workers import in_these_modes, in_threads


class Cascade(Shared, nn.Module):
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
        self.primary, self.eyes, self.mouth = primary, eyes, mouth
        for role, network in self.networks().items():
            names = REGIONS[ROLES[role]].class_names
            found = getattr(network, "num_classes", None)
            if found != len(names):
                raise InputError(
                    f"The {role} network scores {found} classes, expected {len(names)} "
                    f"({', '.join(names)}): give a network of the region {ROLES[role]!r}."
                )

    def __repr__(self) -> str:
        """Return the networks, their size and descent, for `print(cascade)`."""
        return in_words(type(self).__name__, self.networks(), self.settings)

    @property
    def num_classes(self) -> int:
        """Number of classes of a face, five."""
        return NUM_CLASSES

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks there are, by name: "primary", "eyes", "mouth"."""
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
                (T, 3, H, W); or views of turned faces (`facemask.views.View`). Clips may differ in
                length.
            probabilities: Whether to compute the classes' probabilities, in place of `masks`,
                which compute them later and for single frames.
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
        jobs = jobs_of(clips, context, memories)
        if window is not None and memories is not None:
            raise InputError("window and memories are both given: a window begins without memory.")
        for length in sorted({len(job.frames) for job in jobs}):
            alike = [job for job in jobs if len(job.frames) == length]
            step = self._at_once(alike[0])
            for start in range(0, len(alike), step):
                chunk = alike[start : start + step]
                self._score(chunk, window)
                look = in_these_modes(partial(self._look_closer, jobs=chunk, window=window))
                on_cpu = chunk[0].frames[0].pixels.device.type == "cpu"  # else one is enough
                in_threads(look, self._regions(), 1 + (on_cpu and torch.get_num_threads() > 1))
                for job in chunk:
                    self._stitch(job, probabilities)
        device = jobs[0].frames[0].pixels.device if jobs else torch.device("cpu")
        boxes = {
            name: stack_boxes([job.after.boxes.get(name) for job in jobs], device)
            for region in self._regions()
            for name in dict.fromkeys([region, *self._zoomed(region)])
        }
        return CascadeOutput(
            labels=[job.labels for job in jobs],
            boxes=boxes,
            found={name: ~box.isnan().any(dim=1) for name, box in boxes.items()},
            probabilities=[job.probabilities for job in jobs] if probabilities else None,
            memories=[job.after for job in jobs],
            masks=[job.masks for job in jobs],
        )

    def _at_once(self, job: ClipJob) -> int:
        """Return how many clips of this length go through a network at once."""
        return max(1, self.settings.max_frames // len(job.frames))

    def _regions(self) -> list[Region]:
        """Return the regions that have a network of their own."""
        return [ROLES[role] for role in self.networks() if role != "primary"]

    def _zoomed(self, region: str) -> tuple[str, ...]:
        """Return the names of the boxes that a region's network looks at."""
        each_eye = region == "eyes" and self.settings.refine_each_eye
        return ("left_eye", "right_eye") if each_eye else (region,)

    def _score(self, jobs: list[ClipJob], window: int | None) -> None:
        """Score clips of one length with the primary, and find the boxes in them."""
        size = self.settings.size
        whole = torch.stack(
            [torch.stack([frame.resized(size) for frame in job.frames]) for job in jobs]
        )
        before = [job.before.states.get("primary") for job in jobs]
        scores, states = score_frames(self.primary, "primary", whole, window, before)
        labels = first_argmax(scores)[1].squeeze(-3).byte().cpu().numpy()  # (b, T, S, S)
        for job, of_clip, of_job, state in zip(jobs, labels, scores, states, strict=True):
            sizes = [frame.size for frame in job.frames]
            job.face, boxes = find_boxes(of_clip, sizes, self._regions(), self.settings)
            job.keep_boxes(boxes)
            if state is not None:
                job.after.states["primary"] = state
            job.scores, job.own_labels = of_job, of_clip
            job.zooms = [[] for _ in job.frames]

    def _look_closer(self, region: Region, jobs: list[ClipJob], window: int | None) -> None:
        """Add what a region's network sees in its boxes to the zooms of clips of one length."""
        todo = [
            (job, name, job.after.boxes[name])
            for job in jobs
            for name in self._zoomed(region)
            if name in job.after.boxes
        ]
        size, step = self.settings.size, self._at_once(jobs[0])
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            images = torch.stack(
                [torch.stack([f.cut(box, size) for f in job.frames]) for job, _, box in part]
            )
            before = [  # what it remembers is tied to places in its box
                job.before.states.get(name) if job.before.boxes.get(name) == box else None
                for job, name, box in part
            ]
            scores, states = score_frames(self.networks()[region], region, images, window, before)
            scores = fill_holes(scores.flatten(0, 1)).view_as(scores)
            for (job, name, box), of_clip, state in zip(part, scores, states, strict=True):
                if state is not None:
                    job.after.states[name] = state
                for frame, zooms, of_frame in zip(job.frames, job.zooms, of_clip, strict=True):
                    zooms.append(Zoom(region, box.in_pixels(*frame.size), of_frame))

    def _stitch(self, job: ClipJob, probabilities: bool) -> None:
        """Put the masks of a clip's frames together."""
        temperature = temperature_for(self.settings, self.primary)
        rules = Rules(temperature, self.settings.primary_weight)
        for t in range(job.context, len(job.frames)):
            view = job.frames[t]
            face = None if job.face is None else job.face.in_pixels(*view.size)
            zooms = sorted(job.zooms[t], key=lambda zoom: self._regions().index(zoom.region))
            frame = Frame(job.scores[t], view, face, zooms, job.own_labels[t])
            if probabilities:
                labels, of_classes = stitch_everywhere(frame, rules, True)
                job.probabilities.append(of_classes)
            else:
                job.masks.append(make_mask(frame, rules))
                labels = job.masks[-1].labels
            job.labels.append(labels)
        job.scores, job.zooms = torch.empty(0), []  # memory does not grow with the clips

    def save(
        self, path: str | Path, dtype: torch.dtype | None = None, card: str | None = None
    ) -> None:
        """Write all networks, settings and class names into one safetensors file.

        Args:
            path: The file, usually `.safetensors`; written whole or not at all.
            dtype: `torch.float16` or `torch.bfloat16` halves the file; None keeps the weights.
            card: Model card in Markdown, kept in the file: `facemask weights info` shows it; None
                keeps that of the file that the cascade was read from.

        Raises:
            InputError: A network is none of this library's, a weight is too large for the dtype,
                or the file cannot be written.
        """
        card = self.card if card is None else card
        write_cascade(path, self.networks(), self.settings, dtype, card)

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
        networks, settings, card = read_cascade(path)
        cascade = cls(**networks, settings=settings).eval().to(device)
        cascade.card = card
        return cascade

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
        paths = {"primary": primary, "eyes": eyes, "mouth": mouth}
        networks = {
            role: network_of(read_checkpoint(Path(path)), Path(path), ROLES[role])
            for role, path in paths.items()
            if path is not None
        }
        return cls(**networks, settings=settings).eval()
