"""Try the installed package, no extras, on a video without network: `make wheel` runs this.

python examples/try_wheel.py clip.mp4
"""

import csv
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import facemask
from facemask._distribution import DISTRIBUTION

CUT_OFF = """
import socket, sys
def refuse(*_):
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from facemask.cli import main
main(sys.argv[1:])
"""
"""Runs the command line in a process that cannot connect to anything."""


def run(folder: str, *arguments: str) -> None:
    """Run facemask in an empty folder, without network or any cache."""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_HOME": folder, "TORCH_HOME": folder}
    subprocess.run(
        [sys.executable, "-c", CUT_OFF, *arguments], cwd=folder, env=environment, check=True
    )


def main() -> None:
    """Extract the video with the default weights and look at the table."""
    video = str(Path(sys.argv[1]).resolve())
    installed = Path(facemask.__file__)
    if "site-packages" not in installed.parts:
        raise SystemExit(f"{installed}: is not an installed package.")
    if version(DISTRIBUTION) != facemask.__version__:
        raise SystemExit(f"pip knows {version(DISTRIBUTION)}, not {facemask.__version__}.")
    names = ("pytorch_lightning", "timm", "albumentations", "wandb", "dlib", "gradio", "matplotlib")
    extras = [name for name in names if find_spec(name)]
    if extras:
        raise SystemExit(f"{', '.join(extras)}: the base install is to be tried, without extras.")
    subprocess.run([Path(sys.executable).with_name("facemask"), "weights", "list"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        run(folder, "weights", "verify")
        run(folder, "extract", video, "-o", "masks", "--save", "overlay,csv,labels")
        with (Path(folder) / "masks" / f"{Path(video).stem}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        faces = [row for row in rows if row["face"]]
        if len(faces) < 0.95 * len(rows):
            raise SystemExit(f"a face in {len(faces)} of {len(rows)} frames only.")
        fit = subprocess.run(
            [sys.executable, "-m", "facemask", "fit"], capture_output=True, text=True, check=False
        )
        if fit.returncode != 2 or "facemask-video[train]" not in fit.stderr:
            raise SystemExit(f"`facemask fit` does not say what it needs: {fit.stderr}")
        print(f"The installed wheel found a face in {len(faces)} of {len(rows)} frames, offline.")


if __name__ == "__main__":
    main()
