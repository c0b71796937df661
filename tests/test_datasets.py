"""The data sets against their published counts, and the promises of `Dataset`."""

import dataclasses
import hashlib
import io
import pickle
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bitveil.datasets
from bitveil.datasets import (
    Dataset,
    census_income,
    compas,
    heritage_health,
    law_school,
    load_adult,
    load_bank_marketing,
    load_census_income,
    load_communities_crime,
    load_compas,
    load_credit_card,
    load_german_credit,
    load_heritage_health,
    load_law_school,
)
from bitveil.datasets.catalogue import entries, loaders
from bitveil.datasets.dataset import held_out, read_bundled
from bitveil.datasets.files import DataFile, read_checked, stored
from bitveil.datasets.german_credit import GERMAN_CODES

Load = Callable[[], Dataset]


def fetched(load: Load, *files: DataFile) -> Load:
    """A loader of files that do not come with bitveil: without them, what needs it is skipped."""

    @cache
    def load_or_skip() -> Dataset:
        absent = [file.name for file in files if stored(file) is None]
        if absent:
            pytest.skip(f"{', '.join(absent)}: not in BITVEIL_DATA or the cache folder")
        return load()

    return load_or_skip


adult, bank, german = cache(load_adult), cache(load_bank_marketing), cache(load_german_credit)
crime, credit = cache(load_communities_crime), cache(load_credit_card)
census = fetched(load_census_income, census_income.TRAIN, census_income.TEST)
recidivism = fetched(load_compas, compas.GENERAL)
everybody = fetched(partial(load_compas, propublica_filter=False), compas.GENERAL)
violence = fetched(partial(load_compas, violent=True), compas.VIOLENT)
all_violence = fetched(partial(load_compas, violent=True, propublica_filter=False), compas.VIOLENT)
law = fetched(load_law_school, law_school.LAW_FILE)
health = fetched(load_heritage_health, heritage_health.HERITAGE_FILE)
health_3 = fetched(partial(load_heritage_health, year=3), heritage_health.HERITAGE_FILE)
BUNDLED = [
    pytest.param(adult, id="adult"),
    pytest.param(bank, id="bank"),
    pytest.param(german, id="german"),
    pytest.param(crime, id="crime"),
    pytest.param(credit, id="credit"),
]
FETCHED = [
    pytest.param(census, id="census"),
    pytest.param(recidivism, id="compas"),
    pytest.param(everybody, id="compas, all"),
    pytest.param(violence, id="compas, violent"),
    pytest.param(law, id="law"),
    pytest.param(health, id="health"),
    pytest.param(health_3, id="health, year 3"),
]
every_dataset = pytest.mark.parametrize("load", BUNDLED + FETCHED)
every_bundled_dataset = pytest.mark.parametrize("load", BUNDLED)

FILES = [
    "adult.data.gz",
    "adult.test.gz",
    "bank-full.csv.gz",
    "communities.data.gz",
    "credit-card-clients.csv.gz",
    "german.data.gz",
]


LABELS = ["income", "y", "risk", "two_year_recid", "pass_bar", "Charlson>0", "default payment"]


def toy(**changes: object) -> Dataset:
    fields = {
        "name": "Toy",
        "features": pd.DataFrame(
            {"age": [19, 40, 70], "retired": [0, 0, 1], "hours": [20, 38, 0]}
        ),
        "target": pd.Series([0, 1, 0], name="hired"),
        "sensitive": pd.DataFrame(
            {"age_group": ["young", "old", "old"], "origin": ["a", "b", "a"]}
        ),
        "stated_by": {"age_group": ("age", "retired"), "origin": ()},
    }
    return Dataset(**(fields | changes))  # type: ignore[arg-type]


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
    target, female = data.target[part], data.sensitive["sex"][part] == "Female"

    assert part.sum() == rows
    assert len(data.features[part].dropna()) == complete
    assert target.mean() == pytest.approx(rate, abs=5e-5)
    assert female.sum() == women
    assert target[female].mean() == pytest.approx(rate_women, abs=5e-5)
    assert target[~female].mean() == pytest.approx(rate_men, abs=5e-5)


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


# The traps


def test_adult_weights_and_relationship_stay() -> None:
    features = adult().without("sex")
    married = features["relationship"].isin(["Husband", "Wife"])
    said = features["relationship"].map({"Husband": "Male", "Wife": "Female"})

    assert {"fnlwgt", "relationship"} <= set(features)
    assert (said[married] != adult().sensitive["sex"][married]).sum() == 4


