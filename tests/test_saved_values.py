"""Labels, names and settings of every type come back from a saved encoder, or are refused."""

from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow
import pytest

from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, load
from builders import build


def quick(cls=InvariantEncoder, **settings):
    return build(cls, **{"n_bits": 2, "features": "raw", "hidden": (4,), "epochs": 2} | settings)


DAYS = pd.to_datetime(["2020-01-31", "2021-12-01"])
LABELS = {
    "nanoseconds": pd.Series(DAYS.astype("datetime64[ns]")),
    "odd nanoseconds": pd.Series(DAYS.astype("datetime64[ns]") + pd.Timedelta(1, "ns")),
    "seconds": pd.Series(DAYS.astype("datetime64[s]")),
    "milliseconds": pd.Series(DAYS.astype("datetime64[ms]")),
    "zone": pd.Series(DAYS.tz_localize("Europe/Berlin")),
    "offset": pd.Series(DAYS.tz_localize("UTC+02:00")),
    "repeated hour": pd.Series(
        pd.to_datetime(["2020-10-25 00:30", "2020-10-25 01:30"], utc=True).tz_convert(
            "Europe/Berlin"
        )
    ),
    "arrow": pd.Series(DAYS).astype(pd.ArrowDtype(pyarrow.timestamp("ns"))),
    "arrow zone": pd.Series(DAYS).astype(pd.ArrowDtype(pyarrow.timestamp("us", "UTC"))),
    "arrow date": pd.Series(DAYS.date).astype(pd.ArrowDtype(pyarrow.date32())),
    "arrow text": pd.Series(["a", "b"]).astype(pd.ArrowDtype(pyarrow.string())),
    "arrow integers": pd.Series([1, 2]).astype(pd.ArrowDtype(pyarrow.int8())),
    "arrow decimal": pd.Series([Decimal("1.5"), Decimal("2.5")]).astype(
        pd.ArrowDtype(pyarrow.decimal128(5, 2))
    ),
    "date": pd.Series([date(2020, 1, 31), date(2021, 12, 1)], dtype=object),
    "datetime objects": pd.Series([datetime(2020, 1, 31), datetime(2021, 12, 1)], dtype=object),
    "duration": pd.Series(pd.to_timedelta([1, 2], "h")),
    "decimal": pd.Series([Decimal("1.50"), Decimal("2.5")], dtype=object),
    "interval": pd.Series(pd.cut([1, 9], [0, 5, 10])),
    "quantiles": pd.Series(pd.qcut([1, 9], 2)),
    "period": pd.Series(pd.PeriodIndex(["2020-01", "2021-12"], freq="M")),
    "bytes": pd.Series([b"\xff", b"\x00a"], dtype=object),
    "booleans of pandas": pd.Series([True, False], dtype="boolean"),
    "float32": pd.Series(np.array([1, 2], np.float32)),
    "uint64": pd.Series(np.array([2**64 - 1, 1], np.uint64)),
    "integers of pandas": pd.Series([1, 2], dtype="Int16"),
    "objects of numpy": pd.Series([np.int64(3), np.float32(0.5)], dtype=object),
}


