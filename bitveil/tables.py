r"""Tables: the expected number of rows of each group that get each code.

.. math:: N(g, t) = \sum_{i : g_i = g} p(t | x_i)

Given :math:`x` the two halves of a code are independent. The table of a group is therefore one
matrix product between the likelihoods of the halves, :math:`N_g = A_g B_g^\top` with :math:`A_g`
of shape :math:`(2^{\lfloor m/2 \rfloor}, n_g)`, and its gradient is two more products of the same
size. With :math:`G = \partial L / \partial N` and :math:`W = G_{g_i}(t)\, p(t | x_i)`,

.. math:: \frac{\partial L}{\partial \ell_{ij}} = \sum_t W_i(t) (t_j - \theta_{ij}),

which is finite, and correct, where a bit is exactly 0 or 1. Chunks of rows keep the halves in the
processor's cache, so that memory stays :math:`O(k 2^m + \text{chunk} \cdot
2^{m/2})`.

Tables of disjoint rows add up over batches, files and machines. Add tables, never informations:
the information of all rows is not the mean over batches.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.codes import all_codes, check_logits
from bitveil.shapes import Groups, Indices, Logits, NeuronTables, Weights

__all__ = [
    "MAX_CELLS",
    "check_cells",
    "check_groups",
    "joint_table",
    "moment_table",
    "neuron_tables",
    "observed_table",
    "pair_groups",
    "squared_table",
    "summed_table",
]

MAX_CELLS = 2**28
"""The most cells of a table: 1 GiB in float32. Readings need a few copies of it."""

_FEW_BITS = 5  # up to here one product for all groups is faster than sorting by group,
_FEW = 2**16  # and with few rows also up to this many likelihoods
_MAX_LISTED = 2**24  # list all codes of all rows up to this many likelihoods
_CACHED = 2**19  # likelihoods of a half in a chunk: they fit into the processor's cache
_KEPT = 2**22  # keep up to this many likelihoods of halves for the backward pass


def check_groups(name: str, groups: Tensor, n: int, k: int) -> None:
    """Refuse groups that are not `n` whole numbers from 0 to `k` - 1."""

    if groups.ndim != 1 or groups.is_floating_point() or groups.shape[0] != n:
        raise ValueError(
            f"`{name}` expects one whole number for each row as group, an integer tensor of shape "
            f"({n},), got {groups.dtype} of shape {tuple(groups.shape)}. For other labels use "
            "`numpy.unique(labels, return_inverse=True)`."
        )
    least, most = map(int, groups.aminmax()) if n else (0, 0)
    if least < 0 or most >= max(k, 1):
        raise ValueError(
            f"`{name}` expects groups from 0 to k - 1 = {k - 1}, got {least} to {most}. "
            "Pass a larger `k`, or number the groups from 0."
        )


def check_cells(name: str, m: int, k: int) -> None:
    """Refuse a table that is too large."""

    if k < 1:
        raise ValueError(f"`{name}` expects at least one group, got k = {k}.")
    if k << m > MAX_CELLS:
        raise ValueError(
            f"`{name}` lists all 2**m codes; m = {m} would need {2**m} columns for each of "
            f"{k} groups, more than the {MAX_CELLS} cells that are allowed. Use fewer bits, or "
            "`neuron_tables` for the sum over single bits (which does not bound the whole code)."
        )


def joint_table(
    logits: Logits, groups: Groups, k: int, *, weights: Weights | None = None
) -> Float[Tensor, "k c"]:
    r"""The expected number of rows of each group with each code.

    Exact, and differentiable once. Tables of disjoint rows add up.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, whole numbers from 0 to k - 1, with shape :math:`(n,)`.
        k: The number of groups. A group without rows gets a row of zeros.
        weights: How much each row counts, with shape :math:`(n,)`; None: 1.

    Returns:
        The expected counts, with shape :math:`(k, 2^m)`. They sum to :math:`n`, or to the sum of
        the weights.

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
    _check_row_weights("joint_table", weights, logits.shape[0])

    return _JointTable.apply(logits, groups, k, weights)


