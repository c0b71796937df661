"""Uses: probes that guess the target from the code, and how fair their answers are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bitveil.audits.fairness import Difference, fairness_differences, gap_interval, parity_gap
from bitveil.audits.families import Configuration
from bitveil.audits.probes import Guesses, Probe, Split, check_lengths
from bitveil.certificates.upper import Certificate
from bitveil.workers import run

__all__ = ["Use", "use"]

_RESAMPLES = 200
"""How often the scored rows are resampled for the intervals of gaps."""


@dataclass(frozen=True)
class Use:
    """How well one family of classifiers predicts the target, and how fair its answers are.

    Attributes:
        probe: Its scores.
        gap: The largest difference between two groups in how often they get any one answer.
        differences: The fairness metrics, if they were requested.
        gap_interval: The bootstrap interval of 95 % of the gap, over the scored rows.
    """

    probe: Probe
    gap: float
    differences: tuple[Difference, ...] = ()
    gap_interval: tuple[float, float] | None = None


def use(
    split: Split,
    groups: NDArray[np.int64],
    *,
    families: Iterable[str] = ("boosting",),
    fairness: bool = False,
    positive: int = 1,
    certificates: Sequence[Certificate] = (),
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> list[Use]:
    """Train each family to predict the target, and measure how good and how fair its answers are.

    Arguments:
        split: What is seen, and the target as labels.
        groups: The group of each scored row.
        families: Which of `FAMILIES` are tried.
        fairness: Whether fairness metrics are computed, which needs fairlearn.
        positive: The label that they take as positive.
        certificates: Certificates of the same code, whose bounds are shown beside the metrics.
        n_boot: How often the scored rows are resampled for bootstrap intervals of the scores; 0:
            no such intervals. Gaps always have intervals.
        random_state: The seed of the resampling.
        n_jobs: How many families are trained at once; None: one.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> split = Split.halves(bits, bits[:, 0], seed=0)
        >>> [(found.probe.accuracy, found.gap) for found in use(split, split.scored[:, 0])]
        [(1.0, 1.0)]
    """

    check_lengths(split.scored, groups)
    found = []
    chosen = [Configuration(name, {}) for name in families]
    calls = [partial(Guesses.of, one, split) for one in chosen]
    for guesses in run(calls, n_jobs, step="training classifiers of the target"):
        answers = guesses.answers()
        differences: tuple[Difference, ...] = ()
        if fairness:
            differences = fairness_differences(
                answers == positive,
                split.scored_labels == positive,
                groups,
                certificates=certificates,
                n_boot=n_boot or _RESAMPLES,
                random_state=random_state,
            )
        probe = guesses.probe(n_boot, random_state)
        interval = gap_interval(answers, groups, n_boot=_RESAMPLES, random_state=random_state)
        found.append(Use(probe, parity_gap(answers, groups), differences, interval))

    return found
