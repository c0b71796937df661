"""Forests: boosted trees of scikit-learn, evaluated for many rows at once.

scikit-learn follows each tree for each row from node to node. Most of the time of an encoder goes
there. Here each row looks up, for each column, in which leaves of all trees it may end, and takes
the leaves that all columns allow. The answers have the same bits as scikit-learn's, since the same
leaves are added in the same order.

Source:
    QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of Regression Trees
    (Lucchese, Nardini, Orlando, Perego, Tonellotto, Venturini, 2015),
    https://doi.org/10.1145/2766462.2767733
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["Forest", "forest_answers"]

_WORD = 32  # the leaves of a tree that fit into one word
_STATES = 512  # the most combinations of columns that share a table
_FOLLOWED = 512  # so many rows are followed at once, which the cache of a core can hold

Words = NDArray[np.uint32]


@dataclass(frozen=True)
class _Column:
    """What the trees ask about one column.

    Attributes:
        number: The number of the column.
        thresholds: The thresholds of all nodes that read it, in order.
        allowed: The leaves that each interval between them allows in each tree, as bits, with
            shape (thresholds + 1, trees). The first interval allows all.
        missing: The leaves that a missing value allows, with shape (trees,).
    """

    number: int
    thresholds: NDArray[np.float64]
    allowed: Words
    missing: Words


@dataclass(frozen=True)
class _Group:
    """Columns that share a table, so that all of them take one lookup.

    Attributes:
        columns: The columns.
        allowed: The leaves that each combination of their intervals allows in each tree.
    """

    columns: tuple[_Column, ...]
    allowed: Words

    @classmethod
    def of(cls, columns: Sequence[_Column]) -> "_Group":
        allowed = columns[0].allowed
        for column in columns[1:]:
            both = allowed[:, None] & column.allowed[None]
            allowed = both.reshape(-1, allowed.shape[1])

        return cls(tuple(columns), np.ascontiguousarray(allowed))

    def states(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """The number of each row's combination; the columns of the matrix are rows of `values`."""

        states = np.zeros(values.shape[1], dtype=np.intp)
        for column in self.columns:
            row, size = values[column.number], len(column.thresholds) + 1
            if size == 2:
                places = row > column.thresholds[0]  # False for a missing value
            else:
                places = np.searchsorted(column.thresholds, row)
                places[np.isnan(row)] = 0
            states *= size
            states += places

        return states


