"""`bitveil bench`: list data sets and methods, run them, and write the report."""

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from bitveil.benchmark.methods import Method
    from bitveil.benchmark.own import OwnTable
    from bitveil.benchmark.run import Cell, Plan, Result
    from bitveil.datasets.files import DataFile

__all__ = ["app"]

app = typer.Typer(
    help="The benchmark: list data sets and methods, run them, and write the report.",
    no_args_is_help=True,
)

FULL = ("adult", "compas", "heritage")
"""The data sets on which all methods run, if none is named."""

FEW = ("unprotected", "paper", "bitveil", "bitveil-goal", "tree", "tree-posterior", "rule")
"""The methods that run on the other data sets."""

SPLITS = (5, 3)
"""How many splits the data sets in `FULL` have, and all others, if no seed is named."""

DEMONSTRATION = ("unprotected", "paper", "bitveil", "tree")
"""The methods of the demonstration."""

SHOWN = 0.10  # the gap for which `list` shows the number of rows needed

Folder = Annotated[Path, typer.Option(help="The folder of the records.")]


@app.command("list")
def list_(
    rows: Annotated[
        bool,
        typer.Option(help="Count the rows of the data sets, which loads the available ones."),
    ] = True,
) -> None:
    """List the data sets and the methods, and what each of them lacks here.

    `bitveil bench list`

    `bitveil bench list --no-rows` is fast.
    """

    from rich.console import Console
    from rich.table import Table

    from bitveil.benchmark.methods import METHODS
    from bitveil.datasets.catalogue import entries
    from bitveil.datasets.files import stored

    console = Console(soft_wrap=False)
    table = Table(
        *("data set", "hides", "file", "rows", "to certify", "least gap", f"for {SHOWN:.2f}"),
        title="Data sets",
        title_justify="left",
        box=None,
    )
    for name, entry in entries().items():
        lacking = _lacking(name)
        counted = _row_counts(name) if rows and not lacking else ("",) * 4
        table.add_row(name, entry.sensitive, _file_status(name, lacking), *counted)
    console.print(table)
    print(
        "least gap: what the rows for certification certify for a code that reveals nothing;\n"
        f"for {SHOWN:.2f}: the rows for certification that make it {SHOWN:.2f}. For a useful code "
        "of all rows you need more."
    )
    for name in entries():
        for file in _files(name):
            if stored(file) is None:
                print(f"{name}: put {file.name} into the folder BITVEIL_DATA: {file.origin}.")
    print()
    table = Table("method", "what it is", "lacks", title="Methods", title_justify="left", box=None)
    for name, method in METHODS.items():
        package = _package(name)
        lack = f"pip install {package}" if package else ""
        table.add_row(name, method.title + ("" if method.ranked else "; not ranked"), lack)
    console.print(table)


@app.command("run")
def run_benchmark(
    dataset: Annotated[
        list[str] | None, typer.Option(help="A data set. You can give several.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="A method. You can give several. `module:Class` is one of your own, with fit, "
            "transform, and perhaps likelihoods."
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="The setting of your own methods that trades use for leakage, and its range: "
            "strength=0.1:30."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A .csv or .parquet of your own, instead of --dataset.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="With --data: the column to predict, with two values.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="With --data: the value of the target that counts as 1. Default: the "
            "last in their order."
        ),
    ] = None,
    sensitive: Annotated[str | None, typer.Option(help="With --data: the column to hide.")] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="With --data: a column to leave out. Can be repeated."),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            help="The seed of a split. You can give several. By default 0, 1 and 2, and on "
            "Adult, COMPAS and Heritage Health also 3 and 4."
        ),
    ] = None,
    configurations: Annotated[
        int, typer.Option(min=1, help="How many configurations each method gets on each split.")
    ] = 16,
    minutes: Annotated[
        float, typer.Option(help="The most minutes of processor time for a method on a split.")
    ] = 10,
    jobs: Annotated[int, typer.Option(min=1, help="The number of processes.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder of the records: bench or bench-quick by default."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A demonstration of two minutes, with its report: Adult, four methods, four "
            "configurations, one split.",
        ),
    ] = False,
) -> None:
    """Run unfinished cells. Each method has a file for each split, with a line a configuration.

    An interrupted run continues where it stopped. If you name neither data sets nor methods, all
    methods run on Adult, COMPAS and Heritage Health, and a few on the others. A note says what is
    left out because a file or a package is missing.

    `bitveil bench run --quick`

    `bitveil bench run --dataset adult --method bitveil --method tree --seed 0`

    `bitveil bench run --jobs 2 --out records`

    `bitveil bench run --data people.csv --target hired --sensitive sex --method my_methods:Mine`
    """

    from bitveil.benchmark.run import Plan, run_cells

    if find_spec("optuna") is None:
        raise ValueError(
            "`bitveil bench run` needs optuna: `pip install 'bitveil[bench]'`, or `optuna`."
        )
    if not minutes > 0:
        raise ValueError(f"--minutes expects a number above 0, got {minutes}.")
    if quick:
        dataset, method, seed = dataset or ["adult"], method or list(DEMONSTRATION), seed or [0]
        configurations = min(configurations, 4)
    folder = out or Path("bench-quick" if quick else "bench")
    own = _own_data(data, dataset, target, sensitive, positive, drop or [])
    plan = Plan(configurations, minutes, datasets=own, methods=_own_methods(method or [], sweep))
    wanted = _wanted([*own] or dataset or [], method or [], seed or [], plan)
    remaining = _remaining(wanted, folder, plan)
    print(f"{len(wanted)} cells, {len(remaining)} of them to run. Records: {folder}", flush=True)
    for number, (cell, records) in enumerate(run_cells(remaining, folder, plan, n_jobs=jobs), 1):
        print(f"{number} of {len(remaining)}: {_ended(cell, records)}", flush=True)
    if quick:
        report(folder, folder)
    else:
        print(f"The report: bitveil bench report --records {folder} --out {folder}")


