"""Estimators: scikit-learn's manners, frozen bits, and answers that come from the bits alone."""

import random
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bitveil.certificates import UncertifiableError
from bitveil.datasets import load_adult, load_german_credit
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier
from bitveil.training import Training
from builders import build, quick

classifier = partial(quick, hidden=(16,), epochs=20, batch_size=500)
encoder = partial(classifier, InvariantEncoder)


# Manners


def test_a_constructor_only_stores():
    training = Training(hidden=None, epochs="many")
    settings = InvariantClassifier().get_params(deep=False)
    settings |= {"n_bits": -1, "max_gap": "wide", "key": 7, "random_state": "x"}
    settings |= {"training": training}

    assert InvariantClassifier(**settings).get_params(deep=False) == settings
    assert (training.hidden, training.epochs) == (None, "many")


def test_parts_of_the_training_are_set_by_name():
    model = InvariantClassifier().set_params(training__epochs=3, n_bits=2)
    other = clone(model).set_params(training__epochs=4)

    assert (model.training.epochs, other.training.epochs, model.n_bits) == (3, 4, 2)
    assert model.get_params()["training__epochs"] == 3
    with pytest.raises(ValueError, match="Invalid parameter 'passes'"):
        model.set_params(training__passes=3)
    with pytest.raises(ValueError, match=r"`training` expects a `bitveil.Training`"):
        InvariantClassifier(training={"epochs": 3}).settings()


def test_a_clone_is_unfitted_and_fits_alike(numbers):
    X, y, s = numbers
    fitted = encoder().fit(X, y, sensitive_features=s)
    copy = clone(fitted)

    assert copy.training is not fitted.training
    assert copy.get_params() | {"training": None} == fitted.get_params() | {"training": None}
    with pytest.raises(NotFittedError):
        copy.transform(X)
    copy.set_params(strength=1.0).fit(X, y, sensitive_features=s)
    np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))


@pytest.mark.parametrize(
    "name",
    "transform predict predict_proba probabilities logits thresholded shared_rows decode".split(),
)
def test_nothing_is_told_before_fitting(name):
    with pytest.raises(NotFittedError):
        getattr(InvariantClassifier(2), name)(np.zeros((2, 2), dtype=np.uint8))


def test_fit_returns_the_estimator_and_fit_transform_its_bits(numbers):
    X, y, s = numbers
    fitted = encoder()

    assert fitted.fit(X, y, sensitive_features=s) is fitted
    np.testing.assert_array_equal(
        encoder().fit_transform(X, y, sensitive_features=s), fitted.transform(X)
    )


def test_a_pipeline_passes_the_attribute_by_the_name_of_the_step(numbers):
    X, y, s = numbers
    pipeline = Pipeline([("scale", StandardScaler()), ("inversk", classifier())])
    pipeline.fit(X, y, inversk__sensitive_features=s)
    scaled = StandardScaler().fit_transform(X)
    alone = classifier().fit(scaled, y, sensitive_features=s)

    np.testing.assert_array_equal(pipeline.transform(X), alone.transform(scaled))
    np.testing.assert_array_equal(pipeline.predict(X), alone.predict(scaled))
    assert pipeline.get_feature_names_out().tolist() == ["bit0", "bit1", "bit2"]


def test_routing_carries_the_attribute_and_the_ids(numbers):
    X, y, s = numbers
    with sklearn.config_context(enable_metadata_routing=True):
        last = classifier().set_fit_request(sensitive_features=True)
        pipeline = make_pipeline(StandardScaler(), last.set_transform_request(ids=True))
        pipeline.fit(X, y, sensitive_features=s)
        by_id = pipeline.transform(X, ids=range(600))

        assert (by_id != pipeline.transform(X)).any()
        np.testing.assert_array_equal(pipeline.transform(X, ids=range(600)), by_id)


def test_cross_validation_splits_the_attribute_with_the_rows(numbers):
    X, y, s = numbers
    with sklearn.config_context(enable_metadata_routing=True):
        routed = classifier(epochs=3).set_fit_request(sensitive_features=True)
        scores = cross_val_score(routed, X, y, cv=2, params={"sensitive_features": s})
        search = GridSearchCV(routed, {"n_bits": [1, 2]}, cv=2).fit(X, y, sensitive_features=s)

    assert np.isfinite(scores).all()
    assert search.best_params_["n_bits"] in (1, 2)


