"""Progress: how far a command is, how fast, and how long it will take, on the error stream.

What goes by rows has a bar, `progress`. Everything else says its steps, `shown_steps`.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from bitveil.steps import OnStep, listening

if TYPE_CHECKING:
    from bitveil.sources import Source

__all__ = ["Pace", "Progress", "expected_rows", "progress", "shown_steps"]

Progress = Annotated[
    bool,
    typer.Option(
        "--progress",
        help="Show progress even if the error stream is no terminal, as a line now and then.",
    ),
]

_AFTER = 3.0  # seconds: what ends before needs no progress
_EVERY = 10.0  # seconds between two lines
_SAMPLE = 2**20  # bytes of a CSV file that say how long its lines are


@dataclass
class Pace:
    """How many rows are done, and how fast.

    Attributes:
        total: How many rows there are; None: nobody knows.
        clock: Tells the seconds.
        done: How many rows are done.
        new: How many of them were done since the start.
        start: When work began.

    Example:
        >>> seconds = iter([0.0, 2.0, 2.0])
        >>> pace = Pace(1000, lambda: next(seconds))
        >>> pace.add(500, found=True)
        >>> pace.add(100)
        >>> pace.words()
        '600 of 1,000 rows, 50 rows a second, 0:00:08 left'
    """

    total: int | None
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    new: int = 0
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    def add(self, n_rows: int, found: bool = False) -> None:
        """Count rows that are done. Those that were found say nothing about the pace."""

        self.done += n_rows
        self.new += 0 if found else n_rows

    @property
    def seconds(self) -> float:
        """The time since the start."""

        return self.clock() - self.start

    def words(self) -> str:
        """How many rows are done, how fast, and how long the others will take."""

        rate = self.new / max(self.seconds, 1e-9)
        of_all = "" if self.total is None else f" of {self.total:,}"
        said = f"{self.done:,}{of_all} rows, {rate:,.0f} rows a second"
        if self.total is None or not rate:
            return said
        left = int(max(0, self.total - self.done) / rate)

        return f"{said}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"


@contextmanager
def progress(total: int | None, *, always: bool) -> Iterator[Callable[[int, bool], None]]:
    """What a command calls with each number of rows. It shows something after three seconds.

    Arguments:
        total: How many rows there are; None: nobody knows.
        always: Whether to show it outside of a terminal, too.
    """

    pace = Pace(total)
    if sys.stderr.isatty():
        with _bar(pace) as show:
            yield show
    elif always:
        yield _as_lines(pace)
    else:
        yield pace.add


@contextmanager
def _bar(pace: Pace) -> Iterator[Callable[[int, bool], None]]:
    columns = (BarColumn(), TextColumn("{task.description}"))
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task: Any = None

    def show(n_rows: int, found: bool) -> None:
        nonlocal task
        pace.add(n_rows, found)
        if task is None and pace.seconds > _AFTER:
            bar.start()
            task = bar.add_task("", total=pace.total)
        if task is not None:
            bar.update(task, completed=pace.done, description=pace.words())

    try:
        yield show
    finally:
        bar.stop()


def _as_lines(pace: Pace) -> Callable[[int, bool], None]:
    due = _AFTER

    def show(n_rows: int, found: bool) -> None:
        nonlocal due
        pace.add(n_rows, found)
        if pace.seconds >= due:
            due = pace.seconds + _EVERY
            print(f"bitveil: {pace.words()}", file=sys.stderr, flush=True)

    return show


@contextmanager
def shown_steps() -> Iterator[None]:
    """Show on a terminal what the work inside is doing, from the third second on."""

    if not sys.stderr.isatty():
        yield
        return
    with _spinner() as show, listening(show):
        yield


@dataclass
class _Doing:
    """What is being done, and how many rows of it are done."""

    step: str = ""
    n_rows: int = 0

    def now(self, step: str, n_rows: int) -> str:
        """The next step, or more rows of the same, in words."""

        self.n_rows = n_rows + (self.n_rows if step == self.step else 0)
        self.step = step

        return f"{step}: {self.n_rows:,} rows" if self.n_rows else step


@contextmanager
def _spinner() -> Iterator[OnStep]:
    """A line that moves. A clock starts it, since a single step may last for minutes."""

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    bar = Bar(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    task, doing, clock = bar.add_task("working"), _Doing(), Timer(_AFTER, bar.start)
    clock.daemon = True
    clock.start()
    try:
        yield lambda step, n_rows: bar.update(task, description=doing.now(step, n_rows))
    finally:
        clock.cancel()
        clock.join()
        bar.stop()


def expected_rows(source: "Source") -> int | None:
    """How many rows a source has. Of CSV files it is guessed from their size; None for a stream.

    Example:
        >>> from bitveil.sources import open_source
        >>> file = getfixture("tmp_path") / "people.csv"
        >>> _ = file.write_text("age\\n" + "30\\n" * 50)
        >>> expected_rows(open_source(file))
        51
    """

    if source.n_rows is not None or not source.files:
        return source.n_rows
    with source.files[0].open("rb") as file:
        sample = file.read(_SAMPLE)
    size = sum(path.stat().st_size for path in source.files)

    return round(size * sample.count(b"\n") / max(1, len(sample)))
