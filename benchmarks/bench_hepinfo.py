"""Adult with six bits: bitveil beside the authors' own `hepinfo`, speed and front in one run.

Both encode the same columns (the raw ones of Adult, blind to sex, standardised; the 30,162 rows
of the training split without missing values) through one hidden layer of 100 units, for 60
epochs. `hepinfo` has its own environment (benchmarks/hepinfo.txt says what to install there).
benchmarks/peer_hepinfo.py runs it with its defaults, except for the layers, the batch, and
`kernel_regularizer=0`, because its default penalises all bits that are not coin flips.

Speed: seconds an epoch, with one thread each, in turns. The ratio is the median over pairs, of
wall-clock seconds and of the process's own seconds, which depend less on other users of the
machine. Front: one draw of each row's bits on both sides; the accuracy of boosting for income,
against the larger AUC of a linear and a boosted attacker on sex, on the official test rows without
missing values. Every fit is a line of JSON in --records. Fits that are already there are not
repeated.

    python benchmarks/bench_hepinfo.py [--hepinfo-python PYTHON] [--records FILE] [--seeds 3]

Without --hepinfo-python it only prints the tables of the records.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bitveil.audits.attacks import attack
from bitveil.audits.probes import Split
from bitveil.audits.uses import use
from bitveil.batches import Batch, Rows
from bitveil.codes import draw
from bitveil.datasets import load_adult
from bitveil.features import Features
from bitveil.information import mutual_information, neuron_information, total_variation
from bitveil.layers import table_encoder
from bitveil.objectives import Weighted
from bitveil.tables import neuron_tables
from bitveil.tasks import task_information
from bitveil.training import train

BITS, HIDDEN, EPOCHS, PAIRS = 6, 100, 60, 9
BATCHES = {"equal": {"bitveil": 1024, "hepinfo": 1024}, "own": {"bitveil": 8192, "hepinfo": 200}}
MEASURES: dict[str, Callable[[Batch], Tensor]] = {
    "total variation": lambda batch: total_variation(batch.tables.groups),
    "information": lambda batch: mutual_information(batch.tables.groups),
    "per neuron": lambda batch: neuron_information(
        neuron_tables(batch.logits, batch.s, batch.n_groups)
    ),
}
OURS = {
    "total variation": (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0),
    "information": (0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 10.0),
    "per neuron": (0.1, 0.6, 3.0),
}
THEIRS = {
    0.001: (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    0.01: (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
}

Record = dict[str, Any]


def adult() -> dict[str, np.ndarray]:
    """The columns that both sides see, and the labels, of training and of test rows."""

    data = load_adult()
    X, y = data.without("sex"), data.target.to_numpy(np.int64)
    s = (data.sensitive["sex"] == "Male").to_numpy(np.int64)
    known, test = X.notna().all(axis=1).to_numpy(), np.asarray(data.official_test)
    fit, score = known & ~test, known & test
    features = Features("raw")

    return {
        "x": features.fit_transform(X[fit], y[fit], s[fit]),
        "y": y[fit],
        "s": s[fit],
        "x_test": features.transform(X[score]),
        "y_test": y[score],
        "s_test": s[score],
    }


def fit_ours(data: dict[str, np.ndarray], job: Record) -> tuple[Record, dict[str, np.ndarray]]:
    """Train once. Returns the seconds an epoch, and one draw of each row's bits."""

    generator = torch.Generator().manual_seed(job["seed"])
    rows = Rows.of_target(
        *(torch.from_numpy(data[name]) for name in "xys"), n_classes=2, n_groups=2
    )
    encoder = table_encoder(rows.x.shape[1], BITS, (HIDDEN,), generator=generator)
    objective = Weighted(task_information, MEASURES[job["measure"]], strength=job["strength"])
    settings = {"epochs": job["epochs"], "batch_size": job["batch_size"]}

    start, cpu = time.perf_counter(), time.process_time()
    train(encoder, objective, rows, learning_rate=0.01, generator=generator, **settings)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu

    with torch.no_grad():
        bits = {
            name: draw(encoder(torch.from_numpy(data[x])), generator=generator).numpy()
            for name, x in (("bits", "x"), ("bits_test", "x_test"))
        }
    return {"seconds": seconds / job["epochs"], "cpu": cpu / job["epochs"]}, bits


@contextmanager
def peer(python: str, folder: Path, data: dict[str, np.ndarray]) -> Iterator[Callable[..., Any]]:
    """Their side, in another process, which answers one job a line."""

    np.savez(folder / "adult.npz", **data)
    script = Path(__file__).with_name("peer_hepinfo.py")
    process = subprocess.Popen(
        [python, script, folder / "adult.npz", folder / "bits.npz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")},
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def fit(job: Record) -> tuple[Record, dict[str, np.ndarray]]:
        print(json.dumps(job), file=process.stdin, flush=True)
        for line in process.stdout or ():
            if line.startswith("{"):
                return json.loads(line), dict(np.load(folder / "bits.npz"))
        raise RuntimeError(f"The peer ended with {process.wait()}: see what it printed above.")

    try:
        yield fit
    finally:
        process.stdin.close()
        process.wait()


def speeds(data: dict[str, np.ndarray], theirs: Callable[..., Any]) -> Iterator[Record]:
    """Both sides in turn, a few epochs at a time, after one turn that does not count."""

    for setting, sizes in BATCHES.items():
        for pair in range(-1, PAIRS):
            for side, fit in (("bitveil", lambda job: fit_ours(data, job)), ("hepinfo", theirs)):
                job = {"batch_size": sizes[side], "epochs": 8, "seed": 0, "strength": 0.5}
                job |= {"measure": "total variation", "learning_rate": 0.001}
                times, _ = fit(job)
                if pair >= 0:
                    yield {"kind": "speed", "setting": setting, "side": side, "pair": pair} | times


