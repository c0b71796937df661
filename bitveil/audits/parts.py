"""What the parts of a code mean: which of them reveal the group, and which of them together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitveil.audits.published import PublishedCodes
from bitveil.audits.readings import Readings
from bitveil.audits.words import and_listed
from bitveil.columns.printing import printable

__all__ = ["Part", "Revealing", "parts_of", "revealing_parts"]


ENOUGH = 0.9
"""The share of the code's information that the parts that reveal most must have together."""
_SETS = 2200  # the sets of parts that are examined: all pairs of 64 bits
_GROWN = 8  # the most parts of a set that is grown one by one


@dataclass(frozen=True)
class Part:
    """A bit, or a column, of the code.

    Attributes:
        name: Its name.
        information: The bits that it reveals about the group alone. Who sees it also sees whether
            the row is blank.
        given_others: The bits that it reveals beyond all the others: without it the code reveals
            this much less. None if there are too few rows to read the whole code.
        ones: How often it is 1 in each group; None if it is not a bit.
        target_information: The bits that it reveals about the target alone; None without a target,
            or if the target of a row is missing.
        target_given_others: The bits that it reveals about the target beyond all the others.
        target_ones: How often it is 1 for each value of the target.
        sure: The share of rows in which the bit is sure, unless they are blank; None without
            logits.
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
class Revealing:
    """The fewest parts that together reveal nine tenths of what the code reveals.

    Attributes:
        parts: Their names.
        information: The bits that they reveal about the group together.
        alone: What each of them reveals alone.
        whole: What the whole code reveals.
        complete: Whether all sets of this size were examined. Otherwise parts were added one by
            one, and a smaller set may do.
    """

    parts: tuple[str, ...]
    information: float
    alone: tuple[float, ...]
    whole: float
    complete: bool

    def __str__(self) -> str:
        told = f"{self.information:.4f} of {self.whole:.4f} bits"
        if len(self.parts) == 1:
            return f"{printable(self.parts[0])} reveals {told}"
        alone = and_listed([f"{bits:.4f}" for bits in self.alone])

        return f"{and_listed([*map(printable, self.parts)])} together reveal {told}; alone {alone}"


def parts_of(
    published: PublishedCodes,
    of_group: Readings,
    of_target: Readings | None,
    moved: NDArray[np.float64] | None,
    columns: Sequence[str],
) -> tuple[Part, ...]:
    """Each part of the code, what it reveals alone, and what beyond the others."""

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


def _ones(published: PublishedCodes, readings: Readings, part: int) -> tuple[float, ...] | None:
    """How often a bit is 1 in each group, in expectation if its logits are known."""

    if published.values[part] != (0, 1):
        return None
    logits, ones = published.logits, published.parts[:, part].astype(np.float64)
    groups = readings.groups.numpy()
    if logits is not None and part == published.blank:
        ones = np.full(len(ones), 1 - published.share)
    elif logits is not None:
        ones = published.share * logits[:, part].sigmoid().numpy()

    return tuple((np.bincount(groups, ones) / np.bincount(groups)).tolist())


def revealing_parts(published: PublishedCodes, readings: Readings) -> Revealing | None:
    """The smallest of the best sets that reveals enough, unless that may be chance."""

    whole, readable = readings.of_all, readings.readable
    found: list[_Best] = []
    for best in _best_sets(published.code_parts, readings):
        if not readable and not best.complete:
            break
        found.append(best)
        if readable and best.information >= ENOUGH * whole:
            break
    if not readable:  # then the whole is taken as what its readable parts reveal
        whole = max(whole, *(best.information for best in found))
    chosen = next((best for best in found if best.information >= ENOUGH * whole), found[-1])
    if not readings.beyond_chance(chosen.parts, chosen.looked_at):
        return None

    return Revealing(
        tuple(published.names[j] for j in chosen.parts),
        chosen.information,
        tuple(readings([j]) for j in chosen.parts),
        max(whole, chosen.information),  # the information by chance has some error
        chosen.complete,
    )


class _Best(NamedTuple):
    """The set of parts of one size that reveals most, and how many sets were examined so far."""

    parts: tuple[int, ...]
    information: float
    looked_at: int
    complete: bool


def _best_sets(parts: Sequence[int], readings: Readings) -> Iterator[_Best]:
    """The best set of each size: of all sets, or with one more part if there are too many."""

    best: tuple[int, ...] = ()
    looked_at = 0
    p = len(parts)
    for size in range(1, p + 1):
        complete = looked_at + math.comb(p, size) <= _SETS
        if not complete and size > _GROWN:
            return
        sets = list(
            combinations(parts, size)
            if complete
            else (tuple(sorted((*best, j))) for j in parts if j not in best)
        )
        looked_at += len(sets)
        best = max(sets, key=readings)
        yield _Best(best, readings(best), looked_at, complete)
