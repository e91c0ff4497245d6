import pickle

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torchmetrics import MetricCollection

from facemask.errors import InputError
from facemask.metrics import MaskIoU, TemporalConsistency, boundary_distance, warp_mask
from facemask.metrics.motion import Flow
from facemask.resample import resize_image, resize_mask

NAMES = ["background", "skin", "eyes"]
FLOWS: tuple[Flow, ...] = ("dis_ultrafast", "dis_fast", "dis_medium")
Labels = npt.NDArray[np.uint8]


def texture(height: int, width: int, seed: int = 0) -> Labels:
    """A picture that optical flow can follow, uint8 (height, width, 3)."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    stretched = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.asarray(stretched, np.uint8)


def moving_sequence(step: int = 4, length: int = 3) -> tuple[Tensor, Tensor]:
    """Texture and mask that move right by `step` pixels a frame; the mask is 20 × 24."""
    height, width = 80, 96
    wide = texture(height, width + step * length)
    frames, masks = [], []
    for t in range(length):
        left = step * (length - 1 - t)
        frames.append(wide[:, left : left + width])
        mask = np.zeros((height, width), np.uint8)
        mask[30:50, 20 + step * t : 44 + step * t] = 1
        mask[36:42, 26 + step * t : 32 + step * t] = 2
        masks.append(mask)
    return (
        torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack(masks)),
    )


def grey(masks: Tensor) -> Tensor:
    """Frames without any content for masks (T, H, W)."""
    return torch.zeros(len(masks), 3, *masks.shape[1:], dtype=torch.uint8)


def masks_of(rows: list[list[int]]) -> Tensor:
    """Masks of one row of pixels each, (T, 1, W)."""
    return torch.tensor(rows)[:, None]


def test_hand_computed_without_flow() -> None:
    metric = TemporalConsistency(NAMES, flow="none")
    masks = masks_of([[0, 1, 1, 2, 0], [0, 1, 2, 2, 0], [0, 0, 2, 2, 255]])
    metric.update(grey(masks), masks)
    # row: the later mask; column: the one before. Pair 2 does not count its last pixel.
    assert metric.confusion.tolist() == [[3, 1, 0], [0, 1, 0], [0, 1, 3]]
    values = metric.compute()
    assert values["tc_none_background"] == pytest.approx(3 / 4)
    assert values["tc_none_skin"] == pytest.approx(1 / 3)
    assert values["tc_none_eyes"] == pytest.approx(3 / 4)
    assert values["tc_none"] == pytest.approx((1 / 3 + 3 / 4) / 2)
    assert values["pairs"] == 2
    # shares: skin 2/5, 1/5, 0/4; eyes 1/5, 2/5, 2/4
    assert values["area_jitter_skin"] == pytest.approx(0 / ((2 + 1 + 0) / 15), abs=1e-7)
    assert values["area_jitter_eyes"] == pytest.approx(0.1 / ((0.2 + 0.4 + 0.5) / 3))
    assert all(value.dtype == torch.float32 for value in values.values())


@pytest.mark.parametrize("flow", FLOWS)
def test_flow_follows_a_moving_mask(flow: Flow) -> None:
    frames, masks = moving_sequence(step=4)
    still, moving = TemporalConsistency(NAMES, "none"), TemporalConsistency(NAMES, flow)
    still.update(frames, masks)
    moving.update(frames, masks)
    values = still.compute()
    # the eye: 2 of 6 columns overlap: IoU 2 / 10; skin: 20 rows of 20 of 24 columns, less the eyes
    assert values["tc_none_eyes"] == pytest.approx(2 / 10)
    skin_both = 20 * 20 - 6 * 10  # less what is eye in one of the two
    assert values["tc_none_skin"] == pytest.approx(skin_both / (2 * (480 - 36) - skin_both))
    assert moving.name == f"tc_{flow}"
    assert moving.compute()[f"tc_{flow}"] > 0.9
    assert moving.compute()["boundary_jitter_skin"] < 0.5 * values["boundary_jitter_skin"]
    assert moving.compute()["pairs"] == 2


def test_warping_takes_labels_from_where_the_pixel_came() -> None:
    frames, masks = moving_sequence(step=4, length=2)
    images = [np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    warped = warp_mask(masks[0].numpy(), images[0], images[1], "dis_medium")
    inside = (slice(10, 70), slice(15, 85))
    assert (warped[inside] == masks[1].numpy()[inside]).mean() > 0.99
    back = warp_mask(masks[1].numpy(), images[1], images[0], "dis_medium")
    assert (back[inside] == masks[0].numpy()[inside]).mean() > 0.99
    # what entered on the left has no label, nor what leaves it going back
    assert (warped[20:60, 0] == 255).mean() > 0.8
    assert (back[20:60, -1] == 255).mean() > 0.8


def test_a_flickering_mask() -> None:
    masks = torch.zeros(5, 4, 6, dtype=torch.uint8)
    masks[::2, 1:3, 2:4] = 1  # 4 of 24 pixels, in frames 0, 2 and 4
    metric = TemporalConsistency(NAMES, "none")
    metric.update(grey(masks), masks)
    values = metric.compute()
    assert values["tc_none_skin"] == 0
    assert values["tc_none"] == 0
    assert values["tc_none_eyes"].isnan()
    assert values["tc_none_background"] == pytest.approx(20 / 24)
    assert values["boundary_jitter_skin"].isnan()  # missing in one of each pair
    a = 4 / 24
    assert values["area_jitter_skin"] == pytest.approx(3 * 2 * a / ((2 + 1 + 2) / 3 * a))
    assert values["area_jitter_eyes"].isnan()


def test_steady_growth_is_no_jitter() -> None:
    masks = torch.zeros(6, 10, 10, dtype=torch.uint8)
    for t in range(6):
        masks[t, : 2 + t] = 1
    metric = TemporalConsistency(NAMES, "none")
    metric.update(grey(masks), masks)
    assert metric.compute()["area_jitter_skin"] == pytest.approx(0, abs=1e-7)
    metric.reset()
    shaken = masks[[0, 2, 1, 3]]  # rows 2, 4, 3, 5: second differences -3 and +3
    metric.update(grey(shaken), shaken)
    expected = (0.3 + 0.3) / ((0.2 + 0.4 + 0.3) / 3 + (0.4 + 0.3 + 0.5) / 3)
    assert metric.compute()["area_jitter_skin"] == pytest.approx(expected)


def test_boundary_of_a_displaced_mask() -> None:
    # a half plane that moves by 3 pixels: each boundary is a column, 3 pixels from the other
    masks = torch.zeros(3, 30, 40, dtype=torch.uint8)
    for t, edge in enumerate((20, 23, 23)):
        masks[t, :, edge:] = 1
    metric = TemporalConsistency(NAMES, "none")
    metric.update(grey(masks), masks)
    values = metric.compute()
    for name in ("skin", "background"):
        assert values[f"boundary_jitter_{name}"] == pytest.approx((3 + 0) / 2 / 50)  # diagonal 50
    assert values["boundary_jitter_eyes"].isnan()


def test_boundary_by_hand() -> None:
    first = np.array([[0, 1, 0, 0, 0, 0, 0]], np.uint8)
    second = np.array([[0, 0, 0, 1, 1, 1, 0]], np.uint8)  # boundary pixels 3 and 5
    assert boundary_distance(first, second, 1) == pytest.approx((2 + 2 + 4) / 3)
    assert boundary_distance(second, first, 1) == pytest.approx((2 + 2 + 4) / 3)
    second[0, 6] = 255  # now pixel 5 ends at an unknown one
    assert boundary_distance(first, second, 1) == pytest.approx((2 + 2) / 2)
    assert np.isnan(boundary_distance(first, second, 2))
    assert np.isnan(boundary_distance(first, np.ones_like(first), 1))  # the image's edge is none


def reference_boundary(labels: Labels, c: int) -> npt.NDArray[np.bool_]:
    found = np.zeros(labels.shape, bool)
    for y, x in np.argwhere(labels == c):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1]:
                found[y, x] |= labels[v, u] not in (c, 255)
    return found


def reference(
    images: list[Labels], masks: list[Labels], flow: Flow, size: int
) -> dict[str, npt.NDArray[np.float64]]:
    """The definitions in plain NumPy."""
    both, either = np.zeros(size), np.zeros(size)
    distances: list[list[float]] = [[] for _ in range(size)]
    for t in range(1, len(masks)):
        now, frame = masks[t].copy(), images[t]
        before = resize_mask(masks[t - 1], *now.shape)
        if flow != "none":
            method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
            earlier = resize_image(images[t - 1], *now.shape)
            to_grey = cv2.COLOR_RGB2GRAY
            pair = cv2.cvtColor(frame, to_grey), cv2.cvtColor(earlier, to_grey)
            offset = method.calc(*pair, np.zeros((*now.shape, 2), np.float32))
            source = before
            before = np.full_like(now, 255)
            for y, x in np.ndindex(*now.shape):
                u, v = np.round(x + offset[y, x, 0]), np.round(y + offset[y, x, 1])
                if 0 <= v < now.shape[0] and 0 <= u < now.shape[1]:
                    before[y, x] = source[int(v), int(u)]
        out = (now == 255) | (before == 255)
        now[out] = 255
        before[out] = 255
        for c in range(size):
            both[c] += ((now == c) & (before == c)).sum()
            either[c] += ((now == c) | (before == c)).sum()
            a, b = reference_boundary(now, c), reference_boundary(before, c)
            if a.any() and b.any():
                to_a = distance_transform_edt(~a)[b]
                to_b = distance_transform_edt(~b)[a]
                diagonal = (now.shape[0] ** 2 + now.shape[1] ** 2) ** 0.5
                distances[c].append(float(np.concatenate([to_a, to_b]).mean() / diagonal))
    share = np.array([[(m == c).sum() / (m != 255).sum() for c in range(size)] for m in masks])
    change = np.abs(share[:-2] - 2 * share[1:-1] + share[2:]).sum(0)
    return {
        "tc": both / either,
        "area": change / ((share[:-2] + share[1:-1] + share[2:]) / 3).sum(0),
        "boundary": np.array([np.mean(d) for d in distances]),
    }


@pytest.mark.parametrize("flow", ["none", "dis_fast"])
def test_equals_a_transcription(flow: Flow) -> None:
    rng = np.random.default_rng(3)
    images, masks = [], []
    for t, (height, width) in enumerate([(40, 44), (42, 45), (41, 45), (41, 45)]):
        images.append(np.ascontiguousarray(texture(60, 70)[t : t + height, 2 * t : 2 * t + width]))
        coarse = rng.integers(0, 3, (6, 6)).astype(np.uint8)
        masks.append(resize_mask(coarse, height, width))
        masks[-1][-3:] = 255
    metric = TemporalConsistency(NAMES, flow)
    metric.update(
        [torch.from_numpy(image).permute(2, 0, 1) for image in images],
        [torch.from_numpy(mask).long() for mask in masks],
    )
    values = metric.compute()
    expected = reference(images, masks, flow, 3)
    # remap rounds in fixed point: a few pixels may differ
    tolerance = 1e-6 if flow == "none" else 5e-3
    for key, prefix in (("tc", metric.name), ("area", "area_jitter")):
        for c, name in enumerate(NAMES):
            assert float(values[f"{prefix}_{name}"]) == pytest.approx(
                expected[key][c], abs=tolerance
            )
    for c, name in enumerate(NAMES):
        found = float(values[f"boundary_jitter_{name}"])
        assert found == pytest.approx(expected["boundary"][c], rel=max(tolerance * 10, 1e-5))
    assert float(values[metric.name]) == pytest.approx(expected["tc"][1:].mean(), abs=tolerance)


def test_one_frame_has_no_neighbour_and_calls_do_not_touch() -> None:
    metric = TemporalConsistency(NAMES, "none")
    for value in (1, 2):
        mask = torch.full((1, 4, 4), value)
        metric.update(grey(mask), mask)
    values = metric.compute()
    assert values.pop("pairs") == 0
    assert all(value.isnan() for value in values.values())
    ignored = torch.full((3, 4, 4), 255)
    metric.update(grey(ignored), ignored)
    assert metric.compute()["pairs"] == 0
    assert metric.compute()["area_jitter_skin"].isnan()


def test_an_unlabelled_frame_makes_no_jitter() -> None:
    masks = torch.zeros(5, 4, 4, dtype=torch.uint8)
    masks[:, :2] = 1
    masks[2] = 255
    metric = TemporalConsistency(NAMES, "none")
    metric.update(grey(masks), masks)
    assert metric.compute()["pairs"] == 2
    assert metric.compute()["tc_none"] == 1
    assert metric.compute()["area_jitter_skin"].isnan()  # no three labelled frames in a row


def test_merge_sync_clone_and_pickle() -> None:
    frames, masks = moving_sequence()
    first, second, both = (TemporalConsistency(NAMES, "dis_ultrafast") for _ in range(3))
    first.update(frames, masks)
    second.update(frames.flip(0), masks)  # against the movement
    both.update(frames, masks)
    both.update(frames.flip(0), masks)
    alone = first.clone()
    states = {name: getattr(second, name) for name in second._defaults}
    # what torch.distributed's gather would give this process
    order = iter(states.values())
    alone.dist_sync_fn = lambda state, **_: [state, next(order)]
    alone.distributed_available_fn = lambda: True
    first.merge_state(second)
    loaded = pickle.loads(pickle.dumps(first))
    expected = both.compute()
    for metric in (first, alone, loaded):
        values = metric.compute()
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            assert float(values[name]) == pytest.approx(float(value), rel=1e-6), name
    first.reset()
    assert first.pairs == 0
    assert first.confusion.sum() == 0


def test_in_a_collection_with_mask_iou() -> None:
    frames, masks = moving_sequence()
    metrics = MetricCollection([MaskIoU(NAMES), TemporalConsistency(NAMES, "none")])
    for _ in range(2):
        metrics.update(prediction=masks, target=masks, frames=frames, masks=masks)
    values = metrics.compute()
    assert values["miou"] == 1
    assert values["pairs"] == 4


FRAMES, MASKS = torch.zeros(2, 3, 20, 30, dtype=torch.uint8), torch.zeros(2, 20, 30).long()


@pytest.mark.parametrize(
    ("frames", "masks", "message"),
    [
        (FRAMES.numpy(), MASKS, r"frames of type ndarray.*from_numpy"),
        (FRAMES, MASKS.numpy(), r"masks of type ndarray.*from_numpy"),
        (FRAMES, MASKS[:1], "2 frames and 1 masks"),
        (FRAMES[:0], MASKS[:0], "0 frames"),
        (torch.tensor(1), MASKS, "a number as frames"),
        (FRAMES.float(), MASKS, r"frame 0 as float32 \(3, 20, 30\): give an RGB uint8"),
        (FRAMES[:, 0], MASKS, r"frame 0 as uint8 \(20, 30\)"),
        (FRAMES.permute(0, 2, 3, 1), MASKS, r"frame 0 of shape \(20, 30, 3\)"),
        ([FRAMES[0], FRAMES[1].numpy()], MASKS, "frame 1 as ndarray"),
        (FRAMES, MASKS.float(), r"mask 0 as float32 \(20, 30\): give an integer"),
        (FRAMES, MASKS.bool(), "mask 0 as bool"),
        (FRAMES, [MASKS[0], MASKS[1].tolist()], "mask 1 as list"),
        (FRAMES, MASKS[:, :, 0], r"mask 0 as int64 \(20,\)"),
        (FRAMES, MASKS[:, :, 1:], r"frame 0 of size \(20, 30\) with a mask of size \(20, 29\)"),
        (FRAMES, MASKS + 3, "class id 3 in mask 0: give 0 to 2, or 255"),
        (FRAMES, MASKS - 1, "class id -1 in mask 0"),
        (FRAMES, MASKS + 256, "class id 256 in mask 0"),
        (FRAMES[..., :4, :4], MASKS[:, :4, :4], "4 × 4 pixels, too small for the flow"),
    ],
)
def test_bad_input(frames: Tensor, masks: Tensor, message: str) -> None:
    metric = TemporalConsistency(NAMES)
    with pytest.raises(InputError, match=message):
        metric.update(frames, masks)
    assert metric.pairs == 0
    assert metric.area_sum.sum() == 0


def test_bad_options() -> None:
    with pytest.raises(InputError, match="flow 'farneback': give one of dis_ultrafast"):
        TemporalConsistency(NAMES, "farneback")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least two"):
        TemporalConsistency(["skin"])
    with pytest.raises(InputError, match="256 classes: give at most 255"):
        TemporalConsistency([str(i) for i in range(256)])
