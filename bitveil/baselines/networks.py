"""What the neural baselines share: rows that are checked, a loop, and an encoder to publish."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from torch import Tensor, nn

from bitveil.baselines.inputs import check_features, numbered
from bitveil.layers import table_encoder

__all__ = [
    "FitRows",
    "Loss",
    "Penalty",
    "Published",
    "Settings",
    "check_rows",
    "check_settings",
    "draw",
    "fit_network",
    "fit_penalised",
    "gaussian",
    "perceptron",
    "published",
    "seeds",
]

FARTHEST = 10.0
"""How many standard deviations from the mean a column may be: farther values are cut."""

Loss: TypeAlias = Callable[[Tensor, float], Tensor]
"""From the numbers of some rows, and the part of the training that is done, to a loss."""

Penalty: TypeAlias = Callable[[Tensor, Tensor, float], Tensor]
"""From the representation and the numbers of some rows, and the part that is done, to a loss."""


class Settings(Protocol):
    """The arguments that all neural baselines have."""

    dimensions: int
    hidden: Sequence[int]
    epochs: int
    learning_rate: float
    batch_size: int
    random_state: int | np.random.RandomState | None


@dataclass(frozen=True)
class FitRows:
    """Rows to fit on.

    Attributes:
        x: The features, standardised, with shape (n, d).
        y: The target, from 0 to n_classes - 1.
        s: The sensitive attribute: groups from 0 to n_groups - 1 with shape (n,), or
            standardised numbers with shape (n, k).
        n_classes: The number of values of the target.
        n_groups: The number of groups, or 0 where `s` holds numbers.
        mean: The mean of each feature, which `x` is relative to.
        deviation: The standard deviation of each feature, or 1 where it is constant.
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
        """The sensitive attribute as numbers: groups as one column each.

        Example:
            >>> rows = check_rows([[0.0], [1.0]], [0, 1], sensitive_features=[7, 3])
            >>> rows.conditions
            tensor([[0., 1.],
                    [1., 0.]])
        """

        return F.one_hot(self.s, self.n_groups).float() if self.n_groups else self.s


