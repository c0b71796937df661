r"""Readings: from a table of counts to nats, or to a probability.

Every exact statement about what a code tells of a group is a function of one table `N(s, t)`.
All readings take tables of shape :math:`(\dots, k, c)`, read each table of a batch on its own, and
have finite gradients at empty cells.

Near independence an information is a small difference of large terms. Written as

.. math:: I(T; S) = \sum_{s,t} \Bigl( p \log \tfrac{p}{q} - p + q \Bigr),
    \qquad p = p(s, t), \quad q = p(s)\, p(t)

no term is negative and nothing cancels.

A group without a row tells nothing: it is taken to be like the whole, so that a batch in which a
rare group is missing is no accident. Audits refuse such a group instead.

What `prior` does: `"empirical"` counts the groups as they come, `"uniform"` gives each the same
weight, a tensor of shape :math:`(k,)` gives each its own. With rare groups the empirical prior
makes every information small, whatever the rare groups lose.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.codes import code_likelihood
from bitveil.shapes import Groups, Logits, NeuronTables, Table
from bitveil.tables import joint_table

__all__ = [
    "Prior",
    "attack_accuracy",
    "conditional_mutual_information",
    "conditional_total_variation",
    "entropy",
    "leave_one_out",
    "mutual_information",
    "neuron_information",
    "total_variation",
]

Prior = Literal["empirical", "uniform"] | Tensor

BITS = 1 / math.log(2)
"""Bits in a nat."""


def mutual_information(table: Table, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The mutual information :math:`I(T; S)` in nats: how much a code tells of its group.

    Zero if, and only if, code and group are independent. At most :math:`\log k`.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> trap = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
        >>> mutual_information(trap) / math.log(2)  # in bits
        tensor(1.)
    """

    p = _joint(table, prior)
    q = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)

    return _divergence(p, q).sum((-2, -1))


def conditional_mutual_information(
    table: Float[Tensor, "*batch y k c"],
) -> Float[Tensor, "*batch"]:
    r"""The conditional mutual information :math:`I(T; S | Y)` in nats.

    What a code tells of the group to someone who knows the target: zero under equalised odds.

    Arguments:
        table: The counts over pairs, with shape :math:`(\dots, k_y, k_s, c)`.

    Example:
        >>> table = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
        >>> conditional_mutual_information(table)
        tensor(0.)
    """

    weight = table.sum((-2, -1))
    share = weight / _positive(weight.sum(-1, keepdim=True))

    return (share * mutual_information(table)).sum(-1)


def neuron_information(tables: NeuronTables, *, prior: Prior = "empirical") -> Float[Tensor, ""]:
    r"""The paper's quantity :math:`\sum_j I(T_j; S)` in nats: single neurons, summed.

    It is no bound on :math:`I(T; S)`, from neither side: the parity trap has 0 here and 1 bit
    jointly.

    Source:
        Invariant Representations with Stochastically Quantized Neural Networks (Cerrato, Köppel,
        Esposito, Kramer, 2023), https://arxiv.org/abs/2208.02656

    Arguments:
        tables: The table of each bit, with shape :math:`(m, k, 2)`.
        prior: The weights of the groups.

    Example:
        >>> neuron_information(torch.ones(2, 2, 2))
        tensor(0.)
    """

    return mutual_information(tables, prior=prior).sum(-1)


def total_variation(table: Table) -> Float[Tensor, "*batch"]:
    r"""The total variation :math:`\max_{s, s'} \tfrac12 \sum_t |p(t|s) - p(t|s')|` of two groups.

    The demographic-parity gap of any classifier that sees the code is at most this, and some
    classifier attains it: the worst case itself. Over the worst pair, where there are more than
    two groups. It needs no prior.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.

    Example:
        >>> total_variation(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))  # 3/4 against 1/2
        tensor(0.2500)
    """

    p = _given_group(table)
    if p.shape[-2] <= 2:
        return (p[..., 0, :] - p[..., -1, :]).abs().sum(-1) / 2

    return torch.cdist(p, p, p=1).amax((-2, -1)) / 2


def conditional_total_variation(table: Float[Tensor, "*batch y k c"]) -> Float[Tensor, "*batch"]:
    """The total variation of two groups among the rows of one target, at the worst target.

    The equalised-odds gap of any classifier that sees the code is at most this.

    Arguments:
        table: The counts over pairs, with shape :math:`(\\dots, k_y, k_s, c)`.

    Example:
        >>> table = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
        >>> conditional_total_variation(table)
        tensor(0.5000)
    """

    return total_variation(table).amax(-1)


