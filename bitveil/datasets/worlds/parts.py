"""The parts that the worlds are made of: draws, limits of arguments, and the data set."""

__all__ = ["MOST_ROWS", "State", "coins", "expect", "made_up", "two_groups"]

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.datasets.dataset import Dataset, Origin

State: TypeAlias = int | np.random.Generator | None
"""A seed, a generator, or None."""

MOST_ROWS = 10**9


def two_groups(
    name: str,
    features: pd.DataFrame,
    *,
    target: NDArray[np.int64],
    group: NDArray[np.int64],
    answers: dict[str, float],
) -> Dataset:
    """The data set of a world whose target and group are numbers, 0 and 1."""

    return made_up(
        name,
        features,
        target=pd.Series(target, name="positive"),
        sensitive=pd.DataFrame({"group": np.where(group == 1, "b", "a")}),
        answers=answers,
    )


def made_up(
    name: str,
    features: pd.DataFrame,
    *,
    target: "pd.Series[Any]",
    sensitive: pd.DataFrame,
    answers: dict[str, float],
) -> Dataset:
    """The data set of a world in which no column states the sensitive attribute outright."""

    return Dataset(
        name=name,
        features=features,
        target=target,
        sensitive=sensitive,
        stated_by={str(column): () for column in sensitive},
        origin=Origin("Made up, with known answers", "bitveil.datasets.worlds", "none needed"),
        answers=answers,
    )


def coins(rng: np.random.Generator, n: int, p: float) -> NDArray[np.int64]:
    """Toss n coins that show 1 with probability p."""

    return (rng.random(n) < p).astype(np.int64)


def expect(function: str, **values: tuple[float, float, float]) -> None:
    """Refuse a value that is not from its low to its high, both included."""

    for name, (value, low, high) in values.items():
        if not low <= value <= high:
            raise ValueError(f"`{function}` expects {name} from {low} to {high}; got {value}.")
