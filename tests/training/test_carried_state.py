"""Training that carries the ConvLSTM's state from clip to clip."""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.functional import interpolate

from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.models.normalisation import normalise
from facemask.training.carried_state import CarriedState
from facemask.training.checkpointing import AtomicCheckpointIO, ResumableRun
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.feature_runs import Run
from tests.training.runs import quiet_trainer

BACKBONE = "test_resnet"


def make_module(**options: Any) -> ConvLSTMFCNModule:  # noqa: ANN401
    torch.manual_seed(0)
    return ConvLSTMFCNModule(BACKBONE, output_stride=8, **{"carry_state": True, **options})


def batch_of(images: Tensor, numbers: list[list[int]]) -> ClipBatch:
    """Images (B, T, 3, S, S) with their clips' numbers and those before them."""
    return cast("ClipBatch", {"images": images, "numbers": torch.tensor(numbers)})


def data_of(root: Path, **options: object) -> FaceMaskDataModule:
    settings = {"size": 32, "batch_size": 2, "num_workers": 0, "clips_in_a_row": 3, **options}
    return FaceMaskDataModule(str(root), **settings)  # type: ignore[arg-type]


def fit_carried(
    root: Path,
    folder: Path,
    checkpoint: str | None = None,
    callbacks: tuple[Callback, ...] = (),
    **options: Any,  # noqa: ANN401
) -> ConvLSTMFCNModule:
    """Two epochs of three steps that drop states at random, or what is left of them."""
    module = make_module(state_dropout=0.3, gamma=0.0, learning_rate=0.02)
    seed_everything(5 if checkpoint is None else 6)  # a resumed run must not depend on it
    trainer = Trainer(
        default_root_dir=folder, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=2, limit_val_batches=1, num_sanity_val_steps=0,
        plugins=[AtomicCheckpointIO()], callbacks=[ResumableRun(), *callbacks], **options,
    )  # fmt: skip
    data = data_of(root, batch_size=2 // trainer.world_size)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    return module


def test_gradient_is_that_of_truncated_back_propagation() -> None:
    module = make_module()
    images = torch.randint(0, 256, (2, 6, 3, 32, 32), dtype=torch.uint8)
    weights = torch.randn(2, 6, 5, 32, 32)  # of any loss
    network = copy.deepcopy(module.network)
    # the equations, frame by frame, with a cut after the third
    features = network.encoder(normalise(images, network))
    layer = network.convlstm
    assert layer.weight_ci is not None
    assert layer.weight_cf is not None
    assert layer.weight_co is not None
    h = c = torch.zeros(2, 5, 4, 4)
    for t in range(6):
        if t == 3:
            h, c = h.detach(), c.detach()
        gates = torch.einsum("oi,bihw->bohw", layer.weight_input[:, :, 0, 0], features[:, t])
        gates = gates + torch.einsum("oi,bihw->bohw", layer.weight_recurrent[:, :, 0, 0], h)
        i, f, g, o = (gates + layer.bias.view(-1, 1, 1)).chunk(4, dim=1)
        i, f = i + layer.weight_ci * c, f + layer.weight_cf * c
        c = f.sigmoid() * c + i.sigmoid() * g  # the cell is linear
        h = (o + layer.weight_co * c).sigmoid() * c
        scores = interpolate(h, size=(32, 32), mode="bilinear")
        (scores * weights[:, t]).sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    for part, numbers in enumerate([[[4, -1], [9, -1]], [[5, 4], [10, 9]]]):
        frames = slice(3 * part, 3 * part + 3)
        scores = module.score_to_train(batch_of(images[:, frames], numbers))
        (scores * weights[:, frames]).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        found = module.network.get_parameter(name).grad
        assert found is not None, name
        assert parameter.grad is not None
        scale = float(parameter.grad.abs().max())
        assert torch.allclose(found, parameter.grad, rtol=1e-3, atol=1e-4 * scale), name


def test_no_gradient_reaches_the_clip_before() -> None:
    module = make_module()
    first, second = torch.randint(0, 256, (2, 1, 3, 3, 32, 32), dtype=torch.uint8)
    module.score_to_train(batch_of(first, [[0, -1]]))
    scores = module.score_to_train(batch_of(second, [[1, 0]]))
    scores.sum().backward()  # type: ignore[no-untyped-call]  # the first graph is not kept
    fresh = make_module()
    assert not torch.allclose(fresh.score_to_train(batch_of(second, [[1, -1]])), scores)
    whole = fresh.network(normalise(torch.cat([first, second], dim=1), fresh.network))[0]
    assert torch.allclose(whole[:, 3:], scores, atol=1e-5)


def test_state_begins_anew_at_borders() -> None:
    module = make_module()
    images = torch.randint(0, 256, (2, 3, 2, 3, 32, 32), dtype=torch.uint8)
    module.score_to_train(batch_of(images[0], [[0, -1], [7, 6], [3, 2]]))
    # goes on; begins a row; has another one before it
    scores = module.score_to_train(batch_of(images[1], [[1, 0], [20, -1], [12, 11]]))
    alone = module.score(batch_of(images[1], [[1, 0], [20, -1], [12, 11]]))
    assert torch.equal(scores[1:], alone[1:])
    assert not torch.allclose(scores[0], alone[0])
    # another epoch, or another number of clips
    state = CarriedState()
    state.keep(torch.tensor([[0, -1]]), 0, (torch.ones(1, 5, 4, 4), torch.ones(1, 5, 4, 4)))
    assert state.before(torch.tensor([[1, 0]]), 1) is None
    assert state.before(torch.tensor([[1, 0], [2, 1]]), 0) is None
    found = state.before(torch.tensor([[1, 0]]), 0)
    assert found is not None
    assert bool((found[0] == 1).all())


def test_dropping_is_seeded() -> None:
    state = CarriedState(0.25)
    numbers = torch.stack([torch.arange(4000) + 1, torch.arange(4000)], dim=1)
    ones = torch.ones(4000, 1, 1, 1)
    state.keep(numbers - 1, 0, (ones, 2 * ones))
    kept = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found = state.before(numbers, 0)
        assert found is not None
        assert torch.equal(2 * found[0], found[1])
        kept.append(found[0].flatten())
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[0], kept[2])
    assert 0.72 < float(kept[0].mean()) < 0.78
    before = torch.get_rng_state()
    never = CarriedState()
    never.keep(numbers - 1, 0, (ones, ones))
    never.before(numbers, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_resumed_run_is_the_same(mask_root: Path, tmp_path: Path) -> None:
    steps = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = fit_carried(mask_root, tmp_path / "whole", callbacks=(steps,))
    middle = tmp_path / "step=5.ckpt"  # of six, after the second of the second epoch
    again = fit_carried(mask_root, tmp_path / "again", str(middle))
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    checkpoint = torch.load(middle, weights_only=True)
    assert checkpoint["facemask_states"][0]["epoch"] == 1
    del checkpoint["facemask_states"]  # it mattered
    torch.save(checkpoint, tmp_path / "without.ckpt")
    other = fit_carried(mask_root, tmp_path / "other", str(tmp_path / "without.ckpt"))
    kernel = "network.convlstm.weight_input"
    assert not torch.equal(other.state_dict()[kernel], whole.state_dict()[kernel])


def test_validation_begins_each_clip_anew(mask_root: Path, tmp_path: Path) -> None:
    carried, plain = make_module(), make_module(carry_state=False)
    quiet_trainer(tmp_path, limit_val_batches=0).fit(carried, data_of(mask_root))
    plain.network.load_state_dict(carried.network.state_dict())
    scores = [
        quiet_trainer(tmp_path).validate(m, data_of(mask_root, clips_in_a_row=n), verbose=False)
        for m, n in ((carried, 3), (plain, None))
    ]
    assert scores[0] == scores[1]


def test_cached_features_carry_state_on(mask_root: Path, tmp_path: Path) -> None:
    losses = []
    for folder, carry in ((None, True), (tmp_path, True), (tmp_path, False)):
        run = Run(
            mask_root, folder, {"carry_state": carry}, {"limit_train_batches": 3},
            batch_size=2, clips_in_a_row=3,
        ).fit()  # fmt: skip
        assert run.seen.kinds == ({"images"} if folder is None else {"features"})
        losses.append(torch.tensor(run.seen.losses))
    assert len(losses[0]) == 6
    assert torch.allclose(losses[0], losses[1], rtol=5e-3)
    assert torch.equal(losses[1][0], losses[2][0])
    assert not torch.equal(losses[1], losses[2])


def test_training_starts_from_a_convlstm_fcn(mask_root: Path, tmp_path: Path) -> None:
    before = make_module()
    trainer = quiet_trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(before, data_of(mask_root))
    path = tmp_path / "first.ckpt"
    trainer.save_checkpoint(path)
    torch.manual_seed(9)
    module = ConvLSTMFCNModule(BACKBONE, output_stride=8, init_from=str(path))
    module.load_initial_weights()
    for name, value in before.network.state_dict().items():
        assert torch.equal(module.network.state_dict()[name], value), name
    scaled = make_module(init_from=str(path), classifier_scale=1.0)
    with pytest.raises(InputError, match=r"first\.ckpt holds a ConvLSTM-FCN: leave it null"):
        scaled.load_initial_weights()
    with pytest.raises(InputError, match=r"holds kernel_size 1, but the model has kernel_size 3"):
        make_module(init_from=str(path), kernel_size=3).load_initial_weights()


@pytest.mark.parametrize("in_a_row", [None, 1])
def test_shuffled_clips_are_refused(in_a_row: int | None, mask_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"come shuffled.* give --data\.clips_in_a_row 20"):
        quiet_trainer(tmp_path).fit(make_module(), data_of(mask_root, clips_in_a_row=in_a_row))


def test_bad_options() -> None:
    for dropout in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"state_dropout is .*, expected 0 or more and below"):
            make_module(state_dropout=dropout)
    with pytest.raises(InputError, match=r"carry_state is false, so that there is nothing to drop"):
        make_module(carry_state=False, state_dropout=0.1)
    assert "carry_state" not in FCNModule(BACKBONE, output_stride=8).hparams
