"""What every loader returns, a `Dataset`, and what the benchmark knows about it, an `Entry`."""

__all__ = ["Dataset", "Entry", "Origin", "held_out", "read_bundled"]

import gzip
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.datasets.files import DataFile


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Attributes:
        about: What the rows are, and what the target is.
        source: Title, authors, year and link.
        licence: The licence of the data, which is not the licence of bitveil.
    """

    about: str
    source: str
    licence: str

    @property
    def description(self) -> str:
        """All of it, in sentences."""

        return f"{self.about}. Source: {self.source}. Licence: {self.licence}."


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table with a binary target and one or more sensitive attributes.

    Row i of `features`, `target` and `sensitive` is the same person, and the index is equal.

    Attributes:
        name: The name of the data set.
        features: The columns to learn from, the sensitive ones included: see `without`.
        target: The label, 0 or 1, named after what 1 means.
        sensitive: The sensitive attributes that the field uses, one column each, as text.
        stated_by: For each column of `sensitive`, the features that state it outright.
        official_test: The rows of the official test split, or None if there is no such split.
        origin: Where the data set comes from, or None if it is not known.
        weights: How many people of the population a row represents, or None if it is not known.
        persons: A number for each row's person, or None if every row is a different person.
        fixed_test: The test rows of the loader's own rule, or None for the rule of `test`.
        answers: The known answers of a world that bitveil makes up: see `bitveil.datasets.worlds`.

    Example:
        >>> table = pd.DataFrame({"age": [19, 40], "hours": [20, 38]})
        >>> toy = Dataset(
        ...     name="Toy",
        ...     features=table,
        ...     target=pd.Series([0, 1], name="hired"),
        ...     sensitive=pd.DataFrame({"age_group": ["young", "old"]}),
        ...     stated_by={"age_group": ("age",)},
        ... )
        >>> toy
        <Dataset Toy: 2 rows, 2 features, target hired, sensitive age_group>
        >>> toy.without("age_group").columns.tolist()
        ['hours']
        >>> toy.test
        array([False,  True])
    """

    name: str
    features: pd.DataFrame
    target: pd.Series
    sensitive: pd.DataFrame
    stated_by: Mapping[str, tuple[str, ...]]
    official_test: NDArray[np.bool_] | None = None
    origin: Origin | None = None
    weights: pd.Series | None = None
    persons: pd.Series | None = None
    fixed_test: NDArray[np.bool_] | None = None
    answers: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = self.features.index
        given = (self.sensitive, self.target, self.weights, self.persons)
        aligned = all(rows.equals(table.index) for table in given if table is not None)
        splits = (self.official_test, self.fixed_test)
        if not aligned or any(split.shape != rows.shape for split in splits if split is not None):
            raise ValueError(
                f"`Dataset` expects all parts of {self.name} (features, target, sensitive, "
                "weights, persons, official_test, fixed_test) to have the same rows in one order, "
                "but their indices or lengths differ. Select the same rows in all of them, or use "
                "`reset_index(drop=True)` if the order is right."
            )

        stated = {column for columns in self.stated_by.values() for column in columns}
        if set(self.stated_by) != set(self.sensitive) or not stated <= set(self.features):
            raise ValueError(
                f"`Dataset` expects stated_by of {self.name} to name columns of the features for "
                f"each of {list(self.sensitive)}, got {dict(self.stated_by)}. Give an empty tuple "
                "if no column states the attribute."
            )

    def __repr__(self) -> str:
        rows, columns = self.features.shape
        return (
            f"<Dataset {self.name}: {rows} rows, {columns} features, "
            f"target {self.target.name}, sensitive {', '.join(self.stated_by)}>"
        )

    @property
    def test(self) -> NDArray[np.bool_]:
        """The test rows: the official ones, or else those of a fixed rule, about three in ten.

        The rule is `fixed_test` if the loader has one, or else `held_out` of the row numbers from
        0. It is the same in every version of bitveil and on every machine.
        """

        if self.official_test is not None:
            return self.official_test

        return held_out(range(len(self.features))) if self.fixed_test is None else self.fixed_test

    def base_rates(self, name: str) -> dict[str, float]:
        """The share of rows with target 1 in each group of a sensitive attribute, four digits."""

        rates = self.target.groupby(self.sensitive[name]).mean()

        return {str(group): round(float(rate), 4) for group, rate in rates.items()}

    def without(self, *names: str) -> pd.DataFrame:
        """Return the features without the columns that state the named sensitive attributes.

        It drops only columns that state an attribute outright. Columns that merely hint at it
        stay: to find out how much they reveal, and to remove that, is the task of an encoder.
        """

        unknown = [name for name in names if name not in self.stated_by]
        if unknown:
            raise ValueError(
                f"`without` expects sensitive attributes of {self.name}, which are "
                f"{list(self.stated_by)}, got {unknown}. To drop any other column, use "
                "`features.drop(columns=...)`."
            )

        stated = {column for name in names for column in self.stated_by[name]}
        return self.features.drop(columns=list(stated))


@dataclass(frozen=True)
class Entry:
    """A data set of the benchmark.

    Attributes:
        name: Its short name.
        load: Loads it.
        sensitive: The sensitive attribute that the benchmark hides.
        groups: The groups that take part. None: all.
        files: The files that it needs and that do not come with bitveil.
    """

    name: str
    load: Callable[[], Dataset]
    sensitive: str
    groups: tuple[str, ...] | None = None
    files: tuple[DataFile, ...] = ()


def held_out(ids: Iterable[int | str]) -> NDArray[np.bool_]:
    """Which ids are on the test side of the fixed split: about three in ten.

    An id is on the test side if its hash, a number between 0 and 1, is below 0.3. So its side
    depends on the id alone, and not on the order, the number or the choice of the rows. Rows with
    the same id are on the same side.

    Example:
        >>> held_out(["Ann", "Bob", "Ann", "Eve"])
        array([False, False, False,  True])
        >>> int(held_out(range(10_000)).sum())
        3050
    """

    return np.fromiter((position(str(name)) < 0.3 for name in ids), dtype=np.bool_)


def position(name: str) -> float:
    """A number between 0 and 1 that is a hash of the name."""

    digest = hashlib.blake2b(name.encode(), digest_size=8, key=b"bitveil split").digest()

    return int.from_bytes(digest, "little") / 2**64


def read_bundled(name: str) -> io.BytesIO:
    """Unpack a gzipped file of the package, whether that is a folder or a zip.

    Example:
        >>> read_bundled("german.data.gz").readline().split()[:5]
        [b'A11', b'6', b'A34', b'A43', b'1169']
    """

    packed = files("bitveil.datasets").joinpath("files", name).read_bytes()

    return io.BytesIO(gzip.decompress(packed))
