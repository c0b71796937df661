"""The promise of a fit with a goal, from both sides: training, search, blanks and all.

In a world of twenty contents everything is known, so the gap of the published codes is too. It may
exceed the goal in a share delta of the fits, with and without names, and a slack of half the size
is caught.
"""

import os

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import nn

from bitveil.certificates import upper
from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier
from builders import build

CONTENTS = np.array([(leak, other) for leak in (-1.0, 1.0) for other in np.linspace(-2, 2, 10)])
"""The first column leans on the group, the second on the target."""

ROWS, DELTA = 1600, 0.05
FITS = int(os.environ.get("BITVEIL_FITS", 60))
"""How many fits there are. 500 take ten minutes, and are for a change of the search."""

KEYS = [bytes([number]) * 16 for number in range(12 if FITS >= 500 else 2)]


def most(fits):
    """The most violations that chance explains: delta and three standard deviations."""

    return DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / fits)


def chances(s):
    """The probability of each content in a group."""

    leak = 0.5 + 0.2 * (2 * s - 1) * CONTENTS[:, 0]

    return leak / leak.sum()


def drawn_rows(rng):
    s = rng.integers(2, size=ROWS)
    first, second = (rng.choice(len(CONTENTS), size=ROWS, p=chances(g)) for g in (0, 1))
    X = CONTENTS[np.where(s == 1, second, first)]

    return X, (X[:, 1] + rng.normal(size=ROWS) > 0).astype(int), s


def fitted(seed, goal, *, named, slope):
    """A fit of a network that is hardly trained, so that it leaks what it leaks."""

    X, y, s = drawn_rows(np.random.default_rng(seed))
    network = nn.Linear(2, 1)
    network.weight.data = torch.tensor([[slope, 0.1]])
    network.bias.data.zero_()
    settings = {"encoder": network, "epochs": 1, "learning_rate": 1e-9, "features": "raw"}
    model = build(InvariantEncoder, 1, max_gap=goal, random_state=seed, **settings)

    return model.fit(X, y, sensitive_features=s, ids=range(ROWS) if named else None)


def true_gap(model, *, named):
    """The largest gap of a classifier of what is published, in the population."""

    if named:
        theta = model.probabilities(CONTENTS)[:, 0]
        return model.share_ * abs(theta @ (chances(1) - chances(0)))
    codes = model.transform(CONTENTS) @ [2, 1][: 2 if model.share_ < 1 else 1]
    masses = [np.bincount(codes, chances(g), minlength=4) for g in (0, 1)]

    return np.abs(masses[0] - masses[1]).sum() / 2


def violations(fits, goal, *, named, slope):
    """How often the published codes exceed the goal, and the mean share of rows with a code."""

    models = [fitted(seed, goal, named=named, slope=slope) for seed in range(fits)]
    gaps = np.array([true_gap(model, named=named) for model in models])

    return (gaps > goal + 1e-9).mean(), np.mean([model.share_ for model in models])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("goal", [0.05, 0.44])
def test_published_codes_exceed_the_goal_in_at_most_a_share_delta_of_fits(named, goal):
    wrong, share = violations(FITS, goal, named=named, slope=6.0 if named else 1.5)

    assert wrong <= most(FITS)
    assert 0 < share <= 1
    assert (share < 0.5) == (goal == 0.05)


def test_half_the_slack_is_caught(monkeypatch):
    whole = upper.slack
    monkeypatch.setattr(upper, "slack", lambda *args, **more: whole(*args, **more) / 2)
    wrong, _ = violations(2 * FITS, 0.05, named=True, slope=6.0)

    assert wrong > most(2 * FITS)


# Few distinct rows


def census(rng, n, cells):
    """Rows of a table with few distinct contents, without names: contents, target and group."""

    p, merit, group = cells
    picked = rng.choice(len(p), size=n, p=p)
    y = (rng.random(n) < merit[picked]).astype(int)
    s = (rng.random(n) < group[picked]).astype(int)

    return picked, y, s


@pytest.mark.parametrize("goal", [0.05, 0.1])
def test_repeated_rows_without_names_keep_their_goal_under_every_key(goal):
    rng = np.random.default_rng(0)
    contents = rng.normal(size=(300, 3)).round(2)
    cells = (
        rng.dirichlet(np.full(300, 2.0)),
        expit(2 * contents[:, 0]),
        expit(contents[:, 0] + contents[:, 1]),
    )
    picked, y, s = census(rng, 20_000, cells)
    given = cells[0] * np.stack([1 - cells[2], cells[2]])
    shares = given / given.sum(1, keepdims=True)  # of each content in each group
    for key in KEYS:
        model = InvariantClassifier(
            3, max_gap=goal, posteriors=LogisticRegression(), random_state=0, key=key
        )
        model.fit(contents[picked], y, sensitive_features=s)
        bits = model.transform(contents)
        codes = bits @ (1 << np.arange(bits.shape[1]))
        rates = [np.bincount(codes, share, minlength=16) for share in shares]

        assert model.certificate_.draws == "hard"
        assert model.certificate_.bound == goal
        assert np.abs(rates[0] - rates[1]).sum() / 2 <= goal
        assert model.share_ > 0.5
        assert model.score(contents[picked], y) > max(y.mean(), 1 - y.mean()) + 0.02
