"""The groups that a certificate compares, and the slack that their rows need."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from bitveil.certificates.slacks import least_slack
from bitveil.quotes import quoted

__all__ = ["Compared", "UncertifiableError", "check_delta", "check_draws", "check_sizes", "slack"]


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


def slack(
    sizes: Sequence[int],
    delta: float,
    *,
    draws: str = "soft",
    dobrushin: float = 1.0,
    most: float = 1.0,
) -> float:
    r"""How far the sum of the means of one function in each group may lie below its expectation.

    The least of the slacks in `bitveil.certificates.slacks`. Which of them that is depends on the
    arguments alone, and not on any row.

    Arguments:
        sizes: The number of rows of each group.
        delta: The probability that the sum may lie lower.
        draws: What is counted: `"soft"` (expected) or `"hard"` (drawn) codes, or `"certain"` ones.
            A function of a drawn or certain code that is 0 or 1 has a binomial sum.
        dobrushin: A bound D on the total variation between the codes of any two rows. The function
            then stays in an interval of width D, and every slack is D times as large. For expected
            counts only.
        most: An upper bound, for every group, on the probability of the event whose mean is taken,
            or on one minus it; 1: none.

    Example:
        >>> round(slack([1000, 1000], 0.05), 4), round(slack([1000, 1000], 0.05, draws="hard"), 4)
        (0.04, 0.0381)
    """

    return dobrushin * least_slack(tuple(sorted(sizes)), delta, draws, most)


def check_delta(delta: float) -> None:
    """Refuse a delta that is no probability between 0 and 1."""

    if not 0 < delta < 1:
        raise ValueError(
            f"`delta` expects a probability between 0 and 1, got {delta}. With 0.05 one "
            "certificate in twenty may be wrong."
        )


def check_draws(draws: str) -> None:
    """Refuse to count what is none of these."""

    if draws not in ("soft", "hard", "certain"):
        raise ValueError(f"`draws` expects 'soft', 'hard' or 'certain', got {quoted(draws)}.")


def check_sizes(sizes: Sequence[int]) -> None:
    """Refuse fewer than two groups, and groups without rows."""

    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            "A certificate compares groups and needs held-out rows of each of at least two, got "
            f"groups of {list(sizes)} rows. Hold back more rows, or join small groups."
        )
