"""The benchmark: cells that resume and fail, the report and the command."""

import json
import subprocess
import sys
from functools import partial
from itertools import count

import numpy as np
import pytest

from benchmark_records import against, record
from bitveil.benchmark import protocol, scoring
from bitveil.benchmark import run as running
from bitveil.benchmark.document import Figure, PageTable, markdown
from bitveil.benchmark.fronts import done
from bitveil.benchmark.methods import METHODS, Method, Sweep
from bitveil.benchmark.overview import draw_overview
from bitveil.benchmark.protocol import problem, split
from bitveil.benchmark.report import pages, write
from bitveil.benchmark.run import Cell, Plan, cells, read_results
from bitveil.benchmark.standings import least_certified
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


# The report


def said(records):
    return "".join(markdown(page.title, page.blocks) for page in pages(records))


def losses(records):
    """The table of what others do better, on the last page."""

    text = markdown("T", pages(records)[-1].blocks)
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
        "accuracy at certified, trees with FARE's own bound, ≤ 0.08"
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
    with pytest.raises(ValueError, match="none of them finished"):
        write([{"status": "failed"}], tmp_path)


def test_the_same_records_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    records = [r for r in against("paper") if r["seed"] == 0]
    for name in ("one", "two"):
        write(records, tmp_path / name)
    one, two = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("one", "two")
    )

    assert one == two
    assert sorted(one) == [
        *("benchmark.md", "losses.md", "overview.svg", "protocol.md", "report.html"),
        *("toy-attack.svg", "toy-certified.svg", "toy-classifiers.svg", "toy.md"),
    ]
    page = one["report.html"].decode()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<img ") == 4


def test_every_data_set_has_a_page_and_the_losses_come_last():
    found = pages([*against(), *(r | {"dataset": "other"} for r in against())])

    assert [page.name for page in found] == ["benchmark", "other", "toy", "protocol", "losses"]
    for page in found[1:3]:
        text = markdown(page.title, page.blocks)
        (another,) = {"toy", "other"} - {page.title}
        assert f"## {page.title}: certified" in text
        assert f"{another}: " not in text


def test_the_overview_has_one_figure_and_one_table():
    records = against("paper", accuracy=0.8, ours=0.7)
    overview = pages(records)[0]
    (table,) = [block for block in overview.blocks if isinstance(block, PageTable)]

    assert sum(isinstance(block, Figure) for block in overview.blocks) == 1
    assert table.head[0] == "data set"
    assert table.head[-1] == "no protection"
    (row,) = table.rows
    assert dict(zip(table.head, row, strict=True)) == {
        **{"data set": "toy", "majority class": "50.0", "bitveil, exact": "70.0"},
        **{"information of single neurons": "**80.0**", "no protection": "90.0"},
    }


def test_an_overview_of_codes_that_nothing_certifies():
    records = [record(0.7, 0.5), record(0.9, 0.5, method="unprotected", bound=False)]
    (table,) = [block for block in pages(records)[0].blocks if isinstance(block, PageTable)]

    assert table.rows == (("toy", "50.0", "–", "90.0"),)


def test_an_overview_without_bounds_or_protection_still_says_what_it_has():
    (table,) = [
        block
        for block in pages([record(0.7, 0.1, method="fcrl", bound=False)])[0].blocks
        if isinstance(block, PageTable)
    ]

    assert table.rows == (("toy", "50.0", "–"),)


def test_the_overview_draws_a_panel_for_each_data_set():
    pytest.importorskip("matplotlib")
    other = [r | {"dataset": "other"} for r in against("paper")]
    drawing = draw_overview(done([*against("paper"), *other]))
    panels = [axes for axes in drawing.axes if axes.get_title(loc="left")]

    assert [axes.get_title(loc="left") for axes in panels] == ["other", "toy"]
    for axes in panels:
        heights = [line.get_ydata() for line in axes.lines]
        assert any(np.allclose(y, 0.5) for y in heights)  # the majority class
        assert any(np.allclose(y, 0.9) for y in heights)  # no protection
        assert any(np.nanmax(y) == pytest.approx(0.8) for y in heights)  # the paper


def test_text_of_records_cannot_become_markup():
    text = markdown("T", [PageTable(("a|b",), (("x\ny",),))])

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
