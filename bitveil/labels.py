"""Labels: from the values a person has to the numbers of groups."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Labels", "number_labels", "split_rows"]


class Labels(NamedTuple):
    """The different values in order, and for each row the number of its own.

    Several columns are one label: their values are tuples.
    """

    values: NDArray[Any]
    numbers: NDArray[np.int64]


def number_labels(name: str, column: Any, n: int, *, most: int | None = None) -> Labels:
    """Number the values of a column, or of several columns together.

    Arguments:
        name: What the column is called in errors.
        column: An array, a Series, or a DataFrame with one or more columns.
        n: The number of rows that are expected.
        most: The most different values that may be.

    Raises:
        ValueError: If rows are missing or too many, a value is missing, values cannot be sorted,
            or there are fewer than two of them, or more than `most`.

    Example:
        >>> number_labels("s", [20, 10, 20], 3)
        Labels(values=array([10, 20]), numbers=array([1, 0, 1]))
        >>> number_labels("s", pd.DataFrame({"sex": ["f", "m"], "old": [1, 0]}), 2).values
        array([('f', 1), ('m', 0)], dtype=object)
    """

    if np.ndim(column) not in (1, 2):
        raise ValueError(
            f"`{name}` expects a column of values, or a table of several columns, got "
            f"{type(column).__name__} with {np.ndim(column)} dimensions."
        )
    frame = pd.DataFrame(column) if np.ndim(column) == 2 else pd.Series(column).to_frame()
    if frame.columns.has_duplicates:
        raise ValueError(f"`{name}` expects columns with different names, got {list(frame)}.")
    if len(frame) != n:
        raise ValueError(
            f"`{name}` expects one value for each of the {n} rows, got {len(frame)} values."
        )
    missing = int(frame.isna().any(axis=1).sum())
    if missing:
        raise ValueError(
            f"`{name}` has {missing} missing values. Leave those rows out, or give them a value "
            "of their own, such as 'unknown'."
        )
    labels = _joined(name, frame)
    if len(labels.values) < 2:
        raise ValueError(
            f"`{name}` has one value only, {labels.values.tolist()}: nothing to tell apart."
        )
    if most is not None and len(labels.values) > most:
        raise ValueError(
            f"`{name}` has {len(labels.values)} different values, more than the {most} that count "
            "as groups. Numbers: cut them into bins, as `pandas.qcut` does; identifiers: choose "
            "another column."
        )

    return labels


def split_rows(
    groups: NDArray[np.int64], shares: tuple[float, ...], rng: np.random.RandomState
) -> list[NDArray[np.int64]]:
    """Disjoint parts of the rows in these shares, at random within each group.

    Within groups of the sensitive attribute and of nothing else: given its group each held-out
    row is then drawn at random, which is what a certificate assumes.

    Example:
        >>> parts = split_rows(np.repeat([0, 1], 10), (0.5, 0.5), np.random.RandomState(0))
        >>> [len(part) for part in parts]
        [10, 10]
    """

    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        stops = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(int)
        for part, chosen in zip(parts, np.split(rows, stops), strict=True):
            part.append(chosen)

    return [np.sort(np.concatenate(part)) for part in parts]


def _joined(name: str, frame: pd.DataFrame) -> Labels:
    try:
        numbered = [np.unique(frame[column].to_numpy(), return_inverse=True) for column in frame]
    except TypeError as error:
        raise ValueError(
            f"`{name}` mixes values that cannot be sorted ({error}). Make them all text: "
            "`.astype(str)`."
        ) from error
    if len(numbered) == 1:
        return Labels(numbered[0][0], numbered[0][1].astype(np.int64))

    rows = np.stack([numbers for _, numbers in numbered], axis=1)
    distinct, numbers = np.unique(rows, axis=0, return_inverse=True)
    values = np.empty(len(distinct), dtype=object)
    for i, row in enumerate(distinct):
        values[i] = tuple(
            column[j].item() if isinstance(column[j], np.generic) else column[j]
            for (column, _), j in zip(numbered, row, strict=True)
        )

    return Labels(values, numbers.ravel().astype(np.int64))
