"""Biased-MNIST: background colours that almost reveal the digits, and codes without the colours.

Each method trains a small convolutional network on the same 60,000 images of 14 by 14 pixels (the
mean of 2 by 2), with the same number of passes, steps and rows a step. It is scored on the 10,000
test images, with colours that reveal nothing (unbiased), and with colours as biased as in
training. The attack guesses the colour from the published code and the digit, on unbiased images:
a random forest and a linear classifier learn from half of them and are scored on the other half. A
random guess scores 10 %.

Each run is a line of JSON in --records. Runs that are already there are not repeated. Runs follow
the order of the table's seeds and biases, so that an interrupted table is balanced.

    python benchmarks/bench_biased_mnist.py [--records FILE] [--seeds 3] [--figure FILE]
    python benchmarks/bench_biased_mnist.py --steps  # time and memory of a step, wide codes
"""

import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from runs import Runs, options
from torch import Tensor, nn

from bitveil.audits.attacks import attack
from bitveil.audits.probes import Split
from bitveil.batches import Batch, Rows, balancing_chances
from bitveil.codes import code_index, draw
from bitveil.datasets import make_biased_mnist
from bitveil.layers import conv_encoder, table_encoder
from bitveil.measures import Measure
from bitveil.objectives import Weighted
from bitveil.tables import joint_table
from bitveil.tasks import DecoderTask, Term, task_information
from bitveil.training import train

BIASES = (0.99, 0.997)
SHAPE = (3, 14, 14)
EPOCHS, BATCH, RATE = 4, 500, 0.01


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        width: The number of bits, or of units of the full-precision network.
        engine: How the information about the colour given the digit is computed. None: no penalty.
        strength: Its weight.
        ramp: Whether the weight grows over the first half of training. On unbalanced rows the
            network then learns the colour first; on balanced rows the code collapses without it.
        balanced: Whether rare colours of a digit are drawn as often as its own.
        bits: Whether the code is drawn bits, or the activations of a full network.
        listed: Whether the table of all codes is the decoder. Otherwise a network sees drawn bits.
        n_draws: The draws of a batch for the sampled engine.
    """

    width: int
    engine: Literal["exact", "neuron", "sampled"] | None = None
    strength: float = 0.0
    ramp: bool = False
    balanced: bool = False
    bits: bool = True
    listed: bool = False
    n_draws: int | None = None


METHODS = {
    "unprotected": Method(64, bits=False),
    "unprotected, 64 bits": Method(64),
    "per neuron, 64 bits (paper)": Method(64, "neuron", 20.0),
    "joint, 12 bits": Method(12, "exact", 20.0),
    "joint, 12 bits, table decodes": Method(12, "exact", 20.0, listed=True),
    "sampled, 64 bits": Method(64, "sampled", 20.0, n_draws=128),
    "unprotected, balanced": Method(64, balanced=True, bits=False),
    "unprotected, 64 bits, balanced": Method(64, balanced=True),
    "per neuron, 64 bits, balanced": Method(64, "neuron", 0.2, ramp=True, balanced=True),
    "joint, 12 bits, balanced": Method(12, "exact", 5.0, ramp=True, balanced=True),
    "sampled, 64 bits, balanced": Method(64, "sampled", 5.0, True, True, n_draws=128),
    "sampled, 256 bits, balanced": Method(256, "sampled", 5.0, True, True, n_draws=128),
}


class Images(NamedTuple):
    """Images of 14 by 14 pixels, their digits and their colours."""

    x: Tensor
    y: Tensor
    s: Tensor


@cache
def images(rho: float, seed: int, test: bool = False) -> Images:
    """Biased-MNIST, each channel from -1 to 1."""

    biased = make_biased_mnist(rho, test=test, random_state=seed)
    parts = [pooled(part) for part in torch.from_numpy(biased.images).split(5_000)]

    return Images(
        torch.cat(parts), torch.from_numpy(biased.digits), torch.from_numpy(biased.colours)
    )


def pooled(pixels: Tensor) -> Tensor:
    """The mean of each 2 by 2 pixels, from -1 to 1."""

    return nn.functional.avg_pool2d(pixels.float(), 2) / 127.5 - 1


class FullTask(nn.Module):
    """The cross-entropy of a network whose code is not bits: units with a ReLU, a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(width, 10))

    def forward(self, batch: Batch) -> Tensor:
        """The loss in nats."""

        return nn.functional.cross_entropy(self.decoder(batch.logits), batch.labels[:, 0])


class Model(NamedTuple):
    """An encoder, and the parts that are trained with it."""

    encoder: nn.Module
    objective: Weighted


