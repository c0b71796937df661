"""Upper bounds: the certificate of any quantity, by the theorem of `bitveil.certificates`."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.certificates.compared import Compared, check_delta, check_draws, check_sizes, slack
from bitveil.certificates.quantities import PARITY_GAP, ConvexPart, Quantity, quantity_named
from bitveil.certificates.slacks import hoeffding_slack
from bitveil.group_tables import GroupTables

__all__ = ["Certificate", "certified", "certify", "dobrushin_bound", "share_of_rows"]

_DRAWS = {"soft": "expected counts", "hard": "drawn codes"}


@dataclass(frozen=True)
class Certificate:
    """The quantity is at most `bound`, except with probability `delta`.

    Attributes:
        bound: The upper bound on the quantity in the population of the held-out rows.
        delta: The probability, over the held-out rows, that the bound is wrong; with several
            candidates, that any of their bounds is.
        estimate: The value measured on the held-out rows; for information, the bound on it that
            they show.
        sizes: The number of held-out rows of each group, target by target where the criterion
            compares groups within targets.
        draws: `"soft"` if expected counts were used, `"hard"` if drawn codes were.
        quantity: What is bounded.
        candidates: How many codes were judged on the same rows, each with a bound like this.
        entropy: For information, the entropy of the groups in bits under its prior: all that
            there is to reveal.
        share: The probability that a row's code is published. The other rows are blank: see
            `bitveil.certificates.dilution`.
    """

    bound: float
    delta: float
    estimate: float
    sizes: tuple[int, ...]
    draws: str = "soft"
    quantity: Quantity = PARITY_GAP
    candidates: int = 1
    entropy: float | None = None
    share: float = 1.0

    def __str__(self) -> str:
        rows = " + ".join(map(str, self.sizes))
        of_all = "" if self.entropy is None else f" of {self.entropy:.4f}"
        codes = "" if self.candidates == 1 else f" for all of {self.candidates} codes at once"
        shown = "" if self.share == 1 else f" if {share_of_rows(self.share)} are published"
        among = self.quantity.among() if self.quantity.unit != "gap" else ""
        about = f"{self.quantity.says} {among}".strip()
        # An information is bounded by way of a distance, and is itself far smaller than this.
        found = f"measured {self.estimate:.4f}"
        if self.entropy is not None:
            found = f"{self.estimate:.4f} without slack"

        return (
            f"{about} ≤ {self.bound:.4f}{of_all}{shown} with probability "
            f"≥ {1 - self.delta:g}{codes} ({rows} held-out rows, {_DRAWS[self.draws]}, {found})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON. The quantity is given by its name, and by what was chosen."""

        return {**vars(self), **self.quantity.described()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Certificate":
        """The certificate that `to_dict` made.

        Raises:
            ValueError: If a field is missing or unknown, or there is no such quantity.

        Example:
            >>> fair = certify(GroupTables.of([[500.0, 500.0], [500, 500]]))
            >>> Certificate.from_dict(fair.to_dict()) == fair
            True
        """

        names = {each.name for each in fields(cls)}
        about = PARITY_GAP.described().keys()
        if set(content) != names | about:
            raise ValueError(f"A certificate has the fields {sorted(names | about)}.")
        own = {name: content[name] for name in names - {"quantity", "sizes"}}
        chosen = quantity_named(**{name: content[name] for name in about})

        return cls(**own, sizes=tuple(content["sizes"]), quantity=chosen)


def share_of_rows(share: float) -> str:
    """A share of the rows in words. It says 0 and 100 % only where that is exact.

    Example:
        >>> share_of_rows(0.6184), share_of_rows(0.9998), share_of_rows(0.0)
        ('61.8% of the rows', 'more than 99.9% of the rows', 'none of the rows')
    """

    if share in (0, 1):
        return "all rows" if share else "none of the rows"
    if 0.001 <= share <= 0.999:
        return f"{share:.1%} of the rows"

    return f"{'less than 0.1' if share < 0.5 else 'more than 99.9'}% of the rows"


def certify(
    tables: GroupTables,
    quantity: Quantity = PARITY_GAP,
    *,
    delta: float = 0.05,
    draws: str = "soft",
    candidates: int = 1,
    dobrushin: float = 1.0,
) -> Certificate:
    r"""Certify a quantity of a code, from the counts of held-out rows.

    The bound is the largest of those of the quantity's parts: of the pairs of groups for a gap,
    and of the targets where groups are compared within targets. :math:`\delta` is divided among
    candidates, and not among parts: `bitveil.certificates` proves that the largest needs no
    correction. Nothing is said of the other parts one by one.

    Arguments:
        tables: The counts of rows that were used neither in training nor in selection: expected
            counts of their codes, or counts of drawn codes.
        quantity: What is bounded: an entry of `bitveil.certificates.quantities`.
        delta: The probability that the bound may be wrong.
        draws: What the tables count: `"soft"` (expected) or `"hard"` (drawn) codes. The theorem is
            the same. Drawn codes have a smaller slack, but measure too much where there are many
            of them. `"certain"`: expected counts of codes that depend on nothing but the row, as
            those of `bitveil.cells`. They have the smaller slack too, and can be diluted.
        candidates: How many codes are judged on these rows and chosen among. All of their bounds
            then hold at once with probability 1 - delta.
        dobrushin: A bound on the total variation between the codes of any two rows, known before
            anyone looked at the held-out rows: see `dobrushin_bound`. It multiplies the slack, and
            the gap is no larger than it. For expected counts only.

    Raises:
        ValueError: If delta is not between 0 and 1, there are fewer than two groups, a group has
            no rows in a table that is compared, or the prior is no distribution over the groups.

    Warns:
        UserWarning: If there are more drawn codes than rows in the smallest group: the bound
            holds, but it is loose.

    Example:
        >>> from bitveil.certificates import EQUALISED_ODDS_GAP, INFORMATION
        >>> table = [[600.0, 400.0], [500.0, 500.0]]
        >>> certify(GroupTables.of(table)).bound  # 0.1 + 0.0400
        0.1400...
        >>> by_target = GroupTables.of([[[900.0, 100.0], [900, 100]], table])
        >>> certify(by_target, EQUALISED_ODDS_GAP).bound  # the worst target
        0.1400...
        >>> print(certify(GroupTables.of(table), INFORMATION))
        bits that the code reveals about the group ≤ 0.1400 of 1.0000 with probability ≥ 0.95
        (1000 + 1000 held-out rows, expected counts, 0.1000 without slack)
    """

    level = delta / candidates if candidates else delta

    return certified(
        tables,
        quantity,
        delta=delta,
        level=level,
        draws=draws,
        candidates=candidates,
        dobrushin=dobrushin,
    )


def certified(
    tables: GroupTables,
    quantity: Quantity,
    *,
    delta: float,
    level: float,
    draws: str,
    candidates: int = 1,
    dobrushin: float = 1.0,
    most: Callable[[Compared, ConvexPart], float] | None = None,
) -> Certificate:
    """The certificate whose slack is taken at a level of its own. `certify` tells the rest.

    Arguments:
        tables: The counts of held-out rows.
        quantity: What is bounded.
        delta: What the certificate says of itself.
        level: The probability that the slack may be exceeded.
        draws: What the tables count.
        candidates: What the certificate says of itself.
        dobrushin: As in `certify`.
        most: The argument `most` of `slack` for a part; None: 1.
    """

    check_delta(delta)
    _check_settings(draws, candidates, dobrushin)
    compared = quantity.compared(tables)
    for each in compared:
        check_sizes(each.sizes)
    _warn_of_many_codes(compared, draws)
    parts = [(p, each) for each in compared for p in quantity.parts(each, quantity.weights)]

    # No nested `def`: the shape checks of the tests would wrap it anew in every call, for 2 ms.
    bounded = partial(_bounded, quantity=quantity, dobrushin=dobrushin)
    worst = _largest(
        parts,
        rough=lambda part, each: bounded(
            part, each, noise=dobrushin * hoeffding_slack(part.sizes, level)
        ),
        exact=lambda part, each: bounded(
            part,
            each,
            noise=slack(
                part.sizes,
                level,
                draws=draws,
                dobrushin=dobrushin,
                most=1.0 if most is None else most(each, part),
            ),
        ),
    )
    in_bits = quantity.unit == "bits"
    # An information is a share of one entropy, so its certificate is about the worst target alone.
    about = [worst.part] if in_bits else [part for part, _ in parts]
    sizes = [worst.compared] if in_bits else compared

    return Certificate(
        worst.bound,
        delta,
        max(part.measured * part.scale for part in about),
        tuple(n for each in sizes for n in each.sizes),
        "hard" if draws == "hard" else "soft",
        quantity,
        candidates,
        worst.part.scale if in_bits else None,
    )


class _Bounded(NamedTuple):
    """A part, its bound, and the rows that it is read from."""

    part: ConvexPart
    bound: float
    compared: Compared


_Bounds: TypeAlias = Callable[[ConvexPart, Compared], _Bounded]


def _bounded(
    part: ConvexPart, compared: Compared, *, quantity: Quantity, noise: float, dobrushin: float
) -> _Bounded:
    """The theorem for one part."""

    ceiling = quantity.ceiling(len(compared.table), dobrushin)
    bound = min(ceiling, part.measured + noise / part.mean_of)

    return _Bounded(part, bound * part.scale, compared)


def _largest(
    parts: Sequence[tuple[ConvexPart, Compared]], rough: _Bounds, exact: _Bounds
) -> _Bounded:
    """The part with the largest exact bound. No exact bound is above the rough one of its part."""

    above = sorted((rough(*part) for part in parts), key=lambda found: -found.bound)
    worst = exact(above[0].part, above[0].compared)
    for each in above[1:]:
        if each.bound <= worst.bound:
            break
        worst = max(worst, exact(each.part, each.compared), key=lambda found: found.bound)

    return worst


def dobrushin_bound(low: Float[Tensor, " m"], high: Float[Tensor, " m"]) -> float:
    r"""A bound on the total variation between the codes of any two rows, from their ranges.

    Let bit j be 1 with a probability in :math:`[l_j, h_j]` for every possible row. The bits are
    independent given the row. Let :math:`d_j = h_j - l_j`. The bits of two rows can be coupled one
    by one to differ with probability at most :math:`d_j`, so their codes differ with probability
    at most :math:`1 - \prod_j (1 - d_j)`. Total variation is also at most :math:`\sqrt{1 - b^2}`,
    where b is the Bhattacharyya coefficient. It is the product of the coefficients of the bits,
    none of them below :math:`\sqrt{l_j h_j} + \sqrt{(1 - l_j)(1 - h_j)}`. The smaller of the two
    bounds is returned. It is exact for one bit. For few bits it is the first; for many bits with
    narrow ranges it is the second.

    The ranges must come from the encoder, such as from a clamp on its probabilities, and not from
    the held-out rows.

    Source:
        Central Limit Theorem for Nonstationary Markov Chains (Dobrushin, 1956),
        https://doi.org/10.1137/1101006

    Arguments:
        low: The smallest probability that each bit is 1, with shape (m,).
        high: The largest, with shape (m,).

    Raises:
        ValueError: If they are not ranges of probabilities.

    Example:
        >>> dobrushin_bound(torch.tensor([0.25, 0.5]), torch.tensor([0.75, 0.5]))
        0.5
    """

    if low.shape != high.shape or not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise ValueError(
            "`dobrushin_bound` expects ranges of probabilities, 0 <= low <= high <= 1 for each "
            f"bit, got {low.tolist()} and {high.tolist()}."
        )
    low, high = low.double(), high.double()
    coupled = 1 - (1 - (high - low)).prod()
    affinity = ((low * high).sqrt() + ((1 - low) * (1 - high)).sqrt()).prod()

    return min(coupled.item(), (1 - affinity.square()).clamp_min(0).sqrt().item())


def _check_settings(draws: str, candidates: int, dobrushin: float) -> None:
    if candidates < 1:
        raise ValueError(f"`candidates` expects a number from 1 on, got {candidates}.")
    check_draws(draws)
    if not 0 <= dobrushin <= 1 or (dobrushin < 1 and draws != "soft"):
        raise ValueError(
            f"`dobrushin` expects a total variation from 0 to 1, got {dobrushin}. For drawn and "
            "certain codes leave it out: another row may have quite another code."
        )


def _warn_of_many_codes(compared: Sequence[Compared], draws: str) -> None:
    n_codes = int((torch.cat([each.table for each in compared]).sum(0) > 0).sum())
    fewest = min(min(each.sizes) for each in compared)
    if draws == "hard" and n_codes > fewest:
        warnings.warn(
            f"There are more drawn codes ({n_codes}) than rows in the smallest group ({fewest}). "
            "The bound holds, but it is loose: use expected counts, more rows, or fewer bits.",
            stacklevel=3,
        )
