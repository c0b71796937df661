"""Clusters: codes and counts of a Ray Dataset, over the workers of a cluster.

Ray reads the rows and hands them to workers in blocks. Each worker loads the encoder once, from a
folder that all machines can read. `encode_dataset` gives a dataset of codes. `count_dataset` adds
up a tally of each block, and its result is that of `bitveil.streams.count` on the same rows.

**No row is lost, and none counts twice.** If a worker dies, Ray starts another one and repeats the
blocks whose result it does not have. At the end the rows of all tallies are compared with the rows
of the dataset, and the marks of all rows with each other.

**The key stays out of Ray.** Workers get the path of the folder and a digest, which reveals
nothing. They read the secret key from the folder by themselves. So it is in no argument of a task,
no log and no store of objects. Who can read the folder can draw codes: give it to the workers'
user alone.

Source:
    Ray Data, https://docs.ray.io/en/latest/data/data.html
"""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bitveil.estimators import InvariantEncoder
from bitveil.models import load
from bitveil.sources import BATCH, Source
from bitveil.streams import (
    Roles,
    check_published,
    count_batch,
    encode_batch,
    feature_names,
)
from bitveil.tallies import Tally

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

__all__ = ["count_dataset", "encode_dataset", "plain_errors"]

Work: TypeAlias = "Callable[[InvariantEncoder, list[pa.RecordBatch]], pa.Table]"
"""What a worker makes of the batches of a block."""

_NAME = "The dataset"


def encode_dataset(
    dataset: "Dataset",
    folder: str | os.PathLike[str],
    *,
    ids: str | None = None,
    n_workers: int | None = None,
) -> "Dataset":
    """The codes of the rows of a Ray Dataset.

    Ray encodes them when somebody reads the codes, or writes them: `codes.write_parquet(...)`.
    Errors of that moment come wrapped in Ray's own: `plain_errors` unwraps them.

    Arguments:
        dataset: The rows.
        folder: A saved encoder, at a path that all workers can read.
        ids: The column that names each row. It stands first in the codes. Without it Ray
            keeps the order of the rows, here and in all else that is made of `dataset`.
        n_workers: How many workers encode at the same time; None: one for each core.

    Raises:
        ValueError: If the dataset lacks a column, or the cluster has too few cores.
        FileNotFoundError: If there is no such folder.

    Example:
        >>> encode_dataset([{"age": 30}], "encoder")
        Traceback (most recent call last):
        ValueError: Expected a Ray Dataset, such as `ray.data.read_parquet` makes, got list.
    """

    columns = _dataset_columns(dataset)
    model = _loaded(folder)
    check_published(model, ids)
    names = list(dict.fromkeys([*([] if ids is None else [ids]), *feature_names(model)]))
    _check_present(columns, names)
    work = partial(_codes_of, ids=ids)
    codes = _mapped(dataset.select_columns(names), n_workers, folder, model, work)
    if ids is None:
        codes.context.execution_options.preserve_order = True

    return codes


