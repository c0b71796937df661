"""Where the time goes: rates, ratios and memory of tables, training steps, epochs and drawn codes.

Every number is a ratio of two things timed in turn in this run, so that a change of the machine's
speed affects both: the median over nine pairs of turns. The turns of a pair change their order
from pair to pair. A new process makes the largest table, and we print its peak memory.

    python benchmarks/bench_speed.py [--threads 1 2]
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from bench_hepinfo import BITS, HIDDEN, adult
from torch import Tensor, nn

from bitveil.batches import Rows
from bitveil.gradients import straight_through
from bitveil.information import mutual_information
from bitveil.layers import table_encoder
from bitveil.measures import Measure
from bitveil.objectives import Weighted
from bitveil.tables import joint_table
from bitveil.tasks import task_information
from bitveil.training import train
from bitveil.wide_codes import sampled_reading

PAIRS, EPOCHS, BATCH = 9, 4, 1024

Call = Callable[[], object]


def ratio(first: Call, second: Call, calls: int = 1) -> float:
    """How many times as long the first call takes, as the median over pairs of turns.

    The time of a turn is the median of its calls. One turn of each does not count.
    """

    ratios = []
    for pair in range(-1, PAIRS):
        turns = (first, second) if pair % 2 else (second, first)
        times = {call: turn(call, calls) for call in turns}
        if pair >= 0:
            ratios.append(times[first] / times[second])

    return statistics.median(ratios)


def turn(call: Call, calls: int) -> float:
    """The median seconds of a call."""

    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)

    return statistics.median(times)


def information_step(n: int, m: int, k: int) -> Callable[[], None]:
    """Value and gradient of I(T; S) of random rows."""

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, m, generator=generator).requires_grad_()
    groups = torch.randint(k, (n,), generator=generator)

    return lambda: mutual_information(joint_table(logits, groups, k)).backward()


def training_step(*, penalty: bool) -> Callable[[], None]:
    """A step of an MLP of 100-100 with a decoder of ten drawn bits, for 4,096 rows."""

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4096, 100, generator=generator)
    y, s = torch.randint(2, (2, 4096), generator=generator)
    encoder, decoder = table_encoder(100, 10, (100, 100)), nn.Linear(10, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])

    def step() -> None:
        logits = encoder(x)
        loss = F.cross_entropy(decoder(straight_through(logits)), y)
        if penalty:
            loss = loss + mutual_information(joint_table(logits, s, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def adult_rows() -> Rows:
    """Adult as in the comparison with hepinfo: 30,162 rows, with income and sex."""

    data = adult()

    return Rows.of_target(
        *(torch.from_numpy(data[name]) for name in "xys"), n_classes=2, n_groups=2
    )


def our_epochs(rows: Rows) -> Callable[[], None]:
    """Some epochs with table, task and penalty, as a user gets them."""

    def epochs() -> None:
        generator = torch.Generator().manual_seed(0)
        encoder = table_encoder(rows.x.shape[1], BITS, (HIDDEN,), generator=generator)
        objective = Weighted(task_information, Measure(), strength=0.5)
        train(encoder, objective, rows, epochs=EPOCHS, batch_size=BATCH, generator=generator)

    return epochs


def mean_back(logits: Tensor, chosen: Tensor) -> None:
    """The gradient of any loss."""

    logits.mean().backward()


def plain_epochs(
    rows: Rows, back: Callable[[Tensor, Tensor], None] = mean_back
) -> Callable[[], None]:
    """As many epochs of plain torch: the same network, batches and optimiser, and any loss.

    `back` gets the logits of a batch and the numbers of its rows, and pushes a gradient back.
    """

    def epochs() -> None:
        generator = torch.Generator().manual_seed(0)
        encoder = table_encoder(rows.x.shape[1], BITS, (HIDDEN,), generator=generator)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01, fused=True)
        for _ in range(EPOCHS):
            order = torch.randperm(len(rows), generator=generator)
            for chosen in order.chunk(-(-len(rows) // BATCH)):
                optimizer.zero_grad()
                back(encoder(rows.x.index_select(0, chosen)), chosen)
                optimizer.step()

    return epochs


def dense_step(n: int, m: int) -> Callable[[], None]:
    """Value and gradient by listing all codes for every row."""

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, m, generator=generator).requires_grad_()
    groups = torch.randint(2, (n,), generator=generator)

    def table() -> Tensor:
        likelihood = logits.new_ones(n, 1)
        for theta in logits.sigmoid().T:
            pair = torch.stack([1 - theta, theta], 1)
            likelihood = (likelihood.unsqueeze(2) * pair.unsqueeze(1)).flatten(1)
        return F.one_hot(groups, 2).to(logits).T @ likelihood

    return lambda: mutual_information(table()).backward()


def sampled_step(n: int, m: int) -> Callable[[], None]:
    """Value and gradient of I(T; S) from drawn codes."""

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, m, generator=generator).requires_grad_()
    groups = torch.randint(2, (n,), generator=generator)

    return lambda: sampled_reading(logits, groups, 2).value.backward()


def three_products(n: int, m: int) -> Callable[[], None]:
    """The products that drawn codes need: codes with logits, likelihoods with odds, twice."""

    codes, logits = torch.randn(n, m), torch.randn(m, n)
    likelihood, odds = torch.randn(n, n), torch.randn(n, m)

    def products() -> None:
        codes @ logits
        likelihood @ odds
        likelihood @ odds

    return products


def peak_memory() -> float:
    """The peak of this process in MiB."""

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def lines(rows: Rows) -> Iterator[tuple[str, float]]:
    """What is compared, and the figure."""

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    for m in (16, 18, 20):
        time_ratio = ratio(information_step(8192, m, 2), lambda: a @ b)
        share = (6 * 8192 * 2**m) / (2 * 2048**3) / time_ratio
        yield f"exact, m = {m}, n = 8192, share of the rate of a float32 product", share
    for m, n in ((4, 256), (6, 256), (8, 256), (4, 4096)):
        figure = ratio(information_step(n, m, 2), dense_step(n, m), 40)
        yield f"exact, m = {m}, n = {n}, times the dense way", figure
    figure = ratio(information_step(16384, 12, 100), information_step(16384, 12, 1), 5)
    yield "100 groups, m = 12, n = 16384, times one group", figure
    figure = ratio(training_step(penalty=True), training_step(penalty=False), 10)
    yield "training step with penalty, m = 10, n = 4096, times one without", figure
    figure = ratio(our_epochs(rows), plain_epochs(rows))
    yield "epoch of Adult, batches of 1,024, times plain torch", figure
    figure = ratio(sampled_step(2048, 256), three_products(2048, 256), 2)
    yield "drawn codes, m = 256, n = K = 2048, times their three products", figure


def largest() -> None:
    """Print the peak memory of the largest table."""

    before = peak_memory()
    information_step(1024, 24, 2)()
    print(f"exact, m = 24, n = 1024: peak {peak_memory():.0f} MiB ({before:.0f} before)")


def compare(threads: Sequence[int]) -> None:
    """Print the figures for each number of threads, as Markdown."""

    print(f"torch {torch.__version__}, medians of {PAIRS} pairs of turns\n")
    rows, found = adult_rows(), {}
    for number in threads:
        torch.set_num_threads(number)
        for name, figure in lines(rows):
            found.setdefault(name, []).append(figure)
            print(f"{number} threads: {name}: {figure:.2f}", file=sys.stderr)
    print("| threads |", " | ".join(map(str, threads)), "|")
    print("| --- |", " --- |" * len(threads))
    for name, figures in found.items():
        print(f"| {name} |", " | ".join(f"{figure:.2f}" for figure in figures), "|")
    child = [sys.executable, __file__, "--largest"]
    print("\n" + subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip())


def main() -> None:
    """Read the arguments and print the figures."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--largest", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    largest() if arguments.largest else compare(arguments.threads)


if __name__ == "__main__":
    main()
