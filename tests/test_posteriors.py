"""Posteriors: better than one boosting, out of fold, the same for every batch, and scored."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from bitveil import learners, posteriors
from bitveil.features import Features
from bitveil.folders import Parts, load_parts, save_parts
from bitveil.posteriors import PosteriorScore, fit_posterior, probabilities

KEY = b"a key that is for these tests"


def noisy(n, seed=0, columns=6):
    """Columns, and a class that the first three predict a little."""

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, columns))
    odds = 0.8 * X[:, 0] - 0.5 * X[:, 1] + 1.5 * (np.abs(X[:, 2]) - 0.8)

    return X, (rng.random(n) < expit(odds)).astype(np.int64)


def rounded(n, k, seed=0):
    """Columns, and k classes in the order of the first."""

    X = np.random.default_rng(seed).normal(size=(n, 3))
    places = np.argsort(np.argsort(X[:, 0] + 0.3 * X[:, 1]))

    return X, places * k // n


# Quality


@pytest.mark.parametrize("n", [120, 600])
def test_posteriors_are_better_than_one_boosting_and_than_a_constant(n):
    (X, y), (new, labels) = noisy(n), noisy(4000, seed=1)
    losses = {}
    for kind in ("boosting", None):
        features = Features("posterior", posteriors=kind).fit(X, y)
        losses[kind] = log_loss(labels, features.posteriors_of(features.transform(new))[0])

    assert losses[None] < losses["boosting"] - 0.03
    assert losses[None] < log_loss(labels, np.full(4000, y.mean())) - 0.03


@pytest.mark.parametrize("n", [400, 1000])
def test_scores_say_how_good_posteriors_are_on_new_rows(n):
    (X, y), (new, labels) = noisy(n), noisy(4000, seed=1)
    features = Features("posterior").fit(X, y)
    (score,) = features.scores_
    found = log_loss(labels, features.posteriors_of(features.transform(new))[0])

    assert score.helps
    assert (score.label, score.kind) == (0, "classes")
    assert score.constant == pytest.approx(log_loss(y, np.full(n, y.mean())))
    assert score.loss == pytest.approx(found, abs=4 * score.error)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 4])
def test_without_signal_nothing_beats_a_constant_and_this_is_said(k, seed):
    rng = np.random.default_rng(seed)
    _, columns, score = _fit(rng.normal(size=(400, 4)), rng.integers(k, size=400))

    assert not score.helps
    assert score.loss == pytest.approx(np.log(k), abs=0.03)
    assert np.abs(columns).max() < 3
    assert "no better than a constant" in str(score)


def test_default_boosting_without_signal_is_worse_than_a_constant():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 4)), rng.integers(2, size=400)

    assert _fit(X, y, posteriors="boosting")[2].loss > np.log(2) + 0.1


def test_a_score_is_one_plain_sentence():
    score = PosteriorScore(0, "classes", 0.597, 0.692, 0.009, "stack of logistic and boosting")
    number = PosteriorScore(1, "numbers", 1.02, 1.0, 0.1, "ridge")

    assert str(score) == "log-loss 0.597 (a constant has 0.692), stack of logistic and boosting"
    assert (
        repr(number) == "squared error 1.020 (no better than a constant, which has 1.000), ridge"
    )


def _fit(X, labels, **settings):
    model, columns = fit_posterior(X, labels, **settings)

    return model, columns, model.score


# Kinds of labels


@pytest.mark.parametrize("k", [3, 12])
def test_many_classes_have_probabilities(k):
    X, y = rounded(400, k)
    model, columns, score = _fit(X, y)
    p = probabilities(model.columns(X))

    assert columns.shape == (400, k - 1)
    assert score.helps
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == y).mean() > 0.6


def test_numbers_have_predictions():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 3))
    z = X[:, 0] + np.abs(X[:, 1]) + 0.5 * rng.normal(size=800)
    model, columns, score = _fit(X, z)

    assert columns.shape == (800, 1)
    assert score.kind == "numbers"
    assert score.chosen == "stack of ridge and small boosting"
    assert score.constant == pytest.approx(z.var())
    assert score.loss == pytest.approx(((columns[:, 0] - z) ** 2).mean())
    assert score.loss < 0.4
    assert ((model.columns(X)[:, 0] - z) ** 2).mean() < score.loss


def test_a_class_with_fewer_rows_than_folds_is_in_different_folds():
    X, y = rounded(300, 3)
    y[y == 2] = np.where(np.arange(100) < 2, 2, 1)
    _, columns, score = _fit(X, y)
    folds = posteriors._Known("classes", X, y, None).folds(5, 0)

    assert columns.shape == (300, 2)
    assert score.helps
    assert len(folds) == 5
    assert sum((y[fold] == 2).any() for fold in folds) == 2


@pytest.mark.parametrize("kind", [int, float])
def test_rows_without_a_label_get_the_posteriors_of_new_rows(kind):
    X, y = noisy(400)
    missing = np.arange(400) % 4 == 0
    labels = np.where(missing, -1 if kind is int else np.nan, y).astype(kind)
    model, columns, _ = _fit(X, labels)
    without, others, _ = _fit(X[~missing], labels[~missing])

    np.testing.assert_array_equal(columns[missing], model.columns(X[missing]))
    np.testing.assert_array_equal(columns[~missing], others)
    np.testing.assert_array_equal(model.columns(X), without.columns(X))


@pytest.mark.parametrize("kind", [int, float])
def test_weights_count(kind):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 2)), np.arange(1000) % 2
    weights = np.where(y == 1, 4.0, 1.0)
    model, _, score = _fit(X, y.astype(kind), weights=weights)
    columns = model.columns(X)
    mean = probabilities(columns)[:, 1].mean() if kind is int else columns.mean()

    assert mean == pytest.approx(0.8, abs=0.03)
    constant = -0.8 * np.log(0.8) - 0.2 * np.log(0.2) if kind is int else 0.16
    assert score.constant == pytest.approx(constant)


def test_the_scale_of_weights_does_not_matter():
    X, y = noisy(300)
    weights = np.random.default_rng(0).random(300)
    one, other = (_fit(X, y, weights=scale * weights)[1] for scale in (1, 2**20))

    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_constant_empty_and_giant_columns_do_no_harm():
    X, y = noisy(300)
    X[::7, 1] = np.nan
    X = np.column_stack([X, np.ones(300), np.full(300, np.nan), 1e30 * X[:, 2]])
    features = Features("posterior").fit(X, y)

    assert features.scores_[0].helps
    assert np.isfinite(features.transform(np.full((2, 9), np.nan))).all()
    assert np.isfinite(features.transform(np.full((2, 9), 1e38))).all()


# Out of fold


def test_noise_cannot_be_predicted_from_posteriors_of_a_model_that_memorises():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 3)), rng.integers(2, size=500)
    model, columns, _ = _fit(X, y, posteriors=DecisionTreeClassifier())

    assert roc_auc_score(y, columns[:, 0]) == pytest.approx(0.5, abs=0.08)
    assert roc_auc_score(y, model.columns(X)[:, 0]) == 1


@pytest.mark.parametrize("kind", [int, float])
def test_the_posterior_of_a_row_does_not_depend_on_its_own_label(kind, monkeypatch):
    """One neighbour memorises every label: those of other folds change, the row's own does not."""

    monkeypatch.setattr(posteriors, "StratifiedKFold", KFold)  # folds that read no labels
    X = np.repeat(np.random.default_rng(0).normal(size=(100, 2)), 2, axis=0)  # pairs of twins
    y = np.arange(200) // 2 % 2
    model = KNeighborsClassifier(1) if kind is int else KNeighborsRegressor(1)
    for row in range(0, 200, 40):
        changed = y.copy()
        changed[row] = 1 - y[row]
        before, after = (_fit(X, z.astype(kind), posteriors=model)[1] for z in (y, changed))
        assert after[row] == before[row]
        assert len(np.flatnonzero(after != before)) <= 1  # the twin


