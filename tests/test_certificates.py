import itertools
import json
import math
from dataclasses import asdict
from functools import cache, partial

import numpy as np
import pytest
import torch

import brute
from bitveil.audits import certificates
from bitveil.certificates.upper import (
    Certificate,
    certify_attack,
    certify_columns,
    certify_gap,
    certify_information,
    certify_odds,
    certify_opportunity,
    certify_sequence,
    dobrushin_bound,
    least_bound,
    least_gap,
    rows_needed,
    slack,
)
from bitveil.codes import code_likelihood
from bitveil.information import total_variation
from bitveil.tables import observed_table
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

DELTA = 0.1


def truth_of_information(p, sizes):
    shares = np.array(sizes[0]) / np.sum(sizes[0])
    return brute.mutual_information(p[0], shares) / math.log(2)


# Every certificate as a function of a table over (target, group, code), and what it is about, from
# the distributions of the population: written anew, in numpy.
CERTIFICATES = {
    "gap": (lambda t, **kw: certify_gap(t[0], **kw), lambda p, n: brute.total_variation(p[0])),
    "opportunity": (
        lambda t, **kw: certify_opportunity(t, 1, **kw),
        lambda p, n: brute.total_variation(p[1]),
    ),
    "odds": (certify_odds, lambda p, n: max(map(brute.total_variation, p))),
    "attack": (
        lambda t, **kw: certify_attack(t[0], **kw),
        lambda p, n: brute.attack_accuracy(p[0], np.full(len(p[0]), 1 / len(p[0]))),
    ),
    "information": (lambda t, **kw: certify_information(t[0], **kw), truth_of_information),
}
every_certificate = pytest.mark.parametrize("name", CERTIFICATES)


def violations(name, population, sizes, *, draws="soft", worlds=200, broken=None, **settings):
    """The share of worlds in which the bound is below the truth."""

    certify, truth_of = CERTIFICATES[name]
    truth = truth_of(population.truth, sizes)
    found = [
        certify(table, delta=DELTA, draws=draws, **settings)
        for table in population.tables(sizes, draws=draws, seed=1, worlds=worlds)
    ]
    bounds = [c.bound if broken is None else broken(c) for c in found]
    return np.mean([bound < truth - 1e-12 for bound in bounds])


def less_slack(share):
    """A certificate with a part of its slack only."""

    return lambda c: c.estimate + share * (c.bound - c.estimate)


# --- Coverage: a certificate is wrong at most a share delta of the time, and a broken one is seen.


@every_certificate
@pytest.mark.parametrize("draws", ["soft", "hard"])
@pytest.mark.parametrize("lean", [0.0, 0.4, 3.0], ids=["fair", "leaning", "leaky"])
def test_a_certificate_is_wrong_at_most_a_share_delta_of_the_time(name, lean, draws):
    sizes = [[60, 300], [200, 200]]

    assert violations(name, leaning(lean, targets=2), sizes, draws=draws) <= DELTA


@every_certificate
@pytest.mark.parametrize("draws", ["soft", "hard"])
def test_so_it_is_with_more_groups(name, draws):
    sizes = [[50, 100, 40], [60, 60, 60]]

    assert violations(name, leaning(1.0, k=3, targets=2), sizes, draws=draws) <= DELTA


@pytest.mark.parametrize("name", ["gap", "opportunity", "odds", "attack"])
def test_a_quarter_of_the_slack_is_caught(name):
    # One sure bit: nothing is measured too high, and the noise is all there is.
    population = (
        sure([[0.3, 0.7], [0.3, 0.7]]) if name != "odds" else sure([[0.5] * 2, [0.3, 0.7]])
    )
    sizes = [[1000, 1000]] * 2

    assert violations(name, population, sizes) <= DELTA
    assert violations(name, population, sizes, broken=less_slack(1 / 4)) > 2 * DELTA


