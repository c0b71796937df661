r"""Slacks: by how much a difference of means of few rows may fall short, proven for every law.

A certificate needs the deviation of one fixed function only (`bitveil.certificates` proves it). So
let :math:`X_{gi}` be independent numbers in [0, 1], of which those of a group g have one law, and
let :math:`p_g` be their mean. This file bounds, whatever the laws,

.. math:: Z = \sum_g \Bigl(p_g - \tfrac1{n_g} \sum_i X_{gi}\Bigr),

which exceeds each slack with probability at most :math:`\delta`. For a difference of two means,
and wherever else a mean counts with a minus, put :math:`1 - X` for X. All slacks are functions of
the sizes and of :math:`\delta` alone. So the least of them is one that was fixed before anyone
looked at the rows.

- `hoeffding_slack`: :math:`\sqrt{\tfrac12 \ln \tfrac1\delta \sum_g \tfrac1{n_g}}`.
- `stop_loss_slack`. An X is below a Bernoulli variable of its mean in convex order, so Z is below
  :math:`Y = \sum_g (p_g - K_g / n_g)` with binomial K. By Markov's inequality :math:`P(Z \ge x)
  \le \min_a E(Y - a)_+ / (x - a)`, which is :math:`\delta` at :math:`x = \min_a [a + E(Y - a)_+ /
  \delta]`.
- `berry_esseen_slack`. Z is nearly normal, with a known error. No variance is estimated: the worst
  is taken. Where the error is as large as :math:`\delta`, it falls back on Hoeffding.
- `binomial_slack`, for two groups whose X are 0 or 1, as for drawn codes: the quantile of two
  binomial errors.

**Numbers.** Each supremum (over means, over variances) is bounded by the worst ends of cells. No
slack relies on a grid that may have missed the worst case.

**Monotone.** More rows never give a larger slack. For Hoeffding that is plain. For stop-loss: the
mean of n + 1 numbers is the mean of its means without one of them, so it is below a mean of n in
convex order. For Berry-Esseen: the supremum goes over the variances of the means,
:math:`u_g = v_g / n_g \le 1 / 4 n_g`; with more rows the range of :math:`u_g` shrinks, and at
equal :math:`u_g` the error falls. The least of monotone slacks is monotone, also where the method
changes. The binomial slack is smooth in the sizes; `tests/test_slacks.py` checks that it falls.

Sources:
    Probability Inequalities for Sums of Bounded Random Variables (Hoeffding, 1963),
    https://doi.org/10.1080/01621459.1963.10500830;
    On Hoeffding's inequalities (Bentkus, 2004), https://doi.org/10.1214/009117904000000360;
    An Improvement of Convergence Rate Estimates in the Lyapunov Theorem (Shevtsova, 2010),
    https://doi.org/10.1134/S1064562410060062;
    A Complete Proof of Universal Inequalities for the Distribution Function of the Binomial Law
    (Zubkov, Serov, 2013), https://arxiv.org/abs/1207.3838
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtr, ndtri, xlogy

__all__ = [
    "CELLS",
    "berry_esseen_slack",
    "binomial_slack",
    "dominating_law",
    "error_bounds",
    "hoeffding_slack",
    "least_slack",
    "stop_loss_slack",
]

_Array = NDArray[np.float64]

_CONSTANT = 0.56  # of Berry and Esseen for summands of different laws: Shevtsova, 2010
_REACH = 7.0  # standard deviations of a mean that a grid covers; what lies beyond is added
_GRID = np.append(np.linspace(-_REACH, -3, 20), np.linspace(-3, _REACH, 700)[1:])

CELLS = np.array([0.0, 0.15, 0.28, 0.38, 0.45, 0.55, 0.62, 0.72, 0.85, 1.0])
"""The ends of cells of means, within which the spread of a binomial changes little."""


@lru_cache(maxsize=4096)
def least_slack(sizes: tuple[int, ...], delta: float, draws: str, most: float = 1.0) -> float:
    """The least of the slacks that hold for these rows.

    Arguments:
        sizes: The number of rows of each group.
        delta: The probability that the slack may be exceeded.
        draws: `"soft"` for numbers in [0, 1], `"hard"` or `"certain"` for numbers that are 0 or 1.
        most: An upper bound on the mean in every group, or on one minus it.

    Example:
        >>> soft, hard = (least_slack((3000, 6000), 0.05, draws) for draws in ("soft", "hard"))
        >>> round(hoeffding_slack((3000, 6000), 0.05), 4), round(soft, 4), round(hard, 4)
        (0.0274, 0.0192, 0.0187)
    """

    found = [hoeffding_slack(sizes, delta), berry_esseen_slack(sizes, delta, most)]
    if min(found) > 0.98 * _normal_shortfall(sizes, delta, most):
        found.append(stop_loss_slack(sizes, delta, most))
    if draws != "soft" and len(sizes) == 2:
        found.append(binomial_slack(sizes, delta, most))

    return min(found)


def hoeffding_slack(sizes: Sequence[int], delta: float) -> float:
    """Hoeffding's slack, for any numbers in [0, 1].

    Example:
        >>> round(hoeffding_slack([1000, 1000], 0.05), 4)
        0.0547
    """

    return math.sqrt(0.5 * math.log(1 / delta) * sum(1 / n for n in sizes))


def _most_variance(most: float) -> float:
    """The largest variance of a number in [0, 1] whose mean, or one minus it, is at most this."""

    return most * (1 - most) if most < 0.5 else 0.25


def _normal_shortfall(sizes: Sequence[int], delta: float, most: float) -> float:
    """About what the stop-loss slack is, to know whether it is worth the time."""

    density = math.exp(-(ndtri(delta) ** 2) / 2) / math.sqrt(2 * math.pi)

    return density / delta * math.sqrt(_most_variance(most) * sum(1 / n for n in sizes))


# --- Berry and Esseen.


def berry_esseen_slack(sizes: Sequence[int], delta: float, most: float = 1.0) -> float:
    r"""The slack by which a normal error, and what it lacks, is exceeded.

    Let :math:`S = \sum_g u_g` be the variance of Z, with :math:`u_g = v_g / n_g`. A number in
    [0, 1] of variance v is within :math:`m(v) = \tfrac12 + \sqrt{\tfrac14 - v}` of its mean, so
    its third absolute moment is at most :math:`v\, m(v)`, and

    .. math:: P(Z > t) \le \Phi(-t / \sqrt S)
        + 0.56\, \frac{\sum_g u_g m(n_g u_g) / n_g}{S^{3/2}} .

    For each S the least of this, of Bennett's inequality and of Hoeffding's is a slack, and the
    largest over S is the slack.

    Example:
        >>> round(berry_esseen_slack((3000, 6000), 0.05), 4)
        0.0192
    """

    n = np.array(sizes, float)
    tops = _most_variance(most) / n
    low, high = _cells_of_variance(tops.sum())
    furthest = _furthest(n, np.maximum(0, low[:, None] - (tops.sum() - tops)))
    left = delta - _CONSTANT * _third_moment(n, low, high) / np.maximum(low, 1e-100) ** 1.5
    normal = np.where(left > 0, -ndtri(np.clip(left, 1e-300, 0.5)), np.inf) * np.sqrt(high)
    slacks = np.minimum(normal, _bennett(high, furthest, math.log(1 / delta)))

    return min(hoeffding_slack(sizes, delta), slacks.max().item())


def _cells_of_variance(largest: float) -> tuple[_Array, _Array]:
    """The ends of cells that cover the variances from 0 to the largest.

    The ends between are powers of one number whatever the sizes, so that more rows only take cells
    away.
    """

    step = math.log(1.003)
    last = math.ceil(math.log(largest) / step) - 1
    ends = np.exp(step * np.arange(last - 1200, last + 1))

    return np.append(0, ends), np.append(ends, largest)


def _furthest(n: _Array, least: _Array) -> _Array:
    """How far one row can move Z, if the mean of each group has a variance of at least this."""

    return np.asarray(((0.5 + np.sqrt(np.maximum(0, 0.25 - n * least))) / n).max(-1))


def _third_moment(n: _Array, low: _Array, high: _Array) -> _Array:
    r"""A bound on :math:`\sum_g u_g m(n_g u_g) / n_g` where :math:`\sum_g u_g` is in a cell.

    For every number l it is at most :math:`l S + \sum_g \max_u [u\, m(n_g u) / n_g - l u]`. With
    :math:`n u = p (1 - p)` and :math:`m = 1 - p` the maximum is at :math:`p = (2 - l n - \sqrt{1 -
    l n + l^2 n^2}) / 3`. The least over many l is taken.
    """

    steps = np.exp(np.arange(-6, 6.01, 0.2))
    slopes = np.concatenate([-steps, [0.0], steps[steps < 1]])[:, None] / 2.0 ** math.floor(
        math.log2(n.min())
    )
    slope = slopes * n
    p = np.clip((2 - slope - np.sqrt(1 - slope + slope**2)) / 3, 0, 0.5)
    rest = (p * (1 - p) / n * ((1 - p) / n - slopes)).sum(-1, keepdims=True)

    return np.asarray((np.maximum(slopes * low, slopes * high) + rest).min(0))


def _bennett(variance: _Array, furthest: _Array, nats: float) -> _Array:
    """The t at which Bennett's inequality gives a probability, from above.

    Newton's steps on a convex function come from above, and begin at Bernstein's inequality.
    """

    y = nats * furthest**2 / variance
    x = np.sqrt(2 * y) + y / 3
    for _ in range(4):
        x = x - ((1 + x) * np.log1p(x) - x - y) / np.log1p(x)

    return np.asarray(variance * x / furthest)


# --- Stop-loss.


def stop_loss_slack(sizes: Sequence[int], delta: float, most: float = 1.0) -> float:
    r"""The slack by the expected shortfall of binomial errors.

    The shortfall :math:`\min_a [a + E(Y - a)_+ / \delta]` is monotone in convex order, and sums of
    independent errors keep that order. So each group's error is first replaced by one law that is
    above those of all its means, on a common grid.

    **Between two means.** With :math:`Z(p) = p - K/n`, :math:`Z(p) / (1 - p)` increases in convex
    order with p. Proof: for :math:`p < p'` turn each 0 among the rows into a 1 with probability
    :math:`(p' - p) / (1 - p)`; the expectation of :math:`Z(p')` given the rows before is
    :math:`Z(p) (1 - p') / (1 - p)`. ∎ So for means from a to b, Z(p) is below :math:`Z(b)
    \tfrac{1 - a}{1 - b}`. Above one half the law is mirrored.

    Example:
        >>> round(stop_loss_slack((3000, 6000), 0.05), 4)
        0.0231
    """

    deviation = math.sqrt(_most_variance(most) * sum(1 / n for n in sizes))
    step = 2.0 ** math.floor(math.log2(deviation / 8))
    law, beyond, first = np.ones(1), 0.0, 0
    for n in sizes:
        part, outside = dominating_law(n, step, most)
        law, beyond = np.convolve(law, part), beyond + outside
        first -= len(part) // 2
    ends = step * (first + np.arange(len(law)))
    excess = step * np.append(law[:0:-1].cumsum().cumsum()[::-1], 0.0)
    shortfall = ends + (excess + beyond) / delta

    return min(hoeffding_slack(sizes, delta), shortfall.min().item())


@lru_cache(maxsize=256)
def dominating_law(n: int, step: float, most: float) -> tuple[_Array, float]:
    """A law on a grid around 0 above all errors of a group, and its expected excess over the grid.

    Between its points the expected excess is drawn as a line, which is above a convex function.
    What lies beyond an end is moved to that end.

    Arguments:
        n: The number of rows.
        step: The step of the grid.
        most: An upper bound on the means, or on one minus them.

    Returns:
        The probabilities of the points, and what the expected excess over any number is above
        theirs at most.

    Example:
        >>> law, beyond = dominating_law(1, 0.5, 1.0)  # between -1.5 and 1.5
        >>> law.round(2), beyond
        (array([0.  , 0.14, 0.22, 0.28, 0.22, 0.14, 0.  ]), 0.0)
    """

    last = math.ceil(min(1.0, _REACH / 2 / math.sqrt(n)) / step) + 1
    points: _Array = np.arange(-last, last + 1, dtype=np.float64) * step
    excess = np.maximum(0, -points)
    for low, high in _cells_of_means(most):
        scale = (1 - low) / (1 - high)
        one = scale * _expected_excess(n, high, points / scale)
        excess = np.maximum.reduce([excess, one, one[::-1] - points])
    law = np.diff(np.concatenate([[excess[0] + step], excess, [excess[-1]]]), 2) / step

    return np.maximum(0, law), excess[-1].item()


@cache
def _cells_of_means(most: float) -> tuple[tuple[float, float], ...]:
    """Cells of the means from 0 to one half, or to the largest; the finest are near one half."""

    found, high = [], min(0.5, most)
    while high > 0.1:
        low = high - 0.0015 - 0.5 * (0.5 - high) ** 2
        found.append((low, high))
        high = low

    return (*found, (0.0, high))


def _expected_excess(n: int, p: float, points: _Array) -> _Array:
    """The expectation of (p - K/n - a)+ with a binomial K."""

    c = n * (p - points)
    whole = np.floor(c)
    inside = np.clip(whole, 0, n)
    below = bdtr(inside, n, p)
    less = np.where(inside > 0, bdtr(np.clip(inside - 1, 0, n - 1), n - 1, p), 0.0)

    return np.where(c >= n, -points, np.where(c <= 0, 0.0, (c * below - n * p * less) / n))


# --- Two binomials.


def binomial_slack(sizes: Sequence[int], delta: float, most: float = 1.0) -> float:
    r"""The slack of two means of numbers that are 0 or 1, from their exact laws.

    For a binomial K, :math:`P(p - K/n \ge w) \le \Phi(-\operatorname{sign}(x) \sqrt{2 n\,
    KL(p - x \Vert p)})` with :math:`x = w - c/n` and c = 1 (Zubkov and Serov). Over a cell of
    means the right side is largest where :math:`KL(p - x \Vert p)` is least for x above 0, and
    greatest for x below 0. It is convex in p: the greatest is at an end, and tangents bound the
    least. So each cell has an error that is stochastically above all of its own, and the largest
    quantile of the sums over all pairs of cells is the slack.

    **A smaller c.** Let :math:`y = (k + c) / n` and :math:`c \ge \max(y, 1 - y)`. Then for
    :math:`p \ge y` also :math:`P(K \le k) \le \Phi(-\sqrt{2 n\, KL(y \Vert p)})`. Proof: let
    :math:`\Delta(p)` be the left side minus the right. (i) The quotient of their derivatives is a
    constant times :math:`h = p^{1 - c} (1 - p)^c \sqrt{2 KL} / (p - y)`. Put d = p - y. Then h
    falls if :math:`d / 2 KL \le p (1 - p) / d + p + c - 1`. With q the largest z (1 - z) between y
    and p, :math:`KL \ge d^2 / 2 q`. For y up to one half, :math:`p + c - 1 \ge d` and :math:`q \le
    p (1 - p) + d^2`; above, :math:`p + c - 1 \ge d + 2 y - 1` and :math:`q = y (1 - y) = p (1 - p)
    + d^2 + d (2 y - 1)`. So h falls, and :math:`\Delta` falls, if at all, before it rises to
    :math:`\Delta(1) = 0`. (ii) :math:`\Delta(y) \le 0`, because :math:`P(K \le k) \le \tfrac12`
    if p is at least the median of the beta law (k + 1, n - k). That is at most its mean, (k + 1) /
    (n + 1), if k + 1 is at most n - k, and at most its mode, k / (n - 1), otherwise (mode, median
    and mean are in this order); and both are at most y. ∎

    With `most` the event of the one group and the complement of the other's have a mean of at most
    that: both orders are tried.

    Example:
        >>> round(binomial_slack((3000, 6000), 0.05), 4)
        0.0187
    """

    few, many = sorted(sizes)
    low = np.unique(np.minimum(CELLS, most))  # the ends of cells for an event
    orders = [(low, 1 - low[::-1])] if most >= 1 else [(low, 1 - low[::-1]), (1 - low[::-1], low)]
    errors = [(ends, *_rounded_up(many, others)) for ends, others in orders]

    def exceeded(t: float) -> float:
        found = [masses @ error_bounds(few, ends, t - points).T for ends, points, masses in errors]
        return max(each.max().item() for each in found)

    return _first_below(exceeded, delta, hoeffding_slack(sizes, delta))


def error_bounds(n: int, ends: _Array, w: _Array) -> _Array:
    """Bounds on the probability that an error p - K/n is at least w: see `binomial_slack`.

    Arguments:
        n: The number of rows.
        ends: The ends of the cells of means, with shape (cells + 1,).
        w: Numbers, with shape (points,).

    Returns:
        A bound for all means in each cell, with shape (cells, points).

    Example:
        >>> error_bounds(100, np.array([0.45, 0.55]), np.array([0.05, 0.1])).round(3)
        array([[0.19 , 0.031]])
        >>> round(float(bdtr(40, 100, 0.5)), 3)  # the second of them, for a mean of one half
        0.028
    """

    low, high = ends[:-1, None], ends[1:, None]
    c = np.minimum(1, np.maximum(high - w, 1 - low + w) + 1 / n)
    above, below = w - c / n, 1 / n - w
    least = np.maximum(2 * above**2, _least_divergence(low, high, np.maximum(above, 0)))
    greatest = np.maximum(_divergence(low, -below), _divergence(high, -below))
    signed = np.where(above > 0, np.sqrt(least), -np.sqrt(greatest))

    return np.asarray(ndtr(-math.sqrt(2 * n) * signed))


def _divergence(p: _Array, x: _Array) -> _Array:
    """The divergence of a coin of probability p - x from one of p; infinite if p - x is none."""

    y = np.clip(p - x, 0, 1)
    inside = (p > 0) & (p < 1) & (y == p - x)
    safe = np.where(inside, p, 0.5)
    found = xlogy(y, y / safe) + xlogy(1 - y, (1 - y) / (1 - safe))

    return np.where(inside, np.maximum(0, found), np.inf)


def _least_divergence(low: _Array, high: _Array, x: _Array) -> _Array:
    """A bound from below on the divergence over a cell, for x above 0: by tangents at its ends."""

    low, high = np.maximum(low, x + 1e-12), np.minimum(high, 1 - 1e-12)
    start, end = _divergence(low, x), _divergence(high, x)
    falls, rises = _divergence_slope(low, x), _divergence_slope(high, x)
    across = np.where(falls < rises, rises - falls, 1)
    with np.errstate(invalid="ignore"):  # an infinite end is no tangent's
        meet = (start * rises - end * falls + falls * rises * (high - low)) / across
    least = np.where(falls >= 0, start, np.where(rises <= 0, end, meet))

    return np.where(high < low, np.inf, np.nan_to_num(least, nan=0.0))


def _divergence_slope(p: _Array, x: _Array) -> _Array:
    """The derivative of `_divergence` by p."""

    y, p = np.clip(p - x, 1e-15, 1 - 1e-15), np.clip(p, 1e-12, 1 - 1e-12)

    return np.asarray(np.log(y * (1 - p) / (p * (1 - y))) + x / (p * (1 - p)))


def _rounded_up(n: int, ends: _Array) -> tuple[_Array, _Array]:
    """A law of each cell on a grid that is stochastically above its errors: points and masses."""

    one = 0.5 / math.sqrt(n)
    points = np.concatenate([one * _GRID - 1 / n, [2.0]])  # no error is above 1
    above = error_bounds(n, ends, points[:-1])
    above = np.concatenate([np.ones((len(above), 1)), above, np.zeros((len(above), 1))], 1)

    return points, -np.diff(above, axis=1)


def _first_below(exceeded: Callable[[float], float], delta: float, most: float) -> float:
    """Where a falling function of t reaches delta, from above, or the most that t may be."""

    low, high = 0.0, most
    over, under = _excess(exceeded(low), delta), _excess(exceeded(high), delta)
    if under > 0:
        return most
    if over <= 0:
        return low
    for _ in range(60):
        t = (low * under - high * over) / (under - over)
        t = min(max(t, low + 0.01 * (high - low)), high - 0.01 * (high - low))
        value = _excess(exceeded(t), delta)
        if value > 0:
            low, over, under = t, value, under / 2
        else:
            high, under, over = t, value, over / 2
        if high - low < 1e-9 * most:
            break

    return high


def _excess(probability: float, delta: float) -> float:
    return math.log(max(probability, 1e-300) / delta)
