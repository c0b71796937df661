"""Storage: the same people have the same bits in every type and from every kind of file."""

import io
import json
import shutil
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from bitveil.columns.kinds import Kinds
from bitveil.columns.table import as_pandas
from bitveil.estimators import InvariantEncoder
from bitveil.mixtures import Mixture
from bitveil.models import load
from builders import KEY, quick

N = 60
long_codes = partial(quick, InvariantEncoder, 16, hidden=(4,), epochs=1, key=KEY)


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

    return long_codes().fit(people, s, sensitive_features=1 - s)


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage") / "encoder"
    encoder.save(folder)

    return folder


@pytest.fixture
def bitveil(saved, command_line, tmp_path, monkeypatch):
    """Run the command line in a folder with an encoder: its exit code and its errors."""

    shutil.copytree(saved, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code, _, errors = command_line(*words)
        return code, errors

    return run


@pytest.fixture
def encode(bitveil, tmp_path):
    """The bits that the command line writes for a file."""

    def bits(file, *more):
        code, error = bitveil("encode", "encoder", file, "-o", "codes.csv", "--force", *more)
        assert code == 0, error
        return pd.read_csv(tmp_path / "codes.csv").filter(like="bit").to_numpy()

    return bits


# Types and sources


def test_these_people_have_different_bits(people, encoder):
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
def test_the_kinds_are_the_same_for_every_storage(people, stored):
    X = people.drop(columns=["grade", "job"])  # files have no categories

    assert Kinds.fit(STORED[stored](people)[list(X)]) == Kinds.fit(X)


def test_a_mixture_reads_tables_like_its_encoders(people, encoder):
    mixture = Mixture([encoder, encoder], [0.5, 0.5])
    expected = mixture.transform(people)

    np.testing.assert_array_equal(mixture.transform(as_in_csv(people)), expected)
    np.testing.assert_array_equal(
        mixture.transform(people, ids=range(N)),
        mixture.transform(people, ids=[*map(str, range(N))]),
    )


def test_a_loaded_encoder_knows_the_kinds(people, encoder, tmp_path):
    encoder.save(tmp_path / "encoder")

    assert load(tmp_path / "encoder").schema_.kinds == encoder.schema_.kinds
    assert encoder.schema_.kinds.names == tuple(people)
    json.dumps(encoder.schema_.kinds.kinds)


def test_columns_that_were_empty_are_left_out_with_a_warning(people, encoder):
    with pytest.warns(UserWarning, match=r"left out: \['notes'\]"):
        bits = encoder.transform(people.assign(notes="x"))

    np.testing.assert_array_equal(bits, encoder.transform(people))


# Files


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_in_a_file_are_the_names_in_python(people, encoder, encode, suffix):
    names = pd.Series([*(f"{i:03}" for i in range(N - 2)), "NA", "7"])
    table = people.assign(id=names)
    table.to_csv("people.csv", index=False)
    table.to_parquet("people.parquet")

    np.testing.assert_array_equal(
        encode(f"people.{suffix}", "--id", "id"), encoder.transform(people, ids=names)
    )
    assert pd.read_csv("codes.csv", dtype=str, keep_default_na=False)["id"].tolist() == [*names]


def test_whole_numbers_are_the_same_names_in_both_files(people, encoder, encode):
    people.assign(id=range(N)).to_csv("people.csv", index=False)
    people.assign(id=np.arange(float(N))).to_parquet("people.parquet")
    bits = encoder.transform(people, ids=range(N))

    np.testing.assert_array_equal(encode("people.csv", "--id", "id"), bits)
    np.testing.assert_array_equal(encode("people.parquet", "--id", "id"), bits)


@pytest.mark.filterwarnings("default:The key of the draws")
def test_fitting_a_file_is_fitting_its_rows_in_python(people, bitveil):
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

    kinds = dict(zip(parquet.schema_.kinds.names, parquet.schema_.kinds.kinds, strict=True))
    assert dict(zip(csv.schema_.kinds.names, csv.schema_.kinds.kinds, strict=True)) == kinds | {
        "job": "text"
    }
    np.testing.assert_array_equal(
        csv.transform(X, ids=table["id"]), parquet.transform(X, ids=table["id"])
    )


@pytest.fixture(scope="module")
def of_one(tmp_path_factory):
    """The folder of an encoder of one column, so that others can be ids."""

    X = pd.DataFrame({"a": np.arange(N)})
    folder = tmp_path_factory.mktemp("one") / "encoder"
    quick(key=KEY).fit(X, np.arange(N) % 2, sensitive_features=np.arange(N) // 2 % 2).save(folder)

    return folder


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
def test_ambiguous_files_are_refused(bitveil, tmp_path, of_one, text, more, words):
    (tmp_path / "people.csv").write_text(text)
    code, error = bitveil("encode", of_one, "people.csv", "-o", "codes.csv", "--force", *more)

    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "codes.csv").exists()
