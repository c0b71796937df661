"""The conditional variational information bottleneck: invariance with no adversary."""

__all__ = ["ConditionalBottleneck"]

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
    draw,
    fit_network,
    gaussian,
    perceptron,
    published,
    seeds,
)


@dataclass(eq=False, kw_only=True)
class ConditionalBottleneck:
    r"""A Gaussian encoder that keeps of x what S does not explain: CVIB.

    .. math:: -\log p(y|z) + (\beta + \lambda) \operatorname{mean}_{j}
        \mathrm{KL}(q(z|x_i) \| q(z|x_j)) - \lambda \log p(x|z, s)

    Since :math:`I(z;s) \le I(z;x) - I(z;x|s)`, a bound on the first from above (the mean of the
    divergences between all rows of a batch), and one on the second from below (a decoder that is
    told s), bound what z says of s.

    This is bitveil's own implementation, not the authors'. It differs: tables instead of images;
    the decoder of x is Gaussian with unit variance, in standardised columns, so its error is half
    a sum of squares; and classifier and decoder have one hidden layer of 64 units.

    Source:
        Invariant Representations without Adversarial Training (Moyer, Gao, Brekelmans, Ver
        Steeg, Galstyan, 2018), https://arxiv.org/abs/1805.09458

    Arguments:
        strength: The weight :math:`\lambda` of the bound on I(z;s).
        compression: The weight :math:`\beta` of I(z;x) beside it.
        dimensions: The number of dimensions of the representation.
        hidden: The widths of the hidden layers of the encoder.
        epochs: The number of passes over the rows.
        learning_rate: The highest rate of Adam.
        batch_size: The number of rows of a step, about.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = ConditionalBottleneck(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    strength: float = 1.0
    compression: float = 1e-3
    dimensions: int = 6
    hidden: Sequence[int] = (64, 64)
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 1024
    random_state: int | np.random.RandomState | None = None
    _published: Published | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit encoder, classifier and decoder.

        Arguments:
            X: The features, with shape (n, d); they are standardised.
            y: The target, with shape (n,): classes.
            sensitive_features: The groups, with shape (n,).
        """

        check_settings(self)
        rows = check_rows(X, y, sensitive_features=sensitive_features)
        generator, noise = seeds(self.random_state)
        d, s = rows.x.shape[1], rows.conditions
        encoder = perceptron([d, *self.hidden, 2 * self.dimensions], generator)
        head = perceptron([self.dimensions, 64, rows.n_classes], generator)
        decoder = perceptron([self.dimensions + rows.n_groups, 64, d], generator)

        def loss(batch: Tensor, done: float) -> Tensor:
            x = rows.x.index_select(0, batch)
            mean, deviation = gaussian(encoder(x))
            z = draw(mean, deviation, generator)
            task = F.cross_entropy(head(z), rows.y[batch])
            missed = (decoder(torch.cat([z, s[batch]], 1)) - x).square().sum(1).mean() / 2
            told = pairwise_divergence(mean, deviation)

            return task + (self.compression + self.strength) * told + self.strength * missed

        fit_network([encoder, head, decoder], loss, len(rows), self, generator)
        self._published = Published(encoder, rows.mean, rows.deviation, noise)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """One draw of the representation of each row, with shape (n, dimensions).

        The draws come from a seed that `fit` takes from `random_state`: the same table gives the
        same draws. A row at another place gets another draw.
        """

        return published(self._published)(X)


def pairwise_divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    r"""The mean over all pairs of rows of the divergence of their normal distributions, in nats.

    It is at least the information of z about the row. With :math:`M` for the mean of rows,

    .. math:: \frac12 \sum_d M(\mu^2 + \sigma^2) M(\sigma^{-2}) - 2 M(\mu) M(\mu \sigma^{-2})
        + M(\mu^2 \sigma^{-2}) - 1,

    since the logarithms cancel: no pair is ever formed.

    Example:
        >>> mean = torch.tensor([[0.0], [2.0]])
        >>> pairwise_divergence(mean, torch.ones(2, 1))  # 2 ** 2 / 2 for two pairs of four
        tensor(1.)
    """

    variance = deviation.square()
    weight = 1 / variance
    middle = mean.mean(0)
    mean = mean - middle  # the same for all rows, so it changes nothing but the rounding
    squares = (mean.square() + variance).mean(0) * weight.mean(0)
    sums = (mean.square() * weight).mean(0) - 2 * mean.mean(0) * (mean * weight).mean(0)

    return (squares + sums - 1).sum() / 2
