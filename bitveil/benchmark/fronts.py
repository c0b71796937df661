"""Fronts: what is reached at which gap, from flat records. Every choice is made on select rows.

A front is a choice for every level: the configuration of the best accuracy on the rows to select
among those whose gap is at most the level. The gap is one of three: `"gap"`, the worst gap of the
classifiers that use the code; `"attack_gap"`, that of the worst attacker; `"bound"`, what the rows
to certify say, corrected for all configurations. What is reported of the choice is its accuracy on
the test rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.audits.fairness import resampled
from bitveil.certificates.planning import least_gap

__all__ = [
    "LEVELS",
    "Gap",
    "accuracy_and_gap",
    "area",
    "area_interval",
    "areas",
    "beaten",
    "certified",
    "choice",
    "chosen",
    "done",
    "front",
    "interval",
    "least_certified",
    "reached",
    "standing",
    "standings",
]

Gap = Literal["gap", "attack_gap", "bound"]

LEVELS = (0.03, 0.05, 0.08, 0.10, 0.15, 0.20)
"""The gaps at which certified accuracies are told."""

NOTHING = -1  # the place of no configuration
FRONT = 201  # levels of a front between 0 and its largest

LEAST_USE = 0.005
"""How far the unprotected accuracy has to be above the majority's for an area to mean anything."""


