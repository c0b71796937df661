"""What every loader returns: a table, its target, and what in it states the sensitive."""

__all__ = ["Dataset", "read_bundled"]

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table with a binary target and one or more sensitive attributes.

    Row i of `features`, `target` and `sensitive` is the same person, and the index is equal.

    Attributes:
        name: The name of the data set.
        features: All columns but the target, the sensitive ones included: see `without`.
        target: The label, 0 or 1, named after what 1 means.
        sensitive: The sensitive attributes in use for this data set, one a column, as text.
        stated_by: For each column of `sensitive`, the features that state it outright.
        official_test: The rows of the official test split, or None where there is none.
        description: What the rows are and where they come from, licence included.
        source: Title, authors, year and link.
        licence: The licence of the data, which is not that of bitveil.

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
    """

    name: str
    features: pd.DataFrame
    target: pd.Series
    sensitive: pd.DataFrame
    stated_by: Mapping[str, tuple[str, ...]]
    official_test: NDArray[np.bool_] | None = None
    description: str = ""
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        rows = self.features.index
        aligned = rows.equals(self.target.index) and rows.equals(self.sensitive.index)
        split = self.official_test
        if not aligned or (split is not None and split.shape != rows.shape):
            raise ValueError(
                f"`Dataset` expects features, target, sensitive and official_test of {self.name} "
                "to hold the same rows in one order; their indices or lengths differ. Select the "
                "rows of all of them alike, or `reset_index(drop=True)` where the order is right."
            )

        stated = {column for columns in self.stated_by.values() for column in columns}
        if set(self.stated_by) != set(self.sensitive) or not stated <= set(self.features):
            raise ValueError(
                f"`Dataset` expects stated_by of {self.name} to name, for each of "
                f"{list(self.sensitive)}, columns of the features; got {dict(self.stated_by)}. "
                "Give an empty tuple where no column states the attribute."
            )

    def __repr__(self) -> str:
        rows, columns = self.features.shape
        return (
            f"<Dataset {self.name}: {rows} rows, {columns} features, "
            f"target {self.target.name}, sensitive {', '.join(self.stated_by)}>"
        )

    def without(self, *names: str) -> pd.DataFrame:
        """Return the features without the columns that state the named sensitive attributes.

        Only what states an attribute outright is left out. What merely hints at it stays: to find
        out how much the rest reveals, and to remove that, is the task of an encoder.
        """

        unknown = [name for name in names if name not in self.stated_by]
        if unknown:
            raise ValueError(
                f"`without` expects sensitive attributes of {self.name}, which are "
                f"{list(self.stated_by)}; got {unknown}. To leave out any other column use "
                "`features.drop(columns=...)`."
            )

        stated = {column for name in names for column in self.stated_by[name]}
        return self.features.drop(columns=list(stated))


def read_bundled(name: str) -> io.BytesIO:
    """Unpack a gzipped file of the package, be it installed as a folder or as a zip.

    Example:
        >>> read_bundled("german.data.gz").readline().split()[:5]
        [b'A11', b'6', b'A34', b'A43', b'1169']
    """

    packed = files("bitveil.datasets").joinpath("files", name).read_bytes()

    return io.BytesIO(gzip.decompress(packed))
