r"""Measures: how much a code reveals about the sensitive attribute, as a term of an objective.

Each measure is one `Reading` in `MEASURES`. To make a new one, add an entry there; you can put its
formula in this file too. A measure reads the expected counts of a `Batch`. Informations are in
nats, and distances between groups are probabilities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.batches import Batch
from bitveil.criteria import CRITERIA, Criterion, compares_within_strata
from bitveil.distributions import Prior, group_prior, positive
from bitveil.group_tables import GroupTables
from bitveil.information import (
    chi_square_information,
    doeblin_coefficient,
    guessing_advantage,
    maximal_correlation,
    maximal_leakage,
    mutual_information,
    sibson_information,
    squared_hellinger,
    total_variation,
)
from bitveil.shapes import Scalar
from bitveil.tables import pair_groups
from bitveil.wide_codes import (
    Slope,
    conditional_information_slope,
    sampled_reading,
    total_variation_slope,
)

__all__ = ["ENGINES", "MEASURES", "Engine", "Measure", "Reading"]

Engine: TypeAlias = Literal["exact", "sampled"]
Drawn: TypeAlias = Callable[["Measure", Batch], Tensor]

ENGINES: tuple[Engine, ...] = get_args(Engine)
"""How a measure of the whole code is found: from the table of all codes, or from drawn codes."""


@dataclass(frozen=True)
class Reading:
    """A measure as a function of tables, with everything that the library needs to know about it.

    Attributes:
        function: From tables, with shape (..., k, c), to values, with shape (...). With a prior
            it is called as `function(tables, prior=prior)`.
        order: How it falls near independence: 1 in proportion to the total variation, 2 to its
            square.
        strata: Whether it takes the `"mean"` over strata, weighted by their rows, or the
            `"worst"` stratum.
        has_prior: Whether it depends on the weights of the groups.
        each_bit: Whether it reads the table of each bit alone, and adds the values up.
        drawn: An estimate from drawn codes, for codes that are too wide to list; None if there is
            no such estimate.
        same_of_two: The measure that it equals for two groups, if there is one.
    """

    function: Callable[..., Tensor]
    order: Literal[1, 2]
    strata: Literal["mean", "worst"]
    has_prior: bool = True
    each_bit: bool = False
    drawn: Drawn | None = None
    same_of_two: str = ""

    @property
    def any_width(self) -> bool:
        """Whether it can measure codes that are too wide to list."""

        return self.each_bit or self.drawn is not None

    def read(self, tables: Float[Tensor, "*b k c"], prior: Prior = "empirical") -> Tensor:
        """The value of each table."""

        return self.function(tables, prior=prior) if self.has_prior else self.function(tables)

    def over_strata(self, tables: Float[Tensor, "*b p k c"], prior: Prior = "empirical") -> Tensor:
        """The value of the tables of several strata together.

        Example:
            >>> tables = torch.stack([3 * torch.eye(2), torch.ones(2, 2)])  # 6 rows, and 4
            >>> MEASURES["chi_square_information"].over_strata(tables)
            tensor(0.6000)
            >>> MEASURES["total_variation"].over_strata(tables)
            tensor(1.)
        """

        if tables.shape[-3] == 1:
            return self.read(tables.squeeze(-3), prior)
        if self.strata == "worst":
            return self.read(tables, prior).amax(-1)
        weight = tables.sum((-2, -1))
        share = weight / positive(weight.sum(-1, keepdim=True))

        return (share * self.read(tables, prior)).sum(-1)


@dataclass(frozen=True)
class Measure:
    """A measure with its settings, as a term of an objective.

    Arguments:
        reading: One of `MEASURES`.
        criterion: Which rows are compared: see `bitveil.criteria`.
        engine: `"exact"` reads the table of all codes, `"sampled"` draws codes that are too wide
            to list.
        prior: The weights of the groups, where the reading has a prior.
        positive: The stratum that equal opportunity compares.
        n_draws: The most draws of a batch, for the sampled engine.
        generator: The source of the draws.

    Example:
        >>> logits, s = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> batch = Batch.of_target(logits, s, s, n_classes=2, n_groups=2)
        >>> Measure("mutual_information")(batch), Measure(criterion="separation")(batch)
        (tensor(0.6931), tensor(0.))
    """

    reading: str = "total_variation"
    criterion: Criterion = "independence"
    engine: Engine = "exact"
    prior: Prior = "empirical"
    positive: int = 1
    n_draws: int | None = None
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        for name, known in (("reading", MEASURES), ("criterion", CRITERIA), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` expects one of {list(known)}, got {getattr(self, name)!r}."
                )
        if self.engine == "sampled" and not MEASURES[self.reading].any_width:
            wide = [name for name, reading in MEASURES.items() if reading.any_width]
            raise ValueError(
                f"The sampled engine expects one of {wide}, got {self.reading!r}. Choose one of "
                "these, or few enough bits for the exact engine."
            )

    def __call__(self, batch: Batch) -> Scalar:
        """The measure of the batch."""

        reading = MEASURES[self.reading]
        if reading.each_bit:
            return self._of(batch.neurons).sum()
        if self.engine == "sampled" and reading.drawn is not None:
            return reading.drawn(self, batch)

        return self._of(batch.tables)

    @torch.no_grad()
    def noise(self, batch: Batch, *, times: int = 4, seed: int = 0) -> Scalar:
        """What these rows would show if the code revealed nothing: the mean over shuffled groups.

        Groups are shuffled among the rows that the criterion compares. A value measured on few
        rows is too high by about this much.

        Arguments:
            batch: The rows.
            times: How often to shuffle.
            seed: The seed of the shuffles.

        Example:
            >>> s = torch.arange(2).repeat(500)
            >>> coins = torch.randn(1000, 6, generator=torch.Generator().manual_seed(0)) * 9
            >>> batch = Batch.of_target(coins, s * 0, s, n_classes=1, n_groups=2)
            >>> Measure()(batch), Measure().noise(batch)
            (tensor(0.1470), tensor(0.1565))
        """

        generator = torch.Generator().manual_seed(seed)
        values = [self(batch.shuffled(self.criterion, generator)) for _ in range(times)]

        return torch.stack(values).mean()

    def _of(self, tables: GroupTables) -> Tensor:
        """The value of these tables, or of each of several codes."""

        reading = MEASURES[self.reading]
        if not compares_within_strata(self.criterion):  # one table: nothing to combine
            return reading.read(tables.groups, self.prior)

        return reading.over_strata(tables.compared(self.criterion, self.positive), self.prior)


def _doeblin_complement(tables: Tensor) -> Tensor:
    return 1 - doeblin_coefficient(tables)


def _drawn_information(measure: Measure, batch: Batch) -> Tensor:
    """The mutual information from drawn codes; of several strata, the conditional one."""

    parts = batch.compared(measure.criterion, measure.positive)
    if len(parts) == 1:
        return _drawn(measure, batch, parts[0], batch.s[parts[0]], batch.n_groups)

    rows = torch.stack(parts).any(0)
    pairs = pair_groups(batch.strata, batch.s, batch.n_groups)[rows]
    weights = None if batch.weights is None else batch.weights[rows]
    sizes = torch.bincount(pairs, weights, batch.n_strata * batch.n_groups)
    cells = sizes.view(batch.n_strata, batch.n_groups).to(batch.logits)
    share = cells.sum(1, keepdim=True) / cells.sum() * group_prior(cells, measure.prior)
    slope = conditional_information_slope(batch.n_strata)

    return _drawn(measure, batch, rows, pairs, share.numel(), slope=slope, prior=share.flatten())


def _drawn_distance(measure: Measure, batch: Batch, *, slope: Slope) -> Tensor:
    """A distance of two groups from drawn codes, for the worst pair and stratum."""

    found = [batch.logits.sum() * 0]
    for part in batch.compared(measure.criterion, measure.positive):
        for first, second in combinations(range(batch.n_groups), 2):
            rows = part & ((batch.s == first) | (batch.s == second))
            side = (batch.s[rows] == second).long()
            if 0 < side.sum() < len(side):  # both groups have rows
                found.append(_drawn(measure, batch, rows, side, 2, slope=slope))

    return torch.stack(found).amax()


def _drawn(
    measure: Measure, batch: Batch, rows: Tensor, groups: Tensor, k: int, **rest: Any
) -> Tensor:
    logits = batch.logits[rows]
    settings: dict[str, Any] = {"prior": measure.prior} | rest
    if measure.n_draws is not None:
        settings["n_draws"] = min(measure.n_draws, len(logits))
    weights = None if batch.weights is None else batch.weights[rows]

    return sampled_reading(
        logits,
        groups,
        k,
        weights=weights,
        generator=measure.generator,
        team=batch.team,
        **settings,
    ).value


MEASURES: dict[str, Reading] = {
    "total_variation": Reading(
        total_variation,
        order=1,
        strata="worst",
        has_prior=False,
        drawn=partial(_drawn_distance, slope=total_variation_slope),
    ),
    "mutual_information": Reading(
        mutual_information, order=2, strata="mean", drawn=_drawn_information
    ),
    "neuron_information": Reading(mutual_information, order=2, strata="mean", each_bit=True),
    "chi_square_information": Reading(chi_square_information, order=2, strata="mean"),
    "squared_hellinger": Reading(squared_hellinger, order=2, strata="worst", has_prior=False),
    "sibson_information": Reading(partial(sibson_information, alpha=2.0), order=2, strata="worst"),
    "maximal_leakage": Reading(maximal_leakage, order=1, strata="worst"),
    "maximal_correlation": Reading(maximal_correlation, order=1, strata="worst"),
    "guessing_advantage": Reading(guessing_advantage, order=1, strata="mean"),
    "doeblin_complement": Reading(
        _doeblin_complement,
        order=1,
        strata="worst",
        has_prior=False,
        same_of_two="total_variation",
    ),
}
"""What a code can be charged for.

`neuron_information` is the paper's sum over single bits, which bounds the information of the whole
code from neither side. `sibson_information` has order 2. `doeblin_complement` is one minus the
overlap of all groups' codes.
"""
