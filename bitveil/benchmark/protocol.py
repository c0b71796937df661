"""The protocol: which rows are for what, and how a representation is scored.

The test rows of a data set are touched once a configuration, to report. Of the rest 50 % fit the
method, 20 % select, 30 % certify. Within a group of the sensitive attribute the split is random,
so that the rows to certify are a fair sample of the group. The sensitive attribute, and what
states it outright, is never a feature; every method sees the same standardised columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.utils import check_random_state

from bitveil.audits.fairness import fairness_differences, parity_gap
from bitveil.audits.families import Configuration, distinct, fit
from bitveil.certificates.other_bounds import fare_certificate
from bitveil.certificates.upper import certify
from bitveil.datasets import (
    Dataset,
    load_adult,
    load_bank_marketing,
    load_census_income,
    load_communities_crime,
    load_compas,
    load_credit_card,
    load_german_credit,
    load_heritage_health,
    load_law_school,
)
from bitveil.features import Features
from bitveil.group_tables import GroupTables
from bitveil.information import BITS, mutual_information, neuron_information, total_variation
from bitveil.settings import LISTED
from bitveil.tables import neuron_tables

__all__ = [
    "DATASETS",
    "Part",
    "Problem",
    "counts",
    "group_sizes",
    "problem",
    "scores",
    "split",
]

SHARES = {"fit": 0.5, "select": 0.2, "certify": 0.3}
"""The shares of the rows that are not for the test."""

FAMILIES = ("linear", "mlp", "forest", "boosting")
"""The classifiers that use a representation, and those that attack it."""

SLOW = ("mlp", "forest")
"""Families that are trained on `SLOW_ROWS` rows where rows do not repeat."""

SLOW_ROWS = 2_000


@dataclass(frozen=True)
class Source:
    """Where a problem comes from.

    Attributes:
        load: Loads the data set.
        sensitive: The name of its sensitive attribute.
        groups: The groups that take part; None: all.
    """

    load: Callable[[], Dataset]
    sensitive: str
    groups: tuple[str, ...] | None = None


DATASETS: dict[str, Source] = {
    "adult": Source(load_adult, "sex"),
    "compas": Source(load_compas, "race", ("African-American", "Caucasian")),
    "heritage": Source(lambda: load_heritage_health(year=3), "age_group"),
    "bank": Source(load_bank_marketing, "marital"),
    "german": Source(load_german_credit, "sex"),
    "law": Source(load_law_school, "race"),
    "communities": Source(load_communities_crime, "black_share"),
    "census": Source(load_census_income, "sex"),
    "credit": Source(load_credit_card, "sex"),
}
"""The data sets that can be run, by their short names."""


@dataclass(frozen=True)
class Part:
    """Rows of one use: features (n, d), target (n,) and group (n,) as numbers from 0."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    s: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Problem:
    """A data set, split by a seed.

    Attributes:
        name: Its short name.
        groups: The values of the sensitive attribute.
        parts: The rows to `"fit"`, `"select"`, `"certify"` and `"test"`.
    """

    name: str
    groups: tuple[str, ...]
    parts: dict[str, Part]

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    @cached_property
    def posterior(self) -> "Problem":
        """The same rows with what boosted trees say of target and group as their only columns.

        Those of the rows to fit are said out of fold.
        """

        known = self["fit"]
        features = Features("posterior")
        parts = {"fit": replace(known, X=features.fit_transform(known.X, known.y, known.s))}
        for name in ("select", "certify", "test"):
            parts[name] = replace(self[name], X=features.transform(self[name].X))

        return Problem(self.name, self.groups, parts)


def split(s: NDArray[np.int64], seed: int) -> dict[str, NDArray[np.int64]]:
    """The numbers of the rows of each use, at random within each group.

    Example:
        >>> {name: len(rows) for name, rows in split(np.repeat([0, 1], 50), seed=0).items()}
        {'fit': 50, 'select': 20, 'certify': 30}
    """

    rng, cuts = check_random_state(seed), np.cumsum(list(SHARES.values()))[:-1]
    groups = [rng.permutation(np.flatnonzero(s == g)) for g in np.unique(s)]
    pieces = [np.split(rows, np.round(cuts * len(rows)).astype(int)) for rows in groups]

    return {
        name: np.sort(np.concatenate(some))
        for name, some in zip(SHARES, zip(*pieces, strict=True), strict=True)
    }


