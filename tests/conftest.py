import os
import sys
import warnings
from typing import NamedTuple

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch

# Each process uses one core. With more, threads wait for each other, and boosting on small tables
# is many times slower. Processes that tests start read the variable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture
def unchecked():
    """Switch the shape checks of the tests off, as in a user's own process."""

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def command_line(monkeypatch, capsys):
    """Run the command line in this process: its exit code, output and errors."""

    from bitveil import cli

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bitveil", *map(str, words)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with warnings.catch_warnings(), pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code or 0, *capsys.readouterr()

    return run


class People(NamedTuple):
    """A table with every kind of column, whether each was hired, and their sex."""

    X: pd.DataFrame
    y: np.ndarray
    s: np.ndarray


@pytest.fixture(scope="session")
def people():
    """Make people: their skill, which leans on sex, gets them hired; their height reveals sex."""

    def make(n=600, seed=0):
        rng = np.random.default_rng(seed)
        s = rng.choice(["f", "m"], n)
        skill = rng.normal(size=n) + 0.4 * (s == "m")
        height = rng.normal(size=n) + 1.5 * (s == "m")
        X = pd.DataFrame(
            {
                "skill": np.where(rng.random(n) < 0.1, np.nan, skill),
                "height": height,
                "age": rng.integers(18, 80, n),
                "job": rng.choice(np.array(["clerk", "cook", "smith", None], dtype=object), n),
                "size": pd.Categorical(np.where(height > 1, "tall", "short")),
                "since": np.datetime64("2020-01-01", "s") + rng.integers(900, size=n) * 86_400,
                "member": rng.random(n) < 0.5,
                "planet": "earth",
                "notes": np.nan,
            }
        )
        y = np.where(skill + 0.3 * rng.normal(size=n) > 0.4, "yes", "no")

        return People(X, y, s)

    return make
