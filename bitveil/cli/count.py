"""`bitveil count`: how many rows of each group have each code, of rows of any number."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitveil.cli.checks import check_output, check_suffix
from bitveil.cli.messages import listed, note, print_table
from bitveil.cli.options import Data, Encoder, EncodingOption, Force, Id, Sep
from bitveil.cli.progress import Progress, expected_rows, progress
from bitveil.cli.tables import check_columns, open_rows
from bitveil.delimited import CsvForm

if TYPE_CHECKING:
    from bitveil.tallies import Tally

__all__ = ["count_command", "described_counts"]


def count_command(
    model: Encoder,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write, which ends in .counts.")
    ],
    id_: Id = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="The column of the target. Can be repeated. Default: the fitted ones, if the "
            "rows have them."
        ),
    ] = None,
    sensitive: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive column. Can be repeated. Default: the fitted ones."),
    ] = None,
    force: Force = False,
    sep: Sep = None,
    encoding: EncodingOption = None,
    shown: Progress = False,
) -> None:
    """Count the codes of new rows by group, for `bitveil merge`, which certifies them.

    Count each part of the rows where it lies: a file, a folder, a machine. The file of counts
    holds no row. The command refuses rows that the encoder was fitted on, and rows that repeat
    each other.

    With --id it counts expected codes, without --id the codes as they are published. It needs
    eight bytes a row of memory to find repeated rows. After an interruption, start it again, and
    it goes on from there, as `bitveil encode` does.
    """

    from bitveil.count_files import count_to
    from bitveil.models import load

    form = CsvForm(sep, encoding)
    check_suffix(output, ".counts")
    check_output(output, [Path(data), model], force=force)
    encoder = load(model)
    source = open_rows(data, form)
    check_output(output, source.files, force=True)  # a pattern is known only now
    check_columns(encoder, source, model, id_, *(target or []), *(sensitive or []))
    with progress(expected_rows(source), always=shown) as report:
        done = count_to(
            encoder,
            source,
            output,
            sensitive=sensitive,
            target=target,
            ids=id_,
            overwrite=force,
            report=report,
        )
    for said in (done.caution, _said_of_found(done.n_found)):
        if said is not None:
            note(said)
    print_table(f"Counts in {output}", described_counts(done.tally))


def _said_of_found(n_found: int) -> str | None:
    return f"{n_found} of these rows were finished before an interruption." if n_found else None


def described_counts(tally: "Tally") -> dict[str, str]:
    """What was counted, in words."""

    from bitveil.audits.words import group_name, rows_with_code

    counted, sizes = tally.counted, tally.tables.rows.sum(0).tolist()
    of_groups = [f"{group_name(g)}: {n:,}" for g, n in zip(counted.groups, sizes, strict=True)]
    expected = "expected codes, of rows that each have a name"
    lines = {
        "rows": f"{tally.n_rows:,} from {listed([part.name for part in tally.parts])}",
        f"groups of {listed(counted.sensitive)}": ", ".join(of_groups),
        "target": listed([counted.target]) if counted.target else "none",
        "counted": expected if counted.draws == "soft" else "codes as they are published",
    }
    if counted.share < 1:
        lines["blanks"] = rows_with_code(counted.share)

    return lines
