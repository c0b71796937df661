import os
from typing import NamedTuple

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch

# One core for each process, or threads wait for one another: boosting on small tables is many
# times slower then. The variable is for the processes that tests of the command line start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture
def unchecked():
    """Without the shape checks of the tests: what a person's own process says of bad input."""

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class People(NamedTuple):
    """A table with every kind of column, whether each was hired, and their sex."""

    X: pd.DataFrame
    y: np.ndarray
    s: np.ndarray


@pytest.fixture(scope="session")
def people():
    """Make people: their skill, which leans on sex, gets them hired; their height tells sex."""

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
