"""Audits of fitted encoders: read rows as the fit read its own, and check that they are new."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from bitveil.audits import Audit, Price, audit
from bitveil.audits.words import unseen_targets
from bitveil.coder import Coder, draw_names
from bitveil.columns.labels import as_frame, number_labels
from bitveil.columns.table import Table
from bitveil.criteria import Criterion, compares_within_strata, has_opportunity
from bitveil.frozen import name_digests, row_digests
from bitveil.pricing import AuditedRows, audit_price
from bitveil.quotes import quoted
from bitveil.repeats import UsedRows, check_copies
from bitveil.schema import Schema, column_names
from bitveil.steps import OnStep, listening, say_step
from bitveil.workers import one_thread

__all__ = ["AuditMixin", "audit_target", "check_new", "opportunity_of"]


class AuditMixin:
    """What a fitted encoder says about other rows than those of the fit."""

    delta: float
    n_jobs: int | None
    schema_: Schema
    coder_: Coder
    used_: UsedRows

    def audit(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | None = None,
        *,
        sensitive_features: ArrayLike,
        ids: ArrayLike | None = None,
        delta: float | None = None,
        random_state: int = 0,
        attackers: Literal["quick", "all"] = "quick",
        n_jobs: int | None = None,
        progress: OnStep | None = None,
    ) -> Audit:
        """Audit the codes that rows get, by rows that were not used in fitting.

        Groups, bins, targets, the criterion and the goal are those of the fit. The audit counts
        what is published: expected counts for rows with names (`ids`), drawn codes for others. If
        some rows stay blank, this holds for them too. The slack is that of the fit: the smaller
        one of drawn codes also for rows with names, if the encoder gives every row one code for
        certain (`bitveil.audits.published` proves it).

        Arguments:
            X: New rows, with the columns that were fitted.
            y: Their target, as in `fit`, for classifiers of the codes and for equalised odds; or
                None. Numbers are cut at quantiles of the fitted rows.
            sensitive_features: The attribute of these rows, as in `fit`.
            ids: A name for each row, if codes are drawn by name. No name may occur twice.
            delta: The probability that the certificate may be wrong; None: as fitted.
            random_state: The seed of the halves and of the attackers.
            attackers: `"quick"` or `"all"`, which takes minutes: see `bitveil.audits.audit`.
            n_jobs: How many attackers are trained at once; None: as in fitting.
            progress: Called with what is being done, and 0: see `bitveil.steps`.

        Raises:
            ValueError: If rows were used in fitting, are copies of each other, or are not as
                described.

        Example:
            >>> from bitveil import InvariantEncoder, Training
            >>> rng = np.random.default_rng(0)
            >>> X = rng.normal(size=(800, 2))
            >>> y = (X[:, 0] > 0).astype(int)
            >>> s = np.where(X[:, 1] + rng.normal(size=800) > 0, "a", "b")
            >>> model = InvariantEncoder(
            ...     2, features="raw", training=Training(epochs=2), random_state=0)
            >>> fitted = model.fit(X[:400], y[:400], sensitive_features=s[:400])
            >>> new = {"sensitive_features": s[400:], "ids": range(400)}
            >>> fitted.audit(X[400:], y[400:], **new).counted
            'expected counts, since every row has a name of its own'
        """

        delta = self.delta if delta is None else delta
        n_jobs = self.n_jobs if n_jobs is None else n_jobs
        check_is_fitted(self, "coder_")

        with listening(progress):
            say_step("encoding the rows")
            return _audit_rows(
                self, X, y, sensitive_features, ids, delta, random_state, attackers, n_jobs
            )

    def shared_rows(self, X: ArrayLike | pd.DataFrame) -> int:
        """How many rows have the same content as another, and without an id share its draw."""

        check_is_fitted(self, "coder_")
        counts = np.unique(
            row_digests(self.schema_.read(X, self.coder_.features)), axis=0, return_counts=True
        )[1]

        return int(counts[counts > 1].sum())

    def used_rows(self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None) -> int:
        """How many rows were used in fitting, by their ids or, without any, by their contents.

        An audit of such rows understates what new rows reveal, so `audit` refuses them. Contents
        may also be equal by chance.
        """

        check_is_fitted(self, "coder_")
        table = self.schema_.read(X, self.coder_.features)
        names = None if ids is None else name_digests(ids, len(table))

        return self.used_.overlap(row_digests(table), names)


def _audit_rows(
    model: Any,
    X: Any,
    y: Any,
    sensitive_features: Any,
    ids: Any,
    delta: float,
    random_state: int,
    attackers: Literal["quick", "all"],
    n_jobs: int | None,
) -> Audit:
    schema, coder = model.schema_, model.coder_
    table = schema.read(X, coder.features)
    if not len(table):
        raise ValueError("`X` has no rows. An audit needs rows of every group.")
    groups = schema.groups(sensitive_features, len(table), bins=model.bins)
    target = None if y is None else audit_target(model, y, len(table))
    as_fitted = not schema.is_other_target(y)
    caution = check_new(model.used_, table, groups, target, ids)
    names = draw_names(table, ids)
    x = coder.features.transform(table)
    logits = coder.logits_of(x, names)
    bits = coder.published(logits, names)
    thorough = attackers == "all"
    criterion: Criterion = model.criterion if target is not None and as_fitted else "independence"
    apart = _goal_apart(model, criterion, other=schema.is_other_attribute(groups))
    numbers = number_labels("sensitive_features", groups, len(table)).numbers
    rows = AuditedRows(table, x, bits, y, numbers, criterion, random_state)
    with one_thread():
        price, unpriced = audit_price(model, rows)

    found = audit(
        bits,
        groups,
        target,
        logits=None if ids is None else logits,
        ids=ids,
        share=coder.share,
        certain=ids is not None and coder.certain,
        criterion=criterion,
        positive=opportunity_of(model) if as_fitted else None,
        goal=model.max_gap if apart is None else None,
        delta=delta,
        random_state=random_state,
        attackers=attackers,
        n_jobs=n_jobs,
        encode=model.logits if thorough else None,
        X=schema.again(table) if thorough else None,
        path=model.path_,
        notes=[
            *_notes(model, target, caution),
            *(_notes_on_fitted_target(model, target) if as_fitted else ()),
            *_notes_on_price(price, unpriced),
        ],
    )

    bits = model.max_information if apart is None else None

    return replace(found, price=price, goal_bits=bits, goal_apart=apart)


def _goal_apart(model: Any, criterion: Criterion, *, other: bool) -> str | None:
    """Why an audit by a criterion cannot compare the goal of the fit; None if it can.

    Arguments:
        model: The fitted encoder.
        criterion: The criterion of the audit.
        other: Whether the audit is about another sensitive attribute.
    """

    goal = model.settings().goal(model.schema_.target)
    if goal is None:
        return None
    quantity = goal.limited
    start = f"The goal of the fit is about the {quantity.name.removesuffix(' (bits)')}"
    if other:
        return f"{start} for another sensitive attribute."
    if quantity.unit == "bits" and compares_within_strata(quantity.criterion):
        return f"{start} {quantity.among()}. An audit bounds only that among all rows."
    if criterion != quantity.criterion:
        return f"{start}, which needs the target of the fit (`y`)."

    return None


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
        A caution for the reader if contents cannot tell, or None.
    """

    contents = row_digests(table)
    names = None if ids is None else name_digests(ids, len(contents))
    if names is None:
        labels = [part for part in (sensitive_features, y) if part is not None]
        check_copies(contents, *(_factors(part, len(contents)) for part in labels))

    return used.check(contents, names)


