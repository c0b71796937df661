"""Fronts: what a method reaches at each gap, if rows may stay without a code.

Whoever publishes the code of a row with probability λ, and else a blank, makes every gap λ times
as large. So one configuration serves every level, and methods differ by their encoders and not by
which gaps they happen to meet. At each level a front chooses one configuration on the rows to
select, and then one λ. A row with a blank gets the majority's answer.

There are several kinds of gaps. `"certified"` is the certificate of the one configuration chosen;
`"fare"` is the same with FARE's bound. `"attack_gap"` is the gap of the worst attacker on the test
rows, `"gap"` that of the worst classifier, and `"variation"` the total variation of finite codes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["Choices", "GapKind", "choices", "done", "most_accurate", "reached", "share_within"]

GapKind = Literal["certified", "fare", "attack_gap", "gap", "variation"]

_COLUMNS: dict[GapKind, tuple[str, str]] = {
    "certified": ("select_variation", "bound_alone"),
    "fare": ("select_variation", "bound_fare"),
    "attack_gap": ("select_attack_gap", "test_attack_gap"),
    "gap": ("select_gap", "test_gap"),
    "variation": ("select_variation", "test_variation"),
}
"""The gap on the rows to select, and the gap that is brought to a level."""

_DILUTED: dict[str, tuple[str, str]] = {
    "accuracy": ("test_accuracy", "test_majority"),
    "log_loss": ("test_log_loss", "test_entropy"),
    "task_bits": ("test_task_bits", ""),
    "variation": ("test_variation", ""),
    "attack_gap": ("test_attack_gap", ""),
    "gap": ("test_gap", ""),
    "bound": ("bound_alone", ""),
}
"""Scores over all rows: their columns, with codes and with blanks. No column: 0 with blanks."""

_OF_CODES = {"auc": "test_auc", "attack_auc": "test_attack_auc"}
"""Scores of the rows with a code alone."""

_NO_GAIN = 1e-9  # a smaller gain over the majority is a rounding error


class Choices(NamedTuple):
    """What is chosen at each level.

    Attributes:
        places: The row of the chosen configuration.
        shares: λ: with which probability a row gets its code. 0: nothing is published.
    """

    places: NDArray[np.intp]
    shares: NDArray[np.float64]


def done(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The finished records as a table, with the scores of the majority's answer.

    Returns:
        The records, with columns `select_majority`, its accuracy on the rows to select, and
        `test_entropy`, the log-loss of the target's shares on the test rows, in nats.
    """

    return pd.DataFrame(
        [record | _majority_scores(record) for record in records if record["status"] == "done"]
    )


def _majority_scores(record: dict[str, Any]) -> dict[str, float]:
    """The scores of answers that do not depend on the row.

    Example:
        >>> counts = {"select_counts_linear": [3, 0, 1, 0], "test_counts_linear": [2, 0, 2, 0]}
        >>> found = _majority_scores(counts | {"test_majority": 0.5})
        >>> round(found["select_majority"], 3), round(found["test_entropy"], 3)
        (0.75, 0.693)
    """

    select, test = (_positive_share(record, part) for part in ("select", "test"))
    one = abs(test - record["test_majority"]) < abs(1 - test - record["test_majority"])
    shares = np.array([test, 1 - test])

    return {
        "select_majority": select if one else 1 - select,
        "test_entropy": float(-(shares * np.log(np.maximum(shares, 1e-12))).sum()),
    }


def _positive_share(record: dict[str, Any], part: str) -> float:
    """The share of rows whose target is 1, from the counts over (group, target, answer)."""

    counts = next(record[name] for name in record if name.startswith(f"{part}_counts_"))
    by_target = np.reshape(counts, (-1, 2, 2)).sum((0, 2))

    return float(by_target[1] / by_target.sum())


def share_within(gap: ArrayLike, level: ArrayLike) -> NDArray[np.float64]:
    """The largest share of rows with a code at which a gap is at most a level.

    Example:
        >>> share_within([0.2, 0.1, 0.0], 0.1).tolist()
        [0.5, 1.0, 1.0]
    """

    return np.minimum(1.0, np.divide(level, np.maximum(gap, np.finfo(float).tiny)))


