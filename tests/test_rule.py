"""The closed-form rule against all answers there are, in worlds whose posteriors are known."""

import numpy as np
import pytest
from scipy.optimize import linprog

from bitveil.baselines.rule import Rule


def log_odds(p):
    return np.log(p[:, 1:] / (1 - p[:, 1:]))


def world(seed, n_cells=8, rows=400, n_classes=2, n_groups=2):
    """Cells with as many rows, whose classes and groups have exactly the posteriors given."""

    rng = np.random.default_rng(seed)
    odds, y, s = [], [], []
    for _ in range(n_cells):
        joint = rng.multinomial(rows, rng.dirichlet(np.ones(n_classes * n_groups))).reshape(
            n_classes, n_groups
        )
        own_y, own_s = np.unravel_index(
            np.repeat(np.arange(joint.size), joint.ravel()), joint.shape
        )
        p = [joint.sum(1) + 1e-9, joint.sum(0) + 1e-9]
        odds.append(np.tile(np.concatenate([np.log(q[1:] / q[0]) for q in p]), (rows, 1)))
        y.append(own_y)
        s.append(own_s)

    return np.vstack(odds), np.concatenate(y), np.concatenate(s)


def best_accuracy(X, y, s, limit):
    """The most accurate answer of all, by a linear program over the chances in each cell."""

    cell = np.repeat(np.arange(8), 400)
    right = np.array([[np.mean((cell == c) & (y == a)) for a in (0, 1)] for c in range(8)])
    apart = np.array([np.mean(cell[s == 1] == c) - np.mean(cell[s == 0] == c) for c in range(8)])
    found = linprog(
        right[:, 0] - right[:, 1], A_ub=[apart, -apart], b_ub=[limit, limit], bounds=(0, 1)
    )

    return right[:, 0].sum() - found.fun


@pytest.mark.parametrize("limit", [0.0, 0.02, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_no_answer_within_the_limit_is_more_accurate(seed, limit):
    X, y, s = world(seed)
    rule = Rule(limit, random_state=0).fit(X, y, sensitive_features=s)
    right = rule.likelihoods(X)[np.arange(len(y)), y].mean()

    assert rule.gap_ <= limit + 1e-12
    assert right == pytest.approx(best_accuracy(X, y, s, limit), abs=1e-6)


def test_answers_are_drawn_with_their_chances():
    X, y, s = world(2)
    rule = Rule(0.05, random_state=0).fit(X, y, sensitive_features=s)
    answers, chances = rule.transform(X)[:, 0], rule.likelihoods(X)[:, 1]

    assert 0 < rule.coin_ < 1
    assert set(chances) > {0.0, 1.0}
    for chance in set(chances):
        some = answers[chances == chance]
        assert some.mean() == pytest.approx(chance, abs=4 * np.sqrt(0.25 / len(some)))
    np.testing.assert_array_equal(rule.transform(X)[:, 0], answers)


def test_a_limit_that_binds_nobody_leaves_the_best_answer():
    X, y, s = world(0)
    rule = Rule(1.0).fit(X, y, sensitive_features=s)

    assert not rule.multipliers_.any()
    np.testing.assert_array_equal(rule.transform(X)[:, 0], X[:, 0] > 0)


def test_names_of_classes_and_groups_do_not_matter():
    X, y, s = world(1)
    plain = Rule(0.1).fit(X, y, sensitive_features=s)
    swapped = Rule(0.1).fit(X * [1, -1], 3 * y - 1, sensitive_features=9 - s)

    np.testing.assert_array_equal(plain.likelihoods(X), swapped.likelihoods(X * [1, -1]))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (3, 4)])
def test_more_groups_and_classes_stay_within_the_limit(shape):
    """With many different rows few are cut by the program, and the answer is certain."""

    rng = np.random.default_rng(0)
    n = 3000
    p = [rng.dirichlet(np.ones(k), size=n) for k in shape]
    p[1] = 0.5 * p[1] + 0.5 * np.pad(p[0], ((0, 0), (0, 2)))[:, : shape[1]]
    p[1] /= p[1].sum(1, keepdims=True)
    y, s = ((rng.random((n, 1)) > each.cumsum(1)).sum(1) for each in p)
    X = np.hstack([log_odds(each) for each in p])
    free, bound = (Rule(limit).fit(X, y, sensitive_features=s) for limit in (1.0, 0.1))

    assert free.gap_ > 0.15
    assert bound.gap_ < 0.1 + 0.05  # the true groups are a sample of the posteriors
    assert 1 / shape[0] < np.mean(bound.transform(X)[:, 0] == y)
    np.testing.assert_allclose(bound.likelihoods(X).sum(1), 1)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (3, 4)])
def test_columns_that_say_nothing_of_the_groups_change_no_answer(shape):
    """Also if they are wrong about the groups' shares, whatever the limit."""

    rng = np.random.default_rng(0)
    n, (k, groups) = 600, shape
    p = rng.dirichlet(np.ones(k), size=n)
    y, s = (rng.random((n, 1)) > p.cumsum(1)).sum(1), np.arange(n) % groups
    wrong = np.full((n, groups), 0.2 / (groups - 1))
    wrong[:, 0] = 0.8
    X = np.hstack([log_odds(p), log_odds(wrong)])
    rule = Rule(0.001).fit(X, y, sensitive_features=s)

    assert np.mean(rule.transform(X)[:, 0] == p.argmax(1)) > 0.99


def test_a_small_limit_is_met_when_only_some_rows_are_in_the_program():
    """These rows have other shares of the groups than all rows have."""

    rng = np.random.default_rng(0)
    p = [rng.dirichlet(np.ones(k), size=6_000) for k in (2, 3)]
    p[1] = (p[1] + np.pad(p[0], ((0, 0), (0, 1)))) / 2
    y, s = ((rng.random((6_000, 1)) > each.cumsum(1)).sum(1) for each in p)
    X = np.hstack([log_odds(each) for each in p])
    free, bound = (Rule(limit).fit(X, y, sensitive_features=s) for limit in (1.0, 0.0))

    assert free.gap_ > 0.15
    assert bound.gap_ < 0.05  # the true groups are a sample of the posteriors


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_limit_that_no_multiplier_meets_is_met_by_a_coin(share):
    """The columns do not say which group a row belongs to, and yet the answers differ."""

    s, y = (np.arange(400) % 2), (np.arange(400) // 2 % 4 > 0).astype(int)
    X = np.stack([np.where(y + s > 0, 1.0, -1.0), np.full(400, np.log(share / (1 - share)))], 1)
    rule = Rule(0.1).fit(X, y, sensitive_features=s)

    assert Rule(1.0).fit(X, y, sensitive_features=s).gap_ == 0.25
    assert rule.gap_ == pytest.approx(0.1)
    assert set(rule.likelihoods(X)[y + s > 0, 1]) == {1.0}  # as without a limit


def test_bad_input_is_refused():
    X, y, s = world(0)

    with pytest.raises(ValueError, match=r"log-odds .* 2 columns here, got 1"):
        Rule(0.1).fit(X[:, :1], y, sensitive_features=s)
    with pytest.raises(ValueError, match="`limit`"):
        Rule(-0.1).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="call `fit` first"):
        Rule(0.1).transform(X)
