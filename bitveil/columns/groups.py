"""Groups: how a sensitive attribute of one or several columns becomes groups of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.attribute import Attribute
from bitveil.columns.bins import binned, bound_text, quantile_edges
from bitveil.columns.fitted import fitted_numbers
from bitveil.columns.labels import AS_TEXT, as_frame, number_labels
from bitveil.columns.names import check_names
from bitveil.columns.rare import as_joined, joined_value, rare_values, tuples_of
from bitveil.columns.values import check_values
from bitveil.quotes import quoted

__all__ = ["CONTINUOUS", "Grouping"]

CONTINUOUS = 20
"""A column of numbers with more different values than this is cut into bins."""

MISSING = "missing"
"""The group of the rows without a value."""


@dataclass(frozen=True)
class Grouping:
    """How the rows of a sensitive attribute are put into groups, the fitted rows and others.

    Several columns are taken together, and their values are tuples. A column of numbers with more
    than `CONTINUOUS` different values is cut at quantiles, and its values are the names of the
    bins. Rare groups can be joined into one: see `bitveil.columns.rare`.

    Attributes:
        columns: The names of the columns.
        edges: Where each column is cut; None for a column that is not.
        textual: Whether each column is read as text, because some of its values were missing.
        values: The values of the groups, in order.
        joined: The values, as text, that make up the joined group; none where none was joined.

    Example:
        >>> ages = pd.DataFrame({"age": np.arange(100), "sex": ["f", "m"] * 50})
        >>> grouping, numbers = Grouping.fit("s", ages, bins=2, missing="error")
        >>> grouping.values.tolist()
        [('below 50', 'f'), ('below 50', 'm'), ('from 50', 'f'), ('from 50', 'm')]
        >>> grouping.labels("s", pd.DataFrame({"age": [70], "sex": ["f"]})).tolist()
        [('from 50', 'f')]
    """

    columns: tuple[Any, ...]
    edges: tuple[tuple[float, ...] | None, ...]
    textual: tuple[bool, ...]
    values: NDArray[Any]
    joined: tuple[Any, ...] = ()

    @classmethod
    def fit(
        cls,
        name: str,
        column: Any,
        *,
        n: int | None = None,
        bins: int,
        missing: Literal["error", "group"],
        most: int | None = None,
    ) -> "tuple[Grouping, NDArray[np.int64]]":
        """Learn the groups of some rows, and number them.

        Arguments:
            name: What errors call the attribute.
            column: An array, a Series, or a DataFrame with one or more columns; or an `Attribute`.
            n: The number of rows that is expected; None: any number.
            bins: The number of bins that a column of numbers is cut into.
            missing: `"group"` puts the rows without a value into a group of their own.
            most: The largest number of groups that is allowed.
        """

        attribute = Attribute.of(column)
        frame = as_frame(name, attribute.table, len(attribute.table) if n is None else n)
        most_whole = bins if attribute.cut_numbers else CONTINUOUS
        edges = tuple(_group_edges(name, frame[each], bins, most_whole) for each in frame)
        textual = tuple(missing == "group" and bool(frame[each].isna().any()) for each in frame)
        cut, joined = _cut(frame, edges, textual), ()
        if attribute.join_rare:
            joined = rare_values(name, cut, attribute.join_rare)
            cut = as_joined(cut, joined) if joined else cut
        values, numbers = number_labels(name, cut, len(frame), most=most)
        check_names(name, frame)
        check_values(f"`{name}` has groups", values.tolist(), AS_TEXT)

        return cls(tuple(frame), edges, textual, values, joined), numbers

    def labels(self, name: str, column: Any) -> NDArray[Any]:
        """The values of other rows, cut where the fitted ones were: see `cut`."""

        return tuples_of(self.cut(name, column))

    def numbers(self, name: str, column: Any) -> NDArray[np.int64]:
        """The number of each row's group, whatever types its values are stored in.

        Unlike `labels` this reads text by what the fitted values were, so that rows which come in
        parts and from files of any kind have the same groups.

        Raises:
            ValueError: If there are other columns, values are missing, or groups were not fitted.

        Example:
            >>> grouping, _ = Grouping.fit("s", pd.Series([0, 1, 1]), bins=2, missing="error")
            >>> grouping.numbers("s", pd.Series(["1", "0"])).tolist()
            [1, 0]
        """

        frame = self._matched(name, as_frame(name, column, len(column)))
        parts = [self._parts(place) for place in range(len(self.columns))]
        numbers = [
            fitted_numbers(name, frame[each], values, edges, missing=MISSING if text else None)
            for each, values, edges, text in zip(
                frame, parts, self.edges, self.textual, strict=True
            )
        ]
        known = np.full([len(values) for values in parts], -1, dtype=np.int64)
        places = [{value: i for i, value in enumerate(values)} for values in parts]
        for value, number in self._numbered():
            value = value if len(parts) > 1 else (value,)
            known[tuple(at[each] for at, each in zip(places, value, strict=True))] = number
        found = known[tuple(numbers)]
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            lost = [values[of[row]] for values, of in zip(parts, numbers, strict=True)]
            raise ValueError(
                f"`{name}` has a group that was not fitted: {quoted(tuple(lost))}. Known are "
                f"{quoted([value for value, _ in self._numbered()])}."
            )

        return found

    def _parts(self, place: int) -> list[Any]:
        """The different values of one column in the fitted groups."""

        groups = [value for value, _ in self._numbered()]
        if len(self.columns) == 1:
            return groups

        return list(dict.fromkeys(group[place] for group in groups))

    def _numbered(self) -> list[tuple[Any, int]]:
        """Each value that rows can have, and the number of its group."""

        groups = self.values.tolist()
        if not self.joined:
            return [(value, number) for number, value in enumerate(groups)]
        together = groups.index(joined_value(len(self.columns)))
        alone = [(value, n) for n, value in enumerate(groups) if n != together]

        return alone + [(value, together) for value in self.joined]

    def cut(self, name: str, column: Any) -> pd.DataFrame:
        """The columns of other rows, cut where the fitted ones were.

        Several columns are matched by name, or by position if the fitted or the new ones have no
        names.

        Raises:
            ValueError: If there are other columns, values are missing, or groups were not fitted.
        """

        frame = self._matched(name, as_frame(name, column, len(column)))
        cut = _cut(frame, self.edges, self.textual)
        if lost := int(cut.isna().any(axis=1).sum()):
            raise ValueError(
                f"`{name}` has {lost} missing values, and the fitted rows had none. Leave those "
                "rows out."
            )
        if self.joined:
            cut = as_joined(cut, self.joined)
        known = set(self.values.tolist())
        unknown = sorted(set(tuples_of(cut).tolist()) - known, key=str)
        if unknown:
            raise ValueError(
                f"`{name}` has groups that were not fitted: {quoted(unknown[:5])}. Known are "
                f"{quoted(sorted((value for value, _ in self._numbered()), key=str))}."
            )

        return cut

    def _matched(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """The columns in the order of the fitted ones."""

        if set(frame) == set(self.columns):
            return frame[list(self.columns)]
        both_named = _have_names(frame) and _have_names(self.columns)
        if len(frame.columns) != len(self.columns) or both_named:
            raise ValueError(
                f"`{name}` expects the {len(self.columns)} columns {quoted(list(self.columns))}, "
                f"got {quoted(list(frame))}."
            )

        return frame


def _have_names(columns: Iterable[Any]) -> bool:
    """Whether there are several columns, and not all of them have numbers instead of names."""

    names = list(columns)

    return len(names) > 1 and not all(isinstance(name, int) for name in names)


def _group_edges(
    name: str, column: "pd.Series[Any]", bins: int, most_whole: int
) -> tuple[float, ...] | None:
    """The inner quantiles of a column with many different numbers; None for any other column."""

    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if not numeric or column.nunique() <= most_whole:
        return None
    known = column.dropna().to_numpy(float)
    if not np.isfinite(known).all():
        raise ValueError(f"Expected finite numbers in {quoted(column.name)}, got infinities.")

    edges = quantile_edges(known, bins, method="higher")
    if not edges:
        raise ValueError(
            f"`{name}` has one value only in `bins={bins}`: most of its numbers are "
            f"{bound_text(known.min())}. Use more bins, or a column that says who has that number."
        )

    return edges


def _cut(
    frame: pd.DataFrame, edges: Sequence[tuple[float, ...] | None], textual: Sequence[bool]
) -> pd.DataFrame:
    """Numbers as the names of their bins, and missing values as a value of textual columns."""

    columns = {}
    for name, cuts, text in zip(frame, edges, textual, strict=True):
        column = frame[name] if cuts is None else binned(frame[name], cuts)
        columns[name] = _with_missing(name, column) if text else column

    return pd.DataFrame(columns)


def _with_missing(name: Any, column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column as text, with `MISSING` as one more value."""

    known = column.notna()
    texts = column.astype(object).map(bound_text)
    if (texts[known] == MISSING).any():
        raise ValueError(
            f"The column {quoted(name)} has rows whose value is {quoted(MISSING)}, which is also "
            "the name of "
            "the group of rows without a value. Rename that value, for example to 'not given'."
        )

    return texts.where(known, MISSING)
