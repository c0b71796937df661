"""Bank Marketing: which clients of a Portuguese bank subscribe to a term deposit after a call."""

__all__ = ["load_bank_marketing"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, read_bundled

BANK_ORIGIN = Origin(
    about=(
        "45,211 calls to clients of a Portuguese bank, from May 2008 to November 2010. "
        "The target is a subscription to a term deposit"
    ),
    source=(
        "Bank Marketing, Sérgio Moro, Paulo Rita and Paulo Cortez, UCI Machine Learning "
        "Repository, 2014, https://archive.ics.uci.edu/dataset/222/bank+marketing, "
        "https://doi.org/10.24432/C5K306"
    ),
    licence="CC BY 4.0",
)


def load_bank_marketing(*, duration: bool = False) -> Dataset:
    """Load Bank Marketing, the file of 45,211 rows and 16 columns, without `duration`.

    The target is 1 for a client who subscribed (12 %). The sensitive attributes are `marital`,
    married or not (divorced, widowed and single together), and `age_group` (25 to 60 years, both
    included, or outside).

    - `duration`, the seconds of the call, leaks the target: it becomes known together with the
      answer, and a call of 0 seconds sold nothing. It is a feature only on request.
    - The feature `marital` has three values and states both groups. Missing facts about a client
      have the value `unknown`, and `pdays` is -1 for clients who were never called before.
    - Rows are in the order of their dates, and there is no official split. Draw one at random:
      from the first fifth of the rows to the last, the share of subscriptions rises from 3 to
      32 %.
    - The file with 41,188 rows ("additional") has other rows and columns. Results on it are not
      comparable.

    Source: Bank Marketing, Sérgio Moro, Paulo Rita and Paulo Cortez, 2014,
    https://archive.ics.uci.edu/dataset/222/bank+marketing (CC BY 4.0). Described in Using Data
    Mining for Bank Direct Marketing: An Application of the CRISP-DM Methodology, Sérgio Moro,
    Raul Laureano and Paulo Cortez, 2011, http://hdl.handle.net/1822/14838

    Arguments:
        duration: Whether to keep the column that leaks the target.

    Example:
        >>> bank = load_bank_marketing()
        >>> bank.features.shape, bank.base_rates("marital")
        ((45211, 15), {'married': 0.1012, 'not married': 0.1408})
    """

    rows = pd.read_csv(read_bundled("bank-full.csv.gz"), sep=";", keep_default_na=False)
    age_group = np.where(rows["age"].between(25, 60), "25 to 60", "under 25 or over 60")
    marital = np.where(rows["marital"] == "married", "married", "not married")

    return Dataset(
        name="Bank Marketing",
        features=rows.drop(columns=["y"] if duration else ["y", "duration"]),
        target=(rows["y"] == "yes").astype("int64").rename("subscribed"),
        sensitive=pd.DataFrame({"marital": marital, "age_group": age_group}),
        stated_by={"marital": ("marital",), "age_group": ("age",)},
        origin=BANK_ORIGIN,
    )


BANK = Entry("bank", load_bank_marketing, "marital")
