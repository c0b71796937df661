"""The common half of the neural baselines: settings, fit, and two kinds of representation."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bitveil.baselines.baseline import Baseline
from bitveil.baselines.inputs import check_range, check_whole
from bitveil.baselines.networks import (
    FitRows,
    fit_network,
    fit_rows,
    gaussian,
    normal_draw,
    perceptron,
    seeds,
    standardised,
)

__all__ = ["BottleneckBaseline", "GaussianBatch", "NeuralBaseline", "PenalisedBaseline", "Penalty"]

Penalty: TypeAlias = Callable[[Tensor, Tensor, float], Tensor]
"""From the representation of a batch, its row numbers, and the share of training that is done."""


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralBaseline(Baseline):
    """A network whose output is a representation of real numbers.

    Arguments:
        dimensions: The number of dimensions of the representation.
        hidden: The widths of the hidden layers before it.
        epochs: The number of passes over the rows.
        learning_rate: The highest learning rate of Adam.
        batch_size: About how many rows each step uses.
        random_state: A seed, or a source of seeds.
    """

    accepts_numbers: ClassVar[bool] = False
    """Whether the sensitive attribute may also be numbers."""

    dimensions: int = 6
    hidden: Sequence[int] = (64, 64)
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 1024

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Fit the networks.

        Arguments:
            X: The features, with shape (n, d). The method standardises them.
            y: The target, with shape (n,): classes.
            sensitive_features: The groups, with shape (n,). A method that accepts numbers also
                takes floats, with shape (n,) or (n, k).

        Raises:
            ValueError: If a setting is out of range, or the input is not as described.
        """

        self._check_settings()
        rows = fit_rows(X, y, sensitive_features=sensitive_features, numeric=self.accepts_numbers)
        generator, self.seed_ = seeds(self.random_state)
        self.encoder_ = self._trained(rows, generator)
        self.mean_, self.deviation_ = rows.mean, rows.deviation
        self.n_features_in_ = len(rows.mean)

        return self

    @abstractmethod
    def _trained(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        """Train all networks, and return the encoder."""

    def _check_settings(self) -> None:
        for name, low in {"dimensions": 1, "epochs": 1, "batch_size": 2}.items():
            check_whole(name, getattr(self, name), low)
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"`hidden` expects widths of at least 1, got {self.hidden!r}.")
        check_range("learning_rate", self.learning_rate, 1e-12, np.inf)
        for name in ("strength", "compression"):
            if hasattr(self, name):
                check_range(name, getattr(self, name), 0, np.inf)

    @torch.no_grad()
    def _encoded(self, X: ArrayLike) -> Tensor:
        """The output of the encoder."""

        features = self._features(X)
        encoded: Tensor = self.encoder_(standardised(features, self.mean_, self.deviation_))

        return encoded


class PenalisedBaseline(NeuralBaseline):
    """A classifier whose last hidden layer, of tanh units, is the representation.

    The loss is the cross-entropy of the target plus the penalty of the subclass, if it has one.
    """

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, from -1 to 1, with shape (n, dimensions)."""

        return self._encoded(X).numpy()

    def _penalty(self, rows: FitRows, generator: torch.Generator) -> Penalty | None:
        """What is added to the cross-entropy of the target."""

        return None

    def _trained(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        penalty = self._penalty(rows, generator)
        widths = [rows.x.shape[1], *self.hidden, self.dimensions]
        encoder = perceptron(widths, generator, tanh=True)
        head = perceptron([self.dimensions, rows.n_classes], generator)

        def loss(batch: Tensor, done: float) -> Tensor:
            z = encoder(rows.x.index_select(0, batch))
            task = F.cross_entropy(head(z), rows.y[batch])

            return task if penalty is None else task + penalty(z, batch, done)

        fit_network([encoder, head], loss, len(rows), self, generator)

        return encoder


class GaussianBatch(NamedTuple):
    """The rows of a batch, and the normal distributions of their representations.

    Attributes:
        x: The features, with shape (b, d).
        y: The target, with shape (b,).
        s: The groups, with shape (b,).
        groups: The groups, with one column each, with shape (b, k).
        mean: The means of the representation, with shape (b, dimensions).
        deviation: The standard deviations, with the same shape.
        z: One draw of each, with the same shape.
    """

    x: Tensor
    y: Tensor
    s: Tensor
    groups: Tensor
    mean: Tensor
    deviation: Tensor
    z: Tensor


@dataclass(eq=False, repr=False, kw_only=True)
class BottleneckBaseline(NeuralBaseline):
    """An encoder that gives each row a normal distribution, and publishes one draw.

    Arguments:
        strength: The weight of the invariance.
        compression: The weight of the information about the features.
    """

    strength: float = 1.0
    compression: float = 1e-3

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """One draw of the representation of each row, with shape (n, dimensions).

        The draws come from a seed that `fit` takes from `random_state`: the same table gives the
        same draws. A row at another place gets another draw.
        """

        distribution = gaussian(self._encoded(X))
        drawn = normal_draw(*distribution, torch.Generator().manual_seed(self.seed_))

        return drawn.numpy()

    @abstractmethod
    def _objective(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        """The networks beside the encoder, as a loss of a `GaussianBatch`."""

    def _trained(self, rows: FitRows, generator: torch.Generator) -> nn.Module:
        encoder = perceptron([rows.x.shape[1], *self.hidden, 2 * self.dimensions], generator)
        objective, groups = self._objective(rows, generator), rows.conditions

        def loss(batch: Tensor, done: float) -> Tensor:
            x = rows.x.index_select(0, batch)
            mean, deviation = gaussian(encoder(x))
            z = normal_draw(mean, deviation, generator)
            seen = x, rows.y[batch], rows.s[batch], groups[batch], mean, deviation, z
            total: Tensor = objective(GaussianBatch(*seen))

            return total

        fit_network([encoder, objective], loss, len(rows), self, generator)

        return encoder
