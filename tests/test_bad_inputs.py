"""Bad inputs: each is refused by what it is, and leaves nothing that is half fitted."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from bitveil.cli import main
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from builders import leaning_rows, quick

KEY = b"a key that nobody else may know!"
encoder = partial(quick, n_bits=2, epochs=2, batch_size=100)


def good(n=200, seed=0):
    rng = np.random.default_rng(seed)
    X, s = rng.normal(size=(n, 2)), rng.integers(2, size=n)

    return {"X": X, "y": (X[:, 0] > 0).astype(int), "sensitive_features": s}


def spoiled(column, row, value):
    """A good table with one cell that is not."""

    frame = pd.DataFrame(good()["X"], columns=["a", "b"]).astype({column: object})
    frame.loc[row, column] = value

    return frame


N = 200
BAD = {
    "X is one row": ({"X": np.zeros(2)}, r"one row: `X.reshape\(1, -1\)`"),
    "X has no columns": ({"X": np.zeros((N, 0))}, "at least one column"),
    "X has one row": ({"X": np.zeros((1, 2)), "y": [1]}, "minimum of 2 is required"),
    "X has no rows": ({"X": np.zeros((0, 2)), "y": []}, "0 sample"),
    "X has other rows than y": (
        {"X": np.zeros((9, 2))},
        "`y` expects one value for each of the 9",
    ),
    "X is text": ({"X": np.full((N, 2), "a")}, "a pandas DataFrame for strings"),
    "X is infinite": ({"X": np.full((N, 2), np.inf)}, r"infinity in columns \[0, 1\]"),
    "X is infinite in a frame": ({"X": spoiled("b", 3, np.inf)}, r"infinities in \['b'\]"),
    "X is complex": ({"X": np.full((N, 2), 1j)}, "Complex data not supported"),
    "X has a name twice": (
        {"X": pd.DataFrame(np.zeros((N, 2)), columns=["a", "a"])},
        r"got \['a'\] more than once",
    ),
    "X is missing": ({"X": np.full((N, 2), np.nan)}, "Expected a column with a value"),
    "X is sparse and huge": (
        {"X": sparse.csr_matrix((N, 10**7))},
        "sparse matrix of 200 by 10000000",
    ),
    "y is missing": ({"y": np.r_[np.nan, np.zeros(N - 1)]}, "missing_target='unlabelled'"),
    "y has other rows": ({"y": np.zeros(7)}, "each of the 200 rows, got 7"),
    "y is one class": ({"y": np.ones(N)}, r"`y` has one class only, 1\.0"),
    "y is continuous": ({"y": np.linspace(0, 1, N)}, "Use `InvariantRegressor`"),
    "y is names": ({"y": [f"name {i}" for i in range(N)]}, "200 different values"),
    "y mixes types": ({"y": [1, "a"] * (N // 2)}, "mixes values that cannot be sorted"),
    "y is not there": ({"y": None}, "requires y to be passed"),
    "y has three dimensions": ({"y": np.zeros((N, 1, 1))}, "with 3 dimensions"),
    "s is missing": (
        {"sensitive_features": [None] + ["a", "b"] * 99 + ["a"]},
        "`sensitive_features` has 1 missing values",
    ),
    "s has other rows": ({"sensitive_features": [0, 1]}, "`sensitive_features` expects one value"),
    "s is one group": ({"sensitive_features": np.ones(N)}, "`sensitive_features` has one value"),
    "s is names": (
        {"sensitive_features": [f"name {i}" for i in range(N)]},
        "`sensitive_features` has 200 different values",
    ),
    "s has a rare group": (
        {"sensitive_features": ["x"] + ["a", "b"] * 99 + ["a"]},
        r"too few rows of \['x'\]",
    ),
    "s is None": ({"sensitive_features": None}, "`sensitive_features` expects a column of values"),
    "weights are negative": ({"sample_weight": np.full(N, -1.0)}, "`sample_weight` expects"),
    "weights are text": ({"sample_weight": ["a"] * N}, "`sample_weight` expects numbers"),
    "ids are missing": ({"ids": [None] * N}, "200 of them missing"),
    "ids are too few": ({"ids": ["a"]}, "a name for each of the 200 rows, got 1"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_fitted_is_refused_by_what_it_is(name):
    change, words = BAD[name]
    fitted = encoder().fit(**good())
    with pytest.raises(ValueError, match=words):
        fitted.fit(**good() | change)

    assert_unfitted(fitted)


SETTINGS = {
    "no bits": ({"n_bits": 0}, "`n_bits` expects a whole number from 1 on, got 0"),
    "bits as text": ({"n_bits": "six"}, "`n_bits` expects a whole number"),
    "no epochs": ({"epochs": 0}, "`epochs` expects"),
    "hidden as a number": ({"hidden": 64}, "`hidden` expects the widths .* got 64"),
    "hidden of nothing": ({"hidden": (0,)}, r"`hidden` expects the widths .* got \(0,\)"),
    "a rate of nothing": ({"learning_rate": 0.0}, "`learning_rate` expects a number above 0, got"),
    "a rate as text": ({"learning_rate": "fast"}, "`learning_rate` expects a number above 0, got"),
    "no jobs": ({"n_jobs": 0}, "`n_jobs` expects how many cores to use"),
    "a negative patience": ({"patience": -1}, "`patience` expects a whole number from 1 on"),
    "a key as text": (
        {"key": "a key that nobody else may know!"},
        "`key` expects 16 to 64 bytes, got str",
    ),
    "a gap as text": (
        {"max_gap": "small"},
        "`max_gap` expects a number above 0 and up to 1, got 'small'",
    ),
    "a delta as text": ({"delta": "5%"}, "`delta` expects a probability .* got '5%'"),
    "a strength as text": ({"strength": "1"}, "`strength` expects a number from 0 on, got '1'"),
    "an unknown device": ({"device": "abacus"}, "abacus"),
    "an unknown precision": ({"precision": "8"}, "8"),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_are_none_are_refused_by_name(name):
    change, words = SETTINGS[name]
    refused = encoder(**change)
    with pytest.raises(ValueError, match=words):
        refused.fit(**good())

    assert_unfitted(refused)


def assert_unfitted(model):
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(NotFittedError):
        model.transform(good()["X"])
    assert not [name for name in vars(model) if name.endswith("_")]
    assert not hasattr(model, "classes_")


def test_a_fit_that_is_broken_off_leaves_nothing():
    def stop(epoch):
        raise KeyboardInterrupt

    broken_off = encoder().fit(**good()).set_params(training__after_epoch=stop)
    with pytest.raises(KeyboardInterrupt):
        broken_off.fit(**good())

    assert_unfitted(broken_off)


@pytest.mark.parametrize("cls", [InvariantEncoder, InvariantClassifier, InvariantRegressor])
def test_all_refuse_alike(cls):
    refused = encoder(cls)
    with pytest.raises(ValueError, match="`sensitive_features` has one value only"):
        refused.fit(**good() | {"sensitive_features": np.ones(N)})

    assert_unfitted(refused)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((3, 3)), "Expected 2 columns, as fitted, got 3"),
        (np.full((3, 2), np.inf), "infinity"),
        (np.full((3, 2), "a"), "Expected numbers"),
        (pd.DataFrame(np.zeros((3, 2))), "got DataFrame"),
        (np.zeros((3, 2, 2)), "Expected a table of two dimensions"),
        (np.zeros(2), "2D array"),
    ],
)
def test_what_cannot_be_encoded_is_refused_and_the_encoder_stays(X, words):
    model = encoder().fit(**good())
    bits = model.transform(good()["X"])
    for method in ("transform", "predict", "predict_proba", "used_rows", "logits"):
        with pytest.raises(ValueError, match=words):
            getattr(model, method)(X)

    np.testing.assert_array_equal(model.transform(good()["X"]), bits)


@pytest.mark.parametrize(
    "bits", [np.zeros((3, 5)), np.zeros(2), np.full((3, 2), 2), np.full((3, 2), 0.5)]
)
def test_bits_of_another_code_are_refused(bits):
    for cls in (InvariantClassifier, InvariantRegressor):
        data = good()
        target = data["X"][:, 0] if cls is InvariantRegressor else data["y"]
        model = encoder(cls).fit(**data | {"y": target})
        with pytest.raises(ValueError, match=r"`bits` expects zeros and ones of shape \(n, 2\)"):
            model.decode(bits)


# The command line


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = good()
    frame = pd.DataFrame(data["X"], columns=["a", "b"]).assign(y=data["y"])
    frame["s"] = np.where(data["sensitive_features"] == 1, "f", "m")
    frame.to_csv("rows.csv", index=False)

    return tmp_path


FIT = "fit rows.csv --target y --sensitive s --output model".split()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*FIT, "--max-gap", "2"], "--max-gap expects a number above 0 and up to 1, got 2.0"),
        ([*FIT, "--max-gap", "0.01", "--on-unmet", "raise"], "--max-gap 0.01 is too small"),
        ([*FIT, "--bits", "0"], "--bits expects a whole number from 1 on, got 0"),
        ([*FIT, "--strength", "-1"], "--strength expects a number from 0 on, got -1.0"),
        ([*FIT, "--max-gap", "0.5", "--strength", "1"], "one goal only"),
        ([*FIT, "--delta", "1"], "--delta expects a probability"),
        ([*FIT, "--drop", "c"], "no column 'c'"),
        ([*FIT, "--drop", "a", "--drop", "a"], "Each column has one role"),
        (["fit", "none.csv", *FIT[2:]], "There is no file none.csv"),
        (["fit", "rows.txt", *FIT[2:]], "ends in .csv or .parquet"),
        (["encode", "model", "rows.csv", "-o", "codes.csv"], "model is not a saved encoder"),
        (["audit", "model", "rows.csv"], "model is not a saved encoder"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_leaves_nothing(
    place, capsys, monkeypatch, words, said
):
    before = sorted(place.iterdir())
    monkeypatch.setattr("sys.argv", ["bitveil", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err

    assert ended.value.code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert sorted(place.iterdir()) == before


# Rows that were used


def test_rows_that_were_used_are_counted_and_fresh_ones_are_not(tmp_path):
    data, fresh = good(), good(seed=1)["X"]
    model = encoder(max_gap=0.9, key=b"a key for the tests").fit(**data)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    for each in (model, loaded):
        assert each.used_rows(data["X"]) == N  # of every part
        assert each.used_rows(fresh) == 0
        assert each.used_rows(np.vstack([fresh, data["X"][:5], data["X"][:2]])) == 7
        assert each.used_rows(data["X"][:0]) == 0
    assert loaded.used_.key == model.used_.key
    assert loaded.used_.names is model.used_.names is None
    np.testing.assert_array_equal(loaded.used_.contents, model.used_.contents)
    np.testing.assert_array_equal(loaded.used_.counts, model.used_.counts)


def test_digests_of_used_rows_have_a_key_of_their_own_and_say_nothing_of_order():
    data = good()
    one, other = (encoder(key=KEY).fit(**data) for _ in range(2))
    digests = one.used_.contents

    assert digests.dtype == np.uint64
    assert len(digests) == N
    assert sorted(digests) == digests.tolist()
    assert one.used_.key != KEY
    assert not set(digests.tolist()) & set(other.used_.contents.tolist())
    assert repr(one.used_.key) == "'secret'"


def test_rows_that_were_used_are_known_under_another_key_of_the_draws():
    data = good()
    model = encoder().fit(**data)
    model.coder_ = replace(model.coder_, key=b"another" * 4)

    assert model.used_rows(data["X"]) == N
    with pytest.raises(ValueError, match=f"{N} of {N} rows have the content of rows"):
        model.audit(data["X"], sensitive_features=data["sensitive_features"])


def test_rows_are_known_by_content_whatever_their_names_and_types():
    data = good()
    frame = pd.DataFrame(data["X"].round(2), columns=["a", "b"])
    model = encoder().fit(**data | {"X": frame}, ids=np.arange(N))

    assert model.used_rows(frame[["b", "a"]].set_index(np.arange(N) + 7)) == N
    assert model.used_rows(frame.astype("Float64")) == N


# Routing, frames and what is shown


def test_weights_and_the_attribute_are_routed_together():
    data = good()
    given = {
        "sensitive_features": data["sensitive_features"],
        "sample_weight": np.linspace(0.5, 2, N),
    }
    with sklearn.config_context(enable_metadata_routing=True):
        requests = {"sensitive_features": True, "sample_weight": True}
        routed = encoder(after_epoch=None).set_fit_request(**requests)
        routed.set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), routed)
        pipeline.fit(data["X"], data["y"], **given)
        scaled = StandardScaler().fit_transform(data["X"])
        alone = encoder().fit(scaled, data["y"], **given)
        search = GridSearchCV(pipeline, {"invariantclassifier__strength": [0.1, 1.0]}, cv=2)
        search.fit(data["X"], data["y"], **given)
        scores = cross_validate(pipeline, data["X"], data["y"], cv=2, params=given)

    np.testing.assert_array_equal(pipeline.predict(data["X"]), alone.predict(scaled))
    assert np.isfinite(scores["test_score"]).all()
    assert search.best_params_["invariantclassifier__strength"] in (0.1, 1.0)
    assert search.best_estimator_.transform(data["X"]).shape == (N, 2)


def test_what_is_not_routed_is_asked_for():
    data = good()
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="sensitive_features"),
    ):
        make_pipeline(encoder()).fit(**data)


def test_bits_come_as_frames_of_polars():
    polars = pytest.importorskip("polars")
    data = good()
    frame = polars.DataFrame(data["X"], schema=["a", "b"])
    model = encoder().fit(frame, data["y"], sensitive_features=data["sensitive_features"])
    bits = model.transform(frame)
    model.set_output(transform="polars")
    out = model.transform(frame)

    assert isinstance(out, polars.DataFrame)
    assert out.columns == model.get_feature_names_out().tolist() == ["bit0", "bit1"]
    np.testing.assert_array_equal(out.to_numpy(), bits)
    assert list(model.feature_names_in_) == ["a", "b"]
    assert model.used_rows(frame) == N


@pytest.mark.parametrize("changed_only", [True, False])
@pytest.mark.parametrize("given", ["at once", "later"])
def test_a_key_is_shown_by_nothing_that_holds_it(changed_only, given):
    model = InvariantClassifier(key=KEY if given == "at once" else None)
    model.set_params(key=KEY)
    held = [
        model,
        sklearn.base.clone(model),
        make_pipeline(StandardScaler(), model),
        GridSearchCV(model, {"n_bits": [1]}),
        GridSearchCV(make_pipeline(StandardScaler(), model), {}),
    ]
    with sklearn.config_context(print_changed_only=changed_only):
        shown = [text(each) for each in held for text in (repr, str, estimator_html_repr)]

    assert not any("nobody" in text for text in shown)
    assert "secret" in repr(model)
    assert model.get_params()["key"] == KEY
    assert type(sklearn.base.clone(model)) is InvariantClassifier


def test_a_record_of_settings_cannot_hold_the_key_by_accident():
    settings = InvariantClassifier(key=KEY).get_params()

    assert not re.search("nobody", f"{settings}")
    with pytest.raises(TypeError):
        json.dumps(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"features": "raw", "posteriors": "boosting"}, "`posteriors` makes posterior features"),
        ({"task": "target_accuracy", "n_bits": 20}, "`task='target_accuracy'` needs codes that"),
    ],
)
def test_settings_without_effect_are_refused(settings, words):
    X, y, s = leaning_rows(100)

    with pytest.raises(ValueError, match=words):
        InvariantClassifier(**settings).fit(X, y, sensitive_features=s)
