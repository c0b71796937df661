r"""Tables: the expected number of rows of each group that get each code.

.. math:: N(g, t) = \sum_{i : g_i = g} p(t | x_i)

Given :math:`x` the two halves of a code are independent. The table of a group is therefore one
matrix product between the likelihoods of the halves, :math:`N_g = A_g B_g^\top` with :math:`A_g`
of shape :math:`(2^{\lfloor m/2 \rfloor}, n_g)`, and its gradient is two more products of the same
size. With :math:`G = \partial L / \partial N` and :math:`W = G_{g_i}(t)\, p(t | x_i)`,

.. math:: \frac{\partial L}{\partial \ell_{ij}} = \sum_t W_i(t) (t_j - \theta_{ij}),

which is finite, and right, where a bit is 0 or 1 exactly. Rows are taken in chunks that keep the
halves in the processor's cache, so that memory stays :math:`O(k 2^m + \text{chunk} \cdot
2^{m/2})`.

Tables of disjoint rows add up: over batches, files and machines. Reduce tables, never numbers:
the information of a batch is not the mean of informations.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.codes import all_codes, check_logits
from bitveil.shapes import Groups, Indices, Logits, NeuronTables

__all__ = [
    "MAX_CELLS",
    "joint_table",
    "neuron_tables",
    "observed_table",
    "pair_groups",
    "squared_table",
]

MAX_CELLS = 2**28
"""The most cells a table may have: 1 GiB in float32, and readings need a few copies of it."""

_DENSE_BITS = 5  # up to here one product with one-hot groups beats sorting rows by group
_CACHED = 2**19  # the size of a half's likelihoods that still lies in cache


def check_groups(name: str, groups: Tensor, n: int, k: int) -> None:
    """Refuse groups that are not `n` whole numbers from 0 to `k` - 1."""

    if groups.ndim != 1 or groups.is_floating_point() or groups.shape[0] != n:
        raise ValueError(
            f"`{name}` expects one whole number a row as group, an integer tensor of shape "
            f"({n},), got {groups.dtype} of shape {tuple(groups.shape)}. Labels of another type: "
            "`numpy.unique(labels, return_inverse=True)`."
        )
    if n and (groups.min() < 0 or groups.max() >= k):
        raise ValueError(
            f"`{name}` expects groups from 0 to k - 1 = {k - 1}, got {int(groups.min())} to "
            f"{int(groups.max())}. Pass a larger `k`, or number the groups from 0."
        )


def check_cells(name: str, m: int, k: int) -> None:
    """Refuse a table that would not fit into memory."""

    if k < 1:
        raise ValueError(f"`{name}` expects at least one group, got k = {k}.")
    if k << m > MAX_CELLS:
        raise ValueError(
            f"`{name}` lists all 2**m codes; m = {m} would need {2**m} columns for each of "
            f"{k} groups, more than the {MAX_CELLS} cells that are allowed. Use fewer bits, or "
            "`neuron_tables` for the sum over single bits (which is no bound on the whole)."
        )


def joint_table(logits: Logits, groups: Groups, k: int) -> Float[Tensor, "k c"]:
    r"""Counts, in expectation, how often each group meets each code.

    Exact, and differentiable once. Tables of disjoint rows add up.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, whole numbers from 0 to k - 1, with shape :math:`(n,)`.
        k: The number of groups. One that has no row gets a row of zeros.

    Returns:
        The expected counts, with shape :math:`(k, 2^m)`. They sum to :math:`n`.

    Raises:
        ValueError: If the logits are not finite, the groups do not fit them, or the table would
            have more than `MAX_CELLS` cells.

    Example:
        >>> xor = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> joint_table(xor, torch.tensor([0, 1, 1, 0]), k=2)
        tensor([[1., 0., 0., 1.],
                [0., 1., 1., 0.]])
    """

    check_logits("joint_table", logits)
    check_groups("joint_table", groups, logits.shape[0], k)
    check_cells("joint_table", logits.shape[1], k)

    return _JointTable.apply(logits, groups, k)


def neuron_tables(logits: Logits, groups: Groups, k: int) -> NeuronTables:
    """The table of every bit alone, with shape :math:`(m, k, 2)`: what the paper's sum reads.

    Example:
        >>> xor = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> neuron_tables(xor, torch.tensor([0, 1, 1, 0]), k=2)[0]
        tensor([[1., 1.],
                [1., 1.]])
    """

    check_logits("neuron_tables", logits)
    check_groups("neuron_tables", groups, logits.shape[0], k)

    member = F.one_hot(groups.long(), k).to(logits)
    pairs = torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)

    return torch.einsum("nk,nmb->mkb", member, pairs)


@torch.no_grad()
def squared_table(logits: Logits, groups: Groups, k: int) -> Float[Tensor, "k c"]:
    r"""The squared likelihoods, summed, :math:`\sum_{i : g_i = g} p(t | x_i)^2`: no gradient.

    Together with the table it tells how far the rows of a group differ: see `bitveil.finite`.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.

    Example:
        >>> squared_table(torch.zeros(3, 1), torch.tensor([0, 0, 1]), k=2)
        tensor([[0.5000, 0.5000],
                [0.2500, 0.2500]])
    """

    check_logits("squared_table", logits)
    check_groups("squared_table", groups, logits.shape[0], k)
    check_cells("squared_table", logits.shape[1], k)

    return _forward(logits, groups, k, power=2)


def observed_table(codes: Indices, groups: Groups, k: int, c: int) -> Float[Tensor, "k c"]:
    """Counts how often each group met each code: the table of drawn or foreign codes.

    Arguments:
        codes: The number of each row's code, from 0 to c - 1, with shape :math:`(n,)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        c: The number of codes.

    Example:
        >>> observed_table(torch.tensor([0, 2, 2]), torch.tensor([0, 0, 1]), k=2, c=3)
        tensor([[1., 0., 1.],
                [0., 0., 1.]])
    """

    check_groups("observed_table", groups, codes.shape[0], k)
    check_groups("observed_table", codes, codes.shape[0], c)
    counts = torch.bincount(groups.long() * c + codes.long(), minlength=k * c)

    return counts.to(torch.get_default_dtype()).view(k, c)


def pair_groups(y: Groups, s: Groups, k: int) -> Groups:
    """One group for each pair (y, s), `y * k + s`: a table over pairs is `table.view(-1, k, c)`.

    Example:
        >>> pair_groups(torch.tensor([0, 1]), torch.tensor([1, 1]), k=2)
        tensor([1, 3])
    """

    return y * k + s


class _JointTable(torch.autograd.Function):
    """The expected counts with their own backward: one product forth, two back."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, groups: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(logits, groups)
        ctx.k = k

        return _forward(logits, groups, k)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, groups = ctx.saved_tensors
        backward = _backward_dense if logits.shape[1] <= _DENSE_BITS else _backward_halves

        return backward(logits, groups, grad), None, None