@app.command()
def report(
    records: Folder = Path("bench"),
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("bench"),
) -> None:
    """Write the report on records: report.html, benchmark.md, and the folder benchmark.

    `bitveil bench report --records bench --out bench`
    """

    from bitveil.benchmark.report import write
    from bitveil.benchmark.run import read_results

    if find_spec("matplotlib") is None:
        raise ValueError(
            "`bitveil bench report` needs matplotlib: `pip install 'bitveil[plots]'`, or "
            "`matplotlib`."
        )
    for path in write(read_results(records), out):
        print(path)


class _Named(NamedTuple):
    """A kind of names, and those there are."""

    kind: str
    known: Sequence[str]

    def check(self, names: Sequence[str]) -> None:
        """Refuse an unknown name, and propose the nearest known one."""

        import difflib

        for name in names:
            if name not in self.known:
                near = difflib.get_close_matches(name, self.known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"There is no {self.kind} {name!r}.{hint} Available: {', '.join(self.known)}."
                )


def _own_data(
    data: Path | None,
    dataset: list[str] | None,
    target: str | None,
    sensitive: str | None,
    positive: str | None,
    drop: list[str],
) -> "dict[str, OwnTable]":
    """The person's own data set, by its name."""

    roles = {"--target": target, "--sensitive": sensitive, "--positive": positive, "--drop": drop}
    if data is None:
        if alone := [option for option, value in roles.items() if value]:
            raise ValueError(f"{' and '.join(alone)} belong to --data, a table of your own.")
        return {}
    if dataset:
        raise ValueError("--data and --dataset exclude each other. Run them one after the other.")
    if target is None or sensitive is None:
        raise ValueError("--data needs --target and --sensitive, the columns to predict and hide.")
    from bitveil.benchmark.own import OwnTable
    from bitveil.datasets.catalogue import entries

    table = OwnTable(data, target, sensitive, positive, tuple(drop))
    table.load()  # a mistake shows here, and not in every configuration
    if data.stem in entries():
        raise ValueError(
            f"{data} has the name of a data set of the benchmark, {data.stem!r}. Rename the file."
        )

    return {data.stem: table}


def _own_methods(methods: list[str], sweep: str | None) -> "dict[str, Method]":
    """The person's own methods, by the names that their records have."""

    own = [name for name in methods if ":" in name]
    if sweep is not None and not own:
        raise ValueError("--sweep belongs to a method of your own: --method module:Class.")
    if not own:
        return {}
    from bitveil.benchmark.own import own_method

    return {name: own_method(name, sweep) for name in own}


