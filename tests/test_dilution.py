"""A code that is published with some probability, and a blank otherwise."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import brute
from bitveil.certificates import (
    BALANCED_ATTACK_ACCURACY,
    INFORMATION,
    PARITY_GAP,
    QUANTITIES,
    Certificate,
    certify,
    certify_sequence,
    certify_shares,
    diluted,
    least_gap,
    slack,
    upper,
)
from bitveil.group_tables import GroupTables
from certificate_laws import DELTA, certified, tables_for
from populations import sure

NAMED = [quantity.name.replace(" ", "-") for quantity in QUANTITIES]
every_quantity = pytest.mark.parametrize("quantity", QUANTITIES, ids=NAMED)
some_share = pytest.mark.parametrize("share", [0.0, 0.03, 0.4, 1.0])


def table(k=3, c=5, targets=2, rows=900):
    cells = torch.rand(targets, k, c, generator=torch.Generator().manual_seed(0)).double() ** 2
    return rows * cells / cells.sum(-1, keepdim=True)


# --- What dilution does to a table.


@some_share
def test_whatever_separates_the_groups_is_multiplied_by_the_share(share):
    counts = table()
    before, after = (
        t.numpy() for t in (counts[0], GroupTables.of(counts).diluted(share).known[0])
    )
    prior = np.full(3, 1 / 3)

    assert after.sum(1) == pytest.approx(before.sum(1))
    assert brute.total_variation(after[:2]) == pytest.approx(
        share * brute.total_variation(before[:2])
    )
    assert brute.mutual_information(after, prior) == pytest.approx(
        share * brute.mutual_information(before, prior)
    )
    assert brute.attack_accuracy(after, prior) - 1 / 3 == pytest.approx(
        share * (brute.attack_accuracy(before, prior) - 1 / 3)
    )


@every_quantity
def test_the_measured_value_is_that_of_the_diluted_table(quantity):
    counts, share = tables_for(quantity, table()), 0.3
    chance = 1 / 3 if quantity.unit == "accuracy" else 0.0
    whole, part = certify(counts, quantity), certify(counts.diluted(share), quantity)

    assert part.estimate - chance == pytest.approx(share * (whole.estimate - chance))
    # A table that is diluted first has the whole slack, and a diluted certificate a part of it.
    limit = chance + share * (whole.bound - chance)
    found = diluted(whole, limit)
    assert found.share == pytest.approx(share)
    assert found.estimate == pytest.approx(part.estimate)
    assert found.bound == limit < part.bound


def test_rows_without_a_target_are_diluted_too():
    known, unknown = torch.ones(1, 2, 3).double(), 4 * torch.ones(2, 3).double()
    rows = torch.tensor([[3, 3], [12, 12]])
    found = GroupTables(known, unknown, rows).diluted(0.5)

    assert found.groups.tolist() == [[2.5, 2.5, 2.5, 7.5]] * 2
    assert (found.rows == rows).all()
    assert GroupTables(known, None, rows).diluted(0.5).unknown is None


def test_codes_that_are_given_have_no_place_for_a_blank():
    groups = torch.tensor([0, 1])
    strata, codes = torch.zeros(2, dtype=torch.int64), torch.tensor([[0], [5]])
    named = GroupTables.observed(torch.tensor([0, 1]), strata, groups, 1, 2, c=2, codes=codes)

    with pytest.raises(ValueError, match="A blank has no place among codes that are given"):
        named.diluted(0.5)
    with pytest.raises(ValueError, match=r"`share` expects a probability from 0 to 1, got 1\.5"):
        GroupTables.of([[1.0], [1.0]]).diluted(1.5)


# --- One certificate for every goal.


@every_quantity
def test_a_goal_that_is_met_needs_no_dilution(quantity):
    found = certified(quantity, table())

    assert diluted(found, found.bound) == diluted(found, 2.0) == found
    assert found.share == 1


def test_dilution_twice_is_one_dilution():
    found = certify(tables_for(PARITY_GAP, table()))
    once, twice = diluted(found, 0.01), diluted(diluted(found, 0.1), 0.01)

    assert twice.share == pytest.approx(once.share)
    assert twice.estimate == pytest.approx(once.estimate)
    assert (twice.bound, once.bound) == (0.01, 0.01)
    assert once.bound < least_gap([900, 900])


def test_a_certificate_tells_its_share():
    found = diluted(certify(GroupTables.of([[600.0, 400.0], [500.0, 500.0]])), 0.02)

    assert "≤ 0.0200 if 14.3% of the rows are published with probability ≥ 0.95" in str(found)
    assert Certificate.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert "published" not in str(replace(found, share=1.0))


def test_what_cannot_be_diluted_is_refused():
    counts = GroupTables.of([[600.0, 400.0], [500.0, 500.0]])

    with pytest.raises(ValueError, match="use `certify_shares`"):
        diluted(certify(counts, draws="hard"), 0.05)
    with pytest.raises(ValueError, match="use `certify_shares`"):
        certify_sequence([counts], 0.05, draws="hard", dilute=True)
    with pytest.raises(ValueError, match=r"`limit` expects a goal above 0, .* got 0"):
        diluted(certify(counts), 0)
    with pytest.raises(ValueError, match=r"a goal above 0\.5, which a code that reveals nothing"):
        diluted(certify(counts, BALANCED_ATTACK_ACCURACY), 0.5)


# --- A sequence with dilution.


def test_the_first_that_fails_is_diluted_and_ends_the_sequence():
    fair, leaky = GroupTables.of([[500.0, 500.0]] * 2), GroupTables.of([[900.0, 100], [100, 900]])
    found = certify_sequence([fair, leaky, leaky], 0.2, dilute=True)

    assert [each.bound for each in found] == [0.2, 0.2]
    assert [each.share for each in found] == [1, pytest.approx(0.2 / certify(leaky).bound)]
    assert [each.share for each in certify_sequence([fair, fair], 0.2, dilute=True)] == [1, 1]


def errors_of_sequences(truths, limit, quantity, chance=0.0, draws="soft"):
    """How often any certificate of a sequence of sure bits is wrong."""

    shares = [0.5 - (truth - chance) / (1 - chance) / 2 for truth in truths]
    codes = [sure([[share, 1 - share]]) for share in shares]
    worlds = [code.tables([[300, 300]], seed=0, worlds=200)[:, 0] for code in codes]
    wrong = []
    for tables in zip(*worlds, strict=True):
        found = certify_sequence(
            [*map(GroupTables.of, tables)],
            limit,
            quantity,
            delta=DELTA,
            draws=draws,
            dilute=True,
        )
        real = [
            chance + each.share * (truth - chance)
            for each, truth in zip(found, truths, strict=False)
        ]
        wrong.append(any(value > each.bound + 1e-12 for value, each in zip(real, found, strict=1)))
    return np.mean(wrong)


@pytest.mark.parametrize("draws", ["soft", "certain"])
@pytest.mark.parametrize(("truths", "limit"), [([0.4], 0.1), ([0.2, 0.4, 0.42], 0.399)])
def test_a_diluted_sequence_is_wrong_with_probability_delta_at_most(
    truths, limit, draws, monkeypatch
):
    assert errors_of_sequences(truths, limit, PARITY_GAP, draws=draws) <= DELTA

    half = lambda *args, **settings: slack(*args, **settings) / 2  # noqa: E731
    monkeypatch.setattr(upper, "slack", half)
    assert errors_of_sequences(truths, limit, PARITY_GAP, draws=draws) > 1.5 * DELTA


@every_quantity
def test_certain_codes_have_the_slack_of_drawn_ones_and_are_diluted(quantity):
    counts = GroupTables.of(table(rows=2000).round())
    hard, certain = (certify(counts, quantity, draws=draws) for draws in ("hard", "certain"))
    limit = 0.9 * certain.bound

    assert certain == replace(hard, draws="soft")
    assert certain.bound <= certify(counts, quantity).bound
    assert diluted(certain, limit).bound == limit


def test_a_diluted_accuracy_is_measured_above_chance():
    assert errors_of_sequences([0.6, 0.7], 0.65, BALANCED_ATTACK_ACCURACY, chance=0.5) <= DELTA


# --- Shares of drawn codes.


class Map:
    """A published map of 300 contents under one key: nested coins, and codes of one bit."""

    def __init__(self, key):
        rng = np.random.default_rng(7)  # the contents are the same under every key
        weights = rng.gamma(0.5, size=300)
        lean = rng.uniform(0.3, 0.7, 300)
        self.p = np.array([weights * lean, weights * (1 - lean)])
        self.p /= self.p.sum(1, keepdims=True)
        keyed = np.random.default_rng(key)
        self.coin = keyed.random(300)
        self.code = (keyed.random(300) < lean).astype(int)

    def counts(self, rows, share):
        """Counts over (group, code or blank), from rows over (group, content)."""

        published = np.where(self.coin < share, self.code, 2)
        return np.stack([np.bincount(published, each, minlength=3) for each in rows])

    def truth(self, share):
        return brute.total_variation(self.counts(self.p, share))


SHARES = [0.05, 0.1, 0.2, 0.4, 0.7]


@cache
def rows_of(key, worlds=60, sizes=(900, 1400)):
    rng, own = np.random.default_rng(key + 100), Map(key)
    return [rng.multinomial(sizes, own.p) for _ in range(worlds)]


def errors_of_shares(at):
    """How often a share is certified for a goal just below the truth at a share, over keys."""

    wrong = []
    for key in range(4):
        own = Map(key)
        limit = own.truth(SHARES[at]) - 1e-9
        for rows in rows_of(key):
            found = certify_shares(
                lambda share, own=own, rows=rows: GroupTables.of(own.counts(rows, share)),
                SHARES,
                limit,
                delta=DELTA,
            )
            wrong.append(found is not None and own.truth(found.share) > limit)
    return np.mean(wrong)


@pytest.mark.parametrize("at", [0, 2, 4], ids=[str(SHARES[at]) for at in (0, 2, 4)])
def test_drawn_shares_are_wrong_with_probability_delta_at_most(at):
    assert errors_of_shares(at) <= DELTA


def test_drawn_shares_with_little_slack_are_caught(monkeypatch):
    tenth = lambda *args, **settings: slack(*args, **settings) / 10  # noqa: E731
    monkeypatch.setattr(upper, "slack", tenth)

    assert errors_of_shares(2) > 1.5 * DELTA


def drawn(share):
    """Two groups of 2,000 rows whose codes are drawn, of a gap of 0.1, and their blanks."""

    shown = round(2000 * share)
    return GroupTables.of(
        [[0.6 * shown, 0.4 * shown, 2000 - shown], [shown / 2] * 2 + [2000 - shown]]
    )


def test_goals_below_the_slack_pass_at_small_shares():
    limit = 0.02
    found = certify_shares(drawn, [0.02, 0.05, 0.1, 0.2, 0.3], limit)

    assert limit < least_gap([2000, 2000], draws="hard")
    assert (found.bound, found.draws, found.share) == (limit, "hard", 0.05)
    assert found.estimate == pytest.approx(0.005)


def test_from_one_half_on_the_certificate_is_the_plain_one():
    plain = [certify(drawn(share), delta=0.1, draws="hard") for share in (0.5, 1.0)]
    found = [certify_shares(drawn, [share], 0.5, delta=0.1) for share in (0.5, 1.0)]

    assert found == [replace(plain[0], bound=0.5, share=0.5), replace(plain[1], bound=0.5)]


def test_the_shares_stop_at_the_first_that_fails():
    asked = []

    def tables_at(share):
        asked.append(share)
        return drawn(share if share != 0.2 else 1.0)

    assert certify_shares(tables_at, SHARES, 0.03).share == 0.1
    assert asked == [0.05, 0.1, 0.2]
    assert certify_shares(drawn, [1.0], 0.05) is None
    with pytest.raises(ValueError, match="`delta` expects a probability"):
        certify_shares(drawn, [0.1], 0.05, delta=0.0)


def test_every_quantity_has_drawn_shares():
    limits = {"gap": 0.5, "accuracy": 0.8, "bits": 0.6}
    counts = torch.stack([drawn(0.2).groups] * 2)
    for quantity in QUANTITIES:
        found = certify_shares(
            lambda share, q=quantity: tables_for(q, counts), [0.2], limits[quantity.unit], quantity
        )
        assert (found.quantity, found.share) == (quantity, 0.2)
        plain = certify(tables_for(quantity, counts), quantity, draws="hard")
        lower = plain.bound - (0.0015 if quantity.unit == "accuracy" else 0.003)
        assert certify_shares(
            lambda share, q=quantity: tables_for(q, counts), [0.2], lower, quantity
        )
    assert INFORMATION in QUANTITIES
