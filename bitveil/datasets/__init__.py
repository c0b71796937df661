"""Data sets for a benchmark, one loader a file: some come with the package, some are fetched."""

__all__ = [
    "BiasedMnist",
    "Dataset",
    "Mnist",
    "fetch_mnist",
    "load_adult",
    "load_bank_marketing",
    "load_census_income",
    "load_communities_crime",
    "load_compas",
    "load_credit_card",
    "load_german_credit",
    "load_heritage_health",
    "load_law_school",
    "make_additive_leak",
    "make_biased_mnist",
    "make_gaussian_groups",
    "make_parity_trap",
    "make_resonance_search",
    "make_simulation_and_data",
    "make_unequal_rates",
]

from bitveil.datasets.adult import load_adult
from bitveil.datasets.bank_marketing import load_bank_marketing
from bitveil.datasets.census_income import load_census_income
from bitveil.datasets.communities_crime import load_communities_crime
from bitveil.datasets.compas import load_compas
from bitveil.datasets.credit_card import load_credit_card
from bitveil.datasets.dataset import Dataset
from bitveil.datasets.german_credit import load_german_credit
from bitveil.datasets.heritage_health import load_heritage_health
from bitveil.datasets.law_school import load_law_school
from bitveil.datasets.mnist import BiasedMnist, Mnist, fetch_mnist, make_biased_mnist
from bitveil.datasets.worlds import (
    make_additive_leak,
    make_gaussian_groups,
    make_parity_trap,
    make_resonance_search,
    make_simulation_and_data,
    make_unequal_rates,
)
