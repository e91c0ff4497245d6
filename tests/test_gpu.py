"""What must hold on a GPU: the same numbers as on the CPU, through the files that users run.

Left out where torch finds no GPU: `pytest -m gpu` runs them where there is one.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from facemask.cli import main
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.choices import Precision, Temporal
from facemask.losses import CompositeLoss, CrossEntropyLoss, IoULoss, SegmentationLoss
from facemask.metrics import MaskIoU
from facemask.models import ConvLSTM, ConvLSTMFCN
from facemask.report import read_run
from facemask.tracking.detectors import CroppedFrames
from facemask.training.checkpointing import random_state, set_random_state
from facemask.weights.catalog import find_weights
from tests.extraction.faces import Frames, Image, paint, paint_labels, random_cascade
from tests.test_cli import BACKBONE, CONFIGS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
]

SMALL = [
    f"--model.backbone={BACKBONE}", "--data.size=32", "--data.num_workers=2",
    "--trainer.enable_progress_bar=false", "--trainer.limit_train_batches=4",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in float32, not TF32, whose ten bits would hide real differences."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


def score_and_gradient(
    function: Callable[[Tensor], Tensor], given: Tensor
) -> tuple[Tensor, Tensor]:
    scores = given.clone().requires_grad_()
    value = function(scores)
    value.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    return value.detach().cpu(), scores.grad.cpu()


LOSSES: dict[str, nn.Module] = {
    "cross-entropy": CrossEntropyLoss(),
    "IoU": IoULoss(),
    "hinge": SegmentationLoss(form="hinge", margin=1.0),
    "linear": SegmentationLoss(form="linear", activation="softmax"),
    "composite": CompositeLoss({"ce": CrossEntropyLoss(), "iou": IoULoss()}, weights={"ce": 0.3}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = 3 * torch.randn(2, 3, 5, 40, 24, generator=generator)
    target = torch.randint(0, 5, (2, 3, 40, 24), generator=generator)
    target[0, 0, :7] = 255
    here = score_and_gradient(lambda x: LOSSES[name](x, target), scores)
    there = score_and_gradient(lambda x: LOSSES[name](x, target.cuda()), scores.cuda())
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-7)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cuda", dtype):
            value = LOSSES[name](scores.cuda().to(dtype), target.cuda())
        assert value.item() == pytest.approx(here[0].item(), rel=0.02)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_convlstm_and_its_state(kernel_size: int) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(7, 5, kernel_size)
    x = torch.randn(2, 6, 7, 9, 11)
    first, state = layer(x[:, :4])
    second, _ = layer(x[:, 4:], state)
    gpu = layer.cuda()
    first_there, state = gpu(x[:, :4].cuda())
    second_there, _ = gpu(x[:, 4:].cuda(), state)
    torch.testing.assert_close(first_there.cpu(), first, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second_there.cpu(), second, rtol=1e-4, atol=1e-5)


def test_network_and_its_gradient() -> None:
    torch.manual_seed(0)
    network = ConvLSTMFCN(BACKBONE, skips=[8]).eval()
    x = torch.randn(1, 5, 3, 64, 64)
    results = []
    for device in ("cpu", "cuda"):
        network = network.to(device)
        network.zero_grad()
        scores, _ = network(x.to(device))
        scores.square().mean().backward()
        results.append([scores, *(p.grad for p in network.parameters() if p.grad is not None)])
    assert len(results[0]) > 50
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(there.cpu(), here.cpu(), rtol=1e-2, atol=1e-4)


def test_metric() -> None:
    rng = np.random.default_rng(0)
    sizes = [(30, 41), (33, 27)]
    scores = torch.from_numpy(rng.normal(size=(2, 5, 24, 24))).float()
    truth = [torch.from_numpy(rng.integers(0, 5, size)) for size in sizes]
    here, there = MaskIoU(), MaskIoU().cuda()
    here.update(scores, truth)
    there.update(scores.cuda(), [mask.cuda() for mask in truth])
    expected, found = here.compute(), there.compute()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), abs=2e-3), name


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_both_steps_of_training(precision: str, mask_root: Path) -> None:
    """Through the YAML that users run, which takes the GPU by itself; then scored on the CPU."""
    options = [*SMALL, f"--data.root={mask_root}", f"--trainer.precision={precision}"]
    main(["fit", "-c", str(CONFIGS / "fcn.yaml"), *options, "--model.pretrained=false",
          "--trainer.max_epochs=2"])  # fmt: skip
    step2 = ["-c", str(CONFIGS / "convlstm_fcn.yaml"), *options]
    main(["fit", *step2, "--trainer.max_epochs=2"])
    main(["fit", *step2, "--trainer.max_epochs=3", "--resume=auto"])
    scores = []
    for accelerator in ("gpu", "cpu"):
        main(["test", *step2, "--ckpt_path=runs/convlstm_fcn/best.ckpt",
              f"--trainer.accelerator={accelerator}", "--trainer.precision=32-true"])  # fmt: skip
        table = read_run(Path("runs/convlstm_fcn")).table
        scores.append((table.intersection, table.union, table.prediction))
    for on_gpu, on_cpu in zip(*scores, strict=True):
        assert np.abs(on_gpu - on_cpu).sum() <= 0.01 * on_cpu.sum()


def test_random_numbers_are_resumed() -> None:
    state = random_state()
    drawn = torch.rand(3, device="cuda")
    set_random_state(state)
    assert torch.equal(torch.rand(3, device="cuda"), drawn)


def test_ddp_over_nccl(mask_root: Path) -> None:
    main(["fit", "-c", str(CONFIGS / "convlstm_fcn.yaml"), *SMALL, f"--data.root={mask_root}",
          "--model.init_from=null", "--trainer.devices=1", "--trainer.strategy=ddp",
          "--trainer.max_epochs=1"])  # fmt: skip
    torch.distributed.destroy_process_group()  # or later tests' metrics would ask it
    config = yaml.safe_load(Path("runs/convlstm_fcn/config.yaml").read_text())
    assert config["trainer"]["strategy"] == "ddp"
    assert Path("runs/convlstm_fcn/best.ckpt").is_file()


def pictures(count: int) -> list[Image]:
    return [paint(paint_labels(120, 120, 58 + t / 2, 60, 100)) for t in range(count)]


@pytest.mark.parametrize("temporal", ["window", "clip", "stream", "smooth", "off"])
def test_extraction(temporal: Temporal) -> None:
    frames = []
    for device in ("cpu", "cuda"):
        extractor = FaceMaskExtractor(
            random_cascade(64), CroppedFrames(), temporal=temporal, device=device,
            precision="float32",
        )  # fmt: skip
        frames.append(list(extractor.video(Frames(pictures(12)))))
    for here, there in zip(*frames, strict=True):
        assert (here.labels == there.labels).mean() > 0.999
        for one, other in zip(here.faces, there.faces, strict=True):
            np.testing.assert_allclose(one.crop_probabilities, other.crop_probabilities, atol=2e-3)


@pytest.mark.parametrize("precision", ["float32", "bf16", "auto"])
def test_the_weights_that_come_with_the_package(precision: Precision) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
        for picture in pictures(6)
    ]
    labels = []
    ways: list[tuple[str, Precision]] = [("cpu", "float32"), ("cuda", precision)]
    for device, wanted in ways:
        extractor = FaceMaskExtractor.load(
            find_weights("default"), device, detector=CroppedFrames(), precision=wanted
        )
        labels.append([frame.labels for frame in extractor.video(Frames(noisy))])
    same = np.mean([(here == there).mean() for here, there in zip(*labels, strict=True)])
    assert same > (0.999 if precision == "float32" else 0.99)
