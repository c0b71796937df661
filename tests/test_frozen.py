"""Frozen: a row always has the same bits, in every type that can store it."""

import io
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from bitveil.frozen import freeze, frozen_uniforms, row_digests

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"


def rows_and_theta(n, m, seed=0):
    rng = np.random.default_rng(seed)

    return row_digests(rng.normal(size=(n, 3))), rng.random((n, m))


# Frozen draws


def test_same_row_and_key_always_get_the_same_bits():
    rows, theta = rows_and_theta(200, 6)
    bits = freeze(theta, rows, KEY)
    order = np.random.default_rng(1).permutation(200)

    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(freeze(theta, rows, KEY), bits)
    np.testing.assert_array_equal(freeze(theta[order], rows[order], KEY), bits[order])
    np.testing.assert_array_equal(freeze(theta[50:90], rows[50:90], KEY), bits[50:90])
    for i in range(20):
        np.testing.assert_array_equal(freeze(theta[[i]], rows[[i]], KEY), bits[[i]])


def test_another_key_gives_other_bits():
    rows, _ = rows_and_theta(4000, 16)
    fair = np.full((4000, 16), 0.5)
    differ = freeze(fair, rows, KEY) != freeze(fair, rows, OTHER)

    assert differ.mean(0) == pytest.approx(0.5, abs=0.04)  # five standard deviations


def test_other_rows_get_other_bits():
    rows, _ = rows_and_theta(4000, 64)
    bits = freeze(np.full((4000, 64), 0.5), rows, KEY)

    assert (bits[1:] != bits[:-1]).mean() == pytest.approx(0.5, abs=0.005)
    assert len(np.unique(bits, axis=0)) == 4000


def test_bits_are_one_as_often_as_theta_says():
    rows, theta = rows_and_theta(4000, 70)
    bits = freeze(theta, rows, KEY)

    for low in np.arange(0, 1, 0.1):
        chosen = (theta >= low) & (theta < low + 0.1)
        assert bits[chosen].mean() == pytest.approx(theta[chosen].mean(), abs=0.015)
    assert bits.mean(0) == pytest.approx(theta.mean(0), abs=0.04)


def test_bits_of_a_row_are_independent():
    rows, _ = rows_and_theta(4000, 130)
    correlation = np.corrcoef(freeze(np.full((4000, 130), 0.5), rows, KEY).T)

    assert np.abs(correlation - np.eye(130)).max() < 0.09  # 5.7 standard deviations


def test_certain_bits_are_certain():
    rows, _ = rows_and_theta(1000, 2)
    bits = freeze(np.tile([0.0, 1.0], (1000, 1)), rows, KEY)

    assert bits.min(0).tolist() == [0, 1]
    assert bits.max(0).tolist() == [0, 1]


@pytest.mark.parametrize("m", [1, 7, 8, 9, 64, 65, 200])
def test_the_first_bits_do_not_depend_on_how_many_follow(m):
    rows, theta = rows_and_theta(50, 200)

    np.testing.assert_array_equal(freeze(theta[:, :m], rows, KEY), freeze(theta, rows, KEY)[:, :m])


def test_the_average_of_a_thousand_encodings_reveals_no_more_than_one():
    row, theta = rows_and_theta(1, 12)
    asked_again = np.stack([freeze(theta, row, KEY)[0] for _ in range(1000)])
    in_one_table = freeze(np.repeat(theta, 1000, 0), np.repeat(row, 1000, 0), KEY)

    np.testing.assert_array_equal(asked_again.mean(0), asked_again[0])
    np.testing.assert_array_equal(in_one_table, asked_again)


def test_bits_are_one_where_the_uniform_number_is_less_than_theta():
    rows, theta = rows_and_theta(200, 70)
    uniforms = frozen_uniforms(rows, 70, KEY)

    assert uniforms.dtype == np.float64
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert (uniforms * 2.0**53 % 1 == 0).all()
    np.testing.assert_array_equal(freeze(theta, rows, KEY), uniforms < theta)
    np.testing.assert_array_equal(freeze(uniforms, rows, KEY), 0)
    np.testing.assert_array_equal(freeze(np.nextafter(uniforms, 2), rows, KEY), 1)


