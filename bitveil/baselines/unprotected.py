"""The network with no protection: what a representation gives where nothing is hidden."""

__all__ = ["FullPrecision"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.networks import (
    Published,
    check_rows,
    check_settings,
    fit_penalised,
    published,
    seeds,
)


@dataclass(eq=False, kw_only=True)
class FullPrecision:
    """A classifier whose last hidden layer, of real numbers, is the representation.

    It knows nothing of the sensitive attribute, so it marks the two ends of a comparison: how
    useful a representation of this size can be, and how much it leaks if nobody minds. The
    penalised baselines (`Adversary`, `CharacteristicDistance`, `DistanceCovariance`) fit the same
    network.

    Arguments:
        dimensions: The number of tanh units of the representation.
        hidden: The widths of the hidden layers before it.
        epochs: The number of passes over the rows.
        learning_rate: The highest rate of Adam.
        batch_size: The number of rows of a step, about.
        random_state: A seed, or where seeds come from.

    Example:
        >>> X = np.array([[0.0], [1.0]] * 50)
        >>> y = np.array([0, 1] * 50)
        >>> FullPrecision(dimensions=2, random_state=0).fit(X, y).transform(X).shape
        (100, 2)
    """

    dimensions: int = 6
    hidden: Sequence[int] = (64, 64)
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 1024
    random_state: int | np.random.RandomState | None = None
    _published: Published | None = field(default=None, init=False, repr=False)

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike | None = None
    ) -> Self:
        """Fit the network; `sensitive_features` is not looked at.

        Arguments:
            X: The features, with shape (n, d); they are standardised.
            y: The target, with shape (n,): classes.
            sensitive_features: Taken so that all baselines are called alike.
        """

        check_settings(self)
        rows = check_rows(X, y, sensitive_features=y)  # any groups will do: none are read
        generator, _ = seeds(self.random_state)
        self._published = fit_penalised(self, rows, generator)

        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The representation, from -1 to 1, with shape (n, dimensions)."""

        return published(self._published)(X)
