"""Slacks, against every law that can be enumerated, and against a simulation of their own."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from bitveil.certificates import slack
from bitveil.certificates.slacks import (
    CELLS,
    berry_esseen_slack,
    binomial_slack,
    dominating_law,
    error_bounds,
    hoeffding_slack,
    least_slack,
    stop_loss_slack,
)

SOFT = {
    "hoeffding": hoeffding_slack,
    "stop-loss": stop_loss_slack,
    "berry-esseen": berry_esseen_slack,
}
METHODS = SOFT | {"binomial": binomial_slack}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
every_draws = pytest.mark.parametrize("draws", ["soft", "hard"])


def exceeded(sizes, p, t):
    """P(p_1 - K_1 / n_1 + p_0 - K_0 / n_0 > t) for two binomials, exactly."""

    (n, m), (p, q) = sizes, p
    k = np.arange(n + 1)
    # K_0 / n_0 < q + p - t - K_1 / n_1; what is equal up to rounding does not count.
    room = m * (p + q - t - k / n)
    return binom.pmf(k, n, p) @ binom.cdf(np.ceil(room - 1e-9) - 1, m, q)


def worst(sizes, t, means):
    """The means at which a slack is exceeded most often, among those given and their squares."""

    return max(itertools.product(means, repeat=2), key=lambda p: exceeded(sizes, p, t))


# --- Valid: for all laws of a few rows, and for the worst of many rows.


@every_method
@pytest.mark.parametrize("delta", [0.3, 0.05, 0.003])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (4, 30), (12, 12)])
def test_no_two_binomials_of_a_few_rows_exceed_a_slack(method, sizes, delta):
    t = method(sizes, delta)
    means = np.linspace(0, 1, 25)

    assert exceeded(sizes, worst(sizes, t, means), t) <= delta + 1e-12


@pytest.mark.parametrize("sizes", [(200, 200), (450, 649)])
@pytest.mark.parametrize("delta", [0.05, 0.05 / 16])
def test_the_binomial_slack_is_close_to_the_worst_of_many_rows(sizes, delta):
    t = binomial_slack(sizes, delta)
    means = [0.3, 0.42, 0.46, *np.linspace(0.49, 0.51, 9), 0.54, 0.58, 0.7]

    assert exceeded(sizes, worst(sizes, t, means), t) <= delta
    assert exceeded(sizes, worst(sizes, 0.9 * t, means), 0.9 * t) > delta


def three_point_sums(n, law):
    """The law of a sum of n numbers 0, 1/2 and 1, on halves."""

    size = 2 * n + 1
    return np.maximum(0, np.fft.irfft(np.fft.rfft(law, 2 * size) ** n, 2 * size)[:size])


@pytest.mark.parametrize("method", SOFT.values(), ids=SOFT)
@pytest.mark.parametrize(
    ("sizes", "delta"), [((5, 9), 0.05), ((200, 300), 0.05), ((40, 40), 0.01)]
)
def test_no_three_point_laws_exceed_a_soft_slack(method, sizes, delta):
    t = method(sizes, delta)
    laws = [(a, 1 - a - b, b) for a, b in itertools.product((0, 0.05, 0.3, 0.5), repeat=2)]
    for first, second in itertools.product(laws, repeat=2):
        total = 0.0
        tail = np.append(0, three_point_sums(sizes[1], second)).cumsum()
        means = [law[1] / 2 + law[2] for law in (first, second)]
        at = np.arange(2 * sizes[0] + 1) / 2 / sizes[0]
        room = 2 * sizes[1] * (sum(means) - t - at)
        below = np.clip(np.ceil(room - 1e-9), 0, len(tail) - 1).astype(int)
        total = three_point_sums(sizes[0], first) @ tail[below]
        assert total <= delta + 1e-9


@pytest.mark.parametrize(
    ("sizes", "draws"), [((450, 649), "soft"), ((450, 649), "hard"), ((3000, 6000), "hard")]
)
def test_a_simulation_exceeds_a_slack_with_probability_delta_at_most(sizes, draws):
    rng, repeats, delta = np.random.default_rng(0), 40_000, 0.05
    t = slack(sizes, delta, draws=draws)
    means = 0.5 + np.array([-0.01, -0.001, 0, 0.0005, 0.001, 0.01])
    p, q = worst(sizes, 0.9 * t, means)
    errors = p + q - rng.binomial(sizes[0], p, repeats) / sizes[0]
    errors -= rng.binomial(sizes[1], q, repeats) / sizes[1]
    noise = 3 * math.sqrt(delta * (1 - delta) / repeats)

    assert (errors > t).mean() <= delta + noise
    if draws == "hard":
        assert (errors > 0.9 * t).mean() > delta + noise


@pytest.mark.parametrize("sizes", [(40, 60, 80), (300, 300, 300, 300, 300), (20, 20_000, 200)])
def test_the_slack_of_many_groups_is_rarely_exceeded(sizes):
    rng, repeats, delta = np.random.default_rng(1), 40_000, 0.05
    for p in (0.5, 0.3, 0.02):
        errors = sum(p - rng.binomial(n, p, repeats) / n for n in sizes)
        assert (errors > slack(sizes, delta)).mean() <= delta
        assert slack(sizes, delta, draws="hard") == slack(sizes, delta)


def test_numbers_in_a_narrow_interval_have_a_narrow_slack():
    sizes, delta, width = (450, 649), 0.05, 0.3

    assert slack(sizes, delta, dobrushin=width) == pytest.approx(width * slack(sizes, delta))
    rng = np.random.default_rng(2)
    means = [0.6 + width * rng.binomial(n, 0.5, 40_000) / n for n in sizes]
    errors = sum(0.6 + width / 2 - mean for mean in means)
    assert (errors > slack(sizes, delta, dobrushin=width)).mean() <= delta
    assert (errors > 0.7 * slack(sizes, delta, dobrushin=width)).mean() > delta


# --- What the bounds are made of.


@pytest.mark.parametrize("n", [1, 7, 300, 20_000])
def test_one_law_is_above_all_errors_in_convex_order(n):
    step = 0.5 / math.sqrt(n) / 10
    law, beyond = dominating_law(n, step, 1.0)
    points = step * (np.arange(len(law)) - len(law) // 2)
    grid = np.linspace(-1.5, 1.5, 31) / math.sqrt(n)

    assert law.sum() == pytest.approx(1)
    for p in np.random.default_rng(0).uniform(0, 1, 40):
        k = np.arange(n + 1)
        mass = binom.pmf(k, n, p)
        for a in grid:
            excess = np.maximum(0, p - k / n - a) @ mass
            assert excess <= np.maximum(0, points - a) @ law + beyond + 1e-12
    # It is not far above: with some rows the variance is that of one half.
    assert n < 100 or law @ points**2 <= 1.02 * 0.25 / n + step**2


@pytest.mark.parametrize("n", [1, 2, 5, 30, 200, 5000])
@pytest.mark.parametrize("ends", [CELLS, np.array([0.0, 0.03, 0.06])], ids=["all", "few"])
def test_the_error_of_a_cell_is_above_those_of_its_means(n, ends):
    rng = np.random.default_rng(0)
    w = np.sort(rng.uniform(-1, 1, 400)) * min(1, 5 / math.sqrt(n))
    bounds = error_bounds(n, ends, w)
    for bound, low, high in zip(bounds, ends, ends[1:], strict=False):
        for p in [low, high, *rng.uniform(low, high, 40)]:
            assert (binom.cdf(np.floor(n * (p - w) + 1e-12), n, p) <= bound + 1e-12).all()


def test_few_probable_events_have_a_small_slack():
    sizes, delta = (300, 500), 0.05
    t = slack(sizes, delta, draws="hard", most=0.1)
    few = np.linspace(0, 0.1, 21)

    assert t < 0.8 * slack(sizes, delta, draws="hard")
    for p, q in itertools.product(few, 1 - few):
        assert exceeded(sizes, (p, q), t) <= delta
        assert exceeded(sizes, (q, p), t) <= delta
    assert exceeded(sizes, (0.1, 0.9), 0.8 * t) > delta
    assert exceeded(sizes, (0.5, 0.5), t) > delta  # an event that is more probable
    values = [slack(sizes, delta, draws="hard", most=most) for most in (0.01, 0.1, 0.3, 0.5, 1.0)]
    assert values == sorted(values)


# --- Which of them is taken.

EXPECTED = [  # sizes, delta, Hoeffding, stop-loss, Berry-Esseen, two binomials
    ((200, 200), 0.05, 0.1224, 0.1036, 0.1146, 0.0887),
    ((450, 649), 0.05, 0.0751, 0.0635, 0.0574, 0.0529),
    ((450, 649), 0.05 / 16, 0.1042, 0.0935, 0.1042, 0.0863),
    ((1000, 1000), 0.05, 0.0547, 0.0463, 0.0400, 0.0381),
    ((3000, 6000), 0.05, 0.0274, 0.0231, 0.0192, 0.0187),
    ((3000, 6000), 0.05 / 16, 0.0380, 0.0341, 0.0380, 0.0309),
    ((10_000, 20_000), 0.05, 0.0150, 0.0127, 0.0103, 0.0102),
]


@pytest.mark.parametrize(("sizes", "delta", "h", "sl", "be", "two"), EXPECTED)
def test_the_table_of_the_documentation(sizes, delta, h, sl, be, two):
    found = [method(sizes, delta) for method in METHODS.values()]

    assert found == pytest.approx([h, sl, be, two], abs=6e-5)
    assert slack(sizes, delta) == min(found[:3])
    assert slack(sizes, delta, draws="hard") == min(found)


@every_draws
@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-6])
def test_more_rows_and_a_larger_delta_never_have_a_larger_slack(draws, delta):
    rng = np.random.default_rng(0)
    for n, m in np.exp(rng.uniform(0, 11, (7, 2))).astype(int).tolist():
        values = [slack([n, m + k], delta, draws=draws) for k in (0, 1, 2, 3, 4 + m // 9, 9 * m)]
        assert (np.diff(values) <= 1e-9 * values[0]).all(), (n, m)
        assert slack([n, m], 0.99 * delta, draws=draws) >= values[0] * (1 - 1e-9)
        assert values[0] <= hoeffding_slack([n, m], delta)


@every_draws
def test_a_slack_has_no_jump_where_the_method_changes(draws):
    # Stop-loss up to about 300 rows, Berry-Esseen from there on.
    sizes = range(240, 400, 4)
    values = np.array([slack([n, n], 0.05, draws=draws) for n in sizes])
    taken = {min(SOFT, key=lambda name, n=n: SOFT[name]((n, n), 0.05)) for n in (sizes[0], 399)}

    assert taken == {"stop-loss", "berry-esseen"}
    assert (np.diff(values) < 0).all()
    assert (np.diff(values) > -0.02 * values[:-1]).all()


def test_a_slack_is_computed_once():
    least_slack.cache_clear()
    first = slack([321, 123], 0.05, draws="hard")
    again = slack([123, 321], 0.05, draws="hard")

    assert first == again
    assert (least_slack.cache_info().hits, least_slack.cache_info().misses) == (1, 1)