def audit_target(model: Any, y: Any, n: int) -> "pd.DataFrame | pd.Series[Any]":
    """The first target of the rows, or all targets if groups are compared within them."""

    cut = model.schema_.targets(y, n, bins=model.bins, missing=model.missing_target)
    if len(cut.columns) > 1 and compares_within_strata(model.criterion):
        return cut
    names = column_names(y) or [None]
    name = names[0] if np.ndim(y) == 1 else None

    return cut.iloc[:, 0].rename(model.schema_.target_name if name is None else name)


def opportunity_of(model: Any) -> Any:
    """The value of the target that is the opportunity; None for other criteria."""

    if not has_opportunity(model.criterion):
        return None
    target, settings = model.schema_.target, model.settings()

    return target.classes[0].tolist()[settings.positive_number(target)]


def _notes(model: Any, target: Any, caution: str | None) -> list[str]:
    """What a reader of an audit must know about the fit."""

    notes = [*([] if caution is None else [caution]), *model.remarks_]
    if target is None and compares_within_strata(model.criterion):
        notes.append(
            f"The encoder was fitted for the criterion {quoted(model.criterion)}, which needs the "
            "target. Without `y` the audit certifies the parity gap."
        )

    return notes


def _notes_on_fitted_target(model: Any, target: Any) -> Iterator[str]:
    """What a reader must know about the target, if it is that of the fit."""

    fitted = model.schema_.target
    if target is None:
        return
    if np.ndim(target) == 1 and fitted.kinds[:1] == ("classes",):
        seen, classes = set(pd.Series(target).tolist()), fitted.classes[0].tolist()
        if unseen := unseen_targets(fitted.names[0], classes, [each in seen for each in classes]):
            yield unseen
    if np.ndim(target) == 1 and len(fitted.kinds) > 1:
        yield f"Only the first of {len(fitted.kinds)} targets is used here."
    if any(edges is not None for edges in fitted.edges):
        yield (
            f"Targets of numbers were cut at quantiles of the fitted rows into {model.bins} "
            "bins: uses and gaps within targets refer to these bins."
        )


def _notes_on_price(price: Price | None, unpriced: str | None) -> Iterator[str]:
    if price is not None and price.caution:
        yield price.caution
    if unpriced:
        yield f"The price of protection is not known: {unpriced}."


def _factors(columns: Any, n: int) -> NDArray[np.int64]:
    """The number of each value in its column, -1 where it is missing."""

    frame = as_frame("labels", columns, n)

    return np.stack([pd.factorize(column)[0] for _, column in frame.items()], 1)
