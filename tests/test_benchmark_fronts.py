"""The fronts of the benchmark: choices, areas, intervals, standings, and published figures."""

import numpy as np
import pandas as pd
import pytest

from benchmark_records import against, record
from bitveil.benchmark.document import PageTable
from bitveil.benchmark.fronts import area, area_interval, areas, choice, chosen, done, front
from bitveil.benchmark.intervals import interval
from bitveil.benchmark.methods import METHODS
from bitveil.benchmark.published import PUBLISHED, beside
from bitveil.benchmark.standings import LEVELS, beaten, certified_accuracy, standings
from bitveil.datasets.catalogue import entries

KINDS = ("gap", "attack_gap", "bound")
GRID = np.linspace(0, 0.5, 26).tolist()


def cell_of(random_state, n=12):
    """Configurations with scores at random, on the test rows others than on those to select."""

    rng = np.random.default_rng(random_state)
    rows = [record(*rng.uniform([0.5, 0], [0.9, 0.4]), trial=i) for i in range(n)]
    tested = rng.uniform(0.5, 0.9, n)

    return pd.DataFrame(rows).assign(test_accuracy=tested)


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
    found = certified_accuracy(rows).set_index("level")
    assert (found["certified"] <= found["splits"]).all()
    for level, row in found.iterrows():
        picked = chosen(rows, "bound", level)["test_accuracy"]
        assert len(picked) == row["certified"]
        np.testing.assert_allclose(row["accuracy"], picked.mean())


def test_without_codes_there_is_no_certificate():
    table = done(against(bound=False))

    assert set(certified_accuracy(table)["method"]) == {"bitveil"}
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
    return [block for block in beside(done(records)) if isinstance(block, PageTable)]


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
    assert here["area, certified with FARE's own bound"] == pytest.approx(0.5, abs=0.01)


def test_without_such_records_nothing_published_is_told():
    assert not beside_of([record(0.9, 0.1)])
    assert {p.method for p in PUBLISHED} <= set(METHODS)
    assert {p.dataset for p in PUBLISHED} <= set(entries())
