"""Pricing: what a model without protection reaches on the rows on which a code is judged.

An encoder with posterior features has such a model already: the posteriors of the target given all
columns. They are fitted out of fold, so no row teaches the model that predicts it. For an encoder
without them, or for another target, boosting is trained on one half of the rows of an audit and
scored on the other. A fit does not do that, since it takes time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from bitveil.audits.families import FAMILIES
from bitveil.audits.prices import Measured, Price
from bitveil.batches import Rows
from bitveil.coder import Coder
from bitveil.columns.labels import as_frame
from bitveil.columns.table import Table
from bitveil.columns.targets import Target
from bitveil.criteria import Criterion
from bitveil.decoders import Decoder
from bitveil.features import Features
from bitveil.rows import Sample, split_rows
from bitveil.settings import Settings

__all__ = ["AuditedRows", "Priced", "audit_price", "fit_price"]

_WORK = 10_000_000
"""Boosting sees at most so many numbers in a round, rows times columns times trees: seconds."""

_FEWEST = 1_000  # with fewer rows than this because of that limit, it would say little


# In a fit


def fit_price(
    settings: Settings,
    target: Target,
    sample: Sample,
    coder: Coder,
    decoder: Callable[[], Decoder],
    parts: dict[str, Rows],
    numbers: dict[str, NDArray[np.int64]],
) -> Price | None:
    """The price of protection in a fit; None where no model without protection is known.

    It is measured on the rows to certify. Where there are none it is measured on the rows to
    select, whose posteriors did not see the row. The first target counts, on the rows whose target
    is known.

    Arguments:
        settings: The settings of the fit.
        target: What was learned about the target.
        sample: The rows of the fit.
        coder: From a table to bits.
        decoder: Makes a decoder that the rows of the price did not teach.
        parts: The rows of each use, with their features.
        numbers: The numbers of these rows.
    """

    if not settings.serves(target) or not coder.features.posteriors_:
        return None
    use = "certify" if "certify" in parts else "select"
    rows, x, weights = numbers[use], parts[use].x.numpy(), sample.weights
    known = (
        sample.labels[rows, 0] >= 0 if _has_classes(target) else ~np.isnan(sample.values[rows, 0])
    )
    if weights is not None and use == "select":
        known &= weights[rows] > 0
    rows, x = rows[known], x[known]
    free = _posterior_answers(coder.features, target, x)
    if not len(rows) or free is None:
        return None
    names = sample.named[rows]
    bits = coder.published(coder.logits_of(x, names), names)
    chose = ", which also chose the encoder" if use == "select" else ""

    return _fitted_rows(settings, target, sample, rows, weighted=use == "select").price(
        free,
        _decoded(decoder(), bits),
        rows=f"{len(rows)} rows to {use}{chose}",
        source=_source(coder.features, target),
    )


def _fitted_rows(
    settings: Settings,
    target: Target,
    sample: Sample,
    rows: NDArray[np.int64],
    *,
    weighted: bool,
) -> Measured:
    """Rows of a fit. Those to certify are thinned by their weights, and so count once."""

    truth = sample.labels[rows, 0] if _has_classes(target) else sample.values[rows, 0]

    return Measured(
        truth if _has_classes(target) else _in_units(target, truth),
        target.edges[0],
        sample.s[rows],
        sample.strata[rows],
        settings.criterion,
        settings.positive_number(target),
        sample.weights[rows] if weighted and sample.weights is not None else None,
    )


# In an audit


class Priced(NamedTuple):
    """A price, or None and why there is none, in words. Both are None without a target."""

    price: Price | None
    reason: str | None


@dataclass(frozen=True)
class AuditedRows:
    """The rows of an audit.

    Attributes:
        table: The rows, as they are read.
        x: Their features.
        bits: What is published of them.
        y: Their target, as it was given, or None.
        groups: The number of each row's group.
        criterion: Which rows are compared.
        seed: The seed of the halves.
    """

    table: Table
    x: NDArray[Any]
    bits: NDArray[np.uint8]
    y: Any
    groups: NDArray[np.int64]
    criterion: Criterion
    seed: int


def audit_price(model: Any, rows: AuditedRows) -> Priced:
    """The price of protection on the rows of an audit whose first target is known.

    What was fitted answers for all of these rows: the posteriors and the decoder. Where one of
    them is missing, boosting takes its place, and only the half that it did not see is scored.

    Arguments:
        model: A fitted encoder.
        rows: Rows that it was not fitted on.
    """

    if rows.y is None:
        return Priced(None, None)
    fitted = bool(model.schema_.target.kinds) and not model.schema_.is_other_target(rows.y)
    target, labels = _target_of_rows(model, rows, fitted)
    truth = labels[:, 0] if _has_classes(target) else _target_floats(rows.y, len(labels))
    known = np.flatnonzero(labels[:, 0] >= 0)
    free, code = _fitted_answers(model, rows, target) if fitted else (None, None)
    scored, taught = known, known[:0]
    if free is None or code is None:
        halves = split_rows(labels[known, 0], (0.5, 0.5), np.random.RandomState(rows.seed))
        taught, scored = _teachable(truth, known[halves[0]]), known[halves[1]]
        if len(scored) < 2 or len(np.unique(truth[taught])) < 2:
            return Priced(None, "too few rows have a target")
    source = _source(model.coder_.features, target) if free is not None else ""
    if free is None:
        learned = _unprotected(model.coder_.features, rows, target, truth, taught, scored)
        if isinstance(learned, str):
            return Priced(None, learned)
        free, source = learned
    if code is None:
        code = _boosting_answers(rows.bits, truth, target, taught, scored)

    positive = model.settings().positive_number(target) if fitted else 0
    strata = _joined_targets(labels)
    whole = Measured(truth, target.edges[0], rows.groups, strata, rows.criterion, positive)
    price = whole.some(scored).price(
        free[scored], code[scored], rows=f"{len(scored)} new rows", source=source
    )

    return Priced(price, None if price else "all of these rows have one target")


def _target_of_rows(
    model: Any, rows: AuditedRows, fitted: bool
) -> tuple[Target, NDArray[np.int64]]:
    """The target as it was fitted, or as these rows have it, and the number of each row's."""

    n, missing, target = len(rows.groups), model.missing_target, model.schema_.target
    if not fitted:
        target = Target.fit(rows.y, n, missing=missing, bins=model.bins)[0]

    cut = target.cut(rows.y, n, missing=missing)
    columns = []
    for name, values in zip(cut, target.cut_values, strict=True):
        numbers = {value: number for number, value in enumerate(values)}
        columns.append([numbers.get(value, -1) for value in cut[name].astype(object)])

    return target, np.array(columns, dtype=np.int64).T


