"""`bitveil bench`: what can be run, running it, and the report."""

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from bitveil.benchmark.run import Cell, Plan, Record
    from bitveil.datasets.files import DataFile

__all__ = ["app"]

app = typer.Typer(
    help="The benchmark: list what there is, run it, and write its report.",
    no_args_is_help=True,
)

FULL = ("adult", "compas", "heritage")
"""The data sets on which all methods are run where none is named."""

FEW = ("unprotected", "paper", "bitveil", "bitveil-posterior", "tree", "tree-posterior")
"""The methods that are run on the other ones."""

QUICK = ("unprotected", "paper", "bitveil", "tree")
"""The methods of the demonstration."""

NEEDS = {
    "prototypes": "fairlearn",
    "correlation": "fairlearn",
    "reduction": "fairlearn",
}
"""The packages that methods need beside bitveil's own."""

SHOWN = 0.10  # the gap for which `list` says how many rows it takes

Folder = Annotated[Path, typer.Option(help="The folder of the records.")]


@app.command("list")
def list_(
    rows: Annotated[
        bool,
        typer.Option(help="Count the rows of the data sets, which loads those that are here."),
    ] = True,
) -> None:
    """List the data sets and the methods, and what each of them lacks here.

    `bitveil bench list`

    `bitveil bench list --no-rows` takes no time.
    """

    from rich.console import Console
    from rich.table import Table

    from bitveil.benchmark.methods import METHODS
    from bitveil.benchmark.protocol import DATASETS
    from bitveil.datasets.files import stored

    console = Console(soft_wrap=False)
    table = Table(
        *("data set", "hides", "file", "rows", "to certify", "least gap", f"for {SHOWN:.2f}"),
        title="Data sets",
        title_justify="left",
        box=None,
    )
    for name, source in DATASETS.items():
        lacking = _lacking(name)
        counted = _counted(name) if rows and not lacking else ("",) * 4
        table.add_row(name, source.sensitive, _file(name, lacking), *counted)
    console.print(table)
    print(
        "least gap: the smallest that the rows to certify can certify, one of 16 configurations,\n"
        f"for {SHOWN:.2f}: how many rows to certify it takes until that is {SHOWN:.2f}; a code of "
        "use takes more."
    )
    for name in DATASETS:
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


