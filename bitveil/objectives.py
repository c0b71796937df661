r"""Objectives: what an encoder is trained for, and what it is charged for.

A *task* is small where the code is useful for the target `Y`; a *measure* is small where it tells
little of the sensitive attribute `S`. Both read the tables of one `Batch`, in nats (a total
variation is a probability). They meet in one of two forms:

- `Weighted`: :math:`a \cdot \text{task} + b \cdot \text{measure}`, where the person knows a
  weight; `Weighted.gamma` is the paper's form.
- `Constrained`: the best task with the measure at most a limit, where the person knows which
  leakage can be lived with. A weight on total variation moves in jumps; this does not.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bitveil.batches import Batch
from bitveil.codes import all_codes
from bitveil.gradients import straight_through
from bitveil.information import (
    Prior,
    bit_entropy,
    chi_square_information,
    code_entropy,
    doeblin_coefficient,
    group_prior,
    guessing_advantage,
    maximal_correlation,
    maximal_leakage,
    mutual_information,
    sibson_information,
    squared_hellinger,
    total_variation,
)
from bitveil.shapes import Scalar
from bitveil.tables import moment_table, pair_groups
from bitveil.wide_codes import (
    conditional_information_slope,
    sampled_reading,
    total_variation_slope,
)

__all__ = [
    "CRITERIA",
    "ENGINES",
    "MEASURES",
    "Constrained",
    "Criterion",
    "DecoderTask",
    "Engine",
    "Measure",
    "Objective",
    "Terms",
    "Weighted",
    "explained",
    "input_task",
    "task_information",
]

Criterion: TypeAlias = Literal["independence", "separation", "equal_opportunity"]
Engine: TypeAlias = Literal["exact", "neuron", "sampled"]

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
"""Of which rows the groups are compared: all, those of each target, those of one target."""

ENGINES: tuple[Engine, ...] = get_args(Engine)
"""How a measure is found: from the table of the whole code, of its single bits, or by drawing."""


Term = Callable[[Batch], Tensor]


def task_information(batch: Batch) -> Scalar:
    r"""The task `-I(T; Y)` in nats, exact: no decoder at all, since the best one is the table.

    Several targets add up. Of a number the table knows the share :math:`R^2` of its variance that
    the best decoder explains; :math:`-\tfrac12 \log(1 - R^2)` nats are what a Gaussian number with
    this share would be told at least.

    Example:
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task_information(Batch(logits, y, s, n_classes=2, n_groups=1))  # -log 2
        tensor(-0.6931)
        >>> v = torch.tensor([[1.0], [2.0], [5.0], [6.0]])
        >>> batch = Batch(logits.repeat_interleave(2, 0), y.repeat(2) * 0, s.repeat(2),
        ...     n_classes=1, n_groups=1, values=v)
        >>> task_information(batch)  # a variance of 4.25, given the bit 0.25: log(0.25 / 4.25) / 2
        tensor(-1.4166)
    """

    information = sum(
        (mutual_information(table) for table in batch.targets), batch.logits.sum() * 0
    )
    if batch.values is None:
        return -information

    return (1 - explained(batch)).log().sum() / 2 - information


def explained(batch: Batch) -> Float[Tensor, " d"]:
    """The share of the variance of each number that the best decoder of these rows explains.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 0])
        >>> v = torch.tensor([[1.0], [2.0]])
        >>> explained(Batch(logits, y, y, n_classes=1, n_groups=1, values=v))
        tensor([1.0000])
    """

    values = batch.values
    if values is None:
        raise ValueError("`explained` expects a batch with numbers as targets, got none.")
    known = values.isfinite().to(values)
    if batch.weights is not None:
        known = known * batch.weights.to(values).unsqueeze(1)
    numbers = values.nan_to_num()
    alike = known[:, :1] if (known == known[:, :1]).all() else known  # one count serves all
    moments = moment_table(batch.logits, torch.cat([alike, known * numbers], 1))
    counts, sums = moments.split([alike.shape[1], known.shape[1]])
    total, whole = known.sum(0), (known * numbers).sum(0)
    spread = (known * numbers.square()).sum(0) - whole.square() / total
    between = (sums.square() / counts.clamp_min(1e-12)).sum(1) - whole.square() / total

    return (between / spread.clamp_min(1e-12)).clamp(0, 1 - 1e-6)


def input_task(batch: Batch) -> Scalar:
    """The task `-I(X; T)` in nats: a code that tells its row from others, whatever the target.

    Example:
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 0])
        >>> input_task(Batch(logits, y, y, n_classes=1, n_groups=1))  # -log 2
        tensor(-0.6931)
    """

    entropy, weights = bit_entropy(batch.logits).sum(-1), batch.weights
    noise = entropy.mean() if weights is None else (weights * entropy).sum() / weights.sum()

    return noise - code_entropy(batch.groups)


MEASURES: dict[str, Callable[[Tensor, Prior], Tensor]] = {
    "total_variation": lambda table, prior: total_variation(table),
    "mutual_information": lambda table, prior: mutual_information(table, prior=prior),
    "chi_square_information": lambda table, prior: chi_square_information(table, prior=prior),
    "squared_hellinger": lambda table, prior: squared_hellinger(table),
    "sibson_information": lambda table, prior: sibson_information(table, 2.0, prior=prior),
    "maximal_leakage": lambda table, prior: maximal_leakage(table, prior=prior),
    "maximal_correlation": lambda table, prior: maximal_correlation(table, prior=prior),
    "guessing_advantage": lambda table, prior: guessing_advantage(table, prior=prior),
    "doeblin_complement": lambda table, prior: 1 - doeblin_coefficient(table),
}
"""What a code can be charged for: readings of a table, with the weights of the groups.

