"""Kinds: what each column of a table holds, and how later tables are read.

The same people come as CSV, Parquet or a data frame, whole or in parts, and each of these stores
their values in its own types: 7 as an integer, as 7.0 or as the text "7". A row has to mean the
same in all of them. So an encoder learns the kinds of the columns once, when it is fitted, and
reads every later table by them. Each column then has one type, and everything else is computed
from what was read: features and the names of rows.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import numpy as np
import pandas as pd

from bitveil.columns.cells import as_text, number_of, says_missing, says_truth, time_of
from bitveil.columns.reading import READERS, distinct_values, plain_column
from bitveil.quotes import quoted

__all__ = ["KINDS", "Kinds"]

KINDS = tuple(READERS)
"""All kinds of columns."""


@dataclass(frozen=True)
class Kinds:
    """What each column of a table holds.

    - `"number"`: numbers, also as text. Integers are exact. A fraction is the float64 nearest to
      its decimal digits, so that 0.1 as float32 is the 0.1 in a file.
    - `"truth"`: True and False, also as text or as 1 and 0.
    - `"time"` and `"zoned time"`: dates and times to the microsecond, without and with a time
      zone, also as ISO 8601 text. A zoned time is read as an instant.
    - `"duration"`: lengths of time.
    - `"text"`: everything else, as text.
    - `"category"` and `"category of numbers"`: pandas categories, also if they look like numbers.
    - `"nothing"`: no value at all. Later values of such a column are left out.

    Attributes:
        names: The names of the columns.
        kinds: The kind of each column.

    Example:
        >>> kinds = Kinds.fit(pd.DataFrame({"age": ["30", "41"], "ward": ["07", "7b"]}))
        >>> kinds.kinds
        ('number', 'text')
        >>> kinds.read(pd.DataFrame({"age": [30], "ward": [7]})).values.tolist()
        [[30.0, '7']]
    """

    names: tuple[Any, ...]
    kinds: tuple[str, ...]

    @classmethod
    def fit(cls, table: pd.DataFrame) -> Self:
        """Learn the kinds of the columns of a table.

        Raises:
            ValueError: If a column holds lists, dicts or complex numbers, or mixes times with and
                without a time zone.
        """

        return cls(
            tuple(table), tuple(_kind_of(name, plain_column(table[name])) for name in table)
        )

    def read(self, table: pd.DataFrame) -> pd.DataFrame:
        """Read the rows of a table, with one type for each kind, numbered from 0.

        Numbers, truths (0 and 1) and durations (seconds) become float64, or Python integers where
        float64 would round one. Times become datetime64 of microseconds, zoned times in UTC. Texts
        become objects, and categories become categories of text.

        Raises:
            ValueError: If a column holds another kind of value than the fitted one, or a number
                that an encoder cannot hold.
        """

        columns = {
            place: READERS[kind](name, plain_column(table[name]), kind)
            for place, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True))
        }

        read = pd.DataFrame(columns, index=range(len(table)))
        read.columns = pd.Index(self.names, tupleize_cols=False)

        return read

    def again(self, read: pd.DataFrame) -> pd.DataFrame:
        """A table that was read, or one like it, in types that `read` can read again."""

        table = read.copy()
        for name, kind in zip(self.names, self.kinds, strict=True):
            if kind == "zoned time":
                table[name] = table[name].dt.tz_localize("UTC")
            if kind == "duration":
                table[name] = pd.to_timedelta(table[name].round(6), unit="s")
            if kind == "truth":
                table[name] = table[name].round()
            if kind == "text":  # dates in other forms come back as times
                table[name] = table[name].map(as_text, na_action="ignore").astype(object)
            if kind == "nothing":
                table[name] = np.nan

        return table

    def left_out(self, table: pd.DataFrame) -> list[Any]:
        """The columns that have values in this table and had none in the fitted one."""

        empty = [n for n, kind in zip(self.names, self.kinds, strict=True) if kind == "nothing"]

        return [name for name in empty if _has_values(name, table[name])]


def _has_values(name: Any, column: "pd.Series[Any]") -> bool:
    return not all(map(says_missing, distinct_values(name, plain_column(column))))


def _kind_of(name: Any, column: "pd.Series[Any]") -> str:
    category = isinstance(column.dtype, pd.CategoricalDtype)
    if column.dtype.kind in "iuf" and not category and column.notna().any():
        return "number"
    values = distinct_values(name, column)
    if not values:
        return "nothing"

    return _kind_of_categories(name, values) if category else _kind_of_values(name, values)


def _kind_of_categories(name: Any, values: list[Any]) -> str:
    if all(isinstance(value, str) for value in values):
        return "category"
    kind = _kind_of_values(name, values)

    return {"text": "category", "number": "category of numbers"}.get(kind, kind)


def _kind_of_values(name: Any, values: list[Any]) -> str:
    """The kind that all values can be read as."""

    values = [value for value in values if not says_missing(value)]
    if not values:
        return "nothing"
    if all(isinstance(value, bool | np.bool_) or says_truth(value) for value in values):
        return "truth"
    if all(isinstance(value, timedelta | np.timedelta64) for value in values):
        return "duration"
    if all(number_of(value) is not None and not says_truth(value) for value in values):
        return "number"

    return _kind_of_times(name, [time_of(value) for value in values])


def _kind_of_times(name: Any, times: list[pd.Timestamp | None]) -> str:
    """The kind of these times; text if one of them is no time."""

    if any(time is None for time in times):
        return "text"
    zoned = {time.tz is not None for time in times if time is not None}
    if len(zoned) > 1:
        raise ValueError(
            f"Column {quoted(name)} has times with a time zone and times without. Give all of "
            "them a time zone, or none."
        )

    return "zoned time" if zoned == {True} else "time"
