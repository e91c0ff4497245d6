"""Consistency of masks over time: warped IoU of neighbouring frames, and jitter."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from facemask.classes import CLASS_NAMES, IGNORE
from facemask.errors import InputError
from facemask.metrics.confusion import class_iou, confusion_matrix
from facemask.metrics.iou import check_class_names
from facemask.metrics.motion import Flow, Image, boundary_distance, warp_mask
from facemask.resample import resize_image, resize_mask


class TemporalConsistency(Metric):
    """Steadiness of the masks of consecutive frames; needs no ground truth.

    * `tc_<flow>`: mean IoU over the foreground classes between each frame's mask and its previous
      neighbour's mask warped to it by optical flow, from one confusion matrix over all pairs
      (after Liu et al. 2020, "Efficient Semantic Video Segmentation with Per-frame Inference").
      `tc_<flow>_<class>` is each class's IoU. Pixels that come from outside the previous frame,
      and pixels labelled 255 in either mask, are not counted.
    * `area_jitter_<class>`: Σ |a[t-1] - 2 a[t] + a[t+1]| / Σ (a[t-1] + a[t] + a[t+1]) / 3 over all
      frames with two neighbours, where a is the class's share of the frame's pixels (those not
      labelled 255). Steady growth, such as an opening mouth, counts 0; a class that is there
      in every other frame only counts about 4.
    * `boundary_jitter_<class>`: `boundary_distance` between a frame's mask and the warped one,
      over the frame's diagonal, averaged over pairs. A pair in which one of the two lacks the
      class is left out (the consistency counts it as 0).
    * `pairs`: number of pairs of neighbours with at least one counted pixel.

    A frozen or an empty mask is perfectly consistent: read these values beside the mIoU.
    A value with nothing to count is NaN.

    Args:
        class_names: Names of the classes by id, all different; the first one is the background.
        flow: DIS optical flow's preset, or "none" to compare masks where they are.

    Raises:
        InputError: There are fewer than two names or more than 255, one occurs twice, or the flow
            is unknown.

    Examples:
        >>> import torch
        >>> metric = TemporalConsistency(["background", "skin"], flow="none")
        >>> masks = torch.tensor([[[0, 1, 1, 0]], [[0, 1, 1, 1]], [[0, 1, 1, 1]]])
        >>> metric.update(torch.zeros(3, 3, 1, 4, dtype=torch.uint8), masks)
        >>> values = metric.compute()
        >>> float(values["pairs"]), round(float(values["tc_none"]), 3)  # (2 + 3) / (3 + 3)
        (2.0, 0.833)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor
    area_change: Tensor
    area_sum: Tensor
    boundary_sum: Tensor
    boundary_pairs: Tensor
    pairs: Tensor

    def __init__(self, class_names: Sequence[str] = CLASS_NAMES, flow: Flow = "dis_medium") -> None:
        super().__init__()
        self.class_names = check_class_names(class_names, type(self).__name__)
        size = len(self.class_names)
        if size > IGNORE:
            raise InputError(
                f"TemporalConsistency got {size} classes: give at most {IGNORE}, the id to ignore."
            )
        if flow not in get_args(Flow):
            raise InputError(
                f"TemporalConsistency got flow {flow!r}: give one of {', '.join(get_args(Flow))}."
            )
        self.flow: Flow = flow
        for name, dtype, shape in (
            ("confusion", torch.int64, (size, size)),
            ("area_change", torch.float64, (size,)),
            ("area_sum", torch.float64, (size,)),
            ("boundary_sum", torch.float64, (size,)),
            ("boundary_pairs", torch.int64, (size,)),
            ("pairs", torch.int64, ()),
        ):
            self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        """Key of the consistency: `tc_<flow>`."""
        return f"tc_{self.flow}"

    def update(self, frames: Tensor | Sequence[Tensor], masks: Tensor | Sequence[Tensor]) -> None:
        """Count one sequence of consecutive frames; no pair spans two calls.

        Frames of one sequence may differ in size by a few pixels: the earlier frame of a pair and
        its mask are resized to the later one. Tensors on another device are brought to the CPU.
        One frame alone has no neighbour and counts nothing. A call that raises counts nothing.

        Args:
            frames: RGB uint8 (T, 3, H, W), or a list of T frames (3, H_t, W_t).
            masks: Their class ids or 255 (not counted), any integer dtype, (T, H, W) or a list.

        Raises:
            InputError: An argument is no tensor, the shapes do not belong together, a frame is not
                uint8, a mask holds other ids, or the frames are too small for the flow.
        """
        size = len(self.class_names)
        images, labels = _read_sequence(frames, masks, size)
        change, total = _area_jitter(np.stack([_shares(mask, size) for mask in labels]))
        confusion = torch.zeros(size, size, dtype=torch.int64)
        distances = np.full((len(labels), size), np.nan)  # the first frame has none
        pairs = 0
        for t in range(1, len(labels)):
            current, warped = self._align(images[t - 1 : t + 1], labels[t - 1 : t + 1])
            counts = confusion_matrix(torch.from_numpy(warped), torch.from_numpy(current), size)
            pairs += int(counts.any())
            confusion += counts
            for c in range(size):
                distances[t, c] = boundary_distance(current, warped, c) / np.hypot(*current.shape)
        device = self.confusion.device
        self.confusion += confusion.to(device)
        self.area_change += torch.from_numpy(change).to(device)
        self.area_sum += torch.from_numpy(total).to(device)
        self.boundary_sum += torch.from_numpy(np.nansum(distances, axis=0)).to(device)
        self.boundary_pairs += torch.from_numpy((~np.isnan(distances)).sum(axis=0)).to(device)
        self.pairs += pairs

    def _align(self, images: Sequence[Image], labels: Sequence[Image]) -> tuple[Image, Image]:
        """Return the later mask and the earlier one warped to it, both 255 where either is."""
        previous, frame = images
        previous_mask, mask = labels
        if previous.shape != frame.shape:
            previous = resize_image(previous, *mask.shape)
            previous_mask = resize_mask(previous_mask, *mask.shape)
        warped = warp_mask(previous_mask, previous, frame, self.flow)
        ignored = (warped == IGNORE) | (mask == IGNORE)
        mask, warped = mask.copy(), warped.copy()
        mask[ignored] = warped[ignored] = IGNORE
        return mask, warped

    def compute(self) -> dict[str, Tensor]:
        """Compute from everything counted.

        Returns:
            `tc_<flow>`, `pairs` and, for every class, `tc_<flow>_<class>`, `area_jitter_<class>`
            and `boundary_jitter_<class>`; float32 scalars or NaN.
        """
        iou = class_iou(self.confusion).to(self.confusion.device)
        area = self.area_change / self.area_sum  # 0 / 0 is NaN
        boundary = self.boundary_sum / self.boundary_pairs
        values = {self.name: iou[1:].nanmean()}
        for prefix, of_class in (
            (self.name, iou),
            ("area_jitter", area),
            ("boundary_jitter", boundary),
        ):
            values |= {f"{prefix}_{n}": of_class[i] for i, n in enumerate(self.class_names)}
        values["pairs"] = self.pairs
        return {name: value.float() for name, value in values.items()}


