"""An adversary in training: the representation is fitted so that a network fails to find S."""

__all__ = ["Adversary"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.baselines.networks import (
    FitRows,
    Published,
    check_rows,
    check_settings,
    fit_penalised,
    perceptron,
    published,
    seeds,
)

WIDTH = 64
STEPS = 5
"""The steps of the adversary for each of the encoder."""
RATE = 1e-2


@dataclass(eq=False, kw_only=True)
class Adversary:
    r"""Gradient reversal: an adversary learns S from the representation, the encoder against it.

    Encoder and classifier minimise the cross-entropy of the target; an adversary, a perceptron
    with one hidden layer of 64 units, minimises that of the sensitive attribute, and its gradient
    reaches the encoder times :math:`-\lambda`. So :math:`\lambda` is the strength; it rises in
    training as :math:`\lambda (2 / (1 + e^{-10 p}) - 1)`, where p is the part that is done. An
    adversary that fails proves little: a fresh one may succeed. Sensitive features that are
    floats are numbers, which the adversary predicts with the squared error, standardised.

    This is bitveil's own implementation, not the authors'. It differs: tables instead of images,
    Adam instead of SGD with momentum, and a last hidden layer of tanh units. The adversary has an
    optimiser of its own and takes five steps for each of the encoder. In plain reversal, with one
    step at the encoder's rate, boosted trees found the sex in Adult better than with strength 0,
    at each of five strengths from 0.3 to 50 (one seed).

    Source:
        Unsupervised Domain Adaptation by Backpropagation (Ganin, Lempitsky, 2015),
        https://arxiv.org/abs/1409.7495
        Gradient Reversal Against Discrimination (Raff, Sylvester, 2018),
        https://arxiv.org/abs/1807.00392

    Arguments:
        strength: The weight of the reversed gradient.
        dimensions: The number of tanh units of the representation.
        hidden: The widths of the hidden layers before it.
        epochs: The number of passes over the rows.
        learning_rate: The highest rate of Adam.
        batch_size: The number of rows of a step, about.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = Adversary(dimensions=2, random_state=0)
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
        """Fit encoder, classifier and adversary.

        Arguments:
            X: The features, with shape (n, d); they are standardised.
            y: The target, with shape (n,): classes.
            sensitive_features: Groups with shape (n,), or floats with shape (n,) or (n, k).
        """

        check_settings(self)
        rows = check_rows(X, y, sensitive_features=sensitive_features, numeric=True)
        generator, _ = seeds(self.random_state)
        adversary = _Adversary(rows, self.dimensions, generator)

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            adversary.learn(z.detach(), batch)
            weight = self.strength * (2 / (1 + math.exp(-10 * done)) - 1)

            return -weight * adversary.error(z, batch)

        self._published = fit_penalised(self, rows, generator, penalty)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, from -1 to 1, with shape (n, dimensions)."""

        return published(self._published)(X)


class _Adversary:
    """A network that looks for the sensitive attribute, with an optimiser of its own."""

    def __init__(self, rows: FitRows, dimensions: int, generator: torch.Generator) -> None:
        self.s = rows.s
        self.loss = F.cross_entropy if rows.n_groups else F.mse_loss
        outputs = rows.n_groups or rows.s.shape[1]
        self.network = perceptron([dimensions, WIDTH, outputs], generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=RATE)

    def error(self, z: Tensor, batch: Tensor) -> Tensor:
        return self.loss(self.network(z), self.s[batch])

    def learn(self, z: Tensor, batch: Tensor) -> None:
        for _ in range(STEPS):
            self.optimiser.zero_grad()
            self.error(z, batch).backward()
            self.optimiser.step()
