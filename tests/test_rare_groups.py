"""Rare groups that are joined in a fit, and numbers of few values that are cut."""

import json

import numpy as np
import pandas as pd
import pytest

from bitveil.columns.attribute import Attribute
from bitveil.columns.groups import Grouping
from bitveil.columns.rare import JOINED
from bitveil.estimators import InvariantEncoder
from bitveil.models import load
from bitveil.saved_schema import read_record
from bitveil.sources import open_source
from bitveil.streams import tables_of
from builders import quick

RACES = ["a"] * 200 + ["b"] * 150 + ["c"] * 30 + ["d"] * 15 + ["e"] * 5


def grouped(column, least, *, bins=5, missing="error", **more):
    return Grouping.fit("s", Attribute(column, least), bins=bins, missing=missing, **more)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])

    return X.assign(y=X["a"] > 0, race=rng.permutation(RACES), id=range(400))


@pytest.fixture(scope="module")
def joined(rows, tmp_path_factory):
    """A saved encoder that joins the races c, d and e."""

    folder = tmp_path_factory.mktemp("joined") / "encoder"
    model = quick(InvariantEncoder, 2, hidden=(4,), epochs=1, key=b"a key of 16 bytes")
    model.fit(rows[["a", "b"]], rows["y"], sensitive_features=Attribute(rows["race"], 40))
    model.save(folder)

    return load(folder)


def test_groups_of_too_few_rows_become_one_and_the_others_stay():
    grouping, numbers = grouped(pd.Series(RACES), 40)

    assert grouping.values.tolist() == ["a", "b", JOINED]
    assert np.bincount(numbers).tolist() == [200, 150, 50]
    assert grouping.joined == ("c", "d", "e")


@pytest.mark.parametrize("least", [2, 31, 50])
def test_after_joining_every_group_has_enough_rows(least):
    grouping, numbers = grouped(pd.Series(RACES), least)

    assert np.bincount(numbers).min() >= least
    assert len(grouping.values) == (5 if least == 2 else 3)


def test_where_no_group_is_rare_nothing_changes():
    column = pd.Series([1, 2] * 50)
    plain, numbers = Grouping.fit("s", column, bins=5, missing="error")
    other, same = grouped(column, 50)

    assert (other.values.tolist(), other.joined) == (plain.values.tolist(), ())
    np.testing.assert_array_equal(numbers, same)


def test_several_columns_are_joined_by_combination_and_not_one_by_one():
    """A man of 9 and a woman of 9 are rare, and neither men, women nor 9 are."""

    frame = pd.DataFrame(
        {
            "sex": ["f"] * 100 + ["m"] * 100 + ["f"] * 6 + ["m"] * 7 + ["x"] * 60,
            "ward": [7] * 200 + [9] * 13 + [9] * 60,
        }
    )
    grouping, numbers = grouped(frame, 10)

    assert grouping.joined == (("f", "9"), ("m", "9"))
    assert grouping.values.tolist() == [("f", "7"), ("m", "7"), (JOINED, JOINED), ("x", "9")]
    assert np.bincount(numbers).tolist() == [100, 100, 13, 60]
    assert grouping.labels("s", frame[::50]).tolist() == [
        *([("f", "7")] * 2),
        *([("m", "7")] * 2),
        (JOINED, JOINED),
        ("x", "9"),
    ]
    for stored in (frame, frame.astype(str), frame[["ward", "sex"]].astype("string[pyarrow]")):
        np.testing.assert_array_equal(grouping.numbers("s", stored), numbers)
    with pytest.raises(ValueError, match=r"not fitted: \('x', '7'\)"):
        grouping.numbers("s", pd.DataFrame({"sex": ["x"], "ward": [7]}))
    with pytest.raises(ValueError, match=r"not fitted: \[\('x', '7'\)\]"):
        grouping.labels("s", pd.DataFrame({"sex": ["x"], "ward": [7]}))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, 3, 4] * 2 + [1] * 92 + [2] * 100),
        pd.Series([1.5, 2.0, 3.25, 4.0] * 2 + [1.5] * 92 + [2.0] * 100),
        pd.Series(["x", "y", "007", "7"] * 2 + ["x"] * 92 + ["y"] * 100),
        pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02", "2021-01-01", "2021-01-02"] * 50)[:8]
                  .tolist() + [pd.Timestamp("2020-01-01")] * 92
                  + [pd.Timestamp("2020-01-02")] * 100),
    ],
    ids=["whole", "fractions", "text", "dates"],
)  # fmt: skip
def test_values_of_any_type_are_joined_and_found_again_in_files(column, tmp_path):
    frame = column.rename("s").to_frame()
    grouping, numbers = grouped(frame, 4)
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")

    assert sorted(np.bincount(numbers).tolist()) == [4, 94, 102]
    np.testing.assert_array_equal(grouping.values[numbers], grouping.labels("s", frame))
    for file in ("s.csv", "s.parquet"):
        batch = next(open_source(tmp_path / file).batches(["s"]))
        read = batch.to_pandas(types_mapper=pd.ArrowDtype)
        np.testing.assert_array_equal(grouping.numbers("s", read), numbers)


def test_bins_and_missing_values_can_be_rare_too():
    ages = np.concatenate([np.arange(100.0), np.full(3, np.nan)])
    frame = pd.DataFrame({"age": ages, "sex": ["f"] * 48 + ["m"] * 2 + ["f"] * 50 + ["m"] * 3})
    grouping, numbers = grouped(frame, 5, bins=2, missing="group")

    assert grouping.joined == (("below 50", "m"), ("missing", "m"))
    assert np.bincount(numbers).tolist() == [48, 50, 5]
    np.testing.assert_array_equal(grouping.numbers("s", frame.astype(object)), numbers)
    np.testing.assert_array_equal(grouping.values[numbers], grouping.labels("s", frame))


