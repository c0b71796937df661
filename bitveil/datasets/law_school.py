"""Law School: who passes the bar exam, among students of American law schools."""

__all__ = ["load_law_school"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset
from bitveil.datasets.files import DataFile, read

FILE = DataFile(
    name="law_school/law_school_clean.csv.gz",
    md5="8190cf1a6ec36e8321feae9c5a111ad2",
    origin="it is experiments/data/law_school_clean.csv of "
    "https://github.com/tailequy/fairness_dataset",
    address="https://raw.githubusercontent.com/tailequy/fairness_dataset/main/experiments/data/"
    "law_school_clean.csv",
)
SOURCE = (
    "LSAC National Longitudinal Bar Passage Study, Linda Wightman, 1998, in the version of A "
    "survey on datasets for fairness-aware machine learning, Tai Le Quy et al., 2022, "
    "https://doi.org/10.1002/widm.1452"
)
LICENCE = "none stated"
DESCRIPTION = (
    "20,798 students of law schools of the United States; the target is to pass the bar exam. "
    f"Source: {SOURCE}. Licence: {LICENCE}."
)


def load_law_school() -> Dataset:
    """Load Law School, the cleaned version: 20,798 rows and 11 columns.

    The target is 1 for who passes the bar exam (89 %). Sensitive are `race` (White or Non-White)
    and `sex`. The file does not come with bitveil: it is looked for in the folder `BITVEIL_DATA`,
    then in the cache folder, then downloaded.

    - `male` is 1 for men and states the sex. `fulltime` is 1 for full time and 2 for part time;
      `tier` and `fam_inc` are ordered groups. All are numbers in the file and stay so.
    - `zfygpa` and `zgpa`, the grades, and `decile1b` and `decile3`, the ranks, come from the years
      at the law school. Who wants to predict at the admission has to leave them out.
    - The cleaned version has only rows without missing values, and other versions have other rows
      and columns: results on them are not comparable.
    - An accuracy of 89 % is that of always answering yes.
    - There is no official split: `test` is the fixed one, by the row's place in the file.

    Source: LSAC National Longitudinal Bar Passage Study, Linda Wightman, 1998, in the version of
    A survey on datasets for fairness-aware machine learning, Tai Le Quy et al., 2022,
    https://doi.org/10.1002/widm.1452 (no licence stated).

    Raises:
        FileNotFoundError: If the file is nowhere and cannot be downloaded.
        ValueError: If the file is not the right one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(FILE):  # which this example does not download
        ...     assert load_law_school().features.shape == (20798, 11)
    """

    rows = pd.read_csv(read(FILE))
    sex = np.where(rows["male"] == 1, "Male", "Female")

    return Dataset(
        name="Law School",
        features=rows.drop(columns="pass_bar"),
        target=rows["pass_bar"].astype("int64").rename("passed_bar"),
        sensitive=rows[["race"]].assign(sex=sex),
        stated_by={"race": ("race",), "sex": ("male",)},
        description=DESCRIPTION,
        source=SOURCE,
        licence=LICENCE,
    )
