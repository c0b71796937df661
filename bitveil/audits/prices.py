"""The price of protection: what a model that sees all columns reaches, beside the code."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bitveil.certificates.quantities import gap_of
from bitveil.columns.bins import bin_numbers
from bitveil.criteria import Criterion, compared_strata, compares_within_strata

__all__ = ["Answers", "Measured", "Price", "gap_of_answers"]

_NO_USE = 1e-3
"""Answers that beat a constant by less are of no use, in accuracy or in R²."""


@dataclass(frozen=True)
class Answers:
    """What a model of the target reaches on some rows. Both numbers are of these rows.

    Attributes:
        score: Its accuracy for classes, or its R² for a number.
        gap: The largest difference between two groups in how often they get any one answer, among
            the rows that the criterion compares. An answer that is a number counts as its bin.
    """

    score: float
    gap: float


@dataclass(frozen=True)
class Price:
    """What a model without protection reaches, and what the code reaches on the same rows.

    Attributes:
        measure: What the scores are: `"accuracy"`, or `"R²"` for a number.
        unprotected: A model that sees all columns.
        protected: The best use of the code that is known.
        constant: The score of the best constant answer on these rows.
        rows: Which rows they are, in words.
        source: What the model without protection is, in words.
        error: The standard error of the score of the code above that of the constant.
        among: Among which rows the gap compares groups, in words; nothing for all rows.

    Example:
        >>> price = Price("accuracy", Answers(0.87, 0.20), Answers(0.84, 0.08), 0.76, "", "", 0.01)
        >>> round(price.cost, 2), price.is_constant
        (0.03, False)
    """

    measure: Literal["accuracy", "R²"]
    unprotected: Answers
    protected: Answers
    constant: float
    rows: str
    source: str
    error: float = 0.0
    among: str = ""

    @property
    def cost(self) -> float:
        """How much score the protection costs on these rows. Chance can make it negative."""

        return self.unprotected.score - self.protected.score

    @property
    def is_constant(self) -> bool:
        """Whether the code is no better than a constant, by a standard error or by 0.001."""

        return self.protected.score - self.constant <= max(self.error, _NO_USE)

    def __str__(self) -> str:
        free, code = self.unprotected, self.protected
        score, free_score, constant, gap, free_gap = map(
            _rounded, (code.score, free.score, self.constant, code.gap, free.gap)
        )
        cut = ", cut into bins," if self.measure == "R²" else ""
        gap_of_these = f"gap of these answers{cut} {self.among}".strip()

        return (
            f"{self.measure} {score} from the code, {free_score} without protection, {constant} "
            f"for a constant; {gap_of_these} {gap} from the code, {free_gap} without protection. "
            f"Measured on {self.rows}. Without protection: {self.source}"
        )

    @property
    def caution(self) -> str | None:
        """A sentence if the code is of no use on these rows, or perhaps of none; or None."""

        if not self.is_constant:
            return None
        scores = (self.protected.score, self.constant, self.unprotected.score)
        score, constant, free_score = map(_rounded, scores)
        name = "the most frequent class" if self.measure == "accuracy" else "the mean"

        start, chance = "The code is of no use here", ""
        if self.protected.score - self.constant > _NO_USE:
            start = "These rows do not show that the code is of use"
            chance = f", which is within one standard error ({self.error:.3f})"

        return (
            f"{start}: its answers reach {self.measure} {score}, and {name} alone reaches "
            f"{constant}{chance}. Without protection it would be {free_score} (on {self.rows})."
        )


def _rounded(number: float) -> str:
    """A number with three digits, and no minus before a zero."""

    return f"{round(number, 3) + 0.0:.3f}"


def gap_of_answers(
    answers: NDArray[np.int64],
    groups: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    criterion: Criterion = "independence",
    positive: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """The largest difference between two groups in how often they get any one answer.

    A group without rows in a stratum is not compared there.

    Arguments:
        answers: The number of each row's answer, from 0, with shape (n,).
        groups: The number of each row's group, from 0, with shape (n,).
        strata: The number of each row's stratum, or -1. It counts where the criterion compares
            groups within strata.
        criterion: Which rows are compared.
        positive: The stratum that equal opportunity is about.
        weights: How much each row counts, or None.

    Example:
        >>> answers, groups = np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1])
        >>> gap_of_answers(answers, groups, answers)
        0.5
        >>> gap_of_answers(answers, groups, np.array([0, 1, 0, 1]), criterion="separation")
        1.0
    """

    if not compares_within_strata(criterion):
        strata, positive = np.zeros_like(groups), 0
    n_strata = max(int(strata.max()), positive) + 1
    known = strata >= 0
    shape = (n_strata, int(groups.max()) + 1, int(answers.max()) + 1)
    cells = np.ravel_multi_index((strata[known], groups[known], answers[known]), shape)
    each = None if weights is None else weights[known]
    counts = np.bincount(cells, each, minlength=int(np.prod(shape))).reshape(shape)
    if compares_within_strata(criterion):
        counts = counts[compared_strata(criterion, n_strata, positive)]
    shares = [_shares_of(table[table.sum(1) > 0]) for table in counts if table.sum()]

    return float(max((np.ptp(each, axis=0).max() for each in shares), default=0.0))


def _shares_of(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(table / table.sum(1, keepdims=True))


@dataclass(frozen=True)
class Measured:
    """The rows on which a price is measured. All have a target.

    Attributes:
        truth: The target: the number of its class, or the number itself, with shape (n,).
        edges: Where numbers are cut into answers; None for classes.
        groups: The number of each row's group.
        strata: The number of each row's stratum, or -1.
        criterion: Which rows are compared.
        positive: The stratum that equal opportunity is about.
        weights: How much each row counts, or None.

    Example:
        >>> y, s = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        >>> rows = Measured(y, None, s, y, "independence", 0)
        >>> found = rows.price(y, np.array([0, 0, 0, 0]), rows="4 rows", source="an oracle")
        >>> found.unprotected, found.protected, found.constant
        (Answers(score=1.0, gap=0.0), Answers(score=0.5, gap=0.0), 0.5)
    """

    truth: NDArray[Any]
    edges: tuple[float, ...] | None
    groups: NDArray[np.int64]
    strata: NDArray[np.int64]
    criterion: Criterion
    positive: int
    weights: NDArray[np.float64] | None = None

    def some(self, rows: NDArray[Any]) -> "Measured":
        """Some of these rows."""

        weights = None if self.weights is None else self.weights[rows]

        return replace(
            self,
            truth=self.truth[rows],
            groups=self.groups[rows],
            strata=self.strata[rows],
            weights=weights,
        )

    def price(
        self, unprotected: NDArray[Any], protected: NDArray[Any], *, rows: str, source: str
    ) -> Price | None:
        """The price of answers, with shape (n,), as classes or numbers like the truth.

        None where all rows have one target: then there is nothing to predict.
        """

        constant = self._best_constant()
        if (self.truth == self.truth[0]).all():
            return None
        gained = self._credits(protected) - self._credits(constant)
        mean = np.average(gained, weights=self.weights)
        shares = np.ones(len(gained)) if self.weights is None else self.weights

        return Price(
            "accuracy" if self.edges is None else "R²",
            self._answers(unprotected),
            self._answers(protected),
            self._score(constant) if self.edges is None else 0.0,
            rows,
            source,
            float(np.linalg.norm(shares * (gained - mean)) / shares.sum()),
            gap_of(self.criterion, self.positive).among(),
        )

    def _answers(self, answers: NDArray[Any]) -> Answers:
        cut = answers if self.edges is None else bin_numbers(answers, self.edges)
        gap = gap_of_answers(
            cut,
            self.groups,
            self.strata,
            criterion=self.criterion,
            positive=self.positive,
            weights=self.weights,
        )

        return Answers(self._score(answers), gap)

    def _score(self, answers: NDArray[Any]) -> float:
        return float(np.average(self._credits(answers), weights=self.weights))

    def _credits(self, answers: NDArray[Any]) -> NDArray[np.float64]:
        """What each row adds to the score: whether it is right, or its part of R²."""

        if self.edges is None:
            return np.asarray(answers == self.truth, np.float64)
        spread = np.average((self.truth - self._best_constant()) ** 2, weights=self.weights)

        return np.asarray(1 - (self.truth - answers) ** 2 / spread)

    def _best_constant(self) -> Any:
        """The most frequent class, or the mean."""

        if self.edges is None:
            return np.bincount(self.truth, self.weights).argmax()

        return np.average(self.truth, weights=self.weights)
