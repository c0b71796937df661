import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import brute
from bitveil.blocks import information_given_others, most_revealing
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    QUANTITIES,
    Interval,
    certify,
    lower_bound,
    slack,
)
from bitveil.group_tables import GroupTables
from bitveil.tables import joint_table
from certificate_laws import DELTA, certain, certified, truth_of
from populations import leaning, sure

# The information with a prior of its own: these worlds have groups of other sizes.
UNIFORM = replace(INFORMATION, prior="uniform")
SIDES = [UNIFORM if quantity == INFORMATION else quantity for quantity in QUANTITIES]
ids = [quantity.name.replace(" ", "-") for quantity in SIDES]
every_side = pytest.mark.parametrize("quantity", SIDES, ids=ids)


def violations(quantity, population, sizes, delta=DELTA, worlds=300):
    truth = truth_of(quantity, population, sizes)
    fixed = population.tables(sizes, draws="hard", seed=1, worlds=worlds)
    scored = population.tables(sizes, draws="hard", seed=2, worlds=worlds)
    found = [
        certain(quantity, a, b, delta=delta, draws="hard")
        for a, b in zip(fixed, scored, strict=True)
    ]
    return np.mean([value > truth + 1e-12 for value in found])


@every_side
@pytest.mark.parametrize("lean", [0.0, 1.0, 3.0], ids=["fair", "leaning", "leaky"])
def test_a_lower_bound_is_too_large_with_probability_delta_at_most(quantity, lean):
    assert violations(quantity, leaning(lean, k=3, targets=2), [[200, 150, 100]] * 2) <= DELTA


@pytest.mark.parametrize("quantity", SIDES[:-1], ids=ids[:-1])
def test_a_lower_bound_without_its_slack_is_caught(quantity):
    # One sure bit: the classifier is the best one, and half of the time scored too well.
    population = sure(
        [[0.5, 0.5], [0.3, 0.7]] if quantity == EQUALISED_ODDS_GAP else [[0.3, 0.7]] * 2
    )
    sizes = [[1000, 1000]] * 2

    assert violations(quantity, population, sizes) <= DELTA
    assert violations(quantity, population, sizes, delta=1 - 1e-9) > 0.3


@every_side
def test_both_bounds_are_close_to_the_truth(quantity):
    population = leaning(3.0, k=2, targets=2)
    sizes = [[100_000, 100_000]] * 2
    truth = truth_of(quantity, population, sizes)
    tables = population.tables(sizes, seed=1, worlds=2)
    found = Interval(certain(quantity, *tables), certified(quantity, tables[0]))

    assert found.least <= truth <= found.certificate.bound
    assert str(found).endswith("each bound with probability ≥ 0.95")
    if (
        quantity.unit != "bits"
    ):  # whose sides are Pinsker's and the overlap's: no closer than these
        assert found.certificate.bound - found.least < 0.03


def test_an_interval_says_what_it_is_about():
    table = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
    found = Interval(lower_bound(table, table, delta=0.1), certify(table), delta=0.1)

    assert str(found) == (
        "0.7696 ≤ largest gap of any classifier that sees the code ≤ 0.8400, "
        "with probability ≥ 0.9 and ≥ 0.95"
    )
    odds = Interval(0.0, certify(GroupTables.of(torch.full((2, 2, 2), 500.0)), EQUALISED_ODDS_GAP))
    assert "largest equalised-odds gap of any classifier" in str(odds)


def test_the_first_rows_choose_the_two_groups_that_differ_most_clearly():
    # Four rows that happen to differ reveal less than a thousand that differ a little less.
    fixed = GroupTables.of([[600.0, 400.0], [100.0, 900.0], [4.0, 0.0]])
    scored = GroupTables.of([[600.0, 400.0], [100.0, 900.0], [2.0, 2.0]])

    assert lower_bound(fixed, scored) == pytest.approx(0.5 - slack([1000, 1000], 0.05))


