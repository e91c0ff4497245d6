import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from facemask.data import FaceMaskDataModule
from facemask.data.datamodule import ClipBatch
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.losses import CompositeLoss, CrossEntropyLoss, IoULoss, SegmentationLoss
from facemask.models import ConvLSTMFCN
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.runs import quiet_trainer as trainer

BACKBONE = "mobilenetv3_small_050"


def data(root: Path, clip_length: int | None = 5) -> FaceMaskDataModule:
    return FaceMaskDataModule(
        str(root), clip_length=clip_length, size=32, batch_size=3, num_workers=0
    )


@pytest.fixture(scope="module")
def fcn_checkpoint(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fcn")
    run = trainer(folder, limit_train_batches=2, limit_val_batches=0)
    run.fit(FCNModule(BACKBONE), data(mask_root, None))
    run.save_checkpoint(folder / "fcn.ckpt")
    return folder / "fcn.ckpt"


class ConstantNetwork(nn.Module):
    """Scores that say lips on the left half and background on the right, whatever the image."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(*images.shape[:-3], 5, *images.shape[-2:]) + self.weight
        half = images.shape[-1] // 2
        scores[..., 3, :, :half] = 1
        scores[..., 0, :, half:] = 1
        return scores


def test_evaluation_counts_every_frame_at_its_original_size(
    mask_root: Path, tmp_path: Path
) -> None:
    module = MaskModule(ConstantNetwork(), None, torch.optim.Adam, 1e-3, False)
    result = trainer(tmp_path).test(module, data(mask_root), verbose=False)[0]
    confusion = torch.zeros(5, 5, dtype=torch.int64)
    lines = (mask_root / "data_splits/split_1/test_per10.txt").read_text().splitlines()
    for line in lines:
        mask = torch.from_numpy(read_label(mask_root / line.split()[1][1:])).long()
        prediction = torch.zeros_like(mask)
        prediction[:, : (mask.shape[1] + 1) // 2] = 3  # a tie in the middle goes either way
        for truth in range(5):
            for guess in (0, 3):
                confusion[truth, guess] += ((mask == truth) & (prediction == guess)).sum()
    hits = confusion.diagonal().double()
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    assert result["test/iou_lips"] == pytest.approx(float(iou[3]), rel=0.03)
    assert result["test/iou_background"] == pytest.approx(float(iou[0]), rel=0.03)
    assert result["test/iou_skin"] == result["test/iou_eyes"] == 0
    assert result["test/miou"] == pytest.approx(float(iou[1:].mean()), rel=0.03)


def test_normalises_on_the_device() -> None:
    module = FCNModule(BACKBONE)
    images = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    module.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module.eval()(images)
    expected = (0.2 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0][0, :, 5, 7], expected)


def test_parameter_groups_and_linear_decay(mask_root: Path, tmp_path: Path) -> None:
    module = ConvLSTMFCNModule(
        BACKBONE, gamma=0.02, learning_rate=0.01, optimizer=torch.optim.RMSprop
    )
    rates: list[list[float]] = []

    class Recorder(nn.Module):
        def forward(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            if module.training:
                rates.append([g["lr"] for g in module.trainer.optimizers[0].param_groups])
            return nn.functional.cross_entropy(scores, target, ignore_index=255)

    module.loss = Recorder()
    run = trainer(tmp_path, max_epochs=2, limit_train_batches=2, limit_val_batches=0)
    run.fit(module, data(mask_root))
    assert isinstance(run.optimizers[0], torch.optim.RMSprop)
    assert rates == [pytest.approx([0.01 * f, 0.0002 * f]) for f in (1, 0.75, 0.5, 0.25)]
    groups = module.parameter_groups()
    total = sum(p.numel() for g in groups for p in g["params"])
    assert total == sum(p.numel() for p in module.network.parameters())
    assert len(groups[0]["params"]) == len(list(module.network.convlstm.parameters()))


def test_gamma_zero_trains_the_convlstm_alone(
    fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    module = ConvLSTMFCNModule(BACKBONE, gamma=0, init_from=str(fcn_checkpoint))
    run = trainer(tmp_path, limit_train_batches=2, limit_val_batches=0)
    before = module.network.convlstm.weight_input.clone()
    run.fit(module, data(mask_root))
    saved = torch.load(fcn_checkpoint, weights_only=True)["state_dict"]
    for name, tensor in module.network.encoder.state_dict().items():
        torch.testing.assert_close(tensor, saved[f"network.encoder.{name}"], rtol=0, atol=0)
    assert not torch.equal(before, module.network.convlstm.weight_input)


@pytest.mark.parametrize("freeze_bn", [True, False])
def test_frozen_batchnorm_keeps_its_statistics(
    freeze_bn: bool, mask_root: Path, tmp_path: Path
) -> None:
    module = FCNModule(BACKBONE, freeze_bn=freeze_bn)
    before = {k: v.clone() for k, v in module.state_dict().items() if k.endswith("running_mean")}
    run = trainer(tmp_path, limit_train_batches=2, limit_val_batches=0)
    run.fit(module, data(mask_root, None))
    after = module.state_dict()
    assert before
    assert all(torch.equal(v, after[k]) == freeze_bn for k, v in before.items())


def test_checkpoints_of_another_network_are_refused(
    fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    run, clips = trainer(tmp_path), data(mask_root)
    with pytest.raises(InputError, match=r"holds backbone 'mobilenetv3_small_050'.*'resnet18'"):
        run.test(FCNModule("resnet18"), clips, ckpt_path=fcn_checkpoint, weights_only=True)
    with pytest.raises(InputError, match=r"num_classes 5, but the model has num_classes 3"):
        run.test(FCNModule(BACKBONE, num_classes=3), clips, ckpt_path=fcn_checkpoint,
                 weights_only=True)  # fmt: skip
    with pytest.raises(InputError, match="holds network 'FCN', but the model has network 'Conv"):
        run.test(ConvLSTMFCNModule(BACKBONE), clips, ckpt_path=fcn_checkpoint, weights_only=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet18"}, "holds backbone"),
        ({"num_classes": 3}, "holds num_classes 5"),
    ],
)
def test_init_from_checks_what_it_reads(
    options: dict[str, Any], message: str, fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    settings = {"backbone": BACKBONE, "init_from": str(fcn_checkpoint), **options}
    with pytest.raises(InputError, match=message):
        trainer(tmp_path).fit(ConvLSTMFCNModule(**settings), data(mask_root))


def test_a_second_stage_of_an_fcn_starts_from_all_of_the_first(
    fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    # steps of Adam are as long as the learning rate
    module = FCNModule(BACKBONE, init_from=str(fcn_checkpoint), learning_rate=1e-12, freeze_bn=True)
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    run.fit(module, data(mask_root, None))
    saved = torch.load(fcn_checkpoint, weights_only=True)["state_dict"]
    weights = module.network.state_dict()
    assert weights.keys() == {name.removeprefix("network.") for name in saved}
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, saved[f"network.{name}"], rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="holds backbone"):
        trainer(tmp_path).fit(FCNModule("resnet18", init_from=str(fcn_checkpoint)), data(mask_root))
    with pytest.raises(InputError, match=r"pretrained is x.pth and model.init_from y.ckpt"):
        FCNModule(BACKBONE, init_from="y.ckpt", pretrained="x.pth")


def test_what_starts_from_a_calibrated_network_is_not_calibrated(
    fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    content = torch.load(fcn_checkpoint, weights_only=True)
    content["state_dict"]["network.offsets"] += torch.arange(5)
    torch.save(content, tmp_path / "calibrated.ckpt")
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    for kind, length in ((FCNModule, None), (ConvLSTMFCNModule, 5)):
        module = kind(BACKBONE, init_from=str(tmp_path / "calibrated.ckpt"))
        run.fit(module, data(mask_root, length))
        assert not module.network.offsets.any()
    loaded = FCNModule.load_from_checkpoint(tmp_path / "calibrated.ckpt")
    assert loaded.network.offsets.tolist() == [0, 1, 2, 3, 4]


def test_checkpoint_of_another_convlstm(mask_root: Path, tmp_path: Path) -> None:
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    run.fit(ConvLSTMFCNModule(BACKBONE, peephole=False), data(mask_root))
    run.save_checkpoint(tmp_path / "lstm.ckpt")
    with pytest.raises(InputError, match="holds peephole False, but the model has peephole True"):
        trainer(tmp_path).test(ConvLSTMFCNModule(BACKBONE), data(mask_root),
                               ckpt_path=tmp_path / "lstm.ckpt", weights_only=True)  # fmt: skip


def test_init_from_bad_files(mask_root: Path, tmp_path: Path) -> None:
    def fit(path: Path) -> None:
        module = ConvLSTMFCNModule(BACKBONE, init_from=str(path))
        trainer(tmp_path).fit(module, data(mask_root))

    with pytest.raises(InputError, match="no such checkpoint"):
        fit(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(InputError, match=r"text\.ckpt: is no checkpoint, or a damaged one"):
        fit(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match="was not written by facemask"):
        fit(tmp_path / "foreign.ckpt")
    torch.save({"state_dict": {}, "code": Path("x")}, tmp_path / "code.ckpt")
    with pytest.raises(InputError, match="could run code"):
        fit(tmp_path / "code.ckpt")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_goes_on_with_the_next_epochs_data(
    workers: int, mask_root: Path, tmp_path: Path
) -> None:
    clips = FaceMaskDataModule(
        str(mask_root), clip_length=None, size=32, batch_size=9, num_workers=workers
    )

    def fit(epochs: int, checkpoint: Path | None) -> tuple[list[list[str]], Trainer]:
        seen: list[list[str]] = []

        class Recorder(Callback):
            def on_train_batch_start(
                self, _trainer: Trainer, _module: LightningModule, batch: ClipBatch, _index: int
            ) -> None:
                seen.append([clip[0] for clip in batch["names"]])

        saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        run = trainer(
            tmp_path,
            max_epochs=epochs,
            limit_val_batches=0,
            enable_checkpointing=True,
            callbacks=[Recorder(), saver],
        )
        run.fit(FCNModule(BACKBONE), clips, ckpt_path=checkpoint, weights_only=True)
        return seen, run

    whole, _ = fit(2, None)
    _, first = fit(1, None)
    first.save_checkpoint(tmp_path / "first.ckpt")
    half = len(whole) // 2
    assert whole[:half] != whole[half:]
    for name in ("first", "epoch=0"):
        resumed, run = fit(2, tmp_path / f"{name}.ckpt")
        assert resumed == whole[half:]
        assert run.optimizers[0].param_groups[0]["lr"] == 0  # the end of the linear decay
    again, _ = fit(2, None)  # a new run with the same data module begins at the beginning
    assert again == whole


def test_checkpoint_round_trip(fcn_checkpoint: Path) -> None:
    module = FCNModule.load_from_checkpoint(fcn_checkpoint, weights_only=True)
    assert module.describe_network() == {
        "network": "FCN",
        "backbone": BACKBONE,
        "output_stride": 16,
        "num_classes": 5,
        "region": "face",
    }


def test_any_loss_and_class_count(mask_root: Path, tmp_path: Path) -> None:
    # a loss from elsewhere, weighted; ids above 1 are ignored by folding them into 255
    loss = nn.CrossEntropyLoss(weight=torch.tensor([0.1, 1.0, 1.0, 1.0, 1.0]), ignore_index=255)
    module = ConvLSTMFCNModule(BACKBONE, loss=loss, kernel_size=3, peephole=False)
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=1)
    run.fit(module, data(mask_root))
    assert float(run.callback_metrics["train/loss"]) > 0
    assert isinstance(module.network, ConvLSTMFCN)
    assert FCNModule(BACKBONE, num_classes=3).val_iou.class_names == (
        "background",
        "class_1",
        "class_2",
    )
    with pytest.raises(InputError, match="gamma is -1"):
        ConvLSTMFCNModule(BACKBONE, gamma=-1)


def test_prediction_has_original_sizes(mask_root: Path, tmp_path: Path) -> None:
    batches = trainer(tmp_path).predict(ConvLSTMFCNModule(BACKBONE), data(mask_root))
    assert batches is not None
    labels: dict[str, torch.Tensor] = {}
    for batch in batches:
        assert isinstance(batch, dict)
        labels |= batch
    lines = (mask_root / "data_splits/split_1/test_per10.txt").read_text().splitlines()
    assert sorted(labels) == sorted(Path(line.split()[1]).stem for line in lines)
    for name, label in labels.items():
        assert label.shape == read_label(mask_root / "labels_orig" / f"{name}.png").shape
        assert label.dtype == torch.uint8


def test_a_step_on_bf16_autocast(mask_root: Path) -> None:
    clips = data(mask_root)
    clips.setup("fit")
    batch: ClipBatch = next(iter(clips.train_dataloader()))
    with torch.autocast("cpu", torch.bfloat16):
        scores = ConvLSTMFCNModule(BACKBONE)(batch["images"])
    assert scores.isfinite().all()
    assert scores.abs().max() < 1


def test_terms_of_a_composite_loss_are_logged(mask_root: Path, tmp_path: Path) -> None:
    loss = CompositeLoss(
        {"ce": CrossEntropyLoss(), "iou": IoULoss(), "seg": SegmentationLoss()}, {"ce": 0.25}
    )
    run = trainer(tmp_path, limit_train_batches=2, limit_val_batches=2)
    run.fit(ConvLSTMFCNModule(BACKBONE, loss=loss), data(mask_root))
    logged = run.callback_metrics
    for stage in ("train", "val"):
        terms = [logged[f"{stage}/loss_{name}"] for name in ("ce", "iou", "seg")]
        expected = 0.25 * terms[0] + terms[1] + terms[2]
        torch.testing.assert_close(logged[f"{stage}/loss"], expected)


def test_a_loss_that_free_scores_make_unbounded_is_told_of() -> None:
    for kind in (FCNModule, ConvLSTMFCNModule):
        with pytest.warns(UserWarning, match="unbounded below"):
            kind(BACKBONE, loss=SegmentationLoss("linear", activation=None))
    for loss in (SegmentationLoss(), SegmentationLoss("hinge")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            FCNModule(BACKBONE, loss=loss)
            ConvLSTMFCNModule(BACKBONE, loss=loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bounded = SegmentationLoss("linear", activation=None)
        ConvLSTMFCNModule(BACKBONE, cell_activation="tanh", loss=bounded)
