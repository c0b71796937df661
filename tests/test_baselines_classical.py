"""Baselines without networks: splits and gaps that can be checked, and what they refuse."""

import sys
from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import brute
from bitveil.baselines.boosting import Boosting
from bitveil.baselines.correlation import CorrelationRemoved
from bitveil.baselines.exponentiated import Reduction
from bitveil.baselines.fair_mixture import FairMixture
from bitveil.baselines.leace import LinearErasure
from bitveil.baselines.pareto_front import ParetoFront
from bitveil.baselines.prototypes import Prototypes
from bitveil.baselines.tree import FairTree
from bitveil.certificates import certify
from bitveil.certificates.other_bounds import fare_certificate
from bitveil.group_tables import GroupTables
from bitveil.information import total_variation
from builders import planted

SMALL = {
    "boosting": partial(Boosting, max_iter=5, random_state=0),
    "correlation": partial(CorrelationRemoved, 0.9, random_state=0),
    "fmc": partial(FairMixture, n_codes=4, epochs=3, random_state=0),
    "front": partial(ParetoFront, 0.1, random_state=0),
    "leace": partial(LinearErasure, random_state=0),
    "splince": partial(LinearErasure, keep_target=True, random_state=0),
    "prototypes": partial(Prototypes, 1.0, n_prototypes=2, max_iter=2, random_state=0),
    "reduction": partial(Reduction, 0.1, max_iter=2, random_state=0),
    "tree": partial(FairTree, 0.5, max_leaves=6, min_leaf=10, random_state=0),
}
NEEDS = {
    "correlation": "fairlearn",
    "prototypes": "fairlearn",
    "reduction": "fairlearn",
}
CODES = ["fmc", "front", "reduction", "tree"]
BINARY = ["front", "prototypes", "reduction"]
TWO_GROUPS = ["front"]
ALL = sorted(SMALL)


@pytest.fixture
def make():
    """A small baseline by its name, or a skip that names the package which it needs."""

    def of(name):
        if name in NEEDS and find_spec(NEEDS[name]) is None:
            pytest.skip(f"{NEEDS[name]} is not installed")
        return SMALL[name]()

    return of


def given(model, s):
    return {"sensitive_features": s} if getattr(model, "needs_sensitive", False) else {}


def sent(model, X, s):
    return model.transform(X, **given(model, s))


def variation(model, X, s):
    """The total variation between two groups of the codes of a model."""

    likelihoods = model.likelihoods(X, **given(model, s))

    return float(total_variation(torch.from_numpy(np.eye(2)[s].T @ likelihoods)).max())


def gini(labels):
    shares = np.bincount(labels) / len(labels)

    return 1 - (shares**2).sum()


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same(name, make):
    X, y, s = planted()
    one, other = (sent(make(name).fit(X, y, sensitive_features=s), X, s) for _ in range(2))

    assert one.ndim == 2
    assert len(one) == len(X)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ALL)
def test_scikit_learn_reads_and_clones_the_settings(name, make):
    X, y, s = planted()
    fitted = make(name).fit(X, y, sensitive_features=s)
    copy = clone(fitted)

    assert copy.get_params() == fitted.get_params()
    assert copy.get_params()["random_state"] == 0
    with pytest.raises(ValueError, match="`fit` first"):
        sent(copy, X, s)


@pytest.mark.parametrize("name", CODES)
def test_likelihoods_are_distributions_of_the_codes_sent(name, make):
    X, y, s = planted()
    model = make(name).fit(X, y, sensitive_features=s)
    likelihoods, codes = model.likelihoods(X, **given(model, s)), sent(model, X, s)
    number = codes[:, 0] if codes.shape[1] == 1 else codes.argmax(1)

    assert likelihoods.dtype == np.float64
    np.testing.assert_allclose(likelihoods.sum(1), 1)
    assert (likelihoods[np.arange(len(X)), number.astype(int)] > 0).all()


@pytest.mark.parametrize("name", sorted(set(ALL) - set(TWO_GROUPS)))
def test_groups_may_be_three(name, make):
    X, y, s = planted(k=3)

    assert len(sent(make(name).fit(X, y, sensitive_features=s), X, s)) == len(X)


@pytest.mark.parametrize("name", ALL)
def test_labels_may_be_any_integers(name, make):
    X, y, s = planted()
    plain = sent(make(name).fit(X, y, sensitive_features=s), X, s)
    named = sent(make(name).fit(X, 3 * y - 1, sensitive_features=s + 5), X, s + 5)

    np.testing.assert_array_equal(plain, named)


