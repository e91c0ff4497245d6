"""Skip connections of the FCN and the ConvLSTM-FCN."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.data import FaceMaskDataModule
from facemask.errors import InputError
from facemask.extraction import load_model
from facemask.models import FCN, Cascade, ConvLSTMFCN
from facemask.models.backbone import Encoder, SkipFusion
from facemask.models.description import build, describe
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.runs import quiet_trainer as trainer

BACKBONE = "mobilenetv3_small_050"


def normalised(x: Tensor, module: Any) -> Tensor:  # noqa: ANN401
    """Convolution, BatchNorm with its running statistics, ReLU, written out."""
    convolution, norm, _ = module
    y = F.conv2d(x, convolution.weight, padding=convolution.kernel_size[0] // 2)
    shape = (1, -1, 1, 1)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    y = (y - norm.running_mean.view(shape)) * scale.view(shape) + norm.bias.view(shape)
    positive: Tensor = y.clamp(min=0)
    return positive


def test_levels_are_added_from_coarse_to_fine() -> None:
    torch.manual_seed(0)
    fusion = SkipFusion([3, 4, 6], width=5).eval()
    for name, buffer in fusion.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    # odd sizes, as a stride that does not divide the image gives
    fine, middle, deep = torch.randn(2, 3, 9, 7), torch.randn(2, 4, 5, 4), torch.randn(2, 6, 3, 2)
    expected = normalised(deep, fusion.reduce)
    for level, number in ((middle, 1), (fine, 0)):
        lateral: Any = fusion.lateral[number]
        up = F.interpolate(expected, level.shape[2:], mode="bilinear", align_corners=False)
        added = up + torch.einsum("oi,nihw->nohw", lateral.weight[:, :, 0, 0], level)
        added = added + lateral.bias.view(1, -1, 1, 1)
        expected = normalised(added, fusion.mix[number])
    with torch.no_grad():
        torch.testing.assert_close(fusion([fine, middle, deep]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("stride", "skips", "finest"), [(16, (8, 4), 4), (32, (16, 8), 8), (16, (4,), 4), (16, (), 16)]
)
def test_scores_have_the_finest_stride(stride: int, skips: tuple[int, ...], finest: int) -> None:
    model = FCN(BACKBONE, output_stride=stride, skips=skips, skip_channels=24).eval()
    shapes = []
    model.classifier.register_forward_hook(lambda _m, _x, y: shapes.append(tuple(y.shape[2:])))
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 70, 96)).shape == (1, 5, 70, 96)
    assert shapes == [(-(-70 // finest), 96 // finest)]
    assert model.encoder.feature_stride == finest
    assert model.encoder.channels == (24 if skips else timm_channels(stride))


def timm_channels(stride: int) -> int:
    body: Any = timm.create_model(BACKBONE, features_only=True, output_stride=stride)
    return int(body.feature_info.channels()[-1])


def test_every_layer_learns_and_sees_its_level() -> None:
    torch.manual_seed(0)
    model = FCN(BACKBONE, skips=[8, 4], skip_channels=16)  # any order
    assert model.encoder.skips == (4, 8)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.encoder.parameters())
    model.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        fusion: Any = model.encoder.fusion
        for lateral in fusion.lateral:
            kept = lateral.weight.clone()
            lateral.weight.zero_()
            assert not torch.allclose(model(images), before, atol=1e-5)
            lateral.weight.copy_(kept)


def test_pretrained_weights_reach_the_body(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    weights = timm.create_model(BACKBONE).state_dict()
    torch.save(weights, path)
    encoder = Encoder(BACKBONE, path, 16, (8, 4))
    assert encoder.body.state_dict()["conv_stem.weight"].equal(weights["conv_stem.weight"])


def test_without_skips_nothing_changes() -> None:
    names = FCN(BACKBONE).state_dict().keys()
    assert not any("fusion" in name for name in names)
    assert describe(FCN(BACKBONE)).keys() == {
        "network", "backbone", "output_stride", "num_classes",
    }  # fmt: skip


def test_convlstm_fcn_takes_the_skips_over() -> None:
    torch.manual_seed(0)
    fcn = FCN(BACKBONE, skips=(8, 4), skip_channels=16).eval()
    model = ConvLSTMFCN.from_fcn(fcn, kernel_size=3, classifier_scale=0.1)
    assert model.encoder.skips == (4, 8)
    clips = torch.randn(1, 3, 3, 48, 40)
    with torch.no_grad():
        features = fcn.encoder(clips)
        assert features.shape == (1, 3, 16, 12, 10)
        torch.testing.assert_close(model.encoder(clips), features)
        scores, (h, _) = model(clips)
        assert h.shape == (1, 5, 12, 10)
        # it begins as the FCN: the same class is the largest at every place of the first frame
        low = fcn.classifier(features[:, 0]).argmax(1)
        assert (model.convlstm(features)[0][:, 0].argmax(1) == low).all()
        # frame by frame with the state handed on equals the clip at once
        state, one_by_one = None, []
        for t in range(3):
            of_frame, state = model(clips[:, t], state)
            one_by_one.append(of_frame)
    torch.testing.assert_close(scores, torch.stack(one_by_one, 1), rtol=0, atol=1e-4)


def test_described_built_and_saved(tmp_path: Path) -> None:
    networks = [
        ConvLSTMFCN(BACKBONE, 5, output_stride=32, kernel_size=3, skips=(16, 8), skip_channels=8),
        FCN(BACKBONE, 2, skips=(4,), skip_channels=12),
    ]
    assert describe(networks[1])["skips"] == [4]
    for network in networks:
        again = build(describe(network))
        assert again.state_dict().keys() == network.state_dict().keys()
    path = tmp_path / "cascade.safetensors"
    Cascade(networks[0], networks[1]).save(path)
    loaded = Cascade.load(path)
    images = torch.randn(1, 2, 3, 64, 64)
    with torch.no_grad():
        expected = networks[0].eval()(images)[0]
        torch.testing.assert_close(loaded.primary(images)[0], expected)


def test_trained_and_continued(mask_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"skips": [8, 4], "skip_channels": 16}
    run = trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    data = FaceMaskDataModule(
        str(mask_root), clip_length=None, size=32, batch_size=2, num_workers=0
    )
    module = FCNModule(BACKBONE, **options)
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "fcn.ckpt")
    assert load_model(tmp_path / "fcn.ckpt").settings.size == 32  # as in training
    following = ConvLSTMFCNModule(BACKBONE, init_from=str(tmp_path / "fcn.ckpt"), **options)
    following.load_initial_weights()
    for name, value in following.network.encoder.state_dict().items():
        assert value.equal(module.network.encoder.state_dict()[name])
    wrongs: list[dict[str, Any]] = [{}, {"skips": [8]}, {"skips": [8, 4], "skip_channels": 8}]
    for wrong in wrongs:
        other = ConvLSTMFCNModule(BACKBONE, init_from=str(tmp_path / "fcn.ckpt"), **wrong)
        with pytest.raises(InputError, match="skip"):
            other.load_initial_weights()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skips": (16,)}, r"skips is \[16\], expected .* below the output stride 16"),
        ({"skips": (8, 8)}, "expected different strides"),
        ({"skips": (1,)}, "above 1"),
        ({"skips": (6,)}, "has no features of stride 6 .* only of 2, 4, 8, 16"),
        ({"skips": (8,), "skip_channels": 0}, "skip_channels is 0"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FCN(BACKBONE, **options)
