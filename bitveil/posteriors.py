r"""Posteriors: the best guess of a label for every row, out of fold, and how good it is.

A code can only be as good as what its encoder knows of :math:`p(y|x)` and :math:`p(s|x)`. No one
model is good everywhere: default boosting is the best on Adult, and worse than a constant on
COMPAS (1,831 rows to fit). So a stack of a few models makes the posteriors, or one of them that is
clearly better by cross-validation.

For every fitted row they come from models that did not see the row. A stack is fitted out of fold
too, on the answers for the rows of the other folds. Those answers come from models that saw the
row, among the many others. What this gives away of its label is small: with 300 rows of noise the
log-loss out of fold was 0.003 too low, and not measurably with more rows or with a signal.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from bitveil.cautions import warn
from bitveil.learners import LabelKind, Learner, answers_of, learners, shares
from bitveil.workers import one_thread, run

__all__ = ["Pool", "Posterior", "PosteriorScore", "fit_posterior", "probabilities"]

PENALTY = 5.0
"""The penalty on the squared weights of a stack, beside the summed log-loss."""

_SURE = 1e-4  # posteriors stay this far from 0 and 1, where log-odds are infinite


@dataclass(frozen=True, repr=False)
class PosteriorScore:
    """How good the posteriors of one label are, out of fold.

    Attributes:
        label: The number of the label.
        kind: Whether it has `"classes"` or is `"numbers"`.
        loss: The log-loss in nats; for numbers the mean squared error.
        constant: The loss of a constant: the shares of the classes, or the mean.
        error: The standard error of the difference of the two.
        chosen: What makes the posteriors.

    Example:
        >>> PosteriorScore(0, "classes", 0.597, 0.692, 0.009, "logistic")
        log-loss 0.597 (a constant has 0.692), logistic
    """

    label: int
    kind: LabelKind
    loss: float
    constant: float
    error: float
    chosen: str

    @property
    def helps(self) -> bool:
        """Whether the posteriors beat a constant by more than two standard errors."""

        return self.constant - self.loss > 2 * self.error

    def __repr__(self) -> str:
        name = "log-loss" if self.kind == "classes" else "squared error"
        than = "a constant has" if self.helps else "no better than a constant, which has"

        return f"{name} {self.loss:.3f} ({than} {self.constant:.3f}), {self.chosen}"


@dataclass(frozen=True)
class Pool:
    r"""A stack: how the answers of some models become one.

    Probabilities are multiplied, :math:`p(v) \propto e^{b_v} \prod_i p_i(v)^{w_i}`, and numbers
    are added, :math:`b + \sum_i w_i z_i`. No weight is negative.

    Attributes:
        weights: The weight :math:`w_i` of each model.
        shifts: The :math:`b` of every class, with shape (K,), or of the number, with shape (1,).

    Source:
        Stacked regressions (Breiman, 1996), https://doi.org/10.1007/BF00117832

    Example:
        >>> both = Pool(np.array([0.5, 0.5]), np.zeros(2))
        >>> both.joined([np.array([[0.1, 0.9]]), np.array([[0.9, 0.1]])])
        array([[0.5, 0.5]])
    """

    weights: NDArray[np.float64]
    shifts: NDArray[np.float64]

    def joined(self, answers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """One answer for each row, with the shape of each of the answers."""

        classes = len(self.shifts) > 1
        total = np.tile(self.shifts, (len(answers[0]), 1))
        for weight, each in zip(self.weights, answers, strict=True):
            total += weight * (np.log(each.clip(_SURE, 1)) if classes else each)

        return shares(total) if classes else total


@dataclass(frozen=True)
class Posterior:
    """Fitted models of one label.

    Attributes:
        kind: Whether the label has `"classes"` or is `"numbers"`.
        n_values: The number of its classes; 1 for numbers.
        models: The fitted models.
        pool: What makes one answer of theirs.
        score: How good it is, out of fold.
    """

    kind: LabelKind
    n_values: int
    models: list[Any]
    pool: Pool
    score: PosteriorScore

    def columns(self, matrix: NDArray[Any]) -> NDArray[np.float64]:
        """Log-odds of every class but the first, or the number: shape (n, K - 1) or (n, 1).

        The columns of a row do not depend on the other rows of the matrix.
        """

        joined = self.pool.joined([answers_of(model, matrix) for model in self.models])

        return _as_columns(joined, self.kind)


def probabilities(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of every class, with shape (n, K), from log-odds of all but the first.

    Example:
        >>> probabilities(np.array([[0.0], [np.log(3)]])).round(3)
        array([[0.5 , 0.5 ],
               [0.25, 0.75]])
    """

    others = expit(columns)
    first = np.clip(1 - others.sum(1, keepdims=True), _SURE, None)
    whole = np.hstack([first, others])

    return np.asarray(whole / whole.sum(1, keepdims=True))


