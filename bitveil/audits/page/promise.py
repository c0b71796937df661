"""The verdict at the head of the page: what was promised, and whether this audit shows it."""

import datetime
import math
from dataclasses import dataclass

from bitveil.audits.headlines import certainty
from bitveil.audits.page.view import View
from bitveil.audits.rounding import at_least, at_most, bits_at_most
from bitveil.audits.verdicts import Verdict
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import Unit

__all__ = ["Promise", "promise_of"]

_UNIT_WORDS = {"gap": "percentage points", "accuracy": "%", "bits": "bits"}


@dataclass(frozen=True)
class Promise:
    """The verdict of one audit, in words.

    Attributes:
        outcome: `"kept"`, `"not shown"` or `"broken"`; empty where no limit was set.
        says: What was found about the limit, in a sentence or two.
        facts: What was promised, for whom and when: pairs of a name and words.
    """

    outcome: str
    says: str
    facts: tuple[tuple[str, str], ...]


def promise_of(
    view: View, limit: float | None, quantity: str | None, date: datetime.date
) -> Promise:
    """The verdict on the goal of the fit, or on another limit.

    Arguments:
        view: The audit.
        limit: The limit; None: the goal of the fit, if there is one.
        quantity: The name of the limited quantity; None: that of the goal, or for a limit the gap
            that comes first.
        date: The day of the audit.

    Raises:
        ValueError: If the limit is out of range, or the audit does not bound the quantity.
    """

    found = view.audit
    if limit is None and not found.has_goal:
        says = found.goal_apart or "Nothing was promised, so nothing is kept or broken."
        return Promise("", f"{says} You decide what is acceptable.", _circumstances(view, date))
    verdict = found.check(limit, quantity)
    promised = f"At most {_amount(verdict.limit, verdict.unit)}: {_what(view, verdict)}."
    source = "Goal of the fit" if limit is None else "Limit"

    return Promise(
        verdict.outcome,
        _finding(verdict),
        ((source, promised), *_circumstances(view, date)),
    )


def _circumstances(view: View, date: datetime.date) -> tuple[tuple[str, str], ...]:
    found, delta = view.audit, view.headline.certificate.delta
    sizes = zip(view.groups, found.sizes, strict=True)
    separate = "; " if any("," in group for group in view.groups) else ", "
    groups = separate.join(f"{group} {n:,}" for group, n in sizes)
    new = ", none of them used in the fit" if view.fitted else ""

    return (
        ("Compared", f"{view.compared}, {view.among_leading or 'among all rows'}."),
        (
            "Certainty",
            f"Each bound is right with probability {certainty(delta)} (δ\u00a0=\u00a0{delta:g}).",
        ),
        ("Rows", f"{found.n_rows:,}{new}: {groups}."),
        ("Date", f"{date.day} {date:%B %Y}"),
    )


def _finding(verdict: Verdict) -> str:
    """What the audit shows about the limit."""

    limit = f"The limit is {_number(verdict.limit, verdict.unit)}."
    if verdict.outcome == "kept":
        return f"These rows certify at most {_most(verdict)}. {limit}"
    if verdict.outcome == "broken":
        return f"Some rule reaches at least {_least(verdict)}. {limit}"
    if verdict.reason is not None:
        return f"An attacker refutes the certificate, so nothing shows that it is kept. {limit}"

    return (
        f"These rows cannot tell: they show at least {_lower_number(verdict)} and at most "
        f"{_most(verdict)}. {limit} More rows may decide."
    )


def _what(view: View, verdict: Verdict) -> str:
    """What is limited, in words."""

    interval = _interval_of(view, verdict)
    if verdict.unit == "gap":
        notion = interval.certificate.quantity.notion
        return f"no rule that sees only the codes may treat groups more differently ({notion})"
    if verdict.unit == "accuracy":
        return "how often an attacker guesses the group, if groups are equally frequent"

    return f"information about {view.attribute}"


def _interval_of(view: View, verdict: Verdict) -> Interval:
    """Both bounds on the limited quantity."""

    named = (i for i in view.audit.intervals if i.certificate.quantity.name == verdict.quantity)

    return next(named)


def _amount(value: float, unit: Unit) -> str:
    """A limit with its unit."""

    return _with_unit(_number(value, unit), unit)


def _number(value: float, unit: Unit) -> str:
    """A limit in its unit: in points or percent, or in bits."""

    return f"{value:g}" if unit == "bits" else f"{100 * value:.4g}"


def _most(verdict: Verdict) -> str:
    rounded = bits_at_most if verdict.unit == "bits" else at_most

    return _with_unit(rounded(verdict.bound), verdict.unit)


def _least(verdict: Verdict) -> str:
    return _with_unit(_lower_number(verdict), verdict.unit)


def _lower_number(verdict: Verdict) -> str:
    """The lower bound, rounded down."""

    if verdict.unit == "bits":
        return f"{math.floor(1000 * verdict.least) / 1000:.3f}"

    return at_least(verdict.least)


def _with_unit(number: str, unit: Unit) -> str:
    word = "bit" if (number, unit) == ("1", "bits") else _UNIT_WORDS[unit]

    return f"{number} {word}"
