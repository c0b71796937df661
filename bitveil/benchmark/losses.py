"""Where other methods do better than bitveil: every number in which one of them is ahead."""

from collections.abc import Iterator
from math import isnan
from typing import Any

import pandas as pd

from bitveil.benchmark.document import Block, PageTable, Text
from bitveil.benchmark.methods import RULE
from bitveil.benchmark.names import GAP_NAMES, is_ours, label, ranked
from bitveil.benchmark.standings import COMPARED, LEVELS, PLACE, ahead, places

__all__ = ["counted", "counted_by_place", "in_percent", "losses"]

_ABOUT_RULE = (
    "The closed-form rule is the most accurate answer within a gap, as far as the predictions of "
    "target and group are right, and bitveil's cells read the same predictions. So no code can be "
    "much ahead of it in accuracy for this one target. bitveil's codes give up some of that "
    "accuracy to tell more about the target: the pages compare both at the same gap."
)


def losses(stands: pd.DataFrame) -> Iterator[Block]:
    """Every number in which a competing method is ahead of all forms of bitveil.

    Arguments:
        stands: The numbers that compare methods: see `standings.standings`.
    """

    yield Text(counted(stands))
    found = _competing(stands)
    if found.empty:
        return
    yield PageTable(
        ("data set", "accuracy at", "best form of bitveil", "ahead of it"),
        tuple(
            (
                str(rows["dataset"].iloc[0]),
                f"{GAP_NAMES[rows['kind'].iloc[0]]} {rows['level'].iloc[0]:.2f}",
                _best_of_ours(rows.iloc[0]),
                "; ".join(_ahead(row) for _, row in rows.iterrows()),
            )
            for _, rows in _sorted(found).groupby(PLACE, sort=False)
        ),
    )
    yield Text(
        "Accuracy on the test rows in %, mean ± standard deviation over splits. Bold: ahead by "
        "more than both standard deviations together."
    )
    if RULE in set(found["method"]):
        yield Text(_ABOUT_RULE)


def counted(stands: pd.DataFrame) -> str:
    """In how many numbers a competing method is ahead of all forms of bitveil, as sentences."""

    mine = stands["method"].map(is_ours).astype(bool)
    if not mine.any():
        return "These records contain no method of bitveil."
    found = _competing(stands)
    compared = places(stands[stands["dataset"].isin(stands.loc[mine, "dataset"])])

    return (
        f"We compare {compared} numbers: the accuracies at {len(LEVELS)} levels of "
        f"{len(COMPARED)} kinds of gaps on each data set. In **{places(found)} of {compared}** a "
        "competing method is ahead of every form of bitveil that ran, in "
        f"{places(found[found['clear']])} of these by more than the standard deviations of both "
        "over splits."
    )


def counted_by_place(stands: pd.DataFrame) -> PageTable:
    """Where a competing method is ahead of all forms of bitveil: a count for each table."""

    found = _competing(stands)
    lines = [
        (str(dataset), *(_count(found, rows, str(dataset), kind) for kind in COMPARED))
        for dataset, rows in stands.groupby("dataset")
    ]

    return PageTable(("data set", *(f"at a {GAP_NAMES[kind]}" for kind in COMPARED)), tuple(lines))


def in_percent(value: float, sd: float, digits: int = 1) -> str:
    """A share in per cent, with its spread over splits if there is one.

    Example:
        >>> in_percent(0.8, 0.01), in_percent(0.8, float("nan"))
        ('80.0 ± 1.0', '80.0')
    """

    return f"{100 * value:.{digits}f}" + ("" if isnan(sd) else f" ± {100 * sd:.{digits}f}")


def _competing(stands: pd.DataFrame) -> pd.DataFrame:
    """The competing methods that are ahead of all forms of bitveil."""

    others = stands[stands["method"].map(ranked).astype(bool)]

    return ahead(others, [m for m in others["method"].unique() if is_ours(str(m))])


def _count(found: pd.DataFrame, rows: pd.DataFrame, dataset: str, kind: str) -> str:
    """In how many numbers of one table another method is ahead, and which ones."""

    there = found[(found["dataset"] == dataset) & (found["kind"] == kind)]
    compared = places(rows[rows["kind"] == kind])
    if there.empty:
        return f"0 of {compared}"
    clear = places(there[there["clear"]])
    names = ", ".join(f"`{name}`" for name in there["method"].value_counts().index)

    return f"{places(there)} of {compared}, {clear} clearly: {names}"


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    """Sort by data set, certified numbers before the others, and the best first."""

    order = found.assign(place=found["kind"].map(COMPARED.index), low=-found["value"])

    return order.sort_values(["dataset", "place", "level", "low"], kind="stable")


def _best_of_ours(row: "pd.Series[Any]") -> str:
    if pd.isna(row["best"]):
        return "–"

    return f"{label(str(row['best_method']))} {in_percent(row['best'], row['best_sd'], 2)}"


def _ahead(row: "pd.Series[Any]") -> str:
    text = f"{label(str(row['method']))} {in_percent(row['value'], row['sd'], 2)}"

    return f"**{text}**" if row["clear"] else text
