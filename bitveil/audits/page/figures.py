"""The figures of an audit: what is certified, which codes reveal most, and the choice."""

import math
from collections.abc import Sequence

from bitveil.audits.page.answers import differences_of, use_of
from bitveil.audits.page.attackers import attackers_of
from bitveil.audits.page.labels import POINTS, band, between, dot
from bitveil.audits.page.marks import DataTable, Mark, Point, PointPlot, Row, RowPlot, axis_of
from bitveil.audits.page.view import GROUPS, View
from bitveil.audits.rounding import at_least, at_most, percent, points
from bitveil.audits.words import group_name
from bitveil.columns.printing import printable

__all__ = ["figures"]

_CODES = 12  # codes that a plot shows at first


_REFUTED = " An attacker refutes the certificate: the upper ends do not hold."


def figures(view: View) -> dict[str, RowPlot | PointPlot]:
    """The figures of an audit by name, without those that have nothing to show."""

    found: dict[str, RowPlot | PointPlot | None] = {
        "leakage": _leakage(view),
        "attackers": attackers_of(view),
        "codes": _code_table(view),
        "use": use_of(view),
        "differences": differences_of(view),
        "columns": _column_rows(view),
        "path": _path(view),
    }

    return {key: plot for key, plot in found.items() if plot is not None}


def _leakage(view: View) -> RowPlot:
    gaps = view.gaps
    rows = []
    for interval in gaps:
        label = view.among(interval) or "Among all rows"
        marks = (band(interval), dot(interval))
        text = between(interval) + view.doubt
        rows.append(Row(label, text, marks, interval.certificate.quantity.notion))

    return RowPlot(
        f"{view.key}-leakage",
        f"How much answers can differ {view.between}",
        "No rule has a gap beyond the right end of the band. Some rule reaches the left end, if "
        "that is above 0. The dot is the largest gap on the rows of the audit."
        + _REFUTED
        * bool(view.audit.broken),
        POINTS,
        tuple(rows),
        DataTable(
            (
                "What",
                "At least, points",
                "Measured, points",
                "At most, points",
                "Each bound wrong with probability at most",
            ),
            tuple(
                (
                    row.label,
                    at_least(i.least),
                    points(i.certificate.estimate),
                    at_most(i.certificate.bound) + view.doubt,
                    f"{i.certificate.delta:g}",
                )
                for row, i in zip(rows, gaps, strict=True)
            ),
        ),
        other=axis_of([i.certificate.bound for i in gaps], "points", POINTS.label, low=0.0),
    )


def _code_table(view: View) -> RowPlot | None:
    """How often each group has each code, without codes of few rows."""

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
                _spread_figure(shares),
                tuple(marks),
                f"{cell.rows:.0f} rows",
                order,
                cell.code if view.are_bits else label,
            )
        )
    most, of = len(found.meaning.cells), found.meaning.n_cells
    kept = f" The figure shows the {most} of {of} codes that reveal most." if most < of else ""
    kept += f" {view.left_out}" if view.left_out else ""
    kept += (
        f" It shows the first {GROUPS} of {len(found.groups)} groups; the table has all."
        if len(found.groups) > GROUPS
        else ""
    )

    return RowPlot(
        f"{view.key}-codes",
        "Which codes reveal the group",
        "The share of each group's rows that have a code. A code whose marks are far apart "
        "reveals the group." + kept,
        axis_of(
            [share for cell in cells for share in cell.shares],
            "percent",
            "of the group's rows",
            low=0.0,
        ),
        tuple(rows),
        DataTable(
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
        sorts=(("leak", "what they reveal"), ("rows", "number of rows"), ("code", "code")),
        first=_CODES,
    )


def _column_rows(view: View) -> RowPlot | None:
    """Both bounds on the gap for each of several sensitive columns, and for all together."""

    found = view.audit
    if not found.columns:
        return None
    named = [("together", found.groups, view.parity, found.attackers)]
    named += [(printable(c.name), c.groups, c.interval, c.attackers) for c in found.columns]
    rows = [
        Row(
            label,
            between(interval) + view.doubt,
            (
                band(interval),
                dot(interval),
            ),
            f"{len(groups)} groups",
        )
        for label, groups, interval, _ in named
    ]

    return RowPlot(
        f"{view.key}-columns",
        "Each sensitive column alone, and all together",
        "The band goes from the lower to the upper bound on the gap between two groups. The bound "
        "for all columns together also holds for each of them." + _REFUTED * bool(found.broken),
        axis_of([i.certificate.bound for _, _, i, _ in named], "points", POINTS.label, low=0.0),
        tuple(rows),
        DataTable(
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
        other=POINTS,
    )


def _path(view: View) -> PointPlot | None:
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
    marks = tuple(
        Point(
            step.gap,
            height,
            f"gap {points(step.gap)} points, {label} {said(height)}: {kinds[step.certified][0]}",
            series=kinds[step.certified][1],
            kind=kinds[step.certified][2],
        )
        for step, height in zip(steps, heights, strict=True)
    )

    return PointPlot(
        f"{view.key}-path",
        "Gap and use of each encoder",
        "Every encoder that was trained, measured on the rows for selection. Filled marks passed "
        "on the rows for certification.",
        axis_of([step.gap for step in steps], "points", "gap, percentage points", low=0.0),
        axis_of(heights, unit, label, most=1.0 if scored else math.inf),
        marks,
        DataTable(
            (
                "Trained for a gap of, points",
                "Gap, points",
                label[0].upper() + label[1:],
                "Certification",
            ),
            tuple(
                (
                    "" if step.limit is None else f"{100 * step.limit:.1f}",
                    points(step.gap),
                    said(height),
                    kinds[step.certified][0],
                )
                for step, height in zip(steps, heights, strict=True)
            ),
        ),
        legend=tuple(dict.fromkeys(kinds[step.certified][:2] for step in steps)),
    )


def _spread_figure(shares: Sequence[float]) -> str:
    """Up to three shares, or the smallest and the largest."""

    if len(shares) <= 3:
        return " · ".join(map(percent, shares))

    return f"{percent(min(shares))} to {percent(max(shares))}"
