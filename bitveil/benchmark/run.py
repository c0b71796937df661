"""Cells: all configurations of one method on one split of a data set, one flat record each.

Each cell has its own file, with one line for each configuration, and resumes where it stopped.
Configurations that failed, or that had no time left, are records too.
"""

import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitveil.benchmark.methods import METHODS, Method
from bitveil.benchmark.own import OwnTable
from bitveil.benchmark.protocol import Problem, problem
from bitveil.benchmark.scoring import scores

__all__ = ["Cell", "Plan", "Result", "cells", "read_cell", "read_results", "run_cells"]

Result = dict[str, Any]
"""What one configuration did: a flat record."""

STARTUP = 6
"""How many configurations of a cell have random settings before Optuna learns from them."""


@dataclass(frozen=True)
class Plan:
    """The settings that all cells of a run share.

    Attributes:
        configurations: How many configurations each method gets on each split.
        minutes: The most minutes of processor time of a cell, for fitting and scoring. A
            configuration that has no time left gets a record that says so.
        delta: The probability that a certificate may be wrong.
        datasets: A person's own data sets, by name, beside those of the benchmark.
        methods: A person's own methods, likewise.
    """

    configurations: int = 16
    minutes: float = 10.0
    delta: float = 0.05
    datasets: Mapping[str, OwnTable] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)

    def method(self, name: str) -> Method:
        """A method, from those of the person or of the benchmark."""

        return self.methods[name] if name in self.methods else METHODS[name]

    def own_digest(self, dataset: str) -> Result:
        """What the records of a person's own data set say about it; nothing of the others."""

        return {"data": self.datasets[dataset].digest} if dataset in self.datasets else {}

    def trials(self, method: Method) -> int:
        """The number of configurations of a method: one if it has nothing to choose."""

        if method.goals:
            return len(method.goals)
        return self.configurations if method.sweep or method.ranges else 1


@dataclass(frozen=True)
class Cell:
    """All configurations of one method on one split of one data set."""

    dataset: str
    method: str
    seed: int

    def file(self, folder: Path) -> Path:
        """The file of its records."""

        return folder / self.dataset / f"{self.method.replace(':', '.')}-{self.seed}.jsonl"


def cells(
    datasets: Iterable[str],
    methods: Iterable[str],
    seeds: Iterable[int],
    own: Iterable[str] = (),
) -> list[Cell]:
    """The cells, seed by seed, so that an interrupted run has all methods on the first splits.

    Arguments:
        datasets: The names of data sets.
        methods: The names of methods.
        seeds: The seeds of the splits.
        own: The names of a person's own methods.

    Raises:
        ValueError: If a method is unknown.
    """

    methods, known = list(methods), {*METHODS, *own}
    if unknown := [name for name in methods if name not in known]:
        raise ValueError(f"There are no methods {unknown}. Available: {list(METHODS)}.")

    return [Cell(d, m, s) for s in seeds for d in datasets for m in methods]


def run_cells(
    wanted: Iterable[Cell], folder: Path, plan: Plan, *, n_jobs: int | None = None
) -> Iterator[tuple[Cell, list[Result]]]:
    """Run unfinished cells, several at once, and yield each when it ends.

    Arguments:
        wanted: The cells.
        folder: The folder of the records.
        plan: The settings that they share.
        n_jobs: The number of processes; None: as `joblib.parallel_config` says, or one.
    """

    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    missing = [
        cell
        for cell in wanted
        if len(read_cell(cell, folder)) < plan.trials(plan.method(cell.method))
    ]
    jobs = (delayed(_run)(cell, folder, plan) for cell in missing)

    at_once = getattr(get_active_backend()[0], "supports_return_generator", False)
    form = "generator_unordered" if at_once else "list"  # Ray's backend has all at the end

    yield from Parallel(n_jobs, return_as=form, batch_size=1)(jobs)


def read_results(folder: Path) -> list[Result]:
    """All records under a folder.

    Raises:
        FileNotFoundError: If there are none.
    """

    lines = [line for file in sorted(folder.rglob("*.jsonl")) for line in _lines(file)]
    if not lines:
        raise FileNotFoundError(
            f"There are no records (*.jsonl) under {folder}. To make some: bitveil bench run."
        )

    return [json.loads(line) for line in lines]


def read_cell(cell: Cell, folder: Path) -> list[Result]:
    """The existing records of a cell."""

    file = cell.file(folder)

    return [json.loads(line) for line in _lines(file)] if file.is_file() else []


def _lines(file: Path) -> list[str]:
    """The complete lines. The last one may be cut off."""

    return [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _run(cell: Cell, folder: Path, plan: Plan) -> tuple[Cell, list[Result]]:
    torch.set_num_threads(1)
    done, file = read_cell(cell, folder), cell.file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in done))
    for trial in range(len(done), plan.trials(plan.method(cell.method))):
        record = _trial(cell, trial, done, plan)
        done.append(record)
        with file.open("a") as records:
            records.write(json.dumps(record) + "\n")

    return cell, done


