"""Builders: estimators from flat settings, and rows that they can be fitted on."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

import bitveil
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


def changed(model, **settings):
    """The same estimator with other settings; those of the training go where they belong."""

    training = {f"training__{n}" if n in _TRAINING else n: value for n, value in settings.items()}

    return model.set_params(**training)


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


def table_of(people, seed=0):
    """A table on which the tests of the command line fit an encoder."""

    X, y, s = people(400, seed=seed)

    return X.drop(columns="since").assign(
        person=[f"p{i}" for i in range(400)], sex=s, hired=y, extra=1.5
    )


def fit_words(file, output, *more):
    """The words of a command that fits an encoder on such a table."""

    named = ("--target", "hired", "--sensitive", "sex", "--id", "person", "--drop", "extra")

    return "fit", file, *named, "-o", output, *more


def python(*words):
    """Run the command line as a process of its own, with the same code."""

    return subprocess.run(
        [sys.executable, "-m", "bitveil", *words],
        env=os.environ | {"PYTHONPATH": str(Path(bitveil.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


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
