r"""What the bits mean: which of them tell of the group, together with which, and of whom.

A *part* of a code is one of its bits, or one of its columns where other values are published.

- **Which parts tell**: the fewest that together have nine tenths of the code's information. Two
  bits of a parity trap are named as a pair, though neither tells anything alone.
- **Of whom**: patterns, values of at most three parts, whose rows are of one group much more often
  than all rows are. A bit that gives away one row in a hundred moves no parity gap by more than
  that; for those rows it says everything.
- **What they follow**: the columns whose shuffling moves a part most (permutation importance).

**How sure a pattern is.** Among N rows with the pattern the share of group g in a population with
these shares :math:`\pi` of the groups is at least

.. math:: \frac{\pi_g l}{\pi_g l + (1 - \pi_g) u} ,

where l is the lower Clopper-Pearson limit of how often the group's rows have the pattern and u the
upper one of all others. With :math:`\delta` divided among both sides of all patterns that were
looked at, all of them hold at once with probability at least :math:`1 - \delta`.

Sources:
    The use of confidence or fiducial limits illustrated in the case of the binomial (Clopper,
    Pearson, 1934), https://doi.org/10.1093/biomet/26.4.404

    Random Forests (Breiman, 2001), https://doi.org/10.1023/A:1010933404324
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv, chdtrc, expit
from scipy.stats import random_table
from torch import Tensor

from bitveil.audits.subject import Published, group_name
from bitveil.columns.printing import printable
from bitveil.information import BITS, chi_square_information, given_group, mutual_information

__all__ = ["Cell", "Meaning", "Part", "Pattern", "Telling", "follows", "meaning"]

ENOUGH = 0.9
"""The share of the code's information that the parts that tell most must have together."""

_SETS = 2200  # sets of parts that are looked at: all pairs of 64 bits
_GROWN = 8  # parts of a set that is grown one by one
_TRIPLES = 300  # patterns are of three parts where no more sets than these are
_DENSE = 2**16  # codes up to which all sets of parts are read from one table
_ROWS_A_CODE = 20  # with fewer of them what chance says is drawn, not calculated
_TABLES = 30  # that are drawn for it
_CELLS = 64  # codes that are kept
_PATTERNS = 6  # patterns that are kept
_WORTH = 0.005  # nats that a pattern must tell of each of its rows to be worth naming
_SAME = 0.8  # patterns that share so many of their rows are one
_WITHIN = 0.95  # and so are those of which one has so many of its rows within the other


@dataclass(frozen=True)
class Part:
    """A bit, or a column, of the code.

    Attributes:
        name: Its name.
        information: What it alone tells of the group, in bits.
        given_others: What it tells beyond all the others, in bits: so much less the code tells
            without it. None where there are too few rows to read the whole code.
        ones: How often it is 1 in each group; None where it is no bit.
        target_information: What it alone tells of the target, in bits; None without one.
        target_given_others: What it tells of the target beyond all the others.
        target_ones: How often it is 1 for each value of the target.
        sure: The share of rows in which the bit is not drawn but sure; None without logits.
        follows: The columns whose shuffling moves it, and by how much: the mean change of its
            probability, or the share of rows whose value changes.
    """

    name: str
    information: float
    given_others: float | None
    ones: tuple[float, ...] | None = None
    target_information: float | None = None
    target_given_others: float | None = None
    target_ones: tuple[float, ...] | None = None
    sure: float | None = None
    follows: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Telling:
    """The fewest parts that together tell nine tenths of what the code tells.

    Attributes:
        parts: Their names.
        information: What they tell of the group together, in bits.
        alone: What each of them tells alone.
        whole: What the whole code tells.
        complete: Whether all sets of that size were looked at. Otherwise parts were added one by
            one, and fewer may do.
    """

    parts: tuple[str, ...]
    information: float
    alone: tuple[float, ...]
    whole: float
    complete: bool

    def __str__(self) -> str:
        told = f"{self.information:.4f} of {self.whole:.4f} bits"
        if len(self.parts) == 1:
            return f"{printable(self.parts[0])} tells {told}"
        alone = _listed([f"{bits:.4f}" for bits in self.alone])

        return f"{_listed([*map(printable, self.parts)])} together tell {told}; alone {alone}"


