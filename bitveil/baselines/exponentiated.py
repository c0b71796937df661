"""Fairlearn's reduction: a randomised answer to one question, whose rates hardly differ."""

__all__ = ["Reduction"]

import warnings
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from bitveil.baselines.inputs import (
    binary,
    check_columns,
    check_number,
    check_table,
    check_whole,
    seed,
)


@dataclass(eq=False)
class Reduction:
    """A mixture of logistic regressions under demographic parity, as one drawn bit.

    Fairlearn's `ExponentiatedGradient` with the constraint `DemographicParity`, whose
    `difference_bound` is the strength: each group's rate of positive answers may differ from that
    of all rows by as much. Its learner is scikit-learn's `LogisticRegression`. Ours is to publish
    the drawn answer as a code, and to stop after few iterations, where the constraint may not yet
    hold. It gives answers to one question, no representation for others.

    Source:
        A Reductions Approach to Fair Classification (Agarwal, Beygelzimer, Dudík, Langford,
        Wallach, 2018), https://arxiv.org/abs/1803.02453

    Arguments:
        strength: The bound on the difference, above 0: less is stricter.
        max_iter: The most iterations.
        random_state: A seed, or where seeds come from.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(200, 2)), np.arange(200) % 2
        >>> reduction = Reduction(0.05, max_iter=3, random_state=0)
        >>> y = (X[:, 0] > 0).astype(int)
        >>> reduction.fit(X, y, sensitive_features=s).likelihoods(X).shape
        (200, 2)
    """

    strength: float = 0.05
    max_iter: int = field(default=10, kw_only=True)
    random_state: int | np.random.RandomState | None = field(default=None, kw_only=True)
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the mixture.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): two classes.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ImportError: If Fairlearn is not installed.
            ValueError: If there are more classes, a setting is out of its range, or the input is
                not as described.
        """

        check_number("strength", self.strength, 1e-6, 1)
        check_whole("max_iter", self.max_iter, 1)
        table = check_table(X, y, sensitive_features=sensitive_features)
        binary("y", "classes", table.classes, "the reduction")
        self.seed_ = seed(self.random_state)
        self.model_ = _reduction(self.strength, self.max_iter)
        with warnings.catch_warnings():
            # Fairlearn 0.15 sets values of series in ways that pandas 3 says it will end.
            warnings.filterwarnings("ignore", "Setting an? (value|item)", DeprecationWarning)
            self.model_.fit(table.X, table.y, sensitive_features=table.s)
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Drawn answers, with shape (n, 1); the same rows in the same order draw the same."""

        positive = self.likelihoods(X)[:, 1]
        uniform = check_random_state(self.seed_).random_sample(len(positive))

        return (uniform < positive).astype(np.uint8)[:, None]

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each answer for each row, with shape (n, 2)."""

        features = check_columns(X, self._width)
        positive = np.asarray(self.model_._pmf_predict(features), dtype=np.float64)[:, 1]
        positive = positive.clip(0, 1)

        return np.stack([1 - positive, positive], 1)


def _reduction(bound: float, max_iter: int) -> Any:
    try:
        from fairlearn import reductions  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as missing:
        raise ImportError("`Reduction` needs fairlearn: `pip install fairlearn`.") from missing
    from sklearn.linear_model import LogisticRegression

    return reductions.ExponentiatedGradient(
        LogisticRegression(max_iter=1000, tol=1e-3),
        reductions.DemographicParity(difference_bound=bound),
        max_iter=max_iter,
    )
