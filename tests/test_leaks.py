"""Leaks at the door: a column that tells the attribute is named, and no other one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from bitveil import leaks as door
from bitveil.datasets import load_adult
from bitveil.leaks import Leak, leak_of, leaks, look_alikes, spelled
from bitveil.models import InvariantClassifier
from bitveil.schema import Schema
from builders import fit_words, quick


def read(X, s, y=None, missing="error"):
    """A schema of these columns, and what a fit knows of its rows."""

    schema, table, labels, _, groups = Schema.fit(
        X,
        y,
        s,
        targets="auto",
        bins=4,
        missing_target="error",
        missing_sensitive=missing,
    )

    return schema, SimpleNamespace(table=table, s=groups, labels=labels)


def found(X, s, **settings):
    """The columns that tell, with the attributes that they tell."""

    schema, sample = read(X, s, **settings)

    return {(leak.column, leak.attribute) for leak in leaks(schema, sample, np.arange(len(X)))}


def closing(part, labels, rng):
    """A noisy copy of two equally frequent groups that closes this part of the way to 1."""

    wrong = rng.permutation(len(labels))[: round(len(labels) * (1 - part) / 2)]
    copy = labels.copy()
    copy[wrong] = 1 - copy[wrong]

    return copy


def guessed_one_by_one(values, labels):
    """The share of rows that are guessed right, each from the others, written out."""

    sizes = np.bincount(labels)
    right = 0
    for row in range(len(labels)):
        others = (values == values[row]) & (np.arange(len(labels)) != row)
        counts = np.bincount(labels[others], minlength=len(sizes))
        tied = np.flatnonzero(counts == counts.max())
        guess = tied[0] if len(tied) == 1 else sizes.argmax()
        right += guess == labels[row]

    return right / len(labels)


@pytest.mark.parametrize(
    "recoded",
    [
        lambda s: s,
        lambda s: np.where(s == "f", 2, 1),
        lambda s: s == "f",
        lambda s: np.where(s == "f", "Frau", "Mann").astype(object),
        lambda s: pd.Categorical(s),
        lambda s: np.where(s == "f", pd.Timestamp("2020-01-01"), pd.Timestamp("2021-01-01")),
        lambda s: np.where(s == "f", None, "beard").astype(object),
        lambda s: np.where(s == "f", np.nan, 1.5),
    ],
    ids="copy numbers truths words categories dates missing missing-number".split(),
)
def test_a_copy_is_found_in_any_form(recoded):
    s = np.tile(["f", "m", "m"], 60)
    X = pd.DataFrame({"copy": recoded(s), "other": np.arange(180) % 7})

    assert found(X, pd.Series(s, name="sex")) == {("column 'copy'", "'sex'")}


def test_an_array_has_numbers_for_names():
    s = np.tile([0, 1, 1], 60)

    assert found(np.stack([np.arange(180) % 7, 5 - s], 1), s) == {
        ("column 1", "the sensitive attribute")
    }


def test_numbers_that_hardly_repeat_tell_by_what_is_near():
    rng = np.random.default_rng(0)
    age = rng.uniform(18, 90, size=400)
    X = pd.DataFrame({"born": 2020 - age, "income": rng.normal(size=400)})
    schema, sample = read(X, pd.Series(age, name="age"))
    (leak,) = leaks(schema, sample, np.arange(400))

    assert leak.column == "column 'born'"
    assert leak.similar
    assert "with a similar value" in str(leak)


def test_each_of_several_attributes_is_told_alone():
    rng = np.random.default_rng(0)
    s = pd.DataFrame({"sex": rng.choice(["f", "m"], 400), "old": rng.integers(2, size=400)})
    X = pd.DataFrame({"a": s["old"] * 3, "b": rng.integers(3, size=400), "c": s["sex"] == "f"})

    assert found(X, s) == {("column 'a'", "'old'"), ("column 'c'", "'sex'")}


def test_missing_groups_count_as_a_group():
    s = np.array([None, "m", "m"] * 60, dtype=object)
    X = pd.DataFrame({"asked": np.tile([0, 1, 1], 60), "other": np.arange(180) % 7})

    assert found(X, pd.Series(s, name="sex"), missing="group") == {("column 'asked'", "'sex'")}


def test_images_are_not_looked_at():
    schema, sample = read(np.zeros((6, 4, 4)) + np.arange(6)[:, None, None], np.tile([0, 1], 3))

    assert leaks(schema, sample, np.arange(6)) == []


def test_the_guesses_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    for _ in range(40):
        n, k = int(rng.integers(5, 60)), int(rng.integers(2, 4))
        labels = np.append(np.arange(k), rng.integers(k, size=n))
        values = rng.integers(int(rng.integers(1, n)), size=n + k)
        table = np.zeros((n + k, k), dtype=np.int64)
        np.add.at(table, (values, labels), 1)
        right = door._guessed_right(table, table.sum(0)) / len(labels)
        sure = guessed_one_by_one(values, labels)
        # Where groups tie that are not the largest, the loop may be right by luck.
        assert right <= sure + 1e-12
        assert k > 2 or right == pytest.approx(sure)


def test_the_chance_of_a_table_is_hypergeometric():
    table = np.array([[7, 2], [1, 12]])
    chance = hypergeom.pmf(7, 22, 8, 9)

    assert np.exp(door._log_chance(table)) == pytest.approx(chance)


def test_names_and_the_order_of_values_do_not_matter():
    rng = np.random.default_rng(2)
    labels = rng.integers(2, size=300)
    values = np.where(rng.random(300) < 0.97, labels + 2 * rng.integers(4, size=300), 8)
    mixed = rng.permutation(9)[values]
    order = rng.permutation(300)

    assert leak_of(values, labels) is not None
    assert leak_of(mixed, labels) == leak_of(values, labels)
    assert leak_of(values[order], labels[order]) == leak_of(values, labels)


def test_the_threshold_has_two_sides():
    rng = np.random.default_rng(3)
    labels = np.tile([0, 1], 500)
    above, below = (closing(door.TELLS + d, labels, rng) for d in (0.02, -0.02))

    right, without = leak_of(above, labels)
    assert (right, without) == (0.96, 0.5)
    assert leak_of(below, labels) is None


@pytest.mark.parametrize("values", [2, 40, 400])
def test_independent_columns_are_never_named(values):
    rng = np.random.default_rng(values)
    for _ in range(500):
        n = int(rng.choice([8, 20, 60, 300]))
        labels = np.append([0, 1], rng.random(n) < rng.choice([0.05, 0.3, 0.5])).astype(np.int64)
        assert leak_of(rng.integers(values, size=n + 2), labels) is None


def test_independent_numbers_are_never_named_by_their_bins():
    rng = np.random.default_rng(6)
    for _ in range(100):
        n = int(rng.choice([12, 40, 300]))
        column, labels = pd.Series(rng.normal(size=n)), rng.integers(2, size=n)
        assert all(leak_of(values, labels) is None for values in door._read_values(column))


def test_without_the_bound_on_chance_small_worlds_give_false_alarms(monkeypatch):
    monkeypatch.setattr(door, "CHANCE", 1.0)
    rng = np.random.default_rng(4)
    alarms = [
        leak_of(rng.integers(2, size=6), np.append([0, 0, 1], rng.integers(2, size=3)))
        for _ in range(300)
    ]

    assert sum(alarm is not None for alarm in alarms) > 3


def test_guesses_from_the_row_itself_would_name_every_column_of_names():
    labels, names = np.tile([0, 1], 200), np.arange(400)
    table = np.zeros((400, 2), dtype=np.int64)
    table[names, labels] = 1

    assert table.max(1).sum() == len(labels)  # each row guessed from itself as well
    assert leak_of(names, labels) is None


def test_adult_has_its_sex_and_no_other_column_for_it():
    adult = load_adult()
    X = adult.features[["sex", "relationship", "marital_status", "fnlwgt", "age"]]

    assert found(X, adult.features["sex"]) == {("column 'sex'", "'sex'")}


def test_a_sentence_says_what_was_guessed():
    leak = Leak("column 'gender'", "'sex'", 0.999, 0.669, 22792)

    assert str(leak) == (
        "Column 'gender' tells 'sex': guessed from other rows with the same value, 99.9% of 22792 "
        "rows are right, and 66.9% without it. If it only states 'sex' in other words, drop it."
    )


def test_a_fit_warns_and_remarks_on_the_rows_that_do_not_certify():
    rng = np.random.default_rng(5)
    s = rng.choice(["f", "m"], 400)
    X = pd.DataFrame({"a": rng.normal(size=400), "gender": np.where(s == "f", 1, 2)})
    model = quick(InvariantClassifier, 2, epochs=1)
    with pytest.warns(UserWarning, match="Column 'gender' tells 'sex'"):
        model.fit(X, rng.integers(2, size=400), sensitive_features=pd.Series(s, name="sex"))

    (said,) = (said for said in model.remarks_ if "'gender' tells" in said)
    assert "100.0% of 400 rows are right" in said

    model = quick(InvariantClassifier, 2, epochs=1, max_gap=0.5)
    with pytest.warns(UserWarning, match="Column 'gender' tells 'sex'"):
        model.fit(X, X["a"] > 0, sensitive_features=pd.Series(s, name="sex"))
    known = len(model.rows_["fit"]) + len(model.rows_["select"])
    assert any(f"of {known} rows are right" in said for said in model.remarks_)
    assert known < 400


def test_too_many_rows_are_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(door, "MOST_CHECKED", 50)
    s = np.tile([0, 1], 100)
    schema, sample = read(pd.DataFrame({"copy": s}), s)
    (leak,) = leaks(schema, sample, np.arange(200))

    assert leak.n_rows == 50


# Spelling


def said_of(s, y=None):
    schema, sample = read(pd.DataFrame({"a": np.arange(len(s))}), s, y)

    return look_alikes(schema, sample)


def test_groups_that_differ_by_spelling_are_named_with_their_sizes():
    s = pd.Series(["Male"] * 5 + ["male "] * 3 + ["female"] * 4 + ["ＭＡＬＥ"] * 2, name="sex")
    (said,) = said_of(s)

    assert said.startswith("'sex' has groups that look alike: 'Male' (5 rows), 'male ' (3 rows)")
    assert "'ＭＡＬＥ' (2 rows)" in said
    assert "female" not in said


def test_classes_of_the_target_are_compared_too():
    y = pd.Series(["yes", "Yes", "no", "no"], name="hired")

    (said,) = said_of(pd.Series(["a", "b", "a", "b"]), y)
    assert said.startswith("'hired' has classes that look alike: 'Yes' (1 row), 'yes' (1 row).")


def test_each_of_several_columns_is_compared_alone():
    s = pd.DataFrame({"sex": ["f", "F", "f", "m"], "ward": ["1", "2", "2", "1"]})

    assert len(said_of(s)) == 1


@pytest.mark.parametrize("pair", [("a", "b"), ("co-op", "coop"), ("1", "01"), ("é", "e")])
def test_other_differences_are_not_spelling(pair):
    assert said_of(pd.Series([*pair, *pair])) == []
    assert spelled(pair[0]) != spelled(pair[1])


def test_numbers_have_no_spelling():
    assert said_of(np.array([1, 2, 1, 2])) == []


def test_a_fit_warns_before_it_refuses_a_group_of_one_row():
    s = ["m"] * 60 + ["f"] * 59 + ["F"]
    model = quick(InvariantClassifier, 2, max_gap=0.2)
    with (
        pytest.warns(UserWarning, match=r"groups that look alike: 'F' \(1 row\), 'f' \(59 rows"),
        pytest.raises(ValueError, match="too few rows"),
    ):
        model.fit(np.arange(120.0).reshape(-1, 1), np.tile([0, 1], 60), sensitive_features=s)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_command_line_says_a_leak_once_and_early(bitveil, place, table, form):
    table.assign(title="of " + table["sex"]).to_csv("titles.csv", index=False)
    code, out, err = bitveil(*fit_words("titles.csv", "new", "--bits", "1", *form))

    assert code == 0
    assert err.count("'title' tells 'sex'") == 1
    assert out.count("'title' tells 'sex'") == (1 if form else 0)  # programs read the JSON alone


@pytest.mark.filterwarnings("ignore")
def test_a_leak_that_was_no_note_is_said_at_the_end(bitveil, place, table):
    table.assign(title="of " + table["sex"]).to_csv("titles.csv", index=False)
    _, out, err = bitveil(*fit_words("titles.csv", "new", "--bits", "1"))

    assert out.count("'title' tells 'sex'") == 1
    assert err == ""
