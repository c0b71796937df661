"""Adult made large: any number of its rows in Parquet files, each with an id of its own.

The rows repeat in their order, and the ids count from 0 on. There are 16 columns: `id`, the 14
features with `sex` and `race`, and the target `income_above_50k`. Memory is that of one row group.

    python benchmarks/large_adult.py FOLDER N_ROWS [--files 4] [--row-group 131072]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bitveil.datasets import load_adult


def people() -> pa.Table:
    """All rows of Adult, without ids."""

    adult = load_adult()
    rows = adult.features.assign(income_above_50k=adult.target)

    return pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()


def row_groups(rows: pa.Table, start: int, stop: int, most: int) -> Iterator[pa.Table]:
    """The rows with the ids from `start` to before `stop`, some at a time."""

    for first in range(start, stop, most):
        ids = np.arange(first, min(first + most, stop))
        yield rows.take(ids % len(rows)).add_column(0, "id", pa.array(ids))


def write_large_adult(
    folder: Path, n_rows: int, *, n_files: int = 4, row_group: int = 2**17
) -> list[Path]:
    """Write the files, about equally large, and return their paths."""

    rows = people()
    edges = np.linspace(0, n_rows, n_files + 1).astype(int).tolist()
    files = [folder / f"part-{number:05}.parquet" for number in range(n_files)]
    folder.mkdir(parents=True, exist_ok=True)
    schema = rows.schema.insert(0, pa.field("id", pa.int64()))
    for file, start, stop in zip(files, edges, edges[1:], strict=False):
        with pq.ParquetWriter(file, schema) as writer:
            for part in row_groups(rows, start, stop, row_group):
                writer.write_table(part, row_group)

    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder without Parquet files")
    parser.add_argument("n_rows", type=int)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--row-group", type=int, default=2**17, help="the rows of a row group")
    asked = parser.parse_args()
    if not 1 <= asked.files <= asked.n_rows or asked.row_group < 1:
        parser.error("each file needs a row, and each row group too")
    if any(asked.folder.glob("*.parquet")):
        parser.error(f"{asked.folder} holds Parquet files. Name a new folder")
    files = write_large_adult(
        asked.folder, asked.n_rows, n_files=asked.files, row_group=asked.row_group
    )
    size = sum(file.stat().st_size for file in files) / 2**20
    print(f"{asked.n_rows:,} rows in {len(files)} files, {size:.0f} MiB")


if __name__ == "__main__":
    main()