def test_the_rows_that_score_the_classifier_do_not_fix_it():
    # Every row has a code of its own: learning them by heart does not help on other rows.
    fixed, scored = torch.zeros(2, 800), torch.zeros(2, 800)
    fixed[0, :200] = fixed[1, 200:400] = scored[0, 400:600] = scored[1, 600:] = 1
    fixed, scored = GroupTables.of(fixed), GroupTables.of(scored)

    assert lower_bound(fixed, fixed) > 0.8
    assert lower_bound(fixed, scored) == 0
    assert lower_bound(fixed, scored, BALANCED_ATTACK_ACCURACY) == 0.5
    assert lower_bound(fixed, scored, INFORMATION) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prior", [None, [0.2, 0.5, 0.3]])
def test_the_information_is_at_least_what_follows_from_the_gap(seed, prior):
    table = 1e9 * torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)).double()
    given = replace(INFORMATION, prior="empirical" if prior is None else tuple(prior))
    least = lower_bound(GroupTables.of(table), GroupTables.of(table), given)

    assert 0 < least <= brute.mutual_information(table.numpy(), prior) / math.log(2)


@every_side
def test_groups_without_rows_are_refused(quantity):
    full, empty = torch.ones(2, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]] * 2)

    for tables in ((full, empty), (empty, full)):
        with pytest.raises(ValueError, match=r"held-out rows of each of at least two"):
            certain(quantity, *tables)
    with pytest.raises(ValueError, match=r"`delta` expects a probability"):
        certain(quantity, full, full, delta=1.0)


# --- Planted leaks.


def planted(kind, n=200_000):
    """Eight bits: six that know nothing of s, and two that do, in one of two ways."""

    generator = torch.Generator().manual_seed(0)
    s = torch.arange(n) % 2
    logits = torch.randn(n, 8, generator=generator, dtype=torch.float64)
    if kind == "trap":
        coin = torch.randint(2, (n,), generator=generator)
        logits[:, 2] = 400.0 * coin - 200
        logits[:, 5] = 400.0 * (coin ^ s) - 200
    else:  # bit 5 is s in one row of a hundred, and a coin otherwise
        known = torch.arange(n) // 2 % 100 == 0
        logits[:, 5] = torch.where(known, 400.0 * s - 200, 0.0)
    return logits, s


def both_halves(logits, s):
    order = torch.randperm(len(s), generator=torch.Generator().manual_seed(1))
    return [
        GroupTables.of(joint_table(logits[half], s[half], 2)) for half in order.tensor_split(2)
    ]


def test_a_parity_trap_among_eight_bits_has_a_lower_bound_and_its_bits_are_named():
    logits, s = planted("trap", n=4_000)
    fixed, scored = both_halves(logits, s)
    alone = information_given_others(logits, s, 2)

    assert lower_bound(fixed, scored) > 0.9
    assert set(alone.topk(2).indices.tolist()) == {2, 5}
    assert alone[[2, 5]].min().item() == pytest.approx(math.log(2), rel=0.05)
    # The greedy choice has all of the information once it completes the pair.
    found = most_revealing(logits, s, 2, size=8)
    last = max(place for place, (bit, _) in enumerate(found) if bit in (2, 5))
    before = found[last - 1][1] if last else 0.0
    assert found[last][1] - before > 0.6


def test_a_bit_that_is_the_group_in_one_row_of_a_hundred_has_a_lower_bound_and_is_named():
    logits, s = planted("rare")
    fixed, scored = both_halves(logits, s)

    assert 0 < lower_bound(fixed, scored) <= 0.012
    assert most_revealing(logits, s, 2, size=1)[0][0] == 5
    assert certify(fixed + scored).bound >= 0.01


def test_without_the_leak_the_lower_bound_is_zero():
    logits, s = planted("rare")
    logits[:, 5] = 0
    fixed, scored = both_halves(logits, s)

    assert lower_bound(fixed, scored) == 0
