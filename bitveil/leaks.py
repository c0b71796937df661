r"""Leaks at the door: columns that tell the sensitive attribute, and values that look alike.

A copy of the sensitive attribute often hides among the columns of a table: under another name, as
a number, or in a column that only one group has. A fit looks for such columns, one by one, and
warns of each. It guesses the group of a row from the *other* rows that have the same value of the
column (leave one out), so a column of names or numbers that never repeat tells nothing. A column
*tells* the attribute if the guesses close 90 % of the way from the largest group's share to 1,
and if a column that is independent of the attribute would have such a table less than once in a
million:

.. math:: P = \frac{\prod_s n_s! \prod_v n_v!}{n! \prod_{s,v} n_{sv}!}

Source:
    On the interpretation of chi-squared from contingency tables, and the calculation of P (Fisher,
    1922), https://doi.org/10.2307/2340521
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from bitveil.cautions import warn
from bitveil.columns.bins import bin_numbers, quantile_edges
from bitveil.columns.printing import printable
from bitveil.columns.table import Table
from bitveil.rows import Sample
from bitveil.schema import Schema

__all__ = ["CHANCE", "TELLS", "Leak", "leak_of", "leaks", "look_alikes", "spelled", "warned"]

TELLS = 0.9
"""A column tells the attribute if guesses from it close this part of the way from the share of the
largest group to 1."""

CHANCE = 1e-6
"""And if an independent column would have its table with a smaller probability than this."""

MOST_CHECKED = 50_000
"""Of more rows, this many are checked, chosen at random. Of a table with more than 400 columns
fewer are checked, so that they hold at most 20 million values, but at least 2,000."""

_MOST_CELLS, _LEAST_CHECKED = 20_000_000, 2_000
_FINE = 64  # numbers with more values are also cut into so many bins
_ROWS_OF_BIN = 5  # on average, at least


@dataclass(frozen=True)
class Leak:
    """A column that tells a sensitive attribute almost outright.

    Attributes:
        column: What it is called.
        attribute: What the attribute is called.
        right: The share of the rows that are guessed right from other rows with the same value.
        without: The share of the largest group: what is right without the column.
        n_rows: The number of rows.
        similar: Whether the values are numbers that were cut into bins.
    """

    column: str
    attribute: str
    right: float
    without: float
    n_rows: int
    similar: bool = False

    def __str__(self) -> str:
        same = "a similar" if self.similar else "the same"

        return (
            f"{_capital(self.column)} tells {self.attribute}: guessed from other rows with {same} "
            f"value, {self.right:.1%} of {self.n_rows} rows are right, and {self.without:.1%} "
            f"without it. If it only states {self.attribute} in other words, drop it."
        )


def leaks(schema: Schema, sample: Sample, rows: NDArray[np.int64], seed: int = 0) -> list[Leak]:
    """The columns that tell a sensitive column, each alone. Images have none.

    Arguments:
        schema: What the columns are.
        sample: The rows of a fit.
        rows: The rows that may be looked at: not those that certify. Each counts once, whatever
            its weight.
        seed: The seed of the choice, where there are too many.
    """

    if np.ndim(sample.table) > 2:
        return []
    affordable = max(_LEAST_CHECKED, _MOST_CELLS // sample.table.shape[1])
    if len(rows) > (most := min(MOST_CHECKED, affordable)):
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    attributes = [(name, labels[rows]) for name, _, labels in _attributes(schema, sample.s)]
    found = []
    for name, column in _named_columns(sample.table, rows):
        read = _read_values(column)
        for attribute, labels in attributes:
            found.append(_most_telling(name, read, attribute, labels))

    return [leak for leak in found if leak is not None]


def leak_of(values: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[float, float] | None:
    """What a column tells of an attribute, if it tells it almost outright.

    Arguments:
        values: The number of each row's value, from 0, with shape (n,).
        labels: The number of each row's group, from 0, with shape (n,).

    Returns:
        The share of rows that are guessed right from the others, and the share of the largest
        group; None if the column does not tell the attribute.

    Example:
        >>> sex = np.tile([0, 0, 1], 20)
        >>> right, without = leak_of(1 - sex, sex)  # a code of it
        >>> right, round(without, 3)
        (1.0, 0.667)
        >>> leak_of(np.arange(60), sex)  # no value repeats
        >>> leak_of(np.tile([0, 1], 30), sex)  # independent of it
    """

    n, k = len(labels), int(labels.max(initial=0)) + 1
    table = np.bincount(values * k + labels, minlength=(int(values.max(initial=0)) + 1) * k)
    table = table.reshape(-1, k)
    sizes = table.sum(0)
    if k < 2 or sizes.max() == n:
        return None
    right, without = _guessed_right(table, sizes) / n, sizes.max() / n
    if right - without < TELLS * (1 - without) or _log_chance(table) > np.log(CHANCE):
        return None

    return float(right), float(without)


def _guessed_right(table: NDArray[np.int64], sizes: NDArray[np.int64]) -> int:
    """How many rows are guessed right from the others with their value.

    If the others say nothing, or two groups are equally frequent, the guess is the largest group.
    """

    second, first = np.partition(table, -2, axis=1)[:, -2:].T[:, :, None]
    others = np.where(table == first, second, first)
    ahead = table - 1 - others
    largest = np.arange(table.shape[1]) == sizes.argmax()

    return int(table[(ahead > 0) | ((ahead == 0) & largest)].sum())


def _log_chance(table: NDArray[np.int64]) -> float:
    """The log of the probability of a table, given its margins, if they are independent."""

    margins = gammaln(table.sum(0) + 1).sum() + gammaln(table.sum(1) + 1).sum()

    return float(margins - gammaln(table.sum() + 1) - gammaln(table + 1).sum())


def _most_telling(
    name: str, read: Sequence[NDArray[np.int64]], attribute: str, labels: NDArray[np.int64]
) -> Leak | None:
    """The leak of a column, as its values or as its bins tell more."""

    found = [
        (*leak, len(labels), bool(way))
        for way, values in enumerate(read)
        if (leak := leak_of(values, labels)) is not None
    ]

    return Leak(name, attribute, *max(found, key=lambda leak: leak[0])) if found else None


def _attributes(
    schema: Schema, s: NDArray[np.int64]
) -> "Iterator[tuple[str, list[Any], NDArray[np.int64]]]":
    """Each sensitive column: its name, its different values, and the number of each row's."""

    names, groups = schema.sensitive_names, schema.grouping.values.tolist()
    width = len(schema.grouping.columns)
    for place in range(width):
        values = groups if width == 1 else [group[place] for group in groups]
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        name = None if names is None else names[place]
        of_groups = np.array([numbers[value] for value in values])
        yield _called(name, place, width), list(numbers), of_groups[s]


