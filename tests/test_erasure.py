"""Linear erasure against its laws: blind linear probes, no covariance, the least change."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score

from bitveil.baselines.leace import LinearErasure
from builders import planted


def erased(X, s):
    return LinearErasure().fit(X, np.arange(len(X)) % 2, sensitive_features=s).transform(X)


def covariance(X, s, unit=1.0):
    """Of the features, in these units, with the groups as one column each."""

    return ((X - X.mean(0)) / unit).T @ np.eye(s.max() + 1)[s] / len(X)


def correlated(n=600, k=3, d=5, seed=0):
    """Features that depend on one another and, linearly, on the group."""

    rng = np.random.default_rng(seed)
    s = rng.integers(k, size=n)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + np.eye(k)[s] @ rng.normal(size=(k, d))
    return X, s


def test_erasure_leaves_chance_to_a_logistic_probe():
    X, y, s = planted(3000)
    model = LinearErasure().fit(X, y, sensitive_features=s)
    probe = LogisticRegression().fit(model.transform(X), s)
    fresh, _, groups = planted(3000, seed=1)
    said = probe.predict_proba(model.transform(fresh))[:, 1]
    raw = LogisticRegression().fit(X, s).predict_proba(fresh)[:, 1]

    assert roc_auc_score(groups, raw) > 0.75
    assert roc_auc_score(groups, said) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_no_linear_probe_beats_the_base_rate_on_erased_rows(k):
    X, s = correlated(k=k)
    z, most = erased(X, s), np.bincount(s).max() / len(s)

    for probe in (LogisticRegression(C=100.0, max_iter=1000), RidgeClassifier(1e-3)):
        assert probe.fit(X, s).score(X, s) > most + 0.1
        assert probe.fit(z, s).score(z, s) == most
    given = LogisticRegression(C=100.0, max_iter=1000).fit(z, s).predict_proba(z)
    np.testing.assert_allclose(given, np.tile(np.bincount(s) / len(s), (len(s), 1)), atol=1e-3)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_erasure_leaves_no_covariance_and_keeps_the_mean(k):
    X, s = correlated(k=k)
    z = erased(X, s)

    assert np.abs(covariance(X, s)).max() > 0.02
    assert np.abs(covariance(z, s)).max() < 1e-8
    np.testing.assert_allclose(z.mean(0), X.mean(0), atol=1e-12)
    assert np.linalg.matrix_rank(z - X, tol=1e-8) == min(k - 1, X.shape[1])


def test_erasure_works_where_columns_depend_on_one_another():
    """Constants, duplicates, a sum, and units from billionths to billions."""

    X, s = correlated()
    constant = np.full((len(X), 1), 0.1)
    wide = np.hstack([X * [1e-9, 1, 1, 1, 1e9], constant, 1e9 + constant, X[:, 1:3]])
    wide = np.hstack([wide, wide[:, 2:4].sum(1, keepdims=True)])
    z = erased(wide, s)

    unit = np.where(np.isin(range(10), [5, 6]), wide[0], wide.std(0))

    assert np.abs(covariance(wide, s, unit)[0]).max() > 0.02
    assert np.abs(covariance(z, s, unit)).max() < 1e-8
    np.testing.assert_array_equal(z[:, 5:7], wide[:, 5:7])
    np.testing.assert_allclose(z[:, 1:3], z[:, 7:9], atol=1e-9)
    np.testing.assert_allclose(z[:, 9], z[:, 2:4].sum(1), atol=1e-9)


def test_erasure_works_with_more_columns_than_rows():
    X, s = correlated(n=30, d=50)
    z = erased(X, s)

    assert np.abs(z - X).max() > 0.1
    assert np.abs(covariance(z, s)).max() < 1e-8


def test_erasure_leaves_no_rounding_of_a_column_that_is_the_group():
    """A tree would find the group in the last digits."""

    X, s = correlated(k=2)
    z = erased(np.column_stack([X, 0.1 + 0.2 * s]), s)

    assert np.unique(z[:, -1]).size == 1
    assert z[0, -1] == pytest.approx(0.1 + 0.2 * s.mean())


def test_erasure_changes_nothing_where_nothing_is_linear():
    """One feature is independent of the group, and of the other only the spread differs."""

    X = np.array([[a, b] for a in (0.0, 1.0) for b in (-1.0, 1.0, -3.0, 3.0)])
    s = (np.abs(X[:, 1]) > 2).astype(int)

    np.testing.assert_array_equal(erased(X, s), X)


def test_erasure_is_smaller_than_a_projection():
    """With s and u fair signs: (s, s + u) becomes (0, u), a change of (s, s).

    To drop what lies along the difference of the groups, (1, 1), takes (s + u / 2) of each.
    """

    sign = np.array([(s, u) for s in (-1.0, 1.0) for u in (-1.0, 1.0)])
    X = np.stack([sign[:, 0], sign.sum(1)], 1)
    groups = (sign[:, 0] > 0).astype(int)
    projected = X @ (np.eye(2) - 0.5)
    z = erased(X, groups)

    np.testing.assert_allclose(z, np.stack([0 * sign[:, 1], sign[:, 1]], 1), atol=1e-12)
    assert np.abs(covariance(projected, groups)).max() < 1e-12
    assert ((z - X) ** 2).sum(1).mean() == pytest.approx(2)
    assert ((projected - X) ** 2).sum(1).mean() == pytest.approx(2.5)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_erasure_is_smaller_in_any_norm(seed):
    """Others read the same directions by any weights that give each direction itself back."""

    X, s = correlated(seed=seed)
    model = LinearErasure().fit(X, s, sensitive_features=s)
    rng = np.random.default_rng(seed)
    centred, directions = X - model.mean_, model.directions_
    norm = rng.normal(size=(5, 5))
    off = np.eye(5) - directions.T @ np.linalg.pinv(directions.T)

    def size(weights):
        return ((centred @ weights @ directions @ norm) ** 2).sum()

    for _ in range(20):
        other = model.weights_ + 0.1 * off @ rng.normal(size=model.weights_.shape)
        assert np.abs(covariance(X - centred @ other @ directions, s)).max() < 1e-8
        assert size(other) > size(model.weights_)


# With the covariances of the target kept


def kept(X, y, s):
    return LinearErasure(keep_target=True).fit(X, y, sensitive_features=s).transform(X)


@pytest.mark.parametrize(("k", "classes"), [(2, 2), (3, 2), (2, 3)])
def test_what_is_kept_is_the_covariance_with_the_target(k, classes):
    X, s = correlated(k=k, d=7)
    y = (X[:, 0] + X[:, 1] + 0.5 * s > np.linspace(-1, 1, classes + 1)[1:-1, None]).sum(0)
    z = kept(X, y, s)

    assert np.abs(covariance(X, s)).max() > 0.02
    assert np.abs(covariance(z, s)).max() < 1e-8
    np.testing.assert_allclose(covariance(z, y), covariance(X, y), atol=1e-9)
    assert np.abs(covariance(erased(X, s), y) - covariance(X, y)).max() > 1e-3
    np.testing.assert_allclose(z.mean(0), X.mean(0), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_erasure_that_keeps_the_target_is_smaller(seed):
    """Others read the same directions by weights that also read nothing along those to keep."""

    X, s = correlated(seed=seed, d=6)
    y = (X[:, 0] + 0.5 * s > 0.2).astype(int)
    model = LinearErasure(keep_target=True).fit(X, y, sensitive_features=s)
    rng = np.random.default_rng(seed)
    centred, directions = X - model.mean_, model.directions_
    fixed = np.hstack([directions.T, covariance(X, y)])
    off = np.eye(6) - fixed @ np.linalg.pinv(fixed)

    def size(weights):
        return ((centred @ weights @ directions) ** 2).sum()

    for _ in range(20):
        other = model.weights_ + 0.1 * off @ rng.normal(size=model.weights_.shape)
        changed = X - centred @ other @ directions
        assert np.abs(covariance(changed, s)).max() < 1e-8
        np.testing.assert_allclose(covariance(changed, y), covariance(X, y), atol=1e-8)
        assert size(other) > size(model.weights_)


def test_a_target_that_is_uncorrelated_with_the_group_changes_nothing():
    sign = np.array([(a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    s, y = (sign > 0).astype(int).T

    np.testing.assert_allclose(kept(sign, y, s), erased(sign, s), atol=1e-12)


def test_without_a_penalty_a_regression_answers_as_after_the_smallest_erasure():
    """Theorem 2 of SPLINCE: both read the same, and only a penalty sees the difference."""

    X, s = correlated(k=2, d=7)
    y = (X[:, 0] + 0.5 * s + np.random.default_rng(0).normal(size=len(X)) > 0.2).astype(int)

    def chances(z, C):
        return LogisticRegression(C=C, tol=1e-9, max_iter=1000).fit(z, y).predict_proba(z)

    both = erased(X, s), kept(X, y, s)
    free, penalised = ([chances(z, C) for z in both] for C in (np.inf, 1e-2))

    np.testing.assert_allclose(*free, atol=1e-5)
    assert np.abs(penalised[0] - penalised[1]).max() > 1e-2


def test_a_target_that_is_the_group_cannot_be_kept():
    X, s = correlated(k=2)

    with pytest.raises(ValueError, match=r"`keep_target` expects columns that say something else"):
        kept(X, s, s)
