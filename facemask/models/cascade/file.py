"""Cascades as files, and networks from training's checkpoints."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from facemask import __version__
from facemask.checkpoints import load_weights, unreadable, weights_below
from facemask.confidence import ConfidenceFit
from facemask.errors import InputError, cause_of
from facemask.files import write_atomic
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.description import BUILDABLE, USE_KEY, build, describe, take_cell
from facemask.models.normalisation import describe_normalisation, take_normalisation
from facemask.models.sharing import CARD_KEY
from facemask.origin import KEY as ORIGINS
from facemask.origin import Origin, describe_origins, origin_beside, origins_of, read_origins
from facemask.regions import REGIONS, Region

FORMAT_VERSION: Final = 1
KEY: Final = "facemask_cascade"
"""Key of the JSON in the file's metadata."""
ROLES: Final[dict[str, Region]] = {"primary": "face", "eyes": "eyes", "mouth": "mouth"}
"""Region of each of a cascade's networks."""
_DTYPES: Final = (None, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class CascadeHeader:
    """Facts that a cascade's file says before its tensors.

    Attributes:
        content: The JSON that `write_cascade` describes.
        card: The model card in Markdown, if there is one.
        dtypes: Those of its floating-point tensors, in safetensors' words: "F32", "F16", "BF16".
    """

    content: dict[str, Any]
    card: str | None
    dtypes: list[str]

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Weights and data that the networks come from; empty where the file does not say it."""
        return read_origins(self.content)


def write_cascade(
    path: str | Path,
    networks: Mapping[str, nn.Module],
    settings: CascadeSettings,
    dtype: torch.dtype | None,
    card: str | None = None,
) -> None:
    """Write networks and settings into one safetensors file; see `Cascade.save`.

    Its metadata has JSON under the key `facemask_cascade`: `format_version`, `facemask_version`,
    `networks` (how to build each, with its `mean` and `std`), `class_names` of each, `settings`,
    and, where known, `origins`: what the networks were trained from and on. Tensors are named as in
    the networks' state_dicts after `primary.`, `eyes.` or `mouth.`. A model card is beside the
    JSON, under the key `facemask_card`.
    """
    if dtype not in _DTYPES:
        raise InputError(
            f"A cascade cannot be saved as {dtype}: give torch.float16 or leave it out."
        )
    described = {
        name: describe(network) | describe_normalisation(network)
        for name, network in networks.items()
    }
    for name, network in networks.items():
        if "class" in described[name]:
            raise InputError(
                f"A cascade with a {type(network).__name__} cannot be saved: only {BUILDABLE} can "
                "be built from a file."
            )
    content = {
        "format_version": FORMAT_VERSION,
        "facemask_version": __version__,
        "networks": described,
        "class_names": {name: REGIONS[ROLES[name]].class_names for name in networks},
        "settings": asdict(settings),
    } | describe_origins(origins_of(nn.ModuleList(networks.values())))
    tensors = {
        f"{name}.{key}": _stored(value, dtype, f"{name}.{key}")
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    metadata = {KEY: json.dumps(content)} | ({} if card is None else {CARD_KEY: card})
    write_atomic(Path(path), safetensors.torch.save(tensors, metadata))


def read_header(path: str | Path) -> CascadeHeader:
    """Read what a cascade's file says before its tensors, without building networks.

    Raises:
        InputError: The file is missing, damaged or no cascade.
    """
    with _opened(path) as (file, header):
        dtypes = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  # no dict
    return replace(header, dtypes=sorted(dtype for dtype in dtypes if "F" in dtype))


def read_card(path: str | Path) -> str | None:
    """Read the model card in a cascade's file, Markdown; None if it has none.

    Raises:
        InputError: The file is missing, damaged or no cascade.
    """
    return read_header(path).card


def read_cascade(path: str | Path) -> tuple[dict[str, nn.Module], CascadeSettings, str | None]:
    """Read the networks, settings and model card that `write_cascade` wrote; see `Cascade.load`."""
    path = Path(path)
    with _opened(path) as (file, header):
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    content = header.content
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: is a cascade of format version {content.get('format_version')!r}, and this "
            f"facemask {__version__} reads version {FORMAT_VERSION}: save it again, or use "
            f"facemask {content.get('facemask_version')!r}."
        )
    try:
        settings = _settings(**content["settings"])
        described: dict[str, Any] = content["networks"]
        for name in described:
            found, expected = content["class_names"][name], REGIONS[ROLES[name]].class_names
            if tuple(found) != expected:
                raise InputError(
                    f"{path}: its {name} network has the classes {', '.join(map(str, found))}, "
                    f"expected {', '.join(expected)}: give a cascade of this library's classes."
                )
        networks: dict[str, nn.Module] = {
            name: build(description) for name, description in described.items()
        }
        origins = header.origins or origin_beside(path)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: its description of networks and settings is damaged ({cause_of(error)}): "
            "save the cascade again."
        ) from error
    if "primary" not in networks:
        raise InputError(f"{path}: has no primary network: save the cascade again.")
    for name, network in networks.items():
        load_weights(network, weights_below(tensors, f"{name}."), path)
        take_normalisation(network, described[name])
        setattr(network, ORIGINS, origins)
    return networks, settings, header.card


def _settings(confidence: Mapping[str, Any] | None = None, **others: Any) -> CascadeSettings:  # noqa: ANN401
    """Return the settings that JSON says; a file from before there was a confidence has none."""
    fit = None if confidence is None else ConfidenceFit(**confidence)
    return CascadeSettings(**others, confidence=fit)


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, CascadeHeader]]:
    """Open a saved cascade: safetensors' open file, and the header without its dtypes.

    Raises:
        InputError: The file is missing or damaged, cannot be read, or is no cascade.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give one that Cascade.save wrote.")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            try:
                content = json.loads(metadata.get(KEY, "null"))
            except json.JSONDecodeError:
                content = None
            if not isinstance(content, dict):
                raise InputError(
                    f"{path}: holds tensors, but not those of a cascade; give a file that "
                    "Cascade.save wrote, or checkpoints to Cascade.from_checkpoints."
                )
            yield file, CascadeHeader(content, metadata.get(CARD_KEY), [])
    except (SafetensorError, OSError, MemoryError) as error:
        damaged = "is no safetensors file, or a damaged or truncated one"
        raise unreadable(path, error, damaged, "give one that Cascade.save wrote") from error


def _stored(value: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    stored = value.detach().cpu().contiguous()
    if dtype is None or not value.is_floating_point():
        return stored
    stored = stored.to(dtype)
    if not bool(stored.isfinite().all()) and bool(value.isfinite().all()):
        raise InputError(
            f"{name} has values too large for {str(dtype).removeprefix('torch.')}: save the "
            "cascade as torch.bfloat16, or leave dtype out."
        )
    return stored


def network_of(
    checkpoint: Mapping[str, Any], path: Path, region: Region, own: nn.Module | None = None
) -> nn.Module:
    """Return the network of a checkpoint that one of the LightningModules wrote.

    Args:
        checkpoint: The checkpoint, as `read_checkpoint` returned it.
        path: The file it comes from, for the error message.
        region: Region that it must have been trained on.
        own: Network to load the weights into, instead of one built from the description.

    Raises:
        InputError: It was not written by facemask, or holds a model of another region or class set.
    """
    description = checkpoint.get(USE_KEY)
    weights = checkpoint.get("state_dict")
    if not isinstance(description, dict) or not isinstance(weights, Mapping):
        raise InputError(
            f"{path}: was not written by facemask: it does not say what it holds; give a "
            "checkpoint of `facemask fit`."
        )
    found = description.get("region", "face")
    if found != region:
        raise InputError(
            f"{path}: holds a model of the region {found!r}, expected {region!r}: give the "
            f"checkpoint of a run with data.region={region}."
        )
    names = REGIONS[region].class_names
    if description.get("num_classes") != len(names):
        raise InputError(
            f"{path}: holds a model of {description.get('num_classes')} classes, expected "
            f"{len(names)} ({', '.join(names)}): give a checkpoint of the region {region!r}."
        )
    if own is None and "class" in description:
        raise InputError(
            f"{path}: holds a network of your own, {description['class']}, which a file cannot "
            "build: give `facemask extract` the YAML of its training with --network, or load_model "
            "such a network (in Python a cascade takes any: Cascade(primary, eyes, mouth))."
        )
    try:
        network = build(description) if own is None else own
        setattr(network, ORIGINS, read_origins(description))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: its description of the network is damaged or of another version of facemask "
            f"({cause_of(error)})."
        ) from error
    load_weights(network, weights_below(weights, "network."), path)
    take_normalisation(network, description)
    take_cell(network, description)
    return network
