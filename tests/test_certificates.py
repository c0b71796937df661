import itertools
import json
import math
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch

import brute
from bitveil import certificates
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    PARITY_GAP,
    QUANTITIES,
    Certificate,
    Interval,
    certify,
    dobrushin_bound,
    gap_of,
    information_of,
    slack,
)
from bitveil.certificates.quantities import Unit, quantity_named
from bitveil.codes import code_likelihood
from bitveil.criteria import CRITERIA, compares_within_strata
from bitveil.group_tables import GroupTables
from bitveil.tables import observed_table
from certificate_laws import DELTA, TRUTHS, certain, certified, less_slack, truth_of, violations
from populations import (
    Population,
    census_code,
    census_population,
    fixed,
    kdd_census,
    leaning,
    people,
    sure,
)

NAMED = [quantity.name.replace(" ", "-") for quantity in QUANTITIES]
WITHIN = [quantity for quantity in QUANTITIES if quantity.criterion != "independence"]
ANSWERS = [quantity for quantity in QUANTITIES if quantity.unit != "bits"]
every_quantity = pytest.mark.parametrize("quantity", QUANTITIES, ids=NAMED)
every_answer = pytest.mark.parametrize("quantity", ANSWERS, ids=NAMED[: len(ANSWERS)])


# --- Coverage: a certificate is wrong with probability delta at most, and a broken one is caught.


@every_quantity
@pytest.mark.parametrize("draws", ["soft", "hard"])
@pytest.mark.parametrize("lean", [0.0, 0.4, 3.0], ids=["fair", "leaning", "leaky"])
def test_a_certificate_is_wrong_with_probability_delta_at_most(quantity, lean, draws):
    sizes = [[60, 300], [200, 200]]

    assert violations(quantity, leaning(lean, targets=2), sizes, draws=draws) <= DELTA


@every_quantity
@pytest.mark.parametrize("draws", ["soft", "hard"])
def test_a_certificate_of_three_groups_is_wrong_with_probability_delta_at_most(quantity, draws):
    sizes = [[50, 100, 40], [60, 60, 60]]

    assert violations(quantity, leaning(1.0, k=3, targets=2), sizes, draws=draws) <= DELTA


@every_answer
def test_a_certificate_with_a_quarter_of_its_slack_is_caught(quantity):
    # One sure bit: nothing is measured too high, and the noise is all there is.
    population = (
        sure([[0.3, 0.7], [0.3, 0.7]])
        if quantity != EQUALISED_ODDS_GAP
        else sure([[0.5] * 2, [0.3, 0.7]])
    )
    sizes = [[1000, 1000]] * 2

    assert violations(quantity, population, sizes) <= DELTA
    assert violations(quantity, population, sizes, broken=less_slack(1 / 4)) > 2 * DELTA


