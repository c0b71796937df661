"""Targets: what a code is to be useful for, as classes, as numbers, or as several of both."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.labels import AS_TEXT, as_frame, check_names, number_labels
from bitveil.values import check_values

__all__ = ["MAX_CLASSES", "Kind", "Missing", "Target"]

Kind: TypeAlias = Literal["auto", "classes", "numbers"]
Missing: TypeAlias = Literal["error", "unlabelled"]

MAX_CLASSES = 50
"""More values than this look like numbers or identifiers, not classes."""


@dataclass(frozen=True)
class Target:
    """What was learned of a target: the classes of its columns, or the scale of their numbers.

    Attributes:
        names: The names of the columns.
        kinds: Whether each column has `"classes"` or `"numbers"`.
        classes: The classes of each column that has classes.
        means: The mean of each column that has numbers.
        scales: Its standard deviation.

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

    @classmethod
    def fit(
        cls, y: Any, n: int, *, kind: Kind = "auto", missing: Missing = "error"
    ) -> "tuple[Target, NDArray[np.int64], NDArray[np.float64]]":
        """Learn a target, and give its labels and its standardised numbers.

        Arguments:
            y: One column or several, or None for no target at all.
            n: The number of rows that are expected.
            kind: `"classes"` or `"numbers"`; `"auto"`: numbers where a column has more than
                two values, some with fractions, or more than `MAX_CLASSES`.
            missing: `"unlabelled"` lets values be missing.

        Returns:
            The target, labels with shape (n, q), -1 where missing, and numbers with shape (n, d),
            NaN where missing.

        Raises:
            ValueError: If values are missing, infinite or of several types, a column has one class
                only, or more than `MAX_CLASSES`.
        """

        frame = pd.DataFrame(index=range(n)) if y is None else as_frame("y", y, n)
        _check_missing(frame, missing)
        check_names("y", frame)
        kinds = tuple(_kind(frame[name], kind) for name in frame)
        numbered = [_labels(frame[n]) for n, k in zip(frame, kinds, strict=True) if k == "classes"]
        numbers = [_numbers(frame[n]) for n, k in zip(frame, kinds, strict=True) if k == "numbers"]
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
        )

        return target, labels, (values - means) / scales

    @property
    def n_labels(self) -> tuple[int, ...]:
        """The number of classes of each column that has classes."""

        return tuple(len(classes) for classes in self.classes)


def _check_missing(frame: pd.DataFrame, missing: Missing) -> None:
    if missing not in ("error", "unlabelled"):
        raise ValueError(f"`missing_target` expects 'error' or 'unlabelled', got {missing!r}.")
    lost = int(frame.isna().any(axis=1).sum())
    if missing == "error" and lost:
        raise ValueError(
            f"Input y contains NaN or missing values in {lost} rows. Leave those rows out, or let "
            "them count for the sensitive attribute only: `missing_target='unlabelled'`."
        )
    empty = [name for name in frame if frame[name].isna().all()]
    if empty and len(frame):
        raise ValueError(f"`y` is missing in every row of {empty}: nothing to learn from.")


def _kind(column: "pd.Series[Any]", kind: Kind) -> str:
    if kind != "auto":
        return kind
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "classes"
    known = _numbers(column.dropna())

    fractions = bool((known % 1 != 0).any()) and column.nunique() > 2

    return "numbers" if fractions or column.nunique() > MAX_CLASSES else "classes"


def _labels(column: "pd.Series[Any]") -> tuple[NDArray[Any], NDArray[np.int64]]:
    known = column.notna().to_numpy()
    values = column[known]
    fractions = False
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = _numbers(values)
        fractions = bool((numbers % 1 != 0).any())
    if values.nunique() == 1:
        raise ValueError(
            f"`y` has one class only, {values.tolist()[0]!r}: there is nothing to be useful for."
        )
    if fractions and values.nunique() > 2:
        raise ValueError(
            "Unknown label type: continuous. `y` expects classes, got numbers with fractions. Use "
            "`InvariantRegressor`, or cut them into bins."
        )
    classes, numbered = number_labels("y", values, len(values), most=MAX_CLASSES)
    check_values("`y` has classes", classes.tolist(), AS_TEXT)
    labels = np.full(len(column), -1, dtype=np.int64)
    labels[known] = numbered

    return classes, labels


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    try:
        numbers = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`y` expects numbers for a regression, got {error}.") from error
    if np.isinf(numbers).any():
        raise ValueError("Input y contains infinity. Replace it, or leave those rows out.")

    return numbers
