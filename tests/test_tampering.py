"""Tampering: a folder that somebody changed gives one clear error, or an encoder that works.

The forger here makes all checksums fit again.
"""

import hashlib
import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import skops.io
import torch

from bitveil.estimators import InvariantClassifier, InvariantEncoder, InvariantRegressor, load
from bitveil.inspection import check_features

KEY = b"a key for the tests"
N = 120


def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"skill": rng.normal(size=N), "job": rng.choice(["cook", "smith"], N)})
    s = pd.DataFrame({"age": rng.normal(50, 9, N), "sex": rng.choice(["f", "m"], N)})

    return X, np.where(X["skill"] > 0, "yes", "no"), s


def fitted(cls=InvariantClassifier, features="raw", **settings):
    X, y, s = table()
    y = X["skill"] + 0.5 if cls is InvariantRegressor else y
    settings = {"n_bits": 3, "hidden": (4,), "epochs": 1, "bins": 2, "key": KEY} | settings

    return cls(features=features, **settings).fit(X, y, sensitive_features=s)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tampering") / "encoder"
    fitted(max_gap=1.0, max_information=None).save(folder)

    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A folder with boosted trees."""

    folder = tmp_path_factory.mktemp("tampering") / "trees"
    fitted(InvariantEncoder, "posterior").save(folder)

    return folder


def forge(folder, manifest=None, **contents):
    """Write other files, and a manifest whose checksums fit."""

    manifest = manifest or json.loads((folder / "encoder.json").read_text())
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    manifest.pop("checksum", None)
    checksum = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "encoder.json").write_text(json.dumps(manifest | {"checksum": checksum}))


def outcome(folder):
    """Load and use: the error that names the folder, or None where all works."""

    X, _, s = table()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = load(folder)
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error), error
        assert len(str(error)) < 2000
        return error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert model.transform(X).shape == (N, model.n_bits)
        assert model.shared_rows(X) == 0
        str(model.certificate_), repr(model), model.groups_, model.get_feature_names_out()
        if hasattr(model, "predict"):
            assert len(model.predict(X)) == N
        try:
            model.sensitive_groups(s)
        except ValueError as error:
            assert "sensitive_features" in str(error)

    return None


def places(content, path=()):
    """The path of every value in a manifest, and of what holds others."""

    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(content, path, change):
    """The content with one value changed, or with one key lost."""

    content = json.loads(json.dumps(content))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    if change == "lost":
        del holder[path[-1]]
    else:
        holder[path[-1]] = change(holder[path[-1]])

    return content


DEEP = json.loads("[" * 400 + "]" * 400)
CHANGES = [
    "lost",
    lambda value: None,
    lambda value: -1,
    lambda value: 10**12,
    lambda value: "x",
    lambda value: [],
    lambda value: {},
    lambda value: [value],
    lambda value: {"array": ["int64", [10**30]]},
    lambda value: float("nan"),
    lambda value: DEEP,
    lambda value: not value,
    lambda value: {"interval": [0, "x", "right"]},
]
