r"""Objectives: how a task and a measure make one loss.

A task is small where the code is useful for its targets. A measure is small where the code reveals
little of the sensitive attribute. There are two forms:

- `Weighted`: :math:`a \cdot \text{task} + b \cdot \text{measure}`, for a known weight;
  `Weighted.gamma` is the paper's form.
- `Constrained`: the best task with the measure at most a limit, for a known limit. A weight on
  total variation makes the code jump from one leakage to another; a limit does not.
"""

from abc import ABC, abstractmethod
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.batches import Batch
from bitveil.measures import Measure
from bitveil.tasks import Term

__all__ = ["Constrained", "Objective", "Terms", "Weighted"]


class Terms(NamedTuple):
    """The loss and its parts."""

    loss: Tensor
    task: Tensor
    measure: Tensor


class Objective(nn.Module, ABC):
    """Terms from a batch, and one number that compares two encoders on held-out rows."""

    def __init__(self, task: Term, measure: Term) -> None:
        super().__init__()
        self.task, self.measure = task, measure
        self.progress = 1.0  # the share of the training that is over; the loop sets it

    def measures(self, batch: Batch) -> Float[Tensor, " layers"]:
        """The measure of the code, and of every stochastic layer before it."""

        return torch.stack(self._each(batch))

    def noise(self, batch: Batch) -> Float[Tensor, " layers"]:
        """How much of each measure is the noise of few rows, where the measure can tell."""

        if not isinstance(self.measure, Measure):
            return torch.zeros_like(self.measures(batch))
        return torch.stack([self.measure.noise(code) for code in _layers(batch)])

    @abstractmethod
    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and its parts."""

    @abstractmethod
    def merit(self, terms: Terms) -> float:
        """How bad an encoder with these terms is. Less is better."""

    def _each(self, batch: Batch) -> list[Tensor]:
        return [self.measure(code) for code in _layers(batch)]


def _layers(batch: Batch) -> list[Batch]:
    """Batches of the code, and of the stochastic layers before it."""

    return [batch, *(batch.at(logits) for logits in batch.inner)]


class Weighted(Objective):
    """The sum `task_weight * task + strength * measure`.

    A large weight from the start ends in a code that says nothing, and no gradient leads away from
    it, although other codes are useful and reveal nothing. In training the weight therefore grows
    by a factor of 1000 over the first half. On held-out rows, which compare epochs, only the part
    of the measure above its noise counts.

    Arguments:
        task: A task, such as `task_information` or a `DecoderTask`.
        measure: A measure, such as `Measure("total_variation")`.
        strength: The weight of the measure.
        task_weight: The weight of the task.
        ramp: Whether the weight grows in training. Otherwise it is constant.

    Example:
        >>> from bitveil.tasks import task_information
        >>> objective = Weighted(task_information, Measure("total_variation"), strength=1.0)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> objective(Batch.of_target(logits, y, y, n_classes=2, n_groups=2)).loss  # 1 - log 2
        tensor(0.3069)
    """

    def __init__(
        self,
        task: Term,
        measure: Term,
        *,
        strength: float,
        task_weight: float = 1.0,
        ramp: bool = True,
    ) -> None:
        super().__init__(task, measure)
        self.strength, self.task_weight, self.ramp = strength, task_weight, ramp

    @classmethod
    def gamma(cls, task: Term, measure: Term, gamma: float) -> "Weighted":
        """The paper's form, `(1 - gamma) * task + gamma * measure`, with gamma from 0 to 1."""

        if not 0 <= gamma <= 1:
            raise ValueError(
                f"`gamma` expects a number from 0 to 1, got {gamma}. For a larger weight use "
                "`strength`."
            )
        return cls(task, measure, strength=gamma, task_weight=1 - gamma)

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and its parts."""

        task, measures = self.task(batch), self._each(batch)
        measure, weight = sum(measures[1:], measures[0]), self.strength
        charged = measure
        if not self.training:
            charged = (torch.stack(measures) - self.noise(batch)).clamp_min(0).sum()
        elif self.ramp:
            weight *= 10 ** min(0.0, 6 * self.progress - 3)

        return Terms(self.task_weight * task + weight * charged, task, measure)

    def merit(self, terms: Terms) -> float:
        """The loss itself."""

        return terms.loss.item()


class Constrained(Objective):
    r"""The best task with the measure at most a limit, as an augmented Lagrangian.

    With the violation :math:`v = (\text{measure} - \text{limit}) / \text{scale}` and a multiplier
    :math:`\lambda \ge 0` the loss is

    .. math:: \text{task} + w \tfrac{\rho}{2} \max(0, v + \lambda / \rho)^2 ,

    and after every training batch :math:`\lambda \leftarrow \max(0, \lambda + r v)`. The worth w
    is 1 up to a task of a quarter of a nat, and then grows in proportion to the task. Otherwise a
    target with much information would pay for any violation.

    Under a strict limit from the first step many codes collapse. With a `start` the limit falls
    from there by equal ratios over the first half of the training.

    Source:
        Multiplier and gradient methods (Hestenes, 1969),
        https://doi.org/10.1007/BF00927673

    Arguments:
        task: A task, such as `task_information` or a `DecoderTask`.
        measure: A measure, such as `Measure("total_variation")`.
        limit: The largest value allowed for the measure.
        scale: The divisor of a violation. Measures of order 1 need none. An information falls with
            the square of the gap, and needs twice the root of its limit.
        penalty: The curvature :math:`\rho`.
        rate: The step :math:`r` of the multiplier.
        start: The limit at the start of a training; None, or below the limit: it is constant.

    Example:
        >>> from bitveil.tasks import task_information
        >>> objective = Constrained(task_information, Measure("total_variation"), limit=0.5)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> terms = objective(Batch.of_target(logits, y, y, n_classes=2, n_groups=2))
        >>> terms.measure, objective.multiplier
        (tensor(1.), tensor(1.2500))
    """

    multiplier: Tensor

    def __init__(
        self,
        task: Term,
        measure: Term,
        *,
        limit: float,
        scale: float = 1.0,
        penalty: float = 5.0,
        rate: float = 0.5,
        start: float | None = None,
    ) -> None:
        super().__init__(task, measure)
        self.limit, self.scale, self.penalty, self.rate = limit, scale, penalty, rate
        self.start = limit if start is None else max(start, limit)
        self.register_buffer("multiplier", torch.tensor(1.0))

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and its parts. In training the multiplier is updated."""

        task, measure = self.task(batch), reduce(torch.maximum, self._each(batch))
        violation = (measure - self._limit_now()) / self.scale
        excess = (violation + self.multiplier / self.penalty).clamp_min(0)
        loss = task + _worth(task) * self.penalty / 2 * excess.square()
        if self.training:
            self.multiplier = (self.multiplier + self.rate * violation.detach()).clamp_min(0)

        return Terms(loss, task, measure)

    def _limit_now(self) -> float:
        """The limit at this moment of a training; outside of a training the limit itself."""

        if not self.training or self.start == self.limit:
            return self.limit

        return self.start * (self.limit / self.start) ** min(1.0, 2 * self.progress)

    def merit(self, terms: Terms) -> float:
        """The task, plus ten times its worth for each unit above the limit."""

        excess = max(0.0, terms.measure.item() - self.limit) / self.scale

        return terms.task.item() + 10 * _worth(terms.task).item() * excess


def _worth(task: Tensor) -> Tensor:
    return (4 * task.detach().abs()).clamp_min(1)
