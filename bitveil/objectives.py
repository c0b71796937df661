r"""Objectives: what an encoder is trained for, and what it is charged for.

A *task* is small where the code is useful for the target `Y`; a *measure* is small where it tells
little of the sensitive attribute `S`. Both read the tables of one `Batch`, in nats (a total
variation is a probability). They meet in one of two forms:

- `Weighted`: :math:`a \cdot \text{task} + b \cdot \text{measure}`, where the person knows a
  weight; `Weighted.gamma` is the paper's form.
- `Constrained`: the best task with the measure at most a limit, where the person knows which
  leakage can be lived with. A weight on total variation moves in jumps; this does not.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.codes import all_codes
from bitveil.gradients import straight_through
from bitveil.information import (
    conditional_mutual_information,
    conditional_total_variation,
    mutual_information,
    neuron_information,
    total_variation,
)
from bitveil.shapes import Groups, Logits, Scalar
from bitveil.tables import joint_table, neuron_tables, pair_groups

__all__ = [
    "MEASURES",
    "Batch",
    "Constrained",
    "DecoderTask",
    "Objective",
    "Terms",
    "Weighted",
    "task_information",
]


class Batch:
    """Rows as an objective sees them: each table is made when a term first asks for it.

    Arguments:
        logits: The logits of the code, with shape :math:`(n, m)`.
        y: The target, from 0 to n_classes - 1, with shape :math:`(n,)`.
        s: The sensitive attribute, from 0 to n_groups - 1, with shape :math:`(n,)`.
        n_classes: The number of values of the target.
        n_groups: The number of values of the sensitive attribute.
    """

    def __init__(
        self, logits: Logits, y: Groups, s: Groups, *, n_classes: int, n_groups: int
    ) -> None:
        self.logits, self.y, self.s = logits, y, s
        self.n_classes, self.n_groups = n_classes, n_groups

    @cached_property
    def joint(self) -> Float[Tensor, "y k c"]:
        """The expected counts over (y, s, code)."""

        pairs = pair_groups(self.y, self.s, self.n_groups)
        table = joint_table(self.logits, pairs, self.n_classes * self.n_groups)

        return table.view(self.n_classes, self.n_groups, -1)

    @cached_property
    def neurons(self) -> Float[Tensor, "m k 2"]:
        """The expected counts over (s, bit), for each bit alone."""

        return neuron_tables(self.logits, self.s, self.n_groups)


Term = Callable[[Batch], Tensor]


def task_information(batch: Batch) -> Scalar:
    """The task `-I(T; Y)` in nats, exact: no decoder at all, since the best one is the table.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task_information(Batch(logits, y, s, n_classes=2, n_groups=1))  # -log 2
        tensor(-0.6931)
    """

    return -mutual_information(batch.joint.sum(1))


MEASURES: dict[str, Term] = {
    "total_variation": lambda batch: total_variation(batch.joint.sum(0)),
    "mutual_information": lambda batch: mutual_information(batch.joint.sum(0)),
    "conditional_total_variation": lambda batch: conditional_total_variation(batch.joint),
    "conditional_mutual_information": lambda batch: conditional_mutual_information(batch.joint),
    "neuron_information": lambda batch: neuron_information(batch.neurons),
}
"""What a code can be charged for. The last is the paper's, and no bound: see its docstring."""


