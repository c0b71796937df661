"""Certificates of mixtures, from both sides, and shares for a goal."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from bitveil.certificates import UncertifiableError, certify, slack
from bitveil.group_tables import GroupTables
from bitveil.mixtures import Mixture
from bitveil.shares import largest_share, mixed_table
from mixed_encoders import DELTA, IDS, linear, pair, people, table_of
from populations import sure

# --- Certificates.


@pytest.mark.parametrize("k", [2, 3])
def test_the_certificate_is_that_of_the_tables_side_by_side(k):
    X, _, s = people(k=k, seed=6)
    mixture = Mixture(pair(k), [0.3, 0.7])
    found = mixture.certify(X, sensitive_features=s, delta=DELTA, ids=IDS)
    table = torch.from_numpy(table_of(mixture.likelihoods(X), s))

    assert found.bound == pytest.approx(certify(GroupTables.of(table), delta=DELTA).bound)
    assert found.sizes == tuple(np.bincount(s).tolist())
    # Sharper than the mean of the encoders' bounds at parts of delta, which is a bound too.
    each = [
        Mixture(pair(k), shares).certify(X, sensitive_features=s, delta=DELTA / 2, ids=IDS).bound
        for shares in ([1, 0], [0, 1])
    ]
    assert found.bound < 0.3 * each[0] + 0.7 * each[1]


def test_without_names_drawn_codes_are_certified():
    X, _, s = people(seed=6)
    mixture = Mixture(pair(), [0.3, 0.7])
    found = mixture.certify(X, sensitive_features=s)
    codes = np.unique(mixture.transform(X), axis=0, return_inverse=True)[1].ravel()
    rates = np.array([np.bincount(codes[s == g], minlength=12) / (s == g).sum() for g in (0, 1)])

    assert found.draws == "hard"
    assert found.estimate == pytest.approx(np.abs(rates[0] - rates[1]).sum() / 2)


def bounds_and_truths(share=0.5, worlds=300, sizes=(1000, 1000)):
    """Certificates of a mixture of two sure bits, in many worlds, and its true gap: 0.3."""

    populations = sure([[0.3, 0.4]]), sure([[0.2, 0.7]])
    tables = [p.tables([sizes], seed=i, worlds=worlds)[:, 0] for i, p in enumerate(populations)]
    found = [
        certify(GroupTables.of(mixed_table(both, [1 - share, share])), delta=DELTA)
        for both in zip(*tables, strict=True)
    ]

    return found, (1 - share) * 0.1 + share * 0.5


def test_the_certificate_is_wrong_at_most_a_share_delta_of_the_time():
    found, truth = bounds_and_truths()
    wrong = np.mean([c.bound < truth for c in found])
    without_slack = np.mean([c.estimate < truth for c in found])

    assert wrong <= DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / 300)
    assert without_slack > 2 * DELTA


def test_a_share_for_a_goal_breaks_it_at_most_a_share_delta_of_the_time():
    # The true gap of the share w is 0.1 + 0.4 w. A share for a goal that lets the slack go breaks
    # it half of the time.
    worlds, goal = 100, 0.3
    safe, useful = (
        sure([rates]).tables([(1000, 1000)], seed=seed, worlds=worlds)[:, 0]
        for seed, rates in enumerate(([0.3, 0.4], [0.2, 0.7]))
    )
    room = slack([1000, 1000], DELTA)
    both = list(zip(safe, useful, strict=True))
    shares = np.array([largest_share(*tables, goal, delta=DELTA)[0] for tables in both])
    greedy = np.array(
        [largest_share(*tables, goal + room, delta=DELTA)[0] for tables in both[:50]]
    )

    assert (shares > 0).all()
    assert (shares < 1).all()
    assert np.mean(0.1 + 0.4 * shares > goal) <= DELTA + 3 * math.sqrt(DELTA * 0.9 / worlds)
    assert np.mean(0.1 + 0.4 * greedy > goal) > 2 * DELTA


@pytest.mark.parametrize("k", [2, 3])
def test_the_share_is_the_largest_that_is_certified(k):
    X, _, s = people(k=k, seed=7)
    goal = np.mean(
        [
            e.certify(X, sensitive_features=s, ids=IDS).bound
            for e in (Mixture(pair(k), w) for w in np.eye(2))
        ]
    )
    mixture = Mixture.for_gap(*pair(k), goal, X, sensitive_features=s, ids=IDS)
    share = mixture.shares[1]

    assert mixture.certify(X, sensitive_features=s, ids=IDS).bound == pytest.approx(goal, abs=1e-5)
    assert mixture.certificate_.bound == goal
    more = Mixture(pair(k), [0.99 - share, share + 0.01])
    assert more.certify(X, sensitive_features=s, ids=IDS).bound > goal


def test_without_names_the_share_is_the_last_tested_that_drawn_codes_pass():
    X, _, s = people(seed=7)
    bounds = [
        Mixture(pair(), [1 - share, share]).certify(X, sensitive_features=s).bound
        for share in np.arange(21) / 20
    ]
    goal = bounds[0] + 0.03
    first_to_fail = next(step for step, bound in enumerate(bounds) if bound > goal)
    mixture = Mixture.for_gap(*pair(), goal, X, sensitive_features=s)

    assert 0 < first_to_fail < 20
    assert mixture.shares[1] == pytest.approx((first_to_fail - 1) / 20)
    assert (mixture.certificate_.bound, mixture.certificate_.draws) == (goal, "hard")
    with pytest.raises(UncertifiableError, match="safe encoder alone"):
        Mixture.for_gap(*pair(), bounds[0] - 0.001, X, sensitive_features=s)


def test_all_of_the_useful_encoder_is_taken_where_the_goal_allows_it():
    X, _, s = people(seed=7)

    mixture = Mixture.for_gap(*pair(), 1.0, X, sensitive_features=s)

    assert mixture.shares.tolist() == [0, 1]
    assert mixture.transform(X)[:, 0].all()


def test_a_goal_below_both_bounds_says_what_is_possible():
    X, _, s = people(seed=7)
    safe, useful = (Mixture(pair(), w).certify(X, sensitive_features=s).bound for w in np.eye(2))

    with pytest.raises(
        UncertifiableError, match=rf"safe encoder alone is certified at {safe:.4f}"
    ):
        Mixture.for_gap(*pair(), min(safe, useful) - 0.01, X, sensitive_features=s)


def test_several_columns_of_groups_are_taken_together():
    X, y, _ = people(400, seed=1)
    new, _, _ = people(400, seed=2)
    both = pd.DataFrame({"sex": np.arange(400) % 2, "old": np.arange(400) // 2 % 2})
    encoders = [linear(w, (X, y, both)) for w in ([[0.1, 0]], [[9, 0]])]
    found = Mixture(encoders, [0.5, 0.5]).certify(new, sensitive_features=both, ids=range(400))

    assert found.sizes == (100, 100, 100, 100)
