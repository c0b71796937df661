"""Predictions come from the published bits alone; groups of several values and columns."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier
from builders import quick

classifier = partial(quick, hidden=(16,), epochs=20, batch_size=500)
encoder = partial(classifier, InvariantEncoder)


# Answers


def test_answers_come_from_the_published_bits_alone(model, people):
    X = people(500, seed=5).X
    bits, answers = model.transform(X), model.predict_proba(X)
    _, codes = np.unique(bits, axis=0, return_inverse=True)

    assert answers.sum(1) == pytest.approx(1)
    assert answers.min() > 0
    np.testing.assert_array_equal(model.decode(bits), answers)
    assert len(np.unique(answers, axis=0)) <= codes.max() + 1
    np.testing.assert_array_equal(model.predict(X), model.classes_[answers.argmax(1)])


def test_answers_for_named_rows_come_from_their_bits(model, people):
    X, ids = people(100, seed=5).X, range(100)

    np.testing.assert_array_equal(
        model.predict_proba(X, ids=ids), model.decode(model.transform(X, ids=ids))
    )


def test_answers_are_the_shares_of_the_fitted_rows(numbers):
    X, y, s = numbers
    fitted = classifier(strength=0.0, epochs=60).fit(X, y, sensitive_features=s)
    codes = np.unique(fitted.transform(X), axis=0)
    weight = np.prod(
        np.where(codes[:, None], fitted.probabilities(X), 1 - fitted.probabilities(X)), axis=2
    )
    share = (weight * (y == "yes")).sum(1) / weight.sum(1)

    assert fitted.decode(codes)[:, 1] == pytest.approx(share, abs=0.02)


def test_the_score_is_the_share_of_right_answers_and_of_use(model, people):
    X, y, _ = people(1000, seed=5)

    assert model.score(X, y) == np.mean(model.predict(X) == y)
    assert model.score(X, y) > max(np.mean(y == "yes"), np.mean(y == "no")) + 0.03


def test_there_may_be_several_classes_of_text(numbers):
    X, _, s = numbers
    y = np.array(["low", "middle", "top"])[np.digitize(X["skill"], [-0.3, 0.7])]
    fitted = classifier(strength=0.1, epochs=60).fit(X, y, sensitive_features=s)
    answers = fitted.predict_proba(X)

    assert fitted.classes_.tolist() == ["low", "middle", "top"]
    assert answers.shape == (600, 3)
    assert answers.sum(1) == pytest.approx(1)
    assert fitted.score(X, y) > 0.5


@pytest.mark.parametrize("y", [[1.0, 0.0], [True, False], [7, -3], ["no", "yes"]])
def test_answers_are_of_the_kind_of_the_target(numbers, y):
    X, _, s = numbers
    y = np.resize(y, 600)
    fitted = classifier(epochs=1).fit(X, y, sensitive_features=s)

    assert fitted.classes_.tolist() == sorted(set(y.tolist()))
    assert set(fitted.predict(X).tolist()) <= set(y.tolist())


# Groups


def test_there_may_be_three_groups(people):
    X, y, _ = people(1200)
    s = np.resize(["a", "b", "c"], 1200)
    fitted = encoder(max_gap=0.5).fit(X, y, sensitive_features=s)

    assert fitted.groups_.tolist() == ["a", "b", "c"]
    assert fitted.certificate_.sizes == (200, 200, 200)


@pytest.mark.parametrize("as_frame", [True, False])
def test_several_columns_are_taken_together(people, as_frame):
    X, y, s = people(1200)
    both = pd.DataFrame({"sex": s, "half": np.resize(["x", "y"], 1200)})
    fitted = encoder(max_gap=0.6).fit(
        X, y, sensitive_features=both if as_frame else both.to_numpy()
    )

    assert fitted.groups_.tolist() == [("f", "x"), ("f", "y"), ("m", "x"), ("m", "y")]
    assert len(fitted.certificate_.sizes) == 4


def test_a_group_too_small_to_be_held_out_is_named(numbers):
    X, y, s = numbers

    with pytest.raises(ValueError, match=r"too few rows of \['x'\] .* Join rare groups"):
        encoder(max_gap=0.5).fit(X, y, sensitive_features=np.r_[["x"], s[1:]])


def test_many_rows_that_share_a_draw_are_certified_as_drawn():
    rng = np.random.default_rng(0)
    s, y = rng.integers(2, size=2000), rng.integers(2, size=2000)
    X = np.column_stack([rng.integers(9, size=2000) + 9 * y, rng.integers(9, size=2000) + 3 * s])
    fitted = encoder(max_gap=0.4).fit(X, y, sensitive_features=s)
    held_out = fitted.rows_["certify"]
    codes = fitted.transform(X[held_out]) @ np.array([4, 2, 1])
    shares = [np.bincount(codes[s[held_out] == g], minlength=8) for g in (0, 1)]
    first, second = (counts / counts.sum() for counts in shares)

    assert fitted.shared_rows(X) > 1900
    assert fitted.certificate_.draws == "hard"
    assert fitted.certificate_.estimate == pytest.approx(np.abs(first - second).sum() / 2)


def test_rows_without_names_are_certified_as_drawn_however_few_share_a_draw(people):
    X, y, s = people(900)
    fitted = encoder(max_gap=0.6).fit(X, y, sensitive_features=s)

    assert fitted.shared_rows(X) == 0
    assert fitted.certificate_.draws == "hard"
    assert "drawn codes" in str(fitted.certificate_)


def test_the_score_of_several_targets_is_the_mean_of_their_accuracies():
    rng = np.random.default_rng(0)
    X, s = rng.normal(size=(600, 3)), rng.choice(["f", "m"], 600)
    y = pd.DataFrame({"hired": X[:, 0] > 0, "level": np.select([X[:, 1] > 0.5], ["high"], "low")})
    y["hired"] = np.where(y["hired"], 1, 0)
    model = quick(InvariantClassifier, 3, strength=0.0).fit(X, y, sensitive_features=s)
    found = model.predict_proba(X)
    each = [
        (classes[p.argmax(1)] == y[name]).mean()
        for classes, p, name in zip(model.schema_.target.classes, found, y, strict=True)
    ]

    assert model.score(X, y) == pytest.approx(np.mean(each))
    assert model.score(X, y, np.ones(600)) == pytest.approx(np.mean(each))
    with pytest.raises(ValueError, match="`y` expects 2 columns, as fitted, got 1"):
        model.score(X, y[["hired"]])
