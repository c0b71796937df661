"""Clusters of rows as codes: what few cells hide when nobody looks at the groups."""

__all__ = ["KMeansCodes"]

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import check_columns, check_table, check_whole, one_hot, seed

STARTS = 4
"""How many starts are tried; the tightest clusters are kept."""


@dataclass(eq=False, kw_only=True)
class KMeansCodes:
    """The number of the cluster that a row is in, by k-means.

    Neither target nor groups are looked at: what this hides, it hides because few codes cannot
    say much. FARE's authors compare with the same. The clusters are scikit-learn's `KMeans`, the
    best of four starts by k-means++; publishing the number, one-hot, is ours.

    Source:
        FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović,
        Balunović, Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213
        k-means++: The Advantages of Careful Seeding (Arthur, Vassilvitskii, 2007),
        http://ilpubs.stanford.edu:8090/778/

    Arguments:
        n_codes: The number of clusters.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0], [0.1], [5.0], [5.1]])
        >>> codes = KMeansCodes(n_codes=2, random_state=0)
        >>> z = codes.fit(X, [0, 1, 0, 1], sensitive_features=[0, 0, 1, 1]).transform(X)
        >>> (z[0] == z[1]).all(), (z[2] == z[3]).all(), (z[0] == z[2]).any()
        (np.True_, np.True_, np.False_)
    """

    n_codes: int = 32
    random_state: int | np.random.RandomState | None = None
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Find the clusters.

        Arguments:
            X: The features, with shape (n, d), at scales that can be compared.
            y: The target, with shape (n,): checked, and not used.
            sensitive_features: The groups, with shape (n,): checked, and not used.

        Raises:
            ValueError: If there are more codes than rows, or the input is not as described.
        """

        from sklearn.cluster import KMeans

        check_whole("n_codes", self.n_codes, 1)
        table = check_table(X, y, sensitive_features=sensitive_features)
        if self.n_codes > len(table.X):
            raise ValueError(
                f"`n_codes` expects at most one code a row, got {self.n_codes} codes for "
                f"{len(table.X)} rows."
            )
        self.model_: Any = KMeans(
            self.n_codes, n_init=STARTS, random_state=seed(self.random_state)
        ).fit(table.X)
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The cluster of each row, one column a cluster, with shape (n, n_codes)."""

        features = check_columns(X, self._width)

        return one_hot(self.model_.predict(features), self.n_codes)

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each cluster for each row, 0 or 1, with shape (n, n_codes)."""

        return self.transform(X)
