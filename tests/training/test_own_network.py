"""Networks that are not ours, and subclasses of what is: trained, resumed, tested, extracted."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.extraction import load_model
from facemask.extraction.load import for_inference
from facemask.files import write_image
from facemask.models.cascade.cascade import Cascade
from facemask.models.own_network import FrameNetwork, takes_clips
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from facemask.training.resume import is_finished
from tests.test_cli import error_of
from tests.training.own_networks import ClipNetwork, OwnData, OwnFCN, PlainData, Unet, UnetModule
from tests.training.runs import quiet_trainer

BACKBONE = "test_resnet"
HERE = "tests.training.own_networks"


def data(root: Path, kind: type[FaceMaskDataModule] = FaceMaskDataModule, **options: Any) -> Any:  # noqa: ANN401
    settings = {"clip_length": 3, "size": 48, "batch_size": 2, "num_workers": 0, **options}
    return kind(str(root), **settings)


def fitted(module: MaskModule, clips: Any, path: Path, **options: Any) -> Trainer:  # noqa: ANN401
    settings = {"limit_train_batches": 1, "limit_val_batches": 0, **options}
    trainer = quiet_trainer(path.parent, **settings)
    trainer.fit(module, clips)
    trainer.save_checkpoint(path)
    return trainer


def test_from_yaml_to_masks(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    saver = {"dirpath": "run", "filename": "best", "save_last": True}
    config = {
        "model": {
            "class_path": "facemask.training.mask_module.MaskModule",
            "init_args": {
                "network": {"class_path": f"{HERE}.Unet", "init_args": {"width": 4}},
                "learning_rate": 0.02,
            },
        },
        "data": {
            "class_path": f"{HERE}.OwnData",
            "init_args": {"root": str(mask_root), "size": 48, "num_workers": 0},
        },
        "trainer": {
            "accelerator": "cpu", "max_epochs": 1, "limit_train_batches": 2,
            "limit_val_batches": 2, "limit_test_batches": 2, "limit_predict_batches": 2,
            "enable_progress_bar": False, "logger": False,
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": saver}],
        },
    }  # fmt: skip
    Path("unet.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "-c", "unet.yaml"])
    main(["fit", "-c", "unet.yaml", "--resume=auto", "--trainer.max_epochs=2"])
    best = "run/last.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["global_step"] == 4
    use = checkpoint["facemask"]
    assert (use["network"], use["class"]) == ("own", f"{HERE}.Unet")
    assert (use["input_size"], use["clips"], use["num_classes"]) == ([48, 48], True, 5)
    assert use["mean"] == pytest.approx([0.4, 0.5, 0.6])
    assert use["std"] == pytest.approx([0.25, 0.2, 0.3])
    main(["test", "-c", "unet.yaml", f"--ckpt_path={best}"])
    main(["predict", "-c", "unet.yaml", f"--ckpt_path={best}"])
    assert len(list(Path("predictions").glob("*.png"))) == 20

    frame = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Path("crops").mkdir()
    write_image(Path("crops/1.png"), frame)
    extract = ["extract", "--cropped=true", "--save=png", "--temporal=off", "-o", "out",
               f"--model={best}", "crops"]  # fmt: skip
    said = error_of(extract, capsys)
    assert f"holds a network of your own, {HERE}.Unet, which a file cannot build: give" in said
    main([*extract, "--network=unet.yaml"])
    found = read_label(next(Path("out").rglob("*.png")))
    network = Unet(4)
    weights = {k.removeprefix("network."): v for k, v in checkpoint["state_dict"].items()}
    network.load_state_dict({k: v for k, v in weights.items() if k.startswith("unet.")})
    small = cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    pixels = (small - np.array([0.4, 0.5, 0.6])) / np.array([0.25, 0.2, 0.3])
    with torch.no_grad():
        scores = network.eval()(torch.from_numpy(pixels).float().permute(2, 0, 1)[None])
    expected = cv2.resize(
        scores[0].argmax(0).byte().numpy(), (64, 64), interpolation=cv2.INTER_NEAREST
    )
    assert (found == expected).mean() > 0.9  # both resizers differ a little
    assert error_of([*extract, "--network=none.yaml"], capsys).endswith(
        "none.yaml: cannot read a `model` from it (No such file or directory); give the YAML of "
        "the network's training."
    )


def test_a_module_that_makes_its_network(mask_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.ckpt"
    module = UnetModule(width=4)
    fitted(module, data(mask_root, clip_length=None), path)
    loaded = UnetModule.load_from_checkpoint(path)
    assert loaded.hparams["width"] == 4
    for name, value in module.state_dict().items():
        assert loaded.state_dict()[name].equal(value)
    with pytest.raises(
        InputError, match=r"MaskModule\.load_from_checkpoint\(path, network=\.\.\.\)"
    ):
        MaskModule.load_from_checkpoint(path)
    with pytest.raises(InputError, match=r"not fit the Unet: of \d+ tensors 0 are missing and"):
        MaskModule.load_from_checkpoint(path, network=Unet(8))
    with pytest.raises(InputError, match="holds network 'own', but the model has network 'FCN'"):
        FCNModule.load_from_checkpoint(path)
    cascade = load_model(path, network=Unet(4))
    assert cascade.settings.size == 48
    assert isinstance(cascade.primary, FrameNetwork)
    with pytest.raises(InputError, match="A cascade with a FrameNetwork cannot be saved: only FCN"):
        cascade.save(tmp_path / "cascade.safetensors")


def test_clips_go_whole_to_networks_that_take_them() -> None:
    clip = torch.rand(2, 3, 3, 16, 16)
    unet, clips = Unet(4).train(), ClipNetwork()
    before = {k: v.clone() for k, v in unet.state_dict().items()}
    assert not takes_clips(unet, clip)
    assert all(module.training for module in unet.modules())
    assert all(before[k].equal(v) for k, v in unet.state_dict().items())
    assert takes_clips(clips, clip)
    images = (255 * clip).byte()
    images[:, 0] = 0
    images[:, 1] = 255
    with torch.no_grad():
        scores = MaskModule(clips)(images)
        first = clips.layer((torch.full((1, 3, 1, 1), 0.5) - clips.mean) / clips.std)
        frames = MaskModule(unet).eval()(images)
        one = MaskModule(unet).eval()(images[:, 2])
    # the second frame sees the mean of black and white
    torch.testing.assert_close(scores[0, 1, :, 3, 4], first[0, :, 0, 0])
    assert frames.shape == (2, 3, 5, 16, 16)
    torch.testing.assert_close(frames[:, 2], one)


def test_an_extracted_clip_network_sees_clips(mask_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "clips.ckpt"
    fitted(MaskModule(ClipNetwork()), data(mask_root), path)
    cascade = load_model(path, network=ClipNetwork())
    assert isinstance(cascade.primary, ClipNetwork)
    fast = for_inference(cascade)
    frames = [torch.randint(0, 256, (3, 40, 44)).byte() for _ in range(3)]
    with torch.inference_mode():
        pair = [c([frames]).labels[0] for c in (cascade, fast)]
    assert all(one.equal(other) for one, other in zip(*pair, strict=True))


@pytest.mark.parametrize("missing", ["num_classes", "mean", "std"])
def test_a_network_without_an_attribute(missing: str) -> None:
    network = Unet(4)
    delattr(network, missing)
    with pytest.raises(InputError, match=f"The network, a Unet, has no {missing}: give it the"):
        MaskModule(network)


def test_a_network_with_wrong_statistics() -> None:
    network = Unet(4)
    network.mean = (0.5, 0.5)  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"mean is \(0.5, 0.5\), expected three numbers"):
        MaskModule(network)


@pytest.mark.parametrize("kind", [FaceMaskDataModule, OwnData])
def test_the_size_of_training_whatever_the_data_module(
    kind: type[FaceMaskDataModule], mask_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "fcn.ckpt"
    fitted(FCNModule(BACKBONE, output_stride=8), data(mask_root, kind), path)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["facemask"]["input_size"] == [48, 48]
    assert "size" not in checkpoint[kind.__name__]
    assert load_model(path).settings.size == 48
    assert load_model(path, size=64).settings.size == 64

    # as older releases wrote it
    del checkpoint["facemask"]["input_size"]
    state = checkpoint.pop(kind.__name__)
    torch.save(checkpoint | {kind.__name__: state | {"size": 80}}, path)
    assert load_model(path).settings.size == 80
    torch.save(checkpoint, path)
    with pytest.warns(UserWarning, match="does not say what size .*: 320 pixels are taken"):
        assert load_model(path).settings.size == 320


def test_the_size_of_other_data(mask_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "fcn.ckpt"
    module = FCNModule(BACKBONE, output_stride=8)
    fitted(module, PlainData(data(mask_root, size=40)), path)
    assert load_model(path).settings.size == 40
    clips = data(mask_root, size=56, clip_length=None)
    clips.setup("fit")
    trainer = quiet_trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(FCNModule(BACKBONE, output_stride=8), clips._whole("train"))
    trainer.save_checkpoint(path)
    assert load_model(path).settings.size == 56
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["facemask"]["clips"] is False
    checkpoint["facemask"]["input_size"] = [32, 64]
    torch.save(checkpoint, path)
    with pytest.warns(UserWarning, match="pictures of 32 × 64 pixels; .* so 64 × 64 are taken"):
        assert load_model(path).settings.size == 64


def test_the_checkpoints_own_normalisation_is_used(mask_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "fcn.ckpt"
    fitted(FCNModule(BACKBONE, output_stride=8), data(mask_root), path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["facemask"] |= {"mean": [0.1, 0.2, 0.3], "std": [0.7, 0.8, 0.9]}
    torch.save(checkpoint, path)
    primary: Any = load_model(path).primary
    assert primary.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert primary.std.flatten().tolist() == pytest.approx([0.7, 0.8, 0.9])


def test_a_subclass_of_ours_fits_its_base_but_is_not_built_as_it(
    mask_root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "own.ckpt"
    fitted(MaskModule(OwnFCN(BACKBONE, output_stride=8)), data(mask_root, clip_length=None), path)
    description = torch.load(path, weights_only=True)["facemask"]
    assert (description["network"], description["class"]) == ("FCN", f"{HERE}.OwnFCN")
    with pytest.raises(InputError, match=r"own_networks\.OwnFCN, which a file cannot build"):
        load_model(path)
    with pytest.raises(InputError, match="A cascade with a OwnFCN cannot be saved"):
        Cascade(OwnFCN(BACKBONE)).save(tmp_path / "cascade.safetensors")
    primary: nn.Module = load_model(path, network=OwnFCN(BACKBONE, output_stride=8)).primary
    assert isinstance(primary, FrameNetwork)
    second = ConvLSTMFCNModule(BACKBONE, output_stride=8, init_from=str(path))
    second.load_initial_weights()


def test_a_subclass_of_the_cascades_module_needs_no_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    said = error_of(["test", "--model", f"{HERE}.OwnCascade", "--data=FaceMaskDataModule"], capsys)
    assert "model.primary is not set: give the checkpoint" in said  # and not --ckpt_path
    said = error_of(["test", "--model", f"{HERE}.UnetModule", "--data=FaceMaskDataModule"], capsys)
    assert "needs trained weights: give --ckpt_path FILE" in said


class Patience(EarlyStopping):
    """A subclass that is called differently."""


def test_a_subclass_that_stopped_a_run_early_is_known(tmp_path: Path) -> None:
    callback = Patience("val/miou")
    trainer = quiet_trainer(tmp_path, callbacks=[callback], max_epochs=9)
    states = {callback.state_key: {"stopped_epoch": 3}}
    progress = {"epoch_progress": {"current": {"processed": 4}}}
    checkpoint = {"callbacks": states, "loops": {"fit_loop": progress}, "global_step": 12}
    assert is_finished(checkpoint, trainer)
    states[callback.state_key]["stopped_epoch"] = 0
    assert not is_finished(checkpoint, trainer)
