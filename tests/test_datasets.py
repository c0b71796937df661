"""The data sets against their published counts, their splits, and their licences."""

import hashlib
import re
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from bitveil.datasets import (
    compas,
    heritage_health,
    load_german_credit,
)
from bitveil.datasets.dataset import held_out, read_bundled
from bitveil.datasets.files import read_checked
from loaded_datasets import (
    Load,
    adult,
    all_violence,
    assert_split,
    bank,
    census,
    credit,
    crime,
    every_bundled_dataset,
    every_dataset,
    everybody,
    german,
    health,
    health_3,
    law,
    recidivism,
    toy,
    violence,
)

FILES = [
    "adult.data.gz",
    "adult.test.gz",
    "bank-full.csv.gz",
    "communities.data.gz",
    "credit-card-clients.csv.gz",
    "german.data.gz",
]

LABELS = ["income", "y", "risk", "two_year_recid", "pass_bar", "Charlson>0", "default payment"]


# Counts and base rates


@pytest.mark.parametrize(
    ("load", "rows", "columns", "rate"),
    [
        (adult, 48842, 14, 0.2393),
        (bank, 45211, 15, 0.1170),
        (german, 1000, 20, 0.7000),
        (crime, 1994, 122, 0.4980),
        (credit, 30000, 23, 0.2212),
        (census, 299285, 39, 0.0620),
        (recidivism, 6172, 9, 0.4551),
        (everybody, 7214, 9, 0.4507),
        (violence, 4020, 9, 0.1622),
        (all_violence, 4743, 9, 0.1634),
        (law, 20798, 11, 0.8897),
        (health, 171067, 132, 0.3160),
        (health_3, 55924, 132, 0.3369),
    ],
)
def test_size_and_base_rate(load: Load, rows: int, columns: int, rate: float) -> None:
    data = load()

    assert data.features.shape == (rows, columns)
    assert data.target.mean() == pytest.approx(rate, abs=5e-5)


@pytest.mark.parametrize(
    ("load", "name", "group", "size", "rate"),
    [
        (adult, "sex", "Female", 10771 + 5421, 0.1093),
        (adult, "sex", "Male", 21790 + 10860, 0.3038),
        (adult, "race", "White", 41762, 0.2540),
        (adult, "age_group", "25 to 60", 36804, 0.2919),
        (adult, "age_group", "under 25 or over 60", 12038, 0.0784),
        (bank, "marital", "married", 27214, 0.1012),
        (bank, "marital", "not married", 17997, 0.1408),
        (bank, "age_group", "25 to 60", 43214, 0.1060),
        (bank, "age_group", "under 25 or over 60", 1997, 0.3550),
        (german, "sex", "Female", 310, 0.6484),
        (german, "sex", "Male", 690, 0.7232),
        (german, "age_group", "25 or younger", 190, 0.5789),
        (german, "age_group", "over 25", 810, 0.7284),
        (census, "sex", "Female", 103984 + 51791, 0.0255),
        (census, "sex", "Male", 95539 + 47971, 0.1017),
        (crime, "black_share", "over 0.06", 970, 0.7289),
        (crime, "black_share", "0.06 or less", 1024, 0.2793),
        (credit, "sex", "Male", 11888, 0.2417),
        (credit, "sex", "Female", 18112, 0.2078),
        (recidivism, "race", "African-American", 3175, 0.5231),
        (recidivism, "race", "Caucasian", 2103, 0.3909),
        (recidivism, "sex", "Female", 1175, 0.3515),
        (recidivism, "sex", "Male", 4997, 0.4795),
        (everybody, "race", "African-American", 3696, 0.5143),
        (everybody, "race", "Caucasian", 2454, 0.3936),
        (all_violence, "race", "African-American", 2266, 0.2079),
        (all_violence, "race", "Caucasian", 1701, 0.1229),
        (law, "race", "White", 17491, 0.9213),
        (law, "race", "Non-White", 3307, 0.7230),
        (law, "sex", "Male", 11675, 0.8990),
        (law, "sex", "Female", 9123, 0.8779),
        (health, "age_group", "60 or older", 62063, 0.5744),
        (health, "age_group", "under 60", 109004, 0.1688),
        (health, "sex", "Male", 76450, 0.3253),
        (health, "sex", "Female", 94617, 0.3084),
    ],
)
def test_groups(load: Load, name: str, group: str, size: int, rate: float) -> None:
    members = load().sensitive[name] == group

    assert members.sum() == size
    assert load().target[members].mean() == pytest.approx(rate, abs=5e-5)