def test_bits_come_as_a_data_frame_where_one_is_asked_for(numbers):
    X, y, s = numbers
    X = X.set_index(np.arange(600) + 1000)
    fitted = classifier().fit(X, y, sensitive_features=s)
    bits, answers = fitted.transform(X), fitted.predict_proba(X)
    fitted.set_output(transform="pandas")
    frame = fitted.transform(X)

    assert frame.columns.tolist() == ["bit0", "bit1", "bit2"]
    assert frame.index.equals(X.index)
    np.testing.assert_array_equal(frame, bits)
    np.testing.assert_array_equal(fitted.predict_proba(X), answers)


def test_fitted_names_say_what_was_fitted(people):
    X, y, s = people(300)
    sensitive = pd.DataFrame({"sex": s, "old": X["age"] > 50})
    fitted = encoder().fit(X, pd.Series(y, name="hired"), sensitive_features=sensitive)

    assert fitted.n_features_in_ == X.shape[1]
    assert list(fitted.feature_names_in_) == list(X)
    assert fitted.schema_.target_name == "hired"
    assert list(fitted.schema_.sensitive_names) == ["sex", "old"]
    assert fitted.classes_.tolist() == ["no", "yes"]


# Seeds and keys


def test_the_same_seed_gives_the_same_bits(numbers):
    X, y, s = numbers
    once, again, other = (
        encoder(random_state=state).fit(X, y, sensitive_features=s).transform(X)
        for state in (3, np.random.RandomState(3), 4)
    )

    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_without_a_seed_every_fit_has_a_key_of_its_own(numbers):
    X, y, s = numbers
    keys = {
        encoder(random_state=None, epochs=1).fit(X, y, sensitive_features=s).coder_.key
        for _ in range(3)
    }

    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}


def test_a_given_key_is_the_key(numbers):
    X, y, s = numbers
    key = b"a key that nobody else may know!"
    given, drawn = (encoder(key=k).fit(X, y, sensitive_features=s) for k in (key, None))

    assert given.coder_.key == key
    np.testing.assert_array_equal(given.logits(X), drawn.logits(X))
    assert (given.transform(X) != drawn.transform(X)).any()


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 65])
def test_a_key_of_the_wrong_length_is_refused_before_training(numbers, key):
    X, y, s = numbers

    with pytest.raises(ValueError, match=f"16 to 64 bytes, got {len(key)}"):
        encoder(key=key).fit(X, y, sensitive_features=s)


@pytest.mark.usefixtures("unchecked")  # the checks themselves draw random numbers
@pytest.mark.parametrize("random_state", [0, None])
def test_global_seeds_are_left_alone(people, random_state):
    def states():
        numpy = np.random.get_state()  # noqa: NPY002
        state = random.getstate(), torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2:]
        return [hash(str(part)) for part in state]

    X, y, s = people(300)
    fitted = classifier(features="both", epochs=2, max_gap=0.9, random_state=random_state)
    before = states()
    fitted.fit(X, y, sensitive_features=s).predict(X)

    assert states() == before


# Rows and their bits


def test_bits_are_drawn_with_the_probabilities_and_stay(model, people):
    X = people(3000, seed=5).X
    bits, theta = model.transform(X), model.probabilities(X)

    assert bits.dtype == np.uint8
    assert set(np.unique(bits)) == {0, 1}
    assert bits.mean(0) == pytest.approx(theta.mean(0), abs=0.05)
    np.testing.assert_array_equal(model.transform(X), bits)
    assert (bits != model.thresholded(X)).any()


def test_probabilities_logits_and_thresholds_are_one_thing(model, people):
    X = people(50, seed=5).X
    theta = model.probabilities(X)

    np.testing.assert_allclose(theta, 1 / (1 + np.exp(-model.logits(X))))
    np.testing.assert_array_equal(model.thresholded(X), theta >= 0.5)


def test_a_row_alone_has_the_bits_that_it_has_among_others(model, people):
    X = people(100, seed=5).X
    bits = model.transform(X)

    for i in range(0, 100, 10):
        np.testing.assert_array_equal(model.transform(X.iloc[[i]]), bits[[i]])
    np.testing.assert_array_equal(model.transform(X[::-1]), bits[::-1])


def test_the_order_of_columns_and_the_index_do_not_matter(model, people):
    X = people(100, seed=5).X
    other = X[list(X)[::-1]].set_index(np.zeros(100))

    np.testing.assert_array_equal(model.transform(other), model.transform(X))
    assert model.shared_rows(other) == model.shared_rows(X)


def test_the_type_that_numbers_are_stored_in_does_not_matter(numbers):
    X, y, s = numbers
    fitted = encoder().fit(X, y, sensitive_features=s)
    bits = fitted.transform(X)

    for dtype in ("int8", "float64", "Int64", "object"):
        np.testing.assert_array_equal(fitted.transform(X.astype({"age": dtype})), bits)


