"""What a code means: its parts, the patterns that stand out, and the codes that reveal most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitveil.audits.parts import Part, Revealing, parts_of, revealing_parts
from bitveil.audits.patterns import Pattern, patterns_of
from bitveil.audits.published import PublishedCodes
from bitveil.audits.readings import Readings
from bitveil.distributions import given_group
from bitveil.information import BITS

__all__ = ["CodeShares", "Meaning", "meaning"]


_CELLS = 64  # the codes that are kept


@dataclass(frozen=True)
class CodeShares:
    """A code, and how often each group has it.

    Attributes:
        code: The code.
        rows: The number of rows that have it, expected or counted.
        shares: The share of each group's rows that have it.
        leak: What it adds to the information, in bits.
    """

    code: str
    rows: float
    shares: tuple[float, ...]
    leak: float


@dataclass(frozen=True)
class Meaning:
    """What the parts of a code mean.

    Attributes:
        parts: Each part.
        revealing: The fewest that reveal nine tenths; None if none reveal more than chance would.
        patterns: Patterns that single out a group, first those that reveal most.
        n_patterns: The number of patterns that were examined.
        cells: The codes that reveal most, in order. Codes with less than half a row are left out
            if there are others.
        n_cells: The number of all codes that a row has or could have.
    """

    parts: tuple[Part, ...]
    revealing: Revealing | None
    patterns: tuple[Pattern, ...]
    n_patterns: int
    cells: tuple[CodeShares, ...]
    n_cells: int


def meaning(
    published: PublishedCodes,
    s: NDArray[np.int64],
    groups: Sequence[Any],
    y: NDArray[np.int64] | None = None,
    n_classes: int = 0,
    *,
    delta: float = 0.05,
    moved: NDArray[np.float64] | None = None,
    columns: Sequence[str] = (),
) -> Meaning:
    """Find out what the parts of a code mean.

    Arguments:
        published: The codes of some rows.
        s: The number of each row's group.
        groups: The groups.
        y: The number of each row's target, or None.
        n_classes: The number of different targets.
        delta: The probability that the lower bound of any pattern may be wrong.
        moved: How much shuffling each column moves each part, with shape (columns, parts).
        columns: The names of these columns.

    Example:
        >>> bits = np.tile([[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]], (250, 1))
        >>> trap = bits[:, 0] ^ bits[:, 1]  # the third bit is a copy of the second
        >>> found = meaning(PublishedCodes.of_bits(bits[:, [0, 1]]), trap, ["f", "m"])
        >>> found.revealing.parts, round(found.revealing.information, 2), found.revealing.alone
        (('bit 0', 'bit 1'), 1.0, (0.0, 0.0))
    """

    of_group = Readings(published, torch.from_numpy(s), len(groups))
    of_target = None if y is None else Readings(published, torch.from_numpy(y), n_classes)
    patterns, looked_at = patterns_of(published, s, groups, delta)
    cells, n_cells = _cells(published, of_group.whole)

    return Meaning(
        parts_of(published, of_group, of_target, moved, columns),
        revealing_parts(published, of_group),
        patterns,
        looked_at,
        cells,
        n_cells,
    )


def _cells(published: PublishedCodes, table: Tensor) -> tuple[tuple[CodeShares, ...], int]:
    """The codes that reveal most, in order, and the number of all codes."""

    p = table / table.sum()
    q = p.sum(1, keepdim=True) * p.sum(0)
    terms = torch.special.xlogy(p, p / q.clamp_min(torch.finfo(q.dtype).tiny)) - p + q
    leak, rows, shares = terms.sum(0) * BITS, table.sum(0), given_group(table).T
    codes: Sequence[Sequence[int]]
    if published.draws == "soft":
        m = len(published.names)
        codes = [[number >> (m - 1 - j) & 1 for j in range(m)] for number in range(len(leak))]
    else:
        codes = published.numbers(range(len(published.names)))[1].tolist()
    least = min(0.5, rows.max().item())
    order = [t for t in leak.argsort(descending=True, stable=True).tolist() if rows[t] >= least]

    cells = tuple(
        CodeShares(
            published.label(codes[t]), rows[t].item(), tuple(shares[t].tolist()), leak[t].item()
        )
        for t in order[:_CELLS]
    )

    return cells, int((rows > 0).sum())
