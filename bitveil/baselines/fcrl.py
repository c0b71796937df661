"""Fairness via contrastive estimation: a bottleneck that keeps what S does not explain."""

__all__ = ["Contrastive", "divergence_from_prior"]

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitveil.baselines.networks import FitRows, perceptron
from bitveil.baselines.neural import BottleneckBaseline, GaussianBatch

RIVALS = 64
"""The most rows of its group in the batch that each row is compared with."""


@dataclass(eq=False, repr=False, kw_only=True)
class Contrastive(BottleneckBaseline):
    r"""A Gaussian encoder whose information is estimated by contrast within groups: FCRL.

    .. math:: -\log p(y|z, s) + \beta \, \mathrm{KL}(q(z|x) \| N(0, 1)) - \lambda \,
        \hat I(x;z|s)

    The divergence bounds :math:`I(z;x)` from above, and InfoNCE estimates :math:`I(x;z|s)` from
    below, so that with :math:`\beta = \lambda` the sum bounds :math:`I(z;s)`. The classifier also
    gets s, so z does not need to reveal it.

    This is bitveil's own implementation, not the authors'. Like theirs it scores a pair by
    :math:`\operatorname{softplus}(f(x)^\top W_s \, g(z))` and takes :math:`\beta = \lambda / 2`,
    the ratio of their runs on Adult. It differs: 25 epochs instead of 200; each row is compared
    with itself and at most 64 others of its group in the batch, instead of with the whole group
    in the batch; and the encoder has the hidden layers of the other baselines.

    `BottleneckBaseline` has the encoder, and `NeuralBaseline` the other settings.

    Source:
        Controllable Guarantees for Fair Outcomes via Contrastive Information Estimation (Gupta,
        Ferber, Dilkina, Ver Steeg, 2021), https://arxiv.org/abs/2101.04108

    Arguments:
        strength: The weight :math:`\lambda` of the conditional information.
        compression: The ratio :math:`\beta / \lambda`, the weight of I(z;x) relative to it.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = Contrastive(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    compression: float = 0.5
    epochs: int = 25
    batch_size: int = 512

    def _objective(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        return _ContrastiveLoss(self, rows, generator)


class _ContrastiveLoss(nn.Module):
    """The loss of a batch, with a classifier of the target and a critic."""

    def __init__(self, settings: Contrastive, rows: FitRows, generator: torch.Generator) -> None:
        super().__init__()
        self.strength, self.compression = settings.strength, settings.compression
        m, d = settings.dimensions, rows.x.shape[1]
        self.head = perceptron([m + rows.n_groups, 64, rows.n_classes], generator)
        self.critic = Critic(d, m, rows.n_groups, generator)

    def forward(self, seen: GaussianBatch) -> Tensor:
        task = F.cross_entropy(self.head(torch.cat([seen.z, seen.groups], 1)), seen.y)
        bound = divergence_from_prior(seen.mean, seen.deviation)
        kept = self.critic(seen.x, seen.z, seen.s)

        return task + self.strength * (self.compression * bound - kept)


class Critic(nn.Module):
    """Scores of pairs of a row and a representation, and the InfoNCE estimate from them."""

    def __init__(self, d: int, m: int, k: int, generator: torch.Generator) -> None:
        super().__init__()
        self.of_x = perceptron([d, 64, m], generator)
        self.of_z = perceptron([m, m], generator)
        self.mixing = nn.Parameter(torch.randn(k, m, m, generator=generator) / m**0.5)

    def forward(self, x: Tensor, z: Tensor, s: Tensor) -> Tensor:
        """The estimate of I(x;z|s), in nats: a mean over the rows."""

        u, v = self.of_x(x), self.of_z(z)
        total = u.new_zeros(())
        for group, mixing in enumerate(self.mixing):
            members = (s == group).nonzero().squeeze(1)
            if len(members):
                total = total + contrast(u[members] @ mixing, v[members])

        return total / len(x)


def contrast(u: Tensor, v: Tensor) -> Tensor:
    """The log-ratio between the score of a row's own v and its mean score, summed over rows.

    Each row meets itself and up to `RIVALS` others. A row alone gives 0.

    Example:
        >>> contrast(torch.ones(3, 1), torch.ones(3, 1))  # all alike: no row can be identified
        tensor(0.)
    """

    own = F.softplus((u * v).sum(1))
    rivals = F.softplus(u @ v[:RIVALS].T)
    known = torch.arange(len(u))[:, None] != torch.arange(rivals.shape[1])
    mean = (own + (rivals * known).sum(1)) / (1 + known.sum(1))

    return ((own + 1e-8).log() - (mean + 1e-8).log()).sum()


def divergence_from_prior(mean: Tensor, deviation: Tensor) -> Tensor:
    """The mean over rows of the divergence from a standard normal distribution, in nats.

    Example:
        >>> divergence_from_prior(torch.tensor([[2.0]]), torch.ones(1, 1))  # 2 ** 2 / 2
        tensor(2.)
    """

    squares = mean.square() + deviation.square() - 1

    return (squares / 2 - deviation.log()).sum(1).mean()