def test_bank_duration_only_on_request() -> None:
    with_duration = load_bank_marketing(duration=True)

    assert "duration" not in bank().features
    assert with_duration.features.shape == (45211, 16)
    pd.testing.assert_frame_equal(with_duration.features.drop(columns="duration"), bank().features)
    assert with_duration.target[with_duration.features["duration"] == 0].sum() == 0


def test_bank_rate_rises_over_time() -> None:
    fifths = np.array_split(bank().target.to_numpy(), 5)

    assert [round(fifths[i].mean(), 2) for i in (0, -1)] == [0.03, 0.32]


def test_german_codes_are_decoded() -> None:
    features = german().features

    for name, codes in GERMAN_CODES.items():
        if codes:
            assert len(set(codes.values())) == len(codes)
            assert set(features[name]) <= set(codes.values())
    assert not features.isin([c for codes in GERMAN_CODES.values() for c in codes]).any(axis=None)
    assert features.select_dtypes("number").shape[1] == 7
    assert (features["personal_status"] == "female: single").sum() == 0


@pytest.mark.parametrize(
    ("official_test", "rows", "rate", "women", "rate_women", "rate_men"),
    [
        (False, 199523, 0.0621, 103984, 0.0256, 0.1017),
        (True, 99762, 0.0620, 51791, 0.0252, 0.1017),
    ],
)
def test_census_official_split(
    official_test: bool, rows: int, rate: float, women: int, rate_women: float, rate_men: float
) -> None:
    data = census()
    part = data.test == official_test
    target, female = data.target[part], data.sensitive["sex"][part] == "Female"

    assert data.test is data.official_test
    assert part.sum() == rows
    assert target.mean() == pytest.approx(rate, abs=5e-5)
    assert female.sum() == women
    assert target[female].mean() == pytest.approx(rate_women, abs=5e-5)
    assert target[~female].mean() == pytest.approx(rate_men, abs=5e-5)


def test_census_weights_are_no_feature() -> None:
    data = census()
    weights = data.weights

    assert weights is not None
    assert weights.between(37.87, 18656.30).all()
    assert not any(weights.equals(column) for _, column in data.features.items())
    assert not {"instance_weight", "year", "income"} & set(data.features)


def test_census_weights_add_up_to_the_people_of_a_year() -> None:
    data = census()
    in_1995 = data.features["migration_msa"].isna()

    # The people of the United States, in millions, without those in institutions or in service.
    assert data.weights is not None
    for year in (in_1995, ~in_1995):
        assert data.weights[year].sum() / 1e6 == pytest.approx(261, abs=3)


def test_census_year_only_on_request_and_stated_by_what_is_missing() -> None:
    missing = census().features.filter(like="migration_").isna()
    year = load_census_income(year=True).features["year"]

    assert missing.shape[1] == 4
    assert (missing.all(axis=1) == (year == 95)).all()
    assert (missing.any(axis=1) == (year == 95)).all()


def test_census_numbers_that_are_names_are_text() -> None:
    features = census().features

    assert set(features.select_dtypes("number")) == {
        "age",
        "wage_per_hour",
        "capital_gains",
        "capital_losses",
        "dividends",
        "persons_worked_for_employer",
        "weeks_worked",
    }
    assert (features["hispanic_origin"] == "NA").sum() == 1279


def test_census_missing_values_are_nan() -> None:
    missing = census().features.isna().sum()

    assert missing[missing > 0].to_dict() == {
        "previous_state": 1038,
        "migration_msa": 149642,
        "migration_region": 149642,
        "migration_within_region": 149642,
        "migration_sunbelt": 149642,
        "birth_country_father": 10142,
        "birth_country_mother": 9191,
        "birth_country_self": 5157,
    }


def test_census_rows_are_often_alike_and_mostly_of_children() -> None:
    data = census()
    rows = data.features.assign(target=data.target)
    hashes = pd.util.hash_pandas_object(rows, index=False)
    known = hashes[data.test].isin(hashes[~data.test])
    child = data.features["age"] < 15

    assert known.sum() == 26754
    assert child[data.test][known].mean() > 0.5
    assert 0.23 < child.mean() < 0.25
    assert data.target[child].sum() == 0


