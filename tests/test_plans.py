"""Plans: what they promise is what a fit of the same rows finds, and what its certificate says."""

import json

import numpy as np
import pandas as pd
import pytest

from bitveil.certificates import (
    EQUALISED_ODDS_GAP,
    UncertifiableError,
    groups_in_the_way,
    least_bound,
    least_gap,
    least_gap_within,
)
from bitveil.columns.attribute import Attribute
from bitveil.estimators import InvariantEncoder
from bitveil.plans import plan, plan_of_sizes
from bitveil.rows import certified_share
from builders import quick


def rows(n=401, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    X = rng.normal(size=(n, 2))

    return X, (X[:, 0] + 0.3 * rng.normal(size=n) > 0.3).astype(int), s


@pytest.mark.parametrize("criterion", ["independence", "separation", "equal_opportunity"])
def test_the_rows_that_certify_are_those_of_a_fit(criterion):
    X, y, s = rows()
    planned = plan(s, y, criterion=criterion)
    model = quick(InvariantEncoder, 1, epochs=1, criterion=criterion, max_gap=0.9)
    model.fit(X, y, sensitive_features=s)

    assert model.certificate_.sizes == tuple(planned.held_out.ravel().tolist())
    assert model.certificate_.quantity == planned.quantity


@pytest.mark.parametrize("draws", ["certain", "hard"])
def test_a_fit_refuses_what_the_plan_rules_out_and_not_what_it_allows(draws):
    X, y, s = rows()
    least = plan(s).least(draws)
    ids = range(len(s)) if draws == "certain" else None
    one_code = {"epochs": 1, "strength": None, "on_unmet": "raise"}

    def fit(goal):
        model = quick(InvariantEncoder, 1, max_gap=goal, **one_code)
        return model.fit(np.zeros_like(X) + range(2), y, sensitive_features=s, ids=ids)

    with pytest.raises(UncertifiableError, match="even a code that reveals nothing"):
        fit(least - 1e-3)
    if draws == "certain":  # rows of one content get one code, which reveals nothing
        assert fit(least + 0.05).certificate_.bound <= least + 0.05


def test_the_least_gap_is_that_of_the_certificates():
    sizes = np.array([[300, 200, 40], [100, 90, 60]])
    y, s = (np.repeat(each, sizes.ravel()) for each in zip(*np.ndindex(2, 3), strict=True))
    found = plan(s, y, criterion="separation", share=1)

    assert found.held_out.tolist() == sizes.tolist()
    for draws in ("soft", "hard", "certain"):
        exact = least_bound(sizes, EQUALISED_ODDS_GAP, draws=draws)
        assert found.least(draws) == pytest.approx(exact, abs=1e-9)
    assert plan(s, share=1).least("soft") == least_gap(sizes.sum(0).tolist())


@pytest.mark.parametrize("draws", ["soft", "hard"])
@pytest.mark.parametrize("gap", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("share", [None, 1.0, 0.25])
def test_the_rows_needed_are_enough_and_hardly_more(gap, share, draws):
    shares = np.array([0.7, 0.2, 0.1])
    needed = plan_of_sizes([70, 20, 10], share=share).needed(gap, draws)

    def least(n):
        return plan_of_sizes((n * shares).astype(int).tolist(), share=share).least(draws)

    assert least(round(1.02 * needed) + 20) <= gap
    smaller = round(0.97 * needed)
    crossed = certified_share(smaller) != certified_share(needed) and share is None
    assert least(smaller) > gap or crossed


def test_the_rows_needed_of_each_group_are_enough():
    each = plan_of_sizes([9, 9000, 400]).needed_each(0.05)

    assert plan_of_sizes([each + 1] * 3).least() <= 0.05
    assert plan_of_sizes([round(0.96 * each)] * 3).least() > 0.05


def test_beyond_a_million_rows_all_but_the_sample_certify():
    found = plan_of_sizes([3_000_000, 1_000_000, 300])

    assert found.held_out.sum() == pytest.approx(3_000_300, abs=200)
    assert found.held_out[0, 2] == 150  # half of a rare group stays in the sample


def test_groups_in_the_way_are_those_without_which_a_goal_is_possible():
    sizes = [[1000, 6, 900, 60, 14]]

    assert groups_in_the_way(sizes, goal=0.06) == [1, 4, 3]
    assert groups_in_the_way(sizes, goal=0.9) == groups_in_the_way(sizes)
    without = least_gap_within([[1000, 900, 60]])
    assert without <= 0.5 * least_gap_within(sizes) < least_gap_within([[1000, 900, 60, 14]])
    assert groups_in_the_way(sizes) == [1, 4]
    assert groups_in_the_way([[500, 400, 300]]) == groups_in_the_way([[9, 1]]) == []


def test_joining_gives_what_the_plan_of_joined_groups_gives():
    s = ["a"] * 900 + ["b"] * 800 + ["c"] * 30 + ["d"] * 28 + ["e"] * 21
    before = plan(s)
    advice = before.joining()
    after = plan(Attribute(pd.Series(s), advice.join_rare))

    assert (advice.groups, advice.join_rare) == (("e", "d", "c"), 31)
    assert advice.least <= before.least() / 2
    enough = before.joining(0.35)
    assert (enough.groups, enough.join_rare) == (("e", "d"), 29)
    assert plan(Attribute(pd.Series(s), 29)).least() <= 0.35 < before.least()
    assert after.least() == pytest.approx(advice.least, abs=0.02)
    assert plan_of_sizes([500, 500, 500]).joining() is None
    assert plan_of_sizes([500, 5]).joining() is None


def test_a_group_without_rows_to_certify_certifies_nothing():
    found = plan(["a"] * 30 + ["b"] * 30 + ["c"])

    assert found.held_out.tolist() == [[15, 15, 1]]
    y = [0, 1] * 30 + [1]
    none = plan(["a"] * 30 + ["b"] * 30 + ["c"], y, criterion="separation")
    assert none.least() == 1
    with pytest.raises(ValueError, match=r"a group has no rows.*\['c'\]"):
        none.needed(0.1)


def test_blanks_can_reach_any_goal_in_proportion():
    found = plan_of_sizes([400, 400])

    assert found.share_of_codes(found.least() / 4) == pytest.approx(0.25)
    assert found.share_of_codes(0.9) == 1


def test_the_command_says_what_the_plan_says(bitveil, place, table):
    words = ("plan", "people.csv", "--sensitive", "sex", "--target", "hired", "--max-gap", "0.1")
    words = (*words, "--criterion", "separation", "--delta", "0.1", "--json")
    found = json.loads(bitveil(*words)[1])
    planned = plan(table["sex"], table["hired"], criterion="separation", delta=0.1)

    assert found["schema"] == "bitveil.plan/1"
    assert found["rows_certifying"] == planned.held_out.tolist()
    assert found["with_ids"]["least_gap"] == planned.least()
    assert found["without_ids"]["rows_needed"] == planned.needed(0.1, "hard")
    assert found["share_of_codes"] == planned.share_of_codes(0.1)
    assert (found["quantity"], found["targets"]) == ("equalised odds gap", ["no", "yes"])


def test_the_command_names_groups_in_the_way_and_what_joining_gives(bitveil, place, table):
    s = ["a"] * 200 + ["b"] * 150 + ["c"] * 30 + ["d"] * 12 + ["e"] * 8
    table.assign(ward=s).to_csv("wards.csv", index=False)
    words = ("plan", "wards.csv", "--sensitive", "ward")
    out = " ".join(bitveil(*words, "--max-gap", "0.05")[1].split())
    joined = " ".join(bitveil(*words, "--join-rare", "40")[1].split())

    assert "a: 200; b: 150; c: 30; d: 12; e: 8" in out
    assert "e (8 rows, 4 certify); d (12 rows, 6 certify)" in out
    assert "--join-rare 31 makes one group of e; d; c: 0.2316" in out
    assert "a gap of 0.05, rows with ids needs about" in out
    assert "with probability ≥ 0.95. No goal below it can be met for every row" in out
    assert "other (joined): 50" in joined


def test_the_command_needs_no_table(bitveil):
    code, out, _ = bitveil("plan", "--rows", "800,1200", "--max-gap", "0.05", "--share", "1")
    said = " ".join(out.split())

    assert code == 0
    assert "100% of 2,000, as --share says: group 1: 800; group 2: 1,200" in said
    assert f"smallest gap, rows with ids {least_gap([800, 1200], draws='certain'):.4f}" in said
    assert "these rows can certify it, if the code reveals little enough" in said


def test_a_plan_reads_large_sources_and_several_columns(bitveil, place, table):
    (place / "parts").mkdir()
    for part in range(2):
        table[200 * part :][:200].to_csv(f"parts/{part}.csv", index=False)
    words = ("--sensitive", "sex", "--sensitive", "size", "--json")

    assert json.loads(bitveil("plan", "parts", *words)[1]) == json.loads(
        bitveil("plan", "people.csv", *words)[1]
    )
