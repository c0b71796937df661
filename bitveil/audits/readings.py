"""The information of sets of parts of a code about one attribute.

A *part* of a code is one of its bits, or one of its columns where other values are published.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from scipy.special import chdtrc
from scipy.stats import random_table
from torch import Tensor

from bitveil.audits.published import PublishedCodes
from bitveil.information import BITS, chi_square_information, mutual_information

__all__ = ["Readings"]


_DENSE_CELLS = 2**16  # up to this many codes all sets of parts are read from one table
_ROWS_A_CODE = 20  # with fewer rows the information by chance is drawn, not calculated
_TABLES = 30  # the tables that are drawn for it


class Readings:
    """The information of sets of parts about one attribute, in bits.

    Counts of drawn codes show too much information, the more the larger the set. So the mean
    information of tables with independent codes and groups is subtracted. With many rows for each
    code it is about (cells - rows - columns + 1) / 2n nats (Miller, 1955). With few rows such
    tables are drawn. Expected counts are read as they are.

    Whoever sees a part of the code also sees whether the row is blank. So a blank counts as one
    more value of every part.
    """

    def __init__(self, published: PublishedCodes, groups: Tensor, k: int) -> None:
        self.published, self.groups, self.k = published, groups, k
        self.whole = published.tables(groups, k).groups
        cards = [len(values) for values in published.values]
        self.dense = self._dense(cards) if math.prod(cards) <= _DENSE_CELLS else None

    def _dense(self, cards: list[int]) -> Tensor:
        """The table with one axis for the group and one for each part."""

        if self.published.draws == "soft":
            return self.whole.view(self.k, *cards)
        parts = self.published.parts
        numbers = torch.from_numpy(np.ravel_multi_index(tuple(parts.T), cards))
        flat = self.groups * math.prod(cards) + numbers

        return (
            torch.bincount(flat, minlength=self.k * math.prod(cards)).double().view(self.k, *cards)
        )

    def table(self, parts: Sequence[int]) -> Tensor:
        """The counts over (group, values of these parts, or blank)."""

        blank = self.published.blank

        return self._counts(parts if blank is None else sorted({*parts, blank}))

    def _counts(self, parts: Sequence[int]) -> Tensor:
        if self.dense is None:
            return self.published.tables(self.groups, self.k, parts=parts).groups
        others = [1 + j for j in range(self.dense.ndim - 1) if j not in set(parts)]

        return (self.dense.sum(others) if others else self.dense).flatten(1)

    def __call__(self, parts: Sequence[int]) -> float:
        """What these parts reveal together."""

        return self._bits(self.table(parts))

    def given_others(self, part: int) -> float | None:
        """What a part reveals beyond the others; None if there are too few rows to read."""

        if not self.readable:
            return None
        others = [j for j in range(len(self.published.names)) if j != part]

        return max(0.0, self.of_all - (self._bits(self._counts(others)) if others else 0.0))

    @cached_property
    def of_all(self) -> float:
        """What the whole code reveals."""

        return self._bits(self.whole)

    @property
    def readable(self) -> bool:
        """Whether there are enough rows to read the whole code."""

        expected = self.published.draws == "soft"

        return expected or self.whole.shape[1] * _ROWS_A_CODE < len(self.published)

    def beyond_chance(self, parts: Sequence[int], looked_at: int) -> bool:
        """Whether fewer than one table in twenty of a blind code would show this much.

        Pearson's test, with the level divided among the sets that were examined. It is made for
        drawn counts; expected counts vary less.
        """

        table = self.table(parts)
        k, codes = (int((table.sum(axis) > 0).sum()) for axis in (1, 0))
        statistic = table.sum().item() * chi_square_information(table).item()

        return bool(chdtrc((k - 1) * (codes - 1), statistic) < 0.05 / looked_at)

    def _bits(self, table: Tensor) -> float:
        nats = mutual_information(table).item()
        if self.published.draws == "hard":
            nats -= _information_by_chance(table)

        return max(0.0, nats * BITS)


def _information_by_chance(table: Tensor) -> float:
    """The mean information in nats that counts of independent codes and groups show."""

    counts = table[table.sum(1) > 0][:, table.sum(0) > 0]
    k, c = counts.shape
    if c * _ROWS_A_CODE < counts.sum():
        return max(0, int((counts > 0).sum()) - k - c + 1) / (2 * counts.sum().item())
    if min(k, c) < 2:
        return 0.0
    margins = [counts.sum(axis).long().numpy() for axis in (1, 0)]
    drawn = random_table(*margins, seed=0).rvs(_TABLES)

    return mutual_information(torch.from_numpy(drawn).double()).mean().item()
