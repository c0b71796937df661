"""Goals: from a number that a person can live with to an encoder that keeps to it.

A goal is met in three steps, each on rows of its own. Encoders are trained for smaller and smaller
gaps, in the constraint form. The rows for selection order them, from the safest to the most
useful. The rows for certification test them in that order up to the first that fails, and the most
useful that passed is taken: the measured gap may come as close to the goal as these rows allow,
and no correction for the number of encoders is needed (`audits.certify_sequence`).
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from bitveil.batches import Batch, Rows
from bitveil.certificates.upper import (
    Certificate,
    UncertifiableError,
    certify_gap,
    certify_information,
    certify_odds,
    certify_opportunity,
    certify_sequence,
)
from bitveil.criteria import Criterion
from bitveil.entropies import group_entropy
from bitveil.layers import stochastic_layers
from bitveil.measures import MEASURES, Measure
from bitveil.objectives import Constrained, Objective, Weighted
from bitveil.tasks import DecoderTask, Term, explained
from bitveil.training import Epoch, History, balancing_chances, train
from bitveil.workers import run

__all__ = ["Candidate", "Counts", "Goal", "Step", "Trainer", "certified", "counts"]

LADDER = (1.1, 1.0, 0.9, 0.75, 0.55, 0.35)
"""The gaps that are trained for, as shares of the room that the slack leaves of the goal. The
first is above it: the gap on the rows for certification may turn out smaller than on others. The
last is far below: it stands for the other case."""


@dataclass(frozen=True)
class Form:
    """The form of an objective, before its task and its measure are known.

    Attributes:
        strength: The weight of the measure, or None where there is a limit.
        task_weight: The weight of the task.
        limit: The most that the measure may be, or None where there is a weight.
        scale: What a violation is divided by: see `Constrained`.
    """

    strength: float | None = None
    task_weight: float = 1.0
    limit: float | None = None
    scale: float = 1.0

    @classmethod
    def weighted(cls, strength: float, task_weight: float = 1.0) -> "Form":
        """A weight for the measure."""

        return cls(strength=strength, task_weight=task_weight)

    @classmethod
    def limited(cls, limit: float, scale: float = 1.0) -> "Form":
        """A limit on the measure."""

        return cls(limit=limit, scale=scale)

    def __call__(self, task: Term, measure: Term) -> Objective:
        """The objective of a task and a measure."""

        if self.limit is not None:
            return Constrained(task, measure, limit=self.limit, scale=self.scale)
        assert self.strength is not None

        return Weighted(task, measure, strength=self.strength, task_weight=self.task_weight)

    def __str__(self) -> str:
        if self.limit is not None:
            return f"limit-{self.limit!r}"
        return f"strength-{self.strength!r}"


class Counts(NamedTuple):
    """The tables of some rows, in double precision: what certificates read.

    Attributes:
        joint: Counts over (target, group, code) of the rows whose target is known.
        groups: Counts over (group, code) of all rows.
    """

    joint: Tensor
    groups: Tensor


def counts(encoder: nn.Module, rows: Rows) -> Counts:
    """The expected counts of rows."""

    with torch.no_grad():
        tables = _double(rows).batch(encoder).tables

        return Counts(tables.known, tables.groups)


@dataclass(frozen=True)
class Goal:
    """What is to be certified: a gap or an information, by a criterion, and a limit on it.

    Attributes:
        limit: The most that it may be: a gap from 0 to 1, or bits.
        quantity: `"gap"` or `"information"`.
        criterion: Of which rows the groups are compared: see `objectives.Measure`.
        delta: The probability that the certificate may be wrong.
        positive: The number of the target that equal opportunity speaks of.
    """

    limit: float
    quantity: Literal["gap", "information"] = "gap"
    criterion: Criterion = "independence"
    delta: float = 0.05
    positive: int = 1

    @property
    def name(self) -> str:
        """What the person who has the goal calls it."""

        return f"max_{self.quantity}={self.limit}"

    @property
    def reading(self) -> str:
        """The measure that the certificate bounds: the information by way of the overlap."""

        return "total_variation" if self.quantity == "gap" else "doeblin_complement"

    def certify(
        self, table: Counts, *, delta: float | None = None, draws: str = "soft"
    ) -> Certificate:
        """Certify a code from the counts of rows held out."""

        delta = self.delta if delta is None else delta
        if self.quantity == "information":
            return self._certify_information(table, delta, draws)
        if self.criterion == "independence":
            return certify_gap(table.groups, delta=delta, draws=draws)
        if self.criterion == "separation":
            return certify_odds(table.joint, delta=delta, draws=draws)

        return certify_opportunity(table.joint, self.positive, delta=delta, draws=draws)

    def room(self, sizes: Counts) -> float:
        """What the slack of the certificate leaves of the goal, as a total variation.

        Arguments:
            sizes: The numbers of held-out rows, over (target, group) and over (group).

        Raises:
            UncertifiableError: If it leaves nothing: no code could be certified to meet the goal.

        Example:
            >>> sizes = Counts(torch.full((2, 2), 500.0), torch.full((2,), 1000.0))
            >>> round(Goal(0.1).room(sizes), 4)  # 0.1 - 0.0547
            0.0453
        """

        one = Counts(sizes.joint.double().unsqueeze(-1), sizes.groups.double().unsqueeze(-1))
        least = self.certify(one).bound
        if least >= self.limit:
            rows = [int(n) for n in self._parts(sizes)[0].tolist()]
            raise UncertifiableError(
                f"`{self.name}` is too small for these rows: with {rows} rows of the groups held "
                f"back, even a code that reveals nothing is certified at {least:.3f} only (delta "
                f"= {self.delta}). Ask for more than that, well above it if the code is to be of "
                "use, or bring more rows of the smallest groups."
            )
        if self.quantity == "gap":
            return self.limit - least
        entropies = [group_entropy(part) for part in self._parts(one)]
        bits = max(entropy.item() for entropy in entropies) / torch.tensor(2.0).log().item()

        return min(1.0, (self.limit - least) / bits)

    def _certify_information(self, table: Counts, delta: float, draws: str) -> Certificate:
        """Of the worst part: the mean over targets is no more than that."""

        parts = self._parts(table)
        found = [certify_information(t, delta=delta / len(parts), draws=draws) for t in parts]
        worst = max(found, key=lambda certificate: certificate.bound)

        return replace(worst, delta=delta)

    def _parts(self, table: Counts) -> list[Tensor]:
        """The tables that the criterion compares groups in."""

        if self.criterion == "independence":
            return [table.groups]
        return (
            list(table.joint) if self.criterion == "separation" else [table.joint[self.positive]]
        )


@dataclass(frozen=True)
class Step:
    """One encoder that was trained, as the rows for selection see it.

    Attributes:
        limit: The limit that it was trained for, or None where a weight was given.
        strength: The weight of the measure, or None where a limit was given.
        information: What its codes tell of the target, in nats. Of several targets it is the sum
            over them, and of numbers what it would be if they were Gaussian: where they say much
            of one another, or are categories in disguise, it is more than a code can hold.
        measure: What its codes were charged for.
        gap: The total variation of the groups' codes by the criterion, or, where an information
            is asked for, one less their overlap.
        score: The accuracy of the best classifier of the codes for the first target, or the share
            of variance explained; None without a target.
        certified: Whether the rows for certification passed it; None where none were asked.
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
    """An encoder that was trained, its task (with a decoder, if any), and what it came to."""

    encoder: nn.Module
    task: Term
    history: History
    step: Step


