"""Code files: the codes of rows of any number, as files that appear whole or not at all.

`encode_to` is a job: see `bitveil.jobs` for what happens if it is interrupted. Its parts are files
of Arrow with the codes of one piece of the source, and a mark for each row.
"""

import glob
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitveil.estimators import InvariantEncoder
from bitveil.jobs import (
    FinishedPart,
    Report,
    Reported,
    described,
    finished,
    naming,
    parts_folder,
    pieces_of,
    publish,
)
from bitveil.quotes import quoted
from bitveil.sources import Piece, Source, open_source
from bitveil.streams import check_published, encode_marked, feature_names
from bitveil.tallies import repeated
from bitveil.writers import Writer, writing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Encoded", "encode_into", "encode_to"]

_ENDINGS = (".csv", ".parquet")  # the files that can be an output
_MARKS = "marks of bitveil"  # the last column of a part


@dataclass(frozen=True)
class Encoded:
    """What became of the rows that were encoded.

    Attributes:
        n_rows: How many rows have a code or stay blank.
        n_blank: How many of them stay blank.
        n_shared: How many share their draw with another row; 0 for rows with names.
        n_found: How many an earlier start of the job had finished.
        in_folders: The sensitive columns that the folders of the input give: the order of the rows
            then gives them away.
    """

    n_rows: int
    n_blank: int
    n_shared: int
    n_found: int = 0
    in_folders: tuple[str, ...] = ()