def test_rows_are_matched_with_labels_by_position(numbers):
    X, y, s = numbers
    plain = encoder().fit(X, y, sensitive_features=s)
    shuffled = encoder().fit(
        X.set_index(np.arange(600)[::-1]), pd.Series(y), sensitive_features=pd.Series(s)
    )

    np.testing.assert_array_equal(shuffled.transform(X), plain.transform(X))


def test_rows_of_equal_content_share_a_draw_and_are_counted(model, people):
    X = people(100, seed=5).X
    twice = pd.concat([X, X[:30], X[:10]])
    bits = model.transform(twice)

    np.testing.assert_array_equal(bits[100:130], bits[:30])
    assert model.shared_rows(twice) == 30 + 30 + 10
    assert model.shared_rows(X) == 0


def test_an_id_alone_decides_the_draw(model, people):
    X = pd.concat([people(1, seed=5).X] * 400)
    ids = [f"person {i}" for i in range(400)]
    bits = model.transform(X, ids=ids)
    theta = model.probabilities(X)[0]

    assert bits.mean(0) == pytest.approx(theta, abs=0.13)  # 5 standard deviations
    np.testing.assert_array_equal(model.transform(X[:9], ids=pd.Series(ids[:9])), bits[:9])
    assert len(np.unique(model.transform(X, ids=["one"] * 400), axis=0)) == 1


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["a"], "`ids` expects a name for each of the 3 rows, got 1"),
        (["a", None, "b"], "1 of them missing"),
        ([["a"], ["b"], ["c"]], "`ids`"),
    ],
)
def test_ids_that_name_no_rows_are_refused(model, people, ids, words):
    with pytest.raises(ValueError, match=words):
        model.transform(people(3).X, ids=ids)


def test_no_rows_have_no_bits(numbers):
    X, y, s = numbers
    fitted = classifier(epochs=1).fit(X, y, sensitive_features=s)

    assert fitted.transform(X[:0]).shape == (0, 3)
    assert fitted.predict(X[:0]).shape == (0,)
    assert fitted.shared_rows(X[:0]) == 0


def test_other_columns_are_refused_by_name(model, people):
    X = people(3).X.rename(columns={"height": "tallness"})

    with pytest.raises(ValueError, match=r"missing are \['height'\], unknown are \['tallness'\]"):
        model.transform(X)


def test_other_kinds_of_tables_are_refused(model, numbers):
    X, y, s = numbers
    matrix = encoder(epochs=1).fit(X.to_numpy(), y, sensitive_features=s)

    with pytest.raises(ValueError, match="fitted on, a DataFrame, got ndarray"):
        model.transform(X.to_numpy())
    with pytest.raises(ValueError, match="fitted on, numbers, got DataFrame"):
        matrix.transform(X)
    with pytest.raises(ValueError, match="Expected 3 columns, as fitted, got 2"):
        matrix.transform(X.to_numpy()[:, :2])
    with pytest.raises(ValueError, match=r"one row: `X.reshape\(1, -1\)`"):
        matrix.transform(X.to_numpy()[0])


# What cannot be fitted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_bits": 0}, "n_bits"),
        ({"n_bits": 2.5}, "n_bits"),
        ({"n_bits": 30, "engine": "exact"}, r"m = 30 .* Use fewer bits"),
        ({"bins": 1}, "`bins` expects a whole number from 2 on, got 1"),
        ({"criterion": "calibration"}, r"`criterion` expects one of \['independence', .*calib"),
        ({"criterion": 3}, "`criterion` expects one of"),
        ({"engine": "fast"}, "`engine` expects one of"),
        ({"prior": "flat"}, "`prior` expects one of"),
        ({"task": "regression"}, "`task` expects one of"),
        ({"missing_target": "drop"}, "`missing_target` expects one of"),
        ({"missing_sensitive": "drop"}, "`missing_sensitive` expects one of"),
        ({"max_information": -1}, "`max_information` expects a number of bits above 0, got -1"),
        ({"max_gap": 0.3, "max_information": 0.1}, "got max_gap and max_information"),
        ({"max_gap": 0.3, "warm_start": True}, "may have seen the rows for certification"),
        ({"checkpoint": "x", "random_state": None}, "`checkpoint` needs a whole number"),
        (
            {"engine": "sampled", "measure": "maximal_leakage"},
            "expects one of .*got 'maximal",
        ),
        ({"criterion": "equal_opportunity", "positive": 7}, r"one of \['no', 'yes'\], got 7"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"features": "boosted"}, "`features` expects one of"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_encoder_are_refused_by_name(numbers, settings, words):
    X, y, s = numbers

    with pytest.raises(ValueError, match=words):
        encoder(**settings).fit(X, y, sensitive_features=s)


