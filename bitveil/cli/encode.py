"""`bitveil encode`: the frozen codes of the rows of a table, as a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.cli.checks import check_output, check_suffix
from bitveil.cli.messages import note, say
from bitveil.cli.options import Encoder, Force, Id, RowsFile
from bitveil.cli.tables import features_of, ids_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["encode_command"]

_SHARED = 0.01  # the share of rows with another row's content from which a note says so


def encode_command(
    model: Encoder,
    file: RowsFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv or .parquet to write.")],
    id_: Id = None,
    force: Force = False,
) -> None:
    """Write the codes of a table's rows. The codes are frozen: the same row gets the same code.

    The command uses only the columns that the encoder was fitted on. The file that it writes has
    a column for each bit, after the column of --id. If the encoder leaves rows blank, the last
    column is 1 for these rows.
    """

    from bitveil.columns.files import read_table
    from bitveil.models import load
    from bitveil.staging import staged

    check_suffix(output, ".csv", ".parquet")
    check_output(output, [file, model], force=force)
    encoder = load(model)
    table = read_table(file, typed=[])
    ids = ids_of(table, id_, file)
    if id_ in encoder.get_feature_names_out():
        raise ValueError(
            f"{file}: a published column has the name of the column {id_!r}, too. Rename it."
        )
    rows = features_of(encoder, table, model, file)
    codes = _published_codes(encoder, rows, ids)
    if ids is None:
        _note_shared(encoder, rows)
    with staged(output, overwrite=force) as path:
        codes.to_csv(path, index=False) if path.suffix == ".csv" else codes.to_parquet(path)
    blanks = _said_of_blanks(encoder, codes)
    say(f"{len(codes)} codes of {encoder.n_bits} bits in {output}{blanks}")


def _published_codes(
    encoder: Any, rows: "pd.DataFrame", ids: "pd.Series[Any] | None"
) -> "pd.DataFrame":
    """The bits of the rows, and the ids before them."""

    import pandas as pd

    bits = encoder.transform(rows, ids=ids)
    codes = pd.DataFrame(bits, columns=encoder.get_feature_names_out())
    if ids is not None:
        codes.insert(0, str(ids.name), ids)

    return codes


def _said_of_blanks(encoder: Any, codes: "pd.DataFrame") -> str:
    """How many rows are blank, if rows may be."""

    return "" if encoder.share_ == 1 else f"; {int(codes['blank'].sum())} of these rows are blank"


def _note_shared(encoder: Any, rows: "pd.DataFrame") -> None:
    """Say how many rows share a draw, if they are many."""

    if (shared := encoder.shared_rows(rows)) > _SHARED * len(rows):
        note(
            f"{shared} of {len(rows)} rows have the same content as another row and share its "
            "code. Identify the rows with --id."
        )
