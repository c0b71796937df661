"""The benchmark: fronts and choices, cells that resume and fail, the report and the command."""

import json
import subprocess
import sys
from functools import partial
from itertools import count

import numpy as np
import pandas as pd
import pytest

from bitveil.benchmark import protocol
from bitveil.benchmark import run as running
from bitveil.benchmark.document import Table, markdown
from bitveil.benchmark.fronts import (
    LEVELS,
    area,
    area_interval,
    areas,
    beaten,
    certified,
    choice,
    chosen,
    done,
    front,
    interval,
    least_certified,
    standings,
)
from bitveil.benchmark.methods import METHODS, Method, Sweep
from bitveil.benchmark.protocol import Source, problem, split
from bitveil.benchmark.published import PUBLISHED, beside
from bitveil.benchmark.report import blocks, write
from bitveil.benchmark.run import Cell, Plan, cells, read
from bitveil.datasets import make_gaussian_groups

KINDS = ("gap", "attack_gap", "bound")
GRID = np.linspace(0, 0.5, 26).tolist()


def record(accuracy, gap, *, method="bitveil", seed=0, trial=0, bound=True, dataset="toy", **more):
    """A record of what its arguments say, on all rows alike."""

    n, right = 1000, round(250 * accuracy)
    counts = [right, 250 - right, 250 - right, right] * 2
    found = {
        **{"dataset": dataset, "method": method, "seed": seed, "trial": trial},
        **{"configurations": 2, "delta": 0.05, "settings": {"gamma": 0.1 * trial + 0.1}},
        **{"date": "2026-01-01", "python": "3", "bitveil": "1", "torch": "2", "numpy": "2"},
        **{"scikit-learn": "1", "seconds": 1.0, "seconds_scoring": 0.5, "seconds_shared": 0.0},
        **{f"rows_{part}": n for part in ("fit", "select", "certify", "test")},
        **{"groups": ["a", "b"], "rows_certify_by_group": [4000, 4000]},
        **{"status": "done", "test_majority": 0.5, "test_attack_family": "linear"},
        **{"test_variation": gap, "test_information_bits": gap**2, "test_neuron_bits": 0.0},
    }
    for part in ("select", "test"):
        for name in ("accuracy", "auc", "impact"):
            found[f"{part}_{name}"] = accuracy
        for name in ("gap", "attack_gap", "true_positive_rate", "false_positive_rate"):
            found[f"{part}_{name}"] = gap
        found[f"{part}_attack_auc"] = 0.5 + gap / 2
        found[f"{part}_counts_linear"] = counts
    if bound:
        found |= {"bound": gap + 0.04, "bound_alone": gap + 0.03}

    return found | more


def cell_of(random_state, n=12):
    """Configurations with scores at random, on the test rows others than on those to select."""

    rng = np.random.default_rng(random_state)
    rows = [record(*rng.uniform([0.5, 0], [0.9, 0.4]), trial=i) for i in range(n)]
    tested = rng.uniform(0.5, 0.9, n)

    return pd.DataFrame(rows).assign(test_accuracy=tested)


def against(method="fcrl", accuracy=0.8, ours=0.7, **more):
    """bitveil and another method, at the same gap, beside no protection."""

    free = [record(0.9, 0.5, method="unprotected", seed=s, bound=False) for s in range(2)]
    mine = [record(ours, 0.05, seed=s) for s in range(2)]

    return [*free, *mine, *(record(accuracy, 0.05, method=method, seed=s, **more) for s in (0, 1))]


# Fronts


