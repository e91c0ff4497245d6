"""Saved cascades and cascades from checkpoints."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from facemask.confidence import ConfidenceFit
from facemask.errors import InputError
from facemask.models import FCN, Cascade, CascadeOutput, CascadeSettings, ConvLSTMFCN
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.models.oracles import Oracle, make_clip

BACKBONE = "mobilenetv3_small_050"
OPTIONS = CascadeSettings(size=64, mouth_margin=1.7, refine_each_eye=True, temperature=0.5)


def trained(network: nn.Module) -> nn.Module:
    """Weights and statistics as different as training would leave them, in eval mode."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if "running_mean" in name or "bias" in name:
            value.normal_(0, 0.1)
        elif "classifier.weight" in name or "weight_input" in name:
            value.normal_()
    return network.eval()


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(
        trained(ConvLSTMFCN(BACKBONE, 5, kernel_size=3, peephole=False)),
        trained(FCN(BACKBONE, 2, output_stride=8)),
        trained(ConvLSTMFCN(BACKBONE, 3, peephole_size=(4, 4))),
        OPTIONS,
    ).eval()


@pytest.fixture
def saved(cascade: Cascade, tmp_path: Path) -> Path:
    cascade.save(tmp_path / "cascade.safetensors")
    return tmp_path / "cascade.safetensors"


def run(cascade: Cascade, clips: list[list[Tensor]]) -> CascadeOutput:
    with torch.inference_mode():
        output: CascadeOutput = cascade(clips, probabilities=True)
    return output


def same(one: CascadeOutput, other: CascadeOutput) -> bool:
    assert one.probabilities is not None
    assert other.probabilities is not None
    return all(
        torch.equal(a, b)
        for mine, theirs in ((one.labels, other.labels), (one.probabilities, other.probabilities))
        for clip, copy in zip(mine, theirs, strict=True)
        for a, b in zip(clip, copy, strict=True)
    )


def test_round_trip_is_exact(cascade: Cascade, saved: Path) -> None:
    loaded = Cascade.load(saved)
    assert loaded.settings == OPTIONS
    assert not loaded.training
    assert [type(n) for n in loaded.networks().values()] == [ConvLSTMFCN, FCN, ConvLSTMFCN]
    copies = loaded.state_dict()
    for name, value in cascade.state_dict().items():
        assert torch.equal(copies[name], value), name
    clips = [make_clip(90, 100, 2, seed)[0] for seed in (0, 1)]
    assert same(run(cascade, clips), run(loaded, clips))
    # and with a primary that finds eyes and mouth, so that all networks are asked
    for each in (cascade, loaded):
        assert each.eyes is not None
    oracle = [Cascade(Oracle("face"), c.eyes, c.mouth, OPTIONS).eval() for c in (cascade, loaded)]
    outputs = [run(c, clips) for c in oracle]
    assert outputs[0].found["mouth"].all()
    assert same(*outputs)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]  # nothing temporary is left


