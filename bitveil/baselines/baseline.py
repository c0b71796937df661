"""The common half of all baselines: settings that scikit-learn can read, and a checked fit."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from bitveil.baselines.inputs import LabelledRows, RandomState, features_as_in_fit, labelled_rows

__all__ = ["Baseline", "TableBaseline"]


@dataclass(eq=False, repr=False, kw_only=True)
class Baseline(ABC, BaseEstimator):
    """A method with settings, `fit` and `transform`.

    A subclass is a dataclass whose fields are its settings. One with finite codes also has
    `likelihoods`, which gives the probability of each code for each row.

    Arguments:
        random_state: A seed, or a source of seeds. Methods without randomness ignore it.
    """

    random_state: RandomState = None

    @abstractmethod
    def _check_settings(self) -> None:
        """Refuse settings that are out of range."""

    def _features(self, X: ArrayLike) -> NDArray[np.float64]:
        """The features of new rows, checked against those of `fit`."""

        return features_as_in_fit(X, getattr(self, "n_features_in_", None))


class TableBaseline(Baseline):
    """A method that is fitted to rows with one class and one group each."""

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the method.

        Methods that do not use the target or the groups check them all the same.

        Arguments:
            X: The features, with shape (n, d): finite numbers.
            y: The target, with shape (n,): classes. Some methods take only two classes.
            sensitive_features: The groups, with shape (n,). Some methods take only two groups.

        Raises:
            ImportError: If the method needs a package that is not installed.
            ValueError: If a setting is out of range, or the input is not as described.
        """

        self._check_settings()
        rows = labelled_rows(X, y, sensitive_features=sensitive_features)
        self._fit_rows(rows)
        self.n_features_in_ = rows.X.shape[1]

        return self

    @abstractmethod
    def _fit_rows(self, rows: LabelledRows) -> None:
        """Fit the method to checked rows."""