def test_an_information_without_slack_is_caught():
    # An erasure: the group or nothing, which is all that (1 - o) H(S) can be.
    population = fixed([[[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]])
    sizes = [[1000, 1000]]

    assert CERTIFICATES["information"][1](population.truth, sizes) == pytest.approx(0.5)
    assert violations("information", population, sizes, draws="hard") <= DELTA
    broken = violations("information", population, sizes, draws="hard", broken=less_slack(0))
    assert broken > 2 * DELTA


@cache
def census(which):
    table = kdd_census() if which == "kdd" else people()
    if table is None:
        pytest.skip("BITVEIL_DATA has no kdd_census_income")
    return table, census_code(table)


every_census = pytest.mark.parametrize("which", ["synthetic", "kdd"])


@every_census
@every_certificate
def test_resamples_of_a_census_keep_to_the_certificate(which, name):
    table, logits = census(which)
    population = census_population(table, logits, "sex", by_income=name in ("opportunity", "odds"))
    sizes = [[800, 700], [150, 250]] if name in ("opportunity", "odds") else [[1000, 900]]

    assert len(table) == 299_285
    assert violations(name, population, sizes, worlds=1_000) <= DELTA
    assert violations(name, population, sizes, draws="hard") <= DELTA


@every_census
def test_resamples_of_a_census_with_five_groups_keep_to_the_certificate(which):
    table, logits = census(which)
    population = census_population(table, logits, "race")

    assert violations("gap", population, [[150, 200, 300, 100, 1500]]) <= DELTA
    assert violations("attack", population, [[150, 200, 300, 100, 1500]]) <= DELTA


@every_census
@pytest.mark.parametrize("name", ["gap", "opportunity", "odds", "attack"])
def test_too_little_slack_is_caught_on_a_census(which, name):
    table, _ = census(which)
    bit = 400.0 * (torch.from_numpy(table["weeks"].to_numpy() > 25).double() - 0.5)
    by_income = name in ("opportunity", "odds")
    population = census_population(table, bit.unsqueeze(1), "sex", by_income=by_income)
    sizes = [[1500, 1500], [500, 500]] if by_income else [[1000, 1000]]
    # The rich nearly all work all year: little noise, of which a quarter of the slack is enough.
    broken = less_slack(0 if by_income else 1 / 4)

    assert violations(name, population, sizes) <= DELTA
    assert violations(name, population, sizes, broken=broken) > 1.5 * DELTA


# --- Many codes on the same rows.


def sure_codes(n_codes=40, worlds=300):
    """Tables of independent codes of one sure bit, and of each world the one that seems safest."""

    population = sure([[0.3, 0.7]])
    tables = [
        population.tables([[300, 300]], seed=seed, worlds=worlds)[:, 0] for seed in range(n_codes)
    ]
    tables = torch.stack(tables, 1)
    return tables, tables[torch.arange(worlds), total_variation(tables).argmin(1)]


def test_choosing_among_forty_codes_takes_the_correction():
    def wrong(candidates):
        bounds = [certify_gap(t, delta=DELTA, candidates=candidates).bound for t in safest]
        return np.mean([bound < 0.4 for bound in bounds])

    _, safest = sure_codes()

    assert wrong(40) <= DELTA < 1.5 * DELTA < wrong(1)


def test_the_correction_is_the_logarithm_of_the_number_of_candidates():
    table = torch.full((2, 4), 100.0)
    found = certify_gap(table, delta=0.05, candidates=30)

    assert found.bound == pytest.approx(math.sqrt(0.5 * math.log(30 / 0.05) * 2 / 400))
    assert "with probability ≥ 0.95 for all of 30 codes at once (" in str(found)


@pytest.mark.parametrize("certify", [certify_gap, certify_attack])
def test_a_sequence_certifies_a_bad_code_at_most_a_share_delta_of_the_time(certify):
    # Forty codes, each just above the goal: the safest of them would pass too often.
    goal = 0.4 - 1e-9 if certify is certify_gap else 0.7 - 1e-9
    worlds, safest = sure_codes()
    test = partial(certify_sequence, certify=certify, delta=DELTA)

    assert np.mean([bool(test(list(tables), goal)) for tables in worlds]) <= DELTA
    assert np.mean([certify(table, delta=DELTA).bound <= goal for table in safest]) > DELTA


def test_the_sequence_stops_at_the_first_that_fails():
    fair, leaky = torch.full((2, 2), 500.0), torch.tensor([[900.0, 100.0], [100.0, 900.0]])
    passed = certify_sequence([fair, fair, leaky, fair], 0.2, delta=0.05)

    assert [certificate.gap for certificate in passed] == [0.2, 0.2]
    assert certify_sequence([leaky, fair], 0.2) == []


def test_a_sequence_keeps_what_the_certificate_is_about():
    table = torch.full((2, 2, 2), 500.0)
    odds = certify_sequence([table], 0.3, certify=certify_odds)
    chance = certify_sequence([table], 0.3, certify=partial(certify_opportunity, positive=1))

    assert (odds[0].quantity, odds[0].bound) == ("equalised odds gap", 0.3)
    assert chance[0].quantity == "equal opportunity gap"


def test_columns_share_delta_and_hold_at_once():
    table = torch.full((2, 4), 100.0)
    found = certify_columns({"sex": table, "age": 2 * table}, delta=0.1)

    assert found["sex"].bound == pytest.approx(slack([400, 400], 0.05))
    assert found["age"].bound == pytest.approx(slack([800, 800], 0.05))
    assert [c.delta for c in found.values()] == [0.05, 0.05]
    with pytest.raises(ValueError, match=r"tables of one attribute or more, got none"):
        certify_columns({})


@pytest.mark.parametrize("seed", range(20))
def test_a_certificate_of_the_intersection_covers_each_attribute(seed):
    # Groups joined from finer ones are mixtures of them, in whatever shares.
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(2, 3, 8, generator=generator).double() ** 4
    weights = torch.rand(2, 3, 1, generator=generator).double()
    table = 1000 * weights * cells / cells.sum(-1, keepdim=True)
    finest = certify_gap(table.flatten(0, 1).round() + 1)
    tables = (table.round() + 1).sum(1), (table.round() + 1).sum(0)

    for coarse in tables:
        assert certify_gap(coarse).estimate <= finest.estimate + 1e-12
        assert brute.total_variation(coarse.numpy()) <= finest.bound


# --- What the bounds are.


def test_the_bound_is_measured_gap_plus_slack():
    table = torch.tensor([[30.0, 10.0], [30.0, 30.0]])
    certificate = certify_gap(table, delta=0.05)

    assert certificate.estimate == pytest.approx(0.25)
    assert certificate.sizes == (40, 60)
    expected = 0.25 + math.sqrt(0.5 * math.log(20) * (1 / 40 + 1 / 60))
    assert certificate.gap == certificate.bound == pytest.approx(expected)
    assert str(certificate) == (
        "gap of every classifier that sees the code ≤ 0.4998 with probability ≥ 0.95 "
        "(40 + 60 held-out rows, expected counts, measured 0.2500)"
    )


@every_certificate
def test_a_certificate_goes_to_json_and_back(name):
    found = CERTIFICATES[name][0](torch.full((2, 3, 4), 50.0), delta=0.05)
    again = json.loads(json.dumps(asdict(found)))

    assert Certificate(**{**again, "sizes": tuple(again["sizes"])}) == found


def test_more_groups_share_delta_among_their_pairs():
    two = certify_gap(torch.full((2, 4), 100.0), delta=0.05).gap
    three = certify_gap(torch.full((3, 4), 100.0), delta=0.05).gap

    assert three == pytest.approx(slack([400, 400], 0.05 / 3))
    assert three > two


def test_opportunity_is_the_gap_among_the_rows_of_one_target():
    table = 100 * torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    found = certify_opportunity(table, 2, delta=0.05)

    assert found.bound == certify_gap(table[2], delta=0.05).bound
    assert str(found).startswith("equal-opportunity gap of every classifier that sees the code ≤")


def test_odds_share_delta_among_targets_and_pairs():
    found = certify_odds(torch.full((2, 3, 4), 100.0), delta=0.06)

    assert found.bound == pytest.approx(slack([400, 400], 0.06 / 6))
    assert found.sizes == (400,) * 6


def test_the_largest_bound_counts_not_the_largest_measured_value():
    # The small pair is measured fairer, and known less.
    table = torch.tensor([[[5.0, 5.0], [5.0, 5.0]], [[600.0, 400.0], [500.0, 500.0]]])
    found = certify_odds(table, delta=0.05)

    assert found.bound == pytest.approx(slack([10, 10], 0.025))
    assert found.estimate == pytest.approx(0.1)


def test_an_attack_on_two_groups_is_half_the_gap_above_one_half():
    table = torch.tensor([[600.0, 400.0], [500.0, 500.0]])
    gap, attack = certify_gap(table, delta=0.05), certify_attack(table, delta=0.05)

    assert attack.bound == pytest.approx((1 + gap.bound) / 2)
    assert attack.estimate == pytest.approx((1 + gap.estimate) / 2)


def test_an_attack_on_many_groups_needs_no_pairs():
    table = torch.full((5, 4), 100.0)

    assert certify_attack(table, delta=0.05).bound == pytest.approx(
        0.2 + math.sqrt(0.5 * math.log(20) * 5 / 400) / 5
    )


@pytest.mark.parametrize("prior", ["empirical", "uniform", torch.tensor([0.1, 0.2, 0.7])])
def test_information_is_a_share_of_the_entropy_of_the_prior_given(prior):
    table = torch.tensor([[30.0, 60.0, 10.0], [20, 20, 160], [50, 25, 25]])
    found = certify_information(table, prior=prior, delta=0.05)
    shares = {"empirical": [0.25, 0.5, 0.25], "uniform": [1 / 3] * 3}
    weights = shares[prior] if isinstance(prior, str) else prior.tolist()
    entropy = -sum(w * math.log2(w) for w in weights)
    # The smallest shares of each code: 0.1, 0.1, 0.1.
    share = 0.7 + math.sqrt(0.5 * math.log(20) * (1 / 100 + 1 / 200 + 1 / 100))

    assert found.entropy == pytest.approx(entropy)
    assert found.estimate == pytest.approx(0.7 * entropy)
    assert found.bound == pytest.approx(share * entropy)
    truth = brute.mutual_information(table.numpy(), weights) / math.log(2)
    assert truth <= found.estimate


def test_information_of_two_groups_is_total_variation_of_their_entropy():
    table = torch.tensor([[600.0, 400.0], [100.0, 100.0]])
    found = certify_information(table, delta=0.05)
    entropy = -(5 / 6) * math.log2(5 / 6) - (1 / 6) * math.log2(1 / 6)

    assert found.bound == pytest.approx(entropy * certify_gap(table, delta=0.05).bound)
    assert f"≤ {found.bound:.4f} of {entropy:.4f} with probability" in str(found)


@every_certificate
def test_a_bound_is_never_above_what_can_be(name):
    # Two groups of one row: one bit, one accuracy, one gap.
    assert CERTIFICATES[name][0](torch.eye(2).repeat(2, 1, 1), delta=0.05).bound == 1


@every_certificate
def test_drawn_codes_have_the_same_theorem(name):
    # Only the plug-in differs: it counts the codes that were drawn.
    codes, groups = torch.arange(600) % 4, torch.arange(600) % 3
    table = torch.stack([observed_table(codes, groups, 3, 4)] * 2)
    soft, hard = (CERTIFICATES[name][0](table, delta=0.05, draws=d) for d in ("soft", "hard"))

    assert (hard.bound, hard.draws) == (soft.bound, "hard")


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
    # and a bit at the same end in both is a bit less to tell them by.
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
def test_ranges_that_are_none_are_refused(ends):
    with pytest.raises(ValueError, match=r"ranges of probabilities"):
        dobrushin_bound(torch.tensor(ends[0]), torch.tensor(ends[1]))


@every_certificate
def test_a_bounded_spread_keeps_to_the_certificate(name):
    logits = torch.logit(0.35 + 0.3 * leaning(3.0, m=1, points=128).cells[0][0][:, 1:])
    cells = [code_likelihood(torch.cat([rows, -rows], 1)) for rows in logits.split(32)]
    population = Population([cells[:2], cells[2:]])
    d = dobrushin_bound(torch.full((2,), 0.35), torch.full((2,), 0.65))

    assert 0 < d < 0.45
    assert violations(name, population, [[100, 100]] * 2, dobrushin=d) <= DELTA


def test_a_bounded_spread_multiplies_the_slack_and_bounds_the_gap():
    table = torch.tensor([[80.0, 20.0], [50.0, 50.0]])

    assert certify_gap(table, dobrushin=0.5).bound == pytest.approx(
        0.3 + 0.5 * slack([100, 100], 0.05)
    )
    assert certify_gap(table, dobrushin=0.1).bound == pytest.approx(0.1)
    assert certify_attack(table, dobrushin=0.1).bound == pytest.approx(0.55)
    assert certify_information(table, dobrushin=0.1).bound == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"for drawn codes leave it out"):
        certify_gap(table, dobrushin=0.5, draws="hard")
    with pytest.raises(ValueError, match=r"`dobrushin` expects a total variation from 0 to 1"):
        certify_gap(table, dobrushin=1.5)


