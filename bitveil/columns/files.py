"""Files: tables on disk, read so that a row means the same in CSV and in Parquet."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bitveil.delimited import CsvForm
from bitveil.quotes import quoted

__all__ = ["read_table"]


def read_table(
    path: str | os.PathLike[str],
    *,
    typed: Sequence[str] | None = None,
    untyped: Sequence[str | None] = (),
    form: CsvForm | None = None,
) -> pd.DataFrame:
    """Read the rows of a file as they are stored: text from CSV, and Arrow's types from Parquet.

    An encoder learned what text means in each column, and reads the text by that: see
    `bitveil.columns.kinds`. Other columns need types, which pandas finds.

    Arguments:
        path: A file that ends in .csv or .parquet.
        typed: The columns for which pandas finds types; None: all.
        untyped: Columns that stay as they are stored, whatever `typed` says.
        form: How a CSV file is written; None: with commas, in UTF-8.

    Raises:
        OSError: If there is no such file.
        ValueError: If it cannot be read, or has no rows; if a form is given for a Parquet file.

    Example:
        >>> path = getfixture("tmp_path") / "people.csv"
        >>> _ = path.write_text("id,age\\n007,31\\n008,42\\n")
        >>> read_table(path, typed=["age"])["age"].tolist(), read_table(path, typed=[])["id"][0]
        ([31, 42], '007')
    """

    path, form = Path(path), form or CsvForm()
    _check_file(path)
    form.check_used(path)
    try:
        table, find_types = _read_csv(path, form) if path.suffix == ".csv" else _read_parquet(path)
        wanted: list[Any] = [name for name in table if typed is None or name in typed]
        if names := [name for name in wanted if name not in untyped]:
            table[names] = find_types(names)
    except (ValueError, OSError) as error:
        raise form.blamed(error, path) from error
    if table.empty:
        raise ValueError(f"{path} has no rows.")

    return table


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a table. Name a .csv or .parquet file.")
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"Expected a file that ends in .csv or .parquet, got {path}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")


def _read_csv(
    path: Path, form: CsvForm
) -> tuple[pd.DataFrame, Callable[[list[str]], pd.DataFrame]]:
    """A table of text, and a function that reads some of its columns with types."""

    text: dict[str, Any] = {"dtype": str, "keep_default_na": False, **form.pandas}
    header = pd.read_csv(path, header=None, nrows=1, **text).iloc[0]
    form.check_names(header.tolist())
    if twice := sorted(set(header[header.duplicated() & (header != "")])):
        raise ValueError(
            f"columns need different names, but {quoted(twice)} appear more than once."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(path, index_col=False, **text)
        except pd.errors.ParserWarning as error:
            raise ValueError(
                f"its rows have more fields than the {len(header)} names in its first line. Do "
                "rows end in a comma, or is a name missing?"
            ) from error

    def typed(names: list[str]) -> pd.DataFrame:
        return pd.read_csv(path, index_col=False, usecols=names, **form.pandas)[names]

    return table, typed


def _read_parquet(path: Path) -> tuple[pd.DataFrame, Callable[[list[str]], pd.DataFrame]]:
    """A table of Arrow's types, which keep integers, and a function that reads numpy's types."""

    table = pd.read_parquet(path, dtype_backend="pyarrow").reset_index(drop=True)

    return table, lambda names: pd.read_parquet(path)[names].reset_index(drop=True)
