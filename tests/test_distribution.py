"""What pip calls the package: one name everywhere, and never that of the stranger on PyPI."""

import re
import subprocess
import sys
from importlib.metadata import distributions, metadata
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import facemask
from facemask._distribution import DISTRIBUTION, NAMESAKE, pip_install
from facemask.cli import main

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "benchmarks", "configs", "docs", "examples", "facemask", "findings", "tests")
TEXT = {".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ""}

_INSTALL = re.compile(r"\b(?:pip3?|pipx|uv|conda|mamba|poetry|pdm)\b[\w \-]*? (?:install|add) ")
_COMMAND = re.compile(r"[^`#)\n]*")  # up to its end in prose, a comment or a document
_REQUIREMENT = re.compile(rf"(?<![\w./-]){NAMESAKE}\s?(?:\[[\w, -]+\]|(?:[=~!<>]=|@)\s?[\w/.])")


def texts() -> list[Path]:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]
    return [path for path in files if path.suffix in TEXT and "__pycache__" not in path.parts]


def foreign(text: str) -> list[str]:
    """Where a text has the stranger's distribution installed."""
    text = text.replace("\\\n", " ")
    found = [match[0] for match in _REQUIREMENT.finditer(text)]
    for match in _INSTALL.finditer(text):
        command = _COMMAND.match(text, match.end())
        words = re.split(r"[\s\"',;:]+", command[0]) if command else []
        found += [match[0] + word for word in words if word.rstrip(".") == NAMESAKE]
    return found


def test_no_text_names_the_namesake_to_pip() -> None:
    files = texts()
    assert {"README.md", "pyproject.toml", "app.md", "cli.py"} <= {path.name for path in files}
    assert len(files) > 200
    wrong = {str(path.relative_to(ROOT)): foreign(path.read_text("utf-8")) for path in files}
    assert {path: found for path, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    "text",
    [
        "pip install {}",
        "`pip install {}`, then",
        "pip install -U '{}'",
        "run: pip3 install --no-deps \\\n  {}.",
        'python -m pip install "{}[dlib]"',
        "python -m pip install torch {}  # both",
        "uv pip install {}",
        "uv add {}",
        "pipx install {}",
        "an extra (`{}[app,dlib]`)",
        "{}==0.1.1",
        "- {}>=0.2",
        "{} @ git+https://example.org/x",
    ],
)
def test_the_search_finds_the_namesake(text: str) -> None:
    assert foreign(text.format(NAMESAKE))
    assert not foreign(text.format(DISTRIBUTION))


@pytest.mark.parametrize(
    "text",
    [
        "pip uninstall {}",
        "pip install -e '.[dlib]'  # what {} needs",
        "`pip install` and `{} extract clip.mp4`",
        "(pip install matplotlib) {} draws",
        "from {} import __version__",
    ],
)
def test_the_search_finds_nothing_else(text: str) -> None:
    assert not foreign(text.format(NAMESAKE))


def test_pyproject_has_the_name_of_the_constant() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert re.findall(r'^name = "(.+?)"', text, re.M) == [DISTRIBUTION]
    extras = set(re.findall(r"^(\w+) = \[", text.partition("optional-dependencies]")[2], re.M))
    selves = [Requirement(word) for word in re.findall(rf'"({DISTRIBUTION}\[.+?\])"', text)]
    assert selves
    for self in selves:
        assert self.name == DISTRIBUTION
        assert self.extras <= extras
    assert Version(facemask.__version__) > Version("0.1.1")  # the namesake's newest


def test_every_extra_that_is_named_exists() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = set(re.findall(r"^(\w+) = \[", text.partition("optional-dependencies]")[2], re.M))
    named = {"tensorboard"}
    for path in texts():
        if path.name != Path(__file__).name:
            found = path.read_text("utf-8")
            for group in re.findall(rf"{DISTRIBUTION}\[([\w,]+)\]", found):
                named |= set(group.split(","))
            named |= set(re.findall(r"pip_install\(['\"](\w+)['\"]", found))
    assert {"app", "dlib", "mediapipe", "plot"} < named <= extras
    assert pip_install("plot") == 'pip install "facemask-video[plot]"'


def installed(folder: Path, name: str, origin: str | None = None) -> None:
    info = folder / f"{name.replace('-', '_')}-0.1.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.1\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin)


def python(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(path)!r}); sys.path.append({str(ROOT)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_both_distributions_are_told_once_at_import(tmp_path: Path) -> None:
    installed(tmp_path, DISTRIBUTION)
    installed(tmp_path, NAMESAKE)
    result = python("import facemask, facemask.errors", tmp_path)
    assert result.returncode == 0
    assert result.stderr.count("another program, is installed in the same folder") == 1
    assert "pip uninstall facemask facemask-video" in result.stderr


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        (DISTRIBUTION, None),
        (NAMESAKE, '{"dir_info": {"editable": true}, "url": "file:///x"}'),  # ours, before
    ],
)
def test_one_distribution_is_nothing_to_tell(tmp_path: Path, name: str, origin: str | None) -> None:
    installed(tmp_path, name, origin)
    if name != DISTRIBUTION:
        installed(tmp_path, DISTRIBUTION)
    result = python("import facemask", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_package_overwritten_by_the_namesake_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = ModuleType("facemask")  # either its __init__.py, or none: an empty namespace
    stranger.__version__ = "0.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "facemask", stranger)
    with pytest.raises(SystemExit, match="2"):
        main(["weights", "list"])
    error = capsys.readouterr().err
    assert error.startswith("facemask: error: facemask/__init__.py is not that of facemask-video")
    assert "pip uninstall facemask facemask-video" in error


def test_the_command_finds_its_own_package_beside_a_namesake(tmp_path: Path) -> None:
    (tmp_path / "facemask").mkdir()
    (tmp_path / "facemask" / "__init__.py").write_text("raise SystemExit('the stranger')")
    start = "sys.argv[1:] = ['weights', 'list']; import facemask_video; facemask_video.main()"
    result = python(start, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "open" in result.stdout
    assert "the stranger" in python("import facemask", tmp_path).stderr


def test_the_version_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == facemask.__version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (\d[\w.]*) \((\d{4}-\d\d-\d\d)\)$", changes, re.M)
    assert versions[0] == (facemask.__version__, str(citation["date-released"]))


def test_each_weight_has_its_licence_beside_it() -> None:
    notices = (ROOT / "facemask" / "weights" / "LICENSES.md").read_text("utf-8")
    headings = re.findall(r"^## (\S+)$", notices, re.M)
    files = sorted(path.name for path in (ROOT / "facemask" / "weights").glob("*.safetensors"))
    assert sorted(headings) == files


def test_a_pin_that_the_oldest_python_lacks_is_marked() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    installed = {distribution.name for distribution in distributions()}
    wrong = []
    for pin in pins:
        if pin.marker is None and pin.name in installed:
            needs = str(metadata(pin.name).json.get("requires_python", ""))
            if not SpecifierSet(needs).contains("3.10.13"):
                wrong.append(f"{pin} needs Python {needs}")
    assert not wrong, "give them a marker: python_version >= ..."
