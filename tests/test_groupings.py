"""Groupings: how a sensitive attribute becomes groups, for fitted rows and for others."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from bitveil.columns.groups import CONTINUOUS, Grouping
from bitveil.estimators import InvariantEncoder
from bitveil.models import load
from builders import quick

one_epoch = partial(quick, InvariantEncoder, 2, hidden=(4,), epochs=1)


def grouped(column, *, bins=5, missing="error", **more):
    return Grouping.fit("s", column, bins=bins, missing=missing, **more)


def table(n=300, seed=0):
    rng = np.random.default_rng(seed)

    return rng.normal(size=(n, 2)), rng.integers(2, size=n)


def fitted(s, **settings):
    X, y = table(len(s))

    return one_epoch(**settings).fit(X, y, sensitive_features=s)


# Numbers that are cut


def test_a_number_is_cut_into_groups_of_equal_size():
    s = np.random.default_rng(0).normal(size=1000)
    grouping, numbers = grouped(s, bins=4)

    assert len(grouping.values) == 4
    assert np.bincount(numbers) == pytest.approx(250, abs=1)
    assert grouping.edges[0] == pytest.approx(np.quantile(s, [0.25, 0.5, 0.75]), abs=0.01)


def test_each_value_lies_in_the_bin_that_its_name_says():
    s = np.random.default_rng(0).normal(size=500).round(3)
    grouping, numbers = grouped(s, bins=5)
    for value, number in zip(s, numbers, strict=True):
        name = grouping.values[number]
        if name.startswith("below "):
            assert value < float(name.removeprefix("below "))
        else:
            low, _, high = name.removeprefix("from ").partition(" to below ")
            assert float(low) <= value < float(high or "inf")


@pytest.mark.parametrize("bins", [2, 3, 10])
def test_new_rows_are_cut_where_the_fitted_ones_were(bins):
    rng = np.random.default_rng(0)
    s, new = rng.normal(size=400), 10 * rng.normal(size=400)
    grouping, numbers = grouped(s, bins=bins)
    labels = grouping.labels("s", new)
    edges = np.array(grouping.edges[0])

    assert grouping.labels("s", s).tolist() == grouping.values[numbers].tolist()
    for value, label in zip(new, labels, strict=True):
        same = (edges <= value).sum() == np.array([(edges <= v).sum() for v in s])
        assert set(grouping.values[numbers[same]].tolist()) == {label}
    assert grouping.labels("s", new[:1]).tolist() == labels[:1].tolist()  # alone and among others


def test_few_different_values_are_not_cut():
    at, above = np.arange(200) % CONTINUOUS, np.arange(210) % (CONTINUOUS + 1)

    assert grouped(at)[0].edges == (None,)
    assert grouped(at)[0].values.tolist() == list(range(CONTINUOUS))
    assert len(grouped(above)[0].values) == 5
    assert len(grouped(np.arange(100).astype(str))[0].values) == 100  # text is never cut


def test_ties_stay_together():
    s = np.concatenate([np.zeros(600), np.arange(1, 401)])
    grouping, numbers = grouped(s, bins=5)

    assert len(set(numbers[:600])) == 1
    assert len(grouping.values) == 3  # no bin below the zeros, and no empty bin
    assert np.bincount(numbers).min() > 0


@pytest.mark.parametrize("dtype", ["int32", "float32", "Int64", "Float64"])
def test_the_type_of_the_numbers_does_not_matter(dtype):
    s = pd.Series(np.arange(100))
    grouping, numbers = grouped(s)
    other, same = grouped(s.astype(dtype))

    assert other.values.tolist() == grouping.values.tolist()
    np.testing.assert_array_equal(same, numbers)
    assert grouping.labels("s", s.astype(dtype)).tolist() == grouping.values[numbers].tolist()


def test_infinite_numbers_are_refused_in_fitted_rows():
    s = np.arange(100.0)
    s[3] = np.inf

    with pytest.raises(ValueError, match="Expected finite numbers"):
        grouped(s)


def test_a_number_that_hardly_varies_is_one_group_and_refused():
    s = np.concatenate([np.zeros(5000), np.arange(1, 40)])

    with pytest.raises(ValueError, match=r"`s` has one value only"):
        grouped(s)


# Missing values


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_values_are_a_group_if_that_is_allowed(nothing):
    s = pd.Series(["a", "b", nothing, "a"], dtype=object)
    with pytest.raises(ValueError, match="1 missing values"):
        grouped(s)
    grouping, numbers = grouped(s, missing="group")

    assert grouping.values.tolist() == ["a", "b", "missing"]
    assert numbers.tolist() == [0, 1, 2, 0]
    for other in (None, np.nan, pd.NA):
        assert grouping.labels("s", pd.Series([other, "b"], dtype=object)).tolist() == [
            "missing",
            "b",
        ]


@pytest.mark.parametrize(
    ("fitted_on", "new"),
    [
        (pd.Series([1.0, 2.0, np.nan]), pd.Series([1, 2])),
        (pd.Series([1, 2, None], dtype="Int64"), pd.Series([1.0, 2.0])),
        (pd.Series([True, False, None], dtype="boolean"), pd.Series([True, False])),
        (pd.Series([True, False, None], dtype=object), np.array([True, False])),
        (pd.Series([0.1, 0.2, np.nan]), np.array([0.1, 0.2])),
    ],
    ids=str,
)
def test_values_beside_missing_ones_are_known_in_every_storage(fitted_on, new):
    grouping, numbers = grouped(fitted_on, missing="group")

    assert grouping.labels("s", new).tolist() == grouping.values[numbers[:2]].tolist()
    assert grouping.values[numbers[2]] == "missing"


def test_numbers_are_cut_beside_missing_ones():
    s = np.arange(100.0)
    s[:7] = np.nan
    grouping, numbers = grouped(s, missing="group", bins=3)

    assert len(grouping.values) == 4
    assert np.bincount(numbers).min() == 7
    assert grouping.labels("s", [np.nan, s[-1]]).tolist() == [
        "missing",
        grouping.values[numbers[-1]],
    ]


def test_values_that_go_missing_later_are_refused():
    grouping, _ = grouped(["a", "b", "a"], missing="group")

    with pytest.raises(ValueError, match="1 missing values, and the fitted rows had none"):
        grouping.labels("s", ["a", None])


# Several columns


def test_several_columns_are_tuples_and_each_is_cut_by_itself():
    rng = np.random.default_rng(0)
    s = pd.DataFrame({"age": rng.integers(18, 80, 400), "sex": rng.choice(["f", "m"], 400)})
    grouping, numbers = grouped(s, bins=2)

    assert grouping.columns == ("age", "sex")
    assert len(grouping.values) == 4
    assert {value[1] for value in grouping.values} == {"f", "m"}
    for g, value in enumerate(grouping.values):
        assert set(s["sex"][numbers == g]) == {value[1]}


def test_columns_are_found_by_their_names():
    s = pd.DataFrame({"old": [0, 1, 0, 1], "rich": [0, 0, 1, 1]})
    grouping, numbers = grouped(s)
    expected = grouping.values[numbers].tolist()

    assert grouping.labels("s", s[["rich", "old"]]).tolist() == expected
    assert grouping.labels("s", s.to_numpy()).tolist() == expected  # without names by position
    with pytest.raises(ValueError, match=r"columns \['old', 'rich'\], got \['rich', 'poor'\]"):
        grouping.labels("s", s.rename(columns={"old": "poor"})[["rich", "poor"]])
    with pytest.raises(ValueError, match=r"expects the 2 columns"):
        grouping.labels("s", s["old"])


def test_one_column_may_have_any_name():
    grouping, numbers = grouped(pd.Series(["a", "b"], name="sex"))

    for other in (["a", "b"], pd.Series(["a", "b"], name="gender"), np.array([["a"], ["b"]])):
        assert grouping.labels("s", other).tolist() == grouping.values[numbers].tolist()


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (["a", "c"], r"`s` has groups that were not fitted: \['c'\]. Known are \['a', 'b'\]"),
        ([1, 2], r"not fitted: \[1, 2\]"),
        ([["a", "b"], ["a", "b"]], "expects the 1 columns"),
    ],
)
def test_groups_that_were_not_fitted_are_refused(new, words):
    grouping, _ = grouped(["a", "b", "a"])

    with pytest.raises(ValueError, match=words):
        grouping.labels("s", new)


def test_pairs_that_were_not_fitted_are_refused():
    s = pd.DataFrame({"a": [0, 0, 1], "b": [0, 1, 0]})
    grouping, _ = grouped(s)

    with pytest.raises(ValueError, match=r"not fitted: \[\(1, 1\)\]"):
        grouping.labels("s", pd.DataFrame({"a": [1], "b": [1]}))


def test_too_many_groups_are_refused():
    with pytest.raises(ValueError, match="60 different values, more than the 50"):
        grouped(np.arange(60).astype(str), most=50)


# Estimators


def forms(s):
    yield s
    yield s.to_numpy()
    yield s.set_axis(np.arange(len(s))[::-1])
    if isinstance(s, pd.Series):
        yield s.tolist()
        yield s.to_frame()


@pytest.mark.parametrize("several", [False, True])
def test_the_groups_do_not_depend_on_how_the_attribute_is_stored(several):
    rng = np.random.default_rng(0)
    s = pd.DataFrame({"age": rng.integers(18, 80, 300), "sex": rng.integers(2, size=300)})
    s = s if several else s["age"]
    groups = [fitted(form, bins=2).sensitive_groups(s).tolist() for form in forms(s)]
    model = fitted(s, bins=2)
    others = [model.sensitive_groups(form).tolist() for form in forms(s)]

    assert all(each == groups[0] for each in groups + others)
    assert sorted(set(groups[0])) == model.groups_.tolist()


def test_polars_frames_are_accepted():
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    s = pd.DataFrame({"age": rng.integers(18, 80, 300), "sex": rng.choice(["f", "m"], 300)})
    model, same = fitted(s, bins=2), fitted(polars.from_pandas(s), bins=2)
    one = fitted(polars.Series("sex", s["sex"].to_numpy()))

    assert same.groups_.tolist() == model.groups_.tolist()
    assert same.schema_.sensitive_names == ["age", "sex"]
    assert one.schema_.sensitive_names == ["sex"]
    assert model.sensitive_groups(polars.from_pandas(s)).tolist() == (
        same.sensitive_groups(s).tolist()
    )


@pytest.mark.parametrize("missing", [False, True])
def test_groups_are_saved_and_loaded(tmp_path, missing):
    rng = np.random.default_rng(0)
    s = pd.DataFrame({"age": rng.normal(50, 9, 300), "sex": rng.integers(2, size=300)})
    if missing:
        s.loc[::5, "age"] = np.nan
    model = fitted(s, bins=3, missing_sensitive="group", key=b"a key for the tests")
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    new = s.assign(age=s["age"] * 1.3)

    assert loaded.groups_.tolist() == model.groups_.tolist()
    assert loaded.sensitive_groups(new).tolist() == model.sensitive_groups(new).tolist()
    assert loaded.schema_.grouping.edges == model.schema_.grouping.edges
    assert loaded.sensitive_groups(s[["sex", "age"]]).tolist() == (
        model.sensitive_groups(s).tolist()
    )


def test_a_number_is_cut_before_rows_are_split_and_certified():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2))
    s = X[:, 0] + rng.normal(size=1500)
    model = one_epoch(max_gap=0.8, bins=3).fit(X, X[:, 1] > 0, sensitive_features=s)

    assert model.certificate_.sizes == (250, 250, 250)
    assert len(model.groups_) == 3


def test_a_value_called_missing_is_not_mixed_with_missing_values():
    s = pd.Series(["missing", "f", None] * 20, name="sex")

    with pytest.raises(ValueError, match=r"'sex' has rows whose value is 'missing'.*Rename"):
        Grouping.fit("s", s, bins=2, missing="group")
    grouping, _ = Grouping.fit("s", s.replace("missing", "m"), bins=2, missing="group")
    assert grouping.values.tolist() == ["f", "m", "missing"]
    with pytest.raises(ValueError, match="Rename"):
        grouping.labels("s", s[:2])
    assert grouping.labels("s", s[1:3]).tolist() == ["f", "missing"]
    alone, _ = Grouping.fit(
        "s", s.dropna(), bins=2, missing="group"
    )  # there are no missing values to mix it with
    assert alone.values.tolist() == ["f", "missing"]
