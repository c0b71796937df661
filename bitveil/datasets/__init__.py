"""Public data sets that come with the package, ready for a benchmark: one loader a file."""

__all__ = ["Dataset", "load_adult", "load_bank_marketing", "load_german_credit"]

from bitveil.datasets.adult import load_adult
from bitveil.datasets.bank_marketing import load_bank_marketing
from bitveil.datasets.dataset import Dataset
from bitveil.datasets.german_credit import load_german_credit
