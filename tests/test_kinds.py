"""Kinds: the same people have the same bits, however they are stored and by whatever way in."""

import io
import json
import sys
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from bitveil import cli
from bitveil.columns.kinds import Kinds, as_pandas, read_names
from bitveil.estimators import InvariantEncoder, load
from bitveil.frozen import name_digests, row_digests
from bitveil.mixtures import Mixture

N = 60
QUICK = {"n_bits": 16, "features": "raw", "hidden": (4,), "epochs": 1, "random_state": 0}
QUICK |= {"key": b"a key of these tests"}


def make_people():
    rng = np.random.default_rng(0)
    hours = rng.integers(5000, size=N)
    seen = pd.Timestamp("2020-03-28", tz="Europe/Berlin") + pd.to_timedelta(hours, unit="h")

    return pd.DataFrame(
        {
            "ward": [*(f"{i % 9:02}" for i in range(N - 15)), *["7b", "NA", None] * 5],
            "age": rng.integers(18, 80, N),
            "account": pd.array([2**60 + i for i in range(N - 1)] + [None], dtype="Int64"),
            "income": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N)),
            "share": (rng.integers(100, size=N) / 10).astype("float32"),
            "member": rng.random(N) < 0.5,
            "retired": pd.array([True, False, None] * (N // 3), dtype="boolean"),
            "born": np.datetime64("1990-01-01", "s") + 86_400 * rng.integers(9000, size=N),
            "seen": pd.Series(seen).dt.as_unit("us"),
            "job": pd.Categorical(rng.choice(["clerk", "cook", "smith"], N)),
            "grade": pd.Categorical(rng.integers(1, 4, N)),
            "price": [
                None,
                *(Decimal(int(cents)) / 100 for cents in rng.integers(999, size=N - 1)),
            ],
            "notes": [None] * N,
        }
    )


def nullable(X):
    categories = ["job", "grade"]

    return X.drop(columns=categories).convert_dtypes().join(X[categories].astype(object))[list(X)]


