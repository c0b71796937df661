"""A saved encoder encodes in a fresh process that has less installed than the one that fitted."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bitveil
from bitveil.estimators import InvariantEncoder

ENCODE = """
import sys

blocked = set(sys.argv[3].split(","))
for name in blocked:  # as if they were not installed
    sys.modules[name] = None

import numpy as np
import pandas as pd

import bitveil.estimators
from builders import build

encoder = bitveil.models.load(sys.argv[1])
table = sys.argv[2]
X = np.load(table) if table.endswith(".npy") else pd.read_parquet(table)
np.save(sys.argv[4], encoder.transform(X))
loaded = [name for name in sys.modules if name.partition(".")[0] in blocked]
assert all(sys.modules[name] is None for name in loaded), loaded
"""

OPTIONAL = ["lightning_fabric", "onnx", "onnxruntime", "onnxscript", "plotly", "rich", "typer"]
from builders import build


@pytest.fixture
def encoded_elsewhere(tmp_path):
    """The bits of a table from a process that cannot import some packages."""

    def encode(encoder, table, blocked):
        encoder.save(tmp_path / "encoder")
        subprocess.run(
            [sys.executable, "-c", ENCODE, "encoder", table, ",".join(blocked), "bits.npy"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(bitveil.__file__).parents[1])},
            check=True,
        )
        return np.load(tmp_path / "bits.npy")

    return encode


def test_fitted_on_numbers_it_needs_neither_fabric_nor_skrub(encoded_elsewhere, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y, s = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, "a", "b")
    encoder = build(InvariantEncoder, 8, epochs=2, random_state=0, key=bytes(16))
    encoder.fit(X, y, sensitive_features=s)
    np.save(tmp_path / "table.npy", X)
    bits = encoded_elsewhere(encoder, "table.npy", [*OPTIONAL, "skrub"])

    np.testing.assert_array_equal(bits, encoder.transform(X))


def test_fitted_on_a_data_frame_it_needs_no_fabric(encoded_elsewhere, tmp_path, people):
    X, y, s = people(400)
    X = X.drop(columns="notes")
    encoder = build(InvariantEncoder, 8, epochs=2, random_state=0, key=bytes(16))
    encoder.fit(X, y, sensitive_features=s)
    X.to_parquet(tmp_path / "table.parquet")
    bits = encoded_elsewhere(encoder, "table.parquet", OPTIONAL)

    np.testing.assert_array_equal(bits, encoder.transform(X))