@pytest.mark.parametrize(
    "s",
    [
        *LABELS.values(),
        np.array([True, False]),
        np.array([3, 7]),
        np.array([0.5, 1.5]),
        np.array(["f", "m"]),
        np.array([["f", "old"], ["m", "young"]]),
        pd.DataFrame({"sex": ["f", "m"], "old": [1, 0], "height": [1.5, 1.75]}),
        pd.Series(pd.to_datetime(["2020-01-31", "2021-12-01"])),
        pd.DataFrame({"sex": ["f", "m"], "born": pd.to_datetime(["2020-01-31", "2021-12-01"])}),
    ],
    ids=[
        *LABELS,
        "booleans",
        "integers",
        "floats",
        "text",
        "pairs",
        "triples",
        "dates",
        "date pairs",
    ],
)
def test_every_label_that_can_be_fitted_comes_back(s, tmp_path):
    s = pd.DataFrame(s).iloc[np.arange(60) % 2]
    y = s.iloc[:, 0]
    fitted = quick().fit(np.arange(120.0).reshape(60, 2), y, sensitive_features=s)
    fitted.save(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")

    assert loaded.groups_.tolist() == fitted.groups_.tolist()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert list(map(str, loaded.classes_)) == list(map(str, fitted.classes_))
    assert set(loaded.sensitive_groups(s)) == set(fitted.sensitive_groups(s)) == {*fitted.groups_}


@pytest.mark.parametrize("kind", LABELS)
def test_predictions_and_pairs_with_every_label_come_back(kind, tmp_path):
    y = LABELS[kind].iloc[np.arange(60) % 2].reset_index(drop=True)
    s = pd.DataFrame({"sex": np.array(["f", "m"])[np.arange(60) // 30], "of": y})
    X = np.arange(120.0).reshape(60, 2)
    fitted = quick(InvariantClassifier).fit(X, y, sensitive_features=s)
    fitted.save(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")

    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    assert {*loaded.predict(X)} <= {*y}
    assert {*loaded.sensitive_groups(s)} == {*zip(s["sex"], y, strict=True)}


NAMES = [7, ("height", "cm"), date(2020, 1, 31), pd.Timestamp("2020-01-31", tz="UTC"), b"x"]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_names_of_columns_that_are_not_text_come_back(name, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 2))).set_axis(["a", name], axis=1)
    marks = pd.DataFrame(rng.integers(2, size=(60, 2))).set_axis(["b", name], axis=1)
    fitted = quick().fit(table, marks, sensitive_features=marks)
    fitted.save(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")

    assert loaded.feature_names_in_ == fitted.feature_names_in_ == ["a", name]
    assert loaded.schema_.sensitive_names == ["b", name]
    assert loaded.schema_.target.names == loaded.schema_.grouping.columns == ("b", name)
    np.testing.assert_array_equal(loaded.transform(table), fitted.transform(table))
    assert loaded.sensitive_groups(marks).tolist() == fitted.sensitive_groups(marks).tolist()


def test_names_on_several_levels_come_back(tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)))
    table.columns = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    s = np.arange(60) % 2
    fitted = quick().fit(table, s, sensitive_features=s)
    fitted.save(tmp_path / "encoder")

    np.testing.assert_array_equal(
        load(tmp_path / "encoder").transform(table), fitted.transform(table)
    )


@pytest.mark.parametrize("what", ["X", "y", "sensitive_features"])
def test_names_that_cannot_be_saved_are_refused_when_fitting(what):
    rng = np.random.default_rng(0)
    names = {"X": ["a", "b"], "y": ["a", "b"], "sensitive_features": ["a", "b"]}
    names[what] = ["a", 1j]
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=names["X"])
    y, s = (
        pd.DataFrame(rng.integers(2, size=(60, 2)), columns=names[which])
        for which in ("y", "sensitive_features")
    )

    with pytest.raises(ValueError, match=rf"`{what}` has columns with names .*1j is a complex"):
        quick().fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("value", [1j, Fraction(1, 3), UUID(int=7)], ids=repr)
@pytest.mark.parametrize("place", ["y", "sensitive_features"])
def test_labels_that_cannot_be_saved_are_refused_when_fitting(value, place):
    other = UUID(int=8) if isinstance(value, UUID) else value + 1
    odd = pd.Series([value, other] * 30, dtype=object)
    y, s = (odd, np.arange(60) // 30) if place == "y" else (np.arange(60) // 30, odd)

    with pytest.raises(ValueError, match=r"cannot be saved.*`\.astype\(str\)`|cannot be sorted"):
        quick().fit(np.arange(120.0).reshape(60, 2), y, sensitive_features=s)


COLUMNS = [kind for kind in LABELS if kind != "bytes"]


@pytest.mark.parametrize(
    ("kinds", "features"),
    [*(([kind], "raw") for kind in COLUMNS), (COLUMNS, "posterior")],
    ids=[*COLUMNS, "all of them, for trees"],
)
def test_columns_of_every_kind_are_saved(kinds, features, tmp_path):
    rows = np.arange(60) % 2
    columns = {kind: LABELS[kind].iloc[rows].reset_index(drop=True) for kind in kinds}
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), **columns})
    s = np.arange(60) // 30
    fitted = quick(features=features).fit(X, s, sensitive_features=s)
    fitted.save(tmp_path / "encoder")

    np.testing.assert_array_equal(load(tmp_path / "encoder").transform(X), fitted.transform(X))


@pytest.mark.usefixtures("unchecked")
def test_settings_that_are_numpy_numbers_can_be_saved(people, tmp_path):
    fitted = quick(n_bits=np.int64(3), strength=np.float32(0.5), hidden=np.array([4, 4]))
    fitted.fit(*people()[:2], sensitive_features=people().s).save(tmp_path / "encoder")

    np.testing.assert_array_equal(
        load(tmp_path / "encoder").transform(people().X), fitted.transform(people().X)
    )
