r"""Repeats: rows that occur twice, and rows that a fit has used before.

A certificate needs independent rows that were used neither in training nor in selection. If rows
have names (ids), both can be checked with certainty. If they have none, only their contents can be
compared, and different people may have equal contents. So the tests here ask how many equal
contents chance would give, and say so where contents cannot decide.

**Copies.** Different people with equal contents sometimes differ in their target or their group,
and contents repeat as often as chance makes them. Copies of one person never differ, and in a
table that was copied as a whole every row occurs twice, or twenty times.

**Used rows.** Of :math:`n` rows, :math:`f_1` have a content that no other row has. A new row then
has the content of one of the :math:`n` rows with a probability of about :math:`C = 1 - f_1 / n`
(Good's estimate). If many more rows have, they were used. And if few contents fill the table, two
samples of one population differ by chance. Counts that agree better than that come from the same
rows.

Source:
    The population frequencies of species and the estimation of population parameters (Good, 1953),
    https://doi.org/10.1093/biomet/40.3-4.237
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from bitveil.frozen import Secret, name_digests

__all__ = ["UsedRows", "check_copies", "check_ids", "check_repeats"]

_MIN_REPEATED = 20  # fewer repeated contents than this may well repeat by chance
_BEYOND = 5.0  # beyond so many standard deviations, rows are not equal by chance
_BY_CHANCE = 1e-3  # less likely counts that are all multiples of one number are refused
_ALIKE = 1e-6  # less likely agreement with the used rows is refused


@dataclass(frozen=True)
class UsedRows:
    """The rows that a fit has used, as digests under their own key, which reveal no row.

    Attributes:
        key: The key of the digests. The draws have another key, which may change.
        contents: The digest of each content, in order.
        counts: The number of rows with each content.
        names: The digests of the rows' names, in order; None if the rows had none.

    Example:
        >>> rows = np.arange(100, dtype=np.uint8).reshape(-1, 1)
        >>> used = UsedRows.of(rows[:60], None, b"0123456789abcdef")
        >>> used.overlap(rows[50:], None)
        10
        >>> used.check(rows[60:], None)
    """

    key: bytes
    contents: NDArray[np.uint64]
    counts: NDArray[np.int64]
    names: NDArray[np.uint64] | None

    @classmethod
    def of(
        cls, contents: NDArray[np.uint8], names: NDArray[np.uint8] | None, key: bytes
    ) -> "UsedRows":
        """Remember rows by the bytes of their contents and of their names, if they have names."""

        distinct, counts = np.unique(_keyed(contents, key), return_counts=True)
        named = None if names is None else np.unique(_keyed(names, key))

        return cls(Secret(key), distinct, counts.astype(np.int64), named)

    def overlap(self, contents: NDArray[np.uint8], names: NDArray[np.uint8] | None) -> int:
        """How many rows have the name of a used row, or its content if there are no names."""

        if self.names is not None and names is not None:
            return _occurring(_keyed(names, self.key), self.names)
        return _occurring(_keyed(contents, self.key), self.contents)

    def are_new(self, contents: NDArray[np.uint8], names: NDArray[np.uint8] | None) -> bool:
        """Whether none of these rows was used, as far as can be known.

        Names decide if both have names. Otherwise contents do, and rows whose contents cannot tell
        count as used.

        Example:
            >>> rows = np.arange(100, dtype=np.uint8).reshape(-1, 1)
            >>> used = UsedRows.of(rows[:50], None, b"0123456789abcdef")
            >>> used.are_new(rows[50:], None), used.are_new(rows[10:], None)
            (True, False)
        """

        if self.names is not None and names is not None:
            return not self.overlap(contents, names)
        marks = self.marks(contents)

        return self._same(marks) is None and self._allowed(len(marks)) < len(marks)

    def check(self, contents: NDArray[np.uint8], names: NDArray[np.uint8] | None) -> str | None:
        """Refuse rows that were used, or return a caution if contents cannot show that.

        Arguments:
            contents: The bytes of each row's content, with shape (n, b).
            names: The bytes of each row's name, or None.

        Returns:
            A caution for the reader, or None.

        Raises:
            ValueError: If names were used, or more contents than chance allows.
        """

        named = None if names is None else self.marks(names)

        return self.check_marks(self.marks(contents), named)

    def marks(self, digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Eight bytes for each row, which reveal nothing about it without the key.

        Arguments:
            digests: The bytes of each row's content or name, with shape (n, b).
        """

        return _keyed(digests, self.key)

    def check_marks(
        self, contents: NDArray[np.uint64] | None, names: NDArray[np.uint64] | None
    ) -> str | None:
        """Refuse rows that were used, by their marks: see `check`.

        Arguments:
            contents: The mark of each row's content. It may be None if the rows have names, and
                the used rows had.
            names: The mark of each row's name, or None.
        """

        if names is not None and self.names is not None:
            found = _occurring(names, self.names)
            if found:
                raise ValueError(
                    f"{found} of {len(names)} rows have an id that the encoder was fitted on. "
                    f"{_NEW} An id names one person: if these are other people, give them other "
                    "ids."
                )
            same = None if contents is None else self._same(contents)
            return (
                None if same is None else f"{same} Their ids are new, so they count as new rows."
            )
        assert contents is not None
        if same := self._same(contents):
            raise ValueError(f"{same} {_NEW} {_IDS}")
        if self._allowed(len(contents)) >= len(contents):
            return (
                "The contents of these rows repeat too often to show whether the rows are new. "
                f"The numbers hold only if none of them was used in fitting. {_IDS}"
            )

        return None

    def _same(self, digests: NDArray[np.uint64]) -> str | None:
        """Why these rows count as used ones, or None."""

        n, found = len(digests), _occurring(digests, self.contents)
        allowed = self._allowed(n)
        if found > allowed:
            return (
                f"{found} of {n} rows have the content of rows that the encoder was fitted on; "
                f"chance makes no more than {allowed} equal."
            )
        if found and self._alike(digests) < _ALIKE:
            return (
                f"These {n} rows have each content as often as the rows that the encoder was "
                "fitted on, more closely than chance allows."
            )

        return None

    def _allowed(self, n: int) -> int:
        """The largest number of n new rows that have a used content by chance."""

        used = int(self.counts.sum())
        once, twice = (int((self.counts == times).sum()) for times in (1, 2))
        chance = 1 - once / used
        variance = chance * (1 - chance) / n + (once * chance + 2 * (twice + 2)) / used**2

        return min(n, int(3 + n * chance + _BEYOND * n * math.sqrt(variance)))

    def _alike(self, digests: NDArray[np.uint64]) -> float:
        """The probability that the counts of new rows agree with the used ones at least this well.

        It is the lower tail of the chi-square statistic of both samples, with the mean and the
        variance that this statistic has for small counts.
        """

        others, counts = np.unique(digests, return_counts=True)
        contents = np.union1d(self.contents, others)
        a, b = np.zeros((2, len(contents)))
        a[np.searchsorted(contents, self.contents)] = self.counts
        b[np.searchsorted(contents, others)] = counts
        share = a.sum() / (a.sum() + b.sum())
        spread = share * (1 - share)
        statistic = float((((a - (a + b) * share) ** 2) / ((a + b) * spread)).sum())
        mean = len(contents) - 1.0
        variance = float((2 + (1 - 6 * spread) / ((a + b) * spread)).sum())
        if mean <= 0 or variance < 1e-9:
            return 1.0

        return float(gamma.cdf(statistic, mean**2 / variance, scale=variance / mean))


