"""The time of a training step, by one process and by two, and what joins them.

Both train in turn in this run, on the same rows, with one thread each, and we take medians. The
times of a step do not hold the start of the processes, which we print apart. Two processes gain
less on cores that other programs use. The ratio of work is that of the seconds a core worked, for
the only process and for the first of two: an idle machine comes close to it where sums are small.

    python benchmarks/bench_processes.py [--repeats 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch

from bitveil.batches import Rows
from bitveil.layers import table_encoder
from bitveil.measures import Measure
from bitveil.objectives import Weighted
from bitveil.tasks import DecoderTask, task_information
from bitveil.training import train

COLUMNS = 50
STEPS = 8
"""Steps of a training, of which the first two do not count."""


def world(n: int) -> Rows:
    """Random rows with a target and two groups."""

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, COLUMNS, generator=generator)
    y, s = torch.randint(2, (2, n), generator=generator)

    return Rows.of_target(x, y, s, n_classes=2, n_groups=2)


def listed() -> Weighted:
    """Tables of all codes."""

    return Weighted(task_information, Measure(), strength=1.0)


def drawn(bits: int) -> Weighted:
    """1,024 drawn codes, and a decoder of draws."""

    generator = torch.Generator().manual_seed(0)
    task = DecoderTask(table_encoder(bits, 2, (64, 64)), exact=False, generator=generator)
    measure = Measure("mutual_information", engine="sampled", n_draws=1024, generator=generator)

    return Weighted(task, measure, strength=1.0)


class Times(NamedTuple):
    """Seconds of a step by the clock and of one core's work, and of the whole training."""

    step: float
    work: float
    whole: float


def seconds(n: int, bits: int, hidden: int, devices: int) -> Times:
    """The times of a training by so many processes, as the first of them sees them."""

    seen: list[tuple[float, float]] = []
    begin = time.perf_counter()
    train(
        table_encoder(COLUMNS, bits, (hidden, hidden)),
        listed() if bits <= 16 else drawn(bits),
        world(n),
        epochs=STEPS,
        batch_size=n,
        devices=devices,
        generator=torch.Generator().manual_seed(0),
        after_epoch=lambda _: seen.append((time.perf_counter(), time.process_time())),
    )
    whole = time.perf_counter() - begin
    step, work = (
        statistics.median(after[k] - before[k] for before, after in pairwise(seen[1:]))
        for k in (0, 1)
    )

    return Times(step, work, whole)


def compared(measured: Callable[[int], Times], repeats: int) -> str:
    """The milliseconds of a step by one and two processes, in turn, and their ratios."""

    pairs = [(measured(1), measured(2)) for _ in range(repeats)]
    one, two = (statistics.median(pair[k].step for pair in pairs) for k in (0, 1))
    work = statistics.median(first.work / second.work for first, second in pairs)
    start = statistics.median(
        second.whole - first.whole - STEPS * (second.step - first.step) for first, second in pairs
    )

    return f"{1e3 * one:9.1f} {1e3 * two:9.1f} {one / two:7.2f} {work:7.2f} {start:9.2f}"


def main() -> None:
    """Print the table."""

    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print("rows a batch  bits  hidden   one: ms   two: ms   ratio    work  start: s")
    for n in (8192, 65536):
        for bits, hidden in ((4, 64), (4, 256), (12, 64), (64, 64)):
            row = compared(partial(seconds, n, bits, hidden), repeats)
            print(f"{n:12d} {bits:5d} {hidden:7d} {row}", flush=True)


if __name__ == "__main__":
    main()
