"""Plots: every encoder that was trained, by its use and its gap, and the periods of a monitor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bitveil.columns.printing import printable
from bitveil.information import BITS
from bitveil.monitors import Monitor
from bitveil.trainers import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_monitor", "plot_path"]

MARKS = {True: ("certified", "o"), False: ("not certified", "x"), None: ("not tested", "^")}
"""The name and the mark of a step, by whether the rows for certification passed it."""


def plot_path(path: Sequence[Step], ax: "Axes | None" = None) -> "Axes":
    """Draw the encoders that a fit tried: how useful each is against its gap.

    Both are measured on the rows for selection, and neither is a bound. The usefulness is the
    score, or the information in bits if there is no target. A disc is an encoder that passed on
    the rows for certification, a cross one that failed, and a triangle one that was not tested.
    You can put the paths of several fits into one list.

    Arguments:
        path: The steps, as `path_` of a fitted encoder.
        ax: The axes to draw into; None: those of a new figure.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are no steps.

    Example:
        >>> path = [Step(0.1, None, 0.3, 0.1, gap=0.1, score=0.8, certified=True)]
        >>> axes = plot_path(path)
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['certified']
    """

    if not path:
        raise ValueError("`plot_path` expects the steps of a fit, as in `path_`, got none.")
    ax = _new_axes("plot_path") if ax is None else ax
    scored = all(step.score is not None for step in path)
    for certified, (name, marker) in MARKS.items():
        steps = [step for step in path if step.certified is certified]
        if steps:
            gaps = [step.gap for step in steps]
            ax.plot(gaps, [_use(step, scored) for step in steps], marker, label=name)
    ax.set_xlabel("gap between the groups' codes (0 to 1)")
    scores = "score (accuracy, or share of variance explained)"
    ax.set_ylabel(scores if scored else "information (bits)")
    ax.set_title("rows for selection", fontsize="medium")
    ax.legend()

    return ax


def plot_monitor(monitor: Monitor, ax: "Axes | None" = None) -> "Axes":
    """Draw the bounds of every period of a monitor, its limit, and its alarms.

    A line goes from the lower to the upper bound of a period. A cross above it is an alarm.

    Arguments:
        monitor: The monitor.
        ax: The axes to draw into; None: those of a new figure.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are no periods.
    """

    periods = monitor.periods
    if not periods or monitor.quantity is None:
        raise ValueError("`plot_monitor` expects a monitor with periods, got none.")
    ax = _new_axes("plot_monitor") if ax is None else ax
    numbers = [period.number for period in periods]
    least = [period.interval.least for period in periods]
    most = [period.interval.certificate.bound for period in periods]
    ax.vlines(numbers, least, most, linewidth=2, label="between both bounds")
    ax.plot(numbers, most, "_", color="C0", markersize=9)
    ax.plot(numbers, least, "_", color="C0", markersize=9)
    if monitor.limit is not None:
        ax.axhline(monitor.limit, linestyle="--", color="0.4", label=f"limit {monitor.limit:g}")
    if alarms := monitor.alarms:
        above = 1.05 * max(*most, monitor.limit or 0)
        ax.plot([p.number for p in alarms], [above] * len(alarms), "x", color="C3", label="alarm")
    names = [printable(period.name, most=16) for period in periods]
    ax.set_xticks(numbers, names, rotation=45, ha="right", parse_math=False)
    ax.set_ylim(bottom=min(0.0, *least))
    ax.set_ylabel(monitor.quantity.name)
    ax.set_title(
        f"all upper bounds at once with probability ≥ {1 - monitor.delta:g}", fontsize="medium"
    )
    ax.legend()

    return ax


def _use(step: Step, scored: bool) -> float:
    return step.information * BITS if step.score is None or not scored else step.score


def _new_axes(name: str) -> "Axes":
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"`{name}` needs matplotlib: `pip install 'bitveil[plots]'`, or `matplotlib`."
        ) from error

    return pyplot.subplots(layout="constrained")[1]
