import json
from itertools import pairwise
from typing import Any

import albumentations as A
import numpy as np
import pytest

from facemask.data import ClipAugmentation, ClipTransform, Occluders
from facemask.errors import InputError

KINDS = ("hand", "glasses", "object", "hair", "patch")
OFF: dict[str, Any] = dict.fromkeys(
    ("flip", "rotate", "shift", "color", "gamma", "gray", "blur", "low_resolution",
     "compression", "noise", "occlusion"), 0.0,
) | {"scale": (1.0, 1.0)}  # fmt: skip


def only(kind: str, **options: Any) -> Occluders:  # noqa: ANN401
    return Occluders(**dict.fromkeys(KINDS, 0.0) | {kind: 1.0} | options)


def face(frames: int = 1, size: int = 200) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Eyes at (70, 60) and (130, 60), the mouth at (100, 130), skin from x 40 to 160."""
    rng = np.random.default_rng(0)
    image = rng.integers(120, 200, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[40:170, 40:161] = 1
    mask[56:65, 60:81] = 2
    mask[56:65, 120:141] = 2
    mask[120:141, 75:126] = 3
    mask[126:135, 85:116] = 4
    return [image] * frames, [mask] * frames


def changed(out: np.ndarray, image: np.ndarray) -> np.ndarray:
    difference: np.ndarray = np.abs(out.astype(int) - image).max(axis=2)
    return difference > 8


def test_glasses_sit_around_the_eyes_and_leave_the_chin() -> None:
    (image,), masks = face()
    for seed in range(20):
        (out,), _ = only("glasses")([image], masks, seed)
        new = changed(out, image)
        # spread 30 px: the rims are 21.6 to 27.6 px to both sides of the lens's centre
        for center in (70, 130):
            assert new[45:80, center - 34 : center + 35].any()
        assert new[45:70, 92:109].any()  # the bridge
        assert not new[105:].any()
        assert not new[:25].any()


def test_glasses_turn_with_the_eyes() -> None:
    (image,), _ = face()
    mask = np.zeros((200, 200), np.uint8)
    mask[50:190, 30:170] = 1
    mask[76:85, 60:81] = 2  # the right one is 40 px lower
    mask[116:125, 120:141] = 2
    (out,), _ = only("glasses")([image], [mask], 4)
    rows = [np.flatnonzero(changed(out, image)[:, x]).mean() for x in (70, 130)]
    assert 25 < rows[1] - rows[0] < 55


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_the_mask_stays(kind: str) -> None:
    images, masks = face(2)
    before, draw = images[0].copy(), only(kind)
    first, labels = draw(images, masks, 5)
    again, _ = only(kind)(images, masks, 5)
    other, _ = draw(images, masks, 6)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(labels, masks)
    np.testing.assert_array_equal(images[0], before)
    assert first[0].dtype == np.uint8
    shown = [changed(out, images[0]).mean() for out in draw(images, masks, 5)[0]]
    assert max(shown) > 0.002


@pytest.mark.parametrize("kind", KINDS)
def test_one_object_moves_smoothly_through_a_clip(kind: str) -> None:
    images, masks = face(6)
    draw, steady = only(kind), 0
    for seed in range(10):
        out, _ = draw(images, masks, seed)
        areas = np.array([changed(frame, images[0]).sum() for frame in out])
        if areas.min() > 0.7 * areas.max():  # neither comes in nor leaves
            steady += 1
            for a, b in pairwise(out):
                one, two = changed(a, images[0]), changed(b, images[0])
                assert (one & two).sum() > 0.4 * (one | two).sum()
    assert steady >= 4


def test_it_follows_the_face() -> None:
    images, masks = face(2)
    moved = np.zeros_like(masks[1])
    moved[25:, 15:] = masks[1][:-25, :-15]
    out, _ = only("glasses")(images, [masks[0], moved], 1)
    centers = [np.argwhere(changed(frame, images[0])).mean(axis=0) for frame in out]
    np.testing.assert_allclose(centers[1] - centers[0], (25, 15), atol=4)


@pytest.mark.parametrize("region", ["eyes", "mouth"])
def test_the_regions_have_their_own_ids(region: str) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(100, 200, (96, 96, 3), dtype=np.uint8)
    mask = np.zeros((96, 96), np.uint8)
    if region == "eyes":
        mask[40:52, 12:36] = 1
        mask[40:52, 60:84] = 1
    else:
        mask[30:66, 10:86] = 1
        mask[42:54, 20:76] = 2
    for kind in KINDS:
        draw = only(kind, region=region)
        shown = [
            changed(draw([image], [mask], seed)[0][0], image)[20:76, 5:91].mean()
            for seed in range(8)
        ]
        if (region, kind) == ("mouth", "glasses"):
            assert not any(shown)
        else:
            assert sum(share > 0.005 for share in shown) >= 5, kind


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("region", ["face", "eyes", "mouth"])
def test_without_a_face_there_are_only_patches(value: int, region: str) -> None:
    images, masks = face(2)
    masks = [np.full_like(mask, value) for mask in masks]
    everything = Occluders(1, 1, 1, 1, 0, region=region)  # type: ignore[arg-type]
    for seed in range(5):
        np.testing.assert_array_equal(everything(images, masks, seed)[0], images)
        assert (only("patch", region=region)(images, masks, seed)[0][0] != images[0]).any()


def test_one_eye_or_a_single_pixel_is_no_error() -> None:
    (image,), (mask,) = face()
    one = np.where(np.arange(200) < 100, mask, np.where(mask == 2, 1, mask)).astype(np.uint8)
    dot = np.zeros_like(mask)
    dot[0, 0] = 2
    for seed in range(10):
        for label in (one, dot):
            Occluders(1, 1, 1, 1, 1)([image], [label], seed)


def test_a_frame_without_a_face_takes_its_neighbours_place() -> None:
    images, masks = face(3)
    out, _ = only("glasses")(images, [masks[0], np.zeros_like(masks[0]), masks[2]], 2)
    np.testing.assert_array_equal(out[0], out[1])


def test_nothing_at_zero_and_wrong_arguments() -> None:
    images, masks = face(2)
    np.testing.assert_array_equal(Occluders(0, 0, 0, 0, 0)(images, masks, 1)[0], images)
    with pytest.raises(InputError, match=r"hair is 1\.5"):
        Occluders(hair=1.5)
    with pytest.raises(InputError, match="region"):
        Occluders(region="nose")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lighting"):
        ClipAugmentation(lighting=-1)
    with pytest.raises(InputError, match="border"):
        ClipAugmentation(border="wrap")  # type: ignore[arg-type]


def test_without_the_new_parts_the_augmentation_is_the_old_one() -> None:
    images, masks = face(2, 200)
    augment, old = ClipAugmentation(), ClipTransform(ClipAugmentation().transforms)
    names = [type(t).__name__ for t in augment.transforms]
    assert names == ["HorizontalFlip", "Affine", "ColorJitter", "RandomGamma", "ToGray", "OneOf",
                     "Downscale", "ImageCompression", "GaussNoise", "OneOf"]  # fmt: skip
    for seed in range(5):
        np.testing.assert_array_equal(
            augment(images, masks, seed=seed)[0], old(images, masks, seed=seed)[0]
        )


@pytest.mark.parametrize("perspective", [0.0, 1.0])
def test_a_reflected_border_shows_picture_where_the_mask_is_ignored(perspective: float) -> None:
    images, masks = face(2)
    options = OFF | {"rotate": 20.0, "shift": 0.15, "perspective": perspective}
    constant, reflect = ClipAugmentation(**options), ClipAugmentation(**options, border="reflect")
    ignored = 0
    for seed in range(8):
        black, first = constant(images, masks, seed=seed)
        filled, second = reflect(images, masks, seed=seed)
        np.testing.assert_array_equal(first, second)
        outside = first[0] == 255
        ignored += int(outside.sum())
        assert (filled[0] > 60).all()
        assert black[0][outside].mean() < 30
        np.testing.assert_array_equal(filled[0], filled[1])
    assert ignored > 1000


def test_frames_share_light_and_perspective() -> None:
    images, masks = face(3)
    augment = ClipAugmentation(perspective=1, lighting=1, border="reflect")
    for seed in range(8):
        out, labels = augment(images, masks, seed=seed)
        np.testing.assert_array_equal(out[1:], [out[0]] * 2)
        np.testing.assert_array_equal(labels[1:], [labels[0]] * 2)
    flat = [np.full((60, 80, 3), 100, np.uint8)]
    lit, _ = ClipAugmentation(**OFF, lighting=1)(flat, [np.zeros((60, 80), np.uint8)], seed=3)
    assert np.ptp(lit[0]) > 10
    assert np.abs(np.diff(lit[0][..., 0].astype(int), axis=1)).max() < 15


def test_occluders_in_the_augmentation() -> None:
    images, masks = face(2)
    augment = ClipAugmentation(**OFF, occluders=only("glasses"))
    out, labels = augment(images, masks, seed=3)
    np.testing.assert_array_equal(labels, masks)
    assert changed(out[0], images[0])[40:85].any()
    assert not changed(out[0], images[0])[110:].any()
    again, _ = ClipAugmentation(**OFF, occluders=only("glasses"))(images, masks, seed=3)
    np.testing.assert_array_equal(out, again)

    def described(transform: ClipTransform) -> str:  # as the feature cache does
        return json.dumps([A.to_dict(t) for t in transform.transforms])

    assert described(augment) == described(ClipAugmentation(**OFF, occluders=only("glasses")))
    assert described(augment) != described(ClipAugmentation(**OFF, occluders=only("hand")))
    assert described(augment) != described(ClipAugmentation(**OFF, occluders=None))


def test_low_light_leaves_a_fifth_to_three_fifths_of_the_light_for_all_frames_alike() -> None:
    grey = [np.full((40, 50, 3), 200, np.uint8)] * 3
    masks = [np.ones((40, 50), np.uint8)] * 3
    augment = ClipAugmentation(**OFF, low_light=1)
    left = set()
    for seed in range(20):
        dark, same = augment(grey, masks, seed=seed)
        assert all(np.array_equal(frame, dark[0]) for frame in dark)
        assert all(np.array_equal(mask, masks[0]) for mask in same)
        left.add(round(float(dark[0].mean()) / 200, 2))
    assert min(left) >= 0.19
    assert max(left) <= 0.61
    assert max(left) - min(left) > 0.2
    with pytest.raises(InputError, match=r"low_light is 1\.5: give a probability"):
        ClipAugmentation(low_light=1.5)


def test_colour_jitter_keeps_faces_from_turning_green() -> None:
    skin = [np.full((8, 8, 3), (200, 140, 110), np.uint8)]
    augment = ClipAugmentation(**OFF | {"color": 1.0})
    for seed in range(30):
        red, green, blue = augment(skin, [np.ones((8, 8), np.uint8)], seed=seed)[0][0][0, 0]
        assert red >= green, seed
        assert red >= blue, seed


@pytest.mark.parametrize("labelled", [True, False])
def test_hands_have_the_skins_colour_where_labels_leave_the_skin_open(labelled: bool) -> None:
    _, (mask,) = face()
    image = np.full((200, 200, 3), 150, dtype=np.uint8)
    image[70:118, 60:141] = (60, 170, 90)  # no tone of the usual ones has more green than red
    if labelled:
        mask[mask == 1] = 0
        mask[70:118, 60:141] = 1
    else:
        mask[mask < 2] = 131
    green = 0
    for seed in range(40):
        (out,), _ = only("hand")([image], [mask], seed)
        color = out[changed(out, image)].mean(axis=0)
        green += color[1] > color[0]
    assert 22 <= green <= 37  # three of four
