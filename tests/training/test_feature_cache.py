"""Training behind a frozen encoder from cached features: the same as from images."""

import json
import multiprocessing
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import albumentations as A
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from facemask.data import ClipAugmentation, ClipTransform
from facemask.data import feature_clips as features_module
from facemask.errors import InputError
from facemask.files import write_atomic
from facemask.training import feature_cache as feature_cache_module
from facemask.training.modules import ConvLSTMFCNModule
from tests.training.feature_runs import BACKBONE, Run, files


def test_losses_are_those_of_a_training_without_cache(mask_root: Path, tmp_path: Path) -> None:
    plain, cached = Run(mask_root, None).fit(), Run(mask_root, tmp_path).fit()
    assert cached.seen.names == plain.seen.names
    assert plain.seen.kinds == {"images"}
    assert cached.seen.kinds == {"features"}
    # bfloat16 keeps 8 bits, so each feature is off by up to 2^-9 of itself, either way
    assert cached.seen.losses == pytest.approx(plain.seen.losses, rel=2e-3)
    assert cached.seen.losses != plain.seen.losses
    assert plain.logged.keys() == cached.logged.keys()
    assert cached.logged["val/loss"] == pytest.approx(plain.logged["val/loss"], rel=2e-3)
    for name, value in plain.logged.items():
        assert cached.logged[name] == pytest.approx(value, abs=0.02), name
    # the encoder is as it was, in the mode it was in, and in the checkpoint
    for key, tensor in plain.module.state_dict().items():
        assert key in cached.module.state_dict()
        if ".encoder." in key:
            assert torch.equal(tensor, cached.module.state_dict()[key])
    modes = [[m.training for m in run.module.network.encoder.modules()] for run in (plain, cached)]
    assert modes[0] == modes[1]


def test_losses_under_autocast_are_equal(mask_root: Path, tmp_path: Path) -> None:
    options = {"trainer": {"precision": "bf16-mixed", "max_epochs": 1}}
    plain, cached = Run(mask_root, None, **options).fit(), Run(mask_root, tmp_path, **options).fit()
    # features are bfloat16 already: only batches of other clips may round them otherwise
    assert cached.seen.losses == pytest.approx(plain.seen.losses, rel=1e-5)


def test_features_equal_the_encoders_rounded(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, tmp_path).fit()
    module = run.module.eval()
    for side, batch_of_features in (
        ("train", next(iter(run.data.train_dataloader()))),
        ("val", next(iter(run.data.val_dataloader()))),
    ):
        clips = run.data.datasets[side]
        for features, masks, names, originals, sizes in zip(
            batch_of_features["features"],
            batch_of_features["masks"],
            batch_of_features["names"],
            batch_of_features["original_masks"],
            batch_of_features["original_sizes"],
            strict=True,
        ):
            index = [clip[0].image.stem for clip in clips.clips].index(names[0])
            sample = clips[index]
            pixels = (sample["images"].float() / 255 - module.network.mean) / module.network.std
            with torch.no_grad():
                expected = module.network.encoder(pixels[None])[0]
            assert features.dtype == torch.bfloat16
            torch.testing.assert_close(features.float(), expected, rtol=2**-8, atol=1e-6)
            assert torch.equal(masks, sample["masks"])
            assert names == sample["names"]
            assert sizes == sample["original_sizes"]
            assert len(originals) == len(sample["original_masks"]) == (side == "val") * len(names)
            for one, other in zip(originals, sample["original_masks"], strict=True):
                assert torch.equal(one, other)
        assert batch_of_features["features"][0].is_contiguous(memory_format=torch.channels_last)


def test_a_second_training_computes_nothing(mask_root: Path, tmp_path: Path) -> None:
    first = Run(mask_root, tmp_path).fit()
    assert first.encoded > 0
    written = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    second = Run(mask_root, tmp_path).fit()
    assert second.encoded == 0
    assert second.seen.losses == first.seen.losses
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == written
    # and a data module that goes on to other things has images again
    second.data.setup("validate")
    assert "images" in next(iter(second.data.val_dataloader()))


