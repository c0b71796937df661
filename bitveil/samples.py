"""Samples: a fit on some of very many rows, certified by all of the others.

An encoder learns hardly more from ten million rows than from one million, but a certificate gets
tighter with every row. So a sample is drawn at random within each group, to fit and to select on,
and all other rows are streamed into the certificate. They need not fit into memory: some twenty
bytes a row say where it belongs, eight find repeated rows, and its features wait on disk.
"""

import io
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from bitveil.checks import check_roles
from bitveil.coder import draw_names
from bitveil.columns.cells import as_text
from bitveil.criteria import compares_within_strata
from bitveil.features import Features
from bitveil.fitting import Fitted, fit_encoder
from bitveil.frozen import name_digests, row_digests
from bitveil.repeats import UsedRows
from bitveil.schema import Schema
from bitveil.settings import Settings
from bitveil.sources import Source, frame_of
from bitveil.spills import Spill, SpilledRows
from bitveil.steps import OnStep
from bitveil.tallies import Marks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SAMPLE",
    "FitRoles",
    "first_rows",
    "fit_source",
    "listed_names",
    "one_or_several",
    "read_sample",
    "sampled_rows",
]

SAMPLE = 1_000_000
"""The rows to fit and to select on, if there are more."""

_LEAST_OF_GROUP = 200  # a group keeps so many rows in the sample, or half of its rows
_FEW_VALUES = 50  # a column of more values holds numbers
_MOST_GROUPS = 2**15  # combinations of values that rows are drawn within


@dataclass(frozen=True)
class FitRoles:
    """The columns of a fit.

    Attributes:
        features: What the encoder sees.
        sensitive: The sensitive columns.
        targets: The columns of the target; none for no target.
        ids: The column that names each row, or None.
    """

    features: tuple[str, ...]
    sensitive: tuple[str, ...]
    targets: tuple[str, ...]
    ids: str | None

    @classmethod
    def of(
        cls,
        source: Source,
        sensitive: str | Sequence[str],
        targets: str | Sequence[str] | None,
        features: Sequence[str] | None,
        ids: str | None,
    ) -> "FitRoles":
        """Roles as they are asked for. Columns without another role are features.

        Raises:
            ValueError: If there is no such column, no feature is left, or a column has two roles.
        """

        groups, labels = listed_names(sensitive), listed_names(targets or ())
        others = [*groups, *labels, *([] if ids is None else [ids])]
        seen = [name for name in source.columns if name not in others]
        chosen = tuple(seen if features is None else features)
        names = [*others, *chosen]
        source.require(names)
        check_roles(names)
        if not chosen or not groups:
            raise ValueError(
                f"{source.name} needs a sensitive column and another one for the encoder to see, "
                f"got {source.columns}."
            )

        return cls(chosen, groups, labels, ids)

    @property
    def columns(self) -> list[str]:
        """All columns, each once."""

        ids = [] if self.ids is None else [self.ids]

        return list(dict.fromkeys([*self.features, *self.sensitive, *self.targets, *ids]))


