"""Processes: where the team of a training comes from.

Either a launcher started this script in several processes (`torchrun`, Ray Train), and they join
their process group. Or there is one process: then it starts the others as copies of itself, which
train along and end with the training. This process is the first of the team, so that weights,
history and callbacks stay where they are.
"""

import atexit
import gc
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, wraps
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import torch
import torch.distributed as dist

from bitveil.teams import LostProcessError, Team

__all__ = [
    "STRATEGIES",
    "accelerator_number",
    "check_devices",
    "check_same_work",
    "in_team",
    "is_first",
    "is_launched",
]

P = ParamSpec("P")
Done = TypeVar("Done")

STRATEGIES = ("auto", "ddp")
"""How several processes train: `"ddp"` is data-parallel, and what `"auto"` chooses."""

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others, which may be busy with a callback."""


class _Helper(NamedTuple):
    """A process that trains along, and where its error comes from, if it has one."""

    process: BaseProcess
    errors: Connection


def check_devices(devices: int, strategy: str) -> None:
    """Refuse a strategy that does not suit the number of processes.

    Example:
        >>> check_devices(1, "ddp")
        Traceback (most recent call last):
        ValueError: `strategy='ddp'` trains by several processes, got `devices=1`. Set `devices` \
to their number, or leave `strategy` out.
    """

    if strategy == "ddp" and devices == 1:
        raise ValueError(
            "`strategy='ddp'` trains by several processes, got `devices=1`. Set `devices` to "
            "their number, or leave `strategy` out."
        )


def is_launched() -> bool:
    """Whether a launcher started this process as one of several, or `torch.distributed` runs.

    Workers of joblib inherit the variables of a launcher, but nobody expects them.
    """

    named = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"))

    return dist.is_initialized() or (named and multiprocessing.parent_process() is None)


def is_first() -> bool:
    """Whether this process is the first of those that a launcher started, or the only one."""

    rank = dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))

    return not is_launched() or rank == 0


def check_same_work(devices: int, device: str, said: bytes) -> None:
    """Refuse launched processes that are to do different work, as this digest of it says.

    Raises:
        ValueError: If they are, in all of them.
    """

    if devices == 1 or not is_launched():
        return
    if not _joined(devices, device).agrees(torch.tensor(list(said), device=device)):
        raise ValueError(
            "The processes of a training expect the same rows, settings and random numbers, and "
            "got different ones. Give every process the same data and the same `random_state`."
        )


def accelerator_number() -> int:
    """The number of this process's accelerator on its machine, as its launcher says."""

    return int(os.environ.get("LOCAL_RANK", 0))


def in_team(train: Callable[P, Done]) -> Callable[P, Done]:
    """Let a function with `device`, `devices` and `team` find its team, if it gets none.

    With `devices=1` it has none.

    Example:
        >>> @in_team
        ... def number(*, device="cpu", devices=1, team=None):
        ...     return None if team is None else team.add(torch.ones(1))
        >>> print(number()), number(devices=2)
        None
        (None, tensor([2.]))
    """

    @wraps(train)
    def wrapped(*args: P.args, **settings: P.kwargs) -> Done:
        devices, device = settings.get("devices", 1), settings.get("device", "cpu")
        if devices == 1 or settings.get("team") is not None:
            return train(*args, **settings)

        def work(team: Team) -> Done:
            return train(*args, **{**settings, "team": team})  # type: ignore[arg-type]

        with _together(cast(int, devices), cast(str, device), work) as team:
            return work(team)

    return wrapped


