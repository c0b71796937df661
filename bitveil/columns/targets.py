"""Targets: what a code has to predict, as classes, numbers, or several columns of both."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.checks import check_choice
from bitveil.columns.bins import bin_names, binned, quantile_edges
from bitveil.columns.fitted import fitted_numbers
from bitveil.columns.labels import AS_TEXT, MOST_VALUES, as_frame, number_labels
from bitveil.columns.names import check_names
from bitveil.columns.values import check_values
from bitveil.quotes import quoted

__all__ = ["Kind", "Missing", "Target"]

Kind: TypeAlias = Literal["auto", "classes", "numbers"]
Missing: TypeAlias = Literal["error", "unlabelled"]


@dataclass(frozen=True)
class Target:
    """A fitted target: the classes of its columns, or the scale of their numbers.

    Attributes:
        names: The names of the columns.
        kinds: Whether each column has `"classes"` or `"numbers"`.
        classes: The classes of each column that has classes.
        means: The mean of each column that has numbers.
        scales: The standard deviation of each column that has numbers.
        edges: Where the numbers of each column are cut into classes for an audit, at quantiles;
            None for a column of classes.

    Example:
        >>> y = pd.DataFrame({"hired": ["no", "yes", "yes"], "pay": [10.5, 20.25, 30.0]})
        >>> target, labels, values = Target.fit(y, 3)
        >>> target.kinds, labels.ravel().tolist(), target.means
        (('classes', 'numbers'), [0, 1, 1], (20.25,))
    """

    names: tuple[Any, ...] = ()
    kinds: tuple[str, ...] = ()
    classes: tuple[NDArray[Any], ...] = ()
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    edges: tuple[tuple[float, ...] | None, ...] = ()

    @classmethod
    def fit(
        cls, y: Any, n: int, *, kind: Kind = "auto", missing: Missing = "error", bins: int = 5
    ) -> "tuple[Target, NDArray[np.int64], NDArray[np.float64]]":
        """Learn a target; its labels and its standardised numbers.

        Arguments:
            y: One column or several, or None for no target.
            n: The number of rows that is expected.
            kind: `"classes"` or `"numbers"`. With `"auto"` a column has numbers if it has more
                than two different values, some with fractions, or more than `MOST_VALUES`.
            missing: `"unlabelled"` allows missing values.
            bins: The number of bins that `cut` cuts numbers into.

        Returns:
            The target, labels with shape (n, q), -1 where missing, and numbers with shape (n, d),
            NaN where missing.

        Raises:
            ValueError: If values are missing, infinite or of several types, or a column has only
                one class, or more than `MOST_VALUES`.
        """

        frame = pd.DataFrame(index=range(n)) if y is None else as_frame("y", y, n)
        _check_missing(frame, missing)
        check_names("y", frame)
        kinds = tuple(_target_kind(frame[name], kind) for name in frame)
        of = dict(zip(frame, kinds, strict=True))
        numbered = [_classes(frame[name]) for name in frame if of[name] == "classes"]
        numbers = [_finite(frame[name]) for name in frame if of[name] == "numbers"]
        labels = np.array([column for _, column in numbered], np.int64).reshape(-1, n).T
        values = np.array(numbers, np.float64).reshape(-1, n).T
        means, scales = np.nanmean(values, 0), np.nanstd(values, 0)
        scales = np.where(scales > 0, scales, 1.0)
        target = cls(
            tuple(frame),
            kinds,
            tuple(classes for classes, _ in numbered),
            tuple(means.tolist()),
            tuple(scales.tolist()),
            tuple(
                _target_edges(frame[name], bins) if of[name] == "numbers" else None
                for name in frame
            ),
        )

        return target, labels, (values - means) / scales

    def cut(self, y: Any, n: int, *, missing: Missing = "error") -> pd.DataFrame:
        """The target of other rows as classes, its numbers cut where the fitted ones were.

        Arguments:
            y: The target of n rows, with as many columns as the fitted one.
            n: The number of rows.
            missing: `"unlabelled"` allows missing values.

        Raises:
            ValueError: If there are other columns, values are missing, or classes were not fitted.

        Example:
            >>> target, _, _ = Target.fit(np.arange(100) / 4, 100, bins=2)
            >>> target.cut([3.5, 20], 2)[0].tolist()
            ['below 12.375', 'from 12.375']
        """

        frame = as_frame("y", y, n)
        if len(frame.columns) != len(self.kinds):
            raise ValueError(
                f"`y` expects {len(self.kinds)} columns, as fitted, got {len(frame.columns)}."
            )
        _check_missing(frame, missing)
        classes, columns = iter(self.classes), {}
        for name, edges in zip(frame, self.edges, strict=True):
            if edges is None:
                _check_fitted(frame[name], next(classes))
                columns[name] = frame[name]
            else:
                columns[name] = binned(pd.Series(_finite(frame[name])), edges)

        return pd.DataFrame(columns)

    @property
    def cut_values(self) -> tuple[list[Any], ...]:
        """The values that `cut` gives to each column, in order: classes, or names of bins."""

        classes = iter(self.classes)

        return tuple(
            next(classes).tolist() if edges is None else bin_names(edges) for edges in self.edges
        )

    def numbers(self, y: Any, n: int, *, missing: Missing = "error") -> NDArray[np.int64]:
        """The number of each row's value among `cut_values`, -1 where missing, shape (n, columns).

        Unlike `cut` this reads text by what the fitted values were.

        Raises:
            ValueError: If there are other columns, values are missing, or classes were not fitted.

        Example:
            >>> target, _, _ = Target.fit(np.array([0, 1, 1]), 3)
            >>> target.numbers(pd.Series(["1", "0"]), 2).ravel().tolist()
            [1, 0]
        """

        frame = as_frame("y", y, n)
        if len(frame.columns) != len(self.kinds):
            raise ValueError(
                f"`y` expects {len(self.kinds)} columns, as fitted, got {len(frame.columns)}."
            )
        columns = [
            fitted_numbers("y", frame[name], values, edges, optional=missing == "unlabelled")
            for name, values, edges in zip(frame, self.cut_values, self.edges, strict=True)
        ]

        return np.array(columns, np.int64).reshape(-1, n).T

    @property
    def n_labels(self) -> tuple[int, ...]:
        """The number of classes of each column that has classes."""

        return tuple(len(classes) for classes in self.classes)


def _check_missing(frame: pd.DataFrame, missing: Missing) -> None:
    check_choice("missing_target", missing, get_args(Missing))
    lost = int(frame.isna().any(axis=1).sum())
    if missing == "error" and lost:
        raise ValueError(
            f"Input y contains NaN or missing values in {lost} rows. Leave those rows out, or let "
            "them count for the sensitive attribute only: `missing_target='unlabelled'`."
        )
    empty = [name for name in frame if frame[name].isna().all()]
    if empty and len(frame):
        raise ValueError(f"`y` is missing in every row of {quoted(empty)}: nothing to learn from.")


def _target_kind(column: "pd.Series[Any]", kind: Kind) -> str:
    if kind != "auto":
        return kind
    if not _is_number(column):
        return "classes"
    different = column.nunique()
    fractions = _has_fractions(column) and different > 2

    return "numbers" if fractions or different > MOST_VALUES else "classes"


def _classes(column: "pd.Series[Any]") -> tuple[NDArray[Any], NDArray[np.int64]]:
    known = column.notna().to_numpy()
    values = column[known]
    fractions = _has_fractions(values)
    if values.nunique() == 1:
        raise ValueError(
            f"`y` has one class only, {quoted(values.tolist()[0])}: there is nothing to predict."
        )
    if fractions and values.nunique() > 2:
        raise ValueError(
            "Unknown label type: continuous. `y` expects classes, got numbers with fractions. Use "
            "`InvariantRegressor`, or cut them into bins."
        )
    classes, numbered = number_labels("y", values, len(values), most=MOST_VALUES)
    check_values("`y` has classes", classes.tolist(), AS_TEXT)
    labels = np.full(len(column), -1, dtype=np.int64)
    labels[known] = numbered

    return classes, labels


def _target_edges(column: "pd.Series[Any]", bins: int) -> tuple[float, ...]:
    return quantile_edges(_finite(column.dropna()), bins)


def _has_fractions(column: "pd.Series[Any]") -> bool:
    """Whether a column has numbers that are not whole."""

    return _is_number(column) and bool((_finite(column.dropna()) % 1 != 0).any())


def _is_number(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _check_fitted(column: "pd.Series[Any]", classes: NDArray[Any]) -> None:
    known = column.dropna()
    unknown = known[~known.isin(classes.tolist())]
    if len(unknown):
        raise ValueError(
            f"`y` has values that were not fitted: {quoted(unknown.unique().tolist()[:5])}. Known "
            f"are {quoted(classes.tolist())}."
        )


def _finite(column: "pd.Series[Any]") -> NDArray[np.float64]:
    try:
        numbers = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`y` expects numbers for a regression, got {error}.") from error
    if np.isinf(numbers).any():
        raise ValueError("Input y contains infinity. Replace it, or leave those rows out.")

    return numbers
