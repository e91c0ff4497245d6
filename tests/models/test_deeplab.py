"""DeepLab-v2: its layers, what each branch sees, and where its scores lie."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facemask.errors import InputError
from facemask.models import DeepLab
from tests.models.vgg16 import make_positive, seen_columns, vgg16_weights


@pytest.fixture(scope="module")
def model() -> DeepLab:
    torch.manual_seed(0)
    model = DeepLab(base_channels=2, fc_channels=6).eval()
    for branch in model.classifier.branches:
        nn.init.normal_(branch.get_submodule("6").get_parameter("weight"))  # scores unlike 0
    return model


def test_parameters() -> None:
    with torch.device("meta"):
        model = DeepLab()
    branch = (9 * 512 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 5 + 5)
    assert sum(p.numel() for p in model.parameters()) == 14_714_688 + 4 * branch == 37_812_052


def test_pools_and_dilations(model: DeepLab) -> None:
    pools = [m for m in model.encoder.features if isinstance(m, nn.MaxPool2d)]
    assert [(p.kernel_size, p.stride, p.padding) for p in pools] == [
        (3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1),
    ]  # fmt: skip
    convolutions = [m for m in model.encoder.features if isinstance(m, nn.Conv2d)]
    assert [c.dilation for c in convolutions] == [(1, 1)] * 10 + [(2, 2)] * 3
    assert all(c.padding == c.dilation for c in convolutions)
    branches = [[m for m in b.modules() if isinstance(m, nn.Conv2d)]
                for b in model.classifier.branches]  # fmt: skip
    assert [[c.kernel_size[0] for c in branch] for branch in branches] == [[3, 1, 1]] * 4
    assert [branch[0].dilation[0] for branch in branches] == [6, 12, 18, 24]
    assert all(branch[0].padding == branch[0].dilation for branch in branches)
    assert (model.encoder.stride, model.encoder.channels) == (8, 16)


def test_what_each_branch_sees() -> None:
    """227 pixels after pool5, and 16 more for each unit of the rate."""
    model = DeepLab(base_channels=1, fc_channels=1).eval()
    make_positive(model)
    assert seen_columns(model, model.encoder, 801, 50) == (400 - 113, 400 + 113)
    for branch, size in zip(model.classifier.branches, (323, 419, 515, 611), strict=True):
        half = size // 2
        assert seen_columns(model, branch, 801, 50) == (8 * 50 - half, 8 * 50 + half)
        assert seen_columns(model, branch, 801, 49) == (8 * 49 - half, 8 * 49 + half)


@pytest.mark.parametrize(
    ("size", "small"), [((320, 320), (41, 41)), ((321, 64), (41, 9)), ((65, 83), (9, 12)),
                        ((1, 7), (1, 2))],
)  # fmt: skip
def test_scores_lie_where_they_were_computed(
    model: DeepLab, size: tuple[int, int], small: tuple[int, int]
) -> None:
    images = torch.randn(1, 3, *size)
    coarse: list[torch.Tensor] = []
    handle = model.classifier.register_forward_hook(lambda _m, _x, y: coarse.append(y))
    with torch.no_grad():
        scores = model(images)
    handle.remove()
    assert coarse[0].shape == (1, 5, *small)
    assert scores.shape == (1, 5, *size)
    every_eighth = scores[..., ::8, ::8]
    expected = coarse[0][..., : every_eighth.shape[-2], : every_eighth.shape[-1]]
    torch.testing.assert_close(every_eighth, expected, rtol=1e-4, atol=1e-4)
    if size[1] > 12:  # and in between, linearly
        between = 0.75 * scores[..., 0, 8] + 0.25 * scores[..., 0, 16]
        torch.testing.assert_close(scores[..., 0, 10], between, rtol=1e-4, atol=1e-4)


def test_branches_are_summed(model: DeepLab) -> None:
    features = torch.randn(2, 16, 9, 7)
    with torch.no_grad():
        expected = torch.zeros(2, 5, 9, 7)
        for rate, branch in zip((6, 12, 18, 24), model.classifier.branches, strict=True):
            x = features
            for index, options in ((0, {"padding": rate, "dilation": rate}), (3, {}), (6, {})):
                weight = branch.get_parameter(f"{index}.weight")
                x = F.conv2d(x, weight, branch.get_parameter(f"{index}.bias"), **options)
                x = x if index == 6 else x.clamp_min(0)
            expected += x
        scores = model.classifier(features)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


def test_padding_is_the_mean_colour(model: DeepLab) -> None:
    images = torch.randn(1, 3, 20, 30)
    padded = F.pad(images, (0, 3, 0, 5))  # to 25 × 33
    with torch.no_grad():
        whole = model(padded)
        torch.testing.assert_close(model(images), whole[..., :20, :30], rtol=0, atol=1e-4)


def test_clips_are_scored_frame_by_frame(model: DeepLab) -> None:
    clips = torch.randn(2, 3, 3, 48, 61)
    with torch.no_grad():
        scores = model(clips)
        for b in range(2):
            torch.testing.assert_close(scores[b], model(clips[b]), rtol=0, atol=1e-4)
    assert scores.shape == (2, 3, 5, 48, 61)
    assert not torch.allclose(scores[0, 0], scores[0, 1], atol=1e-3)


def test_gradients_and_half_precision() -> None:
    torch.manual_seed(1)
    model = DeepLab(num_classes=3, base_channels=4, fc_channels=16)
    with torch.autocast("cpu", torch.bfloat16):
        scores = model(torch.randn(2, 3, 33, 33))
    assert scores.dtype == torch.float32
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_of_the_convolutions(tmp_path: Path) -> None:
    weights = vgg16_weights(base=2, fc=6)
    path = tmp_path / "vgg16.pth"
    torch.save(weights, path)
    model = DeepLab(pretrained=path, base_channels=2, fc_channels=5)
    names = [name for name in weights if name.startswith("features.")]
    assert model.encoder.state_dict().keys() == set(names)
    for name in names:
        assert torch.equal(model.encoder.state_dict()[name], weights[name]), name
    with pytest.raises(InputError, match=r"vgg16.pth: does not fit the VGG16: of 26 tensors"):
        DeepLab(pretrained=path, base_channels=3, fc_channels=5)


def test_pretrained_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with (
        pytest.raises(InputError, match=r"'vgg16' could not be downloaded.*pretrained=PATH"),
        torch.device("meta"),
    ):
        DeepLab(pretrained=True, fc_channels=8)


def test_wrong_numbers_and_images(model: DeepLab) -> None:
    with pytest.raises(InputError, match="DeepLab got num_classes=0: give at least 1"):
        DeepLab(num_classes=0, base_channels=2, fc_channels=6)
    with pytest.raises(InputError, match="DeepLab got fc_channels=0: give at least 1"):
        DeepLab(base_channels=2, fc_channels=0)
    with pytest.raises(InputError, match="VGG-16 got base_channels=-2: give at least 1"):
        DeepLab(base_channels=-2)
    with pytest.raises(InputError, match=r"torch.uint8: divide them by 255"):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    for shape in ((3, 32, 32), (1, 1, 32, 32), (1, 1, 1, 3, 32, 32), (3,)):
        with pytest.raises(InputError, match=r"give \(B, 3, H, W\) or \(B, T, 3, H, W\)"):
            model(torch.zeros(shape))