@dataclass(frozen=True)
class Trainer:
    """How encoders are trained: everything but the form of the objective and the rows.

    Attributes:
        network: Makes an encoder, from a generator of its weights.
        task: Makes the task, from the same generator.
        measure: What the code is charged for.
        gap: What the encoders are ordered by.
        epochs: The most passes over the rows.
        batch_size: The most rows of a batch.
        learning_rate: The highest learning rate of the cycle.
        patience: The epochs to wait for a better one; None: all.
        device: Where it runs.
        precision: The numbers it runs in.
        seed: The seed of the weights, of the order of the rows, and of draws.
        verbose: Whether a progress bar is shown.
        after_epoch: Called with every epoch of every encoder.
        checkpoint: A folder for the state of each training, or None.
        balanced: Whether rows of rare groups are taken more often: see `balancing_chances`.
    """

    network: Callable[[torch.Generator], nn.Module]
    task: Callable[[torch.Generator], Term]
    measure: Measure
    gap: Measure
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None
    device: str
    precision: str
    seed: int
    verbose: int
    after_epoch: Callable[[Epoch], None] | None = None
    checkpoint: Path | None = None
    balanced: bool = False

    def __call__(self, form: Form, fit: Rows, select: Rows) -> Candidate:
        """Train an encoder, and judge it by the rows for selection."""

        generator = torch.Generator().manual_seed(self.seed)
        encoder = self.network(generator)
        for layer in stochastic_layers(encoder):
            layer.generator = generator
        task = self.task(generator)
        objective = form(task, replace(self.measure, generator=generator))
        with _progress(objective, self.epochs, self.verbose, self.after_epoch) as after_epoch:
            history = train(
                encoder,
                objective,
                fit,
                select,
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                patience=self.patience,
                device=self.device,
                precision=self.precision,
                chances=balancing_chances(fit) if self.balanced else None,
                generator=generator,
                after_epoch=after_epoch,
                checkpoint=self.checkpoint and self.checkpoint / f"{form}.pt",
            )

        # Double precision from here on: a bit must not depend on which rows stand beside it.
        encoder.double()
        if isinstance(task, nn.Module):
            task.double()

        return Candidate(encoder, task, history, self._step(objective, encoder, fit, select))

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


