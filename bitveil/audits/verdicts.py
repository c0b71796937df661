"""Verdicts: whether an audit shows that codes keep a limit, that they break it, or neither."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import QUANTITIES, Unit
from bitveil.checks import check_number

__all__ = ["VERDICT_SCHEMA", "Outcome", "Verdict", "judge"]

VERDICT_SCHEMA = "bitveil.verdict/1"
"""The version of the JSON. Fields may be added; none is removed or changes its meaning."""

Outcome: TypeAlias = Literal["kept", "not shown", "broken"]

_UNITS: dict[str, Unit] = {each.name: each.unit for each in QUANTITIES}


@dataclass(frozen=True)
class Verdict:
    """Whether codes keep a limit, as far as the rows of an audit can tell.

    Attributes:
        quantity: The name of the limited quantity, as in `bitveil.certificates.quantities`.
        limit: The most that it may be: a gap or an accuracy from 0 to 1, or bits.
        least: The lower end of the audit's interval: some rule reaches it on new rows.
        bound: The upper end: no rule exceeds it on new rows.
        delta: The probability that an end is wrong. Each end has this probability of its own.
        n_rows: The number of held-out rows that the interval is read from.
        draws: `"soft"` if expected counts were used, `"hard"` if drawn codes were.
        outcome: `"kept"` if the bound is within the limit, `"broken"` if the least is above it,
            `"not shown"` if these rows cannot tell.
        reason: Why the bound is not believed, if an attacker exceeds the certificate of the audit;
            otherwise None. Such an audit shows of no limit that it is kept.

    Example:
        >>> found = Verdict("parity gap", 0.1, 0.02, 0.08, 0.05, 2000, "soft", "kept")
        >>> print(found)
        Kept: the largest parity gap of any rule that sees the codes is at most 0.0800, and the
        limit is 0.1. This holds with probability ≥ 0.95 (2,000 held-out rows).
        >>> found.kept
        True
    """

    quantity: str
    limit: float
    least: float
    bound: float
    delta: float
    n_rows: int
    draws: str
    outcome: Outcome
    reason: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the audit shows that the limit is kept."""

        return self.outcome == "kept"

    @property
    def unit(self) -> Unit:
        """What the limit is: `"gap"`, `"accuracy"` or `"bits"`."""

        return _UNITS[self.quantity]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the version of the schema, and all fields with the unit.

        Example:
            >>> found = Verdict("parity gap", 0.1, 0.02, 0.08, 0.05, 2000, "soft", "kept")
            >>> found.to_dict()["schema"], found.to_dict()["unit"]
            ('bitveil.verdict/1', 'gap')
        """

        named = {each.name: getattr(self, each.name) for each in fields(self)}

        return {"schema": VERDICT_SCHEMA, "unit": self.unit, **named}

    def to_json(self) -> str:
        """The same as JSON."""

        return json.dumps(self.to_dict())

    def __str__(self) -> str:
        limit, sure = f"the limit is {self.limit:g}", f"with probability ≥ {1 - self.delta:g}"
        about, rows = f"the {self._about}", f"({self.n_rows:,} held-out rows)"
        most, least = self.shown(self.bound), self.shown(self.least)
        if self.outcome == "kept":
            return f"Kept: {about} is at most {most}, and {limit}. This holds {sure} {rows}."
        doubt = "" if self.reason is None else f" The upper bound is refuted: {self.reason}."
        if self.outcome == "broken":
            said = f"{about} is at least {least}, and {limit}. This holds {sure} {rows}."
            return f"Broken: {said}{doubt}"
        if self.reason is not None:
            return f"Not shown: {about} has no upper bound here, and {limit}.{doubt}"

        return (
            f"Not shown: {about} lies between {least} and {most}, and {limit}. These rows cannot "
            f"tell. Each bound holds {sure} {rows}."
        )

    def shown(self, value: float) -> str:
        """A bound in four digits, or in as many as show on which side of the limit it is.

        Example:
            >>> found = Verdict("parity gap", 0.1, 0.02, 0.100004, 0.05, 900, "hard", "not shown")
            >>> found.shown(found.least), found.shown(found.bound)
            ('0.0200', '0.100004')
        """

        digits = (f"{value:.{n}f}" for n in range(4, 17))
        above = value > self.limit
        text = next((each for each in digits if (float(each) > self.limit) == above), repr(value))

        return f"{text} bits" if self.unit == "bits" else text

    @property
    def _about(self) -> str:
        """What the limit is about, as a phrase."""

        if self.unit == "bits":
            return "information of the codes about the group"
        if self.unit == "accuracy":
            return "largest balanced accuracy of any attacker who sees the codes"

        return f"largest {self.quantity} of any rule that sees the codes"


def judge(
    intervals: Sequence[Interval],
    limit: float,
    quantity: str | None = None,
    *,
    refuted: str | None = None,
) -> Verdict:
    """Compare an interval with a limit.

    The codes keep the limit if the upper bound is within it, and break it if the lower bound is
    above it. Between them the rows cannot tell. Each bound is wrong with its own probability δ,
    so a verdict `"kept"` or `"broken"` is wrong with probability at most δ, whatever the limit.

    Arguments:
        intervals: The intervals of an audit.
        limit: The most that the quantity may be: a gap or an accuracy from 0 to 1, or bits.
        quantity: Which of the quantities is limited, such as `"parity gap"` or `"parity_gap"`;
            None: the first.
        refuted: Why the upper bounds are not believed, or None.

    Raises:
        ValueError: If the limit is out of range, or the quantity is unknown or not among these.

    Example:
        >>> from bitveil.certificates import certify, lower_bound
        >>> from bitveil.group_tables import GroupTables
        >>> leaky = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
        >>> both = [Interval(lower_bound(leaky, leaky), certify(leaky))]  # from 0.76 to 0.84
        >>> [judge(both, limit).outcome for limit in (0.7, 0.8, 0.9)]
        ['broken', 'not shown', 'kept']
        >>> judge(both, 0.9, refuted="an attacker exceeds it").outcome
        'not shown'
    """

    interval = _interval_named(intervals, quantity)
    certificate = interval.certificate
    _check_limit(limit, interval)
    kept = certificate.bound <= limit and refuted is None
    outcome: Outcome = "broken" if interval.least > limit else "kept" if kept else "not shown"

    return Verdict(
        certificate.quantity.name,
        float(limit),
        interval.least,
        certificate.bound,
        max(certificate.delta, interval.delta),
        sum(certificate.sizes),
        certificate.draws,
        outcome,
        refuted,
    )


def _interval_named(intervals: Sequence[Interval], quantity: str | None) -> Interval:
    """The interval of a quantity, by its name as it is printed or as an option spells it."""

    if quantity is None:
        return intervals[0]
    names = {_as_option(each): each for each in _UNITS}
    if _as_option(quantity) not in names:
        raise ValueError(f"`quantity` expects one of {[*names]}, got {quantity!r}.")
    name = names[_as_option(quantity)]
    found = next((each for each in intervals if each.certificate.quantity.name == name), None)
    if found is None:
        there = [_as_option(each.certificate.quantity.name) for each in intervals]
        raise ValueError(
            f"This audit does not bound the {name}. It bounds {there}. A gap within targets needs "
            "the target (`y`), and rows of each group with each of its values."
        )

    return found


def _as_option(name: str) -> str:
    """A quantity as an option spells it."""

    return str(name).lower().replace(" (bits)", "").replace(" ", "_").replace("-", "_")


def _check_limit(limit: Any, interval: Interval) -> None:
    """Refuse a limit that is out of range, or that not even useless codes could keep."""

    quantity = interval.certificate.quantity
    if quantity.unit == "bits":
        check_number("limit", limit, above=0, unit="a number of bits")
    elif quantity.unit == "accuracy":
        chance = 1 / len(interval.certificate.sizes)
        check_number("limit", limit, above=chance, most=1, unit="a balanced accuracy")
    else:
        check_number("limit", limit, above=0, most=1, unit="a gap")
