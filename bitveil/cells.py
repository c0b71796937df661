r"""Cells: codes that are certain for each row, cut out of the space of posteriors.

For the trade-off between a target Y and an attribute S only the posteriors :math:`p(y|x)` and
:math:`p(s|x)` matter. Fix the answer :math:`q(y|t)` that a code t gives, and a multiplier
:math:`u_{tg}` for each code and group. Then the code that is worth most for a row is

.. math::
    t(x) = \operatorname*{argmax}_t \sum_y p(y|x) \log q(y|t) - \sum_g u_{tg} \, p(g|x) + b_t .

**Proof.** The total variation of two groups is the largest of :math:`\sum_t f_t (p(t|1) -
p(t|0))` over weights :math:`0 \le f_t \le 1`. So the Lagrangian of a limit on it is linear in the
code of each row: a row with code t pays :math:`f_t \lambda (p(1|x)/\pi_1 - p(0|x)/\pi_0)`. Given q
and f each row takes the code with the largest sum. More groups, and the groups within each target,
add terms of the same form. ∎

The sum is linear in the posteriors, so the codes cut their space into cells with straight sides.
`train_cells` moves these sides. Cells are soft while they are trained and certain afterwards. The
limit falls during the training, because codes collapse if it is strict from the first step.

Of one bit, cells with straight sides are the best. With many cells the training can end where most
of them are empty, and small `hidden` layers before the cells often lead out of there. But they can
also learn the rows by heart, so the two forms must be compared on other rows.

A certain code has another merit: its drawn and its expected counts are the same.

Source:
    The cost of fairness in binary classification (Menon, Williamson, 2018),
    https://proceedings.mlr.press/v81/menon18a.html, for one bit
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn

from bitveil.batches import Batch, Rows
from bitveil.group_tables import GroupTables
from bitveil.layers import table_encoder
from bitveil.objectives import Constrained
from bitveil.shapes import Logits
from bitveil.tables import summed_table
from bitveil.training import Epoch, History

__all__ = ["EPOCHS", "HIDDEN_EPOCHS", "CellBatch", "Cells", "PosteriorColumns", "train_cells"]

PosteriorBlock: TypeAlias = tuple[str, int]

_SURE_LOGIT = 50.0
"""The logit of a bit that is certain. The other value has a probability below 2^-53."""

EPOCHS = 40
"""The epochs of a training, of ten steps each."""

HIDDEN_EPOCHS = 60
"""The epochs of a training with hidden layers."""

_EPOCH = 10
_MOST_BITS = 6  # more cells gain nothing for one target
_CENTRED = 20_000  # the most rows that place the first cells
_LEAST_SHARE = 0.02  # the answers of the first cells stay this far from 0 and 1


@dataclass(frozen=True)
class _Course:
    """How cells are trained.

    Attributes:
        epochs: The epochs, of ten steps each.
        rate: The learning rate, which falls to 0 over the last two fifths.
        rows: The most rows of a step.
        warm: The temperature of the cells in the beginning.
        cold: Their temperature in the end.
    """

    epochs: int
    rate: float
    rows: int
    warm: float
    cold: float

    def temperature(self, progress: float) -> float:
        return self.warm * (self.cold / self.warm) ** min(1.0, progress / 0.8)


_STRAIGHT = _Course(EPOCHS, rate=0.03, rows=2**14, warm=0.3, cold=0.02)
_HIDDEN = _Course(HIDDEN_EPOCHS, rate=0.005, rows=2**12, warm=1.0, cold=0.2)


@dataclass(frozen=True)
class PosteriorColumns:
    """What the columns of the features mean: posteriors, in the order of their labels.

    Attributes:
        blocks: For each label `("classes", K)`, with the log-odds of all classes but the first as
            columns, or `("numbers", 1)`.
        n_targets: How many of these labels are targets; they come first.
        mean: The mean that was taken from each column, with shape (d,).
        scale: What each column was then divided by.
    """

    blocks: tuple[PosteriorBlock, ...]
    n_targets: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @cached_property
    def odds(self) -> Tensor:
        """1 for each column that holds log-odds, and 0 for numbers, with shape (d,)."""

        widths = [(kind == "classes", _width((kind, n))) for kind, n in self.blocks]

        return torch.tensor([float(odds) for odds, width in widths for _ in range(width)])

    def posteriors(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Probabilities and numbers from standardised features."""

        mean, scale = (torch.from_numpy(each).to(x) for each in (self.mean, self.scale))

        return _posteriors(x, mean, scale, self.odds)

    @property
    def targets(self) -> list[tuple[str, slice]]:
        """The kind and the columns of each target."""

        stops = np.cumsum([_width(block) for block in self.blocks[: self.n_targets]])
        starts = [0, *stops[:-1].tolist()]

        return [
            (kind, slice(start, stop))
            for (kind, _), start, stop in zip(self.blocks, starts, stops.tolist(), strict=False)
        ]


