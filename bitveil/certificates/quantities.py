r"""The quantities that a certificate can bound. A new one takes one entry here.

An entry says how the quantity is read from the tables in which its criterion compares groups: as
the largest of parts, to each of which the theorem of `bitveil.certificates` applies. It
also says which attacker proves a lower bound, and the words for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import torch

from bitveil.certificates.attackers import attacker_accuracy, classifier_bits, classifier_gap
from bitveil.certificates.compared import Compared
from bitveil.criteria import CRITERIA, Criterion, compares_within_strata
from bitveil.distributions import Prior, given_group
from bitveil.entropies import group_entropy
from bitveil.group_tables import GroupTables
from bitveil.information import BITS, attack_accuracy, doeblin_coefficient
from bitveil.quotes import quoted

__all__ = [
    "BALANCED_ATTACK_ACCURACY",
    "EQUALISED_ODDS_GAP",
    "EQUAL_OPPORTUNITY_GAP",
    "INFORMATION",
    "PARITY_GAP",
    "QUANTITIES",
    "ConvexPart",
    "Quantity",
    "Unit",
    "gap_of",
    "information_of",
    "quantity_named",
]

Unit: TypeAlias = Literal["gap", "accuracy", "bits"]

Proof: TypeAlias = Callable[[Sequence[Compared], Sequence[Compared], Prior, float, str], float]

Weighting: TypeAlias = Literal["empirical", "uniform"] | tuple[float, ...]


class ConvexPart(NamedTuple):
    """The value of the best rule on held-out rows: convex in the groups' distributions.

    Attributes:
        measured: Its value on these rows.
        groups: The numbers of the groups that it reads.
        sizes: The number of rows of each of them.
        mean_of: Over how many groups it is a mean: what the sum in the theorem is divided by.
        scale: What the value is a share of, in the unit of the quantity.
    """

    measured: float
    groups: tuple[int, ...]
    sizes: tuple[int, ...]
    mean_of: int = 1
    scale: float = 1.0


@dataclass(frozen=True)
class Quantity:
    """What a certificate bounds.

    Attributes:
        name: Its name.
        unit: `"gap"`, `"accuracy"` or `"bits"`.
        says: What the upper bound is about, as a phrase.
        worst: What both bounds are about, as a phrase.
        parts: Its convex parts among the rows of one target, from their counts and a prior.
        ceiling: The largest that a part can be with k groups, if the codes of any two rows are
            within a total variation.
        proof: The lower bound, from rows that fix an attacker, rows that score it, a prior, a
            delta, and what the rows count.
        criterion: Which rows it compares.
        positive: The number of the target that equal opportunity is about; otherwise None.
        prior: The weights of the groups, where it depends on them: `"empirical"` those of the
            held-out rows, `"uniform"`, or one weight for each group.
        notion: The notion of fairness that a gap measures.
        rates: The rates of a classifier's answers whose differences a gap bounds.

    Example:
        >>> PARITY_GAP.unit, EQUALISED_ODDS_GAP.criterion, EQUAL_OPPORTUNITY_GAP.positive
        ('gap', 'separation', 1)
    """

    name: str
    unit: Unit
    says: str
    worst: str
    parts: Callable[[Compared, Prior], list[ConvexPart]] = field(repr=False, compare=False)
    ceiling: Callable[[int, float], float] = field(repr=False, compare=False)
    proof: Proof = field(repr=False, compare=False)
    criterion: Criterion = "independence"
    positive: int | None = None
    prior: Weighting = "empirical"
    notion: str = ""
    rates: tuple[str, ...] = ()

    @property
    def weights(self) -> Prior:
        """The prior as tables are read with it."""

        return self.prior if isinstance(self.prior, str) else torch.tensor(self.prior).double()

    def compared(self, tables: GroupTables) -> list[Compared]:
        """The tables in which the quantity compares groups.

        Raises:
            ValueError: If it compares groups within targets and the tables have none of them, or
                if rows have weights.
        """

        if tables.weighted:
            raise ValueError(
                "Certificates expect tables that count rows, got weighted ones. Keep each row "
                "with a probability in proportion to its weight, and count the rows that are left."
            )
        if compares_within_strata(self.criterion) and not len(tables.known):
            raise ValueError(
                f"The {self.name} compares groups within targets, and these tables count no "
                "targets. Give counts over (target, group, code)."
            )
        found = tables.compared(self.criterion, self.positive or 0).double()
        rows = tables.compared_rows(self.criterion, self.positive or 0)

        return [Compared(t, tuple(n)) for t, n in zip(found, rows.tolist(), strict=True)]

    def measured(self, tables: GroupTables) -> float:
        """The largest value of its parts in these very tables.

        Example:
            >>> round(PARITY_GAP.measured(GroupTables.of([[600, 400], [500, 500]])), 9)
            0.1
        """

        return max(
            part.measured
            for compared in self.compared(tables)
            for part in self.parts(compared, self.weights)
        )

    def among(self, target: str = "target", positive: str = "the positive one") -> str:
        """Among which rows groups are compared, in words; nothing where it is among all.

        Example:
            >>> EQUAL_OPPORTUNITY_GAP.among("hired", "yes")
            'among rows whose hired is yes'
        """

        if not compares_within_strata(self.criterion):
            return ""
        if self.positive is None:
            return f"among rows of the same {target}"

        return f"among rows whose {target} is {positive}"

    def described(self) -> dict[str, Any]:
        """Its name and what was chosen of it: plain values, for `quantity_named`."""

        return {
            "quantity": self.name,
            "criterion": self.criterion,
            "positive": self.positive,
            "prior": self.prior,
        }


def quantity_named(quantity: Any, criterion: Any, positive: Any, prior: Any) -> Quantity:
    """The quantity that `Quantity.described` describes.

    Raises:
        ValueError: If there is no such quantity.

    Example:
        >>> quantity_named(**INFORMATION.described()) == INFORMATION
        True
    """

    entry = next((each for each in QUANTITIES if each.name == quantity), None)
    own = entry is not None and (entry.unit == "bits" or entry.criterion == criterion)
    numbered = type(positive) is int and positive >= 0
    weights = tuple(prior) if isinstance(prior, list | tuple) else prior
    known = weights in ("empirical", "uniform") or (
        isinstance(weights, tuple) and all(type(each) in (int, float) for each in weights)
    )
    if not own or criterion not in CRITERIA or not known or not (positive is None or numbered):
        raise ValueError(
            f"There is no quantity {quoted(quantity)} by {quoted(criterion)} with positive = "
            f"{quoted(positive)} and "
            f"prior = {quoted(prior)}. The quantities are {[each.name for each in QUANTITIES]}."
        )
    assert entry is not None

    return replace(entry, criterion=criterion, positive=positive, prior=weights)


def gap_of(criterion: Criterion, positive: int = 1) -> Quantity:
    """The gap that a criterion speaks of.

    Arguments:
        criterion: The criterion.
        positive: The number of the target that equal opportunity is about.

    Example:
        >>> gap_of("separation").name, gap_of("equal_opportunity", 0).positive
        ('equalised odds gap', 0)
    """

    gaps = [each for each in QUANTITIES if each.unit == "gap" and each.criterion == criterion]
    if not gaps:
        raise ValueError(f"`criterion` expects one of {CRITERIA}, got {quoted(criterion)}.")

    return gaps[0] if gaps[0].positive is None else replace(gaps[0], positive=positive)


def information_of(criterion: Criterion, positive: int = 1) -> Quantity:
    """The information by a criterion: where it compares within targets, the largest of them.

    Arguments:
        criterion: The criterion.
        positive: The number of the target that equal opportunity is about.
    """

    return replace(INFORMATION, criterion=criterion, positive=gap_of(criterion, positive).positive)


def _distances(compared: Compared, prior: Prior) -> list[ConvexPart]:
    """The total variation of each pair of groups."""

    p, sizes = given_group(compared.table), compared.sizes
    first, second = torch.triu_indices(len(p), len(p), 1)
    measured = torch.cdist(p, p, p=1)[first, second] / 2

    return [
        ConvexPart(value, (i, j), (sizes[i], sizes[j]))
        for value, i, j in zip(measured.tolist(), first.tolist(), second.tolist(), strict=True)
    ]


def _best_guess(compared: Compared, prior: Prior) -> list[ConvexPart]:
    """The balanced accuracy of whoever guesses the most likely group of each code."""

    accuracy = attack_accuracy(compared.table, prior="uniform").item()

    k = len(compared.table)

    return [ConvexPart(accuracy, tuple(range(k)), compared.sizes, mean_of=k)]


def _missing_overlap(compared: Compared, prior: Prior) -> list[ConvexPart]:
    r"""One minus the overlap, as a share of the entropy of the groups.

    With the overlap :math:`o = \sum_t \min_g p(t|g)` every group's codes are a mixture. With
    probability o the code comes from a distribution that all groups share, otherwise from one of
    the group's own. Suppose someone is told which of the two it was. In the first case, which is
    equally frequent in every group, the code reveals nothing about the group; in the second it
    reveals at most H(S). So :math:`I(T; S) \le (1 - o) H(S)`, whatever the prior of the groups.
    With two groups :math:`1 - o` is the total variation. In the theorem a rule assigns each code
    to a group: see `bitveil.certificates`.

    H(S) is the entropy under the given prior, and the certificate is about that prior. With
    `"empirical"` it is about groups as large as in the held-out rows, and not about a population
    in which they have other sizes.

    Source:
        Doeblin Coefficients and Related Measures (Makur, Singh, 2023),
        https://arxiv.org/abs/2309.08475
    """

    table, k = compared.table, len(compared.table)
    if isinstance(prior, torch.Tensor) and (
        prior.shape != (k,) or (prior < 0).any() or abs(prior.sum().item() - 1) > 1e-4
    ):
        raise ValueError(
            f"`prior` expects one weight for each of {k} groups, none below 0, that sum to 1, got "
            f"{prior.tolist()}."
        )
    entropy = group_entropy(table, prior=prior).item() * BITS

    missing = 1 - doeblin_coefficient(table).item()

    return [ConvexPart(missing, tuple(range(k)), compared.sizes, scale=entropy)]


def _most_distance(k: int, spread: float) -> float:
    return spread


def _most_accuracy(k: int, spread: float) -> float:
    return min(1.0, (1 + (k - 1) * spread) / k)


def _most_missing(k: int, spread: float) -> float:
    return min(1.0, (k - 1) * spread)


PARITY_GAP = Quantity(
    "parity gap",
    "gap",
    "gap of every classifier that sees the code",
    "largest gap of any classifier that sees the code",
    _distances,
    _most_distance,
    classifier_gap,
    notion="demographic parity",
    rates=("selection rate",),
)
"""The most by which two groups differ in how often a classifier of the code answers yes."""

EQUAL_OPPORTUNITY_GAP = replace(
    PARITY_GAP,
    name="equal opportunity gap",
    says="equal-opportunity gap of every classifier that sees the code",
    worst="largest equal-opportunity gap of any classifier that sees the code",
    criterion="equal_opportunity",
    positive=1,
    notion="equal opportunity",
    rates=("true positive rate",),
)
"""The same among the rows of one target, so the difference of true-positive rates.

