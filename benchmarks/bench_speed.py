"""Where the time goes: rates, ratios and memory of tables, training steps and drawn codes.

Every number is a ratio of two things timed in turn in this run, so that a change of the machine's
speed affects both. A new process makes the largest table, and we print its peak memory.

    python benchmarks/bench_speed.py
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitveil.gradients import straight_through
from bitveil.information import mutual_information
from bitveil.layers import table_encoder
from bitveil.tables import joint_table
from bitveil.wide_codes import sampled_reading


def in_turn(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """The median seconds of two calls that take turns, after two that do not count."""

    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 2):
        for call, kept in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            if number >= 2:
                kept.append(time.perf_counter() - start)

    return statistics.median(times[0]), statistics.median(times[1])


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


def main() -> None:
    """Print the figures."""

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    for m in (16, 18, 20):
        ours, product = in_turn(information_step(8192, m, 2), lambda: a @ b, 7)
        share = (6 * 8192 * 2**m / ours) / (2 * 2048**3 / product)
        print(f"exact, m = {m}, n = 8192: {share:.2f} of the rate of a float32 product")
    for m, n in ((4, 256), (6, 256), (8, 256), (4, 4096)):
        ours, dense = in_turn(information_step(n, m, 2), dense_step(n, m), 200)
        print(f"exact, m = {m}, n = {n}: {ours / dense:.2f} of the time of the dense way")
    many, one = in_turn(information_step(16384, 12, 100), information_step(16384, 12, 1), 30)
    print(f"100 groups, m = 12, n = 16384: {many / one:.2f} times one group")
    with_penalty, without = in_turn(training_step(penalty=True), training_step(penalty=False), 60)
    print(f"training step, m = 10, n = 4096: {with_penalty / without:.2f} times one without")
    ours, products = in_turn(sampled_step(2048, 256), three_products(2048, 256), 15)
    print(f"sampled, m = 256, n = K = 2048: {ours / products:.2f} times its three products")
    child = subprocess.run(
        [sys.executable, __file__, "--largest"], capture_output=True, text=True, check=True
    )
    print(child.stdout.strip())


if __name__ == "__main__":
    if sys.argv[1:] == ["--largest"]:
        before = peak_memory()
        information_step(1024, 24, 2)()
        print(f"exact, m = 24, n = 1024: peak {peak_memory():.0f} MiB ({before:.0f} before)")
    else:
        main()