def certified(
    trainer: Trainer,
    goal: Goal,
    fit: Rows,
    select: Rows,
    held_out: Callable[[nn.Module], Counts],
    *,
    sizes: Counts,
    draws: str = "soft",
    drawn: Callable[[nn.Module], Counts] | None = None,
    n_jobs: int | None = None,
) -> tuple[Candidate, Certificate, list[Step]]:
    """The most useful encoder that the rows for certification pass.

    Arguments:
        trainer: How encoders are trained.
        goal: What is to be certified.
        fit: The rows to train on.
        select: The rows that order the encoders and choose among those that passed.
        held_out: The counts of the rows for certification, for an encoder.
        sizes: The numbers of rows for certification, over (target, group) and over (group).
        draws: What the counts are of: `"soft"` (expected) or `"hard"` (drawn) codes.
        drawn: The counts of the drawn codes of the rows for selection, for an encoder: they order
            the encoders where drawn codes are certified. None: expected counts order them.
        n_jobs: How many encoders are trained at once; None: one.

    Raises:
        UncertifiableError: If none passes.
    """

    left = goal.room(sizes)
    forms = _forms(trainer, goal, left, fit, select)
    candidates = run([partial(trainer, form, fit, select) for form in forms], n_jobs)
    if draws == "hard" and drawn is not None:
        candidates = [_as_drawn(candidate, goal, drawn) for candidate in candidates]
    candidates.sort(key=lambda candidate: candidate.step.gap)
    tables = [held_out(candidate.encoder) for candidate in candidates]
    settings: Any = {"certify": goal.certify, "delta": goal.delta, "draws": draws}
    passed = certify_sequence(tables, goal.limit, **settings)
    if not passed:
        safest = goal.certify(tables[0], draws=draws)
        raise UncertifiableError(_refusal(goal, left, safest, candidates[0].step.gap))
    chosen = max(range(len(passed)), key=lambda number: candidates[number].step.information)
    path = [
        replace(candidate.step, certified=number < len(passed))
        for number, candidate in enumerate(candidates)
    ]

    return candidates[chosen], passed[chosen], path


