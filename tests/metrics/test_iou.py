import pickle
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from facemask.errors import InputError
from facemask.metrics import MaskIoU

mpl.use("Agg")

NAMES = ["background", "skin", "eyes"]


def test_hand_computed_asymmetric_case() -> None:
    metric = MaskIoU(NAMES)
    metric.update(torch.tensor([[1, 1, 1], [2, 0, 0]]), torch.tensor([[1, 1, 0], [1, 1, 2]]))
    metric.update(torch.tensor([0, 2, 1]), torch.tensor([0, 2, 255]))  # another size
    # truth by row: background 1 hit, 1 as skin; skin 2 hits, 1 as eyes, 1 as background; ...
    assert metric.confusion.tolist() == [[1, 1, 0], [1, 2, 1], [1, 0, 1]]
    values = metric.compute()
    assert list(values) == ["miou", "pixel_accuracy", "iou_background", "iou_skin", "iou_eyes"]
    assert values["iou_background"] == pytest.approx(1 / 4)
    assert values["iou_skin"] == pytest.approx(2 / 5)
    assert values["iou_eyes"] == pytest.approx(1 / 3)
    assert values["miou"] == pytest.approx((2 / 5 + 1 / 3) / 2)  # without the background
    assert values["pixel_accuracy"] == pytest.approx(4 / 8)
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in values.values())


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


def test_an_ignored_class_has_no_iou() -> None:
    metric = MaskIoU(NAMES, ignore_index=2)
    metric.update(torch.tensor([2, 1, 1, 0]), torch.tensor([1, 1, 2, 0]))
    values = metric.compute()
    assert metric.confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert values["iou_eyes"].isnan()
    assert values["miou"] == pytest.approx(1 / 2)
    assert values["pixel_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_counted_and_reset() -> None:
    metric = MaskIoU(NAMES)
    assert all(value.isnan() for value in metric.compute().values())
    metric.update(torch.tensor([1, 1]), torch.tensor([255, 255]))
    metric.update(torch.zeros(0, 4, dtype=torch.uint8), torch.zeros(0, 4, dtype=torch.uint8))
    metric.update(torch.zeros(0, 3, 2, 2), torch.zeros(0, 4, 4, dtype=torch.uint8))
    metric.update(torch.zeros(0, 3, 2, 2), [])
    metric.update(torch.zeros(1, 3, 2, 2), [torch.zeros(0, 4, dtype=torch.uint8)])
    assert metric.confusion.sum() == 0
    assert all(value.isnan() for value in metric.compute().values())
    metric.update(torch.tensor([1]), torch.tensor([1]))
    metric.reset()
    assert metric.confusion.sum() == 0


def reference_labels(scores: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(scores[None], (height, width), mode="bilinear")[0].argmax(0)


def test_scores_are_resized_to_the_target() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 3, 3, 6, 5, generator=generator)  # (B, T, C, h, w)
    target = torch.randint(0, 3, (2, 3, 13, 11), generator=generator)
    expected = MaskIoU(NAMES)
    for clip, masks in zip(scores, target, strict=True):
        for frame, mask in zip(clip, masks, strict=True):
            expected.update(reference_labels(frame, 13, 11), mask)
    assert expected.confusion.sum() == target.numel()
    clips, frames, single, listed = (MaskIoU(NAMES) for _ in range(4))
    clips.update(scores, target)
    frames.update(scores.flatten(0, 1), target.flatten(0, 1).byte())
    for frame, mask in zip(scores.flatten(0, 1), target.flatten(0, 1), strict=True):
        single.update(frame, mask)
    listed.update(scores.flatten(0, 1), list(target.flatten(0, 1)))
    for metric in (clips, frames, single, listed):
        assert torch.equal(metric.confusion, expected.confusion)


def test_targets_of_several_sizes() -> None:
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(3, 3, 8, 8, generator=generator)
    sizes = [(9, 12), (10, 11), (8, 8)]
    targets = [torch.randint(0, 3, size, generator=generator) for size in sizes]
    targets[1][:3] = 255
    expected, metric = MaskIoU(NAMES), MaskIoU(NAMES)
    for frame, target in zip(scores, targets, strict=True):
        expected.update(reference_labels(frame, target.shape[0], target.shape[1]), target)
    metric.update(scores, targets)
    assert torch.equal(metric.confusion, expected.confusion)
    metric.reset()
    metric.update(scores.half(), tuple(targets))
    assert metric.confusion.sum() == expected.confusion.sum()


MASK = torch.zeros(4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"shape \(2, 3\).* shape \(3, 2\)"),
        (torch.zeros(2, 3).int(), torch.zeros(3, 2).int(), r"shape \(2, 3\).* shape \(3, 2\)"),
        (torch.rand(2), torch.zeros(2), "got scores of shape"),
        (torch.tensor([3]), torch.tensor([0]), "class id 3: give 0 to 2"),
        (torch.tensor([0]), torch.tensor([-1]), "class id -1"),
        (torch.tensor([0]), torch.tensor([True]), "target holds bool"),
        (torch.rand(5, 2, 2), MASK, "give 3 classes"),
        (torch.rand(3, 0, 2), MASK, "at least one pixel"),
        (torch.rand(2, 3, 2, 2), MASK, "the target without C"),
        (torch.rand(2, 3, 2, 2), MASK.expand(3, 4, 4), "the target without C"),
        (torch.rand(2, 3, 2, 2), [MASK], "a list of 1 targets"),
        (torch.rand(3, 2, 2), [MASK] * 3, "a list of 3 targets"),
        (torch.rand(1, 3, 2, 2), [MASK[0]], r"target of shape \(4,\) in a list: give \(H, W\)"),
        (torch.rand(1, 3, 2, 2), [MASK.numpy()], "list of ndarray as target"),
        (torch.rand(1, 3, 2, 2), MASK[None].numpy(), "got a ndarray as target"),
        (torch.rand(1, 3, 2, 2), [MASK + 7], "target holds class id 7"),
        (torch.rand(1, 3, 2, 2), [MASK.float()], "target holds float32"),
        (MASK, [MASK], r"list as target.*scores \(N, C, h, w\) only"),
        (MASK, MASK.numpy(), r"ndarray as target.*from_numpy"),
        (MASK.numpy(), MASK, r"prediction is a ndarray.*from_numpy"),
        ([[0]], MASK, "prediction is a list"),
    ],
)
def test_bad_input(prediction: Tensor, target: Tensor, message: str) -> None:
    metric = MaskIoU(NAMES)
    with pytest.raises(InputError, match=message):
        metric.update(prediction, target)
    assert metric.confusion.sum() == 0