Sibson's information is that of order 2. The complement of the Doeblin coefficient is one less the
overlap of all groups' codes: the total variation, where there are two."""

_AVERAGED = {"mutual_information", "chi_square_information", "guessing_advantage"}


@dataclass(frozen=True)
class Measure:
    """What a code is charged for: a reading of its table, as a term of an objective.

    Arguments:
        reading: One of `MEASURES`.
        criterion: `"independence"` compares all rows of the groups (demographic parity),
            `"separation"` those of each target (equalised odds), `"equal_opportunity"` those of
            one target. Over targets an information is averaged, a distance is that of the worst.
        engine: `"exact"` reads the table of the whole code, `"neuron"` sums over single bits (the
            paper's way: no bound on the whole), `"sampled"` draws, for codes that are too wide.
        prior: The weights of the groups, where the reading has any.
        positive: The target that equal opportunity speaks of.
        n_draws: The most draws of a batch, for the sampled engine.
        generator: Where the draws come from.

    Example:
        >>> logits, s = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> batch = Batch(logits, s, s, n_classes=2, n_groups=2)
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
        if self.engine == "sampled" and self.reading not in _SAMPLED:
            raise ValueError(
                f"Codes can be drawn for {list(_SAMPLED)}, not for {self.reading!r}. Choose one "
                "of these, or a code narrow enough for the exact engine."
            )

    def __call__(self, batch: Batch) -> Scalar:
        """The measure of the batch: nats, or a probability for a total variation."""

        if self.engine == "sampled":
            return _SAMPLED[self.reading](self, batch)
        if self.engine == "neuron":
            return self.read(batch.neurons[:, : batch.n_classes], batch.neurons.sum(1)).sum()

        return self.read(batch.joint, batch.groups)

    @torch.no_grad()
    def noise(self, batch: Batch, *, times: int = 4, seed: int = 0) -> Scalar:
        """What rows like these show of a code that tells nothing: the mean over shuffled groups.

        Groups are shuffled among the rows that the criterion compares. A plug-in value from few
        rows is too high by about this.

        Arguments:
            batch: The rows.
            times: How often they are shuffled.
            seed: The seed of the shuffling.

        Example:
            >>> s = torch.arange(2).repeat(500)
            >>> coins = torch.randn(1000, 6, generator=torch.Generator().manual_seed(0)) * 9
            >>> batch = Batch(coins, s * 0, s, n_classes=1, n_groups=2)
            >>> Measure()(batch), Measure().noise(batch)
            (tensor(0.1470), tensor(0.1565))
        """

        generator = torch.Generator().manual_seed(seed)
        within = torch.zeros_like(batch.y) if self.criterion == "independence" else batch.y
        values = [self(batch.shuffled(within, generator)) for _ in range(times)]

        return torch.stack(values).mean()

    def read(self, joint: Float[Tensor, "*b y k c"], groups: Float[Tensor, "*b k c"]) -> Tensor:
        """The reading of tables over (y, s, code) and over (s, code)."""

        read = MEASURES[self.reading]
        if self.criterion == "independence":
            return read(groups, self.prior)
        if self.criterion == "equal_opportunity":
            return read(joint[..., self.positive, :, :], self.prior)
        if self.reading not in _AVERAGED:
            return read(joint, self.prior).amax(-1)
        weight = joint.sum((-2, -1))

        return (weight / weight.sum(-1, keepdim=True) * read(joint, self.prior)).sum(-1)


def _sampled_information(measure: Measure, batch: Batch) -> Tensor:
    """The mutual information by drawing: of all rows, given the target, or of one target."""

    if measure.criterion == "independence":
        return _drawn(measure, batch, slice(None), batch.s, batch.n_groups)
    if measure.criterion == "equal_opportunity":
        rows = batch.y == measure.positive
        return _drawn(measure, batch, rows, batch.s[rows], batch.n_groups)

    rows = batch.y >= 0
    pairs = pair_groups(batch.y, batch.s, batch.n_groups)[rows]
    weights = None if batch.weights is None else batch.weights[rows]
    sizes = torch.bincount(pairs, weights, batch.n_classes * batch.n_groups)
    cells = sizes.view(batch.n_classes, batch.n_groups).to(batch.logits)
    share = cells.sum(1, keepdim=True) / cells.sum() * group_prior(cells, measure.prior)
    slope = conditional_information_slope(batch.n_classes)

    return _drawn(measure, batch, rows, pairs, share.numel(), slope=slope, prior=share.flatten())


def _sampled_variation(measure: Measure, batch: Batch) -> Tensor:
    """The total variation by drawing, of the farthest pair of groups."""

    parts = {
        "independence": [torch.ones_like(batch.y, dtype=torch.bool)],
        "separation": [batch.y == y for y in range(batch.n_classes)],
        "equal_opportunity": [batch.y == measure.positive],
    }[measure.criterion]
    found = [batch.logits.sum() * 0]
    for part in parts:
        for first, second in combinations(range(batch.n_groups), 2):
            rows = part & ((batch.s == first) | (batch.s == second))
            side = (batch.s[rows] == second).long()
            if 0 < side.sum() < len(side):  # a group without rows tells nothing
                found.append(_drawn(measure, batch, rows, side, 2, slope=total_variation_slope))

    return torch.stack(found).amax()


_SAMPLED = {
    "mutual_information": _sampled_information,
    "total_variation": _sampled_variation,
}


def _drawn(
    measure: Measure, batch: Batch, rows: Tensor | slice, groups: Tensor, k: int, **rest: Any
) -> Tensor:
    logits = batch.logits[rows]
    settings: dict[str, Any] = {"prior": measure.prior} | rest
    if measure.n_draws is not None:
        settings["n_draws"] = min(measure.n_draws, len(logits))
    weights = None if batch.weights is None else batch.weights[rows]

    return sampled_reading(
        logits, groups, k, weights=weights, generator=measure.generator, **settings
    ).value


class DecoderTask(nn.Module):
    """The loss of a decoder in nats: over all codes exactly, or at drawn bits.

    The cross-entropy of each target, and for each number half the logarithm of the share of its
    variance that the decoder leaves.

    Arguments:
        decoder: A module from bits, with shape :math:`(\\dots, m)`, to the logits of the targets,
            one after the other, and then the numbers.
        exact: Whether the expectation over all :math:`2^m` codes is taken, with no gradient noise,
            for targets only; otherwise the decoder sees one draw a row, with straight-through
            gradients.
        generator: Where the random numbers of the draws come from.

    Example:
        >>> task = DecoderTask(nn.Linear(1, 2))
        >>> logits = torch.tensor([[-200.0], [200.0]])
        >>> y, s = torch.tensor([0, 1]), torch.tensor([0, 0])
        >>> task(Batch(logits, y, s, n_classes=2, n_groups=1)).item() > 0
        True
    """

    def __init__(
        self,
        decoder: nn.Module,
        *,
        exact: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.exact = exact
        self.generator = generator

    def forward(self, batch: Batch) -> Scalar:
        """The loss of the batch."""

        return self._over_codes(batch) if self.exact else self._at_draws(batch)

    @torch.no_grad()
    def score(self, batch: Batch) -> float | None:
        """The accuracy for the first target at drawn bits, or the share of variance explained."""

        output = self.decoder(straight_through(batch.logits, generator=self.generator))
        labels = batch.y.unsqueeze(1) if batch.labels is None else batch.labels
        if labels.shape[1] and self._split(output, batch)[0].shape[1] > 1:
            right = self._split(output, batch)[0].argmax(1) == labels[:, 0]
            weights = torch.ones_like(output[:, 0]) if batch.weights is None else batch.weights
            counted = weights * (labels[:, 0] >= 0)
            return ((counted * right).sum() / counted.sum()).item()

        return None if batch.values is None else self._explained(output, batch).mean().item()

    def _over_codes(self, batch: Batch) -> Tensor:
        if batch.values is not None:
            raise ValueError(
                "`DecoderTask` takes the expectation over all codes for targets with classes; "
                "for numbers use `exact=False`, or `task_information`, whose decoder is the table."
            )
        codes = all_codes(batch.logits.shape[1], like=batch.logits)
        losses = [
            -(counts * output.log_softmax(-1).T).sum() / counts.sum().clamp_min(1e-12)
            for counts, output in zip(
                batch.targets, self._split(self.decoder(codes), batch), strict=True
            )
        ]

        return torch.stack(losses).sum()

    def _at_draws(self, batch: Batch) -> Tensor:
        output = self.decoder(straight_through(batch.logits, generator=self.generator))
        weights = torch.ones_like(output[:, 0]) if batch.weights is None else batch.weights
        labels = batch.y.unsqueeze(1) if batch.labels is None else batch.labels
        loss = output.sum() * 0
        for column, of_label in zip(labels.T, self._split(output, batch), strict=True):
            each = F.cross_entropy(of_label, column, reduction="none", ignore_index=-1)
            counted = weights * (column >= 0)
            loss = loss + (counted * each).sum() / counted.sum().clamp_min(1e-12)
        if batch.values is None:
            return loss

        return loss + (1 - self._explained(output, batch)).log().sum() / 2

    def _explained(self, output: Tensor, batch: Batch) -> Tensor:
        """The share of the variance of each number that the decoder explains."""

        assert batch.values is not None
        weights = torch.ones_like(output[:, 0]) if batch.weights is None else batch.weights
        known = batch.values.isfinite() * weights.unsqueeze(1)
        numbers, guesses = batch.values.nan_to_num(), output[:, -batch.values.shape[1] :]
        total = known.sum(0).clamp_min(1e-12)
        mean = (known * numbers).sum(0) / total
        left = (known * (numbers - guesses).square()).sum(0) / total
        spread = (known * (numbers - mean).square()).sum(0) / total

        return 1 - (left / spread.clamp_min(1e-12)).clamp_min(1e-6)

    def _split(self, output: Tensor, batch: Batch) -> list[Tensor]:
        """The part of the output for each target."""

        sizes = [batch.n_classes] if batch.labels is None else list(batch.n_labels)

        return list(output[..., : sum(sizes)].split(sizes, -1))


class Terms(NamedTuple):
    """The loss and what it is made of."""

    loss: Tensor
    task: Tensor
    measure: Tensor


class Objective(nn.Module, ABC):
    """Terms from a batch, and one number by which two encoders are compared on held-out rows."""

    def __init__(self, task: Term, measure: Term) -> None:
        super().__init__()
        self.task, self.measure = task, measure
        self.progress = 1.0  # the share of the training that is over, as the loop says

    def measures(self, batch: Batch) -> Float[Tensor, " layers"]:
        """The measure of the code, and of every stochastic layer before it."""

        return torch.stack([self.measure(code) for code in _codes(batch)])

    def noise(self, batch: Batch) -> Float[Tensor, " layers"]:
        """What of the measures is the noise of few rows, where the measure knows it."""

        if not isinstance(self.measure, Measure):
            return torch.zeros_like(self.measures(batch))
        return torch.stack([self.measure.noise(code) for code in _codes(batch)])

    @abstractmethod
    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of."""

    @abstractmethod
    def merit(self, terms: Terms) -> float:
        """How bad an encoder with these terms is: less is better."""