@dataclass(frozen=True)
class Pattern:
    """Values of a few parts whose rows are of one group more often than all rows are.

    Attributes:
        parts: The names of the parts.
        values: The value of each.
        sure: Whether the rows are those in which the bit is sure to have the value, rather than
            those that drew it. Who sees one draw cannot tell them apart; who can ask again can.
        rows: The number of rows.
        share: Their share of all rows.
        group: The group that is frequent among them.
        posterior: How often they are of that group.
        prior: How often all rows are.
        certain: How often, at least, such rows are in the population: see the module.
        delta: The probability that this is too large for any of the patterns that were looked at.
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
            f"them {group_name(self.group)} (of all {self.prior:.1%}); in the population at least "
            f"{self.certain:.1%}, with probability ≥ {1 - self.delta:g}"
        )

    @property
    def said(self) -> str:
        """The pattern as a person reads it."""

        pairs = zip(self.parts, self.values, strict=True)

        return _listed([f"{printable(part)} = {printable(value)}" for part, value in pairs])


@dataclass(frozen=True)
class Cell:
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
        telling: The fewest that tell nine tenths; None where none tell more than chance would.
        patterns: Patterns that single out a group, the most telling first.
        n_patterns: The number of patterns that were looked at.
        cells: The codes that tell most, the most telling first. Those that have less than half a
            row are left out, where there are others.
        n_cells: The number of all codes that a row has or could have.
    """

    parts: tuple[Part, ...]
    telling: Telling | None
    patterns: tuple[Pattern, ...]
    n_patterns: int
    cells: tuple[Cell, ...]
    n_cells: int


def meaning(
    published: Published,
    s: NDArray[np.int64],
    groups: Sequence[Any],
    y: NDArray[np.int64] | None = None,
    n_classes: int = 0,
    *,
    delta: float = 0.05,
    moved: NDArray[np.float64] | None = None,
    columns: Sequence[str] = (),
) -> Meaning:
    """Say what the parts of a code mean.

    Arguments:
        published: The codes of some rows.
        s: The number of each row's group.
        groups: The groups.
        y: The number of each row's target, or None.
        n_classes: The number of different targets.
        delta: The probability that any of the patterns' certain shares may be wrong.
        moved: How much shuffling each column moves each part, with shape (columns, parts).
        columns: The names of these columns.

    Example:
        >>> bits = np.tile([[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]], (250, 1))
        >>> trap = bits[:, 0] ^ bits[:, 1]  # the third bit is a copy of the second
        >>> found = meaning(Published.of_bits(bits[:, [0, 1]]), trap, ["f", "m"])
        >>> found.telling.parts, round(found.telling.information, 2), found.telling.alone
        (('bit 0', 'bit 1'), 1.0, (0.0, 0.0))
    """

    of_group = _Readings(published, torch.from_numpy(s), len(groups))
    of_target = None if y is None else _Readings(published, torch.from_numpy(y), n_classes)
    patterns, looked_at = _patterns(published, s, groups, delta)
    cells, n_cells = _cells(published, of_group.whole)

    return Meaning(
        _parts(published, of_group, of_target, moved, columns),
        _telling(published, of_group),
        patterns,
        looked_at,
        cells,
        n_cells,
    )