# Every column of the COMPAS files that names a person, says what came later, or is a score.
NAMES = "id name first last dob c_case_number r_case_number vr_case_number".split()
LATER = """
    is_recid r_charge_degree r_days_from_arrest r_offense_date r_charge_desc r_jail_in r_jail_out
    violent_recid is_violent_recid vr_charge_degree vr_offense_date vr_charge_desc start end event
    in_custody out_custody c_jail_in c_jail_out two_year_recid two_year_recid.1
""".split()
SCORES = """
    decile_score decile_score.1 score_text v_decile_score v_score_text screening_date
    compas_screening_date v_screening_date
""".split()


@pytest.mark.parametrize("load", [recidivism, everybody, violence, all_violence])
def test_compas_names_nobody_and_knows_nothing_of_later(load: Load) -> None:
    features = load().features

    assert list(features) == compas.FEATURES
    assert not {*NAMES, *LATER, *SCORES} & set(features)


def test_compas_never_reads_what_names_a_person() -> None:
    header = ["name", "dob", *compas.FEATURES, *compas.FILTER, "two_year_recid", "c_case_number"]
    content = ",".join(header) + "\n" + ",".join(["1"] * len(header)) + "\n"
    rows = compas.read_compas(io.BytesIO(content.encode()))

    assert set(rows) == {*compas.FEATURES, *compas.FILTER, "two_year_recid"}


def test_compas_filter_of_propublica() -> None:
    rows = pd.DataFrame(
        {
            "days_b_screening_arrest": [-30, 30, 31, -31, np.nan, 0, 0, 0, 0],
            "is_recid": [0, 1, 0, 0, 0, -1, 0, 0, 0],
            "c_charge_degree": ["F", "M", "F", "F", "F", "F", "O", "F", "F"],
            "score_text": ["Low", "High", "Low", "Low", "Low", "Low", "Low", "N/A", None],
        }
    )

    assert compas.propublica(rows, "score_text").tolist() == [True, True] + [False] * 7


def test_compas_two_races_alone() -> None:
    two = recidivism().sensitive["race"].isin(["African-American", "Caucasian"])

    assert two.sum() == 5278
    assert recidivism().target[two].mean() == pytest.approx(0.4704, abs=5e-5)
    assert recidivism().sensitive["race"].nunique() == 6


def test_crime_has_no_names_and_places() -> None:
    features = crime().features

    assert not {"state", "county", "community", "communityname", "fold"} & set(features)
    assert "ViolentCrimesPerPop" not in features
    assert features.select_dtypes("number").shape == features.shape
    assert features.min().min() == 0
    assert features.max().max() == 1


def test_crime_missing_values_are_nan() -> None:
    missing = crime().features.isna()
    police = missing.columns[missing.sum() == 1675]

    assert len(police) == 22
    assert (missing[police].all(axis=1) == missing[police].any(axis=1)).all()
    assert missing.drop(columns=police).sum().sum() == missing["OtherPerCap"].sum() == 1


def test_credit_codes_are_decoded() -> None:
    features = credit().features
    unknown = {
        name: features[name].str.startswith("not in the code book").sum()
        for name in ("SEX", "EDUCATION", "MARRIAGE")
    }

    assert unknown == {"SEX": 0, "EDUCATION": 14 + 280 + 51, "MARRIAGE": 54}
    assert (features == "not in the code book: 0").sum().sum() == 14 + 54
    assert features.select_dtypes("number").shape[1] == 20
    assert features["PAY_0"].mode().tolist() == [0]
    assert "PAY_1" not in features


def test_credit_rows_that_are_alike() -> None:
    rows = credit().features.assign(target=credit().target)

    assert rows.duplicated(keep=False).sum() == 70


def test_law_sex_goes_with_its_column() -> None:
    assert set(law().features) - set(law().without("sex")) == {"male"}
    assert set(law().features) - set(law().without("race")) == {"race"}


@pytest.mark.parametrize("load", [health, health_3])
def test_health_leaks_are_dropped(load: Load) -> None:
    features = load().features

    assert not [name for name in features if "Charlson" in name]
    assert not set(heritage_health.NO_FEATURE) & set(features)


def test_health_age_and_sex_go_with_their_columns() -> None:
    without = set(health().without("age_group", "sex"))

    assert not [name for name in without if name.startswith(("age", "sex"))]
    assert len(without) == 132 - 9 - 2


