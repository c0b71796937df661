"""Count files: the counts of the codes of rows of any number, as a file.

`count_to` is a job: see `bitveil.jobs` for what happens if it is interrupted. Its parts are the
counts of one piece of the source, with marks of its rows.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bitveil.estimators import InvariantEncoder
from bitveil.jobs import (
    Report,
    Reported,
    described,
    finished,
    naming,
    parts_folder,
    pieces_of,
    publish,
)
from bitveil.sources import Piece, open_source
from bitveil.streams import Roles, count_batch
from bitveil.tallies import Tally

__all__ = ["CountedFile", "count_to"]


class CountedFile(NamedTuple):
    """What `count_to` wrote.

    Attributes:
        tally: The counts.
        caution: A caution for the reader if contents cannot show that rows are new, or None.
        n_found: How many rows an earlier start of the job had finished.
    """

    tally: Tally
    caution: str | None
    n_found: int


def count_to(
    model: InvariantEncoder,
    data: Any,
    output: str | os.PathLike[str],
    *,
    sensitive: "list[str] | str | None" = None,
    target: "list[str] | str | None" = None,
    ids: str | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> CountedFile:
    """Count the codes of rows of any number, and save the counts: see `bitveil.streams.count`.

    Arguments:
        model: A fitted encoder.
        data: What `bitveil.sources.open_source` takes, or a source.
        output: The file for the counts.
        sensitive: The sensitive columns; None: the fitted ones.
        target: The target; None: the fitted one, if the data have it.
        ids: The column that names each row, or None.
        overwrite: Whether to write over a file.
        report: Called while the job goes on.

    Raises:
        OSError: If the output cannot be written.
        ValueError: As for `bitveil.streams.count`, or if the folder of parts belongs to another
            job.
    """

    source, place = open_source(data), Path(output)
    roles = Roles.of(model, source.columns, sensitive=sensitive, target=target, ids=ids)
    names = roles.columns(model)
    source.require(names)
    found = Reported(report)
    work = partial(_count_part, model=model, roles=roles, names=names, report=found.new)
    about = described(model.coder_, source, "count", ids, roles.sensitive, roles.targets)
    with parts_folder(place, about, overwrite=overwrite) as folder:
        parts = finished(pieces_of(source, names), folder, work, lambda p: Tally.load(p).n_rows)
        tallies = (Tally.load(part.path) for part in found.through(parts))
        total = Tally.total(tallies, source.name)
        with naming(source.name, ids):
            tally, caution = total.checked(model.used_, source.name)
        (folder / "whole").mkdir(exist_ok=True)
        tally.save(folder / "whole" / place.name)
        publish(folder / "whole" / place.name, place, overwrite)

    return CountedFile(tally, caution, found.n_rows)


def _count_part(
    piece: Piece,
    path: Path,
    *,
    model: InvariantEncoder,
    roles: Roles,
    names: list[str],
    report: Callable[[int], None],
) -> None:
    tallies = []
    for batch in piece.batches(names):
        if batch.num_rows:
            with naming(piece.file or "The rows", roles.ids):
                tallies.append(count_batch(batch, model, roles))
            report(batch.num_rows)
    if tallies:
        Tally.total(tallies, "The piece").save(path)
