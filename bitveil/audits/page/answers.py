"""The figures of use: how well the target is predicted, and how the answers differ."""

from bitveil.audits.fairness import Difference
from bitveil.audits.page.labels import POINTS, interval_text, points_text
from bitveil.audits.page.marks import Axis, DataTable, Line, Mark, Row, RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.rounding import at_most, percent
from bitveil.audits.uses import Use

__all__ = ["differences_of", "use_of"]


def use_of(view: View) -> RowPlot | None:
    """How well classifiers predict the target from the codes."""

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

    return RowPlot(
        f"{view.key}-use",
        f"How well classifiers predict {view.target} from the codes",
        "The accuracy of classifiers that see only the codes, on rows that they were not trained "
        "on. A thin line is a bootstrap interval of 95 %.",
        axis_of(
            [base, *(mark.value for row in rows for mark in row.marks)], "percent", "accuracy"
        ),
        tuple(rows),
        DataTable(
            ("Classifier", "Accuracy", "AUC", "Parity gap, points", *_metrics(view)),
            tuple(
                (
                    used.probe.family,
                    f"{used.probe.accuracy:.3f}{interval_text(used.probe.accuracy_interval)}",
                    f"{used.probe.auc:.3f}{interval_text(used.probe.auc_interval)}",
                    f"{100 * used.gap:.1f}",
                    *(points_text(d.value) for d in used.differences),
                )
                for used in found.uses
            ),
        ),
        (Line(base, f"always the most frequent value: {percent(base)}"),),
        other=Axis(0.0, 1.0, POINTS.ticks, "percent", "accuracy"),
    )


def differences_of(view: View) -> RowPlot | None:
    """How much the answers of these classifiers differ between groups, beside the bounds."""

    found = view.audit
    if not found.uses:
        return None
    parity = view.parity.certificate
    gaps = [i.certificate for i in view.gaps]
    asked = [(used.probe.family, _measured(used, parity.bound)) for used in found.uses]
    rows = [
        Row(
            family,
            " · ".join(points_text(d.value) for d in measured),
            tuple(
                Mark(
                    d.value, f"{family}, {d.metric}: {points_text(d.value)} points", series=series
                )
                for series, d in enumerate(measured)
                if d.value is not None
            ),
        )
        for family, measured in asked
    ]
    lines = tuple(
        Line(c.bound, f"certified, {c.quantity.name}: at most {at_most(c.bound)}{view.doubt}")
        for c in (gaps if _metrics(view) else [parity])
    )

    return RowPlot(
        f"{view.key}-differences",
        f"How much their answers differ {view.between}",
        "How much groups differ in how often a classifier answers yes: among all rows (selection "
        "rate), among rows where yes is right (true positive rate), and among rows where it is "
        "wrong (false positive rate). The certified bounds hold for every other classifier of the "
        "codes too.",
        axis_of(
            [mark.value for row in rows for mark in row.marks] + [line.value for line in lines],
            "points",
            POINTS.label,
            low=0.0,
        ),
        tuple(rows),
        DataTable(
            ("Classifier", "Difference", "Measured, points", "95 % interval", "Certified, points"),
            tuple(
                (
                    family,
                    d.metric,
                    points_text(d.value),
                    "" if d.interval is None else " to ".join(map(points_text, d.interval)),
                    "" if d.bound is None else at_most(d.bound) + view.doubt,
                )
                for family, measured in asked
                for d in measured
            ),
        ),
        lines,
        legend=tuple((d.metric, series) for series, d in enumerate(asked[0][1])),
        other=POINTS,
    )


def _measured(used: Use, bound: float) -> tuple[Difference, ...]:
    """The differences of a classifier's answers, or just the parity gap if there are none."""

    return used.differences or (Difference("parity gap", used.gap, None, bound),)


def _metrics(view: View) -> list[str]:
    return [d.metric for d in view.audit.uses[0].differences] if view.audit.uses else []