@pytest.mark.parametrize("kind", [int, float])
def test_a_stack_hardly_depends_on_the_label_of_a_row(kind, monkeypatch):
    """Only through the answers for other rows, from which the stack of its fold is fitted."""

    monkeypatch.setattr(posteriors, "StratifiedKFold", KFold)
    X, y = noisy(300)
    own, most = [], []
    for row in range(0, 300, 75):
        changed = y.copy()
        changed[row] = 1 - y[row]
        (_, before, score), (_, after, _) = (_fit(X, z.astype(kind)) for z in (y, changed))
        assert score.chosen.startswith("stack of")
        change = np.abs(after - before)[:, 0] / before.std()
        own.append(change[row])
        most.append(change.max())

    assert max(own) < 0.1
    assert min(most) > 0.2


# The same row, the same posteriors


@pytest.mark.parametrize(
    "given",
    [None, "boosting", LogisticRegression(), (RandomForestClassifier(5), Ridge())],
    ids=["ours", "boosting", "logistic", "pair"],
)
def test_the_posteriors_of_a_row_are_the_same_in_every_batch(given):
    X, y = noisy(2000, columns=30)
    X[::5, 3] = np.nan
    z = None if given == "boosting" or isinstance(given, LogisticRegression) else X[:, 0]
    labels = [y, np.arange(2000) // 10 % 3, *([] if z is None else [z])]
    settings = {} if given is None else {"posteriors": given}
    features = Features("posterior", folds=2, **settings).fit(X[:300], *(v[:300] for v in labels))
    whole = features.transform(X)

    for parts in (np.array_split(X, 7), X[:50, None], [X[::-1]], [np.asfortranarray(X)]):
        found = np.vstack([features.transform(part) for part in parts])
        expected = whole[::-1] if parts[0].strides[0] < 0 else whole[: len(found)]
        np.testing.assert_array_equal(found, expected)


def test_posteriors_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(learners, "LARGE_FROM", 100)
    X, y = noisy(400, columns=20)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(Features("posterior", folds=2).fit_transform(X, y))

    np.testing.assert_array_equal(*found)


def test_posteriors_that_depend_on_the_batch_are_said():
    class Ranks(ClassifierMixin, BaseEstimator):
        """A model that compares the rows of a batch with each other."""

        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X):
            p = np.argsort(np.argsort(X[:, 0])) / len(X)
            return np.column_stack([1 - p, p])

    X, y = noisy(100)
    with pytest.warns(UserWarning, match="gives a row other posteriors alone .* not frozen"):
        _fit(X, y, posteriors=Ranks())


