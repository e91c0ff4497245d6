"""A training says which classes it has lost, once, and what helps."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from facemask.cli import main
from facemask.errors import InputError
from facemask.losses import CompositeLoss, CrossEntropyLoss, SegmentationLoss
from facemask.metrics import MaskIoU
from facemask.training.dead_classes import DeadClassWarning
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.own_networks import Unet

BACKBONE = "test_resnet"


class WithoutLips(nn.Module):
    """A loss that wants the background where the lips are, and is else cross-entropy."""

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(scores, target.masked_fill(target == 3, 0))


class NoLips(Unet):
    """Scores every class by the colours of the picture, and the lips not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.unet(images)
        lips = torch.tensor([0.0, 0, 0, 1e3, 0], device=images.device).view(5, 1, 1)
        return scores - lips


def config(root: Path, model: dict[str, Any], **trainer: Any) -> list[str]:  # noqa: ANN401
    saver = {"dirpath": "run", "save_last": True, "enable_version_counter": False}
    content = {
        "trainer": {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
            "enable_model_summary": False, "limit_train_batches": 2, "limit_val_batches": 2,
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": saver}], **trainer,
        },
        "model": model,
        "data": {"class_path": "FaceMaskDataModule",
                 "init_args": {"root": str(root), "clip_length": None, "size": 32,
                               "batch_size": 4, "num_workers": 0}},
    }  # fmt: skip
    Path("config.yaml").write_text(yaml.safe_dump(content))
    return ["fit", "-c", "config.yaml"]