def test_the_file_says_what_it_holds(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        content = json.loads(file.metadata()["facemask_cascade"])
        prefixes = {key.partition(".")[0] for key in file.keys()}  # noqa: SIM118
    assert prefixes == {"primary", "eyes", "mouth"}
    assert content["format_version"] == 1
    assert content["class_names"]["mouth"] == ["background", "lips", "inner_mouth"]
    assert content["networks"]["primary"] == {
        "network": "ConvLSTMFCN",
        "backbone": BACKBONE,
        "output_stride": 16,
        "num_classes": 5,
        "kernel_size": 3,
        "peephole": False,
        "peephole_size": None,
        "cell_activation": "linear",
        "gate_activation": "sigmoid",
        "mean": [pytest.approx(value) for value in (0.485, 0.456, 0.406)],  # timm's of ImageNet
        "std": [pytest.approx(value) for value in (0.229, 0.224, 0.225)],
    }
    assert content["networks"]["mouth"]["peephole_size"] == [4, 4]
    assert content["settings"]["mouth_margin"] == 1.7


def test_each_network_keeps_its_normalisation(cascade: Cascade, saved: Path) -> None:
    mean = cast("Any", cascade.networks()["mouth"]).mean
    mean.copy_(torch.tensor([0.25, 0.5, 0.125]).view(3, 1, 1))  # as of another version of timm
    cascade.save(saved)
    loaded = Cascade.load(saved).networks()
    means = {name: cast("Any", loaded[name]).mean.flatten().tolist() for name in loaded}
    assert means["mouth"] == [0.25, 0.5, 0.125]
    assert means["eyes"] == pytest.approx([0.485, 0.456, 0.406])
    old = rewrite(saved, lambda content, _: content["networks"]["mouth"].pop("mean"))
    again = cast("Any", Cascade.load(old).networks()["mouth"])  # the file does not say it
    assert again.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_the_fit_of_the_confidence_is_kept(cascade: Cascade, tmp_path: Path) -> None:
    fit = ConfidenceFit((0.1, -0.2, 0.3, -1.0), (0.9, 1.1, 1.0, 1.5), (1.0, 1.0, 0.9, 0.2))
    settings = replace(OPTIONS, confidence=fit)
    path = tmp_path / "fitted.safetensors"
    Cascade(cascade.primary, settings=settings).save(path)
    assert Cascade.load(path).settings == settings


def test_a_file_from_before_there_was_a_confidence(saved: Path) -> None:
    older = rewrite(saved, lambda content, _: content["settings"].pop("confidence"))
    assert Cascade.load(older).settings == OPTIONS


def test_half_precision_halves_the_file(cascade: Cascade, saved: Path, tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        cascade.save(tmp_path / "half.safetensors", dtype=dtype)
        assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * saved.stat().st_size
        loaded = Cascade.load(tmp_path / "half.safetensors", device="cpu")
        copies = loaded.state_dict()
        for name, value in cascade.state_dict().items():
            assert copies[name].dtype == value.dtype
            stored = value.to(dtype) if value.is_floating_point() else value
            assert torch.equal(copies[name], stored.to(value.dtype)), name


def test_primary_alone(tmp_path: Path) -> None:
    Cascade(trained(FCN(BACKBONE)), settings=OPTIONS).save(tmp_path / "one.safetensors")
    loaded = Cascade.load(tmp_path / "one.safetensors")
    assert loaded.eyes is None
    assert list(loaded.networks()) == ["primary"]


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match="A cascade with a Oracle cannot be saved"):
        Cascade(Oracle("face")).save(path)
    network = FCN(BACKBONE)
    with pytest.raises(InputError, match="cannot be saved as torch"):
        Cascade(network).save(path, dtype=torch.int8)
    network.state_dict()["classifier.weight"][0] = 1e6
    with pytest.raises(InputError, match=r"primary.classifier.weight has values too large for flo"):
        Cascade(network).save(path, dtype=torch.float16)
    with pytest.raises(InputError, match="cannot write"):
        Cascade(network).save(tmp_path / "none" / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object]) -> Path:
    """A copy of a saved cascade with another description or other tensors."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["facemask_cascade"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(content, tensors)
    other = path.with_name("other.safetensors")
    safetensors.torch.save_file(tensors, other, {"facemask_cascade": json.dumps(content)})
    return other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, _: c.update(format_version=2), "of format version 2, and this facemask .* 1"),
        (lambda c, _: c.pop("format_version"), "of format version None"),
        (lambda c, _: c.pop("networks"), "description of networks and settings is damaged"),
        (lambda c, _: c.update(networks=[]), "description of networks and settings is damaged"),
        (lambda c, _: c["settings"].update(zoom=3), "description of networks and settings is dam"),
        (lambda c, _: c["settings"].update(size=-1), "size is -1"),
        (lambda c, _: c["settings"].update(confidence={"slope": [1]}), "confidence's slope is"),
        (lambda c, _: c["settings"].update(confidence={"a": [1]}), "and settings is damaged"),
        (lambda c, _: c["settings"].update(confidence=[1]), "and settings is damaged"),
        (lambda c, _: c["networks"]["eyes"].update(num_classes="2"), "is damaged"),
        (lambda c, _: c["networks"]["eyes"].update(std=[1, 2]), r"std is \[1, 2\], expected three"),
        (lambda c, _: c["networks"]["eyes"].update(network="UNet"), "cannot build a 'UNet'"),
        (lambda c, _: c["networks"]["eyes"].update(num_classes=3), "have another shape"),
        (lambda c, _: c["networks"].pop("primary"), "has no primary network"),
        (lambda c, _: c["networks"].update(nose={}), "is damaged"),
        (lambda c, _: c["class_names"].update(eyes=["background", "iris"]), "background, iris, ex"),
        (lambda _, t: t.pop("eyes.classifier.weight"), "1 are missing"),
    ],
)
def test_wrong_content(
    saved: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object], message: str
) -> None:
    other = rewrite(saved, change)
    with pytest.raises(InputError, match=message) as error:
        Cascade.load(other)
    assert "\n" not in str(error.value)


def test_wrong_files(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.safetensors: no such file"):
        Cascade.load(tmp_path / "none.safetensors")
    data = saved.read_bytes()
    for cut in (0, 5, 1000, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:cut])
        with pytest.raises(InputError, match="cut: is no safetensors file, or a damaged or trunc"):
            Cascade.load(tmp_path / "cut")
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="is no safetensors file"):
        Cascade.load(tmp_path / "x.ckpt")
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="holds tensors, but not those of a cascade"):
        Cascade.load(tmp_path / "other.safetensors")
    for text in ("{", "[]", "null"):
        safetensors.torch.save_file(
            {"a": torch.ones(2)}, tmp_path / "other.safetensors", {"facemask_cascade": text}
        )
        with pytest.raises(InputError, match="not those of a cascade"):
            Cascade.load(tmp_path / "other.safetensors")


def checkpoint(path: Path, module: FCNModule | ConvLSTMFCNModule, **changes: object) -> Path:
    """What Lightning writes, as far as it matters here."""
    content: dict[str, Any] = {"state_dict": module.state_dict(), "epoch": 3}
    module.on_save_checkpoint(content)
    content["facemask"] |= changes
    torch.save(content, path)
    return path


def test_from_checkpoints(tmp_path: Path) -> None:
    modules: list[FCNModule | ConvLSTMFCNModule] = [
        ConvLSTMFCNModule(BACKBONE, kernel_size=3, peephole=False),
        FCNModule(BACKBONE, num_classes=2, output_stride=8),
        ConvLSTMFCNModule(BACKBONE, num_classes=3),
    ]
    regions = ("face", "eyes", "mouth")
    for module in modules:
        trained(module.network)
    paths = [
        checkpoint(tmp_path / f"{region}.ckpt", module, region=region)
        for region, module in zip(regions, modules, strict=True)
    ]
    cascade = Cascade.from_checkpoints(paths[0], paths[1], paths[2], OPTIONS)
    assert not cascade.training
    assert cascade.settings == OPTIONS
    for module, network in zip(modules, cascade.networks().values(), strict=True):
        assert type(network) is type(module.network)
        copies = network.state_dict()
        for name, value in module.network.state_dict().items():
            assert torch.equal(copies[name], value)
    mouth_only = Cascade.from_checkpoints(paths[0], mouth=str(paths[2]))
    assert list(mouth_only.networks()) == ["primary", "mouth"]
    assert mouth_only.settings == CascadeSettings()

    with pytest.raises(InputError, match=r"mouth.ckpt: holds a model of the region 'mouth', expe"):
        Cascade.from_checkpoints(paths[0], eyes=paths[2])
    with pytest.raises(InputError, match=r"eyes.ckpt: .*region 'eyes', expected 'face'"):
        Cascade.from_checkpoints(paths[1])
    with pytest.raises(InputError, match="no such checkpoint"):
        Cascade.from_checkpoints(tmp_path / "none.ckpt")


def test_wrong_checkpoints(tmp_path: Path) -> None:
    module = FCNModule(BACKBONE, num_classes=3)
    path = checkpoint(tmp_path / "x.ckpt", module, region="eyes")
    with pytest.raises(InputError, match=r"3 classes, expected 2 \(background, eyes\)"):
        Cascade.from_checkpoints(checkpoint(tmp_path / "face.ckpt", FCNModule(BACKBONE)), eyes=path)
    first = torch.load(tmp_path / "face.ckpt", weights_only=True)
    first["facemask"].pop("region", None)  # the first checkpoints do not say it
    torch.save(first, tmp_path / "first.ckpt")
    assert list(Cascade.from_checkpoints(tmp_path / "first.ckpt").networks()) == ["primary"]
    first["facemask"].pop("backbone")
    torch.save(first, tmp_path / "first.ckpt")
    with pytest.raises(InputError, match="description of the network is damaged"):
        Cascade.from_checkpoints(tmp_path / "first.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match=r"foreign.ckpt: was not written by facemask"):
        Cascade.from_checkpoints(tmp_path / "foreign.ckpt")
    missing = checkpoint(tmp_path / "missing.ckpt", FCNModule(BACKBONE))
    content = torch.load(missing, weights_only=True)
    content["state_dict"].pop("network.classifier.bias")
    torch.save(content, missing)
    with pytest.raises(InputError, match=r"missing.ckpt: does not fit the FCN: .* 1 are missing"):
        Cascade.from_checkpoints(missing)
