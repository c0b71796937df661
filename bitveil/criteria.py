"""Criteria: which rows of the groups are compared.

- `"independence"` compares all rows (demographic parity);
- `"separation"` compares the rows of each stratum, which is the target or bins of it (equalised
  odds);
- `"equal_opportunity"` compares the rows of one stratum, the positive target.
"""

from typing import Literal, TypeAlias, get_args

from bitveil.quotes import quoted

__all__ = ["CRITERIA", "Criterion", "compared_strata", "compares_within_strata", "has_opportunity"]

Criterion: TypeAlias = Literal["independence", "separation", "equal_opportunity"]

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
"""The names of the criteria."""


def compares_within_strata(criterion: Criterion) -> bool:
    """Whether the criterion needs the stratum of each row.

    Example:
        >>> [compares_within_strata(criterion) for criterion in CRITERIA]
        [False, True, True]
    """

    return criterion != "independence"


def has_opportunity(criterion: Criterion) -> bool:
    """Whether the criterion compares groups within one stratum only, the positive target."""

    return criterion == "equal_opportunity"


def compared_strata(criterion: Criterion, n_strata: int, positive: int = 0) -> slice:
    """The strata within which groups are compared, for a criterion that needs them.

    Raises:
        ValueError: If the criterion needs no strata, is unknown, or `positive` is no stratum.

    Example:
        >>> compared_strata("separation", 3), compared_strata("equal_opportunity", 3, 1)
        (slice(0, 3, None), slice(1, 2, None))
    """

    if criterion == "separation":
        return slice(0, n_strata)
    if not has_opportunity(criterion):
        raise ValueError(
            f"`criterion` expects one of {CRITERIA[1:]} here, got {quoted(criterion)}."
        )
    if not 0 <= positive < n_strata:
        raise ValueError(
            f"`positive` expects the number of a target from 0 to {n_strata - 1}, got {positive}."
        )

    return slice(positive, positive + 1)
