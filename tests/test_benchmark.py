"""The benchmark: cells that resume and fail, and the command."""

import json
import subprocess
import sys
from functools import partial
from itertools import count

import numpy as np
import pytest

from bitveil.benchmark import command, protocol, scoring
from bitveil.benchmark import run as running
from bitveil.benchmark.methods import METHODS, Method, Sweep
from bitveil.benchmark.protocol import problem, split
from bitveil.benchmark.run import Cell, Plan, cells, read_results
from bitveil.datasets import catalogue, make_gaussian_groups
from bitveil.datasets.catalogue import entries
from bitveil.datasets.dataset import Entry
from bitveil.rows import SPLIT

# Splits and cells


@pytest.mark.parametrize("seed", range(3))
def test_a_split_shares_out_each_group_once(seed):
    s = np.random.default_rng(seed).integers(0, 3, 700)
    parts = split(s, seed)

    assert sorted(np.concatenate(list(parts.values()))) == list(range(700))
    for group in range(3):
        for name, share in zip(protocol.USES, SPLIT, strict=True):
            assert (s[parts[name]] == group).sum() == pytest.approx(
                share * (s == group).sum(), abs=1
            )


class Toy:
    """The columns, made small: the more so, the less a linear model can use them."""

    def __init__(self, strength, column, random_state):
        self.strength, self.column = strength, column

    def fit(self, X, y, *, sensitive_features):
        return self

    def transform(self, X):
        return np.tanh(X[:, [self.column]]) / self.strength


class Broken(Toy):
    """Cannot be fitted."""

    def fit(self, X, y, *, sensitive_features):
        raise ValueError("no such thing")


@pytest.fixture
def toys(monkeypatch):
    """A made-up data set, two methods, and one family of classifiers."""

    def load():
        return make_gaussian_groups(600, random_state=0)

    running._problem.cache_clear()
    toy = {"toy": Entry("toy", load, "group")}
    monkeypatch.setattr(protocol, "entries", lambda: toy)
    monkeypatch.setattr(catalogue, "entries", lambda: toy)
    monkeypatch.setattr(scoring, "CLASSIFIERS", ("linear",))
    sweep = Sweep("strength", 1, 100)
    monkeypatch.setitem(METHODS, "toy", Method("a toy", Toy, sweep, {"column": [0, 1]}))
    monkeypatch.setitem(METHODS, "broken", Method("broken", Broken, sweep, {"column": [0, 1]}))
    yield
    running._problem.cache_clear()


def ran(folder, plan, *methods):
    pytest.importorskip("optuna")
    return dict(running.run_cells(cells(["toy"], methods, [0]), folder, plan))


def lasting(records):
    """Records without what differs from day to day."""

    return [{k: v for k, v in r.items() if k[:7] != "seconds" and k != "date"} for r in records]


def test_the_rows_of_the_parts_are_all_there_are(toys):
    some, other = problem("toy", 0), problem("toy", 1)

    assert sum(map(len, some.parts.values())) == 600
    np.testing.assert_array_equal(some["test"].y, other["test"].y)
    assert some["fit"].X.shape[1] == 2
    assert protocol.rows_by_group("toy") == (600, np.bincount(
        np.concatenate([some[part].s for part in protocol.USES])
    ).tolist())  # fmt: skip


def test_what_was_interrupted_ends_as_if_it_had_not_been(toys, tmp_path):
    plan = Plan(configurations=8)
    whole = ran(tmp_path / "whole", plan, "toy")[Cell("toy", "toy", 0)]
    file = Cell("toy", "toy", 0).file(tmp_path / "cut")
    file.parent.mkdir(parents=True)
    lines = [json.dumps(r) + "\n" for r in whole]
    file.write_text("".join(lines[:3]) + lines[3][:40])
    ran(tmp_path / "cut", plan, "toy")

    assert [r["status"] for r in whole] == ["done"] * 8
    assert lasting(read_results(tmp_path / "cut")) == lasting(whole)
    assert ran(tmp_path / "cut", plan, "toy") == {}


def test_a_failure_is_a_record_and_stops_nothing(toys, tmp_path):
    found = ran(tmp_path, Plan(configurations=2), "broken", "toy")

    assert [r["status"] for r in found[Cell("toy", "broken", 0)]] == ["failed"] * 2
    assert "no such thing" in found[Cell("toy", "broken", 0)][0]["error"]
    assert [r["status"] for r in found[Cell("toy", "toy", 0)]] == ["done"] * 2


