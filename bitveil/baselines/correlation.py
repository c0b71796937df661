"""Fairlearn's correlation remover: the features without what the groups explain linearly."""

__all__ = ["CorrelationRemoved"]

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, groups_as_in_fit, one_hot


@dataclass(eq=False, repr=False)
class CorrelationRemoved(TableBaseline):
    """The features minus the part that the groups' means explain.

    Fairlearn's `CorrelationRemover`, whose `alpha` is the strength: 1 subtracts the means of the
    groups, 0 leaves the features as they are. It gets one column for each group except the first.
    It moves each row by its group, so it needs the groups of new rows too. We only add checks.

    Source:
        Fairlearn: Assessing and Improving Fairness of AI Systems (Weerts, Dudík, Edgar, Jalali,
        Lutz, Madaio, 2023), https://www.jmlr.org/papers/v24/23-0389.html

    Arguments:
        strength: The part of the correlation that is removed, from 0 to 1.
        random_state: Not used: the method has no randomness.

    Example:
        >>> X, s = np.array([[0.0], [2.0], [4.0], [6.0]]), [0, 0, 1, 1]  # means 1 and 5
        >>> removed = CorrelationRemoved(1.0).fit(X, [0, 1, 0, 1], sensitive_features=s)
        >>> removed.transform(X, sensitive_features=s).round(6).ravel()
        array([2., 4., 2., 4.])
    """

    needs_sensitive: ClassVar[bool] = True

    strength: float = 1.0

    def _check_settings(self) -> None:
        check_range("strength", self.strength, 0, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        self.groups_, width = rows.groups, rows.X.shape[1]
        self.model_ = _remover(range(width, width + len(rows.groups) - 1), self.strength)
        self.model_.fit(self._with_groups(rows.X, rows.s))

    def transform(self, X: ArrayLike, *, sensitive_features: ArrayLike) -> NDArray[np.float64]:
        """The features without the correlation, with shape (n, d).

        Raises:
            ValueError: If the input is not as described, or has a group that `fit` did not have.
        """

        features = self._features(X)
        s = groups_as_in_fit(sensitive_features, self.groups_, len(features))

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