def encode_to(
    model: InvariantEncoder,
    data: Any,
    output: str | os.PathLike[str],
    *,
    ids: str | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Encoded:
    """Write the codes of rows of any number to files.

    It needs memory for the codes of one row group, and eight bytes a row to find repeated names
    and shared draws. A row group of Parquet becomes a row group.

    Arguments:
        model: A fitted encoder.
        data: What `bitveil.sources.open_source` takes, or a source.
        output: A .csv or .parquet file for all rows; or a folder, which gets one file for each
            input file, with its name and format.
        ids: The column that names each row, or None.
        overwrite: Whether to write over a file. A folder is never written over.
        report: Called while the job goes on.

    Raises:
        OSError: If the output cannot be written.
        ValueError: If the rows are not as `bitveil.streams.encode_batches` expects, two rows have
            one name, or the folder of parts belongs to another job.

    Example:
        >>> import pandas as pd
        >>> from bitveil import InvariantEncoder, Training
        >>> folder, rng = getfixture("tmp_path"), np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
        >>> y, s = (X["a"] > 0).rename("y"), (X["b"] > 0).rename("s")
        >>> model = InvariantEncoder(
        ...     2, features="raw", training=Training(epochs=2), random_state=0)
        >>> _ = model.fit(X, y, sensitive_features=s)
        >>> X.assign(id=range(400)).to_parquet(folder / "people.parquet", row_group_size=150)
        >>> encode_to(model, folder / "people.parquet", folder / "codes.parquet", ids="id").n_rows
        400
        >>> pd.read_parquet(folder / "codes.parquet").columns.tolist()
        ['id', 'bit0', 'bit1']
    """

    source, names = _opened_for(model, data, ids)
    place = Path(output)
    files = _outputs(source, place)
    kept = _sensitive_folders(source, model)
    if kept and place.suffix not in _ENDINGS:
        raise ValueError(
            f"The names of the folders in {source.name} give the sensitive columns "
            f"{quoted(list(kept))}, "
            "and the names of the outputs would, too. Write one file for all rows."
        )
    found = Reported(report)
    work = partial(_encode_part, model=model, ids=ids, names=names, report=found.new)
    about = described(model.coder_, source, "encode", ids)
    with parts_folder(place, about, overwrite=overwrite) as folder:
        parts = finished(pieces_of(source, names), folder, work, lambda part: len(_marks_of(part)))
        encoded = _assemble(found.through(parts), folder / "whole", files, ids, source.name)
        single = place.suffix in _ENDINGS
        publish(folder / "whole" / (place.name if single else ""), place, overwrite)

    return replace(encoded, n_found=found.n_rows, in_folders=kept)


def encode_into(
    model: InvariantEncoder,
    data: Any,
    stream: IO[bytes],
    *,
    ids: str | None = None,
    report: Report | None = None,
) -> Encoded:
    """Write the codes of rows of any number to a stream of bytes, in Arrow's IPC format.

    Codes leave as soon as they are there. If an error comes, the stream is cut off, and what has
    left it must not be used.

    Arguments:
        model: A fitted encoder.
        data: What `bitveil.sources.open_source` takes, or a source.
        stream: Takes the bytes.
        ids: The column that names each row, or None.
        report: Called with the number of rows of each batch.

    Raises:
        ValueError: As for `encode_to`.
    """

    source, names = _opened_for(model, data, ids)
    blanks, marks = [], [np.zeros(0, dtype=np.uint64)]
    with writing(stream, ".arrows") as write:
        for piece in pieces_of(source, names):
            for codes in _coded_batches(piece, model, ids, names, Reported(report).new):
                blanks.append(_written(codes, write))
                marks.append(codes[_MARKS].to_numpy())
        shared = _check_draws(np.concatenate(marks), ids, source.name)

    return Encoded(sum(map(len, marks)), sum(blanks), shared, 0, _sensitive_folders(source, model))


def _opened_for(model: InvariantEncoder, data: Any, ids: str | None) -> tuple[Source, list[str]]:
    """The source of rows to encode, and the columns to read."""

    source, named = open_source(data), [] if ids is None else [ids]
    names = list(dict.fromkeys([*named, *feature_names(model)]))
    source.require(names)
    with naming(source.name):
        check_published(model, ids)

    return source, names


def _place(source: Source) -> Path:
    """The folder of a source: the part of its name that is no pattern."""

    path = Path(source.name)
    if path.is_dir():
        return path
    plain = list(takewhile(lambda part: not glob.has_magic(part), path.parts))

    return Path(*plain) if len(plain) < len(path.parts) else path.parent


def _outputs(source: Source, output: Path) -> "Callable[[Path | None], Path]":
    """Where the codes of an input file are written, inside of the folder of the output."""

    if output.suffix in _ENDINGS:
        return lambda _: Path(output.name)
    if output.suffix or not source.files:
        raise ValueError(
            f"Expected a file that ends in .csv or .parquet, got {output}. Only the rows of files "
            "can go into a folder, whose name has no dot."
        )
    return lambda file: Path(file).relative_to(_place(source))  # type: ignore[arg-type]


def _sensitive_folders(source: Source, model: InvariantEncoder) -> tuple[str, ...]:
    """The sensitive columns that the names of folders give, as in `sex=F/part-0.parquet`."""

    named = {
        part.partition("=")[0]
        for file in source.files
        for part in file.relative_to(_place(source)).parts[:-1]
        if "=" in part
    }

    return tuple(name for name in model.schema_.sensitive_names or () if name in named)


def _coded_batches(
    piece: Piece,
    model: InvariantEncoder,
    ids: str | None,
    names: list[str],
    report: Callable[[int], None],
) -> "Iterator[pa.Table]":
    """The codes of a piece batch by batch, with the marks of the rows as last column."""

    import pyarrow as pa

    for batch in piece.batches(names):
        if batch.num_rows:
            with naming(piece.file or "The rows", ids):
                codes, marks = encode_marked(batch, model, ids=ids)
            yield pa.Table.from_batches([codes]).append_column(_MARKS, pa.array(marks))
            report(batch.num_rows)


def _encode_part(piece: Piece, path: Path, **settings: Any) -> None:
    import pyarrow as pa
    from pyarrow.feather import write_feather

    if tables := list(_coded_batches(piece, **settings)):
        write_feather(pa.concat_tables(tables), str(path), compression="zstd")


def _part_of_codes(path: Path, names: list[str] | None = None) -> "pa.Table":
    from pyarrow.feather import read_table

    return read_table(path, columns=names, memory_map=False)


def _marks_of(path: Path) -> NDArray[np.uint64]:
    return _part_of_codes(path, [_MARKS])[_MARKS].to_numpy()


def _assemble(
    parts: Iterable[FinishedPart],
    whole: Path,
    files: Callable[[Path | None], Path],
    ids: str | None,
    name: str,
) -> Encoded:
    """Write the codes of all parts into the files of the output, after a check of the rows."""

    finished = list(parts)
    marks = [np.zeros(0, dtype=np.uint64), *(_marks_of(part.path) for part in finished)]
    n_shared = _check_draws(np.concatenate(marks), ids, name)
    shutil.rmtree(whole, ignore_errors=True)
    n_blank = 0
    places: dict[Path, list[FinishedPart]] = {}
    for part in finished:
        places.setdefault(whole / files(part.input), []).append(part)
    for place, inside in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        with writing(place, place.suffix) as write:
            for part in inside:
                with naming(part.input or name):
                    n_blank += _written(_part_of_codes(part.path), write)

    return Encoded(sum(map(len, marks)), n_blank, n_shared)


def _written(codes: "pa.Table", write: Writer) -> int:
    """Write codes without their marks. Returns how many rows are blank."""

    published = codes.select(range(codes.num_columns - 1))
    write(published)
    last = published.column_names[-1]

    return int(np.sum(published[last].to_numpy())) if last == "blank" else 0


def _check_draws(marks: NDArray[np.uint64], ids: str | None, name: str) -> int:
    """Refuse no rows and repeated names. Returns how many rows without names share their draw."""

    if not len(marks):
        raise ValueError(f"{name} has no rows.")
    if ids is None:
        counts = np.unique(marks, return_counts=True)[1]
        return int(counts[counts > 1].sum())
    if repeated(marks):
        raise ValueError(
            f"{name}: some rows share an id in the column {quoted(ids)}. Ids must differ."
        )

    return 0
