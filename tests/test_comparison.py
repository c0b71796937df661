import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import brute
from bitveil.certificates import certify
from bitveil.certificates.other_bounds import fare_certificate, rademacher_gap, weissman_gap
from bitveil.group_tables import GroupTables
from populations import leaning, sure

DELTA = 0.1
SIZES = [[400, 600]]


def fare(tables, delta=DELTA):
    base, cells, others = tables
    return fare_certificate(base.sum(1), cells, others.sum(0), delta=delta).bound


def three_samples(population, worlds=200, sizes=SIZES):
    drawn = [
        population.tables(sizes, draws="hard", seed=seed, worlds=worlds)[:, 0] for seed in range(3)
    ]
    return zip(*drawn, strict=True)


BOUNDS = {
    "fare": fare,
    "weissman": lambda tables: weissman_gap(tables[1], delta=DELTA),
    "rademacher": lambda tables: rademacher_gap(tables[1], delta=DELTA),
}


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("lean", [0.0, 3.0], ids=["fair", "leaky"])
def test_the_other_bounds_hold(name, lean):
    population = leaning(lean)
    truth = brute.total_variation(population.truth[0])
    found = [BOUNDS[name](tables) for tables in three_samples(population)]

    assert np.mean([bound < truth for bound in found]) <= DELTA


@pytest.mark.parametrize("name", BOUNDS)
def test_the_certificate_is_closer_to_the_truth(name):
    population = leaning(1.0, m=4)
    truth = brute.total_variation(population.truth[0])
    samples = list(three_samples(population, sizes=[[4000, 6000]]))
    ours = [
        certify(GroupTables.of(cells), delta=DELTA, draws="hard").bound for _, cells, _ in samples
    ]
    theirs = [BOUNDS[name](tables) for tables in samples]

    assert np.median(ours) - truth < 0.5 * (np.median(theirs) - truth)


def test_fare_written_again_with_another_interval():
    base, cells = torch.tensor([700.0, 300.0]), torch.tensor([[60.0, 0.0, 300], [40, 80, 20]])
    others = torch.tensor([200.0, 150.0, 650.0])

    def interval(x, n, error):
        return binomtest(x, n).proportion_ci(1 - error, method="exact")

    whole = interval(700, 1000, 0.01)
    alpha, beta = 1 / (2 * whole.low), 1 / (2 * (1 - whole.high))
    tops = []
    for x, n in ((60, 100), (0, 80), (300, 320)):
        inside = interval(x, n, 0.08 / 3)
        tops.append(min(max(alpha * inside.high, beta * (1 - inside.low)), max(alpha, beta)))
    mean = np.dot(tops, [0.2, 0.15, 0.65])
    noise = (max(tops) - min(tops)) * math.sqrt(-math.log(0.01) / 2000)

    found = fare_certificate(base, cells, others, delta=0.1)
    assert found.bound == pytest.approx(min(1, 2 * (mean + noise) - 1))
    assert found.draws == "hard"


def test_weissman_counts_the_sets_of_codes():
    table = torch.tensor([[30.0, 50.0, 20.0], [100.0, 50.0, 50.0], [20.0, 20.0, 10.0]])
    radius = [math.sqrt(2 * math.log((2**3 - 2) * 3 / 0.05) / n) for n in (100, 200, 50)]
    expected = max(
        brute.total_variation(table[[i, j]].numpy()) + (radius[i] + radius[j]) / 2
        for i, j in itertools.combinations(range(3), 2)
    )

    assert weissman_gap(table, delta=0.05) == pytest.approx(min(1, expected))


def test_the_complexity_of_all_classifiers_is_at_most_what_rademacher_is_charged():
    # The most that random signs can be correlated with by a set of codes, in the mean.
    rng = np.random.default_rng(0)
    n, c = 400, 8
    codes, signs = rng.integers(0, c, n), rng.choice([-1, 1], (2000, n))
    sums = np.stack([signs[:, codes == t].sum(1) for t in range(c)], 1)
    measured = np.maximum(sums, 0).sum(1).mean() / n
    table = torch.full((2, c), n / c)

    charged = (
        rademacher_gap(table, delta=DELTA) - certify(GroupTables.of(table), delta=DELTA).bound
    ) / 4
    assert 0.7 * charged < measured <= charged


def test_a_code_of_one_value_and_a_code_that_reveals_all():
    everything = torch.tensor([[500.0, 0.0], [0.0, 500.0]])

    assert weissman_gap(torch.full((2, 1), 500.0)) == 0
    for name in ("weissman", "rademacher"):
        assert BOUNDS[name]((None, everything, None)) == 1
    assert fare([everything] * 3) == 1


def test_all_of_them_grow_with_the_codes_and_the_certificate_does_not():
    few, many = torch.full((2, 4), 256.0), torch.full((2, 256), 4.0)

    assert certify(GroupTables.of(few)).bound == certify(GroupTables.of(many)).bound
    for name in BOUNDS:
        assert BOUNDS[name]([many] * 3) > 1.5 * BOUNDS[name]([few] * 3)


def test_with_one_code_two_of_them_are_as_good():
    # A bit that each row is sure of is what a union over four sets is made for.
    tables = next(iter(three_samples(sure([[0.3, 0.7]]))))

    assert (
        weissman_gap(tables[1], delta=DELTA)
        < 1.5 * certify(GroupTables.of(tables[1]), delta=DELTA).bound
    )
