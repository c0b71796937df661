"""Search: encoders for a goal, and the one that is certified.

1. Encoders are trained for several gaps, with a limit on the measure, and of several forms.
2. The rows for selection predict what each is worth. A code whose bound is above the goal is
   published for a share of the rows only, and the others stay blank: see
   `bitveil.certificates.dilution`. So what counts is the usefulness times that share.
3. The rows for certification test the encoders in a fixed order: from the safest of those that are
   worth nearly the most, to the least safe, up to the first that fails. What passed may be
   published for every row, and the first that failed for a share of them.
   All of these certificates hold at once, however many encoders were tried.
4. The most useful of them is taken. If none passed for any share, nothing is published.

If drawn codes are counted, the coin that leaves rows blank is part of what is drawn. If rows have
few contents, the code of half of them may leak more than the code of all. So if the first encoder
will probably pass for every row, nine tenths of delta test it and its successors so. The last
tenth is for growing shares of the rows, which are tested if that fails (union bound). Otherwise
all of delta is for growing shares, and for the other encoders if the first passed for every row.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from torch import nn

from bitveil.batches import Rows
from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.dilution import certify_shares
from bitveil.certificates.sequence import certify_sequence
from bitveil.certificates.upper import Certificate
from bitveil.goals import Goal, Limit, Weight
from bitveil.group_tables import GroupTables
from bitveil.measures import MEASURES, Measure
from bitveil.steps import say_step
from bitveil.trainers import Candidate, Step
from bitveil.workers import run

__all__ = ["START", "Found", "search"]

LADDER = (1.1, 1.05, 1.0, 0.92, 0.8)
"""The gaps to train for, as shares of what the slack leaves of the goal. The first is above 1,
because the gap may turn out smaller on the rows for certification than on others."""

FAR_BELOW = 0.35
"""One more share where no row may stay blank: the gap may also turn out much larger."""

DILUTED = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The gaps to train for where the slack is a large part of the goal, as multiples of the slack."""

START = 0.25
"""The gap from which a limit falls during a training."""

_NOTHING = 1e-9  # a smaller measure is 0, but for rounding
_ROOM = 2.0
"""A goal with less room than so many slacks is tight: some codes for it will need blanks."""

