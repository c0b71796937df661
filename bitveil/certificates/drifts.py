r"""Drifts: whether groups have moved further apart since some time, with no false alarm by chance.

Rows come in periods, which are counted one after the other. A drift is tested between all periods
*before* some time and all periods *since*.

**Test.** Take two groups a and b. The rows since come in parts :math:`i = 0, 1, 2, \dots` Part 0
only fixes a classifier. For each later part let :math:`f_i` answer 1 for the codes that group a
had more often than b in the parts before it. Let :math:`n_g` rows of group g be in the parts from
1 on, and let

.. math:: S = \sum_i \bigl( \tfrac{1}{n_a} N_i(f_i, a) - \tfrac{1}{n_b} N_i(f_i, b) \bigr), \qquad
    B = \hat p(\bar f_a \mid a) - \hat p(\bar f_b \mid b), \quad
    \bar f_g = \sum_i \tfrac{n_{gi}}{n_g} f_i,

where :math:`N_i(f, g)` counts the rows of g in part i with the answer 1, and :math:`\hat p` is the
mean over the rows before. S is how much more often the classifiers say 1 for group a now, and B is
how much more often they would have said so before. The groups have moved apart by
:math:`S - |B|`, and by :math:`S - |B| - \text{slack}` for sure.

**Theorem.** Let the rows be independent. Then :math:`S - |B|` exceeds its true value, in which
each row counts with the expectation of its own period, by more than

.. math:: \sqrt{\tfrac12 \ln \tfrac1\delta
    \Bigl( \tfrac1{n_a} + \tfrac1{n_b} + \tfrac1{m_a} + \tfrac1{m_b} \Bigr)}

with probability :math:`\delta` at most, if :math:`m_g` rows of group g came before. If no group's
codes have changed, the true value is 0 or less.

**Proof.** Let :math:`\sigma` be the sign of the true B, which the rows since fix. :math:`S - |B|`
is at most :math:`S - \sigma B`, and the true values of both are equal. So bound the error of
:math:`S - \sigma B`. Given the earlier rows, :math:`f_i` is fixed, so the rows since make a
martingale whose steps lie in intervals of length :math:`1/n_g`. Given all rows since,
:math:`\sigma \bar f_g` is fixed, and its mean over the rows before is one of independent numbers,
whose steps have length :math:`1/m_g`. Put the rows since first and the others after them: the
error is one martingale, and Hoeffding's lemma for each step gives the bound. If codes have not
changed, S and B are truly equal for any classifiers. ∎ The classifier changes from part to part,
so no slack for one fixed classifier is used here.

Which pair of groups moved is not known, so :math:`\delta` is divided among the pairs, and among
the targets where groups are compared within targets.

Source:
    Probability Inequalities for Sums of Bounded Random Variables (Hoeffding, 1963),
    https://doi.org/10.1080/01621459.1963.10500830
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bitveil.certificates.compared import Compared, check_delta, check_sizes
from bitveil.certificates.quantities import PARITY_GAP, Quantity
from bitveil.certificates.sequence import nth_delta
from bitveil.certificates.slacks import hoeffding_slack
from bitveil.distributions import given_group
from bitveil.group_tables import GroupTables

__all__ = ["Drift", "certain_drift", "drift_delta", "periods_until_alarm", "windows"]

_LOSS = 0.17
"""The most that a classifier loses by a wrong answer for one code, in standard deviations of the
difference that it has seen: the largest x times the chance that a normal number is above x."""


@dataclass(frozen=True)
class Drift:
    """How far two groups have moved apart.

    Attributes:
        least: By how much at least, with the probability that was asked for. Below 0, none is
            certain.
        measured: What was measured, without slack.
        groups: The numbers of the two groups.
        stratum: The number of the table in which they are compared: 0 where all rows are compared.
    """

    least: float
    measured: float
    groups: tuple[int, int]
    stratum: int = 0


def certain_drift(
    before: GroupTables,
    since: Sequence[GroupTables],
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
) -> Drift:
    """How far two groups have certainly moved apart: those for which most is certain.

    Arguments:
        before: The counts of the rows before.
        since: The counts of the rows since, in two parts or more, over the same codes. The first
            part only fixes a classifier: give it half of the first period.
        quantity: The gap whose criterion says which rows are compared.
        delta: The probability that the drift may be smaller than `least`.

    Raises:
        ValueError: If there are fewer than two parts, the quantity is no gap, or a group has no
            rows before or since.

    Example:
        >>> fair, unfair = [[500.0, 500.0], [500, 500]], [[600.0, 400.0], [500, 500]]
        >>> before, part = GroupTables.of(fair) , GroupTables.of(unfair)
        >>> found = certain_drift(before, [part, part])  # 0.1 less the root of ln 20 · 4 / 2000
        >>> round(found.measured, 4), round(found.least, 4)
        (0.1, 0.0226)
    """

    check_delta(delta)
    if quantity.unit != "gap" or len(since) < 2:
        raise ValueError(
            "`certain_drift` expects a gap, and counts since in two parts or more, got the "
            f"{quantity.name} and {len(since)}."
        )
    strata = zip(quantity.compared(before), *map(quantity.compared, since), strict=True)
    told = [(each[0], [*each[1:]]) for each in strata]
    k = len(told[0][0].sizes)
    level = delta / (len(told) * k * (k - 1) / 2)
    found = [
        drift
        for stratum, (first, others) in enumerate(told)
        for drift in _drifts(first, others, stratum, level)
    ]

    return max(found, key=lambda drift: drift.least)


def _drifts(
    before: Compared, since: Sequence[Compared], stratum: int, level: float
) -> list[Drift]:
    """The drift of each pair of groups in one table."""

    sizes = torch.tensor([part.sizes for part in since[1:]]).sum(0).tolist()
    check_sizes(before.sizes)
    check_sizes(sizes)
    a, b = torch.triu_indices(len(sizes), len(sizes), 1)
    (now_a, past_a), (now_b, past_b) = (_rates(before, since, a, b, of=g) for g in (a, b))
    measured = (now_a - now_b) - (past_a - past_b).abs()
    pairs = zip(measured.tolist(), a.tolist(), b.tolist(), strict=True)

    def noise(i: int, j: int) -> float:
        return hoeffding_slack([before.sizes[i], before.sizes[j], sizes[i], sizes[j]], level)

    return [Drift(apart - noise(i, j), apart, (i, j), stratum) for apart, i, j in pairs]


def _rates(
    before: Compared, since: Sequence[Compared], a: Tensor, b: Tensor, of: Tensor
) -> tuple[Tensor, Tensor]:
    """How often the classifiers of each pair say 1 for one of its groups, now and before."""

    rates = given_group(before.table)
    seen, rows = since[0].table, torch.tensor(since[0].sizes)
    now, past, n = torch.zeros(3, len(a)).double()
    for part in since[1:]:
        shares = seen / rows.clamp(min=1)[:, None]
        answers = (shares[a] > shares[b]).double()
        sizes = torch.tensor(part.sizes)
        now = now + (answers * part.table[of]).sum(1)
        past = past + sizes[of] * (answers * rates[of]).sum(1)
        n = n + sizes[of]
        seen, rows = seen + part.table, rows + sizes

    return now / n, past / n


def windows(n: int) -> list[int]:
    """How many of the newest of n + 1 periods are compared with all before: 1, 2, 3, 4, 6, 8, …

    Example:
        >>> windows(7)
        [1, 2, 3, 4, 6]
    """

    lengths = [length for power in range(n.bit_length()) for length in (2**power, 3 * 2**power)]

    return sorted(length for length in lengths if length <= n)


def drift_delta(delta: float, period: int) -> float:
    """The part of delta for each test of drift at the end of a period, from the second on.

    Example:
        >>> round(drift_delta(0.05, 3), 5)  # the second of all, for two windows
        0.0038
    """

    return nth_delta(delta, period - 1) / len(windows(period - 1))


def periods_until_alarm(
    drift: float,
    sizes: Sequence[int],
    *,
    before: int,
    codes: int,
    delta: float = 0.05,
    missed: float = 0.05,
    most: int = 1000,
) -> int | None:
    """After how many periods a drift is seen, if it stays.

    The drift must be as large as the slack, and what chance takes away:

    - the slack is that of `certain_drift` at the end of the period, for the longest window
      without an earlier period;
    - the measured drift falls short of the true one by its noise, with probability `missed`. This
      part is by the normal approximation, for the largest variance that rates have;
    - a classifier that is fixed on few rows answers wrongly for some codes. This part is the
      largest expectation over all codes, by the normal approximation.

    Arguments:
        drift: How much larger the gap became.
        sizes: The number of rows of each of two groups in a period.
        before: How many periods came before the drift.
        codes: How many codes there are.
        delta: The probability that there is ever a false alarm of drift.
        missed: The probability that the drift is seen later than that.
        most: At how many periods to stop.

    Returns:
        The number of periods, or None if it is more than `most`.

    Example:
        >>> periods_until_alarm(0.05, (2500, 2500), before=12, codes=4)
        8
        >>> periods_until_alarm(0.1, (2500, 2500), before=12, codes=4)
        2
    """

    from scipy.special import ndtri

    for n in range(1, most + 1):
        window = windows(n)[-1]
        rows = [window * size - size // 2 for size in sizes]
        known = [(before + n - window) * size for size in sizes]
        spread = math.sqrt(sum(0.25 / each for each in (*rows, *known)))
        slack = hoeffding_slack([*rows, *known], drift_delta(delta, before + n))
        noise = -ndtri(missed).item() * spread
        if slack + noise + _loss(sizes, window, codes) <= drift:
            return n

    return None


def _loss(sizes: Sequence[int], window: int, codes: int) -> float:
    """What wrong answers cost on average, over the parts of a window."""

    one = math.sqrt((codes - 1) * sum(1 / size for size in sizes))
    parts = [(0.5, 0.5), *((1.0, float(seen)) for seen in range(1, window))]
    lost = sum(weight * _LOSS * one / math.sqrt(seen) for weight, seen in parts)

    return lost / (window - 0.5)
