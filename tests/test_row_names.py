"""Names of rows: a number and its digits are one name, and everything else is refused."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from bitveil.columns.names import read_names
from bitveil.frozen import name_digests


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
def test_anything_but_a_name_is_refused(ids, words):
    with pytest.raises(ValueError, match=words):
        name_digests(ids, 2)
