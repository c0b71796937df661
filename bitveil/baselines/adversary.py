"""An adversary in training: the encoder learns to defeat a network that looks for S."""

__all__ = ["Adversary"]

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bitveil.baselines.networks import FitRows, perceptron
from bitveil.baselines.neural import PenalisedBaseline, Penalty

WIDTH = 64
ADVERSARY_STEPS = 5
"""How many steps the adversary takes for each step of the encoder."""

RATE = 1e-2


@dataclass(eq=False, repr=False, kw_only=True)
class Adversary(PenalisedBaseline):
    r"""Gradient reversal: an adversary learns S from the representation; the encoder resists.

    Encoder and classifier minimise the cross-entropy of the target; an adversary, a perceptron
    with one hidden layer of 64 units, minimises that of the sensitive attribute, and its gradient
    reaches the encoder times :math:`-\lambda`. The strength :math:`\lambda` rises during training
    as :math:`\lambda (2 / (1 + e^{-10 p}) - 1)`, where p is the share of training that is done. An
    adversary that fails proves little: a fresh one may succeed. If the sensitive features are
    floats, the adversary predicts them, standardised, with the squared error.

    This is bitveil's own implementation, not the authors'. It differs: tables instead of images,
    Adam instead of SGD with momentum, and a last hidden layer of tanh units. The adversary has its
    own optimiser and takes five steps for each of the encoder. In plain reversal, with one
    step at the encoder's rate, boosted trees found the sex in Adult better than with strength 0,
    at each of five strengths from 0.3 to 50 (one seed).

    `PenalisedBaseline` has the network, and `NeuralBaseline` the other settings.

    Source:
        Unsupervised Domain Adaptation by Backpropagation (Ganin, Lempitsky, 2015),
        https://arxiv.org/abs/1409.7495
        Gradient Reversal Against Discrimination (Raff, Sylvester, 2018),
        https://arxiv.org/abs/1807.00392

    Arguments:
        strength: The weight of the reversed gradient.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = Adversary(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    accepts_numbers: ClassVar[bool] = True

    strength: float = 1.0

    def _penalty(self, rows: FitRows, generator: torch.Generator) -> Penalty:
        adversary = _Adversary(rows, self.dimensions, generator)

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            adversary.learn(z.detach(), batch)
            weight = self.strength * (2 / (1 + math.exp(-10 * done)) - 1)

            return -weight * adversary.error(z, batch)

        return penalty


class _Adversary:
    """A network that looks for the sensitive attribute, with its own optimiser."""

    def __init__(self, rows: FitRows, dimensions: int, generator: torch.Generator) -> None:
        self.s = rows.s
        self.loss = F.cross_entropy if rows.n_groups else F.mse_loss
        outputs = rows.n_groups or rows.s.shape[1]
        self.network = perceptron([dimensions, WIDTH, outputs], generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=RATE)

    def error(self, z: Tensor, batch: Tensor) -> Tensor:
        return self.loss(self.network(z), self.s[batch])

    def learn(self, z: Tensor, batch: Tensor) -> None:
        for _ in range(ADVERSARY_STEPS):
            self.optimiser.zero_grad()
            self.error(z, batch).backward()
            self.optimiser.step()
