"""A person's own data set and own method, under the protocol of the benchmark."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bitveil.benchmark.methods import Method, Sweep
from bitveil.datasets.dataset import Dataset, Entry

__all__ = ["OwnTable", "own_method"]


@dataclass(frozen=True)
class OwnTable:
    """A table on disk, and what its columns are.

    Attributes:
        file: A .csv or .parquet file.
        target: The column to predict, with two values.
        sensitive: The column to hide, with two values or more.
        positive: The value of the target that counts as 1; None: the last one in their order.
        drop: Columns to leave out, such as those that state the sensitive one in other words.

    Example:
        >>> path = getfixture("tmp_path") / "people.csv"
        >>> _ = path.write_text("age,sex,hired\\n20,f,no\\n30,m,yes\\n40,f,yes\\n")
        >>> data = OwnTable(path, "hired", "sex").load()
        >>> data.name, data.target.tolist(), data.without("sex").columns.tolist()
        ('people', [0, 1, 1], ['age'])
    """

    file: Path
    target: str
    sensitive: str
    positive: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def entry(self) -> Entry:
        """The table as a data set of the benchmark, under the name of its file."""

        return Entry(name=self.file.stem, load=self.load, sensitive=self.sensitive)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file and of the roles of its columns, by which records know them."""

        with self.file.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        roles = (self.target, self.sensitive, self.positive, self.drop)
        content.update(repr(roles).encode())

        return content.hexdigest()

    def load(self) -> Dataset:
        """Read the table.

        A hash of the number of each row decides whether it is a test row: about three in ten are.

        Raises:
            ValueError: If a column is missing or takes two roles, the target has not two values,
                the sensitive column has not two or more, or a value of either is missing.
        """

        from bitveil.checks import check_roles
        from bitveil.columns.files import read_table

        table = read_table(self.file)
        check_roles([self.target, self.sensitive, *self.drop])
        absent = [n for n in (self.target, self.sensitive, *self.drop) if n not in table]
        if absent:
            raise ValueError(f"{self.file} has no columns {absent}. It has {list(table)}.")
        for name in (self.target, self.sensitive):
            if n := int(table[name].isna().sum()):
                raise ValueError(
                    f"{self.file}: the column {name!r} lacks a value in {n} rows. Fill them in, "
                    "or leave these rows out."
                )
        groups = table[self.sensitive].astype(str)
        if not 2 <= groups.nunique() <= _GROUPS_AT_MOST:
            raise ValueError(
                f"{self.file}: the benchmark expects 2 to {_GROUPS_AT_MOST} values in the "
                f"sensitive column {self.sensitive!r}, got {groups.nunique()}. Join rare values, "
                "or cut numbers into bins."
            )

        return Dataset(
            name=self.file.stem,
            features=table.drop(columns=[self.target, *self.drop]),
            target=self._numbers(table[self.target]),
            sensitive=groups.to_frame(),
            stated_by={self.sensitive: (self.sensitive,)},
        )

    def _numbers(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """The target as 0 and 1, named after what 1 means."""

        text = target.astype(str)
        values = sorted(text.unique())
        if len(values) != 2:
            raise ValueError(
                f"{self.file}: the benchmark expects two values in the target {self.target!r}, "
                f"got {len(values)}."
            )
        positive = values[-1] if self.positive is None else self.positive
        if positive not in values:
            raise ValueError(
                f"{self.file}: the target {self.target!r} has no value {positive!r}. It has "
                f"{values}."
            )

        return (text == positive).astype(np.int64).rename(f"{self.target} is {positive}")


_GROUPS_AT_MOST = 20


def own_method(place: str, sweep: str | None = None) -> Method:
    """A class of somebody else as a method of the benchmark.

    The class needs `fit(X, y, sensitive_features=...)`, where X is an array of finite numbers and
    the others are numbered from 0, and `transform(X)`, which gives the representation, with shape
    (n, d). Its constructor takes `random_state`, and the setting of the sweep if there is one. If
    its codes are finite, `likelihoods(X)` gives the probability of each code, with shape
    (n, codes): then they are certified too. With `needs_sensitive = True` both also get
    `sensitive_features`.

    Arguments:
        place: The module and the class, such as `"my_package.methods:Encoder"`. Modules in the
            working directory are found.
        sweep: The setting that trades use for leakage and its range, such as `"strength=0.1:30"`.
            It is swept in equal ratios. None: the method has one configuration.

    Raises:
        ValueError: If there is no such class, it lacks a method, or the sweep cannot be read.

    Example:
        >>> method = own_method("bitveil.baselines.fair_mixture:FairMixture", "strength=4:64")
        >>> method.title, method.sweep.low
        ('bitveil.baselines.fair_mixture:FairMixture', 4.0)
    """

    _class_at(place)

    return Method(place, partial(_of_place, place), _read_sweep(sweep))


def _of_place(place: str, /, **settings: Any) -> Any:
    return _class_at(place)(**settings)


def _class_at(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    if not module or not name:
        raise ValueError(
            f"A method of your own is named 'module:Class', such as 'my_methods:Encoder', got "
            f"{place!r}."
        )
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"The method {place!r} cannot be imported: {error}.") from error
    lacking = [each for each in _NEEDED if not callable(getattr(found, each, None))]
    if lacking:
        raise ValueError(
            f"The method {place!r} lacks {' and '.join(lacking)}. A method needs "
            "`fit(X, y, sensitive_features=...)` and `transform(X)`."
        )

    return found


_NEEDED: Sequence[str] = ("fit", "transform")


def _read_sweep(words: str | None) -> Sweep | None:
    """A sweep such as strength=0.1:30."""

    if words is None:
        return None
    name, _, ends = words.partition("=")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        low = high = 0.0
    if not name.isidentifier() or not 0 < low < high < np.inf:
        raise ValueError(
            "A sweep names a setting and its least and largest value, both above 0, such as "
            f"'strength=0.1:30', got {words!r}."
        )

    return Sweep(name, low, high)
