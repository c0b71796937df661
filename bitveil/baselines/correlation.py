"""Fairlearn's correlation remover: the features, less what a linear model by groups explains."""

__all__ = ["CorrelationRemoved"]

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import (
    check_columns,
    check_groups,
    check_number,
    check_table,
    one_hot,
)


@dataclass(eq=False)
class CorrelationRemoved:
    """The features minus what the groups' means explain of them.

    Fairlearn's `CorrelationRemover`, whose `alpha` is the strength: 1 takes the means of the
    groups away, 0 leaves the features as they are. Groups are given to it as one column each, but
    the first. It needs the groups of new rows too, since it moves a row by its group: nothing but
    the checks is ours.

    Source:
        Fairlearn: Assessing and Improving Fairness of AI Systems (Weerts, Dudík, Edgar, Jalali,
        Lutz, Madaio, 2023), https://www.jmlr.org/papers/v24/23-0389.html

    Arguments:
        strength: The part of the correlation that is removed, from 0 to 1.
        random_state: Not used, it is a closed form; taken so that all are called alike.

    Example:
        >>> X, s = np.array([[0.0], [2.0], [4.0], [6.0]]), [0, 0, 1, 1]  # means 1 and 5
        >>> removed = CorrelationRemoved(1.0).fit(X, [0, 1, 0, 1], sensitive_features=s)
        >>> removed.transform(X, sensitive_features=s).round(6).ravel()
        array([2., 4., 2., 4.])
    """

    needs_sensitive: ClassVar[bool] = True

    strength: float = 1.0
    random_state: int | np.random.RandomState | None = field(default=None, kw_only=True)
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Find what the groups explain.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): checked, and not used.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ImportError: If Fairlearn is not installed.
            ValueError: If the strength is out of its range, or the input is not as described.
        """

        check_number("strength", self.strength, 0, 1)
        table = check_table(X, y, sensitive_features=sensitive_features)
        self.groups_, width = table.groups, table.X.shape[1]
        self.model_ = _remover(range(width, width + len(table.groups) - 1), self.strength)
        self.model_.fit(self._with_groups(table.X, table.s))
        self._width = width

        return self

    def transform(self, X: ArrayLike, *, sensitive_features: ArrayLike) -> NDArray[np.float64]:
        """The features without the correlation, with shape (n, d).

        Raises:
            ValueError: If the input is not as described, or has a group that `fit` did not see.
        """

        features = check_columns(X, self._width)
        s = check_groups(sensitive_features, self.groups_, len(features))

        return np.asarray(self.model_.transform(self._with_groups(features, s)))

    def _with_groups(
        self, features: NDArray[np.float64], s: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return np.hstack([features, one_hot(s, len(self.groups_))[:, 1:]])


def _remover(columns: range, strength: float) -> Any:
    try:
        from fairlearn import preprocessing  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as missing:
        raise ImportError(
            "`CorrelationRemoved` needs fairlearn: `pip install fairlearn`."
        ) from missing

    return preprocessing.CorrelationRemover(sensitive_feature_ids=list(columns), alpha=strength)
