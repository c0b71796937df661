"""Baselines beside figures that others published, in the protocol of those figures.

Xian & Zhao publish notebooks with all their numbers. We repeat their protocol: their rows and
columns, their split for each seed, and their logistic regression, so that only the method differs.
35 % of the rows fit the regression, 30 % are the test, and the method sees the other 35 %. With no
limit nothing of a method is left, so that line checks the protocol.

- The closed-form rule gets the log-odds of the regression, as theirs does. With two groups and
  classes it chooses its multiplier by the true groups of its rows, and theirs by the posteriors.
- The front sees the groups. Its authors' own numbers are not available, but Xian & Zhao's rule has
  the same optimum. We give `best_answers` the posteriors of their regression, and `ParetoFront`
  these as log-odds: it calibrates them by itself, as the baseline does with columns.
- For SPLINCE there is a theorem: after it, a regression without a penalty answers as after LEACE.
  We count how often that is true on the official test rows of Adult.

Each run of a front is a line of JSON in --records. Runs that are already there are not repeated.
SPLINCE takes seconds, and is not recorded. --page writes the tables into a page between comments:
`<!-- table: published -->` or `<!-- table: splince -->`, and `<!-- end -->`.

    python benchmarks/bench_published.py [--records FILE] [--seeds 5] [--page FILE]

Source:
    A unified post-processing framework for group fairness in classification (Xian, Zhao, 2024),
    https://arxiv.org/abs/2405.04025. Their notebooks of 19 January 2025 (commit 92ca8b3):
    https://github.com/uiuctml/fair-classification
    Preserving Task-Relevant Information Under Linear Concept Removal (Holstege, Ravfogel, Wouters,
    2025), https://arxiv.org/abs/2506.10703
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from runs import Runs, fill, options
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bitveil.baselines.leace import LinearErasure
from bitveil.baselines.pareto_front import ParetoFront, best_answers
from bitveil.baselines.rule import Rule
from bitveil.datasets import load_adult, load_communities_crime
from bitveil.datasets.catalogue import entries
from bitveil.datasets.dataset import read_bundled
from bitveil.datasets.files import read_checked

Array = NDArray[np.float64]
FIRST_SEED = 33
"""Of their seeds, which are five in a row. It also splits off the rows for the regression."""
TEST, METHOD = 0.3, 0.5
"""The share of rows for the test, and the share of the others that the method sees."""
PENALTIES = (0.0, 100.0, 1_000.0, 10_000.0)
SURE = 1e-6
"""How far the posterior of a known group is from 0 and 1: log-odds are finite."""


PUBLISHED = {
    ("rule", "compas"): (
        (1, 68.49, 1.16, 0.259),
        (0.24, 68.11, 0.75, 0.225),
        (0.2, 65.71, 0.84, 0.179),
        (0.16, 63.41, 0.87, 0.143),
        (0.14, 62.60, 0.87, 0.130),
        (0.12, 61.67, 0.88, 0.106),
        (0.1, 60.51, 0.84, 0.092),
        (0.08, 59.29, 0.94, 0.071),
        (0.06, 57.84, 1.11, 0.054),
        (0.04, 56.22, 1.08, 0.031),
        (0.02, 54.63, 0.86, 0.017),
    ),
    ("rule", "adult"): (
        (1, 85.11, 0.19, 0.180),
        (0.15, 85.06, 0.26, 0.153),
        (0.1, 84.66, 0.25, 0.103),
        (0.05, 84.06, 0.27, 0.055),
        (0.001, 83.24, 0.38, 0.010),
    ),
    ("rule", "communities"): (
        (1, 67.06, 1.47, 0.629),
        (0.4, 65.38, 1.32, 0.443),
        (0.2, 63.58, 0.85, 0.285),
        (0.1, 62.21, 1.62, 0.185),
        (0.05, 60.87, 1.33, 0.152),
        (0.001, 59.73, 1.63, 0.132),
    ),
    ("best_answers", "compas"): (
        (1, 68.20, 0.77, 0.243),
        (0.2, 68.29, 1.08, 0.195),
        (0.1, 68.25, 0.62, 0.078),
        (0.04, 67.92, 0.60, 0.037),
        (0.001, 67.73, 0.76, 0.048),
    ),
    ("best_answers", "adult"): (
        (1, 85.19, 0.22, 0.179),
        (0.15, 85.14, 0.20, 0.150),
        (0.1, 84.72, 0.16, 0.102),
        (0.05, 84.11, 0.31, 0.052),
        (0.001, 83.38, 0.41, 0.013),
    ),
    ("front", "compas"): (
        (1, 68.73, 1.08, 0.236),
        (0.2, 68.52, 1.02, 0.214),
        (0.1, 68.45, 0.59, 0.093),
        (0.06, 68.20, 0.65, 0.052),
        (0.04, 67.95, 0.77, 0.043),
        (0.001, 67.49, 0.89, 0.035),
    ),
    ("front", "adult"): (
        (1, 85.18, 0.22, 0.178),
        (0.15, 85.16, 0.22, 0.159),
        (0.1, 84.78, 0.15, 0.106),
        (0.05, 84.19, 0.27, 0.055),
        (0.001, 83.23, 0.41, 0.013),
    ),
}
"""The fronts of Xian & Zhao, for their logistic regression and parity.

