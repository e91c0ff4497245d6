from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from facemask.data import FaceMaskDataModule, StillMotion
from facemask.data.augment.still_motion import SHAKE
from facemask.data.clips import ClipDataset
from facemask.data.vw300_mask import read_split
from facemask.errors import InputError
from facemask.training import feature_cache

ARGUMENTS = ("shift", "rotate", "zoom", "turn", "shake", "still", "flicker", "noise")
NOTHING = dict.fromkeys(ARGUMENTS, 0.0)
STRONG = {"shift": 0.03, "rotate": 4.0, "zoom": 0.04, "turn": 0.03, "shake": 0.3}
HEIGHT, WIDTH = 141, 181


def motion(**options: float) -> StillMotion:
    return StillMotion(**{**NOTHING, **options})


def coordinates() -> npt.NDArray[np.uint8]:
    """Each pixel holds its column and its row."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8)


def still() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A picture whose pixels are 50 times the class id."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    # half radii: no row of a single pixel, which bilinear and nearest would see differently
    circles = [(90, 70, 60.5), (60, 50, 12.5), (120, 60, 9.5)]
    for class_id, (x, y, radius) in enumerate(circles, start=1):
        mask[np.hypot(columns - x, rows - y) < radius] = class_id
    return np.repeat(50 * mask[..., None], 3, axis=2), mask


def test_the_seed_decides_everything() -> None:
    image, mask = still()
    first = StillMotion()(image, mask, 5, seed=7)
    np.random.seed(3)  # noqa: NPY002  # global seeds play no part
    cv2.setRNGSeed(5)
    again, other = StillMotion()(image, mask, 5, seed=7), StillMotion()(image, mask, 5, seed=8)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (np.stack(first[0]) != np.stack(other[0])).any()
    assert all(i.shape == image.shape and i.dtype == np.uint8 for i in first[0])
    assert all(m.shape == mask.shape and m.dtype == np.uint8 for m in first[1])


def test_masks_follow_the_image() -> None:
    image, mask = still()
    moved, whole = 0, np.ones((3, 3), dtype=np.uint8)
    for seed in range(20):
        for frame, labels in zip(*motion(**STRONG)(image, mask, 5, seed), strict=True):
            # where all neighbours have one label, bilinear pixels are not mixed
            inner = (cv2.erode(labels, whole) == cv2.dilate(labels, whole)) & (labels != 255)
            inner[[0, -1]] = inner[:, [0, -1]] = False  # neighbours out of sight
            assert inner.mean() > 0.6
            np.testing.assert_array_equal(frame[inner][:, 0], 50 * labels[inner])
            moved += int((labels != mask).any())
    assert moved >= 75  # one frame of each clip is the still itself


def test_masks_are_255_beyond_the_still_and_nowhere_else() -> None:
    image, mask = coordinates(), np.ones((HEIGHT, WIDTH), dtype=np.uint8)
    image[..., 2] = 255
    found = 0
    for seed in range(10):
        images, masks = motion(shift=0.05)(image, mask, 5, seed)
        for frame, labels in zip(images, masks, strict=True):
            assert set(np.unique(labels)) <= {1, 255}
            # a translation leaves the inside of the still in a rectangle, and mirrors beyond it
            rows, columns = np.nonzero(labels == 1)
            box = labels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box == 1).all()
            assert (frame[..., 2] == 255).all()
            found += int((labels == 255).sum())
    assert found > 0


def steps(options: dict[str, float], frames: int = 8) -> npt.NDArray[np.float64]:
    """How far the still's points move between frames, (N, H, W, 2); NaN beyond its edges."""
    image, mask = coordinates(), np.ones((HEIGHT, WIDTH), dtype=np.uint8)
    found = []
    for seed in range(30):
        images, masks = motion(**options)(image, mask, frames, seed)
        points = np.stack(images)[..., :2].astype(np.float64)
        points[np.stack(masks) == 255] = np.nan
        found.append(np.abs(np.diff(points, axis=0)))
    return np.concatenate(found)


ROUNDING = 1.05  # two coordinates are rounded to whole grey levels, and warped to 1/32 pixels


def test_translation_between_frames_is_bounded() -> None:
    # 2 % of 181 and 141 pixels
    moved = steps({"shift": 0.02})
    for axis, bound in enumerate((3.62, 2.82)):
        assert bound / 2 < np.nanmax(moved[..., axis]) <= bound + ROUNDING
    shaken = np.nanmax(steps({"shift": 0.02, "shake": 1.0})[..., 0])
    assert 3.62 + ROUNDING < shaken <= SHAKE * 3.62 + ROUNDING