def _fitted_answers(
    model: Any, rows: AuditedRows, target: Target
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """The answers of the posteriors and of the decoder, as far as there are any."""

    code = _decoded(model.decoder_, rows.bits) if model.settings().serves(target) else None

    return _posterior_answers(model.coder_.features, target, rows.x), code


def _unprotected(
    features: Features,
    rows: AuditedRows,
    target: Target,
    truth: NDArray[Any],
    taught: NDArray[np.int64],
    scored: NDArray[np.int64],
) -> tuple[NDArray[Any], str] | str:
    """The answers of boosting on the columns, and what it is in words; or why there are none."""

    matrix = features.numbers_of(rows.table)
    if matrix is None:
        return "no model without protection is trained on images"
    some = _affordable(taught, matrix.shape[1] * _n_trees(truth[taught], target), rows.seed)
    if some is None:
        return "boosting on so many columns would take too long"
    filled = np.where(np.isnan(matrix[some]).all(0), 0, matrix)  # trees need some value
    answers = _boosting_answers(filled, truth, target, some, scored)

    return answers, f"boosting on the columns, trained on {len(some)} other rows"


def _teachable(truth: NDArray[Any], taught: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows to train on, without those of a class that only one of them has."""

    if truth.dtype.kind == "f":
        return taught
    sizes = np.bincount(truth[taught], minlength=1)

    return taught[sizes[truth[taught]] > 1]


def _n_trees(truth: NDArray[Any], target: Target) -> int:
    """The trees of a round of boosting."""

    return max(1, len(np.unique(truth)) if _has_classes(target) else 1)


def _affordable(rows: NDArray[np.int64], each: int, seed: int) -> NDArray[np.int64] | None:
    """The rows that boosting can see in some seconds, or None if they are too few."""

    most = _WORK // each
    if len(rows) <= most:
        return rows
    if most < _FEWEST:
        return None

    return np.random.default_rng(seed).permutation(rows)[:most]


def _boosting_answers(
    seen: NDArray[Any],
    truth: NDArray[Any],
    target: Target,
    taught: NDArray[np.int64],
    scored: NDArray[np.int64],
) -> NDArray[Any]:
    """The answers of boosting for the scored rows, 0 for the others."""

    classes = _has_classes(target)
    model = FAMILIES["boosting"]() if classes else HistGradientBoostingRegressor(random_state=0)
    answers = np.zeros(len(truth), truth.dtype)
    answers[scored] = model.fit(seen[taught], truth[taught]).predict(seen[scored])

    return answers


def _target_floats(y: Any, n: int) -> NDArray[np.float64]:
    """The first target as numbers, NaN where missing."""

    return pd.to_numeric(as_frame("y", y, n).iloc[:, 0]).to_numpy(np.float64, na_value=np.nan)


def _joined_targets(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for the targets of each row, -1 where one is missing."""

    if labels.shape[1] == 1:
        return labels[:, 0]
    numbers = np.unique(labels, axis=0, return_inverse=True)[1].ravel()

    return np.where((labels >= 0).all(1), numbers, -1)


# Answers


def _has_classes(target: Target) -> bool:
    return target.kinds[0] == "classes"


def _label_place(target: Target) -> int:
    """The place of the first target among posteriors: targets with classes come first there."""

    return 0 if _has_classes(target) else target.kinds.count("classes")


def _source(features: Features, target: Target) -> str:
    chosen = features.scores_[_label_place(target)].chosen

    return f"the posteriors that the encoder sees ({chosen})"


def _posterior_answers(features: Features, target: Target, x: NDArray[Any]) -> NDArray[Any] | None:
    """The best answers of posterior features for the first target, or None without them.

    There are none either if a class has no rows among those that taught the posteriors.
    """

    if not features.posteriors_:
        return None
    found = features.posteriors_of(x)[_label_place(target)]
    if not _has_classes(target):
        return _in_units(target, found[:, 0])

    return found.argmax(1) if found.shape[1] == target.n_labels[0] else None


def _decoded(decoder: Decoder, bits: NDArray[np.uint8]) -> NDArray[Any]:
    """The best answers of a decoder for the first target."""

    if _has_classes(decoder.target):
        return np.asarray(decoder.probabilities(bits)[0].argmax(1))

    return decoder.means(bits)[:, 0]


def _in_units(target: Target, standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised numbers of the first target in its own units."""

    return np.asarray(standard * target.scales[0] + target.means[0])
