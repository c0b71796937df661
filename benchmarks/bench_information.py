"""The information of a code about a group: ours, and what a person would use instead.

The worlds know their answer, or have a table that can be listed. Each method gets the input it
needs: ours and the dense way get the probabilities, all others one draw of the code for each row.
A record is one method on one world with one seed: the estimate minus the truth in bits, and the
seconds. A failure is a record too, with the reason.

The peers have their own environment: benchmarks/peers.txt says what to install there.

    python benchmarks/bench_information.py [--seeds 3] [--rows 2000]
"""

import argparse
import contextlib
import io
import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bitveil.codes import code_likelihood, draw
from bitveil.information import BITS, mutual_information
from bitveil.tables import joint_table
from bitveil.wide_codes import sampled_reading


@dataclass(frozen=True)
class World:
    """Rows with their probabilities, one draw of each, and the truth in bits."""

    logits: Tensor
    s: Tensor
    bits: Tensor
    truth: float


def additive(m: int, n: int, seed: int, lean: float) -> World:
    """Logits from ten columns that depend on the group. The truth comes from listing all codes."""

    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 10, generator=generator)
    weight = torch.randn(10, m, generator=generator) / 2
    sides = torch.randn(m, generator=generator)
    s = torch.arange(n) % 2
    logits = x @ weight + lean * sides * (2 * s - 1).unsqueeze(1)
    truth = mutual_information(joint_table(logits.double(), s, 2)).item() * BITS

    return World(logits, s, draw(logits, generator=generator), truth)


def parity(m: int, n: int, seed: int) -> World:
    """A coin, that coin xor S, and coins: 1 bit, if the groups have equal sizes."""

    generator = torch.Generator().manual_seed(seed)
    s = torch.arange(n) % 2
    coin = (torch.arange(n) // 2) % 2
    sure = 200.0 * (2 * torch.stack([coin, coin ^ s], 1) - 1)
    logits = torch.cat([sure, torch.zeros(n, m - 2)], 1)

    return World(logits, s, draw(logits, generator=generator), 1.0)


WORLDS: dict[str, Callable[[int, int], World]] = {
    "additive leak, 12 bits": lambda n, seed: additive(12, n, seed, 0.4),
    "near fair, 12 bits": lambda n, seed: additive(12, n, seed, 0.02),
    "parity trap, 12 bits": lambda n, seed: parity(12, n, seed),
    "parity trap, 64 bits": lambda n, seed: parity(64, n, seed),
}


def exact(world: World) -> float:
    """bitveil, from the table of products of halves."""

    return mutual_information(joint_table(world.logits, world.s, 2)).item() * BITS


def sampled(world: World) -> float:
    """bitveil, from drawn codes, with the group integrated out."""

    generator = torch.Generator().manual_seed(0)

    return sampled_reading(world.logits, world.s, 2, generator=generator).value.item() * BITS


def dense(world: World) -> float:
    """The table by listing all codes for every row."""

    if world.logits.shape[1] > 16:
        raise MemoryError(f"{len(world.s)} x 2^{world.logits.shape[1]} numbers")
    table = F.one_hot(world.s, 2).float().T @ code_likelihood(world.logits)

    return mutual_information(table).item() * BITS


def plug_in(world: World) -> float:
    """The plug-in value of drawn codes, from scikit-learn."""

    from sklearn.metrics import mutual_info_score

    _, codes = np.unique(world.bits.numpy(), axis=0, return_inverse=True)

    return float(mutual_info_score(world.s.numpy(), codes.ravel())) * BITS


def infomeasure(world: World) -> float:
    """infomeasure 0.6, Chao-Wang-Jost entropies of drawn codes."""

    import infomeasure as im

    codes = np.unique(world.bits.numpy(), axis=0, return_inverse=True)[1].ravel()
    s = world.s.numpy()
    approach = "chao_wang_jost"
    both = im.entropy(codes * 2 + s, approach=approach)
    parts = im.entropy(codes, approach=approach) + im.entropy(s, approach=approach)

    return float(parts - both) * BITS


def mist(name: str) -> Callable[[World], float]:
    """torch-mist 0.2, a neural estimator that trains itself, on drawn bits."""

    def estimate(world: World) -> float:
        from torch_mist import estimate_mi

        x, y = world.bits.float(), world.s.float().unsqueeze(1)
        if name == "club":  # it fails unless the widths are equal, or one is 1
            x, y = y, x
        torch.manual_seed(0)
        value = estimate_mi((x, y), name, hidden_dims=[64, 64], max_iterations=800, verbose=False)

        return float(value[0] if isinstance(value, tuple) else value) * BITS

    return estimate


def probe(world: World) -> float:
    """H(S) minus the cross-entropy of boosted trees in five folds, on drawn bits."""

    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss
    from sklearn.model_selection import cross_val_predict

    s = world.s.numpy()
    model = HistGradientBoostingClassifier(random_state=0)
    p = cross_val_predict(model, world.bits.numpy(), s, cv=5, method="predict_proba")

    return 1.0 - float(log_loss(s, p)) * BITS  # groups of equal size: H(S) is one bit


METHODS: dict[str, Callable[[World], float]] = {
    "bitveil, exact": exact,
    "bitveil, sampled": sampled,
    "dense n x 2^m": dense,
    "plug-in, drawn codes": plug_in,
    "infomeasure, Chao-Wang-Jost": infomeasure,
    "torch-mist, MINE": mist("mine"),
    "torch-mist, CLUB": mist("club"),
    "boosted probe, 5 folds": probe,
}


def attempt(method: Callable[[World], float], world: World) -> tuple[float, float, str]:
    """The error in bits, the seconds, and the reason of a failure."""

    start = time.perf_counter()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            error, reason = method(world) - world.truth, ""
            if not math.isfinite(error):
                reason = f"gave {error}"
    except Exception as failure:
        error, reason = math.nan, f"{type(failure).__name__}: {failure}"

    return error, time.perf_counter() - start, reason


def main() -> None:
    """Print a table of errors and seconds, as Markdown."""

    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args()

    names = list(WORLDS)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"n = {arguments.rows}, {arguments.seeds} seeds: mean error in bits (seconds)\n"
    )
    print("| method | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names))
    reasons = {}
    for label, method in METHODS.items():
        cells = []
        for name in names:
            worlds = [WORLDS[name](arguments.rows, seed) for seed in range(arguments.seeds)]
            if label == next(iter(METHODS)) and name == names[0]:
                attempt(method, worlds[0])  # the first call warms up the libraries
            runs = [attempt(method, world) for world in worlds]
            failures = [reason for _, _, reason in runs if reason]
            if failures:
                reasons[label, name] = failures[0]
                cells.append("fails")
                continue
            error = sum(error for error, _, _ in runs) / len(runs)
            cells.append(f"{error:+.4f} ({sorted(t for _, t, _ in runs)[len(runs) // 2]:.3f})")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
    print()
    for (label, name), reason in reasons.items():
        print(f"- {label} on {name} fails: {' '.join(reason.split())[:150]}")
    truths = [WORLDS[name](arguments.rows, 0).truth for name in names]
    print("\nTruth (seed 0): " + ", ".join(f"{t:.4f}" for t in truths) + " bits.")


if __name__ == "__main__":
    main()
