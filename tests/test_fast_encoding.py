"""Fast ways to the same bits: trees by tables, columns by their different values, plain names."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from bitveil.columns.names import read_names
from bitveil.features import Features
from bitveil.forests import Forest, forest_answers
from bitveil.models import InvariantClassifier
from builders import KEY

# Forests


def matrix_of(n=3000, seed=0):
    """Columns of every kind: smooth, of few values, of zeros and ones, constant, with gaps."""

    rng = np.random.default_rng(seed)
    gaps = rng.normal(size=n)
    gaps[rng.random(n) < 0.3] = np.nan
    ones = rng.integers(2, size=(n, 12))
    columns = [rng.normal(size=n), rng.integers(5, size=n), gaps, np.zeros(n), *ones.T]

    return np.stack(columns, 1).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_have_the_bits_of_scikit_learn(classes, seed):
    x = matrix_of(seed=seed)
    score = np.nan_to_num(x).sum(1) + np.random.default_rng(seed).normal(size=len(x))
    y = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(x[:2000], y[:2000])

    assert Forest.of(model) is not None
    assert (forest_answers(model, x) == model.predict_proba(x)).all()
    single = np.vstack([forest_answers(model, x[i : i + 1]) for i in range(50)])
    assert (single == model.predict_proba(x[:50])).all()


def test_numbers_have_the_bits_of_scikit_learn():
    x = matrix_of()
    model = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    model.fit(x[:2000], np.nan_to_num(x[:2000]).sum(1))

    assert (forest_answers(model, x)[:, 0] == model.predict(x)).all()


def test_values_on_a_threshold_infinities_and_gaps_go_where_scikit_learn_sends_them():
    rng = np.random.default_rng(0)
    x = rng.integers(4, size=(500, 3)).astype(np.float32)
    x[::7, 0] = np.nan
    model = HistGradientBoostingRegressor(max_iter=10).fit(x, np.nan_to_num(x).sum(1) ** 2)
    edges = np.unique([t for tree in model._predictors for t in tree[0].nodes["num_threshold"]])
    close = np.concatenate(
        [np.nextafter(edges.astype(np.float32), np.float32(side)) for side in (-99, 99)]
    )
    values = np.concatenate([close, edges.astype(np.float32), [np.nan, -1e30, 1e30]])
    grid = np.stack(np.meshgrid(values, values, values[:5]), -1).reshape(-1, 3).astype(np.float32)

    assert (forest_answers(model, grid)[:, 0] == model.predict(grid)).all()


def test_trees_with_a_value_that_is_missing_only_are_followed():
    x = np.full((400, 2), np.nan, dtype=np.float32)
    x[:200, 0] = 1.0
    x[::2, 1] = np.arange(200)
    model = HistGradientBoostingRegressor(max_iter=5).fit(x, np.arange(400.0))

    assert (forest_answers(model, x)[:, 0] == model.predict(x)).all()


@pytest.mark.parametrize("settings", [{"max_leaf_nodes": 60}, {"categorical_features": [1]}])
def test_other_trees_are_left_to_scikit_learn(settings):
    x = matrix_of(4000)
    y = np.sin(5 * x[:, 0]) + (x[:, 1] % 2)
    model = HistGradientBoostingRegressor(max_iter=5, **settings).fit(x, y)

    assert Forest.of(model) is None
    assert (forest_answers(model, x)[:, 0] == model.predict(x)).all()


def test_a_broken_forest_is_caught():
    """The tests above would see one leaf that is wrong."""

    x = matrix_of()
    model = HistGradientBoostingRegressor(max_iter=5).fit(x, x[:, 0])
    forest = Forest.of(model)
    forest.groups[0].allowed[-1] = 1  # the first leaf of every tree
    assert (forest.sums(x)[:, 0] != model.predict(x)).any()


# Columns


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 2000
    letters = np.array(list("abcdefghij"))

    return pd.DataFrame(
        {
            "height": rng.normal(size=n),
            "level": rng.integers(4, size=n).astype(float),
            "job": rng.choice(np.array(["clerk", "cook", None], dtype=object), n),
            "word": ["".join(rng.choice(letters, 3)) for _ in range(n)],
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(30, size=n), "D"),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n)),
            "nothing": np.nan,
        }
    )


def test_a_table_read_by_its_different_values_is_the_same(table):
    features = Features("raw").fit(table, np.arange(2000) % 2)
    for rows in (table, table[::-1], table[:40], table[:1], table.assign(job="pilot")):
        whole = np.asarray(features.vectorizer_.transform(rows), dtype=np.float32)
        assert np.array_equal(features._matrix(rows), whole, equal_nan=True)


def test_whole_numbers_beyond_float64_are_read_by_the_vectorizer(table):
    big = table.assign(level=pd.Series([2**60 + i % 3 for i in range(2000)], dtype=object))
    features = Features("raw").fit(big, np.arange(2000) % 2)
    whole = np.asarray(features.vectorizer_.transform(big), dtype=np.float32)

    assert np.array_equal(features._matrix(big), whole, equal_nan=True)


def test_a_vectorizer_that_does_not_name_all_outputs_reads_every_row(table):
    """A saved folder may have been changed: no column may be left as the memory had it."""

    features = Features("raw").fit(table, np.arange(2000) % 2)
    whole = features._matrix(table)
    features.vectorizer_.input_to_outputs_.pop("level")
    assert np.array_equal(features._matrix(table), whole, equal_nan=True)


# Names


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (np.array([1, 20]), ["1", "20"]),
        (np.array([1, 20], dtype=np.uint8), ["1", "20"]),
        (pd.Series(["7", "007"]), ["7", "007"]),
        ([1, 2.0, "3"], ["1", "2", "3"]),
    ],
)
def test_plain_names_are_the_same_as_others(ids, names):
    assert read_names(ids, len(names)) == names


@pytest.mark.parametrize("ids", [["a", ""], [True, False], [1, None], ["a", np.nan]])
def test_names_that_are_none_are_refused(ids):
    with pytest.raises(ValueError, match="ids"):
        read_names(ids, 2)


# The whole way


@pytest.fixture(scope="module")
def fitted(table):
    rng = np.random.default_rng(1)
    s = rng.choice(["f", "m"], len(table))
    y = (table["height"] + 0.3 * (s == "m") + 0.3 * rng.normal(size=len(table)) > 0).astype(int)
    model = InvariantClassifier(3, max_gap=0.2, random_state=0, key=KEY, posteriors="boosting")

    return model.fit(table, y, sensitive_features=s)


def test_bits_do_not_depend_on_batches_threads_or_storage(table, fitted):
    ids = np.arange(len(table))
    whole = fitted.transform(table, ids=ids)
    for step in (1, 7, 333):
        some = [
            fitted.transform(table[i : i + step], ids=ids[i : i + step])
            for i in range(0, min(len(table), 40 * step), step)
        ]
        assert (np.vstack(some) == whole[: 40 * step]).all()
    with threadpool_limits(2):
        assert (fitted.transform(table, ids=ids) == whole).all()
    stored = table.astype({"job": "string[pyarrow]", "level": "Int64", "word": "category"})
    assert (fitted.transform(stored, ids=ids.astype(str)) == whole).all()


def test_an_encoder_is_fast_without_other_bits(table, fitted, monkeypatch):
    """The same logits as when scikit-learn follows the trees and skrub reads every row."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast = fitted.logits(table)
        monkeypatch.setattr("bitveil.forests.Forest.of", lambda model: None)
        monkeypatch.setattr("bitveil.forests._FORESTS", {})
        monkeypatch.setattr(
            "bitveil.features._vectorized",
            lambda vectorizer, X: np.asarray(vectorizer.transform(X), dtype=np.float32),
        )
        assert (fitted.logits(table) == fast).all()