For each limit: the mean accuracy in per cent, its standard deviation, and the mean gap. The limit
1 is none. The notebooks have the names of the data. The rule on COMPAS and Adult is blind, and all
others see the groups. `front` is beside their calibrated posteriors, and all others are beside the
uncalibrated ones.
"""

BETWEEN = (0.24, 0.16, 0.12, 0.08, 0.04)
"""Limits at which the rule does not run on COMPAS. They only make the published line denser."""

METHODS = {
    "rule": "closed-form rule",
    "best_answers": "front, their posteriors",
    "front": "front, calibrated by itself",
}


class People(NamedTuple):
    """Rows in the order of the authors: columns, target and group.

    Attributes:
        blind: The names of the columns that they leave out where the group is not seen.
    """

    X: pd.DataFrame
    y: NDArray[np.int64]
    s: NDArray[np.int64]
    blind: list[str]


def compas() -> People:
    """COMPAS with their columns: also the days in jail. Any later arrest is the target."""

    columns = ["age", "c_charge_degree", "race", "sex", "priors_count"]
    others = ["days_b_screening_arrest", "is_recid", "c_jail_in", "c_jail_out"]
    rows = pd.read_csv(
        read_checked(entries()["compas"].files[0]), usecols=[*columns, *others]
    ).query(
        "abs(days_b_screening_arrest) <= 30 and is_recid != -1 and c_charge_degree != 'O' "
        "and race in ('African-American', 'Caucasian')"
    )
    days = (pd.to_datetime(rows["c_jail_out"]) - pd.to_datetime(rows["c_jail_in"])).dt.days
    table = rows[columns].assign(length_of_stay=days)

    return People(table, rows["is_recid"].to_numpy(), numbers(rows["race"]), ["race"])


def adult() -> People:
    """Adult, all rows, without the weights of the census."""

    data = load_adult()
    table = data.features.drop(columns="fnlwgt")

    return People(table, data.target.to_numpy(), numbers(data.sensitive["sex"]), ["sex"])


def communities() -> People:
    """Communities and Crime: five classes of violent crime, and the largest minority.

    Where more than 95 in 100 (by the scaled column) are white, there is none. The sum of
    minorities is not the share of white people, because every column has a scale of its own.
    """

    raw = pd.read_csv(read_bundled("communities.data.gz"), header=None, na_values="?")
    table = load_communities_crime().features.dropna(axis=1)
    minorities = {
        "racePctHisp": "hispanic",
        "racePctAsian": "asian",
        "racepctblack": "black",
    }
    largest = table[list(minorities)].idxmax(axis=1).map(minorities)
    group = largest.mask(table["racePctWhite"] > 0.95, "white")
    y = pd.cut(raw.iloc[:, -1], 5, labels=False).to_numpy(np.int64)

    return People(table.assign(minority=group), y, numbers(group), [])


DATA: dict[str, Callable[[], People]] = {
    "compas": compas,
    "adult": adult,
    "communities": communities,
}


def numbers(values: "pd.Series[Any]") -> NDArray[np.int64]:
    """The number of each value, in their order."""

    return pd.factorize(values, sort=True)[0].astype(np.int64)


class Predicted(NamedTuple):
    """Posteriors of the rows that the regression did not see, with their target and group."""

    classes: Array
    groups: Array
    y: NDArray[np.int64]
    s: NDArray[np.int64]
    n_test: int


@cache
def predicted(name: str, seen: bool) -> Predicted:
    """The posteriors of a logistic regression: of target and group at once if they are not seen.

    Arguments:
        name: The data.
        seen: Whether the group is a column.
    """

    X, y, s, blind = DATA[name]()
    table = pd.get_dummies(X if seen else X.drop(columns=blind)).to_numpy(np.float32)
    rest, known = train_test_split(
        np.arange(len(y)), test_size=(1 - TEST) * (1 - METHOD), random_state=FIRST_SEED
    )
    scaler = StandardScaler().fit(table[known])
    labels, k = y if seen else s * (y.max() + 1) + y, int(s.max()) + 1
    model = LogisticRegression(max_iter=10_000, random_state=FIRST_SEED)
    model.fit(scaler.transform(table[known]), labels[known])
    p = model.predict_proba(scaler.transform(table[rest])).astype(np.float64)
    joint = p[:, None] * np.eye(k)[s[rest], :, None] if seen else p.reshape(len(p), k, -1)

    return Predicted(joint.sum(1), joint.sum(2), y[rest], s[rest], int(len(y) * TEST))


def log_odds(p: Array) -> Array:
    """log p / (1 - p) of all but the first."""

    own = p[:, 1:].clip(SURE, 1 - SURE)

    return np.log(own / (1 - own))


def run(method: str, name: str, limit: float, seed: int) -> dict[str, Any]:
    """The accuracy and the gap on the test rows of a seed."""

    rows = predicted(name, seen=(method, name) not in (("rule", "compas"), ("rule", "adult")))
    source = np.random.default_rng(FIRST_SEED + seed)
    test = source.choice(np.arange(len(rows.y)), size=rows.n_test, replace=False)
    own = np.setdiff1d(np.arange(len(rows.y)), test)
    answers = ANSWERS[method](rows, own, test, limit, seed)
    y, s = rows.y[test], rows.s[test]
    rates = [np.eye(len(rows.classes[0]))[answers[s == g]].mean(0) for g in np.unique(s)]

    return {
        "method": method,
        "data": name,
        "limit": limit,
        "seed": seed,
        "accuracy": float(np.mean(answers == y)),
        "gap": float(np.ptp(rates, axis=0).max()),
    }


def by_rule(
    rows: Predicted, own: NDArray[Any], test: NDArray[Any], limit: float, seed: int
) -> NDArray[Any]:
    """The answers of the closed-form rule."""

    X = np.hstack([log_odds(rows.classes), log_odds(rows.groups)])
    rule = Rule(limit, random_state=seed).fit(X[own], rows.y[own], sensitive_features=rows.s[own])

    return rule.transform(X[test])[:, 0]


def by_front(
    rows: Predicted, own: NDArray[Any], test: NDArray[Any], limit: float, seed: int
) -> NDArray[Any]:
    """The answers of the front that sees the groups."""

    X = log_odds(rows.classes)
    front = ParetoFront(limit, random_state=seed)
    front.fit(X[own], rows.y[own], sensitive_features=rows.s[own])

    return front.transform(X[test], sensitive_features=rows.s[test])[:, 0]


def by_best_answers(
    rows: Predicted, own: NDArray[Any], test: NDArray[Any], limit: float, seed: int
) -> NDArray[Any]:
    """The best answers for the posteriors as they are: each value of a group is a bin."""

    p, s = rows.classes[:, 1], rows.s
    values, counts = zip(
        *(np.unique(p[own][s[own] == g], return_counts=True) for g in (0, 1)), strict=True
    )
    best = best_answers(values, [n / n.sum() for n in counts], s[own].mean(), limit)
    chances = np.empty(len(test))
    for g in (0, 1):
        places = np.searchsorted(values[g], p[test], side="right") - 1
        chances = np.where(s[test] == g, best[g][places.clip(0, len(best[g]) - 1)], chances)

    return (np.random.default_rng(seed).random(len(test)) < chances).astype(np.int64)


ANSWERS = {"rule": by_rule, "front": by_front, "best_answers": by_best_answers}


def erased(penalty: float) -> dict[str, float]:
    """How often a logistic regression answers the same after SPLINCE and after LEACE.

    The columns are Adult's numbers, in standard deviations. With all columns, answers without a
    penalty need not exist: a rare category with one answer can have any weight.
    """

    data = load_adult()
    test = np.asarray(data.official_test)
    y, s = data.target.to_numpy(), numbers(data.sensitive["sex"])
    columns = data.features.select_dtypes("number")
    X = StandardScaler().fit(columns[~test]).transform(columns)
    answers = {}
    for name, keep in {"leace": False, "splince": True}.items():
        erasure = LinearErasure(keep_target=keep)
        z = erasure.fit(X[~test], y[~test], sensitive_features=s[~test]).transform(X)
        model = LogisticRegression(C=1 / penalty if penalty else np.inf, max_iter=10_000, tol=1e-8)
        answers[name] = model.fit(z[~test], y[~test]).predict(z[test])
    accuracies = {name: float(np.mean(each == y[test])) for name, each in answers.items()}
    same = float(np.mean(answers["leace"] == answers["splince"]))

    return {"same": same, **accuracies}


def published_table(records: pd.DataFrame) -> str:
    """Means and standard deviations over seeds beside the published ones, as Markdown."""

    lines = [
        "| method | data | limit | published accuracy | published gap | our accuracy | our gap "
        "| published, at our gap |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    seeds = records.groupby(["method", "data", "limit"])[["accuracy", "gap"]]
    mean, deviation = seeds.mean(), seeds.std()
    for (method, name), points in PUBLISHED.items():
        for limit, accuracy, spread, gap in points:
            if (case := (method, name, limit)) in mean.index:
                ours = mean.loc[case]
                cells = (
                    METHODS[method],
                    name,
                    "none" if limit == 1 else f"{limit:g}",
                    f"{accuracy:.2f} ± {spread:.2f}",
                    f"{gap:.3f}",
                    f"{100 * ours['accuracy']:.2f} ± {100 * deviation.loc[case, 'accuracy']:.2f}",
                    f"{ours['gap']:.3f}",
                    f"{at_gap(points, ours['gap']):.2f}",
                )
                lines.append(f"| {' | '.join(cells)} |")

    return "\n".join(lines)


def at_gap(points: Sequence[tuple[float, float, float, float]], gap: float) -> float:
    """The published accuracy at a gap, on the line between the two nearest points."""

    line = np.array(sorted((point[3], point[1]) for point in points))

    return float(np.interp(gap, line[:, 0], line[:, 1]))


def splince_table() -> str:
    """How often the answers are the same, as Markdown."""

    lines = [
        "| penalty | same answers | accuracy after LEACE | after SPLINCE |",
        "| --- | --- | --- | --- |",
    ]
    for penalty in PENALTIES:
        cells = " | ".join(f"{100 * share:.2f} %" for share in erased(penalty).values())
        lines.append(f"| {penalty:,.0f} | {cells} |")

    return "\n".join(lines)


def cases(seeds: int) -> Iterator[tuple[str, str, float, int]]:
    """All runs, seed by seed."""

    for seed in range(seeds):
        for (method, name), points in PUBLISHED.items():
            for limit, *_ in points:
                if (method, name) != ("rule", "compas") or limit not in BETWEEN:
                    yield method, name, float(limit), seed


def main() -> None:
    """Run what is missing, and print the tables."""

    parser = options(__doc__, "published", seeds=5)
    parser.add_argument("--page", type=Path, help="the page of the documentation to write it into")
    arguments = parser.parse_args()
    runs = Runs(arguments.records)
    runs.complete(run, ("method", "data", "limit", "seed"), cases(arguments.seeds))
    made = {"published": published_table(runs.table()), "splince": splince_table()}
    print(*made.values(), sep="\n\n")
    if arguments.page is not None:
        fill(arguments.page, made)


if __name__ == "__main__":
    main()
