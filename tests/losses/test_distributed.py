"""Two gloo processes, each with a part of a batch, against one process with all of it."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from facemask.losses import IoULoss, SegmentationLoss

LOSSES: dict[str, nn.Module] = {
    "linear": SegmentationLoss("linear", 0.1, temperature=0.5, sync=True),
    "hinge": SegmentationLoss("hinge", 1.0, include_background=False, sync=True),
    "soft": SegmentationLoss("linear", weights="soft", activation="tanh", sync=True),
    "iou": IoULoss(sync=True),
}


# loss and gradients in training by loss, and loss in evaluation
RankResult = tuple[dict[str, tuple[Tensor, list[Tensor]]], dict[str, Tensor]]


def batch() -> tuple[Tensor, Tensor]:
    """Five images; the first two, rank 0's, ignore many more pixels and lack class 3."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 3, 6, 7, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 9, (5, 6, 7), generator=generator).clamp(max=3)
    target[:2, :4] = 255
    target[:2][target[:2] == 3] = 1
    return images, target


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 4, 1)).double()


def run_rank(rank: int, store: str, results: str) -> None:
    torch.distributed.init_process_group(
        "gloo", f"file://{store}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    images, target = batch()
    part = slice(0, 2) if rank == 0 else slice(2, 5)
    found: dict[str, tuple[Tensor, list[Tensor]]] = {}
    for name, loss in LOSSES.items():
        model = DistributedDataParallel(network())
        value = loss(model(images[part]), target[part])
        torch.autograd.backward(value)
        found[name] = (value.detach(), [p.grad for p in model.parameters() if p.grad is not None])
    # in evaluation ranks may have different numbers of batches: one more here must not wait
    alone = {}
    for name, loss in LOSSES.items():
        loss.eval()
        scores = network()(images[part]).detach()
        alone[name] = [loss(scores, target[part]) for _ in range(1 + rank)][-1]
    torch.save((found, alone), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[RankResult]:
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(run_rank, (str(folder / "store"), str(folder)), nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_equal_one(name: str, ranks: list[RankResult]) -> None:
    images, target = batch()
    model, loss = network(), LOSSES[name].train()
    expected = loss(model(images), target)
    torch.autograd.backward(expected)
    (first, gradients), (second, same) = ranks[0][0][name], ranks[1][0][name]
    torch.testing.assert_close((first + second) / 2, expected.detach())
    assert not torch.isclose(first, second, rtol=1e-3)
    for gradient, other, parameter in zip(gradients, same, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=0)  # DDP averaged them
        torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.parametrize("name", LOSSES)
def test_evaluation_counts_the_rank_alone(name: str, ranks: list[RankResult]) -> None:
    images, target = batch()
    for part, (_, alone) in zip((slice(0, 2), slice(2, 5)), ranks, strict=True):
        expected = LOSSES[name](network()(images[part]), target[part])
        torch.testing.assert_close(alone[name], expected.detach())
