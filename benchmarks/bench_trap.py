"""The trap on real data: Adult, blind to sex, with the per-neuron penalty and with the joint one.

For each strength of each penalty we measure: the information of the code about sex on the official
test rows (the sum over single bits, and jointly), how well a linear and a boosted attacker do on
drawn bits, and how accurate the best decoder is. There are several seeds. Each run is a line of
JSON in --records. Runs that are already there are not repeated.

    python benchmarks/bench_trap.py [--records FILE] [--seeds 3] [--figure FILE]
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from runs import Runs, options

from bitveil.audits.attacks import attack
from bitveil.audits.probes import Split
from bitveil.datasets import load_adult
from bitveil.models import InvariantClassifier
from bitveil.training import Training

MEASURES = ("neuron_information", "mutual_information")
STRENGTHS = (0.0, 0.1, 0.3, 0.6, 1.0, 3.0, 10.0)


def run(measure: str, strength: float, seed: int) -> dict[str, Any]:
    """Fit one encoder on the raw columns, and attack its codes."""

    adult = load_adult()
    test = np.asarray(adult.official_test)
    X, y, sex = adult.without("sex"), adult.target, adult.sensitive["sex"]
    model = InvariantClassifier(
        6,
        measure=measure,
        strength=strength,
        features="raw",
        training=Training(hidden=(100,)),
        random_state=seed,
    )
    model.fit(X[~test], y[~test], sensitive_features=sex[~test], ids=X.index[~test])
    codes, codes_test = (model.transform(X[rows], ids=X.index[rows]) for rows in (~test, test))
    found = model.audit(X[test], sensitive_features=sex[test], ids=X.index[test])
    s = (sex == "Male").to_numpy(np.int64)
    attackers = attack(Split(codes, s[~test], codes_test, s[test]))
    answers = model.classes_[model.decode(codes_test).argmax(1)]

    return {
        "measure": measure,
        "strength": strength,
        "seed": seed,
        "neuron_bits": found.neuron_information_bits,
        "joint_bits": found.information_bits,
        "total_variation": found.total_variation,
        "auc_linear": attackers[0].auc,
        "auc_boosting": attackers[1].auc,
        "accuracy": float(np.mean(answers == y[test])),
    }


def table(records: pd.DataFrame) -> str:
    """Means over seeds, as Markdown."""

    names = ["neuron_bits", "joint_bits", "total_variation", "auc_linear", "auc_boosting"]
    means = records.groupby(["measure", "strength"], sort=False)[[*names, "accuracy"]].mean()
    lines = [
        "| penalty | strength | sum over bits | joint bits | TV | linear | boosted | accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (measure, strength), row in means.iterrows():
        penalty = "per neuron" if measure == "neuron_information" else "joint"
        cells = [f"{row[name]:.4f}" for name in names[:2]] + [
            f"{row[name]:.3f}" for name in [*names[2:], "accuracy"]
        ]
        lines.append(f"| {penalty} | {strength:g} | " + " | ".join(cells) + " |")

    return "\n".join(lines)


def draw(records: pd.DataFrame, path: Path) -> None:
    """Draw the penalty's value beside the joint information, and a boosted attacker's AUC."""

    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
    looks = zip(MEASURES, "os", ("#c44e00", "#0072b2"), ("per neuron", "joint"), strict=True)
    for measure, marker, colour, label in looks:
        rows = (
            records[records.measure == measure]
            .groupby("strength", sort=True)
            .mean(numeric_only=True)
        )
        look = {"marker": marker, "color": colour}
        left.plot(rows.index, rows.joint_bits, label=f"{label} penalty: joint bits", **look)
        left.plot(rows.index, rows.neuron_bits, ls=":", label=f"{label} penalty: sum", **look)
        right.plot(rows.auc_boosting, rows.accuracy, **look)
    left.set(xlabel="strength of the penalty", ylabel="bits about sex", ylim=(0, None))
    left.set_xscale("symlog", linthresh=0.1)
    left.set_xlim(0, 14)
    right.set(xlabel="AUC of a boosted attacker on sex", ylabel="accuracy for income")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run what is missing, and print the table."""

    arguments = options(__doc__, "trap", seeds=3, figure=True).parse_args()
    runs = Runs(arguments.records)
    seeds = range(arguments.seeds)
    cases = ((m, strength, seed) for seed in seeds for m in MEASURES for strength in STRENGTHS)
    runs.complete(run, ("measure", "strength", "seed"), cases)
    runs.report(table, draw, arguments.figure)


if __name__ == "__main__":
    main()
