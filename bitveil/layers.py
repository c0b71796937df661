"""Layers: a stochastic binary one, and encoders for tables."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bitveil.gradients import straight_through
from bitveil.shapes import Bits, Logits

__all__ = ["StochasticBinary", "table_encoder"]


class StochasticBinary(nn.Module):
    r"""Neurons that draw: each is 1 with the probability :math:`\sigma(\text{logit})`.

    The logits of the last pass are kept in `logits`, for a penalty to read: the layer can stand at
    any depth of a network. It draws in evaluation too, since the bits, and not the probabilities,
    are what the penalty speaks of.

    Source:
        Invariant Representations with Stochastically Quantized Neural Networks (Cerrato, Köppel,
        Esposito, Kramer, 2023), https://arxiv.org/abs/2208.02656

    Arguments:
        generator: Where the random numbers come from.

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

    def forward(self, logits: Logits) -> Bits:
        """Draw bits with a straight-through gradient, with the shape of the logits."""

        self.logits = logits

        return straight_through(logits, generator=self.generator)


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
        generator: Where the initial weights come from.

    Example:
        >>> table_encoder(2, 6)(torch.zeros(3, 2)).shape
        torch.Size([3, 6])
    """

    widths = [n_features, *hidden]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [_linear(inputs, outputs, generator), nn.ReLU()]

    return nn.Sequential(*layers, _linear(widths[-1], n_bits, generator))


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer with torch's initial weights, drawn from a generator of one's own."""

    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)

    return layer
