"""Words that an audit prints and writes on its page."""

from collections.abc import Sequence
from typing import Any

from bitveil.columns.printing import printable

__all__ = ["and_listed", "group_name"]


def group_name(group: Any) -> str:
    """A group as a person reads it: the values of several columns with commas.

    `bitveil.columns.printing.printable` makes it safe to show.

    Example:
        >>> group_name(("f", 40)), group_name("m")
        ('f, 40', 'm')
    """

    return ", ".join(map(printable, group if isinstance(group, tuple | list) else [group]))


def and_listed(words: Sequence[str]) -> str:
    """Words with commas, and an "and" before the last.

    Example:
        >>> and_listed(["a", "b", "c"])
        'a, b and c'
    """

    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])
