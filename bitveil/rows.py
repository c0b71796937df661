"""Rows of a fit: numbered columns, and a part of the rows for each use."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitveil.batches import Rows
from bitveil.cautions import warn
from bitveil.columns.bins import bin_numbers, quantile_edges
from bitveil.columns.table import Table
from bitveil.criteria import Criterion, compares_within_strata
from bitveil.group_tables import GroupTables
from bitveil.quotes import quoted
from bitveil.repeats import check_copies

__all__ = [
    "SPLIT",
    "Sample",
    "certified_share",
    "check_weights",
    "conditions",
    "half_of_counts",
    "split_rows",
]

SPLIT = (0.5, 0.2, 0.3)
"""The shares of rows to fit, to select and, if a goal must be certified, to certify."""

SMALL_SAMPLE = 10_000
"""Of fewer rows than this half certify a goal, because the slack matters most there."""

_DRAWN = 10**9
"""From this many rows on, numpy cannot draw without replacement."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """The rows of a fit. Every array has one entry for each row of the table.

    Attributes:
        table: The table, or images.
        labels: The targets with classes, -1 where missing, with shape (n, q).
        values: The standardised targets that are numbers, NaN where missing, with shape (n, d).
        s: The sensitive attribute, from 0 to n_groups - 1.
        groups: The values of the groups, for errors.
        strata: The stratum within which a criterion compares the row, or -1.
        n_strata: The number of strata.
        weights: How much each row counts, or None.
        contents: The bytes of each row's content, with shape (n, 16).
        names: The bytes of each row's name, or None where rows have none.
    """

    table: Table
    labels: Numbers
    values: NDArray[np.float64]
    s: Numbers
    groups: NDArray[Any]
    strata: Numbers
    n_strata: int
    weights: NDArray[np.float64] | None
    contents: NDArray[np.uint8]
    names: NDArray[np.uint8] | None

    @property
    def named(self) -> NDArray[np.uint8]:
        """The bytes that decide the draw of each row: its name, or else its content."""

        return self.contents if self.names is None else self.names

    def check_copies(self) -> None:
        """Refuse rows without names that look like copies of each other."""

        if self.names is None:
            check_copies(self.contents, self.labels, np.nan_to_num(self.values), self.s)

    @property
    def n_groups(self) -> int:
        """The number of groups."""

        return len(self.groups)

    def split(
        self,
        criterion: Criterion,
        positive: int,
        rng: np.random.RandomState,
        *,
        certify: bool,
    ) -> dict[str, Numbers]:
        """The numbers of the rows to `"fit"`, to `"select"` and, if asked, to `"certify"`.

        The split is random within each group, and within each stratum if the criterion compares
        groups there. Rows for certification are thinned in proportion to their weights: they are
        then a sample of the weighted population.

        Raises:
            ValueError: If a part lacks rows of a group that it must compare, or only one class has
                weight.
        """

        names = ("fit", "select", "certify") if certify else ("fit", "select")
        shares = _use_shares(len(self.s), certify)
        within = self.s
        if compares_within_strata(criterion):
            within = self.s * (self.n_strata + 1) + self.strata + 1
        rows = dict(zip(names, split_rows(within, shares, rng), strict=True))
        whole = dict(rows)
        if certify and self.weights is not None:
            others = np.concatenate([rows["fit"], rows["select"]])
            rows["certify"] = self._thinned(self.weights, others, rows["certify"], rng)
        self._check_classes()
        for name, chosen in rows.items():
            if self.weights is not None and not self.weights[chosen].sum() > 0:
                raise ValueError(f"`sample_weight` is 0 for all of the rows to {name}.")
            counted = chosen if self.weights is None else chosen[self.weights[chosen] > 0]
            if lacking := self._lacking(criterion, positive, counted):
                by_weight = not self._lacking(criterion, positive, whole[name])
                raise ValueError(_too_few(lacking, name, by_weight))

        return rows

    def sizes(self, rows: Numbers) -> GroupTables:
        """How many of some rows there are, over (condition, group): tables of one code for all."""

        return GroupTables.observed(
            torch.zeros(len(rows), dtype=torch.int64),
            torch.from_numpy(self.strata[rows]),
            torch.from_numpy(self.s[rows]),
            self.n_strata,
            self.n_groups,
            c=1,
        )

    def group_sizes(self, others: GroupTables | None = None) -> dict[Any, int]:
        """How many rows each group has, with those of the tables of other rows."""

        counts = np.bincount(self.s, minlength=self.n_groups)
        if others is not None:
            counts = counts + others.rows.sum(0).numpy()

        return dict(zip(self.groups.tolist(), counts.tolist(), strict=True))

    def posteriors(self, criterion: Criterion, rows: Numbers) -> list[NDArray[Any]]:
        """The columns that boosted trees predict: the targets, and the attribute.

        If groups are compared within strata, also the pairs of stratum and group.
        """

        columns: list[NDArray[Any]] = [*self.labels[rows].T, *self.values[rows].T, self.s[rows]]
        if compares_within_strata(criterion):
            y = self.strata[rows]
            columns.append(np.where(y < 0, -1, y * self.n_groups + self.s[rows]))

        return columns

    def rows(self, rows: Numbers, x: Tensor, *, targets: bool, weighted: bool = True) -> Rows:
        """Some rows with their features, as a training reads them.

        Arguments:
            rows: Their numbers.
            x: Their features.
            targets: Whether the code should be useful for the targets.
            weighted: Whether weights count.
        """

        labels, values = self.labels[rows], self.values[rows]
        if not targets:
            labels, values = labels[:, :0], values[:, :0]
        n_labels = tuple(int(column.max()) + 1 for column in self.labels.T) if targets else ()
        weights = None
        if weighted and self.weights is not None:
            weights = torch.from_numpy(self.weights[rows] / self.weights[rows].mean()).float()

        return Rows(
            x,
            torch.from_numpy(self.s[rows]),
            torch.from_numpy(self.strata[rows]),
            torch.from_numpy(labels),
            self.n_groups,
            self.n_strata,
            n_labels,
            weights=weights,
            values=torch.from_numpy(values).float() if values.shape[1] else None,
        )

    def by_weight(self, rows: Numbers, rng: np.random.RandomState) -> Numbers:
        """Some of these rows, as if drawn from the weighted population.

        Each stays with a probability in proportion to its weight. All stay if otherwise a group
        or a stratum of them were gone.
        """

        if self.weights is None:
            return rows
        own = self.weights[rows]
        kept = rows[rng.random_sample(len(rows)) * own.max() < own]
        cells = self.strata * (int(self.s.max()) + 1) + self.s
        gone = set(cells[rows].tolist()) - set(cells[kept].tolist())

        return rows if gone else kept

    def _thinned(
        self,
        weights: NDArray[np.float64],
        others: Numbers,
        held_out: Numbers,
        rng: np.random.RandomState,
    ) -> Numbers:
        most = weights[others].max()
        above = int((weights[held_out] > most).sum())
        if above:
            warn(
                f"{above} of {len(held_out)} rows for certification weigh more than all others. "
                f"They count as much as the heaviest of those ({most:g}), also in the population "
                "that is certified."
            )

        return held_out[rng.random_sample(len(held_out)) * most < weights[held_out]]

    def _check_classes(self) -> None:
        if self.weights is None:
            return
        for column in self.labels.T:
            if len(np.unique(column[(self.weights > 0) & (column >= 0)])) == 1:
                raise ValueError(
                    "`y` has one class only in the rows whose `sample_weight` is above 0: there "
                    "is nothing to be useful for."
                )

    def _lacking(self, criterion: Criterion, positive: int, rows: Numbers) -> list[Any]:
        """The groups that must be compared and have none of these rows."""

        sizes, groups = self.sizes(rows), self.groups.tolist()
        missing: list[Any] = [groups[g] for g in np.flatnonzero(sizes.rows.sum(0) == 0)]
        if not missing and compares_within_strata(criterion):
            compared = sizes.compared_rows(criterion, positive).numpy()
            missing = [f"{groups[g]} (of one target)" for _, g in np.argwhere(compared == 0)]

        return missing


def certified_share(n: int) -> float:
    """The share of n rows that certify a goal.

    Example:
        >>> certified_share(9_999), certified_share(10_000)
        (0.5, 0.3)
    """

    return 0.5 if n < SMALL_SAMPLE else SPLIT[2]


def _use_shares(n: int, certify: bool) -> tuple[float, ...]:
    """The shares of n rows for each use. Rows to fit are to rows to select as 5 to 2."""

    certified = certified_share(n) if certify else 0.0
    rest = (1 - certified) / (SPLIT[0] + SPLIT[1])

    return (SPLIT[0] * rest, SPLIT[1] * rest, certified)[: 3 if certify else 2]


def _too_few(lacking: list[Any], part: str, by_weight: bool) -> str:
    """Why a part of the rows lacks some groups, and what to do."""

    if by_weight:
        return (
            f"`sample_weight`: the rows of {quoted(lacking[:5])} weigh 0, or so little that none "
            f"of them counts among the rows to {part}. Give them more weight, or leave them out."
        )

    return (
        f"`sensitive_features`: too few rows of {quoted(lacking[:5])} to have some of them in the "
        f"rows to {part}. Join rare groups (`join_rare`), leave those rows out, or bring more of "
        "them."
    )


def half_of_counts(counts: Numbers, rng: np.random.Generator) -> Numbers:
    """Half of the rows that are counted, drawn without replacement."""

    if counts.sum() >= _DRAWN:  # then a coin decides for each row
        return rng.binomial(counts, 0.5)
    return rng.multivariate_hypergeometric(counts, int(counts.sum()) // 2, method="marginals")


def split_rows(
    groups: NDArray[np.int64], shares: tuple[float, ...], rng: np.random.RandomState
) -> list[NDArray[np.int64]]:
    """Disjoint parts of the rows in these shares, at random within each group.

    Given its group, each held-out row is then drawn at random, as a certificate assumes.

    Example:
        >>> parts = split_rows(np.repeat([0, 1], 10), (0.5, 0.5), np.random.RandomState(0))
        >>> [len(part) for part in parts]
        [10, 10]
    """

    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        stops = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(int)
        for part, chosen in zip(parts, np.split(rows, stops), strict=True):
            part.append(chosen)

    return [np.sort(np.concatenate(part)) for part in parts]


def conditions(
    labels: Numbers, values: NDArray[np.float64], criterion: Criterion, bins: int
) -> tuple[Numbers, int]:
    """The stratum of each row: its target, bins of a number, or one stratum for all rows.

    Returns:
        The number of each row's stratum, or -1 where a target is missing, and how many there are.

    Example:
        >>> conditions(np.array([[0], [1], [-1]]), np.empty((3, 0)), "separation", 5)
        (array([ 0,  1, -1]), 2)
    """

    if labels.shape[1] == 1 and not values.shape[1]:
        return labels[:, 0], int(labels.max()) + 1
    if not compares_within_strata(criterion):
        return np.zeros(len(labels), np.int64), 1

    columns = [*labels.T, *(_quantile_bins(column, bins) for column in values.T)]
    joined = np.stack(columns, 1)
    known = (joined >= 0).all(1)
    condition = np.full(len(labels), -1, np.int64)
    distinct, numbers = np.unique(joined[known], axis=0, return_inverse=True)
    condition[known] = numbers.ravel()

    return condition, len(distinct)


def _quantile_bins(values: NDArray[np.float64], bins: int) -> Numbers:
    return bin_numbers(values, quantile_edges(values[~np.isnan(values)], bins))


def check_weights(sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    """The weights of rows as numbers, or None where there are none.

    Raises:
        ValueError: If they are not finite, negative, all zero, or not one a row.
    """

    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`sample_weight` expects numbers, got {error}.") from error
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any():
        found = f"shape {weights.shape}{f', from {weights.min()}' if weights.size else ''}"
        if lost := int(np.isnan(weights).sum()):
            found = f"none for {lost} of them"
        raise ValueError(
            f"`sample_weight` expects a finite weight from 0 on for each of the {n} rows, got "
            f"{found}."
        )
    if not weights.sum() > 0:
        raise ValueError("`sample_weight` expects some weight above 0, got zeros only.")

    return weights
