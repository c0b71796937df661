"""Trainers: how an encoder is trained for a weight or a limit, and what some rows say about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from bitveil.batches import Batch, Rows
from bitveil.best_cells import STEPS, best_cells
from bitveil.cells import PosteriorColumns
from bitveil.entropies import group_entropy
from bitveil.finite_samples import resized_variation
from bitveil.goals import Limit, Weight
from bitveil.layers import stochastic_layers
from bitveil.measures import Measure
from bitveil.objectives import Constrained, Objective, Weighted
from bitveil.steps import say_step
from bitveil.tasks import DecoderTask, Term, explained, task_information
from bitveil.training import Epoch, History, Training

__all__ = ["Candidate", "CellTrainer", "Step", "Trainer"]

_OF_CLASSES, _OF_NUMBER = 4, 8
"""The cells for each probability, and for each number, that is a target's posterior. Six for a
probability tell a tenth more, but look leakier on some thousand rows, which costs more than that
where the goal is tight. Four for a number explain a tenth less of its variance."""


@dataclass(frozen=True)
class Step:
    """One encoder that was trained, as the rows for selection see it.

    Attributes:
        limit: The limit that it was trained for, or None where a weight was given.
        strength: The weight of the measure, or None where a limit was given.
        information: What its codes tell about the target, in nats. For several targets it is the
            sum over them, and for numbers the value that Gaussian numbers would have. It can be
            more than a code can hold where targets depend on each other, or where numbers are
            really categories.
        measure: What its codes were charged for.
        gap: The total variation of the groups' codes by the criterion, or, where an information
            is asked for, one less their overlap. Of cells, if rows have names, it is that which
            the rows for certification will probably show.
        score: The accuracy of the best classifier of the codes for the first target, or the share
            of variance explained; None where there is neither a target nor a number to restore.
        certified: Whether it passed the rows for certification for every row; None where there
            are none, or where it was not tested.
        usefulness: How much better its codes do the task than a code that says nothing.
        constant: The score of a code that says nothing; None where there is no score.
    """

    limit: float | None
    strength: float | None
    information: float
    measure: float
    gap: float
    score: float | None = None
    certified: bool | None = None
    usefulness: float = 0.0
    constant: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A trained encoder, its task (with a decoder, if any), its training and its scores."""

    encoder: nn.Module
    task: Term
    history: History
    step: Step


@dataclass(frozen=True)
class Trainer:
    """How encoders are trained. What is asked of each, and the rows, come with the call.

    Attributes:
        network: Makes an encoder, from a generator of its weights.
        task: Makes the task, from the same generator.
        measure: What the code is charged for.
        gap: The measure that orders the encoders.
        training: The settings of the training.
        epochs: The most passes over the rows.
        batch_size: The most rows of a batch.
        seed: The seed of the weights, of the order of the rows, and of draws.
        scored: Whether a step gets a score: not where every column is a target.
    """

    network: Callable[[torch.Generator], nn.Module]
    task: Callable[[torch.Generator], Term]
    measure: Measure
    gap: Measure
    training: Training
    epochs: int
    batch_size: int
    seed: int
    scored: bool = True

    def __call__(self, asked: Weight | Limit, fit: Rows, select: Rows) -> Candidate:
        """Train an encoder, and judge it by the rows for selection."""

        generator = torch.Generator().manual_seed(self.seed)
        encoder = self.network(generator)
        for layer in stochastic_layers(encoder):
            layer.generator = generator
        task = self.task(generator)
        objective = asked(task, replace(self.measure, generator=generator))
        history = self._train(encoder, objective, asked, fit, select, generator)

        # Double precision from here on: a bit must not depend on the rows that stand beside it.
        encoder.double()
        if isinstance(task, nn.Module):
            task.double()

        gap = replace(self.gap, generator=torch.Generator().manual_seed(self.seed))
        step = _judged(objective, encoder, gap, _double(fit), _double(select))
        if not self.scored:
            step = replace(step, score=None, constant=None)

        return Candidate(encoder, task, history, step)

    @property
    def forms(self) -> "list[Trainer]":
        """The same trainer: networks have one form."""

        return [self]

    def _train(
        self,
        encoder: nn.Module,
        objective: Objective,
        asked: Weight | Limit,
        fit: Rows,
        select: Rows,
        generator: torch.Generator,
    ) -> History:
        with _progress(objective, self.epochs, self.training) as after_epoch:
            return self.training.train(
                encoder,
                objective,
                fit,
                select,
                name=str(asked),
                epochs=self.epochs,
                batch_size=self.batch_size,
                generator=generator,
                after_epoch=after_epoch,
            )


