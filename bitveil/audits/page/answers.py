"""The figures of use: how well the target is predicted, and how the answers differ."""

from scipy.stats import binomtest

from bitveil.audits.fairness import Difference
from bitveil.audits.page.labels import POINTS, interval_text, merged, merged_lines, points_text
from bitveil.audits.page.marks import Axis, DataTable, Line, Mark, Row, RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.probes import Probe
from bitveil.audits.rounding import at_most, percent, points
from bitveil.audits.uses import Use
from bitveil.audits.words import those_with

__all__ = ["differences_of", "price_of", "use_of"]


def use_of(view: View) -> RowPlot | None:
    """How well classifiers predict the target from the codes."""

    found = view.audit
    if not found.uses:
        return None
    probes = [used.probe for used in found.uses]
    rows = merged([_use_row(probe) for probe in probes])
    assert found.most_frequent_target is not None
    base = found.most_frequent_target

    return RowPlot(
        f"{view.key}-use",
        f"How well classifiers predict {view.target} from the codes",
        "How often classifiers that see only the codes are right, on rows that they were not "
        "trained on. The line is an exact interval of 95 %.",
        axis_of(
            [base, *(end for row in rows for mark in row.marks for end in _ends(mark))],
            "percent",
            "accuracy",
        ),
        rows,
        DataTable(
            (
                "Classifier",
                "Accuracy",
                "AUC",
                "Gap of its answers, points",
                *(f"Gap {_rows_of(view, metric)}, points" for metric in _metrics(view)),
            ),
            merged_lines(
                (
                    used.probe.family,
                    f"{used.probe.accuracy:.3f}{interval_text(_accuracy_interval(used.probe))}",
                    f"{used.probe.auc:.3f}{interval_text(used.probe.auc_interval)}",
                    f"{points(used.gap)}{_between(used.gap_interval)}",
                    *(points_text(d.value) for d in used.differences),
                )
                for used in found.uses
            ),
        ),
        (Line(base, f"always the most frequent value: {percent(base)}"),),
        other=Axis(0.0, 1.0, POINTS.ticks, "percent", "accuracy"),
    )


def price_of(view: View) -> DataTable | None:
    """What a model without protection reaches on the same rows, beside the code."""

    price = view.audit.price
    if price is None:
        return None
    said = percent if price.measure == "accuracy" else "{:.3f}".format
    kinds = (
        (f"all columns, no protection: {price.source}", price.unprotected),
        ("the published codes", price.protected),
    )
    rows = [(name, said(each.score), f"{points(each.gap)} points") for name, each in kinds]
    constant = ("nothing: always the same answer", said(price.constant), "0.0 points")

    return DataTable(
        (
            "What a model sees",
            "Right" if price.measure == "accuracy" else "R²",
            " ".join(filter(None, ("Gap", view.between, view.among_leading * bool(price.among)))),
        ),
        (*rows, constant),
    )


def differences_of(view: View) -> RowPlot | None:
    """How much the answers of these classifiers differ between groups, beside the bounds."""

    found = view.audit
    if not found.uses:
        return None
    parity = view.parity.certificate
    gaps = [i.certificate for i in view.gaps]
    asked = [(used.probe.family, _measured(used, parity.bound)) for used in found.uses]
    rows = merged([_difference_row(view, *each) for each in asked])
    lines = tuple(
        Line(c.bound, f"certified, {c.quantity.notion}: at most {at_most(c.bound)}{view.doubt}")
        for c in (gaps if _metrics(view) else [parity])
    )
    ends = [end for row in rows for mark in row.marks for end in _ends(mark)]

    return RowPlot(
        f"{view.key}-differences",
        f"How much their answers differ {view.between}",
        "How much more often a classifier says yes to one group than to another. "
        f"{_meaning_of_yes(view)}"
        "The line is a bootstrap interval of 95 %. The certified bounds hold for every other rule "
        "that sees only the codes, too.",
        axis_of(
            [*ends, *(line.value for line in lines)],
            "points",
            POINTS.label,
            low=0.0,
        ),
        rows,
        DataTable(
            ("Classifier", "Difference", "Measured, points", "95 % interval", "Certified, points"),
            merged_lines(
                (
                    family,
                    _rows_of(view, d.metric),
                    points_text(d.value),
                    "" if d.interval is None else " to ".join(map(points_text, d.interval)),
                    "" if d.bound is None else at_most(d.bound) + view.doubt,
                )
                for family, measured in asked
                for d in measured
            ),
        ),
        lines,
        legend=tuple((_rows_of(view, d.metric), j) for j, d in enumerate(asked[0][1])),
        other=POINTS,
    )


def _use_row(probe: Probe) -> Row:
    low, high = _accuracy_interval(probe)
    text = f"{percent(probe.accuracy)} ({percent(low)} to {percent(high)})"
    marks = (
        Mark(low, f"95 % interval: {percent(low)} to {percent(high)}", end=high, kind="whisker"),
        Mark(probe.accuracy, f"{probe.family}: {text}"),
    )

    return Row(probe.family, text, marks)


def _difference_row(view: View, family: str, measured: tuple[Difference, ...]) -> Row:
    marks = []
    for series, d in enumerate(measured):
        if d.value is None:
            continue
        down = (series + 1) / (len(measured) + 1)
        if d.interval is not None:
            low, high = d.interval
            says = f"{_rows_of(view, d.metric)}, 95 % interval: {points(low)} to {points(high)}"
            marks.append(Mark(low, says, high, series, "whisker", down))
        says = f"{family}, {_rows_of(view, d.metric)}: {points(d.value)} points"
        marks.append(Mark(d.value, says, series=series, down=down))

    return Row(family, " · ".join(points_text(d.value) for d in measured), tuple(marks))


def _measured(used: Use, bound: float) -> tuple[Difference, ...]:
    """The differences of a classifier's answers, or just the parity gap if there are none."""

    return used.differences or (Difference("parity gap", used.gap, used.gap_interval, bound),)


def _rows_of(view: View, metric: str) -> str:
    """Among which rows a rate of answers is taken."""

    values = view.audit.target_values
    if len(values) != 2:
        return "among all rows"
    negative, positive = values
    rows = {
        "true positive rate": f"among {those_with(view.audit.target, positive)}",
        "false positive rate": f"among {those_with(view.audit.target, negative)}",
    }

    return rows.get(metric, "among all rows")


def _meaning_of_yes(view: View) -> str:
    """What yes means, where the target has two values."""

    values = view.audit.target_values
    if len(values) != 2:
        return ""

    return f"Yes means that it counts a row among {those_with(view.audit.target, values[1])}. "


def _accuracy_interval(probe: Probe) -> tuple[float, float]:
    """The exact interval of 95 % of the accuracy, by Clopper and Pearson."""

    n = sum(probe.sizes)
    found = binomtest(round(probe.accuracy * n), n).proportion_ci(0.95, "exact")

    return float(found.low), float(found.high)


def _ends(mark: Mark) -> list[float]:
    return [mark.value] if mark.end is None else [mark.value, mark.end]


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({points(interval[0])} to {points(interval[1])})"


def _metrics(view: View) -> list[str]:
    return [d.metric for d in view.audit.uses[0].differences] if view.audit.uses else []
