r"""Certificates: bounds on what any use of a code can reveal, from rows held out.

**Theorem.** Let the encoder be fixed, and let :math:`n_g` rows of each group g, independent given
their group and used neither in training nor in selection, get one draw of the code each. Let f be
a convex function of the groups' distributions :math:`p(t|g)` that moves by at most L times the
total variation by which one of them is moved. With probability at least :math:`1 - \delta`

.. math:: f(p) \le f(\hat p) + L D \sqrt{\tfrac12 \ln \tfrac1\delta \sum_g \tfrac1{n_g}} ,

where :math:`\hat p(t|g)` is the mean of :math:`p(t|x)` over the rows of the group, the sum goes
over the groups that f reads, and D is 1, or less where the codes of any two rows are known to be
within total variation D.

**Proof.** :math:`\hat p` is unbiased and f convex, so :math:`E f(\hat p) \ge f(p)` (Jensen).
Another row in place of one of group g moves :math:`\hat p(t|g)` by at most :math:`D / n_g` in
total variation, and :math:`f(\hat p)` by at most :math:`L D / n_g`. By McDiarmid's inequality it
falls short of its expectation by the root above with probability at most :math:`\delta`. With
drawn codes in place of :math:`p(t|x)` the same holds with D = 1. ∎

No term grows with the number of codes. The functions that are certified:

- the total variation of two groups, L = 1. It bounds the demographic-parity gap of every
  classifier that sees the code, randomised or not: `certify_gap`. Within the rows of one target it
  bounds the gap of equal opportunity, within those of each the gap of equalised odds:
  `certify_opportunity`, `certify_odds`. With more than two groups every pair gets its share of
  :math:`\delta`;
- the balanced accuracy of the best attacker, :math:`\tfrac1k \sum_t \max_g p(t|g)`, L = 1/k:
  `certify_attack`. With two groups it is :math:`(1 + TV)/2`;
- one less the overlap :math:`\sum_t \min_g p(t|g)`, L = 1. It bounds the information, as a share
  of the entropy of the groups: `certify_information`.

**Coarser groups.** The certificate of the gap between groups holds for all that are joined from
them, such as each of two attributes whose pairs of values were certified. Proof: their codes are
mixtures, and :math:`TV(\sum_i w_i p_i, \sum_j v_j q_j) \le \max_{ij} TV(p_i, q_j)`, since total
variation is convex. ∎

What it does not say: nothing of two draws of one row (hence frozen draws), of another population,
of rows used in training, and of someone who holds other columns of the row beside the code.

Source:
    On the method of bounded differences (McDiarmid, 1989),
    https://doi.org/10.1017/CBO9781107359949.008
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.entropies import group_entropy
from bitveil.information import BITS, Prior, attack_accuracy, doeblin_coefficient, given_group

__all__ = [
    "Certificate",
    "Quantity",
    "UncertifiableError",
    "certify_attack",
    "certify_columns",
    "certify_gap",
    "certify_information",
    "certify_odds",
    "certify_opportunity",
    "certify_sequence",
    "dobrushin_bound",
    "least_bound",
    "least_gap",
    "rows_needed",
]

Quantity = Literal[
    "parity gap",
    "equal opportunity gap",
    "equalised odds gap",
    "balanced attack accuracy",
    "information (bits)",
]
"""What a certificate bounds."""

_SAYS: dict[str, str] = {
    "parity gap": "gap of every classifier that sees the code",
    "equal opportunity gap": "equal-opportunity gap of every classifier that sees the code",
    "equalised odds gap": "equalised-odds gap of every classifier that sees the code",
    "balanced attack accuracy": "balanced accuracy of every attacker who sees the code",
    "information (bits)": "bits that the code tells of the group",
}


class UncertifiableError(ValueError):
    """No code meets the goal with the rows that are there."""


_COUNTED = {"soft": "expected counts", "hard": "drawn codes"}


@dataclass(frozen=True)
class Certificate:
    """The quantity is at most `bound`, but for a share `delta`.

    Attributes:
        bound: The bound on the quantity in the population of the held-out rows.
        delta: The probability, over the held-out rows, that the bound is wrong; of several
            candidates, that any of theirs is.
        estimate: The quantity measured on the held-out rows, for information the bound on it.
        sizes: The number of held-out rows of each group: for equal opportunity of those of the
            positive target, for equalised odds of each target in turn.
        draws: `"soft"` where expected counts were used, `"hard"` where drawn codes were.
        quantity: What is bounded.
        candidates: How many codes were judged on the same rows, each with a bound like this.
        entropy: For information, the entropy of the groups in bits, for the prior that the bound
            is about: all there is to reveal.
    """

    bound: float
    delta: float
    estimate: float
    sizes: tuple[int, ...]
    draws: str = "soft"
    quantity: Quantity = "parity gap"
    candidates: int = 1
    entropy: float | None = None

    @property
    def gap(self) -> float:
        """The bound, by its name where the quantity is a gap."""

        return self.bound

    def __str__(self) -> str:
        rows = " + ".join(map(str, self.sizes))
        of_all = "" if self.entropy is None else f" of {self.entropy:.4f}"
        codes = "" if self.candidates == 1 else f" for all of {self.candidates} codes at once"
        return (
            f"{_SAYS[self.quantity]} ≤ {self.bound:.4f}{of_all} with probability "
            f"≥ {1 - self.delta:g}{codes} ({rows} held-out rows, {_COUNTED[self.draws]}, measured "
            f"{self.estimate:.4f})"
        )


def slack(sizes: Sequence[int], delta: float, dobrushin: float = 1.0) -> float:
    """How far below its expectation a measured value may lie, for L = 1 in the theorem.

    Example:
        >>> round(slack([1000, 1000], 0.05), 4)
        0.0547
    """

    return dobrushin * math.sqrt(0.5 * math.log(1 / delta) * sum(1 / n for n in sizes))


def certify_gap(
    table: Float[Tensor, "k c"],
    *,
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    r"""Certify the parity gap of every classifier of a code, from the table of rows held out.

    The bound is that of the pair of groups for which :math:`\widehat{TV} + \sqrt{\tfrac12
    \ln \tfrac1\delta (1/n_0 + 1/n_1)}` is largest, with :math:`\delta` divided among pairs and
    candidates.

    Arguments:
        table: The counts over (group, code), with shape (k, c), of rows that were used neither in
            training nor in selection: `joint_table` of logits, or `observed_table` of drawn codes.
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` (expected) or `"hard"` (drawn) codes. The theorem is
            the same; drawn codes measure too much where there are many of them.
        candidates: How many codes are judged on these rows and chosen among. Then all of their
            bounds hold at once with probability 1 - delta.
        dobrushin: A bound on the total variation between the codes of any two rows, known before
            the held-out rows were looked at: see `dobrushin_bound`. The slack is multiplied by it,
            and the gap is no larger than it. For expected counts only.

    Raises:
        ValueError: If delta is not between 0 and 1, there are fewer than two groups, or one of
            them has no rows.

    Warns:
        UserWarning: If drawn codes are more than the rows of the smallest group: the bound holds,
            and is loose.

    Example:
        >>> certify_gap(torch.tensor([[600.0, 400.0], [500.0, 500.0]])).gap  # 0.1 + 0.0547
        0.1547...
    """

    check_counts("certify_gap", table, 2, delta, draws, candidates, dobrushin)
    bound, estimate = _worst_pair(table, delta / candidates, dobrushin)

    return Certificate(
        min(dobrushin, bound), delta, estimate, group_sizes(table), draws, candidates=candidates
    )


def certify_opportunity(
    table: Float[Tensor, "y k c"],
    positive: int,
    *,
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    """Certify the gap of equal opportunity: the parity gap among the rows of one target.

    By how much, at most, the true-positive rates of two groups differ, for every classifier that
    sees the code. The theorem of `certify_gap` speaks of any population, so also of the rows of
    one target, given how many of them each group has.

    Source:
        Equality of Opportunity in Supervised Learning (Hardt, Price, Srebro, 2016),
        https://arxiv.org/abs/1610.02413

    Arguments:
        table: The counts over (target, group, code) of held-out rows, with shape (y, k, c).
        positive: The number of the target that is the opportunity.
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` or `"hard"` codes.
        candidates: How many codes are judged on these rows and chosen among.
        dobrushin: A bound on the total variation between the codes of any two rows.

    Raises:
        ValueError: As `certify_gap`, or if there is no such target.

    Example:
        >>> table = torch.tensor([[[900.0, 100.0], [100, 900]], [[600, 400], [500, 500]]])
        >>> print(certify_opportunity(table, positive=1))
        equal-opportunity gap of every classifier that sees the code ≤ 0.1547 with probability
        ≥ 0.95 (1000 + 1000 held-out rows, expected counts, measured 0.1000)
    """

    if table.ndim != 3 or not 0 <= positive < len(table):
        raise ValueError(
            "`certify_opportunity` expects counts over (target, group, code) and the number of "
            f"one of the targets, got shape {tuple(table.shape)} and positive = {positive}."
        )
    inside = certify_gap(
        table[positive], delta=delta, draws=draws, candidates=candidates, dobrushin=dobrushin
    )

    return replace(inside, quantity="equal opportunity gap")


def certify_odds(
    table: Float[Tensor, "y k c"],
    *,
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    r"""Certify the gap of equalised odds: the largest parity gap among the rows of any target.

    By how much, at most, true- or false-positive rates of two groups differ. :math:`\delta` is
    divided among the targets, and there among the pairs of groups: by the union bound all of them
    hold at once, and so does the largest.

    Source:
        Equality of Opportunity in Supervised Learning (Hardt, Price, Srebro, 2016),
        https://arxiv.org/abs/1610.02413

    Arguments:
        table: The counts over (target, group, code) of held-out rows, with shape (y, k, c).
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` or `"hard"` codes.
        candidates: How many codes are judged on these rows and chosen among.
        dobrushin: A bound on the total variation between the codes of any two rows.

    Raises:
        ValueError: As `certify_gap`, also if a group has no rows of one of the targets.

    Example:
        >>> table = torch.tensor([[[900.0, 100.0], [900, 100]], [[600, 400], [500, 500]]])
        >>> certify_odds(table).bound  # 0.1 + sqrt(ln(2 / 0.05) / 1000)
        0.1607...
    """

    check_counts("certify_odds", table, 3, delta, draws, candidates, dobrushin)
    bounds, measured = zip(
        *(_worst_pair(rows, delta / candidates / len(table), dobrushin) for rows in table),
        strict=True,
    )

    return Certificate(
        min(dobrushin, max(bounds)),
        delta,
        max(measured),
        group_sizes(table),
        draws,
        "equalised odds gap",
        candidates,
    )


def certify_attack(
    table: Float[Tensor, "k c"],
    *,
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    r"""Certify the balanced accuracy of every attacker who guesses the group from the code.

    The best one reaches :math:`\tfrac1k \sum_t \max_g p(t|g)`, which is convex in every
    :math:`p(t|g)`, and moves by 1/k of what one of them is moved by: the theorem with L = 1/k, for
    all k groups at once and with no division of :math:`\delta`. It is at most
    :math:`(1 + (k - 1) D)/k`.

    Arguments:
        table: The counts over (group, code) of held-out rows, with shape (k, c).
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` or `"hard"` codes.
        candidates: How many codes are judged on these rows and chosen among.
        dobrushin: A bound on the total variation between the codes of any two rows.

    Raises:
        ValueError: As `certify_gap`.

    Example:
        >>> certify_attack(torch.tensor([[600.0, 400.0], [500.0, 500.0]])).bound  # (1 + 0.1547)/2
        0.5773...
    """

    check_counts("certify_attack", table, 2, delta, draws, candidates, dobrushin)
    sizes, k = group_sizes(table), len(table)
    estimate = attack_accuracy(table.double(), prior="uniform").item()
    bound = estimate + slack(sizes, delta / candidates, dobrushin) / k
    most = min(1.0, (1 + (k - 1) * dobrushin) / k)

    return Certificate(
        min(most, bound), delta, estimate, sizes, draws, "balanced attack accuracy", candidates
    )


def certify_information(
    table: Float[Tensor, "k c"],
    *,
    prior: Prior = "empirical",
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    r"""Certify the information of code and group, in bits.

    With the overlap :math:`o = \sum_t \min_g p(t|g)` every group's codes are a mixture: with
    probability o of a distribution that all groups share, otherwise of one of the group's own.
    Whoever is told which of the two it was learns nothing of the group in the first case, which is
    as frequent in every group, and at most H(S) in the second. So :math:`I(T; S) \le (1 - o)
    H(S)`, whatever the prior of the groups; with two groups :math:`1 - o` is the total variation.
    It is convex, moves by at most as much as one group is moved by, and the theorem bounds it.

    H(S) is that of the prior given, which the certificate is about: with `"empirical"` that of the
    held-out rows' groups, and of no population in which they are of other sizes.

    Source:
        Doeblin Coefficients and Related Measures (Makur, Singh, 2023),
        https://arxiv.org/abs/2309.08475

    Arguments:
        table: The counts over (group, code) of held-out rows, with shape (k, c).
        prior: The weights of the groups: `"empirical"`, `"uniform"`, or a tensor of shape (k,).
        delta: The probability that the bound may be wrong.
        draws: What the table counts: `"soft"` or `"hard"` codes.
        candidates: How many codes are judged on these rows and chosen among.
        dobrushin: A bound on the total variation between the codes of any two rows.

    Raises:
        ValueError: As `certify_gap`, or if the prior is no distribution over the groups.

    Example:
        >>> print(certify_information(torch.tensor([[600.0, 400.0], [500.0, 500.0]])))
        bits that the code tells of the group ≤ 0.1547 of 1.0000 with probability ≥ 0.95
        (1000 + 1000 held-out rows, expected counts, measured 0.1000)
    """

    check_counts("certify_information", table, 2, delta, draws, candidates, dobrushin)
    _check_prior(prior, len(table))
    sizes = group_sizes(table)
    entropy = group_entropy(table.double(), prior=prior).item() * BITS
    measured = 1 - doeblin_coefficient(table.double()).item()
    share = measured + slack(sizes, delta / candidates, dobrushin)
    most = min(1.0, (len(table) - 1) * dobrushin)

    return Certificate(
        min(most, share) * entropy,
        delta,
        measured * entropy,
        sizes,
        draws,
        "information (bits)",
        candidates,
        entropy,
    )


def certify_sequence(
    tables: Sequence[Any],
    limit: float,
    *,
    certify: Callable[..., Certificate] = certify_gap,
    delta: float = 0.05,
    draws: str = "soft",
) -> list[Certificate]:
    r"""Certify several codes at one goal from the same rows, with no correction for their number.

    The codes are tested in the order given, which must not come from these rows: the safest first.
    Testing ends at the first whose bound is above the goal.

    Each of the codes that passed keeps to the limit, all of them at once, with probability at
    least :math:`1 - \delta`. Proof: let code j be the first in the order that really is above the
    limit. No code after it passes unless it does, and it does with probability at most
    :math:`\delta`. ∎ The bound of such a code is the limit, not its own measured value plus slack,
    which was looked at in choosing.

    Source:
        Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control (Angelopoulos,
        Bates, Candès, Jordan, Lei, 2021), https://arxiv.org/abs/2110.01052

    Arguments:
        tables: The counts of each candidate, on the same held-out rows, as `certify` takes them.
        limit: The goal.
        certify: Any of the functions of this module that make a certificate of a table;
            `functools.partial` for those that take more arguments.
        delta: The probability that any of the certificates may be wrong.
        draws: What the tables count: `"soft"` (expected) or `"hard"` (drawn) codes.

    Returns:
        A certificate for each of the codes that passed, in order.

    Example:
        >>> fair, unfair = torch.ones(2, 2) * 500, torch.tensor([[900.0, 100], [100, 900]])
        >>> [c.gap for c in certify_sequence([fair, unfair, fair], 0.1)]
        [0.1]
    """

    passed = []
    for table in tables:
        alone = certify(table, delta=delta, draws=draws)
        if alone.bound > limit:
            break
        passed.append(replace(alone, bound=limit))

    return passed


def certify_columns(
    tables: Mapping[str, Tensor],
    *,
    certify: Callable[..., Certificate] = certify_gap,
    delta: float = 0.05,
    draws: str = "soft",
) -> dict[str, Certificate]:
    r"""Certify one code for several attributes, all of them at once.

    :math:`\delta` is divided among the attributes (union bound). The certificate of their pairs of
    values, where it can be had, covers each of them too, and groups of both: see *coarser groups*
    above.

    Arguments:
        tables: The counts of the same code over the groups of each attribute, by its name.
        certify: The function that makes a certificate of a table.
        delta: The probability that any of the certificates may be wrong.
        draws: What the tables count: `"soft"` (expected) or `"hard"` (drawn) codes.

    Returns:
        A certificate for each attribute. Its `delta` is its share.

    Example:
        >>> table = torch.tensor([[600.0, 400.0], [500.0, 500.0]])
        >>> found = certify_columns({"sex": table, "age": table})
        >>> round(found["age"].bound, 4), found["age"].delta  # 0.1 + sqrt(ln(2 / 0.05) / 1000)
        (0.1607, 0.025)
    """

    if not tables:
        raise ValueError(
            "`certify_columns` expects the tables of one attribute or more, got none."
        )

    return {
        name: certify(table, delta=delta / len(tables), draws=draws)
        for name, table in tables.items()
    }


def dobrushin_bound(low: Float[Tensor, " m"], high: Float[Tensor, " m"]) -> float:
    r"""A bound on the total variation between the codes of any two rows, from their ranges.

    Let bit j be 1 with a probability in :math:`[l_j, h_j]` for every row that there may be. The
    bits are independent given the row. With :math:`d_j = h_j - l_j` two rows' bits can be coupled
    one by one to differ with probability at most :math:`d_j`, so their codes differ with
    probability at most :math:`1 - \prod_j (1 - d_j)`. And total variation is at most
    :math:`\sqrt{1 - b^2}` with the Bhattacharyya coefficient b, which is the product of those of
    the bits, none below :math:`\sqrt{l_j h_j} + \sqrt{(1 - l_j)(1 - h_j)}`. The smaller of the two
    is returned: with one bit exact, with few bits the first, with many of little range the second.

    The ranges must be known of the encoder, as from a clamp on its probabilities, and not seen on
    the held-out rows.

    Source:
        Central Limit Theorem for Nonstationary Markov Chains (Dobrushin, 1956),
        https://doi.org/10.1137/1101006

    Arguments:
        low: The smallest probability that each bit is 1, with shape (m,).
        high: The largest, with shape (m,).

    Raises:
        ValueError: If they are not ranges of probabilities.

    Example:
        >>> dobrushin_bound(torch.tensor([0.25, 0.5]), torch.tensor([0.75, 0.5]))
        0.5
    """

    if low.shape != high.shape or not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise ValueError(
            "`dobrushin_bound` expects ranges of probabilities, 0 <= low <= high <= 1 for each "
            f"bit, got {low.tolist()} and {high.tolist()}."
        )
    low, high = low.double(), high.double()
    coupled = 1 - (1 - (high - low)).prod()
    affinity = ((low * high).sqrt() + ((1 - low) * (1 - high)).sqrt()).prod()

    return min(coupled.item(), (1 - affinity.square()).clamp_min(0).sqrt().item())


def least_gap(sizes: Sequence[int], delta: float = 0.05) -> float:
    """The gap that rows of these numbers certify for a code that reveals nothing measurable.

    No goal below it can be met; one that is to leave some use must be clearly above it.

    Arguments:
        sizes: The number of held-out rows of each group.
        delta: The probability that the certificate may be wrong.

    Example:
        >>> round(least_gap([1000, 1000]), 4)
        0.0547
    """

    _check_delta(delta)
    _check_sizes(sizes)

    return slack(sorted(sizes)[:2], delta / math.comb(len(sizes), 2))


def least_bound(
    sizes: Sequence[Any], *, certify: Callable[..., Certificate] = certify_gap, delta: float = 0.05
) -> float:
    """The bound that rows of these numbers certify for a code that reveals nothing measurable.

    `least_gap` for any certificate: that of a code of one value.

    Arguments:
        sizes: The number of held-out rows of each group, or of each target and group.
        certify: The function that makes a certificate of a table.
        delta: The probability that the certificate may be wrong.

    Example:
        >>> round(least_bound([[1000, 1000], [500, 500]], certify=certify_odds), 4)
        0.0859
    """

    return certify(torch.tensor(sizes, dtype=torch.float64).unsqueeze(-1), delta=delta).bound


def rows_needed(gap: float, shares: Sequence[float], *, delta: float = 0.05) -> int:
    r"""How many held-out rows it takes until `least_gap` is no more than a gap.

    :math:`\tfrac12 \ln \tfrac{K}{\delta} (1/q_0 + 1/q_1) / \text{gap}^2` rows, with K pairs of
    groups, of which the two smallest have the shares q. A code that is of use has a gap of its
    own, and takes more.

    Arguments:
        gap: The gap that is to be certified.
        shares: How frequent the groups are: shares, or counts of any rows like these.
        delta: The probability that the certificate may be wrong.

    Raises:
        ValueError: If the gap is not above 0, or the groups not at least two with rows.

    Example:
        >>> rows_needed(0.0547, [0.5, 0.5])  # twice the thousand of least_gap
        2003
    """

    _check_delta(delta)
    if not gap > 0 or len(shares) < 2 or not min(shares) > 0:
        raise ValueError(
            "`rows_needed` expects a gap above 0 and the shares of at least two groups, all above "
            f"0, got {gap} and {list(shares)}."
        )
    pairs = math.comb(len(shares), 2)
    smallest = sum(sum(shares) / share for share in sorted(shares)[:2])

    return math.ceil(0.5 * math.log(pairs / delta) * smallest / gap**2)


def _worst_pair(table: Tensor, delta: float, dobrushin: float) -> tuple[float, float]:
    """The largest bound on a pair's total variation, and the largest that was measured."""

    p, sizes = given_group(table.double()), group_sizes(table)
    first, second = torch.triu_indices(len(p), len(p), 1)
    measured = torch.cdist(p, p, p=1)[first, second] / 2
    bounds = [
        value + slack([sizes[i], sizes[j]], delta / len(first), dobrushin)
        for value, i, j in zip(measured.tolist(), first, second, strict=True)
    ]

    return max(bounds), measured.max().item()


