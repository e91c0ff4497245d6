"""Every notebook runs from top to bottom, and the outputs in its file are those of a whole run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@of_each
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    settings = {"FACEMASK_NOTEBOOK_SIZE": "small", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    folders = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "jupyter", "TMPDIR": "tmp"}
    for name, value in (settings | {k: str(tmp_path / v) for k, v in folders.items()}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tmp").mkdir()
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()


@of_each
def test_file_holds_what_a_run_wrote(path: Path) -> None:
    assert path.stat().st_size < 400_000
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {"image/jpeg", "image/png"} & {kind for o in outputs for kind in o.get("data", {})}
    for output in outputs:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        texts = [output.get("text", [])]
        texts += [data for kind, data in output.get("data", {}).items() if "image" not in kind]
        # no path of the machine on which it ran
        assert not re.search(r"(^|[\s\"'(])(/\w|[A-Z]:\\)", "".join(map("".join, texts)), re.M)


@of_each
def test_ends_with_a_check(path: Path) -> None:
    assert "assert " in "".join(code_cells(path)[-1]["source"])


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 1