# Posteriors of one's own


def test_a_passed_classifier_is_copied_for_each_label_and_gets_a_seed():
    X, y = noisy(200)
    given = RandomForestClassifier(4)
    one, other, seeded = (
        Features("posterior", posteriors=given, random_state=seed).fit(X, y, 1 - y)
        for seed in (0, 0, 1)
    )

    assert not hasattr(given, "estimators_")
    assert [score.chosen for score in one.scores_] == ["RandomForestClassifier"] * 2
    assert all(len(each.models[0].estimators_) == 4 for each in one.posteriors_)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    assert (one.transform(X) != seeded.transform(X)).any()


def test_a_passed_classifier_that_reads_no_missing_values_gets_them_filled():
    X, y = noisy(200)
    X[::3, 4] = np.nan
    features = Features("posterior", posteriors=KNeighborsClassifier(20)).fit(X, y)

    assert features.scores_[0].chosen == "KNeighborsClassifier"
    assert features.scores_[0].helps


def test_a_pair_predicts_both_kinds_of_labels():
    X, y = noisy(200)
    pair = (LogisticRegression(), HistGradientBoostingRegressor(max_iter=5))
    features = Features("posterior", posteriors=pair).fit(X, y, X[:, 0])

    assert [score.chosen for score in features.scores_] == [
        "LogisticRegression",
        "HistGradientBoostingRegressor",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("forest", "expects None, 'boosting', a classifier or a regressor .* got 'forest'"),
        (3, "expects None, 'boosting'"),
        ((), "expects None, 'boosting'"),
        (LogisticRegression, "expects None, 'boosting'"),
        (LinearSVC(), "classifier with `predict_proba`, got LinearSVC"),
        (Ridge(), r"has no classifier, and one label has classes.*\(classifier, regressor\)"),
    ],
)
def test_what_cannot_make_posteriors_is_refused(given, words):
    X, y = noisy(60)

    with pytest.raises(ValueError, match=words):
        Features("posterior", posteriors=given).fit(X, y)


def test_a_classifier_is_refused_for_numbers():
    with pytest.raises(ValueError, match="has no regressor, and one label has numbers"):
        _fit(noisy(60)[0], np.arange(60.0), posteriors=LogisticRegression())


def test_weights_that_a_model_cannot_read_are_refused():
    X, y = noisy(60)

    with pytest.raises(ValueError, match="reads no `sample_weight`: KNeighborsClassifier"):
        _fit(X, y, weights=np.ones(60), posteriors=KNeighborsClassifier())
    nested = make_pipeline(StandardScaler(), LogisticRegression())
    weights = np.where(y == 1, 9.0, 1.0)
    assert _fit(X, y, weights=weights, posteriors=nested)[1].mean() > 1


