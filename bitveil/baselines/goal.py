"""bitveil's estimator in the form of the baselines: its own parts of the rows, and certificate."""

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from bitveil.codes import code_likelihood
from bitveil.models import InvariantClassifier

__all__ = ["GoalCode"]


class GoalCode(BaseEstimator):
    """`InvariantClassifier(max_gap)` with its defaults: the code that a person would publish.

    It splits the rows that it gets, certifies, and leaves rows blank where it must. A blank is one
    more code, the last one.

    Arguments:
        max_gap: The goal.
        delta: The probability that the certificate may be wrong.
        random_state: The seed of the fit.

    Attributes:
        model_: The fitted classifier.
        goal_: The goal.
        bound_: The bound of its certificate.
        share_: The share of the rows that get a code.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(900, 2)), np.arange(900) % 2
        >>> code = GoalCode(0.3, random_state=0)
        >>> _ = code.fit(X, (X[:, 0] > 0).astype(int), sensitive_features=s)
        >>> code.likelihoods(X[:4]).sum(1).round(6)
        array([1., 1., 1., 1.])
    """

    def __init__(
        self, max_gap: float = 0.1, *, delta: float = 0.05, random_state: int | None = None
    ) -> None:
        self.max_gap = max_gap
        self.delta = delta
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the classifier. Rows are named by their number.

        Arguments:
            X: Columns of numbers, with shape (n, d).
            y: The target, as whole numbers from 0.
            sensitive_features: The groups, as whole numbers from 0.
        """

        model = InvariantClassifier(
            max_gap=self.max_gap, delta=self.delta, random_state=self.random_state
        )
        X, y = np.asarray(X), np.asarray(y)
        self.model_ = model.fit(X, y, sensitive_features=sensitive_features, ids=np.arange(len(X)))
        assert model.certificate_ is not None
        self.goal_, self.bound_ = self.max_gap, model.certificate_.bound
        self.share_ = model.certificate_.share

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """What is published for new rows: their bits, and perhaps a column that marks blanks."""

        X = np.asarray(X)

        return self.model_.transform(X, ids=np.arange(len(X)))

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each code and, last, of a blank, with shape (n, 2^m + 1)."""

        codes = code_likelihood(torch.from_numpy(self.model_.logits(np.asarray(X)))).numpy()

        return np.pad(self.share_ * codes, ((0, 0), (0, 1)), constant_values=1 - self.share_)
