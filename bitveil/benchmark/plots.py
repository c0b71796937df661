"""Fronts as figures: one for each data set and kind of gap, always the same bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.benchmark.fronts import Gap, choice, front
from bitveil.benchmark.intervals import interval
from bitveil.benchmark.methods import METHODS, UNPROTECTED
from bitveil.benchmark.standings import least_certified

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GAPS",
    "LINE_COLOURS",
    "SVG_STYLE",
    "draw_all",
    "draw_fronts",
    "fronts",
    "ranked",
    "title",
]

GAPS: dict[Gap, tuple[str, str]] = {
    "bound": ("certified", "certified gap (at most)"),
    "attack_gap": ("attack", "gap of the worst attacker (at most, on the rows to select)"),
    "gap": ("classifiers", "worst parity gap of the classifiers (at most, on the rows to select)"),
}
"""The kinds of gaps, with the names of their files and axes."""

LINE_COLOURS = {
    "bitveil": "#0072b2",
    "bitveil-posterior": "#003f7f",
    "bitveil-sampled": "#56b4e9",
    "paper": "#c44e00",
    "tree": "#00795a",
    "tree-posterior": "#55b78f",
    UNPROTECTED: "#a6448b",
}
"""The colours of some methods. All others are thin and grey."""

SVG_STYLE: Any = {"svg.hashsalt": "bitveil"}
"""Without a salt, and a fixed date, the same figure would have other bytes each time."""

AT = (0.05, 0.10, 0.20)
"""The gaps at which intervals are drawn."""

GRID_POINTS = 241
SIZE = (8.4, 4.6)  # inches


class Front(NamedTuple):
    """The front of a method: the accuracy of each split at each level."""

    method: str
    levels: NDArray[np.float64]
    splits: NDArray[np.float64]
    first: int

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean over splits. It is NaN before the first level that any split reaches."""

        mean: NDArray[np.float64] = self.splits.mean(0)
        mean[: self.first] = np.nan

        return mean


def title(method: str) -> str:
    """The title of a method, or its short name if it is unknown."""

    return METHODS[method].title if method in METHODS else method


def ranked(method: str) -> bool:
    """Whether a method competes."""

    return method not in METHODS or METHODS[method].ranked


