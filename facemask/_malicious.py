"""Releases of other packages that are known to do harm, told before anything imports them."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_PACKAGE: Final = "lightning"
_RELEASES: Final = ("2.6.2", "2.6.3")  # 2026-04-30; pytorch-lightning, which we use, was not hit


def warn_of_malicious_release() -> None:
    """Print a sentence if a malicious release of `lightning` is installed; it is not imported."""
    try:
        found = version(_PACKAGE)
    except PackageNotFoundError:
        return
    if found in _RELEASES:
        sys.stderr.write(
            f"facemask: warning: {_PACKAGE} {found} is installed, a malicious release that steals "
            f"credentials once it is imported: run `pip uninstall {_PACKAGE}`, and change the "
            "passwords and keys that this machine holds.\n"
        )
