r"""Wide codes: readings and gradients from drawn codes, where :math:`2^m` codes are too many.

Each row draws one code :math:`t_k`, and all rows share all draws: together they are draws from the
mixture :math:`P(t)`. With :math:`w_{kr} = p(t_k | x_r)`, one product of
codes and logits, :math:`P_s(t_k)` is a mean of :math:`w` over the group, and a reading that is a
mean :math:`\sum_t P(t)\, \psi(p(\cdot | t))` is the mean of :math:`\psi` over the draws. For the
mutual information :math:`\psi = H(S) - H(S | t_k)`: the attribute is integrated out, and only the
code is random.

The gradient consists of *local expectations*: the derivative of a reading by :math:`\theta_{rj}`
is the mean, over the other bits of row r, of the difference that bit j makes to the slope
:math:`f_s = \partial / \partial p(s, t)`. All flips of all draws cost two more products, since

.. math:: p(\text{flip}_j\, t_k | x_r) = w_{kr}\, o_{rj}^{\pm 1}, \qquad
    o_{rj} = \frac{\theta_{rj}}{1 - \theta_{rj}} .

Weighted by :math:`p(t_{k,-j} | x_r) / P(t_{k,-j})`, each draw serves every row, and the estimate
is unbiased. It costs another two products.

Source:
    Local Expectation Gradients for Black Box Variational Inference (Titsias, Lázaro-Gredilla,
    2015), https://arxiv.org/abs/1503.01494
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bitveil.codes import check_logits, draw
from bitveil.distributions import Prior, group_prior, positive
from bitveil.information import mutual_information
from bitveil.quotes import quoted
from bitveil.shapes import Groups, Logits, Weights
from bitveil.tables import MAX_CELLS, check_groups, joint_table
from bitveil.teams import Team

__all__ = [
    "Estimate",
    "Information",
    "Slope",
    "conditional_information_slope",
    "information_slope",
    "joint_information",
    "sampled_reading",
    "total_variation_slope",
]

MEMORY = 2**28
"""The default for the most bytes that the likelihoods of a chunk of draws may take."""

_CLIP = 14.0  # bits beyond this are nearly certain, and their odds would overflow

Posteriors: TypeAlias = Float[Tensor, "draws k"]
Slope: TypeAlias = Callable[[Posteriors, Float[Tensor, " k"]], tuple[Tensor, Tensor]]
"""A reading: from p(s|t) of each draw and p(s) to the value and the slope f_s(t) at each draw."""


class Estimate(NamedTuple):
    """An unbiased estimate with a gradient, and its standard error."""

    value: Tensor
    standard_error: Tensor


class Information(NamedTuple):
    """The joint information in nats, the engine, and the standard error of the sampled one."""

    value: Tensor
    engine: Literal["exact", "sampled"]
    standard_error: Tensor | None


def information_slope(posterior: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """The mutual information I(T; S): see `sampled_reading`."""

    log_ratio = _log(posterior / positive(prior))

    return (posterior * log_ratio).sum(-1), log_ratio


def conditional_information_slope(n_classes: int) -> Slope:
    """The conditional information I(T; S | Y), where groups are `pair_groups(y, s, k)`."""

    def slope(posterior: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        p = posterior.view(len(posterior), n_classes, -1)
        of_y = prior.view(1, n_classes, -1)
        given = p / positive(p.sum(-1, keepdim=True))
        share = of_y / positive(of_y.sum(-1, keepdim=True))
        log_ratio = _log(given / positive(share)).flatten(1)

        return (posterior * log_ratio).sum(-1), log_ratio

    return slope


def total_variation_slope(posterior: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """The total variation of two groups: see `sampled_reading`."""

    if posterior.shape[1] != 2:
        raise ValueError(
            "`total_variation_slope` compares two groups, got "
            f"{posterior.shape[1]}. Pass the rows of one pair at a time."
        )
    ratio = posterior / prior
    difference = ratio[:, 0] - ratio[:, 1]
    sign = difference.sign().unsqueeze(1) * torch.tensor([1.0, -1.0]).to(prior)

    return difference.abs() / 2, sign / (2 * prior)


def sampled_reading(
    logits: Logits,
    groups: Groups,
    k: int,
    slope: Slope = information_slope,
    *,
    prior: Prior = "empirical",
    weights: Weights | None = None,
    n_draws: int | None = None,
    memory: int = MEMORY,
    generator: torch.Generator | None = None,
    team: Team | None = None,
) -> Estimate:
    r"""Estimate a reading of the whole code from drawn codes, for any number of bits.

    Value and gradient are unbiased for these rows. Time grows with draws times rows times bits.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`. They are clipped
            to ±14.
        groups: The groups, from 0 to k - 1, with shape :math:`(n,)`.
        k: The number of groups.
        slope: The reading: `information_slope`, `conditional_information_slope(n_classes)` or
            `total_variation_slope`.
        prior: The weights of the groups.
        weights: How much each row counts within its group, with shape :math:`(n,)`; None: 1.
        n_draws: How many random rows draw a code; None: each row draws one.
        memory: The most bytes that the likelihoods of a chunk of draws may take.
        generator: The source of the draws.
        team: Processes with the same rows and generator, among which the draws are divided; None:
            this one makes all of them.

    Returns:
        The estimate, in nats for informations, and its standard error over the draws.

    Example:
        >>> coins = torch.zeros(100, 300)  # fair coins reveal nothing
        >>> sampled_reading(coins, torch.arange(100) % 2, k=2).value
        tensor(0.)
    """

    check_logits("sampled_reading", logits)
    check_groups("sampled_reading", groups, logits.shape[0], k)
    n = logits.shape[0]
    if not n or (n_draws is not None and not 0 < n_draws <= n):
        raise ValueError(
            "`sampled_reading` draws at least one code and at most one for each row, got "
            f"{n} rows and n_draws = {n_draws}."
        )
    drawn = torch.arange(n) if n_draws is None else torch.randperm(n, generator=generator)
    drawn = drawn[:n_draws].to(logits.device)
    clipped = logits.detach().clamp(-_CLIP, _CLIP)
    rows = _SampledRows.of(clipped, groups, k, prior, weights)
    codes = draw(clipped[drawn], generator=generator)
    value, error = _SampledReading.apply(logits, rows, drawn, codes, slope, memory, team)

    return Estimate(value, error)


def joint_information(
    logits: Logits,
    groups: Groups,
    k: int,
    *,
    engine: Literal["auto", "exact", "sampled"] = "auto",
    prior: Prior = "empirical",
    memory: int = MEMORY,
    generator: torch.Generator | None = None,
) -> Information:
    r"""The mutual information of the whole code with the group in nats, for any number of bits.

    Exact if the table fits into memory and costs no more than drawing, sampled otherwise.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        groups: The groups, from 0 to k - 1, with shape :math:`(n,)`.
        k: The number of groups.
        engine: `"exact"`, `"sampled"`, or `"auto"`, which chooses.
        prior: The weights of the groups.
        memory: The most bytes to use.
        generator: The source of the draws, if any.

    Returns:
        The value with its gradient, the engine that was used, and the standard error of draws.

    Example:
        >>> trap = 200 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        >>> joint_information(trap, torch.tensor([0, 1, 1, 0]), k=2)
        Information(value=tensor(0.6931), engine='exact', standard_error=None)
    """

    if engine not in ("auto", "exact", "sampled"):
        raise ValueError(f"`engine` expects 'auto', 'exact' or 'sampled', got {quoted(engine)}.")
    if engine == "auto":
        engine = _engine(logits, k, memory)
    if engine == "exact":
        table = joint_table(logits, groups, k)
        return Information(mutual_information(table, prior=prior), engine, None)
    value, error = sampled_reading(
        logits, groups, k, prior=prior, memory=memory, generator=generator
    )

    return Information(value, engine, error)


def _engine(logits: Tensor, k: int, memory: int) -> Literal["exact", "sampled"]:
    """Exact: 6 n 2^m operations, and a few copies of the table. Sampled: 10 n² m operations."""

    n, m = logits.shape
    cells = k << m
    fits = cells <= MAX_CELLS and 8 * cells * logits.element_size() <= memory

    return "exact" if fits and 6 * 2**m <= 10 * max(n, 1024) * m else "sampled"


class _SampledRows(NamedTuple):
    """What every chunk of draws needs to know about the rows, which are ordered by group.

    So the rows of a group are a slice, and nothing as large as draws times rows is copied.
    """

    logits: Tensor
    odds: Tensor
    no_draws: Tensor  # log p(0...0 | x)
    places: Tensor  # the number of each row in the order that was given
    sizes: list[int]  # the rows of each group
    weight: Tensor  # (n,), the weight of a row under the prior: they sum to one
    prior: Tensor

    @classmethod
    def of(
        cls, logits: Tensor, groups: Tensor, k: int, prior: Prior, weights: Tensor | None = None
    ) -> "_SampledRows":
        each = torch.ones_like(logits[:, 0]) if weights is None else weights.to(logits)
        sizes = torch.zeros(k).to(logits).index_add(0, groups, each)
        share = group_prior(sizes, prior)
        weight = each * (share / torch.where(sizes > 0, sizes, 1))[groups]
        places = groups.argsort(stable=True)
        ordered = logits[places]

        return cls(
            ordered,
            ordered.exp(),
            -torch.nn.functional.softplus(ordered).sum(1),
            places,
            torch.bincount(groups, minlength=k).tolist(),
            weight[places],
            share,
        )

    def by_group(self, of_rows: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
        """The part of each group."""

        return of_rows.split(self.sizes, dim)


class _SampledReading(torch.autograd.Function):
    """The estimate and its gradient, if needed. They are computed together, as they share `w`."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        rows: _SampledRows,
        drawn: Tensor,
        codes: Tensor,
        slope: Slope,
        memory: int,
        team: Team | None,
    ) -> tuple[Tensor, Tensor]:
        n = len(rows.places)
        weights = torch.empty_like(rows.weight).index_copy_(0, rows.places, rows.weight)[drawn]
        weights = weights * (n / len(drawn))
        gradient = torch.zeros_like(rows.logits) if ctx.needs_input_grad[0] else None
        numbers = 3 * n + 8 * rows.logits.shape[1] * len(rows.prior)  # for each draw
        size = max(1, memory // (numbers * rows.logits.element_size()))
        own = slice(None) if team is None else team.part(len(drawn))
        values = [
            _chunk(rows, codes[part], weights[part], slope, gradient)
            for part in torch.arange(len(drawn), device=logits.device)[own].split(size)
        ]
        value = torch.cat(values)
        if team is not None:
            value = team.gathered(value, len(drawn))
            gradient = None if gradient is None else team.add(gradient)
        if gradient is not None:
            in_place = torch.empty_like(gradient).index_copy_(0, rows.places, gradient)
            ctx.save_for_backward(in_place.to(logits))
        terms = len(value) * weights * value
        error = terms.std(correction=1) / len(terms) ** 0.5 if len(terms) > 1 else terms.sum() * 0
        ctx.mark_non_differentiable(error)

        return terms.mean(), error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors

        return grad * gradient, None, None, None, None, None, None


def _chunk(
    rows: _SampledRows, codes: Tensor, weights: Tensor, slope: Slope, gradient: Tensor | None
) -> Tensor:
    """The reading at some of the draws. Their part of the gradient is added to `gradient`."""

    # Likelihoods of draws given rows, up to a factor for each draw that cancels everywhere.
    likelihood = torch.addmm(rows.no_draws, codes, rows.logits.T)
    likelihood = likelihood.sub_(likelihood.amax(1, keepdim=True)).exp_()
    seen = rows.by_group(likelihood, 1)
    of_group = torch.stack(
        [each @ weight for each, weight in zip(seen, rows.by_group(rows.weight), strict=True)], 1
    )
    whole = of_group.sum(1, keepdim=True)
    value, here = slope(of_group / whole, rows.prior)
    if gradient is None:
        return value

    flipped = _flipped(rows, codes, seen)
    all_groups = sum(flipped[1:], flipped[0])
    posterior = torch.stack([(each / all_groups).flatten() for each in flipped], -1)
    there = slope(posterior, rows.prior)[1].T.reshape(len(flipped), *codes.shape)
    scale = (2 * codes - 1) * weights.unsqueeze(1) / (all_groups + whole)  # P of other bits

    parts = map(rows.by_group, (gradient, rows.logits, rows.weight))
    for each, now, then, (out, logits, weight) in zip(
        seen, here.T, there, zip(*parts, strict=True), strict=True
    ):
        effect = scale * (now.unsqueeze(1) - then)
        ones = codes * effect
        one, zero = (each.T @ torch.cat([ones, effect - ones], 1)).chunk(2, 1)
        theta = logits.sigmoid()
        out.add_(weight.unsqueeze(1) * torch.lerp(one, zero, theta))

    return value


def _flipped(rows: _SampledRows, codes: Tensor, seen: Sequence[Tensor]) -> list[Tensor]:
    """Each group's likelihood of each draw with each of its bits flipped: shapes (draws, m)."""

    flipped = []
    for likelihood, odds, weight in zip(
        seen, rows.by_group(rows.odds), rows.by_group(rows.weight), strict=True
    ):
        both = likelihood @ (torch.cat([1 / odds, odds], 1) * weight.unsqueeze(1))
        to_zero, to_one = both.chunk(2, 1)
        flipped.append(torch.where(codes > 0, to_zero, to_one))

    return flipped


def _log(ratio: Tensor) -> Tensor:
    return positive(ratio).log()
