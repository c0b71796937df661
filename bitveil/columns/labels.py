"""Labels: the different values of a column, and the number of each row's value."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.attribute import Attribute
from bitveil.columns.values import plain, plain_array
from bitveil.quotes import quoted

__all__ = ["AS_TEXT", "MOST_VALUES", "Labels", "as_frame", "number_labels"]

MOST_VALUES = 50
"""The most groups or classes: a column with more different values looks like numbers or names."""

AS_TEXT = "Make them text, for example with `.astype(str)`."
"""What to do about values that cannot be saved."""


class Labels(NamedTuple):
    """The different values in order, and the number of each row's value.

    Several columns are one label, whose values are tuples.
    """

    values: NDArray[Any]
    numbers: NDArray[np.int64]


def number_labels(name: str, column: Any, n: int, *, most: int | None = None) -> Labels:
    """Number the values of a column, or of several columns together.

    Arguments:
        name: What errors call the column.
        column: An array, a Series, or a DataFrame with one or more columns.
        n: The number of rows that is expected.
        most: The largest number of different values that is allowed; None: any.

    Raises:
        ValueError: If there are more or fewer than n rows, a value is missing, values cannot be
            sorted, or there are fewer than two different values, or more than `most`.

    Example:
        >>> number_labels("s", [20, 10, 20], 3)
        Labels(values=array([10, 20]), numbers=array([1, 0, 1]))
        >>> number_labels("s", pd.DataFrame({"sex": ["f", "m"], "old": [1, 0]}), 2).values
        array([('f', 1), ('m', 0)], dtype=object)
    """

    frame = as_frame(name, column, n)
    missing = int(frame.isna().any(axis=1).sum())
    if missing:
        raise ValueError(
            f"`{name}` has {missing} missing values. Leave those rows out, or give them a value "
            "of their own, such as 'unknown'."
        )
    labels = _label(name, frame)
    if len(labels.values) < 2:
        raise ValueError(
            f"`{name}` has one value only, {quoted(labels.values.tolist())}: nothing to tell "
            "apart."
        )
    if most is not None and len(labels.values) > most:
        raise ValueError(
            f"`{name}` has {len(labels.values)} different values, more than the {most} that count "
            "as groups. Join rare values, or cut numbers into bins, for example with "
            "`pandas.qcut`. If these are identifiers, choose another column."
        )

    return labels


def as_frame(name: str, column: Any, n: int) -> pd.DataFrame:
    """One column or several, of n rows, as a DataFrame with rows numbered from 0.

    Raises:
        ValueError: If it is neither, has more or fewer than n rows, or has two columns of the same
            name.

    Example:
        >>> as_frame("s", pd.Series([3, 4], name="age", index=[7, 8]), 2)
           age
        0    3
        1    4
    """

    if isinstance(column, Attribute):
        raise ValueError(
            f"`{name}` got an `Attribute`, which only the fit of an encoder takes. Give its "
            "columns alone: the fitted encoder remembers how it groups them."
        )
    if hasattr(column, "to_pandas"):  # polars
        column = column.to_pandas()
    if not isinstance(column, pd.Series | pd.DataFrame) and hasattr(column, "__array__"):
        column = np.asarray(column)
    if np.ndim(column) not in (1, 2):
        raise ValueError(
            f"`{name}` expects a column of values, or a table of several columns, got "
            f"{type(column).__name__} with {np.ndim(column)} dimensions."
        )
    frame = pd.DataFrame(column) if np.ndim(column) == 2 else pd.Series(column).to_frame()
    if frame.columns.has_duplicates:
        raise ValueError(
            f"`{name}` expects columns with different names, got {quoted(list(frame))}."
        )
    if len(frame) != n:
        raise ValueError(
            f"`{name}` expects one value for each of the {n} rows, got {len(frame)} values."
        )

    return frame.reset_index(drop=True)


def _label(name: str, frame: pd.DataFrame) -> Labels:
    try:
        numbered = [np.unique(frame[column].to_numpy(), return_inverse=True) for column in frame]
    except TypeError as error:
        raise ValueError(
            f"`{name}` mixes values that cannot be sorted ({error}). Make them all text: "
            "`.astype(str)`."
        ) from error
    if len(numbered) == 1:
        return Labels(plain_array(numbered[0][0]), numbered[0][1].astype(np.int64))

    rows = np.stack([numbers for _, numbers in numbered], axis=1)
    distinct, numbers = np.unique(rows, axis=0, return_inverse=True)
    values = np.empty(len(distinct), dtype=object)
    for i, row in enumerate(distinct):
        values[i] = tuple(plain(column[j]) for (column, _), j in zip(numbered, row, strict=True))

    return Labels(values, numbers.ravel().astype(np.int64))
