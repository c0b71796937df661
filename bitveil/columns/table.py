"""Table: a table or images of any library, with only what an encoder can hold."""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from bitveil.columns.cells import EXACT, LARGEST, decimals
from bitveil.quotes import quoted

__all__ = ["Table", "as_pandas", "check_table"]

Table: TypeAlias = pd.DataFrame | NDArray[Any]
"""A data frame, or an array of float64: a table or images."""

MAX_DENSE = 2**27
"""The most cells of a sparse matrix that is made dense: 1 GiB."""


def as_pandas(table: Any) -> Any:
    """A table or column of polars, pyarrow or another library as one of pandas.

    Integers stay integers where values are missing. Everything else is returned as it is.
    """

    if isinstance(table, pd.DataFrame | pd.Series) or not hasattr(table, "to_pandas"):
        return table
    library = type(table).__module__.partition(".")[0]
    if library == "polars":
        return table.to_pandas(use_pyarrow_extension_array=True)
    if library == "pyarrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)

    return table.to_pandas()


def check_table(X: ArrayLike | pd.DataFrame) -> Table:
    """A data frame as it is, anything else as an array of float64; both without infinities.

    Values may be missing, since trees and skrub can read that. A polars or pyarrow table becomes a
    data frame, and a sparse matrix is made dense. An array of three or four dimensions holds
    images. Numbers of float32 are read as the decimals in a file: 0.1 is 0.1.

    Raises:
        ValueError: If there are no columns, two columns of the same name, infinities, or numbers
            that an encoder cannot hold.
        TypeError: If an array holds something other than numbers.

    Example:
        >>> check_table(np.array([[0.1, 2]], np.float32)).tolist()
        [[0.1, 2.0]]
    """

    if sparse.issparse(X):
        X = _dense(X)
    X = as_pandas(X)
    if isinstance(X, pd.DataFrame):
        _check_frame(X)
        return X
    matrix = _real_numbers(X)
    _check_dimensions(matrix.shape)
    _check_finite(matrix)
    _check_size(matrix)

    return matrix


def _dense(X: Any) -> NDArray[Any]:
    rows, columns = X.shape
    if rows * columns > MAX_DENSE:
        raise ValueError(
            f"A sparse matrix of {rows} by {columns} would have more than {MAX_DENSE} cells when "
            "made dense. Reduce its columns first, for example with `TruncatedSVD`."
        )

    return np.asarray(X.toarray())


# Data frames


def _check_frame(X: pd.DataFrame) -> None:
    _check_columns(X.shape)
    if X.columns.has_duplicates:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise ValueError(
            f"Expected columns with different names, got {quoted(twice)} more than once."
        )
    infinite = [name for name in X if _has_infinity(X[name])]
    if infinite:
        raise ValueError(
            f"Expected finite numbers or missing values, got infinities in {quoted(infinite)}. "
            "Replace them: NaN means missing."
        )


def _check_columns(shape: tuple[int, ...]) -> None:
    if shape[1] == 0:
        raise ValueError(
            "Expected a table with at least one column, got 0 feature(s) "
            f"(shape=({shape[0]}, 0)) while a minimum of 1 is required."
        )


def _has_infinity(column: "pd.Series[Any]") -> bool:
    """Whether a column of numbers, also as text or objects, has an infinite one."""

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "bmMui":
        return False
    try:
        known = pd.to_numeric(column.dropna())
        numbers = known.to_numpy(complex if known.dtype.kind == "c" else float)
    except (TypeError, ValueError):  # text, dates, categories: no numbers
        return False

    return bool(np.isinf(numbers).any())


# Arrays


def _real_numbers(X: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(X)
        matrix = array if array.dtype.kind == "c" else _doubles(array)
    except (TypeError, ValueError) as error:
        raise type(error)(
            "Expected numbers, or a pandas DataFrame for strings, dates and categories; "
            f"numpy says: {error}."
        ) from error
    if matrix.dtype.kind == "c":
        raise ValueError("Complex data not supported: expected real numbers, got complex ones.")

    return matrix


def _doubles(array: NDArray[Any]) -> NDArray[np.float64]:
    """An array as float64, unless that would make two different integers equal."""

    if array.ndim == 2 and array.dtype in (np.float16, np.float32):
        return decimals(array)
    matrix = array.astype(np.float64)
    if array.dtype.kind in "iu" and (np.abs(matrix) > EXACT).any():
        raise ValueError(
            "Expected an array of integers up to 2**53, because float64 rounds larger ones, got "
            f"{array[np.abs(matrix) > EXACT][0]}. Give a DataFrame, which keeps them exact."
        )

    return matrix


def _check_dimensions(shape: tuple[int, ...]) -> None:
    if len(shape) < 2:
        raise ValueError(
            f"Expected a 2D array, a table, got an array of shape {shape}. One column: "
            "`X.reshape(-1, 1)`; one row: `X.reshape(1, -1)`. Reshape your data."
        )
    _check_columns(shape)
    if len(shape) > 4:
        raise ValueError(
            "Expected a table with shape (n, columns), or images with shape (n, height, width) or "
            f"(n, channels, height, width), got an array of shape {shape}."
        )


def _check_finite(matrix: NDArray[np.float64]) -> None:
    if matrix.ndim > 2 and not np.isfinite(matrix).all():
        raise ValueError("Expected images of finite numbers, got missing ones or infinity.")
    if np.isinf(matrix).any():
        columns = np.flatnonzero(np.isinf(matrix).any(0)).tolist()
        raise ValueError(
            f"Expected finite numbers or NaN for missing, got infinity in columns {columns}."
        )


def _check_size(matrix: NDArray[np.float64]) -> None:
    """Refuse numbers that would be infinite as float32."""

    large = np.abs(matrix) > LARGEST
    if large.any():
        place = "images" if matrix.ndim > 2 else f"columns {np.flatnonzero(large.any(0)).tolist()}"
        raise ValueError(
            f"Expected numbers up to {LARGEST:.1e}, which an encoder can hold, got "
            f"{matrix[large][0]} in {place}. Scale them, or leave them missing."
        )