@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_refused(name, make):
    X, y, s = planted()
    holed = X.copy()
    holed[0, 0] = np.nan
    for given, match in [
        ((holed, y, s), "finite numbers"),
        ((X[0], y, s), r"shape \(n, d\)"),
        ((X, y[1:], s), "`y` expects classes with shape"),
        ((X, y * 0, s), "at least two classes"),
        ((X, y, s * 0), "at least two groups"),
        ((X, y, np.where(s, np.nan, 0.0)), "Leave these rows out"),
        ((X, y + 0.5, s), "as integers"),
    ]:
        with pytest.raises(ValueError, match=match):
            make(name).fit(given[0], given[1], sensitive_features=given[2])
    with pytest.raises(ValueError, match="call `fit` first"):
        sent(make(name), X, s)
    model = make(name).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="4 columns"):
        sent(model, X[:, :3], s)


@pytest.mark.parametrize("name", BINARY)
def test_three_classes_are_refused_by_those_for_two(name, make):
    X, _, s = planted()

    with pytest.raises(ValueError, match="expects two classes"):
        make(name).fit(X, np.arange(len(X)) % 3, sensitive_features=s)


@pytest.mark.parametrize("name", TWO_GROUPS)
def test_three_groups_are_refused_by_those_for_two(name, make):
    X, y, s = planted(k=3)

    with pytest.raises(ValueError, match="expects two groups"):
        make(name).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize(
    "bad",
    [
        FairTree(1.5),
        FairTree(float("nan")),
        FairTree(max_leaves=0),
        FairTree(min_leaf=2.5),
        Boosting(learning_rate=0.0),
        ParetoFront(1.5),
        CorrelationRemoved(2.0),
        Reduction(0.0),
        Prototypes(float("inf")),
        Prototypes(n_prototypes=1),
    ],
    ids=repr,
)
def test_bad_settings_are_refused(bad):
    X, y, s = planted()

    with pytest.raises(ValueError, match="expects"):
        bad.fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_missing_package_is_named(name, monkeypatch):
    X, y, s = planted()
    package = NEEDS[name]
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ImportError, match=f"pip install {package.replace('_', '-')}"):
        SMALL[name]().fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_the_first_split_is_the_best_of_all(seed, strength):
    rng = np.random.default_rng(seed)
    X, y, s = rng.integers(6, size=(40, 3)), rng.integers(3, size=40), rng.integers(2, size=40)

    def criterion(rows):
        return (1 - strength) * gini(y[rows]) + strength * (0.5 - gini(s[rows]))

    def after(column, threshold):
        below = X[:, column] <= threshold
        return sum(part.mean() * criterion(part) for part in (below, ~below) if part.any())

    best = min(after(column, threshold) for column, threshold in product(range(3), range(5)))
    tree = FairTree(strength, max_leaves=2, min_leaf=1).fit(X, y, sensitive_features=s)

    if best >= criterion(np.ones(40, bool)):
        assert tree.splits_ == []
    else:
        assert after(tree.splits_[0].column, tree.splits_[0].threshold) == pytest.approx(best)


def test_leaves_are_as_many_and_as_large_as_said():
    X, y, s = planted(2000)
    leaves = FairTree(0.0, max_leaves=9, min_leaf=50).fit(X, y, sensitive_features=s).transform(X)

    assert leaves.shape == (2000, 9)
    assert leaves.sum(0).min() >= 50
    assert set(leaves.sum(1)) == {1.0}


def test_a_strong_tree_gives_less_of_the_groups_away():
    X, y, s = planted(4000)
    fresh, _, groups = planted(4000, seed=1)
    leaks = [
        variation(FairTree(strength).fit(X, y, sensitive_features=s), fresh, groups)
        for strength in (0.0, 0.5, 0.99)
    ]

    assert leaks[0] > 0.4
    assert leaks[0] > leaks[1] > leaks[2]
    assert leaks[2] < 0.05


