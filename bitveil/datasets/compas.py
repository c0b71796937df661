"""COMPAS: which people of Broward County, Florida, are arrested again within two years."""

__all__ = ["load_compas"]

import io

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, held_out
from bitveil.datasets.files import DataFile, read_checked

FEATURES = [
    "sex",
    "age",
    "race",
    "juv_fel_count",
    "juv_misd_count",
    "juv_other_count",
    "priors_count",
    "c_charge_degree",
    "c_charge_desc",
]
FILTER = ["days_b_screening_arrest", "is_recid", "score_text", "v_score_text"]

COMPAS_ADDRESS = "https://raw.githubusercontent.com/propublica/compas-analysis/master"
GENERAL = DataFile(
    name="compas/compas-scores-two-years.csv.gz",
    md5="9165d40c400bba93a8cffece2b74622b",
    origin="from https://github.com/propublica/compas-analysis",
    address=f"{COMPAS_ADDRESS}/compas-scores-two-years.csv",
)
VIOLENT = DataFile(
    name="compas/compas-scores-two-years-violent.csv.gz",
    md5="373d46317b5c77d4e9b64874085a0374",
    origin="from https://github.com/propublica/compas-analysis",
    address=f"{COMPAS_ADDRESS}/compas-scores-two-years-violent.csv",
)
COMPAS_ORIGIN = Origin(
    about=(
        "People of Broward County, Florida, scored by the COMPAS tool in 2013 and 2014. "
        "The target is another arrest within two years"
    ),
    source=(
        "How We Analyzed the COMPAS Recidivism Algorithm, Jeff Larson, Surya Mattu, "
        "Lauren Kirchner and Julia Angwin, ProPublica, 2016, "
        "https://github.com/propublica/compas-analysis"
    ),
    licence="none stated",
)


def load_compas(*, violent: bool = False, propublica_filter: bool = True) -> Dataset:
    """Load COMPAS: 6,172 rows and 9 columns, or 4,020 rows for arrests for violence only.

    The target is 1 for another arrest within two years (46 %; for violence, 16 %). The sensitive
    attributes are `race` (six values) and `sex`. The files do not come with bitveil. The loader
    looks for them in the folder `BITVEIL_DATA`, then in the cache folder, and then downloads them.

    - The files contain the names, dates of birth and case numbers of real people. The loader never
      reads these, nor any dates of arrests, jail and custody.
    - The loader drops everything that happened after the scoring (`is_recid`, `event`, `start`,
      `end` and all columns of the new offence), because it leaks the target. It also drops the
      scores of the tool, which are its answers and not facts about a person.
    - The filter is ProPublica's. It keeps people who were arrested within 30 days of the scoring,
      not for a mere traffic offence, who have a score, and for whom a later arrest is known or
      ruled out. Without it there are 7,214 rows, or 4,743. There are too few people with the
      values `Asian` (31) and `Native American` (11) to learn anything about them.
    - The target is an arrest, not an offence: where the police look harder, they find more.
    - The way in which both two-year files were cut off leaves too many people with another arrest
      in them. See ProPublica's COMPAS Data Revisited, Matias Barenstein, 2019,
      https://arxiv.org/abs/1906.04711. Use the data to compare methods, not for statements about
      people.
    - There is no official split. The fixed split of `test` uses the row's place in the whole file,
      so the filter moves nobody to the other side.

    Source: How We Analyzed the COMPAS Recidivism Algorithm, Jeff Larson, Surya Mattu, Lauren
    Kirchner and Julia Angwin, 2016, https://github.com/propublica/compas-analysis (no licence
    stated).

    Arguments:
        violent: Whether to load the file of violent offences, with its own rows and target.
        propublica_filter: Whether to keep only the rows that ProPublica kept.

    Raises:
        FileNotFoundError: If the file is missing and cannot be downloaded.
        ValueError: If the file is the wrong one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(GENERAL):  # which this example does not download
        ...     assert load_compas().features.shape == (6172, 9)
    """

    rows = read_compas(read_checked(VIOLENT if violent else GENERAL))
    score = "v_score_text" if violent else "score_text"
    kept = propublica(rows, score) if propublica_filter else np.ones(len(rows), dtype=bool)
    test = held_out(range(len(rows)))[kept]
    rows = rows[kept].reset_index(drop=True)

    return Dataset(
        name="COMPAS (violent)" if violent else "COMPAS",
        features=rows[FEATURES].copy(),
        target=rows["two_year_recid"].rename("arrested_again"),
        sensitive=rows[["race", "sex"]].copy(),
        stated_by={"race": ("race",), "sex": ("sex",)},
        origin=COMPAS_ORIGIN,
        fixed_test=test,
    )


def read_compas(content: io.BytesIO) -> pd.DataFrame:
    r"""Read only the columns that are used, and none that names a person.

    Example:
        >>> header = ",".join(["name", *FEATURES, *FILTER, "two_year_recid", "two_year_recid"])
        >>> rows = read_compas(io.BytesIO(f"{header}\nAnn{',1' * 15}".encode()))
        >>> rows.shape, "name" in rows
        ((1, 14), False)
    """

    return pd.read_csv(
        content,
        usecols=[*FEATURES, *FILTER, "two_year_recid"],
        na_values=[""],
        keep_default_na=False,
    )


def propublica(rows: pd.DataFrame, score: str) -> np.ndarray:
    """Which rows ProPublica kept; `score` is the column of the score in words."""

    kept = (
        rows["days_b_screening_arrest"].abs().le(30)
        & rows["is_recid"].ne(-1)
        & rows["c_charge_degree"].ne("O")
        & rows[score].notna()
        & rows[score].ne("N/A")
    )

    return kept.to_numpy()


COMPAS = Entry("compas", load_compas, "race", ("African-American", "Caucasian"), files=(GENERAL,))