def listed_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several as a tuple."""

    return (names,) if isinstance(names, str) else tuple(names)


def fit_source(
    settings: Settings,
    source: Source,
    roles: FitRoles,
    *,
    most: int = SAMPLE,
    progress: OnStep | None = None,
) -> Fitted:
    """Fit an encoder on a sample of a source, and certify it on all other rows.

    The source is read three times: to count its groups, for the sample, and for the others.

    Arguments:
        settings: What to fit, with a goal.
        source: More rows than the sample takes. It must be possible to read it again.
        roles: What its columns are.
        most: About how many rows to fit and select on.
        progress: Called with what is being done and the rows of each batch.

    Raises:
        UncertifiableError: If no code meets the goal with these rows.
        ValueError: If there is no goal to certify, or the input is not as described.
    """

    settings.check()
    seed = check_random_state(settings.random_state).randint(2**31)
    within = [*roles.sensitive, *roles.targets]
    chosen = sampled_rows(source, within, most, seed, progress)
    if chosen.all():
        table = read_sample(source, roles, None, progress)
        return _fitted(settings, table, roles)
    if not settings.certifies:
        raise ValueError(
            "A sample is fitted, and the other rows certify it: set a goal, `max_gap` or "
            "`max_information`."
        )
    several = len(roles.targets) > 1 and compares_within_strata(settings.criterion)
    if several:
        raise ValueError(
            f"`criterion={settings.criterion!r}` with several targets can be certified only on "
            "rows that fit into memory: use `fit`, or one target."
        )
    table = read_sample(source, roles, chosen, progress)
    others = partial(_rest, source, roles, chosen, progress)
    with tempfile.TemporaryDirectory(prefix="bitveil-") as folder:
        fitted = _fitted(
            settings,
            table,
            roles,
            others=lambda schema, features: _spilled(
                settings, schema, features, others(), roles, table, folder
            ),
        )
    numbers = np.flatnonzero(chosen)
    rows = {name: numbers[part] for name, part in fitted.rows.items()}
    rows["certify"] = np.flatnonzero(~chosen)

    return replace(fitted, rows=rows, remarks=(*fitted.remarks, _sample_remark(chosen)))


def _fitted(
    settings: Settings,
    table: pd.DataFrame,
    roles: FitRoles,
    others: Callable[[Schema, Features], Spill] | None = None,
) -> Fitted:
    return fit_encoder(
        settings,
        table[list(roles.features)],
        one_or_several(table, roles.targets),
        one_or_several(table, roles.sensitive),
        ids=None if roles.ids is None else table[roles.ids],
        others=others,
    )


def _sample_remark(chosen: NDArray[np.bool_]) -> str:
    n, some = len(chosen), int(chosen.sum())

    return (
        f"{some} of {n} rows, drawn at random within each group, were fitted and selected on. The "
        f"other {n - some} certify. An audit refuses rows of the sample only, so give it new rows."
    )


def one_or_several(table: pd.DataFrame, names: Sequence[str]) -> Any:
    """One column as a series, several as a table, none as None."""

    if not names:
        return None

    return table[names[0]] if len(names) == 1 else table[list(names)]


# The sample


def sampled_rows(
    source: Source, names: Sequence[str], most: int, seed: int, progress: OnStep | None = None
) -> NDArray[np.bool_]:
    """Which rows are in a sample: at random, in proportion within the values of some columns.

    Rare values keep a few hundred rows, or half of their rows if they have fewer.

    Arguments:
        source: The source, of which only these columns are read.
        names: The columns. Those of many values do not count.
        most: About how many rows to choose.
        seed: The seed of the choice.
        progress: Called with what is being done and the rows of each batch.

    Returns:
        Whether each row is chosen, with shape (n,).

    Example:
        >>> from bitveil.sources import open_source
        >>> source = open_source(pd.DataFrame({"sex": ["f"] * 300 + ["m"] * 900}))
        >>> chosen = sampled_rows(source, ["sex"], 600, 0)
        >>> int(chosen[:300].sum()), int(chosen[300:].sum())
        (150, 450)
    """

    numbers = _value_numbers(source, names, progress)
    rng, share = np.random.default_rng([seed, 1]), most / len(numbers)
    if share >= 1:
        return np.ones(len(numbers), dtype=bool)
    chosen = np.zeros(len(numbers), dtype=bool)
    ordered = np.argsort(numbers, kind="stable")
    for rows in np.split(ordered, np.bincount(numbers).cumsum()[:-1]):
        some = max(round(share * len(rows)), min(_LEAST_OF_GROUP, len(rows) // 2))
        chosen[rng.choice(rows, min(some, len(rows)), replace=False)] = True

    return chosen


def _value_numbers(
    source: Source, names: Sequence[str], progress: OnStep | None
) -> NDArray[np.uint16]:
    """The number of each row's combination of values. Columns of many values do not count."""

    known: list[dict[str, int]] = [{} for _ in names]
    columns: list[list[NDArray[np.int32]]] = [[] for _ in names]
    for batch in source.batches(list(names)):
        for place, name in enumerate(names):
            columns[place].append(_numbers_of(batch.column(name), known[place]))
        if progress is not None:
            progress("counting groups", batch.num_rows)
    if not columns[0]:
        raise ValueError(f"{source.name} has no rows.")
    joined, n_values = np.zeros(sum(map(len, columns[0])), dtype=np.int32), 1
    for parts, values in zip(columns, known, strict=True):
        if len(values) <= _FEW_VALUES and n_values * len(values) <= _MOST_GROUPS:
            n_values *= len(values)
            joined *= len(values)
            joined += np.concatenate(parts)
    there = np.bincount(joined, minlength=n_values) > 0

    return (there.cumsum() - 1).astype(np.uint16)[joined]


def _numbers_of(column: "pa.Array", known: dict[str, int]) -> NDArray[np.int32]:
    """The number of each value as text. New values get the next numbers."""

    encoded = column.dictionary_encode()
    texts = ["" if value is None else as_text(value) for value in encoded.dictionary.to_pylist()]
    places = [known.setdefault(text, len(known)) for text in [*texts, ""]]
    indices = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)

    return np.array(places, dtype=np.int32)[indices]