def model(method: Method, generator: torch.Generator) -> Model:
    """A new network, and its objective."""

    encoder = conv_encoder(SHAPE, method.width, generator=generator)
    encoder.to(memory_format=torch.channels_last)  # half the time on a processor

    return Model(
        encoder,
        Weighted(
            task(method, generator),
            measure(method, generator),
            strength=method.strength,
            ramp=method.ramp,
        ),
    )


def task(method: Method, generator: torch.Generator) -> Term:
    """The task, the digit: from the table, or from a network on the code."""

    if not method.bits:
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            return FullTask(method.width)
    if method.listed:
        return task_information
    decoder = table_encoder(method.width, 10, (64,), generator=generator)

    return DecoderTask(decoder, exact=False, generator=generator)


def measure(method: Method, generator: torch.Generator) -> Term:
    """The information about the colour given the digit, or nothing."""

    if method.engine is None:
        return lambda batch: batch.logits.sum() * 0
    if method.engine == "neuron":
        return Measure("neuron_information", "separation")

    return Measure(
        "mutual_information",
        "separation",
        method.engine,
        n_draws=method.n_draws,
        generator=generator,
    )


def run(name: str, rho: float, seed: int) -> dict[str, Any]:
    """Train one network, and score it."""

    method, generator = METHODS[name], torch.Generator().manual_seed(seed)
    measured = trained(method, model(method, generator), rho, seed, generator)

    return {"method": name, "rho": rho, "seed": seed, **asdict(method), **measured}


def trained(
    method: Method, network: Model, rho: float, seed: int, generator: torch.Generator
) -> dict[str, Any]:
    """Train a network in place, and score it."""

    torch.set_num_threads(1)
    encoder, objective = network
    rows = Rows.of_target(*images(rho, seed), 10, 10)
    chances = balancing_chances(rows) if method.balanced else None
    start = time.perf_counter()
    train(
        encoder,
        objective,
        rows,
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATE,
        chances=chances,
        generator=generator,
    )
    seconds = time.perf_counter() - start
    steps = EPOCHS * -(-len(rows) // BATCH)
    answer = answers(encoder, objective, rows, chances)

    return {
        "epochs": EPOCHS,
        "batch": BATCH,
        **scores(encoder, answer, method, rho, seed),
        "ms_per_step": 1000 * seconds / steps,
    }


@torch.no_grad()
def answers(encoder: nn.Module, objective: Weighted, rows: Rows, chances: Tensor | None) -> Any:
    """The digits for published codes, from the decoder or the table of the training rows."""

    if isinstance(objective.task, nn.Module):
        return lambda codes: objective.task.decoder(codes).argmax(1)
    parts = torch.arange(len(rows)).split(5_000)
    tables = [
        joint_table(
            encoder(rows.x[part]),
            rows.labels[part, 0],
            10,
            weights=None if chances is None else chances[part],
        )
        for part in parts
    ]
    best = torch.stack(tables).sum(0).argmax(0)

    return lambda codes: best[code_index(codes)]


@torch.no_grad()
def scores(
    encoder: nn.Module, answer: Any, method: Method, rho: float, seed: int
) -> dict[str, float]:
    """Accuracies on test images, and how well an attacker finds the colour."""

    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, share in (("unbiased", 0.1), ("biased", rho)):
        test = images(share, 1000 + seed, test=True)
        logits = torch.cat([encoder(part) for part in test.x.split(5_000)])
        codes = draw(logits, generator=generator) if method.bits else logits
        said = answer(codes)
        found[f"{name}_accuracy"] = (said == test.y).float().mean().item()
        if name == "unbiased":
            found["answers_colour"] = (said == test.s).float().mean().item()
            found |= colour_attack(codes, test, seed)

    return found


def colour_attack(codes: Tensor, test: Images, seed: int) -> dict[str, float]:
    """How often an attacker guesses the colour from code and digit, on unbiased images."""

    seen = torch.cat([codes, nn.functional.one_hot(test.y, 10)], 1).numpy()
    split = Split.halves(seen, test.s.numpy(), seed)
    probes = attack(split, families=("forest", "linear"))

    return {f"attack_{probe.family}": probe.accuracy for probe in probes}


STEP_METHODS = {
    "unprotected": Method(256, bits=False),
    "bits, no penalty": Method(256),
    "per neuron": Method(256, "neuron", 1.0),
    "sampled, 128 draws": Method(256, "sampled", 1.0, n_draws=128),
    "sampled, 512 draws": Method(256, "sampled", 1.0, n_draws=512),
}


def step(name: str, batch: int) -> dict[str, Any]:
    """The time and the memory of steps at 256 bits, on noise in place of images."""

    network = model(STEP_METHODS[name], torch.Generator().manual_seed(0))

    return {"method": name, "bits": 256, "batch": batch, **stepped(network, batch)}


def stepped(network: Model, batch: int) -> dict[str, float]:
    """The median time of a step, and how much memory the process gained."""

    torch.set_num_threads(1)
    encoder, objective = network
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *SHAPE, generator=generator)
    y, s = (torch.randint(10, (batch,), generator=generator) for _ in range(2))
    rows = Rows.of_target(x, y, s, 10, 10)
    before, milliseconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(12):
        start = time.perf_counter()
        objective(rows.batch(encoder)).loss.backward()
        milliseconds.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    return {
        "ms_per_step": float(np.median(milliseconds[2:])),
        "added_mib": (peak - before) / 1024,
    }