# --- Planning.


def test_the_least_gap_is_that_of_the_two_smallest_groups():
    assert least_gap([100, 50, 900], 0.05) == pytest.approx(slack([50, 100], 0.05 / 3))
    assert least_bound([100, 50, 900], delta=0.05) == pytest.approx(least_gap([100, 50, 900]))


@pytest.mark.parametrize(
    ("certify", "sizes", "expected"),
    [
        (certify_odds, [[100, 200], [50, 80]], slack([50, 80], 0.025)),
        (
            partial(certify_opportunity, positive=0),
            [[100, 200], [50, 80]],
            slack([100, 200], 0.05),
        ),
        (certify_attack, [100, 200], 0.5 + slack([100, 200], 0.05) / 2),
    ],
)
def test_the_least_bound_is_that_of_a_code_which_says_nothing(certify, sizes, expected):
    assert least_bound(sizes, certify=certify, delta=0.05) == pytest.approx(expected)


@pytest.mark.parametrize("gap", [0.01, 0.05, 0.3])
@pytest.mark.parametrize(
    "shares", [[0.5, 0.5], [1.0, 3.0], [0.2, 0.3, 0.5], [5.0, 10.0, 20.0, 65.0]]
)
def test_rows_needed_is_the_inverse_of_the_least_gap(gap, shares):
    n = rows_needed(gap, shares, delta=0.05)

    def least(rows):
        sizes = [rows * share / sum(shares) for share in sorted(shares)]
        pairs = math.comb(len(shares), 2)
        return math.sqrt(0.5 * math.log(pairs / 0.05) * (1 / sizes[0] + 1 / sizes[1]))

    assert least(n) <= gap < least(n - 1)
    rounded = [math.ceil(n * share / sum(shares)) for share in shares]
    assert least_gap(rounded, 0.05) <= gap


