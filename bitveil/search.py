"""Search: encoders for a goal, from the safest to the most useful, and the one that passes.

The search has three steps, each on rows of its own. It trains encoders for smaller and smaller
gaps, with a limit on the measure. The rows for selection order them, from the safest to the most
useful. The rows for certification test them in this order, up to the first that fails, and the
most useful encoder that passed is chosen. Its measured gap may come as close to the goal as these
rows allow, and the number of encoders costs nothing (`certificates.certify_sequence`).
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from bitveil.batches import Batch, Rows
from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.sequence import certify_sequence
from bitveil.certificates.upper import Certificate
from bitveil.entropies import group_entropy
from bitveil.goals import Goal, Limit, Weight
from bitveil.group_tables import GroupTables
from bitveil.layers import stochastic_layers
from bitveil.measures import MEASURES, Measure
from bitveil.objectives import Constrained, Objective, Weighted
from bitveil.tasks import DecoderTask, Term, explained
from bitveil.training import Epoch, History, Training
from bitveil.workers import run

__all__ = ["Candidate", "Step", "Trainer", "search"]

LADDER = (1.1, 1.0, 0.9, 0.75, 0.55, 0.35)
"""The gaps to train for, as shares of the headroom. The first is above 1, because the gap may turn
out smaller on the rows for certification than on others. The last is far below, because it may
also turn out larger."""


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
            is asked for, one less their overlap.
        score: The accuracy of the best classifier of the codes for the first target, or the share
            of variance explained; None without a target.
        certified: Whether it passed the rows for certification; None where there are none.
    """

    limit: float | None
    strength: float | None
    information: float
    measure: float
    gap: float
    score: float | None = None
    certified: bool | None = None


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
    """

    network: Callable[[torch.Generator], nn.Module]
    task: Callable[[torch.Generator], Term]
    measure: Measure
    gap: Measure
    training: Training
    epochs: int
    batch_size: int
    seed: int

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

        return Candidate(encoder, task, history, self._step(objective, encoder, fit, select))

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

    @torch.no_grad()
    def _step(self, objective: Objective, encoder: nn.Module, fit: Rows, select: Rows) -> Step:
        batch = _double(select).batch(encoder)
        generator = torch.Generator().manual_seed(self.seed)
        gap = replace(self.gap, generator=generator)(batch).item()
        task, measure = objective.task(batch), objective.measures(batch)
        told = _target_entropy(select) if isinstance(objective.task, DecoderTask) else 0.0

        return Step(
            limit=objective.limit if isinstance(objective, Constrained) else None,
            strength=objective.strength if isinstance(objective, Weighted) else None,
            information=told - task.item(),
            measure=(measure.sum() if isinstance(objective, Weighted) else measure.amax()).item(),
            gap=gap,
            score=_score(objective.task, _double(fit).batch(encoder), batch),
        )


def search(
    trainer: Trainer,
    goal: Goal,
    fit: Rows,
    select: Rows,
    held_out: Callable[[nn.Module], GroupTables],
    *,
    rows: GroupTables,
    draws: str = "soft",
    drawn: Callable[[nn.Module], GroupTables] | None = None,
    n_jobs: int | None = None,
) -> tuple[Candidate, Certificate, list[Step]]:
    """Find the most useful encoder that the rows for certification pass.

    Arguments:
        trainer: How encoders are trained.
        goal: What must be certified.
        fit: The rows to train on.
        select: The rows that order the encoders, and that choose among those that passed.
        held_out: Counts the codes that an encoder gives to the rows for certification.
        rows: Tables of the rows for certification, of which only the numbers of rows are read.
        draws: What `held_out` counts: `"soft"` (expected) or `"hard"` (drawn) codes.
        drawn: Counts the drawn codes of the rows for selection. They order the encoders where
            drawn codes are certified. None: expected counts order them.
        n_jobs: How many encoders are trained at once; None: one.

    Returns:
        The encoder, its certificate, and a step for every encoder that was trained.

    Raises:
        UncertifiableError: If no encoder passes.
    """

    headroom = goal.headroom(rows, draws=draws)
    limits = _limits(trainer, goal, headroom, fit, select)
    candidates = run([partial(trainer, limit, fit, select) for limit in limits], n_jobs)
    if draws == "hard" and drawn is not None:
        candidates = [_as_drawn(candidate, goal, drawn) for candidate in candidates]
    candidates.sort(key=lambda candidate: candidate.step.gap)
    tables = [held_out(candidate.encoder) for candidate in candidates]
    passed = certify_sequence(tables, goal.limit, goal.limited, delta=goal.delta, draws=draws)
    if not passed:
        safest = goal.certify(tables[0], draws=draws)
        raise UncertifiableError(_refusal(goal, headroom, safest, candidates[0].step.gap))
    chosen = max(range(len(passed)), key=lambda number: candidates[number].step.information)
    path = [
        replace(candidate.step, certified=number < len(passed))
        for number, candidate in enumerate(candidates)
    ]

    return candidates[chosen], passed[chosen], path


def _as_drawn(
    candidate: Candidate, goal: Goal, drawn: Callable[[nn.Module], GroupTables]
) -> Candidate:
    """The same encoder with the gap of its drawn codes, which are what is published."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many codes matter for the bound, not for this order
        gap = goal.certify(drawn(candidate.encoder), draws="hard").estimate

    return replace(candidate, step=replace(candidate.step, gap=gap))