def test_adult_has_five_races() -> None:
    race = adult().sensitive["race"]

    assert set(race) == {"White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"}
    assert adult().target[race != "White"].mean() == pytest.approx(0.1525, abs=5e-5)


@pytest.mark.parametrize(
    ("official_test", "rows", "complete", "rate", "women", "rate_women", "rate_men"),
    [
        (False, 32561, 30162, 0.2408, 10771, 0.1095, 0.3057),
        (True, 16281, 15060, 0.2362, 5421, 0.1088, 0.2998),
    ],
)
def test_adult_official_split(
    official_test: bool,
    rows: int,
    complete: int,
    rate: float,
    women: int,
    rate_women: float,
    rate_men: float,
) -> None:
    data = adult()
    assert data.official_test is not None
    part = data.official_test == official_test

    assert len(data.features[part].dropna()) == complete
    assert_split(data, part, rows, rate, women, rate_women, rate_men)


def test_adult_without_missing_values() -> None:
    data = adult()
    complete = data.features.notna().all(axis=1)
    women = data.sensitive["sex"][complete] == "Female"

    assert complete.sum() == 45222
    assert data.target[complete].mean() == pytest.approx(0.2478, abs=5e-5)
    assert data.target[complete][women].mean() == pytest.approx(0.1136, abs=5e-5)
    assert data.target[complete][~women].mean() == pytest.approx(0.3125, abs=5e-5)


@every_dataset
def test_only_the_two_censuses_have_official_splits(load: Load) -> None:
    assert (load().official_test is not None) == (load in (adult, census))


# The fixed split


@every_dataset
def test_fixed_split_takes_three_in_ten(load: Load) -> None:
    data = load()

    if data.official_test is None:
        deviation = (data.test.mean() - 0.3) / np.sqrt(0.3 * 0.7 / len(data.test))
        assert abs(deviation) < 4
    assert data.test.dtype == bool
    assert np.array_equal(load().test, data.test)


def test_fixed_split_never_changes() -> None:
    first = [1, 2, 4, 11, 16, 20, 25, 27]

    assert np.flatnonzero(held_out(range(30))).tolist() == first
    assert held_out(range(100_000)).sum() == 30_053
    assert np.flatnonzero(german().test)[:8].tolist() == first


def test_fixed_split_depends_on_the_id_alone() -> None:
    ids = np.arange(500)
    side = held_out(ids)

    assert np.array_equal(held_out(ids[::-1]), side[::-1])
    assert np.array_equal(held_out(ids[100:200]), side[100:200])
    assert np.array_equal(held_out(np.repeat(ids, 2)), np.repeat(side, 2))
    assert np.array_equal(held_out(str(name) for name in ids), side)


def test_fixed_split_has_nothing_to_do_with_the_target() -> None:
    for data in (bank(), credit()):
        rates = [data.target[data.test == side].mean() for side in (True, False)]
        assert rates[0] == pytest.approx(rates[1], abs=0.015)


def test_official_split_comes_first_and_a_rule_of_the_loader_second() -> None:
    official, fixed = np.array([True, False, False]), np.array([False, True, False])

    assert toy(official_test=official, fixed_test=fixed).test is official
    assert toy(fixed_test=fixed).test is fixed
    assert np.array_equal(toy().test, held_out(range(3)))


def test_compas_filter_moves_nobody_to_the_other_side() -> None:
    some, every = recidivism(), everybody()
    kept = compas.propublica(compas.read_compas(read_checked(compas.GENERAL)), "score_text")

    assert np.array_equal(every.test[kept], some.test)
    assert every.features[kept].reset_index(drop=True).equals(some.features)


@pytest.mark.parametrize(
    ("load", "members"),
    [pytest.param(health, 92671, id="all"), pytest.param(health_3, 55924, id="year 3")],
)
def test_health_members_are_on_one_side(load: Load, members: int) -> None:
    data = load()
    sides = pd.Series(data.test).groupby(data.persons).nunique()

    assert len(sides) == members
    assert (sides == 1).all()


def test_health_year_moves_no_member_to_the_other_side() -> None:
    every, last = health(), health_3()
    file = read_checked(heritage_health.HERITAGE_FILE)
    members = pd.read_csv(file, usecols=["MemberID_t", "YEAR_t"])
    third = members["YEAR_t"] == "Y3"

    assert np.array_equal(every.test, held_out(members["MemberID_t"]))
    assert np.array_equal(every.test[third], last.test)
    assert every.persons is not None
    assert (every.persons.groupby(members["MemberID_t"]).nunique() == 1).all()


# What a data set promises


