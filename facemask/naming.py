"""Names for several things at once, no two of them the same, and numbers of things in words."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 160  # bytes of a name put together, so that suffixes fit into the usual 255


def counted(number: int, noun: str) -> str:
    """Return a number and what is counted, in the plural by an "s" unless it is one.

    Examples:
        >>> counted(1, "frame"), counted(0, "frame")
        ('1 frame', '0 frames')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def distinct_names(candidates: Sequence[Sequence[str]]) -> list[str]:
    """Choose for each thing the first of its names that no other one has.

    The choice does not depend on the order of the things. Names that differ only by case, or in
    how Unicode composes a letter, are the same, as they are to many file systems. Where two things
    want one name, the one whose earlier choice it is keeps it.

    Args:
        candidates: Of each thing its names, the best first, the last one unlike any other thing's.

    Returns:
        One name a thing. Things that cannot be told apart by any name get the same one.

    Examples:
        >>> distinct_names([["a", "x-a"], ["a", "y-a"], ["b", "z-b"]])
        ['x-a', 'y-a', 'b']
        >>> distinct_names([["a", "x-a", "x-a.mp4"], ["a", "y-a"], ["x-a", "x-a-2"]])
        ['x-a.mp4', 'y-a', 'x-a']
    """
    chosen = [0] * len(candidates)
    changed = True
    while changed:
        changed = False
        wanting: dict[str, list[int]] = defaultdict(list)
        for thing, names in enumerate(candidates):
            wanting[_key(names[chosen[thing]])].append(thing)
        for things in wanting.values():
            first = min(chosen[thing] for thing in things)
            keepers = [thing for thing in things if chosen[thing] == first]
            for thing in things:
                keeps = chosen[thing] == first and len(keepers) == 1
                if not keeps and chosen[thing] + 1 < len(candidates[thing]):
                    chosen[thing] += 1
                    changed = True
    return [names[choice] for names, choice in zip(candidates, chosen, strict=True)]


def with_digests(name: str, whole: str) -> list[str]:
    """Return names to fall back on: the name with more and more of the digest of `whole`.

    Args:
        name: Shortened where it is too long.
        whole: What tells the thing from all others, such as its path.
    """
    start = name.encode("utf-8", "surrogateescape")[: LONGEST - 65].decode("utf-8", "ignore")
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
    return [f"{start}-{digest[:length]}" for length in (8, 64)]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