def test_rotation_and_zoom_between_frames_are_bounded_and_about_the_centre() -> None:
    # a point sees its source at most radius × angle away: 2° at 100 pixels are 3.5
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(columns - 90, rows - 70)
    inside = radius < 65  # rotated by 14° at most, no point of it leaves the still
    for options, rate in (({"rotate": 2.0}, np.radians(2.0)), ({"zoom": 0.03}, 0.03)):
        moved = steps(options)
        far = np.hypot(moved[..., 0], moved[..., 1])
        # zoomed out, a point's source lies further out than the point
        bound = 1.25 * rate * radius + np.sqrt(2) * ROUNDING
        assert (far <= bound)[:, inside].all()
        assert np.nanmax(moved[:, 70, 90]) == 0
        assert np.nanmax(far) > rate * 65 / 2


def test_turning_moves_the_edges_by_its_share_of_half_the_size() -> None:
    moved = steps({"turn": 0.02}, frames=3)
    # at (x, y) in [-1, 1]: yaw and pitch scale by 2 %·(|x| + |y|), shear shifts by 2 %·|y|; what
    # a frame already turned adds is of second order: 1.2 covers it
    assert 0.5 < np.nanmax(moved[:, 70, 171, 0]) <= 1.2 * 0.02 * 90 + ROUNDING
    assert np.nanmax(moved[:, 10, 10]) <= 1.2 * (2 + 1) * 0.02 * 90 + ROUNDING
    assert np.nanmax(moved[:, 70, 90]) == 0


def test_motion_begins_at_a_random_phase() -> None:
    image, mask = still()
    unmoved = set()
    for seed in range(40):
        images, _ = motion(shift=0.02)(image, mask, 5, seed)
        unmoved |= {t for t, frame in enumerate(images) if (frame == image).all()}
    assert unmoved == {0, 1, 2, 3, 4}


def test_no_motion_no_flicker_and_no_noise_give_equal_frames() -> None:
    image, mask = still()
    calm = StillMotion(still=1.0, flicker=0, noise=0)
    images, masks = calm(image, mask, 5, seed=1)
    assert len(images) == len(masks) == 5
    assert all((frame == image).all() for frame in images)
    assert all((labels == mask).all() for labels in masks)
    images[0][:], masks[0][:] = 1, 1  # each its own memory
    assert (images[1] == image).all()
    assert (masks[1] == mask).all()
    assert image.max() == 150
    share = np.mean(
        [
            all(
                (frame == image).all()
                for frame in motion(shift=0.02, still=0.3)(image, mask, 3, s)[0]
            )
            for s in range(300)
        ]
    )
    assert 0.22 < share < 0.38