def fronts(seeds: int) -> Iterator[Record]:
    """Every fit of the fronts."""

    for setting, sizes in BATCHES.items():
        for seed in range(seeds):
            shared = {"kind": "front", "setting": setting, "epochs": EPOCHS, "seed": seed}
            for measure, strengths in OURS.items():
                for strength in strengths:
                    side = {"side": "bitveil", "batch_size": sizes["bitveil"]}
                    yield shared | side | {"measure": measure, "strength": strength}
            for rate, strengths in THEIRS.items():
                for strength in strengths:
                    side = {"side": "hepinfo", "batch_size": sizes["hepinfo"]}
                    yield shared | side | {"learning_rate": rate, "strength": strength}


def probed(data: dict[str, np.ndarray], bits: dict[str, np.ndarray]) -> Record:
    """What attackers and a user find in the drawn bits."""

    codes, codes_test = bits["bits"], bits["bits_test"]
    attackers = attack(Split(codes, data["s"], codes_test, data["s_test"]))
    split = Split(codes, data["y"], codes_test, data["y_test"])
    accuracy = use(split, data["s_test"], families=["boosting"])[0].probe.accuracy

    return {f"auc_{probe.family}": probe.auc for probe in attackers} | {"accuracy": accuracy}


def run(python: str, records: Path, seeds: int) -> None:
    """Run what is missing; each fit is one more line."""

    lines = [json.loads(line) for line in records.read_text().splitlines()]
    names = ("setting", "side", "measure", "learning_rate", "strength", "seed")
    done = [{n: line.get(n) for n in names} for line in lines if line["kind"] == "front"]
    data = adult()
    with (
        tempfile.TemporaryDirectory() as folder,
        peer(python, Path(folder), data) as theirs,
        records.open("a", buffering=1) as file,
    ):
        if not any(line["kind"] == "speed" for line in lines):
            for record in speeds(data, theirs):
                print(json.dumps(record), file=file)
        for job in fronts(seeds):
            if {name: job.get(name) for name in names} in done:
                continue
            times, bits = fit_ours(data, job) if job["side"] == "bitveil" else theirs(job)
            print(json.dumps(job | times | probed(data, bits)), file=file)


def speed_table(records: pd.DataFrame) -> str:
    """Seconds an epoch and the ratios, as Markdown."""

    lines = [
        "| batches | bitveil, s | hepinfo, s | ratio | ratio of process seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for setting, sizes in BATCHES.items():
        rows = records[(records.kind == "speed") & (records.setting == setting)]
        wall = rows.pivot(index="pair", columns="side", values="seconds")
        cpu = rows.pivot(index="pair", columns="side", values="cpu")
        ours, theirs = wall.median()[["bitveil", "hepinfo"]]
        ratios = [(x.hepinfo / x.bitveil).median() for x in (wall, cpu)]
        lines.append(
            f"| {sizes['bitveil']:,} and {sizes['hepinfo']:,} rows | {ours:.3f} | {theirs:.3f} "
            f"| {ratios[0]:.1f} | {ratios[1]:.1f} |"
        )

    return "\n".join(lines)


def points(records: pd.DataFrame, setting: str) -> pd.DataFrame:
    """One point for each setting of each side: means over seeds."""

    rows = records[(records.kind == "front") & (records.setting == setting)]
    rows = rows.reindex(columns=[*rows.columns, *({"measure", "learning_rate"} - {*rows.columns})])
    rows["auc"] = rows[["auc_linear", "auc_boosting"]].max(axis=1)
    rows["way"] = rows.measure.fillna("rate " + rows.learning_rate.astype(str))

    return rows.groupby(["side", "way", "strength"], sort=False, as_index=False)[
        ["auc_linear", "auc_boosting", "auc", "accuracy"]
    ].mean()


def front_table(found: pd.DataFrame) -> str:
    """All points, and for each of theirs how much more accurate ours are at no larger AUC."""

    ours = found[found.side == "bitveil"]
    lines = [
        "| side | penalty or rate | strength | linear | boosted | accuracy | ours at that AUC |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found.itertuples():
        best = ours[ours.auc <= row.auc].accuracy.max()
        gain = "" if row.side == "bitveil" else f"{best:.4f} ({best - row.accuracy:+.4f})"
        lines.append(
            f"| {row.side} | {row.way} | {row.strength:g} | {row.auc_linear:.3f} "
            f"| {row.auc_boosting:.3f} | {row.accuracy:.4f} | {gain} |"
        )

    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the tables."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hepinfo-python", help="the interpreter that hepinfo is installed for")
    parser.add_argument("--records", type=Path, default=Path("benchmarks/records/hepinfo.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.records.parent.mkdir(parents=True, exist_ok=True)
    arguments.records.touch()
    if arguments.hepinfo_python is not None:
        run(arguments.hepinfo_python, arguments.records, arguments.seeds)
    if not arguments.records.stat().st_size:
        sys.exit("No records yet: pass --hepinfo-python, see benchmarks/hepinfo.txt.")

    records = pd.read_json(arguments.records, lines=True)
    print(speed_table(records))
    for setting, sizes in BATCHES.items():
        print(f"\nbatches of {sizes['bitveil']:,} and {sizes['hepinfo']:,} rows:\n")
        print(front_table(points(records, setting)))


if __name__ == "__main__":
    main()
