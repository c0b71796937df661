"""Figures that others published about the baselines, beside our measurements.

The figures below come from others, with their sources. Everything else comes from records.

Source:
    Controllable Guarantees for Fair Outcomes via Contrastive Information Estimation (Gupta,
    Ferber, Dilkina, Ver Steeg, 2021), https://arxiv.org/abs/2101.04108
    FFB: A Fair Fairness Benchmark for In-Processing Group Fairness Methods (Han, Chi, Chen, Wang,
    Zhao, Zou, Hu, 2024), https://arxiv.org/abs/2306.09468
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.benchmark.document import Block, Heading, PageTable, Text
from bitveil.benchmark.fronts import most_accurate
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.names import title

__all__ = ["PUBLISHED", "PublishedFigure", "accuracy_and_gap", "beside"]

Score = Literal["accuracy", "gap"]


@dataclass(frozen=True)
class PublishedFigure:
    """A figure that others published.

    Attributes:
        method: The method, by its short name here.
        dataset: The data set, by its short name here.
        score: The kind of figure: the accuracy or the parity gap of a network.
        value: The figure.
        source: Who published it.
        differs: The difference from our setting.
    """

    method: str
    dataset: str
    score: Score
    value: float
    source: str
    differs: str


_FCRL = "Gupta et al. 2021, their code"
_FFB = "Han et al. 2024 (FFB)"
_ROWS = "rows with missing values are left out"
_SPLIT = "random splits, a larger network, one run of 150 steps"

PUBLISHED = (
    PublishedFigure(UNPROTECTED, "adult", "accuracy", 0.8455, _FCRL, _ROWS),
    PublishedFigure(UNPROTECTED, "adult", "gap", 0.185, _FCRL, _ROWS),
    PublishedFigure(UNPROTECTED, "adult", "accuracy", 0.8535, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "adult", "gap", 0.1667, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "compas", "accuracy", 0.6713, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "compas", "gap", 0.1683, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "census", "accuracy", 0.9488, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "census", "gap", 0.0361, _FFB, _SPLIT),
)
"""Figures of others."""

_SCORE_NAMES: dict[Score, str] = {
    "accuracy": "accuracy of a network",
    "gap": "parity gap of a network",
}


def beside(table: pd.DataFrame) -> Iterator[Block]:
    """Published figures beside the figures of these records.

    Arguments:
        table: The finished records: see `fronts.done`.
    """

    lines = [
        (
            title(p.method),
            p.dataset,
            _SCORE_NAMES[p.score],
            f"{p.value:.3f}",
            here,
            p.source,
            p.differs,
        )
        for p in PUBLISHED
        if (here := _here(table, p)) is not None
    ]
    if not lines:
        return
    yield Heading("Baselines beside published figures")
    yield PageTable(
        ("method", "data set", "number", "published", "here", "by", "differs"), tuple(lines)
    )
    yield Text(
        "The table shows whether our network is in the range that others found. It does not show "
        "which one is better, because rows, splits and choices differ. The network is the one "
        "among the four classifiers, for the configuration with the best accuracy on the rows for "
        "selection. Published fronts of protected methods have no blanks, so they cannot stand "
        "beside ours. The paper's own tables were not available to us. The page of measurements "
        "compares its authors' code with ours. It also has the rule, the front and SPLINCE beside "
        "published figures, in the protocol of their authors, and says why FMC and FRG are not "
        "there."
    )


def _here(table: pd.DataFrame, published: PublishedFigure) -> str | None:
    """The same score from the records, with its spread over splits, or None if there is none."""

    mine = table["method"] == published.method
    free = most_accurate(table[mine & (table["dataset"] == published.dataset)])
    if free.empty or "test_counts_mlp" not in free:
        return None
    counts = [np.reshape(each, (-1, 4)) for each in free["test_counts_mlp"]]
    accuracy, gap = accuracy_and_gap(np.stack(counts))
    score = pd.Series(accuracy if published.score == "accuracy" else gap)

    return f"{score.mean():.3f}" + (f" ± {score.std():.3f}" if len(score) > 1 else "")


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
