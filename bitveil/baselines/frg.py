"""FRG: a variational autoencoder, an adversary, and a test on rows that training did not see."""

__all__ = ["FRG", "high_bound", "pair_differences"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t
from torch import Tensor, nn

from bitveil.baselines.fcrl import divergence_from_prior
from bitveil.baselines.inputs import check_range, groups_as_in_fit
from bitveil.baselines.networks import (
    FitRows,
    fit_network,
    gaussian,
    normal_draw,
    perceptron,
    standardised,
)
from bitveil.baselines.neural import NeuralBaseline
from bitveil.rows import split_rows

SEARCH_AND_TEST = (0.75, 0.25)
"""The shares of rows to find a candidate and to test it."""

CAUTION = 2.0
"""How many times wider the margin is while a candidate is sought than in the test."""

MULTIPLIER_RATE = 0.3
DISCRIMINATOR_RATE = 1e-2
DISCRIMINATOR_STEPS = 2
"""How many steps the adversary takes for each step of the encoder."""


@dataclass(eq=False, repr=False, kw_only=True)
class FRG(NeuralBaseline):
    r"""Fair representations with a promise: a limit and a confidence, or no representation.

    .. math:: \tfrac12 |x - \hat x(z, s)|^2 + \mathrm{KL}(q(z|x, s) \| N(0, 1))
        + w (-\log p(y|z) + \lambda (U - \epsilon))

    On three quarters of the rows a variational autoencoder is the candidate; :math:`\lambda` rises
    while U is above :math:`\epsilon`, and falls while it is below. An adversary predicts the group
    from z. U is the mean difference of its probabilities between two rows of different groups,
    drawn at random, plus the margin of Student's t for confidence :math:`1 - \delta`. On the other
    quarter a fresh adversary is tested in the same way. If its U is above :math:`\epsilon`, there
    is no solution: `transform` then gives zeros.

    The encoder sees the group of each row, new rows too. More than two groups are compared at
    once, by the largest difference.

    The promise is about the adversary that was trained, and its probabilities. Answers with a
    threshold can differ more: on Adult (seed 0, limit 0.1, task weight 100) U was 0.097, but on
    the test rows a logistic regression of the target from z had a gap of 0.16, and boosted trees
    that look for the group had one of 0.24.

    This is bitveil's own implementation, after the authors' published code of January 2025. We
    could read the abstract of the paper but not its text, so we do not know how far the two
    agree. It differs from the code: the decoder of x is Gaussian with unit variance, in
    standardised columns; mini-batches of some epochs take the place of ten thousand steps on all
    rows, so that :math:`\lambda` moves faster; the last candidate is tested, not the best so far;
    the adversary takes two steps for each of the encoder's; the weight w can be above 1. We have
    not repeated a number of the authors: their repository has no results.

    Source:
        Fair Representation Learning with Controllable High Confidence Guarantees via Adversarial
        Inference (Luo, Hoag, Thomas, 2025), https://arxiv.org/abs/2510.21017

    Arguments:
        epsilon: The limit :math:`\epsilon`, from 0 to 1.
        delta: The probability :math:`\delta` that the test may be wrong.
        task_weight: The weight w of the target. The authors' is 0 or 1.

    Attributes:
        own_bound_: U in the test.
        solution_found_: Whether it is within the limit.

    Example:
        >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]] * 25)
        >>> baseline = FRG(epsilon=0.0, dimensions=2, epochs=1, random_state=0)
        >>> baseline = baseline.fit(X, X[:, 0] > 0, sensitive_features=X[:, 1] > 0)
        >>> baseline.solution_found_, baseline.transform(X[:1], sensitive_features=[True])
        (False, array([[0., 0.]], dtype=float32))
    """

    needs_sensitive: ClassVar[bool] = True

    epsilon: float = 0.1
    delta: float = 0.1
    task_weight: float = 1.0
    dimensions: int = 50
    hidden: Sequence[int] = (100,)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Find a candidate, and test it: see `NeuralBaseline.fit`.

        Raises:
            ValueError: If a setting is out of range, the input is not as described, or a group
                has too few rows to search and to test.
        """

        super().fit(X, y, sensitive_features=sensitive_features)
        self.groups_ = np.unique(np.asarray(sensitive_features))

        return self

    @torch.no_grad()
    def transform(self, X: ArrayLike, *, sensitive_features: ArrayLike) -> NDArray[np.float32]:
        """One draw of the representation of each row, or zeros: shape (n, dimensions).

        The draws come from a seed that `fit` takes from `random_state`: the same table gives the
        same draws. A row at another place gets another draw.

        Raises:
            ValueError: If the input is not as described, or has a group that `fit` did not have.
        """

        features = self._features(X)
        s = torch.from_numpy(groups_as_in_fit(sensitive_features, self.groups_, len(features)))
        if not self.solution_found_:
            return np.zeros((len(features), self.dimensions), dtype=np.float32)
        x = standardised(features, self.mean_, self.deviation_)
        outputs = self.encoder_(torch.cat([x, F.one_hot(s, len(self.groups_)).float()], 1))

        return normal_draw(*gaussian(outputs), torch.Generator().manual_seed(self.seed_)).numpy()

    def _check_settings(self) -> None:
        super()._check_settings()
        check_range("epsilon", self.epsilon, 0, 1)
        check_range("delta", self.delta, 1e-12, 0.5)
        check_range("task_weight", self.task_weight, 0, np.inf)

    def _trained(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        known, held_out = _searched_and_tested(rows, generator)
        candidate = _FairAutoencoder(self, known, len(held_out), generator)
        fit_network([candidate], candidate.loss, len(known), self, generator)
        encoder = candidate.encoder
        discriminator = perceptron([self.dimensions, *self.hidden, rows.n_groups], generator)

        def loss(batch: Tensor, done: float) -> Tensor:
            return F.cross_entropy(
                discriminator(_draws(encoder, known, batch, generator)), known.s[batch]
            )

        fit_network([discriminator], loss, len(known), self, generator)
        self.own_bound_ = self._tested(encoder, discriminator, held_out, generator)
        self.solution_found_ = self.own_bound_ <= self.epsilon

        return encoder

    @torch.no_grad()
    def _tested(
        self,
        encoder: nn.Module,
        discriminator: nn.Module,
        rows: FitRows,
        generator: torch.Generator,
    ) -> float:
        """The bound for a fresh adversary, from rows that no network has seen."""

        z = _draws(encoder, rows, torch.arange(len(rows)), generator)
        apart = pair_differences(discriminator(z).softmax(1), rows.s, generator)

        return high_bound(apart, len(rows), self.delta).item()


def _searched_and_tested(rows: FitRows, generator: torch.Generator) -> list[FitRows]:
    """The rows to find a candidate and those to test it, at random within each group."""

    fewest = int(torch.bincount(rows.s).min())
    if fewest < 4:
        raise ValueError(
            "`sensitive_features` expects at least 4 rows of each group, because FRG tests on a "
            f"quarter of them, got {fewest}."
        )
    source = np.random.RandomState(int(torch.randint(2**31 - 1, (), generator=generator)))
    chosen = map(torch.from_numpy, split_rows(rows.s.numpy(), SEARCH_AND_TEST, source))

    return [replace(rows, x=rows.x[own], y=rows.y[own], s=rows.s[own]) for own in chosen]


def _draws(encoder: nn.Module, rows: FitRows, batch: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of the representation of some rows, without a gradient."""

    with torch.no_grad():
        outputs = encoder(torch.cat([rows.x[batch], rows.conditions[batch]], 1))

    return normal_draw(*gaussian(outputs), generator)


class _FairAutoencoder(nn.Module):
    """The networks of a candidate, with the multiplier of the limit and the adversary."""

    def __init__(
        self, settings: FRG, rows: FitRows, n_test: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.settings, self.rows, self.n_test, self.generator = settings, rows, n_test, generator
        m, k, d = settings.dimensions, rows.n_groups, rows.x.shape[1]
        hidden = settings.hidden
        self.encoder = perceptron([d + k, *hidden, 2 * m], generator)
        self.decoder = perceptron([m + k, *hidden, d], generator)
        self.head = perceptron([m, *hidden, rows.n_classes], generator)
        self.discriminator = _Discriminator(m, k, generator)
        self.multiplier = 1.0

    def loss(self, batch: Tensor, done: float) -> Tensor:
        """The Lagrangian of a batch. The adversary and the multiplier take their steps too."""

        x, s, groups = self.rows.x[batch], self.rows.s[batch], self.rows.conditions[batch]
        mean, deviation = gaussian(self.encoder(torch.cat([x, groups], 1)))
        z = normal_draw(mean, deviation, self.generator)
        missed = (self.decoder(torch.cat([z, groups], 1)) - x).square().sum(1).mean() / 2
        told = divergence_from_prior(mean, deviation)
        task = F.cross_entropy(self.head(z), self.rows.y[batch])
        self.discriminator.learn(z.detach(), s)
        above = self._above(z, s)
        weighted = task + self.multiplier * above
        self.multiplier = max(0.0, self.multiplier + MULTIPLIER_RATE * above.item())

        return missed + told + self.settings.task_weight * weighted

    def _above(self, z: Tensor, s: Tensor) -> Tensor:
        """How far the bound that the test is likely to give is above the limit."""

        posteriors = self.discriminator.network(z).softmax(1)
        apart = pair_differences(posteriors, s, self.generator)
        expected = high_bound(apart, self.n_test, self.settings.delta, CAUTION)

        return expected - self.settings.epsilon


class _Discriminator:
    """The adversary, with its own optimiser."""

    def __init__(self, dimensions: int, n_groups: int, generator: torch.Generator) -> None:
        self.network = perceptron([dimensions, dimensions, n_groups], generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=DISCRIMINATOR_RATE)

    def learn(self, z: Tensor, s: Tensor) -> None:
        for _ in range(DISCRIMINATOR_STEPS):
            self.optimiser.zero_grad()
            F.cross_entropy(self.network(z), s).backward()
            self.optimiser.step()


def pair_differences(posteriors: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
    """How much probabilities differ between rows of different groups that are drawn at random.

    Arguments:
        posteriors: The probability of each group for each row, with shape (n, k).
        s: The group of each row, with shape (n,).
        generator: Draws one row of each group that there is, n times.

    Returns:
        For each draw the largest difference of any group's probability, with shape (n,).

    Example:
        >>> posteriors = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
        >>> pair_differences(posteriors, torch.tensor([0, 1, 1]), torch.Generator())
        tensor([0.5000, 0.5000, 0.5000])
    """

    drawn = []
    for group in s.unique():
        own = (s == group).nonzero()[:, 0]
        drawn.append(posteriors[own[torch.randint(len(own), s.shape, generator=generator)]])
    each = torch.stack(drawn)

    return (each.amax(0) - each.amin(0)).amax(1)


def high_bound(values: Tensor, n: int, delta: float, caution: float = 1.0) -> Tensor:
    """What a mean of n values exceeds with probability delta only, by Student's t.

    Arguments:
        values: Values with the distribution of those n.
        n: Their number.
        delta: The probability that the bound may be wrong.
        caution: How many times as wide the margin is.

    Example:
        >>> high_bound(torch.tensor([0.0, 0.2, 0.1, 0.1]), 4, 0.1)  # 0.1 + 1.638 * 0.0816 / 2
        tensor(0.1669)
    """

    spread = (values.var() + 1e-12).sqrt()  # the root of 0 has no gradient

    return values.mean() + caution * float(t.ppf(1 - delta, n - 1)) * spread / math.sqrt(n)