def read_sample(
    source: Source,
    roles: FitRoles,
    chosen: NDArray[np.bool_] | None = None,
    progress: OnStep | None = None,
) -> pd.DataFrame:
    """Some rows of a source as a table, with types for groups and targets.

    Arguments:
        source: The source.
        roles: What its columns are.
        chosen: Which rows; None: all.
        progress: Called with what is being done and the rows of each batch.
    """

    import pyarrow as pa

    parts = []
    for batch, rows in _with_rows(source, roles.columns):
        some = batch if chosen is None else batch.filter(pa.array(chosen[rows]))
        parts.append(pa.Table.from_batches([some]))
        if progress is not None:
            progress("reading the sample", batch.num_rows)
    joined = pa.concat_tables(parts, promote_options="permissive")
    table = joined.to_pandas(types_mapper=pd.ArrowDtype)
    typed = list(dict.fromkeys([*roles.sensitive, *roles.targets]))
    table[typed] = _typed(joined.select(typed), source)

    return table


def first_rows(source: Source, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of the first batch, with types."""

    import pyarrow as pa

    batch = next(source.batches(list(names)))

    return _typed(pa.Table.from_batches([batch]), source)


def _typed(table: "pa.Table", source: Source) -> pd.DataFrame:
    """Columns with numpy's types. For text from CSV, pandas finds them."""

    csv = bool(source.files) and source.files[0].suffix == ".csv"

    return _typed_text(table.to_pandas()) if csv else table.to_pandas()


def _typed_text(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of text with the types that pandas finds in a file."""

    text = io.StringIO()
    table.to_csv(text, index=False)
    text.seek(0)

    return pd.read_csv(text, index_col=False)


def _with_rows(source: Source, names: Sequence[str]) -> "Iterator[tuple[pa.RecordBatch, slice]]":
    """The batches of a source, and the numbers of their rows."""

    start = 0
    for batch in source.batches(list(names)):
        yield batch, slice(start, start + batch.num_rows)
        start += batch.num_rows
    if not start:
        raise ValueError(
            f"{source.name} could be read only once, and a sample needs several readings. Give "
            "files, or a table."
        )


# The others


def _rest(
    source: Source, roles: FitRoles, chosen: NDArray[np.bool_], progress: OnStep | None
) -> "Iterator[pa.RecordBatch]":
    """The rows that are not in the sample."""

    import pyarrow as pa

    for batch, rows in _with_rows(source, roles.columns):
        rest = batch.filter(pa.array(~chosen[rows]))
        if rest.num_rows:
            yield rest
        if progress is not None:
            progress("preparing the rows that certify", batch.num_rows)


def _spilled(
    settings: Settings,
    schema: Schema,
    features: Features,
    batches: "Iterator[pa.RecordBatch]",
    roles: FitRoles,
    sample: pd.DataFrame,
    folder: str,
) -> Spill:
    """Write the features of all other rows to a folder, after a check that rows differ."""

    within = len(schema.target.kinds) == 1 and (
        bool(schema.target.classes) or compares_within_strata(settings.criterion)
    )
    n_strata = len(schema.target.cut_values[0]) if within else 1
    n_groups = len(schema.grouping.values)
    spill = Spill(Path(folder), n_strata, n_groups, n_bits=settings.n_bits, listed=settings.listed)
    used = _rows_of_sample(schema, features, roles, sample)
    marks = []
    for batch in batches:
        table = schema.read(frame_of(batch, roles.features), features)
        ids = None if roles.ids is None else frame_of(batch, [roles.ids])[roles.ids]
        names = draw_names(table, ids)
        groups = schema.grouping.numbers("sensitive_features", frame_of(batch, roles.sensitive))
        strata = np.zeros(len(table), dtype=np.int64)
        if within:
            y, missing = frame_of(batch, roles.targets), settings.missing_target
            strata = np.ascontiguousarray(schema.target.numbers(y, len(y), missing=missing)[:, 0])
        spill.add(SpilledRows(features.transform(table), groups, strata, names))
        labels = (strata + 1) * n_groups + groups
        marks.append(Marks.of(used, table, names, labels, named=ids is not None))
    Marks.joined(marks).check(used)

    return spill


def _rows_of_sample(
    schema: Schema, features: Features, roles: FitRoles, sample: pd.DataFrame
) -> UsedRows:
    """The rows of the sample, under a key that is forgotten."""

    table = schema.read(sample[list(roles.features)], features)
    names = None if roles.ids is None else name_digests(sample[roles.ids], len(sample))

    return UsedRows.of(row_digests(table), names, secrets.token_bytes(32))
