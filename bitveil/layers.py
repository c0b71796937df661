"""Layers: a layer that draws bits, and encoders for tables and images."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.gradients import straight_through

__all__ = [
    "StochasticBinary",
    "Uniforms",
    "conv_encoder",
    "drawing_from",
    "stochastic_layers",
    "table_encoder",
]

Uniforms: TypeAlias = Callable[[tuple[int, ...]], Tensor]
"""A function from the shape (n, m) of a layer's draws to uniform numbers between 0 and 1."""

_SOURCES: ContextVar[Mapping[int, Uniforms]] = ContextVar("draws", default=MappingProxyType({}))
"""The uniform numbers of each layer, by its identity, for this thread alone."""

Layer = TypeVar("Layer", bound=nn.Module)


class StochasticBinary(nn.Module):
    r"""Neurons that draw: each is 1 with the probability :math:`\sigma(\text{logit})`.

    The layer keeps the logits of the last pass in `logits`, with shape :math:`(n, m)`, where a
    penalty can read them. So it can be used at any depth of a network, also between the blocks of
    a convolutional one. It draws in evaluation too, because the penalty limits what the bits
    reveal, and not the probabilities.

    Source:
        Invariant Representations with Stochastically Quantized Neural Networks (Cerrato, Köppel,
        Esposito, Kramer, 2023), https://arxiv.org/abs/2208.02656

    Arguments:
        generator: The source of the random numbers.

    Example:
        >>> layer = StochasticBinary()
        >>> layer(torch.tensor([[200.0, -200.0]]))
        tensor([[1., 0.]])
        >>> layer.logits
        tensor([[ 200., -200.]])
    """

    logits: Tensor | None

    def __init__(self, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.generator = generator
        self.logits = None

    def forward(self, logits: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """Draw bits with a straight-through gradient, with the shape of the logits."""

        flat = logits.flatten(1)
        self.logits = flat  # for a penalty in training; other threads may overwrite it
        uniforms = _SOURCES.get().get(id(self))
        if uniforms is not None:
            drawn = uniforms(tuple(flat.shape)).to(logits) < flat.sigmoid()
            return drawn.to(logits).view_as(logits)

        return straight_through(flat, generator=self.generator).view_as(logits)

    def __deepcopy__(self, memo: dict[int, object]) -> "StochasticBinary":
        """A new layer with the same generator, whose state cannot be split."""

        return StochasticBinary(generator=self.generator)


def stochastic_layers(network: nn.Module) -> list[StochasticBinary]:
    """The stochastic layers of a network, in its order of modules.

    Example:
        >>> len(stochastic_layers(nn.Sequential(nn.Linear(2, 3), StochasticBinary())))
        1
    """

    return [layer for layer in network.modules() if isinstance(layer, StochasticBinary)]


@contextmanager
def drawing_from(network: nn.Module, uniforms: Callable[[int], Uniforms]) -> Iterator[None]:
    """Let the stochastic layers of a network draw from given uniform numbers.

    This holds for this thread alone: others may use the same network at the same time.

    Arguments:
        network: The network.
        uniforms: A function from the number of a layer, from 0 on, to its `Uniforms`.

    Example:
        >>> layer = StochasticBinary()
        >>> with drawing_from(layer, lambda j: lambda shape: torch.full(shape, 0.7)):
        ...     layer(torch.tensor([[0.0, 1.0]]))  # probabilities 0.5 and 0.73
        tensor([[0., 1.]])
    """

    layers = enumerate(stochastic_layers(network))
    given = {id(layer): uniforms(number) for number, layer in layers}
    token = _SOURCES.set({**_SOURCES.get(), **given})
    try:
        yield
    finally:
        _SOURCES.reset(token)


def table_encoder(
    n_features: int,
    n_bits: int,
    hidden: Sequence[int] = (64, 64),
    *,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A multi-layer perceptron from the columns of a table to the logits of a code.

    Arguments:
        n_features: The number of columns.
        n_bits: The number of bits.
        hidden: The widths of the hidden layers, each followed by a ReLU.
        generator: The source of the initial weights.

    Example:
        >>> table_encoder(2, 6)(torch.zeros(3, 2)).shape
        torch.Size([3, 6])
    """

    widths = [n_features, *hidden]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [_new_linear(inputs, outputs, generator), nn.ReLU()]

    return nn.Sequential(*layers, _new_linear(widths[-1], n_bits, generator))


def conv_encoder(
    shape: Sequence[int],
    n_bits: int,
    channels: Sequence[int] = (16, 32),
    *,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A small convolutional network from images to the logits of a code.

    Each block is a convolution of 3 by 3, a ReLU and a pooling that halves height and width if
    they are above 1. The last layer is linear.

    Arguments:
        shape: The shape of an image: (channels, height, width), or (height, width).
        n_bits: The number of bits.
        channels: The number of channels of each block.
        generator: The source of the initial weights.

    Example:
        >>> conv_encoder((3, 28, 28), 10)(torch.zeros(2, 3, 28, 28)).shape
        torch.Size([2, 10])
    """

    grey = len(shape) == 2
    first, height, width = (1, *shape) if grey else shape
    layers: list[nn.Module] = [nn.Unflatten(1, (1, height))] if grey else []
    for inputs, outputs in pairwise([first, *channels]):
        pool = (min(2, height), min(2, width))
        layers += [_new_convolution(inputs, outputs, generator), nn.ReLU(), nn.MaxPool2d(pool)]
        height, width = height // pool[0], width // pool[1]
    flat = (channels[-1] if channels else first) * height * width

    return nn.Sequential(*layers, nn.Flatten(), _new_linear(flat, n_bits, generator))


def _new_linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)

    return _initialised(layer, inputs, generator)


def _new_convolution(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Conv2d:
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, 3, padding=1)

    return _initialised(layer, 9 * inputs, generator)


def _initialised(layer: Layer, inputs: int, generator: torch.Generator | None) -> Layer:
    """The layer with initial weights as in torch, but drawn from the generator."""

    bound = 1 / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)

    return layer
