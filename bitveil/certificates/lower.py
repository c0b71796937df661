r"""The attacker who knows the table: what is certainly revealed.

On the rows of a table nobody guesses better than by its most frequent group: see
`bitveil.information.attack_accuracy`. Fixed on some rows and scored on others, such an attacker
shows what is certain to be revealed: the lower side of a certificate.

On the other rows its gap is a difference of two means, and above that of the population by more
than :math:`\sqrt{\tfrac12 \ln \tfrac1\delta (\tfrac1{n_0} + \tfrac1{n_1})}` with probability at
most :math:`\delta` (McDiarmid, as in `certificates`). Which groups, targets and codes it sets
apart is chosen on the first rows alone, so that nothing is divided among the choices.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.certificates.upper import Certificate, check_counts, group_sizes, slack
from bitveil.information import BITS, Prior, given_group, group_prior

__all__ = [
    "Interval",
    "certain_attack",
    "certain_gap",
    "certain_information",
    "certain_odds",
    "certain_opportunity",
]

_WORST: dict[str, str] = {
    "parity gap": "worst gap of any classifier that sees the code",
    "equal opportunity gap": "worst equal-opportunity gap of any classifier that sees the code",
    "equalised odds gap": "worst equalised-odds gap of any classifier that sees the code",
    "balanced attack accuracy": "best balanced accuracy of an attacker who sees the code",
    "information (bits)": "bits that the code tells of the group",
}


@dataclass(frozen=True)
class Interval:
    """Both sides of one quantity, each wrong with its own probability.

    Attributes:
        least: What is certainly revealed: any of the functions of this module.
        certificate: The certificate of the same quantity.
        delta: The probability that `least` is too large; that of the certificate is its own.

    Example:
        >>> from bitveil.certificates.upper import certify_gap
        >>> leaky = torch.tensor([[900.0, 100.0], [100.0, 900.0]])
        >>> print(Interval(certain_gap(leaky, leaky), certify_gap(leaky)))
        0.7453 ≤ worst gap of any classifier that sees the code ≤ 0.8547,
        each side with probability ≥ 0.95
    """

    least: float
    certificate: Certificate
    delta: float = 0.05

    def __str__(self) -> str:
        upper, lower = self.certificate.delta, self.delta
        sides = f"each side with probability ≥ {1 - upper:g}"
        if upper != lower:
            sides = f"with probability ≥ {1 - lower:g} and ≥ {1 - upper:g}"
        worst = _WORST[self.certificate.quantity]

        return f"{self.least:.4f} ≤ {worst} ≤ {self.certificate.bound:.4f}, {sides}"


def certain_gap(
    fixed: Float[Tensor, "k c"], scored: Float[Tensor, "k c"], *, delta: float = 0.05
) -> float:
    r"""A parity gap that some classifier of the codes reaches, with probability 1 - delta.

    The classifier answers 1 for the codes that the first rows show more often in one group than in
    another, for the two groups that are most clearly apart there.

    Arguments:
        fixed: The counts over (group, code) by which the classifier is made, with shape (k, c).
        scored: The counts of other rows, with shape (k, c).
        delta: The probability that the classifier's gap may be smaller.

    Returns:
        The gap, or 0 where none is certain.

    Example:
        >>> leaky = torch.tensor([[900.0, 100.0], [100.0, 900.0]])
        >>> certain_gap(leaky, leaky)  # 0.8 - 0.0547
        0.7452...
    """

    check_counts("certain_gap", fixed, 2, delta)
    check_counts("certain_gap", scored, 2, delta)

    return max(0.0, _scored(fixed, scored, _farthest(fixed, delta)[1], delta))


def certain_opportunity(
    fixed: Float[Tensor, "y k c"],
    scored: Float[Tensor, "y k c"],
    positive: int,
    *,
    delta: float = 0.05,
) -> float:
    """A gap of equal opportunity that some classifier reaches, with probability 1 - delta.

    Arguments:
        fixed: The counts over (target, group, code) by which the classifier is made.
        scored: The counts of other rows.
        positive: The number of the target that is the opportunity.
        delta: The probability that the classifier's gap may be smaller.

    Example:
        >>> table = torch.tensor([[[500.0, 500.0], [500, 500]], [[900, 100], [100, 900]]])
        >>> certain_opportunity(table, table, positive=1)  # 0.8 - 0.0547
        0.7452...
    """

    return certain_gap(fixed[positive], scored[positive], delta=delta)


def certain_odds(
    fixed: Float[Tensor, "y k c"], scored: Float[Tensor, "y k c"], *, delta: float = 0.05
) -> float:
    """A gap of equalised odds that some classifier reaches, with probability 1 - delta.

    It is scored among the rows of one target: that in which the first rows set two groups most
    clearly apart.

    Arguments:
        fixed: The counts over (target, group, code) by which the classifier is made.
        scored: The counts of other rows.
        delta: The probability that the classifier's gap may be smaller.

    Example:
        >>> table = torch.tensor([[[500.0, 500.0], [500, 500]], [[900, 100], [100, 900]]])
        >>> certain_odds(table, table)  # 0.8 - 0.0547
        0.7452...
    """

    check_counts("certain_odds", fixed, 3, delta)
    check_counts("certain_odds", scored, 3, delta)
    _, target = max((_farthest(rows, delta)[0], y) for y, rows in enumerate(fixed))

    return certain_gap(fixed[target], scored[target], delta=delta)


def certain_attack(
    fixed: Float[Tensor, "k c"], scored: Float[Tensor, "k c"], *, delta: float = 0.05
) -> float:
    """A balanced accuracy that some attacker reaches, with probability 1 - delta.

    It guesses the group that the first rows show most often at a code, each group taken to be as
    large as the others.

    Arguments:
        fixed: The counts over (group, code) by which the attacker is made, with shape (k, c).
        scored: The counts of other rows, with shape (k, c).
        delta: The probability that the attacker's balanced accuracy may be smaller.

    Returns:
        The balanced accuracy, or 1/k, that of a guess, where no more is certain.

    Example:
        >>> leaky = torch.tensor([[900.0, 100.0], [100.0, 900.0]])
        >>> certain_attack(leaky, leaky)  # 0.9 - 0.0547 / 2
        0.8726...
    """

    check_counts("certain_attack", fixed, 2, delta)
    check_counts("certain_attack", scored, 2, delta)
    k = len(fixed)
    guess = given_group(fixed.double()).argmax(0)
    right = given_group(scored.double())[guess, torch.arange(fixed.shape[1])].sum().item()

    return max(1 / k, (right - slack(group_sizes(scored), delta)) / k)


def certain_information(
    fixed: Float[Tensor, "k c"],
    scored: Float[Tensor, "k c"],
    *,
    prior: Prior = "empirical",
    delta: float = 0.05,
) -> float:
    r"""Bits that the code tells of the group at least, with probability 1 - delta.

    A classifier of the code tells no more than the code. Where its rates of answering 1 differ by
    g between two groups with the weights a and b, its own are at least
    :math:`\tfrac{2 a b}{a + b} g^2` nats: Pinsker's inequality for each of the two against the
    whole, and the least that both can add up to.

    Arguments:
        fixed: The counts over (group, code) by which the classifier is made, with shape (k, c).
        scored: The counts of other rows, with shape (k, c).
        prior: The weights of the groups; `"empirical"` those of the rows scored.
        delta: The probability that the information may be smaller.

    Example:
        >>> leaky = torch.tensor([[900.0, 100.0], [100.0, 900.0]])
        >>> certain_information(leaky, leaky)  # 0.7453² / (2 log 2) of the 0.53 that there are
        0.4006...
    """

    gap = certain_gap(fixed, scored, delta=delta)
    first, second = _farthest(fixed, delta)[1]
    weight = group_prior(scored.double().sum(-1), prior)
    a, b = weight[first].item(), weight[second].item()

    return 2 * a * b / (a + b) * gap**2 * BITS if gap else 0.0


def _farthest(table: Tensor, delta: float) -> tuple[float, tuple[int, int]]:
    """The two groups most clearly apart: by how much beyond the slack, and which."""

    p, sizes = given_group(table.double()), group_sizes(table)
    pairs = torch.combinations(torch.arange(len(p))).tolist()

    return max(
        ((p[i] - p[j]).abs().sum().item() / 2 - slack([sizes[i], sizes[j]], delta), (i, j))
        for i, j in pairs
    )


def _scored(fixed: Tensor, scored: Tensor, pair: tuple[int, int], delta: float) -> float:
    """The gap of the classifier that sets two groups apart, on other rows, less its slack."""

    first, second = given_group(fixed.double())[list(pair)]
    answer = (first > second).double()
    rates = given_group(scored.double())[list(pair)] @ answer
    sizes = group_sizes(scored)

    return (rates[0] - rates[1]).item() - slack([sizes[i] for i in pair], delta)
