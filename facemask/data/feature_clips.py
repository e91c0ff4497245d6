"""Encoder features of clips, computed once and kept on disk, to train behind a frozen encoder.

```
FOLDER/<key>/about.json             what the key stands for, without weights and file times
FOLDER/<key>/000-00002.safetensors  part 2 of variant 0 of all clips
```
A part holds, for its K clips, "features" (K, [T,] h, w, F) bfloat16, "masks" (K, [T,] S, S) uint8,
and the masks at their original sizes, one after the other, with where each clip's begin.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from facemask.data.clips import ClipBatch, ClipDataset, collate_clips
from facemask.errors import InputError, cause_of

PART_BYTES: Final = 2**28
"""Size that a part grows to: little enough to hold in memory, and to lose when a run is killed."""
_STALE: Final = 3600
"""Seconds after which an unfinished file is one of a killed run."""


class FeatureBatch(TypedDict):
    """A batch of B clips of T frames (or of B single frames, without T) behind the encoder.

    Attributes:
        features: bfloat16 (B, T, F, h, w), each frame channels-last in memory.
        masks: Class ids, uint8 (B, T, S, S), as in a `ClipBatch`; the same for the rest.
        original_masks: For each clip, the masks of its real frames; empty in training.
        original_sizes: For each clip, (H, W) of its real frames.
        names: For each clip, the file stems of its real frames.
        numbers: As in a `ClipBatch`.
    """

    features: Tensor
    masks: Tensor
    original_masks: list[list[Tensor]]
    original_sizes: list[list[tuple[int, int]]]
    names: list[list[str]]
    numbers: Tensor


@dataclass(frozen=True)
class FeatureParts:
    """The files that hold the features of one `ClipDataset`.

    Attributes:
        folder: Where they are.
        clips: Number of clips N.
        variants: Number of augmented draws of each clip.
        clip_bytes: Size of one clip in bytes, its original masks left out.
    """

    folder: Path
    clips: int
    variants: int
    clip_bytes: int

    @property
    def length(self) -> int:
        """Number of clips in a part."""
        return max(1, PART_BYTES // self.clip_bytes)

    def file(self, variant: int, part: int) -> Path:
        """Return the path of a part."""
        return self.folder / f"{variant:03d}-{part:05d}.safetensors"

    def indices(self, part: int) -> range:
        """Return the indices of the clips in a part."""
        return range(part * self.length, min((part + 1) * self.length, self.clips))

    def missing(self) -> list[tuple[int, int]]:
        """Return (variant, part) of all parts that are not there, or not whole."""
        count = -(-self.clips // self.length)
        pairs = [(variant, part) for variant in range(self.variants) for part in range(count)]
        return [pair for pair in pairs if not _is_whole(self.file(*pair))]

    def remove_unfinished(self) -> None:
        """Remove what killed runs left behind."""
        for path in self.folder.glob(".*.tmp"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()


def _is_whole(path: Path) -> bool:
    """Return whether a part is there and as long as its header says."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


class FeatureDataset(Dataset[dict[str, Any]]):
    """The clips of a `ClipDataset`, read from the memory-mapped parts instead of from images.

    Args:
        clips: The clips; only their order, their rows and the names of their frames are used.
        parts: Their features.
    """

    def __init__(self, clips: ClipDataset, parts: FeatureParts) -> None:
        self.names = [[frame.image.stem for frame in clip] for clip in clips.clips]
        self.parts = parts
        self._numbers = clips.numbers

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Read one clip.

        Args:
            key: The clip's index, or (epoch, index): an epoch sees variant epoch mod variants.

        Returns:
            One entry of a `FeatureBatch` without the B axis, "features" still as on disk:
            (T, h, w, F).

        Raises:
            InputError: The file was removed or damaged meanwhile.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        part, place = divmod(index, self.parts.length)
        path = self.parts.file(epoch % self.parts.variants, part)
        try:
            # opened for each clip: it takes 0.3 ms, and keeps no file of hundreds open
            with safe_open(path, framework="pt") as file:
                features = file.get_slice("features")[place]
                masks = file.get_slice("masks")[place]
                sizes = file.get_slice("original_sizes")[place].tolist()
                begin, end = file.get_slice("original_spans")[place].tolist()
                flat = file.get_slice("original_masks")[begin:end]
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path}: was removed or damaged since training began, or cannot be read "
                f"({cause_of(error)}): start again, and what is missing is computed anew."
            ) from error
        names = self.names[index]
        real = [(height, width) for height, width in sizes[: len(names)]]
        lengths = [height * width for height, width in real] if len(flat) else []
        return {
            "features": features,
            "masks": masks,
            "original_masks": [
                mask.view(size) for mask, size in zip(flat.split(lengths), real, strict=False)
            ],
            "original_sizes": real,
            "names": names,
            "numbers": self._numbers(index),
        }

    @staticmethod
    def collate(samples: Sequence[dict[str, Any]]) -> FeatureBatch:
        """Make a batch of some clips, or of none."""
        empty: dict[str, Any] = dict.fromkeys(FeatureBatch.__annotations__, ()) | {
            "features": torch.zeros(0, 0, 0),
            "masks": torch.zeros(0, 0, dtype=torch.uint8),
            "numbers": torch.zeros(2, dtype=torch.int64),
        }
        batch: Any = collate_clips(samples, empty)
        batch["features"] = batch["features"].movedim(-1, -3)  # (B, [T,] F, h, w)
        return cast("FeatureBatch", batch)


def pack_part(features: Sequence[Tensor], batches: Iterable[ClipBatch]) -> dict[str, Tensor]:
    """Return the content of a part.

    Args:
        features: Each batch's features (B, [T,] F, h, w).
        batches: What they were computed from.

    Returns:
        Contiguous tensors by their names in the file.
    """
    masks, originals, sizes = [], [], []
    for batch in batches:
        masks.append(batch["masks"])
        originals += batch["original_masks"]
        sizes += batch["original_sizes"]
    packed = torch.cat([x.to("cpu", torch.bfloat16).movedim(-3, -1) for x in features])
    longest = max(map(len, sizes))
    padded = [clip + [(0, 0)] * (longest - len(clip)) for clip in sizes]
    lengths = torch.tensor([sum(mask.numel() for mask in clip) for clip in originals])
    ends = lengths.cumsum(0)
    flat = [mask.flatten() for clip in originals for mask in clip]
    return {
        "features": packed.contiguous(),
        "masks": torch.cat(masks).contiguous(),
        "original_masks": torch.cat(flat) if flat else torch.zeros(0, dtype=torch.uint8),
        "original_spans": torch.stack([ends - lengths, ends], dim=1).contiguous(),
        "original_sizes": torch.tensor(padded),
    }


def cache_key(about: dict[str, Any], clips: ClipDataset, weights: dict[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, over all that decides the features of a data set.

    Args:
        about: Plain values: what the encoder, the data and the augmentation are.
        clips: Their frames are told apart by names, sizes and modification times of the files.
        weights: State of the encoder.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for clip in clips.clips:
        for frame in clip:
            digest.update(f"{frame.video} {frame.number} ".encode())
            for path in (frame.image, frame.label):
                if path is not None:
                    status = path.stat()
                    line = f"{path.name} {status.st_size} {status.st_mtime_ns}\n"
                    digest.update(line.encode())
        digest.update(b"clip\n")
    for name, tensor in weights.items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
