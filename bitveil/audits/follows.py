"""What the parts of a code follow: the columns whose shuffling moves them.

Source:
    Random Forests (Breiman, 2001), https://doi.org/10.1023/A:1010933404324
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["follows"]


def follows(
    encode: Callable[[Any], Any],
    X: pd.DataFrame | NDArray[Any],
    *,
    most: int = 2000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], list[str]]:
    """How much shuffling each column moves each part: permutation importance.

    Columns with the same information share the effect, or one of them has all of it.

    Arguments:
        encode: From rows to logits of bits, with shape (n, m), or to discrete codes, with shape
            (n,) or (n, p).
        X: The rows, as `encode` takes them.
        most: The most rows that are used; of more, this many are chosen at random.
        seed: The seed of the shuffling.

    Returns:
        The mean change of each bit's probability, or the share of rows in which a discrete part
        changes, with shape (columns, parts); and the names of the columns.

    Example:
        >>> X = np.array([[0.0, 5.0], [1.0, 6.0], [0.0, 7.0], [1.0, 8.0]] * 100)
        >>> moved, names = follows(lambda X: 400.0 * X[:, :1] - 200, X)
        >>> names, (moved.ravel() > 0.3).tolist()  # half of the rows get another value
        (['column 0', 'column 1'], [True, False])
    """

    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(X))[:most])
    rows = X.iloc[some].reset_index(drop=True) if isinstance(X, pd.DataFrame) else X[some]
    before = _plain(encode(rows))
    columns = list(rows) if isinstance(rows, pd.DataFrame) else range(rows.shape[1])
    moved = [
        _change(before, _plain(encode(_shuffled(rows, column, rng.permutation(len(rows))))))
        for column in columns
    ]
    named = isinstance(rows, pd.DataFrame)

    return np.stack(moved), [str(c) if named else f"column {c}" for c in columns]


def _plain(encoded: Any) -> NDArray[Any]:
    found = np.asarray(encoded)

    return found[:, None] if found.ndim == 1 else found


def _shuffled(rows: Any, column: Any, order: NDArray[np.int64]) -> Any:
    """The rows with one column in another order."""

    other = rows.copy()
    if isinstance(rows, pd.DataFrame):
        other[column] = rows[column].take(order).reset_index(drop=True)
    else:
        other[:, column] = rows[order, column]

    return other


def _change(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    if np.issubdtype(before.dtype, np.floating):
        return np.abs(expit(before) - expit(after)).mean(0)

    return (before != after).mean(0)
