"""The intervals of the report: they cover what they are about, and narrower ones do not."""

import numpy as np
import pytest

from audit_pages import rows_of
from bitveil.audits import fairness_differences
from bitveil.audits.fairness import gap_interval, parity_gap
from bitveil.audits.page.answers import use_of
from bitveil.audits.page.attackers import attackers_of
from bitveil.audits.page.labels import merged
from bitveil.audits.page.marks import Row
from bitveil.audits.page.view import View
from bitveil.certificates.compared import slack
from worlds import audit_named, noisy_copy

RATES = 0.65, 0.4
TRUTH = RATES[0] - RATES[1]


def worlds(n_worlds, sizes=(260, 140)):
    """Answers of a fixed classifier to new rows of two groups, again and again."""

    groups = np.repeat([0, 1], sizes)
    for seed in range(n_worlds):
        rng = np.random.default_rng(seed)
        yield (rng.random(sum(sizes)) < np.take(RATES, groups)).astype(int), groups


def test_bootstrap_intervals_of_gaps_cover_the_gap_about_as_often_as_they_say():
    found = [gap_interval(*world, n_boot=100) for world in worlds(300)]
    covered = np.mean([low <= TRUTH <= high for low, high in found])
    halved = [((3 * low + high) / 4, (low + 3 * high) / 4) for low, high in found]

    assert 0.9 <= covered <= 0.99
    assert np.mean([low <= TRUTH <= high for low, high in halved]) < 0.8


def test_each_end_of_an_attackers_interval_is_wrong_at_most_as_often_as_it_says():
    noise = slack((260, 140), 0.1)
    gaps = [a[g == 0].mean() - a[g == 1].mean() for a, g in worlds(1_500)]
    over, under = (np.mean([sign * (gap - TRUTH) > noise for gap in gaps]) for sign in (1, -1))
    too_narrow = np.mean([gap - TRUTH > noise / 2 for gap in gaps])

    assert max(over, under) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 1_500)
    assert too_narrow > 0.13


def test_gaps_drawn_anew_are_the_same_function_of_the_rows():
    """With an interval so narrow that it is a number: all rows of a group answer alike."""

    groups = np.repeat([0, 1], 50)

    assert gap_interval(groups, groups) == (1.0, 1.0)
    assert gap_interval(np.zeros(100, int), groups) == (0.0, 0.0)
    assert gap_interval(np.array([1]), np.array([0])) == (0.0, 0.0)
    low, high = gap_interval(np.array([1, 0, 2] * 30), np.array([0, 1, 2] * 30))
    assert parity_gap(np.array([1, 0, 2] * 30), np.array([0, 1, 2] * 30)) == low == high == 1


def test_differences_of_samples_are_those_of_fairlearn():
    pytest.importorskip("fairlearn")
    rng = np.random.default_rng(0)
    groups, labels, answers = rng.integers(0, [[3], [2], [2]], (3, 300))
    once = fairness_differences(answers, labels, groups, n_boot=1, random_state=3)
    counts = np.zeros((2, 2, 3), int)
    np.add.at(counts, (answers, labels, groups), 1)
    drawn = np.random.default_rng(3).multinomial(300, counts.ravel() / 300).reshape(2, 2, 3)
    rows = np.repeat(np.indices((2, 2, 3)).reshape(3, -1), drawn.ravel(), axis=1)
    again = fairness_differences(*rows, n_boot=0)

    for one, other in zip(once, again, strict=True):
        assert one.interval == pytest.approx((other.value, other.value))


def test_an_attacker_below_a_blind_guess_is_drawn_below_zero():
    found = audit_named(*rows_of(noisy_copy(0.5), 300))
    plot = attackers_of(View("x", "", found))
    whiskers = [mark for row in plot.rows for mark in row.marks if mark.kind == "whisker"]

    assert min(mark.value for mark in whiskers) < 0
    assert plot.axis.low <= min(mark.value for mark in whiskers)
    assert "on new rows" in plot.lead


def test_the_interval_of_an_accuracy_is_the_exact_binomial_one():
    logits, s = rows_of(noisy_copy(0.3), 300)
    found = audit_named(logits, s, (np.arange(600) % 7 > 2) == s)
    plot, probe = use_of(View("x", "", found)), found.uses[0].probe
    n = sum(probe.sizes)
    low, high = (plot.rows[0].marks[0].value, plot.rows[0].marks[0].end)
    hits = round(probe.accuracy * n)

    # Clopper and Pearson: with each end as the truth, so extreme a count has probability 0.025.
    rng = np.random.default_rng(0)
    assert np.mean(rng.binomial(n, low, 200_000) >= hits) == pytest.approx(0.025, abs=0.004)
    assert np.mean(rng.binomial(n, high, 200_000) <= hits) == pytest.approx(0.025, abs=0.004)


def test_only_rows_with_equal_numbers_are_merged():
    rows = [Row("a", "1", ()), Row("b", "2", ()), Row("c", "1", ()), Row("d", "2 ", ())]

    assert [row.label for row in merged(rows)] == ["a, c", "b", "d"]