def in_another_zone(X):
    seen = X["seen"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ns")

    return X.assign(seen=seen, born=X["born"].astype("datetime64[ns]"))


def as_objects(X):
    return X.assign(share=X["share"].astype(str).astype(float)).astype(object)


def as_in_csv(X):
    return pd.read_csv(io.StringIO(X.to_csv(index=False)), dtype=str, keep_default_na=False)


STORED = {
    "numpy's types": lambda X: X,
    "nullable types": nullable,
    "Arrow's types": lambda X: as_pandas(pyarrow.Table.from_pandas(X, preserve_index=False)),
    "text": as_in_csv,
    "another zone": in_another_zone,
}


@pytest.fixture(scope="module")
def people():
    return make_people()


@pytest.fixture(scope="module")
def encoder(people):
    s = np.arange(N) % 2

    return InvariantEncoder(**QUICK).fit(people, s, sensitive_features=1 - s)


@pytest.fixture
def bitveil(encoder, tmp_path, monkeypatch, capsys):
    """Run the command line in a folder with an encoder: exit code and error stream."""

    encoder.save(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bitveil", *map(str, words)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code or 0, capsys.readouterr().err

    return run


@pytest.fixture
def encode(bitveil, tmp_path):
    """The bits that the command line writes for a file."""

    def bits(file, *more):
        code, error = bitveil("encode", "encoder", file, "-o", "codes.csv", "--force", *more)
        assert code == 0, error
        return pd.read_csv(tmp_path / "codes.csv").filter(like="bit").to_numpy()

    return bits


# Storage types and entry points


def test_the_bits_of_these_people_tell_their_draws_apart(people, encoder):
    bits = encoder.transform(people)

    assert len(np.unique(bits, axis=0)) > N - 3
    assert encoder.shared_rows(people) == 0


@pytest.mark.parametrize("ids", [None, range(N)], ids=["content", "ids"])
@pytest.mark.parametrize("stored", [*STORED, "objects"])
def test_pandas(people, encoder, stored, ids):
    table = as_objects(people) if stored == "objects" else STORED[stored](people)

    np.testing.assert_array_equal(
        encoder.transform(table, ids=ids), encoder.transform(people, ids=ids)
    )
    assert encoder.used_rows(table) == N


@pytest.mark.parametrize("stored", STORED)
def test_parquet(people, encoder, encode, stored):
    STORED[stored](people).to_parquet("people.parquet")

    np.testing.assert_array_equal(encode("people.parquet"), encoder.transform(people))


def test_csv(people, encoder, encode):
    people.to_csv("people.csv", index=False)

    np.testing.assert_array_equal(encode("people.csv"), encoder.transform(people))


@pytest.mark.parametrize("size", [1, 12, N - 15])
def test_csv_in_parts(people, encoder, encode, size):
    bits = encoder.transform(people)
    for start in range(0, N if size > 1 else 5, size):
        people[start : start + size].to_csv("part.csv", index=False)
        np.testing.assert_array_equal(encode("part.csv"), bits[start : start + size])


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_of_other_libraries(people, encoder, library):
    table = pyarrow.Table.from_pandas(people, preserve_index=False)
    table = polars.from_arrow(table) if library == "polars" else table
    bits = encoder.transform(people)

    np.testing.assert_array_equal(encoder.transform(table), bits)
    np.testing.assert_array_equal(encoder.transform(table[3:9]), bits[3:9])


@pytest.mark.parametrize("stored", STORED)
def test_the_kinds_are_the_same_whatever_is_fitted(people, stored):
    X = people.drop(columns=["grade", "job"])  # a file does not tell a category

    assert Kinds.fit(STORED[stored](people)[list(X)]) == Kinds.fit(X)


def test_a_mixture_reads_as_its_encoders_do(people, encoder):
    mixture = Mixture([encoder, encoder], [0.5, 0.5])
    expected = mixture.transform(people)

    np.testing.assert_array_equal(mixture.transform(as_in_csv(people)), expected)
    np.testing.assert_array_equal(
        mixture.transform(people, ids=range(N)),
        mixture.transform(people, ids=[*map(str, range(N))]),
    )


def test_a_loaded_encoder_knows_the_kinds(people, encoder, tmp_path):
    encoder.save(tmp_path / "encoder")

    assert load(tmp_path / "encoder").kinds_ == encoder.kinds_
    assert encoder.kinds_.names == tuple(people)
    json.dumps(encoder.kinds_.kinds)


# Kinds


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


def test_missing_values_are_one_and_no_text():
    values = [None, np.nan, pd.NA, pd.NaT, "", "missing", "nan", "NA"]
    digests = row_digests(Kinds.fit(one(["a", "b"])).read(one(values, dtype=object)))

    assert len(np.unique(digests, axis=0)) == 4
    assert len(np.unique(digests[:5], axis=0)) == 1


@pytest.mark.parametrize("dtype", ["int64", "Int64", "uint64", "int64[pyarrow]", object])
def test_integers_beyond_doubles_are_told_apart_in_every_type(dtype):
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
    model = InvariantEncoder(**QUICK).fit(X, s, sensitive_features=1 - s)
    wide = row_digests(np.array(decimals))

    np.testing.assert_array_equal(row_digests(pd.DataFrame(narrow)), wide)
    np.testing.assert_array_equal(row_digests(pd.DataFrame(narrow).astype("Float32")), wide)
    np.testing.assert_array_equal(model.transform(narrow), model.transform(decimals))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_instants_in_every_resolution(unit):
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
        (NAIVE, ZONED, "without a time zone .* Take their time zone away"),
        (ZONED, NAIVE, "with a time zone .* Say their time zone"),
        (pd.to_datetime(ZONED), pd.to_datetime(NAIVE), "with a time zone .* Say their time zone"),
        (["a"], pd.to_datetime(NAIVE), "'x' held text when it was fitted, got Timestamp"),
        ([1.5], [1e300], r"'x' has 1e\+300 in 1 rows, and an encoder holds numbers up to 3.4e"),
        ([1.5], ["1e300"], r"'x' has 1e\+300"),
        ([1.5], [10**400], "'x' has an integer of 401 digits"),
        ([1], [1j], "Complex data not supported: column 'x' has 1j"),
        (["a"], [["b"]], r"'x' has a list in a cell, \['b'\]. Expected one value in each cell"),
        ([1], [{"a": 1}], "'x' has a dict in a cell"),
    ],
)
def test_what_cannot_be_read_is_refused(fitted, new, words):
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
def test_what_cannot_be_fitted_is_refused(values, words, dtype):
    table, s = one(values, dtype=object if dtype == "parquet" else dtype), np.arange(60) % 2
    if dtype == "parquet":
        table = pd.read_parquet(io.BytesIO(table.to_parquet()), dtype_backend="pyarrow")

    with pytest.raises(ValueError, match=words):
        InvariantEncoder(**QUICK).fit(table.assign(y=s), s, sensitive_features=1 - s)


@pytest.mark.parametrize("dtype", [object, None])
def test_complex_columns_are_refused(dtype):
    table, s = one([1j, 2] * 30, dtype=dtype), np.arange(60) % 2

    with pytest.raises(ValueError, match="Complex data not supported: column 'x'"):
        InvariantEncoder(**QUICK).fit(table, s, sensitive_features=1 - s)


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
        InvariantEncoder(**QUICK).fit(X, s, sensitive_features=1 - s)


def test_columns_that_were_empty_are_left_out_with_a_warning(people, encoder):
    with pytest.warns(UserWarning, match=r"left out: \['notes'\]"):
        bits = encoder.transform(people.assign(notes="x"))

    np.testing.assert_array_equal(bits, encoder.transform(people))


# Names