def test_an_information_without_slack_is_caught():
    # An erasure: the group or nothing, which is all that (1 - o) H(S) can be.
    population = fixed([[[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]])
    sizes = [[1000, 1000]]

    assert truth_of(INFORMATION, population, sizes) == pytest.approx(0.5)
    assert violations(INFORMATION, population, sizes, draws="hard") <= DELTA
    broken = violations(INFORMATION, population, sizes, draws="hard", broken=less_slack(0))
    assert broken > 2 * DELTA


@cache
def census(which):
    table = kdd_census() if which == "kdd" else people()
    if table is None:
        pytest.skip("BITVEIL_DATA has no kdd_census_income")
    return table, census_code(table)


every_census = pytest.mark.parametrize("which", ["synthetic", "kdd"])


@every_census
@every_quantity
def test_resamples_of_a_census_keep_to_the_certificate(which, quantity):
    table, logits = census(which)
    population = census_population(table, logits, "sex", by_income=quantity in WITHIN)
    sizes = [[800, 700], [150, 250]] if quantity in WITHIN else [[1000, 900]]

    assert len(table) == 299_285
    assert violations(quantity, population, sizes, worlds=1_000) <= DELTA
    assert violations(quantity, population, sizes, draws="hard") <= DELTA


@every_census
def test_resamples_of_a_census_with_five_groups_keep_to_the_certificate(which):
    table, logits = census(which)
    population = census_population(table, logits, "race")

    assert violations(PARITY_GAP, population, [[150, 200, 300, 100, 1500]]) <= DELTA
    assert violations(BALANCED_ATTACK_ACCURACY, population, [[150, 200, 300, 100, 1500]]) <= DELTA


@every_census
@every_answer
def test_too_little_slack_is_caught_on_a_census(which, quantity):
    table, _ = census(which)
    bit = 400.0 * (torch.from_numpy(table["weeks"].to_numpy() > 25).double() - 0.5)
    by_income = quantity in WITHIN
    population = census_population(table, bit.unsqueeze(1), "sex", by_income=by_income)
    sizes = [[1500, 1500], [500, 500]] if by_income else [[1000, 1000]]
    # Nearly all rich people work all year: a quarter of the slack covers so little noise.
    broken = less_slack(0 if by_income else 1 / 4)

    assert violations(quantity, population, sizes, worlds=1_000) <= DELTA
    assert violations(quantity, population, sizes, broken=broken) > 1.5 * DELTA


# --- What the bounds are.


def test_the_bound_is_measured_gap_plus_slack():
    table = torch.tensor([[30.0, 10.0], [30.0, 30.0]])
    certificate = certify(GroupTables.of(table), delta=0.05)

    assert certificate.estimate == pytest.approx(0.25)
    assert certificate.sizes == (40, 60)
    assert certificate.bound == pytest.approx(0.25 + slack([40, 60], 0.05))
    assert certificate.bound < 0.25 + math.sqrt(0.5 * math.log(20) * (1 / 40 + 1 / 60))
    assert str(certificate) == (
        "gap of every classifier that sees the code ≤ 0.4625 with probability ≥ 0.95 "
        "(40 + 60 held-out rows, expected counts, measured 0.2500)"
    )


@every_quantity
def test_a_certificate_goes_to_json_and_back(quantity):
    found = certified(quantity, torch.full((2, 3, 4), 50.0), delta=0.05)
    again = json.loads(json.dumps(found.to_dict()))

    assert Certificate.from_dict(again) == found


def test_the_largest_over_pairs_needs_no_share_of_delta():
    two = certify(GroupTables.of(torch.full((2, 4), 100.0)), delta=0.05).bound
    three = certify(GroupTables.of(torch.full((3, 4), 100.0)), delta=0.05).bound

    assert two == three == pytest.approx(slack([400, 400], 0.05))


def test_opportunity_is_the_gap_among_the_rows_of_one_target():
    table = 100 * torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    found = certify(GroupTables.of(table), gap_of("equal_opportunity", 2), delta=0.05)

    assert found.bound == certify(GroupTables.of(table[2]), delta=0.05).bound
    assert str(found).startswith("equal-opportunity gap of every classifier that sees the code ≤")


def test_odds_need_no_share_of_delta_for_targets_and_pairs():
    found = certify(GroupTables.of(torch.full((2, 3, 4), 100.0)), EQUALISED_ODDS_GAP, delta=0.06)

    assert found.bound == pytest.approx(slack([400, 400], 0.06))
    assert found.sizes == (400,) * 6


def test_the_largest_bound_counts_and_not_the_largest_measured_value():
    # The small pair is measured as fairer, but less is known about it.
    table = torch.tensor([[[5.0, 5.0], [5.0, 5.0]], [[600.0, 400.0], [500.0, 500.0]]])
    found = certify(GroupTables.of(table), EQUALISED_ODDS_GAP, delta=0.05)

    assert found.bound == pytest.approx(slack([10, 10], 0.05))
    assert found.estimate == pytest.approx(0.1)


def test_an_attack_on_two_groups_is_half_the_gap_above_one_half():
    table = torch.tensor([[600.0, 400.0], [500.0, 500.0]])
    gap, attack = (
        certify(GroupTables.of(table), delta=0.05),
        certify(GroupTables.of(table), BALANCED_ATTACK_ACCURACY, delta=0.05),
    )

    assert attack.bound == pytest.approx((1 + gap.bound) / 2)
    assert attack.estimate == pytest.approx((1 + gap.estimate) / 2)


def test_an_attack_on_many_groups_needs_no_pairs():
    table = torch.full((5, 4), 100.0)

    assert certify(
        GroupTables.of(table), BALANCED_ATTACK_ACCURACY, delta=0.05
    ).bound == pytest.approx(0.2 + slack([400] * 5, 0.05) / 5)


@pytest.mark.parametrize("prior", ["empirical", "uniform", (0.1, 0.2, 0.7)])
def test_information_is_a_share_of_the_entropy_under_its_prior(prior):
    table = torch.tensor([[30.0, 60.0, 10.0], [20, 20, 160], [50, 25, 25]])
    found = certify(GroupTables.of(table), replace(replace(INFORMATION, prior=prior)), delta=0.05)
    shares = {"empirical": [0.25, 0.5, 0.25], "uniform": [1 / 3] * 3}
    weights = shares[prior] if isinstance(prior, str) else prior
    entropy = -sum(w * math.log2(w) for w in weights)
    # The smallest shares of each code: 0.1, 0.1, 0.1.
    share = 0.7 + slack([100, 200, 100], 0.05)

    assert found.entropy == pytest.approx(entropy)
    assert found.estimate == pytest.approx(0.7 * entropy)
    assert found.bound == pytest.approx(share * entropy)
    truth = brute.mutual_information(table.numpy(), weights) / math.log(2)
    assert truth <= found.estimate


def test_information_of_two_groups_is_total_variation_of_their_entropy():
    table = torch.tensor([[600.0, 400.0], [100.0, 100.0]])
    found = certify(GroupTables.of(table), INFORMATION, delta=0.05)
    entropy = -(5 / 6) * math.log2(5 / 6) - (1 / 6) * math.log2(1 / 6)

    assert found.bound == pytest.approx(entropy * certify(GroupTables.of(table), delta=0.05).bound)
    assert f"≤ {found.bound:.4f} of {entropy:.4f} with probability" in str(found)


@every_quantity
def test_a_bound_is_at_most_the_largest_possible_value(quantity):
    # Two groups of one row: one bit, one accuracy, one gap.
    assert certified(quantity, torch.eye(2).repeat(2, 1, 1), delta=0.05).bound == 1


@every_quantity
def test_the_same_theorem_covers_drawn_codes(quantity):
    # Only the plug-in differs, and the slack of two groups: it knows that each row counts 0 or 1.
    codes, groups = torch.arange(600) % 4, torch.arange(600) % 3
    table = torch.stack([observed_table(codes, groups, 3, 4)] * 2)
    soft, hard = (certified(quantity, table, delta=0.05, draws=d) for d in ("soft", "hard"))

    assert (hard.estimate, hard.draws) == (soft.estimate, "hard")
    if quantity.unit == "gap":
        assert hard.bound == pytest.approx(hard.estimate + slack([200, 200], 0.05, draws="hard"))
        assert hard.bound < soft.bound
    else:
        assert hard.bound == soft.bound


# --- Bounded spread.


def product_distance(p, q):
    """The total variation of two products of bits, by listing their codes."""

    codes = list(itertools.product((0, 1), repeat=len(p)))

    def probability(theta, code):
        return math.prod(t if bit else 1 - t for t, bit in zip(theta, code, strict=True))

    return sum(abs(probability(p, code) - probability(q, code)) for code in codes) / 2


RANGES = {
    "one bit": ([0.2], [0.7]),
    "clamped": ([0.4, 0.4, 0.4], [0.6, 0.6, 0.6]),
    "one-sided": ([0.0, 0.0], [0.5, 0.5]),
    "uneven": ([0.1, 0.45, 0.0, 0.3], [0.2, 0.55, 0.01, 0.3]),
    "many": ([0.45] * 8, [0.55] * 8),
    "free": ([0.0, 0.0], [1.0, 1.0]),
}


@pytest.mark.parametrize("name", RANGES)
def test_no_two_rows_in_the_ranges_are_farther_apart_than_the_bound(name):
    low, high = RANGES[name]
    bound = dobrushin_bound(torch.tensor(low), torch.tensor(high))
    # Total variation is convex in each probability: the farthest rows are at ends of the ranges,
    # and a bit at the same end in both rows does not separate them.
    ends = [
        product_distance(*zip(*pairs, strict=True))
        for pairs in itertools.product(*[[(a, b), (b, a)] for a, b in zip(low, high, strict=True)])
    ]
    rng = np.random.default_rng(0)
    inside = [product_distance(rng.uniform(low, high), rng.uniform(low, high)) for _ in range(50)]

    assert max(inside) <= max(ends) + 1e-9
    assert max(ends) <= bound + 1e-6
    assert bound <= 1.6 * max(ends)


def test_the_bound_is_exact_for_one_bit_and_for_bits_that_start_at_zero():
    assert dobrushin_bound(torch.tensor([0.2]), torch.tensor([0.7])) == pytest.approx(0.5)
    assert dobrushin_bound(torch.zeros(2), torch.full((2,), 0.5)) == pytest.approx(0.75)


@pytest.mark.parametrize("ends", [([0.5], [0.4]), ([-0.1], [0.5]), ([0.5], [1.1])])
def test_ranges_that_are_no_probabilities_are_refused(ends):
    with pytest.raises(ValueError, match=r"ranges of probabilities"):
        dobrushin_bound(torch.tensor(ends[0]), torch.tensor(ends[1]))


@every_quantity
def test_a_bounded_spread_keeps_to_the_certificate(quantity):
    logits = torch.logit(0.35 + 0.3 * leaning(3.0, m=1, points=128).cells[0][0][:, 1:])
    cells = [code_likelihood(torch.cat([rows, -rows], 1)) for rows in logits.split(32)]
    population = Population([cells[:2], cells[2:]])
    d = dobrushin_bound(torch.full((2,), 0.35), torch.full((2,), 0.65))

    assert 0 < d < 0.45
    assert violations(quantity, population, [[100, 100]] * 2, dobrushin=d) <= DELTA


def test_a_bounded_spread_multiplies_the_slack_and_bounds_the_gap():
    table = torch.tensor([[80.0, 20.0], [50.0, 50.0]])

    assert certify(GroupTables.of(table), dobrushin=0.5).bound == pytest.approx(
        0.3 + 0.5 * slack([100, 100], 0.05)
    )
    assert certify(GroupTables.of(table), dobrushin=0.1).bound == pytest.approx(0.1)
    assert certify(
        GroupTables.of(table), BALANCED_ATTACK_ACCURACY, dobrushin=0.1
    ).bound == pytest.approx(0.55)
    assert certify(GroupTables.of(table), INFORMATION, dobrushin=0.1).bound == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"For drawn and certain codes leave it out"):
        certify(GroupTables.of(table), dobrushin=0.5, draws="hard")
    with pytest.raises(ValueError, match=r"`dobrushin` expects a total variation from 0 to 1"):
        certify(GroupTables.of(table), dobrushin=1.5)


