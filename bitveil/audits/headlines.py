"""The first sentences about a code: what no rule can do, and what some rule does.

A *rule* is anything that decides by the code alone: a forecast, a threshold, a guess of the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bitveil.audits.rounding import at_least, at_most
from bitveil.audits.words import and_listed, group_name, those_with
from bitveil.certificates.lower import Interval
from bitveil.columns.printing import printable
from bitveil.criteria import compares_within_strata

__all__ = ["Sentence", "among_those", "certainty", "groups_compared", "headline"]

_ALL = 0.9995
"""A bound above this is rounded to 100 points, and says nothing."""


@dataclass(frozen=True)
class Sentence:
    """A sentence around one number.

    Attributes:
        start: What comes before the number.
        number: The number with its unit; empty if the sentence has none.
        end: What comes after it.
    """

    start: str
    number: str = ""
    end: str = ""

    def __str__(self) -> str:
        end = self.end if self.end == "." else f" {self.end}" * bool(self.end)

        return f"{self.start} {self.number}{end}" if self.number else self.start


def headline(
    interval: Interval, groups: Sequence[Any], among: str = ""
) -> tuple[Sentence, Sentence]:
    """What no rule that sees only the codes can do, and what some rule does.

    Arguments:
        interval: Both bounds on a gap.
        groups: The groups that it compares.
        among: Among which rows they are compared: see `among_those`; empty: among all.

    Returns:
        A sentence for the upper bound and one for the lower bound.

    Example:
        >>> from bitveil.certificates import Certificate
        >>> found = Interval(0.0412, Certificate(0.0946, 0.05, 0.07, (900, 900)))
        >>> for sentence in headline(found, ["women", "men"]):
        ...     print(sentence)
        No rule that sees only these codes treats women and men more than 9.5 percentage points
        differently (95 % certain).
        Some rule differs by at least 4.1.
    """

    return _upper_sentence(interval, groups_compared(groups), among), _lower_sentence(
        interval.least
    )


def _upper_sentence(interval: Interval, who: str, among: str) -> Sentence:
    bound, start = interval.certificate.bound, f"{among[:1].upper()}{among[1:]}, " * bool(among)
    if bound >= _ALL:
        some = "some rule" if among else "Some rule"
        return Sentence(
            f"These rows certify no limit. {start}{some} that sees only these codes may treat "
            f"{who} up to",
            "100 percentage points",
            "differently.",
        )
    no = "no rule" if among else "No rule"

    return Sentence(
        f"{start}{no} that sees only these codes treats {who} more than",
        f"{at_most(bound)} percentage points",
        f"differently ({certainty(interval.certificate.delta)} certain).",
    )


def _lower_sentence(least: float) -> Sentence:
    if float(at_least(least)) <= 0:
        return Sentence("Whether there is any difference cannot be told from these rows.")

    return Sentence("Some rule differs by at least", at_least(least), ".")


def certainty(delta: float) -> str:
    """The probability with which a bound holds.

    Example:
        >>> certainty(0.05), certainty(0.001)
        ('95 %', '99.9 %')
    """

    return f"{100 * (1 - delta):.6g} %"


def groups_compared(groups: Sequence[Any]) -> str:
    """Which groups a gap compares.

    Example:
        >>> groups_compared(["women", "men"]), groups_compared([0, 1]), groups_compared("abc")
        ('women and men', 'the groups 0 and 1', 'any two groups')
    """

    if len(groups) != 2:
        return "any two groups"
    plain = all(isinstance(group, str) and not group.isnumeric() for group in groups)

    return "the groups " * (not plain) + and_listed([*map(group_name, groups)])


def among_those(interval: Interval, target: object, positive: object | None) -> str:
    """Among which rows a quantity compares groups; empty if it compares them among all rows.

    Arguments:
        interval: Both bounds on the quantity.
        target: The name of the target.
        positive: The value of the target that equal opportunity is about, if it is known.

    Example:
        >>> from bitveil.certificates import EQUAL_OPPORTUNITY_GAP, Certificate
        >>> limit = Certificate(0.1, 0.05, 0.07, (9, 9), quantity=EQUAL_OPPORTUNITY_GAP)
        >>> among_those(Interval(0.0, limit), "income", ">50K")
        'among those with income above 50K'
    """

    quantity = interval.certificate.quantity
    if not compares_within_strata(quantity.criterion):
        return ""
    if quantity.positive is None:
        return f"among those with the same {printable(target)}"
    if positive is None:
        return f"among those with the positive {printable(target)}"

    return f"among {those_with(target, positive)}"
