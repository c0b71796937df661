"""Encoders with known weights, for mixtures of them."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import nn

from bitveil.estimators import InvariantEncoder
from builders import quick

DELTA = 0.1
IDS = range(1200)
one_epoch = partial(quick, hidden=(4,), epochs=1, batch_size=500)


def linear(weights, rows, *, cls=InvariantEncoder, **settings):
    """A fitted encoder whose logits are these products of the columns: one row of them a bit."""

    X, y, s = rows
    weights = torch.tensor(weights, dtype=torch.float64)
    model = one_epoch(cls, len(weights), **settings).fit(X, y, sensitive_features=s)
    model.coder_ = replace(
        model.coder_,
        encoder=nn.Linear(*weights.T.shape, bias=False).double().eval().requires_grad_(False),
    )
    model.coder_.encoder.weight.copy_(weights)

    return model


def people(n=1200, k=2, seed=0):
    """Two columns, of which the first says the target and both say a little of the group."""

    rng = np.random.default_rng(seed)
    s = np.r_[np.arange(k), rng.integers(k, size=n - k)]
    X = rng.normal(size=(n, 2)) + 0.5 * s[:, None]

    return X, (X[:, 0] > 0.4).astype(int), s


@cache
def pair(k=2):
    """An encoder of two bits that tells little, and one of three that tells more."""

    rows = people(k=k)

    return linear([[0.3, 0], [0, 0.2]], rows), linear([[4, 1], [1, 4], [2, -2]], rows)


def table_of(likelihoods, groups):
    return np.array([likelihoods[groups == g].sum(0) for g in np.unique(groups)])
