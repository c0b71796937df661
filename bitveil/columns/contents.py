"""Contents: the columns of a table as classes, for a code that should tell what its rows hold."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.bins import bin_numbers, quantile_edges
from bitveil.columns.labels import MOST_VALUES
from bitveil.columns.table import Table

__all__ = ["Contents", "column_classes"]

_BINS = 8
"""Numbers with more values are cut into so many bins. They then count about as much as words."""

_LEAST_ROWS = 5
"""Words of fewer rows are joined into one class, or names would count as contents."""


class Contents(NamedTuple):
    """The columns of a table as classes.

    Attributes:
        labels: The class of each row in each column, with shape (n, columns).
        n_labels: The number of classes of each column, two at least.
    """

    labels: NDArray[np.int64]
    n_labels: tuple[int, ...]


def column_classes(table: Table) -> Contents:
    """The columns of a table as classes. A missing value is one more class.

    Numbers and times with more than 8 values are cut at quantiles into 8 bins. Of words, the 49
    most frequent are classes if 5 rows or more have them, and all others are one class. Columns
    with one class are left out.

    Arguments:
        table: A table as it was read, with shape (n, columns).

    Raises:
        ValueError: If it holds images, or no column has two classes.

    Example:
        >>> ages = [20.0, 30.0, 30.0, None]
        >>> column_classes(pd.DataFrame({"age": ages, "year": 2026})).labels.T
        array([[1, 2, 2, 0]])
        >>> column_classes(np.arange(100.0).reshape(-1, 1)).n_labels
        (8,)
    """

    if np.ndim(table) > 2:
        raise ValueError(
            "`task='columns'` expects a table, got images, which have no columns. Use "
            "`task='reconstruction'`."
        )
    frame = pd.DataFrame(table)
    columns = [_classes_of_column(frame.iloc[:, place]) for place in range(frame.shape[1])]
    columns = [column for column in columns if column.max(initial=0) > 0]
    if not columns:
        raise ValueError(
            "Expected a column with two different values, or with words that several rows have, "
            "got none: without a target, the code has nothing to tell."
        )

    return Contents(np.stack(columns, 1), tuple(int(column.max()) + 1 for column in columns))


def _classes_of_column(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """The class of each row, numbered from 0 without gaps."""

    numbers = _as_numbers(column)
    classes = _classes_of_words(column) if numbers is None else _classes_of_numbers(numbers)

    return np.unique(classes, return_inverse=True)[1].astype(np.int64)


def _as_numbers(column: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """Numbers and times as floats, NaN where missing; None where a column holds words."""

    if column.dtype.kind == "M":
        whole = column.to_numpy().astype(np.int64).astype(np.float64)
        return np.where(column.isna(), np.nan, whole)
    # Integers that float64 would round are objects.
    if column.dtype.kind in "iufb" or pd.api.types.infer_dtype(column) == "integer":
        return column.to_numpy(np.float64, na_value=np.nan)

    return None


def _classes_of_numbers(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    known = np.unique(numbers[~np.isnan(numbers)])
    edges = tuple(known[1:].tolist())
    if len(known) > _BINS:
        of_quantiles = quantile_edges(numbers[~np.isnan(numbers)], _BINS)
        edges = of_quantiles or edges[:1]  # most rows have the least number

    return bin_numbers(numbers, edges)


def _classes_of_words(column: "pd.Series[Any]") -> NDArray[np.int64]:
    numbers = pd.factorize(column, use_na_sentinel=False)[0]
    sizes = np.bincount(numbers)
    order = np.argsort(-sizes, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    place[(place >= MOST_VALUES - 1) | (sizes < _LEAST_ROWS)] = -1

    return place[numbers]
