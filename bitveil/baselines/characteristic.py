"""Characteristic functions: a penalty makes the groups' representations alike."""

__all__ = ["CharacteristicDistance", "characteristic_distance"]

from dataclasses import dataclass

import torch
from torch import Tensor

from bitveil.baselines.networks import FitRows
from bitveil.baselines.neural import PenalisedBaseline, Penalty

FREQUENCIES = 64


@dataclass(eq=False, repr=False, kw_only=True)
class CharacteristicDistance(PenalisedBaseline):
    """A penalty on the distance of the groups' empirical characteristic functions.

    Two distributions are equal if their characteristic functions are. So the loss is the
    cross-entropy of the target plus the squared distance between the groups' characteristic
    functions, at 64 random frequencies for each batch. No network is trained against another.

    This is bitveil's own implementation, not the authors', written from the abstract and the
    project page. It may differ in more ways than we know: frequencies are standard normal and new
    in each batch, more than two groups are compared pair by pair, and the representation is a
    layer of tanh units, whose range sets the scale for the frequencies.

    `PenalisedBaseline` has the network, and `NeuralBaseline` the other settings.

    Source:
        Simple and Effective Specialized Representations for Fair Classifiers (Sinigaglia, Sartor,
        Ceccon, Susto, 2025), https://arxiv.org/abs/2505.11740

    Arguments:
        strength: The weight of the penalty.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = CharacteristicDistance(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    strength: float = 1.0

    def _penalty(self, rows: FitRows, generator: torch.Generator) -> Penalty:
        groups = rows.conditions

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            frequencies = torch.randn(z.shape[1], FREQUENCIES, generator=generator)

            return self.strength * characteristic_distance(z, groups[batch], frequencies)

        return penalty


def characteristic_distance(z: Tensor, groups: Tensor, frequencies: Tensor) -> Tensor:
    r"""The squared distance of the groups' characteristic functions.

    .. math:: \operatorname{mean}_{g < h, j} |\phi_g(w_j) - \phi_h(w_j)|^2, \quad
        \phi_g(w) = \operatorname{mean}_{i : s_i = g} e^{\mathrm{i} w^\top z_i}

    It leaves out groups without a row, and is 0 if fewer than two groups have rows.

    Arguments:
        z: The representation, with shape (n, m).
        groups: The groups, each as a column of zeros and ones, with shape (n, k).
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