def test_certificates_of_leaves_hold_where_the_truth_is_known():
    """Three columns of zeros and ones whose rates differ by group: all eight rows are known."""

    rng, delta, worlds = np.random.default_rng(0), 0.1, 200
    points = np.array(list(product([0.0, 1.0], repeat=3)))
    ones = np.array([[0.5, 0.4, 0.5], [0.7, 0.5, 0.4]])
    p = np.stack([np.where(points, rate, 1 - rate).prod(1) for rate in ones])
    s = rng.integers(2, size=2000)
    X = (rng.random((2000, 3)) < ones[s]).astype(float)
    y = (X.sum(1) + rng.integers(2, size=2000) > 1.5).astype(int)
    leaves = FairTree(0.3, min_leaf=50).fit(X, y, sensitive_features=s).transform(points)
    truth = brute.total_variation(p @ leaves)

    def drawn(n):
        return torch.from_numpy(np.stack([rng.multinomial(n, law) @ leaves for law in p]))

    bounds = np.empty((worlds, 2))
    for world in range(worlds):
        base, cells, others = drawn(4000), drawn(4000), drawn(4000)
        bounds[world] = (
            fare_certificate(base.sum(1), cells, others.sum(0), delta=delta).bound,
            certify(GroupTables.of(cells), delta=delta, draws="hard").bound,
        )

    assert leaves.shape[1] > 2
    assert truth > 0.1
    assert (bounds < truth).mean(0).max() <= delta
    assert bounds.max() < 2 * truth


def test_boosting_ranks_as_the_target_does():
    X, y, s = planted(2000)
    fresh, target, _ = planted(2000, seed=1)
    z = Boosting(random_state=0).fit(X, y, sensitive_features=s).transform(fresh)

    assert z.shape == (2000, 1)
    assert roc_auc_score(target, z[:, 0]) > 0.9


def test_correlations_are_removed_by_as_much_as_said(make):
    X, y, s = planted()
    before = np.cov(X[:, 1], s)[0, 1]
    removed = make("correlation").fit(X, y, sensitive_features=s)
    after = np.cov(removed.transform(X, sensitive_features=s)[:, 1], s)[0, 1]

    assert after == pytest.approx(0.1 * before, rel=1e-4)
    with pytest.raises(ValueError, match="groups as in `fit`"):
        removed.transform(X, sensitive_features=s + 7)


def test_the_reduction_narrows_the_gap(make):
    make("reduction")
    X, y, s = planted(1500)
    gaps = [
        variation(Reduction(bound, random_state=0).fit(X, y, sensitive_features=s), X, s)
        for bound in (0.02, 1.0)
    ]

    assert gaps[0] < 0.1
    assert gaps[0] < gaps[1]


def test_prototypes_are_shares_that_groups_have_alike(make):
    make("prototypes")
    X, y, s = planted(300)
    gaps = []
    for strength in (0.0, 100.0):
        model = Prototypes(strength, n_prototypes=3, max_iter=8, max_rows=200, random_state=0)
        z = model.fit(X, y, sensitive_features=s).transform(X)
        np.testing.assert_allclose(z.sum(1), 1)
        gaps.append(np.abs(z[s == 0].mean(0) - z[s == 1].mean(0)).max())

    assert gaps[1] < 0.05 + 0.5 * gaps[0]


# Fair model-based clustering


def test_a_larger_weight_makes_the_groups_share_the_parts():
    X, y, s = planted(1500)
    gaps, fits = [], []
    for strength in (0.0, 30.0):
        model = FairMixture(strength=strength, n_codes=3, epochs=200, random_state=0)
        model.fit(X, y, sensitive_features=s)
        parts = model.likelihoods(X)
        gaps.append(np.abs(parts[s == 0].mean(0) - parts[s == 1].mean(0)).max())
        fits.append(model.mixture_(model._standard(X))[0].mean().item())

    assert gaps[0] > 0.15
    assert gaps[1] < 0.05
    assert fits[0] > fits[1]


def test_a_mixture_finds_the_distributions_that_made_the_rows():
    rng = np.random.default_rng(0)
    part = rng.choice(2, p=[0.3, 0.7], size=4000)
    X = rng.normal(size=(4000, 2)) * np.where(part, 0.5, 1.0)[:, None] + 6.0 * part[:, None]
    model = FairMixture(strength=0.0, n_codes=2, epochs=60, random_state=0)
    model.fit(X, part, sensitive_features=rng.integers(2, size=4000))
    order = np.argsort(model.mixture_.centres.detach().numpy()[:, 0])
    shares = model.mixture_.weights.softmax(0).detach().numpy()[order]
    centres = model.mixture_.centres.detach().numpy()[order] * model.scale_ + model.centre_

    assert shares == pytest.approx([0.3, 0.7], abs=0.02)
    np.testing.assert_allclose(centres, [[0.0, 0.0], [6.0, 6.0]], atol=0.15)
    assert (model.likelihoods(X).argmax(1) == order[part]).mean() > 0.99
