"""Fairness via contrastive estimation: a bottleneck that keeps what S does not explain."""

__all__ = ["Contrastive"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

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

RIVALS = 64
"""The most rows of its group in a batch that a row is told apart from."""


@dataclass(eq=False, kw_only=True)
class Contrastive:
    r"""A Gaussian encoder whose information is estimated by contrast within groups: FCRL.

    .. math:: -\log p(y|z, s) + \beta \, \mathrm{KL}(q(z|x) \| N(0, 1)) - \lambda \,
        \hat I(x;z|s)

    The divergence bounds :math:`I(z;x)` from above, and InfoNCE estimates :math:`I(x;z|s)` from
    below, so that with :math:`\beta = \lambda` the sum bounds :math:`I(z;s)`. The classifier is
    told s, and z need not tell of it.

    This is bitveil's own implementation, not the authors'. As theirs it scores a pair by
    :math:`\operatorname{softplus}(f(x)^\top W_s \, g(z))` and takes :math:`\beta = \lambda / 2`,
    the ratio of their runs on Adult. It differs: 25 epochs instead of 200; a row is told apart
    from at most 64 others of its group, drawn for the batch, and itself, instead of from the
    whole group in the batch; and the encoder has the hidden layers of the other baselines.

    Source:
        Controllable Guarantees for Fair Outcomes via Contrastive Information Estimation (Gupta,
        Ferber, Dilkina, Ver Steeg, 2021), https://arxiv.org/abs/2101.04108

    Arguments:
        strength: The weight :math:`\lambda` of the conditional information.
        compression: The ratio :math:`\beta / \lambda`, the weight of I(z;x) relative to it.
        dimensions: The number of dimensions of the representation.
        hidden: The widths of the hidden layers of the encoder.
        epochs: The number of passes over the rows.
        learning_rate: The highest rate of Adam.
        batch_size: The number of rows of a step, about.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = Contrastive(dimensions=2, random_state=0)
        >>> baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0).transform(X).shape
        (100, 2)
    """

    strength: float = 1.0
    compression: float = 0.5
    dimensions: int = 6
    hidden: Sequence[int] = (64, 64)
    epochs: int = 25
    learning_rate: float = 3e-3
    batch_size: int = 512
    random_state: int | np.random.RandomState | None = None
    _published: Published | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit encoder, classifier and critic.

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
        head = perceptron([self.dimensions + rows.n_groups, 64, rows.n_classes], generator)
        critic = Critic(d, self.dimensions, rows.n_groups, generator)

        def loss(batch: Tensor, done: float) -> Tensor:
            x = rows.x.index_select(0, batch)
            mean, deviation = gaussian(encoder(x))
            z = draw(mean, deviation, generator)
            task = F.cross_entropy(head(torch.cat([z, s[batch]], 1)), rows.y[batch])
            bound = divergence_from_prior(mean, deviation)
            kept = critic(x, z, rows.s[batch])

            return task + self.strength * (self.compression * bound - kept)

        fit_network([encoder, head, critic], loss, len(rows), self, generator)
        self._published = Published(encoder, rows.mean, rows.deviation, noise)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """One draw of the representation of each row, with shape (n, dimensions).

        The draws come from a seed that `fit` takes from `random_state`: the same table gives the
        same draws. A row at another place gets another draw.
        """

        return published(self._published)(X)


class Critic(nn.Module):
    """Scores of pairs of a row and a representation, and the InfoNCE estimate made of them."""

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
    """The sum over rows of the log-ratio of the score of its own v, and the mean score.

    Each row meets itself and up to `RIVALS` others; a row alone gives 0.

    Example:
        >>> contrast(torch.ones(3, 1), torch.ones(3, 1))  # all alike: nothing is told apart
        tensor(0.)
    """

    own = F.softplus((u * v).sum(1))
    rivals = F.softplus(u @ v[:RIVALS].T)
    known = torch.arange(len(u))[:, None] != torch.arange(rivals.shape[1])
    mean = (own + (rivals * known).sum(1)) / (1 + known.sum(1))

    return ((own + 1e-8).log() - (mean + 1e-8).log()).sum()


def divergence_from_prior(mean: Tensor, deviation: Tensor) -> Tensor:
    """The divergence of normal distributions from the standard one, in nats: a mean of rows.

    Example:
        >>> divergence_from_prior(torch.tensor([[2.0]]), torch.ones(1, 1))  # 2 ** 2 / 2
        tensor(2.)
    """

    squares = mean.square() + deviation.square() - 1

    return (squares / 2 - deviation.log()).sum(1).mean()
