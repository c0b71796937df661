"""The time of a training step, by one process and by two, and what joins them.

Both train in turn in this run, on the same rows, with one thread each, and we take medians. The
times of a step do not hold the start of the processes, which we print apart. Two processes on two
cores that other programs use gain less, so run it on an idle machine and look at the ratio.

    python benchmarks/bench_processes.py [--repeats 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

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


def seconds(n: int, bits: int, hidden: int, devices: int) -> tuple[float, float]:
    """The seconds of a step, and those of the whole training."""

    times: list[float] = []
    begin = time.perf_counter()
    train(
        table_encoder(COLUMNS, bits, (hidden, hidden)),
        listed() if bits <= 16 else drawn(bits),
        world(n),
        epochs=STEPS,
        batch_size=n,
        devices=devices,
        generator=torch.Generator().manual_seed(0),
        after_epoch=lambda _: times.append(time.perf_counter()),
    )
    whole = time.perf_counter() - begin
    steps = [after - before for before, after in pairwise(times[1:])]

    return statistics.median(steps), whole


def compared(measured: Callable[[int], tuple[float, float]], repeats: int) -> str:
    """The milliseconds of a step by one and two processes, in turn, and their ratio."""

    found = [[measured(devices) for devices in (1, 2)] for _ in range(repeats)]
    one, two = (statistics.median(each[k][0] for each in found) for k in (0, 1))
    start = statistics.median(
        (each[1][1] - STEPS * each[1][0]) - (each[0][1] - STEPS * each[0][0]) for each in found
    )

    return f"{1e3 * one:9.1f} {1e3 * two:9.1f} {one / two:7.2f} {start:8.2f}"


def main() -> None:
    """Print the table."""

    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print("rows a batch  bits  hidden   one: ms   two: ms   ratio  start: s")
    for n in (8192, 65536):
        for bits, hidden in ((4, 64), (4, 256), (12, 64), (64, 64)):
            row = compared(partial(seconds, n, bits, hidden), repeats)
            print(f"{n:12d} {bits:5d} {hidden:7d} {row}", flush=True)


if __name__ == "__main__":
    main()
