"""Entropies of groups, codes and bits, and the information of a code about its row, in nats."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bitveil.distributions import Prior, group_prior, positive
from bitveil.shapes import Counts, Logits
from bitveil.tables import joint_table

__all__ = ["bit_entropy", "code_entropy", "group_entropy", "input_information"]


def group_entropy(table: Counts, *, prior: Prior = "empirical") -> Float[Tensor, "*batch"]:
    """The entropy of the groups in nats: the most that a code can reveal about them.

    Example:
        >>> group_entropy(torch.tensor([[1.0, 1.0], [2.0, 0.0]])) / math.log(2)
        tensor(1.)
    """

    return _entropy(group_prior(table.sum(-1), prior))


def code_entropy(table: Counts) -> Float[Tensor, "*batch"]:
    r"""The entropy :math:`H(T)` of the code in nats: how much of the m bits is used.

    Example:
        >>> code_entropy(torch.tensor([[1.0, 1.0], [1.0, 1.0]])) / math.log(2)
        tensor(1.)
    """

    shares = table / positive(table.sum((-2, -1), keepdim=True))

    return _entropy(shares.sum(-2))


def input_information(logits: Logits) -> Float[Tensor, ""]:
    r"""The information :math:`I(X; T) = H(T) - H(T|X)` in nats, on which row it is.

    All rows are equally likely. It is at most the logarithm of their number, and at most
    :math:`m` bits. Noise in the bits makes it smaller.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.

    Example:
        >>> input_information(torch.tensor([[-200.0], [200.0]])) / math.log(2)
        tensor(1.)
        >>> input_information(torch.tensor([[0.0], [0.0]]))
        tensor(0.)
    """

    table = joint_table(logits, torch.zeros_like(logits[:, 0], dtype=torch.long), 1)

    return code_entropy(table) - bit_entropy(logits).sum(-1).mean()


def bit_entropy(logits: Logits) -> Logits:
    """The entropy of each bit of each row in nats, with shape :math:`(n, m)`.

    Example:
        >>> bit_entropy(torch.tensor([[0.0, 200.0]])) / math.log(2)
        tensor([[1., 0.]])
    """

    # θ softplus(-ℓ) + (1 - θ) softplus(ℓ): no logarithm of a probability, no NaN at 0 or 1.
    one, zero = logits.sigmoid(), (-logits).sigmoid()

    return one * F.softplus(-logits) + zero * F.softplus(logits)


def _entropy(p: Tensor) -> Tensor:
    """-Σ p log p, whose gradient ends at the logarithm of the smallest number of the dtype."""

    return -(p * positive(p).log()).sum(-1)
