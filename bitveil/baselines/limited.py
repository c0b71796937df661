"""bitveil's own method in the form of the baselines: a limit on the measure, no certificate.

`InvariantEncoder` holds out rows and certifies. Here the benchmark holds out the rows for
certification, so this class only trains, with the same parts.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from bitveil.batches import Rows
from bitveil.codes import code_likelihood
from bitveil.goals import Limit, Weight
from bitveil.measures import Measure
from bitveil.networks import Decoding, Encoding
from bitveil.search import START
from bitveil.settings import LISTED
from bitveil.tasks import task_usefulness
from bitveil.trainers import CellTrainer, Trainer
from bitveil.training import Training

__all__ = ["LimitedCode"]

LEAST_STEPS = 480
"""The least number of steps. With fewer, a strict limit gives a code that says almost nothing."""


class LimitedCode(BaseEstimator):
    """Stochastic bits, with a limit on the measure during training.

    Arguments:
        limit: The largest value of the measure, a total variation from 0 to 1.
        n_bits: The number of bits.
        hidden: The widths of the hidden layers.
        epochs: The number of passes over the rows.
        batch_size: The most rows of a batch. None: 8,192, or fewer, but at least 256, if all
            epochs would otherwise have fewer than 480 steps.
        learning_rate: The highest learning rate of the one-cycle schedule.
        random_state: The seed of the weights, the order of rows, and the draws.

    Attributes:
        encoder_: The network from features to logits.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(300, 2)), np.arange(300) % 2
        >>> code = LimitedCode(0.1, n_bits=2, epochs=2, random_state=0)
        >>> code.fit(X, (X[:, 0] > 0).astype(int), sensitive_features=s).transform(X[:2]).shape
        (2, 2)
        >>> code.likelihoods(X[:2]).sum(1)
        array([1., 1.])
    """

    def __init__(
        self,
        limit: float = 0.1,
        *,
        n_bits: int = 6,
        hidden: Sequence[int] = (64, 64),
        epochs: int = 80,
        batch_size: int | None = None,
        learning_rate: float = 0.01,
        random_state: int | None = None,
    ) -> None:
        self.limit = limit
        self.n_bits = n_bits
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, *, sensitive_features: ArrayLike) -> Self:
        """Train on four fifths of the rows. The others choose the epoch.

        Arguments:
            X: Columns of numbers, with shape (n, d).
            y: The target, as whole numbers from 0.
            sensitive_features: The groups, as whole numbers from 0.
        """

        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(2**31))
        X, y, s = np.asarray(X), np.asarray(y), np.asarray(sensitive_features)
        classes = torch.from_numpy(y), torch.from_numpy(s)
        rows = Rows.of_target(_as_floats(X), *classes, int(y.max()) + 1, int(s.max()) + 1)
        fit, select = self._parts(rows, rng)
        trainer = self._trainer(len(fit), X.shape[1], rows.n_strata)
        self.encoder_ = trainer(self._asked(), fit, select).encoder

        return self

    def _parts(self, rows: Rows, rng: np.random.RandomState) -> tuple[Rows, Rows]:
        """The rows to train on, and those that choose the epoch."""

        order = rng.permutation(len(rows))
        select, fit = np.split(order, [len(rows) // 5])

        return rows[torch.from_numpy(np.sort(fit))], rows[torch.from_numpy(np.sort(select))]

    def logits(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logits of the bits, with shape (n, m)."""

        with torch.no_grad():
            return self.encoder_(_as_floats(np.asarray(X)).double()).numpy()

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Drawn bits, with shape (n, m). The same rows in the same order get the same bits."""

        theta = expit(self.logits(X))
        uniform = check_random_state(self.seed_).random_sample(theta.shape)

        return (uniform < theta).astype(np.uint8)

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each code for each row, with shape (n, 2^m).

        Raises:
            ValueError: If the codes are too wide to list.
        """

        if self.n_bits > LISTED:
            raise ValueError(
                f"`likelihoods` lists codes of up to {LISTED} bits, got n_bits={self.n_bits}."
            )
        return code_likelihood(torch.from_numpy(self.logits(X))).numpy()

    def _asked(self) -> Weight | Limit:
        return Limit(self.limit, start=START)

    def _trainer(self, n_rows: int, n_columns: int, n_classes: int) -> Trainer | CellTrainer:
        hidden = tuple(self.hidden)
        batch_size = self.batch_size or min(8192, max(256, n_rows * self.epochs // LEAST_STEPS))

        return Trainer(
            Encoding(None, (n_columns,), self.n_bits, hidden),
            Decoding("target", False, None, self.n_bits, n_classes, hidden, term=task_usefulness),
            Measure(),
            Measure(),
            Training(learning_rate=self.learning_rate),
            self.epochs,
            batch_size,
            self.seed_,
        )


def _as_floats(X: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
