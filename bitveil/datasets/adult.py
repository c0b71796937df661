"""Adult, also known as Census Income: who earns more than 50,000 dollars a year."""

__all__ = ["load_adult"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, read_bundled

COLUMNS = [
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
SOURCE = (
    "Adult, Barry Becker and Ronny Kohavi, UCI Machine Learning Repository, 1996, "
    "https://archive.ics.uci.edu/dataset/2/adult, https://doi.org/10.24432/C5XW20"
)
LICENCE = "CC BY 4.0"
DESCRIPTION = (
    "48,842 adults of the United States census of 1994; the target is an income above 50,000 "
    f"dollars a year. Source: {SOURCE}. Licence: {LICENCE}."
)


def load_adult() -> Dataset:
    """Load Adult: 48,842 rows, the official training split first, then the official test split.

    The target is 1 for an income above 50,000 dollars (24 %). Sensitive are `sex`, `race` (five
    values) and `age_group` (25 to 60 years, both included, or outside).

    - The file of the test split opens with a line that is no row, and its labels end in a dot.
      Both are dealt with, and `official_test` marks its 16,281 rows behind the 32,561 of training.
    - A question mark means missing and is read as NaN, in `workclass`, `occupation` and
      `native_country`: 3,620 rows have at least one.
    - `fnlwgt` is the sampling weight of the census, the number of people a row stands for, and
      nothing about the person; it was fitted to totals by state, age, sex, race and origin, so it
      can hint at these. It stays among the features.
    - `relationship` nearly states the sex: a Husband is a man and a Wife a woman in all but four
      rows. It stays as well, since most other rows leave the sex open.

    Source: Adult, Barry Becker and Ronny Kohavi, 1996,
    https://archive.ics.uci.edu/dataset/2/adult (CC BY 4.0). The age groups are those of A survey
    on datasets for fairness-aware machine learning, Tai Le Quy et al., 2022,
    https://doi.org/10.1002/widm.1452

    Example:
        >>> adult = load_adult()
        >>> adult.features.shape
        (48842, 14)
        >>> adult.target.groupby(adult.sensitive["sex"]).mean().round(4).to_dict()
        {'Female': 0.1093, 'Male': 0.3038}
    """

    train, test = read_split("adult.data.gz"), read_split("adult.test.gz")
    rows = pd.concat([train, test], ignore_index=True)
    age_group = np.where(rows["age"].between(25, 60), "25 to 60", "under 25 or over 60")

    return Dataset(
        name="Adult",
        features=rows.drop(columns="income"),
        target=rows["income"].str.startswith(">50K").astype("int64").rename("income_above_50k"),
        sensitive=rows[["sex", "race"]].assign(age_group=age_group),
        stated_by={"sex": ("sex",), "race": ("race",), "age_group": ("age",)},
        official_test=np.arange(len(rows)) >= len(train),
        description=DESCRIPTION,
        source=SOURCE,
        licence=LICENCE,
    )


def read_split(name: str) -> pd.DataFrame:
    """Read one of the two files, whose comments begin with a bar.

    Example:
        >>> read_split("adult.test.gz")["income"].unique().tolist()
        ['<=50K.', '>50K.']
    """

    return pd.read_csv(
        read_bundled(name),
        names=COLUMNS,
        comment="|",
        skipinitialspace=True,
        na_values=["?"],
        keep_default_na=False,
    )
