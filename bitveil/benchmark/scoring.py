"""Scores: how useful a representation is, what it leaks, and what can be certified.

The benchmark trains classifiers for the target and attackers for the group on the rows for
fitting, with their representation. It scores both on the rows for selection, which decide every
choice, and on the test rows, which are reported.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bitveil.audits.fairness import fairness_differences, parity_gap
from bitveil.audits.families import Configuration, distinct, fit_family
from bitveil.audits.probes import Probe
from bitveil.benchmark.protocol import Problem, UseRows
from bitveil.certificates.other_bounds import fare_certificate
from bitveil.certificates.upper import certify
from bitveil.group_tables import GroupTables
from bitveil.information import BITS, mutual_information, neuron_information, total_variation
from bitveil.settings import LISTED
from bitveil.tables import neuron_tables

__all__ = ["code_counts", "scores"]

CLASSIFIERS = ("linear", "mlp", "forest", "boosting")
"""The families of classifiers that use a representation, and that attack it."""

SLOW = ("mlp", "forest")
"""Families that are trained on `SLOW_ROWS` rows if rows do not repeat."""

SLOW_ROWS = 2_000

OWN_WORDS = ("own_bound", "solution_found")
"""What a method says of its own fit, which the benchmark records and does not check."""


def code_counts(likelihoods: NDArray[np.float64], s: NDArray[np.int64], k: int) -> torch.Tensor:
    """The expected counts over (group, code), from the probability of each code for each row.

    Example:
        >>> code_counts(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), 2)
        tensor([[1.5000, 0.5000],
                [0.0000, 0.0000]], dtype=torch.float64)
    """

    return torch.from_numpy(np.eye(k)[s].T @ likelihoods)


def scores(model: Any, some: Problem, *, candidates: int, delta: float) -> dict[str, Any]:
    """Score a fitted method: what its representation is good for, and what it leaks.

    Arguments:
        model: A fitted method with `transform`, and with `likelihoods` if its codes are finite.
        some: The problem.
        candidates: For how many configurations the certificates are corrected.
        delta: The probability that a certificate may be wrong.

    Returns:
        A flat record: numbers by name.
    """

    known = some["fit"]
    seen = {name: _transform(model, some[name]) for name in ("fit", "select", "test")}
    users, attackers = _trained(seen["fit"], known.y), _trained(seen["fit"], known.s)
    prior = np.bincount(known.s) / len(known)
    found: dict[str, Any] = {}
    for name in ("select", "test"):
        on = _use_scores(users, seen[name], some[name])
        on |= _attack_scores(attackers, seen[name], some[name], prior)
        found |= {f"{name}_{score}": value for score, value in on.items()}
    if hasattr(model, "likelihoods") and getattr(model, "n_bits", 0) <= LISTED:
        found |= _code_scores(model, some, candidates, delta)
    if hasattr(model, "goal_"):  # it split the rows itself, and has a certificate of its own
        found |= {"own_goal": model.goal_, "share": model.share_}
        found |= {"bound": model.bound_, "bound_alone": model.bound_}
    for name in OWN_WORDS:
        if hasattr(model, f"{name}_"):
            found[name] = getattr(model, f"{name}_")

    return found


def _transform(model: Any, rows: UseRows) -> NDArray[Any]:
    return np.asarray(model.transform(rows.X, **_groups_if_needed(model, rows)))


def _likelihoods(model: Any, rows: UseRows) -> NDArray[np.float64]:
    return np.asarray(model.likelihoods(rows.X, **_groups_if_needed(model, rows)))


def _groups_if_needed(model: Any, rows: UseRows) -> dict[str, NDArray[np.int64]]:
    """What a model is given beside the features: the groups, if it needs them."""

    return {"sensitive_features": rows.s} if getattr(model, "needs_sensitive", False) else {}


def _trained(seen: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Each family, trained to predict the labels from the representation."""

    repeats = len(distinct(seen)[0]) < len(seen) / 4
    few = np.linspace(0, len(seen) - 1, min(len(seen), SLOW_ROWS)).astype(int)
    models = {}
    for family in CLASSIFIERS:
        rows = few if family in SLOW and not repeats else slice(None)
        models[family] = fit_family(Configuration(family, {}), seen[rows], labels[rows])

    return models


