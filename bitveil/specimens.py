"""Specimens: invented rows to test a loaded encoder on.

A saved encoder keeps some rows with their logits and bits, so that anyone who loads it can see
whether it still gives the same ones. Real rows would be personal data, and so would their shuffled
cells. So specimens are invented, column by column, and only from the following:

- numbers, dates and durations: drawn evenly between the 5th and the 95th percentile of the column,
  and rounded to three digits, to days and to seconds;
- texts and categories: those that the fitted features list anyway, one feature for each. Other
  columns of text get the words "specimen 1", "specimen 2", …;
- images: noise, with the mean and the spread of each channel;
- which columns have missing values.

Nothing in them shows which values belong together. They reveal two percentiles of each column; the
fitted trees and scales in the same folder reveal more.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.table import Table
from bitveil.features import Features

__all__ = ["specimens"]

ROWS = 64
"""The number of specimens of a table."""

IMAGES = 8
"""The number of specimens of images, which are larger."""

_MISSING = 8  # one value in so many is missing, in columns with missing values


def specimens(table: Table, features: Features) -> Table:
    """Invented rows with the columns of a table.

    Arguments:
        table: The fitted rows.
        features: The features that were fitted on them.

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
        return np.stack([_made_numbers(pd.Series(column), rng) for column in table.T], axis=1)

    made = {j: _made_column(table.iloc[:, j], features, rng) for j in range(table.shape[1])}

    return pd.DataFrame(made).set_axis(table.columns, axis=1)


def _made_column(column: "pd.Series[Any]", features: Features, rng: np.random.RandomState) -> Any:
    fitted: Any = features.vectorizer_
    name, kinds = str(column.name), fitted.kind_to_columns_
    if features.known_.get(name):
        made: Any = rng.choice(np.array(features.known_[name], dtype=object), ROWS)
    elif name in kinds["datetime"]:
        made = _made_days(column, rng)
    elif pd.api.types.is_timedelta64_dtype(column):
        made = pd.to_timedelta(_made_numbers(column.dt.total_seconds(), rng, missing=False), "s")
    elif pd.api.types.is_bool_dtype(column):
        return pd.Series(rng.rand(ROWS) < 0.5)
    elif name in kinds["numeric"]:
        return pd.Series(_made_numbers(column, rng))
    else:
        made = [f"specimen {number}" for number in range(ROWS)]

    return pd.Series(made).where(~_gaps(column, rng))


def _made_numbers(
    column: "pd.Series[Any]", rng: np.random.RandomState, *, missing: bool = True
) -> NDArray[np.float64]:
    """Numbers between the percentiles of a column, with three digits."""

    low, high = _percentiles(column)
    drawn = np.array([float(f"{(1 - u) * low + u * high:.2e}") for u in rng.rand(ROWS)])

    return np.where(_gaps(column, rng), np.nan, drawn) if missing else drawn


def _percentiles(column: "pd.Series[Any]") -> tuple[float, float]:
    """The 5th and the 95th percentile, or 0 and 1 if there are no numbers."""

    try:
        known = pd.to_numeric(column.dropna()).to_numpy(float)
    except (TypeError, ValueError):  # only the features can read these numbers
        return 0.0, 1.0
    low, high = np.quantile(known, [0.05, 0.95]).tolist() if len(known) else (0.0, 1.0)

    return low, high


def _made_days(column: "pd.Series[Any]", rng: np.random.RandomState) -> Any:
    """Days between the percentiles of a column, or of this century if its dates are text."""

    ends: Any = pd.to_datetime(["2000-01-01", "2025-01-01"])
    zone = None
    if str(column.dtype).startswith(("datetime64", "timestamp")) and column.notna().any():
        zone = column.dt.tz
        ends = pd.to_datetime(column.dropna(), utc=True).dt.tz_localize(None)
        ends = ends.astype("datetime64[us]").quantile([0.05, 0.95]).tolist()
    days = pd.Series([ends[0] + (ends[1] - ends[0]) * u for u in rng.rand(ROWS)]).dt.floor("D")

    return days if zone is None else days.dt.tz_localize("UTC")


def _gaps(column: "pd.Series[Any]", rng: np.random.RandomState) -> NDArray[np.bool_]:
    """Which values are missing: some in columns with missing values, none in others."""

    gaps: NDArray[np.bool_] = rng.randint(_MISSING, size=ROWS) == 0

    return gaps & bool(column.isna().any())
