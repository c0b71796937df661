"""Sources: rows of any number, read in pieces as Arrow record batches.

A source is a file, a folder or a pattern of Parquet and CSV files, a stream of Arrow's IPC format,
or anything that another library hands over as Arrow (`__arrow_c_stream__`: polars, DuckDB, Spark's
and Ray's batches). It is read piece by piece, and a piece batch by batch, so that memory does not
grow with the rows. Pieces are row groups of Parquet and blocks of CSV. They have fixed numbers, so
that work on them can be resumed.

Columns come as they are stored: Arrow's types from Parquet, and text from CSV. What the values
mean is up to the encoder that reads them: see `bitveil.columns.kinds`.
"""

import glob
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

from bitveil.delimited import CsvForm, lacks_columns
from bitveil.quotes import quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["BATCH", "Piece", "Source", "frame_of", "is_large", "open_source"]

BATCH = 2**16
"""The most rows of a batch."""

_BLOCK = 2**18  # the rows of a piece of CSV
_LARGE = 1_000_000  # files of more rows are not read at once
_LARGE_CSV = 2**27  # nor CSV files of more bytes
_SUFFIXES = (".parquet", ".csv")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # how Hive and Spark name a folder of missing values


@dataclass(frozen=True)
class Piece:
    """Some consecutive rows of a source.

    Attributes:
        number: The number of the piece, from 0 on.
        file: The file that it is in, for errors and outputs; None outside of files.
        batches: Reads the named columns, in batches of at most `BATCH` rows.
    """

    number: int
    file: Path | None
    batches: "Callable[[Sequence[str]], Iterator[pa.RecordBatch]]"


@dataclass(frozen=True)
class Source:
    """Rows that are read in pieces.

    Attributes:
        name: What errors call it.
        columns: The names of its columns.
        n_rows: How many rows it has, if that is known before it is read.
        files: The files, in order.
        pieces: Goes through the pieces. Streams can be read once only.
        form: How CSV files are written.
    """

    name: str
    columns: list[str]
    n_rows: int | None
    files: tuple[Path, ...]
    pieces: Callable[[], Iterator[Piece]] = field(repr=False)
    form: CsvForm = field(default_factory=CsvForm)

    def require(self, names: Iterable[str | None]) -> None:
        """Refuse names without a column, and propose the most similar column."""

        for name in names:
            if name is not None and name not in self.columns:
                raise ValueError(lacks_columns(self.name, [name], self.columns))

    def batches(self, names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """The named columns of all rows, batch by batch."""

        self.require(names)

        return chain.from_iterable(piece.batches(names) for piece in self.pieces())


def open_source(data: Any, form: CsvForm | None = None) -> Source:
    """Open data of any size, and check what can be checked before it is read.

    Arguments:
        data: The path of a .parquet or .csv file, of a folder of such files (also in folders of
            their own, as `sex=F/part-0.parquet`, whose name is then a column), or a pattern such
            as `"people/*.parquet"`; `"-"` for a stream of Arrow's IPC format on the standard
            input; a table or a reader of another library; record batches; or a source, which is
            returned as it is.
        form: How CSV files are written; None: with commas, in UTF-8.

    Raises:
        OSError: If there is no such file, or no file in the folder.
        ValueError: If a file cannot be read, has no rows, or lacks columns that others have; if a
            form is given for other data than CSV files.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> for part, ages in enumerate(("30\\n41\\n", "7\\n")):
        ...     _ = (folder / f"part-{part}.csv").write_text("age\\n" + ages)
        >>> source = open_source(folder)
        >>> source.columns, [batch.to_pydict() for batch in source.batches(["age"])]
        (['age'], [{'age': ['30', '41']}, {'age': ['7']}])
    """

    if isinstance(data, Source):
        return data
    form = form or CsvForm()
    if isinstance(data, str | os.PathLike) and os.fspath(data) != "-":
        return _of_files(os.fspath(data), form)
    form.check_used(Path("the standard input" if isinstance(data, str) else "the table"))
    if isinstance(data, str):
        return _of_stream(sys.stdin.buffer)

    return _of_batches(data)


def is_large(place: str | os.PathLike[str]) -> bool:
    """Whether a place holds several files, or one that is too large to be read at once."""

    path = Path(place)
    if path.suffix == ".csv" and path.is_file():
        return path.stat().st_size > _LARGE_CSV
    if path.is_file() and path.suffix == ".parquet":
        return (open_source(path).n_rows or 0) > _LARGE

    return path.is_dir() or glob.has_magic(os.fspath(place))


def frame_of(batch: "pa.RecordBatch", names: Sequence[str]) -> "pd.DataFrame":
    """Some columns of a batch with Arrow's types, which keep integers and missing values."""

    import pandas as pd
    import pyarrow as pa

    columns = [batch.column(name) for name in names]
    plain = [c.cast(pa.string()) if c.type == pa.string_view() else c for c in columns]  # polars
    some = pa.RecordBatch.from_arrays(plain, names=list(names))

    return some.to_pandas(types_mapper=pd.ArrowDtype)


# Files


@dataclass(frozen=True)
class _File:
    """A file whose first lines or last bytes were read.

    Attributes:
        path: Its place.
        columns: The names of its columns.
        keys: The columns that the names of its folders give, with their values.
        n_rows: How many rows it has; None if only reading can tell.
        form: How it is written, if it is a CSV file.
    """

    path: Path
    columns: list[str]
    keys: Mapping[str, Any]
    n_rows: int | None
    form: CsvForm


def _of_files(place: str, form: CsvForm) -> Source:
    found = [_opened(path, keys, form) for path, keys in _listed(place)]
    for file in found[1:]:
        if missing := [name for name in found[0].columns if name not in file.columns]:
            raise ValueError(
                f"{lacks_columns(str(file.path), missing, file.columns)} {found[0].path} has "
                f"{'it' if len(missing) == 1 else 'them'}: all files need the same columns."
            )
    sizes = [file.n_rows for file in found]

    return Source(
        place,
        found[0].columns,
        None if None in sizes else sum(size for size in sizes if size is not None),
        tuple(file.path for file in found),
        lambda: _as_pieces(chain.from_iterable(map(_pieces_of, found))),
        form,
    )


def _as_pieces(
    parts: "Iterable[tuple[Path, Callable[[Sequence[str]], Iterator[pa.RecordBatch]]]]",
) -> Iterator[Piece]:
    for number, (path, read) in enumerate(parts):
        yield Piece(number, path, read)


def _listed(place: str) -> list[tuple[Path, dict[str, Any]]]:
    """The files of a place in order, with the columns that the names of folders give."""

    path = Path(place)
    if path.is_file() and path.suffix in _SUFFIXES:
        return [(path, {})]
    if path.is_file():
        raise ValueError(f"Expected a file that ends in .csv or .parquet, got {path}.")
    paths = _inside(path) if path.is_dir() else sorted(map(Path, glob.glob(place, recursive=True)))
    paths = [each for each in paths if each.suffix in _SUFFIXES and each.is_file()]
    if not paths:
        wrong = path.is_dir() or glob.has_magic(place)
        raise FileNotFoundError(
            f"{place} holds no .csv or .parquet file." if wrong else f"There is no file {place}."
        )
    if len({each.suffix for each in paths}) > 1:
        raise ValueError(
            f"{place} holds .csv and .parquet files. Name those of one kind, for example "
            f"{place}/*.parquet."
        )

    return [(each, _keys(each, path)) for each in paths]


def _inside(folder: Path) -> list[Path]:
    """The files in a folder and its folders, but not those that begin with a dot or underscore."""

    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )


