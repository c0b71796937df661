"""Checks of what baselines are given, and seeds and one-hot columns for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

__all__ = [
    "LabelledRows",
    "RandomState",
    "check_range",
    "check_two",
    "check_whole",
    "features_as_in_fit",
    "finite_features",
    "groups_as_in_fit",
    "labelled_rows",
    "numbered",
    "one_hot",
    "seed",
    "seed_source",
]

RandomState = int | np.random.RandomState | None


@dataclass(frozen=True)
class LabelledRows:
    """Rows for fitting, with numbered classes and groups.

    Attributes:
        X: The features, with shape (n, d).
        y: The target, from 0 to len(classes) - 1.
        s: The groups, from 0 to len(groups) - 1.
        classes: The values of the target, ascending.
        groups: The values of the sensitive attribute, ascending.
    """

    X: NDArray[np.float64]
    y: NDArray[np.int64]
    s: NDArray[np.int64]
    classes: NDArray[Any]
    groups: NDArray[Any]


def labelled_rows(X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> LabelledRows:
    """Check features, target and sensitive attribute, and number classes and groups.

    Arguments:
        X: The features, with shape (n, d): finite numbers.
        y: The target, with shape (n,): classes, at least two.
        sensitive_features: The sensitive attribute, with shape (n,): groups, at least two.

    Raises:
        ValueError: If shapes differ, a value is missing, or there is only one class or group.

    Example:
        >>> labelled_rows([[1.0], [3.0]], [4, 2], sensitive_features=["a", "b"]).y
        array([1, 0])
    """

    features = finite_features(X)
    classes, numbers = numbered("y", "classes", y, len(features))
    groups, s = numbered("sensitive_features", "groups", sensitive_features, len(features))

    return LabelledRows(features, numbers, s, classes, groups)


def finite_features(X: ArrayLike) -> NDArray[np.float64]:
    """Features as an array of shape (n, d).

    Raises:
        ValueError: If they are not finite numbers, or have another shape.
    """

    try:
        table = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`X` expects numbers: encode text and categories first. numpy says: {error}."
        ) from error
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"`X` expects an array of shape (n, d), got one of shape {table.shape}.")
    if not np.isfinite(table).all():
        raise ValueError("`X` expects finite numbers, got NaN or infinity. Impute them first.")

    return table


def numbered(
    name: str, kind: str, values: ArrayLike, n: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The distinct values, and for each row the number of its value."""

    given = _one_each(name, kind, values, n)
    try:
        found, numbers = np.unique(given, return_inverse=True)
    except TypeError as error:  # text beside None or NaN cannot be sorted
        raise ValueError(
            f"`{name}` expects {kind} of one kind, none missing. numpy says: {error}."
        ) from error
    if len(found) < 2:
        raise ValueError(f"`{name}` expects at least two {kind}, got only {found.tolist()}.")

    return found, numbers.astype(np.int64)


def _one_each(name: str, kind: str, values: ArrayLike, n: int) -> NDArray[Any]:
    given = np.asarray(values)
    if given.shape != (n,):
        raise ValueError(
            f"`{name}` expects {kind} with shape ({n},), one for each row of `X`, "
            f"got {given.shape}."
        )
    if given.dtype.kind == "f":
        if np.isnan(given).any():
            raise ValueError(f"`{name}` expects {kind}, got NaN. Leave these rows out.")
        raise ValueError(
            f"`{name}` expects {kind} as integers, got {given.dtype}. Cast them, or bin numbers."
        )

    return given


def groups_as_in_fit(values: ArrayLike, groups: NDArray[Any], n: int) -> NDArray[np.int64]:
    """The numbers of groups, as in `fit`.

    Raises:
        ValueError: If `fit` did not have one of the groups.

    Example:
        >>> groups_as_in_fit(["b", "a"], np.array(["a", "b"]), 2)
        array([1, 0])
    """

    given = _one_each("sensitive_features", "groups", values, n)
    if unknown := set(given.tolist()) - set(groups.tolist()):
        raise ValueError(
            f"`sensitive_features` expects groups as in `fit`, {groups.tolist()}, got also "
            f"{sorted(unknown)}."
        )

    return np.searchsorted(groups, given).astype(np.int64)


def features_as_in_fit(X: ArrayLike, width: int | None) -> NDArray[np.float64]:
    """Features of new rows, checked against the number of columns in `fit`.

    Raises:
        ValueError: If the width is None, because `fit` was not called; or if the features are
            not finite numbers, or have another shape.
    """

    if width is None:
        raise ValueError("`transform` expects a fitted baseline: call `fit` first.")
    features = finite_features(X)
    if features.shape[1] != width:
        raise ValueError(f"`X` expects {width} columns as in `fit`, got {features.shape[1]}.")

    return features


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Refuse a value that is not a number from low to high.

    Raises:
        ValueError: If it is out of range, is NaN, or has another type.
    """

    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        ends = f"of at least {low:g}" if high == np.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"`{name}` expects a finite number {ends}, got {value!r}.")
    if value == np.inf:
        raise ValueError(f"`{name}` expects a finite number, got {value!r}.")


def check_whole(name: str, value: Any, low: int) -> None:
    """Refuse a value that is not a whole number of at least low.

    Raises:
        ValueError: If it is lower, or has another type.
    """

    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"`{name}` expects a whole number of at least {low}, got {value!r}.")


def check_two(name: str, kind: str, values: NDArray[Any], method: str) -> None:
    """Refuse more than two values, for methods that take only two.

    Raises:
        ValueError: If there are more.
    """

    if len(values) != 2:
        raise ValueError(
            f"`{name}` expects two {kind}, because {method} takes only two, got {len(values)}: "
            f"{values.tolist()}. Merge some, or leave their rows out."
        )


def one_hot(numbers: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """One column of zeros and ones for each number.

    Example:
        >>> one_hot(np.array([1, 0]), 2)
        array([[0., 1.],
               [1., 0.]])
    """

    return np.eye(n)[numbers]


def seed(random_state: RandomState) -> int:
    """A seed, from a seed or a source of seeds.

    Example:
        >>> seed(0) == seed(0)
        True
    """

    return int(seed_source(random_state).randint(2**31 - 1))


def seed_source(random_state: RandomState) -> np.random.RandomState:
    """A source of seeds. For None it does not use numpy's global generator."""

    return np.random.RandomState() if random_state is None else check_random_state(random_state)
