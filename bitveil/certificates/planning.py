"""What rows can certify at best, and how many rows a gap needs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitveil.certificates.compared import check_delta, check_sizes, slack
from bitveil.certificates.quantities import PARITY_GAP, Quantity
from bitveil.certificates.upper import certify
from bitveil.group_tables import GroupTables

__all__ = ["least_bound", "least_gap", "rows_needed"]


def least_gap(sizes: Sequence[int], delta: float = 0.05) -> float:
    """The gap that this many rows certify for a code that reveals nothing.

    No goal below it can be met. If the code is to be useful, the goal must be clearly above it.

    Arguments:
        sizes: The number of held-out rows of each group.
        delta: The probability that the certificate may be wrong.

    Example:
        >>> round(least_gap([1000, 1000]), 4)
        0.0547
    """

    check_delta(delta)
    check_sizes(sizes)

    return slack(sorted(sizes)[:2], delta / math.comb(len(sizes), 2))


def least_bound(
    sizes: Sequence[Any] | GroupTables, quantity: Quantity = PARITY_GAP, *, delta: float = 0.05
) -> float:
    """The bound that this many rows certify for a code that reveals nothing.

    `least_gap` for any quantity.

    Arguments:
        sizes: The number of held-out rows of each group, or of each target and group; or tables of
            such rows.
        quantity: What is bounded.
        delta: The probability that the certificate may be wrong.

    Example:
        >>> from bitveil.certificates import EQUALISED_ODDS_GAP
        >>> round(least_bound([[1000, 1000], [500, 500]], EQUALISED_ODDS_GAP), 4)
        0.0859
    """

    if isinstance(sizes, GroupTables):
        return certify(sizes.without_codes(), quantity, delta=delta).bound

    return certify(GroupTables.of(np.asarray(sizes)[..., None]), quantity, delta=delta).bound


def rows_needed(gap: float, shares: Sequence[float], *, delta: float = 0.05) -> int:
    r"""How many held-out rows it takes until `least_gap` is at most a gap.

    :math:`\tfrac12 \ln \tfrac{K}{\delta} (1/q_0 + 1/q_1) / \text{gap}^2` rows, with K pairs of
    groups, of which the two smallest have the shares q. A code that is useful has a gap of its
    own, and needs more rows.

    Arguments:
        gap: The gap that is to be certified.
        shares: How frequent the groups are: shares, or counts of any rows like these.
        delta: The probability that the certificate may be wrong.

    Raises:
        ValueError: If the gap is not above 0, or there are not at least two groups with rows.

    Example:
        >>> rows_needed(0.0547, [0.5, 0.5])  # twice the thousand of least_gap
        2003
    """

    check_delta(delta)
    if not gap > 0 or len(shares) < 2 or not min(shares) > 0:
        raise ValueError(
            "`rows_needed` expects a gap above 0 and the shares of at least two groups, all above "
            f"0, got {gap} and {list(shares)}."
        )
    pairs = math.comb(len(shares), 2)
    smallest = sum(sum(shares) / share for share in sorted(shares)[:2])

    return math.ceil(0.5 * math.log(pairs / delta) * smallest / gap**2)
