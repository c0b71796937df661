r"""Certificates: bounds on what any use of a code can reveal, from rows held out.

**Theorem.** Let the encoder be fixed, and let :math:`n_g` rows of each group g, independent given
their group and used neither in training nor in selection, get one draw of the code each. With
probability at least :math:`1 - \delta`

.. math:: TV(p(t|0), p(t|1)) \le \widehat{TV} +
    \sqrt{\tfrac12 \ln \tfrac1\delta \, \bigl(\tfrac1{n_0} + \tfrac1{n_1}\bigr)} .

**Proof.** Total variation is convex and :math:`\hat p(t|g)`, the mean of :math:`p(t|x)` over the
rows of the group, is unbiased, so :math:`E\,\widehat{TV} \ge TV` (Jensen). Another row in place of
one of group g moves :math:`\widehat{TV}` by at most :math:`1/n_g`. By McDiarmid's inequality it
falls short of its expectation by the root above with probability at most :math:`\delta`. The same
holds with drawn codes in place of :math:`p(t|x)`. ∎

No term grows with the number of codes. The left side bounds the demographic-parity gap of every
classifier that sees the code, randomised or not, and :math:`(1 + TV)/2` the balanced accuracy of
every attacker. With more than two groups every pair gets its share of :math:`\delta`.

What it does not say: nothing of two draws of one row (hence frozen draws), of another population,
of rows used in training, and of someone who holds other columns of the row beside the code.

Source:
    On the method of bounded differences (McDiarmid, 1989),
    https://doi.org/10.1017/CBO9781107359949.008
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bitveil.information import total_variation
from bitveil.shapes import Table

__all__ = [
    "Certificate",
    "UncertifiableError",
    "certify_gap",
    "certify_sequence",
    "least_gap",
]


class UncertifiableError(ValueError):
    """No code meets the wish with the rows that are there."""


@dataclass(frozen=True)
class Certificate:
    """The gap of every classifier that sees the code is at most `gap`, but for a share `delta`.

    Attributes:
        gap: The bound on the demographic-parity gap between any two groups.
        delta: The probability, over the held-out rows, that the bound is wrong.
        estimate: The total variation measured on the held-out rows.
        sizes: The number of held-out rows of each group.
        draws: `"soft"` where expected counts were used, `"hard"` where drawn codes were.
    """

    gap: float
    delta: float
    estimate: float
    sizes: tuple[int, ...]
    draws: str = "soft"

    def __str__(self) -> str:
        rows = " + ".join(map(str, self.sizes))
        return (
            f"gap of every classifier that sees the code ≤ {self.gap:.4f} with probability "
            f"≥ {1 - self.delta:g} ({rows} held-out rows, measured {self.estimate:.4f})"
        )


def slack(n_first: int, n_second: int, delta: float) -> float:
    """How far below its expectation the measured total variation may lie.

    Example:
        >>> round(slack(1000, 1000, 0.05), 4)
        0.0547
    """

    return math.sqrt(0.5 * math.log(1 / delta) * (1 / n_first + 1 / n_second))


def least_gap(sizes: Sequence[int], delta: float = 0.05) -> float:
    """The gap that rows of these numbers certify for a code that reveals nothing measurable.

    No wish below it can be met; one that is to leave some use must be clearly above it.

    Arguments:
        sizes: The number of held-out rows of each group.
        delta: The probability that the certificate may be wrong.

    Example:
        >>> round(least_gap([1000, 1000]), 4)
        0.0547
    """

    _check_delta(delta)
    _check_sizes(sizes)
    first, second = sorted(sizes)[:2]

    return slack(first, second, delta / math.comb(len(sizes), 2))


def certify_gap(table: Table, *, delta: float = 0.05, draws: str = "soft") -> Certificate:
    """Certify a code from the table of rows held out.

    Arguments:
        table: The counts over (group, code), with shape (k, c), of rows that were used neither in
            training nor in selection: `joint_table` of logits, or `observed_table` of drawn codes.
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` (expected) or `"hard"` (drawn) codes.

    Raises:
        ValueError: If delta is not between 0 and 1, there are fewer than two groups, or one of
            them has no rows.

    Example:
        >>> import torch
        >>> certify_gap(torch.tensor([[600.0, 400.0], [500.0, 500.0]])).gap  # 0.1 + 0.0547
        0.1547...
    """

    sizes = [round(size) for size in table.sum(-1).tolist()]
    _check_delta(delta)
    _check_sizes(sizes)
    pairs = list(combinations(range(len(sizes)), 2))
    measured = [total_variation(table[list(pair)]).item() for pair in pairs]
    bounds = [
        value + slack(sizes[i], sizes[j], delta / len(pairs))
        for value, (i, j) in zip(measured, pairs, strict=True)
    ]

    return Certificate(min(1.0, max(bounds)), delta, max(measured), tuple(sizes), draws)


def certify_sequence(
    tables: Sequence[Table], max_gap: float, *, delta: float = 0.05, draws: str = "soft"
) -> list[Certificate]:
    r"""Certify several codes at one wish from the same rows, with no correction for their number.

    The codes are tested in the order given, which must not come from these rows: the safest first.
    Testing ends at the first whose bound is above the wish.

    Each of the codes that passed has a gap of at most `max_gap`, all of them at once, with
    probability at least :math:`1 - \delta`. Proof: let code j be the first in the order whose gap
    really is above the wish. No code after it passes unless it does, and it does with probability
    at most :math:`\delta`. ∎ The bound of such a code is the wish, not its own measured value plus
    slack, which was looked at in choosing.

    Source:
        Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control (Angelopoulos,
        Bates, Candès, Jordan, Lei, 2021), https://arxiv.org/abs/2110.01052

    Arguments:
        tables: The counts over (group, code) of each candidate, on the same held-out rows.
        max_gap: The wish.
        delta: The probability that any of the certificates may be wrong.
        draws: What the tables count: `"soft"` (expected) or `"hard"` (drawn) codes.

    Returns:
        A certificate for each of the codes that passed, in order.

    Example:
        >>> import torch
        >>> fair, unfair = torch.ones(2, 2) * 500, torch.tensor([[900.0, 100], [100, 900]])
        >>> [c.gap for c in certify_sequence([fair, unfair, fair], 0.1)]
        [0.1]
    """

    passed = []
    for table in tables:
        alone = certify_gap(table, delta=delta, draws=draws)
        if alone.gap > max_gap:
            break
        passed.append(Certificate(max_gap, delta, alone.estimate, alone.sizes, draws))

    return passed


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(
            f"`delta` expects a probability between 0 and 1, got {delta}. 0.05 lets one "
            "certificate in twenty be wrong."
        )


def _check_sizes(sizes: Sequence[int]) -> None:
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            "A certificate compares groups and needs held-out rows of each of at least two, got "
            f"groups of {list(sizes)} rows. Hold back more rows, or join small groups."
        )
