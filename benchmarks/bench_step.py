"""How little a training step could cost: written by hand for one task and penalty, and compiled.

The step is that of the epoch in bench_speed.py: six bits of Adult's rows, the information about
income as task, the total variation between the sexes as penalty, batches of 1,024. By hand, one
function computes the loss and its gradient by the logits with few calls of torch: nothing is
checked, no object is made, and autograd sees the network alone. With --compile `torch.compile`
makes one program of that function, which needs a compiler on the machine.

Each line is the median over nine pairs of turns of how many times as long an epoch takes as one of
plain torch: the same network, batches and optimiser, and any loss.

    python benchmarks/bench_step.py [--threads 1] [--compile]
"""

import argparse
import time
from collections.abc import Callable

import torch
from bench_hepinfo import BITS
from bench_speed import adult_rows, our_epochs, plain_epochs, ratio
from torch import Tensor

from bitveil.batches import Rows
from bitveil.information import mutual_information, total_variation
from bitveil.tables import _likelihood, _member, _pairs, _slope, joint_table, pair_groups

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

LEFT = 2  # the bits of the left half of a code


@torch.no_grad()
def by_hand(logits: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient by the logits. A group is a pair of income and sex."""

    pairs = _pairs(logits)
    left, right = _likelihood(pairs[:LEFT]), _likelihood(pairs[LEFT:])
    left = (_member(groups, 4, None) * left).flatten(0, 1)
    loss, slope = read((left @ right.T).view(2, 2, 2**BITS))
    slope = slope.reshape(len(left), len(right))

    return loss, _slope(pairs, (left, right), (slope @ right, slope.T @ left)).T


def read(table: Tensor) -> tuple[Tensor, Tensor]:
    """Half the total variation minus the information, and the gradient by the table."""

    of_income, of_sex = table.sum(1), table.sum(0)
    total = of_income.sum()
    p = of_income / total
    q = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
    excess = (p - q) / q.clamp_min(1e-38)
    log_ratio = excess.clamp_min(1e-7 - 1).log1p()
    information = (((excess + 1) * log_ratio - excess) * q).sum()

    sizes = of_sex.sum(1, keepdim=True)
    rates = of_sex / sizes
    difference = rates[0] - rates[1]
    sign = difference.sign() / 4
    signs = torch.stack([sign, -sign])
    of_sex = (signs - (signs * rates).sum(1, keepdim=True)) / sizes
    of_income = (information - log_ratio) / total

    return difference.abs().sum() / 4 - information, of_income.unsqueeze(1) + of_sex


def check() -> None:
    """Compare the function with what the library computes."""

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, BITS, generator=generator).requires_grad_()
    groups = torch.randint(4, (500,), generator=generator)
    table = joint_table(logits, groups, 4).view(2, 2, -1)
    loss = total_variation(table.sum(0)) / 2 - mutual_information(table.sum(1))
    loss.backward()
    found, slope = by_hand(logits, groups)
    torch.testing.assert_close(found, loss.detach())
    torch.testing.assert_close(slope, logits.grad)


def short_epochs(rows: Rows, step: Step) -> Callable[[], None]:
    """Some epochs of plain torch with a step that computes the gradient itself."""

    pairs = pair_groups(rows.strata, rows.s, 2)

    def back(logits: Tensor, chosen: Tensor) -> None:
        _, slope = step(logits.detach(), pairs.index_select(0, chosen))
        logits.backward(slope)

    return plain_epochs(rows, back)


def main() -> None:
    """Print the ratios."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    check()
    rows = adult_rows()
    plain = plain_epochs(rows)
    print(f"torch {torch.__version__}, {arguments.threads} threads, times plain torch")
    print(f"bitveil: {ratio(our_epochs(rows), plain):.2f}")
    print(f"by hand: {ratio(short_epochs(rows, by_hand), plain):.2f}")
    if arguments.compile:
        compiled = short_epochs(rows, torch.compile(by_hand, dynamic=False))
        start = time.perf_counter()
        compiled()
        print(f"by hand and compiled, the first epochs: {time.perf_counter() - start:.1f} s")
        print(f"by hand and compiled: {ratio(compiled, plain):.2f}")


if __name__ == "__main__":
    main()
