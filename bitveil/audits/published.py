"""What was published: the codes of some rows, whoever made them.

Bits with the logits that they were drawn from, bits alone, or columns of any discrete values: the
number of a cluster, the leaf of a tree, a postcode. A code is a row of *parts*: bits, or columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bitveil.codes import check_logits, draw
from bitveil.labels import printable
from bitveil.tables import MAX_CELLS, joint_table, observed_table

__all__ = ["Published", "group_name"]

SURE = 0.01
"""A bit is sure in a row where its probability is nearer than this to 0 or 1."""

_LISTED = 2**20
"""Codes of expected counts are listed up to here; wider ones are counted as they were drawn."""


@dataclass(frozen=True)
class Published:
    """The codes of some rows, as the number of each part's value.

    Attributes:
        parts: The number of the value of each part, with shape (n, p).
        names: The name of each part.
        values: The values of each part, in the order of their numbers.
        logits: The logits of bits, with shape (n, m), where they are known.
        n_distinct: The number of different codes among these rows.
    """

    parts: NDArray[np.int64]
    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    logits: Tensor | None
    n_distinct: int

    @classmethod
    def of_bits(
        cls, logits: ArrayLike | None, bits: ArrayLike | None, *, seed: int
    ) -> "Published":
        """Bits, drawn from the logits where none were given.

        Raises:
            ValueError: If the logits are not finite, the bits not 0 and 1, or they do not fit.

        Example:
            >>> Published.of_bits(None, [[0, 1], [1, 1]], seed=0).names
            ('bit 0', 'bit 1')
        """

        theta = None
        if logits is not None:
            theta = torch.as_tensor(np.asarray(logits), dtype=torch.float64)
            check_logits("audit", theta)
        if bits is None:
            assert theta is not None
            bits = draw(theta, generator=torch.Generator().manual_seed(seed)).numpy()
        drawn = np.asarray(bits)
        _check_bits(drawn, theta)
        m = drawn.shape[1]
        names = tuple(f"bit {j}" for j in range(m))

        return cls(drawn.astype(np.int64), names, ((0, 1),) * m, theta, _distinct(drawn))

    @classmethod
    def of_columns(cls, codes: Any) -> "Published":
        """Any discrete values, in one column or several that are published together.

        Raises:
            ValueError: If values are missing, or cannot be told apart.

        Example:
            >>> leaves = Published.of_columns(["left", "right", "left"])
            >>> leaves.parts.ravel().tolist(), leaves.values
            ([0, 1, 0], (('left', 'right'),))
        """

        if np.ndim(codes) not in (1, 2):
            raise ValueError(
                "`codes` expects a column of values, or a table of several columns, got "
                f"{type(codes).__name__} with {np.ndim(codes)} dimensions."
            )
        frame = pd.DataFrame(codes) if np.ndim(codes) == 2 else pd.Series(codes).to_frame()
        missing = int(frame.isna().any(axis=1).sum())
        if missing:
            raise ValueError(
                f"`codes` has {missing} rows with missing values. Leave those rows out, or give "
                "them a value of their own, such as 'unknown', if that is what is published."
            )
        named = isinstance(codes, pd.DataFrame) or getattr(codes, "name", None) is not None
        names = [str(name) if named else f"column {j}" for j, name in enumerate(frame)]
        numbered = [_numbered(column) for _, column in frame.items()]
        parts = np.stack([numbers for numbers, _ in numbered], axis=1)

        return cls(
            parts,
            ("code",) if names == ["column 0"] else tuple(names),
            tuple(values for _, values in numbered),
            None,
            _distinct(parts),
        )

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def draws(self) -> str:
        """`"soft"` where expected counts are read, `"hard"` where drawn codes are counted."""

        listed = self.logits is not None and 2 ** len(self.names) <= _LISTED

        return "soft" if listed else "hard"

    @property
    def are_bits(self) -> bool:
        """Whether every part is a bit."""

        return all(values == (0, 1) for values in self.values)

    @cached_property
    def sure(self) -> NDArray[np.int64] | None:
        """The value that each bit is sure to have in each row, or -1 where it is drawn."""

        if self.logits is None:
            return None
        theta = self.logits.sigmoid().numpy()

        return np.where(theta < SURE, 0, np.where(theta > 1 - SURE, 1, -1))

    def table(
        self,
        groups: Tensor,
        k: int,
        *,
        rows: Tensor | slice = slice(None),
        parts: Sequence[int] | None = None,
    ) -> Tensor:
        """The counts over (group, code) of some rows and parts, in double precision.

        Expected counts where `draws` is soft. Otherwise only codes that one of all rows has are
        listed.
        """

        chosen = range(len(self.names)) if parts is None else parts
        if self.logits is not None and self.draws == "soft":
            return joint_table(self.logits[rows][:, list(chosen)], groups[rows], k)
        numbers, codes = self.numbers(chosen)
        c = len(codes)
        if k * c > MAX_CELLS:
            raise ValueError(f"A table of {k} groups and {c} codes does not fit into memory.")
        drawn = torch.from_numpy(numbers)

        return observed_table(drawn[rows], groups[rows], k, c).double()

    def numbers(self, parts: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of each row's code in some parts, and the values that each number stands for.

        Only codes that a row has are numbered. The values have shape (codes, parts).
        """

        chosen = self.parts[:, list(parts)]
        cards = [len(self.values[part]) for part in parts]
        if math.prod(cards) >= 2**62:
            codes, numbers = np.unique(chosen, axis=0, return_inverse=True)
            return numbers.ravel().astype(np.int64), codes
        flat = np.ravel_multi_index(tuple(chosen.T), cards)
        if math.prod(cards) > 2**16:
            present, numbers = np.unique(flat, return_inverse=True)
        else:  # a good deal faster than sorting
            held = np.bincount(flat, minlength=1) > 0
            present, numbers = np.flatnonzero(held), (held.cumsum() - 1)[flat]

        return numbers.astype(np.int64), np.stack(np.unravel_index(present, cards), axis=1)

    def seen(self, most: int = 255) -> NDArray[np.uint8]:
        """What an attacker is given: bits, or whether a part has each of its values.

        Of the values of a part that has more than `most`, the rarer ones are all zeros.
        """

        return np.concatenate(
            [
                column[:, None] if values == (0, 1) else column[:, None] == _frequent(column, most)
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
        """The values that these numbers of some parts stand for."""

        return tuple(self.values[j][number] for j, number in zip(parts, numbers, strict=True))

    def label(self, code: Sequence[int]) -> str:
        """A code as a person reads it: bits in a row, other values with commas."""

        words = [str(value) for value in self.meant(range(len(self.names)), code)]

        return "".join(words) if self.are_bits else ", ".join(words)


def group_name(group: Any) -> str:
    """A group as a person reads it: the values of several columns with commas.

    What is safe to show: see `bitveil.labels.printable`.

    Example:
        >>> group_name(("f", 40)), group_name("m")
        ('f, 40', 'm')
    """

    return ", ".join(map(printable, group if isinstance(group, tuple | list) else [group]))


def _check_bits(drawn: NDArray[Any], theta: Tensor | None) -> None:
    if drawn.ndim != 2 or not drawn.shape[1] or not np.isin(drawn, (0, 1)).all():
        raise ValueError(
            "`audit` expects `bits` as 0 and 1 with shape (n, m), got "
            f"{drawn.dtype} of shape {drawn.shape}. Codes of other values go into `codes`."
        )
    if theta is not None and theta.shape != drawn.shape:
        raise ValueError(
            "`audit` expects `logits` and `bits` of the same rows and bits, got shapes "
            f"{tuple(theta.shape)} and {drawn.shape}."
        )


def _numbered(column: "pd.Series[Any]") -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Values in order where they have one, otherwise as they come."""

    try:
        numbers, values = pd.factorize(column, sort=True)
    except TypeError:
        numbers, values = pd.factorize(column)

    return numbers.astype(np.int64), tuple(pd.Index(values).tolist())


def _frequent(column: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The most frequent numbers of a column."""

    return np.argsort(-np.bincount(column), kind="stable")[:most]


def _distinct(parts: NDArray[Any]) -> int:
    return len(np.unique(parts, axis=0))