_NEW = "An audit of used rows understates what the codes reveal: use new rows."
_IDS = "Give `ids`, in fitting too: they distinguish people whose contents are equal."


def check_copies(contents: NDArray[np.uint8], *labels: NDArray[Any]) -> None:
    """Refuse rows without names that look like copies of each other.

    Arguments:
        contents: The bytes of each row's content, with shape (n, b).
        labels: The target and the group of each row, with shape (n,) or (n, columns).

    Raises:
        ValueError: If rows of equal content never differ in their labels, or if all rows
            occur a multiple of the same number of times.

    Example:
        >>> rows = np.arange(30, dtype=np.uint8).reshape(-1, 1)
        >>> check_copies(rows, np.zeros(30))
        >>> check_copies(np.repeat(rows, 3, 0), np.zeros(90))
        Traceback (most recent call last):
        ValueError: 60 of 90 rows repeat another row in everything...
    """

    n = len(contents)
    content = _numbered_rows(contents)
    columns = [np.asarray(each).reshape(n, -1).astype(np.float64) for each in labels]
    rows = _numbered_rows(np.hstack([content[:, None].astype(np.float64), *columns]))
    check_repeats(content, rows)


def check_repeats(contents: NDArray[Any], rows: NDArray[Any]) -> None:
    """Refuse rows without names that look like copies of each other: see `check_copies`.

    Arguments:
        contents: A number for each row, the same for rows of equal content.
        rows: A number that is the same only if target and group are equal too.
    """

    n = len(contents)
    sizes, counts = (np.unique(each, return_counts=True)[1] for each in (contents, rows))
    extra = n - len(counts)
    alike = len(counts) == len(sizes) and int((sizes > 1).sum()) >= _MIN_REPEATED
    times = int(np.gcd.reduce(counts))
    if (alike and extra >= 0.01 * n) or (times > 1 and float(times) ** -len(counts) < _BY_CHANCE):
        every = f" Every row occurs {times} times, or a multiple of that." if times > 1 else ""
        raise ValueError(
            f"{extra} of {n} rows repeat another row in everything, group and target "
            f"included.{every} Copies of one person are not independent rows, and a certificate "
            "from them would be wrong: keep one row of each person (in `fit`, `sample_weight` "
            "says how often it counts). If these are different people, name them: `ids`."
        )


def check_ids(ids: Any, n: int) -> None:
    """Refuse names that several rows share: copies of one person are not independent rows.

    Raises:
        ValueError: If there is not one name for each of n rows, or a name occurs twice.
    """

    names = name_digests(ids, n)
    twice = n - len(np.unique(names, axis=0))
    if twice:
        raise ValueError(
            f"`ids` gives {twice} of {n} rows the name of an earlier row. Copies of one person "
            "are not independent rows: keep one row of each person. In `fit`, `sample_weight` can "
            "say how often it counts."
        )


def _numbered_rows(rows: NDArray[Any]) -> NDArray[np.int64]:
    """The number of each row among the different ones."""

    numbers = np.unique(rows, axis=0, return_inverse=True)[1]

    return numbers.ravel().astype(np.int64)


def _occurring(marks: NDArray[np.uint64], known: NDArray[np.uint64], part: int = 2**20) -> int:
    """How many of many marks are among some, which are in order. It needs little memory."""

    found = 0
    for start in range(0, len(marks) if len(known) else 0, part):
        some = marks[start : start + part]
        places = np.searchsorted(known, some).clip(max=len(known) - 1)
        found += int((known[places] == some).sum())

    return found


def _keyed(digests: NDArray[np.uint8], key: bytes) -> NDArray[np.uint64]:
    """Eight bytes for each row, which reveal nothing about it without the key."""

    words = [hashlib.blake2b(row.tobytes(), key=key, digest_size=8).digest() for row in digests]

    return np.frombuffer(b"".join(words), dtype=np.uint64)
