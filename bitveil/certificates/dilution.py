r"""Dilution: publish a code with some probability, and a visible blank otherwise.

**Theorem.** A coin that shows 1 with probability :math:`\lambda`, and depends on nothing else,
decides whether a row's code T is published; otherwise a blank is. Then whatever separates the
groups is :math:`\lambda` times as large as before: each total variation, one minus the overlap and
its bound on the information, the information itself, and the balanced accuracy of the best
attacker above chance.

**Proof.** Let T' be what is published. :math:`P(T' = t|g) = \lambda P(T = t|g)` for each code, and
the blank has probability :math:`1 - \lambda` in every group. So the blank adds 0 to
:math:`\tfrac12 \sum_t |p(t|g) - p(t|h)|`, :math:`1 - \lambda` to the overlap
:math:`\sum_t \min_g p(t|g)`, and :math:`(1 - \lambda) / k` to the accuracy
:math:`\tfrac1k \sum_t \max_g p(t|g)`, and every other term is multiplied by :math:`\lambda`.
The blank is visible and independent of the group, so
:math:`I(T'; S) = \lambda I(T; S)`. ∎

**One certificate serves every goal.** If a quantity is at most B, it is at most :math:`\lambda B`
after dilution, for all :math:`\lambda` at once: this follows from the one statement that B is no
error. So :math:`\lambda` may be chosen after B is known, as the largest that meets a goal. Goals
below the slack can be met as well.

**Expected and drawn codes.** Where each row has a name of its own, its coin is independent of all
others, the expected counts are exactly those above, and `diluted` needs no new rows. Where rows
share their draws, the published map is fixed by the key, the coin is a part of it, and the share
that it publishes of some contents is 0 or 1. `certify_shares` then counts what was drawn.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from scipy.stats import beta
from torch import Tensor

from bitveil.certificates.compared import Compared, check_delta
from bitveil.certificates.lower import Interval, lower_bound
from bitveil.certificates.quantities import PARITY_GAP, ConvexPart, Quantity
from bitveil.certificates.upper import Certificate, certified, certify
from bitveil.group_tables import GroupTables

__all__ = ["at_share", "certify_shares", "diluted", "interval_at_share"]

_FEW = 0.5  # below this share the bound knows how few rows are published
_FOR_COUNTS = 0.1  # the part of delta that pays for it


def at_share(certificate: Certificate, share: float) -> Certificate:
    """The certificate of the same code if only a share of the rows get it.

    Arguments:
        certificate: A certificate from expected counts: of rows with names of their own.
        share: The probability that the code of a row is published, from 0 to 1.

    Returns:
        The certificate of the diluted code. It holds whenever the given one does, and is sharper
        than one from diluted counts, whose slack is not multiplied by the share.

    Raises:
        ValueError: If drawn codes were counted, or the share is no probability.

    Example:
        >>> table = GroupTables.of([[600.0, 400.0], [500.0, 500.0]])
        >>> half = at_share(certify(table), 0.5)  # half of 0.14
        >>> round(half.bound, 4), round(half.estimate, 4), half.share
        (0.07, 0.05, 0.5)
    """

    if certificate.draws != "soft" or not 0 <= share <= 1:
        raise ValueError(
            "`at_share` expects a certificate of expected counts and a share from 0 to 1, got "
            f"{certificate.draws!r} counts and {share}. Where draws are shared the coin is a part "
            "of what is drawn: use `certify_shares`."
        )
    chance = _chance(certificate)
    bound, estimate = (
        chance + share * (value - chance) for value in (certificate.bound, certificate.estimate)
    )

    return replace(certificate, bound=bound, estimate=estimate, share=share * certificate.share)


def interval_at_share(
    fixed: GroupTables,
    scored: GroupTables,
    whole: GroupTables,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
    share: float = 1.0,
) -> Interval:
    """Both bounds on a quantity of published codes, of which a share may have been published.

    Arguments:
        fixed: The counts of the rows that fix an attacker for the lower bound.
        scored: The counts of the others, on which it is scored.
        whole: The counts of all rows, for the upper bound. Expected counts are of the codes before
            the coins; drawn counts are of what was published.
        quantity: What is bounded.
        delta: The probability that each bound may be wrong.
        draws: `"soft"` for expected counts, `"hard"` for drawn codes.
        share: The probability that the code of a row is published.

    Returns:
        Both bounds. The lower one is that of a code which reveals nothing if a half lacks rows.

    Example:
        >>> table = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
        >>> found = interval_at_share(table, table, table + table, share=0.5)
        >>> round(found.least, 3), round(found.certificate.bound, 3)
        (0.38, 0.414)
    """

    most = certify(whole, quantity, delta=delta, draws=draws)
    least = _chance(most)
    if share == 0:  # nothing is published, so nothing is estimated
        return Interval(least, replace(most, estimate=least, bound=least, share=0.0), delta)
    if _compares_rows(fixed, quantity) and _compares_rows(scored, quantity):
        least = lower_bound(fixed, scored, quantity, delta=delta, draws=draws)
    if draws == "hard":
        return Interval(least, replace(most, share=share), delta)

    return Interval(
        at_share(replace(most, bound=least), share).bound, at_share(most, share), delta
    )


def _compares_rows(tables: GroupTables, quantity: Quantity) -> bool:
    """Whether there are rows of every group that is compared."""

    return all(min(each.sizes) > 0 for each in quantity.compared(tables))


def diluted(certificate: Certificate, limit: float) -> Certificate:
    """The certificate of the same code, diluted until it meets a goal.

    Arguments:
        certificate: A certificate from expected counts: of rows with names of their own.
        limit: The goal: the bound that the diluted code shall have.

    Returns:
        The certificate whose `share` is the largest that the theorem allows. It holds whenever the
        given one does, so several of them for several goals need no correction.

    Raises:
        ValueError: If drawn codes were counted, or the goal is not above what a code that reveals
            nothing has.

    Example:
        >>> table = GroupTables.of([[600.0, 400.0], [500.0, 500.0]])
        >>> found = diluted(certify(table), 0.02)  # 0.02 of 0.14
        >>> round(found.share, 3), found.bound
        (0.143, 0.02)
    """

    if certificate.draws != "soft":
        raise ValueError(
            "`diluted` expects a certificate of expected counts. Where draws are shared the coin "
            "is a part of what is drawn: use `certify_shares`."
        )
    chance = _chance(certificate)
    if not limit > chance:
        raise ValueError(
            f"`limit` expects a goal above {chance:g}, which a code that reveals nothing has, got "
            f"{limit}."
        )
    if certificate.bound <= limit:
        return certificate
    share = (limit - chance) / (certificate.bound - chance)
    estimate = chance + share * (certificate.estimate - chance)

    return replace(
        certificate, bound=float(limit), estimate=estimate, share=share * certificate.share
    )


def certify_shares(
    tables_at: Callable[[float], GroupTables],
    shares: Iterable[float],
    limit: float,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
) -> Certificate | None:
    r"""The largest share at which a code that is drawn with its coin is certified for a goal.

    The shares are tested in order, up to the first that fails. That needs no correction, as in
    `certify_sequence`: let j be the first share in the order that is really above the goal. Every
    error needs j to pass, and it does with probability at most :math:`\delta`. Shares and order
    must not come from these rows.

    **Few published rows.** Below a share of one half, which is fixed in advance, the slack knows
    how few rows are published. The best event for telling two groups apart can be taken without
    the blank. So its probability in either group is at most the probability :math:`\nu_g` that a
    row of the group is published. One tenth of :math:`\delta`, divided among the groups of a part,
    bounds the :math:`\nu_g` from above (Clopper and Pearson). The rest goes to the slack for
    events that are no more probable. Proof: where the bounds on :math:`\nu_g` hold, the slack is
    at least that for the true ones, which is fixed. So the bound is wrong with probability at most
    :math:`\delta / 10` for the first and :math:`9 \delta / 10` for the second. ∎ Of more than two
    groups, each event or its complement has no blank, and their probabilities are bounded alike.

    Source:
        The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial (Clopper,
        Pearson, 1934), https://doi.org/10.1093/biomet/26.4.404

    Arguments:
        tables_at: The counts of drawn codes on held-out rows at a share. The coins are drawn, and
            the last column counts the blank rows.
        shares: The shares to test, increasing.
        limit: The goal.
        quantity: What the goal limits.
        delta: The probability that the certificate may be wrong.

    Returns:
        The certificate of the last share that passed. Its bound is the goal. None if the first
        share fails.

    Example:
        >>> def tables_at(share):
        ...     return GroupTables.of([[600, 400], [500, 500]]).diluted(share)
        >>> found = certify_shares(tables_at, [0.05, 0.1, 0.2, 0.3, 0.4], 0.04)
        >>> found.share, found.bound, round(found.estimate, 4)
        (0.1, 0.04, 0.01)
    """

    check_delta(delta)
    passed = None
    for share in shares:
        found = _drawn_certificate(tables_at(share), quantity, share, delta)
        if found.bound > limit:
            break
        passed = replace(found, bound=float(limit), share=float(share))

    return passed


def _drawn_certificate(
    tables: GroupTables, quantity: Quantity, share: float, delta: float
) -> Certificate:
    """The certificate of drawn codes whose last column is the blank."""

    if share >= _FEW:
        return certify(tables, quantity, delta=delta, draws="hard")

    def most(compared: Compared, part: ConvexPart) -> float:
        level = _FOR_COUNTS * delta / len(part.groups)
        shown = compared.table[:, :-1].sum(-1)
        return _coarse(max(_most_shown(shown[g], compared.sizes[g], level) for g in part.groups))

    level = (1 - _FOR_COUNTS) * delta

    return certified(tables, quantity, delta=delta, level=level, draws="hard", most=most)


def _most_shown(count: Tensor, n: int, delta: float) -> float:
    """An upper bound on the share of rows that are published."""

    x = min(count.item(), n)

    return 1.0 if x >= n else beta.ppf(1 - delta, x + 1, n - x).item()


def _coarse(share: float) -> float:
    """A share that is a little larger, one of few: slacks are computed once for each."""

    return min(1.0, 1.02 ** math.ceil(math.log(share) / math.log(1.02)))


def _chance(certificate: Certificate) -> float:
    """What a code that reveals nothing has."""

    return 1 / len(certificate.sizes) if certificate.quantity.unit == "accuracy" else 0.0
