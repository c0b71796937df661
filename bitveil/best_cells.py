r"""Best cells: the most useful code of so many cells within a limit, if the posteriors are right.

The tables of a code are sums over the rows of posteriors times cells, and the task is a function
of them. Two steps take turns:

1. Linearise the task at the tables of the cells so far. A row with posteriors :math:`p` is then
   worth :math:`v_t(p)` in cell t, which is linear in p: for an information it is the mean
   log-probability :math:`\sum_y p(y|x) \log q(y|t)` of the answer that the cell stands for.
2. Give each row the cell that is worth most to it, within the limit. This is a linear program, and
   its dual has few numbers:

.. math::
    \min_w \; \frac1n \sum_i \max_t \Bigl( v_t(x_i) - \sum_j w_{jt}\, d_j(x_i) \Bigr)
    + L \sum_j \bigl( \max_t w_{jt} - \min_t w_{jt} \bigr),
    \qquad d_j(x) = \frac{p(b|x)}{\pi_b} - \frac{p(a|x)}{\pi_a}

with one :math:`w_j` for each pair (a, b) of groups, within each stratum that is compared.

**Proof.** The total variation of a pair is the largest of :math:`\sum_t f_t\, D_t` over
:math:`0 \le f_t \le 1`, where :math:`D_t = \tfrac1n \sum_{i : t(i) = t} d(x_i)`. So the Lagrangian
is linear in the cell of each row, with :math:`w_t = \lambda f_t`, and pays :math:`L \lambda`.
Every row has one cell and d has mean zero, so adding a constant to w changes nothing. Therefore
:math:`\lambda` is the range of w. ∎

An information is convex in the tables, so its linearisation is a lower bound that is exact where
it is made: what the second step gains there, the task gains at least. The dual is convex too. The
maximum over cells is smoothed by a temperature, :math:`T \log \sum_t e^{\cdot / T}`, which
falls. In the end the cells are certain.

No class of a row is used, only the posteriors: they tell the same with less noise, because the
label of a row is a draw from them. Of numbers only the variance is used. For the same reason a
code can be worse on real rows than here, by as much as the posteriors are wrong. Other rows must
judge it.

Source:
    Least squares quantization in PCM (Lloyd, 1982), https://doi.org/10.1109/TIT.1982.1056489, for
    the two steps; The cost of fairness in binary classification (Menon, Williamson, 2018),
    https://proceedings.mlr.press/v81/menon18a.html, for the dual of one bit
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.cluster import KMeans
from torch import Tensor

from bitveil.batches import Batch, Rows
from bitveil.cells import Cells, PosteriorColumns
from bitveil.checkpoints import Epoch, History
from bitveil.criteria import compared_strata, compares_within_strata
from bitveil.group_tables import GroupTables
from bitveil.measures import Measure
from bitveil.objectives import Constrained
from bitveil.tables import pair_groups

__all__ = ["STEPS", "PosteriorBatch", "best_cells"]

STEPS = 20
"""How many turns the two steps take."""

_LAST = 3  # so many of the last turns are repeated for a smaller limit,
_REPEATS = 4  # at most so often
_WARM, _COLD = 0.5, 0.01  # the temperatures of K cells, times K^2: near cells differ by 1 / K^2
_EVALUATIONS = 100
_PLACING = 2**14  # the most rows that place the cells,
_LIKELIHOODS = 2**18  # the most of these times cells,
_CENTRED = 5_000  # and the most rows that place the first cells
_EMPTY = 1e-4  # a cell with a smaller share of the rows keeps what it stood for
_TOO_MUCH = 1.02  # above this share of its limit the certain code is too leaky


class PosteriorBatch(Batch):
    """Rows in cells, whose tables come from the posteriors in the place of labels.

    Arguments:
        sums: The sum over the rows of the columns and a one, for each cell, with shape (d + 1, c),
            divided by the number of rows. All tables are linear in it.
        known: What the columns say of the rows.
    """

    def __init__(self, *of_rows: Tensor, sums: Tensor, known: "_Seen", **settings: Any) -> None:
        super().__init__(*of_rows, **settings)
        self.sums, self.known = sums, known

    @cached_property
    def tables(self) -> GroupTables:
        """The expected counts of the groups. They carry the gradient of the sums."""

        groups, pairs = self.known.groups @ self.sums, self.known.pairs
        if pairs is None:
            rows = torch.zeros(1, len(groups), dtype=torch.long)
            return GroupTables(groups.new_zeros(0, *groups.shape), groups, rows)
        rows = torch.zeros(len(pairs) + 1, len(groups), dtype=torch.long)

        return GroupTables(pairs @ self.sums, None, rows)

    @cached_property
    def targets(self) -> list[Float[Tensor, "y c"]]:
        """The expected counts over (class, cell), for each target with classes."""

        return [label @ self.sums for label in self.known.classes]

    def moments(self, columns: Float[Tensor, "n d"]) -> Float[Tensor, "d c"]:
        """The expected sum of each number over the rows of each cell, and the number of rows."""

        numbers = self.known.numbers @ self.sums
        rows = columns[:, : -len(numbers)].sum(0).unsqueeze(1)

        return torch.cat([rows * self.sums[-1], rows * numbers])


@dataclass(frozen=True)
class _Seen:
    """What the columns of some rows say of them.

    Attributes:
        rows: The rows.
        seen: Their columns as posteriors, and a one, with shape (n, d + 1).
        shares: The share of each row, with shape (n,).
        classes: How the posterior of each target with classes follows from what is seen.
        numbers: The same for all targets that are numbers, with shape (r, d + 1).
        groups: The same for the groups, with shape (k, d + 1).
        pairs: The same for the groups of each stratum, with shape (strata, k, d + 1), if groups
            are compared within strata.
    """

    rows: Rows
    seen: Tensor
    shares: Tensor
    classes: list[Tensor]
    numbers: Tensor
    groups: Tensor
    pairs: Tensor | None

    @classmethod
    def of(cls, rows: Rows, columns: PosteriorColumns, measure: Measure) -> "_Seen":
        posteriors = columns.posteriors(rows.x.double())
        seen = torch.cat([posteriors, posteriors.new_ones(len(rows), 1)], 1)
        weights = posteriors.new_ones(len(rows)) if rows.weights is None else rows.weights.double()
        labels = [(columns.blocks[j][0], columns.label(j)) for j in range(columns.n_targets)]
        numbers = torch.cat(
            [columns.label(0)[:0], *(label for kind, label in labels if kind == "numbers")]
        )
        place, pairs = columns.n_targets, None
        if compares_within_strata(measure.criterion):
            pairs = _placed(
                columns.label(place + 1),
                pair_groups(rows.strata, rows.s, rows.n_groups)[rows.strata >= 0],
                rows.n_strata * rows.n_groups,
            ).view(rows.n_strata, rows.n_groups, -1)

        return cls(
            _with_guesses(rows, seen @ numbers.T),
            seen,
            weights / weights.sum(),
            [label for kind, label in labels if kind == "classes"],
            numbers,
            _placed(columns.label(place), rows.s, rows.n_groups),
            pairs,
        )

    def some(self, chosen: Tensor) -> "_Seen":
        """Some of the rows."""

        shares = self.shares[chosen]

        return replace(
            self, rows=self.rows[chosen], seen=self.seen[chosen], shares=shares / shares.sum()
        )

    @cached_property
    def weighted(self) -> Float[Tensor, "d_and_1 n"]:
        """What is seen of each row, times its share."""

        return (self.seen * self.shares.unsqueeze(1)).T

    def sums(self, chances: Float[Tensor, "n c"]) -> Float[Tensor, "d_and_1 c"]:
        """The sum over the rows of what is seen, for each cell."""

        return self.weighted @ chances

    def batch(self, sums: Tensor) -> Batch:
        """The rows in cells with these sums."""

        form = partial(PosteriorBatch, sums=sums, known=self)

        return self.rows.coded(sums.new_zeros(len(self.rows), 1), form)

    def contrasts(self, measure: Measure) -> Float[Tensor, "j d_and_1"]:
        """How the d of each pair of groups that is compared follows from what is seen."""

        tables = self.groups.unsqueeze(0)
        if self.pairs is not None:
            strata = compared_strata(measure.criterion, len(self.pairs), measure.positive)
            tables = self.pairs[strata]
        mean = self.seen.T @ self.shares
        rates = [
            [group / share for group in table if (share := group @ mean) > 0] for table in tables
        ]
        pairs = [b - a for each in rates for a, b in combinations(each, 2)]

        return torch.stack(pairs) if pairs else mean.new_zeros(0, len(mean))


def _with_guesses(rows: Rows, guesses: Float[Tensor, "n r"]) -> Rows:
    """The rows with a guess of each number that is missing.

    The numbers say how much of a variance is left, and the posteriors of all rows how much a code
    explains. So both must be of the same rows.
    """

    if rows.values is None:
        return rows

    return replace(rows, values=torch.where(rows.values.isfinite(), rows.values, guesses))


def _placed(label: Tensor, values: Tensor, k: int) -> Tensor:
    """The posteriors of k values, with zeros for values that no row has."""

    present = values.unique()
    if len(present) != len(label):
        raise ValueError(
            f"The columns expect {len(label)} groups among the rows, got {len(present)}. Train "
            "with the rows that the posteriors were made from."
        )
    placed = label.new_zeros(k, label.shape[1])
    placed[present] = label

    return placed


def best_cells(
    rows: Rows,
    columns: PosteriorColumns,
    objective: Constrained,
    *,
    n_cells: int,
    n_bits: int,
    generator: torch.Generator,
    after_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[Cells, History]:
    """The most useful cells within a limit.

    The first cells are clusters of the targets' posteriors, on the scale of the arcsine of their
    roots. The dual limits total variations. If what the objective measures of the certain cells is
    above the limit, the last turns are repeated for a smaller one. The best cells are kept.

    Arguments:
        rows: The rows, with posteriors that are out of fold as features. Their labels only say
            which groups occur, and how much a number varies.
        columns: What the features mean.
        objective: The task, the measure and its limit.
        n_cells: The most cells. There are no more than different rows.
        n_bits: The number of bits of a code.
        generator: The source of the first cells, and of the rows that place them if there are
            many.
        after_epoch: Called after every turn of the two steps.

    Returns:
        The cells, in double precision, and their training, with an epoch for each turn.
    """

    assert isinstance(objective.measure, Measure)
    known = _Seen.of(rows, columns, objective.measure)
    most = min(_PLACING, _LIKELIHOODS // n_cells)
    few = known.some(torch.randperm(len(rows), generator=generator)[:most])
    objective.eval()
    history, least, limit = History(), math.inf, objective.limit
    state = _Course.first(few, columns, objective, n_cells, generator)
    kept = state.worth
    temperatures = np.geomspace(_WARM, _COLD, STEPS) / state.worth.shape[1] ** 2
    for repeat in range(1 + _REPEATS):
        for temperature in temperatures[-_LAST:] if repeat else temperatures:
            state, epoch = state.turn(float(temperature), limit)
            history.epochs.append(epoch)
            if after_epoch is not None:
                after_epoch(epoch)
        terms = objective(known.batch(known.sums(_surest(known.seen @ state.worth))))
        merit = objective.merit(terms)
        history.epochs[-1] = replace(history.epochs[-1], merit=merit)
        if merit < least:
            least, kept, history.best = merit, state.worth, len(history.epochs) - 1
        measure = terms.measure.item()
        if measure <= _TOO_MUCH * objective.limit:
            break
        limit *= max(0.3, objective.limit / measure)

    return Cells.of(columns, kept, n_bits), history


@dataclass(frozen=True)
class _Course:
    """Cells on their way.

    Attributes:
        known: The rows that place them.
        objective: The task and the measure.
        contrasts: The differences between groups, with shape (j, d + 1).
        value: What a cell is worth for a unit of each column and of a one, with shape (d + 1, c).
        multipliers: w, with shape (j, c).
    """

    known: _Seen
    objective: Constrained
    contrasts: Tensor
    value: Tensor
    multipliers: Tensor

    @classmethod
    def first(
        cls,
        known: _Seen,
        columns: PosteriorColumns,
        objective: Constrained,
        n_cells: int,
        generator: torch.Generator,
    ) -> "_Course":
        assert isinstance(objective.measure, Measure)
        posteriors = known.seen[:, : columns.n_free]
        odds = columns.odds[: columns.n_free] > 0
        points = torch.where(odds, posteriors.clamp(0, 1).sqrt().asin(), posteriors)
        cells = _clusters(points.numpy(), n_cells, generator)
        value = _value_of(objective, known, known.sums(cells))
        contrasts = known.contrasts(objective.measure)

        return cls(
            known, objective, contrasts, value, value.new_zeros(len(contrasts), len(cells.T))
        )

    @property
    def worth(self) -> Tensor:
        """What a cell is worth within the limit, with shape (d + 1, c)."""

        return self.value - self.contrasts.T @ self.multipliers

    def turn(self, temperature: float, limit: float) -> tuple["_Course", Epoch]:
        """Give the rows the cells that are worth most to them, then see what these stand for."""

        multipliers, loss = self._multipliers(temperature, limit)
        state = replace(self, multipliers=multipliers)
        with torch.no_grad():
            sums = self.known.sums((self.known.seen @ state.worth / temperature).softmax(1))
            terms = self.objective(self.known.batch(sums))
        value = _value_of(self.objective, self.known, sums)
        value = torch.where(sums[-1] > _EMPTY, value, self.value)

        return replace(state, value=value), Epoch(loss, terms.task.item(), terms.measure.item())

    def _multipliers(self, temperature: float, limit: float) -> tuple[Tensor, float]:
        """The multipliers that solve the smoothed dual, and its value."""

        if not len(self.contrasts):
            return self.multipliers, math.nan
        own = self.known.seen @ self.value
        soft = temperature / 2

        def dual(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = torch.from_numpy(flat).view_as(self.multipliers)
            scores = (own - self.known.seen @ (self.contrasts.T @ w)) / temperature
            most = scores.logsumexp(1)
            sums = self.known.sums((scores - most.unsqueeze(1)).exp())
            ranges = (w / soft).logsumexp(1) + (-w / soft).logsumexp(1)
            value = temperature * self.known.shares @ most + limit * soft * ranges.sum()
            slope = limit * ((w / soft).softmax(1) - (-w / soft).softmax(1))
            slope -= self.contrasts @ sums
            return float(value), slope.flatten().numpy()

        found = minimize(
            dual,
            self.multipliers.flatten().numpy(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _EVALUATIONS},
        )

        return torch.from_numpy(found.x).view_as(self.multipliers), float(found.fun)


def _value_of(objective: Constrained, known: _Seen, sums: Tensor) -> Tensor:
    """What a cell is worth for a unit of each column and of a one: minus the slope of the task."""

    sums = sums.detach().requires_grad_()
    (slope,) = torch.autograd.grad(objective.task(known.batch(sums)), sums)

    return -slope


def _surest(scores: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    return torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)


def _clusters(
    points: NDArray[np.float64], n_cells: int, generator: torch.Generator
) -> Float[Tensor, "n c"]:
    """The cluster of each point, in the order of the first coordinate of their centres."""

    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    few = points[:_CENTRED]
    distinct = len(np.unique(few.round(6), axis=0))
    clusters = KMeans(min(n_cells, distinct), n_init=1, random_state=seed).fit(few)
    places = clusters.cluster_centers_[:, 0].argsort().argsort()

    return torch.eye(len(places), dtype=torch.float64)[places[clusters.predict(points)]]
