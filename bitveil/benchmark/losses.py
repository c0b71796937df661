"""Where other methods do better than bitveil: every number in which one of them is higher."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from bitveil.benchmark.document import Block, PageTable, Text
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.plots import ranked, title
from bitveil.benchmark.sections import NAMES, OUTSIDE, TREES, label, of_splits
from bitveil.benchmark.standings import beaten, certified_accuracy, standing, standings

__all__ = ["losses", "losses_counted"]

_PLACE = ["dataset", "kind", "level"]


def losses(table: pd.DataFrame) -> Iterator[Block]:
    """Every number in which another method is higher than one of bitveil's.

    Arguments:
        table: The finished records: see `fronts.done`.
    """

    ours = _ours(table)
    yield Text(losses_counted(table))
    if not ours:
        return
    stands = _standings(table, ours)
    found = beaten(stands, ours)
    yield Text(
        "For every data set we compare three areas, the accuracies at every level of the three "
        "kinds of gaps, and the accuracies of trees with FARE's own bound against bitveil with "
        "the corrected one. The table lists every number in which another method is higher than "
        "bitveil, even by a little. A method that cannot reach a level counts as lower than one "
        f"that can. If we include the methods outside the ranking ({OUTSIDE}), another method is "
        f"better than every form of bitveil in {_places(found[found['all'].astype(bool)])} "
        f"numbers, in {_places(found[found['clear'].astype(bool)])} of them clearly, and better "
        f"than at least one form in {_places(found)}."
    )
    if found.empty:
        return
    yield PageTable(
        ("data set", "number", *map(title, ours), "better"),
        tuple(
            (
                str(rows["dataset"].iloc[0]),
                _measure(rows.iloc[0]),
                *(_mine(stands, rows.iloc[0], name) for name in ours),
                "; ".join(_better(row) for _, row in rows.iterrows()),
            )
            for _, rows in _sorted(found).groupby(_PLACE, dropna=False, sort=False)
        ),
    )
    yield Text(
        "Areas, and accuracies in %. Bold: better than every form of bitveil. "
        f"{OUTSIDE}: outside the ranking. In brackets: the number of splits, if not all."
    )


def losses_counted(table: pd.DataFrame) -> str:
    """In how many numbers a competing method is better than bitveil, as sentences."""

    ours = _ours(table)
    if not ours:
        return "These records contain no method of bitveil."
    stands = _standings(table, ours)
    found = beaten(stands, ours)
    competing = found[found["method"].map(ranked).astype(bool)]
    places = _places(stands[stands["value"].notna()])

    return (
        f"We compare {places} numbers. In "
        f"**{_places(competing[competing['all'].astype(bool)])} of {places}** a competing method "
        "is better than every form of bitveil that ran, in "
        f"{_places(competing[competing['clear'].astype(bool)])} of these by more than the "
        f"standard deviations of both over splits. In {_places(competing)} it is better than at "
        "least one form."
    )


def _ours(table: pd.DataFrame) -> list[str]:
    return [str(m) for m in table["method"].unique() if str(m).startswith("bitveil")]


def _standings(table: pd.DataFrame, ours: list[str]) -> pd.DataFrame:
    """All numbers to compare, including trees with FARE's own bound."""

    trees, mine = (table[table["method"].isin(names)] for names in (TREES, ours))
    fare = standing(certified_accuracy(trees, bound="bound_fare"), "bound_fare")
    if len(fare):
        fare = pd.concat([fare, standing(certified_accuracy(mine), "bound_fare")])
    some = [standings(table, unprotected=UNPROTECTED), fare]

    return pd.concat([each for each in some if len(each)], ignore_index=True)


def _places(found: pd.DataFrame) -> int:
    return len(found[_PLACE].drop_duplicates())


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    """Sort by data set, with areas first, and certified numbers before the others."""

    order = found.assign(place=found["kind"].map(list(NAMES).index), high=-found["value"])

    return order.sort_values(
        ["dataset", "place", "level", "high"], na_position="first", kind="stable"
    )


def _better(row: "pd.Series[Any]") -> str:
    text = f"{label(row['method'])} {_value(row)}"

    return f"**{text}**" if row["all"] else text


def _measure(row: "pd.Series[Any]") -> str:
    if math.isnan(row["level"]):
        return f"area, {NAMES[row['kind']]}"

    return f"accuracy at {NAMES[row['kind']]} ≤ {row['level']:.2f}"


def _value(row: "pd.Series[Any]") -> str:
    value = f"{row['value']:.3f}" if math.isnan(row["level"]) else f"{100 * row['value']:.2f}"

    return value + of_splits(row["splits"], row["of"])


def _mine(stands: pd.DataFrame, row: "pd.Series[Any]", name: str) -> str:
    """The number of a method of bitveil where another method is better."""

    at = stands["level"].eq(row["level"]) | (stands["level"].isna() & math.isnan(row["level"]))
    same = stands[
        (stands["dataset"] == row["dataset"])
        & (stands["kind"] == row["kind"])
        & (stands["method"] == name)
        & at
    ]
    if same.empty or math.isnan(same["value"].iloc[0]):
        return "–"

    return _value(same.iloc[0])