def test_health_some_conditions_give_the_target_away() -> None:
    data = health()
    conditions = data.features.filter(regex="^pcg") > 0
    always = [name for name in conditions if data.target[conditions[name]].min() == 1]

    assert always == ["pcg28", "pcg33", "pcg34", "pcg42"]


@pytest.mark.parametrize("year", [0, 4, "Y3"])
def test_health_has_three_years(year: object) -> None:
    with pytest.raises(ValueError, match="expects year 1, 2, 3 or None, got"):
        load_heritage_health(year=year)  # type: ignore[arg-type]


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


# The class


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        toy().name = "Other"  # type: ignore[misc]


def test_repr_prints_no_rows() -> None:
    assert repr(toy()) == (
        "<Dataset Toy: 3 rows, 3 features, target hired, sensitive age_group, origin>"
    )


def test_equality_is_identity() -> None:
    data = toy()

    assert data == data
    assert data != toy()
    assert len({data, toy()}) == 2


def test_pickles() -> None:
    copy = pickle.loads(pickle.dumps(toy()))

    pd.testing.assert_frame_equal(copy.features, toy().features)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="expects sensitive attributes of Adult") as raised:
        adult().without("sex", "gender")

    message = str(raised.value)
    assert "['sex', 'race', 'age_group']" in message
    assert "got ['gender']" in message
    assert "features.drop(columns=...)" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"target": pd.Series([0, 1], name="hired")},
        {"target": pd.Series([0, 1, 0], index=[1, 0, 2], name="hired")},
        {"sensitive": pd.DataFrame({"age_group": ["old"], "origin": ["a"]})},
        {"official_test": np.array([True, False])},
        {"fixed_test": np.array([True, False])},
        {"weights": pd.Series([1.0, 2.0])},
        {"persons": pd.Series([0, 0, 1], index=[2, 1, 0])},
    ],
)
def test_rows_that_do_not_line_up(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"all parts of Toy .* the same rows .* `reset_index"):
        toy(**changes)


@pytest.mark.parametrize(
    "stated_by",
    [
        {"age_group": ("age",)},
        {"age_group": ("age",), "origin": (), "sex": ()},
        {"age_group": ("birthday",), "origin": ()},
    ],
)
def test_stated_by_names_what_is_not_there(stated_by: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"for each of \['age_group', 'origin'\].* empty tuple"):
        toy(stated_by=stated_by)


# What the catalogue finds


def test_every_loader_is_a_name_of_the_package() -> None:
    names = dir(bitveil.datasets)

    assert names == sorted({"Dataset", *loaders()})
    assert all(callable(getattr(bitveil.datasets, name)) for name in names)
    assert {"load_adult", "fetch_mnist", "make_parity_trap", "make_resonance_search"} <= set(names)


def test_a_name_that_is_no_loader_is_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'load_nothing'"):
        _ = bitveil.datasets.load_nothing


def test_the_benchmark_finds_every_file_with_an_entry() -> None:
    assert {name: entry.sensitive for name, entry in entries().items()} == {
        "adult": "sex",
        "bank": "marital",
        "census": "sex",
        "communities": "black_share",
        "compas": "race",
        "credit": "sex",
        "german": "sex",
        "heritage": "age_group",
        "law": "race",
    }
    assert {name for name, entry in entries().items() if entry.files} == {
        "census",
        "compas",
        "heritage",
        "law",
    }


@every_bundled_dataset
def test_an_entry_names_a_sensitive_attribute_of_its_data_set(load: Load) -> None:
    data = load()
    (entry,) = [e for e in entries().values() if not e.files and e.load().name == data.name]

    assert entry.sensitive in data.sensitive


def test_a_new_file_is_found_without_an_entry_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new_world.py").write_text(
        "from bitveil.datasets.dataset import Entry\n"
        "__all__ = ['load_new_world']\n"
        "def load_new_world():\n"
        "    return 'loaded'\n"
        "NEW = Entry('new', load_new_world, 'group')\n"
    )
    monkeypatch.setattr(bitveil.datasets, "__path__", [*bitveil.datasets.__path__, str(tmp_path)])
    for found in (entries, loaders):
        found.cache_clear()
    try:
        assert bitveil.datasets.load_new_world() == "loaded"
        assert entries()["new"].sensitive == "group"
    finally:
        for found in (entries, loaders):
            found.cache_clear()
        sys.modules.pop("bitveil.datasets.new_world", None)
        vars(bitveil.datasets).pop("new_world", None)
