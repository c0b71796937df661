"""The page of an audit: one HTML file that opens offline and that a person can read.

Its plots are inline SVG with a table each, drawn here and made livelier by a short script: plotly.js
would make every file 4.5 MB, draw nothing on paper or without a script, and have no table. The page
forbids itself every request (content security policy), and what comes from the data is escaped.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bitveil.audits.attacker import Interval
from bitveil.audits.meaning import Part
from bitveil.audits.plots import Axis, Line, Mark, Point, Points, Row, Rows, Table, axis_of
from bitveil.audits.probes import Probe

if TYPE_CHECKING:
    from bitveil.audits.report import Audit

__all__ = ["at_least", "at_most", "page", "percent"]

_GROUPS = 6  # groups that a plot shows: there are so many shapes
_CODES = 12  # codes that a plot shows at first
_POINTS = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "points", "percentage points")
_SHARES = Axis(0.0, 1.0, (0.0, 0.5, 1.0), "percent", "")


def page(
    audits: "Mapping[str, Audit]", *, title: str | None = None, sources: Sequence[str] = ()
) -> str:
    """One page of an audit, or of several that are compared.

    Arguments:
        audits: The audits by the name of their code; a single one needs no name.
        title: A title; None: what was audited.
        sources: Where the rows came from, line by line.

    Raises:
        ValueError: If there is no audit.
    """

    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not audits:
        raise ValueError("`page` expects at least one audit, got none.")
    environment = Environment(
        loader=PackageLoader("bitveil.audits", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, at_most=at_most, at_least=at_least, name=name)
    views = [_View(f"a{i}", label, found) for i, (label, found) in enumerate(audits.items())]
    style, script = (
        files("bitveil.audits").joinpath("pages", f"page.{kind}").read_text()
        for kind in ("css", "js")
    )

    return environment.get_template("page.html").render(
        views=views,
        title=title or _title(views),
        sources=list(sources),
        style=style,
        script=script,
        hashes={"style": _integrity(style), "script": _integrity(script)},
        compared=_compared(views) if len(views) > 1 else None,
    )


def at_most(share: float) -> str:
    """A share in points, rounded up: what is certified must not look smaller.

    Example:
        >>> at_most(0.09431), at_least(0.09439), at_most(0.1)
        ('9.5', '9.4', '10')
    """

    return f"{math.ceil(round(1000 * share, 6)) / 10:.4g}"


def at_least(share: float) -> str:
    """A share in points, rounded down."""

    return f"{math.floor(round(1000 * share, 6)) / 10:.4g}"


def percent(share: float) -> str:
    """A share as a measured number."""

    return f"{100 * share:.1f} %"


def name(group: Any) -> str:
    """A group as a person reads it: tuples with commas."""

    return ", ".join(map(str, group)) if isinstance(group, tuple | list) else str(group)


@dataclass(frozen=True)
class _View:
    """What the template shows of one audit."""

    key: str
    label: str
    audit: "Audit"

    @property
    def attribute(self) -> str:
        return _and(self.audit.sensitive) or "the sensitive attribute"

    @property
    def groups(self) -> list[str]:
        return [name(group) for group in self.audit.groups]

    @property
    def between(self) -> str:
        if len(self.groups) == 2:
            return f"between {self.groups[0]} and {self.groups[1]}"

        return f"between any two of the {len(self.groups)} groups"

    @property
    def certainty(self) -> str:
        return f"{100 * (1 - self.audit.certificate.delta):g} %"

    @property
    def part(self) -> str:
        """What a part of the code is called."""

        return "bit" if self.audit.meaning.parts[0].ones is not None else "column"

    @property
    def code(self) -> str:
        plural = "" if self.audit.n_bits == 1 else "s"

        return f"{self.audit.n_bits} {self.part}{plural}"

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.audit.meaning.parts

    @property
    def plots(self) -> dict[str, Rows | Points]:
        """The plots by name; those of which there is nothing to show are left out."""

        found: dict[str, Rows | Points | None] = {
            "leakage": _leakage(self),
            "attackers": _attackers(self),
            "codes": _codes(self),
            "use": _use(self),
            "differences": _differences(self),
            "columns": _columns(self),
            "path": _path(self),
        }

        return {key: plot for key, plot in found.items() if plot is not None}

    def ones(self, shares: tuple[float, ...] | None, names: Sequence[str]) -> list[Mark]:
        """How often a bit is 1, as marks."""

        return [
            Mark(share, f"{names[g]}: 1 in {percent(share)}", series=g)
            for g, share in enumerate((shares or ())[:_GROUPS])
        ]

    def scale(self, values: Sequence[float | None]) -> Axis:
        """An axis from 0 for bars of information."""

        return axis_of([value or 0.0 for value in values], "bits", "bits", low=0.0, most=math.inf)


def _leakage(view: _View) -> Rows:
    found = view.audit
    gaps = [i for i in found.intervals if i.certificate.quantity.endswith("gap")]
    rows = []
    for interval in gaps:
        certificate, odds = interval.certificate, "odds" in interval.certificate.quantity
        label = f"Among rows of one {found.target}" if odds else "Any answer"
        marks = [
            _band(interval),
            Mark(certificate.estimate, f"measured: {percent(certificate.estimate)}"),
        ]
        text = f"{at_least(interval.least)} to {at_most(certificate.bound)} points"
        rows.append(
            Row(label, text, tuple(marks), "equalised odds" if odds else "demographic parity")
        )

    return Rows(
        f"{view.key}-leakage",
        f"How far answers can differ {view.between}",
        "The band runs from what is certain to what is certified as the most; the dot is the largest "
        "gap on the rows of the audit. 0: no answer differs. 100: some answer tells the groups apart "
        "without error.",
        _POINTS,
        tuple(rows),
        Table(
            (
                "What",
                "At least, points",
                "Measured, points",
                "At most, points",
                "Each side wrong with probability at most",
            ),
            tuple(
                (
                    row.label,
                    at_least(i.least),
                    f"{100 * i.certificate.estimate:.1f}",
                    at_most(i.certificate.bound),
                    f"{i.certificate.delta:g}",
                )
                for row, i in zip(rows, gaps, strict=True)
            ),
        ),
        other=axis_of([i.certificate.bound for i in gaps], "points", _POINTS.label, low=0.0),
    )


def _attackers(view: _View) -> Rows:
    """What trained attackers reach, as a gap, beside the certified one."""

    found = view.audit
    checks = {check.family: check for check in found.checks[: len(found.attackers)]}
    rows = [
        Row(
            "knows these rows' table",
            f"{100 * found.total_variation:.1f} points",
            (
                Mark(
                    found.total_variation,
                    f"exact for these rows: {100 * found.total_variation:.1f} points",
                    series=2,
                ),
            ),
            "exact, too large for new rows",
        )
    ]
    for probe in found.attackers:
        certain = max(0.0, probe.gap - checks[probe.family].noise)
        says = f"{_probe(probe)}; at least {at_least(certain)} points on new rows"
        marks = (
            Mark(certain, says, end=max(0.0, probe.gap), kind="whisker"),
            Mark(max(0.0, probe.gap), f"{probe.family}: {says}"),
        )
        rows.append(Row(probe.family, _probe(probe), marks, _settings(probe)))
    for seen, probe in found.repeated_draws.items():
        covered = seen == "1 draw"
        mark = Mark(
            max(0.0, probe.gap),
            f"{seen}: {_probe(probe)}",
            series=1,
            kind="" if covered else "hollow",
        )
        rows.append(
            Row(f"boosting, {seen}", _probe(probe), (mark,), "" if covered else "not covered")
        )
    bound = found.certificate.bound
    reached = [mark.value for row in rows for mark in row.marks]

    return Rows(
        f"{view.key}-attackers",
        f"What attackers of {view.attribute} reach",
        "Each attacker guesses the group from the code. How far its answers set the groups apart, on rows "
        "that it was not trained on; the thin line goes down to what it certainly reaches on new rows.",
        axis_of([*reached, bound], "points", _POINTS.label, low=0.0),
        tuple(rows),
        _attackers_table(view),
        (Line(bound, f"certified: at most {at_most(bound)}"),),
        other=_POINTS,
    )


def _attackers_table(view: _View) -> Table:
    found = view.audit
    checks = {check.family: check for check in found.checks[: len(found.attackers)]}
    rows = []
    for probe in found.attackers:
        check = checks[probe.family]
        rows.append(
            (
                probe.family,
                f"{probe.balanced_accuracy:.3f}",
                f"{probe.accuracy:.3f}",
                f"{probe.auc:.3f}{_interval(probe.auc_interval)}",
                f"{100 * probe.gap:.1f}",
                f"{100 * check.noise:.1f}",
                "yes" if check.holds else "NO",
            )
        )
    for seen, probe in found.repeated_draws.items():
        rows.append(
            (
                f"boosting, {seen}",
                f"{probe.balanced_accuracy:.3f}",
                f"{probe.accuracy:.3f}",
                f"{probe.auc:.3f}",
                f"{100 * probe.gap:.1f}",
                "",
                "" if seen == "1 draw" else "not covered",
            )
        )

    return Table(
        (
            "Attacker",
            "Balanced accuracy",
            "Accuracy",
            "AUC",
            "As a gap, points",
            "Less noise, points",
            "Within the certificate",
        ),
        tuple(rows),
    )


def _codes(view: _View) -> Rows:
    """How often each group has each code."""

    found = view.audit
    cells, names = found.meaning.cells, view.groups[:_GROUPS]
    rows = []
    for cell in cells:
        shares = cell.shares[:_GROUPS]
        says = [f"{names[g]}: {percent(share)}" for g, share in enumerate(shares)]
        marks = [Mark(min(shares), "", end=max(shares), kind="link")]
        marks += [
            Mark(share, f"{cell.code}, {says[g]}", series=g) for g, share in enumerate(shares)
        ]
        order = {"leak": cell.leak, "rows": cell.rows}
        rows.append(
            Row(
                cell.code,
                " · ".join(percent(share) for share in shares),
                tuple(marks),
                f"{cell.rows:.0f} rows",
                order,
                cell.code,
            )
        )
    kept = (
        f" The {len(cells)} of {found.meaning.n_cells} codes that tell most."
        if len(cells) < found.meaning.n_cells
        else ""
    )
    kept += (
        f" Of {len(found.groups)} groups the first {_GROUPS}; all are in the table."
        if len(found.groups) > _GROUPS
        else ""
    )

    return Rows(
        f"{view.key}-codes",
        "Which codes tell",
        "The share of each group's rows that have a code. Where the marks are far apart, the code tells."
        + kept,
        axis_of(
            [share for cell in cells for share in cell.shares],
            "percent",
            "of the group's rows",
            low=0.0,
        ),
        tuple(rows),
        Table(
            ("Code", "Rows", *view.groups, "Information, bits"),
            tuple(
                (cell.code, f"{cell.rows:.1f}", *map(percent, cell.shares), f"{cell.leak:.6f}")
                for cell in cells
            ),
        ),
        legend=tuple(names),
        sorts=(("leak", "what they tell"), ("rows", "how many have them"), ("code", "code")),
        first=_CODES,
    )


def _use(view: _View) -> Rows | None:
    """How well the target is guessed from the codes."""

    found = view.audit
    if not found.uses:
        return None
    rows = []
    for used in found.uses:
        probe = used.probe
        text = percent(probe.accuracy)
        marks = [Mark(probe.accuracy, f"{probe.family}: {text}")]
        if probe.accuracy_interval:
            low, high = probe.accuracy_interval
            marks.insert(
                0,
                Mark(
                    low,
                    f"95 % interval: {percent(low)} to {percent(high)}",
                    end=high,
                    kind="whisker",
                ),
            )
        rows.append(Row(probe.family, text, tuple(marks)))
    assert found.most_frequent_target is not None
    base = found.most_frequent_target

    return Rows(
        f"{view.key}-use",
        f"How well {found.target} is guessed from the codes",
        "The accuracy of classifiers that see the codes alone, on rows that they were not trained on.",
        axis_of(
            [base, *(mark.value for row in rows for mark in row.marks)], "percent", "accuracy"
        ),
        tuple(rows),
        Table(
            ("Classifier", "Accuracy", "AUC", "Parity gap, points", *_metrics(view)),
            tuple(
                (
                    used.probe.family,
                    f"{used.probe.accuracy:.3f}{_interval(used.probe.accuracy_interval)}",
                    f"{used.probe.auc:.3f}{_interval(used.probe.auc_interval)}",
                    f"{100 * used.gap:.1f}",
                    *(f"{100 * d.value:.1f}" for d in used.differences),
                )
                for used in found.uses
            ),
        ),
        (Line(base, f"always the most frequent: {percent(base)}"),),
        other=Axis(0.0, 1.0, _POINTS.ticks, "percent", "accuracy"),
    )


def _differences(view: _View) -> Rows | None:
    """How far the answers of these classifiers are apart, beside what is certified."""

    found = view.audit
    if not found.uses:
        return None
    metrics, rows = _metrics(view), []
    for used in found.uses:
        values = [d.value for d in used.differences] or [used.gap]
        names = [d.metric for d in used.differences] or ["parity gap"]
        marks = [
            Mark(value, f"{used.probe.family}, {names[i]}: {100 * value:.1f} points", series=i)
            for i, value in enumerate(values)
        ]
        rows.append(
            Row(used.probe.family, " · ".join(f"{100 * v:.1f}" for v in values), tuple(marks))
        )
    gaps = [i.certificate for i in found.intervals if i.certificate.quantity.endswith("gap")]
    lines = tuple(
        Line(
            c.bound,
            f"certified {'rates within a target' if 'odds' in c.quantity else 'selection'}: {at_most(c.bound)}",
        )
        for c in (gaps if metrics else gaps[:1])
    )

    return Rows(
        f"{view.key}-differences",
        f"How far their answers differ {view.between}",
        "Differences between groups in how often a classifier of these says yes: of all rows (selection "
        "rate), and of those whose target is, or is not, so. What is certified holds for every other "
        "classifier of the codes too.",
        axis_of(
            [mark.value for row in rows for mark in row.marks] + [line.value for line in lines],
            "points",
            _POINTS.label,
            low=0.0,
        ),
        tuple(rows),
        Table(
            ("Classifier", "Difference", "Measured, points", "95 % interval", "Certified, points"),
            tuple(
                (
                    used.probe.family,
                    d.metric,
                    f"{100 * d.value:.1f}",
                    ""
                    if d.interval is None
                    else f"{100 * d.interval[0]:.1f} to {100 * d.interval[1]:.1f}",
                    "" if d.bound is None else at_most(d.bound),
                )
                for used in found.uses
                for d in used.differences
            )
            or tuple(
                (
                    used.probe.family,
                    "parity gap",
                    f"{100 * used.gap:.1f}",
                    "",
                    at_most(gaps[0].bound),
                )
                for used in found.uses
            ),
        ),
        lines,
        legend=tuple(metrics),
        other=_POINTS,
    )


def _columns(view: _View) -> Rows | None:
    """Both sides of the gap for each of several sensitive columns, and for all together."""

    found = view.audit
    if not found.columns:
        return None
    together = Interval(found.certain_gap, found.certificate, found.certificate.delta)
    named = [("together", found.groups, together, found.attackers)]
    named += [(c.name, c.groups, c.interval, c.attackers) for c in found.columns]
    rows = [
        Row(
            label,
            f"{at_least(interval.least)} to {at_most(interval.certificate.bound)} points",
            (
                _band(interval),
                Mark(
                    interval.certificate.estimate,
                    f"measured: {percent(interval.certificate.estimate)}",
                ),
            ),
            f"{len(groups)} groups",
        )
        for label, groups, interval, _ in named
    ]

    return Rows(
        f"{view.key}-columns",
        "Each sensitive column alone, and all together",
        "From what is certain to what is certified as the most, between any two groups. What is certified "
        "for all together covers each column too.",
        axis_of([i.certificate.bound for _, _, i, _ in named], "points", _POINTS.label, low=0.0),
        tuple(rows),
        Table(
            (
                "Column",
                "Groups",
                "At least, points",
                "At most, points",
                "Wrong with probability at most",
                "Best attacker's AUC",
            ),
            tuple(
                (
                    label,
                    "; ".join(map(name, groups)),
                    at_least(i.least),
                    at_most(i.certificate.bound),
                    f"{i.certificate.delta:.4g}",
                    f"{max(p.auc for p in probes):.3f}",
                )
                for label, groups, i, probes in named
            ),
        ),
        other=_POINTS,
    )


def _path(view: _View) -> Points | None:
    """The encoders among which this one was chosen."""

    steps = view.audit.path
    if not steps:
        return None
    scored = all(step.score is not None for step in steps)
    unit, label = (
        ("percent", "accuracy") if scored else ("bits", "information about the target, bits")
    )
    heights = [step.score if step.score is not None else step.information_bits for step in steps]
    kinds = {
        True: ("passed", 0, ""),
        False: ("failed or not tested", 1, "hollow"),
        None: ("not certified", 2, ""),
    }
    points = tuple(
        Point(
            step.gap,
            height,
            f"gap {100 * step.gap:.1f} points, {label} {percent(height) if scored else f'{height:.4f}'}: {kinds[step.certified][0]}",
            series=kinds[step.certified][1],
            kind=kinds[step.certified][2],
        )
        for step, height in zip(steps, heights, strict=True)
    )

    return Points(
        f"{view.key}-path",
        "What was given up for what",
        "Every encoder that was trained, as the rows for selection see it. Those that the rows for "
        "certification passed are filled.",
        axis_of([step.gap for step in steps], "points", "gap, percentage points", low=0.0),
        axis_of(heights, unit, label, most=1.0 if scored else math.inf),
        points,
        Table(
            (
                "Trained for a gap of, points",
                "Gap, points",
                label[0].upper() + label[1:],
                "Certification",
            ),
            tuple(
                (
                    "" if step.limit is None else f"{100 * step.limit:.1f}",
                    f"{100 * step.gap:.1f}",
                    percent(height) if scored else f"{height:.4f}",
                    kinds[step.certified][0],
                )
                for step, height in zip(steps, heights, strict=True)
            ),
        ),
        legend=tuple(dict.fromkeys(kinds[step.certified][0] for step in steps)),
    )


def _compared(views: Sequence[_View]) -> dict[str, Any]:
    """The plots and the table that set several audits beside each other."""

    rows = [
        Row(
            view.label,
            f"{at_least(view.audit.certain_gap)} to {at_most(view.audit.certificate.bound)} points",
            (
                _band(view.audit.intervals[0]),
                Mark(
                    view.audit.total_variation, f"measured: {percent(view.audit.total_variation)}"
                ),
            ),
        )
        for view in views
    ]
    table = Table(
        (
            "Code",
            "Published",
            "Rows",
            "Gap at least, points",
            "Gap at most, points",
            "Information, bits",
            "Best attacker's AUC",
            "Accuracy for the target",
        ),
        tuple(
            (
                view.label,
                view.code,
                str(view.audit.n_rows),
                at_least(view.audit.certain_gap),
                at_most(view.audit.certificate.bound),
                f"{view.audit.information_bits:.4f}",
                f"{max(probe.auc for probe in view.audit.attackers):.3f}",
                "" if view.audit.use_accuracy is None else f"{view.audit.use_accuracy:.3f}",
            )
            for view in views
        ),
    )
    plots: list[Rows | Points] = [
        Rows(
            "compared-gaps",
            "How far answers can differ",
            "From what is certain to what is certified as the most; the dot is measured.",
            axis_of(
                [view.audit.certificate.bound for view in views], "points", _POINTS.label, low=0.0
            ),
            tuple(rows),
            table,
            other=_POINTS,
        )
    ]
    used = [view for view in views if view.audit.use_accuracy is not None]
    if len(used) > 1:
        accuracies = [float(view.audit.use_accuracy or 0) for view in used]
        plots.append(
            Points(
                "compared-use",
                "What is given up for what",
                "Up is more useful, left is safer.",
                axis_of(
                    [view.audit.certificate.bound for view in used],
                    "points",
                    "certified gap, percentage points",
                    low=0.0,
                ),
                axis_of(accuracies, "percent", "accuracy"),
                tuple(
                    Point(
                        view.audit.certificate.bound,
                        accuracy,
                        f"{view.label}: gap at most {at_most(view.audit.certificate.bound)} points, accuracy {percent(accuracy)}",
                        view.label,
                    )
                    for view, accuracy in zip(used, accuracies, strict=True)
                ),
                table,
            )
        )

    return {"plots": plots, "table": table}


def _band(interval: Interval) -> Mark:
    least, bound = interval.least, interval.certificate.bound
    says = f"at least {at_least(least)} and at most {at_most(bound)} points, each side wrong with probability at most {interval.certificate.delta:g}"

    return Mark(least, says, end=bound, kind="band")


def _probe(probe: Probe) -> str:
    return f"{100 * probe.gap:.1f} points, AUC {probe.auc:.3f}"


def _settings(probe: Probe) -> str:
    return probe.settings


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def _metrics(view: _View) -> list[str]:
    return [d.metric for d in view.audit.uses[0].differences] if view.audit.uses else []


def _title(views: Sequence[_View]) -> str:
    if len(views) > 1:
        return f"What {len(views)} codes reveal of {views[0].attribute}"

    return f"What these codes reveal of {views[0].attribute}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])


def _integrity(content: str) -> str:
    """The hash by which the page allows its own style and script, and no other."""

    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
