"""The network without protection: what a representation gives if nothing is hidden."""

__all__ = ["FullPrecision"]

from typing import Self

from numpy.typing import ArrayLike

from bitveil.baselines.neural import PenalisedBaseline


class FullPrecision(PenalisedBaseline):
    """A classifier whose last hidden layer, of real numbers, is the representation.

    It knows nothing about the sensitive attribute, so it marks the two ends of a comparison: how
    useful a representation of this size can be, and how much it leaks if nobody prevents it. The
    penalised baselines (`Adversary`, `CharacteristicDistance`, `DistanceCovariance`) fit the same
    network. `NeuralBaseline` has the settings.

    Example:
        >>> X = np.array([[0.0], [1.0]] * 50)
        >>> y = np.array([0, 1] * 50)
        >>> FullPrecision(dimensions=2, random_state=0).fit(X, y).transform(X).shape
        (100, 2)
    """

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike | None = None
    ) -> Self:
        """Fit the network. It ignores `sensitive_features`.

        Arguments:
            X: The features, with shape (n, d). The method standardises them.
            y: The target, with shape (n,): classes.
            sensitive_features: Accepted so that all baselines have the same interface.
        """

        return super().fit(X, y, sensitive_features=y)  # the network reads no groups
