r"""Distributions: from a table of counts to p(t|s), p(s) and p(s, t).

A group without rows counts as equal to the whole, so that a batch may lack a rare group. Audits
refuse such a group instead.

The `prior` sets the weights of the groups: `"empirical"` weighs them by their rows, `"uniform"`
equally, and a tensor of shape :math:`(k,)` as it says. With rare groups the empirical prior makes
every information small, however much the codes leak about them.

Training reads small tables in every step. There an operation costs more than its numbers do, and
most of all if it has a gradient of its own. So p(t|s) has its gradient in one function.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.quotes import quoted

__all__ = [
    "Prior",
    "given_group",
    "group_prior",
    "group_shares",
    "group_weights",
    "joint_shares",
    "positive",
    "table_slope",
]

Prior = Literal["empirical", "uniform"] | Tensor
"""The weights of the groups."""


def given_group(table: Tensor) -> Tensor:
    """The distribution p(t|s) of each group's codes, with the shape of the table.

    A group without rows counts as equal to the whole.
    """

    return _GivenGroup.apply(table)


def group_shares(table: Tensor) -> tuple[Tensor, Tensor]:
    """p(t|s), and how much each group has, with shape (..., k, 1)."""

    size = table.sum(-1, keepdim=True)
    p = table / positive(size)
    if (size > 0).all():
        return p, size
    whole = table.sum(-2, keepdim=True)

    return torch.where(size > 0, p, whole / positive(whole.sum(-1, keepdim=True))), size


def table_slope(grad: Tensor, p: Tensor, size: Tensor) -> Tensor:
    """The gradient of the table, from that of p(t|s). Groups without rows pass theirs to all."""

    centred = grad - (grad * p).sum(-1, keepdim=True)
    if (size > 0).all():
        return centred.div_(size)
    own = torch.where(size > 0, centred / positive(size), 0)
    total = size.sum(-2, keepdim=True)
    of_empty = torch.where(size > 0, 0, centred).sum(-2, keepdim=True)

    return own + torch.where(total > 0, of_empty / positive(total), 0)


def group_prior(sizes: Float[Tensor, "*batch k"], prior: Prior) -> Float[Tensor, "*batch k"]:
    """The weights of groups of these sizes under a prior. They sum to one."""

    if isinstance(prior, Tensor):
        return prior.to(sizes).expand_as(sizes)
    if prior == "uniform":
        return torch.full_like(sizes, 1 / sizes.shape[-1])
    if prior == "empirical":
        return sizes / positive(sizes.sum(-1, keepdim=True))
    raise ValueError(
        "`prior` expects 'empirical', 'uniform' or a tensor with one weight for each group, got "
        f"{quoted(prior)}."
    )


def group_weights(table: Tensor, prior: Prior) -> Tensor:
    """p(s), with shape (..., k, 1)."""

    return group_prior(table.sum(-1), prior).unsqueeze(-1)


def joint_shares(table: Tensor, prior: Prior) -> Tensor:
    """p(s, t), under the prior."""

    if isinstance(prior, str) and prior == "empirical":  # the same at half the cost
        return table / positive(table.sum((-2, -1), keepdim=True))

    return group_weights(table, prior) * given_group(table)


def positive(x: Tensor) -> Tensor:
    """The numbers as divisors: 0 becomes the smallest positive number of the dtype."""

    return x.clamp_min(torch.finfo(x.dtype).tiny)


class _GivenGroup(torch.autograd.Function):
    """p(t|s), with its gradient in one function."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        p, size = group_shares(table)
        ctx.save_for_backward(p, size)

        return p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return table_slope(grad, *ctx.saved_tensors)
