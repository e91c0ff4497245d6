"""Dense face masks from video.

Everything is imported on demand from its submodule, so that `import facemask` stays cheap.
"""

from facemask._distribution import warn_of_namesake
from facemask._moved import find_former_paths
from facemask._torchvision import mend_on_import

__version__ = "0.2.0"  # above that of the other program of this name on PyPI

warn_of_namesake()
find_former_paths()
mend_on_import()

__all__ = ["__version__"]
