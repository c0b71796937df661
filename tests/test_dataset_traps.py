"""The traps in each data set: leaks, codes, missing values, and rows that are alike."""

import io

import numpy as np
import pandas as pd
import pytest

from bitveil.datasets import (
    compas,
    heritage_health,
    load_bank_marketing,
    load_census_income,
    load_heritage_health,
)
from bitveil.datasets.german_credit import GERMAN_CODES
from loaded_datasets import (
    Load,
    adult,
    all_violence,
    assert_split,
    bank,
    census,
    credit,
    crime,
    everybody,
    german,
    health,
    health_3,
    law,
    recidivism,
    violence,
)


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

    assert data.test is data.official_test
    part = data.test == official_test
    assert_split(data, part, rows, rate, women, rate_women, rate_men)


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
