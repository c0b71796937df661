"""Features: every kind of column becomes finite numbers, and posteriors come out of fold."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.metrics import roc_auc_score

from bitveil.columns.table import check_table
from bitveil.estimators import InvariantEncoder
from bitveil.features import Features
from builders import build

KINDS = ("posterior", "raw", "both")


def labels(some):
    return (some.y == "yes").astype(np.int64), (some.s == "m").astype(np.int64)


@pytest.fixture(scope="module")
def fitted(people):
    some = people(400)

    return {kind: Features(kind, folds=2).fit(some.X, *labels(some)) for kind in KINDS}


# Posterior features


def test_noise_is_not_predictable_from_the_posteriors_of_the_fitted_rows():
    rng = np.random.default_rng(0)
    X, y, s = rng.normal(size=(600, 5)), rng.integers(2, size=600), rng.integers(2, size=600)
    features = Features("posterior", posteriors="boosting")
    fitted = features.fit_transform(X, y, s)
    in_sample = features.transform(X)  # what the encoder would see if they were not out of fold

    for column, target in enumerate((y, s)):
        assert roc_auc_score(target, fitted[:, column]) == pytest.approx(0.5, abs=0.1)
        assert roc_auc_score(target, in_sample[:, column]) > 0.95


def test_posteriors_predict_the_labels_of_new_rows(people, fitted):
    new = people(500, seed=1)
    found = fitted["posterior"].transform(new.X)

    for column, target in enumerate(labels(new)):
        assert roc_auc_score(target, found[:, column]) > 0.75


def test_there_is_a_posterior_for_each_value_but_the_first(people):
    X = people(200).X[["height", "age"]]
    y, s = np.arange(200) % 3, np.arange(200) % 4

    assert Features("posterior").fit_transform(X, y, s).shape == (200, 2 + 3)


def test_raw_features_do_not_read_the_labels(people):
    X, y, s = people(200)
    y, s = (y == "yes").astype(int), (s == "m").astype(int)
    some, other = (Features("raw").fit_transform(X, *of) for of in ((y, s), (1 - y, s[::-1])))

    np.testing.assert_array_equal(some, other)


def test_both_kinds_are_side_by_side(people, fitted):
    X = people(50, seed=1).X
    posterior, raw, both = (fitted[kind].transform(X) for kind in KINDS)

    np.testing.assert_allclose(both, np.hstack([posterior, raw]), rtol=1e-5, atol=1e-6)


def test_a_label_with_a_single_row_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"at least 2 rows of every value.*features='raw'"):
        Features("posterior").fit(np.zeros((9, 1)), np.arange(9) // 8, np.arange(9) % 2)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"'posterior', 'raw', 'both'.*, got 'boosted'"):
        Features("boosted").fit(np.zeros((9, 1)), np.arange(9) % 2, np.arange(9) % 2)


# Rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_features_alone_and_among_others(people, fitted, kind):
    X = people(300, seed=2).X
    together = fitted[kind].transform(X)

    np.testing.assert_array_equal(fitted[kind].transform(X[::-1]), together[::-1])
    for i in range(5):
        np.testing.assert_array_equal(fitted[kind].transform(X[i : i + 1]), together[i : i + 1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_column_becomes_finite_numbers(people, fitted, kind):
    found = fitted[kind].transform(people(300, seed=3).X)

    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_may_have_missing_constant_and_empty_columns(kind):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=100), np.ones(100), np.full(100, np.nan)])
    X[::3, 0] = np.nan
    found = Features(kind).fit_transform(X, rng.integers(2, size=100), rng.integers(2, size=100))

    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_may_have_a_value_in_a_single_row(kind):
    X = pd.DataFrame({"height": np.arange(100.0), "score": [1.0] + [np.nan] * 99})
    found = Features(kind).fit_transform(X, np.arange(100) % 2, np.arange(100) // 50)

    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None] * 50, dtype="Int64"),
        pd.array([True, None] * 50, dtype="boolean"),
        pd.to_timedelta(np.arange(100), unit="h"),
        pd.date_range("2020-01-01", periods=100, tz="Europe/Berlin"),
        [f"{i} Long Street" for i in range(100)],
        [0.5, "half"] * 50,
    ],
    ids=["integers", "booleans", "durations", "dates with a zone", "many texts", "a mix"],
)
def test_other_columns_of_a_data_frame_become_finite_numbers(column):
    X = pd.DataFrame({"known": np.arange(100.0), "other": column})
    features = Features("raw").fit(X, np.arange(100) % 2, np.arange(100) % 2)

    assert np.isfinite(features.transform(X)).all()


def test_a_table_without_any_value_is_refused():
    X = pd.DataFrame({"notes": [np.nan] * 100})

    with pytest.raises(ValueError, match="column"):
        Features("raw").fit(X, np.arange(100) % 2, np.arange(100) % 2)


# Unseen values


def test_unseen_values_are_named_by_column(people, fitted):
    X = people(20).X

    assert fitted["raw"].unseen(X) == {}
    assert fitted["raw"].unseen(X.assign(job="pilot", size="vast")) == {
        "job": ["pilot"],
        "size": ["vast"],
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([f"2020-01-{day:02}" for day in range(1, 26)], "2020-02-11"),
        ([str(number) for number in range(25)], "25"),
        (pd.Series(range(25), dtype=object), 25),
        ([f"{number} Long Street" for number in range(100)], "100 Long Street"),
    ],
    ids=["dates as text", "numbers as text", "numbers as objects", "texts read by letters"],
)
def test_columns_that_are_not_categories_have_no_unseen_values(old, new):
    X = pd.DataFrame({"column": old})
    alternating = np.arange(len(X)) % 2
    features = Features("raw").fit(X, alternating, alternating)

    assert features.unseen(pd.DataFrame({"column": [new]})) == {}


def test_an_estimator_warns_once_about_all_unseen_values(people):
    some = people(300)
    encoder = build(InvariantEncoder, 2, features="raw", hidden=(4,), epochs=2, random_state=0)
    encoder.fit(some.X, some.y, sensitive_features=some.s)

    with pytest.warns(UserWarning, match="not fitted") as caught:
        encoder.transform(some.X.assign(job="pilot", size="vast"))
    assert len(caught) == 1
    assert all(word in str(caught[0].message) for word in ("job", "pilot", "size", "vast"))
    assert caught[0].filename == __file__


# Refused tables


def test_infinities_are_refused_with_their_columns():
    X = pd.DataFrame({"height": [1.0, np.inf], "age": [20, 30], "debt": [-np.inf, 0.0]})

    with pytest.raises(ValueError, match=r"infinities in \['height', 'debt'\]"):
        check_table(X)


@pytest.mark.parametrize("values", [[1.0, np.inf], ["1.0", "inf"]], ids=["objects", "text"])
def test_infinities_among_objects_are_refused_with_their_columns(values):
    X = pd.DataFrame({"height": pd.Series(values * 50, dtype=object)})
    encoder = build(InvariantEncoder, 2, features="raw", hidden=(4,), epochs=2, random_state=0)

    with pytest.raises(ValueError, match="height"):
        encoder.fit(X, np.arange(100) % 2, sensitive_features=np.arange(100) % 2)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ([[1.0, np.inf]], r"infinity in columns \[1\]"),
        ([1.0, 2.0], r"2D array, a table, got an array of shape \(2,\).*reshape\(-1, 1\)"),
        (np.full((2, 2, 2), np.nan), "images of finite numbers"),
        (pd.Series([1.0, 2.0]), "Expected a 2D array"),
        ([["a", "b"]], "Expected numbers, or a pandas DataFrame for strings"),
        ([[1, 2], [3]], "Expected numbers"),
        (scipy.sparse.csr_array((2**20, 2**20)), "more than 134217728 cells.*TruncatedSVD"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), r"different names, got \['a'\]"),
    ],
)
def test_anything_but_a_table_is_refused(X, words):
    with pytest.raises(ValueError, match=words):
        check_table(X)


def test_missing_values_are_not_infinities():
    X = pd.DataFrame({"a": [np.nan, 1.0], "b": pd.array([None, 1], dtype="Int64")})

    assert check_table(X) is X
    assert np.isnan(check_table([[np.nan, 1.0]])[0, 0])
