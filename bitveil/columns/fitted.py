"""Fitted values: which of a fit's values each row of another table has.

A fit knows the groups and the classes by their values. Later rows may store the same values in
other types: 1 as the text "1" of a CSV file, or as 1.0. Parts of a table must not decide for
themselves what they hold, so the fitted values decide how every part is read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.bins import bin_names, bin_numbers
from bitveil.columns.kinds import Kinds
from bitveil.quotes import quoted

__all__ = ["fitted_numbers"]


def fitted_numbers(
    name: str,
    column: "pd.Series[Any]",
    values: Sequence[Any],
    edges: Sequence[float] | None = None,
    *,
    missing: str | None = None,
    optional: bool = False,
) -> NDArray[np.int64]:
    """The place of each row's value among the fitted ones, with shape (n,).

    Arguments:
        name: What errors call the attribute.
        column: The column of other rows.
        values: The fitted values, or the names of the bins.
        edges: Where numbers are cut into bins; None where they are not.
        missing: Which of the values stands for a missing one; None: none does.
        optional: Whether values may be missing. Then they get -1.

    Raises:
        ValueError: If a value is missing or was not fitted.

    Example:
        >>> fitted_numbers("s", pd.Series(["f", "m", "f"]), ["f", "m"]).tolist()
        [0, 1, 0]
        >>> fitted_numbers("s", pd.Series(["7", "1.5"]), ["below 2", "from 2"], [2.0]).tolist()
        [1, 0]
    """

    read, known = _read_alike(name, column, [v for v in values if v != missing], edges)
    lost = read.isna().to_numpy(bool)
    if missing is None and not optional and lost.any():
        raise ValueError(
            f"`{name}` has {int(lost.sum())} missing values. Leave those rows out, or give them a "
            "value of their own, such as 'unknown'."
        )
    if edges is not None:
        places = {value: place for place, value in enumerate(values)}
        of_bins = [places.get(each, -1) for each in bin_names(edges)]
        numbers = np.array(of_bins, np.int64)[bin_numbers(read.to_numpy(np.float64), edges)]
        _check_known(name, read[(numbers < 0) & ~lost], values)
    else:
        numbers = pd.Index(known).get_indexer(read).astype(np.int64)
        _check_known(name, read[(numbers < 0) & ~lost], values)

    return np.where(lost, -1 if missing is None else list(values).index(missing), numbers)


def _read_alike(
    name: str, column: "pd.Series[Any]", values: Sequence[Any], edges: Any
) -> "tuple[pd.Series[Any], pd.Series[Any]]":
    """A column and the fitted values, both read as what the fitted values are."""

    said = str(column.name) if column.name is not None else name
    known = pd.DataFrame({said: pd.Series(list(values), dtype=object)})
    kinds = Kinds((said,), ("number",)) if edges is not None else Kinds.fit(known)
    table = pd.DataFrame({said: column})
    if edges is not None:
        return kinds.read(table)[said], known[said]
    fitted = kinds.read(known)[said]
    if fitted.duplicated().any() or fitted.isna().any():  # "7" and "007" are two groups
        kinds = Kinds((said,), ("text",))
        fitted = kinds.read(known)[said]

    return kinds.read(table)[said], fitted


def _check_known(name: str, unknown: "pd.Series[Any]", values: Sequence[Any]) -> None:
    if len(unknown):
        raise ValueError(
            f"`{name}` has values that were not fitted: {quoted(unknown.unique().tolist()[:5])}. "
            f"Known are {quoted(list(values))}."
        )
