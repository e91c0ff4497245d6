"""Masks in motion: warping by optical flow, and the distance of two boundaries."""

from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import IGNORE
from facemask.errors import InputError

Flow: TypeAlias = Literal["dis_ultrafast", "dis_fast", "dis_medium", "none"]
Image: TypeAlias = npt.NDArray[np.uint8]

_PRESETS: Final = {
    "dis_ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "dis_fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "dis_medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_CROSS: Final = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def warp_mask(previous_mask: Image, previous_frame: Image, frame: Image, flow: Flow) -> Image:
    """Warp the previous frame's mask to the next frame by optical flow.

    Backward warping: DIS flow (Kroeger et al. 2016) from the frame to the previous one, computed
    on grey images, says where each pixel came from; the label is taken from the nearest pixel.

    Args:
        previous_mask: Labels uint8 (H, W).
        previous_frame: RGB uint8 (H, W, 3).
        frame: RGB uint8 (H, W, 3), the frame that follows.
        flow: Preset of the DIS flow; "none" leaves the mask as it is.

    Returns:
        Labels uint8 (H, W); 255 where a pixel comes from outside the previous frame.

    Raises:
        InputError: The frames are too small for the flow.
    """
    if flow == "none":
        return previous_mask
    grey, previous_grey = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (frame, previous_frame))
    height, width = grey.shape
    method: Any = cv2.DISOpticalFlow.create(_PRESETS[flow])
    try:
        moved = method.calc(grey, previous_grey, None)  # (H, W, 2), x first
    except cv2.error as error:
        raise InputError(
            f"TemporalConsistency got frames of {height} × {width} pixels, too small for the flow "
            f'{flow!r}: give larger frames or flow="none".'
        ) from error
    x = np.arange(width, dtype=np.float32) + moved[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + moved[..., 1]
    warped = cv2.remap(
        previous_mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE
    )
    return np.asarray(warped, dtype=np.uint8)


def boundary_distance(first: Image, second: Image, class_id: int) -> float:
    """Return the mean symmetric distance of one class's boundaries in two label images.

    A boundary pixel is a pixel of the class with another class above, below, left or right of it;
    neither 255 nor the edge of the image makes a boundary. Averaged over the boundary pixels of
    both images, each measured to the nearest boundary pixel of the other.

    Args:
        first: Labels uint8 (H, W).
        second: Labels uint8 (H, W).
        class_id: The class.

    Returns:
        Pixels; NaN where the class has no boundary in one of the images.
    """
    edges = [_boundary(labels, class_id) for labels in (first, second)]
    if not all(edge.any() for edge in edges):
        return float("nan")
    x, y, width, height = cv2.boundingRect(edges[0] | edges[1])
    edges = [edge[y : y + height, x : x + width] for edge in edges]
    total = 0.0
    for edge, other in (edges, edges[::-1]):
        distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        total += float(distance[edge == 1].sum(dtype=np.float64))
    return total / int(edges[0].sum(dtype=np.int64) + edges[1].sum(dtype=np.int64))


def _boundary(labels: Image, class_id: int) -> Image:
    inside = labels == class_id
    others = (~inside & (labels != IGNORE)).astype(np.uint8)
    return np.asarray(cv2.dilate(others, _CROSS) & inside, np.uint8)