def _called(name: Any, place: int, width: int) -> str:
    if name is not None and not (width == 1 and name == 0):
        return _quoted_name(name)

    return "the sensitive attribute" if width == 1 else f"sensitive column {place}"


def _named_columns(
    table: Table, rows: NDArray[np.int64]
) -> Iterator[tuple[str, "pd.Series[Any]"]]:
    """Some rows of each column, by its name."""

    if isinstance(table, pd.DataFrame):
        for place, name in enumerate(table):
            yield f"column {_quoted_name(name)}", table.iloc[rows, place]
    else:
        for place in range(table.shape[1]):
            yield f"column {place}", pd.Series(table[rows, place])


def _read_values(column: "pd.Series[Any]") -> list[NDArray[np.int64]]:
    """The number of each value, missing ones included; of numbers also that of its bin."""

    numbers, values = pd.factorize(column, use_na_sentinel=False)
    bins = min(_FINE, len(column) // _ROWS_OF_BIN)
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "iufM" or len(values) <= bins or bins < 2:
        return [numbers.astype(np.int64)]
    whole = column.to_numpy().astype(np.int64) if kind == "M" else column.to_numpy()
    floats = np.where(column.isna().to_numpy(), np.nan, whole.astype(np.float64))
    edges = quantile_edges(floats[~np.isnan(floats)], bins)

    return [numbers.astype(np.int64), bin_numbers(floats, edges) + 1]


# Spelling


def look_alikes(schema: Schema, sample: Sample) -> list[str]:
    """A sentence for each set of groups, or classes of the target, that only spelling tells apart.

    Capitals, spaces at the ends or in a row, and the ways in which Unicode writes one letter are
    matters of spelling.
    """

    said: list[str] = []
    for name, values, numbers in _attributes(schema, sample.s):
        said += _look_alike_sentences(f"{name} has groups", values, numbers)
    kinds = zip(schema.target.names, schema.target.kinds, strict=True)
    names = [name for name, kind in kinds if kind == "classes"]
    for name, classes, labels in zip(names, schema.target.classes, sample.labels.T, strict=True):
        of = "the target" if name in (None, 0) else _quoted_name(name)
        said += _look_alike_sentences(f"{of} has classes", classes.tolist(), labels[labels >= 0])

    return said


def _look_alike_sentences(
    start: str, values: Sequence[Any], numbers: NDArray[np.int64]
) -> Iterator[str]:
    sizes, forms = np.bincount(numbers, minlength=len(values)).tolist(), defaultdict(list)
    for value, size in zip(values, sizes, strict=True):
        if isinstance(value, str):
            forms[spelled(value)].append(f"{_quoted_name(value)} ({size} row{'s' * (size != 1)})")
    for names in forms.values():
        if len(names) > 1:
            yield (
                f"{_capital(start)} that look alike: {', '.join(names)}. They are "
                "fitted as they stand. If they mean the same, write them in one way and fit again."
            )


def spelled(text: str) -> str:
    """A text without what is a matter of spelling.

    Example:
        >>> spelled("  MALE ") == spelled("Male"), spelled("ma le") == spelled("Male")
        (True, False)
    """

    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def warned(said: Sequence[object]) -> tuple[str, ...]:
    """Sentences, after a warning with each."""

    for sentence in said:
        warn(str(sentence))

    return tuple(map(str, said))


def _quoted_name(name: object) -> str:
    return repr(printable(name))


def _capital(start: str) -> str:
    return start[0].upper() + start[1:]
