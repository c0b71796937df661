r"""Finite samples: how far a reading of n rows may be from that of their population.

For fixed group sizes, information and total variation are convex in :math:`p(t|s)`. From the table
of n rows they are therefore too large in expectation. If each row is judged by the other rows,
they are too small. To first order the information is too large by

.. math:: \frac{\sum_s C_s - C}{2 n}, \qquad C = \sum_t \frac{\mathrm{Var}_x\, p(t|x)}{p(t)}

nats, where :math:`C_s` is the same within group s. It is the spread of the rows around their mean,
and comes from a table of squared likelihoods. Measured on n rows, C itself is too small, and
:math:`C / (1 - C/n)` is better.
"""

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.codes import code_likelihood
from bitveil.distributions import given_group
from bitveil.information import mutual_information
from bitveil.shapes import Counts, Groups, Logits
from bitveil.tables import joint_table, squared_table

__all__ = [
    "Corrected",
    "bootstrap_interval",
    "corrected_information",
    "leave_one_out",
    "resized_variation",
    "spread",
]

TOO_FEW = 0.2
"""The correction is unreliable above this spread, as a share of a group's rows."""


class Corrected(NamedTuple):
    """The mutual information in nats, with its bias removed.

    Attributes:
        value: The corrected information. By chance it can be below zero.
        plug_in: The information of the table.
        bias: The bias of the plug-in value, to first order.
        spread: The largest C_s / n_s of a group. Above 0.2 the correction is unreliable.
    """

    value: float
    plug_in: float
    bias: float
    spread: float


@torch.no_grad()
def spread(logits: Logits, groups: Groups, k: int) -> Float[Tensor, " k"]:
    r"""Over how many codes the rows of each group are spread, with shape :math:`(k,)`.

    :math:`C_s = \sum_t \mathrm{Var}_x\, p(t|x) / p(t)` over the rows of the group: 0 where all
    rows have one distribution, the number of codes in use less one where the bits are sure.
    Corrected for being measured on these rows.

    Example:
        >>> sure = 200 * torch.tensor([[1.0], [-1.0]]).repeat(50, 1)
        >>> spread(sure, torch.zeros(100, dtype=torch.long), k=1)  # two codes: 1 / (1 - 1/100)
        tensor([1.0101])
    """

    return _corrected_spread(joint_table(logits, groups, k), squared_table(logits, groups, k))


@torch.no_grad()
def corrected_information(logits: Logits, groups: Groups, k: int) -> Corrected:
    """The mutual information minus the bias that comes from measuring it on these rows.

    Warns if a group has too few rows for the correction.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`, each with at least two rows.
        k: The number of groups.

    Source:
        Note on the bias of information estimates (Miller, 1955), for hard codes

    Example:
        >>> corrected_information(torch.zeros(10, 3), torch.arange(10) % 2, k=2)
        Corrected(value=0.0, plug_in=0.0, bias=0.0, spread=0.0)
    """

    table, squares = joint_table(logits, groups, k), squared_table(logits, groups, k)
    _check_two_rows("corrected_information", table)
    within = _corrected_spread(table, squares)
    whole = _corrected_spread(table.sum(0, keepdim=True), squares.sum(0, keepdim=True))
    plug_in = mutual_information(table).item()
    bias = (within.sum() - whole.sum()).item() / (2 * len(groups))
    worst = (within / table.sum(1)).max().item()
    if worst > TOO_FEW:
        warnings.warn(
            f"A group has too few rows for its codes (C/n = {worst:.2f}, above {TOO_FEW}). The "
            "corrected information is not to be trusted. Use more rows, or fewer bits.",
            stacklevel=2,
        )

    return Corrected(plug_in - bias, plug_in, bias, worst)


@torch.no_grad()
def leave_one_out(logits: Logits, groups: Groups, k: int) -> tuple[float, float]:
    r"""The information in nats and the total variation, with each row judged by the others.

    They are too small in expectation, and the readings of the table are too large, so that both
    together form a bracket. The information is what the table of the other rows saves in guessing
    the group of a row. The total variation is how much more often it is right than wrong, for the
    two groups that are farthest apart. It takes :math:`n 2^m` operations.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`, each with at least two rows.
        k: The number of groups.

    Returns:
        The information and the total variation. Both can be below zero by chance.

    Example:
        >>> logits = 200 * torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
        >>> leave_one_out(logits, torch.tensor([0, 0, 1, 1]), k=2)[1]
        1.0
    """

    table = joint_table(logits, groups, k).double()
    _check_two_rows("leave_one_out", table)
    far = _farthest_groups(table)
    rows = torch.arange(len(groups), device=groups.device)
    parts = [
        _judged_by_others(code_likelihood(logits[some]).double(), groups[some], table, far)
        for some in rows.split(max(1, 2**22 >> logits.shape[1]))
    ]
    information, variation = (sum(part) for part in zip(*parts, strict=True))

    return float(information) / len(groups), float(variation)


