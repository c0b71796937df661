"""Numbers as a reader sees them: bounds are rounded to the safe side."""

import math

__all__ = ["at_least", "at_most", "bits_at_most", "percent", "points"]


def at_most(share: float) -> str:
    """A share in points, rounded up: an upper bound must not look smaller than it is.

    Example:
        >>> at_most(0.09431), at_least(0.09439), at_most(0.1)
        ('9.5', '9.4', '10')
    """

    return f"{math.ceil(round(1000 * share, 6)) / 10:.4g}"


def at_least(share: float) -> str:
    """A share in points, rounded down."""

    return f"{math.floor(round(1000 * share, 6)) / 10:.4g}"


def bits_at_most(bits: float) -> str:
    """An information in bits, rounded up to three decimals."""

    return f"{math.ceil(round(1000 * bits, 6)) / 1000:.3f}"


def percent(share: float) -> str:
    """A share as it was measured."""

    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A share in points, as it was measured. Nothing is written as -0.

    Example:
        >>> points(0.0941), points(-0.0002), points(-0.03)
        ('9.4', '0.0', '-3.0')
    """

    return f"{round(100 * share, 1) + 0.0:.1f}"