def _wanted(
    datasets: list[str], methods: list[str], seeds: list[int], plan: "Plan"
) -> "list[Cell]":
    """The wanted cells. Named data sets and methods must be available; others are left out."""

    from bitveil.benchmark.methods import METHODS
    from bitveil.benchmark.run import cells
    from bitveil.datasets.catalogue import entries

    _Named("data set", [*entries(), *plan.datasets]).check(datasets)
    _Named("method", [*METHODS, *plan.methods]).check(methods)
    if min(seeds, default=0) < 0:
        raise ValueError(f"--seed expects numbers from 0, got {min(seeds)}.")
    for name in set(datasets) - set(plan.datasets):
        _fetch(name)
    for name in set(methods) - set(plan.methods):
        if package := _package(name):
            raise ValueError(f"The method {name!r} needs a package: `pip install {package}`.")
    whole = datasets or [*_available(list(entries()), _unavailable)]
    usable = methods or [*_available(list(METHODS), _package)]
    found = []
    numbers = dict.fromkeys(seeds or range(max(SPLITS)))
    for cell in cells(dict.fromkeys(whole), dict.fromkeys(usable), numbers, plan.methods):
        full = cell.dataset in FULL
        # If nothing is named, the smaller data sets get only a few methods, and fewer splits.
        few = datasets or methods or full or cell.method in FEW
        if few and (seeds or cell.seed < SPLITS[0 if full else 1]):
            found.append(cell)

    return found


def _available(names: Sequence[str], lack: Callable[[str], str]) -> Iterator[str]:
    """The names that lack nothing, each once. Prints a note for the others."""

    for name in dict.fromkeys(names):
        if missing := lack(name):
            print(f"bitveil: note: {name} is left out. Missing: {missing}", file=sys.stderr)
        else:
            yield name


def _remaining(wanted: "list[Cell]", folder: Path, plan: "Plan") -> "list[Cell]":
    """The unfinished cells. Refuses records of another plan."""

    from bitveil.benchmark.run import read_cell

    remaining = []
    for cell in wanted:
        records = read_cell(cell, folder)
        other = {r["configurations"] for r in records} - {plan.configurations}
        if other:
            raise ValueError(
                f"{cell.file(folder)} has records of {other.pop()} configurations. Their settings "
                f"and certificates differ from those of {plan.configurations}. Give that number "
                "as --configurations, or another folder as --out."
            )
        own = plan.own_digest(cell.dataset).get("data")
        if any(record.get("data") != own for record in records):
            raise ValueError(
                f"{cell.file(folder)} has records of another table, or of other columns of it. "
                "Give another folder as --out."
            )
        if len(records) < plan.trials(plan.method(cell.method)):
            remaining.append(cell)

    return remaining


def _ended(cell: "Cell", records: "list[Result]") -> str:
    """The result of a cell, in one line."""

    from collections import Counter

    statuses = Counter(record["status"] for record in records)
    counted = ", ".join(f"{n} {status}" for status, n in statuses.items())
    seconds = sum(record["seconds"] + record["seconds_scoring"] for record in records)
    errors = [record["error"] for record in records if "error" in record]

    return f"{cell.dataset}, {cell.method}, split {cell.seed}: {counted}; {seconds:.0f} s" + (
        f"; the last error: {errors[-1][:200]}" if errors else ""
    )


def _files(dataset: str) -> "tuple[DataFile, ...]":
    """The files of a data set that do not come with bitveil."""

    from bitveil.datasets.catalogue import entries

    return entries()[dataset].files


def _lacking(dataset: str) -> str:
    """The name of the first missing file, or nothing."""

    from bitveil.datasets.files import stored

    return next((file.name for file in _files(dataset) if stored(file) is None), "")


def _fetch(dataset: str) -> None:
    """Download missing files, or raise an error that says what to do."""

    from bitveil.datasets.files import find

    for file in _files(dataset):
        find(file)


def _unavailable(dataset: str) -> str:
    """Why a data set is not available, or nothing."""

    try:
        _fetch(dataset)
    except FileNotFoundError as error:
        return str(error)

    return ""


def _file_status(dataset: str, lacking: str) -> str:
    if not lacking:
        return "here" if _files(dataset) else "bundled"
    address = all(file.address for file in _files(dataset))

    return "download" if address else "missing"


def _package(method: str) -> str:
    """The missing package of a method, or nothing."""

    from bitveil.benchmark.methods import METHODS

    package = METHODS[method].package

    return "" if not package or find_spec(package.replace("-", "_")) else package


def _row_counts(dataset: str) -> tuple[str, str, str, str]:
    """The rows, those for certification by group, the least gap, and the rows for `SHOWN`."""

    from bitveil.benchmark.protocol import rows_by_group
    from bitveil.certificates.planning import least_gap, rows_needed
    from bitveil.rows import SPLIT

    rows, sizes = rows_by_group(dataset)
    certify = [round(SPLIT[-1] * size) for size in sizes]
    shares = [float(size) for size in certify]

    return (
        f"{rows:,}",
        " + ".join(f"{size:,}" for size in certify),
        f"{least_gap(certify):.3f}",
        f"{rows_needed(SHOWN, shares):,}",
    )
