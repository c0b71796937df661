"""Certificates of many codes from the same rows, and how many rows they take."""

import math

import numpy as np
import pytest
import torch

import brute
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    PARITY_GAP,
    certify,
    certify_columns,
    certify_sequence,
    gap_of,
    least_bound,
    least_gap,
    rows_needed,
    slack,
)
from bitveil.group_tables import GroupTables
from bitveil.information import total_variation
from certificate_laws import DELTA
from populations import sure

# --- Many codes on the same rows.


def sure_codes(n_codes=40, worlds=300):
    """Tables of independent codes of one sure bit, and of each world the one that seems safest."""

    population = sure([[0.3, 0.7]])
    tables = [
        population.tables([[300, 300]], seed=seed, worlds=worlds)[:, 0] for seed in range(n_codes)
    ]
    tables = torch.stack(tables, 1)
    return tables, tables[torch.arange(worlds), total_variation(tables).argmin(1)]


def test_choosing_among_forty_codes_needs_the_correction():
    def wrong(candidates):
        bounds = [
            certify(GroupTables.of(t), delta=DELTA, candidates=candidates).bound for t in safest
        ]
        return np.mean([bound < 0.4 for bound in bounds])

    _, safest = sure_codes()

    assert wrong(40) <= DELTA < 1.5 * DELTA < wrong(1)


def test_the_correction_divides_delta_by_the_number_of_candidates():
    table = torch.full((2, 4), 100.0)
    found = certify(GroupTables.of(table), delta=0.05, candidates=30)

    assert found.bound == pytest.approx(slack([400, 400], 0.05 / 30))
    assert found.bound <= math.sqrt(0.5 * math.log(30 / 0.05) * 2 / 400)
    assert "with probability ≥ 0.95 for all of 30 codes at once (" in str(found)


@pytest.mark.parametrize(
    ("quantity", "truth"), [(PARITY_GAP, 0.4), (BALANCED_ATTACK_ACCURACY, 0.7)]
)
def test_a_sequence_certifies_a_bad_code_with_probability_delta_at_most(quantity, truth):
    # Forty codes, each just above the goal: the safest of them would pass too often.
    goal = truth - 1e-9
    worlds, safest = sure_codes()

    def passes(tables):
        found = certify_sequence([*map(GroupTables.of, tables)], goal, quantity, delta=DELTA)
        return bool(found)

    assert np.mean([passes(tables) for tables in worlds]) <= DELTA
    assert np.mean([passes([table]) for table in safest]) > DELTA


def test_the_sequence_stops_at_the_first_that_fails():
    fair = GroupTables.of(torch.full((2, 2), 500.0))
    leaky = GroupTables.of([[900.0, 100.0], [100.0, 900.0]])
    passed = certify_sequence([fair, fair, leaky, fair], 0.2, delta=0.05)

    assert [certificate.bound for certificate in passed] == [0.2, 0.2]
    assert certify_sequence([leaky, fair], 0.2) == []


def test_a_sequence_keeps_what_the_certificate_is_about():
    tables = [GroupTables.of(torch.full((2, 2, 2), 500.0))]
    (odds,) = certify_sequence(tables, 0.3, EQUALISED_ODDS_GAP)
    (chance,) = certify_sequence(tables, 0.3, gap_of("equal_opportunity", 1))

    assert (odds.quantity, odds.bound) == (EQUALISED_ODDS_GAP, 0.3)
    assert chance.quantity == EQUAL_OPPORTUNITY_GAP


def test_certificates_of_columns_share_delta_and_hold_at_once():
    table = torch.full((2, 4), 100.0)
    columns = {"sex": GroupTables.of(table), "age": GroupTables.of(2 * table)}
    found = certify_columns(columns, delta=0.1)

    assert found["sex"].bound == pytest.approx(slack([400, 400], 0.05))
    assert found["age"].bound == pytest.approx(slack([800, 800], 0.05))
    assert [c.delta for c in found.values()] == [0.05, 0.05]
    with pytest.raises(ValueError, match=r"tables of one attribute or more, got none"):
        certify_columns({})