def missing(done: set[Any], seeds: int) -> Iterator[tuple[str, float, int]]:
    """The runs that are not recorded yet."""

    for rho in BIASES:
        for seed in range(seeds):
            yield from ((n, rho, seed) for n in METHODS if (n, rho, seed) not in done)


def table(records: pd.DataFrame) -> str:
    """Means and standard deviations over seeds, and the shortest time a step, as Markdown."""

    lines = [
        "| rho | method | seeds | unbiased | biased | answers the colour | colour attack | "
        "ms a step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    attacks = records[["attack_forest", "attack_linear"]].max(axis=1)
    grouped = records.assign(attack=attacks).groupby(["rho", "method"])
    for rho in BIASES:
        for name in METHODS:
            if (rho, name) in grouped.groups:
                rows = grouped.get_group((rho, name))
                names = ("unbiased_accuracy", "biased_accuracy", "answers_colour", "attack")
                cells = " | ".join(percent(rows[each]) for each in names)
                lines.append(
                    f"| {rho} | {name} | {len(rows)} | {cells} | {rows.ms_per_step.min():.0f} |"
                )

    return "\n".join(lines)


def percent(shares: pd.Series) -> str:
    """The mean in percent, and the standard deviation if there are several values."""

    spread = f" ± {100 * shares.std():.1f}" if len(shares) > 1 else ""

    return f"{100 * shares.mean():.1f}{spread}"


def draw_figure(records: pd.DataFrame, path: Path) -> None:
    """Draw unbiased accuracy against the colour attack, with a mark for every seed."""

    import matplotlib.pyplot as plt

    colours = dict(zip(METHODS, plt.get_cmap("tab20").colors, strict=False))
    figure, both = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    for axes, rho in zip(both, BIASES, strict=True):
        for name, method in METHODS.items():
            rows = records[(records.method == name) & (records.rho == rho)]
            attacks = rows[["attack_forest", "attack_linear"]].max(axis=1)
            marker = "o" if method.balanced else "x"
            axes.plot(
                100 * attacks,
                100 * rows.unbiased_accuracy,
                marker,
                color=colours[name],
                label=name,
            )
        axes.axvline(10, color="black", ls="--", lw=0.8)
        axes.set_title(f"{100 * rho:g} % of each digit in its own colour", fontsize="medium")
        axes.set_xlim(0, 104)
        axes.set_xlabel("colour guessed from the code (%); dashed: a guess")
    both[0].set_ylabel("accuracy on unbiased test images (%)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside right", fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def alone(call: Any, *arguments: Any) -> Any:
    """The result of a call in a new process."""

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(call, *arguments).result()


def steps(step: Callable[[str, int], dict[str, float]], names: Iterable[str]) -> str:
    """Time and memory of a step, each method in a new process, as Markdown."""

    lines = [
        "| method | rows a step | ms a step | memory added (MiB) |",
        "| --- | --- | --- | --- |",
    ]
    for batch in (500, 2000):
        for name in names:
            found = alone(step, name, batch)
            cells = f"{found['ms_per_step']:.0f} | {found['added_mib']:.0f}"
            lines.append(f"| {name} | {batch:,} | {cells} |")

    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""

    parser = options(__doc__, "biased_mnist", seeds=3, figure=True)
    parser.add_argument("--only", help="the name of one method")
    parser.add_argument("--rho", type=float, choices=BIASES, help="one of the biases")
    parser.add_argument("--steps", action="store_true", help="time and memory of a step instead")
    arguments = parser.parse_args()
    if arguments.steps:
        print(steps(step, STEP_METHODS))
        return
    runs = Runs(arguments.records)
    done = runs.done("method", "rho", "seed")
    for name, rho, seed in missing(done, arguments.seeds):
        if (arguments.only or name) != name or (arguments.rho or rho) != rho:
            continue
        record = run(name, rho, seed)
        print(json.dumps(record), flush=True)
        runs.add(record)
    runs.report(table, draw_figure, arguments.figure)


if __name__ == "__main__":
    main()
