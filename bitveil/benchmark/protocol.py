"""The protocol: which rows of a data set are for which use.

The test rows of a data set are used only to report, once for each configuration. Of the other rows
50 % fit the method, 20 % select, and 30 % certify. Within a group of the sensitive attribute the
split is random, so that the rows for certification are a fair sample of the group. The sensitive
attribute, and the columns that state it outright, are never features. Every method sees the same
standardised columns.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from bitveil.datasets import Dataset
from bitveil.datasets.catalogue import entries
from bitveil.datasets.dataset import Entry
from bitveil.features import Features, folds_for
from bitveil.rows import SPLIT, split_rows

__all__ = ["Problem", "UseRows", "problem", "rows_by_group", "split"]

USES = ("fit", "select", "certify")
"""The uses of the rows that are not for the test, in the shares of `SPLIT`."""


@dataclass(frozen=True)
class UseRows:
    """The rows of one use: features (n, d), target (n,) and group (n,), numbered from 0."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    s: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Problem:
    """A data set, split by a seed.

    Attributes:
        name: Its short name.
        groups: The values of the sensitive attribute.
        parts: The rows to `"fit"`, `"select"`, `"certify"` and `"test"`.
    """

    name: str
    groups: tuple[str, ...]
    parts: dict[str, UseRows]

    def __getitem__(self, name: str) -> UseRows:
        return self.parts[name]

    @cached_property
    def posterior(self) -> "Problem":
        """The same rows. Their only columns are predictions of target and group, as log-odds.

        They come from the stack of models that bitveil's estimators use, and all methods that
        read predictions read these. On the rows for fitting they are out of fold.
        """

        known = self["fit"]
        features = Features("posterior", folds=folds_for(len(known)))
        parts = {"fit": replace(known, X=features.fit_transform(known.X, known.y, known.s))}
        for name in ("select", "certify", "test"):
            parts[name] = replace(self[name], X=features.transform(self[name].X))
        mean, scale = features.scaler_.mean_, features.scaler_.scale_
        odds = {name: replace(p, X=(p.X * scale + mean)) for name, p in parts.items()}

        return Problem(self.name, self.groups, odds)

    def joined(self, *uses: str) -> UseRows:
        """The rows of several uses, one after the other."""

        parts = [self[use] for use in uses]

        return UseRows(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("X", "y", "s")))


def split(s: NDArray[np.int64], seed: int) -> dict[str, NDArray[np.int64]]:
    """The row numbers of each use, at random within each group.

    Example:
        >>> {name: len(rows) for name, rows in split(np.repeat([0, 1], 50), seed=0).items()}
        {'fit': 50, 'select': 20, 'certify': 30}
    """

    return dict(zip(USES, split_rows(s, SPLIT, check_random_state(seed)), strict=True))


def problem(name: str, seed: int, own: Entry | None = None) -> Problem:
    """Load a data set, split it, and prepare its columns with the rows for fitting.

    Arguments:
        name: Its name.
        seed: The seed of the split.
        own: The data set, if it is a person's own. None: one of the benchmark.

    Raises:
        ValueError: If there is no data set of this name.
        FileNotFoundError: If its file is missing.
    """

    if own is None and name not in entries():
        raise ValueError(f"There is no data set {name!r}. Available: {list(entries())}.")
    entry = entries()[name] if own is None else own
    data, taken = _load(entry)
    table = data.without(entry.sensitive)[taken]
    y = data.target[taken].to_numpy(np.int64)
    s, groups = pd.factorize(data.sensitive.loc[taken, entry.sensitive], sort=True)
    test = data.test[taken]
    rest = np.flatnonzero(~test)
    rows = {use: rest[some] for use, some in split(s[rest], seed).items()}
    rows["test"] = np.flatnonzero(test)
    features = Features("raw").fit(table.iloc[rows["fit"]])
    parts = {
        use: UseRows(features.transform(table.iloc[some]), y[some], s[some])
        for use, some in rows.items()
    }

    return Problem(name, tuple(map(str, groups)), parts)


def rows_by_group(name: str) -> tuple[int, list[int]]:
    """How many rows a data set has, and how many of each group are not test rows."""

    entry = entries()[name]
    data, taken = _load(entry)
    rest = data.sensitive.loc[taken & ~data.test, entry.sensitive]

    return int(taken.sum()), rest.value_counts(sort=False).sort_index().tolist()


def _load(entry: Entry) -> tuple[Dataset, NDArray[np.bool_]]:
    """A data set, and which of its rows take part."""

    data = entry.load()
    if entry.groups is None:
        return data, np.ones(len(data.target), dtype=bool)

    return data, data.sensitive[entry.sensitive].isin(entry.groups).to_numpy()
