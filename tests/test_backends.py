"""joblib's backend is chosen outside: folds, candidates, probes and the benchmark follow it."""

import hashlib
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bitveil import InvariantClassifier, Training
from bitveil.audits.attacks import attack
from bitveil.audits.probes import Split
from bitveil.benchmark import run as running
from bitveil.features import Features
from bitveil.networks import network_digest
from bitveil.workers import run
from builders import build

BACKENDS = ("threading", "multiprocessing", "loky")


def world(n=200):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(np.int64), (X[:, 1] > 0).astype(np.int64)


def probes():
    """The attackers of an audit."""

    X, _, s = world()
    return attack(Split.halves(X > 0, s, 0), families=["linear", "neighbours"], n_boot=2)


def everything():
    """Folds of features, probes of an audit, and the encoders for a goal."""

    X, y, s = world()
    features = Features("posterior", posteriors=LogisticRegression(), folds=2)
    settings = {"strength": None, "max_gap": 0.6, "epochs": 1, "batch_size": 100}
    model = build(InvariantClassifier, 2, **settings, random_state=0)
    codes = model.fit(X, y, sensitive_features=s).transform(X)

    return features.fit_transform(X, y, s), probes(), codes


def same(one, other):
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[2], other[2])
    assert one[1] == other[1]


@pytest.fixture(scope="module")
def alone():
    return everything()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_numbers_do_not_depend_on_the_backend(backend, alone):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        same(everything(), alone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_line_of_ours_chooses_a_backend(backend, monkeypatch):
    seen = []
    whole = joblib.Parallel.__call__

    def noted(parallel, calls):
        seen.append((type(parallel._backend).__name__.lower(), parallel.n_jobs))
        return whole(parallel, calls)

    monkeypatch.setattr(joblib.Parallel, "__call__", noted)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert run([partial(pow, n, 2) for n in range(3)]) == [0, 1, 4]

    assert [(backend in name, jobs) for name, jobs in seen] == [(True, 2)]


def ended_cell(cell, *_):
    return cell, []


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_the_benchmark_follows_too(backend, monkeypatch, tmp_path):
    monkeypatch.setattr(running, "_run", ended_cell)
    monkeypatch.setattr(running, "read_cell", lambda *_: [])
    cells = [running.Cell("toy", "bitveil", seed) for seed in range(3)]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        ended = list(running.run_cells(cells, tmp_path, running.Plan()))

    assert sorted(cell.seed for cell, _ in ended) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_runs_them_too(ray_cluster, alone, monkeypatch, tmp_path):
    from ray.util.joblib import register_ray

    register_ray()
    monkeypatch.setattr(running, "read_cell", lambda *_: [])
    monkeypatch.setattr(running, "_run", lambda cell, *_: (cell, []))  # Ray pickles it by value
    cells = [running.Cell("toy", "bitveil", seed) for seed in range(3)]
    with joblib.parallel_config(backend="ray", n_jobs=2):
        assert probes() == alone[1]  # one call: Ray starts new processes for each
        assert len(list(running.run_cells(cells, tmp_path, running.Plan()))) == 3


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_train_starts_the_processes_of_a_training(ray_cluster, tmp_path):
    train = pytest.importorskip("ray.train")
    torch_train = pytest.importorskip("ray.train.torch")

    X, y, s = world()

    def trained(config):
        """A fit, as in a script of one process. The workers do not find this file."""

        model = InvariantClassifier(
            3,
            features="raw",
            strength=0.3,
            training=Training(devices=2, hidden=(8,), epochs=2),
            random_state=0,
        ).fit(X, y, sensitive_features=s)
        digest = hashlib.sha256(model.coder_.key + network_digest(model.coder_.encoder))
        rank = torch.distributed.get_rank()
        (Path(config["folder"]) / str(rank)).write_text(digest.hexdigest())

    torch_train.TorchTrainer(
        trained,
        train_loop_config={"folder": str(tmp_path)},
        scaling_config=train.ScalingConfig(num_workers=2),
        run_config=train.RunConfig(storage_path=str(tmp_path / "ray"), name="run"),
    ).fit()

    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text()
