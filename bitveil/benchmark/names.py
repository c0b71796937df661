"""The names of methods and gaps on the pages, and the marks of methods that do not compete."""

from collections.abc import Iterable

from bitveil.benchmark.fronts import GapKind
from bitveil.benchmark.methods import METHODS

__all__ = ["GAP_NAMES", "is_ours", "label", "marks_explained", "ranked", "title"]

GAP_NAMES: dict[GapKind, str] = {
    "certified": "certified gap",
    "attack_gap": "gap of the worst attacker",
    "gap": "gap of the classifiers",
}
"""The gaps at which methods are compared."""

OUTSIDE = "†"
SEES_GROUP = "‡"
_MEANINGS = {
    OUTSIDE: "does not compete, because it gives no representation",
    SEES_GROUP: "does not compete, because it needs the sensitive attribute of each row to encode "
    "it",
}


def title(method: str) -> str:
    """The title of a method, or its short name if it is unknown."""

    return METHODS[method].title if method in METHODS else method


def is_ours(method: str) -> bool:
    """Whether a method is a form of bitveil.

    Example:
        >>> [is_ours(name) for name in ("bitveil", "bitveil-raw", "bitveil.mine:Mine", "tree")]
        [True, True, False, False]
    """

    return method == "bitveil" or method.startswith("bitveil-")


def ranked(method: str) -> bool:
    """Whether a method competes: it gives a representation, and encodes without the group."""

    return not _marks(method)


def label(method: str) -> str:
    """The title of a method, with marks if it does not compete."""

    return " ".join([title(method), *_marks(method)])


def marks_explained(methods: Iterable[str]) -> str:
    """A sentence for each mark that the methods have.

    Example:
        >>> marks_explained(["bitveil"]), marks_explained(["correlation"])[:18]
        ('', '‡ does not compete')
    """

    there = {mark for method in methods for mark in _marks(method)}

    return " ".join(f"{mark} {_MEANINGS[mark]}." for mark in _MEANINGS if mark in there)


def _marks(method: str) -> list[str]:
    if method not in METHODS:
        return []
    known = METHODS[method]
    has = {OUTSIDE: not known.ranked, SEES_GROUP: known.sees_sensitive}

    return [mark for mark, it in has.items() if it]
