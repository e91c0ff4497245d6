import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from facemask.errors import InputError
from facemask.metrics import class_iou, confusion_matrix, intersection_and_union, labels_at_size

SIGNED = (torch.int8, torch.int16, torch.int32, torch.int64)
ALL = (torch.uint8, *SIGNED, torch.uint16, torch.uint32)


def count_by_hand(prediction: Tensor, target: Tensor, size: int, ignore: int) -> list[list[int]]:
    """The definition, pixel by pixel."""
    counts = np.zeros((size, size), int)
    for guess, truth in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != ignore:
            counts[truth, guess] += 1
    table: list[list[int]] = counts.tolist()
    return table


def random_masks(size: int, ignore: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, size, (2, 9, 7), generator=generator)
    target = torch.randint(0, size, (2, 9, 7), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = ignore
    return prediction, target


@pytest.mark.parametrize("ignore", [255, -100, 0, 2, 77, -1, 1000])
@pytest.mark.parametrize("size", [1, 2, 5, 9, 10, 40])
def test_equals_the_definition_for_every_pair_of_dtypes(size: int, ignore: int) -> None:
    if ignore < size:  # a class of its own has no masks to spoil
        prediction, target = random_masks(size, max(ignore, 0))
    else:
        prediction, target = random_masks(size, ignore)
    expected = count_by_hand(prediction, target, size, ignore)
    for guess_type in (torch.uint8, torch.int16, torch.int64):
        for truth_type in ALL:
            if truth_type not in (torch.uint16, torch.uint32):
                limits = torch.iinfo(truth_type)
                if not limits.min <= int(target.min()) <= int(target.max()) <= limits.max:
                    continue
            matrix = confusion_matrix(
                prediction.to(guess_type), target.to(truth_type), size, ignore
            )
            assert matrix.dtype == torch.int64
            assert matrix.tolist() == expected, (guess_type, truth_type)


@pytest.mark.parametrize("ignore", [255, -100, -1])
def test_ignored_pixels_of_signed_types(ignore: int) -> None:
    prediction, target = random_masks(5, ignore)
    expected = count_by_hand(prediction, target, 5, ignore)
    for dtype in (torch.int16, torch.int32, torch.int64):
        assert confusion_matrix(prediction, target.to(dtype), 5, ignore).tolist() == expected


def test_equals_torchmetrics() -> None:
    prediction, target = random_masks(5, 255)
    reference = MulticlassConfusionMatrix(5, ignore_index=255)
    reference.update(prediction, target)
    assert torch.equal(confusion_matrix(prediction.byte(), target.byte(), 5), reference.compute())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_a_prediction_may_be_anything_where_the_target_is_ignored(dtype: torch.dtype) -> None:
    prediction = torch.tensor([1, 200, 2, 99], dtype=dtype)
    target = torch.tensor([0, 255, 2, 255], dtype=dtype)
    assert confusion_matrix(prediction, target, 3).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    inside = torch.tensor([0, 1, 2, 1], dtype=dtype)  # class 1 is ignored
    assert confusion_matrix(prediction, inside, 3, ignore_index=1).tolist() == [
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]


def test_uint8_does_not_wrap() -> None:
    # 156 as uint8 equals -100, and 255 equals -1, when compared in uint8
    for ignore, value in ((-100, 156), (-1, 255), (256, 0), (511, 255), (254, 255), (1, 255)):
        target = torch.tensor([value], dtype=torch.uint8)
        if value == 0:
            assert confusion_matrix(target, target, 2, ignore).tolist() == [[1, 0], [0, 0]]
        else:
            with pytest.raises(InputError, match=f"target holds class id {value}"):
                confusion_matrix(torch.tensor([0]), target, 2, ignore)


@pytest.mark.parametrize("size", [5, 9, 10, 40])
@pytest.mark.parametrize("dtype", ALL)
def test_ids_out_of_range(dtype: torch.dtype, size: int) -> None:
    good = torch.tensor([0, 1, 2]).to(dtype)
    for value in (size, size + 1, 100, 127, 128, 200, 254, 256, 257, 300, 2**31 - 1, -1, -2, -128):
        limits = torch.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            continue
        bad = torch.tensor([0, value, 1]).to(dtype)
        last = size - 1
        with pytest.raises(
            InputError, match=rf"prediction holds class id {value}: give 0 to {last}"
        ):
            confusion_matrix(bad, good, size)
        with pytest.raises(
            InputError, match=rf"target holds class id {value}: give 0 to {last}, or 255 for"
        ):
            confusion_matrix(good, bad, size)


def test_bad_arguments() -> None:
    mask = torch.zeros(2, 3, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"shape \(2, 3\).* shape \(3, 2\)"):
        confusion_matrix(mask, mask.T, 2)
    with pytest.raises(InputError, match=r"prediction is a ndarray: give a tensor.*from_numpy"):
        confusion_matrix(mask.numpy(), mask, 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="target is a list"):
        confusion_matrix(mask, mask.tolist(), 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prediction holds bool"):
        confusion_matrix(mask.bool(), mask, 2)
    with pytest.raises(InputError, match="target holds float32"):
        confusion_matrix(mask, mask.float(), 2)
    with pytest.raises(InputError, match="num_classes is 0"):
        confusion_matrix(mask, mask, 0)
    with pytest.raises(InputError, match="on cpu and the target is on meta"):
        confusion_matrix(mask, mask.to("meta"), 2)


def test_inputs_stay_as_they_are_and_nothing_counts_nothing() -> None:
    prediction, target = random_masks(5, 255)
    guess, truth = prediction.byte(), target.byte()
    copies = guess.clone(), truth.clone()
    confusion_matrix(guess, truth, 5)
    assert torch.equal(guess, copies[0])
    assert torch.equal(truth, copies[1])
    for shape in ((0,), (0, 4), (2, 0, 3)):
        empty = torch.zeros(shape, dtype=torch.int64)
        assert confusion_matrix(empty, empty, 3).tolist() == [[0] * 3] * 3
    ignored = torch.full((2, 2), 255)
    assert confusion_matrix(torch.zeros(2, 2).long(), ignored, 3).sum() == 0


def test_strided_masks() -> None:
    prediction, target = random_masks(5, 255)
    expected = count_by_hand(prediction, target, 5, 255)
    twisted = confusion_matrix(
        prediction.byte().transpose(0, 2).contiguous().transpose(0, 2), target.byte(), 5
    )
    assert twisted.tolist() == expected


def test_intersection_union_and_iou() -> None:
    matrix = torch.tensor([[5, 2, 0], [1, 3, 0], [0, 0, 0]])
    intersection, union = intersection_and_union(matrix)
    assert intersection.tolist() == [5, 3, 0]
    assert union.tolist() == [8, 6, 0]
    iou = class_iou(matrix)
    assert iou.dtype == torch.float64
    assert iou[:2].tolist() == [5 / 8, 3 / 6]
    assert iou[2].isnan()
    intersection, union = intersection_and_union(matrix, ignore_index=1)
    assert (intersection.tolist(), union.tolist()) == ([5, 0, 0], [8, 0, 0])
    assert matrix.tolist() == [[5, 2, 0], [1, 3, 0], [0, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_labels_at_size(dtype: torch.dtype) -> None:
    scores = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    precise = scores if dtype == torch.float64 else scores.float()
    resized = F.interpolate(precise[None], (13, 11), mode="bilinear", align_corners=False)
    labels = labels_at_size(scores, 13, 11)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), resized[0].argmax(0))
    assert torch.equal(labels_at_size(scores, 6, 8).long(), scores.argmax(0))


def test_labels_at_size_by_hand() -> None:
    # class 1 minus class 0 along x: -1, +2 at centres 0.5 and 1.5 of 2; 8 pixels, centres (i+.5)/4
    scores = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    # the difference crosses 0 a third of the way: x = 0.5 + 1/3, between pixels 2 and 3
    assert labels_at_size(scores, 1, 8).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]]
    many = torch.zeros(300, 1, 1)
    many[299] = 1
    assert labels_at_size(many, 1, 1).tolist() == [[299]]


def test_masks_of_several_blocks() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randint(0, 5, (3, 200, 190), generator=generator)
    target = torch.randint(0, 5, (3, 200, 190), generator=generator)
    target[1, :50] = 255
    reference = MulticlassConfusionMatrix(5, ignore_index=255)
    reference.update(prediction, target)
    assert torch.equal(confusion_matrix(prediction.byte(), target.byte(), 5), reference.compute())
