"""Census-Income (KDD): who has an income above 50,000 dollars, among people of every age."""

__all__ = ["load_census_income"]

import io

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin
from bitveil.datasets.files import DataFile, read_checked

CENSUS_COLUMNS = [
    "age",
    "class_of_worker",
    "industry_code",
    "occupation_code",
    "education",
    "wage_per_hour",
    "enrolled_in_education",
    "marital_status",
    "major_industry",
    "major_occupation",
    "race",
    "hispanic_origin",
    "sex",
    "labor_union_member",
    "reason_for_unemployment",
    "employment_status",
    "capital_gains",
    "capital_losses",
    "dividends",
    "tax_filer_status",
    "previous_region",
    "previous_state",
    "household_and_family",
    "household_summary",
    "instance_weight",
    "migration_msa",
    "migration_region",
    "migration_within_region",
    "same_house_a_year_ago",
    "migration_sunbelt",
    "persons_worked_for_employer",
    "family_members_under_18",
    "birth_country_father",
    "birth_country_mother",
    "birth_country_self",
    "citizenship",
    "own_business_code",
    "veterans_questionnaire",
    "veterans_benefits_code",
    "weeks_worked",
    "year",
    "income",
]
# Numbers that are names. They become text, so that industry 40 is not twice industry 20.
CODES = [name for name in CENSUS_COLUMNS if name.endswith("_code")]

CENSUS_ADDRESS = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld"
TRAIN = DataFile(
    name="kdd_census_income/census_income_1994_1995_train.csv.gz",
    md5="887f4dc410a99bc332bddbb0a4195b88",
    origin="it is census-income.data.gz of https://archive.ics.uci.edu/dataset/117",
    address=f"{CENSUS_ADDRESS}/census-income.data.gz",
)
TEST = DataFile(
    name="kdd_census_income/census_income_1994_1995_test.csv.gz",
    md5="b82952d217858365c8e597827e3e5468",
    origin="it is census-income.test.gz of https://archive.ics.uci.edu/dataset/117",
    address=f"{CENSUS_ADDRESS}/census-income.test.gz",
)
CENSUS_ORIGIN = Origin(
    about=(
        "299,285 people, children among them, of the Current Population Surveys of the "
        "United States of 1994 and 1995. The target is a total income above 50,000 "
        "dollars a year"
    ),
    source=(
        "Census-Income (KDD), donated by Terran Lane and Ronny Kohavi, UCI Machine "
        "Learning Repository, 2000, https://archive.ics.uci.edu/dataset/117, "
        "https://doi.org/10.24432/C5N30T"
    ),
    licence="CC BY 4.0",
)


def load_census_income(*, year: bool = False) -> Dataset:
    """Load Census-Income (KDD): 299,285 rows, the official training split first, then the test.

    The target is 1 for an income above 50,000 dollars (6.2 %). The sensitive attributes are `sex`
    and `race` (five values). The files do not come with bitveil. The loader looks for them in the
    folder `BITVEIL_DATA`, then in the cache folder, and then downloads them (9 MB).

    - The instance weight, the number of people a row represents, is in `weights` and not among the
      features. It comes from the design of the survey and says nothing else about the person.
    - `year`, of the survey, is a feature only on request: it says nothing about a person, and
      there are only two years. The other columns still state it, because the four `migration_`
      columns are missing in all rows of 1995 and in none of 1994.
    - A question mark means missing, and becomes NaN. It occurs in the `migration_` columns,
      `previous_state` and the three countries of birth. `Not in universe` means that the question
      does not apply, and `NA` in `hispanic_origin` is an answer: both stay values.
    - `industry_code`, `occupation_code`, `own_business_code` and `veterans_benefits_code` are
      numbers that name something. They become text.
    - Almost a quarter of the rows are people under 15 years. None of them has such an income.
      Always answering no gives an accuracy of 94 %.
    - Many rows are alike: 26,754 of the 99,762 test rows have a training row with equal features
      and an equal target, mostly of children. Give ids if equal rows must not share their draws.
    - `household_and_family` hints at the sex: six in seven spouses of a householder are women.

    Source: Census-Income (KDD), donated by Terran Lane and Ronny Kohavi, 2000,
    https://archive.ics.uci.edu/dataset/117 (CC BY 4.0).

    Arguments:
        year: Whether to keep the year of the survey among the features.

    Raises:
        FileNotFoundError: If a file is missing and cannot be downloaded.
        ValueError: If a file is the wrong one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(TRAIN) and stored(TEST):  # which this example does not download
        ...     assert load_census_income().features.shape == (299285, 39)
    """

    train, test = read_census(read_checked(TRAIN)), read_census(read_checked(TEST))
    rows = pd.concat([train, test], ignore_index=True)
    no_feature = ["income", "instance_weight"] if year else ["income", "instance_weight", "year"]

    return Dataset(
        name="Census-Income (KDD)",
        features=rows.drop(columns=no_feature),
        target=(rows["income"] == "50000+.").astype("int64").rename("income_above_50k"),
        sensitive=rows[["sex", "race"]].copy(),
        stated_by={"sex": ("sex",), "race": ("race",)},
        official_test=np.arange(len(rows)) >= len(train),
        origin=CENSUS_ORIGIN,
        weights=rows["instance_weight"],
    )


def read_census(content: io.BytesIO) -> pd.DataFrame:
    """Read one of the two files. Some values end in a space, which is removed.

    Example:
        >>> line = ", ".join(["7"] * 10 + ["?", "NA ", "Female"] + ["7"] * 28 + ["50000+."])
        >>> rows = read_census(io.BytesIO(line.encode()))
        >>> rows[["age", "race", "hispanic_origin", "own_business_code"]].to_dict("records")
        [{'age': 7, 'race': nan, 'hispanic_origin': 'NA', 'own_business_code': '7'}]
    """

    rows = pd.read_csv(
        content,
        names=CENSUS_COLUMNS,
        dtype=dict.fromkeys(CODES, "str"),
        skipinitialspace=True,
        na_values=["?"],
        keep_default_na=False,
    )
    text = rows.select_dtypes(exclude="number").columns
    rows[text] = rows[text].apply(lambda column: column.str.strip())

    return rows


CENSUS = Entry("census", load_census_income, "sex", files=(TRAIN, TEST))
