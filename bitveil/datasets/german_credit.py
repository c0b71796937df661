"""German Credit: which customers of a bank in southern Germany were good credit risks."""

__all__ = ["load_german_credit"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, read_bundled

# The columns in file order, with the meaning of each code. Columns of numbers have no codes.
GERMAN_CODES: dict[str, dict[str, str]] = {
    "checking_account": {
        "A11": "below 0 DM",
        "A12": "0 to 200 DM",
        "A13": "200 DM or more, or salary assigned for a year",
        "A14": "none",
    },
    "duration_months": {},
    "credit_history": {
        "A30": "no credits taken, or all paid back duly",
        "A31": "all credits at this bank paid back duly",
        "A32": "existing credits paid back duly till now",
        "A33": "delay in paying off in the past",
        "A34": "critical account, or credits at other banks",
    },
    "purpose": {
        "A40": "new car",
        "A41": "used car",
        "A42": "furniture or equipment",
        "A43": "radio or television",
        "A44": "domestic appliances",
        "A45": "repairs",
        "A46": "education",
        "A47": "vacation",
        "A48": "retraining",
        "A49": "business",
        "A410": "other",
    },
    "credit_amount": {},
    "savings": {
        "A61": "below 100 DM",
        "A62": "100 to 500 DM",
        "A63": "500 to 1000 DM",
        "A64": "1000 DM or more",
        "A65": "unknown or none",
    },
    "employed_since": {
        "A71": "unemployed",
        "A72": "less than 1 year",
        "A73": "1 to 4 years",
        "A74": "4 to 7 years",
        "A75": "7 years or more",
    },
    "installment_rate": {},
    "personal_status": {
        "A91": "male: divorced or separated",
        "A92": "female: divorced, separated or married",
        "A93": "male: single",
        "A94": "male: married or widowed",
        "A95": "female: single",
    },
    "other_debtors": {
        "A101": "none",
        "A102": "co-applicant",
        "A103": "guarantor",
    },
    "residence_since": {},
    "property": {
        "A121": "real estate",
        "A122": "building society savings or life insurance",
        "A123": "car or other",
        "A124": "unknown or none",
    },
    "age": {},
    "other_installment_plans": {
        "A141": "bank",
        "A142": "stores",
        "A143": "none",
    },
    "housing": {
        "A151": "rented",
        "A152": "owned",
        "A153": "for free",
    },
    "existing_credits": {},
    "job": {
        "A171": "unemployed, or unskilled and not resident",
        "A172": "unskilled and resident",
        "A173": "skilled employee or official",
        "A174": "manager, self-employed or highly qualified",
    },
    "people_liable": {},
    "telephone": {
        "A191": "none",
        "A192": "registered",
    },
    "foreign_worker": {
        "A201": "yes",
        "A202": "no",
    },
    "risk": {},
}
GERMAN_ORIGIN = Origin(
    about=(
        "1,000 customers of a German bank who got a credit. The target is a good credit "
        "risk. The sex is read from a code book known to be wrong about it"
    ),
    source=(
        "Statlog (German Credit Data), Hans Hofmann, UCI Machine Learning Repository, "
        "1994, https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data, "
        "https://doi.org/10.24432/C5NC77"
    ),
    licence="CC BY 4.0",
)


def load_german_credit() -> Dataset:
    """Load German Credit: 1,000 rows and 20 columns, codes replaced by their meaning.

    The target is 1 for a good credit risk (70 %). The sensitive attributes are `sex` and
    `age_group` (over 25 years or not).

    - There is no column for the sex. `personal_status` contains it, so drop that column to hide
      the sex.
    - The code book is wrong in several columns. In `personal_status` the women who are not single
      share a code with single men. So `sex` is what the field has read from this file for decades,
      and not the sex of these people. Use the data to compare methods, not for statements about
      people. See South German Credit Data: Correcting a Widely Used Data Set, Ulrike Grömping,
      2019, Report 4/2019, Beuth University of Applied Sciences Berlin.
    - With 1,000 rows, 190 of them young, differences of a few points between methods are noise.
    - Three in ten rows are bad risks because of how the sample was drawn. The bank had fewer.

    Source: Statlog (German Credit Data), Hans Hofmann, 1994,
    https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data (CC BY 4.0).

    Example:
        >>> german = load_german_credit()
        >>> german.features.shape, german.base_rates("sex")
        ((1000, 20), {'Female': 0.6484, 'Male': 0.7232})
    """

    rows = read_german()
    sex = np.where(rows["personal_status"].str.startswith("female"), "Female", "Male")
    age_group = np.where(rows["age"] > 25, "over 25", "25 or younger")

    return Dataset(
        name="German Credit",
        features=rows.drop(columns="risk"),
        target=(rows["risk"] == 1).astype("int64").rename("good_risk"),
        sensitive=pd.DataFrame({"sex": sex, "age_group": age_group}),
        stated_by={"sex": ("personal_status",), "age_group": ("age",)},
        origin=GERMAN_ORIGIN,
    )


def read_german() -> pd.DataFrame:
    """Read the file, with each code replaced by its meaning.

    Example:
        >>> read_german()["housing"].value_counts().to_dict()
        {'owned': 713, 'rented': 179, 'for free': 108}
    """

    # A code that is not in the code book is an error, not a missing value.
    decode = {name: codes.__getitem__ for name, codes in GERMAN_CODES.items() if codes}

    return pd.read_csv(
        read_bundled("german.data.gz"), sep=" ", names=list(GERMAN_CODES), converters=decode
    )


GERMAN = Entry("german", load_german_credit, "sex")