def test_a_refused_list_counts_nothing() -> None:
    metric = MaskIoU(NAMES)
    with pytest.raises(InputError):
        metric.update(torch.rand(2, 3, 2, 2), [MASK, MASK + 9])
    assert metric.confusion.sum() == 0


@pytest.mark.parametrize("names", [["background"], ["a", "a"], [], "ab"])
def test_bad_names(names: list[str]) -> None:
    with pytest.raises(InputError, match="at least two"):
        MaskIoU(names)


def test_counts_do_not_overflow() -> None:
    metric = MaskIoU(NAMES)
    metric.confusion = torch.tensor([[2**40, 1, 0], [2**39, 2**40 + 1, 0], [3, 0, 2**41]])
    metric.update(torch.tensor([1]), torch.tensor([1]))
    assert metric.confusion[1, 1] == 2**40 + 2
    skin, eyes = (2**40 + 2) / (2**40 + 2 + 1 + 2**39), 2**41 / (2**41 + 3)
    assert metric.compute()["iou_skin"] == pytest.approx(skin, rel=1e-7)
    assert metric.compute()["miou"] == pytest.approx((skin + eyes) / 2, rel=1e-7)


def two_halves() -> tuple[MaskIoU, MaskIoU, MaskIoU]:
    """Two metrics with different counts, and one with both."""
    first, second, both = MaskIoU(NAMES), MaskIoU(NAMES), MaskIoU(NAMES)
    a = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 1])
    b = torch.tensor([2, 2, 0]), torch.tensor([2, 0, 1])
    first.update(*a)
    second.update(*b)
    both.update(*a)
    both.update(*b)
    return first, second, both


