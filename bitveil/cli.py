"""The command line: fit, encode and audit tables on disk, and a demonstration."""

import difflib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitveil.benchmark import command

if TYPE_CHECKING:
    import pandas as pd

    from bitveil.audits import Audit

__all__ = ["app", "main"]

app = typer.Typer(
    help="Codes that can be published: useful for a target, and known to reveal little of a "
    "sensitive attribute.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(command.app, name="bench")

File = Annotated[Path, typer.Argument(help="A table: .csv or .parquet.")]
Model = Annotated[Path, typer.Argument(help="The folder that `bitveil fit` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Delta = Annotated[float, typer.Option(help="How probably the certificate may be wrong.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Attackers = Literal["quick", "all"]
Id = Annotated[
    str | None,
    typer.Option("--id", help="The column that names each row; it alone decides the row's draw."),
]


def main() -> None:
    """Run the command line. What a person can mend is one line on the error stream, and exit 2."""

    said: set[str] = set()

    def note(message: Warning | str, *_args: Any, **_rest: Any) -> None:
        if str(message) not in said:
            _note(str(message))
        said.add(str(message))

    with _refusals(), warnings.catch_warnings():
        warnings.showwarning = note
        app()


@app.command()
def demo(json_: Json = False, seed: Annotated[int, typer.Option(help="The seed.")] = 0) -> None:
    """Fit, encode and audit the bundled Adult data: income above 50,000, blind to sex."""

    from bitveil.demo import demo as run

    found = run(random_state=seed, verbose=not json_)
    if json_:
        print(json.dumps(found.to_dict()))
        return

    _print_table(
        "Adult, official test rows; target: income above 50,000; sensitive: sex",
        {
            "accuracy, no protection": f"{found.unprotected_accuracy:.3f} (boosting, raw columns)",
            "accuracy, published codes": f"{found.test_accuracy:.3f} ({found.n_bits} bits a row)",
            "certified gap": f"≤ {found.certified_gap:.2f} for any classifier of the codes, with "
            f"probability ≥ {1 - found.delta:g}",
            "measured gap": f"{found.empirical_gap:.3f} "
            f"(no protection: {found.unprotected_gap:.3f})",
            "attacker of sex, raw columns": f"AUC {found.attacker_auc_raw:.3f} "
            "(better of linear and boosting)",
            "attacker of sex, codes": f"AUC {found.attacker_auc_codes:.3f} (0.5 is a guess)",
            "joint information": f"{found.joint_information_bits:.4f} bits of "
            f"{found.audit.entropy_bits:.3f} (exact for these rows)",
            "seconds": f"{found.seconds:.0f}",
        },
    )
    print("\nThe audit of the test rows' codes, with a certificate of their own:\n")
    print(found.audit)
    print(f"\n{_CAVEAT}")


@app.command()
def fit(
    file: File,
    target: Annotated[
        list[str],
        typer.Option(help="A column that the codes are to be useful for; may be given again."),
    ],
    sensitive: Annotated[
        list[str], typer.Option(help="A column that they are to hide; may be given again.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    max_gap: Annotated[
        float | None, typer.Option(help="The gap that is to be certified, as 0.10.")
    ] = None,
    max_information: Annotated[
        float | None, typer.Option(help="The bits about the sensitive column, in place of a gap.")
    ] = None,
    criterion: Annotated[
        Literal["independence", "separation", "equal_opportunity"],
        typer.Option(
            help="independence (parity), separation (equalised odds) or equal_opportunity."
        ),
    ] = "independence",
    delta: Annotated[
        float, typer.Option(help="How probably the certificate may be wrong.")
    ] = 0.05,
    strength: Annotated[
        float | None, typer.Option(help="A weight for the total variation, in place of a gap.")
    ] = None,
    bits: Annotated[int, typer.Option(help="The number of bits of a code.")] = 6,
    bins: Annotated[
        int, typer.Option(help="Into how many groups a sensitive column of numbers is cut.")
    ] = 5,
    missing: Annotated[
        bool, typer.Option("--missing-group", help="Take a missing sensitive value as a group.")
    ] = False,
    weight: Annotated[
        str | None, typer.Option(help="The column that says how much each row counts.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out; may be given again.")
    ] = None,
    id_: Id = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Makes the fit repeatable, and its secret key guessable: for trials."),
    ] = None,
    json_: Json = False,
) -> None:
    """Fit an encoder, certify it where that is asked for, and write it as a folder.

    Every column but the targets, the sensitive ones, --id, --weight and --drop is a feature.
    Columns that merely state a sensitive one in other words should be dropped. A target with
    fractions, or with more than 50 numbers, is a number; others are classes.
    """

    from bitveil.columns.targets import Target
    from bitveil.estimators import InvariantEncoder
    from bitveil.models import InvariantClassifier, InvariantRegressor
    from bitveil.staging import check_place

    check_place(output)
    _check_goal(max_gap, max_information, strength)
    table = _read(file, typed=[*target, *sensitive, *([weight] if weight else [])])
    aside = [name for name in (id_, weight) if name is not None]
    apart = [*target, *sensitive, *(drop or []), *aside]
    _require(table, apart, file)
    if len(set(apart)) < len(apart):
        raise ValueError(
            f"Each column has one role, got {apart} for target, sensitive and others."
        )
    _check_groups(table, sensitive, bins, missing)
    kinds = {kind for name in target for kind in _named(name, Target.fit, table[name])[0].kinds}
    forms = {("classes",): InvariantClassifier, ("numbers",): InvariantRegressor}
    form: Any = forms.get(tuple(kinds), InvariantEncoder)
    model = form(
        bits,
        max_gap=max_gap,
        max_information=max_information,
        criterion=criterion,
        delta=delta,
        strength=strength,
        bins=bins,
        missing_sensitive="group" if missing else "error",
        random_state=seed,
        verbose=not json_,
    )
    model.fit(
        table.drop(columns=apart),
        table[target[0] if len(target) == 1 else target],
        sensitive_features=table[sensitive],
        sample_weight=None if weight is None else table[weight],
        ids=_ids(table, id_, file),
    )
    model.save(output)

    certificate = model.certificate_
    found = {
        "output": str(output),
        "target": target,
        "sensitive": sensitive,
        "features": model.feature_names_in_,
        "rows": {name: len(rows) for name, rows in model.rows_.items()},
        "n_bits": bits,
        "certified_gap": certificate and certificate.bound,
        "certified": certificate and certificate.quantity.name,
        "delta": certificate and certificate.delta,
    }
    if json_:
        print(json.dumps(found))
        return
    _print_table(
        f"Encoder in {output}",
        {
            "target, sensitive": f"{_listed(target)}; {_listed(sensitive)}",
            "features": _listed(model.feature_names_in_ or []),
            "rows": ", ".join(f"{len(rows)} to {name}" for name, rows in model.rows_.items()),
            "certificate": str(certificate or "none: no gap or information was asked for"),
        },
    )


@app.command()
def encode(
    model: Model,
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv or .parquet to write.")],
    id_: Id = None,
    force: Force = False,
) -> None:
    """Write the frozen codes of a table's rows: the same rows always get the same codes.

    Only the columns that the encoder was fitted on are used. The file has a column for each bit,
    and the one of --id before them.
    """

    from bitveil.models import load
    from bitveil.staging import staged

    _check_suffix(output)
    _check_output(output, [file, model], force=force)
    encoder = load(model)
    table = _read(file, typed=[])
    ids = _ids(table, id_, file)
    if id_ in encoder.get_feature_names_out():
        raise ValueError(f"{file}: the column {id_!r} has the name of one of the bits. Rename it.")
    rows = _features(encoder, table, model, file)
    codes = _frame(encoder, encoder.transform(rows, ids=ids))
    if ids is None and (shared := encoder.shared_rows(rows)) > 0.01 * len(rows):
        _note(
            f"{shared} of {len(rows)} rows have the content of another row and get its code. Name "
            "the rows with --id."
        )
    if ids is not None:
        codes.insert(0, id_, ids)
    with staged(output, overwrite=force) as path:
        codes.to_csv(path, index=False) if path.suffix == ".csv" else codes.to_parquet(path)
    _say(f"{len(codes)} codes of {encoder.n_bits} bits in {output}")


@app.command()
def audit(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="The folder that `bitveil fit` wrote; with --codes none.", metavar="[ENCODER]"
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Argument(help="A table of rows: .csv or .parquet. With --codes it may be left out."),
    ] = None,
    codes: Annotated[
        Path | None,
        typer.Option(help="Codes that anybody made, in place of an encoder: .csv or .parquet."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of --codes that is published; may be given again. Else all that have "
            "no other role."
        ),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            help="A table of counts in place of codes: a row for each value of --sensitive, a "
            "column for each code."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The target's column; else as fitted, where it is there.")
    ] = None,
    sensitive: Annotated[
        list[str] | None, typer.Option(help="The sensitive column(s); else as fitted.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another encoder to compare on the same rows; may be given again."),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="How probably the certificate may be wrong; else as fitted, or 0.05."),
    ] = None,
    attackers: Annotated[
        Attackers | None,
        typer.Option(help="all takes minutes. Else all with --report, and quick without."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="An .html to write: one page that opens offline.")
    ] = None,
    small_cells: Annotated[
        bool,
        typer.Option(
            "--small-cells",
            help="List codes of fewer than 10 rows with their group in the report. Beside the "
            "published codes they can tell the group of a single person.",
        ),
    ] = False,
    force: Force = False,
    id_: Id = None,
    json_: Json = False,
) -> None:
    """Say what the codes of a table's rows reveal of the sensitive column.

    Either of an encoder and rows (`bitveil audit encoder people.csv`), or of codes that anybody
    made (`bitveil audit --codes codes.csv --column postcode --sensitive sex`). The attributes may
    stand in another table, which --id joins to the codes.

    The rows must be new ones: on those that an encoder was fitted on every number is too good, and
    an encoder that knows them refuses.
    """

    _only_with("--codes", codes, {"--column": column})
    _only_with("--report", report, {"--small-cells": small_cells, "--force": force})
    if report is not None:
        read = [path for path in (model, file, codes, counts, *(against or [])) if path]
        _check_report(report, read, force=force)
    asked = _Asked(
        target, list(sensitive or []), delta, attackers or ("all" if report else "quick"), id_
    )
    if counts is not None:
        others = {"--codes": codes, "--against": against, "--id": id_}
        _require_none("--counts", {"an encoder or another table": model or file, **others})
        found = {str(counts): _audit_counts(counts, asked)}
        sources = [counts]
    elif codes is not None:
        _require_none("--codes", {"a third table": file, "--against": against})
        found = {str(codes): _audit_codes(codes, model, list(column or []), asked)}
        sources = [codes, *([model] if model else [])]
    elif model is None or file is None:
        raise ValueError("Name an encoder and a table of rows, or --codes, or --counts.")
    else:
        models = [model, *(against or [])]
        if against:
            _check_encoders(models)
        found = {str(each): _audit_encoder(each, file, asked) for each in models}
        sources = [file, *(each / "encoder.json" for each in models)]
    if report is not None:
        _write_report(report, found, sources, force=force, small_cells=small_cells)
    if json_:
        print(_json(found))
        return
    for name, one in found.items():
        rows = "" if model is None or codes else f", by the rows of {file}"
        _say(f"What codes from {name} reveal of {_listed(one.sensitive)}{rows}")
        print(f"\n{one}\n")
    print(_CAVEAT)
    if report is not None:
        print()
        _say(f"The report is in {report}")


_CAVEAT = """What these numbers do not say: anything of rows that were used in fitting, of another
population, of two draws for one row, or of someone who holds other columns of the
row beside its code."""


_DELTA = 0.05  # where no encoder says another
_LINE = 2_000  # characters of a line that says something; more are of one endless name


class _Asked(NamedTuple):
    """What is asked of an audit."""

    target: str | None
    sensitive: list[str]
    delta: float | None
    attackers: Attackers
    id: str | None


def _audit_encoder(model: Path, file: Path, asked: _Asked) -> "Audit":
    """Audit the codes that an encoder gives to the rows of a table."""

    from bitveil.models import load

    encoder = load(model)
    names = list(asked.sensitive or encoder.schema_.sensitive_names or [])
    if not names:
        raise ValueError(f"{model} does not say which column is sensitive: name it, --sensitive.")
    _check_roles([*names, asked.target, asked.id])
    targets = [asked.target] if asked.target else [*encoder.schema_.target.names]
    table = _read(file, typed=[*names, *targets])
    _require(table, [*names, *([asked.target] if asked.target else [])], file)
    known = bool(targets) and all(name in table for name in targets)

    return encoder.audit(
        _features(encoder, table, model, file),
        _columns(table, targets) if known else None,
        sensitive_features=_columns(table, names),
        ids=_ids(table, asked.id, file),
        delta=asked.delta,
        attackers=asked.attackers,
    )


def _audit_codes(codes: Path, file: Path | None, columns: list[str], asked: _Asked) -> "Audit":
    """Audit codes that anybody made, from a column or several of a table."""

    from bitveil.audits import audit as run

    if not asked.sensitive:
        raise ValueError("--codes needs --sensitive: the column that the codes are to hide.")
    if file is not None and file.is_dir():
        raise ValueError(
            f"{file} is a folder. With --codes, name the table that has the attributes; an "
            "encoder is audited without --codes."
        )
    roles = [*asked.sensitive, *([asked.target] if asked.target else [])]
    _check_roles([*columns, *roles, asked.id])
    table = _read(codes, id_=asked.id)
    _require(table, [*columns, *([asked.id] if asked.id else [])], codes)
    if file is not None:
        table = _joined(table, codes, file, asked, roles)
    _require(table, roles, file or codes)
    _check_sensitive(table[asked.sensitive])
    apart = {*roles, asked.id}
    published = columns or [str(name) for name in table if name not in apart]
    if not published:
        raise ValueError(f"{codes} has no column left that could be a code.")

    return run(
        _columns(table, published),
        _columns(table, asked.sensitive),
        table[asked.target] if asked.target else None,
        ids=_ids(table, asked.id, file or codes),
        delta=_DELTA if asked.delta is None else asked.delta,
        attackers=asked.attackers,
    )


def _audit_counts(file: Path, asked: _Asked) -> "Audit":
    """Audit a table of counts."""

    from bitveil.audits import audit_table

    if len(asked.sensitive) != 1 or asked.target is not None:
        raise ValueError(
            "--counts needs one --sensitive, which names the groups, and no --target."
        )
    table = _read(file)
    _require(table, asked.sensitive, file)

    return audit_table(
        table.set_index(asked.sensitive[0]),
        delta=_DELTA if asked.delta is None else asked.delta,
        attackers=asked.attackers,
    )


def _joined(
    table: "pd.DataFrame", codes: Path, file: Path, asked: _Asked, roles: list[str]
) -> "pd.DataFrame":
    """The codes with the attributes of another table, row by row with the same id."""

    from bitveil.columns.names import read_names

    if asked.id is None:
        raise ValueError(
            f"{codes} and {file} are joined by a column that names rows, which is in both: name "
            "it with --id."
        )
    attributes = _read(file, id_=asked.id)
    _require(attributes, roles, file)
    for each, place in [(table, codes), (attributes, file)]:
        _ids(each, asked.id, place)
        each[asked.id] = read_names(each[asked.id], len(each))
    if alone := len(set(table[asked.id]) ^ set(attributes[asked.id])):
        raise ValueError(
            f"{codes} and {file} do not hold the same rows: {alone} ids are in one of them only."
        )
    extra = [name for name in roles if name in table]
    if extra:
        raise ValueError(f"{extra} are in {codes} and in {file}: take them out of one.")

    return table.merge(attributes[[asked.id, *roles]], on=asked.id, validate="one_to_one")


def _write_report(
    report: Path,
    found: "dict[str, Audit]",
    sources: list[Path],
    *,
    force: bool,
    small_cells: bool,
) -> None:
    import hashlib

    from bitveil.audits.page import html_report
    from bitveil.staging import staged

    lines = [
        f"{path}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources
    ]
    content = html_report(found, sources=lines, small_cells=small_cells)
    with staged(report, overwrite=force) as path:
        path.write_text(content, encoding="utf-8")


def _check_report(path: Path, read: Sequence[Path], *, force: bool) -> None:
    if path.suffix != ".html":
        raise ValueError(f"Expected a report that ends in .html, got {path}.")
    _check_output(path, read, force=force)


def _check_output(path: Path, read: Sequence[Path], *, force: bool) -> None:
    """Refuse a file that cannot or should not be written, before anybody waits for it."""

    from bitveil.staging import check_place

    for source in read:
        if _is_or_lies_in(path, source):
            raise ValueError(
                f"{path} would write over {source}, which is read here. Name another file: even "
                "--force does not allow that."
            )
    check_place(path, overwrite=True)
    if os.path.lexists(path) and not force:
        raise FileExistsError(f"{path} exists already. Name another file, or say --force.")


def _is_or_lies_in(path: Path, source: Path) -> bool:
    """Whether a file is another one, by whatever name, or lies in a folder."""

    if path.exists() and source.exists() and path.samefile(source):
        return True
    folder = os.path.realpath(source)
    places = (os.path.realpath(path), os.path.join(os.path.realpath(path.parent), path.name))

    return any(Path(place).is_relative_to(folder) for place in places)


def _check_encoders(models: Sequence[Path]) -> None:
    """Refuse folders that hold no encoder before the first of them is audited."""

    if len({os.path.realpath(model) for model in models}) < len(models):
        raise ValueError(f"Each encoder is compared once, got {_listed(models)}.")
    for model in models:
        if not (model / "encoder.json").is_file():
            raise FileNotFoundError(f"{model} is not a saved encoder: it has no encoder.json.")


def _json(found: "dict[str, Audit]") -> str:
    """One audit as it is, several by their names."""

    if len(found) == 1:
        return next(iter(found.values())).to_json()
    audits = {name: json.loads(one.to_json()) for name, one in found.items()}

    return json.dumps({"schema": "bitveil.audits/1", "audits": audits})


def _columns(table: "pd.DataFrame", names: list[str]) -> "pd.DataFrame | pd.Series[Any]":
    """One column as such, several as a table."""

    return table[names[0]] if len(names) == 1 else table[names]


def _check_sensitive(columns: "pd.DataFrame") -> None:
    """Refuse sensitive columns that cannot be told apart, by their names."""

    from bitveil.columns.labels import number_labels

    for name in columns:
        number_labels(f"--sensitive {name}", columns[name], len(columns))


def _require_none(option: str, others: Mapping[str, Any]) -> None:
    """Refuse what does not go with an option."""

    given = [name for name, value in others.items() if value]
    if given:
        raise ValueError(f"{option} goes without {' and '.join(given)}.")


def _only_with(option: str, value: Any, others: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing without another one."""

    given = [name for name, other in others.items() if other]
    if given and value is None:
        raise ValueError(f"Without {option} there is no use for {' and '.join(given)}.")


def _check_roles(names: Sequence[str | None]) -> None:
    """Refuse a column that is given for two things, or twice."""

    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise ValueError(f"Each column has one role, got {twice} more than once.")


def _check_goal(*goals: float | None) -> None:
    options = ("--max-gap", "--max-information", "--strength")
    given = [name for name, goal in zip(options, goals, strict=True) if goal is not None]
    if len(given) > 1:
        raise ValueError(f"Say one goal, not several: got {' and '.join(given)}.")


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what a person can mend into one clear line and exit code 2."""

    try:
        yield
    except (ValueError, OSError) as error:
        _say(f"bitveil: {_in_options(str(error))}", file=sys.stderr)
        raise SystemExit(2) from error


_OPTIONS = {
    "attackers": "--attackers",
    "audit_table": "--counts",
    "bins": "--bins",
    "codes": "--codes",
    "criterion": "--criterion",
    "delta": "--delta",
    "ids": "--id",
    "max_gap": "--max-gap",
    "max_information": "--max-information",
    "missing_sensitive": "--missing-group",
    "n_bits": "--bits",
    "random_state": "--seed",
    "sample_weight": "--weight",
    "sensitive_features": "--sensitive",
    "strength": "--strength",
    "y": "--target",
}
"""What the library's arguments are called on the command line."""

_PYTHON = (
    (", or let them count for the sensitive attribute only: `missing_target='unlabelled'`", ""),
    (", or use `features='raw'`", ""),
    (", as `pandas.qcut` does", ""),
    (": `.astype(str)`", ""),
    (" For expected counts use `certify`.", ""),
    ("Use `InvariantRegressor`, or cut", "Cut"),
    ("`missing_sensitive='group'`", "--missing-group"),
    ("(delta = ", "(--delta "),
    ("Input y ", "`y` "),
)
"""Advice that only Python users can follow, and what the command line says instead."""


def _in_options(message: str) -> str:
    """A message of the library in words of the command line."""

    for python, here in _PYTHON:
        message = message.replace(python, here)

    return re.sub(r"`(\w+)(?:=([^`]*))?`", _option, message)


def _option(found: re.Match[str]) -> str:
    option = _OPTIONS.get(found[1])
    if option is None:
        return found[0]

    return option if found[2] is None else f"{option} {found[2].strip(chr(39))}"


def _note(message: str) -> None:
    _say(f"bitveil: note: {_in_options(message)}", file=sys.stderr)


def _say(words: str, *, file: Any = None) -> None:
    """Print one line, and nothing in it that a terminal would obey."""

    from bitveil.columns.printing import printable

    print(printable(" ".join(words.split()), most=_LINE), file=file)


def _listed(names: Sequence[Any]) -> str:
    """Names of the data with commas, as they are safe to show."""

    from bitveil.columns.printing import printable

    return ", ".join(map(printable, names))


def _check_groups(table: "pd.DataFrame", sensitive: list[str], bins: int, missing: bool) -> None:
    """Refuse columns that make no groups by their names, before anything is fitted."""

    from bitveil.columns.groups import Grouping
    from bitveil.schema import MAX_GROUPS

    for name in sensitive:
        Grouping.fit(
            f"--sensitive {name}",
            table[name],
            bins=bins,
            missing="group" if missing else "error",
            most=MAX_GROUPS,
        )


def _named(name: str, fit: Any, column: "pd.Series[Any]") -> Any:
    """What is learned of a column, or an error that names it."""

    try:
        return fit(column, len(column))
    except ValueError as error:
        said = str(error).replace("Input y ", "`y` ")
        raise ValueError(said.replace("`y`", f"`--target {name}`")) from error


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"Expected a file that ends in .csv or .parquet, got {path}.")


def _read(
    path: Path, *, typed: Sequence[Any] | None = None, id_: str | None = None
) -> "pd.DataFrame":
    """The rows of a file as they are stored: text from CSV, and the types of Parquet.

    The kinds of columns that an encoder learned say what text means: see
    `bitveil.columns.kinds`.

    Arguments:
        path: The file.
        typed: The columns that pandas is to find types for; None: all but the one of the ids.
        id_: The column of the ids.
    """

    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a table. Name a .csv or .parquet file.")
    _check_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        table, found = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
        apart = [name for name in table if name != id_] if typed is None else typed
        if names := [name for name in dict.fromkeys(apart) if name in table]:
            table[names] = found(names)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if table.empty:
        raise ValueError(f"{path} has no rows.")

    return table


def _read_csv(path: Path) -> "tuple[pd.DataFrame, Callable[[list[str]], pd.DataFrame]]":
    """A table of text, and what reads some of its columns with types."""

    import pandas as pd

    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    if twice := sorted(set(header[header.duplicated() & (header != "")])):
        raise ValueError(f"columns need different names, and {twice} stand there more than once.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(path, index_col=False, dtype=str, keep_default_na=False)
        except pd.errors.ParserWarning as error:
            raise ValueError(
                f"its rows have more fields than the {len(header)} names of its first line. Is "
                "there a comma at the end of rows, or is a name missing?"
            ) from error

    return table, lambda names: pd.read_csv(path, index_col=False, usecols=names)[names]


def _read_parquet(path: Path) -> "tuple[pd.DataFrame, Callable[[list[str]], pd.DataFrame]]":
    """A table of Arrow's types, which keep integers, and what reads columns with numpy's."""

    import pandas as pd

    table = pd.read_parquet(path, dtype_backend="pyarrow").reset_index(drop=True)

    return table, lambda names: pd.read_parquet(path)[names].reset_index(drop=True)


def _require(table: "pd.DataFrame", names: list[str], file: Path) -> None:
    """Refuse names that are no columns, and propose the nearest that is."""

    for name in names:
        if name not in table:
            near = difflib.get_close_matches(name, map(str, table.columns), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has {list(table.columns)}."
            raise ValueError(f"{file} has no column {name!r}.{hint}")


def _features(encoder: Any, table: "pd.DataFrame", model: Path, file: Path) -> "pd.DataFrame":
    """The columns that the encoder was fitted on."""

    if encoder.feature_names_in_ is None:
        raise ValueError(
            f"{model} was fitted on an array, whose columns have no names: use it from Python."
        )
    missing = [name for name in encoder.feature_names_in_ if name not in table]
    if missing:
        raise ValueError(f"{file} lacks columns that the encoder was fitted on: {missing}.")

    return table[encoder.feature_names_in_]


def _ids(table: "pd.DataFrame", name: str | None, file: Path) -> "pd.Series[Any] | None":
    if name is None:
        return None
    from bitveil.columns.names import read_names

    _require(table, [name], file)
    try:
        names = read_names(table[name], len(table))
    except ValueError as error:
        raise ValueError(f"{file}: " + str(error).replace("`ids`", f"--id {name}")) from error
    if len(set(names)) < len(names):
        raise ValueError(f"{file}: the column {name!r} names some rows twice; ids must differ.")

    return table[name]


def _frame(encoder: Any, bits: Any) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(bits, columns=encoder.get_feature_names_out())


def _print_table(title: str, rows: Mapping[str, str]) -> None:
    from bitveil.columns.printing import printable

    def plain(words: str) -> Text:  # rich would read brackets and colons of a name as its markup
        return Text(printable(words, most=None))

    table = Table("", "", title=plain(title), title_justify="left", show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(plain(name), plain(value))
    Console(soft_wrap=False).print(table)
