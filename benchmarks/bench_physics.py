"""A search for a resonance: how much signal a cut keeps, and how it changes background's masses.

We fit classifiers to events of which half are signal, and cut so that 5 % of background passes.
Each run is a line of JSON in --records. Runs that are already there are not repeated.

- `efficiency`: the share of signal that passes;
- `divergence`: the Jensen-Shannon divergence, in bits, between the masses of background that
  passes and of background that does not, in bins of 2.5 GeV;
- `background_excess`, `excess`: (seen - fitted) / sqrt(fitted) within 10 GeV of the peak, among
  events without any signal, and with 0.2 % of it. The fit is a cubic of the logarithm of the
  counts outside. Its own error is left out. Without signal it should be near 0;
- `asimov`: the significance of the same cut if the background were known;
- `read_back`: R² of boosted trees that read the mass of background from the representation.

    python benchmarks/bench_physics.py [--records FILE] [--seeds 3] [--figure FILE]
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from runs import Runs, options
from scipy.stats import entropy
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from bitveil.baselines.adversary import Adversary
from bitveil.baselines.distance_covariance import DistanceCovariance
from bitveil.datasets import Dataset, make_resonance_search
from bitveil.datasets.worlds.physics import asimov
from bitveil.models import InvariantClassifier

RUNS = {
    "none": (0.0,),
    "blind": (0.0,),
    "bitveil": (0.0, 2.0, 5.0, 20.0, 50.0),
    "DisCo": (10.0, 30.0, 100.0),
    "adversary": (3.0, 10.0, 30.0),
}
FIT, TEST, SEARCH, FRACTION, PASS = 20_000, 100_000, 200_000, 0.002, 0.05
EDGES = np.linspace(60, 160, 41)
SIDES = np.abs((EDGES[1:] + EDGES[:-1]) / 2 - 100) > 10


class Known:
    """The known classifier that is blind to the mass of background."""

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each event, with shape (n, 1)."""

        hints = (X[:, 2] + X[:, 3]) / 2
        score = 1.2 * (X[:, 0] + X[:, 1]) + 4 / 3 * (X[:, 4] - hints)

        return score[:, None]


def fit(method: str, strength: float, data: Dataset, seed: int) -> Any:
    """Fit a method so that only the masses of background count."""

    X, y, mass = data.features.to_numpy(), data.target.to_numpy(), data.sensitive["mass"]
    if method == "blind":
        return Known()
    if method == "bitveil":
        model = InvariantClassifier(
            8,
            strength=strength,
            measure="mutual_information",
            criterion="equal_opportunity",
            positive=0,
            bins=8,
            features="raw",
            random_state=seed,
        )
        return model.fit(X, y, sensitive_features=mass)
    # Signal gets random masses of background, so that only background can depend on mass.
    drawn = mass.to_numpy().copy()
    background = drawn[y == 0]
    drawn[y == 1] = np.random.default_rng(seed).choice(background, (y == 1).sum())
    form = Adversary if method == "adversary" else DistanceCovariance

    return form(strength=strength, random_state=seed).fit(X, y, sensitive_features=drawn)


