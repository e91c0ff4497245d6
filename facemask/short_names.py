"""Short names of classes in YAML and on the command line: `class_path: FCNModule`."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml
from jsonargparse import get_loader, set_loader

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


def words_in_full(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with class paths in place of short names.

    Examples:
        >>> words_in_full(["--model.network", "FCN", "--model.loss=IoULoss", "--name", "FCN"])[1:3]
        ['facemask.models.FCN', '--model.loss=facemask.losses.IoULoss']
    """
    result = []
    for word, before in zip(words, ["", *words], strict=False):
        option, equals, value = word.partition("=")
        full = in_full(value, option.lstrip("-")) if equals else in_full(word, before.lstrip("-"))
        result.append(f"{option}={full}" if equals else full)
    return result


def near_name(message: str) -> str:
    """Return a question that names the class that a message about another one may be about, or "".

    Examples:
        >>> near_name("model is FCNModul, expected a class")
        ' (did you mean FCNModule?)'
    """
    for word in re.findall(r"\b[A-Z]\w+", message):
        near = difflib.get_close_matches(word, FULL_PATHS, n=1, cutoff=0.8)
        if near and near[0] != word:
            return f" (did you mean {near[0]}?)"
    return ""


def parser_mode() -> str:
    """Return the name of the mode in which jsonargparse reads YAML with short names."""
    load = get_loader("yaml")
    set_loader("facemask", lambda text: in_full(load(text)), exceptions=(yaml.YAMLError,))
    return "facemask"
