"""`bitveil fit`: an encoder from a table, certified for a goal, as a folder."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from bitveil.checks import check_roles
from bitveil.cli.messages import listed, print_table, say
from bitveil.cli.options import Id, Json, RowsFile
from bitveil.cli.progress import shown_steps
from bitveil.cli.tables import columns_of, ids_of, require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fit_command", "kind_of_encoder"]


def fit_command(
    file: RowsFile,
    target: Annotated[
        list[str],
        typer.Option(help="A column that the codes should predict. Can be repeated."),
    ],
    sensitive: Annotated[
        list[str], typer.Option(help="A column that the codes should hide. Can be repeated.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    max_gap: Annotated[
        float | None, typer.Option(help="The goal: the largest gap to certify, for example 0.10.")
    ] = None,
    max_information: Annotated[
        float | None,
        typer.Option(help="A goal in bits about the sensitive column instead of a gap."),
    ] = None,
    criterion: Annotated[
        Literal["independence", "separation", "equal_opportunity"],
        typer.Option(
            help="What the gap compares: independence (parity), separation (equalised odds) or "
            "equal_opportunity."
        ),
    ] = "independence",
    delta: Annotated[
        float, typer.Option(help="The probability that the certificate may be wrong.")
    ] = 0.05,
    on_unmet: Annotated[
        Literal["dilute", "raise"],
        typer.Option(
            help="What happens if a useful code cannot be certified for every row: dilute leaves "
            "some rows blank, raise gives an error."
        ),
    ] = "dilute",
    strength: Annotated[
        float | None,
        typer.Option(help="A fixed weight of the total variation instead of a goal."),
    ] = None,
    bits: Annotated[int, typer.Option(help="The number of bits of a code.")] = 4,
    bins: Annotated[
        int,
        typer.Option(help="The number of groups that a sensitive column of numbers is cut into."),
    ] = 5,
    missing: Annotated[
        bool,
        typer.Option("--missing-group", help="Treat missing sensitive values as a group."),
    ] = False,
    weight: Annotated[
        str | None, typer.Option(help="The column that says how much each row counts.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out. Can be repeated.")
    ] = None,
    id_: Id = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help="How many rows to fit and select on; all others certify. Default: 1,000,000 of a "
            "folder, a pattern, or a table that is larger."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Makes the fit repeatable, but lets others guess its secret key. For trials only."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Fit an encoder, certify it if you set a goal, and save it as a folder.

    Every column is a feature, except the targets, the sensitive columns and those of --id,
    --weight and --drop. Drop columns that state a sensitive one in other words. A target with
    fractions, or with more than 50 different numbers, counts as a number; others are classes.
    """

    from bitveil.sources import is_large
    from bitveil.staging import check_place
    from bitveil.training import Training

    check_place(output)
    _check_goal(max_gap, max_information, strength)
    settings = {
        "n_bits": bits,
        "max_gap": max_gap,
        "max_information": max_information,
        "criterion": criterion,
        "delta": delta,
        "on_unmet": on_unmet,
        "strength": strength,
        "bins": bins,
        "missing_sensitive": "group" if missing else "error",
        "random_state": seed,
        "training": Training(),
    }
    roles = _Roles(target, sensitive, drop or [], id_, weight)
    if sample is not None or is_large(file):
        model = _fit_source(file, roles, settings, sample)
    else:
        model = _fit_table(file, roles, settings)
    model.save(output)
    show = _print_json if json_ else _print
    show(model, output, target, sensitive)


class _Roles(NamedTuple):
    """The columns that are no features."""

    target: list[str]
    sensitive: list[str]
    drop: list[str]
    id: str | None
    weight: str | None

    @property
    def apart(self) -> list[str]:
        """All of them."""

        single = [name for name in (self.id, self.weight) if name is not None]

        return [*self.target, *self.sensitive, *self.drop, *single]


@shown_steps()
def _fit_table(file: Path, roles: _Roles, settings: dict[str, Any]) -> Any:
    """Fit on a table that is read at once."""

    from bitveil.columns.files import read_table

    weighted = [] if roles.weight is None else [roles.weight]
    table = read_table(file, typed=[*roles.target, *roles.sensitive, *weighted])
    require(table, roles.apart, file)
    check_roles(roles.apart)
    missing = settings["missing_sensitive"] == "group"
    _check_groups(table, roles.sensitive, settings["bins"], missing)

    return kind_of_encoder(table, roles.target)(**settings).fit(
        table.drop(columns=roles.apart),
        columns_of(table, roles.target),
        sensitive_features=table[roles.sensitive],
        sample_weight=None if roles.weight is None else table[roles.weight],
        ids=ids_of(table, roles.id, file),
    )


