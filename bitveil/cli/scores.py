"""Scores: what the published codes of a fit say about its targets, and on which rows."""

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitveil.cli.messages import listed

if TYPE_CHECKING:
    import pandas as pd

    from bitveil.audits import Price
    from bitveil.sources import Source

__all__ = ["Reached", "described_scores", "scores_of", "scores_of_source", "scores_of_table"]

_MOST_SCORED = 100_000  # rows of very many that are scored


class Reached(NamedTuple):
    """How well the published codes predict one target on some rows.

    Attributes:
        target: The column of the target.
        measure: `"accuracy"`, or `"R²"` for numbers.
        value: The score of the answers to the published codes; blank rows get a constant. Where
            the fit has measured a price on these rows, it is that of the price.
        constant: The score of the best constant on these rows.
        use: What the rows were for: `"certify"`, or `"select"` where nothing was certified.
        n_rows: How many rows these are.
    """

    target: str
    measure: Literal["accuracy", "R²"]
    value: float
    constant: float
    use: str
    n_rows: int


def scores_of_table(
    model: Any,
    table: "pd.DataFrame",
    targets: Sequence[str],
    ids: "pd.Series[Any] | None",
    weights: "NDArray[np.float64] | None" = None,
) -> list[Reached]:
    """The scores of a model that was fitted on a table. The price of the fit has the first.

    Arguments:
        model: The model.
        table: All rows of its fit, with the columns of the features and of the targets.
        targets: The columns of the targets.
        ids: The name of each row, or None.
        weights: How much each row counts; None: all alike.
    """

    use = _scored_use(model)
    rows = model.rows_[use]
    first = _priced(model.price_, targets[0], use, len(rows))
    if first and len(targets) == 1:
        return first
    if use == "certify":  # these rows are thinned by weight already
        weights = None
    found = scores_of(
        model,
        table.iloc[rows],
        targets,
        None if ids is None else ids.iloc[rows],
        use,
        None if weights is None else weights[rows],
    )

    return [*first, *found[len(first) :]]


def _priced(price: "Price | None", target: str, use: str, n_rows: int) -> list[Reached]:
    """The score of the first target, if the fit has measured a price on these rows."""

    if price is None:
        return []
    return [Reached(target, price.measure, price.protected.score, price.constant, use, n_rows)]


def scores_of(
    model: Any,
    table: "pd.DataFrame",
    targets: Sequence[str],
    ids: "pd.Series[Any] | None",
    use: str,
    weights: "NDArray[np.float64] | None" = None,
) -> list[Reached]:
    """The scores of a fitted model on rows of its fit.

    Arguments:
        model: The model.
        table: The rows, with the columns of the features and of the targets.
        targets: The columns of the targets.
        ids: The name of each row, or None.
        use: What the rows were for.
        weights: How much each row counts; None: all alike.
    """

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit has said what is odd about its rows
        bits = model.transform(table[model.feature_names_in_], ids=ids)
    found = _values(
        model, bits, table, targets, np.ones(len(table)) if weights is None else weights
    )

    return [Reached(*each, use, len(table)) for each in found]


def _values(
    model: Any,
    bits: NDArray[np.uint8],
    table: "pd.DataFrame",
    targets: Sequence[str],
    weights: NDArray[np.float64],
) -> Iterator[tuple[str, Literal["accuracy", "R²"], float, float]]:
    from sklearn.metrics import r2_score

    fitted = model.schema_.target
    numbered = fitted.numbers(table[list(targets)], len(table))
    shares = iter(model.decoder_.probabilities(bits) if fitted.classes else ())
    means = iter(model.decoder_.means(bits).T if fitted.means else ())
    for name, kind, numbers in zip(targets, fitted.kinds, numbered.T, strict=True):
        if kind == "classes":
            right = next(shares).argmax(1) == numbers
            most = np.bincount(numbers, weights).max() / weights.sum()
            yield name, "accuracy", float(np.average(right, weights=weights)), float(most)
        else:
            true = table[name].to_numpy(np.float64)
            value = r2_score(true, next(means), sample_weight=weights)
            yield name, "R²", float(value), 0.0


def scores_of_source(
    model: Any, source: "Source", targets: Sequence[str], ids: str | None
) -> list[Reached]:
    """The scores of a model that was fitted on a source, on some of its rows.

    Its price comes from the rows to select, and these scores from those that certify.
    """

    from bitveil.samples import FitRoles, read_sample

    use = _scored_use(model)
    rows = model.rows_[use]
    if len(rows) > _MOST_SCORED:
        rows = np.random.default_rng(0).choice(rows, _MOST_SCORED, replace=False)
    chosen = np.zeros(1 + max(int(numbers.max()) for numbers in model.rows_.values()), dtype=bool)
    chosen[rows] = True
    roles = FitRoles(tuple(model.feature_names_in_), (), tuple(targets), ids)
    table = read_sample(source, roles, chosen)

    return scores_of(model, table, targets, None if ids is None else table[ids], use)


def _scored_use(model: Any) -> str:
    """The rows of a fit that its scores come from: those that certify, if there are any."""

    return "certify" if "certify" in model.rows_ else "select"


def described_scores(scores: Sequence[Reached]) -> str:
    """Scores in words, with the rows that they come from.

    Example:
        >>> print(described_scores([Reached("hired", "accuracy", 0.84, 0.7512, "certify", 200)]))
        hired: accuracy 0.840 (the most frequent answer alone: 0.751). From the published codes...
    """

    each = [f"{listed([s.target])}: {s.measure} {s.value:.3f}{_beside(s)}" for s in scores]
    n_rows = f"{scores[0].n_rows:,} rows"
    if scores[0].use == "certify":
        rows = f"the {n_rows} that certify, which taught the encoder nothing"
    else:
        rows = f"the {n_rows} that the encoder was selected on: expect a little less on new rows"

    return f"{'; '.join(each)}. From the published codes of {rows}"


def _beside(score: Reached) -> str:
    if score.measure == "R²":
        return ""

    return f" (the most frequent answer alone: {score.constant:.3f})"
