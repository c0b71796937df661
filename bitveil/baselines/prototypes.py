"""Learning fair representations: where a row lies between prototypes that groups share alike."""

__all__ = ["Prototypes"]

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

RECONSTRUCTION = 0.01
"""The weight of the error in the features; that of the error in the target is 1."""


@dataclass(eq=False)
class Prototypes:
    """LFR: how near a row is to each of a few prototypes, as shares that sum to one.

    The prototypes should restore the features, tell the target, and have the same mean share in
    each group. The learner is Fairlearn's `PrototypeRepresentationLearner`, and its
    `fairness_weight` the strength.

    It finds the gradient by a step along each parameter, which takes minutes with a hundred
    columns and thousands of rows. So three limits are ours: the features are their first
    principal components, at a common scale; no more than `max_rows` rows, at random, are fitted;
    and `max_iter` ends the search, which may be before it converges. With more time the method
    may do better.

    Source:
        Learning Fair Representations (Zemel, Wu, Swersky, Pitassi, Dwork, 2013),
        https://proceedings.mlr.press/v28/zemel13.html

    Arguments:
        strength: The weight of the difference between the groups.
        n_prototypes: The number of prototypes.
        n_components: The most principal components.
        max_rows: The most rows that are fitted.
        max_iter: The most iterations of the search.
        random_state: A seed, or where seeds come from.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(60, 2)), np.arange(60) % 2
        >>> prototypes = Prototypes(1.0, n_prototypes=2, max_iter=2, random_state=0)
        >>> y = (X[:, 0] > 0).astype(int)
        >>> prototypes.fit(X, y, sensitive_features=s).transform(X[:2]).sum(1).round(6)
        array([1., 1.])
    """

    strength: float = 1.0
    n_prototypes: int = field(default=10, kw_only=True)
    n_components: int = field(default=12, kw_only=True)
    max_rows: int = field(default=600, kw_only=True)
    max_iter: int = field(default=20, kw_only=True)
    random_state: int | np.random.RandomState | None = field(default=None, kw_only=True)
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the prototypes.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): two classes.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ImportError: If Fairlearn is not installed.
            ValueError: If there are more classes, a setting is out of its range, or the input is
                not as described.
        """

        check_number("strength", self.strength, 0, np.inf)
        least = {"n_prototypes": 2, "n_components": 1, "max_rows": 2, "max_iter": 1}
        for name, low in least.items():
            check_whole(name, getattr(self, name), low)
        table = check_table(X, y, sensitive_features=sensitive_features)
        binary("y", "classes", table.classes, "this learner")
        start = seed(self.random_state)
        rows = check_random_state(start).permutation(len(table.X))[: self.max_rows]
        self._width = table.X.shape[1]
        self.components_, self.scale_ = _components(table.X, self.n_components, start)
        self.model_ = _learner(self, start)
        self.model_.fit(
            self._reduced(table.X[rows]), table.y[rows], sensitive_features=table.s[rows]
        )

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The share of each prototype in each row, with shape (n, n_prototypes)."""

        features = check_columns(X, self._width)

        return np.asarray(self.model_.transform(self._reduced(features)))

    def _reduced(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.components_.transform(features) / self.scale_)


def _components(X: NDArray[np.float64], most: int, start: int) -> tuple[Any, float]:
    """Principal components, and the scale at which their mean variance is 1."""

    from sklearn.decomposition import PCA

    components = PCA(min(most, *X.shape), random_state=start).fit(X)
    variance = float(components.explained_variance_.mean())

    return components, variance**0.5 if variance > 0 else 1.0


def _learner(settings: Prototypes, start: int) -> Any:
    try:
        from fairlearn import preprocessing  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as missing:
        raise ImportError("`Prototypes` needs fairlearn: `pip install fairlearn`.") from missing

    return preprocessing.PrototypeRepresentationLearner(
        n_prototypes=settings.n_prototypes,
        reconstruct_weight=RECONSTRUCTION,
        target_weight=1.0,
        fairness_weight=settings.strength,
        max_iter=settings.max_iter,
        random_state=start,
    )
