"""Cells: a single value as a number, a truth, a time, a duration or text.

Each function gives None for a value that it cannot read.
"""

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "EMPTY",
    "EXACT",
    "LARGEST",
    "MIDNIGHT",
    "NULLS",
    "as_text",
    "decimals",
    "exact_number",
    "number_as_text",
    "number_of",
    "says_missing",
    "says_truth",
    "seconds_of",
    "time_of",
    "truth_of",
]

NULLS = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|NaT|None|"
    "n/a|nan|none|null|?|...|".split("|")
)
"""Texts that mean "missing" in a column of numbers, truths or times."""

EMPTY = frozenset([""])
"""Texts that mean "missing" in a column of text, where a person may be called Null."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that an encoder can hold."""

EXACT = 2**53
"""Up to here every integer is a float64."""

MIDNIGHT = re.compile(r"^(\d{4}-\d\d-\d\d)[ T]00:00:00(\.0+)?$")
"""The text of a date with the time of midnight."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.,]\d+)?)?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?"
)
_TRUTHS = {"true": 1.0, "false": 0.0}


def number_of(value: Any) -> float | int | None:
    """The value as a float if that is exact, otherwise as an integer.

    Example:
        >>> number_of("1e3"), number_of(2**60 + 1), number_of("7b")
        (1000.0, 1152921504606846977, None)
    """

    if isinstance(value, str):
        return _number_of_text(value.strip())
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return exact_number(int(value))
    if isinstance(value, np.float16 | np.float32):
        return float(str(value)) + 0.0
    if isinstance(value, float | np.floating):
        return float(value) + 0.0
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        return exact_number(int(value)) if whole else float(value)

    return None


def _number_of_text(text: str) -> float | int | None:
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text) + 0.0
    digits = text.lstrip("+-").isdigit()

    return exact_number(int(text)) if digits and EXACT < abs(number) <= LARGEST else number


def exact_number(number: int) -> float | int:
    """An integer as a float if that is exact, otherwise as it is.

    Example:
        >>> exact_number(7), exact_number(2**60 + 1)
        (7.0, 1152921504606846977)
    """

    try:
        return float(number) if float(number) == number else number
    except OverflowError:
        return number


def truth_of(value: Any) -> float | None:
    """True, 1 and "true" as 1.0, and False, 0 and "false" as 0.0."""

    number = number_of(value)

    return float(number) if number in (0, 1) else None


def says_truth(value: Any) -> bool:
    """Whether a value is one of the texts "true" and "false", in any case."""

    return isinstance(value, str) and value.strip().lower() in _TRUTHS


def says_missing(value: Any, nulls: frozenset[str] = NULLS) -> bool:
    """Whether a value is a text that means "missing"."""

    return isinstance(value, str) and (value in nulls or value.strip() in nulls)


def time_of(value: Any) -> pd.Timestamp | None:
    """A date or a time, also as ISO 8601 text, to the microsecond.

    Example:
        >>> time_of("2020-01-31"), time_of("31/01/2020")
        (Timestamp('2020-01-31 00:00:00'), None)
    """

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


def seconds_of(value: Any) -> float | None:
    """A duration, also as text, in seconds.

    Example:
        >>> seconds_of(timedelta(minutes=2)), seconds_of("0 days 00:02:00"), seconds_of("120")
        (120.0, 120.0, None)
    """

    text = isinstance(value, str) and number_of(value) is None
    if not text and not isinstance(value, timedelta | np.timedelta64):
        return None
    try:
        return pd.Timedelta(value).total_seconds()
    except ValueError:
        return None


def as_text(value: object) -> str:
    """A value as the text that a file would have, except that whole numbers have no point.

    A date with the time of midnight is the date alone, as in CSV files. A time with a time zone is
    the time in UTC.

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


def number_as_text(value: Any) -> str:
    """The text of a value, the same for 1, 1.0 and "1".

    Example:
        >>> number_as_text("1.0"), number_as_text("true")
        ('1', 'true')
    """

    number = None if says_truth(value) else number_of(value)

    return as_text(value if number is None else number)


def decimals(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers of float16 or float32 as a file would have them: 0.1 is 0.1.

    Example:
        >>> decimals(np.array([0.1, 3.0], np.float32)).tolist()
        [0.1, 3.0]
        >>> np.float64(np.float32(0.1)).item()
        0.10000000149011612
    """

    distinct, places = np.unique(values, return_inverse=True)
    read = np.array([float(str(value)) for value in distinct], dtype=np.float64)

    return read[places].reshape(values.shape)
