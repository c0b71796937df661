"""What certificates must do, written anew in numpy; shared by the tests of certificates."""

import math
from dataclasses import replace

import numpy as np

import brute
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    PARITY_GAP,
    certify,
    lower_bound,
)
from bitveil.group_tables import GroupTables

DELTA = 0.1


def parity(p, shares):
    return brute.total_variation(p[0])


def opportunity(p, shares):
    return brute.total_variation(p[1])


def odds(p, shares):
    return max(map(brute.total_variation, p))


def attack(p, shares):
    return brute.attack_accuracy(p[0], np.full(len(p[0]), 1 / len(p[0])))


def information(p, shares):
    return brute.mutual_information(p[0], shares) / math.log(2)


# Every quantity, and its value in a population: from the distributions over (target, group, code),
# and from the shares of the groups.
TRUTHS = {
    PARITY_GAP: parity,
    EQUAL_OPPORTUNITY_GAP: opportunity,
    EQUALISED_ODDS_GAP: odds,
    BALANCED_ATTACK_ACCURACY: attack,
    INFORMATION: information,
}


def tables_for(quantity, table):
    """The tables that a quantity is read from: by target, or of the first target alone."""

    return GroupTables.of(table if quantity.criterion != "independence" else table[:1])


def certified(quantity, table, **settings):
    """The certificate of a quantity, from counts over (target, group, code)."""

    return certify(tables_for(quantity, table), quantity, **settings)


def certain(quantity, fixed, scored, **settings):
    """Its lower bound."""

    return lower_bound(*(tables_for(quantity, t) for t in (fixed, scored)), quantity, **settings)


def truth_of(quantity, population, sizes):
    shares = np.array(sizes[0]) / np.sum(sizes[0])
    if quantity.prior == "uniform":
        shares = np.full(len(shares), 1 / len(shares))

    return TRUTHS[replace(quantity, prior="empirical")](population.truth, shares)


def violations(quantity, population, sizes, *, draws="soft", worlds=200, broken=None, **settings):
    """The share of worlds in which the bound is below the truth."""

    truth = truth_of(quantity, population, sizes)
    found = [
        certified(quantity, table, delta=DELTA, draws=draws, **settings)
        for table in population.tables(sizes, draws=draws, seed=1, worlds=worlds)
    ]
    bounds = [c.bound if broken is None else broken(c) for c in found]
    return np.mean([bound < truth - 1e-12 for bound in bounds])


def less_slack(share):
    """A certificate with a part of its slack only."""

    return lambda c: c.estimate + share * (c.bound - c.estimate)
