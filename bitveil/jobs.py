"""Jobs: long work on the pieces of a source, which goes on where it was interrupted.

A job works on one piece after the other, and keeps what is finished in a folder beside the
output: `codes.parquet.parts`. If the job is interrupted, even by a crash of the machine, the same
call goes on from there: finished parts are not made again. At the end the parts become the output,
which appears whole or not at all, and the folder is removed. An error in the data removes it, too.

The folder belongs to one encoder, to its options and to the input files as they are. It is refused
if one of them has changed since.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bitveil.coder import Coder
from bitveil.sources import BATCH, Piece, Source
from bitveil.staging import check_place, staged

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FinishedPart",
    "Report",
    "Reported",
    "described",
    "finished",
    "naming",
    "parts_folder",
    "pieces_of",
    "publish",
]

Report: TypeAlias = Callable[[int, bool], None]
"""Called with a number of rows, and whether an earlier start of the job had finished them."""

_LAYOUT = 1  # of the folder of parts: other layouts are other jobs


def pieces_of(source: Source, names: list[str]) -> Iterator[Piece]:
    """The pieces of files, or large pieces of a stream, however small its batches are."""

    if source.files:
        yield from source.pieces()
        return
    for number, batches in enumerate(_large_batches(source.batches(names))):
        yield Piece(number, None, lambda _, batches=batches: iter(batches))  # type: ignore[misc]


def _large_batches(batches: "Iterable[pa.RecordBatch]") -> "Iterator[list[pa.RecordBatch]]":
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= BATCH:
            yield pa.Table.from_batches(waiting).combine_chunks().to_batches(BATCH)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks().to_batches(BATCH)


def described(coder: Coder, source: Source, *options: Any) -> str | None:
    """A digest of all that decides the parts; None for a stream, which cannot be read again."""

    if not source.files:
        return None
    stats = [(path.resolve(), path.stat()) for path in source.files]
    files = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    encoder = [coder.digest, coder.share]
    written = [source.form.separator, source.form.encoding]
    said = json.dumps([_LAYOUT, encoder, files, written, options])

    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


@contextmanager
def parts_folder(output: Path, about: str | None, *, overwrite: bool) -> Iterator[Path]:
    """The folder of parts, which stays if the job is interrupted, and goes in all other cases.

    Arguments:
        output: What the job writes.
        about: What `described` says of the job.
        overwrite: Whether a file may be written over.

    Raises:
        ValueError: If the folder belongs to another job, or another process works in it.
    """

    check_place(output, overwrite=overwrite)
    if about is None:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".bitveil-") as scratch:
            yield Path(scratch)
        return
    folder = output.with_name(f"{output.name}.parts")
    _check_job(folder, about)
    with _locked(folder):
        try:
            yield folder
        except ValueError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def _check_job(folder: Path, about: str) -> None:
    """Mark a new folder with its job, and refuse the folder of another one."""

    folder.mkdir(exist_ok=True)
    mark = folder / "job.json"
    if not any(path.name[:9] != ".bitveil-" for path in folder.iterdir()):
        with staged(mark) as path:
            path.write_text(json.dumps({"job": about}))
    try:
        same = json.loads(mark.read_bytes())["job"] == about
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        same = False
    if not same:
        raise ValueError(
            f"{folder} keeps the finished parts of another job: with another encoder, other "
            "options, or files that have changed since. Remove that folder to start from the "
            "beginning, or name another output."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process works in, where the system can tell."""

    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / "job.json").open("rb") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"Another process works in {folder}. Wait for it, or name another output."
            ) from error
        except OSError:  # some network drives have no locks
            pass
        yield


def finished(
    pieces: Iterable[Piece],
    folder: Path,
    work: Callable[[Piece, Path], None],
    size: Callable[[Path], int],
) -> "Iterator[FinishedPart]":
    """The parts of all pieces. Those that are missing are made, and appear whole."""

    for piece in pieces:
        part = folder / f"part-{piece.number:09}"
        n_found = size(part) if part.exists() and part.stat().st_size else 0
        if not part.exists():
            with staged(part) as path:
                path.touch()  # stays empty if the piece has no rows
                work(piece, path)
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        yield FinishedPart(piece.file, part, n_found)


class FinishedPart(NamedTuple):
    """A finished part: the input file, its own file, and how many rows were there before."""

    input: Path | None
    path: Path
    n_found: int


class Reported:
    """Reports rows, and counts those of an earlier start.

    Arguments:
        report: Is called with each number of rows; None: nobody wants to know.
    """

    def __init__(self, report: Report | None) -> None:
        self.report, self.n_rows = report, 0

    def new(self, n_rows: int) -> None:
        """Report rows that were worked on just now."""

        if self.report is not None:
            self.report(n_rows, False)

    def through(self, parts: Iterable[FinishedPart]) -> Iterator[FinishedPart]:
        """The same parts that have rows."""

        for part in parts:
            self.n_rows += part.n_found
            if part.n_found and self.report is not None:
                self.report(part.n_found, True)
            if part.path.stat().st_size:
                yield part


def publish(whole: Path, output: Path, overwrite: bool) -> None:
    """Let the output appear, whole."""

    check_place(output, overwrite=overwrite)
    os.replace(whole, output)


@contextmanager
def naming(name: Any, ids: str | None = None) -> Iterator[None]:
    """Say in errors where the rows are, and which column names them."""

    try:
        yield
    except ValueError as error:
        said = str(error) if ids is None else str(error).replace("`ids`", f"`ids={ids}`")
        raise ValueError(f"{name}: {said}") from error