@app.command()
def run(
    dataset: Annotated[
        list[str] | None, typer.Option(help="A data set; may be given again.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="A method; may be given again.")] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="A seed of a split; may be given again. Else 0, 1 and 2."),
    ] = None,
    configurations: Annotated[
        int, typer.Option(min=1, help="How many of each method are tried on each split.")
    ] = 16,
    minutes: Annotated[
        float, typer.Option(help="The most minutes of processor time of a method on a split.")
    ] = 10,
    jobs: Annotated[int, typer.Option(min=1, help="How many processes run at once.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the records; else bench or bench-quick.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A demonstration of two minutes: Adult, four methods, four configurations, one "
            "split; and its report.",
        ),
    ] = False,
) -> None:
    """Run what is not run yet: one record a configuration, a file for a method on a split.

    What was interrupted goes on where it stopped. Where neither data sets nor methods are named,
    it is all methods on Adult, COMPAS and Heritage Health, a few on the others, and what has no
    file or package here is left out with a note.

    `bitveil bench run --quick`

    `bitveil bench run --dataset adult --method bitveil --method tree --seed 0`

    `bitveil bench run --jobs 2 --out records`
    """

    from bitveil.benchmark.run import Plan
    from bitveil.benchmark.run import run as execute

    if find_spec("optuna") is None:
        raise ValueError(
            "`bitveil bench run` needs optuna: `pip install 'bitveil[bench]'`, or `optuna`."
        )
    if not minutes > 0:
        raise ValueError(f"--minutes expects a number above 0, got {minutes}.")
    if quick:
        dataset, method, seed = dataset or ["adult"], method or list(QUICK), seed or [0]
        configurations = min(configurations, 4)
    folder = out or Path("bench-quick" if quick else "bench")
    plan = Plan(configurations=configurations, minutes=minutes)
    wanted = _wanted(dataset or [], method or [], seed or [0, 1, 2])
    left = _left(wanted, folder, plan)
    print(f"{len(wanted)} cells, {len(left)} of them to run; records in {folder}", flush=True)
    for number, (cell, records) in enumerate(execute(left, folder, plan, n_jobs=jobs), 1):
        print(f"{number} of {len(left)}: {_ended(cell, records)}", flush=True)
    if quick:
        report(folder, folder)
    else:
        print(f"The report: bitveil bench report --records {folder} --out {folder}")


@app.command()
def report(
    records: Folder = Path("bench"),
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("bench"),
) -> None:
    """Write the report of records: report.html, benchmark.md, and the figures of both.

    `bitveil bench report --records bench --out bench`
    """

    from bitveil.benchmark.report import write
    from bitveil.benchmark.run import read

    if find_spec("matplotlib") is None:
        raise ValueError(
            "`bitveil bench report` needs matplotlib: `pip install 'bitveil[plots]'`, or "
            "`matplotlib`."
        )
    for path in write(read(records), out):
        print(path)


class _Named(NamedTuple):
    """A kind of names, and those there are."""

    kind: str
    there: Sequence[str]

    def check(self, names: Sequence[str]) -> None:
        """Refuse a name that is not there, and propose the nearest that is."""

        import difflib

        for name in names:
            if name not in self.there:
                near = difflib.get_close_matches(name, self.there, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"There is no {self.kind} {name!r}.{hint} Those there are: "
                    f"{', '.join(self.there)}."
                )


def _wanted(datasets: list[str], methods: list[str], seeds: list[int]) -> "list[Cell]":
    """The cells that are asked for. What is named must be there, the rest is left out."""

    from bitveil.benchmark.methods import METHODS
    from bitveil.benchmark.protocol import DATASETS
    from bitveil.benchmark.run import cells

    _Named("data set", list(DATASETS)).check(datasets)
    _Named("method", list(METHODS)).check(methods)
    if min(seeds) < 0:
        raise ValueError(f"--seed expects numbers from 0, got {min(seeds)}.")
    for name in datasets:
        _fetch(name)
    for name in methods:
        if package := _package(name):
            raise ValueError(f"The method {name!r} needs a package: `pip install {package}`.")
    whole = [*_there(datasets or list(DATASETS), _unavailable)]
    usable = [*_there(methods or list(METHODS), _package)]
    found = []
    for cell in cells(whole, usable, dict.fromkeys(seeds)):
        # Where nothing is named, the smaller half of the table has a few methods only.
        if datasets or methods or cell.dataset in FULL or cell.method in FEW:
            found.append(cell)

    return found


def _there(names: Sequence[str], lack: Callable[[str], str]) -> Iterator[str]:
    """The names that lack nothing, each once; the others are told."""

    for name in dict.fromkeys(names):
        if missing := lack(name):
            print(f"bitveil: note: {name} is left out. Missing: {missing}", file=sys.stderr)
        else:
            yield name


def _left(wanted: "list[Cell]", folder: Path, plan: "Plan") -> "list[Cell]":
    """The cells that are not at their end. Records of another plan are refused."""

    from bitveil.benchmark.methods import METHODS
    from bitveil.benchmark.run import read_cell

    left = []
    for cell in wanted:
        records = read_cell(cell, folder)
        other = {r["configurations"] for r in records} - {plan.configurations}
        if other:
            raise ValueError(
                f"{cell.file(folder)} has records of {other.pop()} configurations, whose settings "
                f"and certificates are not those of {plan.configurations}. Give that number as "
                "--configurations, or another folder as --out."
            )
        if len(records) < plan.trials(METHODS[cell.method]):
            left.append(cell)

    return left


def _ended(cell: "Cell", records: "list[Record]") -> str:
    """What became of a cell, in a line."""

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

    from bitveil.datasets import census_income, compas, heritage_health, law_school

    return {
        "compas": (compas.GENERAL,),
        "heritage": (heritage_health.FILE,),
        "law": (law_school.FILE,),
        "census": (census_income.TRAIN, census_income.TEST),
    }.get(dataset, ())


def _lacking(dataset: str) -> str:
    """The first file that is not here, or nothing."""

    from bitveil.datasets.files import stored

    return next((file.name for file in _files(dataset) if stored(file) is None), "")


def _fetch(dataset: str) -> None:
    """Download what is missing, or refuse with what a person can do."""

    from bitveil.datasets.files import find

    for file in _files(dataset):
        find(file)


def _unavailable(dataset: str) -> str:
    """Why a data set cannot be had, or nothing."""

    try:
        _fetch(dataset)
    except FileNotFoundError as error:
        return str(error)

    return ""


def _file(dataset: str, lacking: str) -> str:
    if not lacking:
        return "here" if _files(dataset) else "bundled"
    address = all(file.address for file in _files(dataset))

    return "download" if address else "missing"


def _package(method: str) -> str:
    """The package that a method needs and that is not installed, or nothing."""

    package = NEEDS.get(method, "")

    return "" if not package or find_spec(package.replace("-", "_")) else package


def _counted(dataset: str) -> tuple[str, str, str, str]:
    """The rows, those to certify by group, the least gap, and the rows that `SHOWN` takes."""

    from bitveil.benchmark.protocol import SHARES, group_sizes
    from bitveil.certificates.planning import least_gap, rows_needed

    rows, sizes = group_sizes(dataset)
    certify = [round(SHARES["certify"] * size) for size in sizes]
    shares, delta = [float(size) for size in certify], 0.05 / 16

    return (
        f"{rows:,}",
        " + ".join(f"{size:,}" for size in certify),
        f"{least_gap(certify, delta):.3f}",
        f"{rows_needed(SHOWN, shares, delta=delta):,}",
    )