@contextmanager
def told() -> Iterator[list[str]]:
    """The warnings of classes in this block."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found: list[str] = []
        yield found
    found += [m for w in caught if "but its IoU has been 0" in (m := str(w.message))]


def classes(messages: list[str]) -> list[str]:
    return [message.split("'")[1] for message in messages]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_lost_class_is_told_once_from_the_command_line(mask_root: Path) -> None:
    model = {"class_path": "MaskModule", "init_args": {
        "network": {"class_path": "tests.training.test_dead_classes.NoLips"},
        "loss": {"class_path": "IoULoss", "init_args": {"temperature": 0.5}}}}  # fmt: skip
    with told() as short:
        main(config(mask_root, model, max_epochs=2))
    assert "lips" not in classes(short)
    with told() as messages:
        main(config(mask_root, model, max_epochs=6))
    lips = [message for message in messages if "'lips'" in message]
    assert len(lips) == 1
    assert len(set(classes(messages))) == len(messages)
    assert "The class 'lips' occurs in the masks, but its IoU has been 0 in the last 3" in lips[0]
    assert "The loss is IoULoss(activation='softmax', include_background=True, ign" in lips[0]
    assert "temperature=0.5" in lips[0]
    assert ", on scores that lie in [-1e+03, " in lips[0]
    assert "What helps: trained weights to start from (init_from, pretrained)" in lips[0]


def test_counting_goes_on_in_a_resumed_run(mask_root: Path) -> None:
    model = {"class_path": "FCNModule", "init_args": {
        "backbone": BACKBONE, "output_stride": 8, "learning_rate": 0.01,
        "loss": {"class_path": "tests.training.test_dead_classes.WithoutLips"}}}  # fmt: skip
    with told() as messages:
        main([*config(mask_root, model, max_epochs=2, limit_val_batches=0), "--resume", "auto"])
    assert not messages
    with told() as messages:
        main([*config(mask_root, model, max_epochs=3, limit_val_batches=0), "--resume", "auto"])
    assert "lips" in classes(messages)
    with told() as messages:
        main([*config(mask_root, model, max_epochs=5, limit_val_batches=0), "--resume", "auto"])
    assert "lips" not in classes(messages)
    saved = torch.load("run/last.ckpt", weights_only=True)["callbacks"]["DeadClassWarning"]
    assert saved["missed"]["training"]["lips"] == 5
    assert saved["missed"]["training"]["background"] == 0


def test_a_patience_of_ones_own(mask_root: Path) -> None:
    model = {"class_path": "MaskModule", "init_args": {
        "network": {"class_path": "tests.training.test_dead_classes.NoLips"}}}  # fmt: skip
    own = {"class_path": "facemask.training.dead_classes.DeadClassWarning"}
    arguments = {"max_epochs": 3, "limit_val_batches": 0}
    with told() as messages:
        main(
            config(mask_root, model, callbacks=[own | {"init_args": {"patience": 4}}], **arguments)
        )
    assert not messages
    with told() as messages:
        main(
            config(mask_root, model, callbacks=[own | {"init_args": {"patience": 1}}], **arguments)
        )
    assert classes(messages).count("lips") == 1
    with pytest.raises(InputError, match="DeadClassWarning got patience 0"):
        DeadClassWarning(0)


class Told:
    """Epochs of made-up counts, each given as the pixels hit of (skin, eyes), out of 10 each."""

    def __init__(self) -> None:
        self.warning = DeadClassWarning()
        names = ["background", "skin", "eyes"]
        self.module: Any = SimpleNamespace(
            train_iou=MaskIoU(names), val_iou=MaskIoU(names), dead_class_advice=lambda: "Advice."
        )
        self.trainer: Any = SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False)

    def epoch(self, side: str, *hits: int | None) -> list[str]:
        metric = self.module.train_iou if side == "train" else self.module.val_iou
        metric.reset()
        metric.confusion[0, 0] = 20
        for label, hit in enumerate(hits, start=1):
            if hit is not None:  # else it does not occur, but is predicted
                metric.confusion[label, label] = hit
                metric.confusion[label, 0] = 10 - hit
            metric.confusion[0, label] = 3
        with told() as messages:
            if side == "train":
                self.warning.on_train_epoch_end(self.trainer, self.module)
            else:
                self.warning.on_validation_epoch_end(self.trainer, self.module)
        return classes(messages)


def test_what_counts() -> None:
    run = Told()
    assert [run.epoch("train", 0, 4) for _ in range(4)] == [[], [], ["skin"], []]
    # alive in training, but never in validation: it has been told of already
    assert [run.epoch("val", 0, 4) for _ in range(3)] == [[], [], []]
    assert run.epoch("train", 1, 4) == []
    # alive in both, and lost again
    assert run.epoch("val", 1, 4) == []
    assert [run.epoch("val", 0, 4) for _ in range(3)] == [[], [], ["skin"]]


def test_epochs_in_a_row() -> None:
    run = Told()
    assert [run.epoch("train", 5, hit) for hit in (0, 0, 1, 0, 0)] == [[]] * 5
    assert run.epoch("train", 5, 0) == ["eyes"]


def test_a_class_that_does_not_occur_is_not_missed() -> None:
    run = Told()
    assert [run.epoch("val", 5, None) for _ in range(5)] == [[]] * 5
    assert [run.epoch("val", 5, hit) for hit in (0, 0, None, 0)] == [[], [], [], ["eyes"]]


def test_only_validation_in_training_counts() -> None:
    run = Told()
    run.trainer.sanity_checking = True
    assert [run.epoch("val", 5, 0) for _ in range(4)] == [[]] * 4
    run.trainer.sanity_checking = False
    run.trainer.state.fn = "validate"
    assert [run.epoch("val", 5, 0) for _ in range(4)] == [[]] * 4


def test_a_state_of_plain_values() -> None:
    run, resumed = Told(), Told()
    run.epoch("train", 0, 0)
    run.epoch("train", 0, 4)
    state = yaml.safe_load(yaml.safe_dump(run.warning.state_dict()))
    resumed.warning.load_state_dict(state)
    assert resumed.epoch("train", 0, 0) == ["skin"]
    assert run.epoch("train", 0, 0) == ["skin"]  # not the same objects


def test_advice_fits_the_scores() -> None:
    free = FCNModule(BACKBONE, output_stride=8).dead_class_advice()
    assert "on scores. What helps: trained weights" in free
    loss = CompositeLoss({"ce": CrossEntropyLoss(), "seg": SegmentationLoss("hinge")})
    options: dict[str, Any] = {"backbone": BACKBONE, "output_stride": 8, "loss": loss}
    linear = ConvLSTMFCNModule(**options)
    text = linear.dead_class_advice()
    assert "CrossEntropyLoss(ignore_index=255, temperature=1.0) + SegmentationLoss(form=" in text
    assert "What helps: classifier_scale 1.0" in text
    assert "(-1, 1)" not in text
    assert "input_deviation" not in text
    bounded = ConvLSTMFCNModule(cell_activation="tanh", input_deviation=None, **options)
    text = bounded.dead_class_advice()
    for word in ("cell_activation linear", "temperature 0.1", "margin 0.1", "classifier_scale 0.1",
                 "input_deviation 0.1"):  # fmt: skip
        assert word in text
    started = ConvLSTMFCNModule(classifier_scale=1.0, **options)
    assert "classifier_scale" not in started.dead_class_advice()
    assert isinstance(started, MaskModule)
