"""The one loop: batches of rows, an objective, held-out rows that say when to stop."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from bitveil.objectives import Batch, Objective, Terms
from bitveil.shapes import Groups

__all__ = ["Epoch", "History", "Rows", "train"]


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to hold out: the input, the target and the sensitive attribute.

    Attributes:
        x: What the encoder sees, with the rows first.
        y: The target, from 0 to n_classes - 1.
        s: The sensitive attribute, from 0 to n_groups - 1.
        n_classes: The number of values of the target.
        n_groups: The number of values of the sensitive attribute.
    """

    x: Tensor
    y: Groups
    s: Groups
    n_classes: int
    n_groups: int

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device) -> "Rows":
        """The same rows on another device."""

        return replace(self, x=self.x.to(device), y=self.y.to(device), s=self.s.to(device))

    def batch(self, encoder: nn.Module, rows: Tensor | slice = slice(None)) -> Batch:
        """Encode some of the rows, as an objective reads them."""

        return Batch(
            encoder(_take(self.x, rows)),
            _take(self.y, rows),
            _take(self.s, rows),
            n_classes=self.n_classes,
            n_groups=self.n_groups,
        )


def _take(tensor: Tensor, rows: Tensor | slice) -> Tensor:
    """Some of the rows; whole rows are copied faster by `index_select` than by indexing."""

    return tensor.index_select(0, rows) if isinstance(rows, Tensor) else tensor[rows]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the rows gave: means over its batches, and the held-out terms.

    Tasks and information are in nats; a total variation is a probability.
    """

    loss: float
    task: float
    measure: float
    held_out_task: float | None = None
    held_out_measure: float | None = None
    merit: float | None = None


@dataclass
class History:
    """The epochs of a training, and the one whose weights were kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1


def train(
    encoder: nn.Module,
    objective: Objective,
    rows: Rows,
    held_out: Rows | None = None,
    *,
    epochs: int = 80,
    batch_size: int = 8192,
    learning_rate: float = 0.01,
    patience: int | None = None,
    device: str = "cpu",
    generator: torch.Generator | None = None,
    after_epoch: Callable[[Epoch], None] | None = None,
) -> History:
    """Train an encoder in place, with Adam and a one-cycle learning rate.

    Batches are large: in a small one the information of near-hard bits is mostly bias. With
    held-out rows the weights of the epoch with the least merit there are kept at the end.

    Arguments:
        encoder: A module from `rows.x` to logits.
        objective: What is minimised; its own parameters (a decoder's) are trained with it.
        rows: The rows to train on.
        held_out: Rows that choose among the epochs. A certificate needs others.
        epochs: The most passes over the rows.
        batch_size: The most rows of a batch; the batches of a pass are of equal size.
        learning_rate: The highest learning rate of the cycle.
        patience: Stop after so many epochs without a better held-out merit; None: never.
        device: `"cpu"`, `"cuda"`, or any accelerator that Fabric names.
        generator: Where the order of the rows comes from.
        after_epoch: Called with every epoch, for logging or a progress bar.

    Raises:
        ValueError: If there are no rows, or patience is asked for without held-out rows.
    """

    from lightning_fabric import Fabric

    if not len(rows):
        raise ValueError("`train` expects at least one row, got none.")
    if patience is not None and held_out is None:
        raise ValueError("`patience` needs `held_out` rows to wait on, got none.")

    fabric = Fabric(accelerator=device, devices=1)
    model = nn.ModuleList([encoder, objective]).to(fabric.device)
    rows, held_out = rows.to(fabric.device), held_out and held_out.to(fabric.device)
    fused = fabric.device.type in ("cpu", "cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused)
    n_batches = -(-len(rows) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * n_batches
    )

    history, best = History(), _Best(model)
    for _ in range(epochs):
        model.train()
        sums = torch.zeros(len(Terms._fields), device=fabric.device)
        for chosen in torch.randperm(len(rows), generator=generator).chunk(n_batches):
            terms = objective(rows.batch(encoder, chosen.to(fabric.device)))
            optimizer.zero_grad()
            fabric.backward(terms.loss)
            optimizer.step()
            schedule.step()
            sums += torch.stack(terms).detach()

        history.epochs.append(_epoch(sums / n_batches, model, objective, held_out))
        best.see(history)
        if after_epoch is not None:
            after_epoch(history.epochs[-1])
        if patience is not None and len(history.epochs) - history.best > patience:
            break

    best.restore()
    model.eval().cpu()

    return history


class _Best:
    """The weights of the epoch with the least merit; without held-out rows, of the last one."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.merit = model, math.inf
        self.weights: dict[str, Tensor] | None = None

    def see(self, history: History) -> None:
        merit = history.epochs[-1].merit
        if merit is None or merit < self.merit:
            history.best = len(history.epochs) - 1
        if merit is not None and merit < self.merit:
            self.merit, self.weights = merit, deepcopy(self.model.state_dict())

    def restore(self) -> None:
        if self.weights is not None:
            self.model.load_state_dict(self.weights)


@torch.no_grad()
def _epoch(
    means: Tensor, model: nn.ModuleList, objective: Objective, held_out: Rows | None
) -> Epoch:
    """What the pass gave, and what the held-out rows say of it."""

    loss, task, measure = means.tolist()
    if held_out is None:
        return Epoch(loss, task, measure)
    model.eval()
    terms = objective(held_out.batch(model[0]))
    merit = objective.merit(terms)

    return Epoch(loss, task, measure, terms.task.item(), terms.measure.item(), merit)