@contextmanager
def _together(devices: int, device: str, work: Callable[[Team], object]) -> Iterator[Team]:
    """The team of this process, where the others do the same work.

    Arguments:
        devices: The number of processes.
        device: Where they compute: `"cpu"`, or an accelerator, one for each process.
        work: What each process that is started here does. Launched ones do it by themselves.

    Raises:
        ValueError: If a launcher started another number of processes, or is needed.
        LostProcessError: If another process ends before its work is done.
    """

    if is_launched():
        yield _joined(devices, device)
        return
    if device != "cpu" or sys.platform != "linux":
        raise ValueError(
            f"`devices={devices}` without a launcher needs `device='cpu'` and Linux, got "
            f"{device!r} on {sys.platform}. Start the script with `torchrun --nproc-per-node "
            f"{devices}`."
        )
    with tempfile.TemporaryDirectory() as folder:
        helpers = [
            _started(partial(_connected, Path(folder), rank, devices), work)
            for rank in range(1, devices)
        ]
        try:
            yield _connected(Path(folder), 0, devices)
        except LostProcessError as error:
            if (reason := _reason(helpers)) is None:
                raise
            raise reason from error
        finally:
            for helper in helpers:
                helper.process.kill()
                helper.process.join()


def _joined(devices: int, device: str) -> Team:
    """This process in the group of those that a launcher started."""

    if not dist.is_initialized():
        # Its functions have the group of the moment of the import as a default. Imported later,
        # they would keep ours, and its threads, until Python has ended.
        import torch.distributed.nn.functional  # noqa: F401

        dist.init_process_group("gloo" if device == "cpu" else "nccl")
        atexit.register(_leave)
    if dist.get_world_size() != devices:
        raise ValueError(
            f"`devices={devices}`, but {dist.get_world_size()} processes were started. Set "
            "`devices` to the number of all processes, on all machines together."
        )

    return Team(dist.get_rank(), devices, dist.group.WORLD)


def _leave() -> None:
    """End the group and its threads: they may still let go of a tensor, which needs Python."""

    if dist.is_initialized():
        dist.destroy_process_group()


def _connected(folder: Path, rank: int, size: int) -> Team:
    """A process in a group of its own, which meets in a folder of this machine."""

    store = dist.FileStore(  # type: ignore[attr-defined]
        str(folder / "meeting"), size
    )
    options: Any = dist.ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    options._devices = [dist.ProcessGroupGloo.create_device(hostname="127.0.0.1")]
    options._timeout = _PATIENCE
    try:
        group = dist.ProcessGroupGloo(store, rank, size, options)
    except RuntimeError as error:
        raise LostProcessError(f"The {size} processes do not find each other: {error}") from error

    return Team(rank, size, group)


def _started(connect: Callable[[], Team], work: Callable[[Team], object]) -> _Helper:
    """A copy of this process that does the work. It needs no pickle, and runs no script again."""

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_help, args=(connect, work, sender), daemon=True)
    with warnings.catch_warnings():  # from Python 3.12 on of threads, which the copy does not use
        warnings.filterwarnings("ignore", ".*multi-threaded.*", DeprecationWarning)
        gc.freeze()  # the copy must not end what it never had: threads of an older group
        process.start()
        gc.unfreeze()
    sender.close()

    return _Helper(process, receiver)


def _help(connect: Callable[[], Team], work: Callable[[Team], object], errors: Connection) -> None:
    """Work in a copy, and leave without cleaning up what belongs to the original."""

    code = 1
    try:
        torch.set_num_threads(1)  # the threads of the original are not here
        work(connect())
        code = 0
    except BaseException as error:
        _send(errors, error)
    finally:
        os._exit(code)


def _send(errors: Connection, error: BaseException) -> None:
    try:
        errors.send(error)
    except Exception:  # some errors cannot be pickled
        errors.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _received(errors: Connection) -> BaseException | None:
    try:
        return cast(BaseException, errors.recv()) if errors.poll() else None
    except Exception:  # it was ended before it said anything, or some errors cannot be read
        return None


def _reason(helpers: list[_Helper]) -> BaseException | None:
    """Why another process ended: its own error, or how it was ended."""

    for rank, (process, errors) in enumerate(helpers, 1):
        process.join(5)
        found = _received(errors)
        if found is not None and not isinstance(found, LostProcessError):
            return found
        if process.exitcode is not None and process.exitcode < 0:
            return LostProcessError(
                f"Process {rank} of the {len(helpers) + 1} that trained was ended by signal "
                f"{-process.exitcode}. Perhaps memory ran out. Start the fit again; with a "
                "`checkpoint` it continues where it ended."
            )

    return None
