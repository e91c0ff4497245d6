"""Check the files of a release and install them where nobody has installed them; `make release`.

    python examples/check_release.py dist                     on this Python
    python examples/check_release.py dist --python python3.10 --python python3.13
    python examples/check_release.py dist --oldest            with the oldest dependencies allowed

Looked at: names and versions, what is in the files and what must not be, sizes. Then the wheel and
the source distribution are installed into environments of their own, without extras, and
`examples/try_wheel.py` runs there. torch is the one of constraints.txt, also with `--oldest`.
"""

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

LARGEST = 60e6
"""Bytes of a file of a release."""
NEEDED = (
    "facemask/cli.py", "facemask/py.typed", "facemask/report/page.html.jinja",
    "facemask/weights/default.safetensors", "facemask/weights/open.safetensors",
    "facemask/weights/weights.json", "facemask/weights/LICENSES.md",
)  # fmt: skip
UNWANTED = re.compile(r"^(\.git|\.venv|runs|site|demo|default_weights)/|\.(ckpt|pts|mp4|avi)$")
HERE = Path(__file__).parent


def names_in(file: Path) -> list[str]:
    """Return the paths in a wheel, or those in a source distribution below its folder."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return wheel.namelist()
    with tarfile.open(file) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def check_files(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the source distribution, once their contents are right."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    for file in (wheel, sdist):
        names = names_in(file)
        missing = [name for name in NEEDED if name not in names]
        unwanted = [name for name in names if UNWANTED.search(name)]
        if missing or unwanted:
            raise SystemExit(f"{file.name}: lacks {missing}, and should not have {unwanted[:5]}.")
        if (size := file.stat().st_size) > LARGEST:
            raise SystemExit(f"{file.name}: {size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}.")
        print(f"{file.name}: {len(names)} files, {size / 1e6:.1f} MB")
    return wheel, sdist


def oldest(wheel: Path) -> list[str]:
    """Return constraints to the lowest versions that the wheel's metadata allow, but torch's."""
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        lines = file.read(name).decode().splitlines()
    found = [Requirement(line[15:]) for line in lines if line.startswith("Requires-Dist: ")]
    return [
        f"{r.name}=={lower.version}"
        for r in found
        if r.marker is None and r.name != "torch"
        for lower in r.specifier
        if lower.operator == ">="
    ]


def try_out(file: Path, python: str, constraints: list[str] | None = None) -> None:
    """Install a file into an environment of its own, and extract a clip with it."""
    clip = subprocess.run(
        [sys.executable, HERE / "carphone.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        own = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pinned = ["--constraint", str(HERE.parent / "constraints.txt")]
        subprocess.run([*pip, *pinned, "torch"], check=True)
        if constraints is not None:
            bounds = Path(folder) / "oldest.txt"
            bounds.write_text("\n".join(constraints))
            pinned = ["--constraint", str(bounds)]
        subprocess.run([*pip, *pinned, str(file.resolve())], check=True)
        command = [own, str(HERE / "try_wheel.py"), clip]
        subprocess.run(command, check=True, cwd=folder)
    print(f"{file.name} works on {python}" + (", oldest dependencies" if constraints else ""))


def main() -> None:
    """Check everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", action="append", help="default: this one")
    parser.add_argument("--oldest", action="store_true")
    options = parser.parse_args()
    wheel, sdist = check_files(options.folder)
    pythons = options.python or [sys.executable]
    try_out(sdist, pythons[0])
    for python in pythons:
        try_out(wheel, python)
    if options.oldest:
        try_out(wheel, pythons[0], oldest(wheel))


if __name__ == "__main__":
    main()
