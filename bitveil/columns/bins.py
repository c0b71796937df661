"""Bins: numbers cut at quantiles, and the names of the parts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["bin_names", "bin_numbers", "binned", "bound_text", "quantile_edges"]


def quantile_edges(
    values: NDArray[np.float64], bins: int, *, method: Literal["linear", "higher"] = "linear"
) -> tuple[float, ...]:
    """The edges between bins of about equally many values, in order.

    Equal values stay in one bin, so there may be fewer than `bins` bins. No bin is below the least
    value.

    Arguments:
        values: The values, none of them missing.
        bins: The number of bins.
        method: How a quantile between two values is chosen, as in `numpy.quantile`.

    Example:
        >>> quantile_edges(np.arange(10.0), 2), quantile_edges(np.arange(10.0), 2, method="higher")
        ((4.5,), (5.0,))
        >>> quantile_edges(np.array([0.0, 0.0, 0.0, 1.0]), 4)
        (0.25,)
    """

    inner = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method=method))

    return tuple(edge for edge in inner.tolist() if edge > values.min())


def bin_numbers(values: NDArray[np.float64], edges: Sequence[float]) -> NDArray[np.int64]:
    """The number of each value's bin, -1 where the value is missing.

    Example:
        >>> bin_numbers(np.array([1.0, 2.0, np.nan]), [2.0]).tolist()
        [0, 1, -1]
    """

    places = np.searchsorted(edges, values, side="right")

    return np.where(np.isnan(values), -1, places)


def binned(column: "pd.Series[Any]", edges: Sequence[float]) -> "pd.Series[Any]":
    """Each number as the name of its bin; missing numbers stay missing.

    Example:
        >>> binned(pd.Series([1.0, 2.5, 9.0]), [2.5, 4.0]).tolist()
        ['below 2.5', '2.5 to below 4', 'from 4']
    """

    names = np.array(bin_names(edges), dtype=object)
    known = column.notna().to_numpy()
    named = np.full(len(column), None, dtype=object)
    named[known] = names[bin_numbers(column[known].to_numpy(float), edges)]

    return pd.Series(named)


def bin_names(edges: Sequence[float]) -> list[str]:
    """The names of the bins between edges, in order.

    Example:
        >>> bin_names([2.5, 4.0])
        ['below 2.5', '2.5 to below 4', 'from 4']
    """

    if not edges:
        return ["all"]
    texts = [bound_text(edge) for edge in edges]
    between = [f"{low} to below {high}" for low, high in pairwise(texts)]

    return [f"below {texts[0]}", *between, f"from {texts[-1]}"]


def bound_text(value: object) -> str:
    """A value as text, floats with at most 12 digits.

    Example:
        >>> bound_text(0.1 + 0.2), bound_text(7)
        ('0.3', '7')
    """

    return f"{value:.12g}" if isinstance(value, float) else str(value)
