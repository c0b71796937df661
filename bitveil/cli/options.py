"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "CriterionOption",
    "Data",
    "Encoder",
    "EncodingOption",
    "Force",
    "Id",
    "JoinRare",
    "Json",
    "JunitFile",
    "LimitOption",
    "MissingGroup",
    "QuantityOption",
    "RowsFile",
    "Sep",
    "SummaryFile",
]

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
Sep = Annotated[
    str | None,
    typer.Option(
        help="The character that separates the fields of .csv files that are read, such as ';', "
        "or the word tab. Default: a comma."
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        help="The encoding of .csv files that are read, such as cp1252 or utf-16. Default: utf-8."
    ),
]
JoinRare = Annotated[
    int | None,
    typer.Option(
        help="Join all groups of fewer rows than this into one, called 'other (joined)'. Several "
        "sensitive columns are taken together: a group is a combination of their values."
    ),
]
MissingGroup = Annotated[
    bool, typer.Option("--missing-group", help="Treat missing sensitive values as a group.")
]
CriterionOption = Annotated[
    Literal["independence", "separation", "equal_opportunity"],
    typer.Option(
        help="What the gap compares: independence (parity), separation (equalised odds) or "
        "equal_opportunity."
    ),
]
LimitOption = Annotated[
    str | None,
    typer.Option(
        "--limit",
        help="Make the command a gate: the exit code is 0 only if these rows show that the "
        "quantity is at most this, for example 0.05. If they show the opposite, or nothing, it "
        "is 1. After a mistake in the call or in a file it is 2. In `audit` of an encoder the "
        "word goal stands for the goal of the fit.",
        metavar="NUMBER",
    ),
]
QuantityOption = Annotated[
    Literal[
        "parity_gap",
        "equalised_odds_gap",
        "equal_opportunity_gap",
        "balanced_attack_accuracy",
        "information",
    ]
    | None,
    typer.Option(
        "--quantity",
        help="What --limit is about. Gaps and accuracies go from 0 to 1, information is in bits. "
        "Default: the gap of the criterion; with --limit goal, what the goal is about.",
    ),
]
SummaryFile = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        help="Also write the verdict as Markdown, for example for a pull request. An empty file "
        "or an earlier summary is replaced; any other file only with --force.",
    ),
]
JunitFile = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        help="Also write the verdict as JUnit XML, a test case for each encoder. An earlier "
        "report of this command is replaced; any other file only with --force.",
    ),
]
