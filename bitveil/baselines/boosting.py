"""Boosted trees with no protection: how well the target can be told from these columns."""

__all__ = ["Boosting"]

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import check_columns, check_number, check_table, check_whole, seed


@dataclass(eq=False, kw_only=True)
class Boosting:
    """The log-odds of the target by boosted trees, as a representation.

    It knows nothing of the groups, and marks one end of a comparison: on tables little is better
    at the target. The trees are scikit-learn's `HistGradientBoostingClassifier` with its
    defaults; publishing the log-odds, instead of an answer, is ours.

    Source:
        LightGBM: A Highly Efficient Gradient Boosting Decision Tree (Ke, Meng, Finley, Wang, Chen,
        Ma, Ye, Liu, 2017), which scikit-learn's is inspired by,
        https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree

    Arguments:
        learning_rate: The weight of each tree, above 0.
        max_iter: The most trees of each class.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0], [1.0]] * 50)
        >>> boosting = Boosting(random_state=0)
        >>> z = boosting.fit(X, [0, 1] * 50, sensitive_features=[0, 1] * 50).transform(X[:2])
        >>> z.shape, bool(z[0, 0] < 0 < z[1, 0])
        ((2, 1), True)
    """

    learning_rate: float = 0.1
    max_iter: int = 100
    random_state: int | np.random.RandomState | None = None
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the trees.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): classes.
            sensitive_features: The groups, with shape (n,): checked, and not used.

        Raises:
            ValueError: If a setting is out of its range, or the input is not as described.
        """

        from sklearn.ensemble import HistGradientBoostingClassifier

        check_number("learning_rate", self.learning_rate, 1e-6, np.inf)
        check_whole("max_iter", self.max_iter, 1)
        table = check_table(X, y, sensitive_features=sensitive_features)
        self.model_: Any = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            random_state=seed(self.random_state),
        ).fit(table.X, table.y)
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The log-odds of the second class, with shape (n, 1); of c > 2 classes, (n, c) scores."""

        features = check_columns(X, self._width)

        return np.asarray(self.model_.decision_function(features)).reshape(len(features), -1)
