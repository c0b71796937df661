"""Figures that others published about the baselines, beside our measurements.

The figures below come from others, with their sources. Everything else comes from records.

Source:
    Controllable Guarantees for Fair Outcomes via Contrastive Information Estimation (Gupta,
    Ferber, Dilkina, Ver Steeg, 2021), https://arxiv.org/abs/2101.04108
    FFB: A Fair Fairness Benchmark for In-Processing Group Fairness Methods (Han, Chi, Chen, Wang,
    Zhao, Zou, Hu, 2024), https://arxiv.org/abs/2306.09468
    FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović, Balunović,
    Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bitveil.benchmark.document import Block, Heading, PageTable, Text
from bitveil.benchmark.fronts import areas, chosen
from bitveil.benchmark.intervals import accuracy_and_gap
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.plots import title

__all__ = ["PUBLISHED", "PublishedFigure", "beside"]

Score = Literal["accuracy", "gap", "area", "area_fare"]


@dataclass(frozen=True)
class PublishedFigure:
    """A figure that others published.

    Attributes:
        method: The method, by its short name here.
        dataset: The data set, by its short name here.
        score: The kind of figure: the accuracy or the parity gap of a network; the area by the
            gap of a classifier (`"area"`), or by FARE's own bound (`"area_fare"`).
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
_FARE = "Jovanović et al. 2023, from the result files with their code"
_ROWS = "rows with missing values are left out"
_SPLIT = "random splits, a larger network, one run of 150 steps"
_HEALTH = "another coding of the target, another split; they chose fronts on test rows"

PUBLISHED = (
    PublishedFigure(UNPROTECTED, "adult", "accuracy", 0.8455, _FCRL, _ROWS),
    PublishedFigure(UNPROTECTED, "adult", "gap", 0.185, _FCRL, _ROWS),
    PublishedFigure(UNPROTECTED, "adult", "accuracy", 0.8535, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "adult", "gap", 0.1667, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "compas", "accuracy", 0.6713, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "compas", "gap", 0.1683, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "census", "accuracy", 0.9488, _FFB, _SPLIT),
    PublishedFigure(UNPROTECTED, "census", "gap", 0.0361, _FFB, _SPLIT),
    PublishedFigure("tree", "heritage", "area", 0.492, _FARE, _HEALTH),
    PublishedFigure("tree", "heritage", "area_fare", 0.379, _FARE, _HEALTH),
    PublishedFigure("fcrl", "heritage", "area", 0.514, f"{_FARE}: their run of FCRL", _HEALTH),
    PublishedFigure("cvib", "heritage", "area", 0.03, f"{_FARE}: their run of CVIB", _HEALTH),
)
"""Figures of others. We computed their areas with our definition, from the sources' points."""

WITHOUT = ("adversary", "characteristic", "distance")
"""Our own implementations for which we know no published figure on these data sets."""

_SCORE_NAMES: dict[Score, str] = {
    "accuracy": "accuracy of a network",
    "gap": "parity gap of a network",
    "area": "area, classifiers",
    "area_fare": "area, certified with FARE's own bound",
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
    there = [title(name) for name in WITHOUT if name in set(table["method"])]
    yield Text(
        "The table shows whether our baselines are in the range that others found. It does not "
        "show which one is better, because rows, splits and choices differ. The network is the "
        "one among the four classifiers, for the configuration with the best accuracy on the rows "
        "for selection. We computed published areas with the definition of this page, from the "
        "points in the source. "
        + (f"We know no figures for {', '.join(there)} on these data sets. " if there else "")
        + "The paper's own tables were not available to us. The page of measurements compares its "
        "authors' code with ours."
    )


def _here(table: pd.DataFrame, published: PublishedFigure) -> str | None:
    """The same score from the records, with its spread over splits, or None if there is none."""

    rows = table[table["dataset"] == published.dataset]
    found = (
        _area_here(rows, published)
        if "area" in published.score
        else _network_here(rows, published)
    )
    if found is None:
        return None
    mean, sd, splits = found

    return f"{mean:.3f}" + (f" ± {sd:.3f}" if splits > 1 else "")


def _area_here(rows: pd.DataFrame, published: PublishedFigure) -> tuple[float, float, int] | None:
    """The area of a method: its mean and spread over splits, and the number of splits."""

    kind = "bound" if published.score == "area_fare" else "gap"
    if kind == "bound":
        rows = rows.assign(bound=rows.get("bound_fare", np.nan))
    found = areas(rows, unprotected=UNPROTECTED)
    mine = found[(found["method"] == published.method) & (found["kind"] == kind)]

    return None if mine.empty else tuple(mine[["mean", "sd", "splits"]].iloc[0])


def _network_here(
    rows: pd.DataFrame, published: PublishedFigure
) -> tuple[float, float, int] | None:
    """The score of the network among the classifiers of a method, in the same form."""

    free = chosen(rows[rows["method"] == published.method], "attack_gap", np.inf)
    if free.empty or "test_counts_mlp" not in free:
        return None
    counts = [np.reshape(each, (-1, 4)) for each in free["test_counts_mlp"]]
    accuracy, gap = accuracy_and_gap(np.stack(counts))
    score = accuracy if published.score == "accuracy" else gap

    return score.mean(), score.std(), len(score)