def _keys(path: Path, folder: Path) -> dict[str, Any]:
    """The columns in the names of the folders between a folder and a file, as `sex=F`."""

    if not folder.is_dir():
        return {}
    parts = [part.partition("=") for part in path.relative_to(folder).parts[:-1] if "=" in part]

    return {name: None if value == _NO_VALUE else unquote(value) for name, _, value in parts}


def _opened(path: Path, keys: Mapping[str, Any], form: CsvForm) -> _File:
    """A file whose columns are known. Files without rows are refused."""

    form.check_used(path)
    try:
        columns, n_rows = _csv_head(path, form) if path.suffix == ".csv" else _parquet_head(path)
    except (ValueError, OSError) as error:
        raise form.blamed(error, path) from error
    if n_rows == 0:
        raise ValueError(f"{path} has no rows.")
    if both := [name for name in keys if name in columns]:
        raise ValueError(
            f"{path} has columns that the names of its folders give too: {quoted(both)}."
        )

    return _File(path, [*columns, *keys], keys, n_rows, form)


def _parquet_head(path: Path) -> tuple[list[str], int]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        said = file.schema_arrow.pandas_metadata or {}
        names = [n for n in file.schema_arrow.names if n not in said.get("index_columns", [])]
        n_rows = file.metadata.num_rows
    _check_twice(names)

    return names, n_rows


def _csv_head(path: Path, form: CsvForm) -> tuple[list[str], int | None]:
    import pandas as pd

    settings: dict[str, Any] = {"dtype": str, "keep_default_na": False, **form.pandas}
    names = pd.read_csv(path, header=None, nrows=1, **settings).iloc[0].tolist()
    form.check_names(names)
    _check_twice([name for name in names if name])
    first = next(_csv_frames(path, len(names), 1, form), None)

    return names, 0 if first is None or first.empty else None


def _check_twice(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"columns need different names, but {quoted(twice)} appear more than once."
        )


def _pieces_of(
    file: _File,
) -> "Iterator[tuple[Path, Callable[[Sequence[str]], Iterator[pa.RecordBatch]]]]":
    """Reads of each piece of a file, one after the other."""

    parts = _csv_parts(file) if file.path.suffix == ".csv" else _parquet_parts(file)

    return ((file.path, _blaming(file, read)) for read in parts)