_NEARLY = 0.75  # what is worth this share of the best is worth nearly the most
_ALMOST = 0.99  # what is worth this share of the best, and leaves no blanks, is better
_SHARES = (1 / 16, 0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
"""The shares that are tested where drawn codes are counted, as multiples of the predicted one."""

_MOST_OF = 0.9
"""The part of delta for codes without blanks, where they will probably pass; see above."""

_ALMOST_NONE = 1e-5
"""The first of these shares: it shows hardly any content, and passes if anything can."""

_POSSIBLE = [number / 1000 for number in range(1, 1001)]  # shares among which one is predicted


class Found(NamedTuple):
    """The encoder that was found, its certificate, and a step for every encoder that was tried."""

    candidate: Candidate
    certificate: Certificate
    path: list[Step]


class Train(Protocol):
    """A `Trainer`, or a `CellTrainer`."""

    @property
    def measure(self) -> Measure:
        """What the code is charged for."""

    @property
    def forms(self) -> "Sequence[Train]":
        """The forms of an encoder that are tried for each limit."""

    def __call__(self, asked: Weight | Limit, fit: Rows, select: Rows, /) -> Candidate:
        """Train an encoder, and judge it."""


def search(
    trainer: Train,
    goal: Goal,
    fit: Rows,
    select: Rows,
    held_out: Callable[[nn.Module, float], GroupTables],
    *,
    rows: GroupTables,
    draws: str = "soft",
    drawn: Callable[[nn.Module], GroupTables] | None = None,
    dilute: bool = True,
    n_jobs: int | None = None,
) -> Found:
    """Find the most useful encoder that the rows for certification pass.

    Arguments:
        trainer: How encoders are trained.
        goal: What must be certified.
        fit: The rows to train on.
        select: The rows that order the encoders, and that choose among those that passed.
        held_out: Counts the codes that an encoder gives to the rows for certification, if it is
            published for a share of the rows. Below 1, and where codes are drawn, the last column
            counts the blanks.
        rows: Tables of the rows for certification, of which only the numbers of rows are read.
        draws: What `held_out` counts: `"soft"` (expected), `"hard"` (drawn) or `"certain"` codes.
        drawn: Counts the drawn codes of the rows for selection. They order the encoders where
            drawn codes are certified. None: expected counts order them.
        dilute: Whether rows may stay blank.
        n_jobs: How many encoders are trained at once; None: one.

    Raises:
        UncertifiableError: If no encoder passes.
    """

    limit, slack = goal.in_gaps(rows, draws=draws)
    limits = _limits(trainer, goal, _trained_gaps(limit, slack, dilute=dilute), fit, select)
    calls = [partial(form, limit, fit, select) for form in trainer.forms for limit in limits]
    candidates = run(calls, n_jobs, step="training encoders")
    if draws == "hard" and drawn is not None:
        candidates = [_as_drawn(candidate, goal, drawn) for candidate in candidates]
    candidates.sort(key=lambda candidate: candidate.step.gap)
    shares = [_predicted_share(each.step.gap, limit, slack, draws) for each in candidates]
    first = _first(candidates, shares) if dilute else 0
    tested = candidates[first:]
    say_step("certifying")
    passed = _passed(tested, goal, held_out, shares[first], draws, dilute)
    if not passed and dilute:
        passed = [_of_blanks(goal, rows)]
    if not passed:
        safest = goal.certify(held_out(tested[0].encoder, 1.0), draws=draws)
        raise UncertifiableError(_refusal(goal, limit - slack, safest, tested[0].step.gap))
    best = _most_useful(
        [_diluted_worth(*pair) for pair in zip(tested, passed, strict=False)], passed
    )

    return Found(tested[best], passed[best], _with_verdicts(candidates, first, passed))


def _trained_gaps(limit: float, slack: float, *, dilute: bool) -> list[float]:
    """The gaps to train for, from large to small."""

    headroom, shares = limit - slack, LADDER if dilute else (*LADDER, FAR_BELOW)
    gaps = [share * headroom for share in shares] if headroom > 0 else []
    if dilute and headroom < _ROOM * slack:
        gaps += [min(0.9, share * slack) for share in DILUTED]

    return sorted(set(gaps), reverse=True)


def _predicted_share(gap: float, limit: float, slack: float, draws: str) -> float:
    """The share of the rows for which a code with this gap will probably be published.

    The bound of expected counts is in proportion to the share. Of drawn codes only the gap is,
    and the slack is in proportion to the spread of the coin, below a share of one half.
    """

    if draws != "hard" or gap + slack <= limit:
        return min(1.0, limit / (gap + slack))
    bounds = {
        share: share * gap + slack * 2 * math.sqrt(min(share, 0.5) * (1 - min(share, 0.5)))
        for share in _POSSIBLE
    }

    return max((share for share, bound in bounds.items() if bound <= limit), default=_POSSIBLE[0])


def _first(candidates: Sequence[Candidate], shares: Sequence[float]) -> int:
    """The safest of the encoders that are predicted to be worth nearly the most.

    An encoder is worth its usefulness times the share for which it will probably be published. If
    all of these need blanks, the best is the first.
    """

    worth = [
        share * max(0.0, candidate.step.usefulness)
        for share, candidate in zip(shares, candidates, strict=True)
    ]
    best = max(range(len(worth)), key=worth.__getitem__)
    nearly = [n for n, value in enumerate(worth) if value >= _NEARLY * worth[best]]

    return next((n for n in nearly if shares[n] == 1), best)


def _diluted_worth(candidate: Candidate, certificate: Certificate) -> float:
    """The usefulness of an encoder times the share of the rows that it is published for."""

    return certificate.share * max(0.0, candidate.step.usefulness)


def _most_useful(worth: Sequence[float], passed: Sequence[Certificate]) -> int:
    """The encoder that is worth most; one without blanks if it is worth almost as much."""

    best = max(range(len(worth)), key=worth.__getitem__)
    whole = [n for n, certificate in enumerate(passed) if certificate.share == 1]
    without = max(whole, key=worth.__getitem__, default=best)

    return without if worth[without] >= _ALMOST * worth[best] else best


def _passed(
    tested: Sequence[Candidate],
    goal: Goal,
    held_out: Callable[[nn.Module, float], GroupTables],
    share: float,
    draws: str,
    dilute: bool,
) -> list[Certificate]:
    """The certificates of the first encoders, which all hold at once."""

    tables = (held_out(candidate.encoder, 1.0) for candidate in tested)
    tested_whole = partial(certify_sequence, limit=goal.limit, quantity=goal.limited, draws=draws)
    if draws != "hard" or not dilute:
        return tested_whole(tables, delta=goal.delta, dilute=dilute)

    shares = sorted({_ALMOST_NONE, *(min(1.0, share * factor) for factor in _SHARES)})
    at_shares = partial(
        certify_shares,
        partial(held_out, tested[0].encoder),
        shares,
        goal.limit,
        goal.limited,
    )
    if share == 1:
        whole = tested_whole(tables, delta=_MOST_OF * goal.delta)
        first = None if whole else at_shares(delta=(1 - _MOST_OF) * goal.delta)
        passed = whole or ([] if first is None else [first])
        return [replace(certificate, delta=goal.delta) for certificate in passed]
    first = at_shares(delta=goal.delta)
    if first is None or first.share < 1:
        return [] if first is None else [first]
    next(tables)

    return [first, *tested_whole(tables, delta=goal.delta)]


def _with_verdicts(
    candidates: Sequence[Candidate], first: int, passed: Sequence[Certificate]
) -> list[Step]:
    """What became of each encoder: whether it passed for every row, or was not tested."""

    whole = sum(certificate.share == 1 for certificate in passed)
    verdicts = {first + n: n < whole for n in range(min(whole + 1, len(candidates) - first))}

    return [
        replace(candidate.step, certified=verdicts.get(n))
        for n, candidate in enumerate(candidates)
    ]


def _as_drawn(
    candidate: Candidate, goal: Goal, drawn: Callable[[nn.Module], GroupTables]
) -> Candidate:
    """The same encoder with the gap of its drawn codes, which are what is published."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many codes matter for the bound, not for this order
        certificate = goal.certify(drawn(candidate.encoder), draws="hard")
    gap = certificate.estimate / (certificate.entropy or 1.0)

    return replace(candidate, step=replace(candidate.step, gap=gap))


def _limits(
    trainer: Train, goal: Goal, gaps: Sequence[float], fit: Rows, select: Rows
) -> list[Limit]:
    """Limits for these gaps.

    If the measure is not the certified one, its limits follow from encoders whose gap is known:
    near independence the measure is proportional to a power of the gap.
    """

    reading = MEASURES[trainer.measure.reading]
    if goal.is_limited_by(trainer.measure, fit.n_groups):
        return [Limit(gap, start=START) for gap in gaps]

    step = trainer(Weight(0.0), fit, select).step
    if step.measure < _NOTHING:  # without a limit: any limit on it does nothing
        return [Limit(gap, start=START) for gap in gaps]
    for _ in range(2):
        found = trainer(_limit(step, gaps[0], reading.order), fit, select).step
        step = found if found.gap > 0 and found.measure > 0 else step

    return [_limit(step, gap, reading.order) for gap in gaps]


def _limit(step: Step, gap: float, power: int) -> Limit:
    """The limit for a gap, from an encoder whose measure and gap are known."""

    of_gap = step.measure / max(step.gap, 1e-6) ** power
    limit = of_gap * gap**power

    return Limit(limit, power * limit / gap, of_gap * START**power)


def _of_blanks(goal: Goal, rows: GroupTables) -> Certificate:
    """The certificate of an encoder that publishes nothing. It is exact: a blank says nothing.

    It is what remains where drawn codes are counted and the rows are too few for any share.
    """

    blank = goal.certify(rows.without_codes(), draws="hard")

    return replace(blank, estimate=0.0, bound=0.0, share=0.0)


def _refusal(goal: Goal, headroom: float, safest: Certificate, expected: float) -> str:
    """Why no encoder was certified, and what could be."""

    if goal.quantity == "information":
        advice = safest.bound
    else:  # the safest gap is a share of the headroom, plus what these rows add to it
        added = max(0.0, safest.estimate - expected)
        advice = max(safest.bound, goal.limit - headroom + added / (1 - FAR_BELOW))
    if advice >= 1 and goal.quantity == "gap":
        could = "No smaller gap can be certified for such codes: use fewer bits"
    else:
        could = f"Ask for a little more than {advice:.3f}"
    drawn = (
        " The drawn codes were counted, because rows have no names of their own (`ids`) or the "
        "bits are too many to list. They measure more than expected counts do: names or fewer "
        "bits help."
    )

    return (
        f"`{goal.name}` could not be certified. The safest code found: {safest}. {could}, bring "
        "more rows, or let some rows stay blank (`on_unmet='dilute'`)."
        f"{drawn if safest.draws == 'hard' else ''}"
    )
