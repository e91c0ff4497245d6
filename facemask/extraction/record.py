"""Records of what the results of a source were made from, in a small file beside them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from facemask import __version__
from facemask.errors import InputError
from facemask.files import remove, sha256_of, write_atomic
from facemask.video.sources import list_images

RECORD_SUFFIX: Final = ".facemask.json"
"""End of the record's name, after the video's."""

_ABOUT: Final = ("camera", "where", "size", "times_ns", "pictures", "listing")

Facts = dict[str, Any]
"""All that a result depends on, in values of JSON."""


def facts_of(source: str | int, model: Mapping[str, str], options: Mapping[str, object]) -> Facts:
    """Return all that the results of a source depend on.

    Args:
        source: A path or the number of a camera.
        model: Its name as given, and the SHA-256 of its file.
        options: Options by name, as the command takes them; of files their SHA-256.

    Raises:
        InputError: The source cannot be read.
    """
    about = _source(source)
    facts = {"facemask": __version__, "source": about, "model": model, "options": options}
    read_again: Facts = json.loads(json.dumps(facts))  # tuples become lists, as in the file
    return read_again


def difference(old: Facts, new: Facts, kinds: Mapping[str, str]) -> str | None:
    """Return why a result does not count for what is asked for now, or None if it does.

    Args:
        old: A record.
        new: The present facts. Where place or times of the source differ, its content decides.
        kinds: Outputs asked for, and the names of their files.

    Returns:
        A clause such as "it was made with another model".
    """
    try:
        if not _same_source(old["source"], new["source"]):
            same_place = old["source"].get("where") == new["source"].get("where")
            where = old["source"].get("path", old["source"].get("camera"))
            return "its source has changed" if same_place else f"it was made from {where}"
        if old["model"]["sha256"] != new["model"]["sha256"]:
            return "it was made with another model"
        for name in sorted(old["options"].keys() | new["options"].keys()):
            before, now = old["options"].get(name), new["options"].get(name)
            if before != now:
                brief = not isinstance(now, dict) and all(len(str(x)) < 20 for x in (before, now))
                return f"it was made with another --{name}" + (f" ({before})" if brief else "")
        if old["facemask"] != new["facemask"]:
            return f"it was made by facemask {old['facemask']}"
        lacking = [kind for kind, name in kinds.items() if old["outputs"].get(kind) != name]
    except (KeyError, TypeError, AttributeError):
        return "its record cannot be read"
    return f"it has no {', no '.join(lacking)}" if lacking else None


class Record:
    """Record of one source's results.

    Args:
        path: The record's file. Nothing is read or written yet.
        facts: All that the results depend on now.
        outputs: Files of the results by kind, all in the record's folder.
    """

    def __init__(self, path: Path, facts: Facts, outputs: Mapping[str, Path]) -> None:
        self.path = path
        self.facts = facts
        self._names = {kind: file.name for kind, file in outputs.items()}
        self._kept: dict[str, str] = {}

    def begin(self) -> Facts:
        """Return facts for a record of what is being made, with the source's content as it is now.

        Raises:
            InputError: The source cannot be read.
        """
        self.facts["source"]["sha256"] = content_of(self.facts["source"])
        return {**self.facts, "outputs": dict(self._names)}

    def mismatch(self) -> str | None:
        """Return why what lies there does not count, None if it does; empty if nothing is there."""
        old = read_facts(self.path)
        empty = (old or {}).get("left_out", [])
        wanted = {kind: name for kind, name in self._names.items() if kind not in empty}
        gone = [kind for kind, name in wanted.items() if not self._exists(name)]
        if old is None:
            return "nothing says what it was made from" if len(gone) < len(self._names) else ""
        reason = difference(old, self.facts, self._names)
        return f"it has no {', no '.join(gone)}" if reason is None and gone else reason

    def other_source(self) -> str | None:
        """Return what the results there were made from, if that lies at another place."""
        old = (read_facts(self.path) or {}).get("source", {})
        if not old or all(old.get(k) == self.facts["source"].get(k) for k in ("where", "camera")):
            return None
        return str(old.get("path", f"camera {old.get('camera')}"))

    def invalidate(self) -> list[str]:
        """Remove it, before the first of the results is replaced.

        Returns:
            Files that stay there although they were made from something else.

        Raises:
            InputError: It cannot be removed.
        """
        old = read_facts(self.path) or {}
        others = {
            kind: name
            for kind, name in old.get("outputs", {}).items()
            if kind not in self._names and self._exists(name)
        }
        is_same = difference(old, self.facts, {}) is None
        self._kept = others if is_same else {}
        remove(self.path)
        if self.path.exists():
            raise InputError(f"{self.path}: cannot write: it cannot be replaced.")
        return [] if is_same else list(others.values())

    def write(
        self, left_out: Sequence[str] = (), rows: Sequence[Mapping[str, object]] = ()
    ) -> None:
        """Write it, after the last of the results.

        Args:
            left_out: Kinds of outputs that were not made, since there was nothing to show.
            rows: A photograph's rows of the table that it shares with others.

        Raises:
            InputError: It cannot be written.
        """
        facts = {**self.facts, "outputs": {**self._kept, **self._names}}
        facts |= {"left_out": list(left_out)} if left_out else {}
        facts |= {"rows": list(rows)} if rows else {}
        write_atomic(self.path, (json.dumps(facts, indent=2) + "\n").encode())

    def _exists(self, name: str) -> bool:
        return self.path.with_name(name).exists()


def read_facts(path: Path) -> Facts | None:
    """Return a record's content; empty if it is damaged, None if there is none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return content if _is_whole(content) else {}


def _is_whole(content: object) -> bool:
    """Tell if this is what `Record.write` writes, with names of outputs and no other paths."""
    if not isinstance(content, dict):
        return False
    parts = [content.get(name) for name in ("source", "model", "options", "outputs")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    names = content["outputs"].values()
    return all(isinstance(name, str) and name and Path(name).name == name for name in names)


def content_of(source: Facts) -> str | None:
    """Return the SHA-256 of what a source holds; of a folder's pictures with their names.

    Args:
        source: The facts about the source.

    Returns:
        Hexadecimal digits; None for a camera.

    Raises:
        InputError: It cannot be read.
    """
    if "camera" in source:
        return None
    path = Path(source["where"])
    if not path.is_dir():
        return sha256_of(path)
    listed = [[file.name, sha256_of(file)] for file in list_images(path)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _source(source: str | int) -> Facts:
    if isinstance(source, int):
        return {"camera": source}
    path = Path(source)
    facts: Facts = {"path": str(source), "where": str(path.resolve())}
    try:
        if not path.is_dir():
            stat = path.stat()
            return facts | {"size": stat.st_size, "times_ns": [stat.st_mtime_ns, stat.st_ctime_ns]}
        stats = [(file.name, file.stat()) for file in list_images(path)]
    except OSError as error:
        raise InputError(f"{path}: cannot read it: {error.strerror}.") from error
    listed = [[name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats]
    return facts | {
        "pictures": len(stats),
        "size": sum(stat.st_size for _, stat in stats),
        "listing": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
    }


def _same_source(old: Facts, new: Facts) -> bool:
    """Tell if nothing has touched a source since, or it has the same name and content."""
    if all(old.get(key) == new.get(key) for key in _ABOUT):
        return True
    if "camera" in old or "camera" in new:
        return False
    # the table holds names of pictures
    named = Path(old["where"]).name == Path(new["where"]).name
    sized = old["size"] == new["size"] and old.get("pictures") == new.get("pictures")
    return named and sized and old["sha256"] == (new.get("sha256") or content_of(new))
