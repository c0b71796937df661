"""What a published code is good for beyond the target that it was made for.

Adult, blind to sex, official test rows. Four targets: income, more than 40 hours a week, married,
a bachelor's degree or more; the columns that state one of them are dropped for all. Codes are made
for one target, for all four, or for none (reconstruction), with `max_gap`; then every target is
predicted from the bits by boosted trees, which learn from the rows held back for the certificate.
A second table has codes of 4 to 256 bits at a fixed strength: how use grows with the bits, and
what an attacker makes of them. Each fit is a line of JSON in --records, and those that are there
already are not run again.

    python benchmarks/bench_transfer.py [--records FILE] [--seeds 3] [--figure FILE]
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from bitveil.audits import UncertifiableError
from bitveil.datasets import load_adult
from bitveil.estimators import InvariantEncoder
from bitveil.features import Features

TARGETS = ("income", "hours", "married", "bachelor")
STATING = ["hours_per_week", "marital_status", "relationship", "education", "education_num"]
GAPS = (0.10, 0.20)
MADE_FOR = (*TARGETS, "all", "none")
BITS = {"all": 8, "none": 12}  # six for one target
WIDTHS = (4, 8, 12, 16, 64, 128, 256)


class People(NamedTuple):
    """A table without what states a target, the targets, and the sex."""

    X: pd.DataFrame
    targets: pd.DataFrame
    sex: NDArray[Any]

    def take(self, rows: NDArray[Any]) -> "People":
        """Some of them."""

        return People(self.X.iloc[rows], self.targets.iloc[rows], self.sex[rows])


def people() -> tuple[People, People]:
    """The rows to learn from, and the official test rows."""

    data = load_adult()
    table = data.features
    married = table["marital_status"].isin(["Married-civ-spouse", "Married-AF-spouse"])
    targets = pd.DataFrame(
        {
            "income": data.target,
            "hours": table["hours_per_week"] > 40,
            "married": married,
            "bachelor": table["education_num"] >= 13,
        }
    ).astype(int)
    everyone = People(
        data.without("sex").drop(columns=STATING), targets, data.sensitive["sex"].to_numpy()
    )

    return everyone.take(np.flatnonzero(~data.test)), everyone.take(np.flatnonzero(data.test))


def made(rows: People, made_for: str, seed: int, **settings: Any) -> InvariantEncoder:
    """An encoder for one target, for all, or for none."""

    y = None if made_for == "none" else rows.targets[list(TARGETS)]
    if made_for in TARGETS:
        y = rows.targets[made_for]
    encoder = InvariantEncoder(random_state=seed, **settings)

    return encoder.fit(rows.X, y, sensitive_features=rows.sex)


def used(seen: Any, known: People, scored: Any, test: People) -> dict[str, float]:
    """The accuracy for each target of boosted trees, and the attacker's AUC."""

    def model(y: NDArray[Any]) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(random_state=0).fit(seen, y)

    found = {
        name: float(model(known.targets[name].to_numpy()).score(scored, test.targets[name]))
        for name in TARGETS
    }
    male = model(known.sex == "Male").predict_proba(scored)[:, 1]
    found["attack_auc"] = float(roc_auc_score(test.sex == "Male", male))

    return found


def certified(rows: People, test: People, made_for: str, gap: float, seed: int) -> dict[str, Any]:
    """A code with a certificate, and what it is good for; or why there is none."""

    started = time.perf_counter()
    try:
        encoder = made(rows, made_for, seed, max_gap=gap, n_bits=BITS.get(made_for, 6))
    except UncertifiableError as error:
        return {"refused": str(error)}
    seconds, known = time.perf_counter() - started, rows.take(encoder.rows_["certify"])
    assert encoder.certificate_ is not None
    found = used(encoder.transform(known.X), known, encoder.transform(test.X), test)

    return {"bound": encoder.certificate_.bound, "seconds": seconds, **found}


