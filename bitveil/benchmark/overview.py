"""The overview of the benchmark: one figure and one table for all data sets."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bitveil.benchmark.document import Block, Figure, PageTable, Text
from bitveil.benchmark.fronts import chosen, done
from bitveil.benchmark.losses import losses_counted
from bitveil.benchmark.methods import METHODS, UNPROTECTED
from bitveil.benchmark.plots import LINE_COLOURS, SVG_STYLE, fronts, ranked, title
from bitveil.benchmark.sections import of_splits
from bitveil.benchmark.standings import certified_accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["OVERVIEW", "draw_overview", "overview", "save_overview"]

OVERVIEW = "overview.svg"
"""The file of the figure."""

AT_LEVEL = 0.15
"""The certified gap of the table."""

AXIS_END = 0.4  # the end of the axis of gaps
COLUMNS = 3
SIZE_OF_PANEL = (3.0, 1.25)  # inches


def overview(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """The overview: what is compared, the figure, the table, and how to read them.

    Arguments:
        records: All records. At least one is finished.
    """

    table = done(records)
    delta = ", ".join(f"{100 * (1 - d):g} %" for d in sorted(table["delta"].unique()))
    yield Text(
        "How useful is a code if the gap of every classifier of it is certified? All methods "
        "see the same rows and get the same number of configurations. The bounds hold with "
        f"probability {delta}, corrected for all configurations of a method."
    )
    yield Figure(
        OVERVIEW, "Accuracy on the test rows against the certified gap, for each data set"
    )
    yield _accuracy_table(table)
    yield Text(
        f"Accuracy on the test rows in %, at a certified gap of at most {AT_LEVEL:.2f}, mean over "
        "splits. – means that no configuration is certified. In brackets is the number of "
        "certified splits, if not all. Bold is the highest certified accuracy. The majority class "
        "needs no code. No protection is a network's representation in real numbers, scored like "
        "the others. It has no certificate."
    )
    yield Text(losses_counted(table))
    yield Text(
        "All bounds come from the versions that made the records. Later versions can certify more "
        "with the same rows."
    )


def _methods(table: pd.DataFrame) -> list[str]:
    """The methods that have bounds and ran on most data sets, in the order of their colours."""

    some = table[table["bound"].notna()] if "bound" in table else table[:0]
    wide = some.groupby("method")["dataset"].nunique()
    known = {str(m) for m in wide[wide * 2 > table["dataset"].nunique()].index if ranked(str(m))}

    return sorted(known, key=lambda m: [*LINE_COLOURS, *METHODS, m].index(m))


def _accuracy_table(table: pd.DataFrame) -> PageTable:
    methods = _methods(table)
    found = certified_accuracy(table, [AT_LEVEL])
    there = {(row["dataset"], row["method"]): row for _, row in found.iterrows()}
    lines = []
    for dataset, rows in table.groupby("dataset", sort=True):
        best = max(
            (there[dataset, m]["accuracy"] for m in methods if _is_certified((dataset, m), there)),
            default=math.nan,
        )
        lines.append(
            (
                str(dataset),
                f"{100 * rows['test_majority'].mean():.1f}",
                *(_cell(there.get((dataset, method)), best) for method in methods),
                _free(rows),
            )
        )
    names = [title(method).removeprefix("the paper: ") for method in methods]

    return PageTable(("data set", "majority class", *names, "no protection"), tuple(lines))


def _is_certified(key: tuple[Any, str], there: "dict[tuple[Any, Any], pd.Series[Any]]") -> bool:
    return key in there and there[key]["certified"] > 0


def _cell(row: "pd.Series[Any] | None", best: float) -> str:
    if row is None or row["certified"] == 0:
        return "–"
    text = f"{100 * row['accuracy']:.1f}" + of_splits(row["certified"], row["splits"])

    return f"**{text}**" if row["accuracy"] == best else text


def _free(rows: pd.DataFrame) -> str:
    """The accuracy without protection."""

    accuracy = _of_unprotected(rows)

    return "–" if math.isnan(accuracy) else f"{100 * accuracy:.1f}"


def _of_unprotected(rows: pd.DataFrame) -> float:
    free = chosen(rows[rows["method"] == UNPROTECTED], "attack_gap", math.inf)

    return math.nan if free.empty else float(free["test_accuracy"].mean())


def draw_overview(table: pd.DataFrame) -> "Drawing":
    """Draw the certified fronts of all data sets, a panel for each.

    A line is the mean over splits, as in `draw_fronts`. It begins where the first split can be
    certified. Dots are the majority class, and dashes no protection.

    Arguments:
        table: The finished records.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    from matplotlib.figure import Figure as Drawing

    datasets = sorted(map(str, table["dataset"].unique()))
    rows, columns = math.ceil(len(datasets) / COLUMNS), min(COLUMNS, len(datasets))
    width, height = SIZE_OF_PANEL
    drawing = Drawing(figsize=(width * columns, height * rows + 0.7), layout="constrained")
    panels = drawing.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, dataset in zip(panels, datasets, strict=False):
        _panel(axes, table[table["dataset"] == dataset], dataset, _methods(table))
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    drawing.supxlabel("certified gap (at most)", fontsize="medium")
    drawing.supylabel("accuracy on the test rows", fontsize="medium")
    _name_lines(drawing, _methods(table))

    return drawing


def _panel(axes: "Axes", rows: pd.DataFrame, dataset: str, methods: list[str]) -> None:
    majority, free = rows["test_majority"].mean(), _of_unprotected(rows)
    axes.axhline(majority, color="black", lw=0.9, ls=":")
    if not math.isnan(free):
        axes.axhline(free, color=LINE_COLOURS[UNPROTECTED], lw=1.1, ls="--")
    found = fronts(rows[rows["method"].isin(methods)], "bound", np.linspace(0, AXIS_END, 161))
    for each in found:
        width = 2.2 if each.method.startswith("bitveil") else 1.4
        axes.plot(
            *(each.levels, each.mean),
            color=LINE_COLOURS.get(each.method, "#8a8a8a"),
            lw=width,
            drawstyle="steps-post",
        )
    axes.set_title(dataset, fontsize="medium", loc="left")
    axes.set_xlim(0, AXIS_END)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _name_lines(drawing: "Drawing", methods: list[str]) -> None:
    from matplotlib.lines import Line2D

    named = [
        *(
            Line2D([], [], color=LINE_COLOURS.get(m, "#8a8a8a"), lw=2, label=title(m))
            for m in methods
        ),
        Line2D([], [], color=LINE_COLOURS[UNPROTECTED], ls="--", label="no protection"),
        Line2D([], [], color="black", ls=":", label="majority class"),
    ]
    drawing.legend(handles=named, loc="outside upper center", ncols=3, fontsize=8, frameon=False)


def save_overview(table: pd.DataFrame, folder: Path) -> Path:
    """Draw the overview into a folder, as SVG, with the same bytes each time.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    import matplotlib

    path = folder / OVERVIEW
    with matplotlib.rc_context(SVG_STYLE):
        draw_overview(table).savefig(path, metadata={"Date": None})

    return path
