r"""Cells: codes that are certain for each row, cut out of the space of posteriors.

For the trade-off between a target Y and an attribute S only the posteriors :math:`p(y|x)` and
:math:`p(s|x)` matter. The best code for a row is the one that is worth most to it, and its worth
is linear in the posteriors: see `bitveil.best_cells`. So the codes cut the space of posteriors
into cells with straight sides.

A certain code has another merit: its drawn and its expected counts are the same.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from bitveil.shapes import Logits

__all__ = ["Cells", "PosteriorColumns"]

PosteriorBlock: TypeAlias = tuple[str, int]

_LEAST_CHANCE = 1e-4
"""What the first of several classes has at least, as in `bitveil.posteriors`."""

_SURE_LOGIT = 50.0
"""The logit of a bit that is certain. The other value has a probability below 2^-53."""


@dataclass(frozen=True)
class PosteriorColumns:
    """What the columns of the features mean: posteriors, in the order of their labels.

    The labels are the targets, the attribute, and the pairs of stratum and group where groups are
    compared within strata.

    Attributes:
        blocks: For each label `("classes", K)`, with the log-odds of all classes but the first as
            columns, or `("numbers", 1)`.
        n_targets: How many of these labels are targets; they come first.
        mean: The mean that was taken from each column, with shape (d,).
        scale: What each column was then divided by.
    """

    blocks: tuple[PosteriorBlock, ...]
    n_targets: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @cached_property
    def odds(self) -> Tensor:
        """1 for each column that holds log-odds, and 0 for numbers, with shape (d,)."""

        widths = [(kind == "classes", _width((kind, n))) for kind, n in self.blocks]

        return torch.tensor([float(odds) for odds, width in widths for _ in range(width)])

    @property
    def n_free(self) -> int:
        """The number of columns of the targets."""

        return sum(map(_width, self.blocks[: self.n_targets]))

    def posteriors(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Probabilities and numbers from standardised features.

        Posteriors of many classes keep away from 0, and may sum to more than one. Here they do
        not, so that the first class has its share.
        """

        mean, scale = (torch.from_numpy(each).to(x) for each in (self.mean, self.scale))
        found = _posteriors(x, mean, scale, self.odds.to(x))
        parts = found.split([*map(_width, self.blocks)], 1)
        for (kind, n), part in zip(self.blocks, parts, strict=True):
            if kind == "classes" and n > 2:
                others = part.sum(1, keepdim=True)
                part.div_(others + (1 - others).clamp_min(_LEAST_CHANCE))

        return found

    def label(self, number: int) -> Float[Tensor, "k c"]:
        """How the posterior of a label follows from the columns and a one: a matrix.

        For K classes it has K rows, and for numbers one.

        Example:
            >>> columns = PosteriorColumns((("classes", 2),), 1, np.zeros(1), np.ones(1))
            >>> columns.label(0)  # 1 - p and p
            tensor([[-1.,  1.],
                    [ 1.,  0.]], dtype=torch.float64)
        """

        widths = [_width(block) for block in self.blocks]
        start, width = sum(widths[:number]), widths[number]
        own = torch.eye(sum(widths) + 1, dtype=torch.float64)[start : start + width]
        if self.blocks[number][0] == "numbers":
            return own
        first = -own.sum(0, keepdim=True)
        first[0, -1] = 1

        return torch.cat([first, own])


def _posteriors(x: Tensor, mean: Tensor, scale: Tensor, odds: Tensor) -> Tensor:
    raw = x * scale + mean

    return torch.where(odds > 0, raw.sigmoid(), raw)


def _width(block: PosteriorBlock) -> int:
    return block[1] - 1 if block[0] == "classes" else 1


class Cells(nn.Module):
    """An encoder with a certain code for each row: the number of the cell that it lies in.

    Arguments:
        n_columns: The number of columns of the features.
        n_bits: The number of bits of a code.
        n_cells: The number of cells, at most 2^n_bits.

    Example:
        >>> cells = Cells(1, n_bits=2, n_cells=2)
        >>> weights = {"weight": [[0.0], [4.0]], "bias": [2.0, 0.0], "odds": [1.0]}
        >>> weights |= {"mean": [0.0], "scale": [1.0]}
        >>> _ = cells.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
        >>> cells(torch.tensor([[-0.1], [0.1]])).tolist()  # the second cell wins above one half
        [[-50.0, -50.0], [-50.0, 50.0]]
    """

    mean: Tensor
    scale: Tensor
    odds: Tensor

    def __init__(self, n_columns: int, n_bits: int, n_cells: int) -> None:
        super().__init__()
        self.n_bits = n_bits
        self.weight = nn.Parameter(torch.zeros(n_cells, n_columns))
        self.bias = nn.Parameter(torch.zeros(n_cells))
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))
        self.register_buffer("odds", torch.zeros(n_columns))

    @classmethod
    def of(
        cls, columns: PosteriorColumns, worth: Float[Tensor, "d_and_1 c"], n_bits: int
    ) -> "Cells":
        """Cells with this worth of each cell, for a unit of each column and of a one.

        They are in double precision.
        """

        cells = cls(len(worth) - 1, n_bits, worth.shape[1]).double()
        with torch.no_grad():
            cells.weight.copy_(worth[:-1].T)
            cells.bias.copy_(worth[-1])
            cells.mean.copy_(torch.from_numpy(columns.mean))
            cells.scale.copy_(torch.from_numpy(columns.scale))
            cells.odds.copy_(columns.odds)

        return cells.eval()

    def scores(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """What each cell is worth for each row, in nats."""

        return _posteriors(x, self.mean, self.scale, self.odds) @ self.weight.T + self.bias

    def forward(self, x: Float[Tensor, "n d"]) -> Logits:
        """The logits of the bits: certain, one way or the other."""

        powers = 2 ** torch.arange(self.n_bits - 1, -1, -1, device=x.device)
        bits = self.scores(x).argmax(1, keepdim=True).remainder(2 * powers) >= powers

        return _SURE_LOGIT * (2 * bits.to(x) - 1)