@pytest.mark.parametrize(("gap", "shares"), [(0.0, [1.0, 1.0]), (0.1, [1.0]), (0.1, [1.0, 0.0])])
def test_rows_for_no_gap_or_no_groups_are_refused(gap, shares):
    with pytest.raises(ValueError, match=r"`rows_needed` expects a gap above 0"):
        rows_needed(gap, shares)


# --- Bad input.


@every_certificate
@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 5.0])
def test_a_delta_that_is_no_probability_is_refused(name, delta):
    with pytest.raises(ValueError, match=r"`delta` expects a probability between 0 and 1"):
        CERTIFICATES[name][0](torch.ones(2, 2, 2), delta=delta)


@every_certificate
@pytest.mark.parametrize("table", [torch.ones(2, 1, 4), torch.tensor([[[1.0, 1], [0, 0]]] * 2)])
def test_a_group_without_rows_and_a_constant_attribute_are_refused(name, table):
    with pytest.raises(ValueError, match=r"held-out rows of each of at least two, got groups of"):
        CERTIFICATES[name][0](table)


def test_a_target_without_rows_of_a_group_is_refused():
    table = torch.tensor([[[5.0, 5.0], [5.0, 5.0]], [[5.0, 5.0], [0.0, 0.0]]])

    assert certify_opportunity(table, 0).bound <= 1
    with pytest.raises(ValueError, match=r"got groups of \[10, 0\] rows"):
        certify_odds(table)
    with pytest.raises(ValueError, match=r"got groups of \[10, 0\] rows"):
        certify_opportunity(table, 1)


