"""Plots as records: rows of marks on an axis, or points on two. The templates draw them.

Positions are shares of the width, so one drawing fits a phone and a sheet of paper while its text
keeps its size. Every plot also has its numbers as a table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "SHAPES",
    "Axis",
    "DataTable",
    "Line",
    "Mark",
    "Point",
    "PointPlot",
    "Row",
    "RowPlot",
    "axis_of",
]

SHAPES = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",  # a circle
    "M-4.6,-4.6h9.2v9.2h-9.2z",  # a square
    "M0,-6.4L6.4,0L0,6.4L-6.4,0z",  # a diamond
    "M0,-6L5.8,4.4h-11.6z",  # a triangle
    "M0,6L5.8,-4.4h-11.6z",
    "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",  # a cross
)
"""The shapes of marks by series: they differ even without their colours."""

_LEAST = 0.01  # the shortest axis, so that small numbers look small


@dataclass(frozen=True)
class Axis:
    """A stretch of numbers, with ticks.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        ticks: The numbers that are written at it.
        unit: How they are written: `"percent"`, `"points"` or `"bits"`.
        label: What they are.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str
    label: str

    def at(self, value: float) -> str:
        """The place of a number, as a share of the width.

        Example:
            >>> Axis(0.0, 2.0, (0.0, 1.0, 2.0), "bits", "information").at(0.5)
            '25%'
        """

        return f"{100 * self.share(value):.4g}%"

    def share(self, value: float) -> float:
        """The same from 0 to 1. A number outside is put at the end."""

        return min(1.0, max(0.0, (value - self.low) / self.length))

    @property
    def length(self) -> float:
        """How long it is."""

        return self.high - self.low

    def up(self, value: float) -> str:
        """The same counted from below, for a vertical axis."""

        return self.at(self.low + self.high - value)

    def text(self, value: float) -> str:
        """How a number is written at a tick."""

        if self.unit == "bits":
            return f"{value:.4g}"

        return f"{100 * value:.4g}" + (" %" if self.unit == "percent" else "")


class Shaped:
    """A mark of a series, which decides its shape and its colour."""

    series: int

    @property
    def shape(self) -> str:
        """The outline of a dot."""

        return SHAPES[self.series % len(SHAPES)]


@dataclass(frozen=True)
class Mark(Shaped):
    """A dot at a number, or a band from one number to another, with its tooltip.

    Attributes:
        value: The number.
        end: The other end of a band; None: a dot.
        series: Which shape and colour a dot has.
        says: Its tooltip.
        kind: What a band is: `"band"` or `"whisker"`; `"hollow"` for a dot that is not filled.
        down: How far down its row it is, as a share of the row's height.
    """

    value: float
    says: str
    end: float | None = None
    series: int = 0
    kind: str = ""
    down: float = 0.5


@dataclass(frozen=True)
class Line:
    """A line across all rows at a number that has a name."""

    value: float
    name: str


@dataclass(frozen=True)
class DataTable:
    """The numbers of a plot, with headings."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Row:
    """Marks on one line, with a label before and numbers after them.

    Attributes:
        label: What the marks are of.
        text: Their numbers.
        marks: The marks.
        note: A few words under the label.
        order: The numbers by which rows can be sorted, by name.
        code: The code of the row, so that patterns can point at it.
    """

    label: str
    text: str
    marks: tuple[Mark, ...]
    note: str = ""
    order: dict[str, float] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class RowPlot:
    """A plot of rows of marks on one axis.

    Attributes:
        key: Its id on the page.
        title: What it shows.
        lead: How to read it.
        axis: The axis.
        rows: The rows.
        table: Its numbers.
        lines: Lines across all rows.
        legend: What the series are, each with its number.
        other: Another axis that a reader can switch to, or None.
        sorts: The names of the orders in which rows can be sorted, each with its words.
        first: How many rows are shown at first.
    """

    key: str
    title: str
    lead: str
    axis: Axis
    rows: tuple[Row, ...]
    table: DataTable
    lines: tuple[Line, ...] = ()
    legend: tuple[tuple[str, int], ...] = ()
    other: Axis | None = None
    sorts: tuple[tuple[str, str], ...] = ()
    first: int = 100

    @property
    def choice(self) -> Axis | None:
        """The other axis, if it has another length."""

        if self.other is None or self.other.length == self.axis.length:
            return None

        return self.other


@dataclass(frozen=True)
class Point(Shaped):
    """A point on two axes."""

    x: float
    y: float
    says: str
    name: str = ""
    series: int = 0
    kind: str = ""


@dataclass(frozen=True)
class PointPlot:
    """A plot of points on two axes.

    Attributes:
        key: Its id on the page.
        title: What it shows.
        lead: How to read it.
        x: The horizontal axis.
        y: The vertical axis.
        points: The points.
        table: Their numbers.
        lines: Vertical lines.
        legend: What the series are, each with its number.
    """

    key: str
    title: str
    lead: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    table: DataTable
    lines: tuple[Line, ...] = ()
    legend: tuple[tuple[str, int], ...] = ()


def axis_of(
    values: Sequence[float], unit: str, label: str, *, low: float | None = None, most: float = 1.0
) -> Axis:
    """An axis for some numbers, with ticks at round numbers.

    Arguments:
        values: The numbers.
        unit: How they are written.
        label: What they are.
        low: Where it begins, such as 0; None: at a round number below them.
        most: Where it ends at the latest.

    Example:
        >>> axis_of([0.02, 0.093], "points", "gap", low=0.0).ticks
        (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
    """

    least, largest = min(values) if low is None else low, max(values)
    step = _round_step(max(largest - least, _LEAST) / 5)
    first = math.floor(least / step + 1e-9)
    last = max(math.ceil(largest / step - 1e-9), first + 1)
    end = max(most, largest)
    if low is None and last * step > end:  # all numbers are at the end
        first, last = first - 1, last - 1
    ticks = tuple(round(step * i, 12) for i in range(first, last + 1))
    high = min(ticks[-1], end)

    return Axis(ticks[0], high, tuple(tick for tick in ticks if tick <= high), unit, label)


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below a step."""

    power = 10 ** math.floor(math.log10(step))

    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
