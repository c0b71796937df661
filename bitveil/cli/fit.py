"""`bitveil fit`: an encoder from a table, certified for a goal, as a folder."""

import json
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from bitveil.checks import check_roles
from bitveil.cli.checks import check_grouping, with_options
from bitveil.cli.messages import heard_notes, in_options, listed, print_table, say
from bitveil.cli.options import (
    CriterionOption,
    EncodingOption,
    Id,
    JoinRare,
    Json,
    MissingGroup,
    RowsFile,
    Sep,
)
from bitveil.cli.progress import shown_steps
from bitveil.cli.scores import (
    Reached,
    described_scores,
    scores_of_source,
    scores_of_table,
)
from bitveil.cli.tables import columns_of, ids_of, require
from bitveil.delimited import CsvForm
from bitveil.quotes import quoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fit_command", "kind_of_encoder"]

_MOST_OF_GOAL = 0.5  # if the slack is more of the goal, a line says how to plan for enough rows


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
    criterion: CriterionOption = "independence",
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
        int | None,
        typer.Option(
            help="The number of groups that a sensitive column of numbers is cut into. Default: 5 "
            "for a column of more than 20 different values, and others stay as they are. If you "
            "give it, every column of numbers with more values than this is cut.",
        ),
    ] = None,
    join_rare: JoinRare = None,
    missing: MissingGroup = False,
    weight: Annotated[
        str | None, typer.Option(help="The column that says how much each row counts.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="A column that the encoder sees. Can be repeated. Default: all columns without "
            "another role."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out. Can be repeated.")
    ] = None,
    id_: Id = None,
    sep: Sep = None,
    encoding: EncodingOption = None,
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
    after: Annotated[
        str | None,
        typer.Option(
            help="The folder of the try before, if you try again on the same rows; or how many "
            "tries there were. Each try takes a smaller part of --delta.",
            metavar="ENCODER",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Fit an encoder, certify it if you set a goal, and save it as a folder.

    Every column is a feature, except the targets, the sensitive columns and those of --id,
    --weight and --drop; or name the features with --features. Leave out columns that state a
    sensitive one in other words. A target with fractions, or with more than 50 different numbers,
    counts as a number; others are classes. `bitveil plan` says what your rows can certify.
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
        "bins": 5 if bins is None else bins,
        "missing_sensitive": "group" if missing else "error",
        "random_state": seed,
        "training": Training(),
    }
    roles = _Roles(target, sensitive, features or [], drop or [], id_, weight)
    check_grouping(bins, join_rare)
    wish = {"join_rare": join_rare or 0, "cut_numbers": bins is not None}
    form = CsvForm(sep, encoding)
    with heard_notes() as heard:
        if sample is not None or is_large(file):
            found = _fit_source(file, form, roles, settings, wish, sample, _try_before(after))
        else:
            found = _fit_table(file, form, roles, settings, wish, _try_before(after))
    model, scores = found
    model.save(output)
    if json_:
        _print_json(model, output, roles, scores)
    else:
        _print(model, output, roles, scores, heard)


class _Roles(NamedTuple):
    """The columns that a command names."""

    target: list[str]
    sensitive: list[str]
    features: list[str]
    drop: list[str]
    id: str | None
    weight: str | None

    @property
    def apart(self) -> list[str]:
        """All that are no features."""

        single = [name for name in (self.id, self.weight) if name is not None]

        return [*self.target, *self.sensitive, *self.drop, *single]

    def check(self, columns: Sequence[str]) -> None:
        """Refuse a column with two roles, and a table that has no feature."""

        if both := [name for name in self.features if name in self.drop]:
            raise ValueError(
                f"--features and --drop both name {quoted(both)}. Keep a column, or drop it."
            )
        check_roles([*self.apart, *self.features])
        if not self.seen(columns):
            raise ValueError("No column is left for the encoder to see: all of them have a role.")

    def seen(self, columns: Sequence[str]) -> list[str]:
        """The features, in the order of the table."""

        if self.features:
            return [name for name in columns if name in self.features]

        return [name for name in columns if name not in self.apart]


def _try_before(after: str | None) -> Any:
    """The encoder of the try before, or how many tries there were."""

    from bitveil.models import load

    if after is None or after.isdecimal():
        return None if after is None else int(after)

    return load(Path(after))


@shown_steps()
def _fit_table(
    file: Path,
    form: CsvForm,
    roles: _Roles,
    settings: dict[str, Any],
    wish: dict[str, Any],
    after: Any,
) -> tuple[Any, list[Reached]]:
    """Fit on a table that is read at once."""

    from bitveil.columns.attribute import Attribute
    from bitveil.columns.files import read_table

    weighted = [] if roles.weight is None else [roles.weight]
    table = read_table(file, typed=[*roles.target, *roles.sensitive, *weighted], form=form)
    require(table, [*roles.apart, *roles.features], file)
    names: list[Any] = list(table)
    roles.check(names)
    _check_groups(table, roles.sensitive, settings, wish)
    ids = ids_of(table, roles.id, file)
    model = kind_of_encoder(table, roles.target)(**settings).fit(
        table[roles.seen(names)],
        columns_of(table, roles.target),
        sensitive_features=Attribute(table[roles.sensitive], **wish),
        sample_weight=None if roles.weight is None else table[roles.weight],
        ids=ids,
        after=after,
    )
    weights = None if roles.weight is None else table[roles.weight].to_numpy(float)

    return model, scores_of_table(model, table, roles.target, ids, weights)


@shown_steps()
def _fit_source(
    file: Path,
    form: CsvForm,
    roles: _Roles,
    settings: dict[str, Any],
    wish: dict[str, Any],
    sample: int | None,
    after: Any,
) -> tuple[Any, list[Reached]]:
    """Fit on a sample of files of any size, and certify on the other rows."""

    from bitveil.samples import SAMPLE, first_rows
    from bitveil.sources import open_source

    if roles.weight is not None:
        raise ValueError(
            "--weight needs all rows in memory. Leave it out, or fit one table without --sample."
        )
    if sample is not None and sample < 2:
        raise ValueError(f"--sample expects a number of rows from 2 on, got {sample}.")
    source = open_source(str(file), form)
    source.require([*roles.apart, *roles.features])
    roles.check(source.columns)
    estimator = kind_of_encoder(first_rows(source, roles.target), roles.target)
    try:
        model = estimator(**settings).fit_source(
            source,
            target=roles.target,
            sensitive=roles.sensitive,
            features=roles.seen(source.columns),
            ids=roles.id,
            most=SAMPLE if sample is None else sample,
            **wish,
            after=after,
        )
    except ValueError as error:
        said = str(error).replace(
            "`sensitive_features`", f"`--sensitive {listed(roles.sensitive)}`"
        )
        raise ValueError(with_options(said)) from error

    return model, scores_of_source(model, source, roles.target, roles.id)


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


def _check_groups(
    table: "pd.DataFrame", sensitive: list[str], settings: dict[str, Any], wish: dict[str, Any]
) -> None:
    """Refuse columns that make no groups before anything is fitted. The error names the column."""

    from bitveil.columns.attribute import Attribute
    from bitveil.columns.groups import Grouping
    from bitveil.columns.labels import MOST_VALUES

    joined = wish["join_rare"] > 0
    one = wish if len(sensitive) == 1 else wish | {"join_rare": 0}
    for name in sensitive:
        try:
            Grouping.fit(
                f"--sensitive {name}",
                Attribute(table[name], **one),
                bins=settings["bins"],
                missing=settings["missing_sensitive"],
                most=None if joined and len(sensitive) > 1 else MOST_VALUES,
            )
        except ValueError as error:
            raise ValueError(with_options(str(error))) from error


def _print_json(model: Any, output: Path, roles: _Roles, scores: Sequence[Reached]) -> None:
    certificate = model.certificate_
    found = {
        "output": str(output),
        "target": roles.target,
        "sensitive": roles.sensitive,
        "features": model.feature_names_in_,
        "rows": {name: len(rows) for name, rows in model.rows_.items()},
        "joined_groups": list(model.schema_.grouping.joined),
        "n_bits": model.n_bits,
        "scores": [score._asdict() for score in scores],
        "certified_gap": certificate and certificate.bound,
        "certified": certificate and certificate.quantity.name,
        "delta": certificate and certificate.delta,
        "groups": [{"value": group, "rows": n} for group, n in model.group_sizes_.items()],
        "price": model.price_ and asdict(model.price_),
        "share": model.share_,
        "slack": certificate and _slack(model),
        "remarks": [in_options(remark) for remark in model.remarks_],
        "tries": model.tries_.number,
    }
    print(json.dumps(found, default=str))


def _print(
    model: Any, output: Path, roles: _Roles, scores: Sequence[Reached], heard: Container[str]
) -> None:
    """The fit as a table, and its remarks without those that were notes already."""

    from bitveil.audits.words import group_name

    lines = {
        "target, sensitive": f"{listed(roles.target)}; {listed(roles.sensitive)}",
        "features": listed(model.feature_names_in_ or []),
        "rows": ", ".join(f"{len(rows)} to {name}" for name, rows in model.rows_.items()),
        "groups": "; ".join(f"{group_name(g)}: {n} rows" for g, n in model.group_sizes_.items()),
        "certificate": str(model.certificate_ or "none, because no goal was set"),
        "price": str(model.price_ or "not known from this fit: see `bitveil audit`"),
    }
    if model.certificate_ is not None:
        unit = "" if model.certificate_.entropy is None else " bits"
        lines["slack"] = f"{_slack(model):.4f}{unit}, which these rows add to what is measured"
    price = model.price_
    if price is not None and scores[0].value == price.protected.score:  # said already
        scores = scores[1:]
    if scores:
        lines["predictions"] = described_scores(scores)
    if joined := model.schema_.grouping.joined:
        from bitveil.audits.words import group_name

        groups = "; ".join(map(group_name, joined))
        lines["joined groups"] = f"{groups} are one group, 'other (joined)'"
    print_table(f"Encoder in {output}", lines)
    for remark in model.remarks_:
        if remark not in heard:
            say(in_options(remark))
    if _rows_are_few(model):
        say("`bitveil plan` says which gap these rows can certify, and which groups limit that.")


def _rows_are_few(model: Any) -> bool:
    """Whether rows stay blank, and the slack takes most of the goal."""

    certificate = model.certificate_

    return model.share_ < 1 and _slack(model) > _MOST_OF_GOAL * certificate.bound


def _slack(model: Any) -> float:
    """What a code that reveals nothing is certified at, by the rows of the certificate."""

    from bitveil.certificates import INFORMATION, PARITY_GAP, least_bound

    certificate, k = model.certificate_, len(model.groups_)
    quantity = PARITY_GAP if certificate.entropy is None else INFORMATION
    cells = [certificate.sizes[i : i + k] for i in range(0, len(certificate.sizes), k)]
    certain = model.coder_.certain and certificate.draws == "soft"
    draws = "certain" if certain else certificate.draws
    settings = {"delta": certificate.delta, "draws": draws}

    return max(least_bound(sizes, quantity, **settings) for sizes in cells)
