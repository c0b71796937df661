"""Characteristic functions: the groups' representations are drawn to one distribution."""

__all__ = ["CharacteristicDistance", "characteristic_distance"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.baselines.networks import (
    Published,
    check_rows,
    check_settings,
    fit_penalised,
    published,
    seeds,
)

FREQUENCIES = 64


@dataclass(eq=False, kw_only=True)
class CharacteristicDistance:
    """A penalty on the distance of the groups' empirical characteristic functions.

    Two distributions are equal where their characteristic functions are. So the squared distance
    of those of the groups, at 64 random frequencies a batch, is added to the cross-entropy of the
    target. No network is trained against another.

    This is bitveil's own implementation, not the authors', written from the abstract and the
    project page. It may differ in more than we know of: frequencies are standard normal and new
    in each batch, more than two groups are compared pair by pair, and the representation is a
    layer of tanh units, whose range sets the scale that the frequencies are for.

    Source:
        Simple and Effective Specialized Representations for Fair Classifiers (Sinigaglia, Sartor,
        Ceccon, Susto, 2025), https://arxiv.org/abs/2505.11740

    Arguments:
        strength: The weight of the penalty.
        dimensions: The number of tanh units of the representation.
        hidden: The widths of the hidden layers before it.
        epochs: The number of passes over the rows.
        learning_rate: The highest rate of Adam.
        batch_size: The number of rows of a step, about.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = CharacteristicDistance(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    strength: float = 1.0
    dimensions: int = 6
    hidden: Sequence[int] = (64, 64)
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 1024
    random_state: int | np.random.RandomState | None = None
    _published: Published | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the network with the penalty.

        Arguments:
            X: The features, with shape (n, d); they are standardised.
            y: The target, with shape (n,): classes.
            sensitive_features: The groups, with shape (n,).
        """

        check_settings(self)
        rows = check_rows(X, y, sensitive_features=sensitive_features)
        generator, _ = seeds(self.random_state)
        groups = rows.conditions

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            frequencies = torch.randn(z.shape[1], FREQUENCIES, generator=generator)

            return self.strength * characteristic_distance(z, groups[batch], frequencies)

        self._published = fit_penalised(self, rows, generator, penalty)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, from -1 to 1, with shape (n, dimensions)."""

        return published(self._published)(X)


def characteristic_distance(z: Tensor, groups: Tensor, frequencies: Tensor) -> Tensor:
    r"""The squared distance of the groups' characteristic functions.

    .. math:: \operatorname{mean}_{g < h, j} |\phi_g(w_j) - \phi_h(w_j)|^2, \quad
        \phi_g(w) = \operatorname{mean}_{i : s_i = g} e^{\mathrm{i} w^\top z_i}

    Groups without a row are left out; with fewer than two there is no distance, and it is 0.

    Arguments:
        z: The representation, with shape (n, m).
        groups: The groups, one column of zeros and ones each, with shape (n, k).
        frequencies: The frequencies, with shape (m, f).

    Example:
        >>> z = torch.tensor([[0.0], [torch.pi]])
        >>> characteristic_distance(z, torch.eye(2), torch.ones(1, 1))  # |1 - (-1)|^2
        tensor(4.)
    """

    counts = groups.sum(0)
    present = counts > 0
    if present.sum() < 2:
        return z.sum() * 0
    angles = z @ frequencies
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    functions = groups[:, present].T @ waves / counts[present, None]
    # The mean over pairs, from the distances to the mean: k of them hold each pair 1 / k times.
    spread = (functions - functions.mean(0)).square().sum()

    return 2 * spread / (len(functions) - 1) / frequencies.shape[1]