def _codes(batch: Batch) -> list[Batch]:
    """The code, and those of the stochastic layers before it."""

    return [batch, *(batch.at(logits) for logits in batch.inner)]


class Weighted(Objective):
    """The sum `task_weight * task + strength * measure`.

    A large weight from the start ends in a code that says nothing, from which no gradient leads
    away, although there are codes that are useful and tell nothing. In training the weight
    therefore grows by three decades over the first half. On held-out rows, where epochs are
    compared, the measure is charged for as far as it is above its noise.

    Arguments:
        task: A task, as `task_information` or a `DecoderTask`.
        measure: A measure, as `Measure("total_variation")`.
        strength: The weight of the measure.
        task_weight: The weight of the task.
        ramp: Whether the weight grows in training, or is what it is from the start.

    Example:
        >>> objective = Weighted(task_information, Measure("total_variation"), strength=1.0)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> objective(Batch(logits, y, y, n_classes=2, n_groups=2)).loss  # 1 - log 2
        tensor(0.3069)
    """

    def __init__(
        self,
        task: Term,
        measure: Term,
        *,
        strength: float,
        task_weight: float = 1.0,
        ramp: bool = True,
    ) -> None:
        super().__init__(task, measure)
        self.strength, self.task_weight, self.ramp = strength, task_weight, ramp

    @classmethod
    def gamma(cls, task: Term, measure: Term, gamma: float) -> "Weighted":
        """The paper's form, `(1 - gamma) * task + gamma * measure`, with gamma from 0 to 1."""

        if not 0 <= gamma <= 1:
            raise ValueError(
                f"`gamma` expects a number from 0 to 1, got {gamma}. For a weight without an "
                "upper end use `strength`."
            )
        return cls(task, measure, strength=gamma, task_weight=1 - gamma)

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of."""

        task, measures = self.task(batch), self.measures(batch)
        charged, weight = measures, self.strength
        if not self.training:
            charged = (measures - self.noise(batch)).clamp_min(0)
        elif self.ramp:
            weight *= 10 ** min(0.0, 6 * self.progress - 3)
        loss = self.task_weight * task + weight * charged.sum()

        return Terms(loss, task, measures.sum())

    def merit(self, terms: Terms) -> float:
        """The loss itself."""

        return terms.loss.item()


class Constrained(Objective):
    r"""The best task with the measure at most a limit, as an augmented Lagrangian.

    With the violation :math:`v = (\text{measure} - \text{limit}) / \text{scale}` and a multiplier
    :math:`\lambda \ge 0` the loss is

    .. math:: \text{task} + w \tfrac{\rho}{2} \max(0, v + \lambda / \rho)^2 ,

    and after every batch seen in training :math:`\lambda \leftarrow \max(0, \lambda + r v)`. The
    worth w is 1 up to a quarter of a nat, and grows with what the code tells: a target of which
    there is much to tell would otherwise pay for any violation.

    Source:
        Multiplier and gradient methods (Hestenes, 1969),
        https://doi.org/10.1007/BF00927673

    Arguments:
        task: A task, as `task_information` or a `DecoderTask`.
        measure: A measure, as `Measure("total_variation")`.
        limit: The most that the measure may be: nats, or a probability for a total variation.
        scale: What a violation is divided by. A total variation needs none; an information, which
            falls with the square of what a group loses, twice the root of its limit.
        penalty: The curvature :math:`\rho`.
        rate: The step :math:`r` of the multiplier.

    Example:
        >>> objective = Constrained(task_information, Measure("total_variation"), limit=0.5)
        >>> logits, y = torch.tensor([[-200.0], [200.0]]), torch.tensor([0, 1])
        >>> terms = objective(Batch(logits, y, y, n_classes=2, n_groups=2))
        >>> terms.measure, objective.multiplier
        (tensor(1.), tensor(1.2500))
    """

    multiplier: Tensor

    def __init__(
        self,
        task: Term,
        measure: Term,
        *,
        limit: float,
        scale: float = 1.0,
        penalty: float = 5.0,
        rate: float = 0.5,
    ) -> None:
        super().__init__(task, measure)
        self.limit, self.scale, self.penalty, self.rate = limit, scale, penalty, rate
        self.register_buffer("multiplier", torch.tensor(1.0))

    def forward(self, batch: Batch) -> Terms:
        """The loss of the batch and what it is made of; in training, the multiplier follows."""

        task, measure = self.task(batch), self.measures(batch).amax()
        violation = (measure - self.limit) / self.scale
        excess = (violation + self.multiplier / self.penalty).clamp_min(0)
        loss = task + _worth(task) * self.penalty / 2 * excess.square()
        if self.training:
            self.multiplier = (self.multiplier + self.rate * violation.detach()).clamp_min(0)

        return Terms(loss, task, measure)

    def merit(self, terms: Terms) -> float:
        """The task, and ten times its worth for what the measure is above its limit."""

        excess = max(0.0, terms.measure.item() - self.limit) / self.scale

        return terms.task.item() + 10 * _worth(terms.task).item() * excess


def _worth(task: Tensor) -> Tensor:
    return (4 * task.detach().abs()).clamp_min(1)