@pytest.mark.parametrize("draws", ["soft", "hard"])
def test_the_largest_of_fifteen_pairs_needs_no_correction(draws):
    population = sure([[0.3, 0.7, 0.5, 0.45, 0.55, 0.5]])
    tables = population.tables([[150, 200, 100, 120, 90, 300]], draws=draws, worlds=400)
    found = [certify(GroupTables.of(t[0]), delta=DELTA, draws=draws) for t in tables]
    half = [c.estimate + slack([150, 200], DELTA, draws=draws) / 2 for c in found]

    assert np.mean([c.bound < 0.4 for c in found]) <= DELTA
    assert np.mean([bound < 0.4 for bound in half]) > 1.3 * DELTA


@pytest.mark.parametrize("seed", range(20))
def test_a_certificate_of_the_intersection_covers_each_attribute(seed):
    # Groups joined from finer ones are mixtures of them, in whatever shares.
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(2, 3, 8, generator=generator).double() ** 4
    weights = torch.rand(2, 3, 1, generator=generator).double()
    table = 1000 * weights * cells / cells.sum(-1, keepdim=True)
    finest = certify(GroupTables.of(table.flatten(0, 1).round() + 1))
    tables = (table.round() + 1).sum(1), (table.round() + 1).sum(0)

    for coarse in tables:
        assert certify(GroupTables.of(coarse)).estimate <= finest.estimate + 1e-12
        assert brute.total_variation(coarse.numpy()) <= finest.bound


# --- Planning.


def test_the_least_gap_is_that_of_the_two_smallest_groups():
    assert least_gap([100, 50, 900], 0.05) == pytest.approx(slack([50, 100], 0.05))
    assert least_bound([100, 50, 900], delta=0.05) == pytest.approx(least_gap([100, 50, 900]))


@pytest.mark.parametrize(
    ("quantity", "sizes", "expected"),
    [
        (EQUALISED_ODDS_GAP, [[100, 200], [50, 80]], slack([50, 80], 0.05)),
        (gap_of("equal_opportunity", 0), [[100, 200], [50, 80]], slack([100, 200], 0.05)),
        (BALANCED_ATTACK_ACCURACY, [100, 200], 0.5 + slack([100, 200], 0.05) / 2),
    ],
)
def test_the_least_bound_is_that_of_a_code_that_reveals_nothing(quantity, sizes, expected):
    counts = GroupTables.of(torch.tensor(sizes).double().unsqueeze(-1) * torch.tensor([0.3, 0.7]))

    assert least_bound(sizes, quantity, delta=0.05) == pytest.approx(expected)
    assert least_bound(counts, quantity, delta=0.05) == pytest.approx(expected)


@pytest.mark.parametrize("gap", [0.01, 0.05, 0.3])
@pytest.mark.parametrize(
    "shares", [[0.5, 0.5], [1.0, 3.0], [0.2, 0.3, 0.5], [5.0, 10.0, 20.0, 65.0]]
)
@pytest.mark.parametrize("draws", ["soft", "hard"])
def test_rows_needed_is_the_inverse_of_the_least_gap(gap, shares, draws):
    n = rows_needed(gap, shares, delta=0.05, draws=draws)

    def least(rows):
        sizes = [math.floor(rows * share / sum(shares)) for share in shares]
        return least_gap(sizes, 0.05, draws=draws) if min(sizes) else 1.0

    assert least(n) <= gap < least(n - 1)
    smallest = sum(sum(shares) / share for share in sorted(shares)[:2])
    assert n <= 0.5 * math.log(1 / 0.05) * smallest / gap**2 + 3 * smallest  # Hoeffding's


@pytest.mark.parametrize(("gap", "shares"), [(0.0, [1.0, 1.0]), (0.1, [1.0]), (0.1, [1.0, 0.0])])
def test_rows_for_no_gap_or_no_groups_are_refused(gap, shares):
    with pytest.raises(ValueError, match=r"`rows_needed` expects a gap above 0"):
        rows_needed(gap, shares)
