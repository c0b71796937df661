"""Worlds of bits: a trap for penalties on single bits, and weak hints that add up."""

__all__ = ["make_additive_leak", "make_parity_trap"]

import math

import numpy as np
import pandas as pd
from scipy.special import binom

from bitveil.datasets.dataset import Dataset
from bitveil.datasets.worlds.formulas import divergence, entropy
from bitveil.datasets.worlds.parts import MOST_ROWS, State, coins, expect, two_groups


def make_parity_trap(
    n: int = 10_000, *, flip: float = 0.0, noise: float = 0.1, random_state: State = None
) -> Dataset:
    r"""Two bits: neither alone reveals the group, but together they reveal all of it, or much.

    `coin` is a fair coin. `coin_xor_group` is the coin, turned around in group b, and wrong with
    probability `flip`. The target is the coin, wrong with probability `noise`. So

    .. math:: \sum_j I(X_j;S) = 0, \qquad I(X;S) = \log 2 - h(\text{flip}),

    and the coin alone is the best code: it reveals nothing about the group and keeps the whole
    accuracy. A penalty that sums over single bits does not notice if the other bit is added.

    Arguments:
        n: The number of rows.
        flip: How often the second bit is wrong, from 0 to 0.5.
        noise: How often the target is wrong, from 0 to 0.5.
        random_state: A seed or a generator. None draws from the system's randomness.

    Example:
        >>> trap = make_parity_trap(1000, random_state=0)
        >>> trap
        <Dataset Parity trap: 1000 rows, 2 features, target positive, sensitive group>
        >>> trap.answers["information_each"], trap.answers["information"] == math.log(2)
        (0.0, True)
    """

    expect("make_parity_trap", n=(n, 1, MOST_ROWS), flip=(flip, 0, 0.5), noise=(noise, 0, 0.5))
    rng = np.random.default_rng(random_state)
    coin, group = coins(rng, n, 0.5), coins(rng, n, 0.5)
    features = {"coin": coin, "coin_xor_group": coin ^ group ^ coins(rng, n, flip)}

    return two_groups(
        "Parity trap",
        pd.DataFrame(features),
        target=coin ^ coins(rng, n, noise),
        group=group,
        answers={
            "information": math.log(2) - entropy(flip),
            "information_each": 0.0,
            "conditional_information": math.log(2) - entropy(flip),
            "total_variation": 1 - 2 * flip,
            **_harmless(noise),
        },
    )


def make_additive_leak(
    n: int = 10_000,
    *,
    n_leaks: int = 8,
    flip: float = 0.4,
    noise: float = 0.1,
    random_state: State = None,
) -> Dataset:
    r"""Many weak hints at the group. Each is harmless alone, but they add up.

    Each of the columns `leak_` is the group as a bit, wrong with probability `flip`. Given the
    group they are independent. `signal` is the target, wrong with probability `noise`. Both are
    independent of the group. Here the sum over single columns is an upper bound,

    .. math:: I(X;S) \le \sum_j I(X_j;S) = n_\text{leaks} (\log 2 - h(\text{flip})),

    and soon too high, because the group has only :math:`\log 2` of information. The best code is
    the signal alone.

    Arguments:
        n: The number of rows.
        n_leaks: The number of columns that hint at the group.
        flip: How often each of them is wrong, from 0 to 0.5.
        noise: How often the signal is wrong, from 0 to 0.5.
        random_state: A seed or a generator. None draws from the system's randomness.

    Example:
        >>> leak = make_additive_leak(1000, n_leaks=2, flip=0.25, random_state=0)
        >>> leak.features.columns.tolist()
        ['signal', 'leak_1', 'leak_2']
        >>> leak.answers["total_variation"]  # 9/16 against 1/16 for two ones
        0.5
    """

    expect("make_additive_leak", n=(n, 1, MOST_ROWS), n_leaks=(n_leaks, 1, 1000))
    expect("make_additive_leak", flip=(flip, 0, 0.5), noise=(noise, 0, 0.5))
    rng = np.random.default_rng(random_state)
    target, group = coins(rng, n, 0.5), coins(rng, n, 0.5)
    leaks = {f"leak_{j + 1}": group ^ coins(rng, n, flip) for j in range(n_leaks)}

    # The columns reveal the group only through the number of ones.
    ones = np.arange(n_leaks + 1)
    in_a = binom(n_leaks, ones) * flip**ones * (1 - flip) ** (n_leaks - ones)
    in_b = in_a[::-1]

    return two_groups(
        "Additive leak",
        pd.DataFrame({"signal": target ^ coins(rng, n, noise), **leaks}),
        target=target,
        group=group,
        answers={
            "information": float(divergence(in_a, in_b).sum()),
            "information_each": n_leaks * (math.log(2) - entropy(flip)),
            "conditional_information": float(divergence(in_a, in_b).sum()),
            "total_variation": float(np.abs(in_a - in_b).sum() / 2),
            **_harmless(noise),
        },
    )


def _harmless(noise: float) -> dict[str, float]:
    """The answers for a target that is one of the bits, with noise, and ignores the group."""

    return {
        "bayes_accuracy": 1 - noise,
        "parity_gap": 0.0,
        "parity_accuracy": 1 - noise,
        "odds_accuracy": 1 - noise,
    }