def test_merge_clone_and_pickle() -> None:
    first, second, both = two_halves()
    copy = first.clone()
    first.merge_state(second)
    assert torch.equal(first.confusion, both.confusion)
    assert copy.compute()["miou"] == pytest.approx(1 / 6)  # skin 1/3, eyes 0: left alone
    loaded = pickle.loads(pickle.dumps(first))
    assert loaded.compute() == first.compute()


def test_sync_sums_the_counts_of_all_processes() -> None:
    first, second, both = two_halves()
    # what torch.distributed's gather would give this process
    others = iter((second.confusion, second.labelled, second.possible))
    first.dist_sync_fn = lambda state, **_: [state, next(others)]
    first.distributed_available_fn = lambda: True
    assert first.compute() == both.compute()
    assert first.confusion.sum() == 4  # its own again


def test_forward_gives_the_batch_and_counts_all() -> None:
    metric = MaskIoU(NAMES)
    metric(torch.tensor([1, 0]), torch.tensor([1, 1]))
    batch = metric(torch.tensor([1]), torch.tensor([1]))
    assert batch["iou_skin"] == 1
    assert metric.compute()["iou_skin"] == pytest.approx(2 / 3)


def test_in_a_collection() -> None:
    metrics = MetricCollection(
        {"iou": MaskIoU(NAMES), "matrix": MulticlassConfusionMatrix(3, ignore_index=255)},
        prefix="val/",
    )
    for _ in range(2):
        metrics.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
    assert metrics.compute()["val/iou_skin"] == pytest.approx(1 / 2)
    assert metrics.compute()["val/matrix"].sum() == 6


class TinyModule(LightningModule):
    """Any module: scores from a 1 × 1 convolution, scored at the targets' size."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.iou = MaskIoU(NAMES)

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        self.iou.update(self.layer(batch[0]), batch[1])

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.iou.compute())
        self.iou.reset()


@pytest.mark.filterwarnings("ignore")
def test_in_any_lightning_module() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 4, 4, generator=generator)
    masks = torch.randint(0, 3, (4, 8, 8), generator=generator)
    module = TinyModule()
    options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(enable_checkpointing=False, enable_model_summary=False, **options)
    results = trainer.validate(module, DataLoader(TensorDataset(images, masks), 2), verbose=False)
    expected = MaskIoU(NAMES)
    expected.update(module.layer(images), masks)
    for name, value in expected.compute().items():
        assert results[0][name] == pytest.approx(float(value))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_plot() -> None:
    metric = MaskIoU()
    metric.update(torch.tensor([0, 1, 1, 3]), torch.tensor([0, 1, 3, 3]))
    figure, axes = metric.plot()
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(heights, [1, 0.5, np.nan, 0.5, np.nan])
    assert to_rgb(axes.patches[3].get_facecolor()) == (0, 1, 1)  # lips are cyan
    assert axes.lines[0].get_ydata()[0] == pytest.approx(0.5)  # type: ignore[index]
    assert [text.get_text() for text in axes.get_xticklabels()][1] == "skin"
    given_figure, given = pyplot.subplots()
    assert MaskIoU(NAMES).plot(given) == (given_figure, given)  # nothing counted
    pyplot.close("all")
    assert figure is not given_figure


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r'pip install "facemask-video\[plot\]"'):
        MaskIoU(NAMES).plot()


def test_a_number_of_classes() -> None:
    for metric in (MaskIoU(3), MaskIoU(num_classes=3), MaskIoU(["0", "1", "2"], num_classes=3)):
        metric.update(torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0, 1, 1, 2]]))
        values = {name: round(float(value), 3) for name, value in metric.compute().items()}
        assert values == {
            "miou": 0.5, "pixel_accuracy": 0.75, "iou_0": 1.0, "iou_1": 0.5, "iou_2": 0.5,
        }  # fmt: skip
    assert repr(MaskIoU()) == "MaskIoU(background, skin, eyes, lips, inner_mouth)"
    with pytest.raises(InputError, match=r"got num_classes=3 and 2 class_names: give one of them"):
        MaskIoU(["a", "b"], num_classes=3)
    for wrong in (1, 0, ["a"], "ab"):
        with pytest.raises(
            InputError, match=f"got classes {wrong!r}: give their number".replace("[", r"\[")
        ):
            MaskIoU(wrong)
