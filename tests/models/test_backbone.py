"""The timm encoder: shapes, dilations, weights and errors."""

import pickle
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from facemask.errors import InputError
from facemask.models import FCN
from facemask.models.backbone import Encoder, SkipFusion
from facemask.models.description import build, describe

SMALL = "mobilenetv3_small_050"
FAMILIES = {
    "resnet18": 512,
    "regnetx_002": 368,
    "regnety_002": 368,
    "mobilenetv3_small_050": 288,
    "tf_efficientnet_lite0": 320,  # pads its strided convolutions dynamically
    "convnext_atto": 320,
    "rexnet_100": 185,
}


def spatial_convs(module: nn.Module) -> dict[str, nn.Conv2d]:
    return {
        name: m
        for name, m in module.named_modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)
    }


@pytest.fixture(scope="module")
def resnet50() -> Encoder:
    return Encoder("resnet50").eval()


def test_table1_shapes(resnet50: Encoder) -> None:
    """Table 1 at 320 × 320: 160, 79 (here 80: timm pads the pool), 40, 20, 20 pixels."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
        resnet50.body.get_submodule(name).register_forward_hook(
            lambda _m, _x, y, name=name: shapes.__setitem__(name, tuple(y.shape[1:]))
        )
    with torch.no_grad():
        features = resnet50(torch.zeros(1, 3, 320, 320))
    assert shapes == {
        "conv1": (64, 160, 160),
        "layer1": (256, 80, 80),
        "layer2": (512, 40, 40),
        "layer3": (1024, 20, 20),
        "layer4": (2048, 20, 20),
    }
    assert features.shape == (1, 2048, 20, 20)


def test_table1_blocks_and_dilations(resnet50: Encoder) -> None:
    for stage, blocks in zip(range(1, 5), (3, 4, 6, 3), strict=True):
        layer = resnet50.body.get_submodule(f"layer{stage}")
        convs = spatial_convs(layer)
        assert list(convs) == [f"{b}.conv2" for b in range(blocks)]
        dilation = (2, 2) if stage == 4 else (1, 1)
        for conv in convs.values():
            assert (conv.kernel_size, conv.dilation, conv.padding) == ((3, 3), dilation, dilation)


def test_resnet50_has_its_own_parameters_only(resnet50: Encoder) -> None:
    """23.5 M: torchvision's 25,557,032 less the 2048 × 1000 + 1000 of the head."""
    assert sum(p.numel() for p in resnet50.parameters()) == 25_557_032 - 2_049_000
    assert (resnet50.channels, resnet50.stride) == (2048, 16)
    assert not any(name.startswith("body.fc") for name in resnet50.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    encoder = Encoder(name).eval()
    features = encoder(torch.randn(2, 3, 64, 96))
    features.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())  # no unused layer is kept
    assert features.shape == (2, FAMILIES[name], 4, 6)
    assert encoder.channels == FAMILIES[name]
    assert features.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002", "mobilenetv3_small_050"])
def test_all_convolutions_of_a_dilated_stage_are_dilated_alike(name: str) -> None:
    plain = spatial_convs(timm.create_model(name, features_only=True, out_indices=(-1,)))
    here = spatial_convs(Encoder(name).body)
    assert here.keys() == plain.keys()
    strided = [n for n, conv in plain.items() if conv.stride == (2, 2)]
    first = list(plain).index(strided[-1])  # the one that gave up its stride
    for n, conv in list(here.items())[:first]:
        assert (conv.stride, conv.dilation) == (plain[n].stride, (1, 1))
    for conv in list(here.values())[first:]:
        assert (conv.stride, conv.dilation) == ((1, 1), (2, 2))
        assert conv.padding == (conv.kernel_size[0] - 1,) * 2


def test_same_padding_convolution_keeps_the_size_when_dilated() -> None:
    conv = Encoder("tf_efficientnet_lite0").body.get_submodule("blocks.5.0.conv_dw")
    assert isinstance(conv, nn.Conv2d)
    assert conv.dilation == (2, 2)
    assert conv(torch.zeros(1, conv.in_channels, 9, 11)).shape[2:] == (9, 11)


