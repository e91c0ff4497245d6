"""Dense face masks from video.

Importing the package mends a common mis-install first (see `facemask._torchvision`);
everything else is imported on demand from its submodule, so that `import facemask` stays cheap.
"""

from facemask._distribution import warn_of_namesake
from facemask._moved import find_former_paths
from facemask._torchvision import define_missing_operators

__version__ = "0.2.0.dev0"  # above that of the other program of this name on PyPI

warn_of_namesake()
find_former_paths()
define_missing_operators()

__all__ = ["__version__"]
