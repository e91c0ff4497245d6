"""Training configurations: short names of classes, and files that build on others.

`class_path: FCNModule` stands for facemask.training.modules.FCNModule. A file that says
`base: fcn.yaml` holds only what differs from that one, which lies beside it.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final

import yaml
from jsonargparse import get_loader, set_loader

from facemask.errors import InputError, cause_of

_PLACES: Final = {
    "data": "ClipAugmentation ClipTransform FaceMaskDataModule Occluders StillMotion",
    "losses": "CompositeLoss CrossEntropyLoss IoULoss SegmentationLoss",
    "models": "FCN FCNVGG16 ConvLSTMFCN DeepLab DenseCRF TemporalSmoothing",
    "report.recorder": "FrameRecorder",
    "training.baseline_modules": "DeepLabModule FCNVGG16Module",
    "training.callbacks": "LabelWriter TrainingGuard",
    "training.cascade_module": "CascadeModule",
    "training.checkpointing": "ResumableRun",
    "training.landmark_module": "LandmarkTrackerModule",
    "training.loggers": "CheckedWandbLogger RunInfo TrainingScalars ValidationPanels",
    "training.mask_module": "MaskModule",
    "training.modules": "ConvLSTMFCNModule ConvLSTMModule FCNModule",
}
"""Modules, below facemask, of the classes that configurations name."""
FULL_PATHS: Final = {
    name: f"facemask.{module}.{name}" for module, names in _PLACES.items() for name in names.split()
}
"""Class path by short name. jsonargparse knows other short names if their class is imported."""
_TAKE_CLASSES: Final = frozenset(
    {"class_path", "help", "model", "data", "network", "loss", "smoothing", "crf"}
    | {"augmentation", "occluders", "still_motion", "logger", "callbacks"}
)
"""Last parts of the options whose value may be a class."""


def in_full(value: Any, key: str = "") -> Any:  # noqa: ANN401  # whatever YAML holds
    """Return a configuration with class paths in place of short names.

    Args:
        value: Content of a YAML file, or a part of it.
        key: Option that it is the value of.

    Examples:
        >>> in_full({"class_path": "FCN", "init_args": {"backbone": "resnet18"}})
        {'class_path': 'facemask.models.FCN', 'init_args': {'backbone': 'resnet18'}}
        >>> in_full({"name": "FCN", "loss": "IoULoss"})
        {'name': 'FCN', 'loss': 'facemask.losses.IoULoss'}
    """
    if isinstance(value, dict):
        return {k: in_full(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [in_full(v, key) for v in value]
    takes_class = key.rpartition(".")[2].removesuffix("+") in _TAKE_CLASSES
    return FULL_PATHS.get(value, value) if takes_class and isinstance(value, str) else value


def read_configuration(path: Path) -> Any:  # noqa: ANN401  # whatever YAML holds
    """Return the content of a YAML file, laid over that of its base, with class paths in full.

    Raises:
        OSError: The file or its base cannot be read.
        UnicodeDecodeError: It is no text.
        yaml.YAMLError: It is no YAML.
    """
    contents = [in_full(_load(file)) for file in _with_bases(path)]
    if len(contents) == 1:
        return contents[0]
    merged = reduce(merge, contents)
    merged.pop("base")
    return merged


def _load(path: Path) -> Any:  # noqa: ANN401  # whatever YAML holds
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _with_bases(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Return the files that a configuration is made of, from the base of all to itself."""
    content = _load(path)
    if not isinstance(content, dict) or not isinstance(content.get("base"), str):
        return [path]
    base = path.parent / content["base"]
    if path in above:
        raise InputError(f"{path}: builds on itself: name another file as its base.")
    try:
        return [*_with_bases(base, (*above, path)), path]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot read its base {base} ({cause_of(error)}).") from error


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay changes over a configuration; a mapping with a `class_path` replaces what is there.

    A key that ends in `+` adds its list to the one that is there, as on the command line.

    Examples:
        >>> base = {"model": {"init_args": {"gamma": 0.05, "loss": {"class_path": "A"}}}}
        >>> merge(base, {"model": {"init_args": {"gamma": 0}}})
        {'model': {'init_args': {'gamma': 0, 'loss': {'class_path': 'A'}}}}
        >>> merge({"loss": {"class_path": "A", "g": 1}}, {"loss": {"class_path": "B"}})
        {'loss': {'class_path': 'B'}}
        >>> merge({"logger": {"class_path": "A"}}, {"logger+": [{"class_path": "B"}]})
        {'logger': [{'class_path': 'A'}, {'class_path': 'B'}]}
    """
    merged = dict(base)
    for key, value in changes.items():
        if key.endswith("+"):
            name = key.removesuffix("+")
            merged[name] = [*as_list(merged.get(name)), *as_list(value)]
            continue
        old = merged.get(key)
        deep = isinstance(old, Mapping) and isinstance(value, Mapping) and "class_path" not in value
        merged[key] = merge(old, value) if deep else value  # type: ignore[arg-type]  # both are
    return merged


def as_list(value: object) -> list[Any]:
    """Return a list of what may be a list, one entry or None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def expand_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with class paths in full, and each file after its base.

    Examples:
        >>> expand_words(["--model.network", "FCN", "--model.loss=IoULoss", "--name", "FCN"])[1:3]
        ['facemask.models.FCN', '--model.loss=facemask.losses.IoULoss']
    """
    result: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        option, equals, value = word.partition("=")
        if before in ("-c", "--config"):
            result[-1:] = [part for file in _given(word) for part in (before, file)]
        elif option == "--config" and equals:
            result += [f"--config={file}" for file in _given(value)]
        elif equals:
            result.append(f"{option}={in_full(value, option.lstrip('-'))}")
        else:
            result.append(in_full(word, before.lstrip("-")))
    return result


def _given(file: str) -> list[str]:
    try:
        return [str(path) for path in _with_bases(Path(file))]
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return [file]  # the parser says what is wrong


def parser_mode() -> str:
    """Return the name of the mode in which jsonargparse reads such configurations."""

    def load(text: str) -> Any:  # noqa: ANN401  # whatever YAML holds
        content = in_full(load_yaml(text))
        if isinstance(content, dict) and isinstance(content.get("base"), str):
            del content["base"]  # it was read before
        return content

    load_yaml = get_loader("yaml")
    set_loader("facemask", load, exceptions=(yaml.YAMLError,))
    return "facemask"
