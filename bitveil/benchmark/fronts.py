"""Fronts: the accuracy within each gap, from flat records.

For every level a front chooses one configuration: the one with the best accuracy on the rows for
selection, among those whose gap is at most the level. The gap is one of three: `"gap"`, the worst
gap of the classifiers that use the code; `"attack_gap"`, that of the worst attacker; `"bound"`,
the certified gap, corrected for all configurations. The front reports the accuracy of the chosen
configuration on the test rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.benchmark.intervals import interval

__all__ = [
    "LEAST_USE",
    "Gap",
    "area",
    "area_interval",
    "areas",
    "choice",
    "chosen",
    "done",
    "front",
    "has_bound",
]

Gap = Literal["gap", "attack_gap", "bound"]

NOTHING = -1  # the place of no configuration
FRONT = 201  # the levels of a front, from 0 to the largest

LEAST_USE = 0.005
"""How far the unprotected accuracy must be above the majority's to compute an area."""


def done(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The finished records, as a table."""

    return pd.DataFrame([record for record in records if record["status"] == "done"])


def choice(cell: pd.DataFrame, gap: Gap, level: float) -> "pd.Series[Any] | None":
    """The configuration chosen at a level, or None if no gap is within it.

    Arguments:
        cell: The records of one method on one split.
        gap: The kind of gap.
        level: The largest gap.

    Example:
        >>> cell = pd.DataFrame({
        ...     "select_accuracy": [0.8, 0.9, 0.7],
        ...     "bound": [0.10, 0.30, 0.05],
        ... })
        >>> float(choice(cell, "bound", 0.2)["select_accuracy"])
        0.8
        >>> choice(cell, "bound", 0.01) is None
        True
    """

    column = gap if gap == "bound" else f"select_{gap}"
    if column not in cell:
        return None
    within = cell[cell[column] <= level]

    return None if within.empty else within.iloc[within["select_accuracy"].argmax()]


def chosen(table: pd.DataFrame, gap: Gap, level: float) -> pd.DataFrame:
    """The configurations chosen at a level, one for each split that has one."""

    cells = [cell for _, cell in table.groupby(["dataset", "method", "seed"], sort=False)]
    rows = [c for cell in cells if (c := choice(cell, gap, level)) is not None]

    return pd.DataFrame(rows, columns=table.columns)


def front(cell: pd.DataFrame, gap: Gap, levels: Sequence[float]) -> NDArray[np.float64]:
    """The test accuracy of the choice at each level, or that of the majority if there is none."""

    picked = _picked(cell, gap, levels)
    reached = cell["test_accuracy"].to_numpy()[picked]

    return np.where(picked == NOTHING, cell["test_majority"].iloc[0], reached)


def _picked(cell: pd.DataFrame, gap: Gap, levels: Sequence[float]) -> NDArray[np.intp]:
    """The place of the configuration chosen at each level, or `NOTHING`."""

    column = gap if gap == "bound" else f"select_{gap}"
    if column not in cell:
        return np.full(len(levels), NOTHING)
    best_first = np.argsort(-cell["select_accuracy"].to_numpy(), kind="stable")
    within = cell[column].to_numpy()[best_first] <= np.asarray(levels)[:, None]

    return np.where(within.any(1), best_first[within.argmax(1)], NOTHING)


def area(cell: pd.DataFrame, gap: Gap, *, accuracy: float, largest: float) -> float:
    """The normalised area under a front.

    It is 0 for the majority class at every level, and 1 for the unprotected accuracy at a gap of
    0. It is below 0 if the choices do worse than the majority on the test rows.

    Arguments:
        cell: The records of one method on one split.
        gap: The kind of gap.
        accuracy: The unprotected accuracy.
        largest: The unprotected gap: the largest level.

    Example:
        >>> cell = pd.DataFrame({
        ...     "select_accuracy": [0.9], "bound": [0.05], "test_accuracy": [0.85],
        ...     "test_majority": [0.75],
        ... })
        >>> round(area(cell, "bound", accuracy=0.85, largest=0.1), 2)
        0.5
    """

    reached = front(cell, gap, _levels(largest))
    majority = cell["test_majority"].iloc[0]

    return float((reached - majority).mean() / max(accuracy - majority, 1e-12))


def area_interval(
    cell: pd.DataFrame, gap: Gap, *, accuracy: float, largest: float
) -> tuple[float, float]:
    """A bootstrap interval of 95 % of an area, over the test rows: see `area`.

    It takes all choices at the same end of their own intervals. This gives the widest possible
    interval of their mean. The choices and the box stay fixed. It is NaN if the records have no
    counts of the test rows.

    Example:
        >>> cell = pd.DataFrame({
        ...     "select_accuracy": [0.9], "bound": [0.0], "test_accuracy": [0.8],
        ...     "test_majority": [0.5], "test_counts_linear": [[40, 10, 10, 40]],
        ... })
        >>> low, high = area_interval(cell, "bound", accuracy=0.8, largest=0.1)
        >>> low < area(cell, "bound", accuracy=0.8, largest=0.1) < high
        True
    """

    picked = _picked(cell, gap, _levels(largest))
    places, times = np.unique(picked[picked != NOTHING], return_counts=True)
    ends = [interval(cell.iloc[place])["gain"] for place in places]
    total = (times[:, None] * np.reshape(ends, (-1, 2))).sum(0) / len(picked)
    low, high = total / max(accuracy - cell["test_majority"].iloc[0], 1e-12)

    return float(low), float(high)


def _levels(largest: float) -> list[float]:
    return [float(level) for level in np.linspace(0, largest, FRONT)]


def areas(table: pd.DataFrame, *, unprotected: str, intervals: bool = False) -> pd.DataFrame:
    """The three areas of every data set and method, with mean and spread over splits.

    Arguments:
        table: The finished records: see `done`.
        unprotected: The method whose accuracy and gap set the box.
        intervals: Whether to compute intervals, which takes a while: see `area_interval`.

    Returns:
        A row for each data set, method and kind of gap, with columns `mean`, `sd`, `splits`, and
        `low` and `high`, the ends of the interval, averaged over splits, if any. It leaves out
        splits on which the unprotected accuracy is less than `LEAST_USE` above the majority's: a
        share of almost nothing would be noise.
    """

    found = []
    for (dataset, method), rows in table.groupby(["dataset", "method"], sort=False):
        for gap in ("gap", "attack_gap", "bound"):
            each = []
            for seed, cell in rows.groupby("seed"):
                box = _box(table, str(dataset), int(str(seed)), unprotected, gap)
                if box is not None and (gap != "bound" or has_bound(cell)):
                    ends = area_interval(cell, gap, **box) if intervals else (np.nan, np.nan)
                    each.append((area(cell, gap, **box), *ends))
            if each:
                mean, low, high = np.mean(each, axis=0)
                sd = np.std(each, axis=0)[0]
                found.append((dataset, method, gap, mean, sd, low, high, len(each)))

    return pd.DataFrame(found, columns="dataset method kind mean sd low high splits".split())


def has_bound(cell: pd.DataFrame) -> bool:
    """Whether any of the records has a certified gap."""

    return "bound" in cell and bool(cell["bound"].notna().any())


def _box(
    table: pd.DataFrame, dataset: str, seed: int, unprotected: str, gap: str
) -> "_Box | None":
    """The accuracy and gap without protection, of its most accurate configuration.

    They are arguments of `area`. None if there are no records, or no use that a method could keep.
    """

    rows = table[table["dataset"] == dataset]
    cell = rows[(rows["method"] == unprotected) & (rows["seed"] == seed)]
    if cell.empty:
        return None
    best = cell.iloc[cell["select_accuracy"].argmax()]
    if best["test_accuracy"] < best["test_majority"] + LEAST_USE:
        return None

    gap = "test_attack_gap" if gap == "attack_gap" else "test_gap"

    return {"accuracy": float(best["test_accuracy"]), "largest": float(best[gap])}


class _Box(TypedDict):
    accuracy: float
    largest: float