def test_flicker_and_noise() -> None:
    gray = np.full((64, 64, 3), 100, dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=np.uint8)
    images, masks = motion(flicker=0.1)(gray, mask, 40, seed=0)
    levels = [int(frame[0, 0, 0]) for frame in images]
    assert all((frame == level).all() for frame, level in zip(images, levels, strict=True))
    assert 90 <= min(levels) < max(levels) <= 110
    assert all((labels == mask).all() for labels in masks)
    largest = 0.0
    for seed in range(20):
        one, two = np.stack(motion(noise=0.04)(gray, mask, 2, seed)[0]).astype(np.float64)
        assert abs(one.mean() - 100) < 0.5
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.05
        largest = max(largest, float(one.std()))
    assert 0.8 * 10.2 < largest < 1.05 * 10.2  # 4 % of 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": -0.1}, r"still_motion\.shift is -0\.1, expected a number from 0 on"),
        ({"noise": float("nan")}, r"still_motion\.noise is nan"),
        ({"rotate": float("inf")}, r"still_motion\.rotate is inf"),
        ({"still": 1.5}, r"still_motion\.still is 1\.5, expected at most 1"),
        ({"turn": 1.0}, r"still_motion\.turn is 1\.0, expected less than 1"),
    ],
)
def test_bad_arguments(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StillMotion(**options)


def test_bad_stills() -> None:
    image, mask = still()
    with pytest.raises(InputError, match="0 frames of a still"):
        StillMotion()(image, mask, 0, seed=0)
    with pytest.raises(InputError, match="differ in size"):
        StillMotion()(image, mask[1:], 2, seed=0)


def make(root: Path, **options: object) -> FaceMaskDataModule:
    settings = {"root": str(root), "size": 48, "num_workers": 0, **options}
    data = FaceMaskDataModule(**settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def single(data: FaceMaskDataModule) -> int:
    """Index of a clip of one frame: every 30 frames a sequence ends, and 31 = 30 + 1."""
    clips = data.datasets["train"].clips
    return next(i for i, clip in enumerate(clips) if len(set(clip)) == 1)


@pytest.mark.parametrize("region", ["face", "eyes"])
def test_single_frames_become_clips_in_training(region: str, stills_root: Path) -> None:
    plain = make(stills_root, region=region, clip_length=4)
    data = make(stills_root, region=region, clip_length=4, still_motion=motion(**STRONG))
    index = single(plain)
    before, after = plain.datasets["train"][3, index], data.datasets["train"][3, index]
    name = before["names"][0]
    assert before["names"] == [name]
    assert after["names"] == [name] * 4
    assert after["original_sizes"] == before["original_sizes"] * 4
    assert (before["masks"][1:] == 255).all()
    assert all((mask != 255).float().mean() > 0.5 for mask in after["masks"])
    # one of the frames is the still as it is cut out without motion, with the same box
    assert torch.equal(after["boxes"], before["boxes"])
    assert any(torch.equal(image, before["images"][0]) for image in after["images"])
    assert len({image.numpy().tobytes() for image in after["images"]}) == 4
    again, later = data.datasets["train"][3, index], data.datasets["train"][4, index]
    assert torch.equal(again["images"], after["images"])
    assert torch.equal(again["masks"], after["masks"])
    assert not torch.equal(later["images"], after["images"])
    # longer clips stay as they are
    for i, clip in enumerate(plain.datasets["train"].clips):
        if len(clip) > 1:
            assert data.datasets["train"].clips[i] == clip
            one, two = plain.datasets["train"][i], data.datasets["train"][i]
            assert torch.equal(one["images"], two["images"])
    assert data.datasets["val"].still_motion is None
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (2, 4, 3, 48, 48)


def test_single_frames_stay_single_without_a_time_axis(stills_root: Path) -> None:
    data = make(stills_root, clip_length=None, still_motion=StillMotion())
    plain = make(stills_root, clip_length=None)
    assert data.datasets["train"].clips == plain.datasets["train"].clips
    assert torch.equal(data.datasets["train"][0]["images"], plain.datasets["train"][0]["images"])


def test_nothing_of_original_size_moves(stills_root: Path) -> None:
    frames = read_split(stills_root, "split_1", "train")
    with pytest.raises(InputError, match="still_motion is for training"):
        ClipDataset(frames, 5, 48, keep_original_masks=True, still_motion=StillMotion())


def test_feature_caches_tell_motions_apart(stills_root: Path) -> None:
    plain = make(stills_root).datasets["train"]
    moved = make(stills_root, still_motion=StillMotion(shift=0.02)).datasets["train"]
    assert not feature_cache._is_random(plain)
    assert feature_cache._is_random(moved)
    unmoved = feature_cache._still(moved)  # model.feature_variants 0: stills are padded again
    assert unmoved.still_motion is None
    assert unmoved.clips == plain.clips
    assert moved.clips != plain.clips
    described = feature_cache._draws(moved)
    again = make(stills_root, still_motion=StillMotion(shift=0.02)).datasets["train"]
    assert described == feature_cache._draws(again)
    other = make(stills_root, still_motion=StillMotion()).datasets["train"]
    assert described["still_motion"] != feature_cache._draws(other)["still_motion"]
    other.still_motion.extra = object()  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"StillMotion has attributes that are no plain values"):
        feature_cache._draws(other)


@pytest.fixture
def stills_root(mask_root: Path, tmp_path: Path) -> Path:
    """The small data set with one training sequence cut down to a still."""
    root = tmp_path / "stills"
    root.mkdir()
    for folder in ("images_orig", "labels_orig"):
        (root / folder).symlink_to(mask_root / folder)
    splits = root / "data_splits/split_1"
    splits.mkdir(parents=True)
    for side in ("train", "val", "test"):
        text = (mask_root / f"data_splits/split_1/{side}_per10.txt").read_text().splitlines(True)
        (splits / f"{side}_per10.txt").write_text("".join(text[:7] + text[8:9]))
    return root
