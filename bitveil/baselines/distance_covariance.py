"""Distance correlation: the dependence between a representation and anything, as a penalty."""

__all__ = ["DistanceCovariance", "distance_correlation"]

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bitveil.baselines.networks import FitRows
from bitveil.baselines.neural import PenalisedBaseline, Penalty

PAIRED_ROWS = 512
"""The most rows of a batch that are compared in pairs. The cost is the square of their number."""


@dataclass(eq=False, repr=False, kw_only=True)
class DistanceCovariance(PenalisedBaseline):
    """A penalty on the squared distance correlation of the representation and S.

    The distance covariance of two vectors of any size is zero exactly if they are independent.
    The loss is the cross-entropy of the target plus its square, divided by that of each vector
    with itself. Each group has its own column. Sensitive features that are floats need no bins.

    This is bitveil's own implementation, not the authors'. FairDisCo (Liu et al.) penalises the
    covariance in a variational autoencoder, with no target; DisCo (Kasieczka, Shih) the
    correlation of a classifier's output with a numeric nuisance, within one class. Here it is the
    correlation of a layer of tanh units, over all rows, from at most 512 of each batch.

    `PenalisedBaseline` has the network, and `NeuralBaseline` the other settings.

    Source:
        Measuring and testing dependence by correlation of distances (Székely, Rizzo, Bakirov,
        2007), https://arxiv.org/abs/0803.4101
        Fair Representation Learning: An Alternative to Mutual Information (Liu, Li, Yao, Xu, Ma,
        Xu, Tong, 2022), https://doi.org/10.1145/3534678.3539302
        DisCo Fever: Robust Networks Through Distance Correlation (Kasieczka, Shih, 2020),
        https://arxiv.org/abs/2001.05310

    Arguments:
        strength: The weight of the penalty.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = DistanceCovariance(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1]).transform(X).shape
        (100, 2)
    """

    accepts_numbers: ClassVar[bool] = True

    strength: float = 1.0

    def _penalty(self, rows: FitRows, generator: torch.Generator) -> Penalty:
        s = rows.conditions

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            return self.strength * squared_correlation(z[:PAIRED_ROWS], s[batch[:PAIRED_ROWS]])

        return penalty


def distance_correlation(x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""The distance correlation of paired rows: from 0 to 1, differentiable.

    .. math:: R = \sqrt{\frac{V(x, y)}{\sqrt{V(x, x) V(y, y)}}}, \quad
        V(x, y) = \sum_{i, j} w_i w_j A_{ij} B_{ij},

    where :math:`A` and :math:`B` hold the Euclidean distances between the rows of x and of y,
    minus the weighted means of row and column, plus the weighted mean of all. In a population
    :math:`R` is 0 exactly if x and y are independent. A sample of n independent rows gives a
    positive value, about :math:`1 / \sqrt n`. It is 1 if y is x, moved, turned and scaled, and 0
    if x or y is constant.

    Source:
        Measuring and testing dependence by correlation of distances (Székely, Rizzo, Bakirov,
        2007), https://arxiv.org/abs/0803.4101

    Arguments:
        x: Numbers, with shape (n,) or (n, k).
        y: Numbers, with shape (n,) or (n, l).
        weights: How much each row counts, with shape (n,). None: all count the same.

    Raises:
        ValueError: If the numbers of rows differ, a value is not finite, or weights are negative
            or all zero.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 2.0, 4.0])
        >>> distance_correlation(x, 3 - 2 * x)
        tensor(1.)
        >>> coins = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> distance_correlation(coins[:, 0], coins[:, 1])
        tensor(0.)
    """

    x, y = _float_columns("x", x), _float_columns("y", y)
    if len(x) != len(y):
        raise ValueError(f"Expected as many rows of `x` as of `y`, got {len(x)} and {len(y)}.")
    if weights is not None:
        _check_row_weights(weights, len(x))
    squared = squared_correlation(x, y.to(x), None if weights is None else weights.to(x))
    # The root has no finite slope at 0: there the gradient is 0.
    positive = squared > 0

    return torch.where(positive, squared.where(positive, torch.ones_like(squared)).sqrt(), 0.0)


def squared_correlation(x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """The square of the distance correlation, whose gradient stays finite at 0.

    Arguments:
        x: Numbers, with shape (n, k).
        y: Numbers, with shape (n, l).
        weights: How much each row counts, with shape (n,). None: all count the same.
    """

    w = torch.ones_like(x[:, 0]) if weights is None else weights
    w = w / w.sum()
    a, b = _centred_distances(x, w), _centred_distances(y, w)
    smallest = torch.finfo(x.dtype).tiny ** 0.5
    spread_a, spread_b = (_product(each, each, w).clamp_min(smallest).sqrt() for each in (a, b))

    return (_product(a, b, w) / (spread_a * spread_b)).clamp(0, 1)


def _centred_distances(x: Tensor, w: Tensor) -> Tensor:
    """The distances between rows, minus the means of row and column, plus the mean of all."""

    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    means = distances @ w

    return distances - means - means[:, None] + means @ w


def _product(a: Tensor, b: Tensor, w: Tensor) -> Tensor:
    return w @ (a * b) @ w


def _float_columns(name: str, x: Tensor) -> Tensor:
    """Floats, with shape (n, k)."""

    if x.ndim not in (1, 2) or len(x) == 0:
        raise ValueError(f"`{name}` expects shape (n,) or (n, k), got {tuple(x.shape)}.")
    if not torch.isfinite(x).all():
        raise ValueError(f"`{name}` expects finite numbers, got NaN or infinity.")
    x = x if x.is_floating_point() else x.float()

    return x[:, None] if x.ndim == 1 else x


def _check_row_weights(weights: Tensor, n: int) -> None:
    if weights.shape != (n,):
        raise ValueError(f"`weights` expects shape ({n},), got {tuple(weights.shape)}.")
    if not (weights >= 0).all() or not 0 < weights.sum() < torch.inf:
        raise ValueError("`weights` expects finite numbers of at least 0, and not all 0.")
