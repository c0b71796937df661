import os
import shutil
import sys
import tempfile
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


@pytest.fixture(scope="session")
def numbers(people):
    """A table of numbers, which is quick to fit."""

    X, y, s = people(600)

    return X[["height", "age"]].assign(skill=X["skill"].fillna(0)), y, s


@pytest.fixture(scope="session")
def model(people):
    """A fitted classifier of every kind of column, through posterior features."""

    from builders import quick

    X, y, s = people(900)
    settings = {"hidden": (16,), "epochs": 20, "batch_size": 500, "strength": 0.2}

    return quick(features="posterior", **settings).fit(X, y, sensitive_features=s)


@pytest.fixture(scope="session")
def table(people):
    """A table to fit and encode with the command line."""

    from builders import table_of  # not above: shape checks start after this file is imported

    return table_of(people)


@pytest.fixture(scope="session")
def fitted(people, tmp_path_factory):
    """The folder of an encoder of other rows. The ids and the extra column are no features."""

    from builders import KEY, quick, table_of

    seen = table_of(people, seed=1)
    X = seen.drop(columns=["person", "sex", "hired", "extra"])
    model = quick(key=KEY)
    folder = tmp_path_factory.mktemp("fitted") / "encoder"
    model.fit(X, seen["hired"], sensitive_features=seen[["sex"]]).save(folder)

    return folder


@pytest.fixture
def place(table, fitted, tmp_path, monkeypatch):
    """A folder to work in, with a table in both formats and an encoder."""

    table.to_csv(tmp_path / "people.csv", index=False)
    table.to_parquet(tmp_path / "people.parquet")
    shutil.copytree(fitted, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)

    return tmp_path


@pytest.fixture(scope="session")
def pages():
    """Pages of audits of every kind."""

    from audit_pages import every_page

    return every_page()


@pytest.fixture(
    params=["adult", "foreign", "wide", "several", "odds", "broken", "groups", "blank"]
)
def content(request, pages):
    """Each of these pages."""

    return pages[request.param]


@pytest.fixture
def bitveil(command_line, monkeypatch):
    """Run the command line, whose fits take a moment."""

    from bitveil.cli import fit

    kind_of_encoder = fit.kind_of_encoder

    def fast(table, targets):
        def build(*n_bits, training, **settings):
            training.set_params(hidden=(4,), epochs=1)
            return kind(*n_bits, training=training, features="raw", **settings)

        kind = kind_of_encoder(table, targets)
        return build

    monkeypatch.setattr(fit, "kind_of_encoder", fast)

    return command_line


@pytest.fixture(scope="session")
def ray_cluster():
    """Ray on two cores, with a folder of its own for everything that it writes.

    Each process of pytest that needs one starts a cluster of its own, so several do not meet.
    """

    ray = pytest.importorskip("ray", reason="ray is not installed")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # with it Ray writes a file at home
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",  # never a cluster that happens to run on this machine
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            object_store_memory=100 * 2**20,
            _temp_dir=folder,
        )
        _calm_ray_data()
        yield folder
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _calm_ray_data():
    """Ray sets some of its own settings that it calls deprecated."""

    import ray.data

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.data\..*")
        ray.data.DataContext.get_current().enable_progress_bars = False
