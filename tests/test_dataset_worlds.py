"""The worlds with known answers: each answer against sums over all cells, each drawing as well."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import multivariate_normal, norm

from bitveil.datasets import (
    make_additive_leak,
    make_gaussian_groups,
    make_parity_trap,
    make_unequal_rates,
)

# A table holds p(s, y, x): two groups, two values of the target, an axis for each feature.
EDGES = np.linspace(-8, 8, 321)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2


def flipped(a, b, p):
    return p if a != b else 1 - p


def parity_trap(flip, noise):
    p = np.zeros((2, 2, 2, 2))
    for s, y, coin, wrong in itertools.product((0, 1), repeat=4):
        weight = flipped(y, coin, noise) * flipped(wrong, 0, flip) / 4
        p[s, y, coin, (coin + s + wrong) % 2] += weight
    return p


def additive_leak(n_leaks, flip, noise):
    p = np.zeros((2,) * (n_leaks + 3))
    for s, y, signal, *leaks in itertools.product((0, 1), repeat=n_leaks + 3):
        weight = math.prod(flipped(s, leak, flip) for leak in leaks)
        p[(s, y, signal, *leaks)] = weight * flipped(y, signal, noise) / 4
    return p


def densities(mean_1, mean_2):
    return (
        np.outer(norm.pdf(MIDDLES, mean_1), norm.pdf(MIDDLES, mean_2)) * (EDGES[1] - EDGES[0]) ** 2
    )


def gaussian_groups(distance, overlap, noise):
    p = np.zeros((2, 2, len(MIDDLES), len(MIDDLES)))
    u = (MIDDLES[:, None] + MIDDLES[None, :]) / math.sqrt(2)
    w = (MIDDLES[:, None] - MIDDLES[None, :]) / math.sqrt(2)
    positive = norm.cdf((overlap * u + math.sqrt(1 - overlap**2) * w) / noise)
    for s in (0, 1):
        mean = (2 * s - 1) * distance / math.sqrt(8)
        p[s, 1] = densities(mean, mean) * positive / 2
        p[s, 0] = densities(mean, mean) * (1 - positive) / 2
    return p


def unequal_rates(rates, distance):
    p = np.zeros((2, 2, len(MIDDLES), len(MIDDLES)))
    for s, y in itertools.product((0, 1), repeat=2):
        mean = (2 * y - 1) * distance / math.sqrt(8)
        p[s, y] = densities(mean, mean) * flipped(y, 1, 1 - rates[s]) / 2
    return p


WORLDS = [
    (make_parity_trap, parity_trap, {"flip": 0.0, "noise": 0.1}),
    (make_parity_trap, parity_trap, {"flip": 0.2, "noise": 0.3}),
    (make_additive_leak, additive_leak, {"n_leaks": 1, "flip": 0.2, "noise": 0.1}),
    (make_additive_leak, additive_leak, {"n_leaks": 6, "flip": 0.35, "noise": 0.2}),
    (make_gaussian_groups, gaussian_groups, {"distance": 1.0, "overlap": 0.5, "noise": 0.5}),
    (make_gaussian_groups, gaussian_groups, {"distance": 2.5, "overlap": 1.0, "noise": 1.0}),
    (make_gaussian_groups, gaussian_groups, {"distance": 1.5, "overlap": 0.0, "noise": 0.7}),
    (make_unequal_rates, unequal_rates, {"rates": (0.2, 0.8), "distance": 2.0}),
    (make_unequal_rates, unequal_rates, {"rates": (0.7, 0.4), "distance": 1.2}),
    (make_unequal_rates, unequal_rates, {"rates": (0.1, 0.3), "distance": 3.0}),
    (make_unequal_rates, unequal_rates, {"rates": (0.6, 0.6), "distance": 1.0}),
]
every_world = pytest.mark.parametrize(("make", "tabulate", "settings"), WORLDS)
MAKERS = [make_parity_trap, make_additive_leak, make_gaussian_groups, make_unequal_rates]


# Readings of a table, none of them as the package computes them


def entropy(p):
    p = p[p > 0]
    return -(p * np.log(p)).sum()


def information(sx):
    return entropy(sx.sum(1)) + entropy(sx.sum(0)) - entropy(sx)


def information_each(p):
    features = range(2, p.ndim)
    others = [(1, *(axis for axis in features if axis != own)) for own in features]
    return sum(information(p.sum(axes)) for axes in others)


def conditional_information(p):
    return sum(p[:, y].sum() * information(p[:, y] / p[:, y].sum()) for y in (0, 1))


def total_variation(sx):
    return np.abs(sx[0] / sx[0].sum() - sx[1] / sx[1].sum()).sum() / 2


def gap(sx, answer):
    rates = (sx * answer).sum(1) / sx.sum(1)
    return abs(rates[1] - rates[0])


def best_accuracy(p, *, odds):
    """The most accurate randomised classifier without a gap: a linear programme over cells."""

    gain = (p[:, 1] - p[:, 0]).sum(0)
    tables = [p[:, 0], p[:, 1]] if odds else [p.sum(1)]
    gaps = [sx[1] / sx[1].sum() - sx[0] / sx[0].sum() for sx in tables]
    found = linprog(-gain, A_eq=np.stack(gaps), b_eq=np.zeros(len(gaps)), bounds=(0, 1))
    assert found.success
    return p[:, 0].sum() - found.fun


def coarser(p, factor):
    """The cells of a grid put together, those of small tables as they are."""

    if p.shape[-1] == 2:
        return p
    k = len(MIDDLES) // factor
    return p.reshape(2, 2, k, factor, k, factor).sum((3, 5))


def answers(p):
    cells, few = p.reshape(2, 2, -1), coarser(p, 4).reshape(2, 2, -1)
    sx, yx = cells.sum(1), cells.sum(0)

    return {
        "information": information(sx),
        "information_each": information_each(p),
        "conditional_information": conditional_information(cells),
        "total_variation": total_variation(sx),
        "bayes_accuracy": yx.max(0).sum(),
        "parity_gap": gap(sx, yx[1] > yx[0]),
        "parity_accuracy": best_accuracy(few, odds=False),
        "odds_accuracy": best_accuracy(few, odds=True),
    }


def tolerance(name, p):
    """Sums over a grid of a smooth density are exact; a threshold cuts through cells."""

    if p.shape[-1] == 2 or "information" in name:
        return 1e-9
    return 2e-3 if name in ("parity_accuracy", "odds_accuracy") else 1e-3


@every_world
def test_answers(make, tabulate, settings):
    table = tabulate(**settings)
    known, expected = make(10, **settings, random_state=0).answers, answers(table)

    assert table.sum() == pytest.approx(1, abs=1e-9)
    assert len(known) >= 6
    for name, value in known.items():
        assert value == pytest.approx(expected[name], abs=tolerance(name, table)), name


@every_world
def test_drawn_rows_are_of_the_world(make, tabulate, settings):
    n = 50_000
    data = make(n, **settings, random_state=1)
    expected = coarser(tabulate(**settings), 20)
    values = [(data.sensitive["group"] == "b").astype(int), data.target]
    values += [data.features[name] for name in data.features]
    bins = [range(3)] * len(values)
    if expected.shape[-1] > 2:
        bins = [range(3), range(3), EDGES[::20], EDGES[::20]]
    counts, _ = np.histogramdd(np.column_stack(values), bins=bins)

    assert counts.sum() == n
    deviation = (counts - n * expected) / np.sqrt(n * expected * (1 - expected) + 1)
    assert np.abs(deviation).max() < 5
    assert not (counts[expected == 0]).any()


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("noise", [0.01, 0.5, 3.0])
def test_gaussian_accuracy_is_a_bivariate_normal_probability(overlap, noise):
    made = make_gaussian_groups(10, distance=2.0, overlap=overlap, noise=noise, random_state=0)
    deviation = math.hypot(1, noise)
    correlated = multivariate_normal(cov=[[1, 1 / deviation], [1 / deviation, 1]])
    at = np.array([overlap, overlap / deviation])
    both_or_neither = correlated.cdf(at) + correlated.cdf(-at)

    assert made.answers["bayes_accuracy"] == pytest.approx(both_or_neither, abs=2e-5)


def test_sum_over_columns_is_too_low_for_the_trap_and_too_high_for_the_leak():
    trap, leak = make_parity_trap(10).answers, make_additive_leak(10).answers

    assert trap["information_each"] < trap["information"]
    assert leak["information_each"] > leak["information"]


@pytest.mark.parametrize("n_leaks", [1, 2, 30, 1000])
def test_leaks_add_up_until_all_is_told(n_leaks):
    made = make_additive_leak(10, n_leaks=n_leaks, flip=0.4).answers

    assert made["information"] <= min(made["information_each"] + 1e-12, math.log(2))
    assert 0.2 - 1e-12 <= made["total_variation"] <= 1
    if n_leaks == 1000:
        assert made["information"] == pytest.approx(math.log(2), abs=1e-6)
        assert made["total_variation"] == pytest.approx(1, abs=1e-6)


def test_parity_costs_everything_and_odds_nothing():
    made = make_unequal_rates(10, rates=(0.2, 0.8), distance=2.0).answers

    assert made["parity_accuracy"] == 0.5
    assert made["odds_accuracy"] == made["bayes_accuracy"] == pytest.approx(norm.cdf(1))
    assert made["parity_gap"] == pytest.approx(0.6 * (2 * norm.cdf(1) - 1))
    assert made["total_variation"] == pytest.approx(made["parity_gap"])


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (make_parity_trap, {"flip": 0.5, "noise": 0.0}),
        (make_additive_leak, {"flip": 0.0, "noise": 0.5}),
        (make_additive_leak, {"flip": 0.5}),
        (make_gaussian_groups, {"distance": 0}),
        (make_gaussian_groups, {"distance": 20, "overlap": 1, "noise": 0}),
        (make_gaussian_groups, {"distance": 20, "overlap": 1, "noise": 1e-6}),
        (make_gaussian_groups, {"distance": 1e-6, "overlap": 0.1, "noise": 100}),
        (make_unequal_rates, {"rates": (0.01, 0.99), "distance": 20}),
        (make_unequal_rates, {"rates": (0.01, 0.01), "distance": 0.1}),
    ],
)
def test_extremes_are_in_bounds(make, settings):
    made = make(100, **settings, random_state=0)

    slack = 1e-9
    for name, value in made.answers.items():
        most = made.features.shape[1] * math.log(2) if "information" in name else 1
        assert isinstance(value, float)
        assert -slack <= value <= most + slack
    assert made.answers["information"] <= math.log(2) + slack
    assert made.answers["parity_gap"] <= made.answers["total_variation"] + slack
    assert made.answers["bayes_accuracy"] >= 0.5 - slack


@pytest.mark.parametrize("make", MAKERS)
def test_seed_generator_and_rows(make):
    one, same, other = make(200, random_state=3), make(200, random_state=3), make(200)
    rng = np.random.default_rng(3)
    drawn, next_drawn = make(200, random_state=rng), make(200, random_state=rng)

    assert len(one.features) == len(one.target) == 200
    assert one.features.equals(same.features)
    assert one.features.equals(drawn.features)
    assert not one.features.equals(other.features)
    assert not one.features.equals(next_drawn.features)
    assert one.answers == other.answers


@pytest.mark.parametrize("make", MAKERS)
def test_is_a_data_set_like_any_other(make):
    made = make(400, random_state=0)

    assert made.target.dtype == np.int64
    assert set(made.target) == {0, 1}
    assert set(made.sensitive["group"]) == {"a", "b"}
    assert made.without("group").equals(made.features)
    assert 0.2 < made.test.mean() < 0.4


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (
            make_parity_trap,
            {"flip": 0.6},
            "`make_parity_trap` expects flip from 0 to 0.5; got 0.6",
        ),
        (make_parity_trap, {"n": 0}, "expects n from 1"),
        (make_additive_leak, {"noise": -0.1}, "expects noise from 0 to 0.5; got -0.1"),
        (make_additive_leak, {"n_leaks": 0}, "expects n_leaks from 1 to 1000; got 0"),
        (make_gaussian_groups, {"overlap": 1.5}, "expects overlap from 0 to 1; got 1.5"),
        (make_gaussian_groups, {"noise": math.nan}, "expects noise from 0 to 100; got nan"),
        (make_unequal_rates, {"rates": (0.5, 1.0)}, "expects rate_b from 0.01 to 0.99; got 1.0"),
        (make_unequal_rates, {"distance": 0}, "expects distance from 0.1 to 20; got 0"),
    ],
)
def test_settings_out_of_range(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)