@dataclass(frozen=True)
class CellTrainer:
    """How cells are made. What is asked of each code, and the rows, come with the call.

    Attributes:
        columns: What the features mean.
        n_bits: The number of bits of a code.
        task: What a code is useful for.
        measure: What the code is charged for, which also orders the encoders.
        training: The settings of the training, of which callbacks and progress count.
        seed: The seed of the first cells.
        held_out: How many rows certify for each row that judges. The fewer they are, the larger is
            the gap that they will show.
        halvings: How often the number of cells is halved. There are two for each column of the
            targets at least, if there are codes enough.
    """

    columns: PosteriorColumns
    n_bits: int
    task: Term
    measure: Measure
    training: Training
    seed: int
    held_out: float = 1.0
    halvings: int = 0

    @property
    def forms(self) -> "list[CellTrainer]":
        """Fewer cells too: they tell less, and show a smaller gap."""

        forms: dict[int, CellTrainer] = {}
        for halvings in range(3):
            form = replace(self, halvings=halvings)
            forms.setdefault(form.n_cells, form)

        return [*forms.values()]

    @property
    def n_cells(self) -> int:
        """The most cells of a code."""

        of_classes, of_number = (max(2, n >> self.halvings) for n in (_OF_CLASSES, _OF_NUMBER))
        chances = int(self.columns.odds[: self.columns.n_free].sum())
        wanted = chances * of_classes + (self.columns.n_free - chances) * of_number

        return min(2**self.n_bits, wanted)

    def __call__(self, asked: Weight | Limit, fit: Rows, select: Rows) -> Candidate:
        """Make cells, and judge them.

        They are made from posteriors that are out of fold, and from no label. So the labels of all
        rows may judge them.
        """

        rows, objective = _double(fit).joined(_double(select)), asked(self.task, self.measure)
        assert isinstance(objective, Constrained)
        with _progress(objective, STEPS, self.training) as after_epoch:
            cells, history = best_cells(
                rows,
                self.columns,
                objective,
                n_cells=self.n_cells,
                n_bits=self.n_bits,
                generator=torch.Generator().manual_seed(self.seed),
                after_epoch=after_epoch,
            )
        step = _judged(objective, cells, self.measure, rows, rows)
        if self.measure.reading == "total_variation":
            step = replace(step, gap=self._gap(rows.batch(cells)))

        return Candidate(cells, self.task, history, step)

    def _gap(self, batch: Batch) -> float:
        """The gap that the rows for certification will probably show."""

        tables = batch.tables.compared(self.measure.criterion, self.measure.positive)

        return resized_variation(tables, self.held_out).amax().item()


@torch.no_grad()
def _judged(
    objective: Objective, encoder: nn.Module, gap: Measure, fit: Rows, select: Rows
) -> Step:
    """An encoder as some rows see it, with a classifier from the rows to fit."""

    known, batch, term = fit.batch(encoder), select.batch(encoder), objective.task
    task, measure = term(batch).item(), objective.measures(batch)
    nothing = _without_code(batch)
    if isinstance(term, DecoderTask):
        worst = _target_entropy(select) / term.n_columns
    else:
        worst = term(nothing).item()

    return Step(
        limit=objective.limit if isinstance(objective, Constrained) else None,
        strength=objective.strength if isinstance(objective, Weighted) else None,
        information=_told(term, batch, worst - task),
        measure=(measure.sum() if isinstance(objective, Weighted) else measure.amax()).item(),
        gap=gap(batch).item(),
        score=_score(term, known, batch),
        usefulness=worst - task,
        constant=_score(task_information, _without_code(known), nothing),
    )


def _without_code(batch: Batch) -> Batch:
    """The same rows with one code for all."""

    return batch.at(torch.full_like(batch.logits[:, :1], -200.0))


def _told(term: Term, batch: Batch, usefulness: float) -> float:
    """What the codes tell about the targets, or about their row where there are none."""

    if isinstance(term, DecoderTask):
        return usefulness * term.n_columns
    if not batch.targets and batch.values is None:
        return usefulness

    return -task_information(batch).item()


def _double(rows: Rows) -> Rows:
    return replace(rows, x=rows.x.double())


def _target_entropy(rows: Rows) -> float:
    """The entropy of the targets with classes: the most that a code could tell about them."""

    weights = torch.ones(len(rows)) if rows.weights is None else rows.weights
    known = [(column[column >= 0], weights[column >= 0].double()) for column in rows.labels.T]

    return sum(group_entropy(torch.bincount(*one).unsqueeze(-1)).item() for one in known)


def _score(task: Term, fit: Batch, select: Batch) -> float | None:
    """The score for the first target of the best classifier by the rows to fit, on others."""

    if isinstance(task, DecoderTask) and not task.exact:
        return task.score(select)
    if select.targets:
        counted, seen = fit.targets[0], select.targets[0]
        right = seen.gather(0, counted.argmax(0, keepdim=True)).sum() / seen.sum()
        return right.item() if len(seen) > 1 else None

    return None if select.values is None else explained(select).mean().item()


@contextmanager
def _progress(
    objective: Objective, epochs: int, training: Training
) -> Iterator[Callable[[Epoch], None]]:
    """Show a progress bar on the error stream if asked, and tell who listens or wants a call."""

    from rich.console import Console
    from rich.progress import Progress

    limit = objective.limit if isinstance(objective, Constrained) else None
    label = "training" if limit is None else f"training for a limit of {limit:.3g}"
    console = Console(stderr=True)
    hidden = not training.verbose or not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(label, total=epochs)

        def after_epoch(epoch: Epoch) -> None:
            progress.advance(task)
            n = min(epochs, round(progress.tasks[0].completed))  # cells may repeat the last
            say_step(f"{label}: {n} of {epochs} epochs done")
            if training.after_epoch is not None:
                training.after_epoch(epoch)

        yield after_epoch
