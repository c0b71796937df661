"""Boosted trees without protection: how well these columns predict the target."""

__all__ = ["Boosting"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_whole, seed


@dataclass(eq=False, repr=False, kw_only=True)
class Boosting(TableBaseline):
    """The log-odds of the target by boosted trees, as a representation.

    It ignores the groups, and marks one end of a comparison: on tables few methods predict the
    target better. The trees are scikit-learn's `HistGradientBoostingClassifier` with its defaults.
    We publish the log-odds instead of an answer.

    Source:
        LightGBM: A Highly Efficient Gradient Boosting Decision Tree (Ke, Meng, Finley, Wang, Chen,
        Ma, Ye, Liu, 2017), which inspired scikit-learn's,
        https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree

    Arguments:
        learning_rate: The weight of each tree, above 0.
        max_iter: The most trees for each class.
        random_state: A seed, or a source of seeds.

    Example:
        >>> X = np.array([[0.0], [1.0]] * 50)
        >>> boosting = Boosting(random_state=0)
        >>> z = boosting.fit(X, [0, 1] * 50, sensitive_features=[0, 1] * 50).transform(X[:2])
        >>> z.shape, bool(z[0, 0] < 0 < z[1, 0])
        ((2, 1), True)
    """

    learning_rate: float = 0.1
    max_iter: int = 100

    def _check_settings(self) -> None:
        check_range("learning_rate", self.learning_rate, 1e-6, np.inf)
        check_whole("max_iter", self.max_iter, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.model_: Any = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            random_state=seed(self.random_state),
        ).fit(rows.X, rows.y)

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The log-odds of the second class, shape (n, 1). With c > 2 classes: (n, c) scores."""

        features = self._features(X)

        return np.asarray(self.model_.decision_function(features)).reshape(len(features), -1)
