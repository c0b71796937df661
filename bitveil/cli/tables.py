"""Columns of a user's table: those that a command names, and those that an encoder needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bitveil.sources import Source

from bitveil.delimited import CsvForm, lacks_columns, similar_name
from bitveil.quotes import quoted

__all__ = [
    "check_columns",
    "columns_of",
    "features_of",
    "ids_of",
    "join",
    "open_rows",
    "require",
]


def require(table: "pd.DataFrame", names: Sequence[str | None], file: Path) -> None:
    """Refuse names without a column, and propose the most similar column."""

    for name in names:
        if name is not None and name not in table:
            raise ValueError(lacks_columns(str(file), [name], list(table.columns)))


def columns_of(table: "pd.DataFrame", names: Sequence[str]) -> "pd.DataFrame | pd.Series[Any]":
    """One column as a series, several as a table."""

    return table[names[0]] if len(names) == 1 else table[list(names)]


def features_of(encoder: Any, table: "pd.DataFrame", model: Path, file: Path) -> "pd.DataFrame":
    """The columns that the encoder was fitted on."""

    _check_features(encoder, [str(name) for name in table], model, file)

    return table[encoder.feature_names_in_]


def _check_features(encoder: Any, columns: Sequence[str], model: Path, file: Any) -> None:
    if encoder.feature_names_in_ is None:
        raise ValueError(
            f"{model} was fitted on an array, whose columns have no names. Use it from Python."
        )
    missing = [name for name in encoder.feature_names_in_ if name not in columns]
    if missing:
        found = {name: similar_name(name, columns) for name in missing}
        hints = [f"{quoted(like)} for {quoted(name)}" for name, like in found.items() if like]
        raise ValueError(
            f"{file} lacks columns that the encoder was fitted on: {quoted(missing)}."
            + (f" Did you mean {', '.join(hints)}?" if hints else "")
        )


def open_rows(data: str, form: CsvForm) -> "Source":
    """Open rows of any number: files, or the standard input."""

    from bitveil import sources

    return sources.open_source(data, form)


def check_columns(encoder: Any, source: "Source", model: Path, *others: str | None) -> None:
    """Refuse rows that lack a column of the encoder, or one of the others."""

    _check_features(encoder, source.columns, model, source.name)
    source.require(others)


def ids_of(table: "pd.DataFrame", name: str | None, file: Path) -> "pd.Series[Any] | None":
    """The column that identifies the rows. It must have a different value in every row."""

    if name is None:
        return None
    from bitveil.columns.names import read_names

    require(table, [name], file)
    try:
        names = read_names(table[name], len(table))
    except ValueError as error:
        raise ValueError(f"{file}: " + str(error).replace("`ids`", f"--id {name}")) from error
    if len(set(names)) < len(names):
        raise ValueError(
            f"{file}: some rows share an id in the column {quoted(name)}. Ids must differ."
        )

    return table[name]


def join(
    codes: "pd.DataFrame",
    attributes: "pd.DataFrame",
    id_: str,
    names: Sequence[str],
    files: tuple[Path, Path],
) -> "pd.DataFrame":
    """The codes with the named attributes of another table. Rows with the same id belong together.

    Arguments:
        codes: The table with the codes.
        attributes: The table with the attributes.
        id_: The column of the ids, which is in both.
        names: The columns of the attributes.
        files: The files of both tables, for errors.
    """

    from bitveil.columns.names import read_names

    first, second = files
    require(attributes, names, second)
    for table, file in zip((codes, attributes), files, strict=True):
        ids_of(table, id_, file)
        table[id_] = read_names(table[id_], len(table))
    if alone := len(set(codes[id_]) ^ set(attributes[id_])):
        raise ValueError(
            f"{first} and {second} do not hold the same rows: {alone} ids are in one of them only."
        )
    if both := [name for name in names if name in codes]:
        raise ValueError(
            f"{first} and {second} both have {quoted(both)}. Remove them from one table."
        )

    return codes.merge(attributes[[id_, *names]], on=id_, validate="one_to_one")