def follows(
    encode: Callable[[Any], Any],
    X: pd.DataFrame | NDArray[Any],
    *,
    most: int = 2000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], list[str]]:
    """How much shuffling each column moves each part: permutation importance.

    Columns that say the same share what they move, or one of them takes it all.

    Arguments:
        encode: From rows to logits of bits, with shape (n, m), or to discrete codes, with shape
            (n,) or (n, p).
        X: The rows, as `encode` takes them.
        most: Of more rows than these, so many are taken at random.
        seed: The seed of the shuffling.

    Returns:
        The mean change of each bit's probability, or the share of rows in which a discrete part
        changes, with shape (columns, parts); and the names of the columns.

    Example:
        >>> X = np.array([[0.0, 5.0], [1.0, 6.0], [0.0, 7.0], [1.0, 8.0]] * 100)
        >>> moved, names = follows(lambda X: 400.0 * X[:, :1] - 200, X)
        >>> names, (moved.ravel() > 0.3).tolist()  # half of the rows get another value
        (['column 0', 'column 1'], [True, False])
    """

    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(X))[:most])
    rows = X.iloc[some].reset_index(drop=True) if isinstance(X, pd.DataFrame) else X[some]
    before = _plain(encode(rows))
    columns = list(rows) if isinstance(rows, pd.DataFrame) else range(rows.shape[1])
    moved = [
        _change(before, _plain(encode(_shuffled(rows, column, rng.permutation(len(rows))))))
        for column in columns
    ]
    named = isinstance(rows, pd.DataFrame)

    return np.stack(moved), [str(c) if named else f"column {c}" for c in columns]


class _Readings:
    """The information of sets of parts about one attribute, in bits.

    Drawn codes say too much, and larger sets more of that: what tables of independent codes and
    groups say in the mean is taken off. It is about (cells - rows - columns + 1) / 2n nats
    (Miller, 1955) where there are many rows a code; where there are few, such tables are drawn.
    Expected counts are read as they are.
    """

    def __init__(self, published: Published, groups: Tensor, k: int) -> None:
        self.published, self.groups, self.k = published, groups, k
        self.whole = published.table(groups, k)
        cards = [len(values) for values in published.values]
        self.dense = self._dense(cards) if math.prod(cards) <= _DENSE else None

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
        """The counts over (group, values of these parts)."""

        if self.dense is None:
            return self.published.table(self.groups, self.k, parts=parts)
        others = [1 + j for j in range(self.dense.ndim - 1) if j not in set(parts)]

        return (self.dense.sum(others) if others else self.dense).flatten(1)

    def __call__(self, parts: Sequence[int]) -> float:
        return self._bits(self.table(parts))

    def given_others(self, part: int) -> float | None:
        if not self.readable:
            return None
        others = [j for j in range(len(self.published.names)) if j != part]

        return max(0.0, self.of_all - (self(others) if others else 0.0))

    @cached_property
    def of_all(self) -> float:
        """What the whole code tells."""

        return self._bits(self.whole)

    @property
    def readable(self) -> bool:
        """Whether there are rows enough to read the whole code."""

        expected = self.published.draws == "soft"

        return expected or self.whole.shape[1] * _ROWS_A_CODE < len(self.published)

    def beyond_chance(self, parts: Sequence[int], looked_at: int) -> bool:
        """Whether so much would be read of a blind code in less than one table in twenty.

        Pearson's test, divided among the sets that were looked at. Expected counts vary less than
        drawn ones, for which it is made.
        """

        table = self.table(parts)
        k, codes = (int((table.sum(axis) > 0).sum()) for axis in (1, 0))
        statistic = table.sum().item() * chi_square_information(table).item()

        return bool(chdtrc((k - 1) * (codes - 1), statistic) < 0.05 / looked_at)

    def _bits(self, table: Tensor) -> float:
        nats = mutual_information(table).item()
        if self.published.draws == "hard":
            nats -= _said_by_chance(table)

        return max(0.0, nats * BITS)


def _said_by_chance(table: Tensor) -> float:
    """The information in nats that counts of independent codes and groups have in the mean."""

    counts = table[table.sum(1) > 0][:, table.sum(0) > 0]
    k, c = counts.shape
    if c * _ROWS_A_CODE < counts.sum():
        return max(0, int((counts > 0).sum()) - k - c + 1) / (2 * counts.sum().item())
    if min(k, c) < 2:
        return 0.0
    margins = [counts.sum(axis).long().numpy() for axis in (1, 0)]
    drawn = random_table(*margins, seed=0).rvs(_TABLES)

    return mutual_information(torch.from_numpy(drawn).double()).mean().item()


