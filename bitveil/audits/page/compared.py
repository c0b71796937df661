"""The figures that show several audits side by side."""

from collections.abc import Sequence

from bitveil.audits.page.labels import POINTS, band, between, dot
from bitveil.audits.page.marks import DataTable, Point, PointPlot, Row, RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.rounding import at_least, at_most, percent

__all__ = ["compared"]


def compared(views: Sequence[View]) -> list[RowPlot | PointPlot]:
    """The figures and the table that show several audits side by side."""

    rows = [
        Row(
            view.label,
            between(view.headline) + view.doubt,
            (
                band(view.headline),
                dot(view.headline),
            ),
            "; ".join(filter(None, (view.among(view.headline), view.blanks))),
        )
        for view in views
    ]
    table = DataTable(
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
                "; ".join(filter(None, (view.code, view.blanks))),
                str(view.audit.n_rows),
                view.headline.certificate.quantity.name,
                at_least(view.headline.least),
                at_most(view.headline.certificate.bound) + view.doubt,
                f"{view.audit.information_bits:.4f}",
                f"{max(probe.auc for probe in view.audit.attackers):.3f}",
                "" if view.audit.use_accuracy is None else f"{view.audit.use_accuracy:.3f}",
            )
            for view in views
        ),
    )
    plots: list[RowPlot | PointPlot] = [
        RowPlot(
            "compared-gaps",
            "How much answers can differ",
            "The band goes from the lower to the upper bound; the dot is measured.",
            axis_of(
                [view.headline.certificate.bound for view in views],
                "points",
                POINTS.label,
                low=0.0,
            ),
            tuple(rows),
            table,
            other=POINTS,
        )
    ]
    used = [view for view in views if view.audit.use_accuracy is not None]
    if len(used) > 1:
        accuracies = [float(view.audit.use_accuracy or 0) for view in used]
        plots.append(
            PointPlot(
                "compared-use",
                "Gap and use of each code",
                "Further up is more useful, further left is safer.",
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
                        f"{view.label}: gap {between(view.headline)}{view.doubt}, "
                        f"accuracy {percent(accuracy)}",
                        view.label,
                    )
                    for view, accuracy in zip(used, accuracies, strict=True)
                ),
                table,
            )
        )

    return plots
