"""`bitveil encode`: the frozen codes of rows of any number, as files or as a stream."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.cli.checks import check_output, check_suffix
from bitveil.cli.messages import note, say
from bitveil.cli.options import Data, Encoder, EncodingOption, Force, Id, Sep
from bitveil.cli.progress import Progress, expected_rows, progress
from bitveil.cli.tables import check_columns, open_rows
from bitveil.delimited import CsvForm
from bitveil.quotes import quoted

if TYPE_CHECKING:
    from bitveil.code_files import Encoded
    from bitveil.sources import Source

__all__ = ["encode_command"]

_SHARED = 0.01  # the share of rows with another row's content from which a note says so


def encode_command(
    model: Encoder,
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The .csv or .parquet to write; for several input files, one such file for all "
            "rows, or a folder for a file each; or - for a stream of Arrow's IPC format.",
        ),
    ],
    id_: Id = None,
    force: Force = False,
    sep: Sep = None,
    encoding: EncodingOption = None,
    shown: Progress = False,
) -> None:
    """Write the codes of rows. The codes are frozen: the same row gets the same code.

    The command uses only the columns that the encoder was fitted on. What it writes has a column
    for each bit, after the column of --id. If the encoder leaves rows blank, the last column is 1
    for these rows. A .csv is written with commas and in UTF-8, whatever was read.

    The rows may be more than fit into memory. They are read piece by piece, and each row group of
    Parquet becomes a row group. Only eight bytes a row stay in memory, to find repeated ids.

    The output appears whole, or not at all. Finished parts wait in a folder beside it, which ends
    in .parts. If the command is interrupted, start it again, and it goes on from there. After an
    error in the data the folder is removed. A stream cannot be read again. Codes that go to the
    standard output leave at once: if the exit code is not 0, throw them away.
    """

    from bitveil.models import load

    form, streamed = CsvForm(sep, encoding), str(output) == "-"
    if not streamed:
        _check_place(output, data, model, force=force)
    encoder = load(model)
    source = open_rows(data, form)
    if not streamed:
        check_output(output, source.files, force=True)  # a pattern is known only now
    check_columns(encoder, source, model, id_)
    with progress(expected_rows(source), always=shown) as report:
        done = _encode(encoder, source, output, ids=id_, report=report, force=force)
    if id_ is not None:
        note(
            f"The column {id_} says whose code each row is. Publish it only if nobody else knows "
            "who has which id; otherwise take it out first."
        )
        _note_other_draws(encoder)
    _print_encoded(done, output, encoder.n_bits, blanks=encoder.share_ < 1)


def _note_other_draws(encoder: Any) -> None:
    """Say that a certificate of codes drawn by content is not about codes drawn by name."""

    certificate = encoder.certificate_
    if certificate is not None and certificate.draws == "hard" and encoder.used_.names is None:
        note(
            "The certificate counts codes as rows without ids draw them. With --id rows draw "
            "other codes and blanks, which it is not about: leave --id out, or fit with it too."
        )


def _check_place(output: Path, data: str, model: Path, *, force: bool) -> None:
    """Refuse an output that cannot be written, before anything is read."""

    if output.suffix or Path(data).is_file() or data == "-":
        check_suffix(output, ".csv", ".parquet")
    check_output(output, [Path(data), model], force=force)


def _encode(
    encoder: Any, source: "Source", output: Path, *, ids: str | None, report: Any, force: bool
) -> "Encoded":
    from bitveil.code_files import encode_into, encode_to

    if str(output) != "-":
        return encode_to(encoder, source, output, ids=ids, overwrite=force, report=report)
    if sys.stdout.isatty():
        raise ValueError("Codes are no text for a terminal. Write them to a file or a program.")
    done = encode_into(encoder, source, sys.stdout.buffer, ids=ids, report=report)
    sys.stdout.buffer.flush()

    return done


def _print_encoded(done: "Encoded", output: Path, n_bits: int, *, blanks: bool) -> None:
    if done.n_shared > _SHARED * done.n_rows:
        note(
            f"{done.n_shared} of {done.n_rows} rows have the same content as another row and "
            "share its code. Identify the rows with --id."
        )
    if done.in_folders:
        note(
            f"The rows stand in the order of their folders, which gives "
            f"{quoted(list(done.in_folders))} away. Shuffle them before you publish them."
        )
    if done.n_found:
        note(f"{done.n_found} of these rows were finished before an interruption.")
    blank = f"; {done.n_blank} of these rows are blank" if blanks else ""
    streamed = str(output) == "-"
    place = "the standard output" if streamed else output
    said = f"{done.n_rows} codes of {n_bits} bits in {place}{blank}"
    say(said, file=sys.stderr if streamed else None)
