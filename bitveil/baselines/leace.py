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

    SPLINCE (`keep_target=True`) also leaves each covariance of a feature with the target as it
    was. P then projects onto the same columns, but along those of W Σ_XY, and nothing is taken
    from directions that are orthogonal to both. It is the smallest change that does both: P is
    fixed on these columns, and on what is orthogonal to them 0 is the least. We have not repeated
    a number of its authors: theirs are about text and images, through networks that we do not
    have. Their theorem holds here: a regression without a penalty answers as after LEACE.

    Source:
        LEACE: Perfect Linear Concept Erasure in Closed Form (Belrose, Schneider-Joseph, Ravfogel,
        Cotterell, Raff, Biderman, 2023), https://arxiv.org/abs/2306.03819. SPLINCE: Preserving
        Task-Relevant Information Under Linear Concept Removal (Holstege, Ravfogel, Wouters,
        2025), https://arxiv.org/abs/2506.10703

    Arguments:
        keep_target: Whether the covariances with the target stay as they are.
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

    keep_target: bool = False

    def _check_settings(self) -> None:
        """Both values of the only setting are allowed."""

    def _fit_rows(self, rows: LabelledRows) -> None:
        self.mean_ = rows.X.mean(0)
        groups = one_hot(rows.s, len(rows.groups))
        centred = _centred_columns(rows.X)
        classes = one_hot(rows.y, len(rows.classes)) if self.keep_target else None
        self.weights_, self.directions_ = _linear_part(centred, groups - groups.mean(0), classes)
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


def _linear_part(X: Array, Z: Array, Y: Array | None) -> tuple[Array, Array]:
    """The weights that read the part of X that is linear in Z, and its directions.

    It first brings columns to one scale, so that it does not take one in small units for rounding.
    With X = U S Vᵀ, the whitened features are U √n, and W Σ_XZ has the columns of Uᵀ Z.
    """

    scale = np.abs(X).max(0)
    scale[scale == 0] = 1.0
    u, s, vt = np.linalg.svd(X / scale, full_matrices=False)
    r = int((s > s.max() * max(X.shape) * np.finfo(float).eps).sum())
    q = _spanned(u[:, :r], Z)
    read = q if Y is None else _blind_to(q, _spanned(u[:, :r], Y - Y.mean(0)))

    return vt[:r].T / s[:r] @ read / scale[:, None], (q.T * s[:r]) @ vt[:r] * scale


def _spanned(white: Array, Z: Array) -> Array:
    """An orthonormal basis of the columns of the covariance of whitened features with Z."""

    found, strength, _ = np.linalg.svd(white.T @ Z / np.sqrt(len(white)), full_matrices=False)

    return np.asarray(found[:, strength > 1e-10])  # correlations times the spread of a column


def _blind_to(q: Array, kept: Array) -> Array:
    """The weights that read each direction of q as itself, and nothing along those to keep."""

    beyond = q - kept @ (kept.T @ q)
    of_q = q.T @ beyond
    if q.size and np.linalg.eigvalsh(of_q).min() < 1e-9:
        raise ValueError(
            "`keep_target` expects columns that say something else about the target than about "
            "the groups: here a linear reading of one is a linear reading of the other."
        )

    return np.asarray(beyond @ np.linalg.inv(of_q))
