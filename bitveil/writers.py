"""Writers: codes as a CSV file, a Parquet file, or a stream of Arrow's IPC format.

A writer takes tables of codes one after the other. All of them are written with the types of the
first, so that files with ids of other types give one output.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import pandas as pd

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "Writer", "writing"]

FORMATS = (".parquet", ".csv", ".arrows")
"""What a writer can write, by the ending of a file: .arrows is a stream of Arrow's IPC format."""


class Writer(Protocol):
    """What takes tables of codes."""

    def __call__(self, table: "pa.Table") -> None:
        """Write the rows of a table. In Parquet they become one row group."""


@contextmanager
def writing(place: Path | IO[bytes], suffix: str) -> Iterator[Writer]:
    """A writer to a file or a stream of bytes, until the end of the block.

    After an error the output is cut off.

    Arguments:
        place: The file, or a stream of bytes.
        suffix: One of `FORMATS`.

    Example:
        >>> import pyarrow as pa
        >>> file = getfixture("tmp_path") / "codes.csv"
        >>> with writing(file, ".csv") as write:
        ...     write(pa.table({"id": ["007"], "bit0": [1]}))
        ...     write(pa.table({"id": ["x, y"], "bit0": [0]}))
        >>> print(file.read_text(), end="")
        id,bit0
        007,1
        "x, y",0
    """

    kind = {".parquet": _Parquet, ".csv": _Csv, ".arrows": _Stream}[suffix]
    if isinstance(place, Path):
        with place.open("wb") as file, writing(file, suffix) as write:
            yield write
        return
    writer = kind(place)
    yield writer
    writer.close()


class _Writer:
    """Opens at the first table, whose types all others get."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.schema: Any = None
        self.opened: Any = None

    def __call__(self, table: "pa.Table") -> None:
        if self.schema is None:
            self.schema = table.schema.remove_metadata()
            self.open()
        self.write(table.cast(self.schema))

    def open(self) -> None:
        pass

    def write(self, table: "pa.Table") -> None:
        self.opened.write_table(table)

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()


class _Parquet(_Writer):
    def open(self) -> None:
        import pyarrow.parquet

        self.opened = pyarrow.parquet.ParquetWriter(self.file, self.schema)

    def write(self, table: "pa.Table") -> None:
        self.opened.write_table(table, row_group_size=max(1, len(table)))


class _Stream(_Writer):
    def open(self) -> None:
        import pyarrow as pa

        self.opened = pa.ipc.new_stream(self.file, self.schema)


class _Csv(_Writer):
    def open(self) -> None:
        pd.DataFrame(columns=self.schema.names).to_csv(self.file, mode="wb", index=False)

    def write(self, table: "pa.Table") -> None:
        frame = table.to_pandas(types_mapper=pd.ArrowDtype)
        frame.to_csv(self.file, mode="wb", index=False, header=False)
