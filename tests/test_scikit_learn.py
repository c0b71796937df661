"""scikit-learn's own checks of estimators, with a sensitive attribute filled in: it knows none."""

from functools import partial

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _num_samples

from bitveil.estimators import InvariantEncoder
from bitveil.models import InvariantClassifier, InvariantRegressor
from builders import quick

enough = partial(quick, n_bits=6, strength=0.0, hidden=(16,), epochs=12, learning_rate=0.3)
"""Few epochs, for these checks fit hundreds of estimators, and enough for their scores."""


def two_by_two(X):
    """An attribute for any number of rows, which has nothing to do with them."""

    return np.arange(_num_samples(X)) // 2 % 2


class Encoder(InvariantEncoder):
    def fit(self, X, y=None, sample_weight=None):
        s = two_by_two(X)
        return super().fit(X, y, sensitive_features=s, sample_weight=sample_weight)


class Classifier(InvariantClassifier):
    def fit(self, X, y=None, sample_weight=None):
        s = two_by_two(X)
        return super().fit(X, y, sensitive_features=s, sample_weight=sample_weight)


class Regressor(InvariantRegressor):
    def fit(self, X, y=None, sample_weight=None):
        s = two_by_two(X)
        return super().fit(X, y, sensitive_features=s, sample_weight=sample_weight)


_SPLIT = "rows are split at random: a row that is there twice is not one that is twice as heavy"
EXCEPTIONS = {
    "check_sample_weight_equivalence_on_dense_data": _SPLIT,
    "check_sample_weight_equivalence_on_sparse_data": _SPLIT,
}


@parametrize_with_checks(
    [
        enough(Encoder),
        enough(Classifier),
        enough(Regressor),
    ],
    expected_failed_checks=lambda estimator: EXCEPTIONS,
)
def test_checks(estimator, check):
    check(estimator)
