"""The rooms of the package: one direction of imports, no circles, no long files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "facemask"
# from the ground up; a room may import those below it and its own modules, lazily or not
FLOORS = (
    ("losses", "metrics", "video"),
    ("data", "tracking"),
    ("models",),
    ("annotate", "annotations", "report", "weights"),
    ("training", "export"),
    ("extraction",),
    ("app", "experiment"),
    ("cli",),
    ("__main__",),
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS, start=1) for room in floor}
QUESTIONS = {"What", "Where", "How", "Which", "Whether", "Who", "Whose", "When", "Why", "See"}
# arrows that go down and still lead astray
FORBIDDEN = {("models", "data"), ("extraction", "report")}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports(tree: ast.AST) -> Iterator[str]:
    """All that is imported anywhere in a module but for types alone, other packages' too."""
    types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in set(ast.walk(tree)) - types:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(tree: ast.AST) -> set[str]:
    """The modules of this package that a module imports."""
    found = set()
    for name in imports(tree):
        while name not in FILES and "." in name:
            name = name.rpartition(".")[0]
        found |= {name} & FILES.keys()
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def height(module: str) -> int:
    return HEIGHT.get(room(module), 0)  # what lies in no room is the ground


ARROWS = {name: own_modules(tree) - {name} for name, tree in TREES.items()}


def test_every_folder_is_a_room() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= HEIGHT.keys()


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down(module: str) -> None:
    for other in ARROWS[module]:
        inside = room(module) == room(other) or height(module) == height(other) == 0
        assert inside or height(other) < height(module), f"{module} imports {other}"
        assert (room(module), room(other)) not in FORBIDDEN, f"{module} imports {other}"


def test_there_is_no_circle() -> None:
    left = {name: set(others) for name, others in ARROWS.items()}
    while free := {name for name, others in left.items() if not others & left.keys()}:
        for name in free:
            del left[name]
    assert not left, left


def test_networks_know_nothing_of_lightning() -> None:
    for name, tree in TREES.items():
        if room(name) in ("models", "losses", "extraction", "video", "tracking"):
            tops = {found.partition(".")[0] for found in imports(tree)}
            assert not tops & {"pytorch_lightning", "lightning_fabric", "lightning"}, name


@pytest.mark.parametrize("module", FILES)
def test_a_file_is_read_in_one_go(module: str) -> None:
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.rglob("*.py")), ids=lambda p: p.name)
def test_a_test_file_is_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", FILES)
def test_docstrings_begin_with_what_comes_back_or_is_done(module: str) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(TREES[module]):
        first = (
            (ast.get_docstring(node) or "").split(" ")[0] if isinstance(node, documented) else ""
        )
        assert first not in QUESTIONS, ast.get_docstring(node)  # type: ignore[arg-type]
