"""Values: the names of groups, classes and columns, written as JSON.

Text, whole numbers, floats, True, False and None are written as they are. Everything else is a
record with one word for its type: `{"date": "2020-01-31"}`. An encoder refuses values without such
a word when it is fitted, so that every fitted encoder can be saved.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.quotes import quoted

__all__ = [
    "check_values",
    "from_json",
    "plain",
    "plain_array",
    "to_json",
]

_PLAIN: Final = (type(None), bool, int, float, str)

_WRITE: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    tuple: ("tuple", lambda v: [to_json(part) for part in v]),
    pd.Timestamp: ("timestamp", lambda v: [v.isoformat(), v.unit, v.tz and str(v.tz)]),
    pd.Timedelta: ("timedelta", lambda v: [v.isoformat(), v.unit]),
    pd.Period: ("period", lambda v: [v.ordinal, v.freqstr]),
    pd.Interval: ("interval", lambda v: [to_json(v.left), to_json(v.right), v.closed]),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    Decimal: ("decimal", str),
    bytes: ("bytes", bytes.hex),
    dict: ("dict", lambda v: [[to_json(key), to_json(each)] for key, each in v.items()]),
    np.ndarray: ("array", lambda v: [str(v.dtype), to_json(v.tolist())]),
}
"""The word for each type, and how its values are written."""


def _timestamp(text: str, unit: Any, zone: str | None) -> pd.Timestamp:
    stamp = pd.Timestamp(text)

    return (stamp if zone is None else stamp.tz_convert(zone)).as_unit(unit)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "tuple": lambda parts: tuple(from_json(part) for part in parts),
    "timestamp": lambda parts: _timestamp(*parts),
    "timedelta": lambda parts: pd.Timedelta(parts[0]).as_unit(parts[1]),
    "period": lambda parts: pd.Period(ordinal=parts[0], freq=parts[1]),
    "interval": lambda parts: pd.Interval(from_json(parts[0]), from_json(parts[1]), parts[2]),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "bytes": bytes.fromhex,
    "dict": lambda pairs: {from_json(key): from_json(each) for key, each in pairs},
    "array": lambda parts: _array(*parts),
}


def plain(value: Any) -> Any:
    """The value with Python numbers in place of numpy's, and with pandas times.

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
    """An array of numbers as it is, any other as an array of `plain` objects.

    Example:
        >>> plain_array(np.array(["2020-01-31"], "M8[ns]"))
        array([Timestamp('2020-01-31 00:00:00')], dtype=object)
    """

    if values.dtype.kind in "biuf":
        return values
    return _objects([plain(value) for value in values])


def to_json(value: Any) -> Any:
    """The value as JSON, which `from_json` turns back into the value.

    Raises:
        TypeError: If there is no word for it.

    Example:
        >>> to_json(("f", pd.Interval(0, 5)))
        {'tuple': ['f', {'interval': [0, 5, 'right']}]}
        >>> from_json(to_json(("f", pd.Interval(0, 5))))
        ('f', Interval(0, 5, closed='right'))
    """

    value = plain(value)
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list):
        return [to_json(part) for part in value]
    if type(value) not in _WRITE:
        raise TypeError(
            f"There is no word for {quoted(value)}, which is a {type(value).__name__}."
        )
    word, write = _WRITE[type(value)]

    return {word: write(value)}


def from_json(content: Any) -> Any:
    """The value that `to_json` wrote.

    Raises:
        ValueError: If it has an unknown word.
    """

    if isinstance(content, list):
        return [from_json(part) for part in content]
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

    return _objects(from_json(values)) if dtype.kind == "O" else np.array(from_json(values), dtype)


def _objects(values: list[Any]) -> NDArray[Any]:
    """An array of one dimension, also of lists and tuples."""

    objects = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        objects[number] = value

    return objects


def check_values(what: str, values: Iterable[Any], advice: str) -> None:
    """Refuse values that a saved encoder could not give back.

    Arguments:
        what: What the error calls the values, for example "`y` has classes".
        values: The values.
        advice: What to do instead.

    Raises:
        ValueError: If there is no word for a value, or it would be read as another value.
    """

    for value in values:
        if not _comes_back(value):
            raise ValueError(
                f"{what} that cannot be saved: {quoted(value)} is a {type(value).__name__}. "
                f"{advice}"
            )


def _comes_back(value: Any) -> bool:
    try:
        again = from_json(to_json(value))
        return bool(again == value) and str(again) == str(plain(value))
    except Exception:  # time zones, frequencies and a person's own types raise errors of their own
        return False