class DecoderTask(nn.Module):
    """The cross-entropy of a decoder in nats: over all codes exactly, or at drawn bits.

    Arguments:
        decoder: A module from bits, with shape :math:`(\\dots, m)`, to the logits of the target.
        exact: Whether the expectation over all :math:`2^m` codes is taken, with no gradient noise;
            otherwise the decoder sees one draw a row, with straight-through gradients.
        generator: Where the random numbers of the draws come from.

    Example:
        >>> task = DecoderTask(nn.Linear(1, 2))
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task(Batch(logits, y, s, n_classes=2, n_groups=1)).item() > 0
        True
    """

    def __init__(
        self,
        decoder: nn.Module,
        *,
        exact: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.exact = exact
        self.generator = generator

    def forward(self, batch: Batch) -> Scalar:
        """The mean cross-entropy of the batch."""

        if not self.exact:
            bits = straight_through(batch.logits, generator=self.generator)
            return F.cross_entropy(self.decoder(bits), batch.y)

        counts = batch.joint.sum(1)
        codes = all_codes(batch.logits.shape[1], like=batch.logits)
        log_probability = self.decoder(codes).log_softmax(-1).T

        return -(counts * log_probability).sum() / batch.y.shape[0]


class Terms(NamedTuple):
    """The loss and what it is made of."""

    loss: Tensor
    task: Tensor
    measure: Tensor


class Objective(nn.Module, ABC):
    """Terms from a batch, and one number by which two encoders are compared on held-out rows."""

    def __init__(self, task: Term, measure: Term) -> None:
        super().__init__()
        self.task, self.measure = task, measure

    @abstractmethod
    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of."""

    @abstractmethod
    def merit(self, terms: Terms) -> float:
        """How bad an encoder with these terms is: less is better."""


class Weighted(Objective):
    """The sum `task_weight * task + strength * measure`.

    Arguments:
        task: A task, as `task_information` or a `DecoderTask`.
        measure: A measure, as in `MEASURES`.
        strength: The weight of the measure.
        task_weight: The weight of the task.

    Example:
        >>> objective = Weighted(task_information, MEASURES["total_variation"], strength=1.0)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> objective(Batch(logits, y, y, n_classes=2, n_groups=2)).loss  # 1 - log 2
        tensor(0.3069)
    """

    def __init__(
        self, task: Term, measure: Term, *, strength: float, task_weight: float = 1.0
    ) -> None:
        super().__init__(task, measure)
        self.strength, self.task_weight = strength, task_weight

    @classmethod
    def gamma(cls, task: Term, measure: Term, gamma: float) -> "Weighted":
        """The paper's form, `(1 - gamma) * task + gamma * measure`, with gamma from 0 to 1."""

        if not 0 <= gamma <= 1:
            raise ValueError(
                f"`gamma` expects a number from 0 to 1, got {gamma}. For a weight without an "
                "upper end use `strength`."
            )
        return cls(task, measure, strength=gamma, task_weight=1 - gamma)

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of."""

        task, measure = self.task(batch), self.measure(batch)

        return Terms(self.task_weight * task + self.strength * measure, task, measure)

    def merit(self, terms: Terms) -> float:
        """The loss itself."""

        return terms.loss.item()


class Constrained(Objective):
    r"""The best task with the measure at most a limit, as an augmented Lagrangian.

    With the violation :math:`v = \text{measure} - \text{limit}` and a multiplier
    :math:`\lambda \ge 0` the loss is

    .. math:: \text{task} + \tfrac{\rho}{2} \max(0, v + \lambda / \rho)^2 ,

    and after every batch seen in training :math:`\lambda \leftarrow \max(0, \lambda + r v)`.

    Source:
        Multiplier and gradient methods (Hestenes, 1969),
        https://doi.org/10.1007/BF00927673

    Arguments:
        task: A task, as `task_information` or a `DecoderTask`.
        measure: A measure, as in `MEASURES`.
        limit: The most that the measure may be: nats, or a probability for a total variation.
        penalty: The curvature :math:`\rho`.
        rate: The step :math:`r` of the multiplier.

    Example:
        >>> objective = Constrained(task_information, MEASURES["total_variation"], limit=0.5)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> terms = objective(Batch(logits, y, y, n_classes=2, n_groups=2))
        >>> terms.measure, objective.multiplier
        (tensor(1.), tensor(1.2500))
    """

    multiplier: Tensor

    def __init__(
        self, task: Term, measure: Term, *, limit: float, penalty: float = 5.0, rate: float = 0.5
    ) -> None:
        super().__init__(task, measure)
        self.limit, self.penalty, self.rate = limit, penalty, rate
        self.register_buffer("multiplier", torch.tensor(1.0))

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of; in training, the multiplier follows."""

        task, measure = self.task(batch), self.measure(batch)
        violation = measure - self.limit
        excess = (violation + self.multiplier / self.penalty).clamp_min(0)
        loss = task + self.penalty / 2 * excess.square()
        if self.training:
            self.multiplier = (self.multiplier + self.rate * violation.detach()).clamp_min(0)

        return Terms(loss, task, measure)

    def merit(self, terms: Terms) -> float:
        """The task, and ten times what the measure is above its limit."""

        return terms.task.item() + 10 * max(0.0, terms.measure.item() - self.limit)
