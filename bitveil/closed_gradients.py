"""Closed gradients: readings whose gradient is written out, for tables that training reads often.

Each replaces some twenty small steps of automatic differentiation. Users call them through
`bitveil.information`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.shapes import Counts

__all__ = ["log_above", "positive", "table_distance", "table_information"]


def table_information(table: Counts) -> Float[Tensor, "*batch"]:
    """The mutual information in nats, with groups as frequent as the table says.

    Arguments:
        table: The counts, with shape :math:`(\\dots, k, c)`.

    Example:
        >>> table_information(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))  # log 2
        tensor(0.6931)
    """

    return _Information.apply(table)


def table_distance(table: Counts) -> Float[Tensor, "*batch"]:
    """The total variation of two groups; 0 if one has no rows, or if there is only one group.

    Arguments:
        table: The counts, with shape :math:`(\\dots, 2, c)`, or of one group.

    Example:
        >>> table_distance(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))  # 3/4 against 1/2
        tensor(0.2500)
    """

    return _Distance.apply(table)


def positive(x: Tensor) -> Tensor:
    """The numbers as divisors: 0 becomes the smallest positive number of the dtype."""

    return x.clamp_min(torch.finfo(x.dtype).tiny)


def log_above(excess: Tensor) -> Tensor:
    """log(1 + excess), with the excess at least the spacing of the dtype above -1."""

    return torch.log1p(excess.clamp_min(torch.finfo(excess.dtype).eps - 1))


class _Information(torch.autograd.Function):
    """`Σ p log(p / q) - p + q`, where p is the table as shares and q the product of its margins.

    No term is negative. The gradient by p is the logarithm alone. It is bounded by the spacing of
    the dtype, and so is finite at an empty cell. It needs one stored number for each cell. The
    gradient by the table is that less its mean under p, which is the value, over the sum.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        total = positive(table.sum((-2, -1), keepdim=True))
        p = table / total
        q = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
        excess = p.sub_(q).div_(positive(q))
        log_ratio = log_above(excess)
        cells = torch.addcmul(-excess, excess + 1, log_ratio).mul_(q)
        value = cells.sum((-2, -1), keepdim=True)
        ctx.save_for_backward(log_ratio, total, value)

        return value[..., 0, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        log_ratio, total, value = ctx.saved_tensors

        return (log_ratio - value).mul_(grad[..., None, None] / total)


class _Distance(torch.autograd.Function):
    """The total variation of two groups, or 0 if one of them has no rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        sizes = table.sum(-1, keepdim=True)
        p = table / positive(sizes)
        difference = (p[..., 0, :] - p[..., -1, :]).mul_((sizes > 0).all(-2))
        ctx.save_for_backward(difference, p, sizes)

        return difference.abs().sum(-1).div_(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        difference, p, sizes = ctx.saved_tensors
        half = difference.sign().mul_(grad[..., None] / 2)
        slope = torch.stack([half, -half][: p.shape[-2]], -2)

        return (slope - (slope * p).sum(-1, keepdim=True)).div_(positive(sizes))
