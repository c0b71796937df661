"""Neural baselines: what they hide and keep of a planted leak, and what they refuse."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bitveil.baselines.adversary import Adversary
from bitveil.baselines.characteristic import CharacteristicDistance, characteristic_distance
from bitveil.baselines.cvib import ConditionalBottleneck, pairwise_divergence
from bitveil.baselines.distance_covariance import DistanceCovariance, distance_correlation
from bitveil.baselines.fcrl import Contrastive, contrast
from bitveil.baselines.unprotected import FullPrecision

STRONG = {
    Adversary: 3.0,
    CharacteristicDistance: 10.0,
    DistanceCovariance: 5.0,
    ConditionalBottleneck: 0.1,
    Contrastive: 1.0,
}
NUMERIC = [Adversary, DistanceCovariance]
ALL = [FullPrecision, *STRONG]
SMALL = {"dimensions": 3, "hidden": (8,), "epochs": 2, "random_state": 0}


def planted(n=4000, k=2, seed=0):
    """Features of which the first says y, the second y and s in one, and the rest nothing.

    The leak is linear: who only fits y uses the second and gives s away. The first alone finds y
    with an AUC of Phi(1.5 / sqrt 2) = 0.86.
    """

    source = np.random.RandomState(seed)
    y, s = source.randint(2, size=n), source.randint(k, size=n)
    X = source.randn(n, 6)
    X[:, 0] += 1.5 * y
    X[:, 1] += 3.0 * (y + s)

    return X, y, s


def numeric(n=3000, seed=0):
    """The same, but s is a standard normal number."""

    source = np.random.RandomState(seed)
    y, s = source.randint(2, size=n), source.randn(n)
    X = source.randn(n, 6)
    X[:, 0] += 1.5 * y
    X[:, 1] += 3.0 * y + 1.5 * s

    return X, y, s


def auc(z, labels):
    """How well a logistic regression on the first half finds the labels of the second."""

    half = len(z) // 2
    probe = LogisticRegression(max_iter=1000).fit(z[:half], labels[:half])

    return roc_auc_score(labels[half:], probe.decision_function(z[half:]))


def correlation(z, s):
    """The multiple correlation of a number with the representation."""

    design = np.column_stack([np.ones(len(z)), z])
    fitted = design @ np.linalg.lstsq(design, s, rcond=None)[0]

    return np.corrcoef(fitted, s)[0, 1]


def fitted(kind, X, y, s, **settings):
    return kind(random_state=0, batch_size=512, **settings).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("kind", ALL)
def test_the_same_seed_gives_the_same_representation(kind):
    X, y, s = planted(300)
    first, again = (kind(**SMALL).fit(X, y, sensitive_features=s).transform(X) for _ in range(2))
    other = kind(**SMALL | {"random_state": 1}).fit(X, y, sensitive_features=s).transform(X)

    assert first.shape == (300, 3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("kind", ALL)
def test_the_global_generators_are_left_alone(kind):
    X, y, s = planted(100)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    kind(**SMALL | {"random_state": None}).fit(X, y, sensitive_features=s).transform(X)

    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


@pytest.mark.parametrize("kind", ALL)
def test_the_representation_does_not_depend_on_units(kind):
    X, y, s = planted(300)
    plain = kind(**SMALL).fit(X, y, sensitive_features=s).transform(X)
    moved = kind(**SMALL).fit(1000 * X + 7, y, sensitive_features=s).transform(1000 * X + 7)

    np.testing.assert_allclose(plain, moved, atol=1e-3)


@pytest.mark.parametrize("kind", ALL)
def test_many_classes_groups_and_names(kind):
    X, y, s = planted(300, k=4)
    y = np.array(["no", "yes", "other"])[(y + s) % 3]
    z = kind(**SMALL).fit(X, y, sensitive_features=10 * s - 7).transform(X[:5])

    assert z.shape == (5, 3)
    assert np.isfinite(z).all()


@pytest.mark.parametrize("kind", ALL)
def test_a_group_that_is_missing_from_batches_and_a_constant_column_do_no_harm(kind):
    X, y, s = planted(300)
    X[:, 3], s[1:] = 1.0, 0
    s[0] = 1
    z = kind(**SMALL | {"batch_size": 10}).fit(X, y, sensitive_features=s).transform(X + 1e9)

    assert np.isfinite(z).all()


@pytest.mark.parametrize("kind", STRONG)
def test_strength_lowers_the_leak_and_keeps_the_target(kind):
    X, y, s = planted()
    weak = fitted(kind, X, y, s, strength=0.0).transform(X)
    strong = fitted(kind, X, y, s, strength=STRONG[kind]).transform(X)

    assert auc(weak, s) > 0.68
    assert auc(strong, s) - 0.5 < 0.7 * (auc(weak, s) - 0.5)
    assert auc(strong, y) > 0.82


@pytest.mark.parametrize("kind", STRONG)
def test_without_strength_the_target_is_found_as_by_the_unprotected(kind):
    X, y, s = planted()
    unprotected = fitted(FullPrecision, X, y, s).transform(X)
    weak = fitted(kind, X, y, s, strength=0.0).transform(X)

    assert auc(weak, y) == pytest.approx(auc(unprotected, y), abs=0.02)


def test_without_strength_a_penalty_changes_nothing():
    X, y, s = planted(300)
    unprotected = FullPrecision(**SMALL).fit(X, y).transform(X)
    weak = DistanceCovariance(strength=0.0, **SMALL).fit(X, y, sensitive_features=s)

    np.testing.assert_allclose(unprotected, weak.transform(X), atol=1e-6)


@pytest.mark.parametrize("kind", NUMERIC)
def test_a_number_is_hidden_too(kind):
    X, y, s = numeric()
    weak = fitted(kind, X, y, s, strength=0.0).transform(X)
    strong = fitted(kind, X, y, s, strength=10.0).transform(X)

    assert correlation(strong, s) < correlation(weak, s) - 0.1
    assert auc(strong, y) > 0.82


@pytest.mark.parametrize("kind", NUMERIC)
def test_several_numbers_are_taken(kind):
    X, y, s = numeric(300)
    z = kind(**SMALL).fit(X, y, sensitive_features=np.column_stack([s, -s, s**2])).transform(X)

    assert np.isfinite(z).all()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros(8)}, r"shape \(n, d\)"),
        ({"X": np.full((8, 2), np.nan)}, "NaN"),
        ({"X": np.array([["a", "b"]] * 8)}, "numbers"),
        ({"y": np.zeros(8, int)}, "at least two classes"),
        ({"y": np.arange(7)}, r"shape \(8,\)"),
        ({"y": np.full(8, np.nan)}, "NaN"),
        ({"y": np.array(["a", None] * 4)}, "one kind"),
        ({"y": np.linspace(0, 1, 8)}, "as integers"),
    ],
)
def test_bad_rows_are_refused(kind, change, message):
    rows = {"X": np.eye(8)[:, :2], "y": np.arange(8) % 2, "s": np.arange(8) % 2} | change

    with pytest.raises(ValueError, match=message):
        kind(**SMALL).fit(rows["X"], rows["y"], sensitive_features=rows["s"])


@pytest.mark.parametrize("kind", STRONG)
@pytest.mark.parametrize(
    ("s", "message"),
    [(np.zeros(8, int), "at least two groups"), (np.arange(6), "shape"), ([np.nan] * 8, "NaN")],
)
def test_bad_sensitive_features_are_refused(kind, s, message):
    with pytest.raises(ValueError, match=message):
        kind(**SMALL).fit(np.eye(8), np.arange(8) % 2, sensitive_features=s)


@pytest.mark.parametrize("kind", [ConditionalBottleneck, Contrastive, CharacteristicDistance])
def test_numbers_are_refused_where_groups_are_needed(kind):
    with pytest.raises(ValueError, match="bin numbers"):
        kind(**SMALL).fit(np.eye(8), np.arange(8) % 2, sensitive_features=np.linspace(0, 1, 8))


@pytest.mark.parametrize("kind", NUMERIC)
def test_a_constant_number_is_refused(kind):
    with pytest.raises(ValueError, match="constant"):
        kind(**SMALL).fit(np.eye(8), np.arange(8) % 2, sensitive_features=np.full(8, 0.1))


@pytest.mark.parametrize("kind", STRONG)
@pytest.mark.parametrize(
    "change",
    [
        {"strength": -1},
        {"strength": float("nan")},
        {"dimensions": 0},
        {"epochs": 1.5},
        {"batch_size": 1},
        {"learning_rate": 0},
        {"hidden": (0,)},
    ],
)
def test_bad_settings_are_refused(kind, change):
    with pytest.raises(ValueError, match=f"`{next(iter(change))}` expects"):
        kind(**change).fit(np.eye(8), np.arange(8) % 2, sensitive_features=np.arange(8) % 2)


@pytest.mark.parametrize("kind", ALL)
def test_transform_needs_a_fit_and_its_columns(kind):
    X, y, s = planted(100)
    with pytest.raises(ValueError, match="`fit` first"):
        kind().transform(X)
    baseline = kind(**SMALL).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="6 columns"):
        baseline.transform(X[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        baseline.transform(np.full((2, 6), np.nan))


def brute_distance_correlation(x, y, w):
    """Straight from the definition, in loops over pairs of rows."""

    def centred(rows):
        n = len(rows)
        d = [[np.linalg.norm(rows[i] - rows[j]) for j in range(n)] for i in range(n)]
        means = [sum(w[j] * d[i][j] for j in range(n)) for i in range(n)]
        mean = sum(w[i] * means[i] for i in range(n))
        return [[d[i][j] - means[i] - means[j] + mean for j in range(n)] for i in range(n)]

    def product(a, b):
        n = len(w)
        return sum(w[i] * w[j] * a[i][j] * b[i][j] for i in range(n) for j in range(n))

    a, b = centred(x), centred(y)

    return np.sqrt(product(a, b) / np.sqrt(product(a, a) * product(b, b)))


@pytest.mark.parametrize("weighted", [False, True])
def test_distance_correlation_is_that_of_the_definition(weighted):
    source = np.random.RandomState(0)
    x = source.randn(15, 3)
    y = x[:, :2] ** 2 + 0.1 * source.randn(15, 2)
    w = source.rand(15) if weighted else np.ones(15)
    found = distance_correlation(
        torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(w) if weighted else None
    )

    assert found.item() == pytest.approx(brute_distance_correlation(x, y, w / w.sum()), rel=1e-9)


def test_whole_weights_count_as_copies():
    x, y = torch.randn(2, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    copies = torch.arange(12) % 3
    weighted = distance_correlation(x, y, copies)
    copied = distance_correlation(x.repeat_interleave(copies, 0), y.repeat_interleave(copies, 0))

    assert weighted.item() == pytest.approx(copied.item(), rel=1e-9)


def test_distance_correlation_of_itself_turned_and_scaled_is_one():
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]

    assert distance_correlation(z, z).item() == pytest.approx(1, abs=1e-5)
    assert distance_correlation(z, 5 - 1e-3 * z @ turn).item() == pytest.approx(1, abs=1e-4)


def test_distance_correlation_of_a_grid_is_none_and_of_a_sample_falls():
    grid = torch.cartesian_prod(torch.arange(4.0), torch.tensor([0.0, 1.0, 5.0]))
    source = torch.Generator().manual_seed(0)
    few, many = (distance_correlation(*torch.randn(2, n, generator=source)) for n in (50, 2000))

    assert distance_correlation(grid[:, 0], grid[:, 1]).item() == pytest.approx(0, abs=1e-3)
    assert many < 0.06
    assert many < few


def test_distance_correlation_sees_what_no_correlation_sees():
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)

    assert np.corrcoef(x, x**2)[0, 1] == pytest.approx(0, abs=1e-9)
    assert distance_correlation(x, x**2) > 0.4


def test_distance_correlation_of_normal_numbers_is_the_published_function():
    # Székely, Rizzo, Bakirov 2007, theorem 7: R^2 from the correlation r of a normal pair.
    r = 0.7
    shared, own = torch.randn(2, 2500, generator=torch.Generator().manual_seed(0)).double()
    value = r * np.arcsin(r) + np.sqrt(1 - r**2) - r * np.arcsin(r / 2) - np.sqrt(4 - r**2) + 1
    expected = np.sqrt(value / (1 + np.pi / 3 - np.sqrt(3)))

    assert distance_correlation(shared, r * shared + (1 - r**2) ** 0.5 * own).item() == (
        pytest.approx(expected, abs=0.03)
    )


def test_distance_correlation_has_its_gradient_and_a_finite_one_everywhere():
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda z: distance_correlation(z, y), x.requires_grad_())

    for flat in (torch.ones(6, 2), torch.tensor([[0.0], [1.0]]).repeat(3, 1)):
        z = flat.clone().requires_grad_()
        distance_correlation(z, y).backward()
        assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize(
    ("x", "y", "weights", "message"),
    [
        (torch.zeros(3), torch.zeros(4), None, "as many rows"),
        (torch.tensor([0.0, torch.nan]), torch.zeros(2), None, "NaN"),
        (torch.zeros(2, 2, 2), torch.zeros(2), None, "shape"),
        (torch.zeros(2), torch.zeros(2), torch.tensor([-1.0, 2.0]), "at least 0"),
        (torch.zeros(2), torch.zeros(2), torch.zeros(2), "not all 0"),
        (torch.zeros(2), torch.zeros(2), torch.ones(3), "shape"),
    ],
)
def test_bad_pairs_are_refused(x, y, weights, message):
    with pytest.raises(ValueError, match=message):
        distance_correlation(x, y, weights)


def test_characteristic_distance_is_the_mean_over_pairs():
    source = torch.Generator().manual_seed(0)
    z, w = torch.randn(30, 2, generator=source), torch.randn(2, 5, generator=source)
    s = torch.arange(30) % 3
    phi = [torch.exp(1j * (z[s == g] @ w)).mean(0) for g in range(3)]
    pairs = [(phi[g] - phi[h]).abs().square().mean() for g, h in [(0, 1), (0, 2), (1, 2)]]
    groups = torch.nn.functional.one_hot(s, 4).float()  # the last group has no row

    torch.testing.assert_close(characteristic_distance(z, groups, w), sum(pairs) / 3)


def test_pairwise_divergence_is_the_mean_over_pairs():
    source = torch.Generator().manual_seed(0)
    mean, deviation = torch.randn(9, 3, generator=source), torch.rand(9, 3, generator=source) + 0.5
    normal = torch.distributions.Normal
    pairs = torch.distributions.kl_divergence(
        normal(mean[:, None], deviation[:, None]), normal(mean[None], deviation[None])
    )

    torch.testing.assert_close(pairwise_divergence(mean, deviation), pairs.sum(2).mean())


def test_contrast_is_at_most_the_logarithm_of_the_rivals():
    alike, apart = torch.ones(40, 1), 100 * torch.eye(40)

    assert contrast(alike, alike).item() == pytest.approx(0, abs=1e-4)
    assert 0 < contrast(apart, apart) / 40 <= np.log(40) + 1e-6
    assert contrast(alike[:1], alike[:1]).item() == 0


@pytest.mark.parametrize("kind", ALL)
def test_scikit_learn_reads_sets_and_clones_the_settings(kind):
    X, y, s = planted(100)
    baseline = kind(**SMALL).fit(X, y, sensitive_features=s)
    copy = clone(baseline).set_params(epochs=1)

    assert SMALL.items() <= baseline.get_params().items()
    assert copy.get_params() == baseline.get_params() | {"epochs": 1}
    with pytest.raises(ValueError, match="`fit` first"):
        copy.transform(X)
