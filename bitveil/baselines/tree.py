"""A fair tree, whose leaves are the codes: few cells of the table, which tell little of S."""

__all__ = ["FairTree", "Split"]

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.inputs import (
    check_columns,
    check_number,
    check_table,
    check_whole,
    one_hot,
)

BINS = 32
"""The most bins of a column."""

HEADROOM = 1e-9
"""The gain that a split must have, in rows: less is rounding."""


class Split(NamedTuple):
    """A split of a leaf: rows above the threshold go to a new leaf, with the next number."""

    leaf: int
    column: int
    threshold: float


@dataclass(eq=False)
class FairTree:
    r"""A classification tree whose leaves should tell the target, and not the groups.

    The tree grows best split first, by the fall of

    .. math:: (1 - \gamma)\, G_y + \gamma\, (1 - 1/k - G_s),

    with the Gini indices :math:`G` of target and groups in a leaf, and the strength
    :math:`\gamma`. With k = 2 groups this is FARE's criterion, :math:`0.5 - G_s`; for more,
    the largest Gini index of k groups takes the place of 0.5. No split makes the criterion's
    part of the groups better, so a leaf is final when no split gains more of the target than it
    gives away of the groups.

    This is bitveil's own implementation, not the authors'. It differs: thresholds are up to 31
    quantiles of a column, categories are columns of zeros and ones that are split one at a time
    instead of an ordering of the categories, and a leaf is published as its number (one-hot)
    instead of the median of its rows. Target and groups may have more than two values.

    Source:
        FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović,
        Balunović, Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213

    Arguments:
        strength: The weight of the groups, from 0 to 1.
        max_leaves: The most leaves.
        min_leaf: The fewest rows of a leaf.
        random_state: Not used, the tree has no randomness; taken so that all are called alike.

    Attributes:
        splits_: The splits, in the order in which they were made.

    Example:
        >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> tree = FairTree(0.5, min_leaf=1)
        >>> tree.fit(X, [0, 0, 1, 1], sensitive_features=[0, 1, 0, 1]).transform(X)
        array([[1., 0.],
               [1., 0.],
               [0., 1.],
               [0., 1.]])
        >>> tree.splits_
        [Split(leaf=0, column=0, threshold=0.5)]
    """

    strength: float = 0.5
    max_leaves: int = field(default=64, kw_only=True)
    min_leaf: int = field(default=100, kw_only=True)
    random_state: int | np.random.RandomState | None = field(default=None, kw_only=True)
    _width: int | None = field(default=None, init=False, repr=False)

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Grow the tree.

        Arguments:
            X: The features, with shape (n, d).
            y: The target, with shape (n,): classes.
            sensitive_features: The groups, with shape (n,).

        Raises:
            ValueError: If a setting is out of its range, or the input is not as described.
        """

        check_number("strength", self.strength, 0, 1)
        check_whole("max_leaves", self.max_leaves, 1)
        check_whole("min_leaf", self.min_leaf, 1)
        table = check_table(X, y, sensitive_features=sensitive_features)
        sizes = len(table.classes), len(table.groups)
        grower = _Grower.of(
            table.X, table.y * sizes[1] + table.s, sizes, self.strength, self.min_leaf
        )
        self.splits_ = grower.grow(self.max_leaves)
        self._width = table.X.shape[1]

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The leaf of each row, one column a leaf, with shape (n, leaves)."""

        features = check_columns(X, self._width)
        leaves = np.zeros(len(features), dtype=np.int64)
        for new, split in enumerate(self.splits_, start=1):
            above = features[:, split.column] > split.threshold
            leaves[above & (leaves == split.leaf)] = new

        return one_hot(leaves, len(self.splits_) + 1)

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each leaf for each row, 0 or 1, with shape (n, leaves)."""

        return self.transform(X)


class _Candidate(NamedTuple):
    """The best split of a leaf; the lowest is made next."""

    loss: float
    leaf: int
    column: int
    bin: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class _Grower:
    """Binned rows, and how leaves of them are split.

    Attributes:
        bins: The bin of each value, plus `BINS` times its column, with shape (n, d).
        cells: The class times the number of groups, plus the group, with shape (n,).
        thresholds: The thresholds of each column.
        sizes: The numbers of classes and of groups.
        strength: The weight of the groups.
        min_leaf: The fewest rows of a leaf.
    """

    bins: NDArray[np.int64]
    cells: NDArray[np.int64]
    thresholds: list[NDArray[np.float64]]
    sizes: tuple[int, int]
    strength: float
    min_leaf: int

    @classmethod
    def of(
        cls,
        X: NDArray[np.float64],
        cells: NDArray[np.int64],
        sizes: tuple[int, int],
        strength: float,
        min_leaf: int,
    ) -> Self:
        thresholds = [_thresholds(column) for column in X.T]
        # From the left: a value that equals a threshold is not above it, as in `transform`.
        bins = [
            BINS * number + np.searchsorted(cuts, column)
            for number, (cuts, column) in enumerate(zip(thresholds, X.T, strict=True))
        ]

        return cls(np.stack(bins, 1), cells, thresholds, sizes, strength, min_leaf)

    def grow(self, max_leaves: int) -> list[Split]:
        """The splits, best first."""

        splits: list[Split] = []
        waiting: list[_Candidate] = []
        self._consider(waiting, 0, np.arange(len(self.cells)))
        while waiting and len(splits) + 1 < max_leaves:
            _, leaf, column, place, rows = heappop(waiting)
            splits.append(Split(leaf, column, float(self.thresholds[column][place])))
            above = self.bins[rows, column] > BINS * column + place
            self._consider(waiting, leaf, rows[~above])
            self._consider(waiting, len(splits), rows[above])

        return splits

    def _consider(self, waiting: list[_Candidate], leaf: int, rows: NDArray[np.int64]) -> None:
        """Put the best split of a leaf in the queue, if one gains anything."""

        if len(rows) < 2 * self.min_leaf:
            return
        gains = self._gains(rows)
        column, place = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[column, place] > HEADROOM * len(self.cells):
            heappush(
                waiting,
                _Candidate(-float(gains[column, place]), leaf, int(column), int(place), rows),
            )

    def _gains(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each split gains, with shape (d, bins); those with a small leaf are -inf."""

        n_cells, d = self.sizes[0] * self.sizes[1], self.bins.shape[1]
        places = self.bins[rows] * n_cells + self.cells[rows, None]
        counts = np.bincount(places.ravel(), minlength=d * BINS * n_cells)
        below = counts.reshape(d, BINS, *self.sizes).cumsum(1)
        above = below[:, -1:] - below
        gains = self._purity(below) + self._purity(above) - self._purity(below[:, -1:])
        fewest = np.minimum(below.sum((2, 3)), above.sum((2, 3)))

        return np.where(fewest >= self.min_leaf, gains, -np.inf)

    def _purity(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows times one minus the criterion, but for a constant that no split changes."""

        y, s = counts.sum(3), counts.sum(2)
        squares = (1 - self.strength) * (y**2).sum(2) - self.strength * (s**2).sum(2)

        return squares / np.maximum(y.sum(2), 1)


def _thresholds(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between the values where they are few, otherwise at quantiles.

    Example:
        >>> _thresholds(np.array([3.0, 1.0, 1.0]))
        array([2.])
    """

    values = np.unique(column)
    if len(values) <= BINS:
        return (values[:-1] + values[1:]) / 2

    return np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
