"""COMPAS: who is arrested again within two years, among people of Broward County, Florida."""

__all__ = ["load_compas"]

import io

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, held_out
from bitveil.datasets.files import DataFile, read

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

ADDRESS = "https://raw.githubusercontent.com/propublica/compas-analysis/master"
GENERAL = DataFile(
    name="compas/compas-scores-two-years.csv.gz",
    md5="9165d40c400bba93a8cffece2b74622b",
    origin="from https://github.com/propublica/compas-analysis",
    address=f"{ADDRESS}/compas-scores-two-years.csv",
)
VIOLENT = DataFile(
    name="compas/compas-scores-two-years-violent.csv.gz",
    md5="373d46317b5c77d4e9b64874085a0374",
    origin="from https://github.com/propublica/compas-analysis",
    address=f"{ADDRESS}/compas-scores-two-years-violent.csv",
)
SOURCE = (
    "How We Analyzed the COMPAS Recidivism Algorithm, Jeff Larson, Surya Mattu, Lauren Kirchner "
    "and Julia Angwin, ProPublica, 2016, https://github.com/propublica/compas-analysis"
)
LICENCE = "none stated"
DESCRIPTION = (
    "People of Broward County, Florida, scored by the COMPAS tool in 2013 and 2014; the target is "
    f"another arrest within two years. Source: {SOURCE}. Licence: {LICENCE}."
)


def load_compas(*, violent: bool = False, propublica_filter: bool = True) -> Dataset:
    """Load COMPAS: 6,172 rows and 9 columns, or 4,020 rows for arrests for violence only.

    The target is 1 for another arrest within two years (46 %; for violence, 16 %). Sensitive are
    `race` (six values) and `sex`. The files do not come with bitveil: they are looked for in the
    folder `BITVEIL_DATA`, then in the cache folder, then downloaded.

    - The files hold the names, dates of birth and case numbers of real people. They are dropped on
      reading, with all dates of arrests, jail and custody, and never reach a table.
    - What happened after the scoring is dropped as well (`is_recid`, `event`, `start`, `end` and
      all columns of the new offence), because it leaks the target, and so are the scores of the
      tool, which are its answers and no facts about a person.
    - The filter is ProPublica's: the arrest within 30 days of the scoring, whether there was
      another one is known, no mere traffic offence, a score. Without it there are 7,214 rows, or
      4,743. People with the values `Asian` (31) and `Native American` (11) are too few to learn
      anything about.
    - The target is an arrest, not an offence: where the police look harder, they find more.
    - Both two-year files were cut off in such a way that people with another arrest are too many
      in them. See ProPublica's COMPAS Data Revisited, Matias Barenstein, 2019,
      https://arxiv.org/abs/1906.04711. Good for comparing methods, not for statements about
      people.
    - There is no official split. The fixed one of `test` is by the row's place in the whole file,
      so that the filter moves nobody to the other side.

    Source: How We Analyzed the COMPAS Recidivism Algorithm, Jeff Larson, Surya Mattu, Lauren
    Kirchner and Julia Angwin, 2016, https://github.com/propublica/compas-analysis (no licence
    stated).

    Arguments:
        violent: Whether to load the file of violent offences, with other rows and target.
        propublica_filter: Whether to keep only the rows that ProPublica kept.

    Raises:
        FileNotFoundError: If the file is nowhere and cannot be downloaded.
        ValueError: If the file is not the right one.

    Example:
        >>> from bitveil.datasets.files import stored
        >>> if stored(GENERAL):  # which this example does not download
        ...     assert load_compas().features.shape == (6172, 9)
    """

    rows = read_rows(read(VIOLENT if violent else GENERAL))
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
        description=DESCRIPTION,
        source=SOURCE,
        licence=LICENCE,
        fixed_test=test,
    )


def read_rows(content: io.BytesIO) -> pd.DataFrame:
    r"""Read the columns that are used and no other, least of all those that name a person.

    Example:
        >>> header = ",".join(["name", *FEATURES, *FILTER, "two_year_recid", "two_year_recid"])
        >>> rows = read_rows(io.BytesIO(f"{header}\nAnn{',1' * 15}".encode()))
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