@shown_steps()
def _fit_source(file: Path, roles: _Roles, settings: dict[str, Any], sample: int | None) -> Any:
    """Fit on a sample of files of any size, and certify on the other rows."""

    from bitveil.samples import SAMPLE, first_rows
    from bitveil.sources import open_source

    if roles.weight is not None:
        raise ValueError(
            "--weight needs all rows in memory. Leave it out, or fit one table without --sample."
        )
    if sample is not None and sample < 2:
        raise ValueError(f"--sample expects a number of rows from 2 on, got {sample}.")
    source = open_source(str(file))
    source.require(roles.apart)
    check_roles(roles.apart)
    estimator = kind_of_encoder(first_rows(source, roles.target), roles.target)

    return estimator(**settings).fit_source(
        source,
        target=roles.target,
        sensitive=roles.sensitive,
        features=[name for name in source.columns if name not in roles.apart],
        ids=roles.id,
        most=SAMPLE if sample is None else sample,
    )


def kind_of_encoder(table: "pd.DataFrame", targets: Sequence[str]) -> Callable[..., Any]:
    """The estimator for targets with classes, with numbers, or with both."""

    from bitveil.columns.targets import Target
    from bitveil.estimators import InvariantEncoder
    from bitveil.models import InvariantClassifier, InvariantRegressor

    kinds = {kind for name in targets for kind in _fit_target(Target, table[name], name).kinds}
    estimators = {"classes": InvariantClassifier, "numbers": InvariantRegressor}

    return estimators[kinds.pop()] if len(kinds) == 1 else InvariantEncoder


def _fit_target(kind: Any, column: "pd.Series[Any]", name: str) -> Any:
    """What is learned about the column of a target. An error names the column."""

    try:
        return kind.fit(column, len(column))[0]
    except ValueError as error:
        said = str(error).replace("Input y ", "`y` ")
        raise ValueError(said.replace("`y`", f"`--target {name}`")) from error


def _check_goal(*goals: float | None) -> None:
    options = ("--max-gap", "--max-information", "--strength")
    given = [name for name, goal in zip(options, goals, strict=True) if goal is not None]
    if len(given) > 1:
        raise ValueError(f"Set one goal only, got {' and '.join(given)}.")


def _check_groups(table: "pd.DataFrame", sensitive: list[str], bins: int, missing: bool) -> None:
    """Refuse columns that make no groups before anything is fitted. The error names the column."""

    from bitveil.columns.groups import Grouping
    from bitveil.columns.labels import MOST_VALUES

    for name in sensitive:
        Grouping.fit(
            f"--sensitive {name}",
            table[name],
            bins=bins,
            missing="group" if missing else "error",
            most=MOST_VALUES,
        )


def _print_json(model: Any, output: Path, target: list[str], sensitive: list[str]) -> None:
    certificate = model.certificate_
    found = {
        "output": str(output),
        "target": target,
        "sensitive": sensitive,
        "features": model.feature_names_in_,
        "rows": {name: len(rows) for name, rows in model.rows_.items()},
        "n_bits": model.n_bits,
        "certified_gap": certificate and certificate.bound,
        "certified": certificate and certificate.quantity.name,
        "delta": certificate and certificate.delta,
        "groups": [{"value": group, "rows": n} for group, n in model.group_sizes_.items()],
        "price": model.price_ and asdict(model.price_),
        "share": model.share_,
        "slack": certificate and _slack(model),
        "remarks": list(model.remarks_),
    }
    print(json.dumps(found, default=str))


def _print(model: Any, output: Path, target: list[str], sensitive: list[str]) -> None:
    from bitveil.audits.words import group_name

    lines = {
        "target, sensitive": f"{listed(target)}; {listed(sensitive)}",
        "features": listed(model.feature_names_in_ or []),
        "rows": ", ".join(f"{len(rows)} to {name}" for name, rows in model.rows_.items()),
        "groups": "; ".join(f"{group_name(g)}: {n} rows" for g, n in model.group_sizes_.items()),
        "certificate": str(model.certificate_ or "none, because no goal was set"),
        "price": str(model.price_ or "not known from this fit: see `bitveil audit`"),
    }
    if model.certificate_ is not None:
        unit = "" if model.certificate_.entropy is None else " bits"
        lines["slack"] = f"{_slack(model):.4f}{unit}, which these rows add to what is measured"
    print_table(f"Encoder in {output}", lines)
    for remark in model.remarks_:
        say(remark)


def _slack(model: Any) -> float:
    """What a code that reveals nothing is certified at, by the rows of the certificate."""

    from bitveil.certificates import INFORMATION, PARITY_GAP, least_bound

    certificate, k = model.certificate_, len(model.groups_)
    quantity = PARITY_GAP if certificate.entropy is None else INFORMATION
    cells = [certificate.sizes[i : i + k] for i in range(0, len(certificate.sizes), k)]
    settings = {"delta": certificate.delta, "draws": certificate.draws}

    return max(least_bound(sizes, quantity, **settings) for sizes in cells)