# --- Entries.


def test_every_quantity_has_a_truth_and_a_name_of_its_own():
    assert set(QUANTITIES) == set(TRUTHS), "each entry needs its truth, in certificate_laws"
    assert len({quantity.name for quantity in QUANTITIES}) == len(QUANTITIES)


@every_quantity
def test_an_entry_has_words_a_unit_and_bounds_on_both_sides_of_the_truth(quantity):
    population, sizes = leaning(3.0, k=3, targets=2), [[100_000, 50_000, 80_000]] * 2
    first, second = population.tables(sizes, seed=1, worlds=2)
    least, truth = certain(quantity, first, second), truth_of(quantity, population, sizes)
    most = certified(quantity, second)

    assert quantity.unit in get_args(Unit)
    assert quantity.says in str(most)
    assert quantity.worst in str(Interval(least, most))
    assert bool(quantity.notion) == bool(quantity.rates) == (quantity.unit == "gap")
    assert bool(quantity.among()) == compares_within_strata(quantity.criterion)
    assert 0 < least <= truth <= most.bound
    assert quantity_named(**json.loads(json.dumps(quantity.described()))) == quantity


@every_quantity
def test_the_lower_bound_of_a_code_that_reveals_nothing_is_chance(quantity):
    table = torch.full((2, 3, 4), 50.0)
    chance = 1 / 3 if quantity.unit == "accuracy" else 0

    assert certain(quantity, table, table) == chance
    assert certified(quantity, table).estimate == pytest.approx(chance)


