r"""Gradients: from logits to drawn bits with a gradient, for decoders that see draws.

If a decoder can answer for every code, no draw is needed: see `objectives.DecoderTask`. For a
penalty on what the code reveals, the tables have an exact gradient, and `bitveil.wide_codes` has a
far better estimate than any of these.

There are two kinds. The first returns *bits* through which a loss is differentiated. They are
biased, because the loss is differentiated where bits never are. The second takes the *loss* as a
function of bits, uses only its values, and is unbiased. It returns the mean loss of each row over
its draws, and the gradient of that is an estimate of the gradient of the expected loss.

=================== ======= ======================================== ============================
function            biased  loss evaluations                         source
=================== ======= ======================================== ============================
`straight_through`  yes     1, differentiable                        Bengio et al. 2013; the paper
`concrete`          yes     1, differentiable, not at bits           Maddison et al. 2017
`reinmax`           yes     1, differentiable                        Liu et al. 2023
`reinforce`         no      one for each draw                        Kool et al. 2019
`arm`               no      2                                        Yin, Zhou 2019
`disarm`            no      2                                        Dong et al. 2020
`enumerated`        exact   :math:`2^m`                              --
=================== ======= ======================================== ============================
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from bitveil.codes import all_codes, check_logits, code_likelihood, draw
from bitveil.shapes import Bits, Logits

__all__ = [
    "Loss",
    "arm",
    "concrete",
    "disarm",
    "enumerated",
    "reinforce",
    "reinmax",
    "straight_through",
]

Loss: TypeAlias = Callable[[Float[Tensor, "draws n m"]], Float[Tensor, "draws n"]]
"""The loss of each row, for several draws of the bits of all rows."""

RowLosses: TypeAlias = Float[Tensor, " n"]


def straight_through(logits: Logits, *, generator: torch.Generator | None = None) -> Bits:
    r"""One draw of every bit, with the gradient of its probability :math:`\theta`.

    This is the estimator of the paper. It is biased: it uses the slope of the loss at the drawn
    bits in place of the difference between the losses at 0 and at 1.

    Source:
        Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation
        (Bengio, Léonard, Courville, 2013), https://arxiv.org/abs/1308.3432

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        generator: The source of the random numbers.

    Returns:
        Bits, 0.0 or 1.0, with shape :math:`(n, m)`.

    Example:
        >>> logits = torch.tensor([[0.0, 200.0]], requires_grad=True)
        >>> straight_through(logits).sum().backward()
        >>> logits.grad  # θ (1 - θ)
        tensor([[0.2500, 0.0000]])
    """

    check_logits("straight_through", logits)
    theta = logits.sigmoid()

    return draw(logits, generator=generator) + theta - theta.detach()


def concrete(
    logits: Logits, temperature: float = 0.5, *, generator: torch.Generator | None = None
) -> Bits:
    r"""Relaxed bits between 0 and 1, :math:`\sigma((\ell + \text{logistic noise}) / \tau)`.

    At a lower temperature they are closer to bits, and the gradient varies more. Rounding makes
    them draws of the bits.

    Source:
        The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables (Maddison,
        Mnih, Teh, 2017), https://arxiv.org/abs/1611.00712

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        temperature: A number above 0.
        generator: The source of the random numbers.

    Example:
        >>> concrete(torch.tensor([[-200.0, 200.0]]))
        tensor([[0., 1.]])
    """

    check_logits("concrete", logits)
    if not temperature > 0:
        raise ValueError(f"`temperature` expects a number above 0, got {temperature}.")
    noise = _uniform(logits, generator).logit()

    return ((logits + noise) / temperature).sigmoid()


def reinmax(
    logits: Logits, temperature: float = 1.0, *, generator: torch.Generator | None = None
) -> Bits:
    r"""One draw of every bit, with a gradient that is right to second order in a single bit.

    It is less biased than `straight_through` and has more variance.

    Source:
        Bridging Discrete and Backpropagation: Straight-Through and Beyond (Liu, Dong, Liu, Yu,
        Gao, 2023), https://arxiv.org/abs/2304.08612

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        temperature: How much the slope is softened; 1: not at all.
        generator: The source of the random numbers.

    Example:
        >>> reinmax(torch.tensor([[-200.0, 200.0]]))
        tensor([[0., 1.]])
    """

    check_logits("reinmax", logits)
    bits = draw(logits, generator=generator)
    theta = logits.sigmoid()
    # The slope half way between the draw and the mean: Heun's method in place of Euler's.
    middle = (bits + (logits.detach() / temperature).sigmoid()) / 2
    slope = middle * (1 - middle)
    half_way = slope * (logits - logits.detach())
    surrogate = 2 * half_way - (theta - theta.detach()) / 2

    return bits + surrogate


def reinforce(
    logits: Logits,
    loss: Loss,
    n_draws: int = 2,
    *,
    generator: torch.Generator | None = None,
) -> RowLosses:
    """The score-function gradient, with the other draws of a row as the baseline of each draw.

    Source:
        Buy 4 REINFORCE Samples, Get a Baseline for Free! (Kool, van Hoof, Welling, 2019),
        https://openreview.net/forum?id=r1lgTGL5DE

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        loss: The loss of each row, for draws of shape (draws, n, m).
        n_draws: The number of draws of each row, at least 2.
        generator: The source of the random numbers.

    Returns:
        The mean loss of each row, with shape :math:`(n,)`.

    Example:
        >>> reinforce(torch.full((1, 3), 200.0), lambda bits: bits.sum(-1))
        tensor([3.])
    """

    check_logits("reinforce", logits)
    if n_draws < 2:
        raise ValueError(f"`n_draws` expects at least 2, one as baseline; got {n_draws}.")
    bits = draw(logits.expand(n_draws, *logits.shape), generator=generator)
    losses = loss(bits)
    advantage = (losses - losses.mean(0)).detach() * (n_draws / (n_draws - 1))
    score = (advantage.unsqueeze(-1) * (bits - logits.detach().sigmoid())).mean(0)

    return _with_gradient(losses.mean(0), logits, score)


def arm(logits: Logits, loss: Loss, *, generator: torch.Generator | None = None) -> RowLosses:
    """Augment, reinforce, merge: two draws, from a uniform number and from its mirror image.

    Source:
        ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks (Yin, Zhou, 2019),
        https://arxiv.org/abs/1807.11143

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        loss: The loss of each row, for draws of shape (draws, n, m).
        generator: The source of the random numbers.

    Returns:
        The mean loss of each row over its two draws, with shape :math:`(n,)`.

    Example:
        >>> arm(torch.full((1, 3), 200.0), lambda bits: bits.sum(-1))
        tensor([3.])
    """

    check_logits("arm", logits)
    uniform, bits = _antithetic(logits, generator)
    losses = loss(bits)
    difference = (losses[0] - losses[1]).detach().unsqueeze(-1)

    return _with_gradient(losses.mean(0), logits, difference * (uniform - 0.5))


def disarm(logits: Logits, loss: Loss, *, generator: torch.Generator | None = None) -> RowLosses:
    """ARM with its uniform number integrated out: the same draws, less variance.

    Source:
        DisARM: An Antithetic Gradient Estimator for Binary Latent Variables (Dong, Mnih, Tucker,
        2020), https://arxiv.org/abs/2006.10680

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        loss: The loss of each row, for draws of shape (draws, n, m).
        generator: The source of the random numbers.

    Returns:
        The mean loss of each row over its two draws, with shape :math:`(n,)`.

    Example:
        >>> disarm(torch.full((1, 3), 200.0), lambda bits: bits.sum(-1))
        tensor([3.])
    """

    check_logits("disarm", logits)
    _, bits = _antithetic(logits, generator)
    losses = loss(bits)
    difference = (losses[0] - losses[1]).detach().unsqueeze(-1) / 2
    changed = (bits[0] - bits[1]) * logits.detach().abs().sigmoid()

    return _with_gradient(losses.mean(0), logits, difference * changed)


def enumerated(logits: Logits, loss: Loss) -> RowLosses:
    r"""The expected loss of each row over all :math:`2^m` codes, with its exact gradient.

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        loss: The loss of each row, for draws of shape (draws, n, m): here :math:`2^m` of them.

    Returns:
        The expected loss of each row, with shape :math:`(n,)`.

    Example:
        >>> enumerated(torch.zeros(1, 3), lambda bits: bits.sum(-1))
        tensor([1.5000])
    """

    check_logits("enumerated", logits)
    if logits.numel() << logits.shape[1] > 2**28:
        raise ValueError(
            "`enumerated` computes the loss at all 2**m codes of every row: too many for `logits` "
            f"of shape {tuple(logits.shape)}. Use fewer rows at a time, or `disarm`."
        )
    codes = all_codes(logits.shape[1], like=logits).unsqueeze(1)
    losses = loss(codes.expand(-1, *logits.shape))

    return (code_likelihood(logits).T * losses).sum(0)


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers strictly between 0 and 1."""

    eps = torch.finfo(like.dtype).eps
    uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)

    return uniform.clamp(eps, 1 - eps)


def _antithetic(logits: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Uniform numbers u, and the bits that 1 - u and u draw, with shape (2, n, m)."""

    uniform, theta = _uniform(logits, generator), logits.detach().sigmoid()
    bits = torch.stack([1 - uniform < theta, uniform < theta])

    return uniform, bits.to(logits)


def _with_gradient(value: Tensor, logits: Tensor, gradient: Tensor) -> Tensor:
    """The value, with the gradient of the logits added to its own (a decoder's)."""

    through = (logits * gradient.detach()).sum(-1)

    return value + through - through.detach()
