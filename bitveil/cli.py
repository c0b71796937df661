"""The command line: fit, encode and audit tables on disk, and a demonstration."""

import difflib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app", "main"]

app = typer.Typer(
    help="Codes that can be published: useful for a target, and known to reveal little of a "
    "sensitive attribute.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="A table: .csv or .parquet.")]
Model = Annotated[Path, typer.Argument(help="The folder that `bitveil fit` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Delta = Annotated[float, typer.Option(help="How probably the certificate may be wrong.")]
Id = Annotated[
    str | None,
    typer.Option("--id", help="The column that names each row; it alone decides the row's draw."),
]


def main() -> None:
    """Run the command line. What a person can mend is one line on the error stream, and exit 2."""

    # Threads that wait for one another spin, which is many times slower where others use the
    # cores too. It has to be said before the first numerical library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    said: set[str] = set()

    def note(message: Warning | str, *_args: Any, **_rest: Any) -> None:
        if str(message) not in said:
            print(f"bitveil: note: {message}", file=sys.stderr)
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
    """Fit an encoder, certify it where that is wished for, and write it as a folder.

    Every column but the targets, the sensitive ones, --id, --weight and --drop is a feature.
    Columns that merely state a sensitive one in other words should be dropped. A target with
    fractions, or with more than 50 numbers, is a number; others are classes.
    """

    from bitveil.estimators import InvariantClassifier, InvariantEncoder, InvariantRegressor
    from bitveil.release import check_place
    from bitveil.targets import Target

    check_place(output)
    table = _read(file)
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
        "certified": certificate and certificate.quantity,
        "delta": certificate and certificate.delta,
    }
    if json_:
        print(json.dumps(found))
        return
    _print_table(
        f"Encoder in {output}",
        {
            "target, sensitive": f"{', '.join(target)}; {', '.join(sensitive)}",
            "features": ", ".join(map(str, model.feature_names_in_ or [])),
            "rows": ", ".join(f"{len(rows)} to {name}" for name, rows in model.rows_.items()),
            "certificate": str(certificate or "none: no gap or information was wished for"),
        },
    )


@app.command()
def encode(
    model: Model,
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv or .parquet to write.")],
    id_: Id = None,
) -> None:
    """Write the frozen codes of a table's rows: the same rows always get the same codes.

    Only the columns that the encoder was fitted on are used. The file has a column for each bit,
    and the one of --id before them.
    """

    from bitveil.estimators import load
    from bitveil.release import staged

    _check_suffix(output)
    encoder = load(model)
    table = _read(file)
    ids = _ids(table, id_, file)
    rows = _features(encoder, table, model, file)
    codes = _frame(encoder, encoder.transform(rows, ids=ids))
    if ids is None and (shared := encoder.shared_rows(rows)) > 0.01 * len(rows):
        print(
            f"bitveil: note: {shared} of {len(rows)} rows have the content of another row and get "
            "its code. Name the rows with --id.",
            file=sys.stderr,
        )
    if ids is not None:
        codes.insert(0, id_, ids)
    with staged(output, overwrite=True) as path:
        codes.to_csv(path, index=False) if path.suffix == ".csv" else codes.to_parquet(path)
    print(f"{len(codes)} codes of {encoder.n_bits} bits in {output}")


@app.command()
def audit(
    model: Model,
    file: File,
    target: Annotated[
        str | None, typer.Option(help="The target's column; else as fitted, where it is there.")
    ] = None,
    sensitive: Annotated[
        list[str] | None, typer.Option(help="The sensitive column(s); else as fitted.")
    ] = None,
    delta: Annotated[
        float, typer.Option(help="How probably the certificate may be wrong.")
    ] = 0.05,
    id_: Id = None,
    json_: Json = False,
) -> None:
    """Say what the codes of a table's rows reveal of the sensitive column.

    The rows must be new ones: on those that the encoder was fitted on every number is too good.
    """

    from bitveil.audits import audit as run
    from bitveil.estimators import load
    from bitveil.labels import number_labels

    encoder = load(model)
    table = _read(file)
    groups = list(sensitive or encoder.sensitive_names_ or [])
    if not groups:
        raise ValueError(f"{model} does not say which column is sensitive: name it, --sensitive.")
    _require(table, groups, file)
    for name in groups:
        number_labels(name, table[name], len(table))
    named = target or encoder.target_name_
    _require(table, [target] if target else [], file)
    rows = _features(encoder, table, model, file)
    ids = _ids(table, id_, file)
    found = run(
        encoder.logits(rows),
        table[groups],
        table.get(named),
        bits=encoder.transform(rows, ids=ids),
        delta=delta,
        shared_rows=encoder.shared_rows(rows) if ids is None else None,
    )
    if json_:
        print(found.to_json())
        return
    print(f"What codes from {model} reveal of {', '.join(groups)}, by the rows of {file}\n")
    print(found)
    print(f"\n{_CAVEAT}")


_CAVEAT = """What these numbers do not say: anything of rows that were used in fitting, of another
population, of two draws for one row, or of someone who holds other columns of the
row beside its code."""


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what a person can mend into one clear line and exit code 2."""

    try:
        yield
    except (ValueError, OSError) as error:
        print(f"bitveil: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from error


def _check_groups(table: "pd.DataFrame", sensitive: list[str], bins: int, missing: bool) -> None:
    """Refuse columns that make no groups by their names, before anything is fitted."""

    from bitveil.estimators import MAX_GROUPS
    from bitveil.labels import Grouping

    for name in sensitive:
        Grouping.fit(
            name, table[name], bins=bins, missing="group" if missing else "error", most=MAX_GROUPS
        )


def _named(name: str, fit: Any, column: "pd.Series[Any]") -> Any:
    """What is learned of a column, or an error that names it."""

    try:
        return fit(column, len(column))
    except ValueError as error:
        raise ValueError(str(error).replace("`y`", f"`{name}`")) from error


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"Expected a file that ends in .csv or .parquet, got {path}.")


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd

    _check_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    table = table.reset_index(drop=True)
    if table.empty:
        raise ValueError(f"{path} has no rows.")

    return table


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
    _require(table, [name], file)
    if table[name].duplicated().any():
        raise ValueError(f"{file}: the column {name!r} names some rows twice; ids must differ.")

    return table[name]


def _frame(encoder: Any, bits: Any) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(bits, columns=encoder.get_feature_names_out())


def _print_table(title: str, rows: Mapping[str, str]) -> None:
    table = Table("", "", title=title, title_justify="left", show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    Console(soft_wrap=False).print(table)
