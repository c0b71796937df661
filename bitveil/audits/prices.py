"""The price of protection: what a model that sees all columns reaches, beside the code."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Answers", "Price"]

_NO_USE = 1e-3
"""Answers that beat a constant by less are of no use, in accuracy or in R²."""


@dataclass(frozen=True)
class Answers:
    """What a model of the target reaches on some rows. Both numbers are of these rows.

    Attributes:
        score: Its accuracy for classes, or its R² for a number.
        gap: The gap of its answers, by the criterion of the audit or of the fit.
    """

    score: float
    gap: float


@dataclass(frozen=True)
class Price:
    """What a model without protection reaches, and what the code reaches on the same rows.

    Attributes:
        measure: What the scores are: `"accuracy"`, or `"R²"` for a number.
        unprotected: A model that sees all columns.
        protected: The best use of the code.
        constant: The score of the best constant answer on these rows.
        rows: Which rows they are, in words.
        source: What the model without protection is, in words.
        error: The standard error of the score of the code above that of the constant.

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

    @property
    def cost(self) -> float:
        """How much score the protection costs on these rows. Chance can make it negative."""

        return self.unprotected.score - self.protected.score

    @property
    def is_constant(self) -> bool:
        """Whether the code is no better than a constant, by a standard error or by 0.001."""

        return self.protected.score - self.constant <= max(self.error, _NO_USE)
