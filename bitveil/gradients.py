"""From logits to drawn bits with a gradient, for decoders that see draws.

Where a decoder can be asked about every code, no draw is needed, nor any of this: see
`bitveil.objectives.DecoderTask`.
"""

import torch

from bitveil.codes import check_logits, draw
from bitveil.shapes import Bits, Logits

__all__ = ["straight_through"]


def straight_through(logits: Logits, *, generator: torch.Generator | None = None) -> Bits:
    r"""One draw of every bit whose gradient is that of its probability :math:`\theta`.

    The estimator of the paper. It is biased: the gradient of a loss at the drawn bits stands in
    for the difference between the losses at 0 and at 1.

    Source:
        Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation
        (Bengio, Léonard, Courville, 2013), https://arxiv.org/abs/1308.3432

    Arguments:
        logits: The logits of the bit probabilities, with shape :math:`(n, m)`.
        generator: Where the random numbers come from.

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
