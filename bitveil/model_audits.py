"""Audits of fitted encoders: new rows are read, and checked to be new, as the fit read its own."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from bitveil.audits import Audit, audit
from bitveil.coder import draw_names
from bitveil.columns.labels import as_frame
from bitveil.columns.table import Table
from bitveil.criteria import compares_within_strata
from bitveil.frozen import freeze, name_digests, row_digests
from bitveil.repeats import UsedRows, check_copies
from bitveil.schema import column_names

__all__ = ["audit_rows", "check_new"]


def audit_rows(
    model: Any,
    X: Any,
    y: Any,
    sensitive_features: Any,
    *,
    ids: Any,
    delta: float,
    random_state: int,
    attackers: Literal["quick", "all"],
    n_jobs: int | None,
) -> Audit:
    """Audit the codes that a fitted encoder gives to new rows: see `InvariantEncoder.audit`."""

    schema, coder = model.schema_, model.coder_
    table = schema.read(X, coder.features)
    groups = schema.groups(sensitive_features, len(table), bins=model.bins)
    target = None if y is None else _target(model, y, len(table))
    as_fitted = not schema.is_other_target(y)
    caution = check_new(model.used_, table, groups, target, ids)
    names = draw_names(table, ids)
    logits = coder.logits(table, names)
    thorough = attackers == "all"

    return audit(
        freeze(expit(logits), names, coder.key),
        groups,
        target,
        logits=None if ids is None else logits,
        ids=ids,
        criterion="independence" if target is None or not as_fitted else model.criterion,
        positive=_opportunity(model) if as_fitted else None,
        goal=None if schema.is_other_attribute(groups) else model.max_gap,
        delta=delta,
        random_state=random_state,
        attackers=attackers,
        n_jobs=n_jobs,
        encode=model.logits if thorough else None,
        X=schema.again(table) if thorough else None,
        path=model.path_,
        notes=_notes(model, target, caution),
    )


def check_new(
    used: UsedRows, table: Table, sensitive_features: Any, y: Any, ids: Any
) -> str | None:
    """Refuse rows that were used in a fit, and rows that are copies of each other.

    Arguments:
        used: Digests of the rows that were used.
        table: The rows, as they are read.
        sensitive_features: Their attribute.
        y: Their target, or None.
        ids: Their names, or None.

    Returns:
        What a reader must watch for where contents cannot tell, or None.
    """

    contents = row_digests(table)
    names = None if ids is None else name_digests(ids, len(contents))
    if names is None:
        labels = [part for part in (sensitive_features, y) if part is not None]
        check_copies(contents, *(_factors(part, len(contents)) for part in labels))

    return used.check(contents, names)


def _target(model: Any, y: Any, n: int) -> "pd.DataFrame | pd.Series[Any]":
    """The first target of the rows, or all of them where groups are compared within them."""

    cut = model.schema_.targets(y, n, bins=model.bins, missing=model.missing_target)
    if len(cut.columns) > 1 and compares_within_strata(model.criterion):
        return cut
    names = column_names(y) or [None]
    name = names[0] if np.ndim(y) == 1 else None

    return cut.iloc[:, 0].rename(model.schema_.target_name if name is None else name)


def _opportunity(model: Any) -> Any:
    """The value of the target that is the opportunity; None for other criteria."""

    if model.criterion != "equal_opportunity":
        return None
    target, settings = model.schema_.target, model.settings()

    return target.classes[0].tolist()[settings.positive_number(target)]


def _notes(model: Any, target: Any, caution: str | None) -> list[str]:
    """What a reader of an audit must know about the fit."""

    notes, fitted = [] if caution is None else [caution], model.schema_.target
    if target is None and compares_within_strata(model.criterion):
        notes.append(
            f"The encoder was fitted by the criterion {model.criterion!r}, which needs the "
            "target: without `y` the parity gap is certified."
        )
    if target is not None and np.ndim(target) == 1 and len(fitted.kinds) > 1:
        notes.append(f"Only the first of {len(fitted.kinds)} targets is used here.")
    if target is not None and any(edges is not None for edges in fitted.edges):
        notes.append(
            f"Targets of numbers were cut at quantiles of the fitted rows into {model.bins} "
            "bins: uses and gaps within targets refer to these bins."
        )

    return notes


def _factors(columns: Any, n: int) -> NDArray[np.int64]:
    """The number of each value in its column, -1 where it is missing."""

    frame = as_frame("labels", columns, n)

    return np.stack([pd.factorize(column)[0] for _, column in frame.items()], 1)