def test_each_criterion_has_its_gap_and_its_information():
    table = 100 * torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    tables, entropies = GroupTables.of(table), []
    for criterion in CRITERIA:
        assert gap_of(criterion, 2).criterion == criterion
        found = certify(tables, information_of(criterion, 2))
        entropies.append(found.entropy)
        assert found.bound <= found.entropy <= 1
    assert certify(tables, information_of("equal_opportunity", 2)).bound == pytest.approx(
        certify(GroupTables.of(table[2]), INFORMATION).bound
    )
    worst = max(
        (certify(GroupTables.of(each), INFORMATION, delta=0.05) for each in table),
        key=lambda found: found.bound,
    )
    found = certify(tables, information_of("separation"))
    assert (found.bound, found.sizes, found.delta) == (worst.bound, worst.sizes, 0.05)
    assert "about the group among rows of the same target ≤" in str(found)


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": "some gap"},
        {"criterion": "separation"},
        {"criterion": "fairness"},
        {"positive": -1},
        {"positive": 0.5},
        {"prior": "mine"},
        {"more": 1},
    ],
)
def test_a_certificate_of_no_quantity_is_not_read(change):
    content = certify(GroupTables.of(torch.ones(2, 2))).to_dict()

    with pytest.raises(ValueError, match=r"no quantity|has the fields"):
        Certificate.from_dict({**content, **change})
    with pytest.raises(ValueError, match=r"`criterion` expects one of"):
        gap_of("fairness")


