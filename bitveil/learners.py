"""Learners: the models that are compared for posteriors, and their answers row by row.

BLAS rounds a product differently in batches of different sizes, and published bits may not depend
on that. So linear models are summed here, column after column.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from bitveil.forests import forest_answers

__all__ = ["LabelKind", "Learner", "answers_of", "check_posteriors", "learners", "shares"]

LabelKind: TypeAlias = Literal["classes", "numbers"]

LARGE_FROM = 3_000
"""With fewer rows than this, the large boosting is not tried."""

SMALL_UNTIL = 10_000
"""From this many rows on, the small boosting is not tried."""

LINEAR_ROWS = 20_000
"""A linear model is fitted on at most this many rows; more hardly change it."""

SMALL_SETTINGS: dict[str, Any] = {"max_iter": 50, "max_leaf_nodes": 8}
"""The settings of the small boosting, besides scikit-learn's own."""

_PART = 2**14  # so many rows are read at once


@dataclass(frozen=True)
class Learner:
    """A model that is compared for posteriors.

    Attributes:
        name: Its name.
        model: The model, not fitted.
        most: The most rows that it is fitted on, or None for all.
    """

    name: str
    model: Any
    most: int | None = None

    def fitted(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        rows: NDArray[np.int64],
    ) -> Any:
        """A copy of the model, fitted on some rows.

        Raises:
            ValueError: If there are weights, and the model reads none.
        """

        if self.most is not None and len(rows) > self.most:
            rows = _some_rows(rows, y, self.most)
        given = {} if weights is None else {_weight_name(self.model): weights[rows]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return clone(self.model).fit(_readable(self.model, x[rows]), y[rows], **given)


def _some_rows(rows: NDArray[np.int64], y: NDArray[Any], most: int) -> NDArray[np.int64]:
    """So many rows by chance, and all rows of the classes that have none among them."""

    chosen = np.random.RandomState(0).choice(rows, most, replace=False)
    lost = rows[~np.isin(y[rows], y[chosen])] if y.dtype.kind in "iu" else rows[:0]

    return np.sort(np.concatenate([chosen, lost]))


# What may be asked for


def check_posteriors(posteriors: Any) -> None:
    """Refuse anything that can't make posteriors.

    Arguments:
        posteriors: None, `"boosting"`, a classifier or regressor of scikit-learn's form, or a pair
            of both.

    Raises:
        ValueError: If it is something else, or a classifier without probabilities.

    Example:
        >>> check_posteriors("boosting")
        >>> check_posteriors("bosting")
        Traceback (most recent call last):
        ValueError: `posteriors` expects None, 'boosting', ... got 'bosting'.
    """

    if posteriors is None or (isinstance(posteriors, str) and posteriors == "boosting"):
        return
    models = posteriors if isinstance(posteriors, tuple | list) else [posteriors]
    if not models or not all(_predicts(model) for model in models):
        raise ValueError(
            "`posteriors` expects None, 'boosting', a classifier or a regressor of scikit-learn's "
            f"form, or a pair of both, got {posteriors!r}."
        )
    for model in models:
        if is_classifier(model) and not hasattr(model, "predict_proba"):
            raise ValueError(
                f"`posteriors` expects a classifier with `predict_proba`, got {model!r}."
            )


def _predicts(model: Any) -> bool:
    """Whether it is a classifier or a regressor, and no class of them."""

    if isinstance(model, type) or not hasattr(model, "fit"):
        return False

    return is_classifier(model) or is_regressor(model)


def learners(posteriors: Any, kind: LabelKind, n: int, seed: int) -> list[Learner]:
    """The models to compare for a label with so many known rows.

    Arguments:
        posteriors: What was asked for: see `check_posteriors`.
        kind: Whether the label has classes or is numbers.
        n: The number of rows.
        seed: The seed of the models that have none.

    Raises:
        ValueError: If what was asked for can't predict this kind of label.

    Example:
        >>> [each.name for each in learners(None, "classes", 500, 0)]
        ['logistic', 'small boosting']
        >>> [each.name for each in learners(Ridge(), "numbers", 500, 0)]
        ['Ridge']
    """

    if posteriors is None:
        return _own_learners(kind, n, seed)
    if isinstance(posteriors, str):
        return [Learner("boosting", _boosted(kind, seed))]
    model = clone(_suited(posteriors, kind))
    unset = [name for name, value in model.get_params().items() if value is None]
    seeds = [name for name in unset if name.split("__")[-1] == "random_state"]
    seeded = model.set_params(**dict.fromkeys(seeds, seed))
    if not get_tags(model).input_tags.allow_nan:
        seeded = make_pipeline(_filling(), seeded)

    return [Learner(type(model).__name__, seeded)]


def _own_learners(kind: LabelKind, n: int, seed: int) -> list[Learner]:
    name, linear = "logistic", LogisticRegression(C=0.03, max_iter=300)
    if kind == "numbers":
        name, linear = "ridge", Ridge(alpha=30.0)
    found = [Learner(name, make_pipeline(_filling(), StandardScaler(), linear), LINEAR_ROWS)]
    if n < SMALL_UNTIL:
        found.append(Learner("small boosting", _boosted(kind, seed, **SMALL_SETTINGS)))
    if n >= LARGE_FROM:
        found.append(Learner("boosting", _boosted(kind, seed)))

    return found


def _filling() -> SimpleImputer:
    return SimpleImputer(add_indicator=True, keep_empty_features=True)


def _boosted(kind: LabelKind, seed: int, **settings: Any) -> Any:
    form = HistGradientBoostingClassifier if kind == "classes" else HistGradientBoostingRegressor

    return form(early_stopping=False, random_state=seed, **settings)


def _suited(posteriors: Any, kind: LabelKind) -> Any:
    """The passed model that can predict this kind of label."""

    check_posteriors(posteriors)
    models = posteriors if isinstance(posteriors, tuple | list) else [posteriors]
    suits = is_classifier if kind == "classes" else is_regressor
    suited = [model for model in models if suits(model)]
    if not suited:
        needed = "classifier" if kind == "classes" else "regressor"
        raise ValueError(
            f"`posteriors={posteriors!r}` has no {needed}, and one label has {kind}. Give one, or "
            "`posteriors=(classifier, regressor)` where there are labels of both kinds."
        )

    return suited[0]


def _weight_name(model: Any) -> str:
    """What the weights are called in `fit`."""

    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        return f"{name}__{_weight_name(last)}"
    if not has_fit_parameter(model, "sample_weight"):
        raise ValueError(
            f"`posteriors` reads no `sample_weight`: {model!r}. Fit without weights, or use "
            "another model."
        )

    return "sample_weight"


# Answers


def answers_of(model: Any, matrix: NDArray[Any]) -> NDArray[np.float64]:
    """The probability of every class, with shape (n, K), or the number, with shape (n, 1).

    The answer for a row does not depend on the other rows, if the model is one of ours.

    Example:
        >>> line = Ridge(alpha=0).fit([[0.0], [1.0]], [1.0, 3.0])
        >>> answers_of(line, np.array([[2.0]])).round(9)
        array([[5.]])
    """

    starts = range(0, max(1, len(matrix)), _PART)

    return np.vstack([_answers(model, matrix[start : start + _PART]) for start in starts])


def _answers(model: Any, matrix: NDArray[Any]) -> NDArray[np.float64]:
    matrix = _readable(model, matrix)
    if isinstance(model, Pipeline) and len(model) > 1:
        return _answers(model[-1], model[:-1].transform(matrix))
    if type(model) is LogisticRegression:
        sums = _sums(matrix, model)
        return shares(sums if sums.shape[1] > 1 else np.hstack([np.zeros_like(sums), sums]))
    if type(model) is Ridge:
        return _sums(matrix, model)
    if type(model) in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        return forest_answers(model, matrix)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(matrix), dtype=np.float64)

    return np.asarray(model.predict(matrix), dtype=np.float64).reshape(-1, 1)


def _readable(model: Any, matrix: NDArray[Any]) -> NDArray[Any]:
    """Pipelines compute in double precision."""

    return matrix.astype(np.float64) if isinstance(model, Pipeline) else matrix


def _sums(matrix: NDArray[Any], model: Any) -> NDArray[np.float64]:
    """The linear function of each row, summed in the order of the columns."""

    coefficients = np.atleast_2d(model.coef_)
    sums = np.tile(np.atleast_1d(model.intercept_), (len(matrix), 1)).astype(np.float64)
    for column, weight in zip(matrix.T, coefficients.T, strict=True):
        sums += column[:, None] * weight

    return sums


def shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softmax of each row, summed in the order of the columns.

    Example:
        >>> shares(np.log([[1.0, 3.0]])).round(9)
        array([[0.25, 0.75]])
    """

    powers = np.exp(logits - logits.max(1, keepdims=True))

    return np.asarray(powers / powers.cumsum(1)[:, -1:])
