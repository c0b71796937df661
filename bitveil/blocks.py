r"""Blocks: which bits of a wide code reveal something, in exact numbers.

A table of :math:`2^{256}` codes is too large, but a table of a few of the bits is not. These are
exact statements about parts of a code. If a part reveals nothing, the whole may still do so, as
the parity trap shows. If a part reveals something, the whole does too.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.codes import check_logits
from bitveil.distributions import Prior
from bitveil.information import mutual_information
from bitveil.shapes import Counts, Groups, Logits
from bitveil.tables import check_cells, check_groups, joint_table

__all__ = ["block_information", "information_given_others", "marginal", "most_revealing"]


def block_information(
    logits: Logits,
    groups: Groups,
    k: int,
    blocks: Sequence[Sequence[int]],
    *,
    prior: Prior = "empirical",
) -> Float[Tensor, " b"]:
    """The information of each block of bits in nats, with shape (number of blocks,).

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        blocks: The numbers of the bits in each block.
        prior: The weights of the groups.

    Example:
        >>> trap = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> block_information(trap, torch.tensor([0, 1, 1, 0]), 2, [[0], [1], [0, 1]])
        tensor([0.0000, 0.0000, 0.6931])
    """

    m = logits.shape[1]
    for block in blocks:
        if not block or len(set(block)) < len(block) or not set(block) <= set(range(m)):
            raise ValueError(
                f"`blocks` expects lists of different bits from 0 to {m - 1}, got {list(block)}."
            )

    return torch.stack(
        [
            mutual_information(joint_table(logits[:, list(block)], groups, k), prior=prior)
            for block in blocks
        ]
    )


@torch.no_grad()
def most_revealing(
    logits: Logits, groups: Groups, k: int, size: int, *, prior: Prior = "empirical"
) -> list[tuple[int, float]]:
    """Bits that reveal much together. A greedy search adds the bit that reveals the most.

    The values are exact for these bits, but the search does not try all sets. The two bits of a
    parity trap reveal as little alone as any other bit, so chance decides which one comes first.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        size: How many bits to find.
        prior: The weights of the groups.

    Returns:
        The number of each bit, and the information in nats of this bit and all before it.

    Example:
        >>> s = torch.tensor([0, 0, 1, 1])
        >>> logits = torch.stack([torch.zeros(4), 400.0 * s - 200, 2.0 * s - 1], 1)
        >>> [(bit, round(nats, 4)) for bit, nats in most_revealing(logits, s, 2, size=2)]
        [(1, 0.6931), (0, 0.6931)]
    """

    check_logits("most_revealing", logits)
    check_groups("most_revealing", groups, logits.shape[0], k)
    if not 1 <= size <= logits.shape[1]:
        raise ValueError(
            f"`size` expects a number from 1 to {logits.shape[1]}, the number of bits, got {size}."
        )
    check_cells("most_revealing", size, k * logits.shape[1])

    member = torch.nn.functional.one_hot(groups.long(), k).to(logits)
    theta = logits.sigmoid()
    likelihood = logits.new_ones(len(logits), 1)  # of the bits found so far
    found: list[tuple[int, float]] = []
    for _ in range(size):
        # The counts with each bit at 1, for all bits at once: (group, code, bit).
        ones = torch.einsum("nk,nc,nm->kcm", member, likelihood, theta)
        zeros = (member.T @ likelihood).unsqueeze(-1) - ones
        tables = torch.cat([zeros, ones], 1).clamp_min(0).permute(2, 0, 1)
        nats = mutual_information(tables, prior=prior)
        nats[[bit for bit, _ in found]] = -1
        best = int(nats.argmax())
        found.append((best, nats[best].item()))
        pair = torch.stack([1 - theta[:, best], theta[:, best]], 1)
        likelihood = (likelihood.unsqueeze(2) * pair.unsqueeze(1)).flatten(1)

    return found


def information_given_others(
    logits: Logits, groups: Groups, k: int, *, prior: Prior = "empirical"
) -> Float[Tensor, " m"]:
    r"""What each bit reveals beyond all others, :math:`I(T_j; S | T_{-j})`, with shape (m,).

    It is in nats: how much less the code reveals without that bit. Two copies of one revealing bit
    have 0 each. Each bit of a parity trap has all of the information. It is for codes that can be
    listed; for wider codes use blocks.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        prior: The weights of the groups.

    Example:
        >>> trap = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> information_given_others(trap, torch.tensor([0, 1, 1, 0]), 2)
        tensor([0.6931, 0.6931])
    """

    table = joint_table(logits, groups, k)
    m = logits.shape[1]
    whole = mutual_information(table, prior=prior)
    others = [[bit for bit in range(m) if bit != j] for j in range(m)]
    without = [mutual_information(marginal(table, [2] * m, some), prior=prior) for some in others]

    return whole - torch.stack(without)


def marginal(table: Counts, sizes: Sequence[int], parts: Sequence[int]) -> Counts:
    """The counts over (group, values of some parts), from those over all parts.

    Arguments:
        table: The counts, with a column for each combination of values, the last part fastest.
        sizes: The number of values of each part.
        parts: The numbers of the parts to keep.

    Example:
        >>> marginal(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), [2, 2], [0])
        tensor([[3., 7.]])
    """

    others = [1 + j for j in range(len(sizes)) if j not in set(parts)]
    cells = table.reshape(len(table), *sizes)

    return (cells.sum(others) if others else cells).flatten(1)
