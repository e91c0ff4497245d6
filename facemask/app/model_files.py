"""The models that the page offers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from facemask.errors import InputError
from facemask.weights.catalog import find_weights, shipped


def find_models(given: Sequence[str]) -> dict[str, Path]:
    """Model files by the names that a list shows.

    Args:
        given: Names of shipped weights and Hugging Face repository ids; files, and folders that
            are searched with all below: for saved cascades (.safetensors; others, such as cached
            features, are left out) and checkpoints (.ckpt).

    Returns:
        What was given by name or id, then every file once, in the order given, sorted within a
        folder. A file's name is the shortest end of its path that no other file shares.

    Raises:
        InputError: One does not exist, or a folder holds no model.
    """
    names = [word for word in given if word in shipped() or not Path(word).exists()]
    paths = [Path(word) for word in given if word not in names]
    files = list(dict.fromkeys(file.resolve() for path in paths for file in _files_of(path)))
    # not resolved: what is cached of a repository has its suffix in the name of a link alone
    found = {name: find_weights(name) for name in names}
    return found | {_short_name(file, files): file for file in files}


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(_models_below(path))
    if not found:
        raise InputError(
            f"{path}: holds no model, which is a saved cascade (.safetensors) or a checkpoint "
            "(.ckpt): give a folder with one, or a file."
        )
    return found


def _models_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and (path.suffix == ".ckpt" or _is_cascade(path)):
            yield path


def _is_cascade(path: Path) -> bool:
    """Whether a file's header says that `Cascade.save` wrote it."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "facemask_cascade" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _short_name(file: Path, files: Sequence[Path]) -> str:
    for length in range(1, len(file.parts)):
        end = file.parts[-length:]
        if sum(other.parts[-length:] == end for other in files) == 1:
            return "/".join(end)
    return str(file)
