"""The overview of the benchmark: one figure and two small tables for all data sets."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bitveil.benchmark.document import Block, Figure, Heading, Items, PageTable, Text
from bitveil.benchmark.fronts import done, most_accurate, reached
from bitveil.benchmark.losses import counted, counted_by_place
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.names import is_ours, label, marks_explained, ranked, title
from bitveil.benchmark.plots import LINE_COLOURS, OTHER_COLOUR, SVG_STYLE, fronts
from bitveil.benchmark.sections import confidence
from bitveil.benchmark.standings import best_first, means, standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["OVERVIEW", "draw_overview", "overview", "save_overview"]

OVERVIEW = "overview.svg"
"""The file of the figure."""

AT_LEVELS = (0.05, 0.10)
"""The certified gaps of the tables."""

COLUMNS = 5
SIZE_OF_PANEL = (1.84, 1.25)  # inches


def overview(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """The overview: what is compared, the figure, the tables, and what the numbers claim.

    Arguments:
        records: All records. At least one is finished.
    """

    table = done(records)
    stands = standings(table)
    yield Text(
        "How useful is a code if the gap of every classifier of it is certified? All methods see "
        "the same rows, and are compared at the same gaps. At each gap one configuration is "
        "chosen on the rows to select, and certified once. If its bound is above the gap, some "
        "rows get a blank instead of a code, so that the bound is at the gap."
    )
    yield Figure(OVERVIEW, "Accuracy on the test rows against the certified gap, by data set")
    yield from _accuracy_tables(table)
    yield Text(_competitors(table))
    yield Heading("Where others are ahead")
    yield Text(counted(stands))
    yield counted_by_place(stands)
    yield Heading("What the numbers claim")
    yield Items(tuple(_claims(table)))


def _competitors(table: pd.DataFrame) -> str:
    """How many methods compete, with which kind of representation, and who does not."""

    finite = set(reached(table, "certified", AT_LEVELS)["method"])
    there = [str(m) for m in table["method"].unique()]
    competing = [m for m in there if ranked(m)]
    codes = sum(m in finite for m in competing)
    outside = ", ".join(label(m) for m in there if not ranked(m))

    return (
        f"{len(competing)} methods compete: {codes} with finite codes, which can be certified, "
        f"and {len(competing) - codes} with real numbers or too many codes. The pages of the data "
        "sets compare all of them at measured gaps. "
        + (f"Outside are {outside}. {marks_explained(there)}" if outside else "")
    )


def _claims(table: pd.DataFrame) -> Iterator[str]:
    yield (
        f"A certified gap holds for every classifier of the codes, with probability "
        f"{confidence(table)}. Each number of a table alone holds with this probability, not all "
        "of them at once."
    )
    yield (
        "Rows with a blank get the majority's answer. So every method can meet every gap, and the "
        "figures compare encoders. The page of a data set says how many rows have a code."
    )
    yield (
        "A gap of attackers or classifiers is measured on the test rows, and certifies nothing. "
        "Representations of real numbers have no other gap."
    )
    yield (
        "The page of a data set gives the standard deviation over splits (±). Smaller differences "
        "mean nothing. The splits share their test rows."
    )


def _methods(table: pd.DataFrame) -> list[str]:
    """The competing methods with finite codes, best first."""

    found = reached(table, "certified", AT_LEVELS)

    return [m for m in best_first(found, "dataset") if ranked(m)] if len(found) else []


def _accuracy_tables(table: pd.DataFrame) -> Iterator[Block]:
    methods = _methods(table)
    found = means(reached(table[table["method"].isin(methods)], "certified", AT_LEVELS))
    for level in AT_LEVELS if methods else ():
        at = found[found["level"] == level].pivot(
            index="method", columns="dataset", values="value"
        )
        yield _table_at(level, table, at.loc[methods])
    yield Text(
        "Accuracy on the test rows in %, mean over splits. Bold is the highest. – means that the "
        "method did not run on the data set. Methods are sorted by their gain over the majority "
        "class. No protection is a network's representation in real numbers, scored like the "
        "others."
        if methods
        else "No competing method in these records has codes that can be certified."
    )


def _table_at(level: float, table: pd.DataFrame, values: pd.DataFrame) -> PageTable:
    """A line for each method, and a column for each data set."""

    datasets = sorted(table["dataset"].unique())
    majority = table.groupby("dataset")["test_majority"].mean()
    most, free = values.max(), _free_accuracy(table)
    lines = [
        (title(str(method)), *(_cell(row.get(d, math.nan), most.get(d)) for d in datasets))
        for method, row in values.iterrows()
    ]
    lines.append(("majority class", *(_cell(majority[d]) for d in datasets)))
    lines.append(("no protection", *(_cell(free.get(d, math.nan)) for d in datasets)))

    return PageTable((f"certified gap {level:.2f}", *map(str, datasets)), tuple(lines))


def _cell(value: float, highest: float | None = None) -> str:
    if math.isnan(value):
        return "–"
    text = f"{100 * value:.1f}"

    return f"**{text}**" if value == highest else text


def _free_accuracy(table: pd.DataFrame) -> "pd.Series[float]":
    """The accuracy of each data set without protection, by the name of the data set."""

    free = most_accurate(table[table["method"] == UNPROTECTED])

    return free.groupby("dataset")["test_accuracy"].mean()


def draw_overview(table: pd.DataFrame) -> "Drawing":
    """Draw the certified fronts of all data sets, a panel for each.

    A line is the mean over splits. Dots are the majority class, and dashes no protection.

    Arguments:
        table: The finished records.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    from matplotlib.figure import Figure as Drawing

    datasets = sorted(map(str, table["dataset"].unique()))
    methods, free = _methods(table), _free_accuracy(table)
    rows, columns = math.ceil(len(datasets) / COLUMNS), min(COLUMNS, len(datasets))
    width, height = SIZE_OF_PANEL
    drawing = Drawing(figsize=(width * columns, height * rows + 0.7), layout="constrained")
    panels = drawing.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, dataset in zip(panels, datasets, strict=False):
        some = table[table["dataset"] == dataset]
        _panel(axes, some, methods, free.get(dataset, math.nan))
        axes.set_title(dataset, fontsize="medium", loc="left")
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    drawing.supxlabel("certified gap", fontsize="medium")
    drawing.supylabel("accuracy on the test rows", fontsize="medium")
    _name_lines(drawing, methods)

    return drawing


def _panel(axes: "Axes", rows: pd.DataFrame, methods: list[str], free: float) -> None:
    axes.axhline(rows["test_majority"].mean(), color="black", lw=0.9, ls=":")
    if not math.isnan(free):
        axes.axhline(free, color=LINE_COLOURS[UNPROTECTED], lw=1.1, ls="--")
    found = fronts(rows[rows["method"].isin(methods)], "certified")
    for each in found:
        width = 2.2 if is_ours(each.method) else 1.4
        axes.plot(each.levels, each.mean, color=each.colour, lw=width)
    axes.set_xlim(0, max((each.levels[-1] for each in found), default=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _name_lines(drawing: "Drawing", methods: list[str]) -> None:
    from matplotlib.lines import Line2D

    known = {method: LINE_COLOURS[method] for method in LINE_COLOURS if method in methods}
    others = {} if set(methods) <= set(known) else {"other finite codes": OTHER_COLOUR}
    named = [
        *(
            Line2D([], [], color=colour, lw=2, label=title(name))
            for name, colour in (known | others).items()
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
