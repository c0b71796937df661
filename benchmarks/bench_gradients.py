"""Gradients through bits: bias and variance of each estimator, against enumeration.

The expected loss of a small decoder of drawn bits can be enumerated. For each estimator we print,
from one pass over the rows: the norm of its mean error (the bias; for unbiased ones this is only
noise, whose size is printed) and its total variance, both relative to the exact gradient, and the
number of evaluations of the loss.

    python benchmarks/bench_gradients.py [--bits 8] [--repeats 2000]
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from bitveil.gradients import (
    arm,
    concrete,
    disarm,
    enumerated,
    reinforce,
    reinmax,
    straight_through,
)

Generator = torch.Generator


def world(m: int, scale: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Logits of 64 rows, and the cross-entropy of a fixed two-layer decoder of their bits."""

    generator = Generator().manual_seed(0)
    first = torch.randn(m, 16, generator=generator, dtype=torch.float64)
    second = torch.randn(16, generator=generator, dtype=torch.float64)
    y = torch.randint(2, (64,), generator=generator)
    logits = scale * torch.randn(64, m, generator=generator, dtype=torch.float64)

    def loss(bits: Tensor) -> Tensor:
        margin = torch.tanh((bits - 0.5) @ first) @ second * (2 * y - 1)
        return torch.nn.functional.softplus(-margin)

    return logits.requires_grad_(), loss


def main() -> None:
    """Print the table, as Markdown."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2000)
    arguments = parser.parse_args()
    m, repeats = arguments.bits, arguments.repeats

    def through(bits: Callable[..., Tensor], **settings: float) -> Callable[..., Tensor]:
        return lambda ell, loss, g: loss(bits(ell, generator=g, **settings)[None])[0]

    estimators = {
        "`straight_through`": (through(straight_through), "1"),
        "`concrete`, τ = 0.5": (through(concrete, temperature=0.5), "1"),
        "`reinmax`": (through(reinmax), "1"),
        "`reinforce`, 2 draws": (lambda ell, loss, g: reinforce(ell, loss, 2, generator=g), "2"),
        f"`reinforce`, {m + 1} draws": (
            lambda ell, loss, g: reinforce(ell, loss, m + 1, generator=g),
            f"{m + 1}",
        ),
        "`arm`": (lambda ell, loss, g: arm(ell, loss, generator=g), "2"),
        "`disarm`": (lambda ell, loss, g: disarm(ell, loss, generator=g), "2"),
    }
    print(f"{m} bits, 64 rows, {repeats} repeats, relative to the exact gradient\n")
    for scale, label in ((1.0, "soft bits (logits of scale 1)"), (4.0, "hard bits (scale 4)")):
        logits, loss = world(m, scale)
        (exact,) = torch.autograd.grad(enumerated(logits, loss).mean(), logits)
        norm = exact.square().sum()
        print(f"{label}:\n\n| estimator | losses | bias | noise of it | variance |")
        print("| --- | --- | --- | --- | --- |")
        for name, (estimate, evaluations) in estimators.items():
            generator = Generator().manual_seed(1)
            found = torch.stack(
                [
                    torch.autograd.grad(estimate(logits, loss, generator).mean(), logits)[0]
                    for _ in range(repeats)
                ]
            )
            bias = ((found.mean(0) - exact).square().sum() / norm).sqrt()
            variance = found.var(0).sum() / norm
            print(
                f"| {name} | {evaluations} | {bias:.3f} | {(variance / repeats).sqrt():.3f} "
                f"| {variance:.2f} |"
            )
        print(f"| `enumerated` | {2**m} | 0 | 0 | 0 |\n")


if __name__ == "__main__":
    main()
