"""The training loop: batches of rows, an objective, and held-out rows that choose an epoch."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from bitveil.batches import Batch, Rows, balancing_chances
from bitveil.checkpoints import Epoch, History, TrainingState
from bitveil.checks import check_choice, check_number, check_whole
from bitveil.networks import network_digest
from bitveil.objectives import Objective, Terms
from bitveil.processes import STRATEGIES, accelerator_number, check_devices, in_team
from bitveil.quotes import quoted
from bitveil.shared_batches import check_shareable, shared_batch
from bitveil.teams import Team

__all__ = ["Epoch", "History", "Training", "train"]


class Training(BaseEstimator):
    """How an encoder is trained: the settings that most people leave as they are.

    A search over settings reaches them as `training__epochs` and so on.

    Arguments:
        epochs: The most passes over the rows; None: 80, or more where the rows are so few that 80
            passes make fewer than 160 steps.
        batch_size: The most rows of a batch. Small batches make every code look leaky. `"auto"`:
            as many as fit into 1 GiB. For a goal, a network takes smaller ones unless you set
            `epochs`: a sixteenth of the rows, but at least 1,024.
        learning_rate: The highest learning rate of the one-cycle schedule.
        patience: How many epochs to wait for a better one; None: never stop early.
        balanced: Whether every batch takes all groups equally often within each target. Use it
            where a rare group carries all the evidence. Reports and certificates still describe
            the rows as they are.
        warm_start: Whether a fit starts from the network of the fit before, and keeps its key. Not
            with a goal that is certified: the rows for certification must be new.
        hidden: The widths of the hidden layers of a perceptron.
        encoder: A network of your own from features to the logits of the bits, which is copied.
            None: a multi-layer perceptron for tables, a small convolutional network for images
            (arrays with shape (n, height, width) or (n, channels, height, width)). Its
            `StochasticBinary` layers are charged too.
        decoder: A network of your own that is trained along with the encoder. It maps bits to the
            logits of the classes, followed by the numbers. None: the table is the decoder, and a
            perceptron above 16 bits.
        engine: `"exact"` reads the table of all codes, `"sampled"` draws codes. `"auto"`: exact up
            to 16 bits, then sampled.
        device: `"cpu"`, `"cuda"`, or another accelerator's name.
        devices: How many processes train a network together, each on a part of every batch.
            `torchrun` or Ray Train starts them, or the training itself, on a CPU. Cells, the
            encoders for a goal from posterior features, are trained by one: it takes seconds.
        strategy: `"ddp"`, each process has all weights; `"auto"`: that, if `devices` is above 1.
        precision: The numbers of the network in training, as Fabric names them.
        checkpoint: A folder for the state of training after every epoch. If a fit is interrupted,
            start it again in the same way: it continues from there and ends the same. Needs a
            `random_state`. Remove the folder when the fit is done.
        after_epoch: Called with each `Epoch`, for logging, by the first process.
        verbose: 1 shows the progress.

    Example:
        >>> Training(epochs=2).get_params()["epochs"]
        2
    """

    def __init__(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | Literal["auto"] = 8192,
        learning_rate: float = 0.01,
        patience: int | None = None,
        balanced: bool = False,
        warm_start: bool = False,
        hidden: Sequence[int] = (64, 64),
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        engine: Literal["auto", "exact", "sampled"] = "auto",
        device: str = "cpu",
        devices: int = 1,
        strategy: Literal["auto", "ddp"] = "auto",
        precision: str = "32-true",
        checkpoint: str | os.PathLike[str] | None = None,
        after_epoch: Callable[[Epoch], None] | None = None,
        verbose: int = 0,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.balanced = balanced
        self.warm_start = warm_start
        self.hidden = hidden
        self.encoder = encoder
        self.decoder = decoder
        self.engine = engine
        self.device = device
        self.devices = devices
        self.strategy = strategy
        self.precision = precision
        self.checkpoint = checkpoint
        self.after_epoch = after_epoch
        self.verbose = verbose

    def check(self) -> None:
        """Refuse settings that are out of range.

        Raises:
            ValueError: If one is. The error says what was expected and what to do.
        """

        if self.epochs is not None:
            check_whole("epochs", self.epochs, 1)
        if self.batch_size != "auto":
            check_whole("batch_size", self.batch_size, 1)
        if self.patience is not None:
            check_whole("patience", self.patience, 1)
        check_number("learning_rate", self.learning_rate, above=0)
        widths = self.hidden if np.iterable(self.hidden) else [None]
        if not all(isinstance(width, int | np.integer) and width > 0 for width in widths):
            raise ValueError(
                "`hidden` expects the widths of layers, whole numbers from 1 on, as (64, 64), got "
                f"{quoted(self.hidden)}."
            )
        check_choice("engine", self.engine, ("auto", "exact", "sampled"))
        check_whole("devices", self.devices, 1)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_devices(self.devices, self.strategy)
        if not isinstance(self.balanced, bool | np.bool_):
            raise ValueError(f"`balanced` expects True or False, got {quoted(self.balanced)}.")

    def train(
        self,
        encoder: nn.Module,
        objective: Objective,
        rows: Rows,
        held_out: Rows,
        *,
        name: str,
        epochs: int,
        batch_size: int,
        generator: torch.Generator,
        after_epoch: Callable[[Epoch], None],
    ) -> History:
        """Train an encoder with these settings: see the function `train`.

        Arguments:
            encoder: The encoder, which is trained in place.
            objective: What is minimised.
            rows: The rows to train on.
            held_out: Rows that choose among the epochs.
            name: The name of this training, for its checkpoint.
            epochs: The most passes over the rows.
            batch_size: The most rows of a batch.
            generator: The source of the order of the rows.
            after_epoch: Called with every epoch.
        """

        return train(
            encoder,
            objective,
            rows,
            held_out,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            device=self.device,
            devices=self.devices,
            precision=self.precision,
            chances=balancing_chances(rows) if self.balanced else None,
            generator=generator,
            after_epoch=after_epoch,
            checkpoint=self.checkpoint and Path(self.checkpoint) / f"{name}.pt",
        )

    def limited_batch(self, n: int, most: int) -> int:
        """The rows of a batch under a falling limit, which takes more steps than a weight does.

        They make 1,280 steps of 80 passes over n rows, but are no fewer than 1,024, since small
        batches make every code look leaky. Whoever sets `epochs` gets the batches asked for.
        """

        return most if self.epochs is not None else min(most, max(1024, n // 16))

    def n_epochs(self, n: int, batch_size: int) -> int:
        """How many passes over n rows: those asked for, or 80 and no fewer than 160 steps."""

        return self.epochs or max(80, -(-160 // -(-n // batch_size)))


@in_team
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
    devices: int = 1,
    precision: str = "32-true",
    chances: Tensor | None = None,
    generator: torch.Generator | None = None,
    after_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    team: Team | None = None,
) -> History:
    """Train an encoder in place, with Adam and a one-cycle learning rate.

    Batches are large, because the information measured in a small one is mostly bias where bits
    are nearly certain. With held-out rows, training ends with the weights of the epoch whose merit
    is lowest on them.

    Arguments:
        encoder: A module from `rows.x` to logits.
        objective: The objective to minimise. Its own parameters (a decoder) are trained too.
        rows: The rows to train on.
        held_out: Rows that choose among the epochs. A certificate needs other rows.
        epochs: The most passes over the rows.
        batch_size: The most rows of a batch. All batches of a pass have the same size, or the last
            is smaller.
        learning_rate: The highest learning rate of the cycle.
        patience: Stop after this many epochs without a better merit on held-out rows; None:
            never.
        device: `"cpu"`, `"cuda"`, or any other accelerator of Fabric.
        devices: How many processes train together: see `bitveil.processes`.
        precision: A precision of Fabric for the encoder: `"32-true"`, `"64-true"` or
            `"bf16-mixed"`. Tables have single precision at least.
        chances: How often to take each row in a pass, relative to others, for example from
            `balancing_chances`; None: each once. A pass is equally long either way.
        generator: The source of the order of the rows.
        after_epoch: Called with every epoch, for logging or a progress bar.
        checkpoint: A file to write after every epoch. If it exists already, training continues
            from it, and ends with the same weights as without an interruption. The generator and
            all settings have to be the same.
        team: The processes that train together; None: they are joined or started.

    Raises:
        ValueError: If there are no rows, if `patience` comes without held-out rows, if the chances
            are invalid, if the checkpoint is from another training, or if several processes
            cannot train this together.
        LostProcessError: If another process ends before the training.
    """

    if not len(rows):
        raise ValueError("`train` expects at least one row, got none.")
    if patience is not None and held_out is None:
        raise ValueError("`patience` needs `held_out` rows, got none.")
    if chances is not None:
        _check_chances(chances, len(rows))
    if team is not None:
        check_shareable(encoder, objective)
        if generator is None:
            raise ValueError("`devices` above 1 needs a `generator`, the same in every process.")

    first = team is None or team.rank == 0
    fabric = _fabric(device, precision, 0 if team is None else accelerator_number())
    model = nn.ModuleList([encoder, objective]).to(fabric.device)
    plain = precision == "32-true"  # then there is nothing to convert, and no need of Fabric
    run = encoder if plain else fabric.setup_module(encoder)
    backward = Tensor.backward if plain else fabric.backward
    rows, held_out = rows.to(fabric.device), held_out and held_out.to(fabric.device)
    fused = fabric.device.type in ("cpu", "cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused)
    n_batches = -(-len(rows) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * n_batches
    )

    state = TrainingState(model, optimizer, schedule, generator, checkpoint, writes=first)
    _check_same_work(team, model, rows, generator)
    history = state.history
    while len(history.epochs) < epochs and not _waited(history, patience):
        model.train()
        sums = torch.zeros(len(Terms._fields), device=fabric.device)
        for chosen in _order_of_pass(len(rows), chances, generator).chunk(n_batches):
            objective.progress = schedule.last_epoch / (epochs * n_batches)
            terms = objective(_batch(rows, run, team, chosen.to(fabric.device)))
            optimizer.zero_grad()
            if team is None:
                backward(terms.loss)
            else:
                backward(terms.loss / team.size)
                team.add_gradients(model.parameters())
            optimizer.step()
            schedule.step()
            sums += torch.stack(terms).detach()

        model.eval()
        state.see(_epoch(sums / n_batches, run, objective, held_out, team))
        if after_epoch is not None and first:
            after_epoch(history.epochs[-1])

    state.restore()
    _make_alike(team, model, generator)
    model.eval().cpu()

    return history


@cache
def _fabric(device: str, precision: Any, number: int) -> Any:
    """Fabric for one device. Each new one reads the entry points of all installed packages."""

    from lightning_fabric import Fabric

    devices = [number] if number and device != "cpu" else 1

    return Fabric(accelerator=device, devices=devices, precision=precision)


def _order_of_pass(n: int, chances: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """The rows of a pass in random order: each once, or in proportion to its chances.

    The expected number of times of each row is rounded down or up at random.
    """

    order = torch.randperm(n, generator=generator)
    if chances is None:
        return order
    stops = chances.double().cpu()[order].cumsum(0)
    points = (torch.arange(n) + torch.rand(1, generator=generator).double()) * (stops[-1] / n)
    taken = order[torch.searchsorted(stops, points, right=True).clamp_max(n - 1)]

    return taken[torch.randperm(n, generator=generator)]


def _check_chances(chances: Tensor, n: int) -> None:
    good = chances.shape == (n,) and bool(chances.isfinite().all())
    if not good or not (chances >= 0).all() or not (chances > 0).any():
        raise ValueError(
            f"`chances` expects a number of at least 0 for each of the {n} rows, not all 0, got a "
            f"tensor of shape {tuple(chances.shape)}. See `balancing_chances`."
        )


def _waited(history: History, patience: int | None) -> bool:
    return patience is not None and len(history.epochs) - 1 - history.best >= patience


def _batch(rows: Rows, encoder: nn.Module, team: Team | None, chosen: Tensor | None) -> Batch:
    if team is not None:
        return shared_batch(rows, encoder, team, chosen)

    return rows.batch(encoder) if chosen is None else rows.batch(encoder, chosen)


@torch.no_grad()
def _epoch(
    means: Tensor,
    encoder: nn.Module,
    objective: Objective,
    held_out: Rows | None,
    team: Team | None,
) -> Epoch:
    """The epoch of a pass: its means, and the terms on held-out rows."""

    loss, task, measure = means.tolist()
    if held_out is None:
        return Epoch(loss, task, measure)
    terms = objective(_batch(held_out, encoder, team, None))
    epoch = Epoch(
        loss, task, measure, terms.task.item(), terms.measure.item(), objective.merit(terms)
    )
    if team is None:
        return epoch
    numbers = torch.tensor(astuple(epoch), dtype=torch.float64, device=means.device)

    return Epoch(*team.first(numbers).tolist())  # all processes keep the same epoch


def _check_same_work(
    team: Team | None, model: nn.Module, rows: Rows, generator: torch.Generator | None
) -> None:
    """Refuse processes with other weights, rows or random numbers: their sums mean nothing."""

    if team is None or generator is None:
        return
    content = hashlib.sha256(network_digest(model))
    for part in (rows.x, rows.s, rows.strata, rows.labels, generator.get_state()):
        content.update(part.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest = torch.tensor(list(content.digest()), device=rows.x.device)
    if not team.agrees(digest):
        raise ValueError(
            "The processes of a training expect the same rows, settings and random numbers, and "
            "got different ones. Give every process the same data and the same `random_state`."
        )


def _make_alike(team: Team | None, model: nn.Module, generator: torch.Generator | None) -> None:
    """Give every process the weights of the first, which rounding may have moved apart."""

    if team is None or generator is None:
        return
    for tensor in model.state_dict().values():
        team.first(tensor)
    if not team.agrees(generator.get_state().to(tensor.device)):
        raise RuntimeError(
            "The processes of a training took different numbers of random draws, so that their "
            "batches were not the same. Let a network of your own draw from another generator."
        )
