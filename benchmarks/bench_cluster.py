"""Rows a second, encoded and counted: by one process, by two, and by one and two workers of Ray.

The rows are those of Adult made large (`large_adult.py`). Start-up does not count: each clock
starts when every process has finished a batch. Two processes of their own, each with one half of
the rows, show what the machine can do at best. Look at the ratios, and at the load, which should
be near 0 before the first line.

    python benchmarks/bench_cluster.py [--rows 1048576]
"""

import argparse
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from large_adult import write_large_adult

from bitveil import InvariantClassifier, load
from bitveil.clusters import count_dataset
from bitveil.datasets import load_adult
from bitveil.streams import count


class Clock:
    """When how many rows were done."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.rows: list[int] = []

    def __call__(self, n_rows: int) -> None:
        """Some more rows are done."""

        self.times.append(time.perf_counter())
        self.rows.append(n_rows)

    def rate(self, n_processes: int = 1) -> float:
        """Rows a second after each process has finished a batch."""

        first = n_processes - 1

        return sum(self.rows[first + 1 :]) / (self.times[-1] - self.times[first])


def save_encoder(folder: Path) -> None:
    """Fit an encoder of Adult's rows with default settings."""

    adult = load_adult()
    some = np.random.default_rng(0).permutation(len(adult.target))[:12_000]
    ids, X = [f"fitted {row}" for row in some], adult.without("sex").iloc[some]
    model = InvariantClassifier(max_gap=0.10, key=b"a key for benchmarks", random_state=0)
    sex = adult.sensitive[["sex"]].iloc[some]
    model.fit(X, adult.target.iloc[some], sensitive_features=sex, ids=ids)
    model.save(folder)


def plain(rows: Path, encoder: Path) -> float:
    """The rate of one process."""

    clock = Clock()
    count(rows, load(encoder), ids="id", after_batch=clock)

    return clock.rate()


def plain_at_once(files: list[Path], encoder: Path) -> float:
    """The rate of processes that run at the same time, one for each file."""

    words = [sys.executable, __file__, "--encoder", str(encoder), "--of"]
    running = [
        subprocess.Popen([*words, str(file)], stdout=subprocess.PIPE, text=True) for file in files
    ]

    return sum(float(process.communicate()[0]) for process in running)


@contextmanager
def cluster() -> Iterator[None]:
    """Ray on two cores of this machine."""

    import ray.data

    with TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _temp_dir=folder,
        )
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield
        ray.shutdown()


def with_workers(rows: Path, encoder: Path, n_workers: int) -> float:
    """The rate of workers of Ray."""

    import ray.data

    clock = Clock()
    dataset = ray.data.read_parquet(str(rows))
    count_dataset(dataset, encoder, ids="id", n_workers=n_workers, after_block=clock)

    return clock.rate(n_workers)


def measured(n_rows: int, folder: Path) -> Iterator[tuple[str, float]]:
    """What was measured, and its rate."""

    files = write_large_adult(folder / "rows", n_rows, n_files=2)
    save_encoder(folder / "encoder")
    yield "one process", plain(folder / "rows", folder / "encoder")
    yield "two processes", plain_at_once(files, folder / "encoder")
    with cluster():
        for n_workers, name in ((1, "one worker of Ray"), (2, "two workers of Ray")):
            yield name, with_workers(folder / "rows", folder / "encoder", n_workers)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=16 * 2**16)
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--encoder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.of is not None:
        print(plain(asked.of, asked.encoder))
        return
    print("| | rows a second | of one process | load before |\n| --- | --- | --- | --- |")
    first = None
    with TemporaryDirectory() as folder:
        load_before = os.getloadavg()[0]
        for name, rate in measured(asked.rows, Path(folder)):
            first = rate if first is None else first
            print(f"| {name} | {rate:,.0f} | {rate / first:.2f} | {load_before:.1f} |", flush=True)
            load_before = os.getloadavg()[0]


if __name__ == "__main__":
    main()