def test_frozen_bits_are_the_bits_of_the_first_version():
    bits = freeze(np.full((2, 12), 0.5), np.arange(8, dtype=np.uint8).reshape(2, 4), KEY)

    assert bits.tolist() == [
        [0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1],
        [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    ]


def test_a_table_without_rows_has_no_bits():
    assert row_digests(pd.DataFrame({"a": []})).shape == (0, 16)
    assert freeze(np.zeros((0, 5)), np.zeros((0, 16), np.uint8), KEY).shape == (0, 5)


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_of_the_wrong_length_is_refused(length):
    rows, theta = rows_and_theta(2, 3)

    with pytest.raises(ValueError, match=f"16 to 64 bytes, got {length}.*token_bytes"):
        freeze(theta, rows, b"k" * length)


@pytest.mark.parametrize("length", [16, 32, 64])
def test_every_byte_of_the_key_matters(length):
    rows, _ = rows_and_theta(100, 8)
    fair, key = np.full((100, 8), 0.5), b"k" * length

    assert (freeze(fair, rows, key) != freeze(fair, rows, key[:-1] + b"x")).any()


# Digests of rows


@pytest.mark.parametrize(
    "stored",
    [
        pd.Series([1, 0, 30], dtype="int8"),
        pd.Series([1.0, 0.0, 30.0]),
        pd.Series([1.0, -0.0, 30.0], dtype="float32"),
        pd.Series([1, 0.0, 30], dtype=object),
        pd.Series([True, False, 30], dtype=object),
        pd.Series([1, 0, 30], dtype="Int64"),
        pd.Series([1, 0, 30], dtype="category"),
        np.array([[1], [0], [30]]),
        np.array([[1.0], [0.0], [30.0]]),
    ],
    ids=lambda stored: str(getattr(stored, "dtype", "")),
)
def test_equal_numbers_have_equal_digests_however_they_are_stored(stored):
    table = pd.DataFrame({"a": stored}) if isinstance(stored, pd.Series) else stored

    np.testing.assert_array_equal(row_digests(table), row_digests(pd.DataFrame({"a": [1, 0, 30]})))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_all_kinds_of_missing_values_have_one_digest(missing):
    table = pd.DataFrame({"a": pd.Series(["x", missing], dtype=object)})

    np.testing.assert_array_equal(
        row_digests(table), row_digests(pd.DataFrame({"a": ["x", None]}))
    )


def test_dates_have_equal_digests_however_they_are_stored():
    stamps = pd.DataFrame({"a": pd.to_datetime(["2020-01-31", "2021-12-01"])})
    others = [
        stamps.astype("datetime64[ns]"),
        stamps.astype(object),
        pd.DataFrame({"a": [datetime(2020, 1, 31), datetime(2021, 12, 1)]}),
        pd.DataFrame({"a": [date(2020, 1, 31), date(2021, 12, 1)]}),
    ]

    for other in others:
        np.testing.assert_array_equal(row_digests(other), row_digests(stamps))


@pytest.mark.parametrize(
    "name", ["skill", "height", "age", "job", "size", "since", "member", "planet", "notes"]
)
def test_rows_read_back_from_csv_and_parquet_keep_their_digests(people, name):
    table = people(100).X[[name]]
    csv = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    parquet = pd.read_parquet(io.BytesIO(table.to_parquet()))

    np.testing.assert_array_equal(row_digests(parquet), row_digests(table))
    np.testing.assert_array_equal(row_digests(csv), row_digests(table))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["ab"], "b": ["c"]}, {"a": ["a"], "b": ["bc"]}),
        ({"a": ["x"], "b": ["y"]}, {"a": ["y"], "b": ["x"]}),
        ({"a": [1], "b": [None]}, {"a": [None], "b": [1]}),
        ({"a": ["missing"]}, {"a": [None]}),
        ({"a": ["nan"]}, {"a": [np.nan]}),
        ({"a": [0.1]}, {"a": [0.1 + 1e-16]}),
        ({"a": [2**53]}, {"a": [2**53 + 1]}),
        ({"a": [10**400]}, {"a": [10**400 + 1]}),
        ({"a": ["x"]}, {"a": ["x "]}),
    ],
)
def test_other_content_has_another_digest(one, other):
    assert (row_digests(pd.DataFrame(one)) != row_digests(pd.DataFrame(other))).any()


def test_different_rows_have_different_digests():
    digests = row_digests(np.arange(20_000).reshape(-1, 2))

    assert len(np.unique(digests, axis=0)) == 10_000