@pytest.mark.parametrize("gap", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_larger_gap_never_lowers_what_is_chosen(gap, seed):
    cell = cell_of(seed)
    picked = [c["select_accuracy"] for at in GRID if (c := choice(cell, gap, at)) is not None]

    assert picked == sorted(picked)


@pytest.mark.parametrize("gap", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_front_is_the_test_accuracy_of_every_choice(gap, seed):
    cell = cell_of(seed)
    picked = [choice(cell, gap, level) for level in GRID]

    assert front(cell, gap, GRID).tolist() == [
        0.5 if c is None else c["test_accuracy"] for c in picked
    ]


@pytest.mark.parametrize("gap", KINDS)
def test_the_test_rows_have_no_part_in_a_choice(gap):
    cell = cell_of(0)
    rng = np.random.default_rng(1)
    numbers = [name for name in cell.select_dtypes("number") if name.startswith("test_")]
    other = cell.assign(**{name: rng.permutation(cell[name]) for name in numbers})

    assert not other.equals(cell)
    for level in GRID:
        assert chosen(cell, gap, level)["trial"].tolist() == (
            chosen(other, gap, level)["trial"].tolist()
        )


def test_areas_go_from_the_majority_to_perfection():
    box = {"accuracy": 0.9, "largest": 0.4}
    perfect = pd.DataFrame([record(0.9, 0.0, bound=0)])
    majority = pd.DataFrame([record(0.5, 0.0, bound=0)])
    leaking = pd.DataFrame([record(0.9, 0.41, bound=0)])

    assert area(perfect, "gap", **box) == pytest.approx(1)
    assert area(majority, "gap", **box) == area(leaking, "gap", **box) == 0
    assert area(pd.DataFrame([record(0.9, 0.2)]), "gap", **box) == pytest.approx(0.5, abs=0.01)


def test_there_is_no_area_where_nothing_is_to_be_kept():
    free = pd.DataFrame([record(0.502, 0.4)]).assign(dataset="d", method="free", seed=0)
    useful = free.assign(test_accuracy=0.51, seed=1)

    assert areas(free, unprotected="free").empty
    assert areas(pd.concat([free, useful]), unprotected="free")["splits"].tolist() == [1, 1, 1]


def test_what_is_certified_is_within_its_bound():
    rows = pd.concat([cell_of(seed).assign(seed=seed) for seed in range(3)])

    for level in LEVELS:
        assert (chosen(rows, "bound", level)["bound"] <= level).all()
    found = certified(rows).set_index("level")
    assert (found["certified"] <= found["splits"]).all()
    for level, row in found.iterrows():
        picked = chosen(rows, "bound", level)["test_accuracy"]
        assert len(picked) == row["certified"]
        np.testing.assert_allclose(row["accuracy"], picked.mean())


def test_without_codes_there_is_no_certificate():
    table = done(against(bound=False))

    assert set(certified(table)["method"]) == {"bitveil"}
    kinds = areas(table, unprotected="unprotected").groupby("method")["kind"].agg(set)
    assert "bound" in kinds["bitveil"]
    assert "bound" not in kinds["fcrl"]


def test_the_interval_is_around_the_counts_and_narrows_with_rows():
    counts = np.array([60, 20, 20, 100, 80, 20, 20, 80])
    few = {"test_counts_linear": counts, "test_majority": 0.55}
    many = few | {"test_counts_linear": 100 * counts}
    (low, high), (lower, higher) = interval(few)["accuracy"], interval(many)["accuracy"]

    assert low < lower < 0.8 < higher < high
    assert interval(few)["gap"][0] <= 0.1 <= interval(few)["gap"][1]
    assert interval(many)["gain"] == pytest.approx((0.25, 0.25), abs=0.01)


@pytest.mark.parametrize("gap", KINDS)
def test_the_interval_of_an_area_is_around_it_and_narrows_with_rows(gap):
    rows = [record(accuracy, 0.8 - accuracy, trial=i) for i, accuracy in enumerate((0.6, 0.7))]
    few, box = pd.DataFrame(rows), {"accuracy": 0.9, "largest": 0.4}
    counts = few["test_counts_linear"].map(lambda n: (100 * np.array(n)).tolist())
    many = few.assign(test_counts_linear=counts)
    (low, high), (lower, higher) = (area_interval(c, gap, **box) for c in (few, many))

    assert low < lower < area(few, gap, **box) < higher < high


def test_an_area_without_counts_has_no_interval():
    bare = pd.DataFrame([record(0.9, 0.1)]).drop(columns="test_counts_linear")

    assert np.isnan(area_interval(bare, "gap", accuracy=0.9, largest=0.4)).all()
    assert area_interval(bare, "gap", accuracy=0.9, largest=0.05) == (0, 0)


def test_always_the_majoritys_answer_gains_nothing_for_sure():
    for label, counts in enumerate(([70, 0, 30, 0], [0, 30, 0, 70])):
        always = {"test_counts_linear": counts, "test_majority": 0.7}
        assert interval(always)["gain"] == (0, 0), label
        assert interval(always)["accuracy"][0] < 0.7


def test_where_others_are_higher_is_found_once_each():
    stands = standings(done(against(accuracy=0.8, ours=0.7)), unprotected="unprotected")
    found = beaten(stands, ["bitveil"])

    assert set(found["method"]) == {"fcrl"}
    assert set(found["kind"]) == set(KINDS)
    assert not found.duplicated(["dataset", "kind", "level"]).any()
    assert beaten(stands, ["fcrl"]).empty
    assert beaten(stands, ["bitveil", "fcrl"]).empty


@pytest.mark.parametrize(("spread", "clear"), [(0.0, True), (0.04, True), (0.06, False)])
def test_a_difference_is_clear_beyond_both_spreads(spread, clear):
    """Another method is 0.1 above ours; each has this standard deviation over two splits."""

    rows = [
        record(accuracy + sign * spread, 0.05, method=method, seed=seed)
        for method, accuracy in (("bitveil", 0.7), ("fcrl", 0.8))
        for seed, sign in enumerate((-1, 1))
    ]
    found = beaten(standings(done(rows), unprotected="unprotected"), ["bitveil"])

    assert found["all"].all()
    assert (found["clear"] == clear).all()


def test_a_number_that_is_there_beats_one_that_is_not():
    table = done([record(0.9, 0.3), record(0.6, 0.0, method="tree")])
    found = beaten(standings(table, unprotected="unprotected"), ["bitveil"])

    assert found["level"].max() < 0.3
    assert found["all"].all()
    assert found["clear"].all()


def test_what_bitveil_has_no_number_for_is_clear():
    table = done([record(0.9, 0.3, bound=False), record(0.6, 0.0, method="tree")])
    found = beaten(standings(table, unprotected="unprotected"), ["bitveil"])

    assert found.loc[found["kind"] == "bound", "clear"].all()
    assert (found["kind"] == "bound").any()


# Beside published figures


def beside_of(records):
    return [block for block in beside(done(records)) if isinstance(block, Table)]


def test_published_figures_stand_beside_the_same_score_of_the_records():
    counts = [40, 10, 10, 40, 50, 0, 20, 30]  # accuracy 160 of 200, rates 0.5 and 0.3
    free = record(0.8, 0.2, method="unprotected", dataset="adult", test_counts_mlp=counts)
    (table,) = beside_of([free, record(0.8, 0.1, dataset="adult")])

    assert {row[0] for row in table.rows} == {METHODS["unprotected"].title}
    here = {row[2]: row[4] for row in table.rows}
    assert here == {"accuracy of a network": "0.800", "parity gap of a network": "0.200"}


def test_a_trees_own_bound_makes_its_own_area():
    free = record(0.9, 0.4, method="unprotected", dataset="heritage")
    tree = record(0.9, 0.1, method="tree", dataset="heritage", bound_fare=0.2)
    (table,) = beside_of([free, tree])
    here = {row[2]: float(row[4]) for row in table.rows if row[0] == METHODS["tree"].title}

    assert here["area, classifiers"] == pytest.approx(0.75, abs=0.01)
    assert here["area, certified by FARE's own bound"] == pytest.approx(0.5, abs=0.01)


def test_without_such_records_nothing_published_is_told():
    assert not beside_of([record(0.9, 0.1)])
    assert {p.method for p in PUBLISHED} <= set(METHODS)
    assert {p.dataset for p in PUBLISHED} <= set(protocol.DATASETS)


# Splits and cells


@pytest.mark.parametrize("seed", range(3))
def test_a_split_shares_out_each_group_once(seed):
    s = np.random.default_rng(seed).integers(0, 3, 700)
    parts = split(s, seed)

    assert sorted(np.concatenate(list(parts.values()))) == list(range(700))
    for group in range(3):
        for name, share in protocol.SHARES.items():
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
    monkeypatch.setattr(protocol, "DATASETS", {"toy": Source(load, "group")})
    monkeypatch.setattr(protocol, "FAMILIES", ("linear",))
    sweep = Sweep("strength", 1, 100)
    monkeypatch.setitem(METHODS, "toy", Method("a toy", Toy, sweep, {"column": [0, 1]}))
    monkeypatch.setitem(METHODS, "broken", Method("broken", Broken, sweep, {"column": [0, 1]}))
    yield
    running._problem.cache_clear()


def ran(folder, plan, *methods):
    pytest.importorskip("optuna")
    return dict(running.run(cells(["toy"], methods, [0]), folder, plan))


def lasting(records):
    """Records without what differs from day to day."""

    return [{k: v for k, v in r.items() if k[:7] != "seconds" and k != "date"} for r in records]


def test_the_rows_of_the_parts_are_all_there_are(toys):
    some, other = problem("toy", 0), problem("toy", 1)

    assert sum(map(len, some.parts.values())) == 600
    np.testing.assert_array_equal(some["test"].y, other["test"].y)
    assert some["fit"].X.shape[1] == 2
    assert protocol.group_sizes("toy") == (600, np.bincount(
        np.concatenate([some[part].s for part in protocol.SHARES])
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
    assert lasting(read(tmp_path / "cut")) == lasting(whole)
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


# The report


def said(records):
    return markdown("T", list(blocks(records)))


def losses(records):
    """The table of what others do better."""

    text = said(records).split("## Where a baseline is better")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| toy")]


def test_the_report_shows_where_bitveil_loses():
    shown = losses(against(accuracy=0.8, ours=0.7))

    assert any("area, certified" in line and "FCRL" in line for line in shown)
    assert any("accuracy at certified ≤ 0.10 | 70.00 | **FCRL 80.00**" in line for line in shown)
    assert any("accuracy at worst attacker ≤ 0.05" in line for line in shown)
    assert not losses(against(accuracy=0.6, ours=0.7))


def test_the_report_compares_the_tree_by_its_own_bound_too():
    records = against("tree", 0.6, 0.7, bound_fare=0.06)
    shown = losses(records)

    assert [line.split(" | ")[1] for line in shown] == [
        "accuracy at certified, trees by FARE's own bound, ≤ 0.08"
    ]
    assert "FARE-style tree; FARE's own bound, not corrected" in said(records)


def test_the_highest_that_competes_is_bold():
    records = against(accuracy=0.8, ours=0.7) + [
        record(0.85, 0.05, method="ceiling", seed=s, bound=False) for s in (0, 1)
    ]
    text = said(records)

    assert "| FCRL | – | – | – | **80.0 ± 0.0** |" in text
    assert "| ceiling: one bit made for this target † | – | 85.0 ± 0.0 |" in text


def test_splits_that_are_not_certified_are_counted():
    records = [record(0.7, 0.05), record(0.7, 0.4, seed=1), *against()[:2]]

    assert "| bitveil, exact | – | – | – | 70.0 (1 of 2) |" in said(records)


def test_the_report_says_what_these_rows_cannot_certify():
    records = against(rows_certify_by_group=[400, 300])
    for r in records:
        r["rows_certify_by_group"] = [400, 300]
    least = least_certified(done(records))["all"].iloc[0]

    assert f"no gap below {np.floor(1e4 * least) / 1e4:.4f} can be certified" in said(records)


def test_failures_and_what_is_missing_are_told():
    failed = {
        **{k: v for k, v in record(0.5, 0.1, method="cvib").items() if "_" not in k},
        **{"status": "failed", "error": "ValueError('a | b')", "seconds_scoring": 0.0},
    }
    text = said([*against(), failed])

    assert r"| toy | ICVAE / CVIB | failed | `ValueError('a \| b')` | 1 |" in text
    assert "toy, ICVAE / CVIB: no split 1" in text
    assert "toy, ICVAE / CVIB, split 0: 1 of 2 configurations" in text


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of them done"):
        write([{"status": "failed"}], tmp_path)


def test_the_same_records_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    records = [r for r in against("paper") if r["seed"] == 0]
    for name in ("one", "two"):
        write(records, tmp_path / name)
    one, two = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())}
        for name in ("one", "two")
    )

    assert one == two
    assert len(one) == 5
    page = one["report.html"].decode()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<img ") == 3


def test_text_of_records_cannot_become_markup():
    text = markdown("T", [Table(("a|b",), (("x\ny",),))])

    assert r"| a\|b |" in text
    assert "| x y |" in text


# The command


@pytest.fixture
def bench(command_line, monkeypatch, tmp_path):
    """Run `bitveil bench` in a folder of its own: its exit code, output and errors."""

    monkeypatch.chdir(tmp_path)

    return partial(command_line, "bench")


def test_list_names_all(bench):
    code, out, _ = bench("list", "--no-rows")

    assert code == 0
    for name in [*protocol.DATASETS, *METHODS]:
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
    from bitveil.benchmark import command

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
