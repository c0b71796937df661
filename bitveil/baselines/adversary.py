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
    Published,
    check_rows,
    check_settings,
    fit_penalised,
    perceptron,
    published,
    seeds,
)

WIDTH, STEPS, RATE = 64, 5, 1e-2


@dataclass(eq=False, kw_only=True)
class Adversary:
    r"""Gradient reversal: an adversary learns S from the representation, the encoder against it.

    Encoder and classifier minimise the cross-entropy of the target; an adversary, a perceptron
    with one hidden layer of 64 units, minimises that of the sensitive attribute, and its gradient
    reaches the encoder times :math:`-\lambda`. So :math:`\lambda` is the strength; it rises in
    training as :math:`\lambda (2 / (1 + e^{-10 p}) - 1)`, where p is the part that is done. An
    adversary that fails proves little: a fresh one may succeed.

    This is bitveil's own implementation, not the authors'. It differs: tables instead of images,
    Adam instead of SGD with momentum, and a last hidden layer of tanh units. Sensitive features
    that are floats are numbers, which the adversary predicts with the squared error, standardised.

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
        outputs = rows.n_groups or rows.s.shape[1]
        adversary = perceptron([self.dimensions, WIDTH, outputs], generator)
        optimiser = torch.optim.Adam(adversary.parameters(), lr=RATE)
        error = F.cross_entropy if rows.n_groups else F.mse_loss

        def penalty(z: Tensor, batch: Tensor, done: float) -> Tensor:
            seen, s = z.detach(), rows.s[batch]
            for _ in range(STEPS):
                optimiser.zero_grad()
                error(adversary(seen), s).backward()
                optimiser.step()
            weight = self.strength * (2 / (1 + math.exp(-10 * done)) - 1)

            return -weight * error(adversary(z), s)

        self._published = fit_penalised(self, rows, generator, penalty)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, from -1 to 1, with shape (n, dimensions)."""

        return published(self._published)(X)
