"""Goals: what a person asks of a code, and what it leaves to train for."""

from dataclasses import dataclass
from typing import Literal

from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.quantities import Quantity, gap_of, information_of
from bitveil.certificates.upper import Certificate, certify
from bitveil.criteria import Criterion
from bitveil.entropies import group_entropy
from bitveil.group_tables import GroupTables
from bitveil.information import BITS
from bitveil.measures import MEASURES, Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.tasks import Term

__all__ = ["Goal", "Limit", "Weight"]


@dataclass(frozen=True)
class Weight:
    """Train with a weight on the measure.

    Attributes:
        strength: The weight of the measure.
        task_weight: The weight of the task.
    """

    strength: float
    task_weight: float = 1.0

    def __call__(self, task: Term, measure: Term) -> Weighted:
        """The objective for a task and a measure."""

        return Weighted(task, measure, strength=self.strength, task_weight=self.task_weight)

    def __str__(self) -> str:
        return f"strength-{self.strength!r}"


@dataclass(frozen=True)
class Limit:
    """Train with a limit on the measure.

    Attributes:
        limit: The most that the measure may be.
        scale: What a violation is divided by: see `objectives.Constrained`.
        start: The limit at the start of the training, from which it falls; None: the same.
    """

    limit: float
    scale: float = 1.0
    start: float | None = None

    def __call__(self, task: Term, measure: Term) -> Constrained:
        """The objective for a task and a measure."""

        return Constrained(task, measure, limit=self.limit, scale=self.scale, start=self.start)

    def __str__(self) -> str:
        return f"limit-{self.limit!r}"


@dataclass(frozen=True)
class Goal:
    """What must be certified: a gap or an information, by a criterion, and a limit on it.

    Attributes:
        limit: The largest value that is acceptable: a gap from 0 to 1, or bits.
        quantity: `"gap"` or `"information"`.
        criterion: Which rows of the groups are compared: see `bitveil.criteria`.
        delta: The probability that the certificate may be wrong.
        positive: The number of the target that equal opportunity is about.
    """

    limit: float
    quantity: Literal["gap", "information"] = "gap"
    criterion: Criterion = "independence"
    delta: float = 0.05
    positive: int = 1

    @property
    def name(self) -> str:
        """The setting that the person gave."""

        return f"max_{self.quantity}={self.limit}"

    @property
    def reading(self) -> str:
        """The measure that the certificate bounds: for an information, one less the overlap."""

        return "total_variation" if self.quantity == "gap" else "doeblin_complement"

    @property
    def limited(self) -> Quantity:
        """The quantity that the goal limits."""

        of = gap_of if self.quantity == "gap" else information_of

        return of(self.criterion, self.positive)

    def certify(
        self, tables: GroupTables, *, delta: float | None = None, draws: str = "soft"
    ) -> Certificate:
        """Certify a code from the counts of held-out rows."""

        delta = self.delta if delta is None else delta

        return certify(tables, self.limited, delta=delta, draws=draws)

    def is_limited_by(self, measure: Measure, k: int) -> bool:
        """Whether a limit on this measure of k groups is a limit on what is certified.

        Example:
            >>> bits, variation = Goal(0.1, "information"), Measure("total_variation")
            >>> bits.is_limited_by(variation, k=2), bits.is_limited_by(variation, k=3)
            (True, False)
        """

        twin = MEASURES[self.reading].same_of_two if k <= 2 else None

        return measure.reading in (self.reading, twin)

    def in_gaps(self, rows: GroupTables, *, draws: str = "soft") -> tuple[float, float]:
        """The goal as a gap, and the gap that a code which reveals nothing is certified at.

        An information is at most a share of the groups' entropy, and this share plays the part of
        the gap: see `bitveil.certificates.quantities`.

        Arguments:
            rows: Tables of the held-out rows. Only how many rows they count matters.
            draws: What will be counted: `"soft"` (expected), `"hard"` (drawn) or `"certain"`.

        Example:
            >>> rows = GroupTables.of([[1000.0], [1000.0]])
            >>> limit, slack = Goal(0.1).in_gaps(rows)
            >>> limit, slack < 0.05
            (0.1, True)
        """

        least = self.certify(rows.without_codes(), draws=draws).bound
        if self.quantity == "gap":
            return self.limit, least
        compared = rows.without_codes().compared(self.criterion, self.positive)
        bits = group_entropy(compared).max().item() * BITS

        return min(1.0, self.limit / bits), min(1.0, least / bits)

    def check_possible(self, rows: GroupTables, *, draws: str = "soft") -> None:
        """Refuse a goal that no code can meet with these rows unless some of them stay blank.

        Raises:
            UncertifiableError: If even a code that reveals nothing is certified above the goal.
        """

        least = self.certify(rows.without_codes(), draws=draws).bound
        if least < self.limit:
            return
        sizes = rows.compared_rows(self.criterion, self.positive)[0].tolist()
        raise UncertifiableError(
            f"`{self.name}` is too small for these rows: with {sizes} held-out rows of the "
            f"groups, even a code that reveals nothing is certified at {least:.3f} only "
            f"(delta = {self.delta:g}). Choose a larger goal, well above this number if the "
            "code is to be useful, bring more rows of the smallest groups, or let some rows stay "
            "blank (`on_unmet='dilute'`)."
        )
