"""Names: of rows, which decide their draws, and of columns, which are saved with an encoder."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from bitveil.columns.cells import EXACT
from bitveil.columns.table import as_pandas
from bitveil.columns.values import check_values
from bitveil.quotes import quoted

__all__ = ["check_names", "read_names"]


def read_names(ids: Any, n: int) -> list[str]:
    """The names of n rows as text.

    The name of a whole number is its digits: 7, 7.0 and "7" are one name, and "007" is another.

    Raises:
        ValueError: If a row has no name, there are more or fewer than n names, or a name is
            neither text nor a whole number.

    Example:
        >>> read_names([7, 7.0, "7", "007"], 4)
        ['7', '7', '7', '007']
    """

    values = _one_a_row(as_pandas(ids), n)
    if (names_as_they_are := _plain_names(values)) is not None:
        return names_as_they_are
    missing = sum(map(_has_no_name, values))
    if missing:
        raise ValueError(
            f"`ids` expects a name for each of the {n} rows, got {missing} of them missing. Every "
            "row needs one."
        )
    names = [_name_of(value) for value in values]
    if wrong := [v for v, name in zip(values, names, strict=True) if name is None]:
        raise ValueError(
            f"`ids` expects text or whole numbers, got {quoted(wrong[0])} "
            f"({type(wrong[0]).__name__}) "
            f"in {len(wrong)} rows. Floats with a fraction, or of 2**53 and more, are not safe as "
            "names: store them as text or as integers."
        )

    return [name for name in names if name is not None]


def check_names(what: str, names: Iterable[Any]) -> None:
    """Refuse columns with names that a saved encoder could not give back.

    Example:
        >>> check_names("X", ["age", 7, ("height", "cm")])
        >>> check_names("X", [1j])
        Traceback (most recent call last):
        ...
        ValueError: `X` has columns with names that cannot be saved: 1j is a complex. ...
    """

    advice = "Make the names text: `table.columns = table.columns.astype(str)`."
    check_values(f"`{what}` has columns with names", names, advice)


def _one_a_row(ids: Any, n: int) -> list[Any]:
    dimensions = np.ndim(ids) if hasattr(ids, "ndim") else 1
    if dimensions != 1 or not np.iterable(ids) or isinstance(ids, str | bytes | dict):
        raise ValueError(
            f"`ids` expects one name a row, got {type(ids).__name__} of {dimensions} dimensions."
        )
    if isinstance(ids, np.ndarray | pd.Series) and ids.dtype.kind in "iu":
        values = ids.astype(object).tolist()
    else:
        values = pd.Series(list(ids), dtype=object).tolist()
    if len(values) != n:
        raise ValueError(f"`ids` expects a name for each of the {n} rows, got {len(values)}.")

    return values


def _plain_names(values: list[Any]) -> list[str] | None:
    """The names of values that are all integers, or all texts; None if some are not."""

    kinds = set(map(type, values))
    if kinds and all(kind is int or issubclass(kind, np.integer) for kind in kinds):
        return list(map(str, values))

    return values if kinds == {str} and "" not in values else None


def _name_of(value: Any) -> str | None:
    """The value as a row's name; None if it cannot be one."""

    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if value.is_integer() and abs(float(value)) < EXACT else None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))

    return None


def _has_no_name(value: Any) -> bool:
    if isinstance(value, str):
        return value == ""

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
