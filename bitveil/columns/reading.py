"""Reading: the values of a column, read as one kind.

Equal values of one type are read once. A value of another kind is refused with the name of its
column.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.cells import (
    EMPTY,
    EXACT,
    LARGEST,
    NULLS,
    as_text,
    decimals,
    exact_number,
    number_as_text,
    number_of,
    says_missing,
    seconds_of,
    time_of,
    truth_of,
)
from bitveil.quotes import quoted

__all__ = ["READERS", "distinct_values", "plain_column"]

_EXPECTED = {
    "number": "numbers",
    "truth": "True and False",
    "duration": "durations",
    "time": "times without a time zone",
    "zoned time": "times with a time zone",
    "text": "text",
}


def plain_column(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column that is neither sparse nor an Arrow dictionary, without categories of float32."""

    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column))
    if isinstance(column.dtype, pd.ArrowDtype) and str(column.dtype).startswith("dictionary"):
        return column.astype(object).astype("category")
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.cat.categories
        if categories.dtype in (np.float16, np.float32):
            return column.cat.rename_categories(decimals(categories.to_numpy()).tolist())

    return column


def distinct_values(name: Any, column: "pd.Series[Any]") -> list[Any]:
    """The different values of a column, without missing ones.

    Raises:
        ValueError: If a cell holds a list, a dict or a complex number.
    """

    known = column[column.notna()]
    if not isinstance(known.dtype, pd.ArrowDtype) and known.dtype != object:
        known = known.drop_duplicates()  # among objects, this would take True for 1

    return list(dict.fromkeys(_hashed(name, value) for value in known.astype(object).tolist()))


# Columns of each kind


def _read_numbers(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    form = "" if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype.kind
    if form == "f":
        numbers = _floats(column)
    elif form in ("i", "u", "b"):
        numbers = _integers(column)
    else:
        numbers = _packed(_each(name, column, number_of, kind))
    with np.errstate(invalid="ignore"):  # NaN among objects
        large = numbers[(np.abs(numbers) > LARGEST).astype(bool)]
    if len(large):
        raise ValueError(
            f"Column {quoted(name)} has {_described(large[0])} in {len(large)} rows, and an "
            f"encoder holds numbers up to {LARGEST:.1e}. Scale the column, or leave those values "
            "missing."
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
    if len(whole) and (whole.max() > EXACT or whole.min() < -EXACT):
        packed = _packed([exact_number(value) for value in whole.tolist()])
    else:
        packed = whole.astype(np.float64)
    packed[missing] = np.nan

    return packed


def _packed(numbers: list[Any]) -> NDArray[Any]:
    """Numbers as float64 if all of them are floats, otherwise as objects."""

    exact = all(isinstance(number, float) for number in numbers)

    return np.array(numbers, dtype=np.float64 if exact else object)


def _described(number: Any) -> str:
    whole = type(number) is int

    return f"an integer of {len(str(number))} digits" if whole else str(float(number))


def _read_truths(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    return pd.Series(_each(name, column, truth_of, kind), dtype=np.float64)


def _read_durations(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    return pd.Series(_each(name, column, seconds_of, kind), dtype=np.float64)


def _read_times(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    def moment(value: Any) -> np.datetime64 | None:
        time = time_of(value)
        return None if time is None or (time.tz is None) != (kind == "time") else time.asm8

    if isinstance(column.dtype, np.dtype | pd.DatetimeTZDtype) and column.dtype.kind == "M":
        _each(name, column.dropna()[:1], moment, kind)  # the others have the same zone
        zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
        naive = column.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else column
        return naive.dt.as_unit("us").reset_index(drop=True)
    found = _each(name, column, moment, kind, missing=np.datetime64("NaT", "us"))

    return pd.Series(np.array(found, dtype="datetime64[us]"))


def _read_texts(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    if kind == "text" and column.dtype.kind == "M" and len(known := column.dropna()):
        raise _wrong_kind(name, kind, [known.iloc[0]] * len(known))

    return pd.Series(_each(name, column, as_text, kind, nulls=EMPTY), dtype=object)


def _read_categories(name: Any, column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    read = number_as_text if kind == "category of numbers" else as_text

    return pd.Series(_each(name, column, read, kind, nulls=EMPTY), dtype=object).astype("category")


def _read_nothing(_name: Any, column: "pd.Series[Any]", _kind: str) -> "pd.Series[Any]":
    return pd.Series(np.full(len(column), np.nan))


READERS: Mapping[str, Callable[[Any, "pd.Series[Any]", str], "pd.Series[Any]"]] = {
    "number": _read_numbers,
    "truth": _read_truths,
    "time": _read_times,
    "zoned time": _read_times,
    "duration": _read_durations,
    "text": _read_texts,
    "category": _read_categories,
    "category of numbers": _read_categories,
    "nothing": _read_nothing,
}
"""The function that reads a column of each kind, given the column's name, the column, the kind."""


# Cell by cell


def _each(
    name: Any,
    column: "pd.Series[Any]",
    read: Callable[[Any], Any],
    kind: str,
    *,
    missing: Any = np.nan,
    nulls: frozenset[str] = NULLS,
) -> list[Any]:
    """Read each value of a column; equal values of one type are read once."""

    places, values = _value_places(name, column)
    answers = [missing if says_missing(value, nulls) else read(value) for value in values]
    wrong = {place for place, answer in enumerate(answers) if answer is None}
    if wrong:
        raise _wrong_kind(name, kind, [values[place] for place in places if place in wrong])
    answers.append(missing)  # at the place -1

    return [answers[place] for place in places]


def _value_places(name: Any, column: "pd.Series[Any]") -> tuple[list[int], list[Any]]:
    """The place of each cell's value among the different values, -1 if missing; the values."""

    if pd.api.types.infer_dtype(column) == "string":  # fast, but elsewhere it takes True for 1
        codes, texts = pd.factorize(column)
        return codes.tolist(), list(texts)
    found: dict[Any, int] = {}
    places = [
        found.setdefault((value.__class__, _hashed(name, value)), len(found)) if there else -1
        for value, there in zip(column.astype(object), column.notna(), strict=True)
    ]

    return places, [value for _, value in found]


def _wrong_kind(name: Any, kind: str, wrong: list[Any]) -> ValueError:
    advice = "Correct them, or leave them missing."
    if kind in ("time", "zoned time") and time_of(wrong[0]) is not None:
        advice = "Remove their time zone." if kind == "time" else "Give them a time zone."

    return ValueError(
        f"Column {quoted(name)} held {_EXPECTED[kind]} when it was fitted, got {quoted(wrong[0])} "
        f"in {len(wrong)} rows. {advice}"
    )


def _hashed(name: Any, value: Any) -> Any:
    """The value itself, if it is a single value that can be hashed."""

    if isinstance(value, list | tuple | dict | set | frozenset | np.ndarray):
        kind = "list" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(
            f"Column {quoted(name)} has a {kind} in a cell, {quoted(value)}. Expected one value "
            "in each cell: spread it over several columns, or leave the column out."
        )
    if isinstance(value, complex | np.complexfloating):
        raise ValueError(
            f"Complex data not supported: column {quoted(name)} has {quoted(value)}. Split it "
            "into two columns of real numbers."
        )

    return value
