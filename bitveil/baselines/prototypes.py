"""Learning fair representations: a row's place between prototypes that all groups share."""

__all__ = ["Prototypes"]

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_two, check_whole, seed

RECONSTRUCTION = 0.01
"""The weight of the error in the features; that of the error in the target is 1."""


@dataclass(eq=False, repr=False)
class Prototypes(TableBaseline):
    """LFR: how near a row is to each of a few prototypes, as shares that sum to one.

    The prototypes should restore the features, predict the target, and have the same mean share
    in each group. The learner is Fairlearn's `PrototypeRepresentationLearner`, and its
    `fairness_weight` is the strength.

    It finds the gradient with a step along each parameter, which takes minutes with a hundred
    columns and thousands of rows. So we add three limits: the features are their first principal
    components, at a common scale; it is fitted to at most `max_rows` random rows; and it stops
    after `max_iter` iterations, perhaps before it converges. With more time the method may do
    better.

    Source:
        Learning Fair Representations (Zemel, Wu, Swersky, Pitassi, Dwork, 2013),
        https://proceedings.mlr.press/v28/zemel13.html

    Arguments:
        strength: The weight of the difference between the groups.
        n_prototypes: The number of prototypes.
        n_components: The most principal components.
        max_rows: The most rows for fitting.
        max_iter: The most iterations of the search.
        random_state: A seed, or a source of seeds.

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

    def _check_settings(self) -> None:
        check_range("strength", self.strength, 0, np.inf)
        least = {"n_prototypes": 2, "n_components": 1, "max_rows": 2, "max_iter": 1}
        for name, low in least.items():
            check_whole(name, getattr(self, name), low)

    def _fit_rows(self, rows: LabelledRows) -> None:
        check_two("y", "classes", rows.classes, "this learner")
        start = seed(self.random_state)
        some = check_random_state(start).permutation(len(rows.X))[: self.max_rows]
        self.components_, self.scale_ = _components(rows.X, self.n_components, start)
        self.model_ = _learner(self, start)
        reduced = self._reduced(rows.X[some])
        self.model_.fit(reduced, rows.y[some], sensitive_features=rows.s[some])

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The share of each prototype in each row, with shape (n, n_prototypes)."""

        features = self._features(X)

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
