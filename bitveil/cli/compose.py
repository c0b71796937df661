"""`bitveil compose`: what several codes of the same people reveal together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.checks import check_roles
from bitveil.cli.checks import check_encoders
from bitveil.cli.messages import CAVEAT, listed, say
from bitveil.cli.options import Id, Json
from bitveil.cli.progress import shown_steps
from bitveil.cli.tables import columns_of, ids_of, require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compose_command"]


def compose_command(
    models: Annotated[
        list[Path],
        typer.Argument(help="Two or more folders that `bitveil fit` wrote.", metavar="ENCODER"),
    ],
    file: Annotated[
        Path, typer.Argument(help="The table of new rows: .csv or .parquet.", metavar="TABLE")
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="The column of the target. Default: the first fitted one that is there."
        ),
    ] = None,
    sensitive: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive column. Can be repeated. Default: the fitted ones."),
    ] = None,
    delta: Annotated[
        float, typer.Option(help="The probability that the certificate may be wrong.")
    ] = 0.05,
    id_: Id = None,
    json_: Json = False,
) -> None:
    """Audit several codes of the same people together, as one wider code.

    Whoever sees two codes of a person can combine them. Two codes that reveal nothing each can
    reveal everything together, so their single certificates do not add up. Use new rows, which no
    encoder was fitted on.
    """

    from bitveil.columns.files import read_table
    from bitveil.compositions import compose
    from bitveil.models import load

    check_encoders(models)
    encoders = [load(model) for model in models]
    about = list(sensitive or encoders[0].schema_.sensitive_names or [])
    if not about:
        raise ValueError(
            f"{models[0]} does not say which column is sensitive. Name it with --sensitive."
        )
    check_roles([*about, target, id_])
    known = [name for each in encoders for name in each.schema_.target.names]
    table = read_table(file, typed=[*about, *([target] if target else known)])
    require(table, [*about, target], file)
    _check_columns_there(encoders, models, table, file)
    chosen = target or next((name for name in known if name in table), None)
    with shown_steps():
        found = compose(encoders).audit(
            table,
            None if chosen is None else table[chosen],
            sensitive_features=columns_of(table, about),
            ids=ids_of(table, id_, file),
            delta=delta,
        )
    if json_:
        print(found.to_json())
        return
    say(f"What the codes from {listed(models)} reveal together about {listed(found.sensitive)}")
    print(f"\n{found}\n")
    print(CAVEAT)


def _check_columns_there(
    encoders: list[Any], models: list[Path], table: "pd.DataFrame", file: Path
) -> None:
    """Refuse a table that lacks a column of an encoder. The error names the encoder."""

    from bitveil.cli.tables import features_of

    for encoder, model in zip(encoders, models, strict=True):
        features_of(encoder, table, model, file)
