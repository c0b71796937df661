"""Standings: the accuracies at equal gaps, and which methods are ahead of bitveil."""

from collections.abc import Iterable, Sequence

import pandas as pd

from bitveil.benchmark.fronts import GapKind, reached
from bitveil.benchmark.names import ranked

__all__ = ["COMPARED", "LEVELS", "PLACE", "ahead", "best_first", "means", "places", "standings"]

LEVELS = (0.03, 0.05, 0.08, 0.10, 0.15, 0.20)
"""The gaps at which accuracies are reported."""

COMPARED: tuple[GapKind, ...] = ("certified", "attack_gap", "gap")
"""The kinds of gaps at which methods are compared."""

PLACE = ["dataset", "kind", "level"]
"""What a number is about that compares methods."""

_EQUAL = 1e-9  # a smaller difference is a rounding error
_SORTS_NOTHING = 1e-3  # a smaller highest gain sorts nothing


def means(found: pd.DataFrame, column: str = "accuracy") -> pd.DataFrame:
    """The mean and the standard deviation of a score over splits.

    Arguments:
        found: The result of `fronts.reached`.
        column: The score.

    Returns:
        A row for each data set, method and level, with `value`, `sd` and `splits`. The standard
        deviation of a single split is NaN.
    """

    groups = found.groupby(["dataset", "method", "level"], sort=False)[column]

    return groups.agg(value="mean", sd="std", splits="size").reset_index()


def standings(table: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """All numbers that compare methods: a row for each data set, kind, level and method.

    Arguments:
        table: The finished records: see `fronts.done`.
        levels: The gaps.
    """

    some = {kind: reached(table, kind, levels) for kind in COMPARED}

    return pd.concat(
        [means(found).assign(kind=kind) for kind, found in some.items() if len(found)],
        ignore_index=True,
    )


def places(stands: pd.DataFrame) -> int:
    """How many numbers are compared: each data set, kind and level counts once."""

    return len(stands[PLACE].drop_duplicates())


def ahead(stands: pd.DataFrame, ours: Iterable[str]) -> pd.DataFrame:
    """Where other methods are ahead of every one of ours that ran on the data set.

    Arguments:
        stands: The result of `standings`.
        ours: The methods that others may be ahead of.

    Returns:
        The rows of those ahead, with `best`, `best_sd` and `best_method`, the highest of ours (NaN
        if none has such a number), and `clear`: whether the difference is larger than both
        standard deviations over splits together, or ours have no number. The difference of single
        splits is never clear.

    Example:
        >>> stands = pd.DataFrame({
        ...     "dataset": "d", "kind": "gap", "level": 0.1, "method": ["ours", "a", "b"],
        ...     "value": [0.8, 0.9, 0.7], "sd": 0.01,
        ... })
        >>> ahead(stands, ["ours"])[["method", "best", "clear"]].values.tolist()
        [['a', 0.8, True]]
    """

    mine = stands["method"].isin(list(ours))
    ran = stands["dataset"].isin(stands.loc[mine, "dataset"].unique())
    best = stands[mine].sort_values("value").groupby(PLACE).tail(1)
    best = best.rename(columns={"method": "best_method", "value": "best", "sd": "best_sd"})
    known = best[[*PLACE, "best_method", "best", "best_sd"]]
    others = stands[~mine & ran].merge(known, how="left", on=PLACE)
    found = others[~(others["value"] <= others["best"] + _EQUAL)]
    beyond = found["value"] - found["sd"] > found["best"] + found["best_sd"]

    return found.assign(clear=beyond | found["best"].isna()).reset_index(drop=True)


def best_first(found: pd.DataFrame, column: str = "level") -> list[str]:
    """The methods, best first, and last those that do not compete.

    They are sorted by their gain over the majority, as a share of the highest gain in each column
    of a table, mean over columns.

    Arguments:
        found: The result of `fronts.reached`.
        column: What the columns of the table are: `"level"` or `"dataset"`.

    Example:
        >>> best_first(pd.DataFrame({"method": ["a", "b"], "level": 0.1, "gain": [0.1, 0.2]}))
        ['b', 'a']
    """

    gains = found.groupby([column, "method"], sort=False)["gain"].mean()
    most = gains.groupby(level=0).transform("max").clip(lower=_SORTS_NOTHING)
    mean = (gains / most).groupby(level=1).mean().sort_values(ascending=False, kind="stable")

    return sorted(map(str, mean.index), key=ranked, reverse=True)