def problem(name: str, seed: int) -> Problem:
    """Load a data set, split it, and prepare its columns by the rows to fit.

    Raises:
        ValueError: If there is no data set of this name.
        FileNotFoundError: If its file is nowhere.
    """

    if name not in DATASETS:
        raise ValueError(f"There is no data set {name!r}. Those there are: {list(DATASETS)}.")
    source = DATASETS[name]
    data, taken = _load(source)
    table = data.without(source.sensitive)[taken]
    y = data.target[taken].to_numpy(np.int64)
    s, groups = pd.factorize(data.sensitive.loc[taken, source.sensitive], sort=True)
    test = data.test[taken]
    rest = np.flatnonzero(~test)
    rows = {part: rest[some] for part, some in split(s[rest], seed).items()}
    rows["test"] = np.flatnonzero(test)
    features = Features("raw").fit(table.iloc[rows["fit"]])
    parts = {
        part: Part(features.transform(table.iloc[some]), y[some], s[some])
        for part, some in rows.items()
    }

    return Problem(name, tuple(map(str, groups)), parts)


def group_sizes(name: str) -> tuple[int, list[int]]:
    """How many rows a data set has, and how many of each group are not for the test."""

    data, taken = _load(DATASETS[name])
    rest = data.sensitive.loc[taken & ~data.test, DATASETS[name].sensitive]

    return int(taken.sum()), rest.value_counts(sort=False).sort_index().tolist()


def _load(source: Source) -> tuple[Dataset, NDArray[np.bool_]]:
    """A data set, and which of its rows take part."""

    data = source.load()
    if source.groups is None:
        return data, np.ones(len(data.target), dtype=bool)

    return data, data.sensitive[source.sensitive].isin(source.groups).to_numpy()


def counts(likelihoods: NDArray[np.float64], s: NDArray[np.int64], k: int) -> torch.Tensor:
    """The expected counts over (group, code), from the probability of each code of each row.

    Example:
        >>> counts(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), 2)
        tensor([[1.5000, 0.5000],
                [0.0000, 0.0000]], dtype=torch.float64)
    """

    return torch.from_numpy(np.eye(k)[s].T @ likelihoods)


def scores(model: Any, some: Problem, *, candidates: int, delta: float) -> dict[str, Any]:
    """Score a fitted method: what its representation is good for, and what it tells.

    What users and attackers know is learnt from the rows to fit, with their representation. Each
    is scored on the rows to select (for every choice) and to test (for the report).

    Arguments:
        model: A fitted method, with `transform`, and `likelihoods` where its codes are finite.
        some: The problem.
        candidates: How many configurations the certificates are corrected for.
        delta: The probability that a certificate may be wrong.

    Returns:
        A flat record: numbers by name.
    """

    known = some["fit"]
    seen = {name: _transform(model, some[name]) for name in ("fit", "select", "test")}
    users, attackers = _models(seen["fit"], known.y), _models(seen["fit"], known.s)
    prior = np.bincount(known.s) / len(known)
    found: dict[str, Any] = {}
    for name in ("select", "test"):
        on = _used(users, seen[name], some[name])
        on |= _attacked(attackers, seen[name], some[name], prior)
        found |= {f"{name}_{score}": value for score, value in on.items()}
    if hasattr(model, "likelihoods") and getattr(model, "n_bits", 0) <= LISTED:
        found |= _counted(model, some, candidates, delta)

    return found


def _transform(model: Any, part: Part) -> NDArray[Any]:
    if getattr(model, "needs_sensitive", False):
        return np.asarray(model.transform(part.X, sensitive_features=part.s))
    return np.asarray(model.transform(part.X))


