"""Streams: codes and counts of rows of any number, batch by batch.

A batch is a record batch of Arrow. `encode_batches` turns batches of rows into batches of codes,
and `tables_of` counts their codes. Both need memory for one batch, however many come. What the
columns mean was decided when the encoder was fitted, never by a batch, so the same people get the
same codes in every engine that hands over Arrow, in parts or whole.

    Spark: `frame.mapInArrow(lambda batches: encode_batches(batches, load(folder)), schema)`
    Ray: `encode_dataset(dataset, folder, ids="id")`, see `bitveil.clusters`
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bitveil.checks import check_roles
from bitveil.coder import draw_names, published_tables
from bitveil.columns.targets import Target
from bitveil.criteria import compares_within_strata
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.quotes import quoted
from bitveil.samples import listed_names
from bitveil.sources import Source, frame_of, open_source
from bitveil.tallies import Counted, Marks, Tally

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Roles",
    "check_published",
    "count",
    "count_batch",
    "encode_batch",
    "encode_batches",
    "encode_marked",
    "feature_names",
    "tables_of",
]


@dataclass(frozen=True)
class Roles:
    """The columns of rows besides those that the encoder sees.

    Attributes:
        sensitive: The sensitive columns.
        targets: The columns of the target; none for no target.
        ids: The column that names each row, or None.
    """

    sensitive: tuple[str, ...]
    targets: tuple[str, ...] = ()
    ids: str | None = None

    @classmethod
    def of(
        cls,
        model: InvariantEncoder,
        columns: Sequence[str],
        *,
        sensitive: Sequence[str] | str | None = None,
        target: Sequence[str] | str | None = None,
        ids: str | None = None,
    ) -> "Roles":
        """Roles as they are asked for, or as they were fitted.

        Arguments:
            model: A fitted encoder.
            columns: The columns that there are.
            sensitive: The sensitive columns; None: the fitted ones.
            target: The target; None: the fitted one, if all of its columns are there.
            ids: The column that names each row, or None.

        Raises:
            ValueError: If no sensitive column is known, or a column has two roles.
        """

        fitted = model.schema_
        chosen = listed_names(sensitive) if sensitive else _texts(fitted.sensitive_names)
        if not chosen:
            raise ValueError(
                "The encoder does not say which column is sensitive. Name it: `sensitive=`."
            )
        targets = listed_names(target) if target else _texts(fitted.target.names)
        if not target and not all(name in columns for name in targets):
            targets = ()
        _check_attributes(model, chosen, targets)
        check_roles([*chosen, *targets, ids])

        return cls(chosen, targets, ids)

    def columns(self, model: InvariantEncoder) -> list[str]:
        """All columns that a count reads, each once."""

        names = [*feature_names(model), *self.sensitive, *self.targets]

        return list(dict.fromkeys([*names, *([] if self.ids is None else [self.ids])]))


def _texts(names: Iterable[Any] | None) -> tuple[str, ...]:
    """The names that a file can have."""

    return tuple(name for name in names or () if isinstance(name, str))


def _check_attributes(
    model: InvariantEncoder, sensitive: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    """Refuse other attributes than the fitted ones, whose values no batch can know."""

    schema = model.schema_
    for said, names, other in (
        ("sensitive", sensitive, schema.is_other_attribute),
        ("target", targets, schema.is_other_target),
    ):
        if names and other(pd.DataFrame(columns=list(names))):
            raise ValueError(
                f"Rows that come in batches are counted by the fitted `{said}` columns, got "
                f"{quoted(list(names))}. Audit other columns on a table in memory: `model.audit`."
            )


def feature_names(model: InvariantEncoder) -> list[str]:
    """The columns that an encoder sees.

    Raises:
        ValueError: If it was fitted on an array, whose columns have no names.
    """

    if model.feature_names_in_ is None:
        raise ValueError(
            "The encoder was fitted on an array, whose columns have no names. Fit it on a table, "
            "or use its `transform`."
        )

    return [str(name) for name in model.feature_names_in_]


def encode_batches(
    batches: "Iterable[pa.RecordBatch] | Any", model: InvariantEncoder, *, ids: str | None = None
) -> "Iterator[pa.RecordBatch]":
    """The codes of rows that come in batches, in the same order.

    Arguments:
        batches: Record batches of Arrow, or all else that `bitveil.sources.open_source` takes.
        model: A fitted encoder.
        ids: The column that names each row. The draw of a row then depends on its name alone, and
            the column stands first in the codes.

    Returns:
        A batch of codes for each batch of rows: a column of int8 for each published bit. An
        iterator without any batch gives none.

    Raises:
        ValueError: If a batch lacks a column, or holds values of another kind than the fitted
            ones.

    Example:
        >>> import pyarrow as pa
        >>> from bitveil import InvariantEncoder, Training
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
        >>> y, s = (X["a"] > 0).rename("y"), (X["b"] > 0).rename("s")
        >>> model = InvariantEncoder(
        ...     2, features="raw", training=Training(epochs=2), random_state=0)
        >>> _ = model.fit(X, y, sensitive_features=s)
        >>> batches = pa.Table.from_pandas(X).to_batches(max_chunksize=150)
        >>> codes = list(encode_batches(batches, model))
        >>> [len(batch) for batch in codes], codes[0].schema.names
        ([150, 150, 100], ['bit0', 'bit1'])
        >>> whole = model.transform(X)
        >>> bool((np.hstack([pa.Table.from_batches(codes)[j] for j in (0, 1)])
        ...       == whole.T.ravel()).all())
        True
    """

    check_published(model, ids)
    if isinstance(batches, Iterator):  # a part of an engine's rows may be empty
        first = next(batches, None)
        if first is None:
            return
        batches = chain([first], batches)
    source = open_source(batches)
    names = [*([] if ids is None else [ids]), *feature_names(model)]
    for batch in source.batches(list(dict.fromkeys(names))):
        yield encode_batch(batch, model, ids=ids)


def check_published(model: InvariantEncoder, ids: str | None) -> None:
    """Refuse ids with the name of a published column."""

    if ids in model.get_feature_names_out():
        raise ValueError(
            f"A published column has the name of the column {quoted(ids)}, too. Rename the ids."
        )


def encode_batch(
    batch: "pa.RecordBatch", model: InvariantEncoder, *, ids: str | None = None
) -> "pa.RecordBatch":
    """The codes of one batch of rows: see `encode_batches`."""

    return _coded(batch, model, ids)[0]


def encode_marked(
    batch: "pa.RecordBatch", model: InvariantEncoder, *, ids: str | None = None
) -> "tuple[pa.RecordBatch, NDArray[np.uint64]]":
    """The codes of one batch, and a mark for each row: rows that share their draw have the same.

    Marks are eight bytes for the name of each row, or for its content if rows have no names. By
    them repeated names and shared draws are found: see `bitveil.repeats.UsedRows.marks`.
    """

    codes, names = _coded(batch, model, ids)

    return codes, model.used_.marks(names)


def _coded(
    batch: "pa.RecordBatch", model: InvariantEncoder, ids: str | None
) -> "tuple[pa.RecordBatch, NDArray[np.uint8]]":
    """The codes of one batch, and the bytes that decide the draw of each row."""

    import pyarrow as pa

    table = model.schema_.read(frame_of(batch, feature_names(model)), model.coder_.features)
    rows = draw_names(table, None if ids is None else _column(batch, ids))
    bits = model.coder_.bits(table, rows)
    columns = [pa.array(column.astype(np.int8)) for column in bits.T]
    names = [str(name) for name in model.get_feature_names_out()]
    if ids is not None:
        columns, names = [batch.column(ids), *columns], [ids, *names]

    return pa.RecordBatch.from_arrays(columns, names=names), rows


def tables_of(
    batches: "Iterable[pa.RecordBatch] | Any",
    model: InvariantEncoder,
    *,
    sensitive: Sequence[str] | str | None = None,
    target: Sequence[str] | str | None = None,
    ids: str | None = None,
) -> GroupTables:
    """The group tables of rows that come in batches: sums of float64, and whole row counts.

    With `ids` the counts are expected ones, without they are of the codes as published.

    Arguments:
        batches: Record batches of Arrow, or all else that `bitveil.sources.open_source` takes.
        model: A fitted encoder.
        sensitive: The sensitive columns; None: the fitted ones.
        target: The target; None: the fitted one, if the batches have it.
        ids: The column that names each row, or None.

    Raises:
        ValueError: If batches lack columns or rows, or hold values that were not fitted; if rows
            repeat each other, or were used in the fit.

    Example:
        >>> import pyarrow as pa
        >>> from bitveil import InvariantEncoder, Training
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
        >>> y, s = (X["a"] > 0).rename("y"), (X["b"] > 0).rename("s")
        >>> model = InvariantEncoder(
        ...     2, features="raw", training=Training(epochs=2), random_state=0)
        >>> _ = model.fit(X[:400], y[:400], sensitive_features=s[:400])
        >>> rows = pa.Table.from_pandas(X.assign(y=y, s=s, id=range(600))[400:])
        >>> tables_of(rows.to_batches(max_chunksize=70), model, ids="id").rows.sum().item()
        200
    """

    return count(batches, model, sensitive=sensitive, target=target, ids=ids)[0].tables


def count(
    data: Any,
    model: InvariantEncoder,
    *,
    sensitive: Sequence[str] | str | None = None,
    target: Sequence[str] | str | None = None,
    ids: str | None = None,
    drawn: bool = False,
    after_batch: Callable[[int], None] | None = None,
) -> tuple[Tally, str | None]:
    """Count the codes of rows of any number. The rows must be new, and differ.

    It needs memory for one batch, and eight bytes a row to find repeated rows.

    Arguments:
        data: What `bitveil.sources.open_source` takes, or a source.
        model: A fitted encoder.
        sensitive: The sensitive columns; None: the fitted ones.
        target: The target; None: the fitted one, if the data have it.
        ids: The column that names each row, or None.
        drawn: Whether to count published codes beside the expected ones.
        after_batch: Called with the number of rows of each batch.

    Returns:
        The counts, and a caution for the reader if contents cannot show that rows are new.

    Raises:
        ValueError: As for `tables_of`.
    """

    source = open_source(data)
    roles = Roles.of(model, source.columns, sensitive=sensitive, target=target, ids=ids)
    total = Tally.total(_tallies_of(source, model, roles, drawn, after_batch), source.name)

    return total.checked(model.used_, source.name)


def _tallies_of(
    source: Source,
    model: InvariantEncoder,
    roles: Roles,
    drawn: bool,
    after_batch: Callable[[int], None] | None,
) -> Iterator[Tally]:
    """The tally of each batch."""

    for batch in source.batches(roles.columns(model)):
        yield count_batch(batch, model, roles, drawn=drawn)
        if after_batch is not None:
            after_batch(batch.num_rows)


def count_batch(
    batch: "pa.RecordBatch", model: InvariantEncoder, roles: Roles, *, drawn: bool = False
) -> Tally:
    """Count the codes of one batch of rows.

    Arguments:
        batch: The rows.
        model: A fitted encoder.
        roles: What its columns are.
        drawn: Whether to count published codes beside the expected ones.

    Returns:
        A tally with marks, whose rows are not checked yet.
    """

    schema, coder = model.schema_, model.coder_
    table = schema.read(frame_of(batch, feature_names(model)), coder.features)
    ids = None if roles.ids is None else _column(batch, roles.ids)
    names = draw_names(table, ids)
    numbers = schema.grouping.numbers("sensitive_features", frame_of(batch, roles.sensitive))
    strata, values = _strata(model, batch, roles)
    cells = _Cells(strata, numbers, len(values), len(schema.grouping.values))
    counted = _subject(model, roles, values)
    logits = coder.logits(table, names)
    tables = partial(_expected, logits, cells)
    published = None
    if drawn or counted.draws == "hard":
        published = partial(_published, model, coder.published(logits, names), cells)
    if counted.draws == "hard":
        assert published is not None
        tables, published = published, None

    first = _first_half(names, named=ids is not None)

    return Tally(
        counted,
        tables(first),
        tables(~first),
        None if published is None else published(slice(None)),
        marks=Marks.of(model.used_, table, names, cells.labels, named=ids is not None),
    )


_Some: TypeAlias = slice | NDArray[np.bool_]


def _first_half(names: NDArray[np.uint8], *, named: bool) -> NDArray[np.bool_]:
    """Whether each row is in the half that fixes an attacker. It is random, whatever the order.

    Rows may alternate, as couples do, so the place of a row must not decide. The name of a row
    decides, by a bit of its digest. A content must not: its rows belong into both halves. There a
    permutation decides, whose seed are the contents of the batch.
    """

    if named:
        return names[:, 0] % 2 == 0
    seed = int.from_bytes(hashlib.blake2b(names.tobytes(), digest_size=8).digest())

    return np.random.default_rng(seed).permutation(len(names)) % 2 == 0


class _Cells(NamedTuple):
    """Where each row is counted: its stratum, or -1, and its group; and how many there are."""

    strata: NDArray[np.int64]
    groups: NDArray[np.int64]
    n_strata: int
    n_groups: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """One number for stratum and group."""

        return (self.strata + 1) * self.n_groups + self.groups

    def of(self, rows: _Some) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """Those of some rows, as `GroupTables` takes them."""

        strata, groups = self.strata[rows], self.groups[rows]

        return torch.from_numpy(strata), torch.from_numpy(groups), self.n_strata, self.n_groups


def _expected(logits: NDArray[np.float64], cells: _Cells, rows: _Some) -> GroupTables:
    return GroupTables.expected(torch.from_numpy(logits[rows]), *cells.of(rows))


def _published(
    model: InvariantEncoder, bits: NDArray[np.uint8], cells: _Cells, rows: _Some
) -> GroupTables:
    return published_tables(
        bits[rows],
        cells.strata[rows],
        cells.groups[rows],
        cells.n_strata,
        cells.n_groups,
        n_bits=model.coder_.n_bits,
        listed=model.settings().listed,
    )


def _strata(
    model: InvariantEncoder, batch: "pa.RecordBatch", roles: Roles
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """The number of each row's target, or -1, and the values of the targets.

    If groups are compared within several targets, their values are tuples.
    """

    if not roles.targets:
        return np.full(batch.num_rows, -1, dtype=np.int64), ()
    target: Target = model.schema_.target
    numbers = target.numbers(
        frame_of(batch, roles.targets), batch.num_rows, missing=model.missing_target
    )
    values = target.cut_values
    if len(values) == 1 or not compares_within_strata(model.criterion):
        return np.ascontiguousarray(numbers[:, 0]), tuple(values[0])
    sizes = [len(each) for each in values]
    known = (numbers >= 0).all(1)
    joined = np.full(batch.num_rows, -1, dtype=np.int64)
    joined[known] = np.ravel_multi_index(tuple(numbers[known].T), sizes)

    return joined, tuple(product(*values))


def _subject(model: InvariantEncoder, roles: Roles, targets: tuple[Any, ...]) -> Counted:
    """What the counts of this encoder are about."""

    coder, schema, settings = model.coder_, model.schema_, model.settings()
    named = roles.ids is not None and settings.listed

    return Counted(
        coder.digest,
        coder.n_bits,
        coder.share,
        "soft" if named else "hard",
        model.criterion if targets else "independence",
        settings.positive_number(schema.target),
        tuple(schema.grouping.values.tolist()),
        targets,
        roles.sensitive,
        ", ".join(roles.targets) or None,
        certain=named and coder.certain,
    )


def _column(batch: "pa.RecordBatch", name: str) -> "pd.Series[Any]":
    return frame_of(batch, [name])[name]
