"""Schemas: what the columns of a fit were, and how the same columns of other rows are read."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.cautions import warn
from bitveil.columns.attribute import Attribute
from bitveil.columns.groups import Grouping
from bitveil.columns.kinds import Kinds
from bitveil.columns.labels import MOST_VALUES, as_frame
from bitveil.columns.names import check_names
from bitveil.columns.table import Table, as_pandas, check_table
from bitveil.columns.targets import Kind, Target
from bitveil.features import Features
from bitveil.quotes import quoted

__all__ = ["Schema", "column_names"]


@dataclass(frozen=True)
class Schema:
    """The table, the target and the sensitive attribute of a fit.

    Attributes:
        shape: The shape of a row: the number of columns, or that of an image.
        feature_names: Their names; None for an array.
        target_name: The name of the target; None where it has none.
        sensitive_names: The names of the sensitive columns; None where they have none.
        kinds: What each column of the table holds; None for an array.
        target: What was learned about the target.
        grouping: How rows are put into groups.
    """

    shape: tuple[int, ...]
    feature_names: list[Any] | None
    target_name: Any
    sensitive_names: list[Any] | None
    kinds: Kinds | None
    target: Target
    grouping: Grouping

    @classmethod
    def fit(
        cls,
        X: Any,
        y: Any,
        sensitive_features: Any,
        *,
        targets: Kind,
        bins: int,
        missing_target: Literal["error", "unlabelled"],
        missing_sensitive: Literal["error", "group"],
    ) -> "tuple[Schema, Table, NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]":
        """Learn the schema of some rows, and number them.

        Returns:
            The schema; the table as it is read; the targets with classes, -1 where missing, with
            shape (n, q); the standardised targets that are numbers, NaN where missing, with shape
            (n, d); and the group of each row, with shape (n,).

        Raises:
            ValueError: If the input cannot be read.
        """

        table, kinds = check_table(X), None
        if isinstance(table, pd.DataFrame):
            kinds = Kinds.fit(table)
            table = kinds.read(table)
        if len(table) < 2:
            raise ValueError(
                f"Found array with {len(table)} sample(s) (shape={table.shape}) while a minimum "
                "of 2 is required, some to fit and some to select: n_samples = "
                f"{len(table)}."
            )
        names = column_names(table)
        check_names("X", names or [])
        target, labels, values = Target.fit(
            y, len(table), kind=targets, missing=missing_target, bins=bins
        )
        grouping, groups = Grouping.fit(
            "sensitive_features",
            sensitive_features,
            n=len(table),
            bins=bins,
            missing=missing_sensitive,
            most=MOST_VALUES,
        )
        sensitive = column_names(Attribute.of(sensitive_features).table)
        schema = cls(tuple(table.shape[1:]), names, _name(y), sensitive, kinds, target, grouping)

        return schema, table, labels, values, groups

    def read(self, X: Any, features: Features) -> Table:
        """Other rows as a table with the columns of the fit.

        Raises:
            ValueError: If columns are missing or unknown, or hold another kind of value.

        Warns:
            UserWarning: If there are values that the fit did not see.
        """

        table = check_table(X)
        if self.kinds is not None and isinstance(table, pd.DataFrame):
            return self._read_frame(table, self.kinds, features)
        if isinstance(table, pd.DataFrame) or self.kinds is not None:
            raise ValueError(
                "Expected a table of the kind that the encoder was fitted on, "
                f"{'numbers' if self.kinds is None else 'a DataFrame'}, got {type(X).__name__}."
            )
        self._check_array(table)

        return table

    def again(self, table: Table) -> Table:
        """A table that was read, in a form that can be read again."""

        if self.kinds is None or not isinstance(table, pd.DataFrame):
            return table
        return self.kinds.again(table)

    def groups(
        self, sensitive_features: Any, n: int, *, bins: int
    ) -> "pd.DataFrame | pd.Series[Any]":
        """The attribute of other rows, with its columns cut into the bins of the fit.

        Columns with other names are another attribute, which gets bins of its own.
        """

        names, grouping = column_names(sensitive_features), self.grouping
        if self.is_other_attribute(sensitive_features):
            grouping, _ = Grouping.fit(
                "sensitive_features", sensitive_features, n=n, bins=bins, missing="error"
            )
        else:
            as_frame("sensitive_features", sensitive_features, n)
            names = self.sensitive_names
        cut = grouping.cut("sensitive_features", sensitive_features)
        if len(cut.columns) > 1:
            return cut.set_axis(names or [f"column {j}" for j in range(len(cut.columns))], axis=1)

        return cut.iloc[:, 0].rename(names[0] if names else None)

    def targets(
        self, y: Any, n: int, *, bins: int, missing: Literal["error", "unlabelled"]
    ) -> pd.DataFrame:
        """The targets of other rows as classes: numbers are cut into the bins of the fit.

        A column with another name is another target, which gets bins of its own.
        """

        target = self.target
        if not target.kinds or self.is_other_target(y):
            target, _, _ = Target.fit(y, n, missing=missing, bins=bins)

        return target.cut(y, n, missing=missing)

    def is_other_attribute(self, sensitive_features: Any) -> bool:
        """Whether these columns have other names than the sensitive columns of the fit."""

        return _differ(column_names(sensitive_features), self.sensitive_names)

    def is_other_target(self, y: Any) -> bool:
        """Whether this target has another name than the target of the fit."""

        return _differ(column_names(y), [*self.target.names])

    def _read_frame(self, table: pd.DataFrame, kinds: Kinds, features: Features) -> pd.DataFrame:
        missing = [name for name in kinds.names if name not in table]
        unknown = [name for name in table if name not in kinds.names]
        if missing or unknown:
            raise ValueError(
                "Expected the columns that the encoder was fitted on; missing are "
                f"{quoted(missing)}, unknown are {quoted(unknown)}."
            )
        if left_out := kinds.left_out(table):
            warn(
                f"Columns without a value when they were fitted are left out: {quoted(left_out)}."
            )
        read = kinds.read(table)
        if unseen := features.unseen(read):
            warn(f"Values that were not fitted count as none of the known ones: {quoted(unseen)}.")

        return read

    def _check_array(self, table: NDArray[Any]) -> None:
        image = len(self.shape) > 1
        if image != (table.ndim > 2) or (image and table.shape[1:] != self.shape):
            expected = f"images of shape {self.shape}" if image else "a table of two dimensions"
            raise ValueError(f"Expected {expected}, as fitted, got an array of {table.shape}.")
        if table.shape[1:] != self.shape:
            raise ValueError(
                f"Expected {self.shape[0]} columns, as fitted, got {table.shape[1]}. X has "
                f"{table.shape[1]} features, but InvariantEncoder is expecting {self.shape[0]} "
                "features as input."
            )


def column_names(table: Any) -> list[Any] | None:
    """The names of the columns of a frame or series; None where there are none.

    Example:
        >>> column_names(pd.Series([1, 2], name="age")), column_names([1, 2])
        (['age'], None)
    """

    table = as_pandas(table)
    if isinstance(table, pd.Series):
        return [table.name]

    return list(table.columns) if isinstance(table, pd.DataFrame) else None


def _name(column: Any) -> Any:
    column = as_pandas(column)

    return column.name if isinstance(column, pd.Series) else None


def _differ(names: list[Any] | None, fitted: list[Any] | None) -> bool:
    """Whether both have real names, and these differ."""

    def real(names: list[Any] | None) -> set[Any]:
        return {name for name in names or [] if name is not None and name != 0}

    return bool(real(names) and real(fitted)) and real(names) != real(fitted)
