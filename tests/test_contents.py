"""Contents: without a target, the columns of a table are what a code tells."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import brute
from bitveil.batches import Batch
from bitveil.columns.contents import column_classes
from bitveil.columns.kinds import Kinds
from bitveil.datasets import load_adult
from bitveil.estimators import InvariantEncoder
from bitveil.models import load
from bitveil.tasks import task_column, task_contents
from builders import KEY, quick
from worlds import random_rows

encoder = partial(quick, InvariantEncoder, hidden=(16,), epochs=60, batch_size=400, key=KEY)


def classes_of(values, **settings):
    """The classes of one column, or None where it is left out beside another one."""

    table = pd.DataFrame({"other": np.arange(len(values)) % 2, "column": values}, **settings)
    labels = column_classes(Kinds.fit(table).read(table)).labels

    return labels[:, 1] if labels.shape[1] == 2 else None


# Columns as classes


def test_numbers_are_cut_at_quantiles():
    numbers = np.random.default_rng(0).normal(size=800)
    expected = pd.qcut(numbers, 8, labels=False)

    np.testing.assert_array_equal(classes_of(numbers), expected)
    np.testing.assert_array_equal(classes_of(-numbers), 7 - expected)
    np.testing.assert_array_equal(classes_of([f"{number:.17g}" for number in numbers]), expected)


def test_few_numbers_are_classes_of_their_own():
    numbers = np.random.default_rng(0).choice(
        [-3.5, 0.0, 1.0, 7.0], size=200, p=[0.01, 0.9, 0.05, 0.04]
    )

    np.testing.assert_array_equal(
        classes_of(numbers), np.searchsorted(np.unique(numbers), numbers)
    )


def test_a_number_that_is_mostly_the_least_is_told_from_all_others():
    gains = np.r_[np.zeros(950), np.arange(50) + 1.0]

    np.testing.assert_array_equal(classes_of(gains), gains > 0)


@pytest.mark.parametrize(
    "column",
    [
        np.r_[np.arange(400.0), [np.nan] * 100],
        np.r_[["a", "b"] * 200, [None] * 100],
        pd.Series(np.r_[["a", "b"] * 200, [None] * 100], dtype="category"),
        pd.Series(pd.date_range("2020", periods=400)).reindex(range(500)),
        pd.Series([2**60 + 1024 * i for i in range(400)], dtype=object).reindex(range(500)),
        pd.array([True, False] * 200 + [pd.NA] * 100, dtype="boolean"),
    ],
    ids=["numbers", "words", "categories", "times", "large integers", "truths"],
)
def test_missing_values_are_one_class(column):
    found = classes_of(column)

    assert len(np.unique(found[400:])) == 1
    assert not np.isin(found[400], found[:400])
    assert len(np.unique(found[:400])) in (2, 8)


def test_times_and_large_integers_are_cut_like_numbers():
    order = np.random.default_rng(0).permutation(400)
    numbers = classes_of(order.astype(float))
    large = pd.Series([2**60 + 2**20 * int(i) for i in order], dtype=object)

    np.testing.assert_array_equal(
        classes_of(pd.Timestamp("2020") + pd.to_timedelta(order, "D")), numbers
    )
    np.testing.assert_array_equal(classes_of(large), numbers)


def test_of_many_words_the_most_frequent_are_classes():
    rng = np.random.default_rng(0)
    words = np.repeat([f"word {j}" for j in range(100)], np.arange(100) + 5)
    found = classes_of(rng.permutation(words))

    assert found.max() == 49
    sizes = np.sort(np.bincount(found))
    np.testing.assert_array_equal(sizes[:-1], np.arange(51, 100) + 5)  # the last are all others


@pytest.mark.parametrize(
    "column",
    [
        [f"person {i}" for i in range(100)],
        ["same"] * 100,
        [3.0] * 100,
        [None] * 100,
        [np.nan] * 100,
    ],
    ids=["names", "one word", "one number", "nothing", "no number"],
)
def test_columns_that_tell_no_rows_apart_are_left_out(column):
    assert classes_of(column) is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (np.ones((20, 2)), "the code has nothing to tell"),
        (np.zeros((20, 4, 4)), r"images, which have no columns. Use `task='reconstruction'`"),
    ],
    ids=["equal rows", "images"],
)
def test_tables_without_contents_are_refused(table, said):
    with pytest.raises(ValueError, match=said):
        encoder(task="columns").fit(table, sensitive_features=[0, 1] * 10)


# A code for the columns


def test_the_task_is_the_share_of_each_column_that_the_code_tells():
    logits, first = random_rows(n=40, m=3)
    second = torch.arange(40) % 2
    both = torch.stack([first, second], 1)
    batch = Batch(logits, second, second, both, n_groups=2, n_strata=2, n_labels=(3, 2))
    told = [brute.mutual_information(brute.table(logits, *of)) for of in ((first, 3), (second, 2))]
    sizes = np.bincount(first) / 40
    entropies = [-(sizes * np.log(sizes)).sum(), np.log(2)]

    assert task_contents(batch).item() == pytest.approx(-sum(np.divide(told, entropies)))
    assert task_column(batch).item() == pytest.approx(task_contents(batch).item() / 2)


def people(n=1200, seed=0):
    """A ward that is independent of sex, its floor, a note of sex, and a number for each row."""

    rng = np.random.default_rng(seed)
    sex, ward = rng.integers(2, size=n), rng.integers(4, size=n)
    table = pd.DataFrame(
        {
            "ward": np.array(["east", "north", "south", "west"])[ward],
            "floor": 10.5 * ward,
            "title": np.where(sex == 1, "Mr", "Ms"),
            "lot": rng.normal(size=n),
            "year": 2026,
        }
    )

    return table, ward, np.where(sex == 1, "m", "f")


class Blank(torch.nn.Module):
    """A network that gives every row the same code."""

    def __init__(self):
        super().__init__()
        self.logit = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.logit.expand(len(x), 2)


def guessed(code, column):
    """The share of the rows whose most frequent value for their code is their own."""

    return pd.crosstab(code, column).max(axis=1).sum() / len(column)


@pytest.mark.parametrize("n_bits", [2, 17])
@pytest.mark.filterwarnings("ignore:Column 'title' tells")
def test_a_code_without_a_target_tells_its_columns_and_hides_the_attribute(n_bits):
    X, ward, sex = people()
    model = encoder(n_bits=n_bits, strength=5.0).fit(X, sensitive_features=sex)
    code = model.transform(X)[:, :6] @ 2 ** np.arange(min(6, n_bits))

    assert guessed(code, ward) > 0.9
    assert guessed(code, sex) < 0.6
    assert model.path_[0].score is None
    assert not model.remarks_[1:]
    assert model.price_ is None


@pytest.mark.filterwarnings("ignore:Values that were not fitted")
def test_a_code_tells_more_of_new_rows_than_a_reconstruction_does():
    data = load_adult()
    rows = np.random.default_rng(0).permutation(len(data.features))[:3000]
    X, sex = data.without("sex").iloc[rows], data.sensitive["sex"].iloc[rows]
    columns = pd.DataFrame(column_classes(X).labels[1500:])
    gains = []
    for task in ("auto", "reconstruction"):
        model = encoder(n_bits=4, strength=1.0, task=task, epochs=20)
        model.fit(X[:1500], sensitive_features=sex[:1500])
        code = model.transform(X[1500:]) @ [8, 4, 2, 1]
        gains.append(
            np.mean([guessed(code, each) - guessed(0 * code, each) for _, each in columns.items()])
        )

    assert gains[0] > 0.04
    assert gains[0] > 2 * gains[1]
    assert model.path_[0].score is not None


def test_a_fit_without_a_target_is_saved_audited_and_described(tmp_path):
    X, _, sex = people(600)
    X = X.drop(columns="title")
    X.loc[::7, ["ward", "lot"]] = np.nan
    model = encoder(max_gap=0.2, epochs=10)
    model.fit(X, sensitive_features=sex, ids=range(600))
    model.save(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")
    with pytest.warns(UserWarning, match="were not fitted.*attic"):
        new = loaded.transform(X.assign(ward="attic"))
    found = loaded.audit(X, sensitive_features=sex, ids=range(600, 1200))

    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert new.shape == model.transform(X).shape
    assert loaded.schema_.target.kinds == ()
    assert found.target is None
    assert not loaded.decoder_.tables
    assert not any("target" in said for said in (*model.remarks_, *found.notes))


def test_codes_that_tell_nothing_are_said_to_be_of_no_use():
    X, _, sex = people(400)
    model = encoder(n_bits=2, strength=0.0, epochs=1, encoder=Blank())
    (said,) = model.fit(X[["ward", "lot"]], sensitive_features=sex).remarks_

    assert said.startswith("The codes say next to nothing about the columns.")