def moment_table(logits: Logits, values: Float[Tensor, "n d"]) -> Float[Tensor, "d c"]:
    r"""The expected sum of the values of the rows with each code.

    .. math:: M_j(t) = \sum_i v_{ij}\, p(t | x_i)

    Divided by the counts of a table it is the mean of a value given the code,
    :math:`E[v_j | t]`, which is the best guess of a number from the code. Exact, and
    differentiable once.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        values: The numbers of each row, with shape :math:`(n, d)`.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0], [200.0]])
        >>> moment_table(logits, torch.tensor([[1.0], [2.0], [4.0]]))
        tensor([[1., 6.]])
    """

    check_logits("moment_table", logits)
    check_cells("moment_table", logits.shape[1], values.shape[1])
    if logits.shape[0] << logits.shape[1] <= _MAX_LISTED:
        return (_likelihood(_pairs(logits)) @ values.to(logits)).T

    return _MomentTable.apply(logits, values.to(logits))


def neuron_tables(
    logits: Logits, groups: Groups, k: int, *, weights: Weights | None = None
) -> NeuronTables:
    """The table of each bit alone, with shape :math:`(m, k, 2)`, for the paper's sum.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        weights: How much each row counts, with shape :math:`(n,)`; None: 1.

    Example:
        >>> xor = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> neuron_tables(xor, torch.tensor([0, 1, 1, 0]), k=2)[0]
        tensor([[1., 1.],
                [1., 1.]])
    """

    check_logits("neuron_tables", logits)
    check_groups("neuron_tables", groups, logits.shape[0], k)
    _check_row_weights("neuron_tables", weights, logits.shape[0])

    member = F.one_hot(groups.long(), k).to(logits)
    if weights is not None:
        member = member * weights.to(logits).unsqueeze(1)
    pairs = torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)

    return torch.einsum("nk,nmb->mkb", member, pairs)


@torch.no_grad()
def squared_table(logits: Logits, groups: Groups, k: int) -> Float[Tensor, "k c"]:
    r"""The sum of squared likelihoods, :math:`\sum_{i : g_i = g} p(t | x_i)^2`, without gradient.

    Together with the table it shows how much the rows of a group differ: see
    `bitveil.finite_samples`.

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

    return _products(logits, _chunks(logits, groups, k, power=2), k)


def observed_table(codes: Indices, groups: Groups, k: int, c: int) -> Float[Tensor, "k c"]:
    """The number of rows of each group with each code, for codes that were drawn.

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


def summed_table(
    chances: Float[Tensor, "n c"], groups: Groups, k: int, *, weights: Weights | None = None
) -> Float[Tensor, "k c"]:
    """The sum of the rows of each group: expected counts, if the rows are chances of codes.

    Arguments:
        chances: The probability of each code, with shape :math:`(n, c)`.
        groups: The groups, with shape :math:`(n,)`.
        k: The number of groups.
        weights: How much each row counts, with shape :math:`(n,)`; None: 1.

    Example:
        >>> summed_table(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 0]), k=1)
        tensor([[1.5000, 0.5000]])
    """

    check_groups("summed_table", groups, len(chances), k)
    counted = chances if weights is None else chances * weights.to(chances).unsqueeze(1)

    return chances.new_zeros(k, chances.shape[1]).index_add(0, groups, counted)


def pair_groups(y: Groups, s: Groups, k: int) -> Groups:
    """A number for each pair (y, s), `y * k + s`. A table over pairs is `table.view(-1, k, c)`.

    Example:
        >>> pair_groups(torch.tensor([0, 1]), torch.tensor([1, 1]), k=2)
        tensor([1, 3])
    """

    return y * k + s


class _Chunk(NamedTuple):
    """Some rows, ordered by group, with all that both passes need."""

    rows: Tensor
    groups: list[int]  # the groups that have rows here
    sizes: list[int]  # and how many
    pairs: Tensor  # the probabilities of 0 and 1, with shape (m, 2, rows)
    left: Tensor  # the likelihoods of the left half's codes, with shape (2^h, rows)
    right: Tensor

    def by_group(self, *of_rows: Tensor) -> Iterator[tuple[Any, ...]]:
        """The number of each group, and its columns of each matrix."""

        parts = [matrix.split(self.sizes, 1) for matrix in of_rows]

        return zip(self.groups, *parts, strict=True)


