r"""Readings: from a table of counts to nats, or to a probability.

Every exact statement about what a code reveals about a group is a function of one table `N(s, t)`.
All readings take tables of shape :math:`(\dots, k, c)` and read each table on its own. They can be
differentiated once, like tables, and have finite gradients at empty cells.

Near independence an information is a small difference of large terms. Written as

.. math:: I(T; S) = \sum_{s,t} \Bigl( p \log \tfrac{p}{q} - p + q \Bigr),
    \qquad p = p(s, t), \quad q = p(s)\, p(t)

no term is negative and nothing cancels.

A group without rows counts as equal to the whole, and the `prior` sets the weights of the groups:
see `bitveil.distributions`.
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.distributions import (
    Prior,
    given_group,
    group_shares,
    group_weights,
    joint_shares,
    positive,
    table_slope,
)
from bitveil.shapes import Counts, NeuronTables

__all__ = [
    "BITS",
    "attack_accuracy",
    "chi_square_information",
    "conditional_mutual_information",
    "conditional_total_variation",
    "doeblin_coefficient",
    "guessing_advantage",
    "maximal_correlation",
    "maximal_leakage",
    "mutual_information",
    "neuron_information",
    "residual_information",
    "sibson_information",
    "squared_hellinger",
    "total_variation",
]

BITS = 1 / math.log(2)
"""Bits in a nat."""


def mutual_information(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The mutual information :math:`I(T; S)` in nats: how much a code reveals about its group.

    Zero if, and only if, code and group are independent. At most :math:`\log k`.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> trap = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
        >>> mutual_information(trap) / math.log(2)  # in bits
        tensor(1.)
    """

    empirical = isinstance(prior, str) and prior == "empirical"

    return _MutualInformation.apply(table if empirical else joint_shares(table, prior))


def conditional_mutual_information(
    table: Float[Tensor, "*batch y k c"],
) -> Float[Tensor, "*batch"]:
    r"""The conditional mutual information :math:`I(T; S | Y)` in nats.

    What a code reveals about the group to someone who knows the target. Zero under equalised odds.

    Arguments:
        table: The counts over pairs, with shape :math:`(\dots, k_y, k_s, c)`.

    Example:
        >>> table = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
        >>> conditional_mutual_information(table)
        tensor(0.)
    """

    weight = table.sum((-2, -1))
    share = weight / positive(weight.sum(-1, keepdim=True))

    return (share * mutual_information(table)).sum(-1)