@pytest.mark.parametrize(
    "ids",
    [
        np.arange(3),
        np.arange(3.0),
        ["0", "1", "2"],
        [0, "1", 2.0],
        map(Decimal, range(3)),
        pd.array([0, 1, 2], dtype="Int64"),
        pd.Series([0, 1, 2], dtype="uint8", index=[7, 7, 7]),
        pd.Categorical(["0", "1", "2"]),
        pd.Index(["0", "1", "2"]),
        polars.Series([0, 1, 2]),
        pyarrow.array(["0", "1", "2"]),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_a_number_and_its_digits_are_one_name(ids):
    np.testing.assert_array_equal(name_digests(ids, 3), name_digests(range(3), 3))


def test_other_names_have_other_digests():
    names = ["7", "007", "7.0", "seven", "NA", "nan", "missing", " 7", 2**53 + 1, 2**53, 2**70]

    assert len(np.unique(name_digests(names, len(names)), axis=0)) == len(names)
    assert read_names([UUID(int=7)], 1) == ["00000000-0000-0000-0000-000000000007"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([0.5, 1], r"text or whole numbers, got 0.5 \(float\) in 1 rows"),
        ([2.0**53, 1], r"text or whole numbers, got 9007199254740992.0"),
        ([[1], [2]], r"text or whole numbers, got \[1\] \(list\) in 2 rows"),
        ([[1], [2, 3]], r"text or whole numbers, got \[1\] \(list\) in 2 rows"),
        ([{}, 1], "dict"),
        ([True, 1], "bool"),
        ([date(2020, 1, 1), 1], "date"),
        ([np.nan, 1], "1 of them missing. Every row needs one"),
        (["", None], "2 of them missing. Every row needs one"),
        ([1], "a name for each of the 2 rows, got 1"),
        (np.zeros((2, 1)), "one name a row, got ndarray of 2 dimensions"),
        ("ab", "one name a row, got str"),
    ],
)
def test_what_is_no_name_is_refused(ids, words):
    with pytest.raises(ValueError, match=words):
        name_digests(ids, 2)


# Files


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_in_a_file_are_those_of_python(people, encoder, encode, suffix):
    names = pd.Series([*(f"{i:03}" for i in range(N - 2)), "NA", "7"])
    table = people.assign(id=names)
    table.to_csv("people.csv", index=False)
    table.to_parquet("people.parquet")

    np.testing.assert_array_equal(
        encode(f"people.{suffix}", "--id", "id"), encoder.transform(people, ids=names)
    )
    assert pd.read_csv("codes.csv", dtype=str, keep_default_na=False)["id"].tolist() == [*names]


def test_whole_numbers_name_rows_alike_in_both_files(people, encoder, encode):
    people.assign(id=range(N)).to_csv("people.csv", index=False)
    people.assign(id=np.arange(float(N))).to_parquet("people.parquet")
    bits = encoder.transform(people, ids=range(N))

    np.testing.assert_array_equal(encode("people.csv", "--id", "id"), bits)
    np.testing.assert_array_equal(encode("people.parquet", "--id", "id"), bits)


@pytest.mark.filterwarnings("default:The key of the draws")
def test_a_file_is_fitted_as_its_people_are_in_python(people, bitveil):
    table = people[["ward", "age", "account", "retired", "seen", "job"]].assign(
        y=np.arange(N) % 2, s=["f", "m"] * (N // 2), id=[f"{i:03}" for i in range(N)]
    )
    table.to_csv("people.csv", index=False)
    table.to_parquet("people.parquet")
    for suffix in ("csv", "parquet"):
        words = ("fit", f"people.{suffix}", "--target", "y", "--sensitive", "s", "--id", "id")
        code, error = bitveil(*words, "--seed", "0", "--bits", "4", "--output", suffix)
        assert code == 0, error
    csv, parquet = load("csv"), load("parquet")
    X = table.drop(columns=["y", "s", "id"])

    kinds = dict(zip(parquet.kinds_.names, parquet.kinds_.kinds, strict=True))
    assert dict(zip(csv.kinds_.names, csv.kinds_.kinds, strict=True)) == kinds | {"job": "text"}
    np.testing.assert_array_equal(
        csv.transform(X, ids=table["id"]), parquet.transform(X, ids=table["id"])
    )


GOOD = "ward,age\n1,2\n"


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("a,b,a\n1,2,3\n", (), "['a'] appear more than once"),
        ("a,b\n1,2,\n3,4,\n", (), "more fields than the 2 names in its first line"),
        ("a,b\n1,2,3\n", (), "more fields than the 2 names in its first line"),
        ("a,b\n1,2\n3,4,\n", (), "Expected 2 fields in line 3, saw 3"),
        ("a,b\n1,\n2,\n3,x\n", ("--id", "b"), "2 of them missing. Every row needs one"),
        ("a,b\n1,7\n2,007\n3,7\n", ("--id", "b"), "some rows share an id in the column"),
    ],
)
def test_files_that_say_two_things_are_refused(bitveil, tmp_path, text, more, words):
    (tmp_path / "people.csv").write_text(text)
    code, error = bitveil("encode", "encoder", "people.csv", "-o", "codes.csv", "--force", *more)

    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "codes.csv").exists()
