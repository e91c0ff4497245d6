"""Labels that leave several classes open, on their way from a file to the network's input."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.boxes import Box
from facemask.classes import CLASS_SETS
from facemask.data.augment.occlusion import Face
from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipAugmentation
from facemask.data.masks import check_class_ids, color_to_mask, mask_to_color
from facemask.data.region_boxes import cut_labels, read_extents
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.regions import to_face_labels, to_region_labels
from facemask.resample import resize_mask

Labels = npt.NDArray[np.uint8]


@pytest.fixture
def partial() -> Labels:
    """Eyes, lips and inner mouth labelled, one cheek open to the eyes, everything else 131."""
    mask = np.full((60, 80), 131, dtype=np.uint8)
    mask[15:20, 15:30] = mask[15:20, 50:65] = 2
    mask[40:50, 30:50] = 3
    mask[43:47, 34:46] = 4
    mask[21:40, 0:80] = 135  # perhaps eyes as well
    return mask


def test_every_set_has_a_colour_of_its_own() -> None:
    mask = np.array([[*range(5), *CLASS_SETS, 255]], dtype=np.uint8)
    check_class_ids(mask)
    color = mask_to_color(mask)
    assert color[0, 5].tolist() == [131, 131, 131]
    assert len(np.unique(color[0], axis=0)) == mask.size
    np.testing.assert_array_equal(color_to_mask(color), mask)
    with pytest.raises(InputError, match=r"colours \[\[129, 129, 129\], \[131, 131, 130\]\]"):
        color_to_mask(np.array([[[131, 131, 130], [129] * 3, [131] * 3]], dtype=np.uint8))


@pytest.mark.parametrize("value", [128, 129, 130, 132, 136, 144, 160, 254])
def test_what_is_no_set_names_the_file(value: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), np.full((4, 4), value, dtype=np.uint8))
    expected = rf"x\.png: label values \[{value}\] are not class ids, .* 128 \+ the sum of 2\*\*id"
    with pytest.raises(InputError, match=expected):
        read_label(path)


@pytest.mark.parametrize("colored", [False, True])
def test_files_hold_sets(colored: bool, partial: Labels, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), mask_to_color(partial)[..., ::-1] if colored else partial)
    np.testing.assert_array_equal(read_label(path), partial)


def test_regions_translate_sets() -> None:
    #        bg/skin  +eyes  +lips  skin/lips  lips/inner  eyes/inner  all
    labels = [131,     135,   139,   138,       152,        148,        159]  # fmt: skip
    mask = np.array(labels, dtype=np.uint8)
    assert to_region_labels(mask, "face").tolist() == labels
    assert to_region_labels(mask, "eyes").tolist() == [0, 131, 0, 0, 0, 131, 131]
    # 134: lips or inner mouth, 133: background or inner mouth, 135: all three
    assert to_region_labels(mask, "mouth").tolist() == [0, 0, 131, 131, 134, 133, 135]
    back = np.array([131, 133, 134, 135], dtype=np.uint8)
    assert to_face_labels(back, "mouth").tolist() == [137, 145, 152, 153]
    assert to_face_labels(back[:1], "eyes").tolist() == [133]


def test_boxes_hold_what_is_labelled_for_certain(partial: Labels, tmp_path: Path) -> None:
    paths = [tmp_path / "some.png", tmp_path / "open.png"]
    for path, mask in zip(paths, (partial, np.full_like(partial, 135)), strict=True):
        cv2.imwrite(str(path), mask)
    eyes, mouth = read_extents(paths, "eyes"), read_extents(paths, "mouth")
    assert eyes[paths[0]].extent == pytest.approx((15 / 80, 15 / 60, 65 / 80, 20 / 60))
    assert mouth[paths[0]].extent == pytest.approx((30 / 80, 40 / 60, 50 / 80, 50 / 60))
    assert eyes[paths[1]].extent is None
    cut = cut_labels(partial, Box(-2, 14, 8, 24), (10, 10), "eyes")
    assert cut[:, :2].tolist() == [[255] * 2] * 10  # outside
    assert cut[:, 2].tolist() == [0] * 7 + [131] * 3


def test_nothing_in_between_comes_of_resizing_moving_and_augmenting(partial: Labels) -> None:
    values = {2, 3, 4, 131, 135, 255}
    image = np.random.default_rng(0).integers(0, 255, (*partial.shape, 3), dtype=np.uint8)
    assert set(np.unique(resize_mask(partial, 37, 91))) <= values
    calm = StillMotion(still=0.0, shift=0.05, rotate=5.0)
    images, masks = calm(image, partial, 4, seed=3)
    assert {131, 135, 255} <= set(np.unique(masks)) <= values
    hard = ClipAugmentation(perspective=1.0, border="reflect")
    for seed in range(5):
        _, augmented = hard(images, masks, seed=seed)
        assert {131, 135} <= set(np.unique(augmented)) <= values


def test_occluders_find_the_face_without_its_skin(partial: Labels) -> None:
    face = Face([partial], "face")
    assert face.found
    # the eyes' centres are (22, 17) and (57, 17)
    assert face.origin[0] == pytest.approx((39.5, 17), abs=0.6)
    assert face.axes[0] == pytest.approx((35, 0), abs=0.6)
    mouth = to_region_labels(partial, "mouth")
    mouth[:10] = 131  # perhaps lips
    assert Face([mouth], "mouth").axes[0, 0] == pytest.approx(20 / 0.85)
