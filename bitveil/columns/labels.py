"""Labels: from the values a person has to the numbers of groups."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.values import check_values, plain, plain_array

__all__ = [
    "AS_TEXT",
    "CONTINUOUS",
    "Grouping",
    "Labels",
    "as_frame",
    "binned",
    "check_names",
    "number_labels",
    "printable",
]

CONTINUOUS = 20
"""A column of numbers with more different values than this is cut into bins."""

AS_TEXT = "Make them text, as `.astype(str)` does."

MISSING = "missing"
"""The value of a group of rows whose own is missing."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # kinds of characters that are not seen, or move others
_JOINERS = "\u200c\u200d"  # not seen either, but Persian and emojis are spelled with them


def printable(value: object, *, most: int | None = 80) -> str:
    """Text of the data as it is safe to show: what a terminal or a browser would obey is spelled.

    Control characters, line breaks and marks that turn the direction of writing are spelled as
    escapes. Long text loses its middle.

    Arguments:
        value: Text, or anything that can be made text.
        most: The most characters of the text; None: as many as there are.

    Example:
        >>> printable("two\\nlines"), printable("abcdefghijk", most=7)
        ('two\\\\nlines', 'ab...jk')
    """

    text = "".join(map(_spelled, str(value)))
    if most is None or len(text) <= most:
        return text
    half = (most - 3) // 2

    return f"{text[:half]}...{text[-half:]}"


def _spelled(character: str) -> str:
    unseen = unicodedata.category(character) in _UNSEEN and character not in _JOINERS

    return character.encode("unicode_escape").decode() if unseen else character


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

    frame = as_frame(name, column, n)
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


def as_frame(name: str, column: Any, n: int) -> pd.DataFrame:
    """One column or several, of n rows, as a DataFrame with rows numbered from 0.

    Raises:
        ValueError: If it is neither, has other rows, or columns of one name.

    Example:
        >>> as_frame("s", pd.Series([3, 4], name="age", index=[7, 8]), 2)
           age
        0    3
        1    4
    """

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
        raise ValueError(f"`{name}` expects columns with different names, got {list(frame)}.")
    if len(frame) != n:
        raise ValueError(
            f"`{name}` expects one value for each of the {n} rows, got {len(frame)} values."
        )

    return frame.reset_index(drop=True)


@dataclass(frozen=True)
class Grouping:
    """How the rows of a sensitive attribute are put into groups, for these rows and for others.

    Several columns are taken together: their values are tuples. Columns of numbers with more than
    `CONTINUOUS` different values are cut at quantiles, and their values are texts that name the
    bins.

    Attributes:
        columns: The names of the columns.
        edges: Where each column is cut, or None where it is taken as it is.
        textual: Whether each column is taken as text, since some of its values were missing.
        values: The values of the groups, in order.

    Example:
        >>> ages = pd.DataFrame({"age": np.arange(100), "sex": ["f", "m"] * 50})
        >>> grouping, numbers = Grouping.fit("s", ages, bins=2, missing="error")
        >>> grouping.values.tolist()
        [('below 50', 'f'), ('below 50', 'm'), ('from 50', 'f'), ('from 50', 'm')]
        >>> grouping.labels("s", pd.DataFrame({"age": [70], "sex": ["f"]})).tolist()
        [('from 50', 'f')]
    """

    columns: tuple[Any, ...]
    edges: tuple[tuple[float, ...] | None, ...]
    textual: tuple[bool, ...]
    values: NDArray[Any]

    @classmethod
    def fit(
        cls,
        name: str,
        column: Any,
        *,
        n: int | None = None,
        bins: int,
        missing: Literal["error", "group"],
        most: int | None = None,
    ) -> "tuple[Grouping, NDArray[np.int64]]":
        """Learn the groups of some rows, and number them.

        Arguments:
            name: What the attribute is called in errors.
            column: An array, a Series, or a DataFrame with one or more columns.
            n: The number of rows that are expected; None: as many as there are.
            bins: Into how many bins of equal numbers of rows a column of numbers is cut.
            missing: `"group"` makes missing values a group of their own.
            most: The most groups that may be.
        """

        frame = as_frame(name, column, len(column) if n is None else n)
        edges = tuple(_edges(frame[each], bins) for each in frame)
        textual = tuple(missing == "group" and bool(frame[each].isna().any()) for each in frame)
        cut = _cut(frame, edges, textual)
        values, numbers = number_labels(name, cut, len(frame), most=most)
        check_names(name, frame)
        check_values(f"`{name}` has groups", values.tolist(), AS_TEXT)

        return cls(tuple(frame), edges, textual, values), numbers

    def labels(self, name: str, column: Any) -> NDArray[Any]:
        """The values of other rows, binned as the fitted ones were: see `cut`."""

        return _tuples(self.cut(name, column))

    def cut(self, name: str, column: Any) -> pd.DataFrame:
        """The columns of other rows, binned as the fitted ones were.

        Several columns go by their names, or by position where either rows have none.

        Raises:
            ValueError: If there are other columns, or groups that were not fitted.
        """

        frame = as_frame(name, column, len(column))
        if set(frame) == set(self.columns):
            frame = frame[list(self.columns)]
        elif len(frame.columns) != len(self.columns) or (_named(frame) and _named(self.columns)):
            raise ValueError(
                f"`{name}` expects the {len(self.columns)} columns {list(self.columns)}, got "
                f"{list(frame)}."
            )
        known = set(self.values.tolist())
        cut = _cut(frame, self.edges, self.textual)
        unknown = sorted(set(_tuples(cut).tolist()) - known, key=str)
        if unknown:
            raise ValueError(
                f"`{name}` has groups that were not fitted: {unknown[:5]}. Known are "
                f"{sorted(known, key=str)}."
            )

        return cut


