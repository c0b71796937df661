"""Wishes: from a number that a person can live with to an encoder that keeps to it.

A wish for a gap is met in three steps, each on rows of its own. Encoders are trained for smaller
and smaller gaps, in the constraint form. The rows for selection order them, from the safest to the
most useful. The rows for certification test them in that order up to the first that fails, and the
most useful that passed is taken: the measured gap may come as close to the wish as these rows
allow, and no correction for the number of encoders is needed (`audits.certify_sequence`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bitveil.audits.certificates import (
    Certificate,
    UncertifiableError,
    certify_gap,
    certify_sequence,
    least_gap,
)
from bitveil.layers import table_encoder
from bitveil.objectives import Constrained, Objective, Term, Weighted, task_information
from bitveil.training import Epoch, History, Rows, train

__all__ = ["Candidate", "Step", "Trainer", "certified", "room", "table_over_targets"]

LADDER = (1.1, 1.0, 0.9, 0.75, 0.55, 0.35)
"""The gaps that are trained for, as shares of the room that the slack leaves of the wish. The
first is above it: the gap on the rows for certification may turn out smaller than on others. The
last is far below: it stands for the other case."""


@dataclass(frozen=True)
class Step:
    """One encoder that was trained, as the rows for selection see it.

    Attributes:
        limit: The limit that it was trained for, or None where a weight was given.
        strength: The weight of the measure, or None where a limit was given.
        information: What its codes tell of the target, in nats.
        measure: What its codes were charged for.
        certified: Whether the rows for certification passed it; None where none were asked.
    """

    limit: float | None
    strength: float | None
    information: float
    measure: float
    certified: bool | None = None


@dataclass(frozen=True)
class Candidate:
    """An encoder that was trained, its training, and what it came to."""

    encoder: nn.Sequential
    history: History
    step: Step


@dataclass(frozen=True)
class Trainer:
    """How encoders are trained: everything but the objective and the rows.

    Attributes:
        n_bits: The number of bits.
        hidden: The widths of the hidden layers.
        epochs: The most passes over the rows.
        batch_size: The most rows of a batch.
        learning_rate: The highest learning rate of the cycle.
        patience: The epochs to wait for a better one; None: all.
        device: Where it runs.
        seed: The seed of the weights and of the order of the rows.
        verbose: Whether a progress bar is shown.
    """

    n_bits: int
    hidden: Sequence[int]
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None
    device: str
    seed: int
    verbose: int

    def __call__(self, objective: Objective, fit: Rows, select: Rows) -> Candidate:
        """Train an encoder, and judge it by the rows for selection."""

        generator = torch.Generator().manual_seed(self.seed)
        encoder = table_encoder(fit.x.shape[1], self.n_bits, self.hidden, generator=generator)
        with _progress(objective, self.epochs, self.verbose) as after_epoch:
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
                generator=generator,
                after_epoch=after_epoch,
            )

        # Double precision from here on: a bit must not depend on which rows stand beside it.
        return Candidate(encoder.double(), history, _step(objective, history))


def room(max_gap: float, sizes: Sequence[int], delta: float) -> float:
    """What the slack of the certificate leaves of the wish, for groups of these sizes.

    Raises:
        UncertifiableError: If it leaves nothing: no code could be certified to meet the wish.

    Example:
        >>> round(room(0.1, [1000, 1000], 0.05), 4)  # 0.1 - 0.0547
        0.0453
    """

    floor = least_gap(sizes, delta)
    if floor >= max_gap:
        raise UncertifiableError(
            f"`max_gap={max_gap}` is too small for these rows: with {list(sizes)} rows of the "
            f"groups held back, even a code that reveals nothing is certified at {floor:.3f} only "
            f"(delta = {delta}). Wish for more than that, well above it if the code is to be of "
            "use, or bring more rows of the smallest groups."
        )

    return max_gap - floor


def certified(
    trainer: Trainer,
    measure: Term,
    fit: Rows,
    select: Rows,
    held_out_table: Callable[[nn.Module], Tensor],
    *,
    max_gap: float,
    delta: float,
    sizes: Sequence[int],
    draws: str = "soft",
) -> tuple[Candidate, Certificate, list[Step]]:
    """The most useful encoder that the rows for certification pass.

    Arguments:
        trainer: How encoders are trained.
        measure: The total variation, of which `max_gap` is the limit.
        fit: The rows to train on.
        select: The rows that order the encoders and choose among those that passed.
        held_out_table: Counts over (group, code) of the rows for certification, for an encoder.
        max_gap: The wish.
        delta: The probability that the certificate may be wrong.
        sizes: The number of rows for certification of each group.
        draws: What the table counts: `"soft"` (expected) or `"hard"` (drawn) codes.

    Raises:
        UncertifiableError: If none passes.
    """

    left = room(max_gap, sizes, delta)
    limits = [share * left for share in LADDER]
    candidates = [
        trainer(Constrained(task_information, measure, limit=limit), fit, select)
        for limit in limits
    ]
    candidates.sort(key=lambda candidate: candidate.step.measure)
    tables = [held_out_table(candidate.encoder) for candidate in candidates]
    passed = certify_sequence(tables, max_gap, delta=delta, draws=draws)
    if not passed:
        least = certify_gap(tables[0], delta=delta, draws=draws)
        # The safest code's gap is a share of the room, and what these rows add to that.
        added = max(0.0, least.estimate - candidates[0].step.measure)
        advice = max(least.gap, max_gap - left + added / (1 - LADDER[-1]))
        raise UncertifiableError(
            f"`max_gap={max_gap}` could not be certified. The safest code that was found: "
            f"{least}. Wish for a little more than {advice:.3f}, or bring more rows."
        )
    chosen = max(range(len(passed)), key=lambda number: candidates[number].step.information)
    path = [
        replace(candidate.step, certified=number < len(passed))
        for number, candidate in enumerate(candidates)
    ]

    return candidates[chosen], passed[chosen], path


def table_over_targets(encoder: nn.Module, rows: Rows) -> Tensor:
    """The counts over (target, group, code) of rows, in double precision."""

    with torch.no_grad():
        return replace(rows, x=rows.x.double()).batch(encoder).joint


def _step(objective: Objective, history: History) -> Step:
    best = history.epochs[history.best]
    assert best.held_out_task is not None
    assert best.held_out_measure is not None

    return Step(
        limit=objective.limit if isinstance(objective, Constrained) else None,
        strength=objective.strength if isinstance(objective, Weighted) else None,
        information=-best.held_out_task,
        measure=best.held_out_measure,
    )


@contextmanager
def _progress(
    objective: Objective, epochs: int, verbose: int
) -> Iterator[Callable[[Epoch], None]]:
    """A progress bar on the error stream, or nothing."""

    from rich.console import Console
    from rich.progress import Progress

    limit = objective.limit if isinstance(objective, Constrained) else None
    label = "training" if limit is None else f"training for a gap of {limit:.3f}"
    with Progress(console=Console(stderr=True), transient=True, disable=not verbose) as progress:
        task = progress.add_task(label, total=epochs)
        yield lambda epoch: progress.advance(task)
