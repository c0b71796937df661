"""Batches: rows as a training reads them, and the tables of their codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bitveil.layers import stochastic_layers
from bitveil.shapes import Groups, Logits, Weights
from bitveil.tables import joint_table, neuron_tables, pair_groups

__all__ = ["Batch", "Rows"]


class Batch:
    """Rows as an objective sees them: each table is made when a term first asks for it.

    Arguments:
        logits: The logits of the code, with shape :math:`(n, m)`.
        y: The target, from 0 to n_classes - 1, or -1 where it is not known, with shape
            :math:`(n,)`. Separation compares groups within it.
        s: The sensitive attribute, from 0 to n_groups - 1, with shape :math:`(n,)`.
        n_classes: The number of values of the target.
        n_groups: The number of values of the sensitive attribute.
        weights: How much each row counts, with shape :math:`(n,)`; None: 1.
        labels: Several targets in place of `y` as what the code is to be useful for, or -1, with
            shape :math:`(n, q)`.
        n_labels: The number of values of each.
        values: Numbers that the code is to be useful for, or NaN, with shape :math:`(n, d)`.
        inner: The logits of stochastic layers before the last.
    """

    def __init__(
        self,
        logits: Logits,
        y: Groups,
        s: Groups,
        *,
        n_classes: int,
        n_groups: int,
        weights: Weights | None = None,
        labels: Int[Tensor, "n q"] | None = None,
        n_labels: Sequence[int] = (),
        values: Float[Tensor, "n d"] | None = None,
        inner: Sequence[Tensor] = (),
    ) -> None:
        self.logits, self.y, self.s, self.weights = logits, y, s, weights
        self.n_classes, self.n_groups = n_classes, n_groups
        self.labels, self.n_labels, self.values = labels, n_labels, values
        self.inner = inner

    @cached_property
    def joint(self) -> Float[Tensor, "y k c"]:
        """The expected counts over (y, s, code) of the rows whose target is known."""

        return self._cells[: self.n_classes]

    @cached_property
    def groups(self) -> Float[Tensor, "k c"]:
        """The expected counts over (s, code) of all rows."""

        return self._cells.sum(0)

    @cached_property
    def neurons(self) -> Float[Tensor, "m y k 2"]:
        """The expected counts over (y, s, bit), for each bit alone; the last y is: not known."""

        n, pairs = self._pairs
        tables = neuron_tables(self.logits, pairs, n * self.n_groups, weights=self.weights)

        return tables.view(len(tables), n, self.n_groups, 2)

    @cached_property
    def targets(self) -> list[Float[Tensor, "k c"]]:
        """The expected counts over (target, code), for each target."""

        if self.labels is None:
            return [self.joint.sum(1)]
        return [
            joint_table(self.logits, _known(column, n), n + 1, weights=self.weights)[:n]
            for column, n in zip(self.labels.T, self.n_labels, strict=True)
        ]

    def at(self, logits: Tensor) -> "Batch":
        """The same rows with another code, as an inner layer has it."""

        return Batch(
            logits,
            self.y,
            self.s,
            n_classes=self.n_classes,
            n_groups=self.n_groups,
            weights=self.weights,
        )

    def shuffled(self, within: Groups, generator: torch.Generator) -> "Batch":
        """The same rows with the groups of others of the same kind."""

        chance = torch.rand(len(within), generator=generator).to(within.device)
        ordered = torch.argsort(within.double() + chance / 2)  # by kind, at random within
        s = torch.empty_like(self.s)
        s[within.argsort(stable=True)] = self.s[ordered]
        batch = self.at(self.logits)
        batch.s = s

        return batch

    @cached_property
    def _pairs(self) -> tuple[int, Tensor]:
        """How many values y has, one more where it is not known, and a group for (y, s)."""

        n = self.n_classes + int((self.y < 0).any())

        return n, pair_groups(_known(self.y, self.n_classes), self.s, self.n_groups)

    @cached_property
    def _cells(self) -> Tensor:
        n, pairs = self._pairs
        table = joint_table(self.logits, pairs, n * self.n_groups, weights=self.weights)

        return table.view(n, self.n_groups, -1)


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to hold out: the input, the target and the sensitive attribute.

    Attributes:
        x: What the encoder sees, with the rows first.
        y: The target, from 0 to n_classes - 1, or -1 where it is not known.
        s: The sensitive attribute, from 0 to n_groups - 1.
        n_classes: The number of values of the target.
        n_groups: The number of values of the sensitive attribute.
        weights: How much each row counts; None: 1.
        labels: Several targets, with shape (n, q), or -1, where there are any: see `Batch`.
        n_labels: The number of values of each.
        values: Numbers as targets, with shape (n, d), or NaN, where there are any.
    """

    x: Tensor
    y: Groups
    s: Groups
    n_classes: int
    n_groups: int
    weights: Weights | None = None
    labels: Tensor | None = None
    n_labels: Sequence[int] = ()
    values: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device) -> "Rows":
        """The same rows on another device."""

        return self._each(lambda tensor: tensor.to(device))

    def __getitem__(self, rows: Tensor | slice) -> "Rows":
        return self._each(lambda tensor: _take(tensor, rows))

    def batch(self, encoder: nn.Module, rows: Tensor | slice = slice(None)) -> Batch:
        """Encode some of the rows, as an objective reads them."""

        some = self[rows]
        logits = encoder(some.x)
        inner = [layer.logits for layer in stochastic_layers(encoder) if layer.logits is not None]

        return Batch(
            _single(logits),
            some.y,
            some.s,
            n_classes=self.n_classes,
            n_groups=self.n_groups,
            weights=some.weights,
            labels=some.labels,
            n_labels=self.n_labels,
            values=some.values,
            inner=[_single(each) for each in inner],
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        names = ("x", "y", "s", "weights", "labels", "values")
        tensors = {name: getattr(self, name) for name in names}
        changed: dict[str, Any] = {n: None if t is None else change(t) for n, t in tensors.items()}

        return replace(self, **changed)


def _take(tensor: Tensor, rows: Tensor | slice) -> Tensor:
    """Some of the rows; whole rows are copied faster by `index_select` than by indexing."""

    return tensor.index_select(0, rows) if isinstance(rows, Tensor) else tensor[rows]


def _single(logits: Tensor) -> Tensor:
    """In single precision at least: tables would drown in the rounding of halves."""

    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _known(labels: Tensor, n: int) -> Tensor:
    """Labels with n for those that are not known."""

    return torch.where(labels < 0, n, labels)