def wide(rows: People, test: People, bits: int, seed: int) -> dict[str, Any]:
    """A code of many bits for all targets, at strength 1, without certificate.

    Boosted trees learn from rows that the encoder was fitted on; its features are raw, so that the
    bits of these rows are not more telling than those of others.
    """

    started = time.perf_counter()
    encoder = made(rows, "all", seed, strength=1.0, n_bits=bits, features="raw", epochs=40)
    seconds = time.perf_counter() - started

    return {
        "seconds": seconds,
        **used(encoder.transform(rows.X), rows, encoder.transform(test.X), test),
    }


def raw(rows: People, test: People) -> dict[str, Any]:
    """Without protection: all columns, all rows."""

    features = Features("raw").fit(rows.X)

    return used(features.transform(rows.X), rows, features.transform(test.X), test)


def missing(done: set[Any], seeds: int) -> Iterator[dict[str, Any]]:
    """What is not recorded yet."""

    runs = [{"kind": "raw", "made_for": "nothing", "gap": 1.0, "bits": 0, "seed": 0}]
    for seed in range(seeds):
        for made_for in MADE_FOR:
            bits = BITS.get(made_for, 6)
            runs += [
                {"kind": "certified", "made_for": made_for, "gap": gap, "bits": bits, "seed": seed}
                for gap in GAPS
            ]
    runs += [
        {"kind": "wide", "made_for": "all", "gap": 1.0, "bits": bits, "seed": 0} for bits in WIDTHS
    ]

    yield from (run for run in runs if tuple(run.values()) not in done)


def run(which: dict[str, Any], rows: People, test: People) -> dict[str, Any]:
    """One line of the records."""

    if which["kind"] == "raw":
        return which | raw(rows, test)
    if which["kind"] == "wide":
        return which | wide(rows, test, which["bits"], which["seed"])

    return which | certified(rows, test, which["made_for"], which["gap"], which["seed"])


def table(records: pd.DataFrame, test: People) -> str:
    """Means over seeds, as Markdown."""

    lines = [
        "| code | certified gap | bits | income | hours | married | bachelor | attack | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    majority = " | ".join(f"{100 * max(m, 1 - m):.1f}" for m in test.targets[list(TARGETS)].mean())
    lines.append(f"| most frequent answer | 0 | 0 | {majority} | 0.500 | |")
    order = ["kind", "gap", "bits", "made_for"]
    for (kind, gap, bits, made_for), some in records.groupby(order, sort=False):
        name = {"raw": "all columns", "wide": "for all, strength 1"}.get(kind, f"for {made_for}")
        bound = f"≤ {gap:.2f}" if kind == "certified" else "none"
        there = some.dropna(subset=["attack_auc"])
        scores = [f"{100 * there[target].mean():.1f}" for target in TARGETS]
        cells = " | ".join([*scores, f"{there['attack_auc'].mean():.3f}"])
        lines.append(f"| {name} | {bound} | {bits} | {cells} | {len(there)} of {len(some)} |")

    return "\n".join(lines)


def draw(records: pd.DataFrame, path: Path) -> None:
    """How accuracy for each target and the attacker's AUC grow with the bits."""

    import matplotlib.pyplot as plt

    rows = records[records.kind == "wide"].sort_values("bits")
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, marker in zip(TARGETS, "os^v", strict=True):
        axes.plot(rows.bits, rows[name], marker=marker, label=f"accuracy: {name}")
    axes.plot(rows.bits, rows.attack_auc, "k--", marker="x", label="attacker's AUC")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rows.bits), [str(bits) for bits in rows.bits])
    axes.set_xlabel("bits of the code")
    axes.set_ylabel("test rows")
    axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Run what is missing, and print the table."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, default=Path("benchmarks/records/transfer.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    arguments.records.parent.mkdir(parents=True, exist_ok=True)
    arguments.records.touch()
    lines = list(map(json.loads, arguments.records.read_text().splitlines()))
    keys = ("kind", "made_for", "gap", "bits", "seed")
    done = {tuple(line[key] for key in keys) for line in lines}
    rows, test = people()
    for which in missing(done, arguments.seeds):
        record = run(which, rows, test)
        with arguments.records.open("a") as file:
            file.write(json.dumps(record) + "\n")

    records = pd.read_json(arguments.records, lines=True)
    print(table(records, test))
    if arguments.figure is not None:
        draw(records, arguments.figure)


if __name__ == "__main__":
    main()