def count_dataset(
    dataset: "Dataset",
    folder: str | os.PathLike[str],
    *,
    sensitive: Sequence[str] | str | None = None,
    target: Sequence[str] | str | None = None,
    ids: str | None = None,
    drawn: bool = False,
    n_workers: int | None = None,
    after_block: Callable[[int], None] | None = None,
) -> tuple[Tally, str | None]:
    """Count the codes of the rows of a Ray Dataset. The rows must be new, and differ.

    This process needs eight bytes a row, to find repeated rows.

    Arguments:
        dataset: The rows. They are read once more to count them, if their number is not known.
        folder: A saved encoder, at a path that all workers can read.
        sensitive: The sensitive columns; None: the fitted ones.
        target: The target; None: the fitted one, if the dataset has it.
        ids: The column that names each row, or None.
        drawn: Whether to count published codes beside the expected ones.
        n_workers: How many workers count at the same time; None: one for each core.
        after_block: Called with the number of rows of each block.

    Returns:
        The counts, and a caution for the reader if contents cannot show that rows are new.

    Raises:
        ValueError: As for `bitveil.streams.count`; or if the cluster has too few cores.
        FileNotFoundError: If there is no such folder.
        RuntimeError: If the workers counted other rows than the dataset has.

    Example:
        >>> count_dataset("people.parquet", "encoder")
        Traceback (most recent call last):
        ValueError: Expected a Ray Dataset, such as `ray.data.read_parquet` makes, got str.
    """

    columns = _dataset_columns(dataset)
    model = _loaded(folder)
    roles = Roles.of(model, columns, sensitive=sensitive, target=target, ids=ids)
    names = roles.columns(model)
    _check_present(columns, names)
    with plain_errors():
        n_rows = dataset.count()
        some = dataset.select_columns(names)
        work = partial(_tally_of, roles=roles, drawn=drawn)
        blocks = _mapped(some, n_workers, folder, model, work)
        total = Tally.total(_tallies(blocks, after_block), _NAME)
    _check_complete(total, n_rows)

    return total.checked(model.used_, _NAME)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what a worker raised, without what Ray adds to it.

    Raises:
        ValueError: If a worker refused some rows, or could not read them.

    Example:
        >>> from ray.exceptions import RayTaskError
        >>> with plain_errors():
        ...     raise RayTaskError("count", "many lines", ValueError("a group was not fitted."))
        Traceback (most recent call last):
        ValueError: a group was not fitted.
    """

    from ray.exceptions import RayTaskError

    try:
        yield
    except RayTaskError as error:
        said = _message_of(str(error), error.cause)
        if said is None:
            raise
        raise ValueError(said) from None


class RefusedRowsError(ValueError):
    """What a worker raises where rows are refused. Ray passes on its text alone."""


def _message_of(text: str, cause: BaseException) -> str | None:
    """What a worker said, from the error that Ray made of it; None if it is no bad input."""

    name = f"{RefusedRowsError.__module__}.{RefusedRowsError.__name__}: "
    if name in text:
        return text.rpartition(name)[2].partition("\n\n")[0].strip()

    return str(cause) if isinstance(cause, ValueError | OSError) else None


class Worker:
    """An actor that loads the encoder at its first block. It is sent before it has one.

    Arguments:
        folder: The folder of the encoder.
        digest: The digest of the encoder that the work is given out for.
        work: Makes a table of the encoder and the batches of a block.
    """

    def __init__(self, folder: str, digest: str, work: "Work") -> None:
        self.folder, self.digest, self.work = folder, digest, work

    def __call__(self, block: "pa.Table") -> "pa.Table":
        """What it makes of a block of rows."""

        batches = [batch for batch in block.to_batches(BATCH) if batch.num_rows]
        try:
            return self.work(self.model, batches)
        except ValueError as error:
            raise RefusedRowsError(str(error)) from None

    @cached_property
    def model(self) -> InvariantEncoder:
        """The encoder in the folder, which must be the one that the work was given out for."""

        try:
            model = load(self.folder)
        except OSError as error:
            raise ValueError(f"A worker cannot read the encoder: {error} {_STORAGE}") from error
        if model.coder_.digest != self.digest:
            raise ValueError(f"A worker has another encoder at {self.folder}. {_STORAGE}")

        return model


def _codes_of(
    model: InvariantEncoder, batches: "list[pa.RecordBatch]", *, ids: str | None
) -> "pa.Table":
    """The codes of a block."""

    import pyarrow as pa

    return pa.Table.from_batches([encode_batch(batch, model, ids=ids) for batch in batches])


def _tally_of(
    model: InvariantEncoder, batches: "list[pa.RecordBatch]", *, roles: Roles, drawn: bool
) -> "pa.Table":
    """The tally of a block, as one row."""

    import pyarrow as pa

    tallies = (count_batch(batch, model, roles, drawn=drawn) for batch in batches)

    return pa.table({"tally": [pickle.dumps(Tally.total(tallies, "The block"))]})


_STORAGE = "Put its folder on storage that all machines read at the same path."


def _dataset_columns(dataset: Any) -> list[str]:
    if not hasattr(dataset, "map_batches"):
        raise ValueError(
            "Expected a Ray Dataset, such as `ray.data.read_parquet` makes, got "
            f"{type(dataset).__name__}."
        )
    with plain_errors():
        columns = dataset.columns()
    if not columns:
        raise ValueError(f"{_NAME} has no rows.")

    return [str(name) for name in columns]


def _check_present(columns: list[str], names: Sequence[str]) -> None:
    Source(_NAME, columns, None, (), lambda: iter(())).require(names)


def _loaded(folder: Any) -> InvariantEncoder:
    if not isinstance(folder, str | os.PathLike):
        raise ValueError(
            f"Expected the folder of a saved encoder, got {type(folder).__name__}. Save it with "
            "`model.save(folder)`, and give the path: workers read the secret key there."
        )

    return load(folder)


def _mapped(
    dataset: "Dataset",
    n_workers: int | None,
    folder: str | os.PathLike[str],
    model: InvariantEncoder,
    work: Work,
) -> "Dataset":
    """What workers make of the blocks of a dataset, of at most `BATCH` rows each."""

    from ray.data import ActorPoolStrategy

    n_workers, share = _cores(n_workers)

    return dataset.repartition(target_num_rows_per_block=BATCH).map_batches(
        Worker,
        fn_constructor_args=(str(Path(folder).resolve()), model.coder_.digest, work),
        compute=ActorPoolStrategy(min_size=1, max_size=n_workers, initial_size=n_workers),
        num_cpus=share,
        batch_size=None,
        batch_format="pyarrow",
    )


def _cores(n_workers: int | None) -> tuple[int, float]:
    """The number of workers, and the cores that Ray reserves for each.

    Ray reads the rows beside the workers, and needs a core for that. If there is none left, the
    workers reserve less than they use.
    """

    import ray

    cores = int(ray.cluster_resources().get("CPU", 0))
    n_workers = max(cores, 1) if n_workers is None else n_workers
    if not 1 <= n_workers <= max(cores, 1):
        raise ValueError(
            f"`n_workers` must be between 1 and the {cores} cores of the cluster, got {n_workers}."
        )

    return n_workers, 1.0 if n_workers < cores else (cores - 1) / n_workers


def _tallies(blocks: "Dataset", after_block: Callable[[int], None] | None) -> Iterator[Tally]:
    """The tally of each block, in the order in which workers finish."""

    tables: Iterable[Any] = blocks.iter_batches(batch_size=None, batch_format="pyarrow")
    for table in tables:
        for packed in table["tally"].to_pylist():
            tally: Tally = pickle.loads(packed)
            yield tally
            if after_block is not None:
                after_block(tally.n_rows)


def _check_complete(total: Tally, n_rows: int) -> None:
    if total.n_rows != n_rows:
        raise RuntimeError(
            f"The workers counted {total.n_rows} rows, and the dataset has {n_rows}. If it draws "
            "other rows each time it is read, use `dataset.materialize()`. If Ray was told to "
            "ignore errors (`max_errored_blocks`), rows are missing."
        )