def _as_drawn(candidate: Candidate, goal: Goal, drawn: Callable[[nn.Module], Counts]) -> Candidate:
    """An encoder with the gap of its drawn codes, which is what is published."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that codes are many matters for the bound, not for this
        gap = goal.certify(drawn(candidate.encoder), draws="hard").estimate

    return replace(candidate, step=replace(candidate.step, gap=gap))


def _forms(trainer: Trainer, goal: Goal, left: float, fit: Rows, select: Rows) -> list[Form]:
    """Objectives for gaps at the shares of the room.

    Where the measure is another than what is certified, its limits are found from encoders whose
    gap is known: near independence it goes with a power of the gap.
    """

    own = replace(trainer.measure, reading=goal.reading, prior="empirical")
    reading = MEASURES[trainer.measure.reading]
    same = MEASURES[goal.reading].same_of_two == trainer.measure.reading
    if trainer.measure == own or same:
        return [Form.limited(share * left) for share in LADDER]

    step = trainer(Form.weighted(0.0), fit, select).step
    for _ in range(2):
        found = trainer(_limited(step, left, reading.order), fit, select).step
        step = found if found.gap > 0 and found.measure > 0 else step

    return [_limited(step, share * left, reading.order) for share in LADDER]


def _limited(step: Step, gap: float, power: int) -> Form:
    """The objective for a gap, by an encoder for which measure and gap are known."""

    limit = step.measure * (gap / max(step.gap, 1e-6)) ** power

    return Form.limited(limit, power * limit / gap)


def _refusal(goal: Goal, left: float, safest: Certificate, expected: float) -> str:
    """Why none was certified, and what could be."""

    if goal.quantity == "information":
        advice = safest.bound
    else:  # the safest code's gap is a share of the room, and what these rows add to that
        added = max(0.0, safest.estimate - expected)
        advice = max(safest.bound, goal.limit - left + added / (1 - LADDER[-1]))
    if advice >= 1 and goal.quantity == "gap":
        could = "No smaller gap can be certified for such codes: take fewer bits"
    else:
        could = f"Ask for a little more than {advice:.3f}"
    drawn = " The drawn codes were counted, since rows have no names of their own (`ids`), or too "
    drawn += "many bits: that measures more than expected counts do. Names and fewer bits help."

    return (
        f"`{goal.name}` could not be certified. The safest code found: {safest}. {could}, "
        f"or bring more rows.{drawn if safest.draws == 'hard' else ''}"
    )


def _double(rows: Rows) -> Rows:
    return replace(rows, x=rows.x.double())


def _target_entropy(rows: Rows) -> float:
    """The entropy of the targets with classes: what the best code could tell of them."""

    weights = torch.ones(len(rows)) if rows.weights is None else rows.weights
    known = [(column[column >= 0], weights[column >= 0].double()) for column in rows.labels.T]

    return sum(group_entropy(torch.bincount(*one).unsqueeze(-1)).item() for one in known)


def _score(task: Term, fit: Batch, select: Batch) -> float | None:
    """Of the first target: the accuracy of the best classifier by the rows to fit, on others."""

    if isinstance(task, DecoderTask) and not task.exact:
        return task.score(select)
    if select.targets:
        counted, seen = fit.targets[0], select.targets[0]
        right = seen.gather(0, counted.argmax(0, keepdim=True)).sum() / seen.sum()
        return right.item() if len(seen) > 1 else None

    return None if select.values is None else explained(select).mean().item()


@contextmanager
def _progress(
    objective: Objective,
    epochs: int,
    verbose: int,
    also: Callable[[Epoch], None] | None,
) -> Iterator[Callable[[Epoch], None]]:
    """A progress bar on the error stream, or nothing, and what the person wants called."""

    from rich.console import Console
    from rich.progress import Progress

    limit = objective.limit if isinstance(objective, Constrained) else None
    label = "training" if limit is None else f"training for a limit of {limit:.3g}"
    with Progress(console=Console(stderr=True), transient=True, disable=not verbose) as progress:
        task = progress.add_task(label, total=epochs)

        def after_epoch(epoch: Epoch) -> None:
            progress.advance(task)
            if also is not None:
                also(epoch)

        yield after_epoch