def _parts(
    published: Published,
    of_group: _Readings,
    of_target: _Readings | None,
    moved: NDArray[np.float64] | None,
    columns: Sequence[str],
) -> tuple[Part, ...]:
    sure = published.sure
    parts = []
    for j, name in enumerate(published.names):
        part = Part(
            name,
            of_group([j]),
            of_group.given_others(j),
            _ones(published, of_group, j),
            sure=None if sure is None else float((sure[:, j] != -1).mean()),
        )
        if of_target is not None:
            part = replace(
                part,
                target_information=of_target([j]),
                target_given_others=of_target.given_others(j),
                target_ones=_ones(published, of_target, j),
            )
        if moved is not None:
            order = np.argsort(-moved[:, j], kind="stable")
            part = replace(part, follows=tuple((columns[c], float(moved[c, j])) for c in order))
        parts.append(part)

    return tuple(parts)


def _ones(published: Published, readings: _Readings, part: int) -> tuple[float, ...] | None:
    """How often a bit is 1 in each group, in expectation where its logits are known."""

    if published.values[part] != (0, 1):
        return None
    logits, drawn = published.logits, published.parts[:, part].astype(np.float64)
    ones = drawn if logits is None else logits[:, part].sigmoid().numpy()
    groups = readings.groups.numpy()

    return tuple((np.bincount(groups, ones) / np.bincount(groups)).tolist())


def _telling(published: Published, readings: _Readings) -> Telling | None:
    """The smallest of the best sets of each size that tells enough, if that is not chance."""

    whole, readable = readings.of_all, readings.readable
    found: list[_Best] = []
    for best in _best_sets(len(published.names), readings):
        if not readable and not best.complete:
            break
        found.append(best)
        if readable and best.information >= ENOUGH * whole:
            break
    if not readable:  # then the whole says no more than the parts that are
        whole = max(whole, *(best.information for best in found))
    chosen = next((best for best in found if best.information >= ENOUGH * whole), found[-1])
    if not readings.beyond_chance(chosen.parts, chosen.looked_at):
        return None

    return Telling(
        tuple(published.names[j] for j in chosen.parts),
        chosen.information,
        tuple(readings([j]) for j in chosen.parts),
        max(whole, chosen.information),  # what chance says is not known to the last digit
        chosen.complete,
    )


class _Best(NamedTuple):
    """The set of parts of one size that tells most, of so many that were looked at so far."""

    parts: tuple[int, ...]
    information: float
    looked_at: int
    complete: bool


def _best_sets(p: int, readings: _Readings) -> Iterator[_Best]:
    """The best set of each size: of all sets, or, where they are too many, of one part more."""

    best: tuple[int, ...] = ()
    looked_at = 0
    for size in range(1, p + 1):
        complete = looked_at + math.comb(p, size) <= _SETS
        if not complete and size > _GROWN:
            return
        sets = list(
            combinations(range(p), size)
            if complete
            else (tuple(sorted((*best, j))) for j in range(p) if j not in best)
        )
        looked_at += len(sets)
        best = max(sets, key=readings)
        yield _Best(best, readings(best), looked_at, complete)


class _Candidate(NamedTuple):
    """Values of some parts, or bits that are sure, and which rows have them."""

    parts: tuple[int, ...]
    values: tuple[int, ...]
    sure: bool


class _Candidates(NamedTuple):
    """Patterns with their counts in each group, with shape (patterns, k)."""

    patterns: list[_Candidate]
    counts: NDArray[np.int64]


def _patterns(
    published: Published, s: NDArray[np.int64], groups: Sequence[Any], delta: float
) -> tuple[tuple[Pattern, ...], int]:
    """The most telling patterns, and how many were looked at."""

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
        mine = _rows(published, found.patterns[i])
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


