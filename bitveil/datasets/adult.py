"""Adult, also known as Census Income: who earns more than 50,000 dollars a year."""

__all__ = ["load_adult"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, read_bundled

ADULT_COLUMNS = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
]
ADULT_ORIGIN = Origin(
    about=(
        "48,842 adults of the United States census of 1994. The target is an income above "
        "50,000 dollars a year"
    ),
    source=(
        "Adult, Barry Becker and Ronny Kohavi, UCI Machine Learning Repository, 1996, "
        "https://archive.ics.uci.edu/dataset/2/adult, https://doi.org/10.24432/C5XW20"
    ),
    licence="CC BY 4.0",
)


def load_adult() -> Dataset:
    """Load Adult: 48,842 rows, the official training split first, then the official test split.

    The target is 1 for an income above 50,000 dollars (24 %). The sensitive attributes are `sex`,
    `race` (five values) and `age_group` (25 to 60 years, both included, or outside).

    - The file of the test split begins with a line that is not a row, and its labels end in a dot.
      The loader removes both. `official_test` marks its 16,281 rows, after the 32,561 rows of the
      training split.
    - A question mark means missing, and becomes NaN, in `workclass`, `occupation` and
      `native_country`. 3,620 rows have at least one.
    - `fnlwgt` is the sampling weight of the census: how many people a row represents. It describes
      no person, but it was fitted to totals by state, age, sex, race and origin, so it can hint at
      these. It stays among the features.
    - `relationship` almost states the sex: a Husband is a man and a Wife a woman in all but four
      rows. It stays too, because most other values do not show the sex.

    Source: Adult, Barry Becker and Ronny Kohavi, 1996,
    https://archive.ics.uci.edu/dataset/2/adult (CC BY 4.0). The age groups are those of A survey
    on datasets for fairness-aware machine learning, Tai Le Quy et al., 2022,
    https://doi.org/10.1002/widm.1452

    Example:
        >>> adult = load_adult()
        >>> adult.features.shape, adult.base_rates("sex")
        ((48842, 14), {'Female': 0.1093, 'Male': 0.3038})
    """

    train, test = read_adult("adult.data.gz"), read_adult("adult.test.gz")
    rows = pd.concat([train, test], ignore_index=True)
    age_group = np.where(rows["age"].between(25, 60), "25 to 60", "under 25 or over 60")

    return Dataset(
        name="Adult",
        features=rows.drop(columns="income"),
        target=rows["income"].str.startswith(">50K").astype("int64").rename("income_above_50k"),
        sensitive=rows[["sex", "race"]].assign(age_group=age_group),
        stated_by={"sex": ("sex",), "race": ("race",), "age_group": ("age",)},
        official_test=np.arange(len(rows)) >= len(train),
        origin=ADULT_ORIGIN,
    )


def read_adult(name: str) -> pd.DataFrame:
    """Read one of the two files. Their comments begin with a bar.

    Example:
        >>> read_adult("adult.test.gz")["income"].unique().tolist()
        ['<=50K.', '>50K.']
    """

    return pd.read_csv(
        read_bundled(name),
        names=ADULT_COLUMNS,
        comment="|",
        skipinitialspace=True,
        na_values=["?"],
        keep_default_na=False,
    )


ADULT = Entry("adult", load_adult, "sex")
