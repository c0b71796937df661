"""Rare groups, which are joined into one before an encoder is fitted.

A certificate is as wide as its smallest groups make it. The fitted encoder knows which values
belong to the joined group, and finds them in all later rows.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.bins import bound_text
from bitveil.columns.labels import number_labels
from bitveil.columns.values import plain
from bitveil.quotes import quoted

__all__ = ["JOINED", "as_joined", "joined_value", "rare_values", "tuples_of"]

JOINED = "other (joined)"
"""The group of the rows whose own group has too few rows."""

_MOST_NAMED = 8  # groups that an error names


def rare_values(name: str, frame: pd.DataFrame, least: int) -> tuple[Any, ...]:
    """The groups of fewer rows than `least`, as text; a tuple of texts for several columns.

    Arguments:
        name: What errors call the attribute.
        frame: The columns of the attribute, their numbers cut into bins.
        least: The number of rows that a group needs.

    Raises:
        ValueError: If the rare groups together have fewer rows, too, if no other group is left, or
            if a group has the name of the joined one.

    Example:
        >>> rare_values("s", pd.DataFrame({"race": [1] * 5 + [2] * 2 + [3, 4]}), 3)
        ('2', '3', '4')
    """

    values, numbers = number_labels(name, frame, len(frame))
    if any(JOINED in (value if isinstance(value, tuple) else (value,)) for value in values):
        raise ValueError(
            f"`{name}` has rows whose value is {quoted(JOINED)}, which is also the name of the "
            "group that joins rare ones. Rename that value."
        )
    sizes = np.bincount(numbers)
    rare, size = np.flatnonzero(sizes < least), int(sizes[sizes < least].sum())
    named = _with_sizes([values[g] for g in rare], sizes[rare].tolist())
    if 0 < size < least:
        raise ValueError(
            f"`{name}`: the groups of fewer than {least} rows have {size} rows together, which is "
            f"too few as well: {named}. Choose a larger number than `join_rare={least}`, so that "
            "other groups join them, leave those rows out, or give them the value of another "
            "group."
        )
    if len(rare) == len(values):
        raise ValueError(
            f"`{name}`: all groups have fewer than {least} rows, and would become one: {named}. "
            f"Choose a smaller number than `join_rare={least}`."
        )

    return tuple(_as_texts(values[g]) for g in rare)


def _with_sizes(values: list[Any], sizes: list[int]) -> str:
    """Some groups with their numbers of rows, from the largest on."""

    order = sorted(range(len(values)), key=lambda place: -sizes[place])
    some = [f"{quoted(plain(values[p]))} ({sizes[p]} rows)" for p in order[:_MOST_NAMED]]
    more = [f"{len(order) - _MOST_NAMED} more"] if len(order) > _MOST_NAMED else []

    return ", ".join([*some, *more])


def _as_texts(value: Any) -> Any:
    return tuple(map(bound_text, value)) if isinstance(value, tuple) else bound_text(plain(value))


def as_joined(frame: pd.DataFrame, joined: Iterable[Any]) -> pd.DataFrame:
    """Columns as text, with the name of the joined group in the rows that belong to it.

    Arguments:
        frame: The columns of an attribute, their numbers cut into bins.
        joined: The groups that are joined, as `rare_values` gives them.

    Example:
        >>> as_joined(pd.DataFrame({"race": [1, 2, 3]}), ("2", "3"))["race"].tolist()
        ['1', 'other (joined)', 'other (joined)']
    """

    texts = frame.astype(object).map(bound_text).where(frame.notna(), None)
    known = set(joined)
    inside = [value in known for value in tuples_of(texts)]

    return texts.mask(pd.Series(inside, index=texts.index), JOINED)


def joined_value(n_columns: int) -> Any:
    """The value of the joined group of so many columns."""

    return JOINED if n_columns == 1 else (JOINED,) * n_columns


def tuples_of(frame: pd.DataFrame) -> NDArray[Any]:
    """The values of one column, or the tuples of several, with shape (n,)."""

    labels = np.empty(len(frame), dtype=object)
    for number, row in enumerate(frame.to_numpy(object).tolist()):
        labels[number] = plain(tuple(row) if len(row) > 1 else row[0])

    return labels