def _posteriors(models: dict[str, Any], seen: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The probability of each label for each row, by family."""

    rows, numbers = distinct(seen)

    return {family: model.predict_proba(rows)[numbers] for family, model in models.items()}


def _use_scores(models: dict[str, Any], seen: NDArray[Any], rows: UseRows) -> dict[str, Any]:
    """The accuracy of each family, their mean, and their worst gap."""

    posteriors = _posteriors(models, seen)
    answers = {family: posterior.argmax(1) for family, posterior in posteriors.items()}
    right = {family: float((answer == rows.y).mean()) for family, answer in answers.items()}
    found: dict[str, Any] = {f"accuracy_{family}": share for family, share in right.items()}
    found["accuracy"] = float(np.mean(list(right.values())))
    found["auc"] = float(np.mean([roc_auc_score(rows.y, p[:, 1]) for p in posteriors.values()]))
    losses = {family: _log_loss(posterior, rows.y) for family, posterior in posteriors.items()}
    found |= {f"log_loss_{family}": loss for family, loss in losses.items()}
    found["log_loss"] = float(np.mean(list(losses.values())))
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


def _log_loss(posterior: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean log-loss in nats. No probability counts as less than one in a million.

    Example:
        >>> round(_log_loss(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])), 3)
        0.347
    """

    own = posterior[np.arange(len(labels)), labels]

    return float(-np.log(own.clip(1e-6, 1)).mean())


def _impact(answers: NDArray[np.int64], s: NDArray[np.int64]) -> float:
    """Disparate impact: the lowest rate of positive answers in a group over the highest.

    Example:
        >>> _impact(np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1]))
        0.5
    """

    rates = [answers[s == g].mean() for g in np.unique(s)]

    return float(min(rates) / max(rates)) if max(rates) > 0 else 1.0


def _attack_scores(
    models: dict[str, Any], seen: NDArray[Any], rows: UseRows, prior: NDArray[np.float64]
) -> dict[str, Any]:
    """The attacker with the highest AUC, and the largest gap of any attacker."""

    k, sizes = len(prior), tuple(np.bincount(rows.s, minlength=len(prior)).tolist())
    probes = []
    for family, posterior in _posteriors(models, seen).items():
        labels = posterior[:, 1] if k == 2 else posterior
        auc = float(roc_auc_score(rows.s, labels, multi_class="ovr"))
        right = (posterior / prior).argmax(1) == rows.s
        balanced = np.mean([right[rows.s == g].mean() for g in range(k)])
        probes.append(Probe(family, float(right.mean()), auc, balanced, sizes))
    best = max(probes, key=lambda probe: probe.auc)
    gap = max(0.0, *(float(probe.gap) for probe in probes))

    return {"attack_auc": best.auc, "attack_family": best.family, "attack_gap": gap}


def _code_scores(model: Any, some: Problem, candidates: int, delta: float) -> dict[str, Any]:
    """What the codes reveal: exactly on the test rows, and certified."""

    k = len(some.groups)
    likelihoods = {name: _likelihoods(model, some[name]) for name in ("select", "certify", "test")}
    tables = {name: code_counts(codes, some[name].s, k) for name, codes in likelihoods.items()}
    hard = bool((tables["certify"] == tables["certify"].round()).all())
    draws = "hard" if hard else "soft"
    held_out = GroupTables.of(tables["certify"])
    one = certify(held_out, delta=delta, draws=draws)
    all_ = certify(held_out, delta=delta, draws=draws, candidates=candidates)
    found = {
        "select_variation": float(total_variation(tables["select"]).max()),
        "test_variation": float(total_variation(tables["test"]).max()),
        "test_information_bits": float(mutual_information(tables["test"]) * BITS),
        "test_task_bits": _task_bits(likelihoods["test"], some["test"]),
        "select_task_bits": _task_bits(likelihoods["select"], some["select"]),
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


def _task_bits(likelihoods: NDArray[np.float64], rows: UseRows) -> float:
    """What the codes of these rows say about the target, in bits."""

    return float(mutual_information(code_counts(likelihoods, rows.y, 2)) * BITS)


def _neurons(model: Any, some: Problem) -> float:
    """The paper's number: the sum of the information of single bits."""

    logits = torch.from_numpy(np.asarray(model.logits(some["test"].X), dtype=np.float64))
    tables = neuron_tables(logits, torch.from_numpy(some["test"].s), len(some.groups))

    return float(neuron_information(tables) * BITS)