def _trial(cell: Cell, trial: int, before: list[Result], plan: Plan) -> Result:
    """Run one configuration. It depends only on the seed and the records before it."""

    method = plan.method(cell.method)
    settings = _next_settings(method, cell.seed, trial, before, plan.configurations)
    record = _head(cell, trial, settings, plan)
    if sum(map(_spent, before)) > 60 * plan.minutes:
        return record | {"status": "over budget"}
    started, begun = time.perf_counter(), time.process_time()
    try:
        _problem(cell.dataset, cell.seed, plan.datasets.get(cell.dataset))
        begun = time.process_time()  # reading the file does not count
        some, shared = _seen(cell, method, plan)
        if method.binary and len(some.groups) > 2:
            return record | {"status": "not for these groups"}
        started = time.perf_counter()
        own = {"delta": plan.delta} if method.goals else {}
        model = method.make(**settings, **own, random_state=1000 * cell.seed + trial)
        fit = some.joined("fit", "select", "certify") if method.goals else some["fit"]
        model.fit(fit.X, fit.y, sensitive_features=fit.s)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        found = scores(model, some, candidates=plan.configurations, delta=plan.delta)
    except Exception as error:  # a failure is a record too
        seconds = time.perf_counter() - started
        record |= {"status": "failed", "error": repr(error)[:500], "seconds": seconds}
        return record | {"seconds_cpu": time.process_time() - begun}
    record |= {"status": "done", "seconds": seconds, "seconds_shared": shared}
    record["seconds_scoring"] = time.perf_counter() - started
    record["seconds_cpu"] = time.process_time() - begun

    return record | _row_sizes(some) | found


def _spent(record: Result) -> float:
    """The processor time of a configuration, or the time by the clock in older records."""

    clocks = ("seconds", "seconds_shared", "seconds_scoring")

    return float(record.get("seconds_cpu") or sum(record.get(name, 0) for name in clocks))


def _head(cell: Cell, trial: int, settings: Result, plan: Plan) -> Result:
    versions = {name: version(name) for name in ("bitveil", "torch", "scikit-learn", "numpy")}

    return plan.own_digest(cell.dataset) | {
        "dataset": cell.dataset,
        "method": cell.method,
        "seed": cell.seed,
        "trial": trial,
        "configurations": plan.configurations,
        "delta": plan.delta,
        "settings": settings,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        **versions,
        "seconds": 0.0,
        "seconds_scoring": 0.0,
    }


def _row_sizes(some: Problem) -> Result:
    """The numbers of rows, and the accuracy of always giving the majority's answer."""

    sizes = {f"rows_{name}": len(part) for name, part in some.parts.items()}
    majority = np.bincount(some["fit"].y).argmax()

    return sizes | {
        "groups": list(some.groups),
        "rows_certify_by_group": np.bincount(some["certify"].s).tolist(),
        "test_majority": float((some["test"].y == majority).mean()),
    }


@lru_cache(maxsize=2)
def _problem(dataset: str, seed: int, own: OwnTable | None) -> Problem:
    return problem(dataset, seed, None if own is None else own.entry)


def _seen(cell: Cell, method: Method, plan: Plan) -> tuple[Problem, float]:
    """The rows that a method sees, and the seconds for its features, which count once a split."""

    some = _problem(cell.dataset, cell.seed, plan.datasets.get(cell.dataset))
    started = time.perf_counter()
    if not method.posterior:
        return some, 0.0
    ready = "posterior" in vars(some)

    return some.posterior, 0.0 if ready else time.perf_counter() - started


def _next_settings(
    method: Method, seed: int, trial: int, before: list[Result], configurations: int
) -> Result:
    """The settings of a configuration: one from the sweep, the others from Optuna."""

    if method.goals:
        return {"max_gap": method.goals[trial]}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = _distributions(method)
    sampler = optuna.samplers.TPESampler(seed=1000 * seed + trial, n_startup_trials=STARTUP)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for record in before:
        if record["status"] == "done":
            study.add_trial(
                optuna.trial.create_trial(
                    params={name: _choice(value) for name, value in record["settings"].items()},
                    distributions=distributions,
                    values=[record["select_accuracy"], record["select_attack_gap"]],
                )
            )
    if method.sweep is not None:
        value = method.sweep.value(trial, configurations)
        study.enqueue_trial({method.sweep.name: value})
    chosen = study.ask(distributions).params

    return {name: json.loads(v) if isinstance(v, str) else v for name, v in chosen.items()}


def _distributions(method: Method) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, Any] = {}
    for name, values in method.ranges.items():
        found[name] = (
            CategoricalDistribution([_choice(value) for value in values])
            if isinstance(values, list)
            else FloatDistribution(*values, log=True)
        )
    if (sweep := method.sweep) is not None:
        found[sweep.name] = FloatDistribution(sweep.low, sweep.high)

    return found


def _choice(value: Any) -> Any:
    """A choice in the form that Optuna accepts. Tuples become JSON."""

    return json.dumps(value) if isinstance(value, list | tuple) else value
