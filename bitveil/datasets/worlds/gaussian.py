"""Worlds of two normal features: groups with different means, and targets of different rates."""

__all__ = ["make_gaussian_groups", "make_unequal_rates"]

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from bitveil.datasets.dataset import Dataset
from bitveil.datasets.worlds.formulas import (
    entropy,
    mixture_information,
    normal_variation,
    probit_accuracy,
)
from bitveil.datasets.worlds.parts import MOST_ROWS, State, coins, expect, two_groups


def make_gaussian_groups(
    n: int = 10_000,
    *,
    distance: float = 1.0,
    overlap: float = 0.5,
    noise: float = 0.5,
    random_state: State = None,
) -> Dataset:
    r"""Two numbers that are Gaussian in each group, with a different mean in each.

    The features are standard normal around :math:`\mp\tfrac12 \text{distance}` on the diagonal
    :math:`u = (1, 1) / \sqrt 2`, minus in group a. The target is 1 where

    .. math:: \text{overlap} \cdot u^\top x + \sqrt{1 - \text{overlap}^2} \cdot w^\top x
        + \text{noise} \cdot \varepsilon > 0,

    with :math:`w = (1, -1) / \sqrt 2`, a direction that reveals nothing about the group, and a
    standard normal :math:`\varepsilon`. With an overlap of 0 the target and the group have nothing
    in common; with 1 they depend on the same number. Integrals over one variable are numerical,
    with an error below 1e-8. The rest is in closed form. The cost of parity is not known here.

    Arguments:
        n: The number of rows.
        distance: The distance between the groups' means, in standard deviations, from 0 to 20.
        overlap: The cosine between the directions of target and group, from 0 to 1.
        noise: The standard deviation of the noise of the target, from 0 to 100.
        random_state: A seed or a generator. None draws from the system's randomness.

    Example:
        >>> groups = make_gaussian_groups(1000, distance=2.0, overlap=0.0, random_state=0)
        >>> round(groups.answers["total_variation"], 4)  # P(|Z| < 1) of a standard normal Z
        0.6827
        >>> groups.answers["parity_gap"]
        0.0
    """

    expect("make_gaussian_groups", n=(n, 1, MOST_ROWS), distance=(distance, 0, 20))
    expect("make_gaussian_groups", overlap=(overlap, 0, 1), noise=(noise, 0, 100))
    rng = np.random.default_rng(random_state)
    group = coins(rng, n, 0.5)
    along = rng.normal((group - 0.5) * distance)
    across = rng.normal(size=n)
    score = overlap * along + math.sqrt(1 - overlap**2) * across

    # The mean of the score in group b, and the share of the target there.
    mean = overlap * distance / 2
    rate = float(ndtr(mean / math.hypot(1, noise)))
    information = mixture_information(0.0, 1.0, distance)

    return two_groups(
        "Gaussian groups",
        _on_the_diagonal(along, across),
        target=(score + noise * rng.normal(size=n) > 0).astype(np.int64),
        group=group,
        answers={
            "information": information,
            "information_each": 2 * mixture_information(0.0, 1.0, distance / math.sqrt(2)),
            # The target's noise is independent of all else: I(X;S|Y) = I(X;S) - I(Y;S).
            "conditional_information": information - (math.log(2) - entropy(rate)),
            "total_variation": normal_variation(distance),
            "bayes_accuracy": probit_accuracy(mean, noise),
            "parity_gap": normal_variation(2 * mean),
        },
    )


def make_unequal_rates(
    n: int = 10_000,
    *,
    rates: tuple[float, float] = (0.2, 0.8),
    distance: float = 2.0,
    random_state: State = None,
) -> Dataset:
    r"""A target that is more frequent in one group, and features that reveal only the target.

    The target is 1 with probability `rates[0]` in group a and `rates[1]` in group b. Given the
    target, the features are independent of the group: they are standard normal around
    :math:`\mp\tfrac12 \text{distance}` on the diagonal :math:`(1, 1) / \sqrt 2`, minus for 0.

    So :math:`I(T;S|Y) = 0` for every code T of the features, and equalised odds cost nothing: the
    Bayes classifier has them. Parity costs everything. The gap of any classifier is the difference
    between the rates times the difference between its true and false positive rates,

    .. math:: \text{gap} = |r_b - r_a| \cdot |\text{TPR} - \text{FPR}|,

    so without a gap its answers do not depend on the target, and it is at most as accurate as
    always giving the more frequent answer. (With equal rates parity costs nothing.)

    Arguments:
        n: The number of rows.
        rates: The rate of the target in group a and in group b, each from 0.01 to 0.99.
        distance: The distance between the two target values' means, from 0.1 to 20 deviations.
        random_state: A seed or a generator. None draws from the system's randomness.

    Example:
        >>> rates = make_unequal_rates(1000, distance=2.0, random_state=0)
        >>> {name: round(value, 4) for name, value in rates.answers.items() if "acc" in name}
        {'bayes_accuracy': 0.8413, 'parity_accuracy': 0.5, 'odds_accuracy': 0.8413}
        >>> rates.answers["conditional_information"]
        0.0
    """

    expect("make_unequal_rates", n=(n, 1, MOST_ROWS), distance=(distance, 0.1, 20))
    expect("make_unequal_rates", rate_a=(rates[0], 0.01, 0.99), rate_b=(rates[1], 0.01, 0.99))
    rng = np.random.default_rng(random_state)
    group = coins(rng, n, 0.5)
    target = (rng.random(n) < np.asarray(rates)[group]).astype(np.int64)
    along, across = rng.normal((target - 0.5) * distance), rng.normal(size=n)

    # The Bayes classifier answers 1 above the threshold, where both values are equally likely.
    share, apart = sum(rates) / 2, abs(rates[1] - rates[0])
    threshold = math.log((1 - share) / share) / distance
    hit = float(ndtr(distance / 2 - threshold))
    false_alarm = float(ndtr(-distance / 2 - threshold))
    accuracy = share * hit + (1 - share) * (1 - false_alarm)

    return two_groups(
        "Unequal rates",
        _on_the_diagonal(along, across),
        target=target,
        group=group,
        answers={
            "information": mixture_information(*rates, distance),
            "information_each": 2 * mixture_information(*rates, distance / math.sqrt(2)),
            "conditional_information": 0.0,
            "total_variation": apart * normal_variation(distance),
            "bayes_accuracy": accuracy,
            "parity_gap": apart * (hit - false_alarm),
            "parity_accuracy": max(share, 1 - share) if apart else accuracy,
            "odds_accuracy": accuracy,
        },
    )


def _on_the_diagonal(along: NDArray[np.float64], across: NDArray[np.float64]) -> pd.DataFrame:
    """Turn two numbers by 45 degrees, so that each feature depends on both.

    Example:
        >>> _on_the_diagonal(np.array([math.sqrt(2)]), np.zeros(1)).to_numpy().round(4)
        array([[1., 1.]])
    """

    x_1, x_2 = (along + across) / math.sqrt(2), (along - across) / math.sqrt(2)

    return pd.DataFrame({"x_1": x_1, "x_2": x_2})
