"""The strength of the penalty, from 0 to 100: whether the code collapses and the gap falls.

Adult, blind to sex, six bits, scored on the official test rows. The posterior features are made
once for each seed, out of fold for the rows for fitting and selection. The estimator takes them as
a table, so at each strength it does what it does by default, except for the boosting. Each run is
a line of JSON in --records. Runs that are already there are not repeated.

    python benchmarks/bench_sweep.py [--records FILE] [--seeds 2] [--figure FILE]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from runs import Runs, options

from bitveil.datasets import load_adult
from bitveil.features import Features
from bitveil.information import BITS, mutual_information, total_variation
from bitveil.models import InvariantClassifier
from bitveil.tables import joint_table

MEASURES = ("total_variation", "mutual_information")
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Rows(NamedTuple):
    """Posterior features, the target and the attribute."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    s: NDArray[np.int64]


def adult(seed: int) -> tuple[Rows, Rows]:
    """The rows for fitting and selection, and the official test rows."""

    data = load_adult()
    X, test = data.without("sex"), np.asarray(data.official_test)
    y, s = data.target.to_numpy(), (data.sensitive["sex"] == "Male").to_numpy(np.int64)
    features = Features("posterior", random_state=seed)
    known = features.fit_transform(X[~test], y[~test], s[~test])

    return (
        Rows(known, y[~test], s[~test]),
        Rows(features.transform(X[test]), y[test], s[test]),
    )


def run(rows: Rows, test: Rows, measure: str, strength: float, seed: int) -> dict[str, Any]:
    """Fit at one strength, and score the codes of the test rows."""

    model = InvariantClassifier(
        strength=strength, measure=measure, features="raw", random_state=seed
    )
    model.fit(rows.X, rows.y, sensitive_features=rows.s)
    table = joint_table(torch.from_numpy(model.logits(test.X)), torch.from_numpy(test.s), 2)

    return {
        "measure": measure,
        "strength": strength,
        "seed": seed,
        "accuracy": float(model.score(test.X, test.y)),
        "gap": total_variation(table).item(),
        "bits": mutual_information(table).item() * BITS,
        "majority": float(max(test.y.mean(), 1 - test.y.mean())),
    }


def missing(done: set[Any], seeds: int) -> Iterator[tuple[int, list[tuple[str, float]]]]:
    """The runs of each seed that are not recorded yet."""

    for seed in range(seeds):
        runs = [(m, w) for m in MEASURES for w in STRENGTHS if (m, w, seed) not in done]
        if runs:
            yield seed, runs


def table(records: pd.DataFrame) -> str:
    """Means over seeds, as Markdown."""

    lines = ["| measure | strength | gap | bits | accuracy |", "| --- | --- | --- | --- | --- |"]
    means = records.groupby(["measure", "strength"])[["gap", "bits", "accuracy"]].mean()
    for measure in MEASURES:
        for strength, row in means.loc[measure].iterrows():
            name = measure.replace("_", " ")
            cells = f"{row.gap:.3f} | {row.bits:.4f} | {row.accuracy:.3f}"
            lines.append(f"| {name} | {strength:g} | {cells} |")

    return "\n".join(lines)


def draw(records: pd.DataFrame, path: Path) -> None:
    """Draw accuracy and gap against the strength, with marks for seeds and a line of means."""

    import matplotlib.pyplot as plt

    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(both, ("accuracy", "gap"), strict=True):
        for measure, marker, line in zip(MEASURES, "os", ("-", ":"), strict=True):
            rows = records[records.measure == measure]
            means = rows.groupby("strength")[name].mean()
            (drawn,) = axes.plot(means, ls=line, marker=marker, label=measure.replace("_", " "))
            axes.plot(rows.strength, rows[name], marker, color=drawn.get_color(), fillstyle="none")
        axes.set_xscale("symlog", linthresh=0.1)
        axes.set_xlabel("strength")
        axes.set_xlim(0, 140)
    both[0].axhline(records.majority.iloc[0], color="black", ls="--", lw=0.8, label="majority")
    both[0].set_ylabel("accuracy for income (test rows)")
    both[1].set_ylabel("gap between the sexes' codes (test rows)")
    both[1].set_ylim(0, None)
    for axes in both:
        axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run what is missing, and print the table."""

    arguments = options(__doc__, "sweep", seeds=2, figure=True).parse_args()
    runs = Runs(arguments.records)
    done = runs.done("measure", "strength", "seed")
    for seed, lacking in missing(done, arguments.seeds):
        rows, test = adult(seed)
        for measure, strength in lacking:
            runs.add(run(rows, test, measure, strength, seed))

    runs.report(table, draw, arguments.figure)


if __name__ == "__main__":
    main()
