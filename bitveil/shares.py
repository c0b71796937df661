r"""Shares: how much of the more useful of two codes a mixture may have, for a goal.

Fix two encoders and their order before you look at the held-out rows. Each of these rows has a
name, so that expected counts are certified. Let :math:`b(w)` be the certified bound at the share w
of the second encoder, from the same rows for every w. `largest_share` takes the largest
:math:`\hat w` such that :math:`b` is within the goal at every share up to it. The gap of that
mixture is within the goal with probability at least :math:`1 - \delta`, and the choice needs no
correction.

**Proof.** The true gap g is continuous in the share. If it never exceeds the goal, no choice is
wrong. Otherwise let :math:`w^*` be the last share up to which it does not exceed it, or 0 if the
first encoder already does. Then :math:`g(w^*) \ge` the goal. A wrong choice lies beyond
:math:`w^*` or at 0, so it needs :math:`b(w^*) \le` the goal :math:`\le g(w^*)`. But :math:`w^*`
does not depend on any held-out row, and the certificate of this one mixture is that low with
probability at most :math:`\delta`. ∎ This is `certify_sequence` with a continuum of codes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.upper import Certificate, certify
from bitveil.checks import check_number
from bitveil.group_tables import GroupTables

__all__ = ["largest_share", "mixed_table", "refused"]

_HALVINGS = 20  # of the interval that holds the largest share: to one in a million


def mixed_table(tables: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The table of a mixture: the tables of its encoders side by side, each times its share.

    Arguments:
        tables: The counts of the same rows over (group, code), with shapes (k, c_i).
        shares: The probability of each encoder.

    Returns:
        The counts, with shape (k, sum of c_i).

    Raises:
        ValueError: If the tables do not count the same number of rows in each group.

    Example:
        >>> none, all = torch.tensor([[4.0], [2.0]]), torch.tensor([[4.0, 0.0], [1.0, 1.0]])
        >>> mixed_table([none, all], [0.5, 0.5])
        tensor([[2.0000, 2.0000, 0.0000],
                [1.0000, 0.5000, 0.5000]])
    """

    sizes = [table.sum(-1) for table in tables]
    if any(s.shape != sizes[0].shape or not torch.allclose(s, sizes[0]) for s in sizes):
        raise ValueError(
            "The tables of a mixture must count the same rows, so as many in each group; got "
            f"{[size.tolist() for size in sizes]}."
        )

    return torch.cat([share * t for t, share in zip(tables, shares, strict=True)], -1)


def largest_share(
    safe: Tensor, useful: Tensor, max_gap: float, *, delta: float = 0.05
) -> tuple[float, Certificate]:
    """The largest share of the more useful code with which a mixture is certified for a goal.

    Arguments:
        safe: The counts of held-out rows over (group, code), with shape (k, c), of the code that
            leaks less. These rows must not decide which of the two that is.
        useful: The counts of the same rows, of the code that leaks more.
        max_gap: The goal, above 0 and up to 1.
        delta: The probability that the certificate may be wrong.

    Returns:
        The share, and the certificate. Its bound is the goal, and not the measured value plus the
        slack, because that value took part in the choice.

    Raises:
        UncertifiableError: If not even the safe code alone meets the goal.
        ValueError: If the goal is out of its range, or the tables do not count the same rows.

    Example:
        >>> safe, useful = torch.full((2, 2), 500.0), torch.tensor([[900.0, 100], [500, 500]])
        >>> share, certificate = largest_share(safe, useful, 0.14004)  # 0.25 * 0.4 + 0.04004
        >>> round(share, 3), certificate.bound
        (0.25, 0.14004)
    """

    check_number("max_gap", max_gap, above=0, most=1)

    def certificate(share: float) -> Certificate:
        mixed = mixed_table([safe, useful], [1 - share, share])

        return certify(GroupTables.of(mixed), delta=delta)

    if (least := certificate(0.0)).bound > max_gap:
        raise refused(max_gap, least)
    share = _last(lambda share: certificate(share).bound <= max_gap)

    return share, replace(certificate(share), bound=float(max_gap))


def refused(max_gap: float, least: Certificate) -> UncertifiableError:
    """The error that says that not even the safe encoder alone meets the goal."""

    return UncertifiableError(
        f"`max_gap={max_gap}` is too small for this mixture: with {list(least.sizes)} rows of "
        f"the groups held out, the safe encoder alone is certified at {least.bound:.4f} (delta "
        f"= {least.delta}). Choose a larger goal, or bring a safer encoder or more rows."
    )


def _last(passes: Any) -> float:
    """The last share that passes. Those that pass are an interval from 0: the bound is convex."""

    low, high = 0.0, 1.0
    if passes(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)

    return low
