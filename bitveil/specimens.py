"""Specimens: rows that nobody is, to try a loaded encoder on.

A saved encoder keeps some rows with the logits and bits that they got, so that whoever loads it
can see whether it still gives the same ones. Real rows would be personal data, and so would their
shuffled cells be. Specimens are made up instead, column by column, and from this only:

- numbers, dates and durations: drawn evenly between the 5th and the 95th percentile of the
  column, and rounded to three digits, to days and to seconds;
- texts and categories: those that the fitted features list anyway, one feature for each; of other
  columns of text nothing but the words "specimen 1", "specimen 2", …;
- images: noise, with the mean and the spread of each channel;
- in which columns values are missing.

Nothing in them says which values go together. What is left are two percentiles a column; the
fitted trees and scales beside them tell more.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.table import Table
from bitveil.features import Features

__all__ = ["specimens"]

ROWS = 64
"""How many specimens there are of a table."""

IMAGES = 8
"""How many there are of images, which are larger."""

_MISSING = 8  # one value in so many, where a column has missing ones


def specimens(table: Table, features: Features) -> Table:
    """Rows like those of a table, none of which is in it.

    Arguments:
        table: The rows that were fitted.
        features: What was fitted on them.

    Returns:
        A DataFrame of `ROWS` rows with the same columns, or an array.

    Example:
        >>> table = np.arange(100.0).reshape(-1, 1)
        >>> made = specimens(table, Features("raw").fit(table))
        >>> made.shape, bool(4.9 <= made.min() < made.max() <= 94.1)
        ((64, 1), True)
    """

    rng = np.random.RandomState(0)
    if features.image_ is not None:
        mean, spread = features.image_
        return np.asarray(mean + spread * rng.normal(size=(IMAGES, *table.shape[1:])))
    if not isinstance(table, pd.DataFrame):
        return np.stack([_numbers(pd.Series(column), rng) for column in table.T], axis=1)

    made = {j: _column(table.iloc[:, j], features, rng) for j in range(table.shape[1])}

    return pd.DataFrame(made).set_axis(table.columns, axis=1)


def _column(column: "pd.Series[Any]", features: Features, rng: np.random.RandomState) -> Any:
    fitted: Any = features.vectorizer_
    name, kinds = str(column.name), fitted.kind_to_columns_
    if features.known_.get(name):
        made: Any = rng.choice(np.array(features.known_[name], dtype=object), ROWS)
    elif name in kinds["datetime"]:
        made = _times(column, rng)
    elif pd.api.types.is_timedelta64_dtype(column):
        made = pd.to_timedelta(_numbers(column.dt.total_seconds(), rng, missing=False), "s")
    elif pd.api.types.is_bool_dtype(column):
        return pd.Series(rng.rand(ROWS) < 0.5)
    elif name in kinds["numeric"]:
        return pd.Series(_numbers(column, rng))
    else:
        made = [f"specimen {number}" for number in range(ROWS)]

    return pd.Series(made).where(~_gaps(column, rng))


def _numbers(
    column: "pd.Series[Any]", rng: np.random.RandomState, *, missing: bool = True
) -> NDArray[np.float64]:
    """Numbers between the outer percentiles of a column, with three digits."""

    low, high = _ends(column)
    drawn = np.array([float(f"{(1 - u) * low + u * high:.2e}") for u in rng.rand(ROWS)])

    return np.where(_gaps(column, rng), np.nan, drawn) if missing else drawn


def _ends(column: "pd.Series[Any]") -> tuple[float, float]:
    """The 5th and the 95th percentile, or 0 and 1 where there are no numbers."""

    try:
        known = pd.to_numeric(column.dropna()).to_numpy(float)
    except (TypeError, ValueError):  # numbers in a form that only the features can read
        return 0.0, 1.0
    low, high = np.quantile(known, [0.05, 0.95]).tolist() if len(known) else (0.0, 1.0)

    return low, high


def _times(column: "pd.Series[Any]", rng: np.random.RandomState) -> Any:
    """Days between the outer percentiles; of dates in other forms, days of this century."""

    ends: Any = pd.to_datetime(["2000-01-01", "2025-01-01"])
    zone = None
    if str(column.dtype).startswith(("datetime64", "timestamp")) and column.notna().any():
        zone = column.dt.tz
        ends = pd.to_datetime(column.dropna(), utc=True).dt.tz_localize(None)
        ends = ends.astype("datetime64[us]").quantile([0.05, 0.95]).tolist()
    days = pd.Series([ends[0] + (ends[1] - ends[0]) * u for u in rng.rand(ROWS)]).dt.floor("D")

    return days if zone is None else days.dt.tz_localize("UTC")


def _gaps(column: "pd.Series[Any]", rng: np.random.RandomState) -> NDArray[np.bool_]:
    """Which values are missing."""

    gaps: NDArray[np.bool_] = rng.randint(_MISSING, size=ROWS) == 0

    return gaps & bool(column.isna().any())
