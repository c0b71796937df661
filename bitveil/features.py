r"""Features: from a table to the numbers that an encoder sees.

For the trade-off between one target `Y` and one sensitive attribute `S` only :math:`p(y|x)` and
:math:`p(s|x)` matter. On tables, boosted trees and their stacks estimate both better than small
networks do. The encoder gets the log-odds of both as *posterior* features. For the fitted rows
they come from models that did not see the row (out of fold, as in stacking), so that the encoder
sees the same kind of number in training and later.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bitveil.checks import check_choice
from bitveil.columns.table import Table
from bitveil.learners import check_posteriors
from bitveil.posteriors import Posterior, PosteriorScore, fit_posterior, probabilities
from bitveil.quotes import quoted

__all__ = ["Features", "folds_for"]

FeatureKind: TypeAlias = Literal["posterior", "raw", "both"]

MANY = 60
"""A text column with this many different values or more is read by its letters."""


FEW_ROWS, MANY_ROWS = 1_600, 10_000
"""Below the first number twenty folds are better than five: models of nearly all rows say what the
final ones will. From the second on, three predict as well as five, in less time."""


def folds_for(n_rows: int) -> int:
    """The number of folds for the posteriors of so many rows.

    Example:
        >>> folds_for(1_599), folds_for(9_999), folds_for(10_000)
        (20, 5, 3)
    """

    return 20 if n_rows < FEW_ROWS else 5 if n_rows < MANY_ROWS else 3


class Features(BaseEstimator):
    """Columns of float32 for an encoder, from a data frame or a matrix.

    skrub's `TableVectorizer` turns strings, categories, dates and missing values of a data frame
    into numbers. Posterior features are predictions of labels (the target, the sensitive
    attribute): log-odds for classes, one column for each but the first, and the number for
    numbers. Raw features are standardised. Missing values become the mean, and another column
    says where they were. At the end every column is standardised; in images every channel is.

    Arguments:
        kind: `"posterior"`, `"raw"`, or `"both"` side by side, the raw columns last.
        posteriors: What predicts the labels. None: a stack of a linear model and boosted trees, or
            one of them that is clearly better by cross-validation. `"boosting"`: scikit-learn's
            boosting with its own settings. Otherwise a classifier of scikit-learn's form (a
            regressor where the labels are numbers, a pair of both where there are both), of which
            each label gets a copy. It reads the table as numbers.
        folds: The number of folds of the out-of-fold predictions.
        random_state: The seed of the folds and the models.
        n_jobs: How many models are fitted at the same time; None: one.

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
        kind: FeatureKind = "posterior",
        *,
        posteriors: Any = None,
        folds: int = 5,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.kind = kind
        self.posteriors = posteriors
        self.folds = folds
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def blocks_(self) -> tuple[tuple[str, int], ...]:
        """The posterior columns in their order.

        For each label `("classes", K)`, with the log-odds of every class but the first in K - 1
        columns, or `("numbers", 1)`.
        """

        return tuple((model.kind, model.n_values) for model in self.posteriors_)

    @property
    def scores_(self) -> tuple[PosteriorScore, ...]:
        """How good the posteriors of each label are, out of fold."""

        return tuple(model.score for model in self.posteriors_)

    def fit_transform(
        self, X: Table, *labels: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Fit, and return the features of the fitted rows, with posteriors out of fold.

        Arguments:
            X: The table, or images.
            labels: What the posteriors predict: classes as whole numbers, -1 where missing, or
                numbers as floats, NaN where missing.
            sample_weight: The weight of each row for the posteriors.
        """

        check_choice("features", self.kind, get_args(FeatureKind))
        check_posteriors(self.posteriors)
        self.posteriors_: list[Posterior] = []
        self.image_: tuple[NDArray[Any], NDArray[Any]] | None = None
        self.known_: dict[str, list[str]] = {}
        if np.ndim(X) > 2:
            return self._fit_images(np.asarray(X))

        matrix = self._fit_matrix(_with_text_names(X))
        columns = [*self._fit_posteriors(matrix, labels, sample_weight), *self._fit_raw(matrix)]
        joined = np.hstack(columns)
        self.scaler_ = StandardScaler().fit(joined)

        return self.scaler_.transform(joined).astype(np.float32)

    def fit(
        self, X: Table, *labels: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
    ) -> Self:
        """Fit: see `fit_transform`, which also returns the out-of-fold features."""

        self.fit_transform(X, *labels, sample_weight=sample_weight)

        return self

    def _fit_images(self, X: NDArray[Any]) -> NDArray[np.float32]:
        if self.kind != "raw":
            raise ValueError(
                f"Images have raw features only, got `features={quoted(self.kind)}`. Use "
                "`features='raw'`, or make a table of them."
            )
        channel = (0, *range(2, X.ndim)) if X.ndim > 3 else tuple(range(X.ndim))
        spread = X.std(channel, keepdims=True)
        self.n_raw_ = int(np.prod(X.shape[1:]))
        self.image_ = (X.mean(channel, keepdims=True), np.where(spread > 0, spread, 1.0))

        return self.transform(X)

    def _fit_matrix(self, X: Table) -> NDArray[Any]:
        """The columns of the table as numbers, NaN where missing."""

        self.vectorizer_ = None
        if isinstance(X, pd.DataFrame):
            try:
                self.vectorizer_ = _vectorizer().fit(X)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"A column holds bytes that are not text: {error}. Make them text, for "
                    "example with `.map(bytes.hex)`."
                ) from error
            self.known_ = _known_categories(X, self.vectorizer_)
        matrix = self._matrix(X)
        if np.isnan(matrix).all():  # also without columns
            raise ValueError("Expected a column with a value in at least one row, got none.")
        # Trees need at least one value of every column in every fold.
        self.sparse_ = np.flatnonzero((~np.isnan(matrix)).sum(0) < 2 * self.folds)

        return matrix

    def _fit_posteriors(
        self,
        matrix: NDArray[Any],
        labels: Sequence[NDArray[Any]],
        weights: NDArray[np.float64] | None,
    ) -> list[NDArray[np.float64]]:
        filled = self._filled(matrix)
        found = [
            fit_posterior(
                filled,
                column,
                weights,
                posteriors=self.posteriors,
                folds=self.folds,
                seed=self.random_state,
                n_jobs=self.n_jobs,
                number=number,
            )
            for number, column in enumerate(labels if self.kind != "raw" else ())
        ]
        self.posteriors_ = [model for model, _ in found]

        return [columns for _, columns in found]

    def _fit_raw(self, matrix: NDArray[Any]) -> list[NDArray[np.float64]]:
        self.raw_, self.n_raw_ = None, 0
        if self.kind == "posterior":
            return []
        self.raw_ = make_pipeline(
            SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
        )
        raw = self.raw_.fit_transform(matrix)
        self.n_raw_ = raw.shape[1]

        return [raw]

    def transform(self, X: Table) -> NDArray[np.float32]:
        """The features of rows that were not fitted on.

        Raises:
            ValueError: If a column that held numbers now holds text.
        """

        if self.image_ is not None:
            mean, spread = self.image_
            return ((np.asarray(X) - mean) / spread).astype(np.float32)
        matrix = self.matrix(X)
        filled = self._filled(matrix)
        columns = [model.columns(filled) for model in self.posteriors_]
        if self.raw_ is not None:
            columns.append(self.raw_.transform(matrix))

        return self.scaler_.transform(np.hstack(columns)).astype(np.float32)

    def matrix(self, X: Table) -> NDArray[Any]:
        """The columns of a table as numbers, NaN where missing: what posteriors are made from.

        Raises:
            ValueError: If a column that held numbers now holds text.
        """

        X = _with_text_names(X)
        if self.vectorizer_ is not None:
            _check_numbers(pd.DataFrame(X), self.vectorizer_.kind_to_columns_["numeric"])

        return self._matrix(X)

    def posteriors_of(self, x: NDArray[Any]) -> list[NDArray[np.float64]]:
        """What posterior features say of each label.

        Arguments:
            x: Features of rows, as `transform` and `fit_transform` return them.

        Returns:
            For each label the probability of every class, with shape (n, K), or the number, with
            shape (n, 1).

        Example:
            >>> features = Features("posterior")
            >>> X, y = np.arange(40.0).reshape(-1, 1), np.repeat([0, 1, 2, 3], 10)
            >>> p, _ = features.posteriors_of(features.fit_transform(X, y, y % 2))
            >>> p.shape, bool(np.allclose(p.sum(1), 1))
            ((40, 4), True)
        """

        widths = [max(1, k - 1) for _, k in self.blocks_]
        stops = np.cumsum([0, *widths])
        mean, scale = self.scaler_.mean_[: stops[-1]], self.scaler_.scale_[: stops[-1]]
        columns = np.split(x[:, : stops[-1]] * scale + mean, stops[1:-1], axis=1)

        return [
            probabilities(each) if kind == "classes" else each
            for each, (kind, _) in zip(columns, self.blocks_, strict=True)
        ]

    def numbers_of(self, X: Table) -> NDArray[Any] | None:
        """The columns of rows as numbers, NaN where missing; None for images.

        Example:
            >>> X = pd.DataFrame({"ward": ["a", "b", "a", "b"]})
            >>> Features("raw").fit(X).numbers_of(X[:2]).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """

        return None if self.image_ is not None else self._matrix(_with_text_names(X))

    def unseen(self, X: Table) -> dict[str, list[str]]:
        """Values of text columns that were not fitted, by column. Features cannot tell them apart.

        Columns with many different values are read by their letters, and have no unseen values.
        """

        found, X = {}, _with_text_names(X)
        for name, known in self.known_.items():
            values = pd.DataFrame(X)[name].dropna().drop_duplicates().astype(str)
            if new := sorted(set(values) - set(known)):
                found[name] = new

        return found

    def _matrix(self, X: Table) -> NDArray[Any]:
        if self.vectorizer_ is None:
            return np.asarray(X)
        return _vectorized(self.vectorizer_, pd.DataFrame(X))

    def _filled(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """The matrix with 0 for the missing values of columns that have hardly any values."""

        filled = matrix.copy()
        filled[:, self.sparse_] = np.nan_to_num(matrix[:, self.sparse_])

        return filled


def _vectorized(vectorizer: Any, X: pd.DataFrame) -> NDArray[np.float32]:
    """What a fitted vectorizer makes of a table. Equal values of a column are read once.

    It reads each column by itself, so it gets a short table with the different values of each.
    Columns of numbers only change their type.
    """

    numbers = [name for name in vectorizer.kind_to_columns_["numeric"] if X[name].dtype == float]
    places = {
        name: np.zeros(len(X), dtype=np.intp)
        if name in numbers
        else pd.factorize(X[name], use_na_sentinel=False)[0]
        for name in X
    }
    firsts = {name: np.unique(each, return_index=True)[1] for name, each in places.items()}
    n_distinct = max(map(len, firsts.values()))
    if 2 * n_distinct > len(X):
        return np.asarray(vectorizer.transform(X), dtype=np.float32)

    outputs = {name: j for j, name in enumerate(vectorizer.all_outputs_)}
    columns = {
        name: [outputs[each] for each in made if each in outputs]  # some are dropped
        for name, made in vectorizer.input_to_outputs_.items()
    }
    if sorted(chain.from_iterable(columns.values())) != list(range(len(outputs))):
        return np.asarray(vectorizer.transform(X), dtype=np.float32)

    rows = {name: np.resize(first, n_distinct) for name, first in firsts.items()}
    short = pd.DataFrame({name: X[name].iloc[rows[name]].reset_index(drop=True) for name in X})
    known = np.asarray(vectorizer.transform(short), dtype=np.float32)
    matrix = np.empty((len(X), len(outputs)), dtype=np.float32)
    for name, of_name in columns.items():
        if name in numbers:
            matrix[:, of_name] = X[name].to_numpy()[:, None]
        else:
            matrix[:, of_name] = known[:, of_name][places[name]]

    return matrix


def _with_text_names(X: Table) -> Table:
    """A data frame with texts as the names of its columns, which skrub expects.

    Zoned times become times in UTC, and Arrow columns become numpy columns, because features that
    were fitted on such columns could not be saved.
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
        raise ValueError(f"Expected columns whose names differ as text, got {quoted(list(X))}.")

    return named.assign(**{named.columns[j]: _storable(named.iloc[:, j]) for j in foreign})


def _storable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column without Arrow and without a time zone."""

    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow

        column = pyarrow.array(column).to_pandas().set_axis(column.index)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None)

    return column


def _check_numbers(X: pd.DataFrame, numeric: list[Any]) -> None:
    """Refuse text in columns of numbers, where it would be read as missing."""

    for name in numeric:
        known = X[name].dropna()
        text = known[pd.to_numeric(known, errors="coerce").isna()]
        if len(text):
            raise ValueError(
                f"Column {quoted(name)} held numbers when it was fitted, got "
                f"{quoted(text.iloc[0])} in {len(text)} rows. Correct them, or leave them missing."
            )


def _known_categories(X: pd.DataFrame, vectorizer: Any) -> dict[str, list[str]]:
    """The values of each column that has one feature for each value."""

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