def neuron_information(tables: NeuronTables, *, prior: Prior = "empirical") -> Float[Tensor, ""]:
    r"""The paper's quantity :math:`\sum_j I(T_j; S)` in nats, the sum over single neurons.

    It bounds :math:`I(T; S)` from neither side: the parity trap has 0 here and 1 bit jointly.

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


def total_variation(
    table: Counts, *, pairs: Literal["worst", "weighted"] = "worst", prior: Prior = "empirical"
) -> Float[Tensor, "*batch"]:
    r"""The total variation :math:`\tfrac12 \sum_t |p(t|s) - p(t|s')|` between two groups.

    The demographic-parity gap of any classifier that sees the code is at most this, and some
    classifier attains it.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        pairs: With more than two groups, `"worst"` takes the worst pair, which needs no prior.
            `"weighted"` takes the mean over pairs of different groups, weighted by how often two
            rows are such a pair.
        prior: The weights of the groups, for the mean.

    Example:
        >>> total_variation(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))  # 3/4 against 1/2
        tensor(0.2500)
    """

    if table.shape[-2] <= 2:
        return _PairDistance.apply(table)
    p = given_group(table)
    distances = torch.cdist(p, p, p=1) / 2

    return distances.amax((-2, -1)) if pairs == "worst" else _pair_mean(distances, table, prior)


def conditional_total_variation(table: Float[Tensor, "*batch y k c"]) -> Float[Tensor, "*batch"]:
    """The total variation of two groups among the rows of one target, for the worst target.

    The equalised-odds gap of any classifier that sees the code is at most this.

    Arguments:
        table: The counts over pairs, with shape :math:`(\\dots, k_y, k_s, c)`.

    Example:
        >>> table = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
        >>> conditional_total_variation(table)
        tensor(0.5000)
    """

    return total_variation(table).amax(-1)


def doeblin_coefficient(table: Counts) -> Float[Tensor, "*batch"]:
    r"""The overlap :math:`\sum_t \min_s p(t|s)` of all groups: Doeblin's coefficient.

    With at least this probability a drawn code reveals nothing: the codes of every group are a
    mixture in which one distribution, shared by all groups, has this weight. Therefore
    :math:`I(T; S)` is at most one minus this, times the entropy of the groups. With two groups it
    is :math:`1 - TV`.

    Source:
        Doeblin Coefficients and Related Measures (Makur, Singh, 2023),
        https://arxiv.org/abs/2309.08475

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.

    Example:
        >>> doeblin_coefficient(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))  # 1/2 + 1/4
        tensor(0.7500)
    """

    overlap = given_group(table).amin(-2).sum(-1)

    return torch.where(table.sum((-2, -1)) > 0, overlap, 1)  # no rows reveal nothing


def chi_square_information(
    table: Counts, *, prior: Prior = "empirical"
) -> Float[Tensor, "*batch"]:
    r"""The :math:`\chi^2`-information :math:`\sum_{s,t} (p - q)^2 / q`, with p and q as above.

    It measures how far the guesses of the best least-squares attacker are from the prior. It is
    never below the mutual information in nats, and equals the sum of the squared canonical
    correlations between functions of the code and of the group.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> chi_square_information(torch.eye(2))
        tensor(1.)
    """

    return _residual(table, prior).square().sum((-2, -1))


def squared_hellinger(table: Counts) -> Float[Tensor, "*batch"]:
    r"""The squared Hellinger distance :math:`\tfrac12 \sum_t (\sqrt{p(t|s)} - \sqrt{p(t|s')})^2`.

    It is that of the worst pair of groups, from 0 to 1. It nearly adds up when an attacker sees
    the codes of many rows of one group. It is at most the total variation, which is at most
    :math:`\sqrt{2 H^2}`.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.

    Example:
        >>> squared_hellinger(torch.eye(2))
        tensor(1.0000)
    """

    root = positive(given_group(table)).sqrt()
    mode = "donot_use_mm_for_euclid_dist"  # the product of matrices would cancel

    return torch.cdist(root, root, compute_mode=mode).square().amax((-2, -1)) / 2


def sibson_information(
    table: Counts, alpha: float, *, prior: Prior = "empirical"
) -> Float[Tensor, "*batch"]:
    r"""Sibson's information of order :math:`\alpha` in nats, the Rényi family.

    .. math:: I_\alpha = \tfrac{\alpha}{\alpha - 1} \log \sum_t
        \Bigl( \sum_s p(s)\, p(t|s)^\alpha \Bigr)^{1/\alpha}

    Order 1 is the mutual information, and order infinity the `maximal_leakage`. It never falls
    with the order. The higher the order, the more a few revealing codes count.

    Source:
        Information radius (Sibson, 1969), https://doi.org/10.1007/BF00537520

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        alpha: The order, above 0.
        prior: The weights of the groups.

    Example:
        >>> sibson_information(torch.eye(2), alpha=2.0) / math.log(2)
        tensor(1.)
    """

    if not alpha > 0:
        raise ValueError(f"`alpha` expects an order above 0, got {alpha}.")
    if alpha == 1:
        return mutual_information(table, prior=prior)
    if math.isinf(alpha):
        return maximal_leakage(table, prior=prior)

    # With r = p(t|s) / p(t), the inner sum is 1 + E[r^α - 1 - α (r - 1)], whose terms vanish to
    # second order where r is 1. Where r^α would overflow, the largest r is factored out instead.
    weight = group_weights(table, prior)
    whole = (weight * given_group(table)).sum(-2)
    excess = _excess(table, prior)
    log_ratio = _log1p(excess)
    top = log_ratio.amax(-2, keepdim=True).detach().clamp_min(0)
    large = alpha * top.squeeze(-2) > 20
    power = torch.where(large.unsqueeze(-2), 0, alpha * log_ratio)
    small_sum = (weight * (torch.expm1(power) - alpha * excess)).sum(-2)
    # An empty cell has r = 0 exactly, although its logarithm ends at the spacing of the dtype.
    shifted = torch.where(excess > -1, alpha * (log_ratio - top), -math.inf)
    large_sum = positive((weight * shifted.exp()).sum(-2))
    growth = torch.where(
        large,
        torch.expm1(top.squeeze(-2) + large_sum.log() / alpha),
        torch.expm1(torch.log1p(torch.where(large, 0, small_sum).clamp_min(-1 + 1e-7)) / alpha),
    )

    return alpha / (alpha - 1) * torch.log1p((whole * growth).sum(-1))


def maximal_leakage(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The maximal leakage :math:`\log \sum_t \max_s p(t|s)` in nats.

    The logarithm of the largest factor by which a code raises the chance of guessing *any*
    function of the group, also a random one. Only the set of groups in the prior matters.

    Source:
        An Operational Approach to Information Leakage (Issa, Wagner, Kamath, 2020),
        https://arxiv.org/abs/1807.07878

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups. Only which of them are zero matters.

    Example:
        >>> maximal_leakage(torch.eye(4)).exp()
        tensor(4.)
    """

    weight = group_weights(table, prior)
    whole = (weight * given_group(table)).sum(-2)
    excess = torch.where(weight > 0, _excess(table, prior), -1)

    return torch.log1p((whole * excess.amax(-2)).sum(-1))


