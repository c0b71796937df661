"""The record of an audit: what a code reveals. It prints well and goes to JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from bitveil.audits.attacks import Comparison
from bitveil.audits.glance import audit_glance
from bitveil.audits.meaning import Meaning
from bitveil.audits.prices import Price
from bitveil.audits.probes import Probe
from bitveil.audits.uses import Use
from bitveil.audits.verdicts import Verdict, judge
from bitveil.audits.words import group_name, rows_with_code
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import INFORMATION
from bitveil.certificates.upper import Certificate
from bitveil.columns.printing import printable

__all__ = ["SCHEMA", "Audit", "Column", "Made", "PathStep"]

SCHEMA = "bitveil.audit/1"
"""The version of the JSON. Fields may be added; none is removed or changes its meaning."""
_WORST = "largest gap of any classifier of the codes"


@dataclass(frozen=True)
class Column:
    """What a code reveals about one of several sensitive columns, taken alone.

    Attributes:
        name: The column.
        groups: Its values.
        sizes: The number of rows of each.
        information_bits: The joint information of code and column.
        interval: Both bounds on the parity gap; delta is divided among the columns.
        attackers: Trained attackers of this column.
    """

    name: str
    groups: tuple[Any, ...]
    sizes: tuple[int, ...]
    information_bits: float
    interval: Interval
    attackers: tuple[Probe, ...]


@dataclass(frozen=True)
class PathStep:
    """One of the encoders that were trained for a goal, measured on the rows for selection.

    Attributes:
        gap: The gap of its codes.
        information_bits: The bits that they reveal about the target.
        score: The accuracy of the best classifier of its codes, if it is known.
        limit: The limit for which it was trained.
        certified: Whether it passed on the rows for certification; None if it was not tested.
    """

    gap: float
    information_bits: float
    score: float | None
    limit: float | None
    certified: bool | None


@dataclass(frozen=True)
class Made:
    """How to repeat an audit.

    Attributes:
        versions: The versions of Python and of the libraries on which the numbers depend.
        random_state: The seed of draws, halves and attackers.
        delta: The probability that each certificate may be wrong.
        attackers: Which attackers were requested.
        checksum: SHA-256 of the contents of codes, groups and target, row by row.
    """

    versions: dict[str, str]
    random_state: int
    delta: float
    attackers: str
    checksum: str


@dataclass(frozen=True)
class Audit:
    """What a code reveals about the groups of these rows.

    Exact for these rows are the informations, the total variation, and the best attacker, who
    knows the table. Certified for new rows of the same kind are `certificate`, `certain_gap` and
    `intervals`. The attackers and the classifiers of the target were trained, so others may do
    better than they do.

    Attributes:
        n_rows: The number of held-out rows.
        n_bits: The number of bits of the code, or of its columns if other values are published.
        groups: The values of the sensitive attribute.
        sizes: The number of rows of each.
        information_bits: The joint information of code and group. On average it is too large.
        information_left_out_bits: The same, with each row judged by the others. It is too small.
        entropy_bits: The entropy of the groups: the most that a code can reveal.
        neuron_information_bits: The sum over single bits that the paper uses. It is no bound.
        total_variation: The largest gap of a classifier on these rows. It is too large.
        total_variation_left_out: The same, with each row judged by the others. It is too small.
        certificate: The upper bound for new rows that comes first: on the gap of the criterion.
        certain_gap: The lower bound on the same gap: some classifier reaches it on new rows.
        attack_accuracy: The accuracy of the best attacker.
        balanced_attack_accuracy: Its balanced accuracy. With two groups, one half is chance.
        attackers: Attackers trained on one half of the drawn codes and scored on the other.
        use_accuracy: The accuracy of boosting for the target, trained and scored likewise.
        use_gap: The parity gap of its answers.
        share: The probability that a row gets a code, and does not stay blank. If it is not known,
            the share of these rows that have a code.
        n_blank: The number of these rows that are blank.
        published_gap: The largest gap of any classifier on the published codes of these very rows,
            by the criterion. It is exact. The certificate bounds the same gap for new rows.
        counted: What was counted, and why: expected counts of rows that have names of their own,
            or codes as they were published.
        criterion: The criterion whose gap comes first.
        positive: The target that equal opportunity is about; None for other criteria.
        goal: The gap that the encoder had to keep to, if there was one.
        sensitive: The names of the sensitive columns.
        target: The name of the target.
        intervals: Both bounds on each certified quantity, first on the gap of the criterion: the
            parity gap, the balanced accuracy of attackers, the information, and with a target the
            gap of equalised odds.
        checks: Each attacker beside the certificate, which only chance lets it exceed.
        repeated_draws: What an attacker finds from several draws of each row, and from the logits.
            No certificate covers them. Only with all attackers.
        uses: Classifiers of the target on drawn codes.
        most_frequent_target: The share of the target's most frequent value: what is right without
            codes.
        columns: Each of several sensitive columns alone.
        meaning: What the parts of the code mean.
        path: The encoders among which this one was chosen, if they are known.
        notes: What a reader must know about this audit.
        made: How to repeat it.
        price: What a model that sees all columns reaches on the same rows, beside the code; None
            where it is not known.
        schema: The version of the JSON.
        target_values: The values of the target. With two of them, fairness metrics call the second
            one positive.
        goal_bits: The bits that the encoder may reveal, if its goal was an information.
        goal_apart: Why this audit cannot compare the goal of the fit, in words; None if it can, or
            if there was no goal.
    """

    n_rows: int
    n_bits: int
    groups: tuple[Any, ...]
    sizes: tuple[int, ...]
    information_bits: float
    information_left_out_bits: float | None
    entropy_bits: float
    neuron_information_bits: float | None
    total_variation: float
    total_variation_left_out: float | None
    certificate: Certificate
    certain_gap: float
    attack_accuracy: float
    balanced_attack_accuracy: float
    attackers: tuple[Probe, ...]
    use_accuracy: float | None
    use_gap: float | None
    share: float
    n_blank: int
    published_gap: float
    counted: str
    criterion: str
    positive: str | None
    goal: float | None
    sensitive: tuple[str, ...]
    target: str | None
    intervals: tuple[Interval, ...]
    checks: tuple[Comparison, ...]
    repeated_draws: dict[str, Probe]
    uses: tuple[Use, ...]
    most_frequent_target: float | None
    columns: tuple[Column, ...]
    meaning: Meaning
    path: tuple[PathStep, ...]
    notes: tuple[str, ...]
    made: Made
    price: Price | None = None
    target_values: tuple[Any, ...] = ()
    schema: str = SCHEMA
    goal_bits: float | None = None
    goal_apart: str | None = None

    @property
    def has_goal(self) -> bool:
        """Whether the fit had a goal that this audit compares."""

        return self.goal is not None or self.goal_bits is not None

    @property
    def broken(self) -> tuple[Comparison, ...]:
        """The attackers that exceed the certificate by more than chance."""

        return tuple(check for check in self.checks if not check.holds)

    def check(self, limit: float | None = None, quantity: str | None = None) -> Verdict:
        """Whether these rows show that the codes keep a limit.

        Arguments:
            limit: The most that the quantity may be: a gap or an accuracy from 0 to 1, or bits.
                None: the goal of the fit, which is a gap by the criterion, or an information.
            quantity: Which quantity of `intervals` is limited, such as `"parity_gap"` or
                `"information"`; None: that of the goal, or for a limit the gap of the criterion.

        Returns:
            The verdict: `"kept"`, `"broken"` or `"not shown"`. If an attacker exceeds the
            certificate, it is never `"kept"`.

        Raises:
            ValueError: If there is neither a limit nor a goal that the audit compares, the limit
                is out of range, or the audit has no bounds on the quantity.

        Example:
            >>> from bitveil.audits import audit_table
            >>> found = audit_table([[600, 400], [500, 500]])  # a gap from 0.0494 to 0.1381
            >>> found.check(0.2).kept, found.check(0.1).outcome, found.check(0.01).outcome
            (True, 'not shown', 'broken')
            >>> found.check(0.2, "information").outcome
            'kept'
        """

        refuted = self._refutation() if self.broken else None
        if limit is not None:
            return judge(self.intervals, limit, quantity, refuted=refuted)
        goal, own = self._goal_with_quantity()
        judged = judge(self.intervals, goal, quantity or own, refuted=refuted)
        if judged.quantity != own:
            about, asked = (name.removesuffix(" (bits)") for name in (own, judged.quantity))
            raise ValueError(
                f"The goal of the fit is about the {about}. Give a number as `limit` for the "
                f"{asked}."
            )

        return judged

    def _goal_with_quantity(self) -> tuple[float, str]:
        """The goal of the fit, and the name of what it limits."""

        if self.goal is not None:
            return self.goal, self.certificate.quantity.name
        if self.goal_bits is not None:
            return self.goal_bits, INFORMATION.name
        reason = self.goal_apart or "These codes were not fitted for a goal."
        raise ValueError(f"{reason} Give a number as `limit`.")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""

        return {field.name: _as_json(getattr(self, field.name)) for field in fields(self)}

    def to_json(self) -> str:
        """The same as JSON."""

        return json.dumps(self.to_dict(), default=str)

    def _repr_html_(self) -> str:
        """What a notebook shows: see `bitveil.audits.glance`."""

        return audit_glance(self)

    def __str__(self) -> str:
        lines = [[printable(word, most=None) for word in line] for line in self._lines()]
        width = max(len(name) for name, _ in lines)

        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)

    def _lines(self) -> list[tuple[str, str]]:
        named = zip(map(group_name, self.groups), self.sizes, strict=True)
        groups = ("; " if self.columns else ", ").join(f"{group}: {n}" for group, n in named)
        lines = [
            ("held-out rows", f"{self.n_rows} ({groups}), codes of {self.n_bits} {self._unit()}"),
            ("joint information", f"{self._information()} of {self.entropy_bits:.3f} bits"),
            ("total variation", self._variation()),
            *self._certified(),
            ("in this table", self._in_this_table()),
            (
                "best attacker",
                f"accuracy {self.attack_accuracy:.3f}, balanced "
                f"{self.balanced_attack_accuracy:.3f} (exact for these rows)",
            ),
        ]
        if self.neuron_information_bits is not None:
            note = f"{self.neuron_information_bits:.4f} bits (as in the paper; no bound)"
            lines.insert(2, ("sum over single bits", note))
        if self.share < 1:
            lines.insert(1, ("blank rows", self._blanks()))
        seen = f"on drawn {'bits' if self._are_bits() else 'codes'}"
        for probe in self.attackers:
            scores = f"AUC {probe.auc:.3f}, accuracy {probe.accuracy:.3f} ({seen})"
            lines.append((f"attacker: {probe.family}", scores))
        if self.use_accuracy is not None:
            scores = f"accuracy {self.use_accuracy:.3f}, parity gap {self.use_gap:.3f}"
            lines.append(("use: boosting", f"{scores} ({seen})"))
        if self.price is not None:
            lines.append(("price of protection", str(self.price)))
        lines.append(("counted", self.counted))
        if self.has_goal:
            lines.append(("goal of the fit", self._kept()))
        if self.broken:
            lines.insert(0, ("THE BOUND IS REFUTED", self._refutation()))

        return lines + list(self._more_lines())

    def _more_lines(self) -> Iterator[tuple[str, str]]:
        for column in self.columns:
            yield f"{printable(column.name)} alone", f"{column.interval}{self._doubt()}"
        for seen, probe in self.repeated_draws.items():
            covered = "" if seen == "1 draw" else " (not covered by the certificate)"
            yield f"attacker: {seen}", f"AUC {probe.auc:.3f}{covered}"
        if self.meaning.revealing:
            yield "what reveals most", str(self.meaning.revealing)
        for pattern in self.meaning.patterns:
            yield "who stands out", str(pattern)
        for check in self.broken:
            yield "ABOVE THE CERTIFICATE", str(check)
        for note in self.notes:
            yield "note", note

    def _are_bits(self) -> bool:
        return all(part.ones is not None for part in self.meaning.parts)

    def _unit(self) -> str:
        return ("bit" if self._are_bits() else "column") + "s" * (self.n_bits != 1)

    def _information(self) -> str:
        if self.information_left_out_bits is None:
            return f"{self.information_bits:.4f} bits (of {self._counted}; too large)"
        return _span(self.information_left_out_bits, self.information_bits)

    def _variation(self) -> str:
        if self.total_variation_left_out is None:
            return f"{self.total_variation:.4f} (of {self._counted}; too large)"
        return _span(self.total_variation_left_out, self.total_variation)

    @property
    def _counted(self) -> str:
        expected = self.certificate.draws == "soft"

        return "the expected codes" if expected else "the drawn codes"

    def _blanks(self) -> str:
        return f"{rows_with_code(self.share)} ({self.n_blank} of {self.n_rows} rows)"

    def _in_this_table(self) -> str:
        """The largest gap without slack: of the codes of these very rows, and of new rows."""

        bound, delta, expected = self.certificate.bound, self.certificate.delta, ""
        if self.certificate.draws == "soft":
            expected = f" (as drawn; {self.certificate.estimate:.4f} over all draws)"

        return (
            f"a classifier made for it has a gap of exactly {self.published_gap:.4f}{expected}; "
            f"in the population ≤ {bound:.4f}, except with probability {delta:g}{self._doubt()}"
        )

    def _certified(self) -> Iterator[tuple[str, str]]:
        """Both bounds on each certified gap, first on the gap of the criterion."""

        for interval in self.intervals:
            certificate = interval.certificate
            quantity = certificate.quantity
            if quantity.unit != "gap":
                continue
            value = "the positive one" if self.positive is None else printable(self.positive)
            among = quantity.among(printable(self.target), value)
            yield (
                f"certified, δ = {certificate.delta:g}",
                f"{interval.least:.4f} ≤ {f'{_WORST} {among}'.strip()} ≤ {certificate.bound:.4f}"
                f"{self._doubt()}",
            )

    def _kept(self) -> str:
        """Whether the bound of this audit meets the goal too."""

        found = self.check()
        limit = f"{found.limit:g}"
        promised = f"information ≤ {limit} bits" if found.unit == "bits" else f"gap ≤ {limit}"
        if found.bound <= found.limit:
            return f"{promised}: this audit certifies it too"
        return f"{promised}: the rows of this audit alone do not certify it"

    def _doubt(self) -> str:
        return " (DOES NOT HOLD: see the first line)" if self.broken else ""

    def _refutation(self) -> str:
        """By how much an attacker exceeds the bound, and what that means."""

        worst = max(self.broken, key=lambda check: check.excess)

        return (
            f"{worst.family} separates the groups by at least {worst.least:.4f}, and the "
            f"certificate allows {worst.bound:.4f}: {worst.excess:.4f} too much. Chance does that "
            f"with probability ≤ {worst.delta:g}. Otherwise something is wrong: rows were used in "
            "fitting, rows are copies of others, or these are not the certified codes"
        )


def _span(least: float, most: float) -> str:
    """From what is too small to what is too large, or one number where they agree."""

    low, high = f"{max(0.0, least):.4f}", f"{most:.4f}"

    return high if low == high else f"{low} to {high}"


def _as_json(value: Any) -> Any:
    """A record as a dictionary, and all that it holds."""

    if isinstance(value, Certificate):
        return value.to_dict()
    if is_dataclass(value):
        return {field.name: _as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [*map(_as_json, value)]

    return {k: _as_json(v) for k, v in value.items()} if isinstance(value, dict) else value
