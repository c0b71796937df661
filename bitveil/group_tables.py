"""Group tables: the counts of codes that training, audits and certificates read.

Each row has a group (a value of the sensitive attribute) and may have a stratum: the target, or
bins of it, within which a criterion compares groups. Tables of disjoint rows add up, over batches,
files and machines.
"""

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bitveil.criteria import Criterion, compared_strata, compares_within_strata
from bitveil.quotes import quoted
from bitveil.shapes import Groups, Indices, Logits, Weights
from bitveil.tables import (
    check_cells,
    check_groups,
    joint_table,
    neuron_tables,
    observed_table,
    pair_groups,
    summed_table,
)

__all__ = ["TABLES_FORMAT", "GroupTables"]

TABLES_FORMAT = "bitveil.group_tables/1"
"""The format of a file of tables."""


@dataclass(frozen=True)
class GroupTables:
    """Counts over (stratum, group, code), and over (group, code) for rows without a stratum.

    Attributes:
        known: The counts of the rows whose stratum is known, with shape (strata, k, c). Tables of
            several codes may share one record; then more dimensions come first.
        unknown: The counts of the other rows, with shape (k, c); None where there are none.
        rows: How many rows were counted, with shape (strata + 1, k). The last entry is for rows
            without a stratum. They are whole numbers even if the counts are expected or weighted.
        codes: The code that each column counts, with shape (c, parts), in increasing order; None
            where column number t counts code number t.
        weighted: Whether rows have weights. Training reads such tables. Certificates refuse them,
            because they count rows.

    Example:
        >>> a, b = GroupTables.of([[6.0, 4.0], [5, 5]]), GroupTables.of([[1.0, 0.0], [0, 2]])
        >>> (a + b).groups
        tensor([[7., 4.],
                [5., 7.]], dtype=torch.float64)
    """

    known: Float[Tensor, "*b y k c"]
    unknown: Float[Tensor, "*b k c"] | None
    rows: Int[Tensor, "z k"]
    codes: Int[Tensor, "c parts"] | None = None
    weighted: bool = False

    @classmethod
    def of(cls, counts: Any) -> Self:
        """Tables from your own counts.

        Arguments:
            counts: Counts over (group, code), with shape (k, c), or over (stratum, group, code),
                with shape (strata, k, c).

        Raises:
            ValueError: If the counts have another shape, are negative or not finite.

        Example:
            >>> GroupTables.of([[600, 400], [500, 500]]).rows
            tensor([[1000, 1000]])
        """

        table = torch.as_tensor(np.asarray(counts)) if not torch.is_tensor(counts) else counts
        if table.ndim not in (2, 3) or not (torch.isfinite(table) & (table >= 0)).all():
            raise ValueError(
                "`GroupTables.of` expects counts over (group, code) or (target, group, code), "
                f"none below 0, got shape {tuple(table.shape)}."
            )
        table = table.double()
        sizes = table.sum(-1).round().long()
        if table.ndim == 2:
            return cls(table.new_zeros(0, *table.shape), table, sizes.unsqueeze(0))

        return cls(table, None, torch.cat([sizes, torch.zeros_like(sizes[:1])]))

    @classmethod
    def expected(
        cls,
        logits: Logits,
        strata: Groups,
        groups: Groups,
        n_strata: int,
        k: int,
        *,
        weights: Weights | None = None,
    ) -> Self:
        """The expected counts of rows with these logits. They are exact, and differentiable once.

        Arguments:
            logits: The logits of the bit probabilities, with shape (n, m).
            strata: The stratum of each row, or -1 where it is not known, with shape (n,).
            groups: The group of each row, with shape (n,).
            n_strata: The number of strata.
            k: The number of groups.
            weights: How much each row counts, with shape (n,); None: 1.
        """

        pairs, n = _numbered_pairs(strata, groups, n_strata, k)
        cells = joint_table(logits, pairs, n * k, weights=weights).view(n, k, -1)

        return cls._of_cells(cells, pairs, n_strata, weighted=weights is not None)

    @classmethod
    def expected_bits(
        cls,
        logits: Logits,
        strata: Groups,
        groups: Groups,
        n_strata: int,
        k: int,
        *,
        weights: Weights | None = None,
    ) -> Self:
        """The expected counts of each bit alone, with the bits as first dimension.

        The arguments are those of `expected`.

        Example:
            >>> strata = groups = torch.tensor([0, 1])
            >>> GroupTables.expected_bits(torch.zeros(2, 5), strata, groups, 3, 2).known.shape
            torch.Size([5, 3, 2, 2])
        """

        pairs, n = _numbered_pairs(strata, groups, n_strata, k)
        tables = neuron_tables(logits, pairs, n * k, weights=weights)

        return cls._of_cells(
            tables.view(len(tables), n, k, 2), pairs, n_strata, weighted=weights is not None
        )

    @classmethod
    def assigned(
        cls,
        chances: Float[Tensor, "n c"],
        strata: Groups,
        groups: Groups,
        n_strata: int,
        k: int,
        *,
        weights: Weights | None = None,
    ) -> Self:
        """The expected counts of rows whose chance of each code is given.

        Arguments:
            chances: The probability of each code, with shape (n, c).
            strata: As for `expected`, like the arguments after it.
            groups: The group of each row.
            n_strata: The number of strata.
            k: The number of groups.
            weights: How much each row counts.

        Example:
            >>> strata, groups = torch.tensor([0, 0]), torch.tensor([0, 1])
            >>> halves = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
            >>> GroupTables.assigned(halves, strata, groups, 1, 2).groups
            tensor([[0.5000, 0.5000],
                    [1.0000, 0.0000]])
        """

        pairs, n = _numbered_pairs(strata, groups, n_strata, k)
        cells = summed_table(chances, pairs, n * k, weights=weights).view(n, k, -1)

        return cls._of_cells(cells, pairs, n_strata, weighted=weights is not None)

    @classmethod
    def observed(
        cls,
        numbers: Indices,
        strata: Groups,
        groups: Groups,
        n_strata: int,
        k: int,
        *,
        c: int,
        codes: Tensor | None = None,
    ) -> Self:
        """The counts of drawn codes.

        Arguments:
            numbers: The number of each row's code, from 0 to c - 1, with shape (n,).
            strata: The stratum of each row, or -1, with shape (n,).
            groups: The group of each row, with shape (n,).
            n_strata: The number of strata.
            k: The number of groups.
            c: The number of codes.
            codes: The code that each number stands for, with shape (c, parts): see `codes` above.
        """

        pairs, n = _numbered_pairs(strata, groups, n_strata, k)
        cells = observed_table(numbers, pairs, n * k, c).double().view(n, k, c)

        return replace(cls._of_cells(cells, pairs, n_strata), codes=codes)

    @classmethod
    def _of_cells(
        cls, cells: Tensor, pairs: Tensor, n_strata: int, *, weighted: bool = False
    ) -> Self:
        n, k = cells.shape[-3:-1]
        rows = torch.bincount(pairs, minlength=(n_strata + 1) * k).view(n_strata + 1, k)
        if n == n_strata:
            return cls(cells, None, rows, weighted=weighted)
        known, unknown = cells[..., :n_strata, :, :], cells[..., n_strata, :, :]

        return cls(known, unknown, rows, weighted=weighted)

    @cached_property
    def groups(self) -> Float[Tensor, "*b k c"]:
        """The counts over (group, code) of all rows."""

        if self.unknown is None:
            return self.known.sum(-3)

        return torch.cat([self.known, self.unknown.unsqueeze(-3)], -3).sum(-3)

    def compared(self, criterion: Criterion, positive: int = 0) -> Float[Tensor, "*b p k c"]:
        """The tables in which the criterion compares groups, one after the other.

        Example:
            >>> tables = GroupTables.of([[[3.0, 1.0], [1, 1]], [[1, 0], [0, 1]]])
            >>> tables.compared("independence").shape, tables.compared("separation").shape
            (torch.Size([1, 2, 2]), torch.Size([2, 2, 2]))
            >>> tables.compared("equal_opportunity", positive=1)
            tensor([[[1., 0.],
                     [0., 1.]]], dtype=torch.float64)
        """

        if not compares_within_strata(criterion):
            return self.groups.unsqueeze(-3)

        return self.known[..., compared_strata(criterion, len(self.rows) - 1, positive), :, :]

    def compared_rows(self, criterion: Criterion, positive: int = 0) -> Int[Tensor, "p k"]:
        """How many rows of each group `compared` counts in each of its tables."""

        if not compares_within_strata(criterion):
            return self.rows.sum(0, keepdim=True)

        return self.rows[compared_strata(criterion, len(self.rows) - 1, positive)]

    def without_codes(self) -> Self:
        """The same rows with one code for all: tables that reveal nothing."""

        known, unknown = self.rows[:-1].double(), self.rows[-1].double()

        return replace(self, known=known.unsqueeze(-1), unknown=unknown.unsqueeze(-1), codes=None)

    def without_rows(self) -> Self:
        """Tables of the same codes without any row. Adding them lists codes that others have.

        Example:
            >>> GroupTables.of([[600, 400], [500, 500]]).without_rows().groups.long()
            tensor([[0, 0],
                    [0, 0]])
        """

        unknown = None if self.unknown is None else torch.zeros_like(self.unknown)
        known, rows = torch.zeros_like(self.known), torch.zeros_like(self.rows)

        return replace(self, known=known, unknown=unknown, rows=rows)

    def diluted(self, share: float) -> Self:
        """The expected counts if each row's code is published with a probability.

        A last column counts the other rows, which are blank: see `bitveil.certificates.dilution`.

        Arguments:
            share: The probability, from 0 to 1.

        Raises:
            ValueError: If it is no probability, or the columns have codes of their own.

        Example:
            >>> GroupTables.of([[600, 400], [500, 500]]).diluted(0.25).groups
            tensor([[150., 100., 750.],
                    [125., 125., 750.]], dtype=torch.float64)
        """

        if not 0 <= share <= 1:
            raise ValueError(f"`share` expects a probability from 0 to 1, got {share}.")
        if self.codes is not None:
            raise ValueError(
                "`diluted` expects tables whose column number t counts code number t. A blank has "
                "no place among codes that are given."
            )

        def with_blank(counts: Tensor) -> Tensor:
            blank = (1 - share) * counts.sum(-1, keepdim=True)
            return torch.cat([share * counts, blank], -1)

        unknown = None if self.unknown is None else with_blank(self.unknown)

        return replace(self, known=with_blank(self.known), unknown=unknown)

    def __add__(self, other: "GroupTables") -> "GroupTables":
        """The tables of the rows of both, which must be different rows.

        Raises:
            ValueError: If strata, groups or codes do not match.
        """

        if self.rows.shape != other.rows.shape or (self.codes is None) != (other.codes is None):
            raise ValueError(
                "Tables add up if they have the same strata, groups and kind of codes, got "
                f"{tuple(self.known.shape)} and {tuple(other.known.shape)}."
            )
        first, second, codes = _aligned(self, other)
        if first.known.shape != second.known.shape:
            raise ValueError(
                "Tables add up if they have the same codes, got "
                f"{first.known.shape[-1]} and {second.known.shape[-1]}."
            )
        parts = [part.double() for part in (first.unknown, second.unknown) if part is not None]

        return GroupTables(
            first.known.double() + second.known.double(),
            sum(parts[1:], parts[0]) if parts else None,
            first.rows + second.rows,
            codes,
            self.weighted or other.weighted,
        )

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the tables to a file for `load`. It holds counts, and no row.

        Raises:
            ValueError: If rows have weights: a file is for certificates, which count rows.
        """

        if self.weighted:
            raise ValueError("`save` expects tables that count rows, got weighted ones.")
        parts = {"known": self.known, "unknown": self.unknown, "codes": self.codes}
        tensors = {name: part.detach() for name, part in parts.items() if part is not None}
        tensors = {name: part.cpu().contiguous() for name, part in tensors.items()}
        save_file({**tensors, "rows": self.rows.cpu()}, file, {"format": TABLES_FORMAT})

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """Read tables that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it does not hold group tables.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     GroupTables.of([[600, 400], [500, 500]]).save(f"{folder}/part-1")
            ...     GroupTables.load(f"{folder}/part-1").rows
            tensor([[1000, 1000]])
        """

        if not Path(file).is_file():
            raise FileNotFoundError(f"There is no file of group tables at {file}.")
        try:
            with safe_open(file, framework="pt") as content:
                said, names = content.metadata() or {}, set(content.keys())
                parts = {name: content.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise ValueError(
                f"{file} is damaged, or does not hold group tables: {error}."
            ) from error
        if said.get("format") != TABLES_FORMAT or not {"known", "rows"} <= names:
            raise ValueError(
                f"{file} expects the format {quoted(TABLES_FORMAT)}, got {json.dumps(said)} with "
                f"{sorted(names)}. `GroupTables.save` writes such files."
            )
        tables = cls(parts["known"], parts.get("unknown"), parts["rows"], parts.get("codes"))
        _check_shapes(file, tables)

        return tables


def _numbered_pairs(strata: Tensor, groups: Tensor, n_strata: int, k: int) -> tuple[Tensor, int]:
    """A number for each pair of stratum and group, and the number of strata with the unknown."""

    check_groups("GroupTables", groups, len(groups), k)
    if len(strata) and int(strata.amin()) >= 0:
        check_groups("GroupTables", strata, len(groups), n_strata)
        return pair_groups(strata, groups, k), n_strata
    known = torch.where(strata < 0, n_strata, strata)
    check_groups("GroupTables", known, len(groups), n_strata + 1)

    return pair_groups(known, groups, k), n_strata + bool(len(strata))


def _aligned(
    first: GroupTables, second: GroupTables
) -> tuple[GroupTables, GroupTables, Tensor | None]:
    """Both tables with columns for the codes of either."""

    if first.codes is None or second.codes is None:
        return first, second, None
    codes = torch.unique(torch.cat([first.codes, second.codes]), dim=0)
    check_cells("GroupTables", (len(codes) - 1).bit_length(), first.rows.numel())

    return _widened(first, codes), _widened(second, codes), codes


def _widened(tables: GroupTables, codes: Tensor) -> GroupTables:
    assert tables.codes is not None
    both = torch.cat([codes, tables.codes])
    places = torch.unique(both, dim=0, return_inverse=True)[1][len(codes) :]

    def widened(part: Tensor) -> Tensor:
        wide = part.new_zeros(*part.shape[:-1], len(codes))
        return wide.index_copy(-1, places, part)

    unknown = None if tables.unknown is None else widened(tables.unknown)

    return replace(tables, known=widened(tables.known), unknown=unknown, codes=codes)


def _check_shapes(file: Any, tables: GroupTables) -> None:
    """Refuse parts that do not belong together, or counts that cannot be."""

    known, unknown, rows, codes = tables.known, tables.unknown, tables.rows, tables.codes
    good = (
        known.ndim == 3
        and rows.dtype == torch.int64
        and tuple(rows.shape) == (known.shape[0] + 1, known.shape[1])
        and bool((rows >= 0).all())
        and (unknown is None or unknown.shape == known.shape[1:])
        and (codes is None or (codes.ndim == 2 and len(codes) == known.shape[2]))
    )
    counts = [part for part in (known, unknown) if part is not None]
    if not good or not all((part.isfinite() & (part >= 0)).all() for part in counts):
        raise ValueError(f"{file} was changed after it was saved: its tables do not match.")
