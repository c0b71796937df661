"""Certificates of several codes from the same rows, of several attributes, and without an end."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bitveil.certificates.compared import check_delta
from bitveil.certificates.dilution import diluted
from bitveil.certificates.quantities import PARITY_GAP, Quantity
from bitveil.certificates.upper import Certificate, certify
from bitveil.group_tables import GroupTables

__all__ = ["certify_columns", "certify_sequence", "nth_delta"]


def certify_sequence(
    tables: Iterable[GroupTables],
    limit: float,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
    dilute: bool = False,
) -> list[Certificate]:
    r"""Certify that codes meet a goal, from the same rows, with no correction for their number.

    The codes are tested in the given order, the safest first. The order must not come from these
    rows. Testing ends at the first code whose bound is above the goal.

    All codes that pass meet the goal, with probability at least :math:`1 - \delta`. Proof: let
    code j be the first in the order that really is above the limit. A later code passes only if
    code j does, and code j passes with probability at most :math:`\delta`. ∎ The bound of such a
    code is the limit. It is not its own measured value plus slack, because the choice depended on
    that.

    With `dilute` the first code that fails is published with a probability that makes its bound
    the limit: see `bitveil.certificates.dilution`. All certificates still hold with probability
    :math:`1 - \delta`. Proof: let j be as above, :math:`\theta` its true value and B its bound. An
    error before j is impossible, since a code that meets the limit still does when it is diluted.
    An error after j needs j to pass, so :math:`B \le` limit :math:`< \theta`. If j itself is
    diluted to :math:`\theta \cdot` limit / B, that is above the limit only if :math:`\theta > B`.
    So every error implies :math:`\theta > B`, which has probability at most :math:`\delta`. ∎ (For
    the accuracy of an attacker, read each value as what it has above chance.)

    Source:
        Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control (Angelopoulos,
        Bates, Candès, Jordan, Lei, 2021), https://arxiv.org/abs/2110.01052

    Arguments:
        tables: The counts of each candidate on the same held-out rows. A generator may make them
            one by one, since those after the first that fails are not needed.
        limit: The goal.
        quantity: What the goal limits: an entry of `bitveil.certificates.quantities`.
        delta: The probability that any of the certificates may be wrong.
        draws: What the tables count: `"soft"` (expected), `"hard"` (drawn) or `"certain"` codes.
        dilute: Whether to dilute the first code that fails. Not for drawn codes.

    Returns:
        A certificate of each code that passed, in order; then of the first that failed, diluted.

    Raises:
        ValueError: As `certify` and `diluted`.

    Example:
        >>> fair = GroupTables.of([[500.0, 500.0], [500, 500]])
        >>> unfair = GroupTables.of([[900.0, 100], [100, 900]])
        >>> [certificate.bound for certificate in certify_sequence([fair, unfair, fair], 0.1)]
        [0.1]
        >>> safe, mixed = certify_sequence([fair, unfair], 0.1, dilute=True)
        >>> round(mixed.share, 3)  # 0.1 of 0.84
        0.119
    """

    if dilute and draws == "hard":
        raise ValueError("`dilute` is for expected counts: for drawn codes use `certify_shares`.")
    passed = []
    for table in tables:
        alone = certify(table, quantity, delta=delta, draws=draws)
        if alone.bound > limit:
            passed += [diluted(alone, limit)] if dilute else []
            break
        passed.append(replace(alone, bound=limit))

    return passed


def certify_columns(
    tables: Mapping[str, GroupTables],
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
) -> dict[str, Certificate]:
    r"""Certify one code for several attributes, all of them at once.

    Each attribute gets a statement of its own, so :math:`\delta` is divided among them (union
    bound). For the largest over all of them it need not be: see `bitveil.certificates`. A
    certificate of their pairs of values, where there are rows enough for it, covers each attribute
    and all combinations: see *coarser groups* in `bitveil.certificates`.

    Arguments:
        tables: The counts of the same code over the groups of each attribute, by its name.
        quantity: What is bounded.
        delta: The probability that any of the certificates may be wrong.
        draws: What the tables count: `"soft"` (expected) or `"hard"` (drawn) codes.

    Returns:
        A certificate for each attribute. Its `delta` is the attribute's share.

    Example:
        >>> table = GroupTables.of([[600.0, 400.0], [500.0, 500.0]])
        >>> found = certify_columns({"sex": table, "age": table})
        >>> round(found["age"].bound, 4), found["age"].delta  # 0.1 + slack([1000, 1000], 0.025)
        (0.1525, 0.025)
    """

    if not tables:
        raise ValueError(
            "`certify_columns` expects the tables of one attribute or more, got none."
        )

    return {
        name: certify(table, quantity, delta=delta / len(tables), draws=draws)
        for name, table in tables.items()
    }


def nth_delta(delta: float, number: int) -> float:
    r"""The part of delta for the statement with this number, in a list that has no known end.

    .. math:: \delta_j = \frac{6}{\pi^2 j^2} \, \delta, \qquad \sum_{j=1}^\infty \delta_j = \delta

    If the statement with number j is wrong with probability :math:`\delta_j` at most, all of them
    hold at once with probability :math:`1 - \delta` (union bound). It does not matter when someone
    stops to make statements, or why.

    Arguments:
        delta: The probability that any of the statements may be wrong.
        number: The number of the statement: 1, 2, 3, …

    Raises:
        ValueError: If delta is not between 0 and 1, or the number is not from 1 on.

    Example:
        >>> [round(nth_delta(0.05, number), 4) for number in (1, 2, 3)]
        [0.0304, 0.0076, 0.0034]
    """

    check_delta(delta)
    if number < 1:
        raise ValueError(f"`number` expects 1, 2, 3 and so on, got {number}.")

    return 6 * delta / (math.pi * number) ** 2
