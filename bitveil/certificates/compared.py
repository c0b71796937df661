"""The groups that a certificate compares, and the slack that their rows need."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

__all__ = ["Compared", "UncertifiableError", "check_delta", "check_sizes", "slack"]


class UncertifiableError(ValueError):
    """No code meets the goal with the rows that there are."""


class Compared(NamedTuple):
    """The rows among which groups are compared: all of them, or those of one target.

    Attributes:
        table: Their counts over (group, code), in double precision.
        sizes: The number of rows of each group.
    """

    table: Float[Tensor, "k c"]
    sizes: tuple[int, ...]


def slack(sizes: Sequence[int], delta: float, dobrushin: float = 1.0) -> float:
    """How far a measured value may lie below its expectation, for L = 1 in the theorem.

    Example:
        >>> round(slack([1000, 1000], 0.05), 4)
        0.0547
    """

    return dobrushin * math.sqrt(0.5 * math.log(1 / delta) * sum(1 / n for n in sizes))


def check_delta(delta: float) -> None:
    """Refuse a delta that is no probability between 0 and 1."""

    if not 0 < delta < 1:
        raise ValueError(
            f"`delta` expects a probability between 0 and 1, got {delta}. With 0.05 one "
            "certificate in twenty may be wrong."
        )


def check_sizes(sizes: Sequence[int]) -> None:
    """Refuse fewer than two groups, and groups without rows."""

    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            "A certificate compares groups and needs held-out rows of each of at least two, got "
            f"groups of {list(sizes)} rows. Hold back more rows, or join small groups."
        )
