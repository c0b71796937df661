"""Builders: estimators from flat settings, and rows that they can be fitted on."""

import inspect

import numpy as np
import torch

from bitveil.models import InvariantClassifier
from bitveil.training import Training

KEY = b"a key for the tests"
"""A key to give with a seed: a key that follows from the seed gives a warning."""

_TRAINING = set(inspect.signature(Training).parameters)


def build(cls, *n_bits, **settings):
    """An unfitted estimator; the settings of the training go where they belong."""

    training = {name: settings.pop(name) for name in list(settings) if name in _TRAINING}
    if training:
        settings["training"] = Training(**training)

    return cls(*n_bits, **settings)


def quick(cls=InvariantClassifier, n_bits=3, **settings):
    """An unfitted estimator that is fitted in a moment, with the same result each time."""

    fast = {"features": "raw", "hidden": (8,), "epochs": 3, "random_state": 0}

    return build(cls, n_bits, **fast | settings)


def leaning_rows(n=400, seed=0, noise=0.5):
    """Two columns that lean on the group, a target that follows the first one, and the groups."""

    rng = np.random.default_rng(seed)
    s = rng.integers(2, size=n)
    X = rng.normal(size=(n, 2)) + 0.5 * s[:, None]

    return X, (X[:, 0] + noise * rng.normal(size=n) > 0.2).astype(int), s


def assert_equal_fits(one, other, X):
    """The same weights to the last bit, the same history, path, certificate and bits."""

    for mine, yours in (
        (one.coder_.encoder, other.coder_.encoder),
        (one.decoder_.network, other.decoder_.network),
    ):
        assert (mine is None) == (yours is None)
        if mine is not None:
            state = yours.state_dict()
            assert all(torch.equal(w, state[name]) for name, w in mine.state_dict().items())
    assert one.history_ == other.history_
    assert one.path_ == other.path_
    assert one.certificate_ == other.certificate_
    assert one.coder_.key == other.coder_.key
    np.testing.assert_array_equal(one.logits(X), other.logits(X))
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


def planted(n=400, k=2, seed=0):
    """Features of which the first says y, the second y and s in one, and the rest nothing."""

    rng = np.random.default_rng(seed)
    y, s = rng.integers(2, size=n), rng.integers(k, size=n)
    X = rng.normal(size=(n, 4))
    X[:, 0] += 1.5 * y
    X[:, 1] += 3.0 * (y + s)

    return X.astype(np.float32), y, s
