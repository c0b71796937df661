"""What rows can certify at best, and how many rows a gap needs."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitveil.certificates.compared import check_delta, check_draws, check_sizes, slack
from bitveil.certificates.quantities import PARITY_GAP, Quantity
from bitveil.certificates.upper import certify
from bitveil.group_tables import GroupTables
from bitveil.quotes import quoted

__all__ = ["groups_in_the_way", "least_bound", "least_gap", "least_gap_within", "rows_needed"]

_STANDING_OUT = 0.5  # groups are in the way if the least gap without them is this share, or less


def least_gap(sizes: Sequence[int], delta: float = 0.05, *, draws: str = "soft") -> float:
    """The gap that this many rows certify for a code that reveals nothing.

    No goal below it can be met. If the code is to be useful, the goal must be clearly above it.

    Arguments:
        sizes: The number of held-out rows of each group.
        delta: The probability that the certificate may be wrong.
        draws: What will be counted: `"soft"` (expected) or `"hard"` (drawn) codes.

    Example:
        >>> round(least_gap([1000, 1000]), 4)
        0.04
    """

    check_delta(delta)
    check_draws(draws)
    check_sizes(sizes)

    return slack(sorted(sizes)[:2], delta, draws=draws)


def least_gap_within(
    sizes: Sequence[Sequence[int]], delta: float = 0.05, *, draws: str = "soft"
) -> float:
    """The largest `least_gap` of the rows of several targets; 1 if a group of one has no rows.

    Arguments:
        sizes: The number of held-out rows of each target and group. One target: all rows.
        delta: The probability that the certificate may be wrong.
        draws: What will be counted: `"soft"` (expected) or `"hard"` (drawn) codes.

    Example:
        >>> round(least_gap_within([[1000, 1000], [500, 500]]), 4), least_gap_within([[9, 0]])
        (0.0592, 1.0)
    """

    if min(map(min, sizes)) < 1:
        return 1.0

    return min(1.0, max(least_gap(each, delta, draws=draws) for each in sizes))


def groups_in_the_way(
    sizes: Sequence[Sequence[int]],
    delta: float = 0.05,
    *,
    draws: str = "soft",
    goal: float | None = None,
) -> list[int]:
    """The smallest groups, without which the least gap is at most half as large.

    If there is a goal that is too small for these rows, they are the smallest groups without which
    it is not, if there are such groups.

    Arguments:
        sizes: The number of held-out rows of each target and group. One target: all rows.
        delta: The probability that the certificate may be wrong.
        draws: What will be counted: `"soft"` (expected) or `"hard"` (drawn) codes.
        goal: The gap that is to be certified, or None.

    Returns:
        The numbers of the groups, from the smallest on; none if no groups stand out.

    Example:
        >>> groups_in_the_way([[1000, 6, 1000, 20]]), groups_in_the_way([[1000, 900]])
        ([1], [])
    """

    rows = np.asarray(sizes)
    order = np.lexsort((rows.sum(0), rows.min(0))).tolist()
    ladder = [
        least_gap_within(np.delete(rows, order[:n], 1).tolist(), delta, draws=draws)
        for n in range(len(order) - 1)
    ]
    if goal is not None and ladder[0] > goal:
        enough = next((n for n, gap in enumerate(ladder) if gap <= goal), None)
        if enough is not None:
            return order[:enough]

    return order[
        : next((n for n, gap in enumerate(ladder) if gap <= _STANDING_OUT * ladder[0]), 0)
    ]


def least_bound(
    sizes: Sequence[Any] | GroupTables,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
) -> float:
    """The bound that this many rows certify for a code that reveals nothing.

    `least_gap` for any quantity.

    Arguments:
        sizes: The number of held-out rows of each group, or of each target and group; or tables of
            such rows.
        quantity: What is bounded.
        delta: The probability that the certificate may be wrong.
        draws: What will be counted: `"soft"` (expected) or `"hard"` (drawn) codes.

    Example:
        >>> from bitveil.certificates import EQUALISED_ODDS_GAP
        >>> round(least_bound([[1000, 1000], [500, 500]], EQUALISED_ODDS_GAP), 4)  # of the 500
        0.0592
    """

    if isinstance(sizes, GroupTables):
        return certify(sizes.without_codes(), quantity, delta=delta, draws=draws).bound
    counts = GroupTables.of(np.asarray(sizes)[..., None])

    return certify(counts, quantity, delta=delta, draws=draws).bound


def rows_needed(
    gap: float, shares: Sequence[float], *, delta: float = 0.05, draws: str = "soft"
) -> int:
    r"""How many held-out rows it takes until `least_gap` is at most a gap.

    The smallest number of rows, found by bisection, whose groups have a small enough slack.
    Hoeffding's, :math:`\tfrac12 \ln \tfrac1\delta (1/q_0 + 1/q_1) / \text{gap}^2` where the two
    smallest groups have the shares q, is enough for sure. A code that is useful has a gap of its
    own, and needs more rows.

    Arguments:
        gap: The gap that is to be certified.
        shares: How frequent the groups are: shares, or counts of any rows like these.
        delta: The probability that the certificate may be wrong.
        draws: What will be counted: `"soft"` (expected) or `"hard"` (drawn) codes.

    Raises:
        ValueError: If the gap is not above 0, or there are not at least two groups with rows.

    Example:
        >>> rows_needed(0.0401, [0.5, 0.5])  # about twice the thousand of least_gap
        1996
    """

    check_delta(delta)
    if not gap > 0 or len(shares) < 2 or not min(shares) > 0:
        raise ValueError(
            "`rows_needed` expects a gap above 0 and the shares of at least two groups, all above "
            f"0, got {gap} and {quoted(list(shares))}."
        )
    smallest = [share / sum(shares) for share in sorted(shares)[:2]]

    def enough(n: int) -> bool:
        sizes = [math.floor(n * share) for share in smallest]
        return min(sizes) >= 1 and least_gap(sizes, delta, draws=draws) <= gap

    high = math.ceil(0.5 * math.log(1 / delta) * sum(1 / q for q in smallest) / gap**2)
    high += math.ceil(2 / smallest[0])  # groups of whole rows

    return bisect_left(range(high), True, key=enough)
