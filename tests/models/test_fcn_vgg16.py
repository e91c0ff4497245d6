"""FCN-VGG16: its layers, what a score sees, and weights of VGG-16."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]

from facemask.errors import InputError
from facemask.models import FCNVGG16
from facemask.models.baselines.vgg16 import VGG16
from tests.models.vgg16 import make_positive, seen_columns, vgg16_weights


@pytest.fixture(scope="module")
def model() -> FCNVGG16:
    torch.manual_seed(0)
    return FCNVGG16(base_channels=2, fc_channels=6).eval()


def test_parameters() -> None:
    """VGG-16's 138,357,544 less its last layer's 4,097,000, and the classifier."""
    with torch.device("meta"):
        model = FCNVGG16()
    by_hand = 14_714_688 + (25088 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 5 + 5)
    assert by_hand == 138_357_544 - 4_097_000 + 20_485
    assert sum(p.numel() for p in model.parameters()) == by_hand == 134_281_029


@pytest.mark.parametrize(
    ("size", "small"), [((320, 320), (10, 10)), ((64, 96), (2, 3)), ((65, 83), (3, 3)),
                        ((1, 33), (1, 2))],
)  # fmt: skip
def test_scores_are_upsampled_bilinearly(
    model: FCNVGG16, size: tuple[int, int], small: tuple[int, int]
) -> None:
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        features = model.encoder(images)
        coarse = F.conv2d(features, model.classifier.weight, model.classifier.bias)
        expected = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        scores = model(images)
    assert features.shape == (2, 6, *small)
    assert scores.shape == (2, 5, *size)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)


def test_clips_are_scored_frame_by_frame(model: FCNVGG16) -> None:
    clips = torch.randn(2, 3, 3, 48, 64)
    with torch.no_grad():
        scores = model(clips)
        for b in range(2):
            torch.testing.assert_close(scores[b], model(clips[b]), rtol=0, atol=1e-4)
    assert scores.shape == (2, 3, 5, 48, 64)
    assert not torch.allclose(scores[0, 0], scores[0, 1], atol=1e-3)


def test_a_score_sees_404_pixels_around_its_centre() -> None:
    model = FCNVGG16(base_channels=1, fc_channels=1).eval()
    make_positive(model)
    for i in (14, 15):  # feature i is centred on the edge between these two
        left, right = 32 * i + 15, 32 * i + 16
        assert seen_columns(model, model.classifier, 960, i) == (right - 202, left + 202)


def test_dropout_in_training_only(model: FCNVGG16) -> None:
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        model.train()
        assert not torch.equal(model(images), model(images))
    model.eval()


def test_gradients_and_half_precision() -> None:
    torch.manual_seed(1)
    model = FCNVGG16(num_classes=3, base_channels=4, fc_channels=16)
    with torch.autocast("cpu", torch.bfloat16):
        scores = model(torch.randn(2, 3, 64, 64))
    assert scores.dtype == torch.float32
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.classifier.weight.grad is not None
    assert model.classifier.weight.grad.any()


def test_convolutions_equal_the_linear_layers(tmp_path: Path) -> None:
    weights = vgg16_weights(base=4, fc=10)
    torch.save(weights, tmp_path / "vgg16.pth")
    model = FCNVGG16(pretrained=tmp_path / "vgg16.pth", base_channels=4, fc_channels=10).eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        x = images
        pools = {2, 7, 14, 21, 28}
        for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
            name = f"features.{index}"
            x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu()
            x = F.max_pool2d(x, 2) if index in pools else x
        assert x.shape == (2, 32, 7, 7)
        x = x.flatten(1)
        for index in (0, 3):
            name = f"classifier.{index}"
            x = F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]).relu()
        features = model.encoder(images)
    assert x.abs().max() > 0.1
    torch.testing.assert_close(features[:, :, 3, 3], x, rtol=1e-4, atol=1e-5)


def test_the_same_weights_from_timm(tmp_path: Path) -> None:
    """timm has convolutions too, by other names."""
    weights = vgg16_weights(base=2, fc=6)
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "torchvision.pth")
    for here, there, shape in (("classifier.0", "pre_logits.fc1", (6, 16, 7, 7)),
                               ("classifier.3", "pre_logits.fc2", (6, 6, 1, 1))):  # fmt: skip
        weights[f"{there}.weight"] = weights.pop(f"{here}.weight").reshape(shape)
        weights[f"{there}.bias"] = weights.pop(f"{here}.bias")
    safetensors.torch.save_file(weights, tmp_path / "timm.safetensors")
    one, other = (
        FCNVGG16(pretrained=str(tmp_path / name), base_channels=2, fc_channels=6).encoder
        for name in ("torchvision.pth", "timm.safetensors")
    )
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert torch.equal(one.fc6.weight, weights["pre_logits.fc1.weight"])


def test_names_and_shapes_are_those_of_timm_and_torchvision() -> None:
    with torch.device("meta"):
        ours = FCNVGG16().encoder.state_dict()
        theirs = timm.create_model("vgg16").state_dict()
        linear = torchvision.models.vgg16().state_dict()
    renamed = {"fc6": ("pre_logits.fc1", "classifier.0"), "fc7": ("pre_logits.fc2", "classifier.3")}
    for name, value in ours.items():
        layer, _, part = name.rpartition(".")
        in_timm, in_torchvision = renamed.get(layer, (layer, layer))
        assert theirs[f"{in_timm}.{part}"].shape == value.shape
        assert linear[f"{in_torchvision}.{part}"].numel() == value.numel()
    assert len(ours) == len(theirs) - 2 == len(linear) - 2


def test_pretrained_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with (
        pytest.raises(InputError, match=r"'vgg16' could not be downloaded.*pretrained=PATH"),
        torch.device("meta"),
    ):
        FCNVGG16(pretrained=True)


def test_wrong_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of VGG-16 with base_channels=64 and, in FCN-VGG16, fc"):
        FCNVGG16(pretrained=True, base_channels=2)
    with pytest.raises(InputError, match="fc_channels=4096 only"), torch.device("meta"):
        FCNVGG16(pretrained=True, fc_channels=16)
    with pytest.raises(InputError, match=r"none\.pth: no such checkpoint"):
        FCNVGG16(pretrained=tmp_path / "none.pth", base_channels=2, fc_channels=6)
    path = tmp_path / "x.pth"
    torch.save(vgg16_weights(base=2, fc=6), path)
    with pytest.raises(InputError, match=r"x.pth: does not fit the VGG16: .* 4 have another shape"):
        FCNVGG16(pretrained=path, base_channels=2, fc_channels=7)
    weights = vgg16_weights(base=2, fc=6)
    del weights["features.28.bias"]
    torch.save(weights, path)
    with pytest.raises(InputError, match=r"1 are missing and 0 .*'features.28.bias'"):
        FCNVGG16(pretrained=path, base_channels=2, fc_channels=6)
    weights = vgg16_weights(base=2, fc=6)
    weights["classifier.0.weight"] = torch.zeros(6, 100)  # not of a 7 × 7 map
    torch.save(weights, path)
    with pytest.raises(InputError, match=r"0 are missing and 1 have another shape, first 'fc6.wei"):
        FCNVGG16(pretrained=path, base_channels=2, fc_channels=6)


def test_wrong_numbers_and_images(model: FCNVGG16) -> None:
    with pytest.raises(InputError, match="FCNVGG16 got num_classes=0: give at least 1"):
        FCNVGG16(num_classes=0, base_channels=2, fc_channels=6)
    with pytest.raises(InputError, match="VGG-16 got base_channels=0: give at least 1"):
        FCNVGG16(base_channels=0)
    with pytest.raises(InputError, match="VGG-16 got fc_channels=-1: give at least 1"):
        FCNVGG16(base_channels=2, fc_channels=-1)
    with pytest.raises(InputError, match=r"torch.uint8: divide them by 255"):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    for shape in ((3, 32, 32), (1, 1, 32, 32), (1, 1, 1, 3, 32, 32)):
        with pytest.raises(InputError, match=r"give \(B, 3, H, W\) or \(B, T, 3, H, W\)"):
            model(torch.zeros(shape))


def test_mean_and_std_are_imagenets() -> None:
    encoder = VGG16(base_channels=1)
    assert encoder.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert encoder.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert encoder.mean.shape == encoder.std.shape == (3, 1, 1)
    assert not {"mean", "std"} & encoder.state_dict().keys()
    network = FCNVGG16(base_channels=1, fc_channels=1)
    assert network.mean is network.encoder.mean
    assert network.std is network.encoder.std
