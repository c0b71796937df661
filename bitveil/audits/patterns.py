r"""Who stands out: patterns of the code whose rows are mostly of one group.

A pattern is values of at most three parts, in a row that is not blank. A bit that gives away one
row in a hundred moves no parity gap by more than one point, but it reveals everything about those
rows.

**How sure a pattern is.** In a population where the groups have these shares :math:`\pi`, the
share of group g among the rows with the pattern is at least

.. math:: \frac{\pi_g l}{\pi_g l + (1 - \pi_g) u} .

Here l is the lower Clopper-Pearson limit of how often rows of the group have the pattern, and u is
the upper limit of how often all other rows have it. :math:`\delta` is divided among both limits of
all patterns that were examined. So all of them hold at once with probability at least
:math:`1 - \delta`.

Source:
    The use of confidence or fiducial limits illustrated in the case of the binomial (Clopper,
    Pearson, 1934), https://doi.org/10.1093/biomet/26.4.404
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from bitveil.audits.published import PublishedCodes
from bitveil.audits.words import and_listed, group_name
from bitveil.columns.printing import printable

__all__ = ["Pattern", "patterns_of"]

_PAIRS = 2200  # patterns are of two parts if there are no more sets than these (64 bits)
_TRIPLES = 300  # and of three parts if there are no more sets than these
_PATTERNS = 6  # the patterns that are kept
_WORTH = 0.005  # the nats that a pattern must reveal about each of its rows to be kept
_SAME = 0.8  # patterns that share this many of their rows are the same
_WITHIN = 0.95  # and so are patterns if one has this many of its rows within the other


@dataclass(frozen=True)
class Pattern:
    """Values of a few parts whose rows belong to one group more often than all rows do.

    Attributes:
        parts: The names of the parts.
        values: The value of each.
        sure: Whether these are the rows in which the bit is sure to have the value, rather than
            the rows that drew it. One draw does not separate the two; asking again does.
        rows: The number of rows.
        share: Their share of all rows.
        group: The group that is frequent among them.
        posterior: The share of that group among these rows.
        prior: The share of that group among all rows.
        certain: The lower bound on the first share in the population: see the module.
        delta: The probability that this is too large for any of the patterns that were examined.
    """

    parts: tuple[str, ...]
    values: tuple[Any, ...]
    sure: bool
    rows: int
    share: float
    group: Any
    posterior: float
    prior: float
    certain: float
    delta: float

    def __str__(self) -> str:
        is_sure = " for sure" if self.sure else ""
        return (
            f"{self.said}{is_sure}: {self.rows} rows ({self.share:.1%}), {self.posterior:.1%} of "
            f"them {group_name(self.group)} (of all rows {self.prior:.1%}); in the population at "
            f"least {self.certain:.1%}, with probability ≥ {1 - self.delta:g}"
        )

    @property
    def said(self) -> str:
        """The pattern as a person reads it."""

        pairs = zip(self.parts, self.values, strict=True)

        return and_listed([f"{printable(part)} = {printable(value)}" for part, value in pairs])


def patterns_of(
    published: PublishedCodes, s: NDArray[np.int64], groups: Sequence[Any], delta: float
) -> tuple[tuple[Pattern, ...], int]:
    """The patterns that reveal most, and how many were examined."""

    k, sizes = len(groups), np.bincount(s, minlength=len(groups))
    found = _candidates(published, s, k)
    posterior, certain = _certain(found.counts, sizes, delta)
    prior = sizes / sizes.sum()
    gain = np.where(certain > prior, _divergence(certain, prior), 0.0)

    chosen: list[tuple[int, int]] = []
    rows: list[NDArray[np.bool_]] = []
    for flat in np.argsort(-gain, axis=None, kind="stable"):
        i, g = divmod(int(flat), k)
        if gain[i, g] < _WORTH or len(chosen) == _PATTERNS:
            break
        mine = _pattern_rows(published, found.patterns[i])
        if all(_apart(mine, others) for others in rows):
            chosen.append((i, g))
            rows.append(mine)

    patterns = tuple(
        Pattern(
            tuple(published.names[j] for j in found.patterns[i].parts),
            published.meant(found.patterns[i].parts, found.patterns[i].values),
            found.patterns[i].sure,
            int(found.counts[i].sum()),
            float(found.counts[i].sum() / len(s)),
            groups[g],
            float(posterior[i, g]),
            float(prior[g]),
            float(certain[i, g]),
            delta,
        )
        for i, g in chosen
    )

    return patterns, len(found.patterns)


class _Candidate(NamedTuple):
    """Values of some parts, or of a bit that is sure."""

    parts: tuple[int, ...]
    values: tuple[int, ...]
    sure: bool


class _Candidates(NamedTuple):
    """Patterns with their counts in each group, with shape (patterns, k)."""

    patterns: list[_Candidate]
    counts: NDArray[np.int64]


def _candidates(published: PublishedCodes, s: NDArray[np.int64], k: int) -> _Candidates:
    """All patterns of a few parts, of whole codes, and of sure bits, with their counts."""

    patterns, counts = [], []
    for parts in _sets(published):
        numbers, values = published.numbers(parts)
        there = _there(published, parts)
        cells = (numbers * k + s)[there]
        table = np.bincount(cells, minlength=len(values) * k).reshape(-1, k)
        seen = table.any(1)
        patterns += [_Candidate(parts, tuple(value), False) for value in values[seen].tolist()]
        counts.append(table[seen])
    for j, known in enumerate(() if published.sure is None else published.sure.T):
        for value in sorted({0, 1} & set(known.tolist()) if known.min() < 0 else ()):
            patterns.append(_Candidate((j,), (value,), True))
            counts.append(np.bincount(s[known == value], minlength=k).reshape(1, k))

    return _Candidates(patterns, np.concatenate(counts))


def _there(published: PublishedCodes, parts: Sequence[int]) -> NDArray[np.bool_]:
    """Which rows have values of these parts: blank rows have none, but that they are blank."""

    return published.shown | (published.blank in parts)


def _sets(published: PublishedCodes) -> Iterator[tuple[int, ...]]:
    """Sets of up to three, two or one parts, the set of all parts, and whether rows are blank."""

    parts = published.code_parts
    p = len(parts)
    sizes = [math.comb(p, size) for size in (1, 2, 3)]
    largest = 3 if sum(sizes) <= _TRIPLES else 2 if sum(sizes[:2]) <= _PAIRS else 1
    for size in range(1, min(largest, p) + 1):
        yield from combinations(parts, size)
    if p > largest:
        yield parts
    if published.blank is not None:
        yield (published.blank,)


def _pattern_rows(published: PublishedCodes, pattern: _Candidate) -> NDArray[np.bool_]:
    """Which rows have a pattern."""

    parts, there = published.parts, _there(published, pattern.parts)
    if pattern.sure:
        assert published.sure is not None
        parts, there = published.sure, np.ones_like(there)

    return (parts[:, list(pattern.parts)] == pattern.values).all(1) & there


def _apart(mine: NDArray[np.bool_], others: NDArray[np.bool_]) -> bool:
    """Whether two patterns have different rows, and neither lies within the other."""

    both = (mine & others).sum()

    return bool(
        both < _SAME * (mine | others).sum() and both < _WITHIN * min(mine.sum(), others.sum())
    )


def _certain(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], delta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of each group among the rows of each pattern: measured, and its lower bound."""

    prior = sizes / sizes.sum()
    others, n_others = counts.sum(1, keepdims=True) - counts, sizes.sum() - sizes
    alpha = delta / (2 * counts.size)
    low = np.where(counts > 0, betaincinv(np.maximum(counts, 1), sizes - counts + 1, alpha), 0.0)
    rest = np.maximum(n_others - others, 1)
    high = np.where(others < n_others, betaincinv(others + 1, rest, 1 - alpha), 1.0)
    hits = prior * low

    return counts / counts.sum(1, keepdims=True), hits / (hits + (1 - prior) * high)


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """The divergence of the share p from q, in nats."""

    p = np.clip(p, 1e-12, 1 - 1e-12)

    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