@dataclass(frozen=True)
class Forest:
    """The trees of one model.

    Attributes:
        groups: The tables of allowed leaves.
        values: The value of each leaf of each tree, with shape (trees * 32,).
        start: What each class, or the number, begins with.

    Example:
        >>> x = np.arange(200.0, dtype=np.float32).reshape(-1, 2)
        >>> model = HistGradientBoostingRegressor(max_iter=5).fit(x, x[:, 0])
        >>> forest = Forest.of(model)
        >>> bool((forest.sums(x)[:, 0] == model.predict(x)).all())
        True
    """

    groups: tuple[_Group, ...]
    values: NDArray[np.float64]
    start: NDArray[np.float64]

    @classmethod
    def of(cls, model: Any) -> "Forest | None":
        """The trees of a model, or None if this module cannot follow them."""

        trees = [tree.nodes for iteration in model._predictors for tree in iteration]
        if any(nodes["is_categorical"].any() for nodes in trees):
            return None
        if any(nodes["is_leaf"].sum() > _WORD for nodes in trees):
            return None
        values = np.zeros((len(trees), _WORD))
        splits: dict[int, list[_Split]] = {}
        for number, nodes in enumerate(trees):
            leaves: list[float] = []
            for split in _splits(nodes, number, leaves):
                splits.setdefault(split.column, []).append(split)
            values[number, : len(leaves)] = leaves
        columns = [_asked(number, found, len(trees)) for number, found in splits.items()]
        start = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()

        return cls(tuple(map(_Group.of, _grouped(columns))), values.ravel(), start)

    def sums(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of the leaves of each row for each class, with shape (n, classes)."""

        parts = [self._sums(matrix[i : i + _FOLLOWED]) for i in range(0, len(matrix), _FOLLOWED)]

        return np.vstack(parts) if parts else np.zeros((0, len(self.start)))

    def _sums(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        n, k, n_trees = len(matrix), len(self.start), len(self.values) // _WORD
        offsets = np.arange(n_trees) * _WORD
        each = np.empty((n, n_trees // k + 1, k))
        each[:, 0] = self.start
        leaves = _first_leaf(self._allowed(np.ascontiguousarray(matrix.T), n_trees))
        each[:, 1:] = self.values[leaves + offsets].reshape(n, -1, k)

        return each.cumsum(1)[:, -1]  # in the order of the trees, as scikit-learn adds them

    def _allowed(self, values: NDArray[np.float32], n_trees: int) -> Words:
        """The leaves that all columns allow, with shape (n, trees)."""

        allowed = np.full((values.shape[1], n_trees), 2**32 - 1, dtype=np.uint32)
        other = np.empty_like(allowed)
        for group in self.groups:
            np.take(group.allowed, group.states(values), axis=0, out=other, mode="clip")
            allowed &= other
            for column in group.columns:
                missing = np.isnan(values[column.number])
                if missing.any():
                    allowed[missing] &= column.missing

        return allowed


def _first_leaf(allowed: Words) -> NDArray[np.uint8]:
    """The number of the lowest bit that is set."""

    return np.bitwise_count(~allowed & (allowed - np.uint32(1)))


@dataclass(frozen=True)
class _Split:
    """A node: rows with a larger value of the column leave some leaves behind.

    Attributes:
        tree: The number of the tree.
        column: The column that is compared.
        threshold: Rows up to this go left.
        missing_left: Whether rows without a value go left.
        left: The leaves on the left, as bits.
    """

    tree: int
    column: int
    threshold: float
    missing_left: bool
    left: int


def _splits(nodes: Any, tree: int, leaves: list[float]) -> Iterator[_Split]:
    """The splits of a tree. The values of its leaves are listed from left to right."""

    def below(place: int) -> tuple[int, list[_Split]]:
        node = nodes[place]
        if node["is_leaf"]:
            leaves.append(float(node["value"]))
            return 1 << (len(leaves) - 1), []
        left, first = below(int(node["left"]))
        right, second = below(int(node["right"]))
        column, threshold = int(node["feature_idx"]), float(node["num_threshold"])
        split = _Split(tree, column, threshold, bool(node["missing_go_to_left"]), left)
        return left | right, [split, *first, *second]

    yield from below(0)[1]


def _asked(number: int, splits: Sequence[_Split], n_trees: int) -> _Column:
    thresholds = np.unique([split.threshold for split in splits])
    every = np.uint32(2**32 - 1)
    allowed = np.full((len(thresholds) + 1, n_trees), every)
    missing = np.full(n_trees, every)
    for split in splits:
        rest = np.uint32(every ^ np.uint32(split.left))
        allowed[np.searchsorted(thresholds, split.threshold) + 1 :, split.tree] &= rest
        if not split.missing_left:
            missing[split.tree] &= rest

    return _Column(number, thresholds, allowed, missing)


def _grouped(columns: Sequence[_Column]) -> Iterator[list[_Column]]:
    """Columns of few intervals together, as long as their table stays small."""

    group: list[_Column] = []
    states = 1
    for column in sorted(columns, key=lambda column: (len(column.allowed), column.number)):
        if group and states * len(column.allowed) > _STATES:
            yield group
            group, states = [], 1
        group.append(column)
        states *= len(column.allowed)
    if group:
        yield group


_FORESTS: "WeakKeyDictionary[Any, Forest | None]" = WeakKeyDictionary()


def forest_answers(model: Any, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a boosted model answers: probabilities with shape (n, K), or numbers of shape (n, 1).

    Arguments:
        model: A fitted boosting of scikit-learn.
        matrix: The columns in single precision, NaN where missing.
    """

    if model not in _FORESTS:
        _FORESTS[model] = Forest.of(model)
    forest, is_number = _FORESTS[model], isinstance(model, HistGradientBoostingRegressor)
    if forest is None or matrix.dtype != np.float32:
        answers = model.predict(matrix) if is_number else model.predict_proba(matrix)
    elif is_number:
        answers = model._loss.link.inverse(forest.sums(matrix).ravel())
    else:
        answers = model._loss.predict_proba(forest.sums(matrix))

    return np.asarray(answers, dtype=np.float64).reshape(len(matrix), -1)
