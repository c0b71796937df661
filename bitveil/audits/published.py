"""What was published: the codes of some rows, whoever made them, and how to count them.

A code is a row of *parts*: bits, or columns of any discrete values, such as the number of a
cluster, the leaf of a tree, or a postcode.

An audit counts what is published. The probabilities of a row may be counted in place of its code
only if draws are independent between rows, so only if every row has a name of its own.
`PublishedCodes.of_named` is the only way to expected counts; everything else is counted as it was
drawn. Rows with equal content and no name share a draw, and then the published map from content to
code can leak far more than its probabilities do.

An encoder may give every row one code for certain, as `bitveil.cells` does. Then expected counts
have the slack of drawn codes (`bitveil.certificates` proves it), as in a fit. Who audits must know
that of the encoder. These rows cannot show it.

If only a share of the rows get a code, one part says which rows are *blank*: see
`bitveil.certificates.dilution`. The coins of rows with names are counted in expectation too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.audits.given import (
    BLANK,
    blank_column,
    check_bits,
    check_blanks,
    check_certain,
    check_given,
    check_row_names,
    check_same_rows,
    drawn_bits,
    look_like_bits,
    numbered_columns,
)
from bitveil.checks import check_number
from bitveil.codes import check_logits
from bitveil.group_tables import GroupTables
from bitveil.repeats import check_ids
from bitveil.rows import half_of_counts, split_rows
from bitveil.tables import MAX_CELLS, joint_table, observed_table, pair_groups

__all__ = ["PublishedCodes"]

SURE = 0.01
"""A bit is sure in a row if its probability is closer than this to 0 or 1."""

_LISTED_CODES = 2**20
"""Expected counts list at most this many codes; codes of more bits are counted as drawn."""


@dataclass(frozen=True)
class PublishedCodes:
    """The codes of some rows, as the number of each part's value.

    Attributes:
        parts: The number of the value of each part, with shape (n, p).
        names: The name of each part.
        values: The values of each part, in the order of their numbers.
        logits: The logits of the bits, with shape (n, m), if every row has a name of its own.
        counts: How many rows each row of `parts` represents; None: one.
        n_distinct: The number of different codes among these rows.
        share: The probability that a row gets a code; the measured share if it is not known.
        blank: Which part says that a row is blank; None if every row has a code.
        certain: Whether the encoder gives every row one code for certain, also every new row.
    """

    parts: NDArray[np.int64]
    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    logits: Tensor | None
    counts: NDArray[np.int64] | None
    n_distinct: int
    share: float = 1.0
    blank: int | None = None
    certain: bool = False

    @classmethod
    def of(
        cls,
        codes: Any,
        logits: ArrayLike | None,
        ids: Any,
        *,
        seed: int,
        share: float = 1.0,
        certain: bool = False,
    ) -> "PublishedCodes":
        """What an audit gets: codes, or the logits and the names of rows, or both.

        Raises:
            ValueError: If there are neither codes nor logits, logits come without names, two rows
                have the same name, or `share` or `certain` does not fit.
        """

        check_number("share", share, least=0, most=1)
        check_given(codes, logits, certain=certain)
        if logits is not None:
            return cls.of_named(logits, ids, codes, seed=seed, share=share, certain=certain)
        if look_like_bits(codes) or share < 1:
            published = cls.of_bits(codes, share=share)
        else:
            published = cls.of_columns(codes)
        if ids is not None:
            check_ids(ids, len(published))

        return published

    @classmethod
    def of_bits(cls, bits: ArrayLike, *, share: float = 1.0) -> "PublishedCodes":
        """Bits as they were published, with shape (n, m).

        If only a share of the rows get a code there is one column more, which is 1 where a row is
        blank.

        Raises:
            ValueError: If they are not 0 and 1, or blank rows have bits.

        Example:
            >>> PublishedCodes.of_bits([[0, 1], [1, 1]]).names
            ('bit 0', 'bit 1')
            >>> PublishedCodes.of_bits([[1, 0], [0, 1]], share=0.5).shown
            array([ True, False])
        """

        drawn = np.asarray(bits)
        check_bits(drawn)
        names = [f"bit {j}" for j in range(drawn.shape[1])]
        if share < 1:
            check_blanks(drawn)
            names[-1] = BLANK

        return cls(
            drawn.astype(np.int64),
            tuple(names),
            ((0, 1),) * len(names),
            None,
            None,
            _distinct(drawn),
            share,
            len(names) - 1 if share < 1 else None,
        )

    @classmethod
    def of_named(
        cls,
        logits: ArrayLike,
        ids: Any,
        bits: ArrayLike | None = None,
        *,
        seed: int = 0,
        share: float = 1.0,
        certain: bool = False,
    ) -> "PublishedCodes":
        """Bits of rows that each have a name of their own, to be counted in expectation.

        Arguments:
            logits: The logits of the bits, with shape (n, m).
            ids: The name of each row. No two rows may have the same.
            bits: The published bits, as for `of_bits`; None: they are drawn from the logits.
            seed: The seed of these draws.
            share: The probability that a row gets a code. The other rows are blank.
            certain: Whether the encoder gives every row one code for certain.

        Raises:
            ValueError: If names are missing or repeated, the logits are not finite, the bits are
                not 0 and 1, their shapes differ, or codes are not as certain as they should be.

        Example:
            >>> PublishedCodes.of_named([[0.0], [9.0]], ids=["ann", "bob"]).draws
            'soft'
        """

        theta = torch.as_tensor(np.asarray(logits), dtype=torch.float64)
        check_logits("audit", theta)
        check_row_names(ids, len(theta))
        drawn = cls.of_bits(drawn_bits(theta, share, seed) if bits is None else bits, share=share)
        check_same_rows(theta, drawn.parts, share)
        if certain:
            check_certain(theta, drawn.parts, drawn.shown)

        return replace(drawn, logits=theta, certain=certain)

    @classmethod
    def of_counts(
        cls, counts: NDArray[np.int64], codes: Sequence[Any]
    ) -> "tuple[PublishedCodes, NDArray[np.int64]]":
        """A table of counts over (group, code): one row for each cell, and the group of each row.

        Example:
            >>> counts = np.array([[600, 0], [500, 400]])
            >>> published, groups = PublishedCodes.of_counts(counts, "ab")
            >>> len(published), groups.tolist()
            (1500, [0, 1, 1])
        """

        groups, numbers = np.nonzero(counts)
        values = tuple(codes)
        column = numbers.astype(np.int64)[:, None]

        return cls(
            column, ("code",), (values,), None, counts[groups, numbers], _distinct(column)
        ), groups.astype(np.int64)

    @classmethod
    def of_columns(cls, codes: Any) -> "PublishedCodes":
        """Any discrete values, in one column or in several that are published together.

        Raises:
            ValueError: If values are missing, or are not in columns.

        Example:
            >>> leaves = PublishedCodes.of_columns(["left", "right", "left"])
            >>> leaves.parts.ravel().tolist(), leaves.values
            ([0, 1, 0], (('left', 'right'),))
        """

        names, parts, values = numbered_columns(codes)
        blank = blank_column(names, parts, values)
        share = 1.0 if blank is None else float(1 - parts[:, blank].mean())

        return cls(parts, names, values, None, None, _distinct(parts), share, blank)

    def __len__(self) -> int:
        return len(self.parts) if self.counts is None else int(self.counts.sum())

    @property
    def draws(self) -> str:
        """`"soft"` if expected counts are used, `"hard"` if drawn codes are counted."""

        listed = self.logits is not None and 2 ** len(self.code_parts) <= _LISTED_CODES

        return "soft" if listed else "hard"

    @property
    def certified_as(self) -> str:
        """The argument `draws` of a certificate: `"certain"` for expected counts of such codes."""

        return "certain" if self.certain and self.draws == "soft" else self.draws

    @property
    def code_parts(self) -> tuple[int, ...]:
        """The parts of the code: all but the one that says which rows are blank."""

        return tuple(j for j in range(len(self.names)) if j != self.blank)

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """Which rows have a code."""

        everywhere = np.ones(len(self.parts), dtype=bool)

        return everywhere if self.blank is None else self.parts[:, self.blank] == 0

    @property
    def coin(self) -> float:
        """The share of each row that expected counts take for its code; 1 for drawn codes."""

        return self.share if self.draws == "soft" else 1.0

    @property
    def undiluted(self) -> "PublishedCodes":
        """The codes before the coins of expected counts; drawn codes as they are."""

        if self.coin == 1:
            return self
        parts, m = self.parts[:, :-1], len(self.code_parts)

        return replace(
            self, parts=parts, names=self.names[:m], values=self.values[:m], share=1.0, blank=None
        )

    @property
    def as_drawn(self) -> "PublishedCodes":
        """The same rows, counted as they were drawn."""

        return replace(self, logits=None)

    @property
    def counted(self) -> str:
        """What was counted, and why, as a sentence for people."""

        if self.draws == "soft":
            return "expected counts, since every row has a name of its own"
        if self.logits is not None:
            n_codes = 2 ** len(self.code_parts)
            return f"the drawn codes, since {n_codes} codes are too many to list"
        return "the codes as they were published"

    @property
    def are_bits(self) -> bool:
        """Whether every part is a bit."""

        return all(values == (0, 1) for values in self.values)

    @cached_property
    def sure(self) -> NDArray[np.int64] | None:
        """The value that each bit is sure to have in each row, or -1 where it is not sure.

        Of a row that may be blank it is the value that the bit has if the row is not blank.
        """

        if self.logits is None:
            return None
        theta = self.logits.sigmoid().numpy()
        known = np.where(theta < SURE, 0, np.where(theta > 1 - SURE, 1, -1))

        return np.pad(known, ((0, 0), (0, int(self.blank is not None))), constant_values=-1)

    def tables(
        self,
        groups: Tensor,
        k: int,
        strata: Tensor | None = None,
        n_strata: int = 0,
        *,
        rows: Tensor | slice = slice(None),
        parts: Sequence[int] | None = None,
    ) -> GroupTables:
        """The counts of some rows and parts, in double precision.

        Expected counts if `draws` is `"soft"`. Otherwise only codes that occur are listed.

        Arguments:
            groups: The group of each row.
            k: The number of groups.
            strata: The stratum of each row, or -1 where it is not known; None: not known.
            n_strata: The number of strata.
            rows: Which rows are counted.
            parts: Which parts are counted, in increasing order; None: all.
        """

        known = torch.full_like(groups, -1) if strata is None else strata
        pairs = pair_groups(torch.where(known < 0, n_strata, known), groups, k)
        cells = self._cells(pairs, (n_strata + 1) * k, rows, parts).view(n_strata + 1, k, -1)
        each = None if self.counts is None else torch.from_numpy(self.counts)[rows]
        sizes = _counted(pairs[rows], each, (n_strata + 1) * k).view(n_strata + 1, k)

        return GroupTables(cells[:n_strata], cells[n_strata], sizes)

    def _cells(
        self, groups: Tensor, k: int, rows: Tensor | slice, parts: Sequence[int] | None
    ) -> Tensor:
        chosen = range(len(self.names)) if parts is None else parts
        if self.logits is not None and self.draws == "soft":
            return self._expected_cells(groups[rows], k, rows, chosen)
        numbers, codes = self.numbers(chosen)
        c = len(codes)
        if k * c > MAX_CELLS:
            raise ValueError(f"A table of {k} groups and {c} codes does not fit into memory.")
        drawn = torch.from_numpy(numbers)
        if self.counts is None:
            return observed_table(drawn[rows], groups[rows], k, c).double()
        each = torch.from_numpy(self.counts)[rows]

        return _counted(groups[rows] * c + drawn[rows], each, k * c).double().view(k, c)

    def _expected_cells(
        self, groups: Tensor, k: int, rows: Tensor | slice, chosen: Sequence[int]
    ) -> Tensor:
        """Expected counts. If rows may be blank, the coin is a factor of every one."""

        assert self.logits is not None
        bits = [j for j in chosen if j != self.blank]
        sizes = torch.bincount(groups, minlength=k).double()
        whole = joint_table(self.logits[rows][:, bits], groups, k) if bits else sizes[:, None]
        if self.share == 1:
            return whole
        cells = whole.new_zeros(k, whole.shape[1], 2)
        cells[:, :, 0], cells[:, 0, 1] = self.share * whole, (1 - self.share) * sizes

        return cells.flatten(1) if self.blank in chosen else cells.sum(2)

    def halves(self, labels: NDArray[np.int64], seed: int) -> "tuple[_Half, _Half]":
        """Half of the rows of each label, and the other half.

        Each half has rows of every label that has two rows or more.
        """

        if self.counts is None:
            first, second = split_rows(labels, (0.5, 0.5), np.random.RandomState(seed))
            return _Half(self, torch.from_numpy(first)), _Half(self, torch.from_numpy(second))
        rng, some, every = np.random.default_rng(seed), np.zeros_like(self.counts), slice(None)
        for label in np.unique(labels):
            some[labels == label] = half_of_counts(self.counts[labels == label], rng)

        return (
            _Half(replace(self, counts=some), every),
            _Half(replace(self, counts=self.counts - some), every),
        )

    def sampled(
        self, labels: NDArray[np.int64], most: int, seed: int
    ) -> "tuple[PublishedCodes, NDArray[np.int64]]":
        """A random sample of single rows in place of counts, about this many, and their labels.

        A label keeps a thousand rows on average, or all if it has fewer.
        """

        assert self.counts is not None
        sizes = np.bincount(labels, self.counts)
        chance = np.minimum(1, np.maximum(most / len(self), 1000 / np.maximum(sizes, 1)))
        some = np.random.default_rng(seed).binomial(self.counts, chance[labels])
        rows = np.repeat(np.arange(len(labels)), some)

        return replace(self, parts=self.parts[rows], counts=None), labels[rows]

    def numbers(self, parts: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of each row's code in some parts, and the values behind each number.

        Only codes that occur are numbered. The values have shape (codes, parts).
        """

        chosen = self.parts[:, list(parts)]
        cards = [len(self.values[part]) for part in parts]
        if math.prod(cards) >= 2**62:
            codes, numbers = np.unique(chosen, axis=0, return_inverse=True)
            return numbers.ravel().astype(np.int64), codes
        flat = np.ravel_multi_index(tuple(chosen.T), cards)
        if math.prod(cards) > 2**16:
            present, numbers = np.unique(flat, return_inverse=True)
        else:  # much faster than sorting
            held = np.bincount(flat, minlength=1) > 0
            present, numbers = np.flatnonzero(held), (held.cumsum() - 1)[flat]

        return numbers.astype(np.int64), np.stack(np.unravel_index(present, cards), axis=1)

    def seen(self, most: int = 255) -> NDArray[np.uint8]:
        """What an attacker sees: bits, or one column for each value of a part.

        If a part has more than `most` values, only the most frequent ones get a column.
        """

        return np.concatenate(
            [
                column[:, None]
                if values == (0, 1)
                else column[:, None] == np.argsort(-np.bincount(column), kind="stable")[:most]
                for column, values in zip(self.parts.T, self.values, strict=True)
            ],
            axis=1,
        ).astype(np.uint8)

    def content(self) -> list["pd.Series[Any]"]:
        """The values of each part, row by row."""

        return [
            pd.Series(pd.Index(values)[column])
            for column, values in zip(self.parts.T, self.values, strict=True)
        ]

    def meant(self, parts: Sequence[int], numbers: Sequence[int]) -> tuple[Any, ...]:
        """The values of some parts, from their numbers."""

        return tuple(self.values[j][number] for j, number in zip(parts, numbers, strict=True))

    def label(self, code: Sequence[int]) -> str:
        """A code as a person reads it: bits in a row, other values with commas, or "blank"."""

        if self.blank is not None and code[self.blank]:
            return BLANK
        words = [str(self.values[j][code[j]]) for j in self.code_parts]

        return "".join(words) if self.are_bits else ", ".join(words)


class _Half(NamedTuple):
    """Some of the rows that were published."""

    published: PublishedCodes
    rows: Tensor | slice

    def tables(
        self, groups: Tensor, k: int, strata: Tensor | None = None, n_strata: int = 0
    ) -> GroupTables:
        """The counts of these rows: see `PublishedCodes.tables`."""

        return self.published.tables(groups, k, strata, n_strata, rows=self.rows)


def _counted(numbers: Tensor, each: Tensor | None, k: int) -> Tensor:
    """How many rows have each number. Whole numbers below 2^53 stay exact."""

    if each is None:
        return torch.bincount(numbers, minlength=k)

    return torch.bincount(numbers, each.double(), k).long()


def _distinct(parts: NDArray[Any]) -> int:
    return len(np.unique(parts, axis=0))
