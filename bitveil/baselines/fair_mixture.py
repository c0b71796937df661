"""Fair model-based clustering: a mixture of normal distributions whose parts all groups share."""

__all__ = ["FairMixture"]

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_whole, one_hot, seed
from bitveil.baselines.networks import fit_network

_FLOOR = 1e-3
"""The least variance of a part, where the columns have variance 1."""


@dataclass(eq=False, repr=False, kw_only=True)
class FairMixture(TableBaseline):
    r"""The part of a mixture that a row was drawn from, where each group has each part as often.

    .. math:: -\frac{1}{d} \log p(x) + \lambda \max_k \Big|
        \frac{1}{n_a} \sum_{i: s_i = a} p(k|x_i) - \frac{1}{n_b} \sum_{i: s_i = b} p(k|x_i) \Big|

    with the largest difference over pairs of groups. The mixture is fitted to the columns alone,
    by small batches, so it knows no target. A row's code is drawn from :math:`p(k|x)`. We publish
    it as one-hot columns.

    This is bitveil's own implementation, not the authors'. Like theirs it has few numbers, however
    many rows there are, and learns from small batches. It differs: one gradient step of the
    objective takes the place of an expectation and a maximisation step, which have the same
    gradient; every part has one variance for all columns; the likelihood is divided by the
    number of columns, so that one range of the weight serves all tables; and there is no charge
    for small parts, which their code has. We have not repeated a number of the authors: their
    repository has no results, and we could not read the tables of their paper.

    Source:
        Fair Model-based Clustering (Park, Kim, Lee, Kim, 2026), https://arxiv.org/abs/2602.21509

    Arguments:
        strength: The weight :math:`\lambda` of the difference between the groups.
        n_codes: The number of parts.
        epochs: How often all rows are seen.
        batch_size: The rows of a batch.
        learning_rate: The step of Adam.
        random_state: A seed, or a source of seeds.

    Example:
        >>> X = np.array([[0.0], [0.1], [5.0], [5.1]] * 25)
        >>> mixture = FairMixture(strength=0.0, n_codes=2, epochs=5, random_state=0)
        >>> _ = mixture.fit(X, [0, 1, 0, 1] * 25, sensitive_features=[0, 0, 1, 1] * 25)
        >>> parts = mixture.likelihoods(X[:4]).argmax(1)
        >>> parts[0] == parts[1], parts[2] == parts[3], parts[0] == parts[2]
        (np.True_, np.True_, np.False_)
    """

    strength: float = 1.0
    n_codes: int = 10
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 0.01

    def _check_settings(self) -> None:
        check_range("strength", self.strength, 0, np.inf)
        check_range("learning_rate", self.learning_rate, 1e-12, np.inf)
        for name, low in {"n_codes": 1, "epochs": 1, "batch_size": 2}.items():
            check_whole(name, getattr(self, name), low)

    def _fit_rows(self, rows: LabelledRows) -> None:
        if self.n_codes > len(rows.X):
            raise ValueError(
                f"`n_codes` expects at most one part for each row, got {self.n_codes} parts for "
                f"{len(rows.X)} rows."
            )
        start = seed(self.random_state)
        generator = torch.Generator().manual_seed(start)
        self.centre_, deviation = rows.X.mean(0), rows.X.std(0)
        self.scale_ = np.where(deviation > 0, deviation, 1.0)
        x, s = self._standard(rows.X), torch.from_numpy(rows.s)
        mixture = _Mixture(_first_centres(x, self.n_codes, start))
        groups = torch.nn.functional.one_hot(s, len(rows.groups)).float()

        def loss(batch: Tensor, done: float) -> Tensor:
            likelihood, parts = mixture(x[batch])
            apart = _difference(parts, groups[batch])

            return self.strength * apart - likelihood.mean() / x.shape[1]

        fit_network([mixture], loss, len(x), self, generator)
        self.mixture_, self.seed_ = mixture, start

    def _standard(self, X: NDArray[np.float64]) -> Tensor:
        """The columns with mean 0 and variance 1."""

        return torch.from_numpy((X - self.centre_) / self.scale_).float()

    @torch.no_grad()
    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each part for each row, with shape (n, n_codes)."""

        features = self._features(X)
        parts = self.mixture_(self._standard(features))[1].double()

        return (parts / parts.sum(1, keepdim=True)).numpy()

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """A drawn part of each row, with one column for each part: shape (n, n_codes).

        The draws come from a seed that `fit` takes from `random_state`: the same table gives the
        same draws. A row at another place gets another draw.
        """

        parts = self.likelihoods(X)
        uniform = np.random.default_rng(self.seed_).random((len(parts), 1))
        drawn = (parts.cumsum(1) < uniform).sum(1).clip(max=self.n_codes - 1)

        return one_hot(drawn, self.n_codes)


class _Mixture(nn.Module):
    """Normal distributions, each with one variance for all columns, and their weights."""

    def __init__(self, centres: Tensor) -> None:
        super().__init__()
        self.centres = nn.Parameter(centres)
        self.weights = nn.Parameter(torch.zeros(len(centres)))
        self.variances = nn.Parameter(torch.zeros(len(centres)))  # logarithms

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The log-likelihood of each row, with shape (n,), and p(part | row), shape (n, parts)."""

        variance = self.variances.exp() + _FLOOR
        squares = torch.cdist(x, self.centres).square() / variance
        normal = -(squares + x.shape[1] * (2 * math.pi * variance).log()) / 2
        joint = normal + self.weights.log_softmax(0)

        return joint.logsumexp(1), joint.softmax(1)


def _difference(parts: Tensor, groups: Tensor) -> Tensor:
    """The largest difference in how often two groups have a part; 0 without rows of two groups.

    Example:
        >>> parts = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        >>> _difference(parts, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        tensor(0.7500)
    """

    sizes = groups.sum(0)
    rates = (groups.T @ parts)[sizes > 0] / sizes[sizes > 0, None]

    return (rates.max(0).values - rates.min(0).values).max()


def _first_centres(x: Tensor, n: int, start: int) -> Tensor:
    """Where the parts begin: at the clusters of k-means."""

    from sklearn.cluster import MiniBatchKMeans

    clusters = MiniBatchKMeans(n, n_init=1, random_state=start).fit(x.numpy())

    return torch.from_numpy(clusters.cluster_centers_.astype(np.float32))
