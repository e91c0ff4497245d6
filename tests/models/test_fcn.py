"""FCN: scores, their size and their parts."""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F

from facemask.errors import InputError
from facemask.models import FCN


@pytest.fixture(scope="module")
def model() -> FCN:
    torch.manual_seed(0)
    return FCN("resnet18", num_classes=5).eval()


def test_resnet50_table1() -> None:
    """Conv6 is 20 × 20 × C and UpSampling 320 × 320 × C."""
    model = FCN().eval()
    shapes = []
    model.classifier.register_forward_hook(lambda _m, _x, y: shapes.append(y.shape))
    with torch.no_grad():
        scores = model(torch.zeros(1, 3, 320, 320))
    assert shapes == [(1, 5, 20, 20)]
    assert scores.shape == (1, 5, 320, 320)
    assert model.classifier.weight.shape == (5, 2048, 1, 1)
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + 2048 * 5 + 5


@pytest.mark.parametrize("size", [(64, 96), (65, 83), (320, 16)])
def test_scores_are_upsampled_bilinearly(model: FCN, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        small = F.conv2d(model.encoder(images), model.classifier.weight, model.classifier.bias)
        expected = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
        scores = model(images)
    assert scores.shape == (2, 5, *size)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)


def test_clips_are_scored_frame_by_frame(model: FCN) -> None:
    clips = torch.randn(2, 3, 3, 48, 64)
    with torch.no_grad():
        scores = model(clips)
        for b in range(2):
            torch.testing.assert_close(scores[b], model(clips[b]), rtol=0, atol=1e-4)
    assert scores.shape == (2, 3, 5, 48, 64)
    assert not torch.allclose(scores[0, 0], scores[0, 1], atol=1e-3)


def test_number_of_classes_and_gradients() -> None:
    model = FCN("mobilenetv3_small_050", num_classes=3)
    scores = model(torch.randn(2, 3, 32, 48))
    assert scores.shape == (2, 3, 32, 48)
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.classifier.parameters())
    assert all(p.grad is not None for p in model.encoder.parameters())  # no layer is left over


def test_autocast_gives_float32_scores(model: FCN) -> None:
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model(images)
    with torch.no_grad():
        expected = model(images)
    assert scores.dtype == torch.float32
    scale = expected.abs().max().item()
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.05 * scale)


def test_mean_and_std_follow_the_model(model: FCN) -> None:
    assert model.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert model.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert FCN("mobilenetv3_small_050").to("meta").mean.device.type == "meta"


def test_pretrained_and_stride_reach_the_encoder(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    weights = timm.create_model("resnet18").state_dict()
    torch.save(weights, path)
    model = FCN("resnet18", pretrained=path, output_stride=8).eval()
    assert model.encoder.state_dict()["body.conv1.weight"].equal(weights["conv1.weight"])
    with torch.no_grad():
        assert model.encoder(torch.zeros(1, 3, 64, 64)).shape[2:] == (8, 8)
        assert model(torch.zeros(1, 3, 64, 64)).shape[2:] == (64, 64)


def test_errors(model: FCN) -> None:
    with pytest.raises(InputError, match="num_classes=0"):
        FCN("resnet18", num_classes=0)
    with pytest.raises(InputError, match="did you mean"):
        FCN("resnet19")
    with pytest.raises(InputError, match="divide them by 255"):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
