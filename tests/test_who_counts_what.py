"""What is certified is what is published: with names expected counts, without them drawn codes.

The worlds have few distinct rows, so that rows without names share their draws: under one key each
content has one code. There the probabilities say little of the groups and the published codes may
say all of them. `PUBLISHED` is the table of who counts what.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bitveil.audits import audit, audit_table, html_report
from bitveil.audits.published import PublishedCodes
from bitveil.certificates import certify, slack
from bitveil.mixtures import Mixture
from bitveil.tables import joint_table
from builders import quick

DELTA = 0.05
KEYS = 12
RESAMPLES = 1000
MOST_WRONG = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / RESAMPLES)
two_bits = partial(quick, n_bits=2, hidden=(4,), epochs=1)


def population(n_distinct, seed=0):
    """Distinct rows, how often each group has them, and what share of the second group is."""

    rng = np.random.default_rng(seed)
    levels = math.ceil(n_distinct ** (1 / 3))
    grid = np.stack(np.unravel_index(np.arange(levels**3), (levels,) * 3), 1)
    rows = grid[rng.permutation(levels**3)[:n_distinct]]
    tilt = rng.normal(size=n_distinct) * 0.7
    shares = np.exp(np.stack([-tilt, tilt]) + 0.3 * rng.normal(size=n_distinct))

    return rows.astype(float), shares / shares.sum(1, keepdims=True)


def people(rows, shares, n, seed):
    """New people of the population: their rows, targets and groups."""

    rng = np.random.default_rng(seed)
    s = rng.integers(2, size=n)
    content = np.where(s == 0, *(rng.choice(len(rows), n, p=share) for share in shares))
    y = (rows[content, 0] + rng.normal(size=n) > rows[:, 0].mean()).astype(int)

    return rows[content], y, s, content


def fitted(rows, shares, key=None, names=False, **settings):
    """An encoder of which each bit is near a fair coin, and leans a little on the row."""

    X, y, s, _ = people(rows, shares, 1500, seed=1)
    ids = {"ids": np.arange(1500)} if names else {}
    model = two_bits(**settings, key=key).fit(X, y, sensitive_features=s, **ids)
    torch.manual_seed(0)
    model.coder_ = replace(
        model.coder_, encoder=nn.Sequential(nn.Linear(3, 2).double()).eval().requires_grad_(False)
    )

    return model


def total_variation(first, second):
    return float(np.abs(first - second).sum() / 2)


def published_gaps(model, rows, shares, key):
    """The gap of the published map in the population: of drawn codes under a key, by content."""

    model.coder_ = replace(model.coder_, key=key)
    bits = model.transform(rows)
    codes = bits @ [2, 1]
    of_code = np.stack([np.bincount(codes, share, 4) for share in shares])

    return bits, total_variation(*of_code)


def resampled(rng, shares, sizes):
    """How many held-out rows of each group have each content, again and again."""

    return np.stack([rng.multinomial(n, p, RESAMPLES) for n, p in zip(sizes, shares, strict=True)])


@pytest.mark.parametrize("n_distinct", [6, 12, 60, 200, 500])
def test_without_names_the_bound_on_drawn_codes_holds_under_every_key(n_distinct):
    """The published map's gap is above the bound in at most a share δ, and the count of expected
    codes, which this library once took, is caught by the same numbers."""

    rows, shares = population(n_distinct)
    model = fitted(rows, shares)
    logits = model.logits(rows)
    theta = 1 / (1 + np.exp(-logits))
    likelihood = np.stack(
        [
            (1 - theta)[:, 0] * (1 - theta)[:, 1],
            (1 - theta)[:, 0] * theta[:, 1],
            theta[:, 0] * (1 - theta)[:, 1],
            theta[:, 0] * theta[:, 1],
        ],
        1,
    )
    sizes, rng = (600, 900), np.random.default_rng(2)
    noise = slack(sizes, DELTA, draws="hard")
    wrong_expected = []
    for number in range(KEYS):
        bits, truth = published_gaps(model, rows, shares, bytes([number]) * 16)
        counts = resampled(rng, shares, sizes)
        codes = np.eye(4)[bits @ [2, 1]]
        drawn, expected = (
            (counts @ table) / np.array(sizes)[:, None, None] for table in (codes, likelihood)
        )
        bounds = np.minimum(1, np.abs(drawn[0] - drawn[1]).sum(1) / 2 + noise)
        assert np.mean(truth > bounds) <= MOST_WRONG
        wrong_expected.append(
            np.mean(truth > np.abs(expected[0] - expected[1]).sum(1) / 2 + noise)
        )
        # The bound of the library is this one: a resample, row by row.
        once = (
            np.repeat(np.arange(n_distinct), counts[0, 0]),
            np.repeat(np.arange(n_distinct), counts[1, 0]),
        )
        found = certificate_of(model, rows, np.concatenate(once), np.repeat([0, 1], sizes))
        assert found.bound == pytest.approx(bounds[0])

    if n_distinct <= 60:
        assert max(wrong_expected) > 0.9


def certificate_of(model, rows, content, s):
    """The certificate that an audit counts, without its attackers."""

    published = PublishedCodes.of(model.transform(rows[content]), None, None, seed=0)

    tables = published.tables(torch.from_numpy(s), 2)

    return certify(tables, delta=DELTA, draws=published.draws)


@pytest.mark.parametrize("n_distinct", [6, 60, 500])
def test_with_names_the_bound_on_expected_counts_holds(n_distinct):
    rows, shares = population(n_distinct)
    model = fitted(rows, shares, names=True)
    table = joint_table(torch.from_numpy(model.logits(rows)), torch.arange(n_distinct), n_distinct)
    likelihood, rng = table.numpy(), np.random.default_rng(3)
    X, _, s, _ = people(rows, shares, 20_000, seed=4)
    for number in range(KEYS):
        model.coder_ = replace(model.coder_, key=bytes([number]) * 16)
        codes = model.transform(X, ids=np.arange(20_000)) @ [2, 1]
        fresh = [np.bincount(codes[s == g], minlength=4) / (s == g).sum() for g in (0, 1)]
        counts = resampled(rng, shares, (600, 900))
        expected = [counts[g] @ likelihood / n for g, n in enumerate((600, 900))]
        noise = slack((600, 900), DELTA)
        bounds = np.abs(expected[0] - expected[1]).sum(1) / 2 + noise
        assert np.mean(total_variation(*fresh) > bounds) <= MOST_WRONG


# Who counts what


@pytest.fixture(scope="module")
def world():
    rows, shares = population(60)
    X, y, s, _ = people(rows, shares, 1200, seed=9)

    return rows, shares, X, y, s


def by_audit(rows, shares, X, y, s, ids):
    with_names = {} if ids is None else {"ids": ids}
    return fitted(rows, shares).audit(X, y, sensitive_features=s, **with_names).certificate


def by_fit(rows, shares, X, y, s, ids):
    model = two_bits(max_gap=0.9)
    return model.fit(X, y, sensitive_features=s, ids=ids).certificate_


def by_mixture(rows, shares, X, y, s, ids):
    mixture = Mixture([fitted(rows, shares), fitted(rows, shares, key=b"k" * 16)], [0.5, 0.5])
    return mixture.certify(X, sensitive_features=s, ids=ids)


def by_share(rows, shares, X, y, s, ids):
    pair = fitted(rows, shares), fitted(rows, shares, key=b"k" * 16)
    return Mixture.for_gap(*pair, 0.9, X, sensitive_features=s, ids=ids).certificate_


def by_codes(rows, shares, X, y, s, ids):
    model = fitted(rows, shares)
    logits = None if ids is None else model.logits(X)
    return audit(model.transform(X, ids=ids), s, logits=logits, ids=ids).certificate


def by_counts(rows, shares, X, y, s, ids):
    codes = fitted(rows, shares).transform(X, ids=ids) @ [2, 1]
    return audit_table(pd.crosstab(s, codes)).certificate


PUBLISHED = {
    "fit": (by_fit, "soft", "hard"),
    "audit of an encoder": (by_audit, "soft", "hard"),
    "audit of codes": (by_codes, "soft", "hard"),
    "a table of counts": (by_counts, "hard", "hard"),
    "a mixture": (by_mixture, "soft", "hard"),
    "a share for a goal": (by_share, "soft", "hard"),
}
"""What is counted of rows with names, and of rows without."""


@pytest.mark.filterwarnings("ignore:The contents of these rows repeat")
@pytest.mark.parametrize("who", PUBLISHED)
def test_everybody_counts_what_is_published(who, world):
    certify, named, unnamed = PUBLISHED[who]

    assert certify(*world, np.arange(1200) + 10_000).draws == named
    assert certify(*world, None).draws == unnamed


def test_the_text_and_the_page_say_what_was_counted(world):
    rows, shares, X, y, s = world
    found = fitted(rows, shares).audit(X, y, sensitive_features=s)
    named = fitted(rows, shares).audit(X, y, sensitive_features=s, ids=np.arange(1200))

    assert "the codes as they were published" in str(found)
    assert "Counted: the codes as they were published." in html_report(found)
    assert "expected counts, since every row has a name of its own" in str(named)
    assert "Counted: expected counts, since every row" in html_report(named)


def test_logits_without_names_have_no_way_to_a_certificate(world):
    rows, shares, X, _, s = world

    with pytest.raises(ValueError, match="only where every row has a name of its own"):
        audit(None, s, logits=fitted(rows, shares).logits(X))


# Copies


@pytest.mark.parametrize("times", [2, 20])
def test_a_table_that_was_copied_whole_is_refused_by_fit_and_audit(times):
    rng = np.random.default_rng(0)
    X, s = rng.normal(size=(150, 3)), np.arange(150) % 2
    y = (X[:, 0] > 0).astype(int)
    copies = {"X": np.tile(X, (times, 1)), "y": np.tile(y, times)}
    groups = {"sensitive_features": np.tile(s, times)}
    model = two_bits().fit(rng.normal(size=(150, 3)), y, sensitive_features=s)

    message = f"{150 * (times - 1)} of {150 * times} rows repeat another row in everything.*"
    with pytest.raises(ValueError, match=message + f"occurs {times} times"):
        two_bits(max_gap=0.5).fit(**copies, **groups)
    with pytest.raises(ValueError, match=message):
        model.audit(**copies, **groups)
    with pytest.raises(ValueError, match="`ids` gives"):
        model.audit(**copies, **groups, ids=np.tile(np.arange(150), times))


def test_rows_drawn_again_to_fill_a_rare_class_are_refused():
    rng = np.random.default_rng(0)
    X, s, y = rng.normal(size=(400, 3)), rng.integers(2, size=400), np.arange(400) % 10 == 0
    more = np.concatenate([np.arange(400), rng.choice(np.flatnonzero(y), 300)])

    with pytest.raises(ValueError, match="300 of 700 rows repeat another row in everything"):
        two_bits(max_gap=0.5).fit(X[more], y[more], sensitive_features=s[more])


def test_people_who_are_alike_by_chance_are_no_copies(world):
    rows, shares, X, y, s = world

    assert by_fit(*world, None).bound == 0.9
    assert fitted(rows, shares).audit(X, y, sensitive_features=s).n_rows == 1200
