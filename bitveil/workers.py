"""Workers: independent work on as many cores as were asked for, and no more.

OpenMP, BLAS and torch each have a pool of threads, which spin while they wait for each other. Next
to another busy program this makes the same work many times slower. So one rule holds in all of
bitveil: `n_jobs` is the number of cores in use. Independent calls go to that many jobs, and inside
a job every pool has one thread. Then the numbers depend neither on the cores of a machine nor on
`n_jobs`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock, local
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

from bitveil.steps import counted_step

__all__ = ["one_thread", "run"]

T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Give OpenMP, BLAS and torch one thread each, until the end of the block.

    A block inside another has nothing to do: looking for all pools takes some 20 ms.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """

    if getattr(_THREAD, "limited", False):
        yield
        return
    torch.get_num_threads()  # torch counts the cores at the first call, which must be outside
    pools = _pools(len(sys.modules))
    with pools.limit(limits=1, user_api="openmp"):  # each thread has its own limit
        _BLAS.enter(pools)
        _THREAD.limited = True
        try:
            yield
        finally:
            _THREAD.limited = False
            _BLAS.leave()


def run(
    calls: Sequence[Callable[[], T]], n_jobs: int | None = None, *, step: str | None = None
) -> list[T]:
    """The results of independent calls, in their order.

    Arguments:
        calls: Functions without arguments, such as `functools.partial` makes.
        n_jobs: How many run at the same time, as in joblib; None: one, in this process.
        step: What they do, to be said with the number of those that are done; None: nothing.

    Example:
        >>> from functools import partial
        >>> run([partial(pow, 2, n) for n in range(4)])
        [1, 2, 4, 8]
    """

    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    at_once = getattr(get_active_backend()[0], "supports_return_generator", False)
    form = "generator" if at_once else "list"  # some backends give all results at the end
    done = None if step is None else counted_step(step, len(calls))
    found: list[T] = []
    for result in Parallel(n_jobs, return_as=form)(delayed(_alone)(call) for call in calls):
        found.append(result)
        if done is not None:
            done(len(found))

    return found


def _alone(call: Callable[[], T]) -> T:
    with one_thread():
        return call()


@lru_cache(maxsize=1)
def _pools(n_modules: int) -> ThreadpoolController:
    """The pools of the process. Finding them takes longer than many calls of an encoder.

    Only an import brings new ones, so they are found again if the number of modules changes.
    """

    return ThreadpoolController()


class _Blas:
    """The one limit of BLAS for the process: the first to enter sets it, the last restores it."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0
        self.limits: Any = None

    def enter(self, pools: ThreadpoolController) -> None:
        with self.lock:
            if not self.inside:
                self.limits = pools.limit(limits=1, user_api="blas")
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.limits is not None:
                self.limits.restore_original_limits()


_BLAS, _THREAD = _Blas(), local()
