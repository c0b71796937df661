"""Batches: rows as a training reads them, and the tables of their codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bitveil.criteria import Criterion, compared_strata, compares_within_strata
from bitveil.gradients import straight_through
from bitveil.group_tables import GroupTables
from bitveil.layers import stochastic_layers
from bitveil.shapes import Groups, Logits, Weights
from bitveil.tables import joint_table, moment_table, pair_groups
from bitveil.teams import Team

__all__ = ["Batch", "Rows", "balancing_chances", "batch_rows"]


class Batch:
    """Rows with their codes, as an objective reads them.

    Each table is made when a term first asks for it.

    Attributes:
        own: The logits that this process computed: all of them, but in a `SharedBatch`.
        team: The processes that share the batch; None: this one has it alone.

    Arguments:
        logits: The logits of the code, with shape :math:`(n, m)`.
        s: The sensitive attribute, from 0 to n_groups - 1, with shape :math:`(n,)`.
        strata: The stratum within which a criterion compares the row, from 0 to n_strata - 1, or
            -1 where it is not known, with shape :math:`(n,)`.
        labels: The targets with classes, for which the code should be useful, or -1 where they
            are not known, with shape :math:`(n, q)`.
        n_groups: The number of groups.
        n_strata: The number of strata.
        n_labels: The number of classes of each target.
        values: The targets that are numbers, or NaN, with shape :math:`(n, d)`.
        weights: How much each row counts, with shape :math:`(n,)`; None: 1.
        inner: The logits of stochastic layers before the last.
    """

    team: Team | None = None

    def __init__(
        self,
        logits: Logits,
        s: Groups,
        strata: Groups,
        labels: Int[Tensor, "n q"],
        *,
        n_groups: int,
        n_strata: int,
        n_labels: Sequence[int],
        values: Float[Tensor, "n d"] | None = None,
        weights: Weights | None = None,
        inner: Sequence[Tensor] = (),
    ) -> None:
        self.own, self.s, self.strata, self.weights = logits, s, strata, weights
        self.n_groups, self.n_strata = n_groups, n_strata
        self.labels, self.n_labels, self.values = labels, n_labels, values
        self.inner = inner

    @classmethod
    def of_target(
        cls,
        logits: Logits,
        y: Groups,
        s: Groups,
        *,
        n_classes: int,
        n_groups: int,
        values: Float[Tensor, "n d"] | None = None,
        weights: Weights | None = None,
    ) -> Self:
        """Rows with one target, within which groups are also compared.

        Arguments:
            logits: The logits of the code, with shape :math:`(n, m)`.
            y: The target, from 0 to n_classes - 1, or -1, with shape :math:`(n,)`.
            s: The sensitive attribute, with shape :math:`(n,)`.
            n_classes: The number of classes of the target.
            n_groups: The number of groups.
            values: Targets that are numbers, or NaN, with shape :math:`(n, d)`.
            weights: How much each row counts, with shape :math:`(n,)`; None: 1.
        """

        return cls(
            logits,
            s,
            y,
            y.unsqueeze(1),
            n_groups=n_groups,
            n_strata=n_classes,
            n_labels=(n_classes,),
            values=values,
            weights=weights,
        )

    @property
    def logits(self) -> Logits:
        """The logits of all rows."""

        return self.own

    @cached_property
    def tables(self) -> GroupTables:
        """The expected counts of the codes. They carry the gradient."""

        return GroupTables.expected(
            self.logits, self.strata, self.s, self.n_strata, self.n_groups, weights=self.weights
        )

    @cached_property
    def neurons(self) -> GroupTables:
        """The expected counts of each bit alone, with the bits as first dimension."""

        return GroupTables.expected_bits(
            self.logits, self.strata, self.s, self.n_strata, self.n_groups, weights=self.weights
        )

    @cached_property
    def targets(self) -> list[Float[Tensor, "y c"]]:
        """The expected counts over (class, code), for each target."""

        return [
            self._target(column, n) for column, n in zip(self.labels.T, self.n_labels, strict=True)
        ]

    def moments(self, columns: Float[Tensor, "n d"]) -> Float[Tensor, "d c"]:
        """The expected sum of each column over the rows that get each code."""

        return moment_table(self.logits, columns)

    def decoded(self, decoder: nn.Module, generator: torch.Generator | None) -> Tensor:
        """What a decoder makes of one draw of each row, with straight-through gradients."""

        return decoder(straight_through(self.own, generator=generator))

    def compared(self, criterion: Criterion, positive: int = 0) -> list[Tensor]:
        """Which rows the criterion compares: a mask of the rows for each of its tables.

        Example:
            >>> y, s = torch.tensor([0, 1, -1]), torch.tensor([0, 0, 1])
            >>> batch = Batch.of_target(torch.zeros(3, 2), y, s, n_classes=2, n_groups=2)
            >>> batch.compared("separation")
            [tensor([ True, False, False]), tensor([False,  True, False])]
        """

        if not compares_within_strata(criterion):
            return [torch.ones_like(self.s, dtype=torch.bool)]
        strata = range(self.n_strata)[compared_strata(criterion, self.n_strata, positive)]

        return [self.strata == stratum for stratum in strata]

    def at(self, logits: Tensor) -> "Batch":
        """The same rows with the logits of another layer."""

        return self._with(logits, self.s)

    def shuffled(self, criterion: Criterion, generator: torch.Generator) -> "Batch":
        """The same rows with groups shuffled among the rows that the criterion compares."""

        within = self.strata if compares_within_strata(criterion) else torch.zeros_like(self.s)
        chance = torch.rand(len(within), generator=generator).to(within.device)
        ordered = torch.argsort(within.double() + chance / 2)  # by stratum, at random within
        s = torch.empty_like(self.s)
        s[within.argsort(stable=True)] = self.s[ordered]

        return self._with(self.own, s)

    @property
    def _form(self) -> Callable[..., "Batch"]:
        """What a batch of the same rows is made with."""

        return Batch

    def _with(self, logits: Tensor, s: Tensor) -> "Batch":
        return self._form(
            logits,
            s,
            self.strata,
            self.labels,
            n_groups=self.n_groups,
            n_strata=self.n_strata,
            n_labels=self.n_labels,
            values=self.values,
            weights=self.weights,
        )

    def _target(self, column: Tensor, n: int) -> Tensor:
        if n == self.n_strata and torch.equal(column, self.strata):
            return self.tables.known.sum(1)  # a margin of a table that measures need anyway
        return self._counted(torch.where(column < 0, n, column), n + 1)[:n]

    def _counted(self, groups: Tensor, k: int) -> Tensor:
        """The expected counts over (group, code), for any groups."""

        return joint_table(self.logits, groups, k, weights=self.weights)


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to hold out.

    Attributes:
        x: What the encoder sees, with the rows first.
        s: The sensitive attribute, from 0 to n_groups - 1.
        strata: The stratum within which a criterion compares the row, or -1.
        labels: The targets with classes, or -1, with shape (n, q).
        n_groups: The number of groups.
        n_strata: The number of strata.
        n_labels: The number of classes of each target.
        values: The targets that are numbers, or NaN, with shape (n, d), if there are any.
        weights: How much each row counts; None: 1.
    """

    x: Tensor
    s: Groups
    strata: Groups
    labels: Tensor
    n_groups: int
    n_strata: int
    n_labels: Sequence[int]
    values: Tensor | None = None
    weights: Weights | None = None

    @classmethod
    def of_target(
        cls,
        x: Tensor,
        y: Groups,
        s: Groups,
        n_classes: int,
        n_groups: int,
        *,
        weights: Weights | None = None,
    ) -> Self:
        """Rows with one target, within which groups are also compared: see `Batch.of_target`.

        Example:
            >>> s = torch.tensor([0, 1])
            >>> rows = Rows.of_target(torch.zeros(2, 3), s, s, n_classes=2, n_groups=2)
            >>> rows.strata, rows.labels
            (tensor([0, 1]), tensor([[0],
                    [1]]))
        """

        return cls(x, s, y, y.unsqueeze(1), n_groups, n_classes, (n_classes,), weights=weights)

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device) -> "Rows":
        """The same rows on another device."""

        return self._each(lambda tensor: tensor.to(device))

    def __getitem__(self, rows: Tensor | slice) -> "Rows":
        return self._each(lambda tensor: _chosen(tensor, rows))

    def joined(self, other: "Rows") -> "Rows":
        """These rows and others, with targets of the same kind."""

        names = ("x", "s", "strata", "labels", "values", "weights")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        joined: dict[str, Any] = {
            n: p[0] if p[0] is None else torch.cat(p) for n, p in pairs.items()
        }

        return replace(self, **joined)

    def batch(self, encoder: nn.Module, rows: Tensor | slice = slice(None)) -> Batch:
        """Some of the rows with their codes."""

        some = self[rows]
        logits = encoder(some.x)
        inner = [layer.logits for layer in stochastic_layers(encoder) if layer.logits is not None]

        return some.coded(_single_at_least(logits), inner=[*map(_single_at_least, inner)])

    def coded(
        self, logits: Logits, form: Callable[..., Batch] = Batch, inner: Sequence[Tensor] = ()
    ) -> Batch:
        """All rows with these logits of their codes, as a batch of this form."""

        return form(
            logits,
            self.s,
            self.strata,
            self.labels,
            n_groups=self.n_groups,
            n_strata=self.n_strata,
            n_labels=self.n_labels,
            values=self.values,
            weights=self.weights,
            inner=inner,
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        names = ("x", "s", "strata", "labels", "values", "weights")
        tensors = {name: getattr(self, name) for name in names}
        changed: dict[str, Any] = {n: None if t is None else change(t) for n, t in tensors.items()}

        return replace(self, **changed)


def batch_rows(n_bits: int, cells: int, memory: int = 2**30) -> int:
    """How many rows of a batch fit into memory, with their codes and copies of the table.

    Example:
        >>> batch_rows(6, 4 * 2**6)  # 1 GiB over 8 * (8 + 8 + 6) numbers of 4 bytes a row
        1525189
    """

    halves = 2 ** ((n_bits + 1) // 2) + 2 ** (n_bits // 2) + n_bits
    left = max(memory // 2, memory - 32 * cells)

    return max(1024, left // (32 * halves))


def balancing_chances(rows: Rows) -> Tensor:
    """How often to take each row so that all groups are equally frequent within each stratum.

    For `train(..., chances=...)`. If a group has one row in a hundred, a batch holds few of its
    rows, and a measure of so few rows is unreliable. Groups without rows in a stratum are left
    out. Rows of unknown stratum are balanced among themselves. With weights, the total weights of
    the groups become equal.

    Returns:
        Numbers with mean one, with shape (n,).

    Example:
        >>> y, s = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 0])
        >>> balancing_chances(Rows.of_target(torch.zeros(5, 1), y, s, 2, 2))
        tensor([0.6667, 0.6667, 0.6667, 2.0000, 1.0000])
    """

    strata = torch.where(rows.strata < 0, rows.n_strata, rows.strata)
    pairs = pair_groups(strata, rows.s, rows.n_groups)
    each = torch.ones(len(rows)) if rows.weights is None else rows.weights
    sizes = torch.zeros((rows.n_strata + 1) * rows.n_groups).to(each).index_add(0, pairs, each)
    cells = sizes.view(-1, rows.n_groups)
    share = cells.sum(1, keepdim=True) / (cells > 0).sum(1, keepdim=True).clamp_min(1)
    chances = (share.expand_as(cells).flatten() / sizes.clamp_min(1e-12))[pairs]

    return chances / chances.mean()


def _chosen(tensor: Tensor, rows: Tensor | slice) -> Tensor:
    """Some of the rows. `index_select` copies whole rows faster than an index does."""

    return tensor.index_select(0, rows) if isinstance(rows, Tensor) else tensor[rows]


def _single_at_least(logits: Tensor) -> Tensor:
    """Logits in single precision at least: half precision would round tables too much."""

    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
