"""The plots of an audit: what is certified, attacked, meant and used, as marks on axes."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bitveil.audits.fairness import Difference
from bitveil.audits.plots import (
    Axis,
    Line,
    Mark,
    Point,
    Points,
    Row,
    Rows,
    Table,
    at_least,
    at_most,
    axis_of,
    percent,
)
from bitveil.audits.probes import Probe, Use
from bitveil.audits.subject import group_name
from bitveil.certificates.lower import Interval
from bitveil.columns.printing import printable

if TYPE_CHECKING:
    from bitveil.audits.page import View

__all__ = ["GROUPS", "among", "compared", "figures"]

GROUPS = 6
"""The groups that a plot shows: there are so many shapes that are told apart."""

_CODES = 12  # codes that a plot shows at first
_ASKED_AGAIN = (
    " Hollow marks are attackers who got several draws of each row, or its logits: what asking "
    "twice would teach if codes were not frozen. The certificate covers one draw."
)
_POINTS = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "points", "percentage points")
_GAPS = {
    "parity gap": "demographic parity",
    "equal opportunity gap": "equal opportunity",
    "equalised odds gap": "equalised odds",
}
_REFUTED = " An attacker refutes the certificate: the upper ends do not stand."


def figures(view: "View") -> dict[str, Rows | Points]:
    """The plots of an audit by name; those of which there is nothing to show are left out."""

    found: dict[str, Rows | Points | None] = {
        "leakage": _leakage(view),
        "attackers": _attackers(view),
        "codes": _codes(view),
        "use": _use(view),
        "differences": _differences(view),
        "columns": _columns(view),
        "path": _path(view),
    }

    return {key: plot for key, plot in found.items() if plot is not None}


def _leakage(view: "View") -> Rows:
    gaps = [i for i in view.audit.intervals if i.certificate.quantity in _GAPS]
    rows = []
    for interval in gaps:
        estimate = interval.certificate.estimate
        label = among(view, interval) or "Among all rows"
        marks = (_band(interval), Mark(estimate, f"measured: {percent(estimate)}"))
        text = _between(interval) + view.doubt
        rows.append(Row(label, text, marks, _GAPS[interval.certificate.quantity]))

    return Rows(
        f"{view.key}-leakage",
        f"How far answers can differ {view.between}",
        "The band ends at the most that any classifier can reach, and begins at what some "
        "classifier reaches for certain; the dot is the largest gap on the rows of the audit."
        + _REFUTED
        * bool(view.audit.broken),
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
                    at_most(i.certificate.bound) + view.doubt,
                    f"{i.certificate.delta:g}",
                )
                for row, i in zip(rows, gaps, strict=True)
            ),
        ),
        other=axis_of([i.certificate.bound for i in gaps], "points", _POINTS.label, low=0.0),
    )


def among(view: "View", interval: Interval) -> str:
    """Among which rows a gap is; nothing where it is among all."""

    quantity = interval.certificate.quantity
    if quantity == "equalised odds gap":
        return f"Among rows of the same {view.target}"
    if quantity == "equal opportunity gap":
        positive = view.audit.positive
        value = "the positive one" if positive is None else printable(positive)
        return f"Among rows whose {view.target} is {value}"

    return ""


def _attackers(view: "View") -> Rows:
    """What trained attackers reach, as a gap, beside the certified one."""

    found = view.audit
    checks = {check.family: check for check in found.checks[: len(found.attackers)]}
    exact = view.parity.certificate.estimate
    rows = [
        Row(
            "knows these rows' table",
            f"{100 * exact:.1f} points",
            (
                Mark(
                    exact,
                    f"exact for these rows: {100 * exact:.1f} points",
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
    bound = view.parity.certificate.bound
    reached = [mark.value for row in rows for mark in row.marks]

    return Rows(
        f"{view.key}-attackers",
        f"What attackers of {view.attribute} reach",
        "Each attacker guesses the group from the code. The mark is how far its answers set the "
        "groups apart, on rows that it was not trained on; the thin line goes down to what it "
        "certainly reaches on new rows." + _ASKED_AGAIN * bool(found.repeated_draws),
        axis_of([*reached, bound], "points", _POINTS.label, low=0.0),
        tuple(rows),
        _attackers_table(view),
        (Line(bound, f"certified: at most {at_most(bound)}{view.doubt}"),),
        other=_POINTS,
    )


def _attackers_table(view: "View") -> Table:
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


def _codes(view: "View") -> Rows | None:
    """How often each group has each code; codes of few rows are left out."""

    found = view.audit
    cells, names = view.cells, view.groups[:GROUPS]
    if not cells:
        return None
    rows = []
    for cell in cells:
        shares = cell.shares[:GROUPS]
        says = [f"{names[g]}: {percent(share)}" for g, share in enumerate(shares)]
        label = printable(cell.code)
        marks = [Mark(min(shares), "", end=max(shares), kind="link")]
        marks += [Mark(share, f"{label}, {says[g]}", series=g) for g, share in enumerate(shares)]
        order = {"leak": cell.leak, "rows": cell.rows}
        rows.append(
            Row(
                label,
                _spread(shares),
                tuple(marks),
                f"{cell.rows:.0f} rows",
                order,
                cell.code if view.are_bits else label,
            )
        )
    most, of = len(found.meaning.cells), found.meaning.n_cells
    kept = f" Of {of} codes the {most} that tell most are shown." if most < of else ""
    kept += f" {view.left_out}" if view.left_out else ""
    kept += (
        f" Of {len(found.groups)} groups the first {GROUPS}; all are in the table."
        if len(found.groups) > GROUPS
        else ""
    )

    return Rows(
        f"{view.key}-codes",
        "Which codes tell",
        "The share of each group's rows that have a code. Where the marks are far apart, it tells."
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
                (
                    printable(cell.code),
                    f"{cell.rows:.1f}",
                    *map(percent, cell.shares),
                    f"{cell.leak:.6f}",
                )
                for cell in cells
            ),
        ),
        legend=tuple((label, series) for series, label in enumerate(names)),
        sorts=(("leak", "what they tell"), ("rows", "how many have them"), ("code", "code")),
        first=_CODES,
    )


def _use(view: "View") -> Rows | None:
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
        f"How well {view.target} is guessed from the codes",
        "The accuracy of classifiers that see the codes alone, on rows that they were not trained "
        "on. A thin line is a bootstrap interval of 95 %.",
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
                    *(_points(d.value) for d in used.differences),
                )
                for used in found.uses
            ),
        ),
        (Line(base, f"always the most frequent: {percent(base)}"),),
        other=Axis(0.0, 1.0, _POINTS.ticks, "percent", "accuracy"),
    )


def _differences(view: "View") -> Rows | None:
    """How far the answers of these classifiers are apart, beside what is certified."""

    found = view.audit
    if not found.uses:
        return None
    parity = view.parity.certificate
    gaps = [i.certificate for i in found.intervals if i.certificate.quantity in _GAPS]
    asked = [(used.probe.family, _measured(used, parity.bound)) for used in found.uses]
    rows = [
        Row(
            family,
            " · ".join(_points(d.value) for d in measured),
            tuple(
                Mark(d.value, f"{family}, {d.metric}: {_points(d.value)} points", series=series)
                for series, d in enumerate(measured)
                if d.value is not None
            ),
        )
        for family, measured in asked
    ]
    lines = tuple(
        Line(c.bound, f"certified, {c.quantity}: at most {at_most(c.bound)}{view.doubt}")
        for c in (gaps if _metrics(view) else [parity])
    )

    return Rows(
        f"{view.key}-differences",
        f"How far their answers differ {view.between}",
        "Differences between groups in how often such a classifier says yes: of all rows "
        "(selection rate), of those whose target it is, and of those whose target it is not. What "
        "is certified holds for every other classifier of the codes too.",
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
                    family,
                    d.metric,
                    _points(d.value),
                    "" if d.interval is None else " to ".join(map(_points, d.interval)),
                    "" if d.bound is None else at_most(d.bound) + view.doubt,
                )
                for family, measured in asked
                for d in measured
            ),
        ),
        lines,
        legend=tuple((d.metric, series) for series, d in enumerate(asked[0][1])),
        other=_POINTS,
    )


def _columns(view: "View") -> Rows | None:
    """Both sides of the gap for each of several sensitive columns, and for all together."""

    found = view.audit
    if not found.columns:
        return None
    named = [("together", found.groups, view.parity, found.attackers)]
    named += [(printable(c.name), c.groups, c.interval, c.attackers) for c in found.columns]
    rows = [
        Row(
            label,
            _between(interval) + view.doubt,
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
        "The band ends at the most that any classifier can reach between two groups, and begins "
        "at what some classifier reaches for certain. What is certified for all columns together "
        "holds for each of them too." + _REFUTED * bool(found.broken),
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
                    "; ".join(map(group_name, groups)),
                    at_least(i.least),
                    at_most(i.certificate.bound) + view.doubt,
                    f"{i.certificate.delta:.4g}",
                    f"{max(p.auc for p in probes):.3f}",
                )
                for label, groups, i, probes in named
            ),
        ),
        other=_POINTS,
    )


def _path(view: "View") -> Points | None:
    """The encoders among which this one was chosen."""

    steps = view.audit.path
    if not steps:
        return None
    scored = all(step.score is not None for step in steps)
    unit, label = (
        ("percent", "accuracy") if scored else ("bits", "information about the target, bits")
    )
    said = percent if scored else "{:.4f}".format
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
            f"gap {100 * step.gap:.1f} points, {label} {said(height)}: {kinds[step.certified][0]}",
            series=kinds[step.certified][1],
            kind=kinds[step.certified][2],
        )
        for step, height in zip(steps, heights, strict=True)
    )

    return Points(
        f"{view.key}-path",
        "What was given up for what",
        "Every encoder that was trained, as the rows for selection see it. Filled: the rows for "
        "certification passed it.",
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
                    said(height),
                    kinds[step.certified][0],
                )
                for step, height in zip(steps, heights, strict=True)
            ),
        ),
        legend=tuple(dict.fromkeys(kinds[step.certified][:2] for step in steps)),
    )


def compared(views: Sequence["View"]) -> list[Rows | Points]:
    """The plots and the table that set several audits beside each other."""

    rows = [
        Row(
            view.label,
            _between(view.headline) + view.doubt,
            (
                _band(view.headline),
                Mark(
                    view.headline.certificate.estimate,
                    f"measured: {percent(view.headline.certificate.estimate)}",
                ),
            ),
            view.among,
        )
        for view in views
    ]
    table = Table(
        (
            "Code",
            "Published",
            "Rows",
            "Certified",
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
                view.headline.certificate.quantity,
                at_least(view.headline.least),
                at_most(view.headline.certificate.bound) + view.doubt,
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
            "The band ends at the most that any classifier can reach, and begins at what some "
            "classifier reaches for certain; the dot is measured.",
            axis_of(
                [view.headline.certificate.bound for view in views],
                "points",
                _POINTS.label,
                low=0.0,
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
                    [view.headline.certificate.bound for view in used],
                    "points",
                    "certified gap, percentage points",
                    low=0.0,
                ),
                axis_of(accuracies, "percent", "accuracy"),
                tuple(
                    Point(
                        view.headline.certificate.bound,
                        accuracy,
                        f"{view.label}: gap {_between(view.headline)}{view.doubt}, "
                        f"accuracy {percent(accuracy)}",
                        view.label,
                    )
                    for view, accuracy in zip(used, accuracies, strict=True)
                ),
                table,
            )
        )

    return plots


def _band(interval: Interval) -> Mark:
    least, bound = interval.least, interval.certificate.bound
    says = (
        f"at least {at_least(least)} and at most {at_most(bound)} points, each side wrong with "
        f"probability at most {interval.certificate.delta:g}"
    )

    return Mark(least, says, end=bound, kind="band")


def _spread(shares: Sequence[float]) -> str:
    """Few shares, or the least and the largest of many."""

    if len(shares) <= 3:
        return " · ".join(map(percent, shares))

    return f"{percent(min(shares))} to {percent(max(shares))}"


def _between(interval: Interval) -> str:
    return f"{at_least(interval.least)} to {at_most(interval.certificate.bound)} points"


def _probe(probe: Probe) -> str:
    return f"{100 * probe.gap:.1f} points, AUC {probe.auc:.3f}"


def _settings(probe: Probe) -> str:
    """The settings of a search, their numbers with three digits."""

    return re.sub(r"\d+\.\d+(e-\d+)?", lambda found: f"{float(found[0]):.3g}", probe.settings)


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def _measured(used: Use, bound: float) -> tuple[Difference, ...]:
    """The differences of a classifier's answers; where they were not asked for, the parity gap."""

    return used.differences or (Difference("parity gap", used.gap, None, bound),)


def _points(share: float | None) -> str:
    return "no rows" if share is None else f"{100 * share:.1f}"


def _metrics(view: "View") -> list[str]:
    return [d.metric for d in view.audit.uses[0].differences] if view.audit.uses else []