# Blocks


def test_blocks_say_what_the_columns_are():
    X, y = noisy(200)
    features = Features("both").fit(X, y, X[:, 0], np.arange(200) % 3)
    x = features.transform(X)
    found = features.posteriors_of(x)

    assert features.blocks_ == (("classes", 2), ("numbers", 1), ("classes", 3))
    assert [each.shape[1] for each in found] == [2, 1, 3]
    assert x.shape[1] == 4 + features.n_raw_
    for each, model in zip(found, features.posteriors_, strict=True):
        columns = model.columns(X)
        exact = columns if model.kind == "numbers" else probabilities(columns)
        np.testing.assert_allclose(each, exact, atol=1e-5)
    assert Features("raw").fit(X, y).blocks_ == Features("raw").fit(X, y).scores_ == ()


# Saved


def saved(features, folder):
    save_parts(folder, Parts({}, {}, features, KEY))

    return load_parts(folder).features


@pytest.mark.parametrize(
    "given", [None, "boosting", (LogisticRegression(), HistGradientBoostingRegressor(max_iter=5))]
)
def test_fitted_features_come_back_from_disk(given, tmp_path):
    X, y = noisy(150)
    X[0, 0] = np.nan
    labels = [y, X[:, 1], *([np.arange(150) % 3] if given is None else [])]
    features = Features("posterior", posteriors=given, folds=2).fit(X, *labels)
    loaded = saved(features, tmp_path / "encoder")

    np.testing.assert_array_equal(loaded.transform(X), features.transform(X))
    assert loaded.scores_ == features.scores_
    assert loaded.blocks_ == features.blocks_


@pytest.mark.parametrize(
    ("given", "type_name"),
    [
        (RandomForestClassifier(2), "sklearn.tree._tree.Tree"),
        (KNeighborsClassifier(2), "KNeighborsClassifier"),
    ],
)
def test_models_that_a_folder_cannot_hold_are_refused_when_it_is_saved(given, type_name, tmp_path):
    features = Features("posterior", posteriors=given).fit(*noisy(100))

    with pytest.raises(ValueError, match=rf"cannot be saved.*{type_name}.*joblib") as caught:
        saved(features, tmp_path / "encoder")
    assert f"posteriors={given!r}" in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_models_that_no_encoder_has_are_not_loaded(tmp_path, monkeypatch):
    """Also those that skops trusts: some read memory at places that come from the file."""

    features = Features("posterior", posteriors=KNeighborsClassifier(2)).fit(*noisy(100))
    with monkeypatch.context() as forger:
        forger.setattr("bitveil.folders.check_archive", lambda content, trusted: None)
        save_parts(tmp_path / "encoder", Parts({}, {}, features, KEY))

    with pytest.raises(ValueError, match=r"types that no bitveil encoder has.*KNeighbors"):
        load_parts(tmp_path / "encoder")


# Sizes


@pytest.mark.parametrize(
    ("n", "names"),
    [
        (500, ["logistic", "small boosting"]),
        (5_000, ["logistic", "small boosting", "boosting"]),
        (50_000, ["logistic", "boosting"]),
    ],
)
def test_the_number_of_rows_decides_what_is_tried(n, names):
    assert [each.name for each in learners.learners(None, "classes", n, 0)] == names


def test_a_linear_model_is_fitted_on_a_part_of_many_rows(monkeypatch):
    monkeypatch.setattr(learners, "LINEAR_ROWS", 100)
    (linear, _) = learners.learners(None, "classes", 500, 0)
    X, y = noisy(500)
    model = linear.fitted(X, y, None, np.arange(500))

    assert model[0].n_features_in_ == 6
    assert model[1].n_samples_seen_ == 100


def test_a_part_of_many_rows_has_every_class():
    y = np.repeat([0, 1, 2], [600, 396, 4])
    for rows in (np.arange(1000), np.arange(0, 1000, 2)):
        some = learners._some_rows(rows, y, 20)
        assert set(y[some]) == {0, 1, 2}
        assert 20 <= len(some) <= 24
        assert set(some) <= set(rows)
    assert len(learners._some_rows(np.arange(1000), y.astype(float), 20)) == 20