@every_dataset
def test_rows_line_up(load: Load) -> None:
    data = load()
    rows = pd.RangeIndex(len(data.features))

    for part in (data.features, data.target, data.sensitive):
        pd.testing.assert_index_equal(part.index, rows, exact=True)


@every_dataset
def test_target_is_zero_or_one_and_no_feature(load: Load) -> None:
    data = load()

    assert data.target.dtype == np.int64
    assert set(data.target) == {0, 1}
    assert not {data.target.name, *LABELS} & set(data.features)
    for column in data.features:
        assert data.target.groupby(data.features[column], dropna=False).nunique().max() == 2
        assert data.features[column].nunique() > 1


@every_dataset
def test_sensitive_is_complete_text(load: Load) -> None:
    data = load()

    assert not data.sensitive.isna().any(axis=None)
    assert all(isinstance(value, str) for value in data.sensitive.to_numpy().ravel())


@every_dataset
def test_text_is_clean(load: Load) -> None:
    for _, column in load().features.select_dtypes(exclude="number").items():
        values = column.dropna().unique().tolist()

        assert not {"?", "", "nan"} & set(values)
        assert values == [value.strip() for value in values]


def test_missing_values_are_nan() -> None:
    missing = adult().features.isna().sum()

    assert missing[missing > 0].to_dict() == {
        "workclass": 2799,
        "occupation": 2809,
        "native_country": 857,
    }
    for load in (bank, german, credit):
        assert not load().features.isna().any(axis=None)


@every_dataset
def test_what_is_stated_is_stated_and_nothing_else_is(load: Load) -> None:
    data = load()

    for name, columns in data.stated_by.items():
        groups = data.sensitive[name].groupby([data.features[column] for column in columns])
        assert groups.nunique().eq(1).all()

        for _, column in data.without(name).select_dtypes(exclude="number").items():
            assert data.sensitive[name].groupby(column).nunique().gt(1).any()


@pytest.mark.parametrize(
    ("load", "names", "dropped"),
    [
        (adult, ["sex"], {"sex"}),
        (adult, ["race"], {"race"}),
        (adult, ["age_group"], {"age"}),
        (adult, ["sex", "race", "sex"], {"sex", "race"}),
        (bank, ["marital"], {"marital"}),
        (bank, ["age_group"], {"age"}),
        (german, ["sex"], {"personal_status"}),
        (german, ["sex", "age_group"], {"personal_status", "age"}),
        (german, [], set()),
        (toy, ["age_group"], {"age", "retired"}),
        (toy, ["origin"], set()),
    ],
)
def test_without(load: Load, names: list[str], dropped: set[str]) -> None:
    data = load()
    kept = data.without(*names)

    assert set(data.features) - set(kept) == dropped
    pd.testing.assert_frame_equal(kept, data.features[[c for c in data.features if c in kept]])


def test_without_leaves_the_data_set_alone() -> None:
    data = toy()
    kept = data.without("age_group")
    kept["hours"] = 0

    assert data.features["hours"].tolist() == [20, 38, 0]


def test_loaders_share_nothing() -> None:
    features = load_german_credit().features
    features["age"] = 0

    assert load_german_credit().features["age"].min() == 19


# Files and licences


@pytest.mark.parametrize("name", FILES)
def test_notice_vouches_for_the_file(name: str) -> None:
    notice = files("bitveil.datasets").joinpath("files", "NOTICE.md").read_text("utf-8")
    content = read_bundled(name).read()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()

    assert f"`{name}`" in notice
    assert f"| `{name.removesuffix('.gz')}` | {digest} |" in notice


def test_no_file_without_notice() -> None:
    folder = files("bitveil.datasets").joinpath("files")

    assert sorted(entry.name for entry in folder.iterdir()) == sorted([*FILES, "NOTICE.md"])


@every_dataset
def test_source_and_licence_are_said(load: Load) -> None:
    data = load()

    assert data.origin is not None
    assert data.origin.licence
    assert re.search(r"https://[^\s,]+", data.origin.source)
    assert (data.origin.licence == "CC BY 4.0") == ("archive.ics.uci.edu" in data.origin.source)
    assert data.origin.source in data.origin.description
    assert data.origin.licence in data.origin.description


@every_bundled_dataset
def test_notice_names_the_source(load: Load) -> None:
    data = load()
    notice = files("bitveil.datasets").joinpath("files", "NOTICE.md").read_text("utf-8")

    assert data.origin is not None
    assert data.origin.licence == "CC BY 4.0"
    assert all(link in notice for link in re.findall(r"https://[^\s,]+", data.origin.source))
