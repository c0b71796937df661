"""Value and gradient of I(T; S): products of halves against the dense n x 2^m way.

Prints, for each width, the seconds of both, their ratio, and the rate of the products of halves
(counting 6 n 2^m operations) as a share of a plain float32 matrix product, all in one run. Look at
the ratio and the share: seconds depend on the machine and on its other users.

    python benchmarks/bench_tables.py [--rows 4096] [--bits 8 12 16]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bitveil.information import mutual_information
from bitveil.tables import joint_table


def dense_table(logits: Tensor, groups: Tensor, k: int) -> Tensor:
    """The table by listing all codes for every row, with torch's own gradient."""

    likelihood = logits.new_ones(logits.shape[0], 1)
    for theta in logits.sigmoid().T:
        pair = torch.stack([1 - theta, theta], 1)
        likelihood = (likelihood.unsqueeze(2) * pair.unsqueeze(1)).flatten(1)

    return F.one_hot(groups, k).to(logits).T @ likelihood


def step(table: Callable[..., Tensor], logits: Tensor, groups: Tensor) -> Tensor:
    """The gradient of the mutual information."""

    logits = logits.detach().requires_grad_()
    mutual_information(table(logits, groups, 2)).backward()
    assert logits.grad is not None

    return logits.grad


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one that does not count."""

    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)

    return statistics.median(times)


def product_rate() -> float:
    """Operations a second of a plain float32 matrix product."""

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)

    return 2 * 2048**3 / seconds(lambda: a @ b, 9)


def main() -> None:
    """Print the table."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 12, 16])
    arguments = parser.parse_args()
    n = arguments.rows
    generator = torch.Generator().manual_seed(0)

    rate = product_rate()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, n = {n}")
    print(f"plain float32 product: {rate / 1e9:.0f} GFLOP/s\n")
    print(f"{'bits':>4} {'dense, s':>10} {'halves, s':>10} {'ratio':>7} {'share of rate':>14}")
    for m in arguments.bits:
        logits = torch.randn(n, m, generator=generator)
        groups = torch.randint(2, (n,), generator=generator)
        difference = step(dense_table, logits, groups) - step(joint_table, logits, groups)
        assert difference.abs().max() < 1e-6, "the two ways disagree"
        dense = seconds(lambda a=logits, b=groups: step(dense_table, a, b), 3 if m > 12 else 9)
        halves = seconds(lambda a=logits, b=groups: step(joint_table, a, b), 9)
        share = 6 * n * 2**m / halves / rate
        print(f"{m:>4} {dense:>10.4f} {halves:>10.4f} {dense / halves:>7.1f} {share:>14.2f}")


if __name__ == "__main__":
    main()
