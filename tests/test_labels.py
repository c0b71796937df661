"""Labels: values become numbers; and rows are split into parts."""

import numpy as np
import pandas as pd
import pytest

from bitveil.columns.labels import number_labels
from bitveil.rows import split_rows


def test_numbers_point_at_the_sorted_values():
    column = ["pear", "apple", "pear", "fig"]
    values, numbers = number_labels("fruit", column, 4)

    assert values.tolist() == ["apple", "fig", "pear"]
    assert values[numbers].tolist() == column
    assert numbers.dtype == np.int64


@pytest.mark.parametrize(
    "column",
    [
        [1, 0, 1],
        np.array([1, 0, 1]),
        np.array([[1], [0], [1]]),
        pd.Series([1, 0, 1], index=[7, 7, 0]),
        pd.Series([1, 0, 1], dtype="Int64"),
        pd.Series([1, 0, 1], dtype="category"),
        pd.DataFrame({"s": [1, 0, 1]}, index=[2, 1, 0]),
        [1.0, 0.0, 1.0],
        [True, False, True],
    ],
)
def test_the_labels_do_not_depend_on_how_a_column_is_stored(column):
    values, numbers = number_labels("s", column, 3)

    assert values.tolist() == [0, 1]
    assert numbers.tolist() == [1, 0, 1]


def test_several_columns_are_one_label_of_tuples():
    columns = pd.DataFrame({"sex": ["f", "m", "f", "f"], "old": [1, 0, 0, 1]})
    values, numbers = number_labels("s", columns, 4)

    assert values.tolist() == [("f", 0), ("f", 1), ("m", 0)]  # ("m", 1) does not occur
    assert numbers.tolist() == [1, 2, 0, 1]


def test_tuples_hold_plain_values_and_no_numpy_scalars():
    values, _ = number_labels("s", np.array([[1, 2], [3, 4]]), 2)

    assert [type(part) for part in values[0]] == [int, int]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["a", None, "b"], "`sex` has 1 missing values"),
        ([0.0, np.nan, np.nan], "`sex` has 2 missing values"),
        (pd.DataFrame({"a": [0, 1, 1], "b": ["x", None, "y"]}), "`sex` has 1 missing values"),
        (["a", "a", "a"], r"`sex` has one value only, \['a'\]"),
        (["a", "b"], "`sex` expects one value for each of the 3 rows, got 2 values"),
        (["a", "b", "a", "b"], "of the 3 rows, got 4 values"),
        (["a", 1, "b"], r"`sex` mixes values that cannot be sorted .*astype\(str\)"),
        (pd.DataFrame({"a": [0, 1, 1], "b": ["x", 1, "y"]}), "`sex` mixes values"),
        (np.zeros((3, 2, 2)), "`sex`"),
        (None, "`sex`"),
    ],
)
def test_anything_but_a_label_is_refused_by_name(column, words):
    with pytest.raises(ValueError, match=words):
        number_labels("sex", column, 3)


def test_columns_of_one_name_are_refused():
    twice = pd.DataFrame([["f", "m"], ["m", "f"], ["f", "f"]], columns=["sex", "sex"])

    with pytest.raises(ValueError, match="sex"):
        number_labels("s", twice, 3)


def test_an_identifier_is_not_a_group():
    with pytest.raises(ValueError, match=r"`s` has 40000 different values, more than the 50"):
        number_labels("s", np.arange(40_000), 40_000, most=50)


def test_the_largest_allowed_number_of_values_is_allowed():
    assert len(number_labels("s", np.arange(50), 50, most=50).values) == 50


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.2, 0.3), (1.0,), (0.01, 0.99)])
def test_parts_are_disjoint_and_cover_all_rows(shares):
    groups = np.random.default_rng(0).integers(3, size=301)
    parts = split_rows(groups, shares, np.random.RandomState(0))

    assert len(parts) == len(shares)
    assert sorted(np.concatenate(parts)) == list(range(301))


def test_every_group_is_split_in_the_shares():
    groups = np.repeat([0, 1, 2], [1000, 100, 10])
    shares = (0.5, 0.2, 0.3)
    parts = split_rows(groups, shares, np.random.RandomState(0))

    for part, share in zip(parts, shares, strict=True):
        assert np.bincount(groups[part]) == pytest.approx(np.array([1000, 100, 10]) * share)


def test_each_row_is_as_likely_as_any_other_to_be_held_out():
    groups = np.repeat([0, 1], [30, 10])
    held_out = np.zeros(40)
    for seed in range(1000):
        held_out[split_rows(groups, (0.7, 0.3), np.random.RandomState(seed))[1]] += 1

    assert held_out / 1000 == pytest.approx(0.3, abs=0.075)  # five standard deviations


def test_the_seed_decides_the_parts():
    groups = np.repeat([0, 1], 50)
    first, again, other = (
        split_rows(groups, (0.5, 0.5), np.random.RandomState(seed))[0].tolist()
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other
