"""Seconds of a fit, an audit and the demonstration, alone and beside a busy process.

Pools of threads that spin while they wait for one another are many times slower beside another
program. bitveil gives every pool one thread, so that no thread waits. Each number comes from a new
process, from Python, without environment variables. Look at the ratio.

    python benchmarks/bench_busy.py [--rows 12000] [--jobs 1]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from bitveil.datasets import load_adult
from bitveil.demo import demo
from bitveil.models import InvariantClassifier


def fit_and_audit(rows: int, jobs: int) -> dict[str, float]:
    """Seconds of a fit with default settings and of a quick audit of other rows."""

    adult = load_adult()
    order = np.random.default_rng(0).permutation(len(adult.target))
    X, y, sex = adult.without("sex"), adult.target, adult.sensitive["sex"]
    train, new = order[:rows], order[rows : 2 * rows]
    model = InvariantClassifier(max_gap=0.10, random_state=0, n_jobs=jobs)

    def fit() -> None:
        ids = X.index[train]
        model.fit(X.iloc[train], y.iloc[train], sensitive_features=sex.iloc[train], ids=ids)

    def audit() -> None:
        others = {"sensitive_features": sex.iloc[new], "ids": X.index[new]}
        model.audit(X.iloc[new], y.iloc[new], **others)

    return {"fit": seconds(fit), "audit": seconds(audit)}


def seconds(work: Callable[[], object]) -> float:
    """The seconds of a call."""

    start = time.perf_counter()
    work()

    return time.perf_counter() - start


def measured(part: str, rows: int, jobs: int, *, busy: bool) -> dict[str, float]:
    """The seconds of a part in a new process, alone or beside a busy one."""

    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    words = [sys.executable, __file__, "--part", part, "--rows", str(rows), "--jobs", str(jobs)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    try:
        out = subprocess.run(words, env=clean, capture_output=True, text=True, check=True).stdout
    finally:
        if other is not None:
            other.kill()

    return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--part", choices=["fit", "demo"])
    asked = parser.parse_args()
    if asked.part is not None:
        found = (
            fit_and_audit(asked.rows, asked.jobs)
            if asked.part == "fit"
            else {"demo": seconds(demo)}
        )
        for name, value in found.items():
            print(name, f"{value:.2f}")
        return
    print("| | alone, s | beside a busy process, s | ratio |\n| --- | --- | --- | --- |")
    for part in ("fit", "demo"):
        alone, beside = (
            measured(part, asked.rows, asked.jobs, busy=busy) for busy in (False, True)
        )
        for name, value in alone.items():
            print(f"| {name} | {value:.1f} | {beside[name]:.1f} | {beside[name] / value:.2f} |")


if __name__ == "__main__":
    main()
