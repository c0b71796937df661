"""Words that an audit prints and writes on its page."""

from collections.abc import Iterable, Sequence
from typing import Any

from bitveil.columns.printing import printable

__all__ = ["and_listed", "group_name", "rows_with_code", "those_with", "unseen_targets"]

_LIMITS = ((">=", "of at least"), ("<=", "of at most"), (">", "above"), ("<", "below"))


def unseen_targets(target: Any, values: Iterable[Any], rows: Iterable[int]) -> str | None:
    """What gaps within targets do not say, if no row has some values of the target.

    Arguments:
        target: The name of the target.
        values: Its values.
        rows: How many rows have each of them.

    Example:
        >>> print(unseen_targets("grade", ["a", "b", "c"], [600, 400, 0]))
        No row has grade c. Bounds on gaps among rows of the same grade say nothing about such...
        >>> unseen_targets("grade", ["a", "b"], [600, 400]) is None
        True
    """

    unseen = [group_name(value) for value, n in zip(values, rows, strict=True) if not n]
    if not unseen:
        return None
    name = printable(target)

    return (
        f"No row has {name} {' or '.join(unseen)}. Bounds on gaps among rows of the same {name} "
        "say nothing about such rows."
    )


def group_name(group: Any) -> str:
    """A group as a person reads it: the values of several columns with commas.

    `bitveil.columns.printing.printable` makes it safe to show.

    Example:
        >>> group_name(("f", 40)), group_name("m")
        ('f, 40', 'm')
    """

    return ", ".join(map(printable, group if isinstance(group, tuple | list) else [group]))


def rows_with_code(share: float) -> str:
    """How many rows get a code, and that the others do not.

    Example:
        >>> rows_with_code(0.6184)
        '61.8 % of the rows get a code, the others stay blank'
        >>> rows_with_code(0.99996)[:25]
        'more than 99.9 % of the r'
    """

    if share == 0:
        return "no row gets a code, all stay blank"
    if 0.001 <= share <= 0.999:
        words = f"{100 * share:.1f} %"
    else:
        words = "less than 0.1 %" if share < 0.5 else "more than 99.9 %"

    return f"{words} of the rows get a code, the others stay blank"


def and_listed(words: Sequence[str]) -> str:
    """Words with commas, and an "and" before the last.

    Example:
        >>> and_listed(["a", "b", "c"])
        'a, b and c'
    """

    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])


def those_with(target: object, value: object) -> str:
    """The rows with one value of the target.

    Example:
        >>> those_with("income", ">50K"), those_with("hired", "yes")
        ('those with income above 50K', 'those whose hired is yes')
    """

    text = printable(value)
    for sign, words in _LIMITS:
        if text.startswith(sign):
            return f"those with {printable(target)} {words} {text[len(sign) :].strip()}"

    return f"those whose {printable(target)} is {text}"
