r"""Codes: all codes, drawn codes, their likelihoods and their bytes.

A row with logits :math:`\ell` has the code :math:`t \in \{0, 1\}^m` with probability

.. math:: p(t | x) = \prod_j \theta_j^{t_j} (1 - \theta_j)^{1 - t_j},
    \qquad \theta_j = \sigma(\ell_j)

since the bits are independent given the row. The first bit is the most significant one: of the
codes of two bits, number 2 is `10`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from numpy.typing import NDArray
from torch import Tensor

from bitveil.shapes import Indices, Likelihoods, Logits

__all__ = [
    "all_codes",
    "check_logits",
    "code_index",
    "code_likelihood",
    "draw",
    "drawing_part",
    "pack",
    "unpack",
]

_DRAWN_PART: ContextVar[tuple[slice, int] | None] = ContextVar("part", default=None)
"""Which of how many rows are drawn, in this thread alone; None: all."""


def check_logits(name: str, logits: Tensor) -> None:
    """Refuse logits that are not a finite floating-point matrix with at least one bit."""

    if logits.ndim != 2 or logits.shape[1] == 0 or not logits.is_floating_point():
        raise ValueError(
            f"`{name}` expects `logits` as a floating-point tensor of shape (n, m) with m >= 1, "
            f"got {logits.dtype} of shape {tuple(logits.shape)}."
        )
    if torch.compiler.is_compiling() or isfinite(logits.detach().sum().item()):
        return  # one pass over finite logits
    if not logits.isfinite().all():
        raise ValueError(
            f"`{name}` expects finite `logits`, got NaN or infinite ones. A bit that is always 0 "
            "or 1 has a large finite logit (±200). NaN usually means that training diverged: "
            "lower the learning rate."
        )


def all_codes(m: int, *, like: Tensor | None = None) -> Float[Tensor, "c m"]:
    """All codes of `m` bits in the order of their numbers, with shape :math:`(2^m, m)`.

    Arguments:
        m: The number of bits.
        like: A tensor with the dtype and the device of the result.

    Example:
        >>> all_codes(2)
        tensor([[0., 0.],
                [0., 1.],
                [1., 0.],
                [1., 1.]])
    """

    device = None if like is None else like.device
    shifts = torch.arange(m - 1, -1, -1, device=device)
    bits = (torch.arange(2**m, device=device).unsqueeze(1) >> shifts) & 1

    return bits.to(torch.get_default_dtype() if like is None else like.dtype)


def code_index(bits: Num[Tensor, "n m"]) -> Indices:
    """The number of each row's code, with shape :math:`(n,)`.

    Example:
        >>> code_index(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        tensor([2, 3])
    """

    m = bits.shape[-1]
    if m > 62:
        raise ValueError(
            f"`code_index` numbers codes of at most 62 bits, got {m}. Pack wider codes into bytes "
            "with `pack`."
        )
    weights = 2 ** torch.arange(m - 1, -1, -1, device=bits.device)

    return (bits.long() * weights).sum(-1)


def code_likelihood(logits: Logits) -> Likelihoods:
    r"""The probability of every code given each row, with shape :math:`(n, 2^m)`.

    Rows sum to one. If a logit is so large that its bit is always 0 or 1, codes with the other
    value have the probability 0.

    Example:
        >>> code_likelihood(torch.tensor([[0.0, 200.0]]))
        tensor([[0.0000, 0.5000, 0.0000, 0.5000]])
    """

    # Starting with the last bit makes each new bit the more significant one, so that the rows of
    # the growing matrix stay contiguous.
    likelihood = logits.new_ones(1, logits.shape[0])
    for one, zero in zip(logits.sigmoid().T.flip(0), (-logits).sigmoid().T.flip(0), strict=True):
        likelihood = torch.cat([likelihood * zero, likelihood * one])

    return likelihood.T


def draw(
    logits: Float[Tensor, "*draws n m"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "*draws n m"]:
    """One draw of every bit, 0.0 or 1.0, with the shape of the logits and without a gradient.

    Example:
        >>> draw(torch.tensor([[-200.0, 200.0]]))
        tensor([[0., 1.]])
    """

    theta, part = logits.detach().sigmoid(), _DRAWN_PART.get()
    if part is None:
        return torch.bernoulli(theta, generator=generator)

    return _part_of_draw(theta, *part, generator)


@contextmanager
def drawing_part(part: slice, n: int) -> Iterator[None]:
    """Let `draw` give a part of n rows the bits that it would give them among all n.

    So several processes, each with a part of the rows, draw what one process would. This holds for
    this thread alone.

    Example:
        >>> logits, seed = torch.zeros(4, 3), torch.Generator().manual_seed
        >>> whole = draw(logits, generator=seed(0))
        >>> with drawing_part(slice(1, 3), 4):
        ...     torch.equal(draw(logits[1:3], generator=seed(0)), whole[1:3])
        True
    """

    before = _DRAWN_PART.set((part, n))
    try:
        yield
    finally:
        _DRAWN_PART.reset(before)


def _part_of_draw(theta: Tensor, part: slice, n: int, generator: torch.Generator | None) -> Tensor:
    if theta.shape[-2] != part.stop - part.start:
        raise ValueError(
            f"A part of {part.stop - part.start} rows is drawn here, got logits of shape "
            f"{tuple(theta.shape)}. A network that draws for other rows trains in one process."
        )
    whole = theta.new_zeros(*theta.shape[:-2], n, theta.shape[-1])
    whole[..., part, :] = theta

    return torch.bernoulli(whole, generator=generator)[..., part, :]


def pack(bits: NDArray[np.uint8]) -> UInt8[np.ndarray, "n bytes"]:
    """Bits as bytes of eight, the first bit highest, the last byte filled with zeros.

    Example:
        >>> pack(np.array([[1, 0, 0, 0, 0, 0, 0, 1, 1]], dtype=np.uint8))
        array([[129, 128]], dtype=uint8)
    """

    return np.packbits(bits, axis=1)


def unpack(packed: NDArray[np.uint8], m: int) -> UInt8[np.ndarray, "n m"]:
    """The `m` bits of each row of packed codes.

    Example:
        >>> unpack(np.array([[129, 128]], dtype=np.uint8), 9)
        array([[1, 0, 0, 0, 0, 0, 0, 1, 1]], dtype=uint8)
    """

    if packed.ndim != 2 or packed.shape[1] != -(-m // 8):
        raise ValueError(
            f"`unpack` expects {-(-m // 8)} bytes a row for {m} bits, got an array of shape "
            f"{packed.shape}."
        )

    return np.unpackbits(packed, axis=1, count=m)