def draw_all(table: pd.DataFrame, folder: Path) -> Iterator[Path]:
    """Draw all figures into a folder, as SVG, and yield their paths.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    matplotlib = _matplotlib()
    for dataset in table["dataset"].unique():
        for gap, (name, _) in GAPS.items():
            path = folder / f"{dataset}-{name}.svg"
            with matplotlib.rc_context(SVG_STYLE):
                draw_fronts(table, str(dataset), gap).savefig(path, metadata={"Date": None})
            yield path


def draw_fronts(table: pd.DataFrame, dataset: str, gap: Gap) -> "Figure":
    """Draw the fronts of one data set: test accuracy against the gap.

    A line is the mean over splits. It begins where the first split reaches a gap; splits that do
    not reach it count as the majority class. A band goes from the worst split to the best. A bar
    is the bootstrap interval of 95 % over the test rows, averaged over splits.

    Arguments:
        table: The finished records.
        dataset: The data set.
        gap: The kind of gap.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    _matplotlib()
    from matplotlib.figure import Figure

    rows = table[table["dataset"] == dataset]
    largest = _largest(rows, gap)
    found = fronts(rows, gap, np.linspace(0, largest, GRID_POINTS))
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes((0.085, 0.115, 0.545, 0.81))
    for each in found:
        _line(axes, each)
    for place, method in enumerate(each.method for each in found if each.method in LINE_COLOURS):
        _intervals(axes, rows[rows["method"] == method], gap, (place - 3) * largest / 110)
    if gap == "bound":
        found += _fare(axes, rows, np.linspace(0, largest, GRID_POINTS))
        _shade_uncertifiable(axes, rows)
    axes.axhline(rows["test_majority"].mean(), color="black", lw=0.8, ls=(0, (1, 2)))
    axes.set(xlim=(0, largest), xlabel=GAPS[gap][1], ylabel="accuracy on the test rows")
    splits = rows["seed"].nunique()
    axes.set_title(f"{dataset}: {splits} split{'s' * (splits > 1)}", fontsize="medium", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    _limit_axis(axes, found, rows["test_majority"].mean())
    _write_names(
        axes, [(each.mean[-1], each.method) for each in found], rows["test_majority"].mean()
    )

    return figure


def fronts(rows: pd.DataFrame, gap: Gap, levels: NDArray[np.float64]) -> list[Front]:
    """The fronts of all methods that have one, with the coloured ones last, on top."""

    found = []
    for method, some in rows.groupby("method", sort=False):
        splits = np.array([front(cell, gap, levels.tolist()) for _, cell in some.groupby("seed")])
        column = "bound" if gap == "bound" else f"select_{gap}"
        least = some[column].min() if column in some else np.nan
        if least <= levels[-1]:
            first = int(np.searchsorted(levels, least))
            found.append(_steps(str(method), levels, splits, first))
    order = list(LINE_COLOURS)

    return sorted(found, key=lambda f: -order.index(f.method) if f.method in order else -99)


def _steps(
    method: str, levels: NDArray[np.float64], splits: NDArray[np.float64], first: int
) -> Front:
    """A front, with only its ends and the levels where it changes."""

    kept = np.r_[True, (np.diff(splits) != 0).any(0)]
    kept[[first, -1]] = True

    return Front(method, levels[kept], splits[:, kept], int(kept[:first].sum()))


def _largest(rows: pd.DataFrame, gap: Gap) -> float:
    """A little more than the gap without protection, or else than the largest gap."""

    column = "select_attack_gap" if gap == "attack_gap" else "select_gap"
    free = rows[rows["method"] == UNPROTECTED]
    largest = rows[column].max() if free.empty else free[column].max()

    return float(max(1.08 * largest, 0.22))


def _line(axes: "Axes", each: Front) -> None:
    colour, width = LINE_COLOURS.get(each.method, "#8a8a8a"), 0.8
    if each.method in LINE_COLOURS:
        width = 2.4 if each.method.startswith("bitveil") else 1.6
        low, high = each.splits.min(0), each.splits.max(0)
        low[: each.first] = high[: each.first] = np.nan
        axes.fill_between(
            each.levels, low, high, step="post", color=colour, alpha=0.13, linewidth=0
        )
    style = "-" if ranked(each.method) else "--"
    axes.plot(each.levels, each.mean, style, color=colour, lw=width, drawstyle="steps-post")


def _intervals(axes: "Axes", rows: pd.DataFrame, gap: Gap, aside: float) -> None:
    """Bars at a few levels. Each method's bar is a little aside, so that all are visible."""

    for level in AT:
        picked = [choice(cell, gap, level) for _, cell in rows.groupby("seed")]
        known: list[Any] = [record for record in picked if record is not None]
        if not known or len(known) < len(picked):
            continue
        ends = np.mean([interval(record)["accuracy"] for record in known], axis=0)
        axes.vlines(
            level + aside, *ends, color=LINE_COLOURS[str(rows["method"].iloc[0])], lw=1.1, zorder=4
        )


def _fare(axes: "Axes", rows: pd.DataFrame, levels: NDArray[np.float64]) -> list[Front]:
    """Trees with FARE's own bound, dotted. It is not corrected for choices."""

    if "bound_fare" not in rows:
        return []
    trees = rows[rows["method"].isin(["tree", "tree-posterior"])]
    found = fronts(trees.assign(bound=trees["bound_fare"]), "bound", levels)
    for each in found:
        axes.plot(
            *(each.levels, each.mean, ":"), color=LINE_COLOURS[each.method], drawstyle="steps-post"
        )

    return [each._replace(method=f"{each.method} (FARE's own bound)") for each in found]


def _shade_uncertifiable(axes: "Axes", rows: pd.DataFrame) -> None:
    """Shade the gaps that these rows cannot certify."""

    least = least_certified(rows)["all"].iloc[0]
    axes.axvspan(0, least, color="#b00020", alpha=0.1, linewidth=0)
    axes.text(
        least / 2,
        0.5,
        f"below {least:.3f}: not certifiable with these rows",
        transform=axes.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="center",
        fontsize=7,
        color="#7a0016",
    )


def _limit_axis(axes: "Axes", found: Sequence[Front], majority: float) -> None:
    """Limit the axis: from a little below the majority to the highest front."""

    if not found:
        return
    high = max(float(np.nanmax(each.splits)) for each in found)
    height = max(high - majority, 0.02)
    axes.set_ylim(majority - 0.08 * height, high + 0.06 * height)


def _write_names(axes: "Axes", ends: list[tuple[float, str]], majority: float) -> None:
    """Write each line's name at its end. Names that would overlap move apart."""

    low, high = axes.get_ylim()
    known = [(majority, "majority class"), *((y, m) for y, m in ends if np.isfinite(y))]
    known = sorted((float(np.clip(y, low, high)), name) for y, name in known)
    places = _moved_apart([(y - low) / (high - low) for y, _ in known], 0.043)
    for (y, name), place in zip(known, places, strict=True):
        method, _, rest = name.partition(" (FARE")
        colour = LINE_COLOURS.get(method, "black" if name == "majority class" else "#5a5a5a")
        bold = "bold" if name.startswith("bitveil") else "normal"
        axes.annotate(
            title(method) + (f" (FARE{rest}" if rest else ""),
            xy=(1.0, (y - low) / (high - low)),
            xytext=(1.045, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=7.5,
            fontweight=bold,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.5,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _moved_apart(places: list[float], least: float) -> list[float]:
    """Ascending places from 0 to 1, moved apart as little as possible.

    Example:
        >>> [round(place, 2) for place in _moved_apart([0.5, 0.5, 0.9], 0.1)]
        [0.45, 0.55, 0.9]
    """

    # Names that touch form a block. Its middle is the middle of their own places.
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _block_start(blocks[-2], least) + least * len(
            blocks[-2]
        ) > _block_start(blocks[-1], least):
            last = blocks.pop()
            blocks[-1] += last

    return [_block_start(block, least) + least * i for block in blocks for i in range(len(block))]


def _block_start(block: list[float], least: float) -> float:
    """The place of the first name of a block, inside the frame."""

    length = least * (len(block) - 1)

    return min(max(float(np.mean(block)) - length / 2, 0.0), max(1.0 - length, 0.0))


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "The figures need matplotlib: `pip install 'bitveil[plots]'`, or `matplotlib`."
        ) from error

    return matplotlib
