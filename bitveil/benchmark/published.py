"""What others published of the baselines, beside what is measured here.

The figures below are facts of others, from the sources that stand with them; all else is computed
from records.

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

from bitveil.benchmark.document import Block, Heading, Table, Text
from bitveil.benchmark.fronts import accuracy_and_gap, areas, chosen
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.plots import title

__all__ = ["PUBLISHED", "Published", "beside"]

Score = Literal["accuracy", "gap", "area", "area_fare"]


@dataclass(frozen=True)
class Published:
    """A figure that others published.

    Attributes:
        method: The method, by its short name here.
        dataset: The data set, by its short name here.
        score: What it is: the accuracy or the parity gap of a network; the area by the gap of a
            classifier (`"area"`), or by FARE's own bound (`"area_fare"`).
        value: The figure.
        source: Who published it.
        differs: What is other than here.
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
_HEALTH = "another coding of the target, another split; fronts chosen on test rows"

PUBLISHED = (
    Published(UNPROTECTED, "adult", "accuracy", 0.8455, _FCRL, _ROWS),
    Published(UNPROTECTED, "adult", "gap", 0.185, _FCRL, _ROWS),
    Published(UNPROTECTED, "adult", "accuracy", 0.8535, _FFB, _SPLIT),
    Published(UNPROTECTED, "adult", "gap", 0.1667, _FFB, _SPLIT),
    Published(UNPROTECTED, "compas", "accuracy", 0.6713, _FFB, _SPLIT),
    Published(UNPROTECTED, "compas", "gap", 0.1683, _FFB, _SPLIT),
    Published(UNPROTECTED, "census", "accuracy", 0.9488, _FFB, _SPLIT),
    Published(UNPROTECTED, "census", "gap", 0.0361, _FFB, _SPLIT),
    Published("tree", "heritage", "area", 0.492, _FARE, _HEALTH),
    Published("tree", "heritage", "area_fare", 0.379, _FARE, _HEALTH),
    Published("fcrl", "heritage", "area", 0.514, f"{_FARE}: their run of FCRL", _HEALTH),
    Published("cvib", "heritage", "area", 0.03, f"{_FARE}: their run of CVIB", _HEALTH),
)
"""Figures of others. Areas are by the definition of this page, from the points of the sources."""

WITHOUT = ("adversary", "characteristic", "distance")
"""Our own implementations that no published figure on these data sets is known to us for."""

_SCORES: dict[Score, str] = {
    "accuracy": "accuracy of a network",
    "gap": "parity gap of a network",
    "area": "area, classifiers",
    "area_fare": "area, certified by FARE's own bound",
}


def beside(table: pd.DataFrame) -> Iterator[Block]:
    """Published figures beside those of these records.

    Arguments:
        table: The records that are done: see `fronts.done`.
    """

    lines = [
        (title(p.method), p.dataset, _SCORES[p.score], f"{p.value:.3f}", here, p.source, p.differs)
        for p in PUBLISHED
        if (here := _here(table, p)) is not None
    ]
    if not lines:
        return
    yield Heading("Baselines beside published figures")
    yield Table(
        ("method", "data set", "number", "published", "here", "by", "differs"), tuple(lines)
    )
    there = [title(name) for name in WITHOUT if name in set(table["method"])]
    yield Text(
        "This shows whether a baseline is in the range of what others found of it and, as rows, "
        "splits and choices differ, not which of two is better. The network is that among the "
        "four classifiers, on the configuration of the best accuracy on the rows to select. "
        "Published areas are by the definition of this page, from the points in the source. "
        + (f"Of {', '.join(there)} no figure on these data sets is known to us. " if there else "")
        + "The paper's own tables were not available to us; its authors' code is beside ours in "
        "the page of measurements."
    )


def _here(table: pd.DataFrame, published: Published) -> str | None:
    """The same score by the records, with its spread over splits, or None where there is none."""

    rows = table[table["dataset"] == published.dataset]
    found = _area(rows, published) if "area" in published.score else _network(rows, published)
    if found is None:
        return None
    mean, sd, splits = found

    return f"{mean:.3f}" + (f" ± {sd:.3f}" if splits > 1 else "")


def _area(rows: pd.DataFrame, published: Published) -> tuple[float, float, int] | None:
    """The area of a method: mean and spread over splits, and their number."""

    kind = "bound" if published.score == "area_fare" else "gap"
    if kind == "bound":
        rows = rows.assign(bound=rows.get("bound_fare", np.nan))
    found = areas(rows, unprotected=UNPROTECTED)
    mine = found[(found["method"] == published.method) & (found["kind"] == kind)]

    return None if mine.empty else tuple(mine[["mean", "sd", "splits"]].iloc[0])


def _network(rows: pd.DataFrame, published: Published) -> tuple[float, float, int] | None:
    """The score of the network among the classifiers of a method, in the same form."""

    free = chosen(rows[rows["method"] == published.method], "attack_gap", np.inf)
    if free.empty or "test_counts_mlp" not in free:
        return None
    counts = [np.reshape(each, (-1, 4)) for each in free["test_counts_mlp"]]
    accuracy, gap = accuracy_and_gap(np.stack(counts))
    score = accuracy if published.score == "accuracy" else gap

    return score.mean(), score.std(), len(score)
