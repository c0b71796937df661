"""What the baselines share: input that is checked; and codes as columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

__all__ = [
    "Table",
    "binary",
    "check_columns",
    "check_features",
    "check_groups",
    "check_number",
    "check_table",
    "check_whole",
    "numbered",
    "one_hot",
    "seed",
]

RandomState = int | np.random.RandomState | None


@dataclass(frozen=True)
class Table:
    """Rows to fit on.

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


def check_table(X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Table:
    """Check features, target and sensitive attribute.

    Arguments:
        X: The features, with shape (n, d): finite numbers.
        y: The target, with shape (n,): classes, at least two.
        sensitive_features: The sensitive attribute, with shape (n,): groups, at least two.

    Raises:
        ValueError: If shapes differ, a value is missing, or there is but one class or group.

    Example:
        >>> check_table([[1.0], [3.0]], [4, 2], sensitive_features=["a", "b"]).y
        array([1, 0])
    """

    features = check_features(X)
    classes, numbers = numbered("y", "classes", y, len(features))
    groups, s = numbered("sensitive_features", "groups", sensitive_features, len(features))

    return Table(features, numbers, s, classes, groups)


def check_features(X: ArrayLike) -> NDArray[np.float64]:
    """Features as an array of shape (n, d).

    Raises:
        ValueError: If they are no finite numbers, or of another shape.
    """

    try:
        table = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`X` expects numbers, encode text and categories first; numpy says: {error}."
        ) from error
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"`X` expects an array of shape (n, d), got one of shape {table.shape}.")
    if not np.isfinite(table).all():
        raise ValueError("`X` expects finite numbers, got NaN or infinity: impute them first.")

    return table


def numbered(
    name: str, kind: str, values: ArrayLike, n: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The different values, and the number of each row's."""

    given = _one_each(name, kind, values, n)
    try:
        found, numbers = np.unique(given, return_inverse=True)
    except TypeError as error:  # text beside None or NaN cannot be sorted
        raise ValueError(
            f"`{name}` expects {kind} of one kind, none missing; numpy says: {error}."
        ) from error
    if len(found) < 2:
        raise ValueError(f"`{name}` expects at least two {kind}, got only {found.tolist()}.")

    return found, numbers.astype(np.int64)


def _one_each(name: str, kind: str, values: ArrayLike, n: int) -> NDArray[Any]:
    given = np.asarray(values)
    if given.shape != (n,):
        raise ValueError(
            f"`{name}` expects {kind} of shape ({n},), one a row of `X`, got {given.shape}."
        )
    if given.dtype.kind == "f":
        if np.isnan(given).any():
            raise ValueError(f"`{name}` expects {kind}, got NaN: leave these rows out.")
        raise ValueError(
            f"`{name}` expects {kind} as integers, got {given.dtype}: cast them, or bin numbers."
        )

    return given


def check_groups(values: ArrayLike, groups: NDArray[Any], n: int) -> NDArray[np.int64]:
    """The numbers of groups that `fit` knows.

    Raises:
        ValueError: If there is a group that it does not know.

    Example:
        >>> check_groups(["b", "a"], np.array(["a", "b"]), 2)
        array([1, 0])
    """

    given = _one_each("sensitive_features", "groups", values, n)
    if unknown := set(given.tolist()) - set(groups.tolist()):
        raise ValueError(
            f"`sensitive_features` expects groups as in `fit`, {groups.tolist()}, got also "
            f"{sorted(unknown)}."
        )

    return np.searchsorted(groups, given).astype(np.int64)


def check_columns(X: ArrayLike, width: int | None) -> NDArray[np.float64]:
    """Features of new rows, with the columns that `fit` had, or None before `fit`.

    Raises:
        ValueError: Before `fit`, or if they are no finite numbers, or of another shape.
    """

    if width is None:
        raise ValueError("`transform` expects a fitted baseline: call `fit` first.")
    features = check_features(X)
    if features.shape[1] != width:
        raise ValueError(
            f"`X` is expected to have {width} columns as in `fit`, got {features.shape[1]}."
        )

    return features


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no number from low to high.

    Raises:
        ValueError: If it is out of range, NaN, or of another type.
    """

    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        ends = f"from {low:g} on" if high == np.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"`{name}` expects a finite number {ends}, got {value!r}.")
    if value == np.inf:
        raise ValueError(f"`{name}` expects a finite number, got {value!r}.")


def check_whole(name: str, value: Any, low: int) -> None:
    """Refuse what is no whole number from low on.

    Raises:
        ValueError: If it is below, or of another type.
    """

    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise ValueError(f"`{name}` expects a whole number from {low} on, got {value!r}.")


def binary(name: str, kind: str, values: NDArray[Any], method: str) -> None:
    """Refuse more than two values, for methods that are for two.

    Raises:
        ValueError: If there are more.
    """

    if len(values) != 2:
        raise ValueError(
            f"`{name}` expects two {kind} here, since {method} is for two, got {len(values)}: "
            f"{values.tolist()}. Merge some, or leave their rows out."
        )


def one_hot(numbers: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """One column a number, with ones and zeros.

    Example:
        >>> one_hot(np.array([1, 0]), 2)
        array([[0., 1.],
               [1., 0.]])
    """

    return np.eye(n)[numbers]


def seed(random_state: RandomState) -> int:
    """A seed, from a seed or from where seeds come from.

    Example:
        >>> seed(0) == seed(0)
        True
    """

    source = np.random.RandomState() if random_state is None else check_random_state(random_state)

    return int(source.randint(2**31 - 1))
