"""bitveil's cells in the form of the baselines: a limit on the gap, no certificate.

`InvariantEncoder` with its defaults trains several of these, holds out rows and certifies. Here
the benchmark holds out the rows for certification, so this class only trains.
"""

import numpy as np

from bitveil.baselines.limited import LimitedCode
from bitveil.batches import Rows
from bitveil.cells import PosteriorColumns
from bitveil.measures import Measure
from bitveil.tasks import task_usefulness
from bitveil.trainers import CellTrainer
from bitveil.training import Training

__all__ = ["CellCode"]


class CellCode(LimitedCode):
    """Codes that are certain for each row, cut out of the space of posteriors.

    It is what `InvariantEncoder` makes by default: see `bitveil.best_cells`. Its columns are the
    log-odds of the target's and the groups' classes, each but the first, in this order.

    Arguments:
        limit: The largest total variation between the groups' codes, from 0 to 1.
        n_bits: The number of bits.
        random_state: The seed of the first cells.

    Attributes:
        encoder_: The cells, which give sure logits.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(300, 2)), np.arange(300) % 2
        >>> code = CellCode(0.1, n_bits=2, random_state=0)
        >>> code.fit(X, (X[:, 0] > 0).astype(int), sensitive_features=s).likelihoods(X[:3]).max(1)
        array([1., 1., 1.])
    """

    def __init__(
        self,
        limit: float = 0.1,
        *,
        n_bits: int = 3,
        random_state: int | None = None,
    ) -> None:
        super().__init__(limit, n_bits=n_bits, random_state=random_state)

    def _parts(self, rows: Rows, rng: np.random.RandomState) -> tuple[Rows, Rows]:
        """All rows to make the cells: their features are out of fold."""

        return rows, rows[:0]

    def _trainer(self, n_rows: int, n_columns: int, n_classes: int) -> CellTrainer:
        classes = ("classes", n_classes), ("classes", n_columns - n_classes + 2)
        columns = PosteriorColumns(classes, 1, np.zeros(n_columns), np.ones(n_columns))

        return CellTrainer(
            columns, self.n_bits, task_usefulness, Measure(), Training(), self.seed_
        )
