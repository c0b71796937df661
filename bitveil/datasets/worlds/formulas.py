"""Closed forms and integrals for the answers of the worlds."""

__all__ = [
    "divergence",
    "entropy",
    "mixture_information",
    "normal_variation",
    "probit_accuracy",
]

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import entr, kl_div, ndtr


def entropy(p: float) -> float:
    """The entropy of a coin, in nats.

    Example:
        >>> entropy(0.5) == math.log(2)
        True
    """

    return float(entr(p) + entr(1 - p))


def normal_variation(distance: float) -> float:
    """The total variation between two standard normals at a distance."""

    return math.erf(distance / math.sqrt(8))


def divergence(in_a: NDArray[np.float64], in_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of each value in the information about a fair group. No part is negative."""

    middle = (in_a + in_b) / 2

    return (kl_div(in_a, middle) + kl_div(in_b, middle)) / 2


def mixture_information(rate_a: float, rate_b: float, distance: float) -> float:
    """The information of a number about a fair group, in nats. Each group mixes two normals.

    Example:
        >>> mixture_information(0.3, 0.3, 2.0), round(mixture_information(0.0, 1.0, 20.0), 6)
        (0.0, 0.693147)
    """

    def part(x: float) -> float:
        low, high = _density(x + distance / 2), _density(x - distance / 2)
        in_a, in_b = (np.asarray((1 - rate) * low + rate * high) for rate in (rate_a, rate_b))
        return float(divergence(in_a, in_b))

    return _integral(part, -distance / 2 - 10, distance / 2 + 10)


def probit_accuracy(mean: float, noise: float) -> float:
    """How often a normal number with this mean keeps its sign when noise is added.

    Example:
        >>> probit_accuracy(0.7, 0.0), round(probit_accuracy(0.0, 1.0), 6)
        (1.0, 0.75)
    """

    if noise == 0:
        return 1.0

    return _integral(
        lambda z: _density(z - mean) * float(ndtr(abs(z) / noise)), mean - 10, mean + 10
    )


def _density(x: float) -> float:
    """The density of the standard normal."""

    return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _integral(function: Callable[[float], float], low: float, high: float) -> float:
    """The integral of a function that is smooth except at 0, where it is cut in two."""

    return sum(
        float(quad(function, *ends, epsabs=1e-12, epsrel=1e-12, limit=500)[0])
        for ends in ((low, 0.0), (0.0, high))
    )