def group_sizes(table: Tensor) -> tuple[int, ...]:
    return tuple(round(size) for size in table.sum(-1).flatten().tolist())


def check_counts(
    name: str,
    table: Tensor,
    ndim: int,
    delta: float,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> None:
    """Refuse what no certificate can be made of."""

    _check_delta(delta)
    if table.ndim != ndim or not (torch.isfinite(table) & (table >= 0)).all():
        kind = "(group, code)" if ndim == 2 else "(target, group, code)"
        raise ValueError(
            f"`{name}` expects counts over {kind}, none below 0, got shape {tuple(table.shape)}."
        )
    for rows in table.view(-1, *table.shape[-2:]):
        _check_sizes(group_sizes(rows))
    if candidates < 1:
        raise ValueError(f"`candidates` expects a number from 1 on, got {candidates}.")
    if draws not in ("soft", "hard"):
        raise ValueError(f"`draws` expects 'soft' or 'hard', got {draws!r}.")
    if not 0 <= dobrushin <= 1 or (dobrushin < 1 and draws == "hard"):
        raise ValueError(
            f"`dobrushin` expects a total variation from 0 to 1, got {dobrushin}; for drawn codes "
            "leave it out, since another row may change its code altogether."
        )
    _warn_of_many_codes(table, draws)


def _warn_of_many_codes(table: Tensor, draws: str) -> None:
    n_codes, fewest = int((table.flatten(0, -2).sum(0) > 0).sum()), min(group_sizes(table))
    if draws == "hard" and n_codes > fewest:
        warnings.warn(
            f"There are more drawn codes ({n_codes}) than rows in the smallest group ({fewest}). "
            "The bound holds and is loose: use expected counts, more rows, or fewer bits.",
            stacklevel=4,
        )


def _check_prior(prior: Prior, k: int) -> None:
    if isinstance(prior, Tensor) and (
        prior.shape != (k,) or (prior < 0).any() or abs(prior.sum().item() - 1) > 1e-4
    ):
        raise ValueError(
            f"`prior` expects one weight for each of {k} groups, none below 0, that sum to 1, got "
            f"{prior.tolist()}."
        )


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
