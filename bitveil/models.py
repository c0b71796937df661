"""Models: encoders that also predict their target, from the published bits alone."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from bitveil.columns.labels import as_frame
from bitveil.columns.targets import Kind
from bitveil.estimators import InvariantEncoder
from bitveil.folders import load_parts
from bitveil.saving import rehearse, restore

__all__ = ["InvariantClassifier", "InvariantRegressor", "load"]


class InvariantClassifier(ClassifierMixin, InvariantEncoder):
    """An `InvariantEncoder` with the best classifier of its codes.

    The classifier is the table: how often the rows to fit and to select have each code and class.
    Above 16 bits, and where `training.decoder` is given, it is a network that is trained along. It
    sees the published bits and nothing else, so the certificate covers its predictions.

    Its settings are those of `bitveil.estimators.InvariantEncoder`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(4000, 2))
        >>> y = (X[:, 0] > 0).astype(int)
        >>> s = np.where(X[:, 1] + rng.normal(size=4000) > 0, "a", "b")
        >>> model = InvariantClassifier(2, max_gap=0.2, random_state=0)
        >>> model.fit(X, y, sensitive_features=s).score(X, y) > 0.9
        True
        >>> model.certificate_.bound
        0.2
    """

    _targets: Kind = "classes"

    def predict_proba(self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None) -> Any:
        """The probability of each class given the published bits, with shape (n, classes).

        With several targets a list of them, one for each.
        """

        return self.decode(self.transform(X, ids=ids))

    def decode(self, bits: NDArray[np.uint8]) -> Any:
        """The probability of each class for published bits, with shape (n, classes).

        This is all that anyone needs to use the codes for this target: no row, no key, no encoder.
        With several targets a list of them, one for each.
        """

        check_is_fitted(self, "coder_")
        answers = self.decoder_.probabilities(bits)

        return answers if len(self.schema_.target.kinds) > 1 else answers[0]

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[Any]:
        """The most probable class given the published bits, with shape (n,).

        With several targets shape (n, targets).
        """

        answers, target = self.predict_proba(X, ids=ids), self.schema_.target
        if len(target.kinds) == 1:
            return target.classes[0][answers.argmax(1)]
        columns = [
            classes[of_target.argmax(1)]
            for classes, of_target in zip(target.classes, answers, strict=True)
        ]

        return np.stack(columns, axis=1)

    def score(
        self,
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | pd.DataFrame,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The accuracy of the predictions; with several targets the mean of their accuracies."""

        check_is_fitted(self, "coder_")
        target = self.schema_.target
        if len(target.kinds) == 1:
            return float(super().score(X, y, sample_weight))
        answers = self.predict_proba(X)
        truth = as_frame("y", y, len(answers[0]))
        if len(truth.columns) != len(target.kinds):
            raise ValueError(
                f"`y` expects {len(target.kinds)} columns, as fitted, got {len(truth.columns)}."
            )
        right = [
            classes[p.argmax(1)] == truth.iloc[:, place].to_numpy()
            for place, (classes, p) in enumerate(zip(target.classes, answers, strict=True))
        ]

        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=float)

        return float(np.average(np.mean(right, axis=0), weights=weights))


class InvariantRegressor(RegressorMixin, InvariantEncoder):
    """An `InvariantEncoder` with the best regression on its codes.

    The regression is the table: the mean target of each code in the rows to fit and to select.
    Above 16 bits, and where `training.decoder` is given, it is a network that is trained along. It
    sees the published bits and nothing else: a certified gap bounds how much the mean predictions
    for two groups can differ, as a share of the range of the predictions.

    Its settings are those of `bitveil.estimators.InvariantEncoder`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(4000, 2))
        >>> y = X[:, 0] + 0.1 * X[:, 1]
        >>> s = np.where(X[:, 1] + rng.normal(size=4000) > 0, "a", "b")
        >>> model = InvariantRegressor(n_bits=4, features="raw", random_state=0)
        >>> model.fit(X, y, sensitive_features=s).score(X, y) > 0.8
        True
    """

    _targets: Kind = "numbers"

    def decode(self, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The mean target for published bits, with shape (n,), or (n, targets)."""

        check_is_fitted(self, "coder_")
        answers = self.decoder_.means(bits)

        return answers[:, 0] if len(self.schema_.target.kinds) == 1 else answers

    def predict(
        self, X: ArrayLike | pd.DataFrame, *, ids: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The mean target given the published bits, with shape (n,), or (n, targets)."""

        return self.decode(self.transform(X, ids=ids))


def load(
    directory: str | os.PathLike[str],
    *,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    accept_versions: bool = False,
) -> InvariantEncoder:
    """Load an encoder that `save` wrote; it gives the same bits. Nothing is executed.

    The folder keeps some rows that nobody is, with the bits that they got. An encoder that gives
    them others is not loaded.

    Arguments:
        directory: The folder.
        encoder: The network, where it is one of your own, for its weights to be put into.
        decoder: The decoder, where it is one of your own.
        accept_versions: Whether to load what was saved with other versions of scikit-learn,
            skrub or torch, if with the installed ones those rows get the same bits.

    Raises:
        FileNotFoundError: If it is no folder of an encoder, or a file is missing.
        ValueError: If a file was changed, other versions wrote it, a network is missing or is
            another one, or bits differ.
    """

    parts, folder = load_parts(directory, accept_versions=accept_versions), Path(directory)
    forms = (InvariantEncoder, InvariantClassifier, InvariantRegressor)
    model = restore({form.__name__: form for form in forms}, folder, parts, encoder, decoder)
    rehearse(model, folder, parts)

    return model
