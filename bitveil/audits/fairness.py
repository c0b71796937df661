"""The fairness of one classifier's answers, as it is usually measured, beside what is certified.

A measured difference is about one classifier. The certificate of a code is about all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.certificates.upper import Certificate

__all__ = [
    "Difference",
    "fairness_differences",
    "gap_interval",
    "parity_gap",
    "resampled",
]

METRICS = ("selection rate", "true positive rate", "false positive rate")


@dataclass(frozen=True)
class Difference:
    """How much a rate of a classifier's answers differs between groups.

    Attributes:
        metric: `"selection rate"`, `"true positive rate"` or `"false positive rate"`.
        value: The largest difference between two groups on these rows; None if a group has no rows
            with the label that the rate is about.
        interval: The bootstrap interval of 95 % over these rows, or None.
        bound: The upper bound of a certificate on it in the population, or None.
    """

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    bound: float | None


def fairness_differences(
    answers: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    certificates: Sequence[Certificate] = (),
    n_boot: int = 100,
    random_state: int = 0,
) -> tuple[Difference, ...]:
    """The differences between groups in selection, true- and false-positive rates, by fairlearn.

    Source:
        Fairlearn: Assessing and Improving Fairness of AI Systems (Weerts, Dudík, Edgar, Jalali,
        Lutz, Madaio, 2023), https://jmlr.org/papers/v24/23-0389.html

    Arguments:
        answers: Whether each row was answered positively, with shape (n,).
        labels: Whether each row is positive, with shape (n,).
        groups: The group of each row, with shape (n,).
        certificates: Certificates of the code that the classifier saw. Their bounds are shown
            beside the metrics. Those of equal opportunity must be about the positive label.
        n_boot: How often the rows are resampled for bootstrap intervals; 0: no intervals.
        random_state: The seed of the resampling.

    Raises:
        ImportError: If fairlearn is not installed.

    Example:
        >>> found = fairness_differences([1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 1], n_boot=0)
        >>> {difference.metric: difference.value for difference in found}
        {'selection rate': 0.5, 'true positive rate': 0.0, 'false positive rate': 1.0}
    """

    counts = _counts(np.asarray(answers), np.asarray(labels), np.asarray(groups))
    values = _differences(counts)
    drawn = [_rates_apart(some) for some in resampled(counts, n_boot, random_state)]

    return tuple(
        Difference(metric, value, _interval(value, others), _bound(metric, certificates))
        for metric, value, *others in zip(METRICS, values, *drawn, strict=True)
    )


def resampled(
    counts: NDArray[np.int64], n_boot: int, random_state: int
) -> Iterator[NDArray[np.int64]]:
    """The counts of equally many rows, drawn with replacement, again and again."""

    rng, n = np.random.default_rng(random_state), counts.sum()
    for _ in range(n_boot):
        yield rng.multinomial(n, counts.ravel() / n).reshape(counts.shape)


def parity_gap(answers: NDArray[Any], groups: NDArray[np.int64]) -> float:
    """The largest difference between two groups in how often they get any one answer.

    Example:
        >>> parity_gap(np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1]))
        0.5
    """

    shares = np.array(
        [
            [np.mean(answers[groups == g] == value) for value in np.unique(answers)]
            for g in np.unique(groups)
        ]
    )

    return float(np.ptp(shares, axis=0).max())


def gap_interval(
    answers: NDArray[Any], groups: NDArray[np.int64], *, n_boot: int = 200, random_state: int = 0
) -> tuple[float, float]:
    """The percentile interval of 95 % of `parity_gap`, over rows drawn with replacement.

    Samples that lack a group are left out. If all do, nothing is known: from 0 to 1.

    Example:
        >>> low, high = gap_interval(np.tile([1, 0], 200), np.repeat([0, 1], 200))
        >>> parity_gap(np.tile([1, 0], 200), np.repeat([0, 1], 200)), 0 <= low < high < 0.15
        (0.0, True)
    """

    _, rows = np.unique(answers, return_inverse=True)
    _, columns = np.unique(groups, return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    drawn = np.stack(list(resampled(counts, n_boot, random_state)))
    sizes = drawn.sum(1, keepdims=True)
    there = (sizes > 0).all((1, 2))
    if not there.any():
        return 0.0, 1.0
    gaps = np.ptp(drawn[there] / sizes[there], axis=2).max(1)
    low, high = np.quantile(gaps, [0.025, 0.975])

    return float(low), float(high)


def _rates_apart(counts: NDArray[np.int64]) -> list[float | None]:
    """The same differences as fairlearn's, without a data frame for each of many samples."""

    negative, positive = counts.sum(0)
    rates = (
        (counts[1].sum(0), negative + positive),
        (counts[1, 1], positive),
        (counts[1, 0], negative),
    )

    return [float(np.ptp(yes / rows)) if rows.all() else None for yes, rows in rates]


def _interval(value: float | None, drawn: Sequence[float | None]) -> tuple[float, float] | None:
    """The percentile interval of the samples in which every group had rows."""

    known = [other for other in drawn if other is not None]
    if value is None or not known:
        return None
    low, high = np.quantile(known, [0.025, 0.975])

    return float(low), float(high)


def _bound(metric: str, certificates: Sequence[Certificate]) -> float | None:
    """The smallest of the bounds that cover a metric."""

    bounds = [c.bound for c in certificates if metric in c.quantity.rates]

    return min(bounds, default=None)


def _counts(
    answers: NDArray[Any], labels: NDArray[Any], groups: NDArray[Any]
) -> NDArray[np.int64]:
    """How many rows have each answer, label and group, with shape (2, 2, k)."""

    if not len(answers) == len(labels) == len(groups):
        raise ValueError(
            "`fairness_differences` expects an answer, a label and a group for each row, got "
            f"{len(answers)}, {len(labels)} and {len(groups)} of them."
        )
    names, numbers = np.unique(groups, return_inverse=True)
    counts = np.zeros((2, 2, len(names)), dtype=np.int64)
    np.add.at(
        counts, (answers.astype(bool).astype(int), labels.astype(bool).astype(int), numbers), 1
    )

    return counts


def _differences(counts: NDArray[np.int64]) -> list[float | None]:
    """The differences between rates, from the counts of rows."""

    try:  # optional, and without types
        from fairlearn import metrics  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as missing:
        raise ImportError("Fairness metrics need fairlearn: `pip install fairlearn`.") from missing

    answers, labels, groups = counts.nonzero()
    weights = {"sample_weight": counts[answers, labels, groups]}
    rates = (metrics.selection_rate, metrics.true_positive_rate, metrics.false_positive_rate)
    frame = metrics.MetricFrame(
        metrics=dict(zip(METRICS, rates, strict=True)),
        y_true=labels.tolist(),
        y_pred=answers.tolist(),
        sensitive_features=groups.tolist(),
        sample_params=dict.fromkeys(METRICS, weights),
    )
    values = frame.difference(method="between_groups")
    negative, positive = counts.sum(0)
    # For fairlearn the rate of no rows is 0; here it is None.
    there = (negative + positive, positive, negative)

    return [
        float(values[metric]) if rows.all() else None
        for metric, rows in zip(METRICS, there, strict=True)
    ]
