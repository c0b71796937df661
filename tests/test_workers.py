"""Workers: pools with one thread, restored later, and the same numbers with any number of jobs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from bitveil.audits.attacks import attack, repeated_draw_attack, search_attack
from bitveil.audits.probes import Split
from bitveil.audits.uses import use
from bitveil.estimators import InvariantEncoder
from bitveil.features import Features
from bitveil.layers import StochasticBinary
from bitveil.steps import listening
from bitveil.workers import one_thread, run
from builders import build


def pools():
    return sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info())


@pytest.fixture(autouse=True)
def several_threads():
    """Pools of three threads, even if the environment asks for one."""

    torch.get_num_threads()  # the first call sets the pools, too
    with threadpool_limits(3):
        yield


def test_pools_have_one_thread_inside_and_their_own_number_after():
    before = pools()
    assert {threads for _, threads in before} == {3}
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert {threads for _, threads in pools()} == {1}
        assert {threads for _, threads in pools()} == {1}

    assert pools() == before
    assert torch.get_num_threads() == 3


def test_pools_are_restored_after_a_failure():
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError

    assert {threads for _, threads in pools()} == {3}


def test_the_last_of_several_threads_restores_the_pools():
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first():
        with one_thread():
            first_is_in.set()
            second_is_in.wait(5)
        first_is_out.set()

    def second():
        first_is_in.wait(5)
        with one_thread():
            second_is_in.set()
            first_is_out.wait(5)

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {threads for _, threads in pools()} == {3}


def test_results_come_in_the_order_of_the_calls_and_are_counted():
    heard = []
    with listening(lambda step, _: heard.append(step)):
        found = run([partial(pow, n, 2) for n in range(5)], n_jobs=2, step="squares")

    assert found == [0, 1, 4, 9, 16]
    assert heard == [f"squares: {n} of 5 done" for n in range(6)]


def inside():
    return sorted({pool["num_threads"] for pool in threadpool_info()})


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_job_has_pools_of_one_thread(n_jobs):
    assert run([inside] * 3, n_jobs) == [[1]] * 3


# Numbers do not depend on jobs


def world(n=400):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(np.int64), (X[:, 1] > 0).astype(np.int64)


def test_folds_in_parallel_give_the_features_of_one_job():
    X, y, s = world()
    one, two = (Features("posterior", n_jobs=n).fit_transform(X, y, s) for n in (None, 2))

    np.testing.assert_array_equal(one, two)


def test_attackers_find_the_same_in_parallel_as_alone():
    X, y, s = world()
    split = Split.halves(X > 0, s, 0)
    asked = [
        lambda n: attack(split, n_boot=5, n_jobs=n),
        lambda n: search_attack(split, n_configurations=3, n_jobs=n),
        lambda n: repeated_draw_attack(X, s, draws=(1,), n_jobs=n),
        lambda n: use(split, y[: len(split.scored)], families=["linear", "boosting"], n_jobs=n),
    ]

    for ask in asked:
        assert ask(None) == ask(2)


def test_a_fit_leaves_the_pools_as_they_were_and_has_one_thread_inside():
    seen = []
    X, y, s = world()
    model = build(
        InvariantEncoder,
        2,
        epochs=1,
        after_epoch=lambda _: seen.append(torch.get_num_threads()),
        random_state=0,
    )
    model.fit(X, y, sensitive_features=s)

    assert seen == [1]
    assert {threads for _, threads in pools()} == {3}


# Draws belong to one call


def test_bits_are_the_same_from_any_thread():
    """A network with stochastic layers inside, used by four threads at once."""

    X, y, s = world(64)
    layers = [nn.Linear(3, 10), StochasticBinary(), nn.Linear(10, 10), StochasticBinary()]
    network = nn.Sequential(*layers, nn.Linear(10, 4))
    model = build(InvariantEncoder, 4, encoder=network, epochs=1, random_state=0)
    model.fit(X, y, sensitive_features=s)
    tables = [np.random.default_rng(seed).normal(size=(500, 3)) for seed in range(4)]
    expected = [model.transform(table) for table in tables]
    together = threading.Barrier(4)

    def ask(number):
        found = []
        for _ in range(50):
            together.wait(60)
            found.append((model.transform(tables[number]) != expected[number]).any())
        return sum(found)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [0, 0, 0, 0]