# --- Bad input.


@every_quantity
@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 5.0])
def test_a_delta_that_is_no_probability_is_refused(quantity, delta):
    with pytest.raises(ValueError, match=r"`delta` expects a probability between 0 and 1"):
        certified(quantity, torch.ones(2, 2, 2), delta=delta)


@every_quantity
@pytest.mark.parametrize("table", [torch.ones(2, 1, 4), torch.tensor([[[1.0, 1], [0, 0]]] * 2)])
def test_a_group_without_rows_and_a_constant_attribute_are_refused(quantity, table):
    with pytest.raises(ValueError, match=r"held-out rows of each of at least two, got groups of"):
        certified(quantity, table)


def test_a_target_without_rows_of_a_group_is_refused():
    table = torch.tensor([[[5.0, 5.0], [5.0, 5.0]], [[5.0, 5.0], [0.0, 0.0]]])

    assert certify(GroupTables.of(table), gap_of("equal_opportunity", 0)).bound <= 1
    with pytest.raises(ValueError, match=r"got groups of \[10, 0\] rows"):
        certify(GroupTables.of(table), EQUALISED_ODDS_GAP)
    with pytest.raises(ValueError, match=r"got groups of \[10, 0\] rows"):
        certify(GroupTables.of(table), gap_of("equal_opportunity", 1))


@pytest.mark.usefixtures("unchecked")
def test_tables_of_another_shape_or_with_bad_counts_are_refused():
    with pytest.raises(
        ValueError, match=r"expects counts over \(group, code\) or .* got shape \(2,\)"
    ):
        certify(GroupTables.of(torch.ones(2)))
    for quantity in (EQUALISED_ODDS_GAP, EQUAL_OPPORTUNITY_GAP):
        with pytest.raises(ValueError, match=r"Give counts over \(target, group, code\)"):
            certify(GroupTables.of(torch.ones(2, 2)), quantity)
    with pytest.raises(ValueError, match=r"the number of a target from 0 to 1, got 2"):
        certify(GroupTables.of(torch.ones(2, 2, 2)), gap_of("equal_opportunity", 2))
    for bad in (math.nan, -1.0):
        with pytest.raises(ValueError, match=r"none below 0"):
            certify(GroupTables.of(torch.tensor([[1.0, bad], [1.0, 1.0]])))


def test_impossible_settings_are_refused():
    table = torch.ones(2, 2)

    with pytest.raises(ValueError, match=r"`candidates` expects a number from 1 on, got 0"):
        certify(GroupTables.of(table), candidates=0)
    with pytest.raises(ValueError, match=r"'hard' or 'certain', got 'some'"):
        certify(GroupTables.of(table), draws="some")
    for prior in ((0.5, 0.6), (1.0,), (1.5, -0.5)):
        with pytest.raises(ValueError, match=r"`prior` expects one weight for each of 2 groups"):
            certify(GroupTables.of(table), replace(INFORMATION, prior=prior))


@every_quantity
def test_more_drawn_codes_than_rows_give_a_warning(quantity):
    codes = torch.randint(64, (80,), generator=torch.Generator().manual_seed(0))
    table = torch.stack([observed_table(codes, torch.arange(80) % 2, 2, 64)] * 2)

    with pytest.warns(UserWarning, match=r"more drawn codes \(\d+\) than rows in the smallest g"):
        found = certified(quantity, table, delta=0.05, draws="hard")
    assert found.bound >= found.estimate
    certified(quantity, table, delta=0.05)  # expected counts are spread over all codes


def test_the_docstring_has_the_theorem():
    for word in ("Theorem", "Proof", "needs no correction", "Coarser groups", "does not say"):
        assert word in certificates.__doc__
