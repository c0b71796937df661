"""Targets: classes, numbers, several of both, missing ones, and none."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from bitveil.columns.targets import Target
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from builders import quick

encoder = partial(quick, hidden=(16,), epochs=20, batch_size=400)


def world(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.integers(2, size=n)

    return rng.normal(size=(n, 3)) + [0.0, 0.0, 1.5] * s[:, None], s


# Fitted targets


@pytest.mark.parametrize(
    ("y", "classes", "labels"),
    [
        ([1, 0, 1, 0], [0, 1], [1, 0, 1, 0]),
        ([5, -3, 5, 9], [-3, 5, 9], [1, 0, 1, 2]),
        ([1.0, 2.0, 1.0, 2.0], [1, 2], [0, 1, 0, 1]),
        ([0.5, 1.5, 0.5, 1.5], [0.5, 1.5], [0, 1, 0, 1]),  # two values are classes
        ([True, False, True, True], [False, True], [1, 0, 1, 1]),
        (["b", "a", "b", "c"], ["a", "b", "c"], [1, 0, 1, 2]),
        (pd.Categorical(["b", "a", "b", "a"], ["b", "a"]), ["a", "b"], [1, 0, 1, 0]),
        (pd.array([1, 0, 1, 0], dtype="Int64"), [0, 1], [1, 0, 1, 0]),
        (pd.array([True, False, True, True], dtype="boolean"), [False, True], [1, 0, 1, 1]),
        (pd.array(["b", "a", "b", "a"], dtype="string"), ["a", "b"], [1, 0, 1, 0]),
        (np.array([1, 0, 1, 0], dtype=np.uint8), [0, 1], [1, 0, 1, 0]),
        (np.array(["b", "a", "b", "a"]), ["a", "b"], [1, 0, 1, 0]),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["auto", "classes"])
def test_few_values_are_classes_in_order(y, classes, labels, kind):
    target, found, values = Target.fit(y, 4, kind=kind)

    assert target.kinds == ("classes",)
    assert target.classes[0].tolist() == classes
    assert target.n_labels == (len(classes),)
    assert found.ravel().tolist() == labels
    assert values.shape == (4, 0)


@pytest.mark.parametrize(
    "y",
    [
        [0.5, 1.0, 2.5, 4.0],
        pd.Series([0.5, 1.0, 2.5, 4.0]),
        pd.array([0.5, 1.0, 2.5, 4.0], dtype="Float64"),
        np.array([0.5, 1.0, 2.5, 4.0], dtype=np.float32),
        np.array([0.5, 1.0, 2.5, 4.0], dtype=object),
    ],
    ids=lambda y: str(getattr(y, "dtype", type(y))),
)
def test_fractions_are_numbers_and_are_standardised(y):
    target, labels, values = Target.fit(y, 4, kind="numbers")

    assert target.kinds == ("numbers",)
    assert target.means == pytest.approx((2.0,))
    assert target.scales == pytest.approx((np.std([0.5, 1.0, 2.5, 4.0]),))
    assert labels.shape == (4, 0)
    assert values.mean() == pytest.approx(0)
    assert values.std() == pytest.approx(1)
    if not isinstance(y, np.ndarray) or y.dtype != object:
        assert Target.fit(y, 4)[0].kinds == ("numbers",)


def test_more_than_fifty_values_are_numbers_or_refused():
    fifty, more = np.arange(100) % 50, np.arange(102) % 51

    assert Target.fit(fifty, 100)[0].kinds == ("classes",)
    assert Target.fit(more, 102)[0].kinds == ("numbers",)
    with pytest.raises(ValueError, match="`y` has 51 different values, more than the 50"):
        Target.fit(more, 102, kind="classes")
    with pytest.raises(ValueError, match="`y` has 51 different values, more than the 50"):
        Target.fit(more.astype(str), 102)


def test_each_column_has_its_own_kind():
    y = pd.DataFrame({"pay": [10.5, 20.25, 30.0], "hired": ["no", "yes", "no"], "kids": [0, 1, 2]})
    target, labels, values = Target.fit(y, 3)

    assert target.names == ("pay", "hired", "kids")
    assert target.kinds == ("numbers", "classes", "classes")
    assert labels.tolist() == [[0, 0], [1, 1], [0, 2]]
    assert values.shape == (3, 1)
    assert target.n_labels == (2, 3)


def test_no_target_has_no_columns():
    target, labels, values = Target.fit(None, 3)

    assert target.kinds == target.classes == target.means == ()
    assert labels.shape == values.shape == (3, 0)


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        ([1.0, np.nan, 0.0], [1, -1, 0]),
        (["b", None, "a"], [1, -1, 0]),
        (["b", np.nan, "a"], [1, -1, 0]),
        ([True, None, False], [1, -1, 0]),
        (pd.array([1, None, 0], dtype="Int64"), [1, -1, 0]),
        (pd.array([True, None, False], dtype="boolean"), [1, -1, 0]),
        (pd.Categorical(["b", None, "a"]), [1, -1, 0]),
    ],
    ids=str,
)
def test_missing_classes_are_refused_or_unlabelled(y, labels):
    with pytest.raises(ValueError, match=r"missing values in 1 rows.*missing_target='unlabelled'"):
        Target.fit(y, 3)

    assert Target.fit(y, 3, missing="unlabelled")[1].ravel().tolist() == labels


def test_missing_numbers_move_neither_mean_nor_scale():
    target, _, values = Target.fit([1.5, np.nan, 4.5, 3.0], 4, missing="unlabelled")

    assert target.means == (3.0,)
    assert np.isnan(values[:, 0]).tolist() == [False, True, False, False]
    assert np.nanstd(values) == pytest.approx(1)


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        ([1.5, np.inf, 2.5], "auto", "Input y contains infinity"),
        ([1.5, -np.inf, 2.5], "numbers", "Input y contains infinity"),
        ([1.0, np.inf, 2.0], "classes", "Input y contains infinity"),
        (["a", "b", "a"], "numbers", "`y` expects numbers for a regression"),
        ([1, 1, 1], "auto", "`y` has one class only, 1"),
        (["a", "a", "a"], "classes", "`y` has one class only, 'a'"),
        ([0.5, 1.5, 2.5], "classes", r"continuous.*InvariantRegressor"),
        ([1, "a", 2], "auto", r"`y` mixes values that cannot be sorted"),
        ([1, 2], "auto", "`y` expects one value for each of the 3 rows, got 2"),
        (1, "auto", "`y` expects a column of values"),
        ([[1, np.nan]] * 3, "auto", "missing values in 3 rows"),
    ],
)
def test_anything_but_a_target_is_refused(y, kind, words):
    with pytest.raises(ValueError, match=words):
        Target.fit(y, 3, kind=kind)


def test_a_target_that_is_missing_everywhere_is_refused():
    y = pd.DataFrame({"a": [1, 0, 1], "b": [None, None, None]})

    with pytest.raises(ValueError, match=r"missing in every row of \['b'\]"):
        Target.fit(y, 3, missing="unlabelled")
    with pytest.raises(ValueError, match=r"expects one of .*'error', 'unlabelled'.*, got 'drop'"):
        Target.fit(y, 3, missing="drop")


def test_polars_frames_are_accepted():
    polars = pytest.importorskip("polars")
    y = polars.DataFrame({"pay": [10.5, 20.25, 30.0], "hired": ["no", "yes", None]})
    target, labels, values = Target.fit(y, 3, missing="unlabelled")

    assert target.kinds == ("numbers", "classes")
    assert labels.ravel().tolist() == [0, 1, -1]
    assert values.shape == (3, 1)
    assert Target.fit(y["pay"], 3)[0].means == (20.25,)


# Numbers


def test_a_regression_explains_what_codes_can():
    X, s = world(3000)
    y = np.sign(X[:, 0]) + 2 * np.sign(X[:, 1])  # four values, which two bits can represent
    model = encoder(InvariantRegressor, strength=0.0, epochs=40, n_bits=4, learning_rate=0.03)
    model.fit(X, y + np.random.default_rng(0).normal(size=3000), sensitive_features=s)
    fresh, _ = world(4000, seed=1)
    truth = np.sign(fresh[:, 0]) + 2 * np.sign(fresh[:, 1])
    noisy = truth + np.random.default_rng(1).normal(size=4000)

    assert model.score(fresh, truth) > 0.9
    assert 0.75 < model.score(fresh, noisy) < 5 / 6 + 0.02  # a variance of 5, and 1 of noise
    assert 0.75 < model.path_[0].score < 5 / 6 + 0.03


def test_answers_scale_and_shift_with_the_target():
    X, s = world()
    y = X[:, 0] + 0.2 * np.random.default_rng(0).normal(size=1000)
    answers = [
        encoder(InvariantRegressor).fit(X, target, sensitive_features=s).predict(X)
        for target in (y, 4 * y, y + 1000)
    ]

    np.testing.assert_array_equal(answers[1], 4 * answers[0])
    np.testing.assert_allclose(answers[2] - 1000, answers[0], atol=1e-2)


@pytest.mark.parametrize("n_bits", [3, 17])
def test_numbers_are_answered_from_the_bits_alone(n_bits):
    X, s = world(600)
    y = np.column_stack([X[:, 0], 100 - 5 * X[:, 1]])
    model = encoder(InvariantRegressor, n_bits=n_bits).fit(X, y, sensitive_features=s)
    bits, answers = model.transform(X), model.predict(X)

    assert answers.shape == (600, 2)
    np.testing.assert_array_equal(model.decode(bits), answers)
    assert len(np.unique(answers, axis=0)) <= len(np.unique(bits, axis=0))
    assert answers[:, 1].mean() == pytest.approx(100, abs=2)


def test_the_answer_for_a_code_is_the_mean_of_its_rows():
    X, s = world(2000)
    y = 3 * X[:, 0] + 7
    model = encoder(InvariantRegressor, strength=0.0).fit(X, y, sensitive_features=s)
    theta, codes = model.probabilities(X), np.unique(model.transform(X), axis=0)
    weight = np.prod(np.where(codes[:, None], theta, 1 - theta), axis=2)
    mean = (weight * y).sum(1) / weight.sum(1)

    assert model.decode(codes) == pytest.approx(mean, abs=0.2)
    assert not hasattr(model, "classes_")


def test_a_regression_with_missing_numbers_equals_one_without_those_rows():
    X, s = world(2000)
    y = np.where(np.random.default_rng(0).random(2000) < 0.5, np.nan, X[:, 0])
    model = encoder(InvariantRegressor, missing_target="unlabelled", epochs=40, strength=0.0)
    model.fit(X, y, sensitive_features=s)

    assert model.score(X, X[:, 0]) > 0.75


@pytest.mark.parametrize("cls", [InvariantClassifier, InvariantRegressor])
@pytest.mark.parametrize("task", ["columns", "reconstruction", "information"])
def test_predictions_need_the_target_as_task(cls, task):
    X, s = world(200)
    y = (X[:, 0] > 0).astype(int)

    with pytest.raises(ValueError, match=f"`task='{task}'`.*InvariantEncoder"):
        encoder(cls, task=task).fit(X, y, sensitive_features=s)


# Several targets


@pytest.mark.parametrize("n_bits", [4, 17])
def test_several_targets_are_answered_one_by_one(n_bits, tmp_path):
    X, s = world(1000)
    y = pd.DataFrame(
        {"up": np.where(X[:, 0] > 0, "yes", "no"), "third": np.digitize(X[:, 1], [-0.5, 0.5])}
    )
    settings = {"n_bits": n_bits, "strength": 0.0, "epochs": 60, "key": b"a key for the tests"}
    model = encoder(**settings).fit(X, y, sensitive_features=s)
    answers, said = model.predict_proba(X), model.predict(X)
    model.save(tmp_path / "several")
    loaded = load(tmp_path / "several")

    assert [classes.tolist() for classes in model.classes_] == [["no", "yes"], [0, 1, 2]]
    assert [part.shape for part in answers] == [(1000, 2), (1000, 3)]
    assert all(part.sum(1) == pytest.approx(1) for part in answers)
    assert said.shape == (1000, 2)
    assert (said[:, 0] == y["up"]).mean() > 0.8
    assert (said[:, 1] == y["third"]).mean() > 0.6
    np.testing.assert_array_equal(loaded.predict(X), said)
    assert [classes.tolist() for classes in loaded.classes_] == [["no", "yes"], [0, 1, 2]]


def test_each_target_may_be_missing_by_itself():
    X, s = world(1000)
    y = np.column_stack([X[:, 0] > 0, X[:, 1] > 0]).astype(float)
    y[:600, 0], y[600:, 1] = np.nan, np.nan  # no row has both
    settings = {"missing_target": "unlabelled", "strength": 0.0, "epochs": 60}
    model = encoder(**settings).fit(X, y, sensitive_features=s)
    truth = np.column_stack([X[:, 0] > 0, X[:, 1] > 0])

    assert ((model.predict(X) == truth).mean(0) > 0.8).all()


def test_classes_and_numbers_are_encoded_together():
    X, s = world(1000)
    y = pd.DataFrame({"up": X[:, 0] > 0, "height": X[:, 1]})
    model = encoder(InvariantEncoder, strength=0.0, epochs=60).fit(X, y, sensitive_features=s)
    bits = model.transform(X)
    cells = pd.DataFrame(y).groupby(list(bits.T.tolist()), observed=True)

    assert model.schema_.target.kinds == ("classes", "numbers")
    assert cells["up"].transform("mean").round().eq(y["up"]).mean() > 0.8
    assert 1 - (y["height"] - cells["height"].transform("mean")).var() > 0.4


def test_separation_by_a_number_is_within_its_bins():
    X, s = world(1000)
    model = encoder(InvariantRegressor, criterion="separation", bins=4, epochs=3)
    model.fit(X, X[:, 0], sensitive_features=s)
    rows = model.rows_["fit"]
    quarter = np.digitize(X[:, 0], np.quantile(X[:, 0], [0.25, 0.5, 0.75]))

    for cell in range(4):
        for g in (0, 1):
            inside = (quarter == cell) & (s == g)
            assert inside[rows].sum() == pytest.approx(5 / 7 * inside.sum(), abs=1.5)


# No target


@pytest.mark.parametrize("n_bits", [4, 17])
def test_a_table_is_reconstructed_where_that_is_asked(n_bits):
    X, s = world(1500)
    X[:, 1] = X[:, 0] + 0.1 * X[:, 1]  # two columns for the price of one
    settings = {"strength": 0.0, "epochs": 60, "n_bits": n_bits, "task": "reconstruction"}
    told = encoder(InvariantEncoder, **settings).fit(X, sensitive_features=s)
    blind = encoder(InvariantEncoder, **settings | {"epochs": 1, "learning_rate": 1e-9})
    explained = []
    for model in (told, blind.fit(X, sensitive_features=s)):
        bits = model.transform(X)[:, :4]
        mean = pd.DataFrame(X).groupby(list(bits.T.tolist())).transform("mean")
        explained.append(1 - ((X - mean) ** 2).sum().sum() / ((X - X.mean(0)) ** 2).sum())

    assert explained[0] > explained[1] + 0.15
    assert explained[0] > 0.4
    assert told.path_[0].score == pytest.approx(explained[0], abs=0.1) or n_bits == 17
    assert told.schema_.target_name is None


def test_without_a_target_a_code_may_identify_its_row():
    X, s = world(1500)
    settings = {"strength": 0.0, "epochs": 60, "learning_rate": 0.1}
    model = encoder(InvariantEncoder, task="information", **settings)
    model.fit(X, sensitive_features=s)
    theta, bits = model.probabilities(X), model.transform(X)

    assert model.path_[0].information > 0.9 * np.log(8)
    assert model.path_[0].score is None
    assert (np.minimum(theta, 1 - theta) < 0.1).mean() > 0.8  # hardly any noise
    assert np.bincount(bits @ [4, 2, 1], minlength=8).min() > 100


def test_a_code_without_a_target_reveals_little_about_the_attribute():
    X, s = world(1500)
    X[:, 1] = X[:, 2] + 0.1 * X[:, 1]  # the shift is in two of three columns
    gaps = []
    for strength in (0.0, 10.0):
        model = encoder(InvariantEncoder, strength=strength, epochs=40, n_bits=2)
        gaps.append(model.fit(X, sensitive_features=s).path_[0].gap)

    assert gaps[0] > 0.4
    assert gaps[1] < 0.15


# Missing targets


def test_unlabelled_rows_teach_nothing_about_the_target():
    """Three tables that differ only in the mark of a missing target."""

    X, s = world()
    y = np.where(X[:, 0] > 0, "yes", "no").astype(object)
    hidden = np.random.default_rng(0).random(1000) < 0.4
    fits = []
    for missing in (None, np.nan, pd.NA):
        given = y.copy()
        given[hidden] = missing
        model = encoder(missing_target="unlabelled").fit(X, given, sensitive_features=s)
        fits.append(model)

    np.testing.assert_array_equal(fits[0].logits(X), fits[1].logits(X))
    np.testing.assert_array_equal(fits[0].predict(X), fits[2].predict(X))
    assert fits[0].classes_.tolist() == ["no", "yes"]
    used = np.concatenate([fits[0].rows_["fit"], fits[0].rows_["select"]])
    assert fits[0].decoder_.tables["target0"].sum() == pytest.approx(
        np.sum(~hidden[used]), rel=1e-5
    )


def test_unlabelled_rows_count_for_the_attribute():
    X, s = world(1500)
    y = np.where(np.arange(1500) < 500, (X[:, 0] > 0).astype(float), np.nan)
    known = encoder(max_gap=0.7, epochs=3).fit(X[:500], y[:500], sensitive_features=s[:500])
    settings = {"max_gap": 0.7, "epochs": 3, "missing_target": "unlabelled"}
    both = encoder(**settings).fit(X, y, sensitive_features=s)
    odds = encoder(**settings, criterion="separation").fit(X, y, sensitive_features=s)

    assert sum(known.certificate_.sizes) == 250
    assert sum(both.certificate_.sizes) == 750
    assert sum(odds.certificate_.sizes) == pytest.approx(250, abs=3)  # rows with a known target


def test_a_target_known_in_one_domain_is_predicted_in_the_other():
    # The first column predicts the target in the source only, the second in both.
    rng = np.random.default_rng(0)
    domain, y = rng.integers(2, size=3000), rng.integers(2, size=3000)
    first = np.where(domain == 0, y, 3) + 0.2 * rng.normal(size=3000)
    X = np.column_stack([first, y + 0.5 * rng.normal(size=3000)])
    known = np.where(domain == 0, y.astype(float), np.nan)
    scores = {}
    for strength in (0.0, 10.0):
        model = encoder(missing_target="unlabelled", strength=strength, epochs=60, n_bits=2)
        model.fit(X, known, sensitive_features=np.where(domain == 0, "source", "target"))
        scores[strength] = model.score(X[domain == 1], y[domain == 1])

    assert scores[0.0] < 0.7
    assert scores[10.0] > 0.77  # of 0.84


@pytest.mark.parametrize("features", ["posterior", "both"])
def test_posteriors_are_learned_from_the_known_targets(features):
    X, s = world(600)
    y = pd.DataFrame({"up": (X[:, 0] > 0).astype(float), "height": X[:, 1]})
    y.loc[::3, "up"], y.loc[1::3, "height"] = np.nan, np.nan
    settings = {"features": features, "missing_target": "unlabelled", "epochs": 30}
    model = encoder(InvariantEncoder, **settings).fit(X, y, sensitive_features=s)

    assert torch.isfinite(model.coder_.encoder[0].weight).all()
    features = model.coder_.features
    assert features.blocks_ == (("classes", 2), ("numbers", 1), ("classes", 2))
    assert [score.helps for score in features.scores_] == [True, True, True]
