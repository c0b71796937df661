"""A second opinion, slow and simple: every code and every row, in Python's own floats."""

import itertools
import math

import numpy as np

from bitveil.codes import all_codes


def table(logits, groups, k):
    """Expected counts from loops over rows, codes and bits."""

    theta = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    m = theta.shape[1]
    counts = [[0.0] * 2**m for _ in range(k)]
    for row, g in zip(theta, np.asarray(groups), strict=True):
        for number, code in enumerate(itertools.product((0, 1), repeat=m)):
            counts[g][number] += math.prod(
                p if bit else 1 - p for p, bit in zip(row, code, strict=True)
            )
    return np.array(counts)


def joint(counts, weights=None):
    """p(s, t), with weights of the groups or with their frequencies."""

    if weights is None:
        return counts / counts.sum()
    return np.asarray(weights)[:, None] * counts / counts.sum(1, keepdims=True)


def cells(p):
    """The cells of a joint distribution: p(s, t), p(s), p(t)."""

    for s, row in enumerate(p):
        for t, value in enumerate(row):
            yield value, p[s].sum(), p[:, t].sum()


def mutual_information(counts, weights=None):
    return sum(v * math.log(v / (a * b)) for v, a, b in cells(joint(counts, weights)) if v > 0)


def chi_square_information(counts, weights=None):
    return sum((v - a * b) ** 2 / (a * b) for v, a, b in cells(joint(counts, weights)) if a * b)


def attack_accuracy(counts, weights=None):
    return joint(counts, weights).max(0).sum()


def guessing_advantage(counts, weights=None):
    p = joint(counts, weights)
    return p.max(0).sum() - p.sum(1).max()


def sibson_information(counts, alpha, weights=None):
    prior = joint(counts, weights).sum(1)
    given = counts / counts.sum(1, keepdims=True)
    total = sum((prior @ given[:, t] ** alpha) ** (1 / alpha) for t in range(counts.shape[1]))
    return alpha / (alpha - 1) * math.log(total)


def maximal_leakage(counts, weights=None):
    return math.log((counts / counts.sum(1, keepdims=True)).max(0).sum())


def maximal_correlation(counts, weights=None):
    p = joint(counts, weights)
    scale = np.sqrt(p.sum(1, keepdims=True) * p.sum(0, keepdims=True))
    return np.linalg.svd(np.divide(p, scale, where=scale > 0, out=0 * p))[1][1]


def _pairs(counts, distance):
    given = counts / counts.sum(1, keepdims=True)
    return max(distance(a, b) for a, b in itertools.combinations(given, 2))


def total_variation(counts, weights=None):
    return _pairs(counts, lambda a, b: sum(max(x - y, 0) for x, y in zip(a, b, strict=True)))


def separation(counts, weights=None):
    given = counts / counts.sum(1, keepdims=True)
    return 1 - sum(min(column) for column in given.T)


def squared_hellinger(counts, weights=None):
    return _pairs(counts, lambda a, b: 1 - np.sqrt(a * b).sum())


def group_entropy(counts, weights=None):
    return -sum(v * math.log(v) for v in joint(counts, weights).sum(1) if v > 0)


def code_shares(theta, s):
    """The share of each code in each group, by listing codes: a second opinion on tables."""

    codes = all_codes(theta.shape[1]).numpy()
    likelihood = np.prod(np.where(codes[None] == 1, theta[:, None], 1 - theta[:, None]), axis=2)

    return np.stack([likelihood[s == g].mean(0) for g in np.unique(s)])


def worst_gap(theta, s):
    """The largest total variation of two groups, from the shares of their codes."""

    p = code_shares(theta, s)

    return max(np.abs(a - b).sum() / 2 for a in p for b in p)