def _blaming(
    file: _File, read: "Callable[[list[str]], Iterator[pa.RecordBatch]]"
) -> "Callable[[Sequence[str]], Iterator[pa.RecordBatch]]":
    """A reader of a piece that adds the columns of the folders, and names the file in errors."""

    def batches(names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        try:
            for batch in read([name for name in names if name not in file.keys]):
                yield _with_keys(batch, file.keys, names)
        except (ValueError, OSError) as error:
            raise file.form.blamed(error, file.path) from error

    return batches


def _with_keys(
    batch: "pa.RecordBatch", keys: Mapping[str, Any], names: Sequence[str]
) -> "pa.RecordBatch":
    import pyarrow as pa

    if not any(name in keys for name in names):
        return batch
    columns = [
        pa.array([keys[name]] * batch.num_rows, pa.string()) if name in keys else batch[name]
        for name in names
    ]

    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _parquet_parts(file: _File) -> "Iterator[Callable[[list[str]], Iterator[pa.RecordBatch]]]":
    import pyarrow.parquet

    def read(number: int, names: list[str]) -> "Iterator[pa.RecordBatch]":
        with pyarrow.parquet.ParquetFile(file.path) as opened:
            yield from (
                batch.select(names)
                for batch in opened.iter_batches(BATCH, [number], columns=names)
            )

    with pyarrow.parquet.ParquetFile(file.path) as opened:
        n_groups = opened.num_row_groups
    for number in range(n_groups):
        yield partial(read, number)


def _csv_parts(file: _File) -> "Iterator[Callable[[list[str]], Iterator[pa.RecordBatch]]]":
    """Blocks of a CSV file. It can be read only from the start, but a block can be left out."""

    frames = _csv_frames(file.path, len(file.columns) - len(file.keys), _BLOCK, file.form)
    try:
        for frame in frames:
            yield partial(_text_batches, frame)
    except (ValueError, OSError) as error:
        raise file.form.blamed(error, file.path) from error


def _csv_frames(path: Path, n_columns: int, block: int, form: CsvForm) -> "Iterator[pd.DataFrame]":
    """Blocks of text, read as `bitveil.columns.files` reads a whole file."""

    import pandas as pd

    settings: dict[str, Any] = {"index_col": False, "dtype": str, "keep_default_na": False}
    settings |= form.pandas
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            with pd.read_csv(path, chunksize=block, **settings) as frames:
                yield from frames
        except pd.errors.ParserWarning as error:
            raise ValueError(
                f"its rows have more fields than the {n_columns} names in its first line. Do rows "
                "end in a comma, or is a name missing?"
            ) from error


def _text_batches(frame: "pd.DataFrame", names: list[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for start in range(0, len(frame), BATCH):
        columns = [
            pa.array(frame[name].iloc[start : start + BATCH], pa.string()) for name in names
        ]
        yield pa.RecordBatch.from_arrays(columns, names=names)


# Streams and objects


def _of_stream(stream: IO[bytes]) -> Source:
    import pyarrow as pa

    try:
        reader = pa.ipc.open_stream(stream)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"The standard input is no stream of Arrow's IPC format: {str(error).rstrip('.')}."
        ) from error

    return _of_reader(reader, "The standard input", None)


def _of_batches(data: Any) -> Source:
    """A table or a reader of another library, or record batches of Arrow."""

    import pyarrow as pa

    n_rows = len(data) if hasattr(data, "__len__") and hasattr(data, "columns") else None
    if type(data).__module__.partition(".")[0] == "pandas":
        data = pa.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "__arrow_c_stream__"):
        open_reader = partial(pa.RecordBatchReader.from_stream, data)
        return _of_reader(open_reader(), "The table", n_rows, again=open_reader)
    if isinstance(data, pa.RecordBatch):
        data = [data]
    batches = iter(data) if isinstance(data, Iterable) else iter(())
    first = next(batches, None)
    if not isinstance(first, pa.RecordBatch):
        raise ValueError(
            "Expected a path, a table that exports Arrow (`__arrow_c_stream__`), or record "
            f"batches of pyarrow, got {type(data).__name__}"
            + (f" of {type(first).__name__}." if first is not None else " without any.")
        )

    return _of_reader(_Batches(first, batches), "The batches", None)


class _Batches:
    """Record batches with one schema, like a reader of Arrow."""

    def __init__(self, first: Any, others: Iterator[Any]) -> None:
        self.schema, self.first, self.others = first.schema, first, others

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(chain([self.first], self.others)):
            names = [name for name in self.schema.names if name not in batch.schema.names]
            if names:
                raise ValueError(lacks_columns(f"Batch {number}", names, batch.schema.names))
            yield batch


def _of_reader(
    reader: Any, name: str, n_rows: int | None, again: Callable[[], Any] | None = None
) -> Source:
    """A source of a reader that is open. Tables can be read again, streams cannot."""

    names = list(reader.schema.names)
    _check_twice(names)
    once = [reader]

    def pieces() -> Iterator[Piece]:
        opened = once.pop() if once else () if again is None else again()
        for number, batch in enumerate(opened):
            yield Piece(number, None, partial(_sliced, batch))

    return Source(name, names, n_rows, (), pieces)


def _sliced(batch: "pa.RecordBatch", names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    chosen = batch.select(list(names))
    for start in range(0, chosen.num_rows, BATCH):
        yield chosen.slice(start, BATCH)
