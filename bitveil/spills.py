"""Spills: rows that wait on disk, as features, until there is an encoder to certify.

A certificate needs of each row its features, group, stratum and name, some 60 bytes. For more rows
than fit into memory they are written to a temporary folder once, and read again for every encoder
that is tested.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitveil.coder import frozen_layers, published_tables, shown_rows
from bitveil.frozen import freeze
from bitveil.group_tables import GroupTables

__all__ = ["Spill", "SpilledRows"]


class SpilledRows(NamedTuple):
    """Some rows: their features, groups, strata (or -1), and the bytes that decide their draws."""

    x: NDArray[np.float32]
    groups: NDArray[np.int64]
    strata: NDArray[np.int64]
    names: NDArray[np.uint8]


class Spill:
    """Rows for certification in a folder, counted batch by batch.

    Arguments:
        folder: An empty folder.
        n_strata: The number of strata.
        n_groups: The number of groups.
        n_bits: The number of bits of a code.
        listed: Whether all codes are listed.

    Attributes:
        sizes: How many rows there are, over (stratum, group): tables of one code for all.

    Example:
        >>> spill = Spill(getfixture("tmp_path"), 0, 2, n_bits=1, listed=True)
        >>> names, none = np.zeros((2, 16), dtype=np.uint8), np.array([-1, -1])
        >>> spill.add(SpilledRows(np.zeros((2, 1), np.float32), np.array([0, 1]), none, names))
        >>> spill.sizes.rows.tolist()
        [[1, 1]]
        >>> spill.count(nn.Identity().double(), key=bytes(32), draws="soft").groups
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]], dtype=torch.float64)
    """

    def __init__(
        self, folder: Path, n_strata: int, n_groups: int, *, n_bits: int, listed: bool
    ) -> None:
        self.folder, self.n_bits, self.listed = folder, n_bits, listed
        self.n_strata, self.n_groups, self.n_batches = n_strata, n_groups, 0
        none = np.zeros(0, dtype=np.int64)
        self.sizes = self._sizes(none, none)

    def add(self, rows: SpilledRows) -> None:
        """Write some rows."""

        np.savez(self.folder / f"{self.n_batches}.npz", *rows)
        self.n_batches += 1
        self.sizes = self.sizes + self._sizes(rows.strata, rows.groups)

    def __iter__(self) -> Iterator[SpilledRows]:
        for number in range(self.n_batches):
            with np.load(self.folder / f"{number}.npz") as kept:
                yield SpilledRows(*(kept[name] for name in kept.files))

    def count(
        self, encoder: nn.Module, share: float = 1.0, *, key: bytes, draws: str
    ) -> GroupTables:
        """Count the codes of all rows: see `bitveil.coder.count_codes`."""

        first, *others = (self._count(rows, encoder, share, key, draws) for rows in self)
        for tables in others:
            first = first + tables

        return first

    @torch.no_grad()
    def _count(
        self, rows: SpilledRows, encoder: nn.Module, share: float, key: bytes, draws: str
    ) -> GroupTables:
        with frozen_layers(encoder, rows.names, key):
            logits = encoder(torch.from_numpy(rows.x).double())
        cells = (rows.strata, rows.groups)
        if draws != "hard":
            strata, groups = map(torch.from_numpy, cells)
            return GroupTables.expected(logits, strata, groups, self.n_strata, self.n_groups)
        bits = freeze(logits.sigmoid().numpy(), rows.names, key)
        if share < 1:
            shown = shown_rows(rows.names, key, share)[:, None]
            bits = np.hstack([bits * shown, ~shown]).astype(np.uint8)

        return published_tables(
            bits, *cells, self.n_strata, self.n_groups, n_bits=self.n_bits, listed=self.listed
        )

    def _sizes(self, strata: NDArray[np.int64], groups: NDArray[np.int64]) -> GroupTables:
        one_code = torch.zeros(len(groups), dtype=torch.int64)
        cells = torch.from_numpy(strata), torch.from_numpy(groups)

        return GroupTables.observed(one_code, *cells, self.n_strata, self.n_groups, c=1)