def _limits(trainer: Trainer, goal: Goal, headroom: float, fit: Rows, select: Rows) -> list[Limit]:
    """Limits for gaps at the shares of the headroom.

    If the measure is not the certified one, its limits follow from encoders whose gap is known:
    near independence the measure is proportional to a power of the gap.
    """

    own = replace(trainer.measure, reading=goal.reading, prior="empirical")
    reading = MEASURES[trainer.measure.reading]
    same = MEASURES[goal.reading].same_of_two == trainer.measure.reading
    if trainer.measure == own or same:
        return [Limit(share * headroom) for share in LADDER]

    step = trainer(Weight(0.0), fit, select).step
    for _ in range(2):
        found = trainer(_limit(step, headroom, reading.order), fit, select).step
        step = found if found.gap > 0 and found.measure > 0 else step

    return [_limit(step, share * headroom, reading.order) for share in LADDER]


def _limit(step: Step, gap: float, power: int) -> Limit:
    """The limit for a gap, from an encoder whose measure and gap are known."""

    limit = step.measure * (gap / max(step.gap, 1e-6)) ** power

    return Limit(limit, power * limit / gap)


def _refusal(goal: Goal, headroom: float, safest: Certificate, expected: float) -> str:
    """Why no encoder was certified, and what could be."""

    if goal.quantity == "information":
        advice = safest.bound
    else:  # the safest gap is a share of the headroom, plus what these rows add to it
        added = max(0.0, safest.estimate - expected)
        advice = max(safest.bound, goal.limit - headroom + added / (1 - LADDER[-1]))
    if advice >= 1 and goal.quantity == "gap":
        could = "No smaller gap can be certified for such codes: use fewer bits"
    else:
        could = f"Ask for a little more than {advice:.3f}"
    drawn = (
        " The drawn codes were counted, because rows have no names of their own (`ids`) or the "
        "bits are too many to list. They measure more than expected counts do: names or fewer "
        "bits help."
    )

    return (
        f"`{goal.name}` could not be certified. The safest code found: {safest}. {could}, "
        f"or bring more rows.{drawn if safest.draws == 'hard' else ''}"
    )


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
    """Show a progress bar on the error stream if asked, and call what the person wants called."""

    from rich.console import Console
    from rich.progress import Progress

    limit = objective.limit if isinstance(objective, Constrained) else None
    label = "training" if limit is None else f"training for a limit of {limit:.3g}"
    hidden = not training.verbose
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(label, total=epochs)

        def after_epoch(epoch: Epoch) -> None:
            progress.advance(task)
            if training.after_epoch is not None:
                training.after_epoch(epoch)

        yield after_epoch
