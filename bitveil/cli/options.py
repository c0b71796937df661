"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "Encoder", "Force", "Id", "Json", "RowsFile"]

RowsFile = Annotated[
    Path,
    typer.Argument(
        help="The rows: a .csv or .parquet file, a folder of such files, or a pattern.",
        metavar="TABLE",
    ),
]
Data = Annotated[
    str,
    typer.Argument(
        help="The rows: a .csv or .parquet file; a folder of such files; a pattern in quotes, "
        "such as 'people/*.parquet'; or - for a stream of Arrow's IPC format.",
        metavar="DATA",
    ),
]
Encoder = Annotated[
    Path, typer.Argument(help="The folder that `bitveil fit` wrote.", metavar="ENCODER")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="The column that identifies each row. The draw of a row then depends only on it.",
    ),
]
