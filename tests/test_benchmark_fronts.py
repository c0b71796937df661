"""The fronts of the benchmark: blanks, choices, standings, and published figures."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

from benchmark_records import SLACK, against, record
from bitveil.benchmark.document import PageTable
from bitveil.benchmark.fronts import choices, done, most_accurate, reached
from bitveil.benchmark.methods import METHODS
from bitveil.benchmark.published import PUBLISHED, beside
from bitveil.benchmark.standings import COMPARED, LEVELS, ahead, best_first, means, standings
from bitveil.datasets.catalogue import entries
from bitveil.information import mutual_information, total_variation

KINDS = ("certified", "attack_gap", "gap", "variation")
GRID = np.linspace(0, 0.5, 26).tolist()
ALL_ROWS = 1.0  # a level at which all rows have a code


def cell_of(random_state, n=12, **more):
    """Configurations with scores at random, alike on all rows."""

    rng = np.random.default_rng(random_state)

    return done([record(*rng.uniform([0.5, 0], [0.9, 0.4]), trial=i, **more) for i in range(n)])


def with_luck(cell, random_state=0):
    """The same configurations, with other scores on the rows to certify and to test."""

    rng = np.random.default_rng(random_state)
    gap = rng.uniform(0.01, 0.4, len(cell))

    return cell.assign(
        certify_variation=gap, bound_alone=gap + SLACK, test_gap=gap, test_attack_gap=gap,
        test_variation=gap, test_accuracy=rng.uniform(0.5, 0.9, len(cell)),
    )  # fmt: skip


# Blanks


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_blanks_make_all_scores_as_much_smaller(share):
    """A code with blanks has one more code: its own table gives all scores."""

    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.full(2 * 2 * 4, 0.5)).reshape(2, 2, 4)  # group, target, code
    seen = share * joint
    with_blank = np.concatenate([seen, (1 - share) * joint.sum(2, keepdims=True)], 2)
    scores = {name: _scores(table) for name, table in (("code", joint), ("blank", with_blank))}
    of_code, of_blank = scores["code"], scores["blank"]
    counts = (1e9 * np.stack([joint.sum(2), 0 * joint.sum(2)], 2)).round().ravel()
    one = joint.sum((0, 2)).argmax()
    found = record(of_code["accuracy"], 0.0, test_majority=joint.sum((0, 2))[one]) | {
        "select_counts_linear": counts, "test_counts_linear": counts,
        "test_variation": of_code["variation"], "test_task_bits": of_code["task_bits"],
        "test_log_loss": of_code["log_loss"], "select_attack_gap": 1.0, "test_attack_gap": 1.0,
        "select_accuracy": 1.0,
    }  # fmt: skip
    row = reached(done([found]), "attack_gap", [share]).iloc[0]

    assert row["share"] == share
    for name, value in of_blank.items():
        assert row[name] == pytest.approx(value, abs=1e-6), name


def _scores(joint):
    """The scores of the best answers, from probabilities over (group, target, code)."""

    by_code, by_target = joint.sum(0), torch.from_numpy(joint.sum(0))
    posterior = by_code / np.maximum(by_code.sum(0), 1e-300)
    majority = joint.sum((0, 2)).argmax()
    answers = np.where(np.arange(joint.shape[2]) == 4, majority, posterior.argmax(0))

    return {
        "accuracy": by_code[answers, np.arange(joint.shape[2])].sum(),
        "log_loss": -(by_code * np.log(np.maximum(posterior, 1e-300))).sum(),
        "task_bits": float(mutual_information(by_target)) / np.log(2),
        "variation": float(total_variation(torch.from_numpy(joint.sum(1)))),
    }


def test_the_majoritys_answer_has_the_scores_of_its_rows():
    """On the rows to select another answer may be right more often than on the test rows."""

    rng = np.random.default_rng(0)
    s, y = rng.integers(2, size=(2, 400))
    select, test = np.minimum(y, rng.integers(2, size=400)), y
    counts = {
        f"{part}_counts_linear": np.bincount(4 * s + 2 * some, minlength=8).tolist()
        for part, some in (("select", select), ("test", test))
    }
    (row,) = done([record(0.6, 0.1, test_majority=test.mean()) | counts]).to_dict("records")

    assert row["select_majority"] == pytest.approx(select.mean())
    assert row["test_entropy"] == pytest.approx(log_loss(test, np.full(400, test.mean())))


# Choices


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_choice_is_the_best_of_all_by_the_rows_to_select(kind, seed):
    """Compared with a loop over all configurations, in plain numbers."""

    cell = with_luck(cell_of(seed), seed)
    places, shares = choices(cell, kind, GRID)
    rows = cell.to_dict("records")
    of = {"certified": "variation", "variation": "variation", "gap": "gap"}.get(kind, "attack_gap")
    limited = "bound_alone" if kind == "certified" else f"test_{of}"
    for level, place, share in zip(GRID, places, shares, strict=True):
        gains = []
        for row in rows:
            gap = row[f"select_{of}"] + (SLACK if kind == "certified" else 0)
            gains.append(min(1, level / gap) * (row["select_accuracy"] - 0.5))
        assert gains[place] == pytest.approx(max(gains))
        assert share == pytest.approx(min(1, level / rows[place][limited]) if level else 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_larger_gap_never_lowers_a_front_that_selects_without_luck(kind, seed):
    front = reached(cell_of(seed), kind, GRID)["accuracy"]

    assert (np.diff(front) >= -1e-12).all()
    assert front.iloc[0] == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_above_all_gaps_a_front_is_the_plain_accuracy(kind):
    cell = with_luck(cell_of(0))
    row = reached(cell, kind, [ALL_ROWS]).iloc[0]
    best = most_accurate(cell).iloc[0]

    assert row["share"] == 1
    assert row["accuracy"] == best["test_accuracy"] != cell["test_accuracy"].max()


@pytest.mark.parametrize(
    ("kind", "gap"), [("certified", "bound"), *((kind, kind) for kind in KINDS[1:])]
)
def test_with_some_blanks_the_gap_is_exactly_the_level(kind, gap):
    found = reached(with_luck(cell_of(1)), kind, GRID)
    some, all_rows = found[found["share"] < 1], found[found["share"] == 1]

    np.testing.assert_allclose(some[gap], some["level"])
    assert (all_rows[gap] <= all_rows["level"]).all()
    assert len(some) > 2
    assert len(all_rows) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_better_encoder_is_ahead_at_every_level(kind):
    mine, other = cell_of(2), cell_of(2)
    for part in ("select", "test"):
        mine[f"{part}_accuracy"] += 0.01
    fronts = [reached(cell, kind, GRID[1:])["accuracy"] for cell in (mine, other)]

    assert (fronts[0] > fronts[1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_that_leaks_less_is_ahead_until_all_rows_have_one(kind):
    fronts = [reached(done([record(0.8, g)]), kind, [0.05, 0.1, 0.6]) for g in (0.2, 0.4)]
    one, other = (front["accuracy"].to_numpy() for front in fronts)

    assert (one[:2] > other[:2]).all()
    assert one[2] == other[2] == 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accuracy", [0.4, 0.5])
def test_a_code_without_gain_on_the_rows_to_select_is_not_published(kind, accuracy):
    row = reached(done([record(accuracy, 0.0, test_accuracy=0.9)]), kind, [0.1]).iloc[0]

    assert row["share"] == row["variation"] == row["gain"] == 0
    assert row["accuracy"] == 0.5
    assert row["log_loss"] == pytest.approx(np.log(2))
    assert np.isnan(row[["auc", "attack_auc"]].to_numpy(float)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_rows_to_select_choose(kind):
    cell = cell_of(0)
    places = [choices(with_luck(cell, seed), kind, GRID).places.tolist() for seed in range(3)]

    assert places[0] == places[1] == places[2]


def test_the_number_of_configurations_does_not_change_a_certificate():
    """The corrected bound has no part: a configuration is certified alone."""

    row, many = record(0.8, 0.1), record(0.8, 0.1, bound=0.9, configurations=900)
    one, other = (reached(done([each]), "certified", LEVELS)["accuracy"] for each in (row, many))

    assert one.tolist() == other.tolist()


def test_a_fit_with_its_own_goal_is_taken_as_it_is():
    fits = [
        record(accuracy, 0.01, bound_alone=goal - 0.001, own_goal=goal, share=0.8)
        for accuracy, goal in ((0.8, 0.05), (0.6, 0.10), (0.7, 0.20))
    ]
    found = reached(done(fits), "certified", [0.03, 0.05, 0.07, 0.10, 0.15, 0.20])

    assert found["accuracy"].tolist() == [0.5, 0.8, 0.8, 0.6, 0.6, 0.7]  # whatever is better
    assert found["share"].tolist() == [0, 0.8, 0.8, 0.8, 0.8, 0.8]  # its own blanks


def test_a_goal_that_was_missed_is_not_claimed():
    (row,) = reached(
        done([record(0.8, 0.1, bound_alone=0.2, own_goal=0.1)]), "certified", [0.1]
    ).to_dict("records")

    assert row["bound"] == pytest.approx(0.1)
    assert row["accuracy"] == pytest.approx(0.65)


def test_without_codes_there_is_no_certificate_and_no_variation():
    table = done(against(bound=False))

    for kind in KINDS:
        there = {"bitveil"} if kind in ("certified", "variation") else set(table["method"])
        assert set(reached(table, kind, LEVELS)["method"]) == there
    assert reached(table[table["method"] == "fcrl"], "certified", LEVELS).empty


def test_a_cell_with_one_configuration_without_a_bound_uses_the_others():
    rows = done([record(0.9, 0.1, bound=False), record(0.7, 0.1, trial=1)])
    row = reached(rows, "certified", [0.13]).iloc[0]

    assert row["accuracy"] == 0.7


def test_fares_own_bound_dilutes_the_same_trees_more():
    tree = done([record(0.8, 0.05, method="tree", bound_fare=0.20)])
    ours, fare = (reached(tree, kind, [0.10]).iloc[0] for kind in ("certified", "fare"))

    assert ours["share"] == 1
    assert fare["share"] == pytest.approx(0.5)
    assert fare["accuracy"] == pytest.approx(0.65)


# Standings


def test_numbers_are_means_over_splits():
    rows = [record(accuracy, 0.0, seed=seed) for seed, accuracy in enumerate((0.6, 0.7, 0.9))]
    (row,) = means(reached(done(rows), "gap", [0.1])).to_dict("records")

    assert row["value"] == pytest.approx(2.2 / 3)
    assert row["sd"] == pytest.approx(np.std([0.6, 0.7, 0.9], ddof=1))
    assert row["splits"] == 3


def test_where_others_are_ahead_is_found_once_each():
    stands = standings(done(against(accuracy=0.8, ours=0.7)))
    found = ahead(stands, ["bitveil"])

    assert set(found["kind"]) == set(COMPARED)
    assert set(found.loc[found["kind"] == "certified", "method"]) == {"fcrl"}
    assert not found.duplicated(["dataset", "kind", "level", "method"]).any()
    assert not set(ahead(stands, ["fcrl"])["method"]) & {"bitveil"}
    assert ahead(standings(done(against(accuracy=0.7, ours=0.7))), ["bitveil"]).empty


def test_who_is_ahead_of_one_form_only_is_not_ahead():
    rows = [*against(accuracy=0.8, ours=0.7), record(0.9, 0.0, method="bitveil-raw")]
    stands = standings(done(rows))

    assert ahead(stands, ["bitveil", "bitveil-raw"]).empty


@pytest.mark.parametrize(("spread", "clear"), [(0.0, True), (0.03, True), (0.05, False)])
def test_a_difference_is_clear_beyond_both_spreads(spread, clear):
    """Another method is 0.1 above ours. Two splits that far from their mean: √2 times as much."""

    rows = [
        record(accuracy + sign * spread, 0.0, method=method, seed=seed)
        for method, accuracy in (("bitveil", 0.7), ("fcrl", 0.8))
        for seed, sign in enumerate((-1, 1))
    ]
    found = ahead(standings(done(rows), [0.1]), ["bitveil"])

    assert set(found["kind"]) == set(COMPARED)
    assert (found["clear"] == clear).all()


def test_single_splits_are_never_clear():
    rows = [record(0.9, 0.0, method="tree"), record(0.6, 0.0)]
    found = ahead(standings(done(rows)), ["bitveil"])

    assert len(found) == len(COMPARED) * len(LEVELS)
    assert not found["clear"].any()


def test_what_bitveil_has_no_number_for_is_clear():
    rows = [record(0.9, 0.3, bound=False), record(0.6, 0.0, method="tree")]
    found = ahead(standings(done(rows)), ["bitveil"])
    certified = found[found["kind"] == "certified"]

    assert len(certified) == len(LEVELS)
    assert certified["clear"].all()
    assert certified["best"].isna().all()


def test_the_best_stand_first_and_those_that_do_not_compete_last():
    gains = {"tree": (0.1, 0.4), "bitveil": (0.2, 0.4), "fmc": (0.3, 0.1), "reduction": (0.9, 0.9)}
    found = pd.DataFrame(
        [
            (m, level, g)
            for m, both in gains.items()
            for level, g in zip((0.1, 0.2), both, strict=True)
        ],
        columns=["method", "level", "gain"],
    )

    assert best_first(found) == ["bitveil", "tree", "fmc", "reduction"]


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


def test_without_such_records_nothing_published_is_told():
    assert not beside_of([record(0.9, 0.1)])
    assert {p.method for p in PUBLISHED} <= set(METHODS)
    assert {p.dataset for p in PUBLISHED} <= set(entries())
