"""Clusters of rows as codes: what a few cells hide when the groups play no part."""

__all__ = ["KMeansCodes"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_whole, one_hot, seed

KMEANS_STARTS = 4
"""The number of starts. The tightest clusters are kept."""


@dataclass(eq=False, repr=False, kw_only=True)
class KMeansCodes(TableBaseline):
    """The number of a row's cluster, by k-means.

    It uses neither target nor groups. It hides something only because a few codes cannot say much.
    FARE's authors compare with it too. The clusters come from scikit-learn's `KMeans`, the best of
    four starts by k-means++. We publish the number as one-hot columns.

    Source:
        FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović,
        Balunović, Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213
        k-means++: The Advantages of Careful Seeding (Arthur, Vassilvitskii, 2007),
        http://ilpubs.stanford.edu:8090/778/

    Arguments:
        n_codes: The number of clusters.
        random_state: A seed, or a source of seeds.

    Example:
        >>> X = np.array([[0.0], [0.1], [5.0], [5.1]])
        >>> codes = KMeansCodes(n_codes=2, random_state=0)
        >>> z = codes.fit(X, [0, 1, 0, 1], sensitive_features=[0, 0, 1, 1]).transform(X)
        >>> (z[0] == z[1]).all(), (z[2] == z[3]).all(), (z[0] == z[2]).any()
        (np.True_, np.True_, np.False_)
    """

    n_codes: int = 32

    def _check_settings(self) -> None:
        check_whole("n_codes", self.n_codes, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        from sklearn.cluster import KMeans

        if self.n_codes > len(rows.X):
            raise ValueError(
                f"`n_codes` expects at most one code for each row, got {self.n_codes} codes for "
                f"{len(rows.X)} rows."
            )
        clusters = KMeans(self.n_codes, n_init=KMEANS_STARTS, random_state=seed(self.random_state))
        self.model_: Any = clusters.fit(rows.X)

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The cluster of each row, with one column for each cluster: shape (n, n_codes)."""

        features = self._features(X)

        return one_hot(self.model_.predict(features), self.n_codes)

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each cluster for each row, 0 or 1, with shape (n, n_codes)."""

        return self.transform(X)