@pytest.mark.parametrize("kind", ["weights", "precision", "data", "size", "clip_length"])
def test_another_key(kind: str, mask_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(mask_root, tmp_path / "data") if kind == "data" else mask_root
    options: dict[str, Any] = {"trainer": {"max_epochs": 1, "limit_train_batches": 1}}
    Run(root, tmp_path / "cache", **options).fit()
    folders = set((tmp_path / "cache").iterdir())
    if kind == "data":
        label = sorted((root / "labels_orig").iterdir())[0]  # of video 001, on one side only
        os.utime(label, ns=(1, 1))
        expected = 1
    else:
        expected = 2
    if kind in ("size", "clip_length"):
        options[kind] = {"size": 40, "clip_length": 4}[kind]
    if kind == "precision":
        options["trainer"] |= {"precision": "bf16-mixed"}
    run = Run(root, tmp_path / "cache", **options)
    if kind == "weights":
        with torch.no_grad():
            next(run.module.network.encoder.parameters())[0] += 1e-3
    run.fit()
    assert run.encoded > 0
    assert len(set((tmp_path / "cache").iterdir()) - folders) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"augmentation": ClipAugmentation(flip=0.25)},
        {"augmentation": ClipTransform(ClipAugmentation().transforms)},
        {"seed": 1},
    ],
)
def test_another_augmentation_is_another_key_in_training_alone(
    change: dict[str, Any], mask_root: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"trainer": {"max_epochs": 1, "limit_train_batches": 1}}
    Run(mask_root, tmp_path, **options, augmentation=ClipAugmentation()).fit()
    assert len(list(tmp_path.iterdir())) == 2
    Run(mask_root, tmp_path, **options, augmentation=ClipAugmentation()).fit()
    assert len(list(tmp_path.iterdir())) == 2
    Run(mask_root, tmp_path, **{"augmentation": ClipAugmentation(), **options, **change}).fit()
    assert len(list(tmp_path.iterdir())) == 3


def test_each_epoch_sees_its_variant(mask_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "augmentation": ClipAugmentation(),
        "batch_size": 8,
        "trainer": {"max_epochs": 3, "limit_val_batches": 0},
    }
    plain = Run(mask_root, None, **options).fit()
    three = Run(mask_root, tmp_path, {"feature_variants": 3}, **options).fit()
    assert three.seen.losses == pytest.approx(plain.seen.losses, rel=2e-3)
    two = Run(mask_root, tmp_path, {"feature_variants": 2}, **options).fit()
    assert two.encoded == 0  # the first two of the three
    same = len(plain.seen.losses) // 3 * 2
    assert two.seen.losses[:same] == three.seen.losses[:same]
    assert two.seen.losses[same:] != three.seen.losses[same:]
    none = Run(mask_root, tmp_path, {"feature_variants": 0}, **options).fit()
    bare = Run(mask_root, None, **{**options, "augmentation": None}).fit()
    assert none.seen.losses == pytest.approx(bare.seen.losses, rel=2e-3)


@pytest.mark.parametrize("variants", [0, 1, 2])
def test_noise_of_a_regions_boxes(variants: int, mask_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"region": "mouth", "trainer": {"max_epochs": 2}}
    model = {"region": "mouth", "feature_variants": variants}
    cached = Run(mask_root, tmp_path, model, **options).fit()
    still: dict[str, Any] = {"box_shift": 0.0, "box_scale": 0.0} if variants == 0 else {}
    plain = Run(mask_root, None, {"region": "mouth"}, **options, **still).fit()
    count = {0: 6, 1: 3, 2: 6}[variants]
    assert cached.seen.losses[:count] == pytest.approx(plain.seen.losses[:count], rel=2e-3)
    assert len(files(tmp_path)) == (3 if variants == 2 else 2)


def test_a_killed_run_is_continued(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "PART_BYTES", 60_000)  # several parts
    whole = Run(mask_root, tmp_path / "whole").fit()
    parts = files(tmp_path / "whole")
    assert len(parts) > 4

    class Killed(BaseException):
        pass

    done: list[Path] = []

    def dies(path: Path, data: bytes) -> None:
        if path.suffix == ".safetensors":
            done.append(path)
            if len(done) == 3:
                path.with_name(f".{path.name}.1.tmp").write_bytes(data[:100])
                raise Killed
        write_atomic(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(feature_cache_module, "write_atomic", dies)
        with pytest.raises(Killed):
            Run(mask_root, tmp_path / "cache").fit()
    assert files(tmp_path / "cache") == done[:2]
    damaged = files(tmp_path / "cache")[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])  # as after a power cut
    (unfinished,) = (tmp_path / "cache").rglob(".*.tmp")
    os.utime(unfinished, (0, 0))
    resumed = Run(mask_root, tmp_path / "cache").fit()
    assert 0 < resumed.encoded < whole.encoded
    assert resumed.seen.losses == whole.seen.losses
    assert not unfinished.exists()
    assert [p.name for p in files(tmp_path / "cache")] == [p.name for p in parts]


