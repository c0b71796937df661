"""Lower bounds: what some attacker reaches for sure, and both bounds side by side."""

from dataclasses import dataclass

from bitveil.certificates.compared import check_delta, check_draws, check_sizes
from bitveil.certificates.quantities import PARITY_GAP, Quantity
from bitveil.certificates.upper import Certificate
from bitveil.group_tables import GroupTables

__all__ = ["Interval", "lower_bound"]


@dataclass(frozen=True)
class Interval:
    """Both bounds on one quantity, each wrong with its own probability.

    Attributes:
        least: The lower bound: see `lower_bound`.
        certificate: The certificate of the same quantity, with the upper bound.
        delta: The probability that `least` is too large. The certificate has its own.

    Example:
        >>> from bitveil.certificates import certify
        >>> leaky = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
        >>> print(Interval(lower_bound(leaky, leaky), certify(leaky)))
        0.7600 ≤ largest gap of any classifier that sees the code ≤ 0.8400,
        each bound with probability ≥ 0.95
    """

    least: float
    certificate: Certificate
    delta: float = 0.05

    def __str__(self) -> str:
        upper, lower = self.certificate.delta, self.delta
        sides = f"each bound with probability ≥ {1 - upper:g}"
        if upper != lower:
            sides = f"with probability ≥ {1 - lower:g} and ≥ {1 - upper:g}"
        worst = self.certificate.quantity.worst

        return f"{self.least:.4f} ≤ {worst} ≤ {self.certificate.bound:.4f}, {sides}"


def lower_bound(
    fixed: GroupTables,
    scored: GroupTables,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
) -> float:
    """What some classifier or attacker of the codes reaches, with probability 1 - delta.

    The attacker is fixed on the first rows and scored on the others: see
    `bitveil.certificates.attackers`. The slack of the scored rows is subtracted.

    Arguments:
        fixed: The counts of the rows that fix the attacker.
        scored: The counts of other rows, over the same codes.
        quantity: What is bounded: an entry of `bitveil.certificates.quantities`.
        delta: The probability that the bound may be wrong.
        draws: What `scored` counts: `"soft"` (expected) or `"hard"` (drawn) codes.

    Returns:
        The bound. Where nothing is certain it is the value of a code that reveals nothing.

    Raises:
        ValueError: As `certify`.

    Example:
        >>> from bitveil.certificates import BALANCED_ATTACK_ACCURACY, INFORMATION
        >>> leaky = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
        >>> lower_bound(leaky, leaky)  # 0.8 - 0.0400
        0.7599...
        >>> lower_bound(leaky, leaky, BALANCED_ATTACK_ACCURACY)  # 0.9 - 0.0400 / 2
        0.8799...
        >>> lower_bound(leaky, leaky, INFORMATION)  # 0.76² / (2 log 2), where 0.53 is the truth
        0.4166...
    """

    check_delta(delta)
    check_draws(draws)
    first, second = quantity.compared(fixed), quantity.compared(scored)
    for each in (*first, *second):
        check_sizes(each.sizes)

    return quantity.proof(first, second, quantity.weights, delta, draws)