@pytest.mark.usefixtures("unchecked")
def test_tables_of_another_shape_or_with_bad_counts_are_refused():
    with pytest.raises(ValueError, match=r"`certify_gap` expects counts over \(group, code\)"):
        certify_gap(torch.ones(2, 2, 2))
    with pytest.raises(ValueError, match=r"counts over \(target, group, code\)"):
        certify_odds(torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"one of the targets, got shape \(2, 2, 2\) and pos.* 2"):
        certify_opportunity(torch.ones(2, 2, 2), 2)
    for bad in (math.nan, -1.0):
        with pytest.raises(ValueError, match=r"none below 0"):
            certify_gap(torch.tensor([[1.0, bad], [1.0, 1.0]]))


def test_settings_that_mean_nothing_are_refused():
    table = torch.ones(2, 2)

    with pytest.raises(ValueError, match=r"`candidates` expects a number from 1 on, got 0"):
        certify_gap(table, candidates=0)
    with pytest.raises(ValueError, match=r"`draws` expects 'soft' or 'hard', got 'some'"):
        certify_gap(table, draws="some")
    for prior in (torch.tensor([0.5, 0.6]), torch.tensor([1.0]), torch.tensor([1.5, -0.5])):
        with pytest.raises(ValueError, match=r"`prior` expects one weight for each of 2 groups"):
            certify_information(table, prior=prior)


@every_certificate
def test_more_drawn_codes_than_rows_are_warned_of(name):
    codes = torch.randint(64, (80,), generator=torch.Generator().manual_seed(0))
    table = torch.stack([observed_table(codes, torch.arange(80) % 2, 2, 64)] * 2)

    with pytest.warns(UserWarning, match=r"more drawn codes \(\d+\) than rows in the smallest g"):
        found = CERTIFICATES[name][0](table, delta=0.05, draws="hard")
    assert found.bound >= found.estimate
    CERTIFICATES[name][0](table, delta=0.05)  # expected counts are spread over all codes


def test_the_theorem_stands_in_the_docstring():
    for word in ("Theorem", "Proof", "Jensen", "McDiarmid", "does not say"):
        assert word in certificates.__doc__
