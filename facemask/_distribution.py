"""Other distributions that get in the way of this one, and the names of both.

`facemask` on PyPI is another program, which imports as `facemask` too. Where both are installed
they share one folder: `facemask/__init__.py` is that of the one installed last, and uninstalling
either takes it away from both. Beside an editable install the stranger's hides ours altogether;
`facemask_video.py`, which starts the command, lies outside of the folder for that reason.
"""

import json
import sys
import warnings
from importlib.metadata import PackageNotFoundError, distribution, version
from multiprocessing import parent_process
from typing import Final

from facemask.errors import InputError

DISTRIBUTION: Final = "facemask-video"
"""Name of this package for pip; Python and the shell call it facemask."""
NAMESAKE: Final = "facemask"
"""Name of a distribution of somebody else's that is imported as this one is."""
_OF_TRAINING: Final = (
    "pytorch_lightning", "lightning_fabric", "timm", "torchvision", "albumentations", "pydantic",
    "wandb",
)  # fmt: skip
"""What the extra `train` brings, by the names that Python imports it by."""
_MALICIOUS_RELEASES: Final = ("2.6.2", "2.6.3")  # of `lightning`; pytorch-lightning was not hit
_AGAIN: Final = (
    f"run `pip uninstall {NAMESAKE} {DISTRIBUTION}` and install {DISTRIBUTION} again, "
    "which stays facemask to Python and the shell"
)


def pip_install(*extras: str, options: str = "") -> str:
    """Return the command that installs this package.

    Args:
        extras: Extras of `pyproject.toml` to install with it.
        options: Options of `pip install`.

    Examples:
        >>> print(pip_install("app", "dlib"))
        pip install "facemask-video[app,dlib]"
        >>> print(pip_install(options="--no-deps"))
        pip install --no-deps facemask-video
    """
    target = f'"{DISTRIBUTION}[{",".join(extras)}]"' if extras else DISTRIBUTION
    return " ".join(filter(None, ["pip install", options, target]))


def missing_library(error: BaseException, what: str) -> InputError | None:
    """Return what to say of a library of training that is not installed; None of anything else.

    Args:
        error: A failed import, or any other exception.
        what: Name of what needs the library, the sentence's subject.

    Examples:
        >>> error = ModuleNotFoundError("No module named 'timm'", name="timm")
        >>> print(missing_library(error, "facemask fit"))
        facemask fit needs timm, which is not installed: pip install "facemask-video[train]".
    """
    library = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or library not in _OF_TRAINING:
        return None
    return InputError(f"{what} needs {library}, which is not installed: {pip_install('train')}.")


def namesake_installed() -> bool:
    """Return whether both distributions are installed, so that they share one folder."""
    try:
        distribution(DISTRIBUTION)
        origin = distribution(NAMESAKE).read_text("direct_url.json")
    except PackageNotFoundError:
        return False
    # an editable install has no files in the folder; this package's own once had that name
    return not (origin and json.loads(origin).get("dir_info", {}).get("editable"))


def warn_of_namesake() -> None:
    """Warn, once a program, if both distributions are installed."""
    if parent_process() is None and namesake_installed():
        warnings.warn(
            f"the PyPI package {NAMESAKE!r}, another program, is installed in the same folder as "
            f"{DISTRIBUTION}, and each damages the other when it is updated or removed: {_AGAIN}.",
            stacklevel=3,
        )


def check_package() -> None:
    """Raise an `InputError` if `facemask/__init__.py` is another program's, or is missing."""
    package = sys.modules["facemask"]
    if not hasattr(package, "mend_on_import"):
        raise InputError(
            f"facemask/__init__.py is not that of {DISTRIBUTION}: the PyPI package {NAMESAKE!r}, "
            f"another program, has replaced it or taken it away: {_AGAIN}."
        )


def warn_of_malicious_release() -> None:
    """Print a sentence if a malicious release of `lightning` is installed; it is not imported."""
    try:
        found = version("lightning")
    except PackageNotFoundError:
        return
    if found in _MALICIOUS_RELEASES:
        sys.stderr.write(
            f"facemask: warning: lightning {found} is installed, a malicious release that steals "
            "credentials once it is imported: run `pip uninstall lightning`, and change the "
            "passwords and keys that this machine holds.\n"
        )
