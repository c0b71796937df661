"""The paper: bits with straight-through gradients, and a penalty on single neurons' information.

Our reimplementation of "Invariant Representations with Stochastically Quantized Neural Networks"
(Cerrato, Köppel, Esposito, Kramer, AAAI 2023), https://arxiv.org/abs/2208.02656, with bitveil's
parts: a layer of stochastic bits after a hidden one, a linear layer that decodes drawn bits, and
`(1 - gamma) * cross-entropy + gamma * sum of the neurons' information`. It corrects one error of
the authors' code: here the bits are drawn with the probabilities that the penalty sees, also when
they are published.
"""

from collections.abc import Sequence
from dataclasses import replace

from bitveil.baselines.limited import LimitedCode
from bitveil.goals import Weight
from bitveil.measures import Measure
from bitveil.networks import Decoding
from bitveil.trainers import Trainer

__all__ = ["PerNeuron"]


class PerNeuron(LimitedCode):
    """The paper's encoder.

    Arguments:
        gamma: The weight of the neurons' information, from 0 to 1.
        n_bits: The number of bits.
        hidden: The widths of the hidden layers before the bits.
        epochs: The number of passes over the rows.
        batch_size: The most rows of a batch.
        learning_rate: The highest learning rate of the one-cycle schedule.
        random_state: The seed of the weights, the order of rows, and the draws.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(300, 2)), np.arange(300) % 2
        >>> code = PerNeuron(0.5, n_bits=3, epochs=2, random_state=0)
        >>> code.fit(X, (X[:, 0] > 0).astype(int), sensitive_features=s).logits(X[:2]).shape
        (2, 3)
    """

    def __init__(
        self,
        gamma: float = 0.5,
        *,
        n_bits: int = 6,
        hidden: Sequence[int] = (64,),
        epochs: int = 40,
        batch_size: int = 1024,
        learning_rate: float = 0.01,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            n_bits=n_bits,
            hidden=hidden,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            random_state=random_state,
        )
        self.gamma = gamma

    def _asked(self) -> Weight:
        return Weight(self.gamma, 1 - self.gamma)

    def _trainer(self, n_rows: int, n_columns: int, n_classes: int) -> Trainer:
        trainer = super()._trainer(n_rows, n_columns, n_classes)
        assert isinstance(trainer, Trainer)

        return replace(
            trainer,
            task=Decoding("target", True, None, self.n_bits, n_classes, hidden=()),
            measure=Measure("neuron_information"),
        )
