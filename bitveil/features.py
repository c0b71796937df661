r"""Features: from a person's table to what an encoder sees.

For the trade-off between one target `Y` and one sensitive attribute `S` only :math:`p(y|x)` and
:math:`p(s|x)` matter. Gradient-boosted trees estimate both better on tables than small networks
do. As *posterior* features, log-odds of both, they are given to the encoder: for the rows they
were fitted on they come from models that did not see the row (out of fold, as in stacking), so
that the encoder meets the same kind of number in training and afterwards.
"""

from functools import partial
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bitveil.columns.table import Table
from bitveil.workers import run

__all__ = ["Features", "Kind"]

Kind: TypeAlias = Literal["posterior", "raw", "both"]

MANY = 60
"""From so many different values on, a text column is read by its letters."""

_SURE = 1e-4  # posteriors are kept this far from 0 and 1, where log-odds would run away


class Features(BaseEstimator):
    """Columns of float32 for an encoder, from a data frame or a matrix.

    Strings, categories, dates and missing values of a data frame go through skrub's
    `TableVectorizer`. Posterior features are what boosted trees say of labels (the target, the
    sensitive attribute): for classes log-odds, one column for each but the first; for numbers the
    number. Raw features are standardised, with the mean where a value is missing and a column that
    says so. Everything is standardised at last. Of images each channel is standardised.

    Arguments:
        kind: `"posterior"`, `"raw"`, or `"both"` beside each other, the raw columns last.
        folds: The number of folds of the out-of-fold predictions.
        random_state: The seed of the folds and of the trees.
        n_jobs: How many folds are predicted at once; None: one.

    Attributes:
        n_raw_: The number of raw columns.

    Source:
        Stacked generalization (Wolpert, 1992), https://doi.org/10.1016/S0893-6080(05)80023-1

    Example:
        >>> X = np.arange(40.0).reshape(-1, 1)
        >>> y, s = np.repeat([0, 1], 20), np.tile([0, 1], 20)
        >>> Features("raw").fit_transform(X, y, s)[[0, -1]].round(1)
        array([[-1.7],
               [ 1.7]], dtype=float32)
        >>> Features("posterior").fit_transform(X, y, s).shape
        (40, 2)
    """

    def __init__(
        self,
        kind: Kind = "posterior",
        *,
        folds: int = 5,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.kind = kind
        self.folds = folds
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit_transform(
        self, X: Table, *labels: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Fit, and give the features of the fitted rows, their posteriors out of fold.

        Arguments:
            X: The table, or images.
            labels: What posteriors are made of: classes as whole numbers, -1 where missing, or
                numbers as floats, NaN where missing.
            sample_weight: How much each row counts for the posteriors.
        """

        if self.kind not in ("posterior", "raw", "both"):
            raise ValueError(
                f"`features` expects 'posterior', 'raw' or 'both', got {self.kind!r}."
            )
        self.image_: tuple[NDArray[Any], NDArray[Any]] | None = None
        if np.ndim(X) > 2:
            return self._fit_images(np.asarray(X))

        self.vectorizer_, self.known_, X = None, {}, _named(X)
        if isinstance(X, pd.DataFrame):
            try:
                self.vectorizer_ = _vectorizer().fit(X)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"A column holds bytes that are no text: {error}. Make them text, as "
                    "`.map(bytes.hex)` does."
                ) from error
            self.known_ = _known(X, self.vectorizer_)
        matrix = self._matrix(X)
        if np.isnan(matrix).all():  # also of no columns
            raise ValueError("Expected a column with a value in some row, got none such.")
        # A column has to be known in every fold, or trees cannot be grown.
        self.sparse_ = np.flatnonzero((~np.isnan(matrix)).sum(0) < 2 * self.folds)
        self.raw_, self.posteriors_, self.n_raw_, columns = None, [], 0, []
        if self.kind != "raw":
            for column in labels:
                model, out_of_fold = self._posterior(self._filled(matrix), column, sample_weight)
                self.posteriors_.append(model)
                columns.append(out_of_fold)
        if self.kind != "posterior":
            self.raw_ = make_pipeline(
                SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
            )
            columns.append(self.raw_.fit_transform(matrix))
            self.n_raw_ = columns[-1].shape[1]

        joined = np.hstack(columns)
        self.scaler_ = StandardScaler().fit(joined)

        return self.scaler_.transform(joined).astype(np.float32)

    def fit(
        self, X: Table, *labels: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
    ) -> Self:
        """Fit: see `fit_transform`, which gives the out-of-fold features besides."""

        self.fit_transform(X, *labels, sample_weight=sample_weight)

        return self

    def _fit_images(self, X: NDArray[Any]) -> NDArray[np.float32]:
        if self.kind != "raw":
            raise ValueError(
                f"Images have raw features only, got `features={self.kind!r}`. Say "
                "`features='raw'`, or make a table of them."
            )
        channel = (0, *range(2, X.ndim)) if X.ndim > 3 else tuple(range(X.ndim))
        spread = X.std(channel, keepdims=True)
        self.known_, self.n_raw_ = {}, int(np.prod(X.shape[1:]))
        self.image_ = (X.mean(channel, keepdims=True), np.where(spread > 0, spread, 1.0))

        return self.transform(X)

    def transform(self, X: Table) -> NDArray[np.float32]:
        """The features of rows that were not fitted on.

        Raises:
            ValueError: If a column that held numbers holds text.
        """

        if self.image_ is not None:
            mean, spread = self.image_
            return ((np.asarray(X) - mean) / spread).astype(np.float32)
        X = _named(X)
        if self.vectorizer_ is not None:
            _check_numbers(pd.DataFrame(X), self.vectorizer_.kind_to_columns_["numeric"])
        matrix = self._matrix(X)
        filled = self._filled(matrix)
        columns = [_said(model, filled) for model in self.posteriors_]
        if self.raw_ is not None:
            columns.append(self.raw_.transform(matrix))

        return self.scaler_.transform(np.hstack(columns)).astype(np.float32)

    def unseen(self, X: Table) -> dict[str, list[str]]:
        """Values of text columns that were not fitted, by column: they count as none of the known.

        Columns with more different values than have a feature each are read by their letters, and
        have no unseen values.
        """

        found, X = {}, _named(X)
        for name, known in self.known_.items():
            values = pd.DataFrame(X)[name].dropna().drop_duplicates().astype(str)
            if new := sorted(set(values) - set(known)):
                found[name] = new

        return found

    def _matrix(self, X: Table) -> NDArray[Any]:
        if self.vectorizer_ is None:
            return np.asarray(X)
        return np.asarray(self.vectorizer_.transform(X), dtype=np.float32)

    def _filled(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """With 0 where a column that is known for hardly a row is missing."""

        filled = matrix.copy()
        filled[:, self.sparse_] = np.nan_to_num(matrix[:, self.sparse_])

        return filled

    def _posterior(
        self, matrix: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> tuple[Any, NDArray[np.float64]]:
        """A model of the labels on all rows, and what it says of each row without it."""

        classes = labels.dtype.kind in "iu"
        known = labels >= 0 if classes else ~np.isnan(labels)
        form = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        model = form(early_stopping=False, random_state=self.random_state)
        given = {} if weights is None else {"sample_weight": weights[known]}
        x, y = matrix[known], labels[known]
        folds = [fold for _, fold in self._folds(y).split(x, y)]
        held_out = run([partial(_left_out, model, x, y, given, f) for f in folds], self.n_jobs)
        model.fit(x, y, **given)
        said = _said(model, matrix)
        said[np.flatnonzero(known)[np.concatenate(folds)]] = np.concatenate(held_out)

        return model, said

    def _folds(self, labels: NDArray[Any]) -> KFold | StratifiedKFold:
        classes = labels.dtype.kind in "iu"
        smallest = np.unique(labels, return_counts=True)[1].min() if classes else len(labels)
        if smallest < 2:
            raise ValueError(
                "Posterior features are fitted on one part of the rows and predicted on another, "
                "and need at least 2 rows of every value of the target and of the sensitive "
                "attribute; one has a single row. Join rare values, or use `features='raw'`."
            )
        folds = StratifiedKFold if classes else KFold

        return folds(int(min(self.folds, smallest)), shuffle=True, random_state=self.random_state)


def _named(X: Table) -> Table:
    """A frame with texts as names, as skrub has them: numbers may be names too.

    Times of a zone are read in UTC, and columns of Arrow as numpy has them: what was fitted on
    such columns could not be saved.
    """

    if not isinstance(X, pd.DataFrame):
        return X
    foreign = [
        place
        for place, dtype in enumerate(X.dtypes)
        if isinstance(dtype, pd.ArrowDtype | pd.DatetimeTZDtype)
    ]
    if not foreign and all(isinstance(name, str) for name in X):
        return X
    named = X.set_axis([str(name) for name in X], axis=1)
    if named.columns.has_duplicates:
        raise ValueError(f"Expected columns whose names differ as text, got {list(X)}.")

    return named.assign(**{named.columns[j]: _stored(named.iloc[:, j]) for j in foreign})


def _stored(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column without Arrow and without a time zone."""

    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow

        column = pyarrow.array(column).to_pandas().set_axis(column.index)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None)

    return column


def _check_numbers(X: pd.DataFrame, numeric: list[Any]) -> None:
    """Refuse text in columns of numbers, which would be taken as missing."""

    for name in numeric:
        known = X[name].dropna()
        text = known[pd.to_numeric(known, errors="coerce").isna()]
        if len(text):
            raise ValueError(
                f"Column {name!r} held numbers when it was fitted, got {text.iloc[0]!r} in "
                f"{len(text)} rows. Correct them, or leave them missing."
            )


def _known(X: pd.DataFrame, vectorizer: Any) -> dict[str, list[str]]:
    """The values of each column that has a feature for each of them."""

    categories = vectorizer.kind_to_columns_["low_cardinality"]

    return {name: X[name].dropna().astype(str).unique().tolist() for name in categories}


def _vectorizer() -> Any:
    from skrub import StringEncoder, TableVectorizer

    return TableVectorizer(
        cardinality_threshold=MANY,
        low_cardinality=OneHotEncoder(
            handle_unknown="ignore", sparse_output=False, dtype=np.float32
        ),
        high_cardinality=StringEncoder(random_state=0),
    )


def _left_out(
    model: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    given: dict[str, NDArray[np.float64]],
    fold: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What a model that was fitted on the other rows says of those of a fold."""

    others = np.setdiff1d(np.arange(len(y)), fold)
    weights = {name: values[others] for name, values in given.items()}

    return _said(clone(model).fit(x[others], y[others], **weights), x[fold])


def _said(model: Any, matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds of classes, or a number."""

    if hasattr(model, "predict_proba"):
        return _log_odds(model.predict_proba(matrix))
    said: NDArray[np.float64] = model.predict(matrix).reshape(-1, 1)

    return said


def _log_odds(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """log p(v) / (1 - p(v)) for each value but the first, which the others determine."""

    p = posterior[:, 1:].clip(_SURE, 1 - _SURE)

    return np.log(p / (1 - p))
