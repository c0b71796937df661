"""Parts of the neural baselines: checked rows as tensors, networks, and the training loop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bitveil.baselines.inputs import RandomState, finite_features, numbered, seed_source
from bitveil.layers import table_encoder

__all__ = [
    "BatchLoss",
    "FitRows",
    "NeuralSettings",
    "fit_network",
    "fit_rows",
    "gaussian",
    "normal_draw",
    "perceptron",
    "seeds",
    "standardised",
]

FARTHEST = 10.0
"""The most standard deviations that a value may be from the mean. Others are clipped to it."""

BatchLoss: TypeAlias = Callable[[Tensor, float], Tensor]
"""A loss, from the row numbers of a batch and the share of training that is done."""


class NeuralSettings(Protocol):
    """The settings of the training loop."""

    epochs: int
    learning_rate: float
    batch_size: int


@dataclass(frozen=True)
class FitRows:
    """Rows for fitting, as tensors.

    Attributes:
        x: The features, standardised, with shape (n, d).
        y: The target, from 0 to n_classes - 1.
        s: The sensitive attribute: groups from 0 to n_groups - 1 with shape (n,), or
            standardised numbers with shape (n, k).
        n_classes: The number of values of the target.
        n_groups: The number of groups, or 0 where `s` holds numbers.
        mean: The mean of each feature before standardisation.
        deviation: The standard deviation of each feature, or 1 if the feature is constant.
    """

    x: Tensor
    y: Tensor
    s: Tensor
    n_classes: int
    n_groups: int
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def conditions(self) -> Tensor:
        """The sensitive attribute as numbers. Each group has its own column.

        Example:
            >>> rows = fit_rows([[0.0], [1.0]], [0, 1], sensitive_features=[7, 3])
            >>> rows.conditions
            tensor([[0., 1.],
                    [1., 0.]])
        """

        return F.one_hot(self.s, self.n_groups).float() if self.n_groups else self.s


def fit_rows(
    X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike, numeric: bool = False
) -> FitRows:
    """Check features, target and sensitive attribute, and convert them to tensors.

    Arguments:
        X: The features, with shape (n, d): finite numbers.
        y: The target, with shape (n,): classes, at least two.
        sensitive_features: The sensitive attribute, with shape (n,): groups, at least two.
        numeric: Whether `sensitive_features` may be floats, with shape (n,) or (n, k).

    Raises:
        ValueError: If shapes differ, a value is missing, or there is only one class or group.

    Example:
        >>> rows = fit_rows([[1.0], [3.0]], [0, 1], sensitive_features=[0, 1])
        >>> rows.x.flatten()
        tensor([-1.,  1.])
    """

    table = finite_features(X)
    classes, y_numbers = numbered("y", "classes", y, len(table))
    nuisance = np.asarray(sensitive_features)
    if numeric and nuisance.dtype.kind == "f":
        s, n_groups = _standard_numbers(nuisance, len(table)), 0
    else:
        groups, numbers = numbered("sensitive_features", "groups", nuisance, len(table))
        s, n_groups = torch.from_numpy(numbers), len(groups)
    mean, deviation = table.mean(0), table.std(0)
    deviation = np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, 1.0)
    x = standardised(table, mean, deviation)

    return FitRows(x, torch.from_numpy(y_numbers), s, len(classes), n_groups, mean, deviation)


def standardised(
    table: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Tensor:
    """Features relative to their mean and standard deviation, with outliers clipped."""

    scaled = ((table - mean) / deviation).clip(-FARTHEST, FARTHEST)

    return torch.from_numpy(scaled.astype(np.float32))


def _standard_numbers(values: NDArray[Any], n: int) -> Tensor:
    """Standardised numbers, with shape (n, k)."""

    if values.ndim not in (1, 2) or len(values) != n or values.size == 0:
        raise ValueError(
            f"`sensitive_features` expects numbers of shape ({n},) or ({n}, k), "
            f"got {values.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError("`sensitive_features` expects finite numbers, got NaN or infinity.")
    columns = values.reshape(n, -1).astype(np.float64)
    deviation = columns.std(0)
    if not (deviation > 1e-12 * (1 + np.abs(columns.mean(0)))).all():
        raise ValueError("`sensitive_features` expects numbers that vary, got a constant column.")

    return torch.from_numpy(((columns - columns.mean(0)) / deviation).astype(np.float32))


def seeds(random_state: RandomState) -> tuple[torch.Generator, int]:
    """A generator for the fit, and a seed for draws of the representation."""

    first, second = (int(seed) for seed in seed_source(random_state).randint(2**31 - 1, size=2))

    return torch.Generator().manual_seed(first), second


def perceptron(
    widths: Sequence[int], generator: torch.Generator, *, tanh: bool = False
) -> nn.Module:
    """A multi-layer perceptron with ReLUs. Its last layer is linear or tanh.

    Example:
        >>> perceptron([5, 8, 2], torch.Generator())(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """

    inputs, *hidden, outputs = widths
    network = table_encoder(inputs, outputs, hidden, generator=generator)

    return network.append(nn.Tanh()) if tanh else network


def gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, from the two halves of a network's outputs."""

    mean, raw = outputs.chunk(2, dim=1)

    return mean, F.softplus(raw) + 1e-4


def normal_draw(mean: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
    """A draw from normal distributions. The gradient flows to mean and deviation."""

    noise = torch.empty_like(mean).normal_(generator=generator)

    return mean + deviation * noise


def fit_network(
    networks: Sequence[nn.Module],
    loss: BatchLoss,
    n: int,
    settings: NeuralSettings,
    generator: torch.Generator,
) -> None:
    """Fit networks with Adam, in epochs of shuffled batches. The rate rises, then falls.

    Arguments:
        networks: The networks whose weights are fitted.
        loss: The loss of a batch.
        n: The number of rows.
        settings: The number of epochs, the batch size and the highest learning rate.
        generator: Shuffles the rows.
    """

    weights = [weight for network in networks for weight in network.parameters()]
    optimiser = torch.optim.Adam(weights, lr=settings.learning_rate)
    batches = max(1, round(n / settings.batch_size))
    steps = settings.epochs * batches
    step = 0
    for _ in range(settings.epochs):
        for rows in torch.randperm(n, generator=generator).tensor_split(batches):
            optimiser.param_groups[0]["lr"] = settings.learning_rate * _rate(step / steps)
            optimiser.zero_grad()
            loss(rows, step / steps).backward()
            optimiser.step()
            step += 1


def _rate(done: float) -> float:
    """The share of the highest rate: up from a fifth in the first fifth, then down a cosine.

    Example:
        >>> [round(_rate(done), 2) for done in (0, 0.2, 0.6, 1)]
        [0.2, 1.0, 0.5, 0.0]
    """

    if done < 0.2:
        return 0.2 + 4 * done

    return (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2