def choices(cell: pd.DataFrame, kind: GapKind, levels: Sequence[float]) -> Choices:
    """Choose one configuration at each level, on the rows to select, and then its share.

    The choice has the largest expected gain over the majority: the share at which its expected
    gap is at the level, times the gain of its accuracy. The expected bound is the variation on
    the rows to select plus the slack. The test rows, or the rows to certify, then give the share.

    A fit with a goal of its own (`own_goal`) is taken as it is: the one with the largest goal
    within a certified level. It has seen the rows to select, so they choose nothing for it.

    Arguments:
        cell: The records of one method on one split: see `done`.
        kind: The kind of gap.
        levels: The gaps.

    Example:
        >>> cell = pd.DataFrame({
        ...     "select_accuracy": [0.9, 0.8], "select_majority": 0.5,
        ...     "select_gap": [0.4, 0.1], "test_gap": [0.5, 0.2],
        ... })
        >>> places, shares = choices(cell, "gap", [0.1, 0.5])
        >>> places.tolist(), shares.tolist()  # at 0.1: 0.4 / 4 is less than 0.3
        ([1, 0], [0.5, 1.0])
    """

    at = np.asarray(levels, dtype=float)
    _, limited = _COLUMNS[kind]
    goals = _column(cell, "own_goal")
    if not np.isnan(goals).all():
        gains = np.where(goals[:, None] <= at + _NO_GAIN, goals[:, None], 0.0)
    else:
        gain = (cell["select_accuracy"] - cell["select_majority"]).to_numpy()
        gains = share_within(_expected_gap(cell, kind)[:, None], at) * gain[:, None]
    gains = np.where(np.isnan(gains), -np.inf, gains)
    places = gains.argmax(0)
    shares = share_within(_column(cell, limited)[places], at)

    return Choices(places, np.where(gains.max(0) > _NO_GAIN, shares, 0.0))


def _expected_gap(cell: pd.DataFrame, kind: GapKind) -> NDArray[np.float64]:
    """The gap that the rows to select let expect. A slack depends on numbers of rows only."""

    select, limited = _COLUMNS[kind]
    gap = _column(cell, select)
    if kind in ("certified", "fare"):
        gap = gap + _column(cell, limited) - _column(cell, "certify_variation")

    return gap


def _column(cell: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column, or NaN where there is none."""

    if column not in cell:
        return np.full(len(cell), np.nan)

    return cell[column].to_numpy(dtype=float)


def reached(table: pd.DataFrame, kind: GapKind, levels: Sequence[float]) -> pd.DataFrame:
    """What every method reaches at gaps of one kind, on the test rows.

    Arguments:
        table: The finished records: see `done`.
        kind: The kind of gap.
        levels: The gaps.

    Returns:
        A row for each data set, method, seed and level: `share`, the share of rows with a code;
        over all rows the `accuracy`, the `log_loss` in nats, the information about the target
        (`task_bits`), the total `variation`, the `attack_gap`, the classifiers' `gap` and the
        `bound`; `gain`, how far the accuracy is above the majority's; and over the rows with a
        code `auc` and `attack_auc`. Methods without gaps of this kind have no rows. Those with
        goals of their own have only certified ones.
    """

    cells = table.groupby(["dataset", "method", "seed"], sort=False)
    found = [
        pd.DataFrame(
            {**dict(zip(("dataset", "method", "seed"), names, strict=True)), "level": levels}
            | _scores_at(cell, kind, levels)
        )
        for names, cell in cells
        if _has_gaps(cell, kind)
    ]
    columns = ["dataset", "method", "seed", "level", "share", *_DILUTED, "gain", *_OF_CODES]

    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _has_gaps(cell: pd.DataFrame, kind: GapKind) -> bool:
    if kind != "certified" and not np.isnan(_column(cell, "own_goal")).all():
        return False

    return not np.isnan(_column(cell, _COLUMNS[kind][1])).all()


def _scores_at(
    cell: pd.DataFrame, kind: GapKind, levels: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    places, shares = choices(cell, kind, levels)
    kept = np.nan_to_num(_column(cell, "share"), nan=1.0)  # a fit with a goal has blanks already
    found = {"share": shares * kept[places]}
    for name, (column, blank) in _DILUTED.items():
        blanks = _column(cell, blank)[places] if blank else np.zeros(len(places))
        mixed = shares * _column(cell, column)[places] + (1 - shares) * blanks
        found[name] = np.where(shares > 0, mixed, blanks)
    found["gain"] = found["accuracy"] - _column(cell, "test_majority")[places]
    for name, column in _OF_CODES.items():
        found[name] = np.where(shares > 0, _column(cell, column)[places], np.nan)

    return found


def most_accurate(table: pd.DataFrame) -> pd.DataFrame:
    """The configuration of each method and split with the best accuracy on the rows to select."""

    cells = table.groupby(["dataset", "method", "seed"], sort=False)

    return table.loc[cells["select_accuracy"].idxmax()]
