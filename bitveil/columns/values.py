"""Values: the names of groups, classes and columns, as JSON can say them.

Text, whole numbers, floats, True, False and None stand as they are. Everything else is a record
with one word that says what it is: `{"date": "2020-01-31"}`. What has no word here is refused
when an encoder is fitted, so that every fitted encoder can be saved.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "check_values",
    "plain",
    "plain_array",
    "read",
    "said",
]

_PLAIN: Final = (type(None), bool, int, float, str)

_SAY: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    tuple: ("tuple", lambda v: [said(part) for part in v]),
    pd.Timestamp: ("timestamp", lambda v: [v.isoformat(), v.unit, v.tz and str(v.tz)]),
    pd.Timedelta: ("timedelta", lambda v: [v.isoformat(), v.unit]),
    pd.Period: ("period", lambda v: [v.ordinal, v.freqstr]),
    pd.Interval: ("interval", lambda v: [said(v.left), said(v.right), v.closed]),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    Decimal: ("decimal", str),
    bytes: ("bytes", bytes.hex),
    dict: ("dict", lambda v: [[said(key), said(each)] for key, each in v.items()]),
    np.ndarray: ("array", lambda v: [str(v.dtype), said(v.tolist())]),
}
"""What each type is called, and how its values are written."""


def _timestamp(text: str, unit: Any, zone: str | None) -> pd.Timestamp:
    stamp = pd.Timestamp(text)

    return (stamp if zone is None else stamp.tz_convert(zone)).as_unit(unit)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "tuple": lambda parts: tuple(read(part) for part in parts),
    "timestamp": lambda parts: _timestamp(*parts),
    "timedelta": lambda parts: pd.Timedelta(parts[0]).as_unit(parts[1]),
    "period": lambda parts: pd.Period(ordinal=parts[0], freq=parts[1]),
    "interval": lambda parts: pd.Interval(read(parts[0]), read(parts[1]), parts[2]),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "bytes": bytes.fromhex,
    "dict": lambda pairs: {read(key): read(each) for key, each in pairs},
    "array": lambda parts: _array(*parts),
}


def plain(value: Any) -> Any:
    """The value without numpy: its numbers as Python's, and its times and Python's as pandas'.

    Example:
        >>> plain(np.int8(3)), plain(np.datetime64("2020-01-31", "ns"))
        (3, Timestamp('2020-01-31 00:00:00'))
    """

    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.datetime64 | datetime):
        return pd.Timestamp(value)
    if isinstance(value, np.timedelta64 | timedelta):
        return pd.Timedelta(value)
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)

    return value.item() if isinstance(value, np.generic) else value


def plain_array(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are; everything else as an array of objects that are `plain`.

    Example:
        >>> plain_array(np.array(["2020-01-31"], "M8[ns]"))
        array([Timestamp('2020-01-31 00:00:00')], dtype=object)
    """

    if values.dtype.kind in "biuf":
        return values
    return _objects([plain(value) for value in values])


def said(value: Any) -> Any:
    """The value as JSON can say it; `read` gives it back.

    Raises:
        TypeError: If there is no word for it.

    Example:
        >>> said(("f", pd.Interval(0, 5)))
        {'tuple': ['f', {'interval': [0, 5, 'right']}]}
        >>> read(said(("f", pd.Interval(0, 5))))
        ('f', Interval(0, 5, closed='right'))
    """

    value = plain(value)
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list):
        return [said(part) for part in value]
    if type(value) not in _SAY:
        raise TypeError(f"There is no word for {value!r}, which is a {type(value).__name__}.")
    word, say = _SAY[type(value)]

    return {word: say(value)}


def read(content: Any) -> Any:
    """The value that was `said`.

    Raises:
        ValueError: If it is none.
    """

    if isinstance(content, list):
        return [read(part) for part in content]
    if not isinstance(content, dict):
        return content
    if len(content) != 1 or next(iter(content)) not in _READ:
        raise ValueError(f"Expected one of the words {list(_READ)}, got {list(content)[:5]}.")
    word, parts = next(iter(content.items()))

    return _READ[word](parts)


def _array(name: str, values: Any) -> NDArray[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in "biufO":
        raise ValueError(f"Expected an array of numbers or objects, got {dtype}.")

    return _objects(read(values)) if dtype.kind == "O" else np.array(read(values), dtype)


def _objects(values: list[Any]) -> NDArray[Any]:
    """An array of one dimension, whatever the values are."""

    objects = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        objects[number] = value

    return objects


def check_values(what: str, values: Iterable[Any], instead: str) -> None:
    """Refuse values that would not come back from a saved encoder as they are.

    Arguments:
        what: What the values are, for the error, as "`y` has classes".
        values: The values.
        instead: What a person can do.

    Raises:
        ValueError: If there is no word for a value, or it is read as another one.
    """

    for value in values:
        if not _comes_back(value):
            raise ValueError(
                f"{what} that cannot be saved: {value!r} is a {type(value).__name__}. {instead}"
            )


def _comes_back(value: Any) -> bool:
    try:
        again = read(said(value))
        return bool(again == value) and str(again) == str(plain(value))
    except Exception:  # zones and frequencies have their own errors, and people their own types
        return False
