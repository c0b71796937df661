"""`bitveil monitor`: the counts of one period after the other, their bounds, and alarms."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitveil.cli.checks import check_needed, check_output, check_suffix
from bitveil.cli.messages import listed, say
from bitveil.cli.options import Force, Json
from bitveil.cli.progress import shown_steps

if TYPE_CHECKING:
    from bitveil.certificates.lower import Interval
    from bitveil.monitors import Monitor
    from bitveil.periods import Period

__all__ = ["monitor_command"]


def monitor_command(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder of the monitor. The first period makes it.", metavar="FOLDER"
        ),
    ],
    add: Annotated[
        Path | None,
        typer.Option(help="The counts of the next period: a file that `bitveil count` wrote."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The name of that period. Default: the name of the file."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            help="The largest acceptable gap. An alarm says that a period is certainly above it. "
            "Set it with the first period; it stays."
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            help="The probability that there is ever a false alarm, and that any upper bound is "
            "wrong. Set it with the first period; it stays. Default: 0.05."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw the bounds of all periods, as an .svg, .png or .pdf file."),
    ] = None,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Watch the gap of codes over time, and raise an alarm if it is too large or grows.

    Count the rows of each period with `bitveil count`, and add the counts. Periods are numbered as
    they arrive, and never rewritten. Leave out --add to see the periods again.

    The exit code is 0 without an alarm, 1 if the newest period has one, and 2 after a mistake.
    """

    from bitveil.staging import check_place

    check_needed("--add", add, {"--name": name})
    check_needed("--plot", plot, {"--force": force})
    if plot is not None:
        check_suffix(plot, ".svg", ".png", ".pdf")
        check_output(plot, [folder, *([add] if add else [])], force=force)
    if add is None:
        with shown_steps():
            monitor = _kept_monitor(folder, limit, delta)
    else:
        if not folder.exists():
            check_place(folder)
        with shown_steps():
            monitor = _added(folder, add, add.stem if name is None else name, limit, delta)
    if plot is not None:
        _draw(monitor, plot, force)
    if json_:
        print(json.dumps(_as_json_content(folder, monitor)))
    else:
        _print_monitor(folder, monitor)
    raise SystemExit(int(monitor.periods[-1].alarm))


def _added(
    folder: Path, file: Path, name: str, limit: float | None, delta: float | None
) -> "Monitor":
    """The monitor with one period more, which is saved."""

    from bitveil.monitors import Monitor
    from bitveil.tallies import Tally

    if (folder / "monitor.json").exists():
        monitor = _kept_monitor(folder, limit, delta)
    else:
        monitor = Monitor(limit, delta=0.05 if delta is None else delta)
    counts = Tally.load(file)
    try:
        monitor.add(name, counts)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    monitor.save(folder)

    return monitor


def _kept_monitor(folder: Path, limit: float | None, delta: float | None) -> "Monitor":
    """The monitor in a folder. A limit or a delta that is given must be its own."""

    from bitveil.monitors import Monitor

    monitor = Monitor.load(folder)
    for option, given, own in (
        ("--limit", limit, monitor.limit),
        ("--delta", delta, monitor.delta),
    ):
        if given is not None and given != own:
            raise ValueError(
                f"{folder} was begun with {option} {own}, got {option} {given}. A limit that "
                "changes after results are known guarantees nothing: leave the option out, or "
                "begin another folder."
            )

    return monitor


def _draw(monitor: "Monitor", file: Path, force: bool) -> None:
    from bitveil.plots import plot_monitor
    from bitveil.staging import staged

    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            "--plot needs matplotlib: `pip install 'bitveil[plots]'`, or `matplotlib`."
        ) from error
    figure = Figure(figsize=(max(5.0, 0.35 * len(monitor.periods)), 4.0), layout="constrained")
    plot_monitor(monitor, figure.add_subplot())
    with staged(file, overwrite=force) as path:
        figure.savefig(path)


def _as_json_content(folder: Path, monitor: "Monitor") -> dict[str, Any]:
    """All that was found, as plain values."""

    pooled = monitor.pooled()

    return {
        "schema": "bitveil.monitored/1",
        "folder": str(folder),
        "limit": monitor.limit,
        "delta": monitor.delta,
        "alarm": monitor.periods[-1].alarm,
        "periods": [period.to_dict() for period in monitor.periods],
        "pooled": {
            "least": pooled.least,
            "delta": pooled.delta,
            "certificate": pooled.certificate.to_dict(),
        },
    }


def _print_monitor(folder: Path, monitor: "Monitor") -> None:
    assert monitor.quantity is not None
    table = Table(box=None, title=f"The {monitor.quantity.name} in {folder}", title_justify="left")
    for heading in ("period", "rows", "at least", "at most", "drift", "alarm"):
        table.add_column(heading, justify="left" if heading in ("period", "alarm") else "right")
    for period in monitor.periods:
        table.add_row(*map(Text, _cells_of_period(period)))
    Console().print(table)
    print()
    for reason in monitor.periods[-1].reasons:
        say(reason)
    for line in _closing_lines(monitor, monitor.pooled()):
        say(line)


def _cells_of_period(period: "Period") -> list[str]:
    drift = "–" if period.drift is None else f"{max(0.0, period.drift.least):.4f}"
    causes = [
        word for word, is_so in (("limit", period.above), ("drift", period.drifted)) if is_so
    ]

    return [
        listed([period.name]),
        f"{sum(period.sizes):,}",
        f"{period.interval.least:.4f}",
        f"{period.interval.certificate.bound:.4f}",
        drift,
        " and ".join(causes),
    ]


def _closing_lines(monitor: "Monitor", pooled: "Interval") -> list[str]:
    """What the numbers are, and with what probability."""

    limit = "no limit was set" if monitor.limit is None else f"the limit is {monitor.limit:g}"
    lines = [
        f"All upper bounds hold at once with probability ≥ {1 - monitor.delta:g}. So does: no "
        f"alarm is ever false ({limit}). This covers all periods that will come.",
        "Drift: by how much groups have moved apart at least, for the newest periods against all "
        "before them. 0: no drift is certain.",
        "A person must not be in two periods: rows are compared within one file of counts only.",
    ]
    if len(monitor.periods) > 1 and not any(period.drifted for period in monitor.periods):
        lines.insert(
            1,
            f"All {len(monitor.periods)} periods together, if they do not differ: {pooled}.",
        )

    return lines
