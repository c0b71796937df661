"""The Pareto front: the exact plan beside a linear program, and worlds with a known answer."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from bitveil.baselines.pareto_front import ParetoFront, best_answers
from bitveil.benchmark.protocol import Problem, UseRows
from bitveil.benchmark.scoring import scores
from bitveil.information import total_variation

SCORED = ("select", "certify", "test")
LIMITS = (0.0, 0.03, 0.1, 0.3, 1.0)


def world(seed, sizes=(4, 3)):
    """Posteriors and shares of the bins of two groups, and the share of the second group."""

    rng = np.random.default_rng(seed)
    posteriors = [np.sort(rng.beta(1, 1 + g, k)) for g, k in enumerate(sizes)]

    return posteriors, [rng.dirichlet(np.ones(k)) for k in sizes], rng.uniform(0.1, 0.9)


def judged(kernels, posteriors, shares, second):
    """Total variation and best accuracy of a code: p(code | bin) for the bins of each group."""

    given = np.stack([share @ kernel for share, kernel in zip(shares, kernels, strict=True)])
    positive = [(p * share) @ k for p, share, k in zip(posteriors, shares, kernels, strict=True)]
    prior = np.array([1 - second, second])
    ones, all_ = prior @ np.stack(positive), prior @ given

    return np.abs(given[1] - given[0]).sum() / 2, np.maximum(ones, all_ - ones).sum()


def front(posteriors, shares, second, limit):
    """Total variation and accuracy of the plan."""

    answers = best_answers(posteriors, shares, second, limit)
    kernels = [np.stack([1 - ones, ones], 1) for ones in answers]

    return judged(kernels, posteriors, shares, second)


def coupled(posteriors, shares, second, limit):
    """The best accuracy, by a linear program over couplings.

    As in the paper a code stands for a pair of bins, one of each group. Each pair has two codes,
    one for each answer. The variables are p(code | bin) times the share of the bin, and for each
    code a number that is at least the difference of the groups.
    """

    n, m = map(len, shares)
    codes = [(i, j, answer) for i in range(n) for j in range(m) for answer in (0, 1)]
    k = len(codes)
    gain, whole, apart = np.zeros(3 * k), np.zeros((n + m, 3 * k)), np.zeros((2 * k + 1, 3 * k))
    for c, (i, j, answer) in enumerate(codes):
        for g, b, prior in ((0, i, 1 - second), (1, j, second)):
            p = posteriors[g][b]
            gain[g * k + c] = prior * (p if answer else 1 - p)
            whole[g * n + b, g * k + c] = 1
        apart[c, [c, k + c, 2 * k + c]] = 1, -1, -1
        apart[k + c, [c, k + c, 2 * k + c]] = -1, 1, -1
        apart[2 * k, 2 * k + c] = 0.5
    most = np.append(np.zeros(2 * k), limit)
    found = linprog(-gain, A_ub=apart, b_ub=most, A_eq=whole, b_eq=np.concatenate(shares))

    return -found.fun


@pytest.mark.parametrize("seed", range(6))
def test_the_plan_is_the_best_of_all_couplings(seed):
    given = world(seed)
    for limit in LIMITS:
        apart, accuracy = front(*given, limit)

        assert apart <= limit + 1e-12
        assert accuracy == pytest.approx(coupled(*given, limit), abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_no_code_of_many_cells_is_more_accurate(seed):
    given, rng = world(seed), np.random.default_rng(seed)
    for _ in range(200):
        kernels = [rng.dirichlet(np.full(6, 0.2), size=len(share)) for share in given[1]]
        apart, most = judged(kernels, *given)

        assert most <= front(*given, apart)[1] + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_who_does_not_see_the_group_is_never_more_accurate(seed):
    """The rule of the ceiling, at each of its multipliers, where all probabilities are known."""

    rng = np.random.default_rng(seed)
    target, second = rng.beta(1, 1, size=(2, 5)), rng.uniform(0.2, 0.8)
    shares, prior = rng.dirichlet(np.ones(5), size=2), np.array([1 - second, second])
    sensitive = prior[1] * shares[1] / (prior @ shares)
    gain = 2 * (prior @ (shares * target)) / (prior @ shares) - 1
    cost = sensitive / second - (1 - sensitive) / (1 - second)
    better = []
    for multiplier in np.linspace(-2, 2, 81):
        answers = (gain > multiplier * cost).astype(float)
        apart = abs((shares[1] - shares[0]) @ answers)
        blind = (prior @ (shares * np.where(answers, target, 1 - target))).sum()
        better.append(front(target, shares, second, apart)[1] - blind)

    assert min(better) >= -1e-12
    assert max(better) > 0.01


def variation(codes, s):
    return float(total_variation(torch.from_numpy(np.eye(2)[s].T @ codes)).max())


def right(codes, y):
    """How often the drawn answer is right, in expectation."""

    return codes[np.arange(len(y)), y].mean()


def trap(n, seed):
    """Two fair coins that are equal in one group only, and a target that follows the group."""

    rng = np.random.default_rng(seed)
    coin, s = rng.integers(2, size=(2, n))

    return np.stack([coin, coin ^ s], 1).astype(float), s ^ (rng.random(n) < 0.1), s


@pytest.mark.parametrize("limit", [0.1, 0.5])
def test_in_the_parity_trap_no_code_is_more_accurate_than_its_variation_allows(limit):
    """Where 9 of 10 targets are the group, the most that a code can have is 0.5 + 0.4 TV."""

    model = ParetoFront(limit, random_state=0)
    X, y, s = trap(2000, seed=0)
    model.fit(X, y, sensitive_features=s)
    X, y, s = trap(20_000, seed=1)
    codes = model.likelihoods(X, sensitive_features=s)

    assert model.gap_ == pytest.approx(limit)
    assert 0.05 < variation(codes, s) < limit + 0.05
    assert right(codes, y) == pytest.approx(0.5 + 0.4 * variation(codes, s), abs=0.01)


@pytest.mark.parametrize("limit", [0.1, 0.2])
def test_on_fresh_rows_the_gap_is_the_limit_and_the_accuracy_is_the_best(limit):
    """The posterior is the first column in one group, and a square root of it in the other."""

    def rows(n, seed):
        rng = np.random.default_rng(seed)
        s, p = rng.integers(2, size=n), rng.random(n)
        p = np.where(s, np.sqrt(p), p)
        return p[:, None], (rng.random(n) < p).astype(int), s

    X, y, s = rows(8000, seed=0)
    model = ParetoFront(limit, random_state=0).fit(X, y, sensitive_features=s)
    X, y, s = rows(50_000, seed=1)
    codes = model.likelihoods(X, sensitive_features=s)
    drawn = model.transform(X, sensitive_features=s)[:, 0]
    apart = variation(codes, s)
    each = np.full(50_000, 1 / 50_000)
    middles = (np.arange(50_000) + 0.5) / 50_000
    best = front([middles, np.sqrt(middles)], [each, each], 0.5, apart)[1]

    assert apart == pytest.approx(limit, abs=0.03)
    assert right(codes, y) == pytest.approx(best, abs=0.01)
    assert drawn.mean() == pytest.approx(codes[:, 1].mean(), abs=0.01)


def test_the_front_is_told_the_groups():
    X, y, s = trap(200, seed=0)
    model = ParetoFront(random_state=0).fit(X, y, sensitive_features=s)

    for reading in (model.transform, model.likelihoods):
        with pytest.raises(ValueError, match="groups as in `fit`"):
            reading(X, sensitive_features=s + 1)


def test_the_benchmark_gives_the_groups_to_a_code_that_needs_them():
    parts = {name: UseRows(*trap(400, seed)) for seed, name in enumerate(("fit", *SCORED))}
    known = parts["fit"]
    model = ParetoFront(0.2, random_state=0).fit(known.X, known.y, sensitive_features=known.s)
    found = scores(model, Problem("trap", ("0", "1"), parts), candidates=1, delta=0.05)
    rows = parts["test"]
    codes = model.likelihoods(rows.X, sensitive_features=rows.s)

    assert found["codes"] == 2
    assert found["test_variation"] == pytest.approx(variation(codes, rows.s))
    assert found["bound"] > found["certify_variation"]
