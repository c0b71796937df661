"""Steps: what long work is doing, said to whoever listens.

Work that may take more than seconds says what it does through `say_step`. Someone who wants to
know gives a function: as `progress=`, or to `listening` for everything inside a block.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

__all__ = ["OnStep", "counted_step", "listening", "say_step"]

OnStep: TypeAlias = Callable[[str, int], None]
"""Called with what is being done, and how many rows of it were done since the last call: 0 where
it does not go by rows."""

_LISTENER: ContextVar[OnStep | None] = ContextVar("listener", default=None)


@contextmanager
def listening(progress: OnStep | None) -> Iterator[None]:
    """Say every step inside the block to a function; None: to whoever listened before.

    Other threads and processes are not heard.

    Example:
        >>> heard = []
        >>> with listening(lambda step, n_rows: heard.append(step)):
        ...     say_step("counting codes")
        ...     with listening(None):
        ...         say_step("attackers")
        >>> say_step("nobody listens")
        >>> heard
        ['counting codes', 'attackers']
    """

    if progress is None:
        yield
        return
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def say_step(step: str, n_rows: int = 0) -> None:
    """Say what begins now, or how many more rows of it are done."""

    if (progress := _LISTENER.get()) is not None:
        progress(step, n_rows)


def counted_step(step: str, total: int) -> Callable[[int], None]:
    """Say that a step of several parts begins, and return what to call after each part.

    Example:
        >>> with listening(lambda step, n_rows: print(step)):
        ...     done = counted_step("attackers", 2)
        ...     done(1)
        attackers: 0 of 2 done
        attackers: 1 of 2 done
    """

    def done(n: int) -> None:
        say_step(f"{step}: {n} of {total} done")

    done(0)

    return done
