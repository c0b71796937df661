"""Kinds: what a column holds, and how later values are read as that."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest

from bitveil.columns.kinds import Kinds
from bitveil.estimators import InvariantEncoder
from bitveil.frozen import row_digests
from builders import KEY, quick

long_codes = partial(quick, InvariantEncoder, 16, hidden=(4,), epochs=1, key=KEY)


def one(values, **settings):
    return pd.DataFrame({"x": pd.Series(values, **settings)})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], "number"),
        (["1", " 2.5", "NA", "1e3"], "number"),
        ([Decimal(1), Decimal("0.1")], "number"),
        (["1", "2b"], "text"),
        (["NA", "Smith"], "text"),
        ([0.5, "half"], "text"),
        ([True, None], "truth"),
        (["True", "False", ""], "truth"),
        ([date(2020, 1, 31)], "time"),
        (["2020-01-31", "2020-01-31T10:00"], "time"),
        (["2020-01-31 10:00:00+01:00"], "zoned time"),
        (["31/01/2020"], "text"),
        (["2020-13-31"], "text"),
        ([timedelta(hours=1)], "duration"),
        ([None, ""], "nothing"),
    ],
)
def test_kinds_of_columns(values, kind):
    assert Kinds.fit(one(values, dtype=object)).kinds == (kind,)


@pytest.mark.parametrize(
    ("fitted", "new", "read"),
    [
        (["7b", "8"], [7, 8.0, "007", True], ["7", "8", "007", "True"]),
        ([0, 1], [True, "False", "1", 1.0], [1.0, 0.0, 1.0, 1.0]),
        ([True, False], [1, "0", "true", None], [1.0, 0.0, 1.0, np.nan]),
        ([0.5], [np.float32(0.1), Decimal("0.1"), "0.1", "-0"], [0.1, 0.1, 0.1, 0.0]),
        ([1], [2**60 + 1, str(2**60 + 1), Decimal(2**60 + 1), 3], [*[2**60 + 1] * 3, 3.0]),
        ([None], [3, "x"], [np.nan, np.nan]),
    ],
    ids=["text", "number", "truth", "fractions", "big integers", "nothing"],
)
def test_values_are_read_by_the_fitted_kind(fitted, new, read):
    found = Kinds.fit(one(fitted, dtype=object)).read(one(new, dtype=object))

    assert [repr(value) for value in found["x"].tolist()] == [repr(value) for value in read]


def test_all_missing_values_are_the_same_and_not_text():
    values = [None, np.nan, pd.NA, pd.NaT, "", "missing", "nan", "NA"]
    digests = row_digests(Kinds.fit(one(["a", "b"])).read(one(values, dtype=object)))

    assert len(np.unique(digests, axis=0)) == 4
    assert len(np.unique(digests[:5], axis=0)) == 1


@pytest.mark.parametrize("dtype", ["int64", "Int64", "uint64", "int64[pyarrow]", object])
def test_integers_beyond_float64_stay_different_in_every_type(dtype):
    values = [2**60 + i for i in range(1000)]
    kinds = Kinds.fit(one([1, 2]))
    digests = row_digests(kinds.read(one(values, dtype=dtype)))

    assert len(np.unique(digests, axis=0)) == 1000
    np.testing.assert_array_equal(digests, row_digests(kinds.read(one(list(map(str, values))))))
    np.testing.assert_array_equal(digests, row_digests(one(values, dtype=dtype)))


def test_numbers_of_float32_are_the_decimals_in_a_file():
    decimals = [[0.1, 0.2], [0.3, 1e-7]]
    narrow = np.array(decimals, dtype="float32")
    X, s = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
    model = long_codes().fit(X, s, sensitive_features=1 - s)
    wide = row_digests(np.array(decimals))

    np.testing.assert_array_equal(row_digests(pd.DataFrame(narrow)), wide)
    np.testing.assert_array_equal(row_digests(pd.DataFrame(narrow).astype("Float32")), wide)
    np.testing.assert_array_equal(model.transform(narrow), model.transform(decimals))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_the_same_in_every_resolution(unit):
    naive = one(["2020-01-31", "9999-12-31 10:00:00"])
    kinds = Kinds.fit(naive)
    objects = one([datetime(2020, 1, 31), datetime(9999, 12, 31, 10)], dtype=object)
    stamps = one(np.array(["2020-01-31", "2021-12-31T10"], dtype=f"datetime64[{unit}]"))
    text = one(["2020-01-31 00:00", "2021-12-31T10:00:00.000"])

    pd.testing.assert_frame_equal(kinds.read(objects), kinds.read(naive))
    pd.testing.assert_frame_equal(kinds.read(stamps), kinds.read(text))
    np.testing.assert_array_equal(row_digests(stamps), row_digests(kinds.read(text)))


def test_an_instant_is_the_same_in_two_zones():
    berlin = one(pd.to_datetime(["2020-01-31 10:00"]).tz_localize("Europe/Berlin"))
    utc = one([datetime(2020, 1, 31, 9, tzinfo=UTC)], dtype=object)
    kinds = Kinds.fit(berlin)

    assert kinds.kinds == ("zoned time",)
    pd.testing.assert_frame_equal(kinds.read(utc), kinds.read(berlin))
    pd.testing.assert_frame_equal(kinds.read(one(["2020-01-31T09:00Z"])), kinds.read(berlin))
    np.testing.assert_array_equal(row_digests(utc), row_digests(berlin))


NAIVE, ZONED = ["2020-01-31 10:00"], ["2020-01-31 10:00+01:00"]


@pytest.mark.parametrize(
    ("fitted", "new", "words"),
    [
        ([1.5], ["a", "b", 1], "'x' held numbers when it was fitted, got 'a' in 2 rows"),
        ([True], [2], "'x' held True and False when it was fitted, got 2 in 1 rows"),
        (NAIVE, [5], "'x' held times without a time zone when it was fitted, got 5"),
        (NAIVE, ZONED, "without a time zone .* Remove their time zone"),
        (ZONED, NAIVE, "with a time zone .* Give them"),
        (
            pd.to_datetime(ZONED),
            pd.to_datetime(NAIVE),
            "with a time zone .* Give them",
        ),
        (["a"], pd.to_datetime(NAIVE), "'x' held text when it was fitted, got Timestamp"),
        ([1.5], [1e300], r"'x' has 1e\+300 in 1 rows, and an encoder holds numbers up to 3.4e"),
        ([1.5], ["1e300"], r"'x' has 1e\+300"),
        ([1.5], [10**400], "'x' has an integer of 401 digits"),
        ([1], [1j], "Complex data not supported: column 'x' has 1j"),
        (["a"], [["b"]], r"'x' has a list in a cell, \['b'\]. Expected one value in each cell"),
        ([1], [{"a": 1}], "'x' has a dict in a cell"),
    ],
)
def test_values_of_another_kind_are_refused(fitted, new, words):
    new = one(new, dtype=object) if isinstance(new, list) else one(new)

    with pytest.raises(ValueError, match=words):
        Kinds.fit(one(fitted)).read(new)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1], [2]] * 30, "'x' has a list in a cell"),
        ([{"a": 1}] * 60, "'x' has a dict in a cell"),
        ([1e300, 1.0] * 30, r"'x' has 1e\+300 in 30 rows"),
        ([*NAIVE, *ZONED] * 30, "'x' has times with a time zone and times without"),
    ],
)
@pytest.mark.parametrize("dtype", [object, None, "parquet"])
def test_columns_that_cannot_be_fitted_are_refused(values, words, dtype):
    table, s = one(values, dtype=object if dtype == "parquet" else dtype), np.arange(60) % 2
    if dtype == "parquet":
        table = pd.read_parquet(io.BytesIO(table.to_parquet()), dtype_backend="pyarrow")

    with pytest.raises(ValueError, match=words):
        long_codes().fit(table.assign(y=s), s, sensitive_features=1 - s)


@pytest.mark.parametrize("dtype", [object, None])
def test_complex_columns_are_refused(dtype):
    table, s = one([1j, 2] * 30, dtype=dtype), np.arange(60) % 2

    with pytest.raises(ValueError, match="Complex data not supported: column 'x'"):
        long_codes().fit(table, s, sensitive_features=1 - s)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((60, 1, 2, 3, 4)), r"images with shape \(n, height, width\) or .* \(60, 1, 2"),
        (np.full((60, 2), 1e300), r"numbers up to 3.4e\+38.*columns \[0, 1\]"),
        (np.full((60, 2), 2**60 + 1), r"integers up to 2\*\*53.*1152921504606846977"),
    ],
)
def test_arrays_that_cannot_be_held_are_refused(X, words):
    s = np.arange(60) % 2
    with pytest.raises(ValueError, match=words):
        long_codes().fit(X, s, sensitive_features=1 - s)