def _as_columns(answers: NDArray[np.float64], kind: LabelKind) -> NDArray[np.float64]:
    """log p(v) / (1 - p(v)) for each value but the first, which follows from the others."""

    if kind == "numbers":
        return answers
    p = answers[:, 1:].clip(_SURE, 1 - _SURE)

    return np.log(p / (1 - p))


# Rows with a known label


@dataclass(frozen=True)
class _Known:
    """The rows whose label is known."""

    kind: LabelKind
    x: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The place of the class of each row among all classes."""

        return np.unique(self.y, return_inverse=True)[1]

    @property
    def n_values(self) -> int:
        return int(self.places.max()) + 1 if self.kind == "classes" else 1

    def some(self, rows: NDArray[np.int64]) -> "_Known":
        weights = None if self.weights is None else self.weights[rows]

        return _Known(self.kind, self.x[:0], self.y[rows], weights)

    def folds(self, most: int, seed: int) -> list[NDArray[np.int64]]:
        """The rows of each fold. A class with fewer rows than folds has them in different ones."""

        form, largest = KFold, len(self.y)
        if self.kind == "classes":
            form, counts = StratifiedKFold, np.bincount(self.places)
            _check_counts(counts)
            largest = int(counts.max())
        split = form(min(most, largest), shuffle=True, random_state=seed).split(self.x, self.y)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            return [fold for _, fold in split]

    def losses(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss of each row: minus the log of what its class got, or the squared error."""

        if self.kind == "numbers":
            return np.asarray((answers[:, 0] - self.y) ** 2)

        return -np.log(answers[np.arange(len(self.y)), self.places].clip(_SURE))

    def mean(self, values: NDArray[np.float64]) -> float:
        """The weighted mean of values of the rows."""

        return float(np.average(values, weights=self.weights))

    def score(self, answers: NDArray[np.float64], number: int, chosen: str) -> PosteriorScore:
        """How good the answers are, beside a constant."""

        losses, constants = self.losses(answers), self.losses(self._constants())

        return PosteriorScore(
            number,
            self.kind,
            self.mean(losses),
            self.mean(constants),
            self.error(constants - losses),
            chosen,
        )

    def error(self, values: NDArray[np.float64]) -> float:
        """The standard error of the weighted mean."""

        return float(np.linalg.norm(self._shares_of_rows() * (values - self.mean(values))))

    def _constants(self) -> NDArray[np.float64]:
        """The shares of the classes, or the mean, for each row."""

        if self.kind == "numbers":
            return np.full((len(self.y), 1), self.mean(self.y))
        each = [self.mean((self.places == place).astype(float)) for place in range(self.n_values)]

        return np.tile(each, (len(self.y), 1))

    def pool(self, answers: Sequence[NDArray[np.float64]]) -> Pool:
        """The stack of answers that fits the rows best."""

        k = len(answers)
        if self.kind == "numbers":
            line = Ridge(alpha=1.0, positive=True)
            line.fit(np.hstack(answers), self.y, sample_weight=self.weights)
            return Pool(line.coef_, np.atleast_1d(line.intercept_))
        logs = np.log(np.stack(answers).clip(_SURE, 1))
        start = np.concatenate([np.full(k, 1 / k), np.zeros(logs.shape[2] - 1)])
        bounds = [(0, None)] * k + [(None, None)] * (logs.shape[2] - 1)
        found = minimize(
            self._pool_loss, start, (logs,), jac=True, bounds=bounds, method="L-BFGS-B"
        )

        return Pool(found.x[:k], np.append(0.0, found.x[k:]))

    def _pool_loss(
        self, parameters: NDArray[np.float64], logs: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """The log-loss of a stack with its penalty, over the number of rows, and its gradient."""

        k, n, _ = logs.shape
        weights, shifts = parameters[:k], np.append(0.0, parameters[k:])
        p, right = shares(np.tensordot(weights, logs, 1) + shifts), (np.arange(n), self.places)
        loss = self.mean(-np.log(p[right].clip(1e-300))) + PENALTY / n * float(weights @ weights)
        p[right] -= 1
        p *= self._shares_of_rows()[:, None]
        slope = np.tensordot(logs, p, 2) + 2 * PENALTY / n * weights

        return loss, np.concatenate([slope, p.sum(0)[1:]])

    def _shares_of_rows(self) -> NDArray[np.float64]:
        weights = np.ones(len(self.y)) if self.weights is None else self.weights

        return weights / weights.sum()


def _check_counts(counts: NDArray[np.int64]) -> None:
    if counts.min() < 2:
        raise ValueError(
            "Posterior features are fitted on one part of the rows and predicted on another, "
            "and need at least 2 rows of every value of the target and of the sensitive "
            "attribute; one value has a single row. Join rare values, or use `features='raw'`."
        )


# Fits


def fit_posterior(
    matrix: NDArray[Any],
    labels: NDArray[Any],
    weights: NDArray[np.float64] | None = None,
    *,
    posteriors: Any = None,
    folds: int = 5,
    seed: int = 0,
    n_jobs: int | None = None,
    number: int = 0,
) -> tuple[Posterior, NDArray[np.float64]]:
    """Models of the labels on all rows, and the posteriors of each row without that row.

    Arguments:
        matrix: The columns as numbers, NaN where missing, with shape (n, columns).
        labels: Classes as whole numbers, -1 where missing, or floats, NaN where missing.
        weights: How much each row counts, or None.
        posteriors: What makes them: see `Features`.
        folds: The number of folds.
        seed: The seed of the folds and the models.
        n_jobs: How many models are fitted at the same time; None: one.
        number: The number of the label, for its score.

    Returns:
        The models, and the columns out of fold: see `Posterior.columns`.

    Raises:
        ValueError: If a class has a single row, or `posteriors` do not suit the labels.

    Source:
        Stacked generalization (Wolpert, 1992), https://doi.org/10.1016/S0893-6080(05)80023-1

    Example:
        >>> x = np.arange(200.0).reshape(-1, 1)
        >>> models, columns = fit_posterior(x, np.repeat([0, 1], 100))
        >>> columns.shape, models.score.helps, (models.columns(x)[[0, -1], 0] > 0).tolist()
        ((200, 1), True, [False, True])
    """

    kind: LabelKind = "classes" if labels.dtype.kind in "iu" else "numbers"
    is_known = labels >= 0 if kind == "classes" else ~np.isnan(labels)
    given = None if weights is None else weights[is_known] / weights[is_known].mean()
    x = matrix if is_known.all() else matrix[is_known]
    known = _Known(kind, x, labels[is_known], given)
    compared = learners(posteriors, kind, len(known.y), seed)
    with one_thread():
        parts = known.folds(folds, seed)
        models, answers = _cross_fitted(known, compared, parts, n_jobs)
        kept, pool, held_out = _best(known, answers, parts)
        score = known.score(
            held_out, number, _said([compared[place].name for place in kept], pool)
        )
        model = Posterior(kind, known.n_values, [models[place] for place in kept], pool, score)
        columns = _with_unknown(_as_columns(held_out, kind), is_known, model, matrix)
        if not (posteriors is None or isinstance(posteriors, str)):
            _check_alone(model, matrix)

    return model, columns


def _said(names: list[str], pool: Pool) -> str:
    """What makes the posteriors, in words."""

    if len(names) > 1:
        return f"stack of {', '.join(names[:-1])} and {names[-1]}"

    return names[0] if pool.weights[0] == 1 else f"calibrated {names[0]}"


def _cross_fitted(
    known: _Known,
    compared: Sequence[Learner],
    parts: Sequence[NDArray[np.int64]],
    n_jobs: int | None,
) -> tuple[list[Any], list[NDArray[np.float64]]]:
    """For each learner its model of all rows, and its answers for each row without that row."""

    everything = np.arange(len(known.y))
    calls: list[Any] = [partial(_held_out, known, one, part) for one in compared for part in parts]
    calls += [partial(one.fitted, known.x, known.y, known.weights, everything) for one in compared]
    found = run(calls, n_jobs, step="training models for the posteriors")
    k = len(parts)
    answers = [_gathered(parts, found[i * k : (i + 1) * k]) for i in range(len(compared))]

    return found[k * len(compared) :], answers


def _held_out(known: _Known, learner: Learner, fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """The answers for the rows of a fold, by a model of the others."""

    others = np.setdiff1d(np.arange(len(known.y)), fold)
    model = learner.fitted(known.x, known.y, known.weights, others)

    return answers_of(model, known.x[fold])


def _gathered(
    parts: Sequence[NDArray[np.int64]], answers: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The answers for all rows, from those for each fold."""

    return np.concatenate(answers)[np.argsort(np.concatenate(parts))]


def _best(
    known: _Known, answers: Sequence[NDArray[np.float64]], parts: Sequence[NDArray[np.int64]]
) -> tuple[list[int], Pool, NDArray[np.float64]]:
    """The models to keep, their stack, and the answers out of fold.

    A single model is kept if its loss is smaller than that of the stack by more than one standard
    error. The stack keeps the models that have some weight.
    """

    single = int(np.argmin([known.mean(known.losses(each)) for each in answers]))
    alone = Pool(np.ones(1), np.zeros(answers[0].shape[1]))
    if len(answers) == 1:
        return [single], alone, answers[single]
    stacked = _cross_pooled(known, answers, parts)
    gains = known.losses(stacked) - known.losses(answers[single])
    if known.mean(gains) > known.error(gains):
        return [single], alone, answers[single]
    pool = known.pool(answers)
    kept = [place for place, weight in enumerate(pool.weights) if weight > 0] or [single]

    return kept, Pool(pool.weights[kept], pool.shifts), stacked


def _cross_pooled(
    known: _Known, answers: Sequence[NDArray[np.float64]], parts: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Stacked answers for the rows of each fold, by a stack of the other folds."""

    held_out = []
    for fold in parts:
        others = np.setdiff1d(np.arange(len(known.y)), fold)
        pool = known.some(others).pool([each[others] for each in answers])
        held_out.append(pool.joined([each[fold] for each in answers]))

    return _gathered(parts, held_out)


def _with_unknown(
    columns: NDArray[np.float64],
    is_known: NDArray[np.bool_],
    model: Posterior,
    matrix: NDArray[Any],
) -> NDArray[np.float64]:
    """The columns of all rows; those of rows without a label come from the model of the others."""

    whole = np.empty((len(matrix), columns.shape[1]))
    whole[is_known] = columns
    if not is_known.all():
        whole[~is_known] = model.columns(matrix[~is_known])

    return whole


def _check_alone(model: Posterior, matrix: NDArray[Any], most: int = 4) -> None:
    """Warn if a row gets other posteriors alone than among others."""

    rows = matrix[: 100 * most]
    together = model.columns(rows)[::100]
    alone = np.vstack([model.columns(rows[i : i + 1]) for i in range(0, len(rows), 100)])
    if not np.allclose(alone, together, rtol=1e-6, atol=1e-6):
        warn(
            f"`posteriors` gives a row other posteriors alone than among others, by up to "
            f"{np.abs(alone - together).max():.1g}. So the bits of a row may depend on the rows "
            "that are encoded with it, and are not frozen."
        )