def _posteriors(x: Tensor, mean: Tensor, scale: Tensor, odds: Tensor) -> Tensor:
    raw = x * scale + mean

    return torch.where(odds > 0, raw.sigmoid(), raw)


def _width(block: PosteriorBlock) -> int:
    return block[1] - 1 if block[0] == "classes" else 1


class Cells(nn.Module):
    """An encoder with a certain code for each row: the number of the cell that it lies in.

    Arguments:
        n_columns: The number of columns of the features.
        n_bits: The number of bits of a code.
        n_cells: The number of cells, at most 2^n_bits.
        hidden: The width of two hidden layers between the features and the cells. With 0 there are
            none, and the sides of the cells are straight in the space of the posteriors.
        generator: The source of the first weights of these layers.

    Example:
        >>> cells = Cells(1, n_bits=2, n_cells=2)
        >>> weights = {"weight": [[0.0], [4.0]], "bias": [2.0, 0.0], "odds": [1.0]}
        >>> weights |= {"mean": [0.0], "scale": [1.0]}
        >>> _ = cells.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
        >>> cells(torch.tensor([[-0.1], [0.1]])).tolist()  # the second cell wins above one half
        [[-50.0, -50.0], [-50.0, 50.0]]
    """

    mean: Tensor
    scale: Tensor
    odds: Tensor

    def __init__(
        self,
        n_columns: int,
        n_bits: int,
        n_cells: int,
        hidden: int = 0,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.n_bits, self.hidden = n_bits, hidden
        self.weight = nn.Parameter(torch.zeros(n_cells, hidden or n_columns))
        self.bias = nn.Parameter(torch.zeros(n_cells))
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))
        self.register_buffer("odds", torch.zeros(n_columns))
        if hidden:
            before = table_encoder(n_columns, hidden, (hidden,), generator=generator)
            self.layers = nn.Sequential(before, nn.ReLU())
            nn.init.uniform_(self.weight, -(hidden**-0.5), hidden**-0.5, generator=generator)

    def scores(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """What each cell is worth for each row, in nats."""

        return self._seen(x) @ self.weight.T + self.bias

    def _seen(self, x: Tensor) -> Tensor:
        if self.hidden:
            return self.layers(x)

        return _posteriors(x, self.mean, self.scale, self.odds)

    def forward(self, x: Float[Tensor, "n d"]) -> Logits:
        """The logits of the bits: certain, one way or the other."""

        powers = 2 ** torch.arange(self.n_bits - 1, -1, -1, device=x.device)
        bits = self.scores(x).argmax(1, keepdim=True).remainder(2 * powers) >= powers

        return _SURE_LOGIT * (2 * bits.to(x) - 1)


class CellBatch(Batch):
    """Rows with the probability of each cell, with shape (n, c), in the place of logits."""

    @cached_property
    def tables(self) -> GroupTables:
        """The expected counts of the cells. They carry the gradient."""

        return GroupTables.assigned(
            self.logits, self.strata, self.s, self.n_strata, self.n_groups, weights=self.weights
        )

    def moments(self, columns: Float[Tensor, "n d"]) -> Float[Tensor, "d c"]:
        """The expected sum of each column over the rows of each cell."""

        return columns.T @ self.logits

    def _counted(self, groups: Tensor, k: int) -> Tensor:
        return summed_table(self.logits, groups, k, weights=self.weights)


def train_cells(
    rows: Rows,
    columns: PosteriorColumns,
    objective: Constrained,
    *,
    n_bits: int,
    generator: torch.Generator,
    hidden: int = 0,
    after_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[Cells, History]:
    """Train cells for a limit.

    The first cells are clusters of the targets' posteriors, or random ones behind hidden layers.
    Of the last fifth of the steps, the certain cells with the lowest merit on these rows are kept.

    Arguments:
        rows: The rows, with posteriors that are out of fold as features.
        columns: What the features mean.
        objective: The task and the limit.
        n_bits: The number of bits of a code. There are as many cells as codes, but at most 64.
        generator: The source of the first cells, and of the rows of a step if there are many.
        hidden: The width of the hidden layers before the cells; 0: none.
        after_epoch: Called with every epoch, which is ten steps.

    Returns:
        The cells, and the training, with an epoch for every ten steps.
    """

    course = _HIDDEN if hidden else _STRAIGHT
    cells = _new_cells(rows, columns, n_bits, hidden, generator)
    optimizer = torch.optim.Adam(cells.parameters(), lr=course.rate)
    history, least, best = History(), math.inf, deepcopy(cells.state_dict())
    steps = course.epochs * _EPOCH
    for step in range(steps):
        objective.train().progress = progress = step / steps
        optimizer.param_groups[0]["lr"] = course.rate * min(1.0, 2.5 * (1 - progress))
        some = _sampled_rows(rows, generator, course.rows)
        terms = objective(_soft(cells, some, course.temperature(progress)))
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()
        if (step + 1) % _EPOCH:
            continue
        merit = _merit(cells, objective, rows) if progress >= 0.8 else None
        if merit is not None and merit < least:
            least, best, history.best = merit, deepcopy(cells.state_dict()), len(history.epochs)
        loss, task, measure = (term.item() for term in terms)
        history.epochs.append(Epoch(loss, task, measure, merit=merit))
        if after_epoch is not None:
            after_epoch(history.epochs[-1])
    cells.load_state_dict(best)

    return cells.eval(), history


def _new_cells(
    rows: Rows,
    columns: PosteriorColumns,
    n_bits: int,
    hidden: int,
    generator: torch.Generator,
) -> Cells:
    """The cells that a training starts with."""

    if not hidden:
        return _first_cells(_sampled_rows(rows, generator, _CENTRED), columns, n_bits, generator)
    n_cells = 2 ** min(n_bits, _MOST_BITS)

    return Cells(rows.x.shape[1], n_bits, n_cells, hidden, generator=generator)


def _first_cells(
    rows: Rows, columns: PosteriorColumns, n_bits: int, generator: torch.Generator
) -> Cells:
    """Cells around clusters of the targets' posteriors, which ignore the groups."""

    posteriors = columns.posteriors(rows.x)
    width = columns.targets[-1][1].stop
    points = posteriors[:, :width].double().numpy()
    centres = _centres(points, 2 ** min(n_bits, _MOST_BITS), generator)
    cells = Cells(rows.x.shape[1], n_bits, len(centres))
    with torch.no_grad():
        cells.mean.copy_(torch.from_numpy(columns.mean))
        cells.scale.copy_(torch.from_numpy(columns.scale))
        cells.odds.copy_(columns.odds)
        for kind, part in columns.targets:
            weight, bias = _answer(kind, centres[:, part])
            cells.weight[:, part] = weight
            cells.bias.add_(bias)

    return cells


def _centres(points: NDArray[np.float64], n_cells: int, generator: torch.Generator) -> Tensor:
    """The centres of clusters, in the order of their first coordinate."""

    distinct = len(np.unique(points.round(6), axis=0))
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    clusters = KMeans(min(n_cells, distinct), n_init=1, random_state=seed).fit(points)
    centres = clusters.cluster_centers_

    return torch.from_numpy(centres[centres[:, 0].argsort()]).float()


def _answer(kind: str, centres: Tensor) -> tuple[Tensor, Tensor]:
    """What a cell with this answer is worth, as a weight of each posterior and a constant.

    For classes it is the mean log-probability of the answer, for numbers minus the squared error.
    """

    if kind == "numbers":
        return 2 * centres, -centres.square().sum(1)
    classes = torch.cat([1 - centres.sum(1, keepdim=True), centres], 1).clamp_min(_LEAST_SHARE)
    logs = (classes / classes.sum(1, keepdim=True)).log()

    return logs[:, 1:] - logs[:, :1], logs[:, 0]


def _sampled_rows(rows: Rows, generator: torch.Generator, most: int) -> Rows:
    """All rows, or a random sample of this many."""

    if len(rows) <= most:
        return rows

    return rows[torch.randint(len(rows), (most,), generator=generator)]


def _soft(cells: Cells, rows: Rows, temperature: float) -> Batch:
    """The rows with a chance of each cell, which is surer at a lower temperature."""

    return rows.coded((cells.scores(rows.x) / temperature).softmax(1), CellBatch)


@torch.no_grad()
def _merit(cells: Cells, objective: Constrained, rows: Rows) -> float:
    """How bad the certain cells are."""

    scores = cells.scores(rows.x)
    certain = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)

    return objective.merit(objective.eval()(rows.coded(certain, CellBatch)))
