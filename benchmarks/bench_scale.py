"""Rows a second and peak memory of counting and encoding Parquet files of many rows.

Each line is a process of its own, on one core. Adult's rows repeat with ids of their own (see
`large_adult.py`); the encoder was fitted on Adult with other ids. Time starts when the encoder is
loaded, and peak memory is that of the whole process, libraries included. Look at how it grows.

    python benchmarks/bench_scale.py FOLDER [--rows 100000 1000000 10000000]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from bench_encode import fitted
from large_adult import write_large_adult

import bitveil
from bitveil.streams import count, encode_batches
from bitveil.workers import one_thread


def measured(work: str, encoder: Path, rows: Path) -> dict[str, Any]:
    """The rows, seconds and peak memory of one piece of work, in this process."""

    warnings.filterwarnings("ignore", "Values that were not fitted")
    model = bitveil.load(encoder)
    start = time.perf_counter()
    with one_thread():
        if work == "encode":
            n_rows, bound = sum(b.num_rows for b in encode_batches(rows, model, ids="id")), None
        else:
            tally, _ = count(rows, model, ids="id")
            n_rows, bound = tally.n_rows, tally.intervals()[0].certificate.bound
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    return {"work": work, "rows": n_rows, "seconds": seconds, "MiB": peak, "bound": bound}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files are, or are written to")
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    encoder = asked.folder / "encoder"
    if asked.one is not None:
        work, rows = asked.one
        print(json.dumps(measured(work, encoder, Path(rows))))
        return
    asked.folder.mkdir(exist_ok=True)
    if not encoder.exists():
        fitted().save(encoder)
    for n in asked.rows:
        rows = asked.folder / f"{n}"
        if not rows.exists():
            write_large_adult(rows, n)
        for work in ("count", "encode"):
            words = [sys.executable, __file__, str(asked.folder), "--one", work, str(rows)]
            out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            found = json.loads(out)
            said = "" if found["bound"] is None else f", certified {found['bound']:.5f}"
            print(
                f"{work:<7} {n:>11,} rows: {n / found['seconds']:>9,.0f} rows a second, "
                f"{1e6 * found['seconds'] / n:.2f} s a million, {found['MiB']:,.0f} MiB{said}",
                flush=True,
            )


if __name__ == "__main__":
    main()
