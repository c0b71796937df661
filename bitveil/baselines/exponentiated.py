"""Fairlearn's reduction: randomised answers to one question, at similar rates in all groups."""

__all__ = ["Reduction"]

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_two, check_whole, seed


@dataclass(eq=False, repr=False)
class Reduction(TableBaseline):
    """A mixture of logistic regressions under demographic parity, as one drawn bit.

    Fairlearn's `ExponentiatedGradient` with the constraint `DemographicParity`, whose
    `difference_bound` is the strength: each group's rate of positive answers may differ from that
    of all rows by at most this much. Its learner is scikit-learn's `LogisticRegression`. Our
    additions: the drawn answer is published as a code, and few iterations are made, after which
    the constraint may not hold yet. It answers one question, and gives no representation for
    others.

    Source:
        A Reductions Approach to Fair Classification (Agarwal, Beygelzimer, Dudík, Langford,
        Wallach, 2018), https://arxiv.org/abs/1803.02453

    Arguments:
        strength: The bound on the difference, above 0. A smaller bound is stricter.
        max_iter: The most iterations.
        random_state: A seed, or a source of seeds.

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

    def _check_settings(self) -> None:
        check_range("strength", self.strength, 1e-6, 1)
        check_whole("max_iter", self.max_iter, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        check_two("y", "classes", rows.classes, "the reduction")
        self.seed_ = seed(self.random_state)
        self.model_ = _reduction(self.strength, self.max_iter)
        with warnings.catch_warnings():
            # Fairlearn 0.15 sets values of series in ways that pandas 3 deprecates.
            warnings.filterwarnings("ignore", "Setting an? (value|item)", DeprecationWarning)
            self.model_.fit(rows.X, rows.y, sensitive_features=rows.s)

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Drawn answers, with shape (n, 1). The same rows in the same order get the same draws."""

        positive = self.likelihoods(X)[:, 1]
        uniform = check_random_state(self.seed_).random_sample(len(positive))

        return (uniform < positive).astype(np.uint8)[:, None]

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each answer for each row, with shape (n, 2)."""

        features = self._features(X)
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
