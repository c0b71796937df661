r"""Tries: how often a goal was tried on the same rows, and what that costs.

A certificate at :math:`\delta` is about one encoder, which was fixed before anyone looked at the
rows for certification. Someone who dislikes what he got and fits again on the same rows gets
another chance that a certificate is wrong. So a fit that comes *after* another one on the same
rows counts as the next try. Try j takes :math:`\delta_j = 6 \delta / \pi^2 j^2`, and the first
takes :math:`\delta`, because nobody knew then that there would be more.

**What holds.** The certificates of all tries are right at once with probability 1 minus what they
*spent* together, which is below :math:`(2 - 6/\pi^2)\, \delta < 1.4\, \delta` however many there
are (union bound). So whichever of them is published, and for whatever reason the others were not,
it is right with that probability. Condition: what is tried next, if there is a next try, does not
depend on the rows for certification. A list of goals that was written down before, and is left at
the first success, is such a plan.

**What does not.** Whoever reads a number that was measured on the rows for certification, and
chooses the next setting by it, lets these rows take part in the choice of the encoder. No division
of :math:`\delta` by the number of tries covers that. And nobody can count a try that is not told:
name the fit before, every time. Where you cannot, use rows that no fit has seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitveil.certificates.compared import UncertifiableError
from bitveil.certificates.sequence import nth_delta
from bitveil.repeats import UsedRows

__all__ = ["Before", "Tries", "before_of", "counting", "next_try"]


@dataclass(frozen=True)
class Tries:
    """How often a goal was tried on the same rows.

    Attributes:
        number: The number of this try, from 1; 0 if no goal was tried.
        spent: The probability that any of the certificates so far is wrong, at most.

    Example:
        >>> first = Tries().then(0.05)
        >>> second = first.then(0.05)
        >>> second.number, round(second.spent, 4)  # 0.05 + 0.05 · 6 / 4π²
        (2, 0.0576)
    """

    number: int = 0
    spent: float = 0.0

    def then(self, delta: float) -> "Tries":
        """The next try, of a fit with this delta."""

        number = self.number + 1

        return Tries(number, min(1.0, self.spent + _level(delta, number)))

    def level(self, delta: float) -> float:
        """The part of delta that this try takes.

        Example:
            >>> [round(Tries(number).level(0.05), 4) for number in (1, 2, 3)]
            [0.05, 0.0076, 0.0034]
        """

        return _level(delta, self.number)

    @property
    def remark(self) -> str | None:
        """What a person must know about it, or None for a first try."""

        if self.number < 2:
            return None

        return (
            f"This is try {self.number} of a goal on the same rows, so its certificate takes a "
            f"smaller part of delta. The certificates of all {self.number} tries are right at "
            f"once with probability ≥ {1 - self.spent:.4f}, if what was tried did not depend on "
            "numbers measured on the rows for certification."
        )


def _level(delta: float, number: int) -> float:
    return delta if number < 2 else nth_delta(delta, number)


@dataclass(frozen=True)
class Before:
    """The fit before, or how many there were.

    Attributes:
        tries: Its tries.
        used: The rows that it used; None if they are the same at the person's word.
    """

    tries: Tries
    used: UsedRows | None


def before_of(after: Any, delta: float) -> Before | None:
    """The fit before, from a fitted estimator or a number of tries.

    Arguments:
        after: A fitted estimator; how many tries there were on the same rows; or None.
        delta: The delta that tries are taken to have had which are known by number only.

    Raises:
        ValueError: If it is neither.
    """

    if after is None:
        return None
    if isinstance(after, int | np.integer) and not isinstance(after, bool) and after >= 1:
        told = Tries()
        for _ in range(int(after)):
            told = told.then(delta)
        return Before(told, None)
    tries, used = getattr(after, "tries_", None), getattr(after, "used_", None)
    if not isinstance(tries, Tries) or not isinstance(used, UsedRows):
        raise ValueError(
            "`after` expects the fitted encoder of the try before, or how many tries there were "
            f"on these rows (1, 2, …), got {after!r:.80}."
        )

    return Before(tries, used)


def next_try(
    before: Before | None,
    contents: NDArray[np.uint8],
    names: NDArray[np.uint8] | None,
    delta: float,
) -> tuple[Tries, str | None]:
    """Which try a fit on some rows is, and a remark for the reader.

    Arguments:
        before: The fit before, or None.
        contents: The bytes of each row's content, with shape (n, b).
        names: The bytes of each row's name, or None.
        delta: The delta of this fit.
    """

    if before is None:
        return Tries().then(delta), None
    tries = before.tries.then(delta)
    said = [tries.remark]
    if before.used is not None and before.used.are_new(contents, names):
        said.append(
            "The fit before used other rows, but fits before it may have used these. If none did, "
            "fit without `after`: then this is a first try."
        )

    return tries, " ".join(filter(None, said))


@contextmanager
def counting(tries: Tries) -> Iterator[None]:
    """Let the error of a goal that was not met say that it counts as a try."""

    try:
        yield
    except UncertifiableError as error:
        raise UncertifiableError(
            f"{error} If you try again on these rows, say so: `after={tries.number}`."
        ) from error
