"""Linear erasure: the smallest change of the features that hides groups from linear probes."""

__all__ = ["LinearErasure"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, one_hot

Array = NDArray[np.float64]


@dataclass(eq=False, repr=False, kw_only=True)
class LinearErasure(TableBaseline):
    """LEACE: the smallest change of the features after which no linear probe finds the groups.

    With Σ_XX the covariance of the features, W its pseudo-inverse root, Z the groups, with one
    column each, and P the projection onto the columns of W Σ_XZ:

        r(x) = x - W⁺ P W (x - E[x])

    On the rows of `fit` no feature then covaries with a group. Probes that are not linear may
    still find the groups.

    Source:
        LEACE: Perfect Linear Concept Erasure in Closed Form (Belrose, Schneider-Joseph, Ravfogel,
        Cotterell, Raff, Biderman, 2023), https://arxiv.org/abs/2306.03819

    Arguments:
        random_state: Not used: the method has no randomness.

    Attributes:
        mean_: The means of the features, with shape (d,).
        weights_: The weights that read a row's part that is linear in the groups, with shape
            (d, q); q is smaller than the number of groups.
        directions_: The directions of that part among the features, with shape (q, d).
        lost_: Whether only the mean of a feature remains, with shape (d,).

    Example:
        >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> erased = LinearErasure().fit(X, [0, 1, 0, 1], sensitive_features=[0, 0, 1, 1])
        >>> erased.transform(X)[:, 0]  # the column that is the group
        array([0.5, 0.5, 0.5, 0.5])
    """

    def _check_settings(self) -> None:
        """There are no settings."""

    def _fit_rows(self, rows: LabelledRows) -> None:
        self.mean_ = rows.X.mean(0)
        groups = one_hot(rows.s, len(rows.groups))
        centred = _centred_columns(rows.X)
        self.weights_, self.directions_ = _linear_part(centred, groups - groups.mean(0))
        spread, rest = np.abs(centred).max(0), np.abs(self._erased(rows.X) - self.mean_).max(0)
        self.lost_ = (rest <= 1e-12 * spread) & (spread > 0)

    def transform(self, X: ArrayLike) -> Array:
        """The features without the groups, with shape (n, d).

        Raises:
            ValueError: Before `fit`, or if the input is not as described.
        """

        features = self._features(X)

        # The rounding errors in a lost column would still show the group to a tree.
        return np.where(self.lost_, self.mean_, self._erased(features))

    def _erased(self, features: Array) -> Array:
        return np.asarray(features - (features - self.mean_) @ self.weights_ @ self.directions_)


def _centred_columns(X: Array) -> Array:
    """X minus its means, with exact zeros where values differ only by rounding."""

    centred = X - X.mean(0)
    varies = np.abs(centred).max(0) > 1e-13 * np.abs(X).max(0)

    return np.where(varies, centred, 0.0)


def _linear_part(X: Array, Z: Array) -> tuple[Array, Array]:
    """The weights that read the part of X that is linear in Z, and its directions.

    It first brings columns to one scale, so that it does not take one in small units for rounding.
    With X = U S Vᵀ, the whitened features are U √n, and W Σ_XZ has the columns of Uᵀ Z.
    """

    scale = np.abs(X).max(0)
    scale[scale == 0] = 1.0
    u, s, vt = np.linalg.svd(X / scale, full_matrices=False)
    r = int((s > s.max() * max(X.shape) * np.finfo(float).eps).sum())
    found, strength, _ = np.linalg.svd(u[:, :r].T @ Z / np.sqrt(len(X)), full_matrices=False)
    q = found[:, strength > 1e-10]  # no unit: correlations times the spread of a group's column

    return vt[:r].T / s[:r] @ q / scale[:, None], (q.T * s[:r]) @ vt[:r] * scale
