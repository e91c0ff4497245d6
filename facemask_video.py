"""Starts the command `facemask`, from outside of the folder that another program may share.

The PyPI package `facemask` hides this one beside an editable install, because pip puts its files
into site-packages, which come first on `sys.path`. See `facemask/_distribution.py`.
"""

import sys


def main() -> None:
    """Run the command line of the package that lies beside this file."""
    try:
        from importlib.util import find_spec  # here, where Ctrl-C is heeded already
        from pathlib import Path

        folder = Path(__file__).resolve().parent
        spec = find_spec("facemask")
        if spec is None or not spec.origin or Path(spec.origin).resolve().parent.parent != folder:
            sys.path.insert(0, str(folder))
        from facemask.cli import main as start

        start()
    except KeyboardInterrupt as interrupt:  # before `start` heeds it
        sys.stderr.write("\nfacemask: stopped by Ctrl-C.\n")
        raise SystemExit(130) from interrupt