def test_labels_that_are_none_are_refused_by_name(numbers):
    X, y, s = numbers

    with pytest.raises(ValueError, match="`y` has 600 different values, more than the 50"):
        encoder().fit(X, X["height"].astype(str), sensitive_features=s)
    with pytest.raises(ValueError, match=r"Unknown label type: continuous.*InvariantRegressor"):
        classifier().fit(X, X["height"], sensitive_features=s)
    with pytest.raises(ValueError, match="`sensitive_features` has 600 different values"):
        encoder().fit(X, y, sensitive_features=X["height"].astype(str))
    with pytest.raises(ValueError, match="`sensitive_features` has one value only"):
        encoder().fit(X, y, sensitive_features=np.ones(600))
    with pytest.raises(ValueError, match="`y` expects one value for each of the 600 rows, got 5"):
        encoder().fit(X, y[:5], sensitive_features=s)
    with pytest.raises(TypeError, match="sensitive_features"):
        encoder().fit(X, y)


def test_a_fit_that_failed_is_no_fit(numbers, tmp_path):
    X, y, s = numbers
    refused = classifier(max_gap=0.01, on_unmet="raise")
    with pytest.raises(UncertifiableError):
        refused.fit(X, y, sensitive_features=s)

    with pytest.raises(NotFittedError):
        refused.transform(X)
    with pytest.raises(NotFittedError):
        refused.save(tmp_path / "encoder")


def test_a_fit_that_failed_leaves_the_old_encoder_whole_or_none(numbers):
    X, y, s = numbers
    fitted = classifier(random_state=None).fit(X, y, sensitive_features=s)
    bits = fitted.transform(X)
    fitted.set_params(max_gap=0.01, on_unmet="raise")
    with pytest.raises(UncertifiableError):
        fitted.fit(X, y, sensitive_features=s)

    try:
        again = fitted.transform(X)
    except NotFittedError:
        return
    np.testing.assert_array_equal(again, bits)


# Real tables


def test_german_credit_goes_all_the_way():
    data = load_german_credit()
    X, y, s = data.without("sex"), data.target, data.sensitive["sex"]
    fitted = classifier(features="posterior", max_gap=0.4).fit(X, y, sensitive_features=s)

    assert fitted.certificate_.bound == 0.4
    assert fitted.schema_.target_name == "good_risk"
    assert fitted.transform(X).shape == (1000, 3)
    assert fitted.score(X, y) > 0.65


def test_adult_keeps_to_its_goal_on_rows_of_its_own():
    data = load_adult()
    X, y = data.without("sex"), data.target.to_numpy()
    sex = data.sensitive["sex"].to_numpy()
    some, new = slice(3000), slice(3000, 8000)
    fitted = encoder(max_gap=0.2).fit(X[some], y[some], sensitive_features=sex[some])
    with pytest.warns(UserWarning, match=r"not fitted count as none .*native_country"):
        codes = fitted.transform(X[new]) @ np.array([4, 2, 1])
    counts = [np.bincount(codes[sex[new] == g], minlength=8) for g in ("Female", "Male")]
    first, second = (count / count.sum() for count in counts)

    assert 0.02 < np.abs(first - second).sum() / 2 <= 0.2


def test_a_secret_key_is_not_shown():
    shown = InvariantEncoder(key=b"a key that nobody else may know!")

    assert "nobody" not in repr(shown)
    assert "nobody" not in shown._repr_html_()
    assert shown.get_params()["key"] == b"a key that nobody else may know!"


def test_rows_with_ids_of_their_own_are_certified_as_expected():
    rng = np.random.default_rng(0)
    s, y = rng.integers(2, size=1500), rng.integers(2, size=1500)
    X = np.column_stack([y, s])
    fitted = encoder(max_gap=0.5).fit(X, y, sensitive_features=s, ids=np.arange(1500))
    with pytest.raises(ValueError, match="`ids` gives 750 of 1500 rows the name of an earlier"):
        encoder(max_gap=0.5).fit(X, y, sensitive_features=s, ids=np.arange(1500) % 750)

    assert fitted.shared_rows(X) == 1500
    assert fitted.certificate_.draws == "soft"


def test_text_in_a_column_of_numbers_is_refused(model, people):
    X = people(20).X.astype({"age": object})
    X.loc[3, "age"] = "old"

    with pytest.raises(ValueError, match=r"Column 'age' held numbers .* got 'old' in 1 rows"):
        model.transform(X)


def test_few_rows_are_passed_over_more_often():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y, s = (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)
    fitted = build(InvariantEncoder, 2, features="raw", hidden=(4,), random_state=0)
    fitted.fit(X, y, sensitive_features=s)

    assert len(fitted.history_.epochs) == 160
