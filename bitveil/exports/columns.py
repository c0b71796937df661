"""Columns: the columns of a table as inputs of a graph, and what skrub makes of them as nodes.

- Numbers, truths and durations are numbers.
- In a column with few different texts each fitted text has its own numbers. So have a missing text
  and an unknown one.
- Dates and times become year, month, day, perhaps the hour, and the seconds since 1970.

ONNX has no operators for a column that is read by its letters.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bitveil.columns.kinds import Kinds
from bitveil.exports.wires import Graph, Wire
from bitveil.features import Features

__all__ = ["ColumnInput", "column_inputs", "matrix_wire"]

_HOLDS: Mapping[str, str] = {
    "number": "a number, NaN where missing",
    "truth": "1 for true, 0 for false, NaN where missing",
    "duration": "seconds, NaN where missing",
    "time": "seconds since 1970-01-01 00:00 on the same clock, NaN where missing",
    "zoned time": "seconds since 1970-01-01 00:00 UTC, NaN where missing",
    "text": "text, empty where missing",
    "category": "text, empty where missing",
    "category of numbers": "text, whole numbers without a point, empty where missing",
}
"""What the input of a column of each kind holds."""

_ENCODERS: Mapping[str, Sequence[str]] = {
    "numeric": ("number", "truth", "duration"),
    "low_cardinality": ("text", "category", "category of numbers"),
    "datetime": ("time", "zoned time"),
}
"""The kinds of columns that can be written, for each encoder of skrub."""

_BLANK = r"[\s\p{Z}]*"  # a text of spaces is a missing one
_UNKNOWN = "\x00 a text that nobody fitted"


@dataclass(frozen=True)
class ColumnInput:
    """A column of the table that the features use.

    Attributes:
        name: Its name.
        kind: What it holds: see `bitveil.columns.kinds`.
        made: The names of the numbers that skrub makes of it.
    """

    name: Any
    kind: str
    made: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name of its input."""

        return str(self.name)

    @property
    def holds(self) -> str:
        """What its input holds, in words."""

        return _HOLDS[self.kind]

    @property
    def dtype(self) -> Any:
        """The type of its input; `object` for text."""

        return object if self.kind in _ENCODERS["low_cardinality"] else np.float64

    def fed(self, column: "pd.Series[Any]") -> NDArray[Any]:
        """The values of a column that was read, as its input takes them, with shape (n, 1)."""

        if self.dtype is object:
            values = column.astype(object).where(column.notna(), "").to_numpy(object)
        elif self.kind in _ENCODERS["datetime"]:
            seconds = column.to_numpy("datetime64[us]").astype(np.int64) / 1e6
            values = np.where(column.isna(), np.nan, seconds)
        else:
            values = column.to_numpy(np.float64)

        return values[:, None]


def column_inputs(features: Features, kinds: Kinds) -> list[ColumnInput]:
    """The columns that the features use, in their order.

    Arguments:
        features: The features, fitted on a data frame.
        kinds: What its columns hold.

    Raises:
        ValueError: If ONNX has no operators for a column.

    Example:
        >>> table = pd.DataFrame({"age": [30.0, 41.0, 52.0], "job": ["cook", "smith", "cook"]})
        >>> features = Features("raw").fit(table)
        >>> [(one.label, one.holds) for one in column_inputs(features, Kinds.fit(table))]
        [('age', 'a number, NaN where missing'), ('job', 'text, empty where missing')]
    """

    fitted: Any = features.vectorizer_
    found, lost = [], []
    for name, kind in zip(kinds.names, kinds.kinds, strict=True):
        used = set(fitted.input_to_outputs_[str(name)]) & set(fitted.all_outputs_)
        encoder = fitted.column_to_kind_.get(str(name))
        if used and kind not in _ENCODERS.get(encoder, ()):
            lost.append(name)
        elif used:
            made = tuple(each for each in fitted.input_to_outputs_[str(name)] if each in used)
            found.append(ColumnInput(name, kind, made))
    if lost:
        raise ValueError(
            f"`to_onnx` cannot write the columns {lost}. Columns of many different texts are read "
            "by their letters, and some texts as dates, and ONNX has no operators for that. Leave "
            "these columns out of the fit, join rare values, or make dates of the texts before "
            "it. Or write the network alone: `bitveil.exports.to_onnx(model.coder_.encoder, ...)`."
        )

    return found