def attack_accuracy(table: Table, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The accuracy :math:`\sum_t \max_s p(s, t)` of the best attacker who guesses the group.

    With the uniform prior it is the best balanced accuracy; with two groups that is
    :math:`(1 + TV) / 2`.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> attack_accuracy(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), prior="uniform")
        tensor(0.6250)
    """

    return _joint(table, prior).amax(-2).sum(-1)


def entropy(table: Table) -> Float[Tensor, "*batch"]:
    """The entropy of the groups in nats, counted as they come: the most a code can tell of them.

    Example:
        >>> entropy(torch.tensor([[1.0, 1.0], [2.0, 0.0]])) / math.log(2)
        tensor(1.)
    """

    return torch.special.entr(_joint(table, "empirical").sum(-1)).sum(-1)


@torch.no_grad()
def leave_one_out(logits: Logits, groups: Groups, k: int) -> tuple[float, float]:
    r"""The information in nats and the total variation, each row read by the table of the others.

    Information and total variation are convex in :math:`p(t|s)`: read from the table of n rows
    they are too large in expectation. A row that is judged by what the *other* rows say makes them
    too small. The truth lies between, in expectation: report both as a bracket.

    The total variation is that of the two groups which the whole table puts farthest apart.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`, each with at least two rows.
        k: The number of groups.

    Returns:
        The information in nats and the total variation; both can be below zero by chance.

    Example:
        >>> logits = 200 * torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
        >>> leave_one_out(logits, torch.tensor([0, 0, 1, 1]), k=2)[1]
        1.0
    """

    table = joint_table(logits, groups, k).double()
    sizes = table.sum(-1)
    p = _given_group(table)
    far, other = divmod(int(torch.cdist(p, p, p=1).argmax()), k)
    sign = torch.zeros(k, dtype=table.dtype, device=table.device)
    sign[far], sign[other] = 1, -1

    information = variation = 0.0
    for chosen in torch.arange(len(groups), device=groups.device).split(
        max(1, 2**22 >> logits.shape[1])
    ):
        own, g = code_likelihood(logits[chosen]).double(), groups[chosen]
        others = table[g] - own
        whole = table.sum(0) - own
        # Half a row spread as the whole keeps the logarithm finite; any guess is a valid one.
        share = (others + 0.5 * (sizes[g] / sizes.sum()).unsqueeze(1)) / (whole + 0.5)
        information += (
            (own * (share.log() - (sizes[g] / sizes.sum()).log().unsqueeze(1))).sum().item()
        )
        mine = others / (sizes[g] - 1).unsqueeze(1)
        theirs = p[torch.where(g == far, other, far)]
        guess = torch.sign(mine - theirs)  # 1 where the code speaks for the row's own group
        variation += (own * guess).sum(1).mul(sign[g].abs() / (2 * sizes[g])).sum().item()

    return information / len(groups), variation


def _given_group(table: Tensor) -> Tensor:
    """p(t|s), where a group without a row is taken to be like the whole."""

    whole = table.sum(-2, keepdim=True)
    size = table.sum(-1, keepdim=True)
    share = whole / _positive(whole.sum(-1, keepdim=True))

    return torch.where(size > 0, table / _positive(size), share)


def _joint(table: Tensor, prior: Prior) -> Tensor:
    """p(s, t), under the prior."""

    if isinstance(prior, Tensor):
        return prior.to(table).unsqueeze(-1) * _given_group(table)
    if prior == "uniform":
        return _given_group(table) / table.shape[-2]
    if prior == "empirical":
        return table / _positive(table.sum((-2, -1), keepdim=True))
    raise ValueError(
        f"`prior` expects 'empirical', 'uniform' or a tensor of one weight a group, got {prior!r}."
    )


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """`p log(p / q) - p + q` for each cell: never negative, exact to first order at `p = q`.

    The logarithm ends at the spacing of the dtype, so that an empty cell has a finite gradient.
    """

    excess = (p - q) / _positive(q)
    log_ratio = torch.log1p(excess.clamp_min(torch.finfo(p.dtype).eps - 1))

    return q * ((1 + excess) * log_ratio - excess)


def _positive(x: Tensor) -> Tensor:
    return x.clamp_min(torch.finfo(x.dtype).tiny)
