"""Standings: the accuracies at certified and measured gaps, and which method is ahead."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bitveil.benchmark.fronts import Gap, areas, choice, has_bound
from bitveil.certificates.planning import least_gap

__all__ = [
    "LEVELS",
    "beaten",
    "certified_accuracy",
    "least_certified",
    "reached",
    "standing",
    "standings",
]

LEVELS = (0.03, 0.05, 0.08, 0.10, 0.15, 0.20)
"""The gaps at which accuracies are reported."""

REACHED = "dataset method level accuracy sd certified splits variation worst".split()
"""The columns of `reached`."""

STANDING = "dataset kind level method value sd splits of".split()
"""The columns of `standings`."""


def certified_accuracy(
    table: pd.DataFrame, levels: Sequence[float] = LEVELS, *, bound: str = "bound"
) -> pd.DataFrame:
    """The test accuracy at certified gaps, for every data set and method.

    Arguments:
        table: The finished records: see `done`.
        levels: The gaps.
        bound: The column of the bound: `"bound"` is corrected for all configurations,
            `"bound_alone"` for none; `"bound_fare"` is FARE's bound, corrected for none.

    Returns:
        A row for each data set, method and level: the mean accuracy and its spread over the splits
        with a certified configuration; the number of these splits and of all splits; and the mean
        and the largest total variation of the choices on the test rows.
    """

    if bound not in table:
        return pd.DataFrame(columns=REACHED)

    return reached(table.assign(bound=table[bound]), "bound", levels)


def reached(table: pd.DataFrame, gap: Gap, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """The test accuracy at gaps of any kind: like `certified_accuracy`.

    Methods without a gap of this kind have no rows.
    """

    found = []
    for (dataset, method), rows in table.groupby(["dataset", "method"], sort=False):
        cells = [cell for _, cell in rows.groupby("seed")]
        if gap == "bound" and not any(has_bound(cell) for cell in cells):
            continue
        for level in levels:
            chosen = [c for cell in cells if (c := choice(cell, gap, level)) is not None]
            accuracies = [c["test_accuracy"] for c in chosen] or [np.nan]
            variations = [c.get("test_variation", np.nan) for c in chosen] or [np.nan]
            found.append(
                (
                    *(dataset, method, level, np.mean(accuracies), np.std(accuracies)),
                    *(len(chosen), len(cells), np.mean(variations), np.max(variations)),
                )
            )

    return pd.DataFrame(found, columns=REACHED)


def standings(table: pd.DataFrame, *, unprotected: str) -> pd.DataFrame:
    """All numbers that compare methods, one in each row.

    Returns:
        A row for each data set, kind of gap, level and method: the accuracy at the level, or the
        area if the level is missing; its spread over splits; and the number of splits that have
        it, and of all splits.
    """

    found = areas(table, unprotected=unprotected).rename(columns={"mean": "value"})
    kinds: tuple[Gap, ...] = ("gap", "attack_gap", "bound")
    some = [
        found.assign(level=np.nan, of=found["splits"])[STANDING],
        *(standing(reached(table, gap), gap) for gap in kinds),
    ]

    return pd.concat([each for each in some if len(each)], ignore_index=True)


def standing(found: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The result of `certified_accuracy` or `reached`, in the form of `standings`."""

    names = {"accuracy": "value", "splits": "of", "certified": "splits"}

    return found.rename(columns=names).assign(kind=kind)[STANDING]


def beaten(stands: pd.DataFrame, ours: Sequence[str]) -> pd.DataFrame:
    """Where other methods beat some of the methods: every number in which another is higher.

    An accuracy counts if at least one split has it. It beats a missing one.

    Arguments:
        stands: The result of `standings`.
        ours: The methods that others may beat.

    Returns:
        The rows of the winners, with columns `over`, the methods that each beats; `all`, whether
        these are all of `ours` that ran on the data set; and `clear`, whether it is also above the
        best of them by more than the spreads of both over splits.

    Example:
        >>> stands = pd.DataFrame({
        ...     "dataset": "d", "kind": "gap", "level": 0.1, "method": ["ours", "a", "b"],
        ...     "value": [0.8, 0.9, 0.7], "sd": 0.01,
        ... })
        >>> beaten(stands, ["ours"])["method"].tolist()
        ['a']
        >>> certified = stands.assign(kind="bound")[stands["method"] != "ours"]
        >>> beaten(pd.concat([stands, certified]), ["ours"])[["kind", "method"]].values.tolist()
        [['bound', 'a'], ['bound', 'b'], ['gap', 'a']]
    """

    there = stands[stands["method"].isin(ours)].groupby("dataset")["method"].unique().to_dict()
    found = []
    for (dataset, _, _), rows in stands.groupby(["dataset", "kind", "level"], dropna=False):
        values = rows.set_index("method")["value"]
        best = rows[rows["method"].isin(ours)].nlargest(1, "value")
        beyond = max((best["value"] + best["sd"]).dropna(), default=-np.inf)
        for _, row in rows[~rows["method"].isin(ours) & rows["value"].notna()].iterrows():
            known = ((name, values.get(name, np.nan)) for name in there.get(dataset, []))
            mine = [name for name, value in known if not value >= row["value"]]
            if mine:
                every = len(mine) == len(there[dataset])
                clear = every and row["value"] - row["sd"] > beyond
                found.append({**row, "over": mine, "all": every, "clear": clear})

    return pd.DataFrame(found, columns=[*stands.columns, "over", "all", "clear"])


def least_certified(table: pd.DataFrame) -> pd.DataFrame:
    """The smallest gap that the rows for certification can certify, for a code without leakage.

    Returns:
        A row for each data set, alone and corrected for all configurations.
    """

    found = []
    for dataset, rows in table.groupby("dataset", sort=False):
        row = rows.iloc[0]
        sizes, n = row["rows_certify_by_group"], row["configurations"]
        alone, corrected = (least_gap(sizes, row["delta"] / m) for m in (1, n))
        found.append((dataset, row["groups"], sizes, n, alone, corrected))

    return pd.DataFrame(found, columns="dataset groups rows configurations alone all".split())