def maximal_correlation(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The maximal correlation of any function of the code with any function of the group.

    The second singular value of :math:`p(s,t) / \sqrt{p(s) p(t)}`, from 0 to 1. It limits
    what a regression on the codes can explain. With two groups its square is the
    :math:`\chi^2`-information.

    Source:
        On measures of dependence (Rényi, 1959), https://doi.org/10.1007/BF02024507

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> maximal_correlation(torch.tensor([[3.0, 1.0], [1.0, 3.0]]))
        tensor(0.5000)
    """

    residual = _residual(table, prior)
    squares = torch.linalg.eigvalsh(residual @ residual.mT)

    return positive(squares[..., -1]).sqrt()


def attack_accuracy(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""The accuracy :math:`\sum_t \max_s p(s, t)` of the best attacker who guesses the group.

    With the uniform prior it is the best balanced accuracy, which is :math:`(1 + TV) / 2` for two
    groups.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> attack_accuracy(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), prior="uniform")
        tensor(0.6250)
    """

    return joint_shares(table, prior).amax(-2).sum(-1)


def guessing_advantage(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    r"""How much more often the best attacker is right with the code than without it.

    :math:`\sum_t \max_s p(s, t) - \max_s p(s)`. With rare groups and the empirical prior it is
    often exactly 0, however much the codes leak about rare groups. Use the uniform prior too.

    Arguments:
        table: The counts, with shape :math:`(\dots, k, c)`.
        prior: The weights of the groups.

    Example:
        >>> guessing_advantage(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), prior="uniform")
        tensor(0.1250)
    """

    return attack_accuracy(table, prior=prior) - group_weights(table, prior).amax((-2, -1))


def residual_information(table: Float[Tensor, "*batch y k c"]) -> Float[Tensor, "*batch"]:
    r"""The information :math:`I(Y; S | T)` in nats, the dependence that remains given the code.

    Zero under sufficiency: among rows of one code, the target is then equally frequent in every
    group, and a score computed from the code is calibrated in each group.

    Arguments:
        table: The counts over pairs, with shape :math:`(\dots, k_y, k_s, c)`.

    Example:
        >>> table = torch.tensor([[[3.0, 0.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
        >>> residual_information(table)
        tensor(0.)
    """

    return conditional_mutual_information(table.movedim(-1, -3))


def _excess(table: Tensor, prior: Prior) -> Tensor:
    """p(t|s) / p(t) - 1."""

    p = given_group(table)
    whole = (group_weights(table, prior) * p).sum(-2, keepdim=True)

    return (p - whole) / positive(whole)


def _residual(table: Tensor, prior: Prior) -> Tensor:
    """(p - q) / sqrt(q), with p = p(s, t) and q = p(s) p(t)."""

    p = joint_shares(table, prior)
    q = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)

    return (p - q) / positive(q).sqrt()


def _pair_mean(distances: Tensor, table: Tensor, prior: Prior) -> Tensor:
    """The mean distance of two groups, weighted by how often two rows are of such groups."""

    weight = group_weights(table, prior)
    weight = (weight * weight.mT) * (1 - torch.eye(weight.shape[-2]).to(weight))

    return (weight * distances).sum((-2, -1)) / positive(weight.sum((-2, -1)))


def _log1p(excess: Tensor) -> Tensor:
    """log(1 + excess), with the excess at least the spacing of the dtype above -1."""

    return torch.log1p(excess.clamp_min(torch.finfo(excess.dtype).eps - 1))


class _PairDistance(torch.autograd.Function):
    """The total variation of two groups, or 0 for a single one."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        p, size = group_shares(table)
        difference = p[..., 0, :] - p[..., -1, :]
        ctx.save_for_backward(difference, p, size)

        return difference.abs().sum(-1) / 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        difference, p, size = ctx.saved_tensors
        if p.shape[-2] == 1:
            return torch.zeros_like(p)
        slope = difference.sign() * (grad.unsqueeze(-1) / 2)

        return table_slope(torch.stack([slope, -slope], -2), p, size)


class _MutualInformation(torch.autograd.Function):
    """`Σ p log(p / q) - p + q`, where p is the share of each count, and q the product of margins.

    No term is negative. The gradient of p is the logarithm alone. It is bounded by the spacing of
    the dtype, and so is finite at an empty cell. It needs one stored number for each cell.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        total = positive(table.sum((-2, -1), keepdim=True))
        p = table / total
        q = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
        excess = (p - q).div_(positive(q))
        log_ratio = _log1p(excess)
        value = torch.addcmul(-excess, excess + 1, log_ratio).mul_(q).sum((-2, -1))
        ctx.save_for_backward(log_ratio, value, total)

        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        log_ratio, value, total = ctx.saved_tensors
        mean = value[..., None, None]  # of the logarithm, taken off because p sums to one

        return (grad[..., None, None] / total) * (log_ratio - mean)
