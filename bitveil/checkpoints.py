"""Checkpoints: the epochs of a training, and its state, kept in a file to continue from."""

import math
import os
from copy import deepcopy
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Epoch", "History", "TrainingState"]


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the rows: means over its batches, and terms on held-out rows.

    Tasks and informations are in nats, and distances between groups are probabilities.
    """

    loss: float
    task: float
    measure: float
    held_out_task: float | None = None
    held_out_measure: float | None = None
    merit: float | None = None


@dataclass
class History:
    """The epochs of a training, and which one had the weights that were kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1


class TrainingState:
    """The state of a training: all that is needed to continue, and the best weights so far.

    The best weights are those of the epoch with the lowest merit, or of the last epoch if there
    are no held-out rows.

    Arguments:
        model: What is trained, encoder and objective.
        optimizer: The optimiser.
        schedule: The learning rates.
        generator: The source of the order of the rows.
        checkpoint: The file, from which the training continues if it exists; None: no file.
        writes: Whether this process writes the file.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        generator: torch.Generator | None,
        checkpoint: str | os.PathLike[str] | None,
        *,
        writes: bool = True,
    ) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.generator, self.writes = generator, writes
        self.file = None if checkpoint is None else Path(checkpoint)
        self.history, self.merit = History(), math.inf
        self.weights: dict[str, Tensor] | None = None
        if self.file is not None and self.file.is_file():
            self._go_on(_kept(self.file, self._content()))

    def see(self, epoch: Epoch) -> None:
        """Add an epoch, keep its weights if they are the best, and write the file."""

        self.history.epochs.append(epoch)
        if epoch.merit is None or epoch.merit < self.merit:
            self.history.best = len(self.history.epochs) - 1
        if epoch.merit is not None and epoch.merit < self.merit:
            self.merit, self.weights = epoch.merit, deepcopy(self.model.state_dict())
        if self.file is not None and self.writes:
            self._keep(self.file)

    def restore(self) -> None:
        """Give the model the best weights."""

        if self.weights is not None:
            self.model.load_state_dict(self.weights)

    def _keep(self, file: Path) -> None:
        """Write a new file, then rename it, so that a killed process leaves a complete file."""

        aside = file.with_suffix(".part")
        torch.save(self._content(), aside)
        os.replace(aside, file)

    def _content(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": None if self.generator is None else self.generator.get_state(),
            "epochs": [astuple(epoch) for epoch in self.history.epochs],
            "best": self.history.best,
            "merit": self.merit,
            "weights": self.weights,
        }

    def _go_on(self, kept: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(kept["model"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.schedule.load_state_dict(kept["schedule"])
            if self.generator is not None:
                self.generator.set_state(kept["generator"])
            self.history.epochs[:] = [Epoch(*epoch) for epoch in kept["epochs"]]
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"The checkpoint {self.file} is from another training ({error}). Remove it, or "
                "name another file."
            ) from error
        self.history.best, self.merit = kept["best"], kept["merit"]
        self.weights = kept["weights"]


def _kept(file: Path, like: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint, with the same parts as this training.

    Raises:
        ValueError: If it is damaged, no checkpoint, or from another training.
    """

    try:
        kept = torch.load(file, weights_only=True)
    except Exception as error:  # torch, zipfile and pickle raise errors of their own
        short = str(error).partition("\n")[0]
        raise ValueError(
            f"The checkpoint {file} is damaged, or no checkpoint, and cannot be read "
            f"({type(error).__name__}: {short}). Remove it to train from the beginning."
        ) from error
    if not isinstance(kept, dict) or set(kept) != set(like) or not _whole(kept, like):
        raise ValueError(
            f"The checkpoint {file} is damaged, or from another training: its parts do not match "
            "this one. Remove it to train from the beginning."
        )

    return kept


def _whole(kept: dict[str, Any], like: dict[str, Any]) -> bool:
    """Whether the parts of a checkpoint look like those that a training writes."""

    epochs, weights = kept["epochs"], kept["weights"]

    return (
        isinstance(epochs, list)
        and all(isinstance(epoch, tuple) for epoch in epochs)
        and all(x is None or isinstance(x, float) for epoch in epochs for x in epoch)
        and isinstance(kept["best"], int)
        and -1 <= kept["best"] < len(epochs)
        and isinstance(kept["merit"], float)
        and isinstance(kept["schedule"], dict)
        and isinstance(kept["optimizer"], dict)
        and set(kept["schedule"]) == set(like["schedule"])
        and set(kept["optimizer"]) == set(like["optimizer"])
        and (weights is None or _alike(weights, kept["model"]))
    )


def _alike(one: Any, other: Any) -> bool:
    """Whether two states have the same names, with tensors of the same shapes."""

    states = [state for state in (one, other) if isinstance(state, dict)]
    shapes = [{n: getattr(t, "shape", None) for n, t in state.items()} for state in states]

    return len(shapes) == 2 and shapes[0] == shapes[1]
