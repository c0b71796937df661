"""Fronts as figures: one for each data set and kind of gap, always the same bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.benchmark.fronts import GapKind, reached
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.names import is_ours, ranked, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AXES",
    "GRID",
    "LINE_COLOURS",
    "OTHER_COLOUR",
    "SVG_STYLE",
    "draw_all",
    "draw_fronts",
    "fronts",
]

AXES: dict[GapKind, tuple[str, str]] = {
    "certified": ("certified", "certified gap"),
    "attack_gap": ("attack", "gap of the worst attacker on the test rows"),
    "gap": ("classifiers", "gap of the worst classifier on the test rows"),
}
"""The kinds of gaps, with the names of their files and axes."""

LINE_COLOURS = {
    "bitveil": "#0072b2",
    "bitveil-goal": "#003f7f",
    "bitveil-raw": "#56b4e9",
    "paper": "#c44e00",
    "tree": "#00795a",
    "tree-posterior": "#55b78f",
    "rule": "#b8860b",
    UNPROTECTED: "#a6448b",
}
"""The colours of some methods. All others are thin and grey."""

OTHER_COLOUR = "#8a8a8a"

SVG_STYLE: Any = {"svg.hashsalt": "bitveil"}
"""Without a salt, and a fixed date, the same figure would have other bytes each time."""

GRID = np.linspace(0, 0.25, 51).tolist()
"""The levels of a front."""

SIZE = (8.4, 4.6)  # inches


class Front(NamedTuple):
    """The front of a method: the accuracy of each split at each level."""

    method: str
    levels: Sequence[float]
    splits: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean over splits."""

        mean: NDArray[np.float64] = self.splits.mean(0)

        return mean

    @property
    def colour(self) -> str:
        """The colour of its line."""

        return LINE_COLOURS.get(self.method, OTHER_COLOUR)


def draw_all(table: pd.DataFrame, folder: Path) -> Iterator[Path]:
    """Draw all figures into a folder, as SVG, and yield their paths.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    matplotlib = _matplotlib()
    for dataset in table["dataset"].unique():
        for kind, (name, _) in AXES.items():
            path = folder / f"{dataset}-{name}.svg"
            with matplotlib.rc_context(SVG_STYLE):
                draw_fronts(table, str(dataset), kind).savefig(path, metadata={"Date": None})
            yield path


def draw_fronts(table: pd.DataFrame, dataset: str, kind: GapKind) -> "Figure":
    """Draw the fronts of one data set: test accuracy against the gap.

    A line is the mean over splits. A band goes from the lowest split to the highest.

    Arguments:
        table: The finished records.
        dataset: The data set.
        kind: The kind of gap.

    Raises:
        ImportError: If matplotlib is not installed.
    """

    _matplotlib()
    from matplotlib.figure import Figure

    rows = table[table["dataset"] == dataset]
    majority, found = rows["test_majority"].mean(), fronts(rows, kind)
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes((0.085, 0.115, 0.545, 0.81))
    for each in found:
        _line(axes, each)
    axes.axhline(majority, color="black", lw=0.8, ls=(0, (1, 2)))
    axes.set(xlim=(0, GRID[-1]), xlabel=AXES[kind][1], ylabel="accuracy on the test rows")
    splits = rows["seed"].nunique()
    axes.set_title(f"{dataset}: {splits} split{'s' * (splits > 1)}", fontsize="medium", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    _limit_axis(axes, found, majority)
    _write_names(axes, [(each.mean[-1], each.method) for each in found], majority)

    return figure


def fronts(rows: pd.DataFrame, kind: GapKind) -> list[Front]:
    """The fronts of all methods that have one, with the coloured ones last, on top."""

    found = [
        Front(str(method), GRID, some["accuracy"].to_numpy().reshape(-1, len(GRID)))
        for method, some in reached(rows, kind, GRID).groupby("method", sort=False)
    ]
    order = list(LINE_COLOURS)

    return sorted(found, key=lambda f: -order.index(f.method) if f.method in order else -99)


def _line(axes: "Axes", each: Front) -> None:
    width = 0.8
    if each.method in LINE_COLOURS:
        width = 2.4 if is_ours(each.method) else 1.6
        low, high = each.splits.min(0), each.splits.max(0)
        axes.fill_between(each.levels, low, high, color=each.colour, alpha=0.13, linewidth=0)
    style = "-" if ranked(each.method) else "--"
    axes.plot(each.levels, each.mean, style, color=each.colour, lw=width)


def _limit_axis(axes: "Axes", found: Sequence[Front], majority: float) -> None:
    """Limit the axis: from a little below the majority to the highest front."""

    if not found:
        return
    high = max(float(each.splits.max()) for each in found)
    height = max(high - majority, 0.02)
    axes.set_ylim(majority - 0.08 * height, high + 0.06 * height)


def _write_names(axes: "Axes", ends: list[tuple[float, str]], majority: float) -> None:
    """Write each line's name at its end. Names that would overlap move apart."""

    low, high = axes.get_ylim()
    known = [(majority, "majority class"), *ends]
    known = sorted((float(np.clip(y, low, high)), name) for y, name in known)
    apart = min(0.043, 1 / len(known))
    heights = _moved_apart([(y - low) / (high - low) for y, _ in known], apart)
    for (y, name), place in zip(known, heights, strict=True):
        colour = LINE_COLOURS.get(name, "black" if name == "majority class" else "#5a5a5a")
        bold = "bold" if is_ours(name) else "normal"
        axes.annotate(
            title(name),
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