def done(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The records that came to an end, as a table."""

    return pd.DataFrame([record for record in records if record["status"] == "done"])


def choice(cell: pd.DataFrame, gap: Gap, level: float) -> "pd.Series[Any] | None":
    """The configuration that is chosen at a level, or None where none is within it.

    Arguments:
        cell: The records of one method on one split.
        gap: What is limited.
        level: The limit.

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


def front(cell: pd.DataFrame, gap: Gap, levels: Sequence[float]) -> NDArray[np.float64]:
    """The test accuracy of what is chosen at each level; that of the majority where nothing is."""

    picked = _picked(cell, gap, levels)
    reached = cell["test_accuracy"].to_numpy()[picked]

    return np.where(picked == NOTHING, cell["test_majority"].iloc[0], reached)


def _picked(cell: pd.DataFrame, gap: Gap, levels: Sequence[float]) -> NDArray[np.intp]:
    """The place of the configuration that is chosen at each level, or `NOTHING`."""

    column = gap if gap == "bound" else f"select_{gap}"
    if column not in cell:
        return np.full(len(levels), NOTHING)
    best_first = np.argsort(-cell["select_accuracy"].to_numpy(), kind="stable")
    within = cell[column].to_numpy()[best_first] <= np.asarray(levels)[:, None]

    return np.where(within.any(1), best_first[within.argmax(1)], NOTHING)


def area(cell: pd.DataFrame, gap: Gap, *, accuracy: float, largest: float) -> float:
    """The area under a front, normalised.

    From 0, the majority class at every level, to 1, the unprotected accuracy at a gap of 0. It
    can be below 0 where what was chosen does worse than the majority on the test rows.

    Arguments:
        cell: The records of one method on one split.
        gap: What is limited.
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
    """A bootstrap interval of 95 % of an area over the test rows: see `area`.

    All that was chosen is as good as the ends of its own interval at once, which is the widest
    that the interval of their mean can be. The choices and the box are held as they are. Not a
    number where the records have no counts of the test rows.

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
    """The three areas of every data set and method, mean and spread over splits.

    Arguments:
        table: The records that are done: see `done`.
        unprotected: The method whose accuracy and gap make the box.
        intervals: Whether intervals are made, which takes a while: see `area_interval`.

    Returns:
        A row for each data set, method and kind of gap, with columns `mean`, `sd`, `splits`, and
        `low` and `high`, the ends of the interval in the mean of the splits, if any. Splits on
        which the unprotected accuracy is not `LEAST_USE` above the majority's are left out: a
        share of next to nothing would be noise.
    """

    found = []
    for (dataset, method), rows in table.groupby(["dataset", "method"], sort=False):
        for gap in ("gap", "attack_gap", "bound"):
            each = []
            for seed, cell in rows.groupby("seed"):
                box = _box(table, str(dataset), int(str(seed)), unprotected, gap)
                if box is not None and (gap != "bound" or _bounded(cell)):
                    ends = area_interval(cell, gap, **box) if intervals else (np.nan, np.nan)
                    each.append((area(cell, gap, **box), *ends))
            if each:
                mean, low, high = np.mean(each, axis=0)
                sd = np.std(each, axis=0)[0]
                found.append((dataset, method, gap, mean, sd, low, high, len(each)))

    return pd.DataFrame(found, columns="dataset method kind mean sd low high splits".split())


def _bounded(cell: pd.DataFrame) -> bool:
    return "bound" in cell and bool(cell["bound"].notna().any())


def _box(
    table: pd.DataFrame, dataset: str, seed: int, unprotected: str, gap: str
) -> "_Box | None":
    """The accuracy and the gap without protection, by the configuration of the best accuracy.

    They are in the form in which `area` takes them. None where there are no records, or nothing
    that a method could keep.
    """

    of = table[table["dataset"] == dataset]
    cell = of[(of["method"] == unprotected) & (of["seed"] == seed)]
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


def certified(
    table: pd.DataFrame, levels: Sequence[float] = LEVELS, *, bound: str = "bound"
) -> pd.DataFrame:
    """The test accuracy at certified gaps, of every data set and method.

    Arguments:
        table: The records that are done: see `done`.
        levels: The gaps.
        bound: The column of the bound: `"bound"` is corrected for all configurations,
            `"bound_alone"` for none; `"bound_fare"` is FARE's, corrected for none.

    Returns:
        A row for each data set, method and level: the mean accuracy and its spread over the splits
        where a configuration is certified, how many of them there are, and of how many; and the
        mean and the largest total variation of the choices on the test rows.
    """

    if bound not in table:
        return pd.DataFrame(columns=_CERTIFIED)

    return reached(table.assign(bound=table[bound]), "bound", levels)


def reached(table: pd.DataFrame, gap: Gap, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """The test accuracy at gaps of any kind, of every data set and method: as `certified`.

    Methods that have no gap of this kind have no rows.
    """

    found = []
    for (dataset, method), rows in table.groupby(["dataset", "method"], sort=False):
        cells = [cell for _, cell in rows.groupby("seed")]
        if gap == "bound" and not any(_bounded(cell) for cell in cells):
            continue
        for level in levels:
            chosen = [c for cell in cells if (c := choice(cell, gap, level)) is not None]
            accuracies = [c["test_accuracy"] for c in chosen] or [np.nan]
            variations = [c.get("test_variation", np.nan) for c in chosen] or [np.nan]
            found.append(
                (
                    *(dataset, method, level, np.mean(accuracies), np.std(accuracies)),
                    *(len(chosen), len(cells), np.mean(variations), np.max(variations)),
                )
            )

    return pd.DataFrame(found, columns=_CERTIFIED)


_CERTIFIED = "dataset method level accuracy sd certified splits variation worst".split()


def chosen(table: pd.DataFrame, gap: Gap, level: float) -> pd.DataFrame:
    """The configurations that are chosen at a level, one for each split where there is one."""

    cells = [cell for _, cell in table.groupby(["dataset", "method", "seed"], sort=False)]
    rows = [c for cell in cells if (c := choice(cell, gap, level)) is not None]

    return pd.DataFrame(rows, columns=table.columns)


def standings(table: pd.DataFrame, *, unprotected: str) -> pd.DataFrame:
    """All by which methods are compared, one number a row.

    Returns:
        A row for each data set, kind of gap, level and method: the accuracy at the level, or the
        area where the level is missing; its spread over splits; and on how many splits it is
        there, of how many.
    """

    found = areas(table, unprotected=unprotected).rename(columns={"mean": "value"})
    kinds: tuple[Gap, ...] = ("gap", "attack_gap", "bound")
    some = [
        found.assign(level=np.nan, of=found["splits"])[_STANDING],
        *(standing(reached(table, gap), gap) for gap in kinds),
    ]

    return pd.concat([each for each in some if len(each)], ignore_index=True)


def standing(found: pd.DataFrame, kind: str) -> pd.DataFrame:
    """What `certified` or `reached` found, in the form of `standings`, as some kind."""

    names = {"accuracy": "value", "splits": "of", "certified": "splits"}

    return found.rename(columns=names).assign(kind=kind)[_STANDING]


_STANDING = "dataset kind level method value sd splits of".split()


def beaten(stands: pd.DataFrame, ours: Sequence[str]) -> pd.DataFrame:
    """Where some of the methods are beaten by others: everything where another one is higher.

    An accuracy counts wherever it is there on one split at least; one that is there beats one
    that is not.

    Arguments:
        stands: As `standings` gives them.
        ours: The methods that may be beaten, of which the others are told.

    Returns:
        The rows of the winners, with columns `over`, the methods that each beats; `all`, whether
        these are all of `ours` that were run on the data set; and `clear`, whether it is also
        above the best of them by more than the spreads of both over splits.

    Example:
        >>> stands = pd.DataFrame({
        ...     "dataset": "d", "kind": "gap", "level": 0.1, "method": ["ours", "a", "b"],
        ...     "value": [0.8, 0.9, 0.7], "sd": 0.01,
        ... })
        >>> beaten(stands, ["ours"])["method"].tolist()
        ['a']
        >>> certified = stands.assign(kind="bound")[stands["method"] != "ours"]
        >>> beaten(pd.concat([stands, certified]), ["ours"])[["kind", "method"]].values.tolist()
        [['bound', 'a'], ['bound', 'b'], ['gap', 'a']]
    """

    there = stands[stands["method"].isin(ours)].groupby("dataset")["method"].unique().to_dict()
    found = []
    for (dataset, _, _), rows in stands.groupby(["dataset", "kind", "level"], dropna=False):
        values = rows.set_index("method")["value"]
        best = rows[rows["method"].isin(ours)].nlargest(1, "value")
        beyond = max((best["value"] + best["sd"]).dropna(), default=-np.inf)
        for _, row in rows[~rows["method"].isin(ours) & rows["value"].notna()].iterrows():
            known = ((name, values.get(name, np.nan)) for name in there.get(dataset, []))
            mine = [name for name, value in known if not value >= row["value"]]
            if mine:
                every = len(mine) == len(there[dataset])
                clear = every and row["value"] - row["sd"] > beyond
                found.append({**row, "over": mine, "all": every, "clear": clear})

    return pd.DataFrame(found, columns=[*stands.columns, "over", "all", "clear"])


def least_certified(table: pd.DataFrame) -> pd.DataFrame:
    """The smallest gap that the rows to certify could certify, of a code that tells nothing.

    Returns:
        A row for each data set: alone, and corrected for all configurations.
    """

    found = []
    for dataset, rows in table.groupby("dataset", sort=False):
        row = rows.iloc[0]
        sizes, n = row["rows_certify_by_group"], row["configurations"]
        alone, corrected = (least_gap(sizes, row["delta"] / m) for m in (1, n))
        found.append((dataset, row["groups"], sizes, n, alone, corrected))

    return pd.DataFrame(found, columns="dataset groups rows configurations alone all".split())


def interval(
    record: "pd.Series[Any] | dict[str, Any]", *, n_boot: int = 200, random_state: int = 0
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of 95 % over the test rows.

    Rows are drawn anew for each family by its own counts, and the ends are averaged: as if all
    families erred on the same rows, which is the widest that the interval of their mean can be.

    Returns:
        Of `"accuracy"`; of the worst `"gap"`; and of `"gain"`, the accuracy above that of always
        answering as `test_majority` does, which is of the same rows. Not a number where the
        record has no counts.
    """

    names = [name for name in dict(record) if name.startswith("test_counts_")]
    ends = [np.full((2, 3), np.nan)] if not names else []
    for name in names:
        counts = np.asarray(record[name]).reshape(-1, 4)
        majority = _majority(counts, record["test_majority"])
        drawn = np.stack(list(resampled(counts, n_boot, random_state)))
        accuracy, gap = accuracy_and_gap(drawn)
        scores = accuracy, gap, accuracy - _share(drawn, majority)
        ends.append(np.quantile(scores, (0.025, 0.975), axis=1))
    low, high = np.transpose(ends, (1, 2, 0))

    return {
        "accuracy": (float(low[0].mean()), float(high[0].mean())),
        "gap": (float(low[1].max()), float(high[1].max())),
        "gain": (float(low[2].mean()), float(high[2].mean())),
    }


def accuracy_and_gap(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracies and parity gaps, from counts over (..., group, target and answer).

    Example:
        >>> accuracy, gap = accuracy_and_gap(np.array([[3, 1, 1, 3], [4, 0, 4, 0]]))
        >>> float(accuracy), float(gap)  # right: 3 + 3 and 4 + 0; "1": 4 of 8 and 0 of 8
        (0.625, 0.5)
    """

    positive = (counts[..., 1] + counts[..., 3]) / np.maximum(counts.sum(-1), 1)
    right = counts[..., 0] + counts[..., 3]

    return right.sum(-1) / counts.sum((-2, -1)), np.ptp(positive, axis=-1)


def _majority(counts: NDArray[np.int64], share: float) -> int:
    """Which of the two answers the majority's is, from its share of the test rows."""

    return int(np.argmin([abs(_share(counts, answer) - share) for answer in (0, 1)]))


def _share(counts: NDArray[np.int64], target: int) -> NDArray[np.float64]:
    """The share of rows of a target, from counts over (..., group, target and answer)."""

    of: NDArray[np.int64] = counts[..., 2 * target] + counts[..., 2 * target + 1]

    return np.asarray(of.sum(-1) / counts.sum((-2, -1)))
