"""Builders: estimators from flat settings, and rows that they can be fitted on."""

import inspect

import numpy as np

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
