"""Checks: of choices, whole numbers, numbers in a range, probabilities, roles of columns."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from bitveil.quotes import quoted

__all__ = ["check_choice", "check_number", "check_probability", "check_roles", "check_whole"]


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value that is not one of the known texts.

    Example:
        >>> check_choice("prior", "uniform", ("empirical", "uniform"))
        >>> check_choice("prior", "flat", ("empirical", "uniform"))
        Traceback (most recent call last):
        ValueError: `prior` expects one of ['empirical', 'uniform'], got 'flat'.
    """

    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"`{name}` expects one of {known}, got {quoted(value)}.")


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse a value that is not a whole number from `least` on.

    Example:
        >>> check_whole("n_bits", 8, 1)
        >>> check_whole("n_bits", 0, 1)
        Traceback (most recent call last):
        ValueError: `n_bits` expects a whole number from 1 on, got 0.
    """

    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"`{name}` expects a whole number from {least} on, got {quoted(value)}.")


def check_number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    unit: str = "a number",
) -> None:
    """Refuse a value that is not a finite number in a range.

    Arguments:
        name: What the error calls the value.
        value: The value.
        least: The smallest number of the range.
        most: The largest number of the range.
        above: The number that the value has to exceed.
        unit: What the error says that it expects.

    Example:
        >>> check_number("gamma", 0.5, least=0, most=1)
        >>> check_number("gamma", 2, least=0, most=1)
        Traceback (most recent call last):
        ValueError: `gamma` expects a number from 0 to 1, got 2.
        >>> check_number("learning_rate", "fast", above=0)
        Traceback (most recent call last):
        ValueError: `learning_rate` expects a number above 0, got 'fast'.
        >>> check_number("max_gap", 0.0, above=0, most=1)
        Traceback (most recent call last):
        ValueError: `max_gap` expects a number above 0 and up to 1, got 0.0.
    """

    number = float(value) if isinstance(value, Real) else math.nan
    if not (math.isfinite(number) and number > above and least <= number <= most):
        raise ValueError(
            f"`{name}` expects {unit}{_range_text(least, most, above)}, got {quoted(value)}."
        )


def check_probability(name: str, value: Any) -> None:
    """Refuse a value that is not a probability between 0 and 1, both excluded.

    Example:
        >>> check_probability("delta", 0.05)
        >>> check_probability("delta", 1)
        Traceback (most recent call last):
        ValueError: `delta` expects a probability between 0 and 1, got 1.
    """

    if not isinstance(value, Real) or not 0 < float(value) < 1:
        raise ValueError(f"`{name}` expects a probability between 0 and 1, got {quoted(value)}.")


def _range_text(least: float, most: float, above: float) -> str:
    if above > -math.inf:
        return f" above {above:g}" + (f" and up to {most:g}" if most < math.inf else "")
    if least > -math.inf:
        return f" from {least:g} " + (f"to {most:g}" if most < math.inf else "on")

    return f" up to {most:g}" if most < math.inf else ""


def check_roles(names: Sequence[str | None]) -> None:
    """Refuse a column that is given twice.

    Example:
        >>> check_roles(["sex", "hired", None])
        >>> check_roles(["sex", "sex"])
        Traceback (most recent call last):
        ValueError: Each column has one role, got ['sex'] more than once.
    """

    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise ValueError(f"Each column has one role, got {quoted(twice)} more than once.")