def _shares(mask: Image, num_classes: int) -> npt.NDArray[np.float64]:
    """Return each class's share of the counted pixels, float64 (C,); NaN where none is counted."""
    counts = np.bincount(mask.ravel(), minlength=num_classes)[:num_classes].astype(np.float64)
    total = counts.sum()
    return counts / total if total else np.full(num_classes, np.nan)


def _area_jitter(
    shares: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sums (C,) of |second difference| and of the mean share, of shares (T, C)."""
    before, here, after = shares[:-2], shares[1:-1], shares[2:]
    change, mean = np.abs(before - 2 * here + after), (before + here + after) / 3
    return np.nansum(change, axis=0), np.nansum(mean, axis=0)


def _read_sequence(
    frames: Tensor | Sequence[Tensor], masks: Tensor | Sequence[Tensor], num_classes: int
) -> tuple[list[Image], list[Image]]:
    """Return T frames uint8 (H_t, W_t, 3) and T masks uint8 (H_t, W_t), checked."""
    for name, given in (("frames", frames), ("masks", masks)):
        if not isinstance(given, (Tensor, list, tuple)):
            raise InputError(
                f"TemporalConsistency got {name} of type {type(given).__name__}: give a tensor, "
                "such as torch.from_numpy(array), or a list of tensors."
            )
        if isinstance(given, Tensor) and given.ndim == 0:
            raise InputError(f"TemporalConsistency got a number as {name}: give T of them.")
    if len(frames) != len(masks) or len(frames) == 0:
        raise InputError(
            f"TemporalConsistency got {len(frames)} frames and {len(masks)} masks: give one mask "
            "to each of at least one frame."
        )
    pairs = list(zip(frames, masks, strict=True))
    images = [_read_frame(frame, t) for t, (frame, _) in enumerate(pairs)]
    labels = [_read_mask(mask, t, num_classes) for t, (_, mask) in enumerate(pairs)]
    for t, (image, label) in enumerate(zip(images, labels, strict=True)):
        if image.shape[:2] != label.shape:
            raise InputError(
                f"TemporalConsistency got frame {t} of size {image.shape[:2]} with a mask of size "
                f"{label.shape}: give (3, H, W) and (H, W)."
            )
    return images, labels


def _read_frame(frame: object, t: int) -> Image:
    if not isinstance(frame, Tensor) or frame.dtype != torch.uint8 or frame.ndim != 3:
        raise InputError(
            f"TemporalConsistency got frame {t} as {_describe(frame)}: give an RGB uint8 tensor "
            "(3, H, W)."
        )
    if len(frame) != 3 or frame.numel() == 0:
        raise InputError(
            f"TemporalConsistency got frame {t} of shape {tuple(frame.shape)}: give (3, H, W)."
        )
    return np.ascontiguousarray(frame.cpu().permute(1, 2, 0).numpy())


def _read_mask(mask: object, t: int, num_classes: int) -> Image:
    integers = isinstance(mask, Tensor) and not (
        mask.is_floating_point() or mask.is_complex() or mask.dtype == torch.bool
    )
    if not isinstance(mask, Tensor) or not integers or mask.ndim != 2:
        raise InputError(
            f"TemporalConsistency got mask {t} as {_describe(mask)}: give an integer tensor (H, W) "
            "of class ids, such as scores.argmax(dim=1)."
        )
    ids = mask.cpu().numpy()
    wrong = ids[((ids < 0) | (ids >= num_classes)) & (ids != IGNORE)]
    if wrong.size:
        raise InputError(
            f"TemporalConsistency got class id {wrong[0]} in mask {t}: give 0 to "
            f"{num_classes - 1}, or {IGNORE} for pixels to ignore."
        )
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
