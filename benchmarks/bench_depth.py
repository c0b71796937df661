"""Layers in depth: bits inside a convolutional network on Biased-MNIST, and their penalties.

The network, the images and the budget are those of bench_biased_mnist.py at a bias of 0.99. The
convolutions are followed by a ReLU and a pooling; with bits inside, `StochasticBinary` takes the
place of the ReLU, so that all networks have the same shape: 16x14x14 activations after the first
convolution, 32x7x7 after the second, 64 at the end. The information about the colour given the
digit is that of single neurons, summed over a layer.

In a plain sum over layers, a layer of 3,136 bits would outweigh one of 64, and most of its sum is
the noise of few rows. So the penalty of an inner layer is 64 times its mean bit, with a share of
the last layer's strength: see `INNER`.

As in that benchmark, the attack guesses the colour from a layer's drawn bits (or units) and the
digit: from the last layer, and from each of the two inner layers, whether they are bits or not.

Each run is a line of JSON in --records. Runs that are already there are not repeated.

    python benchmarks/bench_depth.py [--records FILE] [--seeds 3] [--page docs/images.md]
    python benchmarks/bench_depth.py --steps  # time and memory of a step
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from bench_biased_mnist import (
    SHAPE,
    Images,
    Method,
    Model,
    colour_attack,
    images,
    measure,
    percent,
    stepped,
    steps,
    task,
    trained,
)
from runs import Runs, fill, options
from torch import Tensor, nn

from bitveil.batches import Batch
from bitveil.layers import StochasticBinary, conv_encoder
from bitveil.objectives import Weighted
from bitveil.tasks import Term

RHO = 0.99


@dataclass(frozen=True)
class Deep(Method):
    """A row of the table.

    Attributes:
        inner: The number of convolutions, of two, after which bits take the place of a ReLU.
        share: The strength for 64 times an inner layer's mean bit, as a share of the last layer's.
    """

    inner: int = 0
    share: float = 0.0


# By whether the rows are balanced. The last layer is as in bench_biased_mnist.py. For the inner
# layers we made three runs, scored on held-out training images. On balanced rows a share of 1 gave
# a network that says nothing, and 0.1 a useful one. On unbalanced rows 0.1 gave one that says
# nothing. We use 0.01 there without a trial: it charges ten times as much as on balanced rows.
# Given the digit, the colours of balanced rows have an entropy of 2.3 nats, the others of 0.08.
NEURON, SAMPLED = {False: 20.0, True: 0.2}, {False: 20.0, True: 5.0}
INNER, THREEFOLD = {False: 0.01, True: 0.1}, {False: 0.03, True: 0.3}
FREE = {False: 0.0, True: 0.0}


def rows_of(balanced: bool) -> dict[str, Deep]:
    """The methods on unbalanced rows, or on balanced ones, where the strength grows."""

    taken = {"ramp": balanced, "balanced": balanced}
    sampled = Deep(64, "sampled", SAMPLED[balanced], n_draws=128, **taken)

    def neuron(inner: int, share: dict[bool, float] = INNER) -> Deep:
        return Deep(64, "neuron", NEURON[balanced], **taken, inner=inner, share=share[balanced])

    return {
        "full precision": Deep(64, bits=False, balanced=balanced),
        "last": neuron(0),
        "last, sampled": sampled,
        "first free, last": neuron(1, FREE),
        "first, last": neuron(1),
        "first threefold, last": neuron(1, THREEFOLD),
        "first, second, last": neuron(2),
    }


METHODS = {
    f"{name}{', balanced' * balanced}": method
    for balanced in (False, True)
    for name, method in rows_of(balanced).items()
}
STEPS = [name for name in rows_of(False) if "threefold" not in name]


def model(method: Deep, generator: torch.Generator) -> Model:
    """A new network, and its objective."""

    return Model(
        encoder(method, generator),
        Weighted(
            task(method, generator),
            charge(method, generator),
            strength=method.strength,
            ramp=method.ramp,
        ),
    )


def encoder(method: Deep, generator: torch.Generator) -> nn.Sequential:
    """The convolutional network, with bits in place of the first ReLUs."""

    network = conv_encoder(SHAPE, method.width, generator=generator)
    for place in activations(network)[: method.inner]:
        network[place] = StochasticBinary(generator=generator)

    return network.to(memory_format=torch.channels_last)  # half the time on a processor


def activations(network: nn.Sequential) -> list[int]:
    """The places in the network with inner units or bits."""

    return [i for i, layer in enumerate(network) if isinstance(layer, nn.ReLU | StochasticBinary)]


def charge(method: Deep, generator: torch.Generator) -> Term:
    """The penalty of each layer. An inner one counts its mean bit once for each last bit."""

    information = measure(method, generator)

    def of_layer(layer: Batch) -> Tensor:
        bits = layer.logits.shape[1]
        if bits == method.width:
            return information(layer)
        if not method.share:
            return layer.logits.sum() * 0
        return information(layer) * (method.share * method.width / bits)

    return of_layer


def run(name: str, seed: int) -> dict[str, Any]:
    """Train one network, and score it and its layers."""

    method, generator = METHODS[name], torch.Generator().manual_seed(seed)
    network = model(method, generator)
    measured = trained(method, network, RHO, seed, generator)
    inside = inner_attacks(network.encoder, images(0.1, 1000 + seed, test=True), seed)

    return {"method": name, "seed": seed, **asdict(method), **measured, **inside}


def inner_attacks(network: nn.Module, test: Images, seed: int) -> dict[str, float]:
    """How well an attacker who sees an inner layer and the digit finds the colour."""

    found = {}
    for number, seen in enumerate(inside(network, test.x), 1):
        attacked = colour_attack(seen, test, seed)
        found |= {f"inner_{number}_{name}": score for name, score in attacked.items()}

    return found


@torch.no_grad()
def inside(network: Any, x: Tensor) -> list[Tensor]:
    """The inner bits or units of each image, as tables."""

    kept: dict[int, list[Tensor]] = {place: [] for place in activations(network)}
    handles = [
        network[place].register_forward_hook(
            lambda layer, seen, out, place=place: kept[place].append(out.flatten(1))
        )
        for place in kept
    ]
    for part in x.split(1_000):
        network(part)
    for handle in handles:
        handle.remove()

    return [torch.cat(parts) for parts in kept.values()]


def table(records: pd.DataFrame) -> str:
    """Means and standard deviations over seeds, and the shortest time a step, as Markdown."""

    layers = ("attack", "inner_1_attack", "inner_2_attack")
    worst = {name: records[[f"{name}_forest", f"{name}_linear"]].max(axis=1) for name in layers}
    grouped = records.assign(**worst).groupby("method")
    names = ("unbiased_accuracy", "biased_accuracy", *layers)
    lines = [
        "| rows | bits and charges | seeds | unbiased | biased | attack: last | attack: first | "
        "attack: second | ms a step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, method in METHODS.items():
        if name in grouped.groups:
            rows = grouped.get_group(name)
            cells = " | ".join(percent(rows[each]) for each in names)
            taken = "balanced" if method.balanced else "as they are"
            lines.append(
                f"| {taken} | {name.removesuffix(', balanced')} | {len(rows)} | {cells} | "
                f"{rows.ms_per_step.min():.0f} |"
            )

    return "\n".join(lines)


def step(name: str, batch: int) -> dict[str, float]:
    """The time and the memory of steps, on noise in place of images."""

    return stepped(model(METHODS[name], torch.Generator().manual_seed(0)), batch)


def missing(done: set[Any], seeds: int) -> Iterator[tuple[str, int]]:
    """The runs that are not recorded yet."""

    for seed in range(seeds):
        yield from ((name, seed) for name in METHODS if (name, seed) not in done)


def main() -> None:
    """Run what is missing, and print the table."""

    parser = options(__doc__, "depth", seeds=3)
    parser.add_argument("--page", type=Path, help="the page of the documentation to write it into")
    parser.add_argument("--only", choices=METHODS, help="the name of one method")
    parser.add_argument("--steps", action="store_true", help="time and memory of a step instead")
    arguments = parser.parse_args()
    if arguments.steps:
        print(steps(step, STEPS))
        return
    runs = Runs(arguments.records)
    done = runs.done("method", "seed")
    for name, seed in missing(done, arguments.seeds):
        if (arguments.only or name) != name:
            continue
        record = run(name, seed)
        print(json.dumps(record), flush=True)
        runs.add(record)
    made = table(runs.table())
    print(made)
    if arguments.page is not None:
        fill(arguments.page, {"depth": made})


if __name__ == "__main__":
    main()
