"""A fitted encoder as one ONNX file: raw columns in, its probabilities and its bits out."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from bitveil.columns.kinds import Kinds
from bitveil.datasets import load_adult
from bitveil.estimators import InvariantEncoder
from bitveil.exports.columns import column_inputs, matrix_wire
from bitveil.exports.network import try_file
from bitveil.exports.predictions import posterior_wire
from bitveil.exports.wires import OPERATORS, Graph
from bitveil.features import Features
from bitveil.frozen import name_digests
from bitveil.layers import StochasticBinary
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from bitveil.posteriors import fit_posterior
from builders import KEY, build

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
if not hasattr(torch.onnx.ONNXProgram, "rename_axes"):
    pytest.skip("torch is older than 2.11", allow_module_level=True)


def session(file):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1

    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def raw(file, X):
    """The columns of a table as a program without Python has them: only numbers and texts."""

    fed = {}
    for one in session(file).get_inputs():
        if one.name == "uniforms":
            continue
        column = X[one.name]
        if one.type == "tensor(string)":
            values = column.astype(object).where(column.notna(), "").map(str).to_numpy(object)
        elif column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype):
            since = column - pd.Timestamp(0, tz=column.dt.tz)
            values = since.dt.total_seconds().to_numpy(float)
        elif column.dtype.kind == "m":
            values = column.dt.total_seconds().to_numpy(float)
        else:
            values = column.to_numpy(float, na_value=np.nan)
        fed[one.name] = values[:, None]

    return fed


def answer(file, **fed):
    run = session(file)
    names = [each.name for each in run.get_outputs()]

    return dict(zip(names, run.run(None, fed), strict=True))


def run_wire(graph, wire, **fed):
    """What a graph of wires gives."""

    ir = graph.ir
    whole = ir.Graph(
        graph.inputs,
        [wire.value],
        nodes=graph.nodes,
        initializers=graph.constants,
        opset_imports=OPERATORS,
        name="wires",
    )
    model = ir.to_proto(ir.Model(whole, ir_version=10)).SerializeToString()

    return session(model).run(None, fed)[0]


# Tables


def mixed(people, n, seed):
    """People with columns of every kind."""

    X, y, s = people(n, seed)
    rng = np.random.default_rng(seed)
    moments = pd.Series(
        np.datetime64("2019-01-01", "us") + rng.integers(9e13, size=n) * np.timedelta64(1, "us")
    )
    return (
        X.assign(
            at=moments.where(rng.random(n) < 0.9),
            zoned=moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata"),
            stay=pd.to_timedelta(rng.integers(9_000, size=n), unit="s"),
            **{"grade/year": pd.Categorical(rng.integers(1, 4, n))},
            size=X["size"].where(rng.random(n) < 0.9),
        ),
        y,
        s,
    )


@pytest.fixture(scope="module")
def both(people, tmp_path_factory):
    """A network on posteriors and raw columns, and the file that it writes after loading."""

    X, y, s = mixed(people, 400, seed=0)
    settings = {"features": "both", "epochs": 4, "hidden": (8,), "strength": 0.1}
    model = build(InvariantClassifier, 3, key=KEY, random_state=0, **settings)
    model.fit(X, y, sensitive_features=s)
    folder = tmp_path_factory.mktemp("both")
    model.save(folder / "encoder")
    load(folder / "encoder").to_onnx(folder / "encoder.onnx")

    return model, folder / "encoder.onnx"


def test_raw_rows_of_every_kind_get_the_probabilities_and_the_bits(both, people):
    model, file = both
    X, _, _ = mixed(people, 1000, seed=1)
    X.loc[::7, "job"] = "pilot"  # which nobody fitted
    X.loc[1::7, "job"] = "  \u00a0"
    X.loc[2::7, "job"] = "NA"
    X.loc[::5, ["skill", "height", "age"]] = np.nan
    X["member"] = X["member"].astype(object).where(np.arange(1000) % 9 > 0)
    fed = raw(file, X.assign(member=X["member"].astype(float)))
    with pytest.warns(UserWarning, match="Values that were not fitted"):
        theta, bits, uniforms = model.probabilities(X), model.transform(X), model.uniforms(X)

    found = answer(file, **fed, uniforms=uniforms)
    assert theta.std(0).min() > 0.01  # they differ between rows, so this compares something
    np.testing.assert_allclose(found["probabilities"], theta, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found["bits"], bits)
    for n in (0, 1):
        few = answer(file, **{k: v[:n] for k, v in fed.items()}, uniforms=uniforms[:n])
        np.testing.assert_allclose(few["probabilities"], theta[:n], rtol=0, atol=1e-6)


def test_the_file_says_what_its_inputs_hold(both):
    run = session(both[1])
    shapes = {each.name: (each.type, each.shape) for each in run.get_inputs()}

    assert shapes["age"] == ("tensor(double)", ["n", 1])
    assert shapes["job"] == ("tensor(string)", ["n", 1])
    assert shapes["uniforms"] == ("tensor(double)", ["n", 3])
    assert "notes" not in shapes  # it has no values
    assert [(each.name, each.type, each.shape) for each in run.get_outputs()] == [
        ("probabilities", "tensor(double)", ["n", 3]),
        ("bits", "tensor(uint8)", ["n", 3]),
    ]
    notes = run.get_modelmeta().custom_metadata_map
    assert set(notes) == set(shapes) - {"uniforms"}
    assert notes["zoned"] == "seconds since 1970-01-01 00:00 UTC, NaN where missing"
    assert notes["grade/year"] == "text, whole numbers without a point, empty where missing"


def test_every_date_of_the_calendar():
    """Also leap days, midnights, and years before 1970."""

    days = np.arange("0001-01-01", "2500-01-01", 97, dtype="datetime64[D]")
    turns = [(f"{year - 1}-02-20", f"{year + 1}-03-10") for year in (1900, 1970, 2000, 2024)]
    near = np.concatenate([np.arange(*turn, dtype="datetime64[D]") for turn in turns])
    whole = np.concatenate([days, near]).astype("datetime64[us]")
    rng = np.random.default_rng(0)
    within = 1e6 * rng.choice([0, 1, 3_599, 3_600, 86_399], len(whole))
    within[len(days) :] += rng.choice([0, 999_999], len(near))  # near 1970 to the microsecond
    moments = whole + within.astype("timedelta64[us]")
    table = pd.DataFrame({"day": whole, "moment": moments})
    table.loc[::11, "moment"] = pd.NaT
    kinds = Kinds.fit(table)
    features = Features("raw").fit(table)
    inputs, graph = column_inputs(features, kinds), Graph()
    wire = matrix_wire(graph, inputs, features, kinds, table[:1])
    fed = {one.label: one.fed(table[one.name]) for one in inputs}

    found, expected = run_wire(graph, wire, **fed), features.matrix(table)
    assert expected.shape == (len(whole), 9)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[:, 2], table["day"].dt.day)


def test_texts_that_look_alike_are_told_apart():
    texts = ["a", "A", " a", "", "nan", "é", "1", "1.0", "None", "a\nb", "😀", "true"]
    table = pd.DataFrame({"t": texts * 3, "u": [*texts[:6], None] * 5 + ["a"]})
    kinds = Kinds.fit(table)
    read = kinds.read(table)
    features = Features("raw").fit(read)
    inputs, graph = column_inputs(features, kinds), Graph()
    wire = matrix_wire(graph, inputs, features, kinds, read[:1])
    other = kinds.read(
        pd.DataFrame({"t": [*texts, "b", None, "a "], "u": [*texts, "?", "NA", "é"]})
    )
    fed = {one.label: one.fed(other[one.name]) for one in inputs}

    np.testing.assert_array_equal(run_wire(graph, wire, **fed), features.matrix(other))


# Models


def labelled(n, k, seed=0):
    """Numbers with gaps, also at round values that become thresholds, and a label."""

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).round(1)
    x[rng.random((n, 4)) < 0.1] = np.nan
    score = np.nan_to_num(x[:, 0]) + 0.5 * np.nan_to_num(x[:, 1]) + 0.3 * rng.normal(size=n)
    if k == 1:
        return x, score
    return x, np.searchsorted(np.quantile(score, np.arange(1, k) / k), score)


def borders(posterior, x):
    """The rows, and others that lie on the thresholds of trees and beside them."""

    nodes = [
        tree.nodes
        for model in posterior.models
        for iteration in getattr(model, "_predictors", [])
        for tree in iteration
    ]
    found = [each[~each["is_leaf"].astype(bool)][:3] for each in nodes]
    rows = [x]
    for node in np.concatenate(found) if found else []:
        on = np.repeat(x[:1], 3, axis=0)
        at = float(node["num_threshold"])
        on[:, node["feature_idx"]] = [np.nextafter(at, -9), at, np.nextafter(at, 9)]
        rows.append(on)

    return np.vstack(rows)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("posteriors", [None, "boosting"])
def test_posteriors_agree_also_on_the_thresholds(k, posteriors):
    x, y = labelled(300, k)
    posterior, _ = fit_posterior(x, y, posteriors=posteriors)
    rows, graph = borders(posterior, x), Graph()
    wire = posterior_wire(posterior, graph.input("x", np.float64, (4,)))

    found, expected = run_wire(graph, wire, x=rows), posterior.columns(rows)
    assert expected.std(0).min() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_trees_of_one_leaf():
    x, y = labelled(30, 2)  # too few rows for a split
    posterior, _ = fit_posterior(x, y, posteriors="boosting")
    graph = Graph()
    wire = posterior_wire(posterior, graph.input("x", np.float64, (4,)))

    np.testing.assert_allclose(
        run_wire(graph, wire, x=x), posterior.columns(x), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("model", [make_pipeline(StandardScaler(), LogisticRegression()), Ridge()])
def test_linear_posteriors_of_your_own(model):
    x, y = labelled(200, 3 if isinstance(model, type(make_pipeline(None))) else 1)
    posterior, _ = fit_posterior(x, y, posteriors=model)
    graph = Graph()
    wire = posterior_wire(posterior, graph.input("x", np.float64, (4,)))

    np.testing.assert_allclose(
        run_wire(graph, wire, x=x), posterior.columns(x), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    ("model", "k"),
    [(GaussianNB(), 2), (HistGradientBoostingRegressor(loss="absolute_error", max_iter=2), 1)],
)
def test_other_posteriors_are_refused(model, k):
    x, y = labelled(200, k)
    posterior, _ = fit_posterior(x, y, posteriors=model)

    with pytest.raises(ValueError, match=r"cannot write .*Fit with `posteriors=None`, or write"):
        posterior_wire(posterior, Graph().input("x", np.float64, (4,)))


# Whole encoders


def test_the_default_encoder_gives_the_published_codes_of_adult(tmp_path):
    """Cells behind a stack of a linear model and boosted trees, with blank rows."""

    adult = load_adult()
    X, test = adult.without("sex"), adult.official_test
    some = np.flatnonzero(~test)[:800]
    model = InvariantClassifier(2, max_gap=0.05, random_state=0)
    model.fit(
        X.iloc[some],
        adult.target.iloc[some],
        sensitive_features=adult.sensitive["sex"].iloc[some],
        ids=some,
    )
    model.to_onnx(tmp_path / "adult.onnx")
    rows, ids = X[test], np.flatnonzero(test)
    with pytest.warns(UserWarning, match="Values that were not fitted"):
        uniforms = model.uniforms(rows, ids=ids)
    with pytest.warns(UserWarning, match="Values that were not fitted"):
        table = model.schema_.read(rows, model.coder_.features)
    logits = model.coder_.logits(table, name_digests(ids, len(ids)))
    found = answer(
        tmp_path / "adult.onnx", **raw(tmp_path / "adult.onnx", rows), uniforms=uniforms
    )

    assert model.share_ < 1
    assert found["bits"].shape == (16_281, 3)
    np.testing.assert_array_equal(
        found["bits"], model.coder_.published(logits, name_digests(ids, len(ids)))
    )
    assert abs(found["bits"][:, 2].mean() - (1 - model.share_)) < 0.02
    np.testing.assert_allclose(found["probabilities"], expit(logits), rtol=0, atol=1e-6)


def test_an_array_with_gaps_and_a_target_of_numbers(tmp_path):
    x, y = labelled(300, 1)
    x[:, 3] = np.where(np.arange(300) % 60 == 0, 1.0, np.nan)  # hardly any values
    s = np.where(np.nan_to_num(x[:, 1]) > 0, "a", "b")
    model = build(InvariantRegressor, 2, epochs=3, hidden=(8,), random_state=0, key=KEY)
    model.fit(x, y, sensitive_features=s).to_onnx(tmp_path / "encoder.onnx")
    rows = labelled(200, 1, seed=1)[0]
    found = answer(tmp_path / "encoder.onnx", X=rows, uniforms=model.uniforms(rows))

    assert model.coder_.features.sparse_.tolist() == [3]
    np.testing.assert_array_equal(found["bits"], model.transform(rows))
    np.testing.assert_allclose(found["probabilities"], model.probabilities(rows), atol=1e-6)


def test_images(tmp_path):
    rng = np.random.default_rng(0)
    s = rng.integers(2, size=80)
    X = rng.normal(size=(80, 2, 6, 5)) + s[:, None, None, None]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(60, 2))
    model = build(InvariantEncoder, 2, encoder=encoder, epochs=2, random_state=0, key=KEY)
    model.fit(X, sensitive_features=s).to_onnx(tmp_path / "encoder.onnx", draws=False)
    found = answer(tmp_path / "encoder.onnx", X=X)

    assert list(found) == ["probabilities"]
    np.testing.assert_allclose(found["probabilities"], model.probabilities(X), atol=1e-6)


# Refusals


def fitted(X, **settings):
    n = len(X)
    rng = np.random.default_rng(0)
    settings = {"epochs": 1, "hidden": (4,), "features": "raw", "random_state": 0} | settings
    model = build(InvariantEncoder, 2, key=KEY, **settings)

    return model.fit(X, rng.integers(2, size=n), sensitive_features=rng.integers(2, size=n))


def refused(model, tmp_path, match):
    with pytest.raises(ValueError, match=match):
        model.to_onnx(tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


def test_columns_that_onnx_cannot_read_are_named(tmp_path):
    X = pd.DataFrame({"age": np.arange(120.0), "diary": [f"day {i}" for i in range(120)]})
    X["born"] = np.resize(["31/01/2020", "02/03/2021"], 120)

    match = r"cannot write the columns \['diary', 'born'\].*Leave these columns out of the fit"
    refused(fitted(X), tmp_path, match)


@pytest.mark.parametrize("name", ["bits", "uniforms", "probabilities", "", "columns/1"])
def test_a_name_that_the_file_needs_itself_is_refused(tmp_path, name):
    X = pd.DataFrame({name: np.arange(40.0), "other": 1.0})

    refused(fitted(X), tmp_path, rf"names of the columns \['{name}'\].* Rename the columns")


def test_an_encoder_that_draws_before_its_code_is_refused(tmp_path):
    inner = nn.Sequential(nn.Linear(2, 3), StochasticBinary(), nn.Linear(3, 2))
    X = np.random.default_rng(0).normal(size=(60, 2))

    refused(fitted(X, encoder=inner), tmp_path, "stochastic layers before the last")


def test_a_file_that_gives_other_probabilities_is_refused(both):
    model, file = both
    fed = raw(file, model.specimens_)
    fed["uniforms"] = model.uniforms(model.specimens_)
    expected = model.probabilities(model.specimens_)

    try_file(file, fed, expected, 1e-6)
    with pytest.raises(ValueError, match=r"are 1\.0e-05 apart, so the model is not written"):
        try_file(file, fed, expected + 1e-5, 1e-6)


def test_an_encoder_must_be_fitted(tmp_path):
    with pytest.raises(NotFittedError):
        InvariantEncoder().to_onnx(tmp_path / "encoder.onnx")
    with pytest.raises(NotFittedError):
        InvariantEncoder().uniforms([[0.0]])
