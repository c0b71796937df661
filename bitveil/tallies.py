"""Tallies: what the codes of many rows came to, and of which rows they are.

Rows that do not fit into one memory, or onto one machine, are counted in parts. A part is a
`Tally`: group tables, the names of their groups, and which encoder, criterion and columns they
belong to. Parts add up, are saved to files and read again, and the sum is certified. Two parts of
different encoders, or the same part twice, do not add up.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bitveil.certificates.dilution import interval_at_share
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import (
    BALANCED_ATTACK_ACCURACY,
    INFORMATION,
    PARITY_GAP,
    Quantity,
    gap_of,
)
from bitveil.columns.table import Table
from bitveil.criteria import Criterion
from bitveil.entropies import group_entropy
from bitveil.frozen import row_digests
from bitveil.group_tables import TABLES_FORMAT, GroupTables
from bitveil.information import BITS, mutual_information, total_variation
from bitveil.quotes import quoted
from bitveil.repeats import UsedRows, check_repeats

__all__ = ["Counted", "CountedPart", "Marks", "Tally", "repeated"]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # a multiple of it differs for each label


@dataclass(frozen=True)
class Counted:
    """What was counted. Only counts that agree in all of it add up.

    Attributes:
        encoder: A digest of the encoder and its key, which reveals neither.
        n_bits: The number of bits of a code.
        share: The probability that a row gets a code. The other rows are blank.
        draws: `"soft"` for expected counts, of rows with names of their own; `"hard"` for codes as
            they are published.
        criterion: Within which rows groups are compared.
        positive: The number of the target that equal opportunity is about; 0 for other criteria.
        groups: The values of the sensitive attribute.
        targets: The values of the target; empty without one.
        sensitive: The names of the sensitive columns.
        target: The name of the target, or None.
        certain: Whether expected counts are of codes that are certain for every row, also every
            new row. They have the smaller slack of drawn codes: see `bitveil.audits.published`.
    """

    encoder: str
    n_bits: int
    share: float
    draws: Literal["soft", "hard"]
    criterion: Criterion
    positive: int
    groups: tuple[Any, ...]
    targets: tuple[Any, ...]
    sensitive: tuple[str, ...]
    target: str | None
    certain: bool = False

    @property
    def certified_as(self) -> str:
        """The argument `draws` of a certificate."""

        return "certain" if self.certain else self.draws


@dataclass(frozen=True)
class CountedPart:
    """Some of the rows that were counted.

    Attributes:
        name: Where they came from.
        n_rows: How many they are.
        fingerprint: The sum of the marks of these rows. The same rows have the same.
    """

    name: str
    n_rows: int
    fingerprint: int


@dataclass(frozen=True)
class Marks:
    """Eight bytes for each row, by which repeated and used rows are found: see `UsedRows.marks`.

    Attributes:
        names: The mark of each row's name; empty if rows have none.
        contents: The mark of each row's content; empty if names are enough.
        rows: The mark of content, group and target together; empty if rows have names.
    """

    names: NDArray[np.uint64]
    contents: NDArray[np.uint64]
    rows: NDArray[np.uint64]

    @classmethod
    def of(
        cls,
        used: UsedRows,
        table: Table,
        names: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        named: bool,
    ) -> "Marks":
        """The marks of some rows, as far as they will be needed.

        Arguments:
            used: The rows that the encoder was fitted on, whose key is used.
            table: The rows, as they are read.
            names: The bytes that decide the draw of each row: see `bitveil.coder.draw_names`.
            labels: One number for group and target of each row.
            named: Whether these are the bytes of names, and not of contents.
        """

        none = np.zeros(0, dtype=np.uint64)
        if named and used.names is not None:
            return cls(used.marks(names), none, none)
        if named:
            return cls(used.marks(names), used.marks(row_digests(table)), none)
        contents = used.marks(names)

        return cls(none, contents, contents + (labels + 1).astype(np.uint64) * _ODD)

    @classmethod
    def joined(cls, several: "Iterable[Marks]") -> "Marks":
        """The marks of several parts, one after the other."""

        listed = list(several)

        return cls(
            *(np.concatenate([getattr(m, each.name) for m in listed]) for each in fields(cls))
        )

    @property
    def fingerprint(self) -> int:
        """A number that depends on the rows, and not on their order."""

        told = self.names if len(self.names) else self.rows

        return int(told.sum(dtype=np.uint64))

    def check(self, used: UsedRows) -> str | None:
        """Refuse rows that repeat each other, and rows that were used in a fit.

        Returns:
            A caution for the reader if contents cannot tell, or None.

        Raises:
            ValueError: If two rows have one name or are copies, or rows were used.
        """

        if not len(self.names) + len(self.contents):
            return None
        if len(self.names):
            _check_names_differ(self.names)
        else:
            check_repeats(self.contents, self.rows)

        return used.check_marks(
            self.contents if len(self.contents) else None,
            self.names if len(self.names) else None,
        )


def repeated(marks: NDArray[np.uint64]) -> int:
    """How many rows have the mark of an earlier row, if it is more than chance makes.

    Of many millions of different rows, two may have the same mark by chance.

    Example:
        >>> repeated(np.array([7, 8, 7, 7], dtype=np.uint64))
        2
    """

    from scipy.stats import poisson

    n, ordered = len(marks), np.sort(marks)
    twice = int((ordered[1:] == ordered[:-1]).sum())

    return twice if twice > poisson.isf(1e-4, n * n / 2.0**65) else 0


def _check_names_differ(names: NDArray[np.uint64]) -> None:
    """Refuse repeated names."""

    if twice := repeated(names):
        raise ValueError(
            f"`ids` gives {twice} of {len(names)} rows the name of an earlier row. Copies of one "
            "person are not independent rows: keep one row of each person."
        )


@dataclass(frozen=True)
class Tally:
    """The counts of many rows. Tallies of disjoint rows add up.

    Attributes:
        counted: What was counted.
        fixed: The counts of about half of the rows, which fix an attacker for lower bounds.
        scored: The counts of the others.
        drawn: The counts of the published codes where expected codes were counted too, or None.
        parts: Which rows these are.
        marks: A mark for each row, until they were checked.

    Example:
        >>> about = ("independence", 0, ("f", "m"), (), ("sex",), None)
        >>> counted = Counted("", 1, 1.0, "soft", *about)
        >>> half = GroupTables.of([[300.0, 200.0], [250.0, 250.0]])
        >>> counts = Tally(counted, half, half, parts=(CountedPart("people.csv", 2000, 1),))
        >>> print(counts.intervals()[0])
        0.0408 ≤ largest gap of any classifier that sees the code ≤ 0.1400, ...
    """

    counted: Counted
    fixed: GroupTables
    scored: GroupTables
    drawn: GroupTables | None = None
    parts: tuple[CountedPart, ...] = ()
    marks: Marks | None = field(default=None, repr=False)

    @property
    def tables(self) -> GroupTables:
        """The counts of all rows."""

        return self.fixed + self.scored

    @property
    def n_rows(self) -> int:
        """How many rows were counted."""

        return int(self.fixed.rows.sum() + self.scored.rows.sum())

    def __add__(self, other: "Tally") -> "Tally":
        """The counts of the rows of both.

        Raises:
            ValueError: If they do not belong together, or rows are in both.
        """

        self._check_alike(other)
        if both := {p.fingerprint for p in self.parts} & {p.fingerprint for p in other.parts}:
            names = [part.name for part in (*self.parts, *other.parts) if part.fingerprint in both]
            raise ValueError(f"The same rows were counted twice: {names}. Leave one of them out.")
        marks = None
        if self.marks is not None and other.marks is not None:
            marks = Marks.joined((self.marks, other.marks))

        return Tally(
            self.counted,
            self.fixed + other.fixed,
            self.scored + other.scored,
            None if self.drawn is None or other.drawn is None else self.drawn + other.drawn,
            (*self.parts, *other.parts),
            marks,
        )

    @classmethod
    def total(cls, tallies: "Iterable[Tally]", name: str) -> "Tally":
        """The sum of tallies, whose marks are joined once, at the end.

        Arguments:
            tallies: Tallies of different rows. They need not be in memory at once.
            name: Where the rows come from, for the error.

        Raises:
            ValueError: If there are none, or they do not belong together.
        """

        whole: Tally | None = None
        marks = []
        for each in tallies:
            marks.append(each.marks)
            bare = replace(each, marks=None)
            whole = bare if whole is None else whole + bare
        if whole is None:
            raise ValueError(f"{name} has no rows.")
        known = [each for each in marks if each is not None]

        return replace(whole, marks=Marks.joined(known) if len(known) == len(marks) else None)

    def _check_alike(self, other: "Tally") -> None:
        for each in fields(Counted):
            ours, theirs = getattr(self.counted, each.name), getattr(other.counted, each.name)
            if ours != theirs:
                said = "" if each.name == "encoder" else f": {quoted(ours)} and {quoted(theirs)}"
                raise ValueError(
                    f"Counts add up if all belong to one encoder and count the same. They differ "
                    f"in `{each.name}`{said}."
                )

    def checked(self, used: UsedRows, name: str) -> "tuple[Tally, str | None]":
        """The same counts as one part, after a check that rows are new and differ.

        Arguments:
            used: The rows that the encoder was fitted on.
            name: Where the rows came from.

        Returns:
            The counts without the marks, and a caution for the reader, or None.

        Raises:
            ValueError: If two rows have one name or are copies, or rows were used in the fit.
        """

        assert self.marks is not None
        caution = self.marks.check(used)
        part = CountedPart(name, self.n_rows, self.marks.fingerprint)

        return replace(self, parts=(part,), marks=None), caution

    def intervals(self, delta: float = 0.05) -> tuple[Interval, ...]:
        """Both bounds on all that is certified, and first on the gap of the criterion.

        Raises:
            ValueError: If a group that is compared has no rows.
        """

        leading = gap_of(self.counted.criterion, self.counted.positive)
        others = [PARITY_GAP, BALANCED_ATTACK_ACCURACY, INFORMATION]
        quantities = [leading, *(each for each in others if each != leading)]

        return tuple(self.interval(quantity, delta) for quantity in quantities)

    def interval(self, quantity: Quantity = PARITY_GAP, delta: float = 0.05) -> Interval:
        """Both bounds on one quantity."""

        whole = self.tables
        halves = [each + whole.without_rows() for each in (self.fixed, self.scored)]
        if quantity.positive is None:
            known = whole.rows[:-1].sum(1) > 0
            fixed, scored, whole = (_of_strata(tables, known) for tables in (*halves, whole))
        else:
            fixed, scored = halves
        draws, share = self.counted.certified_as, self.counted.share

        return interval_at_share(
            fixed, scored, whole, quantity, delta=delta, draws=draws, share=share
        )

    @property
    def coin(self) -> float:
        """The share of each row that expected counts take for its code; 1 for drawn codes."""

        return self.counted.share if self.counted.draws == "soft" else 1.0

    @property
    def information_bits(self) -> float:
        """The joint information of code and group in these rows, in bits."""

        return self.coin * mutual_information(self.tables.groups).item() * BITS

    @property
    def entropy_bits(self) -> float:
        """The entropy of the groups in these rows: the most that a code can reveal."""

        return group_entropy(self.tables.groups).item() * BITS

    @property
    def total_variation(self) -> float:
        """The largest parity gap of any classifier of the codes, on these rows."""

        return self.coin * total_variation(self.tables.groups).item()

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the counts to a file for `load`. `GroupTables.load` reads its tables, too.

        The file holds no row. Tallies that were not checked yet hold a mark of each row.
        """

        about = {each.name: getattr(self.counted, each.name) for each in fields(Counted)}
        parts = [[part.name, part.n_rows, part.fingerprint] for part in self.parts]
        tensors = _tensors("", self.tables) | _tensors("fixed.", self.fixed)
        tensors |= _tensors("scored.", self.scored)
        if self.drawn is not None:
            tensors |= _tensors("drawn.", self.drawn)
        if self.marks is not None:
            for each in fields(Marks):
                array = getattr(self.marks, each.name)
                tensors[f"marks.{each.name}"] = torch.from_numpy(array.view(np.int64).copy())
        said = json.dumps({"counted": about, "parts": parts})
        save_file(tensors, file, {"format": TABLES_FORMAT, "counts": said})

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> "Tally":
        """Read counts that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it does not hold counts, or was changed.

        Example:
            >>> counted = Counted("", 1, 1.0, "soft", "independence", 0, ("f", "m"), (), (), None)
            >>> half = GroupTables.of([[300.0, 200.0], [250.0, 250.0]])
            >>> file = getfixture("tmp_path") / "people.counts"
            >>> Tally(counted, half, half).save(file)
            >>> Tally.load(file).n_rows, GroupTables.load(file).rows.tolist()
            (2000, [[1000, 1000]])
        """

        GroupTables.load(file)
        try:
            with safe_open(file, framework="pt") as content:
                said = json.loads((content.metadata() or {})["counts"])
                tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
            counts = _of_content(said, tensors)
            _check_halves(counts)
        except KeyError as error:
            raise ValueError(
                f"{file} holds tables, but does not say what they count. `bitveil count` writes "
                "such files."
            ) from error
        except (SafetensorError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(
                f"{Path(file)} was changed after it was saved, or is damaged: {error}"
            ) from error

        return counts


def _tensors(prefix: str, tables: GroupTables) -> dict[str, Tensor]:
    parts = {name: getattr(tables, name) for name in ("known", "unknown", "rows", "codes")}

    return {f"{prefix}{n}": p.contiguous().clone() for n, p in parts.items() if p is not None}


def _tables(prefix: str, tensors: dict[str, Tensor]) -> GroupTables:
    known, rows = tensors[f"{prefix}known"], tensors[f"{prefix}rows"]

    return GroupTables(known, tensors.get(f"{prefix}unknown"), rows, tensors.get(f"{prefix}codes"))


def _of_content(said: Any, tensors: dict[str, Tensor]) -> Tally:
    about = dict(said["counted"])
    for name in ("groups", "targets", "sensitive"):
        about[name] = tuple(tuple(v) if isinstance(v, list) else v for v in about[name])
    marks = None
    if "marks.names" in tensors:
        marks = Marks(*(tensors[f"marks.{e.name}"].numpy().view(np.uint64) for e in fields(Marks)))

    return Tally(
        Counted(**about),
        _tables("fixed.", tensors),
        _tables("scored.", tensors),
        _tables("drawn.", tensors) if "drawn.known" in tensors else None,
        tuple(CountedPart(str(name), int(n), int(mark)) for name, n, mark in said["parts"]),
        marks,
    )


def _check_halves(counts: Tally) -> None:
    """Refuse tables that do not match what they claim to count."""

    counted = counts.counted
    several = [counts.fixed, counts.scored, *([counts.drawn] if counts.drawn is not None else [])]
    for tables in several:
        shape = (len(counted.targets), len(counted.groups))
        sizes = (shape[0] + 1, shape[1])
        if tuple(tables.known.shape[:2]) != shape or tuple(tables.rows.shape) != sizes:
            raise ValueError("its tables do not match its groups and targets.")
        for part in (tables.known, tables.unknown):
            if part is not None and not (part.isfinite() & (part >= 0)).all():
                raise ValueError("it has counts that are negative or not finite.")
    if counted.draws not in ("soft", "hard") or not 0 <= counted.share <= 1:
        raise ValueError("it does not say how codes were counted.")
    if counted.certain:
        whole = counts.tables.groups
        if counted.draws != "soft" or (whole - whole.round()).abs().max() > 1e-6:
            raise ValueError("its codes are not certain, as it says.")
    if counts.parts and counts.n_rows != sum(part.n_rows for part in counts.parts):
        raise ValueError("its tables and its parts differ in the number of rows.")


def _of_strata(tables: GroupTables, strata: Tensor) -> GroupTables:
    """The tables of some strata."""

    rows = torch.cat([tables.rows[:-1][strata], tables.rows[-1:]])

    return replace(tables, known=tables.known[strata], rows=rows)
