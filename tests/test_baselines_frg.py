"""FRG: its bound, what a limit does to a planted leak, and a fit without a solution."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bitveil.baselines.frg import FRG, high_bound, pair_differences
from bitveil.benchmark.protocol import Problem, UseRows
from bitveil.benchmark.scoring import scores

SMALL = {"dimensions": 3, "hidden": (8,), "epochs": 2, "random_state": 0}


def planted(n=3000, k=2, seed=0):
    """Features of which the first says y, the second y and s in one, and the rest nothing."""

    source = np.random.RandomState(seed)
    y, s = source.randint(2, size=n), source.randint(k, size=n)
    X = source.randn(n, 4)
    X[:, 0] += 1.5 * y
    X[:, 1] += 3.0 * (y + s)

    return X, y, s


def leaning(n=3000, seed=0):
    """A target that 4 of 5 rows of one group have, and 1 of 5 of the other; one column says it."""

    source = np.random.RandomState(seed)
    s = source.randint(2, size=n)
    y = (source.rand(n) < 0.2 + 0.6 * s).astype(int)
    X = source.randn(n, 4)
    X[:, 0] += 2.0 * y

    return X, y, s


def auc(z, labels):
    half = len(z) // 2
    probe = LogisticRegression(max_iter=1000).fit(z[:half], labels[:half])

    return roc_auc_score(labels[half:], probe.decision_function(z[half:]))


def sent(model, X, y, s):
    return model.fit(X, y, sensitive_features=s).transform(X, sensitive_features=s)


@pytest.mark.parametrize("delta", [0.01, 0.1, 0.5])
def test_the_bound_is_the_upper_end_of_the_interval_of_a_t_test(delta):
    values = np.random.default_rng(0).beta(1, 5, size=40)
    bound = high_bound(torch.from_numpy(values), 40, delta).item()
    expected = ttest_1samp(values, 0, alternative="less").confidence_interval(1 - delta).high

    assert bound == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_the_mean_of_the_draws_is_that_of_all_pairs(k):
    rng = np.random.default_rng(k)
    posteriors, s = rng.dirichlet(np.ones(k), size=12), np.arange(12) % k
    of_group = [posteriors[s == g] for g in range(k)]
    all_ = [np.ptp(np.stack(rows), axis=0).max() for rows in product(*of_group)]
    generator = torch.Generator().manual_seed(0)
    repeated = torch.from_numpy(np.tile(posteriors, (2000, 1)))
    drawn = pair_differences(repeated, torch.from_numpy(np.tile(s, 2000)), generator)

    assert drawn.mean().item() == pytest.approx(np.mean(all_), abs=0.01)


def test_a_lower_limit_hides_more_of_the_group():
    X, y, s = leaning()
    settings = {"dimensions": 4, "task_weight": 10.0, "batch_size": 256, "random_state": 0}
    free, limited = (FRG(epsilon=limit, epochs=25, **settings) for limit in (1.0, 0.2))
    open_, hidden = (sent(model, X, y, s) for model in (free, limited))

    assert limited.solution_found_
    assert limited.own_bound_ <= 0.2 < free.own_bound_
    assert auc(open_, s) > 0.85
    assert auc(hidden, s) < 0.75
    assert auc(hidden, y) > 0.8


def test_without_a_solution_every_row_is_published_alike():
    X, y, s = planted(300)
    none, some = (FRG(epsilon=limit, **SMALL) for limit in (0.0, 1.0))
    constant, z = (sent(model, X, y, s) for model in (none, some))

    assert not none.solution_found_
    assert none.own_bound_ > 0
    np.testing.assert_array_equal(constant, np.zeros((300, 3)))
    assert some.solution_found_
    assert z.std(0).min() > 0


def test_the_same_seed_gives_the_same_and_no_global_generator_is_used():
    X, y, s = planted(300)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, other = (sent(FRG(epsilon=1.0, **SMALL), X, y, s) for _ in range(2))

    assert torch.rand(1) == expected
    np.testing.assert_array_equal(one, other)


def test_groups_may_be_three_and_have_any_names():
    X, y, s = planted(300, k=3)
    plain = sent(FRG(epsilon=1.0, **SMALL), X, y, s)
    named = sent(FRG(epsilon=1.0, **SMALL), X, y, np.array(["a", "b", "c"])[s])

    assert plain.shape == (300, 3)
    np.testing.assert_array_equal(plain, named)


def test_bad_input_is_refused():
    X, y, s = planted(300)
    for name, value in {"epsilon": 1.5, "delta": 0.0, "task_weight": -1.0, "epochs": 0}.items():
        with pytest.raises(ValueError, match=f"`{name}` expects"):
            sent(FRG(**SMALL | {name: value}), X, y, s)
    with pytest.raises(ValueError, match="at least 4 rows of each group"):
        sent(FRG(**SMALL), X, y, np.arange(300) < 3)
    with pytest.raises(ValueError, match="`fit` first"):
        FRG().transform(X, sensitive_features=s)
    model = FRG(**SMALL).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="groups as in `fit`"):
        model.transform(X, sensitive_features=s + 1)


def test_the_benchmark_records_whether_there_was_a_solution():
    names = ("fit", "select", "certify", "test")
    parts = {name: UseRows(*planted(300, seed=seed)) for seed, name in enumerate(names)}
    known = parts["fit"]
    model = FRG(epsilon=0.0, **SMALL).fit(known.X, known.y, sensitive_features=known.s)
    found = scores(model, Problem("planted", ("0", "1"), parts), candidates=1, delta=0.05)

    assert found["solution_found"] is False
    assert found["own_bound"] == model.own_bound_
    assert found["test_attack_gap"] == 0
