"""Shared batches: rows that several processes encode, and the tables of all of them.

Every process knows all rows of a batch, but encodes only its part. Sums over rows are summed over
the processes: tables, moments, drawn codes, and what decoders see. So a term reads from a
`SharedBatch` what it would read from the `Batch` of all rows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.batches import Batch, Rows
from bitveil.codes import drawing_part
from bitveil.gradients import straight_through
from bitveil.group_tables import GroupTables
from bitveil.shapes import Logits
from bitveil.tables import joint_table, moment_table, pair_groups
from bitveil.teams import Team

__all__ = ["SharedBatch", "check_shareable", "shared_batch"]


class SharedBatch(Batch):
    """A batch of which this process has the logits of its part of the rows.

    Arguments:
        logits: The logits of this process's part of the rows.
        team: The processes that share the batch.
        of_all: The other arguments of `Batch`, for all rows. `inner` is for the part.
    """

    def __init__(self, logits: Logits, *of_all: Any, team: Team, **named: Any) -> None:
        super().__init__(logits, *of_all, **named)
        self.team: Team = team
        self.part = team.part(len(self.s))

    @cached_property
    def logits(self) -> Logits:
        """The logits of all rows. Few terms need them: most read tables."""

        return self.team.gathered(self.own, len(self.s))

    @cached_property
    def tables(self) -> GroupTables:
        """The expected counts of the codes of all rows."""

        return self._of_all(GroupTables.expected)

    @cached_property
    def neurons(self) -> GroupTables:
        """The expected counts of each bit alone, over all rows."""

        return self._of_all(GroupTables.expected_bits)

    def moments(self, columns: Float[Tensor, "n d"]) -> Float[Tensor, "d c"]:
        """The expected sum of each column over the rows that get each code."""

        return self.team.total(moment_table(self.own, columns[self.part]))

    def decoded(self, decoder: nn.Module, generator: torch.Generator | None) -> Tensor:
        """What a decoder makes of one draw of each row. Each process decodes its part."""

        with drawing_part(self.part, len(self.s)):
            bits = straight_through(self.own, generator=generator)

        return self.team.gathered(decoder(bits), len(self.s))

    @property
    def _form(self) -> Callable[..., Batch]:
        return partial(SharedBatch, team=self.team)

    def _counted(self, groups: Tensor, k: int) -> Tensor:
        mine = joint_table(self.own, groups[self.part], k, weights=self._own_weights)

        return self.team.total(mine)

    @property
    def _own_weights(self) -> Tensor | None:
        return None if self.weights is None else self.weights[self.part]

    def _of_all(self, count: Callable[..., GroupTables]) -> GroupTables:
        """The sum over the processes of the tables of their parts."""

        strata, s = self.strata[self.part], self.s[self.part]
        mine = count(self.own, strata, s, self.n_strata, self.n_groups, weights=self._own_weights)
        numbers = torch.where(self.strata < 0, self.n_strata, self.strata)
        pairs = pair_groups(numbers, self.s, self.n_groups)
        cells = (self.n_strata + 1) * self.n_groups
        rows = torch.bincount(pairs, minlength=cells).view(-1, self.n_groups)
        if not rows[-1].any():  # in no process is there a row without a stratum
            return GroupTables(self.team.total(mine.known), None, rows, weighted=mine.weighted)
        total = self.team.total(_with_unknown(mine))

        known, unknown = total[..., :-1, :, :], total[..., -1, :, :]

        return GroupTables(known, unknown, rows, weighted=mine.weighted)


def shared_batch(
    rows: Rows, encoder: nn.Module, team: Team, chosen: Tensor | None = None
) -> Batch:
    """Some of the rows with their codes, of which each process computes a part.

    Arguments:
        rows: The rows, the same in each process.
        encoder: The encoder, with the same weights in each process.
        team: The processes.
        chosen: The numbers of the rows; None: all.
    """

    n = len(rows) if chosen is None else len(chosen)
    part = team.part(n)
    own = part if chosen is None else chosen[part]
    with drawing_part(part, n):
        mine = rows[own].batch(encoder)
    others = replace(rows, x=rows.s)  # of the other processes' rows nobody needs the features
    some = others if chosen is None else others[chosen]

    return some.coded(mine.own, partial(SharedBatch, team=team), mine.inner)


def check_shareable(encoder: nn.Module, objective: nn.Module) -> None:
    """Refuse networks whose gradient is no sum over processes.

    Raises:
        ValueError: If a network normalises over a batch.
    """

    for network in (encoder, objective):
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                raise ValueError(
                    f"{type(layer).__name__} normalises over the rows of a batch, of which each "
                    "of several processes sees a part. Use a layer that normalises each row, "
                    "such as `GroupNorm` or `LayerNorm`, or train with `devices=1`."
                )


def _with_unknown(tables: GroupTables) -> Tensor:
    """The counts with those of unknown stratum last: zeros where there are none."""

    known, unknown = tables.known, tables.unknown
    if unknown is None:
        unknown = known.new_zeros(*known.shape[:-3], *known.shape[-2:])

    return torch.cat([known, unknown.unsqueeze(-3)], -3)