def resized_variation(table: Counts, size: float) -> Float[Tensor, "*batch"]:
    r"""The total variation that a sample of another size will show, in expectation.

    Counts of fewer rows lie further apart by chance. The difference of two rates varies by
    :math:`\sigma^2 = \sum_g p (1 - p) / n_g` in each sample, and its absolute value is that of a
    normal number with the further variance. With more than two groups it is that of the worst
    pair.

    Arguments:
        table: The counts of certain or drawn codes, with shape :math:`(\dots, k, c)`.
        size: The number of rows of the other sample, for each of these. Above 1 it counts as 1:
            how much of what these rows show is chance, they cannot tell.

    Example:
        >>> resized_variation(torch.tensor([[50.0, 50.0], [50.0, 50.0]]), 0.5)  # sqrt(0.01 / pi)
        tensor(0.0564)
    """

    p, n = given_group(table), table.sum(-1, keepdim=True).clamp_min(1)
    variance = p * (1 - p) / n * max(0.0, 1 / size - 1)
    apart = (p.unsqueeze(-2) - p.unsqueeze(-3)).abs()
    sigma = (variance.unsqueeze(-2) + variance.unsqueeze(-3)).sqrt().clamp_min(1e-12)
    shown = sigma * math.sqrt(2 / math.pi) * (-((apart / sigma) ** 2) / 2).exp()
    shown = shown + apart * (apart / (sigma * math.sqrt(2))).erf()
    other = 1 - torch.eye(p.shape[-2], dtype=p.dtype, device=p.device)

    return (shown.sum(-1) / 2 * other).amax((-2, -1))


def bootstrap_interval(
    logits: Logits,
    groups: Groups,
    k: int,
    reading: Callable[[Tensor], Tensor] = mutual_information,
    *,
    level: float = 0.95,
    n_blocks: int = 50,
    n_resamples: int = 1000,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """A bootstrap interval of a reading over the rows, which costs little more than a table.

    The rows of each group are put into random blocks. All tables of blocks come from the one
    product that a table costs anyway. They are drawn with replacement and added up. The interval
    is the basic one, mirrored at the measured value: a resample exceeds the measured value as the
    measured value exceeds the truth. It is approximate, and never below zero.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        reading: A reading of tables, as in `bitveil.information`.
        level: The probability with which the interval should hold the truth.
        n_blocks: The number of blocks in each group.
        n_resamples: The number of tables to draw.
        generator: The source of blocks and draws.

    Source:
        Bootstrap Methods: Another Look at the Jackknife (Efron, 1979),
        https://doi.org/10.1214/aos/1176344552

    Example:
        >>> low, high = bootstrap_interval(torch.zeros(100, 2), torch.arange(100) % 2, k=2)
        >>> low, high
        (0.0, 0.0)
    """

    if not 0 < level < 1:
        raise ValueError(f"`level` expects a number between 0 and 1, got {level}.")
    order = torch.randperm(len(groups), generator=generator).to(groups.device)
    block = torch.empty_like(groups)
    block[order] = torch.arange(len(groups), device=groups.device) % n_blocks
    with torch.no_grad():
        tables = joint_table(logits, groups * n_blocks + block, k * n_blocks)
        tables = tables.view(k, n_blocks, -1)
        values = _resampled(tables, reading, n_resamples, generator)
        measured = reading(tables.sum(1)).item()
    tail = torch.tensor([(1 + level) / 2, (1 - level) / 2]).to(values)
    low, high = (2 * measured - values.quantile(tail)).tolist()

    return max(0.0, low), max(0.0, high)


def _resampled(
    tables: Tensor,
    reading: Callable[[Tensor], Tensor],
    n_resamples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """The reading of tables whose blocks are drawn with replacement within each group."""

    k, n_blocks, c = tables.shape
    even = torch.ones(n_resamples * k, n_blocks)
    chosen = torch.multinomial(even, n_blocks, replacement=True, generator=generator)
    counts = torch.zeros_like(even).scatter_add_(1, chosen, torch.ones_like(even))
    counts = counts.view(n_resamples, k, n_blocks).to(tables)
    some = max(1, 2**24 // (k * c))  # tables at a time

    return torch.cat(
        [reading(torch.einsum("rkb,kbc->rkc", part, tables)) for part in counts.split(some)]
    )


def _corrected_spread(table: Tensor, squares: Tensor) -> Tensor:
    """C of each group, corrected for its bias on the rows of the table."""

    n = table.sum(1, keepdim=True).clamp_min(1)
    p = table / n
    tiny = torch.finfo(p.dtype).tiny
    variance = (squares / n - p.square()).clamp_min(0)
    measured = (variance / p.clamp_min(tiny)).sum(1)

    return measured / (1 - measured / n.squeeze(1)).clamp_min(1 / n.squeeze(1))


def _farthest_groups(table: Tensor) -> tuple[int, int]:
    """The two groups with the largest total variation."""

    p = given_group(table)
    first, second = divmod(int(torch.cdist(p, p, p=1).argmax()), len(p))

    return first, second


def _judged_by_others(
    own: Tensor, groups: Tensor, table: Tensor, far: tuple[int, int]
) -> tuple[float, float]:
    """Sums over some rows, with likelihoods `own`, of how well the other rows guess them."""

    sizes = table.sum(1)
    share = (sizes / sizes.sum())[groups].unsqueeze(1)
    others = table[groups] - own

    # Half a row, spread like the whole, keeps the logarithm finite. Any guess is valid.
    guess = (others + 0.5 * share) / (table.sum(0) - own + 0.5)
    information = (own * (guess / share).log()).sum().item()

    variation = 0.0
    for mine, theirs in (far, far[::-1]):
        rows = groups == mine
        right = others[rows] / (sizes[mine] - 1) - table[theirs] / sizes[theirs]
        variation += ((own[rows] * right.sign()).sum() / (2 * sizes[mine])).item()

    return information, variation


def _check_two_rows(name: str, table: Tensor) -> None:
    sizes = [round(size) for size in table.sum(1).tolist()]
    if min(sizes) < 2:
        raise ValueError(
            f"`{name}` judges each row by others of its group and expects at least two rows of "
            f"each, got groups of {sizes} rows. Leave small groups out, or join them."
        )
