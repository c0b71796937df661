"""Data sets for a benchmark, one loader a file: some come with the package, some are fetched."""

__all__ = [
    "Dataset",
    "load_adult",
    "load_bank_marketing",
    "load_census_income",
    "load_german_credit",
]

from bitveil.datasets.adult import load_adult
from bitveil.datasets.bank_marketing import load_bank_marketing
from bitveil.datasets.census_income import load_census_income
from bitveil.datasets.dataset import Dataset
from bitveil.datasets.german_credit import load_german_credit
