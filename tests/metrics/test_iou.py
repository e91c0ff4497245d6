import pytest
import torch
from torchmetrics.classification import MulticlassConfusionMatrix

from facemask.errors import InputError
from facemask.metrics import MaskIoU

NAMES = ["background", "skin", "eyes"]


def test_hand_computed_asymmetric_case() -> None:
    metric = MaskIoU(NAMES)
    metric.update(torch.tensor([[1, 1, 1], [2, 0, 0]]), torch.tensor([[1, 1, 0], [1, 1, 2]]))
    metric.update(torch.tensor([0, 2, 1]), torch.tensor([0, 2, 255]))  # another size
    # truth by row: background 1 hit, 1 as skin; skin 2 hits, 1 as eyes, 1 as background; ...
    assert metric.confusion.tolist() == [[1, 1, 0], [1, 2, 1], [1, 0, 1]]
    values = metric.compute()
    assert values["iou_background"] == pytest.approx(1 / 4)
    assert values["iou_skin"] == pytest.approx(2 / 5)
    assert values["iou_eyes"] == pytest.approx(1 / 3)
    assert values["miou"] == pytest.approx((2 / 5 + 1 / 3) / 2)  # without the background


def test_equals_torchmetrics_confusion_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    metric, reference = MaskIoU(), MulticlassConfusionMatrix(5, ignore_index=255)
    for height in (7, 12):
        prediction = torch.randint(0, 5, (3, height, 9), generator=generator)
        target = torch.randint(0, 6, (3, height, 9), generator=generator)
        target[target == 5] = 255
        metric.update(prediction.byte(), target.byte())
        reference.update(prediction, target)
    assert torch.equal(metric.confusion, reference.compute())


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    metric = MaskIoU(NAMES)
    metric.update(torch.tensor([0, 1]), torch.tensor([1, 1]))
    values = metric.compute()
    assert values["iou_eyes"].isnan()
    assert values["miou"] == pytest.approx(0.5)
    metric.update(torch.tensor([2]), torch.tensor([0]))  # now it is predicted, wrongly
    assert metric.compute()["iou_eyes"] == 0
    assert metric.compute()["miou"] == pytest.approx(0.25)


def test_nothing_counted_and_reset() -> None:
    metric = MaskIoU(NAMES)
    metric.update(torch.tensor([1, 1]), torch.tensor([255, 255]))
    assert metric.confusion.sum() == 0
    assert metric.compute()["miou"].isnan()
    metric.update(torch.tensor([1]), torch.tensor([1]))
    metric.reset()
    assert metric.confusion.sum() == 0


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"shape \(2, 3\).* shape \(3, 2\)"),
        (torch.rand(2), torch.zeros(2), "got scores"),
        (torch.tensor([3]), torch.tensor([0]), "class id 3: give 0 to 2"),
        (torch.tensor([0]), torch.tensor([-1]), "class id -1"),
    ],
)
def test_bad_input(prediction: torch.Tensor, target: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskIoU(NAMES).update(prediction, target)
    with pytest.raises(InputError, match="at least two"):
        MaskIoU(["background"])
