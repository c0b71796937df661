"""`bitveil plan`: which gap some rows can certify, and how many rows a gap needs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.checks import check_roles
from bitveil.cli.checks import check_alone, check_grouping, check_needed, with_options
from bitveil.cli.messages import listed, print_table, say
from bitveil.cli.options import (
    CriterionOption,
    EncodingOption,
    JoinRare,
    Json,
    MissingGroup,
    Sep,
)
from bitveil.cli.tables import columns_of, require
from bitveil.criteria import compares_within_strata
from bitveil.delimited import CsvForm

if TYPE_CHECKING:
    import pandas as pd

    from bitveil.plans import Joining, RowPlan

__all__ = ["plan_command"]

_WAYS = {"certain": "rows with ids", "hard": "rows without ids"}
"""What the two ways of counting are called where nothing is counted yet."""


def plan_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The rows: a .csv or .parquet file, a folder of such files, or a pattern. Only "
            "the columns of groups and target are looked at.",
            metavar="TABLE",
        ),
    ] = None,
    sensitive: Annotated[
        list[str] | None, typer.Option(help="A sensitive column. Can be repeated.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The column of the target, for --criterion other than independence."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="The number of rows of each group, such as 800,1200, instead of a table."
        ),
    ] = None,
    max_gap: Annotated[
        float | None, typer.Option(help="A gap that you would like to certify, for example 0.05.")
    ] = None,
    criterion: CriterionOption = "independence",
    delta: Annotated[
        float, typer.Option(help="The probability that the certificate may be wrong.")
    ] = 0.05,
    share: Annotated[
        float | None,
        typer.Option(
            help="The share of the rows that certifies. Default: what `bitveil fit` holds back. "
            "`bitveil audit` counts all rows: 1."
        ),
    ] = None,
    bins: Annotated[
        int | None,
        typer.Option(help="The number of groups of a sensitive column of numbers, as in fit."),
    ] = None,
    join_rare: JoinRare = None,
    missing: MissingGroup = False,
    sep: Sep = None,
    encoding: EncodingOption = None,
    json_: Json = False,
) -> None:
    """Say which gap some rows can certify, before anything is fitted.

    The sizes of the groups alone set a limit: below it no code can be certified, however little
    it reveals. A useful code has a gap of its own, which comes on top.
    """

    from bitveil.plans import plan_of_sizes

    check_grouping(bins, join_rare)
    within = "--criterion separation or equal_opportunity"
    needed = criterion if compares_within_strata(criterion) else None
    check_needed(within, needed, {"--target": target})
    if share is not None and not 0 < share <= 1:
        raise ValueError(f"--share expects a number above 0 and up to 1, got {share}.")
    if rows is not None:
        columns: dict[str, Any] = {"--sensitive": sensitive, "--join-rare": join_rare}
        columns |= {"--bins": bins, "--sep": sep, "--criterion": needed}
        check_alone("--rows", {"a table": file, **columns})
        planned = plan_of_sizes(_asked_sizes(rows), delta=delta, share=share)
        source = "groups of these sizes"
    elif file is not None and sensitive:
        names = [*sensitive, *([] if target is None else [target])]
        read = _read_columns(file, names, CsvForm(sep, encoding))
        how = {"criterion": criterion, "delta": delta, "share": share}
        planned = _plan(read, sensitive, target, bins, join_rare or 0, missing, how)
        source = str(file)
    else:
        raise ValueError("Name a table and --sensitive, or the sizes of groups with --rows.")
    if max_gap is not None and not 0 < max_gap <= 1:
        raise ValueError(f"--max-gap expects a number above 0 and up to 1, got {max_gap}.")
    if json_:
        print(json.dumps(_plan_as_json(planned, max_gap)))
    else:
        _print_plan(planned, source, list(sensitive or []), target, max_gap)


def _asked_sizes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            "--rows expects the number of rows of each of two or more groups, with commas between "
            f"them, such as 800,1200, got {text}."
        )

    return [int(part) for part in parts]


def _read_columns(file: Path, names: list[str], form: CsvForm) -> "pd.DataFrame":
    """The columns of groups and target, with types."""

    from bitveil.columns.files import read_table
    from bitveil.samples import FitRoles, read_sample
    from bitveil.sources import is_large, open_source

    check_roles(names)
    if is_large(file):
        source = open_source(str(file), form)
        source.require(names)
        return read_sample(source, FitRoles((), tuple(names), (), None))
    table = read_table(file, typed=names, form=form)
    require(table, names, file)

    return table


def _plan(
    table: "pd.DataFrame",
    sensitive: list[str],
    target: str | None,
    bins: int | None,
    join_rare: int,
    missing: bool,
    how: dict[str, Any],
) -> "RowPlan":
    from bitveil.columns.attribute import Attribute
    from bitveil.plans import plan

    try:
        return plan(
            Attribute(columns_of(table, sensitive), join_rare, bins is not None),
            None if target is None else table[target],
            bins=5 if bins is None else bins,
            missing_sensitive="group" if missing else "error",
            **how,
        )
    except ValueError as error:
        said = str(error).replace("`sensitive_features`", f"`--sensitive {listed(sensitive)}`")
        if target is not None:
            said = said.replace("Input y ", "`y` ").replace("`y`", f"`--target {target}`")
        raise ValueError(with_options(said)) from error


def _print_plan(
    planned: "RowPlan",
    source: str,
    sensitive: list[str],
    target: str | None,
    max_gap: float | None,
) -> None:
    lines = {f"groups of {listed(sensitive)}" if sensitive else "groups": _sizes_in_words(planned)}
    lines["rows that certify"] = _held_out_in_words(planned, target)
    for draws, counted in _WAYS.items():
        lines[f"smallest gap, {counted}"] = f"{planned.least(draws):.4f}"
    if among := planned.quantity.among(target or "", listed(planned.targets)):
        lines["compared"] = f"groups {among}"
    lines |= _limits_in_words(planned, max_gap)
    if max_gap is not None:
        lines |= _goal_in_words(planned, max_gap)
    print_table(f"Plan for {source}", lines)
    print()
    say(
        f"The smallest gap is what a code that reveals nothing is certified at, with probability "
        f"≥ {1 - planned.delta:g}. No goal below it can be met for every row. A useful code has a "
        "gap of its own: set the goal well above, best to three times as much or more. Without "
        "ids drawn codes are counted, which also differ by chance: with more bits, by more."
    )


def _sizes_in_words(planned: "RowPlan") -> str:
    from bitveil.audits.words import group_name

    pairs = zip(planned.groups, planned.totals.tolist(), strict=True)

    return "; ".join(f"{group_name(group)}: {size:,}" for group, size in pairs)


def _held_out_in_words(planned: "RowPlan", target: str | None) -> str:
    """How many rows of each group certify, and why so many."""

    from bitveil.audits.words import group_name
    from bitveil.rows import certified_share
    from bitveil.samples import SAMPLE

    n = planned.n_rows
    if planned.share is not None:
        why = f"{planned.share:.0%} of {n:,}, as --share says"
    elif n > SAMPLE:
        why = f"all of {n:,} but the {SAMPLE:,} that `bitveil fit` fits and selects on"
    else:
        why = f"`bitveil fit` holds back {certified_share(n):.0%} of {n:,}"
    each = []
    for value, sizes in zip(planned.targets, planned.held_out.tolist(), strict=True):
        few = sorted(zip(sizes, map(group_name, planned.groups), strict=True))[:3]
        where = "" if value is None else f" where {target} is {group_name(value)}"
        each += [f"{name}{where}: {size:,}" for size, name in few]
    first = "" if len(planned.groups) <= 3 else ", of the smallest groups"

    return f"{why}{first}: {'; '.join(each)}"


def _limits_in_words(planned: "RowPlan", max_gap: float | None) -> dict[str, str]:
    """Which groups are in the way, and what joining some of them would give."""

    from bitveil.audits.words import group_name

    lines = {}
    if way := planned.in_the_way(max_gap):
        named = [_with_size(planned, group) for group in way]
        without = planned.least(without=way)
        lines["in the way"] = f"{'; '.join(named)}. Without them: {without:.4f}, with ids"
    else:
        lines["smallest group"] = _with_size(planned, planned.smallest)
    if joining := planned.joining(max_gap):
        groups = "; ".join(map(group_name, joining.groups))
        lines["joined"] = (
            f"--join-rare {joining.join_rare} makes one group of {groups}: {joining.least:.4f}, "
            "with ids"
        )

    return lines


def _with_size(planned: "RowPlan", group: Any) -> str:
    from bitveil.audits.words import group_name

    place = planned.groups.index(group)
    fewest = int(planned.held_out[:, place].min())
    among = "" if planned.targets[0] is None else " of one target"

    return f"{group_name(group)} ({int(planned.totals[place]):,} rows, {fewest:,}{among} certify)"


def _goal_in_words(planned: "RowPlan", max_gap: float) -> dict[str, str]:
    """Whether the rows are enough for a goal, and how many would be."""

    lines = {}
    for draws, counted in _WAYS.items():
        needed = _needed(planned, max_gap, draws)
        if planned.least(draws) <= max_gap:
            words = "these rows can certify it, if the code reveals little enough"
        elif needed is None:
            words = "nobody can say how many rows it needs, since a group has none"
        else:
            times, each = needed / planned.n_rows, planned.needed_each(max_gap, draws)
            of_one = " and target" if planned.targets[0] is not None else ""
            words = (
                f"needs about {needed:,} rows like these, {times:.1f} times as many; or about "
                f"{each:,} rows of each group{of_one}"
            )
        lines[f"a gap of {max_gap:g}, {counted}"] = words
    if planned.least() > max_gap:
        lines["or blanks, rows with ids"] = (
            f"a code for at most {planned.share_of_codes(max_gap):.1%} of the rows, and the "
            "others stay blank"
        )

    return lines


def _needed(planned: "RowPlan", max_gap: float, draws: str) -> int | None:
    return planned.needed(max_gap, draws) if planned.sizes.min() else None


def _plan_as_json(planned: "RowPlan", max_gap: float | None) -> dict[str, Any]:
    """The plan as plain values."""

    counted = {draws: _counted_as_json(planned, max_gap, draws) for draws in _WAYS}

    return {
        "schema": "bitveil.plan/1",
        "groups": [_plain_group(group) for group in planned.groups],
        "rows": planned.totals.tolist(),
        "targets": [_plain_group(value) for value in planned.targets],
        "rows_compared": planned.sizes.tolist(),
        "rows_certifying": planned.held_out.tolist(),
        "quantity": planned.quantity.name,
        "delta": planned.delta,
        "max_gap": max_gap,
        "with_ids": counted["certain"],
        "without_ids": counted["hard"],
        "share_of_codes": None if max_gap is None else planned.share_of_codes(max_gap),
    }


def _counted_as_json(planned: "RowPlan", max_gap: float | None, draws: str) -> dict[str, Any]:
    way = planned.in_the_way(max_gap, draws)

    return {
        "least_gap": planned.least(draws),
        "rows_needed": None if max_gap is None else _needed(planned, max_gap, draws),
        "in_the_way": [_plain_group(group) for group in way],
        "least_gap_without_them": planned.least(draws, without=way),
        "joining": _joining_as_json(planned.joining(max_gap, draws)),
    }


def _joining_as_json(joining: "Joining | None") -> dict[str, Any] | None:
    if joining is None:
        return None
    groups = [_plain_group(group) for group in joining.groups]

    return {"join_rare": joining.join_rare, "groups": groups, "least_gap": joining.least}


def _plain_group(value: Any) -> Any:
    """A group as JSON holds it: the values of several columns as a list."""

    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain_group(part) for part in value]

    return value if isinstance(value, str | int | float | None) else str(value)