def _candidates(published: Published, s: NDArray[np.int64], k: int) -> _Candidates:
    """All patterns of a few parts, of whole codes, and of sure bits, with their counts."""

    patterns, counts = [], []
    for parts in _sets(len(published.names)):
        numbers, values = published.numbers(parts)
        table = np.bincount(numbers * k + s, minlength=len(values) * k).reshape(-1, k)
        patterns += [_Candidate(parts, tuple(value), False) for value in values.tolist()]
        counts.append(table)
    for j, known in enumerate(() if published.sure is None else published.sure.T):
        for value in sorted({0, 1} & set(known.tolist()) if known.min() < 0 else ()):
            patterns.append(_Candidate((j,), (value,), True))
            counts.append(np.bincount(s[known == value], minlength=k).reshape(1, k))

    return _Candidates(patterns, np.concatenate(counts))


def _rows(published: Published, pattern: _Candidate) -> NDArray[np.bool_]:
    """Which rows have a pattern."""

    parts = published.parts
    if pattern.sure:
        assert published.sure is not None
        parts = published.sure

    return (parts[:, list(pattern.parts)] == pattern.values).all(1)


def _apart(mine: NDArray[np.bool_], others: NDArray[np.bool_]) -> bool:
    """Whether two patterns are of different rows, neither within the other."""

    both = (mine & others).sum()

    return bool(
        both < _SAME * (mine | others).sum() and both < _WITHIN * min(mine.sum(), others.sum())
    )


def _sets(p: int) -> Iterator[tuple[int, ...]]:
    """Sets of parts: up to three, or two, or one, and all of them together."""

    sizes = [math.comb(p, size) for size in (1, 2, 3)]
    largest = 3 if sum(sizes) <= _TRIPLES else 2 if sum(sizes[:2]) <= _SETS else 1
    for size in range(1, min(largest, p) + 1):
        yield from combinations(range(p), size)
    if p > largest:
        yield tuple(range(p))


def _certain(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], delta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of each group among the rows of each pattern: measured, and at least."""

    prior = sizes / sizes.sum()
    others, n_others = counts.sum(1, keepdims=True) - counts, sizes.sum() - sizes
    alpha = delta / (2 * counts.size)
    low = np.where(counts > 0, betaincinv(np.maximum(counts, 1), sizes - counts + 1, alpha), 0.0)
    room = np.maximum(n_others - others, 1)
    high = np.where(others < n_others, betaincinv(others + 1, room, 1 - alpha), 1.0)
    hits = prior * low

    return counts / counts.sum(1, keepdims=True), hits / (hits + (1 - prior) * high)


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the share p instead of q tells, in nats: of two shares the rarer surprise counts."""

    p = np.clip(p, 1e-12, 1 - 1e-12)

    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def _cells(published: Published, table: Tensor) -> tuple[tuple[Cell, ...], int]:
    """The codes that tell most, the most telling first, and the number of all."""

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
        Cell(published.label(codes[t]), rows[t].item(), tuple(shares[t].tolist()), leak[t].item())
        for t in order[:_CELLS]
    )

    return cells, int((rows > 0).sum())


def _listed(words: Sequence[str]) -> str:
    """Words with commas, and an "and" before the last.

    Example:
        >>> _listed(["a", "b", "c"])
        'a, b and c'
    """

    return " and ".join([part for part in (", ".join(words[:-1]), words[-1]) if part])


def _plain(encoded: Any) -> NDArray[Any]:
    found = np.asarray(encoded)

    return found[:, None] if found.ndim == 1 else found


def _shuffled(rows: Any, column: Any, order: NDArray[np.int64]) -> Any:
    """The rows with one column in another order."""

    other = rows.copy()
    if isinstance(rows, pd.DataFrame):
        other[column] = rows[column].take(order).reset_index(drop=True)
    else:
        other[:, column] = rows[order, column]

    return other


def _change(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    if np.issubdtype(before.dtype, np.floating):
        return np.abs(expit(before) - expit(after)).mean(0)

    return (before != after).mean(0)
