"""Kinds: what each column of a table holds, and tables that are read that way.

The same people come as CSV, Parquet or a data frame, whole or in parts, and each way stores their
values in types of its own: 7 as an integer, as 7.0 or as the text "7". A row has to mean the same
in all of them. So the kinds of the columns are learned once, when an encoder is fitted, and every
later table is read by them. What is read has one type a column, and everything is computed from
that: features and the names of rows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "LARGEST",
    "MIDNIGHT",
    "Kinds",
    "as_pandas",
    "as_text",
    "decimals",
    "read_names",
]

_NULLS = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|NaT|None|"
    "n/a|nan|none|null|?|...|".split("|")
)
"""Texts that say "missing" in a column of numbers, truths or times. In a column of text only the
empty one does: a person may be called Null."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that an encoder can hold."""

_EXACT = 2**53  # up to here every integer is a float64

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.,]\d+)?)?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?"
)
MIDNIGHT = re.compile(r"^(\d{4}-\d\d-\d\d)[ T]00:00:00(\.0+)?$")
_EMPTY = frozenset([""])
_TRUTHS = {"true": 1.0, "false": 0.0}

_EXPECTED = {
    "number": "numbers",
    "truth": "True and False",
    "duration": "durations",
    "time": "times without a time zone",
    "zoned time": "times with a time zone",
    "text": "text",
}


