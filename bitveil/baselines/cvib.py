"""The conditional variational information bottleneck: invariance with no adversary."""

__all__ = ["ConditionalBottleneck"]

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitveil.baselines.networks import FitRows, perceptron
from bitveil.baselines.neural import BottleneckBaseline, GaussianBatch


class ConditionalBottleneck(BottleneckBaseline):
    r"""A Gaussian encoder that keeps the part of x that S does not explain: CVIB.

    .. math:: -\log p(y|z) + (\beta + \lambda) \operatorname{mean}_{j}
        \mathrm{KL}(q(z|x_i) \| q(z|x_j)) - \lambda \log p(x|z, s)

    Since :math:`I(z;s) \le I(z;x) - I(z;x|s)`, two bounds limit the information of z about s: an
    upper bound of the first term (the mean divergence between all rows of a batch), and a lower
    bound of the second (a decoder that also gets s).

    This is bitveil's own implementation, not the authors'. It differs: tables instead of images;
    the decoder of x is Gaussian with unit variance, in standardised columns, so its error is half
    a sum of squares; and classifier and decoder have one hidden layer of 64 units.

    `BottleneckBaseline` has the encoder, and `NeuralBaseline` the other settings.

    Source:
        Invariant Representations without Adversarial Training (Moyer, Gao, Brekelmans, Ver
        Steeg, Galstyan, 2018), https://arxiv.org/abs/1805.09458

    Arguments:
        strength: The weight :math:`\lambda` of the bound on I(z;s).
        compression: The weight :math:`\beta` of I(z;x) beside it.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = ConditionalBottleneck(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    def _objective(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        return _BottleneckLoss(self, rows, generator)


class _BottleneckLoss(nn.Module):
    """The loss of a batch, with a classifier of the target and a decoder of the features."""

    def __init__(
        self, settings: ConditionalBottleneck, rows: FitRows, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.strength, self.compression = settings.strength, settings.compression
        m, d = settings.dimensions, rows.x.shape[1]
        self.head = perceptron([m, 64, rows.n_classes], generator)
        self.decoder = perceptron([m + rows.n_groups, 64, d], generator)

    def forward(self, seen: GaussianBatch) -> Tensor:
        task = F.cross_entropy(self.head(seen.z), seen.y)
        restored = self.decoder(torch.cat([seen.z, seen.groups], 1))
        missed = (restored - seen.x).square().sum(1).mean() / 2
        told = pairwise_divergence(seen.mean, seen.deviation)

        return task + (self.compression + self.strength) * told + self.strength * missed


def pairwise_divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    r"""The mean over all pairs of rows of the divergence of their normal distributions, in nats.

    It is at least the information of z about the row. With :math:`M` for the mean of rows,

    .. math:: \frac12 \sum_d M(\mu^2 + \sigma^2) M(\sigma^{-2}) - 2 M(\mu) M(\mu \sigma^{-2})
        + M(\mu^2 \sigma^{-2}) - 1,

    since the logarithms cancel. The code never forms a pair.

    Example:
        >>> mean = torch.tensor([[0.0], [2.0]])
        >>> pairwise_divergence(mean, torch.ones(2, 1))  # 2 ** 2 / 2 for two pairs of four
        tensor(1.)
    """

    variance = deviation.square()
    weight = 1 / variance
    middle = mean.mean(0)
    mean = mean - middle  # the same for all rows, so it only changes the rounding
    squares = (mean.square() + variance).mean(0) * weight.mean(0)
    sums = (mean.square() * weight).mean(0) - 2 * mean.mean(0) * (mean * weight).mean(0)

    return (squares + sums - 1).sum() / 2
