"""Plans: which gap some rows can certify before anything is fitted, and how many rows a gap needs.

A certificate adds a slack to what it measures, and the two smallest groups decide how much. So the
sizes of the groups alone say which goal cannot be met. All numbers here are about a code that
reveals nothing. A useful code has a gap of its own, which comes on top.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bitveil.certificates import gap_of, groups_in_the_way, least_gap_within, rows_needed
from bitveil.certificates.quantities import Quantity
from bitveil.checks import check_choice, check_number, check_probability
from bitveil.columns.groups import Grouping
from bitveil.columns.labels import MOST_VALUES
from bitveil.columns.targets import Target
from bitveil.criteria import CRITERIA, Criterion, compared_strata, compares_within_strata
from bitveil.group_tables import GroupTables
from bitveil.quotes import quoted
from bitveil.rows import certified_share, conditions
from bitveil.samples import SAMPLE, sample_size
from bitveil.settings import Settings

__all__ = ["Joining", "RowPlan", "plan", "plan_of_sizes"]

_HALVED = 0.5  # joining is worth most if the least gap becomes this share, or less
_WORTHWHILE = 0.8  # joining is worth it if the least gap becomes this share, or less


class Joining(NamedTuple):
    """What becomes of a plan if rare groups are joined.

    Attributes:
        join_rare: Groups of fewer rows than this are joined.
        groups: The groups that are joined.
        least: The least gap then.
    """

    join_rare: int
    groups: tuple[Any, ...]
    least: float


@dataclass(frozen=True)
class RowPlan:
    """What some rows can certify.

    Attributes:
        groups: The groups.
        targets: The targets within which groups are compared; one None if all rows are compared.
        sizes: The number of rows of each target and group, with shape (targets, groups).
        held_out: How many of them certify, with the same shape.
        totals: The number of rows of each group, whatever their target.
        quantity: The gap of the criterion.
        delta: The probability that the certificate may be wrong.
        share: The share of the rows that certifies; None: as `fit` does.

    Example:
        >>> small = plan(["a"] * 1000 + ["b"] * 1000 + ["c"] * 40)
        >>> round(small.least(), 3), small.in_the_way(), round(small.least(without=["c"]), 3)
        (0.234, ('c',), 0.055)
        >>> small.needed(0.05) / 2040 > 25, round(small.share_of_codes(0.05), 2)
        (True, 0.21)
    """

    groups: tuple[Any, ...]
    targets: tuple[Any, ...]
    sizes: NDArray[np.int64]
    held_out: NDArray[np.int64]
    totals: NDArray[np.int64]
    quantity: Quantity
    delta: float
    share: float | None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""

        return int(self.totals.sum())

    def least(self, draws: str = "certain", *, without: Sequence[Any] = ()) -> float:
        """The smallest gap that these rows can certify; 1 if they can certify nothing.

        Arguments:
            draws: What is counted: `"certain"` (codes of rows with ids, as a fit makes them by
                default), `"soft"` (of such rows the expected codes) or `"hard"` (drawn codes, for
                rows without ids).
            without: Groups that are left out.
        """

        kept = [place for place, group in enumerate(self.groups) if group not in without]

        return least_gap_within(self.held_out[:, kept].tolist(), self.delta, draws=draws)

    def share_of_codes(self, max_gap: float) -> float:
        """The largest share of rows that can get a code at this goal, if rows have ids.

        The other rows stay blank. With drawn codes the share depends on what was drawn.
        """

        return min(1.0, max_gap / self.least())

    def needed(self, max_gap: float, draws: str = "certain") -> int:
        """About how many rows like these are needed for `least` to be a goal.

        Raises:
            ValueError: If a group that is compared has no rows.
        """

        check_number("max_gap", max_gap, above=0, most=1)
        if self.sizes.min() < 1:
            raise ValueError(
                "Nobody knows how many rows are needed: a group has no rows among those that are "
                f"compared, {quoted(self._empty())}."
            )
        held_out = max(
            rows_needed(max_gap, sizes.tolist(), delta=self.delta, draws=draws)
            * self.n_rows
            / sizes.sum()
            for sizes in self.sizes
        )

        return _rows_of_fit(held_out, self.share)

    def needed_each(self, max_gap: float, draws: str = "certain") -> int:
        """About how many rows of each group are needed for a goal, if all are equally large.

        If groups are compared within targets, so many of each target and group.
        """

        held_out = rows_needed(max_gap, [1, 1], delta=self.delta, draws=draws) / 2
        cells = len(self.targets) * len(self.groups)

        return math.ceil(_rows_of_fit(held_out * cells, self.share) / cells)

    def _empty(self) -> list[Any]:
        return [self.groups[g] for g in np.flatnonzero(self.sizes.min(0) < 1)]

    def in_the_way(self, max_gap: float | None = None, draws: str = "certain") -> tuple[Any, ...]:
        """The smallest groups, without which the least gap is at most half as large.

        Arguments:
            max_gap: The goal. If the rows cannot certify it, these are the groups without which
                they could, if there are such groups.
            draws: What is counted: see `least`.
        """

        found = groups_in_the_way(self.held_out.tolist(), self.delta, draws=draws, goal=max_gap)

        return tuple(self.groups[g] for g in found)

    @property
    def smallest(self) -> Any:
        """The group of which fewest rows certify."""

        return self.groups[np.lexsort((self.totals, self.held_out.min(0)))[0]]

    def joining(self, max_gap: float | None = None, draws: str = "certain") -> Joining | None:
        """The smallest threshold of `join_rare` that is worth it, or None.

        It halves the least gap, or at least makes it a fifth smaller.

        Arguments:
            max_gap: The goal. If joining can make it possible, this is the threshold that does.
            draws: What is counted: see `least`.
        """

        possible = (self._joined(n, draws) for n in range(2, len(self.groups)))
        options, now = [each for each in possible if each is not None], self.least(draws)
        enough = [each for each in options if max_gap is not None and each.least <= max_gap < now]
        halved = [each for each in options if each.least <= _HALVED * now]
        worth = [each for each in options if each.least <= _WORTHWHILE * now]

        return next(iter(enough or halved or worth), None)

    def _joined(self, n: int, draws: str) -> Joining | None:
        """What becomes of the n groups of fewest rows; None if others have as few."""

        order = np.argsort(self.totals, kind="stable")
        few, others = order[:n], order[n:]
        threshold = int(self.totals[few].max()) + 1
        if self.totals[others].min() < threshold:
            return None
        together = self.held_out[:, few].sum(1, keepdims=True)
        held_out = np.concatenate([self.held_out[:, others], together], axis=1)

        return Joining(
            threshold,
            tuple(self.groups[g] for g in few),
            least_gap_within(held_out.tolist(), self.delta, draws=draws),
        )


def plan(
    sensitive_features: Any,
    y: Any = None,
    *,
    criterion: Criterion = "independence",
    positive: Any = None,
    delta: float = 0.05,
    share: float | None = None,
    bins: int = 5,
    missing_sensitive: Any = "error",
) -> RowPlan:
    """What some rows can certify, from their groups and targets.

    Arguments:
        sensitive_features: The attribute of n rows, as for `InvariantEncoder.fit`.
        y: Their target, if the criterion compares groups within targets.
        criterion: Which rows are compared: see `bitveil.criteria`.
        positive: The value of the target that is the opportunity; None: the last one.
        delta: The probability that the certificate may be wrong.
        share: The share of the rows that certifies, above 0 and up to 1; None: what `fit` holds
            back. An audit counts all rows: 1.
        bins: How many groups an attribute of numbers is cut into.
        missing_sensitive: `"error"`, or `"group"`: missing values are a group of their own.

    Raises:
        ValueError: If there are fewer than two groups, values are missing, or the criterion needs
            a target.

    Example:
        >>> even = plan(["f", "m"] * 2000)
        >>> even.held_out.tolist(), round(even.least(), 4), round(even.least("hard"), 4)
        ([[1000, 1000]], 0.0381, 0.0381)
    """

    check_choice("criterion", criterion, CRITERIA)
    grouping, groups = Grouping.fit(
        "sensitive_features",
        sensitive_features,
        bins=bins,
        missing=missing_sensitive,
        most=MOST_VALUES,
    )
    names, n = tuple(grouping.values.tolist()), len(groups)
    totals = np.bincount(groups, minlength=len(names))
    if not compares_within_strata(criterion):
        return _row_plan(names, (None,), totals[None], totals, gap_of(criterion), delta, share)
    if y is None:
        raise ValueError(f"`criterion='{criterion}'` compares rows of one target: give `y`.")
    target, labels, values = Target.fit(y, n, bins=bins)
    number = Settings(criterion=criterion, positive=positive).positive_number(target)
    strata, n_strata = conditions(labels, values, criterion, bins)
    cells = GroupTables.observed(
        torch.zeros(n, dtype=torch.int64),
        torch.from_numpy(strata),
        torch.from_numpy(groups),
        n_strata,
        len(names),
        c=1,
    ).rows.numpy()
    compared = compared_strata(criterion, n_strata, number)
    named = target.cut_values[0] if len(target.kinds) == 1 else range(n_strata)

    return _row_plan(
        names,
        tuple(named)[compared],
        cells[:-1][compared],
        totals,
        gap_of(criterion, number),
        delta,
        share,
    )


def plan_of_sizes(
    sizes: Sequence[int], *, delta: float = 0.05, share: float | None = None
) -> RowPlan:
    """What groups of these sizes can certify, by the parity gap.

    Arguments:
        sizes: The number of rows of each group.
        delta: The probability that the certificate may be wrong.
        share: The share of the rows that certifies; None: what `fit` holds back.

    Raises:
        ValueError: If there are fewer than two groups, or one has no rows.

    Example:
        >>> plan_of_sizes([800, 1200], share=1).held_out.tolist()
        [[800, 1200]]
    """

    counts = np.asarray(sizes)
    if len(counts) < 2 or counts.dtype.kind not in "iu" or counts.min() < 1:
        raise ValueError(
            "`sizes` expects the number of rows of each of two or more groups, from 1 on, got "
            f"{quoted(list(sizes))}."
        )
    names = tuple(f"group {number}" for number in range(1, len(counts) + 1))

    return _row_plan(names, (None,), counts[None], counts, gap_of("independence"), delta, share)


def _row_plan(
    groups: tuple[Any, ...],
    targets: tuple[Any, ...],
    sizes: NDArray[np.int64],
    totals: NDArray[np.int64],
    quantity: Quantity,
    delta: float,
    share: float | None,
) -> RowPlan:
    check_probability("delta", delta)
    if share is not None:
        check_number("share", share, above=0, most=1)
    held_out = _held_back(sizes, int(totals.sum()), share)

    return RowPlan(groups, targets, sizes, held_out, totals, quantity, delta, share)


def _held_back(cells: NDArray[np.int64], n: int, share: float | None) -> NDArray[np.int64]:
    """How many rows of each cell certify, of n rows in all."""

    if share is None and n > SAMPLE:
        return cells - np.vectorize(sample_size, otypes=[np.int64])(SAMPLE / n, cells)
    certified = certified_share(n) if share is None else share

    return cells - np.round((1 - certified) * cells).astype(np.int64)


def _rows_of_fit(held_out: float, share: float | None) -> int:
    """The smallest number of rows of which so many certify."""

    if share is not None:
        return math.ceil(held_out / share)
    n = math.ceil(held_out / certified_share(1))
    if certified_share(n) == certified_share(1):
        return n
    n = math.ceil(held_out / certified_share(n))

    return n if n <= SAMPLE else max(SAMPLE, min(n, math.ceil(held_out) + SAMPLE))
