"""Errors of the command line's parsers, each as one sentence about the innermost key.

jsonargparse tells an error as a tree, by indentation: the key, each type that its value could have
had, why it is none of these, and within a class the same again for its arguments. The sentence is
about the key that lies deepest, with the path to it.
"""

import contextlib
import difflib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace

from facemask.configuration import FULL_PATHS
from facemask.errors import InputError

_USUAL: Final = {"data": "FaceMaskDataModule", "model": "FCNModule"}
"""Usual classes of options that take one, to guess what was meant."""
_TYPES: Final = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "on or off",
    "dict": "names with values", "list": "a list", "Sequence": "a list", "NoneType": "null",
}  # fmt: skip


class _Key(NamedTuple):
    """The innermost key of an error.

    Attributes:
        path: The keys to it, joined by dots.
        owner: Class path of the class whose argument it is; None outside of classes.
        text: What is said about it.
    """

    path: str
    owner: str | None
    text: str


def one_sentence(message: str, options: Iterable[str] = ()) -> str:
    """Turn an error of jsonargparse into one sentence without its full stop.

    Args:
        message: The error, over many lines.
        options: The command's options, such as --data.size, to guess what was meant.

    Examples:
        >>> one_sentence('Parser key "size": Expected a typing.Literal[1, 2]. Got value: 3')
        "size is '3', expected one of 1, 2"
        >>> one_sentence("unrecognized arguments: --sizes 3", ["--size"])
        'there is no option --sizes; did you mean --size?'
        >>> one_sentence("the following arguments are required: source, out", ["--out"])
        'the following arguments are required: source, --out'
    """
    names = sorted({option.lstrip("-") for option in options})
    if unknown := re.match(r"unrecognized arguments: (--?[\w.-]+)", message):
        return f"there is no option {unknown[1]}{_near(unknown[1].lstrip('-'), names, '--')}"
    if missing := re.match(r"the following arguments are required: (.+)", message):
        given = (f"--{name}" if name in names else name for name in missing[1].split(", "))
        return f"the following arguments are required: {', '.join(given)}"
    if group := re.match(r"Group '(.+)' does not accept option '(.+)'", message):
        wrong = f"{group[1]}.{group[2]}"
        return f"{group[1]} has no option {group[2]!r}{_near(wrong, names)}"
    if unknown := re.match(r"Option '(.+)' is not accepted", message):
        groups = {name.partition(".")[0] for name in names}
        return f"there is no option {unknown[1]!r}{_near(unknown[1], groups)}"
    key = _innermost(message)
    if key is None:
        return " ".join(message.split()).rstrip(".")
    if file_missing := re.search(r"File does not exist: '?([^']+)'?", key.text):
        file = Path(file_missing[1])
        here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
        return f"{here}: no such file (--{key.path})"
    return _about(key)