@pytest.mark.parametrize(
    ("column", "least", "said"),
    [
        (
            ["a"] * 90 + ["b"] * 90 + ["c"] * 12,
            50,
            r"12 rows together.*'c' \(12 rows\).*join_rare",
        ),
        (["a"] * 30 + ["b"] * 30 + ["c"] * 12, 50, r"all groups.*fewer than 50.*'a' \(30 rows\)"),
        (["a"] * 90 + ["b"] * 3 + ["c"] * 4, 5, None),
        (["a"] * 90 + [JOINED] * 90 + ["c"] * 12, 5, "Rename that value"),
        (["a", "b", None] * 30, 5, "30 missing values"),
        ([f"name {i}" for i in range(40)] + ["a"] * 20, 3, None),
    ],
)
def test_what_cannot_be_joined_is_refused_with_the_groups(column, least, said):
    if said is None:
        assert JOINED in grouped(pd.Series(column), least, most=3)[0].values
        return
    with pytest.raises(ValueError, match=said):
        grouped(pd.Series(column), least)


@pytest.mark.parametrize("least", [1, -3, 2.5, True])
def test_a_number_of_rows_that_is_none_is_refused(least):
    with pytest.raises(ValueError, match="`join_rare` expects a whole number from 2 on"):
        Attribute([1, 2], least)


def test_a_saved_encoder_joins_new_rows_in_every_way_that_it_reads_them(joined, rows):
    assert joined.groups_.tolist() == ["a", "b", JOINED]
    new = rows.assign(a=rows["a"] + 9, id=range(1000, 1400))
    audit = joined.audit(new[["a", "b"]], new["y"], sensitive_features=new["race"], ids=new["id"])
    assert dict(zip(audit.groups, audit.sizes, strict=True)) == {"a": 200, "b": 150, JOINED: 50}
    tables = tables_of(new, joined, ids="id")
    assert tables.rows.sum(0).tolist() == [200, 150, 50]
    with pytest.raises(ValueError, match=r"not fitted: \['z'\].*'d', 'e'"):
        joined.sensitive_groups(pd.Series(["a", "z"]))


def test_a_fit_of_a_source_joins_as_a_fit_of_a_table_does(rows):
    model = quick(InvariantEncoder, 2, hidden=(4,), epochs=1)
    model.fit_source(rows, target="y", sensitive="race", ids="id", join_rare=40)

    assert model.groups_.tolist() == ["a", "b", JOINED]
    assert model.schema_.grouping.joined == ("c", "d", "e")


def test_only_a_fit_takes_a_wish_for_groups(joined, rows):
    with pytest.raises(ValueError, match="only the fit of an encoder takes"):
        joined.audit(rows[["a", "b"]], sensitive_features=Attribute(rows["race"], 40))


def test_a_folder_that_joins_what_it_should_not_is_refused(joined):
    grouping = joined.schema_.grouping
    good = {"columns": ["race"], "edges": [None], "textual": [False]}
    assert grouping.joined == ("c", "d", "e")
    from bitveil.saved_schema import _grouping

    def folder(values, joined):
        array = {"array": ["object", values]}
        parts = {name: {"tuple": value} for name, value in good.items()}
        return json.loads(json.dumps({**parts, "values": array, "joined": {"tuple": joined}}))

    assert _grouping(folder(["a", "b", JOINED], ["c"])).joined == ("c",)
    old = folder(["a", "b"], [])
    old.pop("joined")
    assert _grouping(old).joined == ()  # folders of earlier versions
    for values, lost in ((["a", "b"], ["c"]), (["a", JOINED], ["a"]), (["a", JOINED], [7])):
        with pytest.raises(ValueError, match="joined groups"):
            _grouping(folder(values, lost))
    assert read_record(Grouping, folder(["a", "b"], [])).joined == ()


def test_a_column_may_be_called_as_a_wish_is():
    frame = pd.DataFrame({"join_rare": ["f", "m"], "cut_numbers": ["a", "b"]})

    assert len(Grouping.fit("s", frame, bins=2, missing="error")[0].values) == 2


# Numbers of few values


def test_numbers_of_few_values_are_cut_only_on_request():
    children = pd.Series(np.tile(np.arange(8), 50), name="children")
    plain, _ = Grouping.fit("s", children, bins=3, missing="error")
    cut, numbers = Grouping.fit(
        "s", Attribute(children, cut_numbers=True), bins=4, missing="error"
    )

    assert plain.values.tolist() == list(range(8))
    assert cut.values.tolist() == ["2 to below 4", "4 to below 6", "below 2", "from 6"]
    assert np.bincount(numbers).tolist() == [100] * 4


def test_numbers_of_no_more_values_than_bins_stay_as_they_are():
    code = Attribute(pd.Series([0, 1, 2] * 20), cut_numbers=True)

    assert Grouping.fit("s", code, bins=3, missing="error")[0].values.tolist() == [0, 1, 2]


def test_bins_that_are_all_alike_are_refused_with_the_value():
    children = Attribute(pd.Series([0] * 90 + [1, 2, 3] * 3), cut_numbers=True)

    with pytest.raises(ValueError, match=r"one value only in `bins=2`: most.* are 0\. Use more"):
        Grouping.fit("s", children, bins=2, missing="error")