def matrix_wire(
    graph: Graph,
    inputs: Sequence[ColumnInput],
    features: Features,
    kinds: Kinds,
    specimen: pd.DataFrame,
) -> Wire:
    """The table as numbers, as `Features.matrix` gives it, with shape (n, columns).

    Arguments:
        graph: The graph, which gets an input for each column.
        inputs: The columns.
        features: The features.
        kinds: What the columns hold.
        specimen: A row that was read.
    """

    fitted: Any = features.vectorizer_
    place = {name: number for number, name in enumerate(fitted.all_outputs_)}
    places = [[place[name] for name in one.made] for one in inputs]
    texts = {one.name: _known_texts(features, one) for one in inputs if one.dtype is object}
    numbers = features.matrix(kinds.read(kinds.again(_spelled(texts, specimen))))
    wires = []
    for one, of_one in zip(inputs, places, strict=True):
        x = graph.input(one.label, one.dtype, (1,))
        if one.dtype is object:
            known = texts[one.name]
            wires.append(_looked_up(x, known, numbers[: len(known) + 1, of_one]))
        elif one.kind in _ENCODERS["datetime"]:
            wires.append(graph.joined([*_parts_of(x, _parts(fitted, one))]).cast(np.float32))
        else:
            wires.append(x.cast(np.float32))

    return graph.joined(wires).columns(np.argsort(list(chain.from_iterable(places))))


# Texts


def _known_texts(features: Features, one: ColumnInput) -> list[str]:
    """The texts that mean something: the fitted ones, and those that skrub takes for missing."""

    fitted: Any = features.vectorizer_
    steps = fitted.all_processing_steps_[one.label]
    nulls = [text for step in steps for text in getattr(step, "null_strings_", ())]

    return list(dict.fromkeys([*features.known_[one.label], *nulls, ""]))


def _spelled(texts: Mapping[Any, Sequence[str]], specimen: pd.DataFrame) -> pd.DataFrame:
    """A table with the known texts of each column, and then with unknown ones."""

    n = 1 + max(map(len, texts.values()), default=0)
    rows = specimen.iloc[[0] * n].reset_index(drop=True)
    for name, known in texts.items():
        filled = [*known, *[_UNKNOWN] * (n - len(known))]
        rows[name] = pd.Series(filled, dtype=object)

    return rows


def _looked_up(x: Wire, known: Sequence[str], numbers: NDArray[Any]) -> Wire:
    """The numbers of each text, those of an unknown one last.

    A text of nothing but spaces counts as the empty one.
    """

    graph, empty = x.graph, known.index("")
    place = graph.op(
        "LabelEncoder",
        x,
        dtype=np.int64,
        keys_strings=list(known),
        values_int64s=list(range(len(known))),
        default_int64=len(known),
    )
    blank = graph.op("RegexFullMatch", x, dtype=bool, pattern=_BLANK)
    rows = graph.op("Squeeze", place.instead(blank, empty), np.array([1]))

    return graph.op("Gather", graph.constant(numbers), rows, axis=0)


# Times


def _parts(fitted: Any, one: ColumnInput) -> Sequence[str]:
    """The parts that skrub reads off the times of a column."""

    steps = fitted.all_processing_steps_[one.label]

    return next(step.extracted_features_ for step in steps if hasattr(step, "extracted_features_"))


def _parts_of(seconds: Wire, parts: Sequence[str]) -> Iterator[Wire]:
    """The parts of times in double precision, NaN where the time is missing."""

    missing = seconds.is_missing()
    whole = seconds.graph.op("Floor", seconds.instead(missing, 0.0)).cast(np.int64)
    of_day = whole % 86_400
    known = _dates((whole - of_day) / 86_400) | {"hour": of_day / 3_600}
    for part in parts:
        if part == "total_seconds":
            yield seconds
        else:
            yield known[part].cast(np.float64).instead(missing, np.nan)


def _dates(days: Wire) -> dict[str, Wire]:
    """Year, month and day from the number of days since 1970-01-01, from the year 1 on.

    A year that begins in March ends with the day that some years lack. So its months begin at
    fixed days, and years, fours of years and centuries have fixed lengths but for the last one.
    All numbers are whole, and none is negative.
    """

    least = days.graph.op
    day = days + 719_468  # since the first of March of the year 0
    cycles, day = day / 146_097, day % 146_097
    centuries = least("Min", day / 36_524, 3)
    day = day - centuries * 36_524
    fours, day = day / 1_461, day % 1_461
    years = least("Min", day / 365, 3)
    day = day - years * 365
    month = (day * 5 + 2) / 153  # 0 is March; five months in a row have 153 days
    year = cycles * 400 + centuries * 100 + fours * 4 + years

    return {
        "year": year + month / 10,  # January and February belong to the next year
        "month": (month + 2) % 12 + 1,
        "day": day - (month * 153 + 2) / 5 + 1,
    }