def test_a_file_that_goes_away_in_training(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, tmp_path).fit()
    for path in files(tmp_path):
        path.unlink()
    with pytest.raises(InputError, match=r"safetensors: was removed or damaged since training"):
        next(iter(run.data.train_dataloader()))


def test_too_little_disk(mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**18))
    run = Run(mask_root, tmp_path / "cache")
    channels = run.module.network.encoder.channels
    with pytest.raises(
        InputError, match=r"needs [\d.]+ GiB in .*cache, where 0.000244 GiB"
    ) as info:
        run.fit()
    clips = sum(map(len, run.data.datasets.values()))
    frame = channels * 4 * 4 * 2 + 32 * 32
    needed = 1.05 * clips * 5 * frame / 2**30
    assert f"needs {needed:.3g} GiB" in str(info.value)
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.05}, "gamma is 0.05 and freeze_bn True: give gamma 0 and freeze_bn true"),
        ({"gamma": 0, "freeze_bn": False}, "gamma is 0 and freeze_bn False"),
        ({"gamma": 0, "feature_variants": -1}, "feature_variants is -1, expected 0 or more"),
    ],
)
def test_an_encoder_that_changes_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConvLSTMFCNModule(BACKBONE, feature_cache="cache", **options)


def test_an_augmentation_that_cannot_be_told_from_another(mask_root: Path, tmp_path: Path) -> None:
    class Own(ClipTransform):
        def __init__(self) -> None:
            super().__init__([A.Lambda(image=lambda image, **_: image)])

    with pytest.raises(InputError, match="does not say what its arguments are"):
        Run(mask_root, tmp_path, augmentation=Own()).fit()
    assert Run(mask_root, tmp_path, {"feature_variants": 0}, augmentation=Own()).fit().encoded


def test_an_unwritable_folder(mask_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        Run(mask_root, tmp_path / "file").fit()


def test_fast_dev_run_leaves_nothing(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, tmp_path, trainer={"fast_dev_run": True}).fit()
    assert run.seen.kinds == {"images"}
    assert not list(tmp_path.iterdir())


def test_single_frames(mask_root: Path, tmp_path: Path) -> None:
    plain = Run(mask_root, None, clip_length=None).fit()
    cached = Run(mask_root, tmp_path, clip_length=None).fit()
    assert cached.seen.losses == pytest.approx(plain.seen.losses, rel=2e-3)


def test_a_resumed_training_goes_on_alike(mask_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"augmentation": ClipAugmentation(), "batch_size": 4}
    model = {"feature_variants": 2}
    whole = Run(mask_root, tmp_path / "cache", model, trainer={"max_epochs": 3}, **options).fit()

    class Saver(Callback):
        def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    begun = Run(mask_root, tmp_path / "cache", model, trainer={"max_epochs": 3}, **options)
    begun.trainer.callbacks.append(Saver())  # type: ignore[attr-defined]
    begun.fit()
    rest = Run(mask_root, tmp_path / "cache", model, trainer={"max_epochs": 3}, **options)
    rest.fit(tmp_path / "0.ckpt")
    assert rest.encoded == 0
    steps = len(whole.seen.losses) // 3
    assert rest.seen.names == whole.seen.names[steps:]
    assert rest.seen.losses == whole.seen.losses[steps:]


def _train_as_rank(rank: int, port: int, root: Path, folder: Path) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", LOCAL_RANK=str(rank),
        RANK=str(rank), GROUP_RANK="0", LOCAL_WORLD_SIZE="2", TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip
    torch.set_num_threads(1)
    features_module.PART_BYTES = 60_000  # type: ignore[misc]  # several parts
    settings = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    run = Run(root, folder, trainer=settings).fit()
    found = (run.encoded, run.seen.losses, run.logged["val/loss"])
    (folder.parent / f"rank{rank}.json").write_text(json.dumps(found))


def test_two_processes_share_the_work(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["facemask.training.cli"])  # mends torchvision first
    folder = tmp_path / "cache"
    processes = [
        context.Process(target=_train_as_rank, args=(rank, port, mask_root, folder))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    found = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    encoded = [count for count, _, _ in found]
    monkeypatch.setattr(features_module, "PART_BYTES", 60_000)
    alone = Run(mask_root, tmp_path / "alone").fit()
    assert sum(encoded) == alone.encoded
    assert min(encoded) > 0
    assert Run(mask_root, folder).fit().encoded == 0  # nothing is left to compute
    names = [[path.name for path in files(place)] for place in (folder, tmp_path / "alone")]
    assert names[0] == names[1]
    assert found[0][1] != found[1][1]  # each trains on its own clips
    assert found[0][2] == pytest.approx(found[1][2])  # and both know the whole validation