@dataclass(frozen=True)
class Kinds:
    """What each column of a table holds.

    - `"number"`: numbers, also as text. Integers are exact, a fraction is the nearest float64 of
      its decimal digits, so that 0.1 as float32 is the 0.1 that a file has.
    - `"truth"`: True and False, also as text or as 1 and 0.
    - `"time"` and `"zoned time"`: dates and times to the microsecond, also as ISO 8601 text,
      without a time zone and with one. Of zoned times the instant counts.
    - `"duration"`: lengths of time.
    - `"text"`: everything else, as text.
    - `"category"` and `"category of numbers"`: as pandas has them, also if they look like numbers.
    - `"nothing"`: no value at all. What stands there later is left out.

    Attributes:
        names: The names of the columns.
        kinds: The kind of each.

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
            ValueError: If a column holds lists, dicts or complex numbers, or mixes times with a
                time zone and without.
        """

        return cls(tuple(table), tuple(_kind(name, _plain(table[name])) for name in table))

    def read(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with one type for each kind, numbered from 0.

        Numbers, truths (0 and 1) and durations (seconds) are float64, or Python's integers where
        float64 would round one; times are datetime64 of microseconds, zoned ones those of UTC;
        texts are objects, and categories are categories of text.

        Raises:
            ValueError: If a column holds another kind of value than it did when it was fitted, or
                a number that an encoder cannot hold.
        """

        columns = {
            place: _READ[kind](name, _plain(table[name]), kind)
            for place, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True))
        }

        read = pd.DataFrame(columns, index=range(len(table)))
        read.columns = pd.Index(self.names, tupleize_cols=False)

        return read

    def again(self, read: pd.DataFrame) -> pd.DataFrame:
        """A table that was read, or one like it, in types that can be read again."""

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
        """The columns that have values here, and had none when they were fitted."""

        empty = [n for n, kind in zip(self.names, self.kinds, strict=True) if kind == "nothing"]

        return [name for name in empty if _values(name, table[name])]


def as_pandas(table: Any) -> Any:
    """A table or column of polars, pyarrow or another library as pandas has it.

    Integers stay integers where values are missing. Everything else is given back as it is.
    """

    if isinstance(table, pd.DataFrame | pd.Series) or not hasattr(table, "to_pandas"):
        return table
    library = type(table).__module__.partition(".")[0]
    if library == "polars":
        return table.to_pandas(use_pyarrow_extension_array=True)
    if library == "pyarrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)

    return table.to_pandas()


def decimals(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers of float16 or float32 as a file has them: 0.1 is 0.1.

    Example:
        >>> decimals(np.array([0.1, 3.0], np.float32)).tolist()
        [0.1, 3.0]
        >>> np.float64(np.float32(0.1)).item()
        0.10000000149011612
    """

    distinct, places = np.unique(values, return_inverse=True)
    read = np.array([float(str(value)) for value in distinct], dtype=np.float64)

    return read[places].reshape(values.shape)


def read_names(ids: Any, n: int) -> list[str]:
    """The names of n rows as text.

    A whole number is the text of its digits: 7, 7.0 and "7" are one name, and "007" is another.

    Raises:
        ValueError: If a row has no name, there are more or fewer than n, or one is neither text
            nor a whole number.

    Example:
        >>> read_names([7, 7.0, "7", "007"], 4)
        ['7', '7', '7', '007']
    """

    ids = as_pandas(ids)
    dimensions = np.ndim(ids) if hasattr(ids, "ndim") else 1
    if dimensions != 1 or not np.iterable(ids) or isinstance(ids, str | bytes | dict):
        raise ValueError(
            f"`ids` expects one name a row, got {type(ids).__name__} of {dimensions} dimensions."
        )
    values = pd.Series(list(ids), dtype=object).tolist()
    if len(values) != n:
        raise ValueError(f"`ids` expects a name for each of the {n} rows, got {len(values)}.")
    missing = sum(map(_has_no_name, values))
    if missing:
        raise ValueError(
            f"`ids` expects a name for each of the {n} rows, got {missing} of them missing. Every "
            "row needs one."
        )
    names = [_name(value) for value in values]
    if wrong := [v for v, name in zip(values, names, strict=True) if name is None]:
        raise ValueError(
            f"`ids` expects text or whole numbers, got {wrong[0]!r} ({type(wrong[0]).__name__}) "
            f"in {len(wrong)} rows. Floats with a fraction, or of 2**53 and more, are no safe "
            "names: store them as text or as integers."
        )

    return [name for name in names if name is not None]


def as_text(value: object) -> str:
    """A value as text: what a file would have, but whole numbers without a point.

    A time of midnight is left out of dates, as CSV files do, and times with a zone are those of
    UTC.

    Example:
        >>> as_text(30.0), as_text(np.float32(0.1)), as_text(date(2020, 1, 31))
        ('30', '0.1', '2020-01-31')
    """

    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    if isinstance(value, date | np.datetime64):
        time = pd.Timestamp(value)
        return MIDNIGHT.sub(r"\1", str(time if time.tz is None else time.tz_convert("UTC")))

    return str(value)


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Without the types that are other ways to store what there is a type for."""

    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column))
    if isinstance(column.dtype, pd.ArrowDtype) and str(column.dtype).startswith("dictionary"):
        return column.astype(object).astype("category")
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.cat.categories
        if categories.dtype in (np.float16, np.float32):
            return column.cat.rename_categories(decimals(categories.to_numpy()).tolist())

    return column


# The kind of a column


def _kind(name: Any, column: "pd.Series[Any]") -> str:
    category = isinstance(column.dtype, pd.CategoricalDtype)
    if column.dtype.kind in "iuf" and not category and column.notna().any():
        return "number"
    values = _distinct(name, column)
    if not values:
        return "nothing"
    if category:
        return _kind_of_categories(name, values)
    return _kind_of_values(name, values)


def _kind_of_categories(name: Any, values: list[Any]) -> str:
    if all(isinstance(value, str) for value in values):
        return "category"
    kind = _kind_of_values(name, values)

    return {"text": "category", "number": "category of numbers"}.get(kind, kind)


def _kind_of_values(name: Any, values: list[Any]) -> str:
    """The kind as which all values can be read."""

    values = [value for value in values if not _is_null(value)]
    if not values:
        return "nothing"
    if all(isinstance(value, bool | np.bool_) or _says_truth(value) for value in values):
        return "truth"
    if all(isinstance(value, timedelta | np.timedelta64) for value in values):
        return "duration"
    if all(_number(value) is not None and not _says_truth(value) for value in values):
        return "number"
    times = [_time(value) for value in values]
    if any(time is None for time in times):
        return "text"
    zoned = {time.tz is not None for time in times if time is not None}
    if len(zoned) > 1:
        raise ValueError(
            f"Column {name!r} has times with a time zone and times without. Say the zone of all, "
            "or of none."
        )

    return "zoned time" if zoned == {True} else "time"


def _values(name: Any, column: "pd.Series[Any]") -> list[Any]:
    """The different values of a column, without texts that say "missing"."""

    return [value for value in _distinct(name, _plain(column)) if not _is_null(value)]


def _is_null(value: Any, nulls: frozenset[str] = _NULLS) -> bool:
    return isinstance(value, str) and (value in nulls or value.strip() in nulls)


def _distinct(name: Any, column: "pd.Series[Any]") -> list[Any]:
    """The different values of a column, without missing ones."""

    known = column[column.notna()]
    if not isinstance(known.dtype, pd.ArrowDtype) and known.dtype != object:
        known = known.drop_duplicates()  # of objects it would take True for 1

    return list(dict.fromkeys(_hashed(name, value) for value in known.astype(object).tolist()))


# Columns as they are read


def _numbers(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    form = "" if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype.kind
    if form == "f":
        numbers = _floats(column)
    elif form in ("i", "u", "b"):
        numbers = _integers(column)
    else:
        numbers = _packed(_each(name, column, _number, kind))
    with np.errstate(invalid="ignore"):  # of NaN among objects
        large = numbers[(np.abs(numbers) > LARGEST).astype(bool)]
    if len(large):
        raise ValueError(
            f"Column {name!r} has {_shown(large[0])} in {len(large)} rows, and an encoder holds "
            f"numbers up to {LARGEST:.1e}. Scale the column, or leave those values missing."
        )

    return pd.Series(numbers)


def _floats(column: "pd.Series[Any]") -> NDArray[np.float64]:
    wide = getattr(column.dtype, "itemsize", 8) >= 8
    values = column.to_numpy(np.float64 if wide else np.float32, na_value=np.nan)

    return (values if wide else decimals(values)) + 0.0


def _integers(column: "pd.Series[Any]") -> NDArray[Any]:
    missing = column.isna().to_numpy(bool)
    form = np.uint64 if column.dtype.kind == "u" else np.int64
    whole = (column.fillna(0) if missing.any() else column).to_numpy(form)
    if len(whole) and (whole.max() > _EXACT or whole.min() < -_EXACT):
        packed = _packed([_exact(value) for value in whole.tolist()])
    else:
        packed = whole.astype(np.float64)
    packed[missing] = np.nan

    return packed


def _packed(numbers: list[Any]) -> NDArray[Any]:
    """Numbers as float64, or as they are where one of them is none."""

    exact = all(isinstance(number, float) for number in numbers)

    return np.array(numbers, dtype=np.float64 if exact else object)


def _truths(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    return pd.Series(_each(name, column, _truth, kind), dtype=np.float64)


def _durations(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    return pd.Series(_each(name, column, _seconds, kind), dtype=np.float64)


def _times(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    def moment(value: Any) -> np.datetime64 | None:
        time = _time(value)
        return None if time is None or (time.tz is None) != (kind == "time") else time.asm8

    if isinstance(column.dtype, np.dtype | pd.DatetimeTZDtype) and column.dtype.kind == "M":
        _each(name, column.dropna()[:1], moment, kind)  # one speaks for all
        zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
        naive = column.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else column
        return naive.dt.as_unit("us").reset_index(drop=True)
    found = _each(name, column, moment, kind, missing=np.datetime64("NaT", "us"))

    return pd.Series(np.array(found, dtype="datetime64[us]"))


def _texts(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    if kind == "text" and column.dtype.kind == "M" and len(known := column.dropna()):
        raise _refused(name, kind, [known.iloc[0]] * len(known))

    return pd.Series(_each(name, column, as_text, kind, nulls=_EMPTY), dtype=object)


def _categories(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    read = _number_as_text if kind == "category of numbers" else as_text

    return pd.Series(_each(name, column, read, kind, nulls=_EMPTY), dtype=object).astype(
        "category"
    )


def _nothing(_name: Any, column: "pd.Series[Any]", _kind: str) -> "pd.Series[Any]":
    return pd.Series(np.full(len(column), np.nan))


_READ: dict[str, Callable[[Any, "pd.Series[Any]", str], "pd.Series[Any]"]] = {
    "number": _numbers,
    "truth": _truths,
    "time": _times,
    "zoned time": _times,
    "duration": _durations,
    "text": _texts,
    "category": _categories,
    "category of numbers": _categories,
    "nothing": _nothing,
}


KINDS = tuple(_READ)
"""All kinds of columns."""


def _each(
    name: Any,
    column: "pd.Series[Any]",
    read: Callable[[Any], Any],
    kind: str,
    *,
    missing: Any = np.nan,
    nulls: frozenset[str] = _NULLS,
) -> list[Any]:
    """What is read of each value; equal values of one type are read once."""

    places, values = _numbered(name, column)
    answers = [missing if _is_null(value, nulls) else read(value) for value in values]
    wrong = {place for place, answer in enumerate(answers) if answer is None}
    if wrong:
        raise _refused(name, kind, [values[place] for place in places if place in wrong])
    answers.append(missing)  # at the place -1

    return [answers[place] for place in places]


def _numbered(name: Any, column: "pd.Series[Any]") -> tuple[list[int], list[Any]]:
    """The different values, and which of them each cell has: -1 where it is missing."""

    if pd.api.types.infer_dtype(column) == "string":  # quick, but takes True for 1 elsewhere
        codes, texts = pd.factorize(column)
        return codes.tolist(), list(texts)
    found: dict[Any, int] = {}
    places = [
        found.setdefault((value.__class__, _hashed(name, value)), len(found)) if there else -1
        for value, there in zip(column.astype(object), column.notna(), strict=True)
    ]

    return places, [value for _, value in found]


def _refused(name: Any, kind: str, wrong: list[Any]) -> ValueError:
    mend = "Correct them, or leave them missing."
    if kind in ("time", "zoned time") and _time(wrong[0]) is not None:
        mend = "Take their time zone away." if kind == "time" else "Say their time zone."

    return ValueError(
        f"Column {name!r} held {_EXPECTED[kind]} when it was fitted, got {wrong[0]!r} in "
        f"{len(wrong)} rows. {mend}"
    )


def _hashed(name: Any, value: Any) -> Any:
    """A value that is one, and can be looked up."""

    if isinstance(value, list | tuple | dict | set | frozenset | np.ndarray):
        raise ValueError(
            f"Column {name!r} has a {_sort(value)} in a cell, {value!r}. Expected one "
            "value in each cell: spread it over several columns, or leave the column out."
        )
    if isinstance(value, complex | np.complexfloating):
        raise ValueError(
            f"Complex data not supported: column {name!r} has {value!r}. Make two columns of real "
            "numbers of it."
        )

    return value


def _sort(value: Any) -> str:
    return "list" if isinstance(value, np.ndarray) else type(value).__name__  # as Parquet has it


def _shown(number: Any) -> str:
    whole = type(number) is int

    return f"an integer of {len(str(number))} digits" if whole else str(float(number))


# Single values


def _number(value: Any) -> float | int | None:
    """The value as a float where that is exact, or else as an integer; None if it is no number."""

    if isinstance(value, str):
        return _number_of_text(value.strip())
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return _exact(int(value))
    if isinstance(value, np.float16 | np.float32):
        return float(str(value)) + 0.0
    if isinstance(value, float | np.floating):
        return float(value) + 0.0
    if isinstance(value, Decimal):
        return _exact(int(value)) if value == value.to_integral_value() else float(value)

    return None


def _number_of_text(text: str) -> float | int | None:
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text) + 0.0
    digits = text.lstrip("+-").isdigit()

    return _exact(int(text)) if digits and _EXACT < abs(number) <= LARGEST else number


def _exact(number: int) -> float | int:
    try:
        return float(number) if float(number) == number else number
    except OverflowError:
        return number


def _number_as_text(value: Any) -> str:
    number = None if _says_truth(value) else _number(value)

    return as_text(value if number is None else number)


def _says_truth(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in _TRUTHS


def _truth(value: Any) -> float | None:
    number = _number(value)

    return float(number) if number in (0, 1) else None


def _time(value: Any) -> pd.Timestamp | None:
    """A date or a time to the microsecond; None if it is none."""

    if isinstance(value, str):
        value = value.strip()
        if not _TIME.fullmatch(value):
            return None
    elif not isinstance(value, date | np.datetime64):
        return None
    try:
        return pd.Timestamp(value).as_unit("us")
    except (ValueError, OverflowError):
        return None


def _seconds(value: Any) -> float | None:
    text = isinstance(value, str) and _number(value) is None
    if not text and not isinstance(value, timedelta | np.timedelta64):
        return None
    try:
        return pd.Timedelta(value).total_seconds()
    except ValueError:
        return None


def _name(value: Any) -> str | None:
    """The text of a row's name; None if it is no name."""

    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if (
        isinstance(value, float | np.floating)
        and value.is_integer()
        and abs(float(value)) < _EXACT
    ):
        return str(int(value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))

    return None


def _has_no_name(value: Any) -> bool:
    return (
        value == "" if isinstance(value, str) else pd.api.types.is_scalar(value) and pd.isna(value)
    )