def test_a_cell_without_time_left_says_so(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(running.time, "process_time", count(0, 100).__next__)
    (records,) = ran(tmp_path, Plan(configurations=3, minutes=1), "toy").values()

    assert [r["status"] for r in records] == ["done", "over budget", "over budget"]


def test_waiting_for_a_busy_machine_costs_no_budget(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(running.time, "perf_counter", count(0, 100).__next__)
    (records,) = ran(tmp_path, Plan(configurations=3, minutes=1), "toy").values()

    assert [r["status"] for r in records] == ["done"] * 3
    assert all(0 < r["seconds_cpu"] < 60 for r in records)


def test_records_without_processor_time_count_by_the_clock(toys, tmp_path):
    plan = Plan(configurations=2, minutes=1)
    (records,) = ran(tmp_path, plan, "toy").values()
    file = Cell("toy", "toy", 0).file(tmp_path)
    older = {k: v for k, v in records[0].items() if k != "seconds_cpu"} | {"seconds": 100.0}
    file.write_text(json.dumps(older) + "\n")
    (records,) = ran(tmp_path, plan, "toy").values()

    assert [r["status"] for r in records] == ["done", "over budget"]


# The command


@pytest.fixture
def bench(command_line, monkeypatch, tmp_path):
    """Run `bitveil bench` in a folder of its own: its exit code, output and errors."""

    monkeypatch.chdir(tmp_path)

    return partial(command_line, "bench")


def test_list_names_all(bench):
    code, out, _ = bench("list", "--no-rows")

    assert code == 0
    for name in [*entries(), *METHODS]:
        assert f" {name} " in out


def test_list_counts_rows(toys, bench):
    code, out, _ = bench("list")

    assert code == 0
    assert " 600 " in out


def test_a_cell_by_the_command(toys, bench):
    pytest.importorskip("optuna")
    words = ["run", "--dataset", "toy", "--method", "toy", "--seed", 0, "--out", "here"]
    code, out, _ = bench(*words, "--configurations", 2)

    assert code == 0
    assert "toy, toy, split 0: 2 done" in out
    assert "1 cells, 0 of them to run" in bench(*words, "--configurations", 2)[1]
    code, _, error = bench(*words, "--configurations", 3)
    assert code == 2
    assert "has records of 2 configurations" in error


def test_the_main_data_sets_get_more_splits():
    words = ["adult", "german"], ["tree"]
    seeds = {"adult": [0, 1, 2, 3, 4], "german": [0, 1, 2]}
    found = command._wanted(*words, [], Plan())

    for dataset, numbers in seeds.items():
        assert [cell.seed for cell in found if cell.dataset == dataset] == numbers
    assert [cell.seed for cell in command._wanted(*words, [7], Plan())] == [7, 7]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--dataset", "adlt"], "There is no data set 'adlt'. Did you mean 'adult'?"),
        (["--method", "bitvail"], "There is no method 'bitvail'. Did you mean 'bitveil'?"),
        (["--seed", "-1"], "--seed expects numbers from 0, got -1."),
        (["--minutes", "0"], "--minutes expects a number above 0"),
        (["--dataset", "heritage"], "heritage_health/health.csv.gz"),
    ],
)
def test_what_cannot_be_run_is_one_line(bench, monkeypatch, tmp_path, words, problem):
    pytest.importorskip("optuna")
    monkeypatch.setenv("BITVEIL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code, _, error = bench("run", *words)

    assert code == 2
    assert problem in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("optuna", ["run"]),
        ("matplotlib", ["report"]),
        ("fairlearn", ["run", "--method", "prototypes", "--dataset", "adult"]),
    ],
)
def test_what_is_not_installed_is_named(bench, monkeypatch, package, words):
    if package != "optuna" and words[0] == "run":
        pytest.importorskip("optuna")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == package else True)
    code, _, error = bench(*words)

    assert code == 2
    assert package in error
    assert "pip install" in error


def test_a_report_needs_records(bench):
    pytest.importorskip("matplotlib")
    code, _, error = bench("report", "--records", "nowhere")

    assert code == 2
    assert "bitveil bench run" in error


def test_the_command_is_light():
    code = (
        "import sys, bitveil.cli; "
        "print([n for n in ('optuna', 'matplotlib', 'pandas', 'sklearn') if n in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]", loaded.stderr
