"""Linear erasure: the features change as little as they can, and no linear probe finds a group."""

__all__ = ["LinearErasure"]

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import check_columns, check_table, one_hot

Array = NDArray[np.float64]


@dataclass(eq=False, kw_only=True)
class LinearErasure:
    """LEACE: the smallest change of the features after which no linear probe finds the groups.

    With Σ_XX the covariance of the features, W its pseudo-inverse root, Z the groups as one column
    each, and P the projection onto the columns of W Σ_XZ:

        r(x) = x - W⁺ P W (x - E[x])

    On the rows of `fit` no feature then covaries with a group. What a probe that is not linear
    finds may stay.

    Source:
        LEACE: Perfect Linear Concept Erasure in Closed Form (Belrose, Schneider-Joseph, Ravfogel,
        Cotterell, Raff, Biderman, 2023), https://arxiv.org/abs/2306.03819

    Arguments:
        random_state: Has no effect, nothing here is random. All baselines take it.

    Attributes:
        mean_: The means of the features, with shape (d,).
        weights_: What reads a row's part that is linear in the groups, with shape (d, q); q is
            smaller than the number of groups.
        directions_: Where that part lies among the features, with shape (q, d).
        lost_: The features of which only the mean is left, with shape (d,), booleans.

    Example:
        >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> erased = LinearErasure().fit(X, [0, 1, 0, 1], sensitive_features=[0, 0, 1, 1])
        >>> erased.transform(X)[:, 0]  # the column that is the group
        array([0.5, 0.5, 0.5, 0.5])
    """

    random_state: int | np.random.RandomState | None = None
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Find the part of the features that is linear in the groups.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,). It is checked, and has no effect.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ValueError: If the input is not as described.
        """

        table = check_table(X, y, sensitive_features=sensitive_features)
        self.mean_ = table.X.mean(0)
        groups = one_hot(table.s, len(table.groups))
        centred = _centred(table.X)
        self.weights_, self.directions_ = _linear_part(centred, groups - groups.mean(0))
        spread, left = np.abs(centred).max(0), np.abs(self._erased(table.X) - self.mean_).max(0)
        self.lost_ = (left <= 1e-12 * spread) & (spread > 0)
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> Array:
        """The features without the groups, with shape (n, d).

        Raises:
            ValueError: Before `fit`, or if the input is not as described.
        """

        features = check_columns(X, self._width)

        # What rounding leaves of a lost column would still tell a tree the group.
        return np.where(self.lost_, self.mean_, self._erased(features))

    def _erased(self, features: Array) -> Array:
        return np.asarray(features - (features - self.mean_) @ self.weights_ @ self.directions_)


def _centred(X: Array) -> Array:
    """X minus its means, with exact zeros where rounding is all that differs."""

    centred = X - X.mean(0)
    varies = np.abs(centred).max(0) > 1e-13 * np.abs(X).max(0)

    return np.where(varies, centred, 0.0)


def _linear_part(X: Array, Z: Array) -> tuple[Array, Array]:
    """The weights that read the part of X that is linear in Z, and its directions.

    Columns are brought to one scale first, so that one in small units is not taken for rounding.
    With X = U S Vᵀ, the whitened features are U √n, and W Σ_XZ has the columns of Uᵀ Z.
    """

    scale = np.abs(X).max(0)
    scale[scale == 0] = 1.0
    u, s, vt = np.linalg.svd(X / scale, full_matrices=False)
    r = int((s > s.max() * max(X.shape) * np.finfo(float).eps).sum())
    found, strength, _ = np.linalg.svd(u[:, :r].T @ Z / np.sqrt(len(X)), full_matrices=False)
    q = found[:, strength > 1e-10]  # no unit: correlations times the spread of a group's column

    return vt[:r].T / s[:r] @ q / scale[:, None], (q.T * s[:r]) @ vt[:r] * scale