class SentenceParser(ArgumentParser):
    """A parser whose errors are one sentence."""

    _words: Sequence[str] = ()

    def parse_args(  # type: ignore[override]  # argparse has overloads
        self,
        args: Sequence[str] | None = None,
        *more: Any,  # noqa: ANN401  # jsonargparse's
        **options: Any,  # noqa: ANN401
    ) -> Namespace:
        """Parse words, and keep them to say which file an error is in."""
        self._words = sys.argv[1:] if args is None else args
        return super().parse_args(args, *more, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `InputError` instead of printing every option there is."""
        if not self.exit_on_error:  # a part of another parser, which will say what is wrong
            super().error(message, ex)
        options: list[str] = re.findall(r"--[\w.-]+", self.format_help())
        if "--trainer" in options:  # the help of trainings does not list all that classes take
            for name, usual in _USUAL.items():
                options += [f"{name}.{argument}" for argument in _arguments(FULL_PATHS[usual])]
        said = _file_of(message, self._words) + one_sentence(message, options)
        end = " " if said.endswith("?") else "; "
        raise InputError(f"{said}{end}--help lists the options.") from ex


def _file_of(message: str, words: Sequence[str]) -> str:
    """Return the last file of the words that has an error's key, and a colon; or ""."""
    key = _innermost(message)
    unknown = re.search(r"Option '(.+?)' is not accepted", message if key is None else key.text)
    group = re.match(r"Group '(.+)' does not accept option '(.+)'", message)
    names = [*(key.path.split(".") if key else ()), *([unknown[1]] if unknown else ())]
    names = names or list(group.groups() if group else ())
    options = {word.partition("=")[0].lstrip("-") for word in words if word.startswith("--")}
    if not names or ".".join(names) in options:
        return ""
    of_files = [
        word.removeprefix("--config=")
        for word, before in zip(words, ["", *words], strict=False)
        if before in ("-c", "--config") or word.startswith("--config=")
    ]
    files: list[tuple[str, object]] = []
    for file in reversed(of_files):
        with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            files.append((file, yaml.safe_load(Path(file).read_text(encoding="utf-8"))))
    shorter = names[:-1] if key and unknown else names  # what is within a dict has no key there
    for wanted in (names, shorter):
        for file, content in files:
            if _has(content, wanted):
                return f"{file}: "
    return ""


def _has(content: object, names: Sequence[str]) -> bool:
    """Return whether a part of a YAML file has nested keys; classes have theirs in `init_args`."""
    if not names:
        return True
    if isinstance(content, list):
        return any(_has(entry, names) for entry in content)
    if not isinstance(content, dict):
        return False
    return any(
        _has(content[key], names[used:])
        for key, used in ((names[0], 1), (f"{names[0]}+", 1), ("init_args", 0))
        if key in content
    )


def _innermost(message: str) -> _Key | None:
    """Return the deepest key of an error, the first of several; None if it names no key."""
    best: tuple[int, _Key] | None = None
    above: list[tuple[int, str, str]] = []  # depth, kind and name of what encloses a line
    lines = message.splitlines()
    for number, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        above = [entry for entry in above if entry[0] < depth]
        found = re.match(r"[\s-]*(Parser key|Problem with given class_path) ['\"](.+?)['\"]:", line)
        if not found:
            continue
        above.append((depth, found[1], found[2]))
        keys = [name for _, kind, name in above if kind == "Parser key"]
        if not keys or (best is not None and len(above) <= best[0]):
            continue
        classes = [name for _, kind, name in above if kind != "Parser key"]
        rest = [line[found.end() :], *_below(lines[number + 1 :], depth)]
        best = (len(above), _Key(".".join(keys), classes[-1] if classes else None, "\n".join(rest)))
    return None if best is None else best[1]


def _below(lines: Iterable[str], depth: int) -> Iterator[str]:
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= depth:
            return
        yield line


def _about(key: _Key) -> str:
    """Return the sentence on a key."""
    path, text = key.path, key.text
    owner = f" of {key.owner.rpartition('.')[2]}" if key.owner else ""
    if found := re.search(r"Option '(.+?)' is not accepted", text):
        near = _near(found[1], _arguments(key.owner))
        return f"{path}: there is no option {found[1]!r}{owner}{near}"
    if found := re.search(r"module '(.+?)' has no attribute '(.+?)'", text):
        return f"{path} is {found[1]}.{found[2]}: {found[1]} has no {found[2]}" + _near(
            found[2], [*_public(found[1]), *FULL_PATHS]
        )
    if found := re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", text):
        name = found[1].rpartition(".")[2]
        return f"{path} is {name}, expected a {found[2]} or a class derived from it"
    if found := re.search(r"Expected a dot import path string: (\S+)", text):
        near = _near(found[1], FULL_PATHS)
        return f"{path} is {found[1]}, and there is no such class{near}"
    if found := re.search(r"No module named '([\w.]+)'", text):
        return (
            f"{path} is {key.owner}: Python finds no module {found[1]!r}; if it lies in this "
            "folder, put PYTHONPATH=. before the command"
        )
    return _of_type(path, text)


def _of_type(path: str, text: str) -> str:
    value = re.search(r"(?:Got value|Given value): (.*)", text)
    given = "" if value is None else _plain(value[1].strip())
    if several := re.findall(r"Expected a typing\.Literal\[(.+?)\](?:\.|$)", text, re.M):
        choices = list(dict.fromkeys(choice for one in several for choice in one.split(", ")))
        near = _near(given, [choice.strip("'") for choice in choices])
        return f"{path} is {given!r}, expected one of {', '.join(choices)}{near}"
    if found := re.search(r"Not a valid subclass of (\w+)", text):
        return f"{path} is {given!r}, expected a class, {found[1]} or one derived from it"
    if types := re.search(r"Subtypes: \[(.+)\]", text):
        names = [_type_name(name) for name in re.split(r", (?![^\[]*\])", types[1])]
        return f"{path} is {given!r}, expected {' or '.join(dict.fromkeys(names))}"
    if found := re.search(r"Expected a <class '([\w.]+)'>", text):
        return f"{path} is {given!r}, expected {_type_name(found[1])}"
    said = " ".join(text.split()).rstrip(".")
    return f"{path}: {said}"


def _plain(value: str) -> str:
    """Return a value as it was given, out of jsonargparse's own object if it is in one."""
    nested = re.match(r"NestedArg\(key='.*?', val='?(.*?)'?\)$", value)
    return nested[1] if nested else value


def _type_name(name: str) -> str:
    """Return a type in words."""
    name = re.sub(r"^<class '([\w.]+)'>$", r"\1", name.strip()).replace("typing.", "")
    words = name.partition("[")[0].rpartition(".")[2]
    if words == "Literal":
        return f"one of {name.partition('[')[2].rstrip(']')}"
    return _TYPES.get(words, words)


def _public(module: str) -> list[str]:
    try:
        content = importlib.import_module(module)
    except ImportError:
        return []
    return [name for name in dir(content) if not name.startswith("_")]


def _arguments(owner: str | None) -> list[str]:
    """Return the names of a class's arguments, those of its bases among them."""
    if owner is None:
        return []
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(resolve_name(owner), fail_untyped=False)
    except (ImportError, AttributeError, ValueError, TypeError):
        return []
    return sorted({name.partition(".")[0] for name in parser.get_defaults().keys()})  # noqa: SIM118


def _near(word: str, names: Iterable[str], prefix: str = "") -> str:
    """Return a question that names what may have been meant, or ""."""
    known = list(names)
    last = {name.rpartition(".")[2]: name for name in reversed(known)}  # size of data.size
    near = difflib.get_close_matches(word, known, 1, 0.7) or [
        last[name] for name in difflib.get_close_matches(word, last, 1, 0.7)
    ]
    return f"; did you mean {prefix}{near[0]}?" if near and near[0] != word else ""