class _JointTable(torch.autograd.Function):
    """The expected counts with a backward of their own: one product forward, two backward."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, groups: Tensor, k: int, weights: Tensor | None
    ) -> Tensor:
        weights = None if weights is None else weights.to(logits)
        n, m = logits.shape
        h = max(0, m - (k - 1).bit_length()) // 2  # so that both factors have few rows
        if (m <= _FEW_BITS or n << m <= _FEW) and n * k << h <= _MAX_LISTED:
            pairs = _pairs(logits)
            left, right = _likelihood(pairs[:h]), _likelihood(pairs[h:])
            left = (_member(groups, k, weights) * left).flatten(0, 1)
            ctx.save_for_backward(pairs, left, right)
            return (left @ right.T).view(k, 2**m)

        keep = n << (m + 1) // 2 <= _KEPT
        chunks = list(_chunks(logits, groups, k)) if keep else None
        ctx.save_for_backward(logits, groups)
        ctx.chunks, ctx.weights = chunks, weights

        return _products(logits, chunks or _chunks(logits, groups, k), k, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        if len(ctx.saved_tensors) == 3:
            pairs, left, right = ctx.saved_tensors
            grad = grad.reshape(len(left), len(right))
            slope = _slope(pairs, (left, right), (grad @ right, grad.T @ left))
            return slope.T, None, None, None

        logits, groups = ctx.saved_tensors
        result = _products_back(logits, ctx.chunks or _chunks(logits, groups, len(grad)), grad)

        return result if ctx.weights is None else result * ctx.weights[:, None], None, None, None


class _MomentTable(torch.autograd.Function):
    """The summed values with a backward of their own. The columns share likelihoods."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, values: Tensor) -> Tensor:
        keep = len(logits) << (logits.shape[1] + 1) // 2 <= _KEPT
        ctx.chunks = list(_chunks(logits, _one_group(logits), 1)) if keep else None
        ctx.save_for_backward(logits, values)
        h, m = logits.shape[1] // 2, logits.shape[1]
        table = logits.new_zeros(values.shape[1], 2**h, 2 ** (m - h))
        for chunk in ctx.chunks or _chunks(logits, _one_group(logits), 1):
            for of, column in zip(table, values[chunk.rows].T.contiguous(), strict=True):
                of.addmm_(chunk.left * column, chunk.right.T)

        return table.flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, values = ctx.saved_tensors
        m = logits.shape[1]
        grad = grad.reshape(len(grad), 2 ** (m // 2), 2 ** (m - m // 2))
        result = logits.new_empty(m, len(logits))  # rows last, where scattering is fast
        for chunk in ctx.chunks or _chunks(logits, _one_group(logits), 1):
            weight_left, weight_right = map(torch.zeros_like, (chunk.left, chunk.right))
            for of, column in zip(grad, values[chunk.rows].T.contiguous(), strict=True):
                weight_left.addmm_(of, chunk.right * column)
                weight_right.addmm_(of.T, chunk.left * column)
            halves = (chunk.left, chunk.right)
            slope = _slope(chunk.pairs, halves, (weight_left, weight_right))
            result.scatter_(1, chunk.rows.expand(m, -1), slope)

        return result.T, None


def _one_group(logits: Tensor) -> Tensor:
    return torch.zeros(len(logits), dtype=torch.long, device=logits.device)


def _check_row_weights(name: str, weights: Tensor | None, n: int) -> None:
    if weights is not None and (weights.shape != (n,) or not weights.isfinite().all()):
        raise ValueError(
            f"`{name}` expects one finite weight for each of the {n} rows, got a tensor of shape "
            f"{tuple(weights.shape)}."
        )


def _products(
    logits: Tensor, chunks: Iterable[_Chunk], k: int, weights: Tensor | None = None
) -> Tensor:
    """The sum over chunks of one product of halves for each group."""

    m = logits.shape[1]
    table = logits.new_zeros(k, 2 ** (m // 2), 2 ** (m - m // 2))
    tables = table.unbind()
    for chunk in chunks:
        left = chunk.left if weights is None else chunk.left * weights[chunk.rows]
        for g, of_left, of_right in chunk.by_group(left, chunk.right):
            tables[g].addmm_(of_left, of_right.T)

    return table.flatten(1)


def _products_back(logits: Tensor, chunks: Iterable[_Chunk], grad: Tensor) -> Tensor:
    """The gradient of the logits: two products for each group of each chunk."""

    m = logits.shape[1]
    grads = grad.reshape(-1, 2 ** (m // 2), 2 ** (m - m // 2)).unbind()
    result = logits.new_empty(m, len(logits))  # rows last, where scattering is fast

    for chunk in chunks:
        halves = (chunk.left, chunk.right)
        weights = [torch.empty_like(half) for half in halves]
        for g, left, right, weight_left, weight_right in chunk.by_group(*halves, *weights):
            torch.mm(grads[g], right, out=weight_left)
            torch.mm(grads[g].T, left, out=weight_right)
        slope = _slope(chunk.pairs, halves, weights)
        result.scatter_(1, chunk.rows.expand(m, -1), slope)

    return result.T


def _slope(pairs: Tensor, halves: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The gradient of the logits, rows last, from likelihoods of two halves and their gradients.

    The left half may list its codes once for each group. The weights are multiplied in place.
    """

    m, bits = len(pairs), len(halves[1]).bit_length() - 1
    of_left, of_right = (
        _codes_last(width, len(half) >> width, half.dtype, half.device) @ weight.mul_(half)
        for width, half, weight in zip((m - bits, bits), halves, weights, strict=True)
    )
    sums = torch.cat([of_left[:-1], of_right[:-1]])

    return sums.addcmul_(pairs[:, 1], of_left[-1], value=-1)


def _chunk_size(logits: Tensor) -> int:
    return max(512, _CACHED >> (logits.shape[1] // 2))


def _chunks(logits: Tensor, groups: Tensor, k: int, power: int = 1) -> Iterator[_Chunk]:
    """Chunks of rows, ordered by group, with a power of the likelihoods of their halves."""

    n, size, h = logits.shape[0], _chunk_size(logits), logits.shape[1] // 2
    order = groups.argsort()
    stops = torch.bincount(groups, minlength=k).cumsum(0).tolist()

    for start in range(0, n, size):
        stop = min(start + size, n)
        sizes = {
            g: min(last, stop) - max(first, start)
            for g, (first, last) in enumerate(pairwise([0, *stops]))
            if max(first, start) < min(last, stop)
        }
        pairs = _pairs(logits.index_select(0, order[start:stop]))
        if power != 1:
            pairs = pairs**power
        left, right = _likelihood(pairs[:h]), _likelihood(pairs[h:])
        yield _Chunk(order[start:stop], [*sizes], [*sizes.values()], pairs, left, right)


def _member(groups: Tensor, k: int, weights: Tensor | None) -> Tensor:
    """How much each row counts in each group, with shape (k, 1, n)."""

    member = groups == torch.arange(k, device=groups.device)[:, None, None]

    return member if weights is None else member * weights


def _pairs(logits: Tensor) -> Tensor:
    """The probabilities of 0 and of 1, rows last, with shape (m, 2, n).

    Neither is computed as one minus the other, which would round small ones away.
    """

    rows_last = logits.T

    return torch.stack([-rows_last, rows_last], 1).sigmoid_()


def _likelihood(pairs: Tensor) -> Tensor:
    """The probabilities of all codes of some bits, rows last, with shape (2^bits, n).

    Neighbouring bits are multiplied, all pairs of them in one call, then pairs of pairs, and so
    on. Each number of the result is written once, and neighbouring rows lie next to each other.
    """

    h = len(pairs)
    if not h:
        return pairs.new_ones(1, pairs.shape[-1])
    if h & (h - 1):
        whole = 1 << (h.bit_length() - 1)  # the largest power of two below h
        left, right = _likelihood(pairs[:whole]), _likelihood(pairs[whole:])
        return (left.unsqueeze(1) * right).flatten(0, 1)
    while len(pairs) > 1:
        pairs = (pairs[::2].unsqueeze(2) * pairs[1::2].unsqueeze(1)).flatten(1, 2)

    return pairs[0]


@lru_cache(maxsize=64)
def _codes_last(m: int, times: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """All codes of m bits, codes last, and a row of ones: shape (m + 1, times * 2^m)."""

    codes = all_codes(m, like=torch.empty(0, dtype=dtype, device=device)).T

    return torch.cat([codes, codes.new_ones(1, codes.shape[1])]).repeat(1, times)
