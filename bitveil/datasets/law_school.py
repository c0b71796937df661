"""Law School: which students of American law schools pass the bar exam."""

__all__ = ["load_law_school"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin
from bitveil.datasets.files import DataFile, read_checked

LAW_FILE = DataFile(
    name="law_school/law_school_clean.csv.gz",
    md5="8190cf1a6ec36e8321feae9c5a111ad2",
    origin="it is experiments/data/law_school_clean.csv of "
    "https://github.com/tailequy/fairness_dataset",
    address="https://raw.githubusercontent.com/tailequy/fairness_dataset/main/experiments/data/"
    "law_school_clean.csv",
)
LAW_ORIGIN = Origin(
    about=(
        "20,798 students of law schools of the United States. The target is to pass the bar exam"
    ),
    source=(
        "LSAC National Longitudinal Bar Passage Study, Linda Wightman, 1998, in the "
        "version of A survey on datasets for fairness-aware machine learning, Tai Le Quy "
        "et al., 2022, https://doi.org/10.1002/widm.1452"
    ),
    licence="none stated",
)


def load_law_school() -> Dataset:
    """Load Law School, the cleaned version: 20,798 rows and 11 columns.

    The target is 1 for students who pass the bar exam (89 %). The sensitive attributes are `race`
    (White or Non-White) and `sex`. The file does not come with bitveil. The loader looks for it in
    the folder `BITVEIL_DATA`, then in the cache folder, and then downloads it.

    - `male` is 1 for men and states the sex. `fulltime` is 1 for full time and 2 for part time.
      `tier` and `fam_inc` are ordered groups. All are numbers in the file and stay numbers.
    - `zfygpa` and `zgpa`, the grades, and `decile1b` and `decile3`, the ranks, come from the years
      at the law school. To predict at admission, leave them out.
    - The cleaned version has only rows without missing values. Other versions have other rows and
      columns, and results on them are not comparable.
    - Always answering yes gives an accuracy of 89 %.
    - There is no official split. `test` is the fixed split, by the row's place in the file.

    Source: LSAC National Longitudinal Bar Passage Study, Linda Wightman, 1998, in the version of
    A survey on datasets for fairness-aware machine learning, Tai Le Quy et al., 2022,
    https://doi.org/10.1002/widm.1452 (no licence stated).

    Raises:
        FileNotFoundError: If the file is missing and cannot be downloaded.
        ValueError: If the file is the wrong one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(LAW_FILE):  # which this example does not download
        ...     assert load_law_school().features.shape == (20798, 11)
    """

    rows = pd.read_csv(read_checked(LAW_FILE))
    sex = np.where(rows["male"] == 1, "Male", "Female")

    return Dataset(
        name="Law School",
        features=rows.drop(columns="pass_bar"),
        target=rows["pass_bar"].astype("int64").rename("passed_bar"),
        sensitive=rows[["race"]].assign(sex=sex),
        stated_by={"race": ("race",), "sex": ("male",)},
        origin=LAW_ORIGIN,
    )


LAW = Entry("law", load_law_school, "race", files=(LAW_FILE,))