@pytest.mark.parametrize(("stride", "dilations"), [(8, (2, 4)), (32, (1, 1))])
def test_other_strides(stride: int, dilations: tuple[int, int]) -> None:
    encoder = Encoder("resnet18", output_stride=stride).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 64, 64)).shape[2:] == (64 // stride, 64 // stride)
    for stage, dilation in zip((3, 4), dilations, strict=True):
        convs = spatial_convs(encoder.body.get_submodule(f"layer{stage}"))
        assert {c.dilation[0] for c in convs.values()} == {dilation}


@pytest.mark.parametrize("frames", [1, 10, 11, 23])
def test_many_frames_are_encoded_in_parts_of_at_most_ten(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    encoder, clip = Encoder("test_resnet").eval(), torch.randn(1, frames, 3, 32, 32)
    with torch.no_grad(), patch.object(encoder, "encode", wraps=encoder.encode) as encode:
        features = encoder(clip)
    seen = [len(call.args[0]) for call in encode.call_args_list]
    assert sum(seen) == frames
    assert len(seen) == -(-frames // 10)
    assert max(seen) - min(seen) <= 1
    assert features.shape[:2] == (1, frames)
    assert features[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(features, encoder(clip), rtol=0, atol=1e-5)  # gradients: all at once


@pytest.mark.parametrize(
    ("frames", "sizes"), [(7, [7]), (8, [4, 4]), (24, [6, 6, 6, 6]), (23, [5, 6, 6, 6])]
)
def test_two_threads_share_the_parts(
    frames: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, clip = Encoder("test_resnet").eval(), torch.randn(1, frames, 3, 32, 32)
    where: dict[int, tuple[str, torch.dtype]] = {}
    encode = encoder.encode

    def noted(images: torch.Tensor) -> torch.Tensor:
        features = encode(images)
        where[id(images)] = threading.current_thread().name, features.dtype
        seen.append(len(images))
        return features

    seen: list[int] = []
    threads = torch.get_num_threads()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        torch.set_num_threads(1)
        expected = encoder(clip)
        torch.set_num_threads(2)
        monkeypatch.setattr(encoder, "encode", noted)
        try:
            found = encoder(clip)
        finally:
            torch.set_num_threads(threads)
    assert sorted(seen) == sizes
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    assert {dtype for _, dtype in where.values()} == {torch.bfloat16}  # autocast holds there, too
    by_workers = {name.startswith("facemask-worker") for name, _ in where.values()}
    assert by_workers == {len(sizes) > 1}


def test_training_sees_all_frames_at_once() -> None:
    encoder = Encoder("test_resnet").train()
    with torch.no_grad(), patch.object(encoder, "encode", wraps=encoder.encode) as encode:
        encoder(torch.randn(12, 3, 32, 32))
    assert encode.call_count == 1


def test_clip_equals_its_frames_and_is_channels_last() -> None:
    encoder = Encoder("resnet18").eval()
    clips = torch.randn(2, 3, 3, 50, 70)
    with torch.no_grad():
        features = encoder(clips)
        for b in range(2):
            torch.testing.assert_close(features[b], encoder(clips[b]), rtol=0, atol=1e-4)
    assert features.shape == (2, 3, 512, 4, 5)  # sizes round up
    assert features.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    weight = encoder.body.get_submodule("layer1.0.conv1").state_dict()["weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert features.flatten(0, 1).data_ptr() == features.data_ptr()


def test_mean_and_std_are_those_of_the_timm_weights() -> None:
    encoder = Encoder("resnet18")
    assert encoder.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert encoder.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert Encoder("tf_efficientnet_lite0").mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert encoder.mean.shape == encoder.std.shape == (3, 1, 1)
    assert not {"mean", "std"} & encoder.state_dict().keys()


@pytest.mark.parametrize("skips", [(), (8, 4)])
def test_a_file_s_network_is_built_once(
    skips: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = describe(FCN(SMALL, 3, skips=skips))
    build(description)  # the first one of a name looks up timm's plain strides
    create = Mock(side_effect=timm.create_model)
    monkeypatch.setattr(timm, "create_model", create)
    network = build(description)
    assert create.call_count == 1
    seeded = FCN(SMALL, 3, skips=skips)
    for conv, other in zip(
        spatial_convs(network).values(), spatial_convs(seeded).values(), strict=True
    ):
        assert (conv.stride, conv.dilation, conv.padding) == (
            other.stride, other.dilation, other.padding,
        )  # fmt: skip
    network.load_state_dict(seeded.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert network.eval()(images).equal(seeded.eval()(images))


@pytest.mark.parametrize("skips", [(), (8, 4)])
def test_a_seed_gives_the_weights_that_it_always_gave(skips: tuple[int, ...]) -> None:
    torch.manual_seed(7)
    network = FCN(SMALL, 3, skips=skips, skip_channels=4)
    after = torch.get_rng_state()
    torch.manual_seed(7)
    for _ in range(3 if skips else 1):
        body: Any = timm.create_model(SMALL, features_only=True, output_stride=16)
    timm.create_model(SMALL, features_only=True)  # the plain one
    if skips:
        channels = {info["reduction"]: info["num_chs"] for info in body.feature_info.info}
        SkipFusion([channels[4], channels[8], channels[16]], 4)
    classifier = nn.Conv2d(network.encoder.channels, 3, 1)
    assert torch.get_rng_state().equal(after)
    assert network.classifier.weight.equal(classifier.weight)
    found = network.encoder.body.state_dict()
    assert all(found[name].equal(value) for name, value in body.state_dict().items())


@pytest.mark.parametrize("name", ["vgg16", "swin_tiny_patch4_window7_224"])
def test_model_without_the_stride(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' at .*output stride 16.*such as resnet50"):
        Encoder(name)


def test_stride_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="output stride 12"):
        Encoder("resnet18", output_stride=12)


def test_unknown_model() -> None:
    with pytest.raises(InputError, match=r"'resnet5'; did you mean .*resnet50"):
        Encoder("resnet5")
    with pytest.raises(InputError, match=r"'\$\$\$'; see timm.list_models"):
        Encoder("$$$")


def test_unknown_weights_tag() -> None:
    with pytest.raises(InputError, match=r"resnet18\.nobodys"):
        Encoder("resnet18.nobodys")


def test_pretrained_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"'resnet18' could not be downloaded.*pretrained=PATH"):
        Encoder("resnet18", pretrained=True)


def test_wrong_images(resnet50: Encoder) -> None:
    for shape in ((3, 8, 8), (1, 1, 8, 8), (1, 8, 8, 3), (1, 1, 1, 3, 8, 8)):
        with pytest.raises(InputError, match=r"give \(B, 3, H, W\) or \(B, T, 3, H, W\)"):
            resnet50(torch.zeros(shape))
    with pytest.raises(InputError, match=r"torch.uint8: divide them by 255"):
        resnet50(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def full_model(name: str) -> nn.Module:
    """A whole timm model whose BatchNorm statistics are no default."""
    model: nn.Module = timm.create_model(name, num_classes=7)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return model


# timm's feature wrapper keeps the names of the first two and renames the third's stages.3 stages_3.
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "convnext_atto"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_local_checkpoint(name: str, suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = full_model(name).eval()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(model.state_dict(), path)
    else:
        torch.save({"state_dict": model.state_dict(), "epoch": 3}, path)
    # At stride 32 nothing is dilated, so features are those of timm's own model and wrapper.
    encoder = Encoder(name, pretrained=path, output_stride=32).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = model.forward_features(images)  # type: ignore[operator]
        torch.testing.assert_close(encoder(images), expected, rtol=1e-3, atol=1e-3)
        random = Encoder(name, output_stride=32).eval()
        assert not torch.allclose(random(images), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_local_checkpoint_every_tensor(suffix: str, tmp_path: Path) -> None:
    model = full_model("resnet18")
    path = tmp_path / f"weights{suffix}"
    prefixed = {f"module.{k}": v for k, v in model.state_dict().items()}  # saved under DDP
    torch.save(prefixed, path)
    encoder = Encoder("resnet18", pretrained=str(path))
    whole = model.state_dict()
    loaded = encoder.body.state_dict()
    assert whole.keys() - loaded.keys() == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in loaded.items())
    again = tmp_path / "encoder.pth"  # an encoder's own state_dict is accepted too
    torch.save(encoder.body.state_dict(), again)
    reloaded = Encoder("resnet18", pretrained=again).body.state_dict()
    assert all(torch.equal(reloaded[name], tensor) for name, tensor in loaded.items())


def test_checkpoint_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("regnetx_002").state_dict(), path)
    with pytest.raises(InputError, match=r"of 120 tensors 100 are missing .*'conv1.weight'"):
        Encoder("resnet18", pretrained=path)
    torch.save(timm.create_model("resnet26").state_dict(), path)
    with pytest.raises(InputError, match=r"\d+ have another shape"):
        Encoder("resnet18", pretrained=path)


def test_checkpoint_with_one_tensor_missing(tmp_path: Path) -> None:
    path = tmp_path / "part.pth"
    state = timm.create_model("resnet18").state_dict()
    del state["layer4.1.bn2.running_var"]
    torch.save(state, path)
    with pytest.raises(InputError, match=r"1 are missing and 0 .*'layer4.1.bn2.running_var'"):
        Encoder("resnet18", pretrained=path)


class Malice:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_pickled_code_is_refused_and_not_run(tmp_path: Path) -> None:
    target, path = tmp_path / "was_run", tmp_path / "malicious.pth"
    state = timm.create_model("resnet18").state_dict()
    torch.save({"state_dict": state, "extra": Malice(target)}, path)
    with pytest.raises(InputError, match="which could run code"):
        Encoder("resnet18", pretrained=path)
    assert not target.exists()
    with path.open("rb") as file:  # the same file does run code where it is allowed to
        torch.load(file, weights_only=False)
    assert target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"hello world", b"\x80\x02X", pickle.dumps([1, 2], protocol=2)]
)
def test_file_that_is_no_checkpoint(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"broken{suffix}"):
        Encoder("resnet18", pretrained=path)


def test_checkpoint_without_weights(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(3)], path)
    with pytest.raises(InputError, match="holds a list, expected a state_dict"):
        Encoder("resnet18", pretrained=path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth: no such checkpoint"):
        Encoder("resnet18", pretrained=tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match="no such checkpoint"):
        Encoder("resnet18", pretrained=tmp_path)