@dataclass(frozen=True)
class Published:
    """An encoder as it is handed over: from features to a representation.

    Attributes:
        encoder: From standardised features to the representation, or its mean and deviation.
        mean: The mean of each feature.
        deviation: The standard deviation of each feature.
        noise: The seed of the draws of a Gaussian representation, or None for a fixed one.
    """

    encoder: nn.Module
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    noise: int | None = None

    def __call__(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, with shape (n, dimensions)."""

        table = check_features(X)
        if table.shape[1] != len(self.mean):
            raise ValueError(
                f"`X` is expected to have {len(self.mean)} columns as in `fit`, "
                f"got {table.shape[1]}."
            )
        with torch.no_grad():
            z = self.encoder(_standard(table, self.mean, self.deviation))
            if self.noise is not None:
                z = draw(*gaussian(z), torch.Generator().manual_seed(self.noise))

        return z.numpy()


def published(fitted: Published | None) -> Published:
    """The encoder of a baseline, once it has one.

    Raises:
        ValueError: Before `fit`.
    """

    if fitted is None:
        raise ValueError("`transform` expects a fitted baseline: call `fit` first.")

    return fitted


def check_settings(settings: Settings) -> None:
    """Refuse settings that no network can be fitted with.

    Raises:
        ValueError: If one is out of its range.
    """

    least = {"dimensions": 1, "epochs": 1, "batch_size": 2}
    for name, low in least.items():
        value = getattr(settings, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
            raise ValueError(f"`{name}` expects a whole number from {low} on, got {value!r}.")
    if any(width < 1 for width in settings.hidden):
        raise ValueError(f"`hidden` expects widths from 1 on, got {settings.hidden!r}.")
    _check_number("learning_rate", settings.learning_rate, above=True)
    for name in ("strength", "compression"):
        if hasattr(settings, name):
            _check_number(name, getattr(settings, name))


def _check_number(name: str, value: Any, *, above: bool = False) -> None:
    number = isinstance(value, int | float | np.number) and math.isfinite(value)
    if not number or value < 0 or (above and value == 0):
        raise ValueError(
            f"`{name}` expects a finite number {'above' if above else 'from'} 0"
            f"{'' if above else ' on'}, got {value!r}."
        )


def check_rows(
    X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike, numeric: bool = False
) -> FitRows:
    """Check features, target and sensitive attribute, and make tensors of them.

    Arguments:
        X: The features, with shape (n, d): finite numbers.
        y: The target, with shape (n,): classes, at least two.
        sensitive_features: The sensitive attribute, with shape (n,): groups, at least two.
        numeric: Whether floats are taken, with shape (n,) or (n, k), as numbers.

    Raises:
        ValueError: If shapes differ, a value is missing, or there is but one class or group.

    Example:
        >>> rows = check_rows([[1.0], [3.0]], [0, 1], sensitive_features=[0, 1])
        >>> rows.x.flatten()
        tensor([-1.,  1.])
    """

    table = check_features(X)
    classes, y_numbers = numbered("y", "classes", y, len(table))
    nuisance = np.asarray(sensitive_features)
    if numeric and nuisance.dtype.kind == "f":
        s, n_groups = _numbers(nuisance, len(table)), 0
    else:
        groups, numbers = numbered("sensitive_features", "groups", nuisance, len(table))
        s, n_groups = torch.from_numpy(numbers), len(groups)
    mean, deviation = table.mean(0), table.std(0)
    deviation = np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, 1.0)
    x = _standard(table, mean, deviation)

    return FitRows(x, torch.from_numpy(y_numbers), s, len(classes), n_groups, mean, deviation)


def _standard(
    table: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Tensor:
    scaled = ((table - mean) / deviation).clip(-FARTHEST, FARTHEST)

    return torch.from_numpy(scaled.astype(np.float32))


def _numbers(values: NDArray[Any], n: int) -> Tensor:
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
        raise ValueError("`sensitive_features` expects numbers that vary, got a constant.")

    return torch.from_numpy(((columns - columns.mean(0)) / deviation).astype(np.float32))


def seeds(random_state: int | np.random.RandomState | None) -> tuple[torch.Generator, int]:
    """A generator for the fit, and a seed for the draws of a representation."""

    source = np.random.RandomState() if random_state is None else check_random_state(random_state)
    first, second = (int(seed) for seed in source.randint(2**31 - 1, size=2))

    return torch.Generator().manual_seed(first), second


def perceptron(
    widths: Sequence[int], generator: torch.Generator, *, tanh: bool = False
) -> nn.Module:
    """A multi-layer perceptron with ReLUs, and a last layer that is linear, or tanh.

    Example:
        >>> perceptron([5, 8, 2], torch.Generator())(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """

    inputs, *hidden, outputs = widths
    network = table_encoder(inputs, outputs, hidden, generator=generator)

    return network.append(nn.Tanh()) if tanh else network


def gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation from the two halves of what a network gives."""

    mean, raw = outputs.chunk(2, dim=1)

    return mean, F.softplus(raw) + 1e-4


def draw(mean: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of a normal distribution that keeps its gradient."""

    noise = torch.empty_like(mean).normal_(generator=generator)

    return mean + deviation * noise


def fit_network(
    networks: Sequence[nn.Module],
    loss: Loss,
    n: int,
    settings: Settings,
    generator: torch.Generator,
) -> None:
    """Fit networks by Adam: epochs of shuffled batches, with a rate that rises and then falls.

    Arguments:
        networks: The networks whose weights are fitted.
        loss: From the numbers of the rows of a batch, and the part that is done, to a loss.
        n: The number of rows.
        settings: The number of epochs, the size of a batch, the highest rate.
        generator: Where the order of the rows comes from.
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
    """The share of the highest rate: from a fifth up in the first fifth, then down along a cosine.

    Example:
        >>> [round(_rate(done), 2) for done in (0, 0.2, 0.6, 1)]
        [0.2, 1.0, 0.5, 0.0]
    """

    if done < 0.2:
        return 0.2 + 4 * done

    return (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2


def fit_penalised(
    settings: Settings,
    rows: FitRows,
    generator: torch.Generator,
    penalty: Penalty | None = None,
) -> Published:
    """Fit a network with a last hidden layer of tanh units, which is the representation.

    Arguments:
        settings: The shape of the network and of the training.
        rows: The rows.
        generator: Where initial weights and the order of the rows come from.
        penalty: What is added to the cross-entropy of the target, or None.
    """

    widths = [rows.x.shape[1], *settings.hidden, settings.dimensions]
    encoder = perceptron(widths, generator, tanh=True)
    head = perceptron([settings.dimensions, rows.n_classes], generator)

    def loss(batch: Tensor, done: float) -> Tensor:
        z = encoder(rows.x.index_select(0, batch))
        task = F.cross_entropy(head(z), rows.y[batch])

        return task if penalty is None else task + penalty(z, batch, done)

    fit_network([encoder, head], loss, len(rows), settings, generator)

    return Published(encoder, rows.mean, rows.deviation)
