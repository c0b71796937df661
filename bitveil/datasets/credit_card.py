"""Credit Card Default: which clients of a bank in Taiwan fail to pay their credit card bill."""

__all__ = ["load_credit_card"]

import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, read_bundled

# The meaning of each code in the three columns whose numbers are names.
CREDIT_CODES = {
    "SEX": {1: "Male", 2: "Female"},
    "EDUCATION": {1: "graduate school", 2: "university", 3: "high school", 4: "others"},
    "MARRIAGE": {1: "married", 2: "single", 3: "others"},
}
CREDIT_ORIGIN = Origin(
    about=(
        "30,000 clients of a bank in Taiwan, April to September 2005. The target is a "
        "default on the payment of the next month"
    ),
    source=(
        "Default of Credit Card Clients, I-Cheng Yeh, UCI Machine Learning Repository, "
        "2009, https://archive.ics.uci.edu/dataset/350/default+of+credit+card+clients, "
        "https://doi.org/10.24432/C55S3H"
    ),
    licence="CC BY 4.0",
)


def load_credit_card() -> Dataset:
    """Load Credit Card Default: 30,000 rows and 23 columns, codes replaced by their meaning.

    The target is 1 for a client who defaults on the next payment (22 %). The sensitive attribute
    is `sex`.

    - `SEX`, `EDUCATION` and `MARRIAGE` are codes in the file. Some are not in the code book (0, 5
      and 6 of `EDUCATION`, 0 of `MARRIAGE`; 399 rows). They become "not in the code book", with
      the number.
    - `PAY_0` and `PAY_2` to `PAY_6` say how many months late a payment was, from September back to
      April. There is no `PAY_1`. -1 means paid on time. -2 and 0, the most frequent value, are not
      in the code book. All stay numbers.
    - Amounts are in New Taiwan dollars. A negative `BILL_AMT` is money that the client has.
    - 70 rows are equal to another row, including the target.
    - There is no official split. `test` is the fixed split, by the row's place in the file.

    Source: Default of Credit Card Clients, I-Cheng Yeh, 2009,
    https://archive.ics.uci.edu/dataset/350/default+of+credit+card+clients (CC BY 4.0). Described
    in The comparisons of data mining techniques for the predictive accuracy of probability of
    default of credit card clients, I-Cheng Yeh and Che-hui Lien, 2009,
    https://doi.org/10.1016/j.eswa.2007.12.020

    Example:
        >>> credit = load_credit_card()
        >>> credit.features.shape, credit.base_rates("sex")
        ((30000, 23), {'Female': 0.2078, 'Male': 0.2417})
    """

    rows = pd.read_csv(read_bundled("credit-card-clients.csv.gz"))
    for name, codes in CREDIT_CODES.items():
        rows[name] = rows[name].map(lambda code, codes=codes: code_meaning(code, codes))

    return Dataset(
        name="Credit Card Default",
        features=rows.drop(columns="default payment"),
        target=rows["default payment"].rename("defaulted"),
        sensitive=pd.DataFrame({"sex": rows["SEX"]}),
        stated_by={"sex": ("SEX",)},
        origin=CREDIT_ORIGIN,
    )


def code_meaning(code: int, codes: dict[int, str]) -> str:
    """The meaning of a code, or the code itself if the code book does not have it.

    Example:
        >>> code_meaning(2, CREDIT_CODES["MARRIAGE"]), code_meaning(0, CREDIT_CODES["MARRIAGE"])
        ('single', 'not in the code book: 0')
    """

    return codes.get(code, f"not in the code book: {code}")


CREDIT = Entry("credit", load_credit_card, "sex")