def divergence(masses: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The Jensen-Shannon divergence of two spectra, in bits."""

    p, q = (np.histogram(each, EDGES)[0] / len(each) for each in (masses, others))

    return float(entropy((p + q) / 2, base=2) - (entropy(p, base=2) + entropy(q, base=2)) / 2)


def excess(masses: NDArray[np.float64]) -> float:
    """Events near the peak above the fit's expectation, over the root of the expectation."""

    counts, middles = np.histogram(masses, EDGES)[0], (EDGES[1:] + EDGES[:-1]) / 200
    weights = np.sqrt(counts[SIDES] + 0.5)
    cubic = np.polyfit(middles[SIDES], np.log(counts[SIDES] + 0.5), 3, w=weights)
    fitted = np.exp(np.polyval(cubic, middles[~SIDES])).sum()

    return float((counts[~SIDES].sum() - fitted) / np.sqrt(fitted))


def run(method: str, strength: float, seed: int) -> dict[str, Any]:
    """Fit one method, and cut other events with it."""

    data = make_resonance_search(FIT, random_state=[seed, 0])
    model = fit(method, strength, data, seed)
    reader = LogisticRegression().fit(model.transform(data.features.to_numpy()), data.target)
    rng = np.random.default_rng(seed)

    def read(events: Dataset) -> tuple[Any, ...]:
        codes = model.transform(events.features.to_numpy())
        decode = getattr(model, "decode", None)
        score = decode(codes)[:, 1] if decode else reader.decision_function(codes)
        # Events with the same code pass at random, so that exactly 5 % can pass.
        score = score + 1e-9 * rng.random(len(score))
        return codes, score, events.target.to_numpy() == 1, events.sensitive["mass"].to_numpy()

    codes, score, signal, mass = read(make_resonance_search(TEST, random_state=[seed, 1]))
    cut = np.quantile(score[~signal], 1 - PASS)
    kept, half = score > cut, len(codes[~signal]) // 2
    trees = HistGradientBoostingRegressor(max_iter=50, random_state=seed)
    trees.fit(codes[~signal][:half], mass[~signal][:half])
    _, found, true, masses = read(
        make_resonance_search(SEARCH, signal_fraction=FRACTION, random_state=[seed, 2])
    )
    passed, window = found > cut, np.abs(masses - 100) < 10
    s, b = ((each & passed & window).sum() for each in (true, ~true))

    return {
        "method": method,
        "strength": strength,
        "seed": seed,
        "efficiency": float(kept[signal].mean()),
        "divergence": divergence(mass[kept & ~signal], mass[~kept & ~signal]),
        "background_excess": excess(masses[passed & ~true]),
        "excess": excess(masses[passed]),
        "asimov": float(asimov(s, b)),
        "read_back": float(trees.score(codes[~signal][half:], mass[~signal][half:])),
        "spectrum": np.histogram(mass[kept & ~signal], EDGES, density=True)[0].round(5).tolist(),
        "all": np.histogram(mass[~signal], EDGES, density=True)[0].round(5).tolist(),
        "uncut": [excess(masses[~true]), excess(masses)],
    }


def table(records: pd.DataFrame) -> str:
    """Means over seeds, as Markdown."""

    names = ["efficiency", "divergence", "background_excess", "excess", "asimov", "read_back"]
    lines = [
        "| method | strength | " + " | ".join(names).replace("_", " ") + " |",
        "| --- | --- " + "| --- " * len(names) + "|",
    ]
    for (method, strength), rows in records.groupby(["method", "strength"], sort=False):
        cells = " | ".join(f"{value:.3f}" for value in rows[names].mean())
        lines.append(f"| {method} | {strength:g} | {cells} |")

    return "\n".join(lines)


def draw(records: pd.DataFrame, path: Path) -> None:
    """Draw the spectra before and after the cut, and the signal that decorrelation costs."""

    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    first = records[records.seed == records.seed.min()]
    left.stairs(first["all"].iloc[0], EDGES, color="black", ls="--", label="all background")
    shown = (("bitveil", 0.0), ("bitveil", 20.0), ("DisCo", 100.0), ("adversary", 10.0))
    for method, strength in shown:
        rows = first[(first.method == method) & (first.strength == strength)]
        left.stairs(rows.spectrum.iloc[0], EDGES, label=f"{method}, {strength:g}")
    left.set_xlabel("mass / GeV")
    left.set_ylabel("background that passes (density)")
    for (method, rows), marker in zip(records.groupby("method", sort=False), "*Xosd", strict=True):
        means = rows.groupby("strength")[["efficiency", "divergence"]].mean()
        right.plot(means.efficiency, 1 / means.divergence, marker=marker, label=method)
    right.set_yscale("log")
    right.set_xlabel("signal that passes, of 5 % background")
    right.set_ylabel("1 / divergence of masses (1 / bit)")
    for axes in (left, right):
        axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run what is missing, and print the table."""

    arguments = options(__doc__, "physics", seeds=3, figure=True).parse_args()
    runs = Runs(arguments.records)
    methods = [(method, strength) for method, some in RUNS.items() for strength in some]
    cases = ((*each, seed) for seed in range(arguments.seeds) for each in methods)
    runs.complete(run, ("method", "strength", "seed"), cases)
    runs.report(table, draw, arguments.figure)


if __name__ == "__main__":
    main()
