"""Bootstrap intervals of a configuration's scores, from its counts on the test rows."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.audits.fairness import resampled

__all__ = ["accuracy_and_gap", "interval"]


def interval(
    record: "pd.Series[Any] | dict[str, Any]", *, n_boot: int = 200, random_state: int = 0
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of 95 % over the test rows.

    For each family it resamples rows from that family's counts, and then averages the ends. So it
    assumes that all families err on the same rows. This gives the widest possible interval of
    their mean.

    Returns:
        The intervals of `"accuracy"`; of the worst `"gap"`; and of `"gain"`, how far the accuracy
        is above that of always giving the majority's answer on the same rows. They are NaN if the
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
        >>> float(accuracy), float(gap)  # correct: 3 + 3 and 4 + 0; "1": 4 of 8 and 0 of 8
        (0.625, 0.5)
    """

    positive = (counts[..., 1] + counts[..., 3]) / np.maximum(counts.sum(-1), 1)
    right = counts[..., 0] + counts[..., 3]

    return right.sum(-1) / counts.sum((-2, -1)), np.ptp(positive, axis=-1)


def _majority(counts: NDArray[np.int64], share: float) -> int:
    """The majority's answer, from its share of the test rows."""

    return int(np.argmin([abs(_share(counts, answer) - share) for answer in (0, 1)]))


def _share(counts: NDArray[np.int64], target: int) -> NDArray[np.float64]:
    """The share of rows with a target, from counts over (..., group, target and answer)."""

    of: NDArray[np.int64] = counts[..., 2 * target] + counts[..., 2 * target + 1]

    return np.asarray(of.sum(-1) / counts.sum((-2, -1)))
