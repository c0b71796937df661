"""Teams: several processes that train one encoder, and sums over all of them.

Each process encodes its part of the rows of a batch. Whatever is a sum over rows, a table above
all, is summed over the processes, so that all of them see the loss of all rows. The gradients here
are those of :math:`\\sum_p L_p`, where :math:`L_p` is what process p differentiates: if each
differentiates its share :math:`L / P` of one loss, their gradients add up to that of L.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["LostProcessError", "Team"]


class LostProcessError(RuntimeError):
    """Another process of the training has ended, or does not answer."""


@dataclass(frozen=True)
class Team:
    """The processes of one training.

    Attributes:
        rank: The number of this process, from 0 on.
        size: How many there are.
        group: A process group of `torch.distributed`.
    """

    rank: int
    size: int
    group: Any

    def part(self, n: int) -> slice:
        """Which of n rows this process has. The parts of two processes differ by at most one row.

        Example:
            >>> [Team(rank, 2, None).part(5) for rank in range(2)]
            [slice(0, 2, None), slice(2, 5, None)]
        """

        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def total(self, mine: Tensor) -> Tensor:
        """The sum over the processes, with a gradient."""

        return _Total.apply(mine, self)

    def gathered(self, mine: Tensor, n: int) -> Tensor:
        """The n rows of all processes, each with its `part`, with a gradient."""

        return _Gathered.apply(mine, n, self)

    def add(self, mine: Tensor) -> Tensor:
        """The sum over the processes, in place and without a gradient."""

        return self._after(mine, lambda: self.group.allreduce([mine]))

    def first(self, mine: Tensor) -> Tensor:
        """The tensor of the first process, in place and without a gradient."""

        return self._after(mine, lambda: self.group.broadcast(mine, 0))

    def agrees(self, mine: Tensor) -> bool:
        """Whether all processes have the same tensor. All get the same answer."""

        differs = (self.first(mine.clone()) != mine).any().to(mine.device, torch.int64)

        return not bool(self.add(differs.reshape(1)))

    @torch.no_grad()
    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give each parameter the sum of its gradients over the processes."""

        each = [p for p in parameters if p.requires_grad]
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in each]
        sums = self.add(torch.cat(flat)).split([p.numel() for p in each])
        for parameter, total in zip(each, sums, strict=True):
            parameter.grad = total.view_as(parameter).to(parameter)

    def _after(self, tensor: Tensor, collective: Callable[[], Any]) -> Tensor:
        """The tensor, once all processes took part."""

        try:
            collective().wait()
        except RuntimeError as error:
            raise LostProcessError(
                f"Another of the {self.size} processes of this training has ended, or does not "
                "answer. Its own error says why, if it left one. Start the fit again; with a "
                "`checkpoint` it continues where it ended."
            ) from error

        return tensor


class _Total(torch.autograd.Function):
    """The sum over processes. What each process does with it adds to the gradient of all."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return team.add(mine.clone(memory_format=torch.contiguous_format))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.team.add(grad.clone(memory_format=torch.contiguous_format)), None


class _Gathered(torch.autograd.Function):
    """The rows of all processes: a sum of parts that are zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, n: int, team: Team) -> Tensor:
        ctx.team = team
        whole = mine.new_zeros(n, *mine.shape[1:])
        whole[team.part(n)] = mine
        return team.add(whole)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        whole = ctx.team.add(grad.clone(memory_format=torch.contiguous_format))
        return whole[ctx.team.part(len(whole))], None, None