Source:
    Equality of Opportunity in Supervised Learning (Hardt, Price, Srebro, 2016),
    https://arxiv.org/abs/1610.02413
"""

EQUALISED_ODDS_GAP = replace(
    PARITY_GAP,
    name="equalised odds gap",
    says="equalised-odds gap of every classifier that sees the code",
    worst="largest equalised-odds gap of any classifier that sees the code",
    criterion="separation",
    notion="equalised odds",
    rates=("true positive rate", "false positive rate"),
)
"""The largest gap among the rows of any target: of true- or false-positive rates."""

BALANCED_ATTACK_ACCURACY = Quantity(
    "balanced attack accuracy",
    "accuracy",
    "balanced accuracy of every attacker who sees the code",
    "best balanced accuracy of an attacker who sees the code",
    _best_guess,
    _most_accuracy,
    attacker_accuracy,
)
"""The balanced accuracy of the best attacker who guesses the group from the code. With two groups
it is half of the gap above one half."""

INFORMATION = Quantity(
    "information (bits)",
    "bits",
    "bits that the code reveals about the group",
    "bits that the code reveals about the group",
    _missing_overlap,
    _most_missing,
    classifier_bits,
)
"""The mutual information of code and group. By a criterion that compares groups within targets it
is that of the target with the largest bound; the mean over targets is no more."""

QUANTITIES: tuple[Quantity, ...] = (
    PARITY_GAP,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    BALANCED_ATTACK_ACCURACY,
    INFORMATION,
)
"""All quantities that can be certified."""