def _models(seen: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Each family, trained to tell the labels from what is seen."""

    repeats = len(distinct(seen)[0]) < len(seen) / 4
    few = np.linspace(0, len(seen) - 1, min(len(seen), SLOW_ROWS)).astype(int)
    models = {}
    for family in FAMILIES:
        rows = few if family in SLOW and not repeats else slice(None)
        models[family] = fit(Configuration(family, {}), seen[rows], labels[rows])

    return models


def _posteriors(models: dict[str, Any], seen: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The probability of each label for each row, by family."""

    rows, numbers = distinct(seen)

    return {family: model.predict_proba(rows)[numbers] for family, model in models.items()}


def _used(models: dict[str, Any], seen: NDArray[Any], rows: Part) -> dict[str, Any]:
    """The accuracy of each family and their mean, and the worst of their gaps."""

    said = _posteriors(models, seen)
    answers = {family: posterior.argmax(1) for family, posterior in said.items()}
    right = {family: float((answer == rows.y).mean()) for family, answer in answers.items()}
    found: dict[str, Any] = {f"accuracy_{family}": share for family, share in right.items()}
    found["accuracy"] = float(np.mean(list(right.values())))
    found["auc"] = float(np.mean([roc_auc_score(rows.y, each[:, 1]) for each in said.values()]))
    found["gap"] = max(parity_gap(answer, rows.s) for answer in answers.values())
    found["impact"] = min(_impact(answer, rows.s) for answer in answers.values())
    for family, answer in answers.items():
        cells = np.ravel_multi_index((rows.s, rows.y, answer), (rows.s.max() + 1, 2, 2))
        found[f"counts_{family}"] = np.bincount(cells, minlength=4 * (rows.s.max() + 1)).tolist()
    rates = [
        {d.metric: d.value or 0.0 for d in fairness_differences(*given, n_boot=0)}
        for given in ((answer, rows.y, rows.s) for answer in answers.values())
    ]
    for metric in rates[0]:
        found[metric.replace(" ", "_").replace("-", "_")] = max(rate[metric] for rate in rates)

    return found


def _impact(answers: NDArray[np.int64], s: NDArray[np.int64]) -> float:
    """Disparate impact: the lowest rate of positive answers of a group by the highest.

    Example:
        >>> _impact(np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1]))
        0.5
    """

    rates = [answers[s == g].mean() for g in np.unique(s)]

    return float(min(rates) / max(rates)) if max(rates) > 0 else 1.0


def _attacked(
    models: dict[str, Any], seen: NDArray[Any], rows: Part, prior: NDArray[np.float64]
) -> dict[str, Any]:
    """The best of the attackers, by its AUC, and the largest gap that one of them shows.

    A gap is that of the balanced accuracy b, (k b - 1) / (k - 1) of k groups.
    """

    k = len(prior)
    aucs, gaps = {}, [0.0]
    for family, posterior in _posteriors(models, seen).items():
        labels = posterior[:, 1] if k == 2 else posterior
        aucs[family] = float(roc_auc_score(rows.s, labels, multi_class="ovr"))
        guess = (posterior / prior).argmax(1)
        right = np.mean([(guess[rows.s == g] == g).mean() for g in range(k)])
        gaps.append(float((k * right - 1) / (k - 1)))
    best = max(aucs, key=lambda family: aucs[family])

    return {"attack_auc": aucs[best], "attack_family": best, "attack_gap": max(gaps)}


def _counted(model: Any, some: Problem, candidates: int, delta: float) -> dict[str, Any]:
    """What the codes tell, exactly on the test rows, and certified."""

    k = len(some.groups)
    tables = {
        name: counts(model.likelihoods(some[name].X), some[name].s, k)
        for name in ("select", "certify", "test")
    }
    hard = bool((tables["certify"] == tables["certify"].round()).all())
    draws = "hard" if hard else "soft"
    held_out = GroupTables.of(tables["certify"])
    one = certify(held_out, delta=delta, draws=draws)
    all_ = certify(held_out, delta=delta, draws=draws, candidates=candidates)
    found = {
        "select_variation": float(total_variation(tables["select"]).max()),
        "test_variation": float(total_variation(tables["test"]).max()),
        "test_information_bits": float(mutual_information(tables["test"]) * BITS),
        "certify_variation": one.estimate,
        "bound_alone": one.bound,
        "bound": all_.bound,
        "codes": tables["test"].shape[1],
    }
    if hasattr(model, "logits"):
        found["test_neuron_bits"] = _neurons(model, some)
    if hard and k == 2:
        sizes = torch.from_numpy(np.bincount(some["fit"].s, minlength=k).astype(float))
        found["bound_fare"] = fare_certificate(
            sizes, tables["certify"], tables["test"].sum(0), delta=delta
        ).bound

    return found


def _neurons(model: Any, some: Problem) -> float:
    """The paper's number: the information of single bits, summed."""

    logits = torch.from_numpy(np.asarray(model.logits(some["test"].X), dtype=np.float64))
    tables = neuron_tables(logits, torch.from_numpy(some["test"].s), len(some.groups))

    return float(neuron_information(tables) * BITS)
