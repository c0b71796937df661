"""A fair tree, whose leaves are the codes: a few cells of the table that reveal little about S."""

__all__ = ["FairTree", "TreeSplit"]

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_whole, one_hot

BINS = 32
"""The most bins of a column."""

LEAST_GAIN = 1e-9
"""The gain that a split must have, as a share of the rows. Less is rounding."""


class TreeSplit(NamedTuple):
    """A split of a leaf. Rows above the threshold go to a new leaf with the next number."""

    leaf: int
    column: int
    threshold: float


@dataclass(eq=False, repr=False)
class FairTree(TableBaseline):
    r"""A classification tree whose leaves should predict the target, and not the groups.

    The tree makes the best split first, by the decrease of

    .. math:: (1 - \gamma)\, G_y + \gamma\, (1 - 1/k - G_s),

    with the Gini indices :math:`G` of target and groups in a leaf, and the strength
    :math:`\gamma`. With k = 2 groups the last term is FARE's, :math:`0.5 - G_s`. With more groups
    the largest Gini index of k groups replaces 0.5. No split improves the term of the groups, so a
    leaf is final when every split would reveal more about the groups than it gains for the target.

    This is bitveil's own implementation, not the authors'. It differs: thresholds are up to 31
    quantiles of a column; categories are columns of zeros and ones, which are split one at a time
    instead of in an order of the categories; and a leaf is published as its number (one-hot)
    instead of the median of its rows. Target and groups may have more than two values.

    Source:
        FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović,
        Balunović, Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213

    Arguments:
        strength: The weight of the groups, from 0 to 1.
        max_leaves: The most leaves.
        min_leaf: The fewest rows of a leaf.
        random_state: Not used: the method has no randomness.

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
        [TreeSplit(leaf=0, column=0, threshold=0.5)]
    """

    strength: float = 0.5
    max_leaves: int = field(default=64, kw_only=True)
    min_leaf: int = field(default=100, kw_only=True)

    def _check_settings(self) -> None:
        check_range("strength", self.strength, 0, 1)
        check_whole("max_leaves", self.max_leaves, 1)
        check_whole("min_leaf", self.min_leaf, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        sizes = len(rows.classes), len(rows.groups)
        cells = rows.y * sizes[1] + rows.s
        grower = _Grower.of(rows.X, cells, sizes, self.strength, self.min_leaf)
        self.splits_ = grower.grow(self.max_leaves)

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The leaf of each row, with one column for each leaf: shape (n, leaves)."""

        features = self._features(X)
        leaves = np.zeros(len(features), dtype=np.int64)
        for new, split in enumerate(self.splits_, start=1):
            above = features[:, split.column] > split.threshold
            leaves[above & (leaves == split.leaf)] = new

        return one_hot(leaves, len(self.splits_) + 1)

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each leaf for each row, 0 or 1, with shape (n, leaves)."""

        return self.transform(X)


class _BestSplit(NamedTuple):
    """The best split of a leaf. The tree makes the one with the lowest loss next."""

    loss: float
    leaf: int
    column: int
    bin: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class _Grower:
    """Binned rows, and how their leaves are split.

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

    def grow(self, max_leaves: int) -> list[TreeSplit]:
        """The splits, best first."""

        splits: list[TreeSplit] = []
        waiting: list[_BestSplit] = []
        self._consider(waiting, 0, np.arange(len(self.cells)))
        while waiting and len(splits) + 1 < max_leaves:
            _, leaf, column, place, rows = heappop(waiting)
            splits.append(TreeSplit(leaf, column, float(self.thresholds[column][place])))
            above = self.bins[rows, column] > BINS * column + place
            self._consider(waiting, leaf, rows[~above])
            self._consider(waiting, len(splits), rows[above])

        return splits

    def _consider(self, waiting: list[_BestSplit], leaf: int, rows: NDArray[np.int64]) -> None:
        """Put the best split of a leaf in the queue, if it gains anything."""

        if len(rows) < 2 * self.min_leaf:
            return
        gains = self._gains(rows)
        column, place = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[column, place] > LEAST_GAIN * len(self.cells):
            heappush(
                waiting,
                _BestSplit(-float(gains[column, place]), leaf, int(column), int(place), rows),
            )

    def _gains(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The gain of each split, with shape (d, bins). If a leaf is too small, it is -inf."""

        n_cells, d = self.sizes[0] * self.sizes[1], self.bins.shape[1]
        places = self.bins[rows] * n_cells + self.cells[rows, None]
        counts = np.bincount(places.ravel(), minlength=d * BINS * n_cells)
        below = counts.reshape(d, BINS, *self.sizes).cumsum(1)
        above = below[:, -1:] - below
        gains = self._purity(below) + self._purity(above) - self._purity(below[:, -1:])
        fewest = np.minimum(below.sum((2, 3)), above.sum((2, 3)))

        return np.where(fewest >= self.min_leaf, gains, -np.inf)

    def _purity(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows times one minus the criterion, up to a constant that no split changes."""

        y, s = counts.sum(3), counts.sum(2)
        squares = (1 - self.strength) * (y**2).sum(2) - self.strength * (s**2).sum(2)

        return squares / np.maximum(y.sum(2), 1)


def _thresholds(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds between the values if these are few, otherwise at quantiles.

    Example:
        >>> _thresholds(np.array([3.0, 1.0, 1.0]))
        array([2.])
    """

    values = np.unique(column)
    if len(values) <= BINS:
        return (values[:-1] + values[1:]) / 2

    return np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