def check_names(what: str, names: Iterable[Any]) -> None:
    """Refuse columns with names that a saved encoder could not give back.

    Example:
        >>> check_names("X", ["age", 7, ("height", "cm")])
        >>> check_names("X", [1j])
        Traceback (most recent call last):
        ...
        ValueError: `X` has columns with names that cannot be saved: 1j is a complex. ...
    """

    instead = "Make the names text: `table.columns = table.columns.astype(str)`."
    check_values(f"`{what}` has columns with names", names, instead)


def _named(columns: Iterable[Any]) -> bool:
    """Whether there are several columns with names, and not numbers as an array has them."""

    names = list(columns)

    return len(names) > 1 and not all(isinstance(name, int) for name in names)


def _edges(column: "pd.Series[Any]", bins: int) -> tuple[float, ...] | None:
    """The inner quantiles of a column of many numbers; None for any other column."""

    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if not numeric or column.nunique() <= CONTINUOUS:
        return None
    known = column.dropna().to_numpy(float)
    if not np.isfinite(known).all():
        raise ValueError(f"Expected finite numbers in {column.name!r}, got infinities.")
    inner = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))

    return tuple(edge for edge in inner.tolist() if edge > known.min())


def _cut(
    frame: pd.DataFrame, edges: Sequence[tuple[float, ...] | None], textual: Sequence[bool]
) -> pd.DataFrame:
    """Numbers as the names of their bins, and missing values as a value where they may be one."""

    columns = {}
    for name, cuts, text in zip(frame, edges, textual, strict=True):
        column = frame[name] if cuts is None else binned(frame[name], cuts)
        known = column.notna()
        if text:
            column = column.astype(object).map(_text)
            _check_no_missing(name, column[known])
        columns[name] = column.where(known, MISSING) if text else column

    return pd.DataFrame(columns)


def _check_no_missing(name: Any, known: "pd.Series[Any]") -> None:
    """Refuse a value that reads like the group of rows without one: they would be one group."""

    if (known == MISSING).any():
        raise ValueError(
            f"The column {name!r} has rows whose value is {MISSING!r}, which is also the name of "
            "the group of rows without a value. Rename that value, for instance to 'not given'."
        )


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def binned(column: "pd.Series[Any]", edges: tuple[float, ...]) -> "pd.Series[Any]":
    """Numbers as the names of the bins between these edges, missing ones as None."""

    names = [
        f"below {_text(edges[0])}" if edges else "all",
        *(f"{_text(low)} to below {_text(high)}" for low, high in pairwise(edges)),
        *([f"from {_text(edges[-1])}"] if edges else []),
    ]
    known = column.notna().to_numpy()
    binned = np.full(len(column), None, dtype=object)
    places = np.searchsorted(edges, column[known].to_numpy(float), side="right")
    binned[known] = np.array(names, dtype=object)[places]

    return pd.Series(binned)


def _tuples(frame: pd.DataFrame) -> NDArray[Any]:
    """The values of one column, or the tuples of several."""

    labels = np.empty(len(frame), dtype=object)
    rows = frame.to_numpy(object).tolist()
    for number, row in enumerate(rows):
        labels[number] = plain(tuple(row) if len(row) > 1 else row[0])

    return labels


def _joined(name: str, frame: pd.DataFrame) -> Labels:
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