def _forward(logits: Tensor, groups: Tensor, k: int, power: int = 1) -> Tensor:
    """The sum over each group's rows of the likelihood of every code, to a power."""

    forward = _forward_dense if logits.shape[1] <= _DENSE_BITS else _forward_halves

    return forward(logits, groups, k, power)


def _forward_dense(logits: Tensor, groups: Tensor, k: int, power: int) -> Tensor:
    member = groups == torch.arange(k, device=groups.device).unsqueeze(1)

    return member.to(logits) @ _likelihood(_pairs(logits) ** power).T


def _backward_dense(logits: Tensor, groups: Tensor, grad: Tensor) -> Tensor:
    pairs = _pairs(logits)
    weight = _likelihood(pairs) * grad.T[:, groups]

    return (_codes(logits.shape[1], logits) @ weight - pairs[:, 1] * weight.sum(0)).T


def _forward_halves(logits: Tensor, groups: Tensor, k: int, power: int) -> Tensor:
    h = logits.shape[1] // 2
    table = logits.new_zeros(k, 2**h, 2 ** (logits.shape[1] - h))

    for rows, segments in _chunks(groups, k, h):
        pairs = _pairs(logits[rows]) ** power
        left, right = _likelihood(pairs[:h]), _likelihood(pairs[h:])
        for g, segment in segments:
            table[g].addmm_(left[:, segment], right[:, segment].T)

    return table.flatten(1)


def _backward_halves(logits: Tensor, groups: Tensor, grad: Tensor) -> Tensor:
    m = logits.shape[1]
    h = m // 2
    grad = grad.reshape(-1, 2**h, 2 ** (m - h))
    left_codes, right_codes = _codes(h, logits), _codes(m - h, logits)
    result = torch.empty_like(logits)

    for rows, segments in _chunks(groups, grad.shape[0], h):
        pairs = _pairs(logits[rows])
        left, right = _likelihood(pairs[:h]), _likelihood(pairs[h:])
        weight_left, weight_right = torch.empty_like(left), torch.empty_like(right)
        for g, segment in segments:
            torch.mm(grad[g], right[:, segment], out=weight_left[:, segment])
            torch.mm(grad[g].T, left[:, segment], out=weight_right[:, segment])
        weight_left *= left
        weight_right *= right
        sums = torch.cat([left_codes @ weight_left, right_codes @ weight_right])
        result[rows] = (sums - pairs[:, 1] * weight_left.sum(0)).T

    return result


def _chunks(
    groups: Tensor, k: int, h: int
) -> Iterator[tuple[Tensor | slice, list[tuple[int, slice]]]]:
    """Chunks of rows, ordered by group, and where in each chunk which group lies."""

    n, size = groups.shape[0], max(512, _CACHED >> h)
    order = None if k == 1 else groups.argsort()
    stops = [n] if k == 1 else torch.bincount(groups, minlength=k).cumsum(0).tolist()

    for start in range(0, n, size):
        stop = min(start + size, n)
        segments = [
            (g, slice(max(first, start) - start, min(last, stop) - start))
            for g, (first, last) in enumerate(zip([0, *stops], stops, strict=False))
            if max(first, start) < min(last, stop)
        ]
        yield (slice(start, stop) if order is None else order[start:stop]), segments


def _pairs(logits: Tensor) -> Tensor:
    """The probabilities of 0 and of 1, rows last: shape (m, 2, n). Neither is ever 1 - the other,
    which would round small ones away.
    """

    rows_last = logits.T

    return torch.stack([(-rows_last).sigmoid(), rows_last.sigmoid()], 1)


def _likelihood(pairs: Tensor) -> Tensor:
    """The probabilities of all codes of a half, rows last: shape (2^h, n).

    An outer product of the likelihoods of its halves in turn: each number is written once, and
    neighbouring rows lie next to each other.
    """

    h = pairs.shape[0]
    if h <= 1:
        return pairs[0] if h else pairs.new_ones(1, pairs.shape[-1])
    left, right = _likelihood(pairs[: h // 2]), _likelihood(pairs[h // 2 :])

    return (left.unsqueeze(1) * right.unsqueeze(0)).flatten(0, 1)


def _codes(m: int, like: Tensor) -> Tensor:
    return all_codes(m, like=like).T.contiguous()
