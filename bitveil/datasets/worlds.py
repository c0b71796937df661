r"""Worlds that were made up and know their answers, in the form of any other data set.

Each function draws `n` rows of a population that is known exactly. The features are X, the target
Y, and the sensitive attribute S is the column `group`, "a" or "b" with one half each. `answers`
tells of the population, not of the rows that were drawn:

- `information`: :math:`I(X;S)`, what all features tell of the group together, in nats.
- `information_each`: :math:`\sum_j I(X_j;S)`, the sum of what each tells alone, in nats.
- `conditional_information`: :math:`I(X;S|Y)`, in nats.
- `total_variation`: between the features of the two groups; the largest parity gap of any
  classifier of them.
- `bayes_accuracy`: the best accuracy for Y of any classifier of the features.
- `parity_gap`: the demographic-parity gap of that classifier.
- `parity_accuracy`: the best accuracy for Y of any classifier of the features, drawn answers
  included, whose demographic-parity gap is 0.
- `odds_accuracy`: the same with equal true and false positive rates in both groups.

No code of the features reveals more than the information, conditional or not, and the total
variation say, and no classifier of it is more accurate than the accuracies say.

The two worlds of physics, a search for a resonance and simulation beside data, have another S and
other answers, which they say themselves.
"""

__all__ = [
    "make_additive_leak",
    "make_gaussian_groups",
    "make_parity_trap",
    "make_resonance_search",
    "make_simulation_and_data",
    "make_unequal_rates",
]

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import binom, entr, kl_div, ndtr, ndtri

from bitveil.datasets.dataset import Dataset

State: TypeAlias = int | np.random.Generator | None

MOST = 10**9  # rows

LOW, HIGH, FALL = 60.0, 160.0, 40.0  # GeV: the spectrum, and by what it falls to 1/e
PEAK, WIDTH, UNIT = 100.0, 5.0, 20.0  # GeV: the resonance, and what features measure mass in
APART = {"isolation": 1.2, "substructure": 1.2, "asymmetry": 1.5}  # standard deviations
BLUR = 0.5  # of each measured hint at the mass, in units of UNIT

ROBUST = {"energy": 1.0, "shape": 1.0}  # standard deviations between signal and background
MODELLED = {"timing": 2.0, "pile_up": 1.5}  # the same, as simulation has it


def make_parity_trap(
    n: int = 10_000, *, flip: float = 0.0, noise: float = 0.1, random_state: State = None
) -> Dataset:
    r"""Two bits of which neither tells anything of the group, and both together all, or much.

    `coin` is a fair coin, `coin_xor_group` is the coin, turned around in group b, and wrong with
    probability `flip`. The target is the coin, wrong with probability `noise`. So

    .. math:: \sum_j I(X_j;S) = 0, \qquad I(X;S) = \log 2 - h(\text{flip}),

    and the coin alone is the code to find: it tells nothing of the group and keeps the whole
    accuracy. A penalty that sums over single bits does not notice whether the other bit is added.

    Arguments:
        n: The number of rows.
        flip: How often the second bit is wrong, from 0 to 0.5.
        noise: How often the target is wrong, from 0 to 0.5.
        random_state: A seed or a generator; None draws from the system's randomness.

    Example:
        >>> trap = make_parity_trap(1000, random_state=0)
        >>> trap
        <Dataset Parity trap: 1000 rows, 2 features, target positive, sensitive group>
        >>> trap.answers["information_each"], trap.answers["information"] == math.log(2)
        (0.0, True)
    """

    expect("make_parity_trap", n=(n, 1, MOST), flip=(flip, 0, 0.5), noise=(noise, 0, 0.5))
    rng = np.random.default_rng(random_state)
    coin, group = coins(rng, n, 0.5), coins(rng, n, 0.5)
    features = {"coin": coin, "coin_xor_group": coin ^ group ^ coins(rng, n, flip)}

    return world(
        "Parity trap",
        pd.DataFrame(features),
        target=coin ^ coins(rng, n, noise),
        group=group,
        answers={
            "information": math.log(2) - entropy(flip),
            "information_each": 0.0,
            "conditional_information": math.log(2) - entropy(flip),
            "total_variation": 1 - 2 * flip,
            **harmless(noise),
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
    r"""Many weak hints at the group, each harmless alone, that add up.

    Each of the columns `leak_` is the group as a bit, wrong with probability `flip`, all of them
    independently given the group. `signal` is the target, wrong with probability `noise`, and
    neither has to do with the group. Here the sum over single columns is an upper bound,

    .. math:: I(X;S) \le \sum_j I(X_j;S) = n_\text{leaks} (\log 2 - h(\text{flip})),

    and soon too high, since there is no more than :math:`\log 2` to tell. The code to find is the
    signal alone.

    Arguments:
        n: The number of rows.
        n_leaks: The number of columns that hint at the group.
        flip: How often each of them is wrong, from 0 to 0.5.
        noise: How often the signal is wrong, from 0 to 0.5.
        random_state: A seed or a generator; None draws from the system's randomness.

    Example:
        >>> leak = make_additive_leak(1000, n_leaks=2, flip=0.25, random_state=0)
        >>> leak.features.columns.tolist()
        ['signal', 'leak_1', 'leak_2']
        >>> leak.answers["total_variation"]  # 9/16 against 1/16 for two ones
        0.5
    """

    expect("make_additive_leak", n=(n, 1, MOST), n_leaks=(n_leaks, 1, 1000))
    expect("make_additive_leak", flip=(flip, 0, 0.5), noise=(noise, 0, 0.5))
    rng = np.random.default_rng(random_state)
    target, group = coins(rng, n, 0.5), coins(rng, n, 0.5)
    leaks = {f"leak_{j + 1}": group ^ coins(rng, n, flip) for j in range(n_leaks)}

    # How many of the columns are 1 is all that they tell of the group.
    ones = np.arange(n_leaks + 1)
    in_a = binom(n_leaks, ones) * flip**ones * (1 - flip) ** (n_leaks - ones)
    in_b = in_a[::-1]

    return world(
        "Additive leak",
        pd.DataFrame({"signal": target ^ coins(rng, n, noise), **leaks}),
        target=target,
        group=group,
        answers={
            "information": float(divergence(in_a, in_b).sum()),
            "information_each": n_leaks * (math.log(2) - entropy(flip)),
            "conditional_information": float(divergence(in_a, in_b).sum()),
            "total_variation": float(np.abs(in_a - in_b).sum() / 2),
            **harmless(noise),
        },
    )


def make_gaussian_groups(
    n: int = 10_000,
    *,
    distance: float = 1.0,
    overlap: float = 0.5,
    noise: float = 0.5,
    random_state: State = None,
) -> Dataset:
    r"""Two numbers, Gaussian in each group, whose mean is another in each group.

    The features are standard normal around :math:`\mp\tfrac12 \text{distance}` on the diagonal
    :math:`u = (1, 1) / \sqrt 2`, minus in group a. The target is 1 where

    .. math:: \text{overlap} \cdot u^\top x + \sqrt{1 - \text{overlap}^2} \cdot w^\top x
        + \text{noise} \cdot \varepsilon > 0,

    with :math:`w = (1, -1) / \sqrt 2`, which tells nothing of the group, and a standard normal
    :math:`\varepsilon`. With an overlap of 0 the target and the group have nothing in common;
    with 1 they are read from the same number. Integrals over one variable are numerical, with an
    error below 1e-8; all else is in closed form. What parity costs is not known here.

    Arguments:
        n: The number of rows.
        distance: Between the means of the groups, in standard deviations, from 0 to 20.
        overlap: The cosine between the directions of target and group, from 0 to 1.
        noise: The standard deviation of the noise of the target, from 0 to 100.
        random_state: A seed or a generator; None draws from the system's randomness.

    Example:
        >>> groups = make_gaussian_groups(1000, distance=2.0, overlap=0.0, random_state=0)
        >>> round(groups.answers["total_variation"], 4)  # P(|Z| < 1) of a standard normal Z
        0.6827
        >>> groups.answers["parity_gap"]
        0.0
    """

    expect("make_gaussian_groups", n=(n, 1, MOST), distance=(distance, 0, 20))
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

    return world(
        "Gaussian groups",
        on_the_diagonal(along, across),
        target=(score + noise * rng.normal(size=n) > 0).astype(np.int64),
        group=group,
        answers={
            "information": information,
            "information_each": 2 * mixture_information(0.0, 1.0, distance / math.sqrt(2)),
            # The target has its noise from nowhere: I(X;S|Y) = I(X;S) - I(Y;S).
            "conditional_information": information - (math.log(2) - entropy(rate)),
            "total_variation": spread(distance),
            "bayes_accuracy": probit_accuracy(mean, noise),
            "parity_gap": spread(2 * mean),
        },
    )


def make_unequal_rates(
    n: int = 10_000,
    *,
    rates: tuple[float, float] = (0.2, 0.8),
    distance: float = 2.0,
    random_state: State = None,
) -> Dataset:
    r"""A target more frequent in one group, and features that tell of nothing but the target.

    The target is 1 with probability `rates[0]` in group a and `rates[1]` in group b. Given the
    target, the features have nothing to do with the group: they are standard normal around
    :math:`\mp\tfrac12 \text{distance}` on the diagonal :math:`(1, 1) / \sqrt 2`, minus for 0.

    So :math:`I(T;S|Y) = 0` for every code T of the features, and equalised odds cost nothing: the
    Bayes classifier has them. Parity costs everything. The gap of any classifier is the difference
    of the rates times that between its true and false positive rate,

    .. math:: \text{gap} = |r_b - r_a| \cdot |\text{TPR} - \text{FPR}|,

    so that without a gap it answers alike whatever the target is, and its accuracy is at most that
    of always giving the more frequent answer. (With equal rates parity costs nothing.)

    Arguments:
        n: The number of rows.
        rates: How frequent the target is in group a and in group b, each from 0.01 to 0.99.
        distance: Between the means of the target's values, in standard deviations, from 0.1 to 20.
        random_state: A seed or a generator; None draws from the system's randomness.

    Example:
        >>> rates = make_unequal_rates(1000, distance=2.0, random_state=0)
        >>> {name: round(value, 4) for name, value in rates.answers.items() if "acc" in name}
        {'bayes_accuracy': 0.8413, 'parity_accuracy': 0.5, 'odds_accuracy': 0.8413}
        >>> rates.answers["conditional_information"]
        0.0
    """

    expect("make_unequal_rates", n=(n, 1, MOST), distance=(distance, 0.1, 20))
    expect("make_unequal_rates", rate_a=(rates[0], 0.01, 0.99), rate_b=(rates[1], 0.01, 0.99))
    rng = np.random.default_rng(random_state)
    group = coins(rng, n, 0.5)
    target = (rng.random(n) < np.asarray(rates)[group]).astype(np.int64)
    along, across = rng.normal((target - 0.5) * distance), rng.normal(size=n)

    # The Bayes classifier answers 1 from the threshold on, where both values are equally likely.
    share, apart = sum(rates) / 2, abs(rates[1] - rates[0])
    threshold = math.log((1 - share) / share) / distance
    hit = float(ndtr(distance / 2 - threshold))
    false_alarm = float(ndtr(-distance / 2 - threshold))
    accuracy = share * hit + (1 - share) * (1 - false_alarm)

    return world(
        "Unequal rates",
        on_the_diagonal(along, across),
        target=target,
        group=group,
        answers={
            "information": mixture_information(*rates, distance),
            "information_each": 2 * mixture_information(*rates, distance / math.sqrt(2)),
            "conditional_information": 0.0,
            "total_variation": apart * spread(distance),
            "bayes_accuracy": accuracy,
            "parity_gap": apart * (hit - false_alarm),
            "parity_accuracy": max(share, 1 - share) if apart else accuracy,
            "odds_accuracy": accuracy,
        },
    )


def make_resonance_search(
    n: int = 10_000, *, signal_fraction: float = 0.5, random_state: State = None
) -> Dataset:
    r"""Events with a falling spectrum of mass, some with a bump in it, and six features of them.

    The mass of background falls as :math:`e^{-m / 40}` from 60 to 160 GeV; that of signal is
    normal around 100 GeV with a standard deviation of 5 GeV. With :math:`u = (m - 100) / 20`,
    Y = 1 for signal, and standard normal :math:`\varepsilon`, the features are

    - `isolation` and `substructure`: :math:`1.2 (Y - \tfrac12) + \varepsilon`, which have nothing
      to do with the mass of background;
    - `momentum` and `opening`: :math:`u + 0.5 \varepsilon`, which tell of signal only what
      the mass does;
    - `asymmetry`: :math:`1.5 (Y - \tfrac12) + u + \varepsilon`, a good feature that leans on mass;
    - `noise`: :math:`\varepsilon`.

    A classifier finds that events near 100 GeV are signal more often, and keeps background that
    looks like them: a bump where there is no signal. S is the `mass`, a number in GeV, which is no
    feature. Here a classifier is known that does not bend the spectrum of background, the

    .. math:: \text{blind} = 1.2 (x_\text{isolation} + x_\text{substructure}) + \tfrac43
        \left(x_\text{asymmetry} - \tfrac12 (x_\text{momentum} + x_\text{opening})\right).

    It is normal in both classes, given any mass, at a distance of :math:`\sqrt{4.88}` standard
    deviations. That no other such classifier is better is not said. The answers are

    - `blind_distance`: that distance.
    - `blind_auc`: the area under its ROC curve.
    - `signal`, `background`: the events that are expected within two standard deviations of the
      peak, of each kind, among n.
    - `significance`: Asimov's :math:`Z = \sqrt{2 ((s + b) \log(1 + s / b) - s)}` of these.
    - `blind_significance`: the same after the best cut on the blind classifier that keeps 1 % of
      background or more.

    Both significances take the expected background as known; that from a fit is smaller.

    Arguments:
        n: The number of rows.
        signal_fraction: The probability that a row is signal, from 0 to 1.
        random_state: A seed or a generator; None draws from the system's randomness.

    Source:
        Asymptotic formulae for likelihood-based tests of new physics (Cowan, Cranmer, Gross,
        Vitells, 2011), https://arxiv.org/abs/1007.1727, for the significance

    Example:
        >>> search = make_resonance_search(100_000, signal_fraction=0.002, random_state=0)
        >>> search.sensitive.columns.tolist(), len(search.features.columns)
        (['mass'], 6)
        >>> round(search.answers["signal"], 1)  # 200 times P(|Z| < 2) of a standard normal Z
        190.9
        >>> round(search.answers["blind_distance"] ** 2, 2)  # 1.2^2 + 1.2^2 + 1.5^2 / 1.125
        4.88
    """

    expect("make_resonance_search", n=(n, 1, MOST), signal_fraction=(signal_fraction, 0, 1))
    rng = np.random.default_rng(random_state)
    target = coins(rng, n, signal_fraction)
    # The inverse of the distribution function, whose slope is the falling spectrum.
    falling = LOW - FALL * np.log1p(rng.random(n) * math.expm1((LOW - HIGH) / FALL))
    mass = np.where(target == 1, rng.normal(PEAK, WIDTH, n), falling)
    u, noise = (mass - PEAK) / UNIT, rng.normal(size=(6, n))
    apart = {name: distance * (target - 0.5) for name, distance in APART.items()}
    features = {
        "isolation": apart["isolation"] + noise[0],
        "substructure": apart["substructure"] + noise[1],
        "momentum": u + BLUR * noise[2],
        "opening": u + BLUR * noise[3],
        "asymmetry": apart["asymmetry"] + u + noise[4],
        "noise": noise[5],
    }

    return made_up(
        "Resonance search",
        pd.DataFrame(features),
        target=pd.Series(target, name="signal"),
        sensitive=pd.DataFrame({"mass": mass}),
        answers=search_answers(n, signal_fraction),
    )


def make_simulation_and_data(
    n: int = 10_000,
    *,
    shift: float = 1.5,
    faded: float = 0.0,
    labelled: bool = False,
    random_state: State = None,
) -> Dataset:
    r"""Simulation with labels and data without, which do not agree in some of the features.

    Each row is simulation or data, signal or background, with one half each, independently. Four
    features are standard normal around :math:`\pm\tfrac12` of a distance, plus for signal:

    - `energy` and `shape`, with a distance of 1 each, are well modelled;
    - `timing` and `pile_up`, with distances of 2 and 1.5 in simulation, have these times `faded`
      in data, and are moved by `shift` there.

    S is the `domain`, "simulation" or "data". The target is NaN in data, as in an experiment;
    `labelled=True` gives the same rows with their labels, to find out how well something did. The
    answers are

    - `simulation_accuracy`: the best accuracy in simulation.
    - `transferred_accuracy`: the accuracy in data of the classifier that is best in simulation.
    - `robust_accuracy`: in either, of the best classifier of the well modelled features.
    - `data_accuracy`: the best accuracy in data, which needs labels there.

    A code that tells nothing of the domain need not work in data: with `shift=0` and `faded=-1`
    both domains look alike, and all that was learned of two features is wrong.

    Arguments:
        n: The number of rows.
        shift: By how much two features are moved in data, from -10 to 10 standard deviations.
        faded: What is left in data of their distances, from -1 to 1.
        labelled: Whether data have labels too.
        random_state: A seed or a generator; None draws from the system's randomness.

    Example:
        >>> both = make_simulation_and_data(1000, random_state=0)
        >>> both.target.isna().equals(both.sensitive["domain"] == "data")
        True
        >>> round(both.answers["robust_accuracy"], 4)  # P(Z < sqrt(2) / 2)
        0.7602
    """

    expect("make_simulation_and_data", n=(n, 1, MOST))
    expect("make_simulation_and_data", shift=(shift, -10, 10), faded=(faded, -1, 1))
    rng = np.random.default_rng(random_state)
    target, data = coins(rng, n, 0.5), coins(rng, n, 0.5)
    noise = iter(rng.normal(size=(4, n)))
    robust = {name: d * (target - 0.5) + next(noise) for name, d in ROBUST.items()}
    kept = np.where(data == 1, faded, 1.0)
    modelled = {
        name: kept * d * (target - 0.5) + shift * data + next(noise)
        for name, d in MODELLED.items()
    }

    return made_up(
        "Simulation and data",
        pd.DataFrame({**robust, **modelled}),
        target=pd.Series(np.where((data == 1) & (not labelled), np.nan, target), name="signal"),
        sensitive=pd.DataFrame({"domain": np.where(data == 1, "data", "simulation")}),
        answers=domain_answers(shift, faded),
    )


# What the worlds are made of


def world(
    name: str,
    features: pd.DataFrame,
    *,
    target: NDArray[np.int64],
    group: NDArray[np.int64],
    answers: dict[str, float],
) -> Dataset:
    """The data set of a world with a target and two groups, as numbers 0 and 1."""

    return made_up(
        name,
        features,
        target=pd.Series(target, name="positive"),
        sensitive=pd.DataFrame({"group": np.where(group == 1, "b", "a")}),
        answers=answers,
    )


def made_up(
    name: str,
    features: pd.DataFrame,
    *,
    target: "pd.Series[Any]",
    sensitive: pd.DataFrame,
    answers: dict[str, float],
) -> Dataset:
    """The data set of a world, whose sensitive attribute no column states outright."""

    return Dataset(
        name=name,
        features=features,
        target=target,
        sensitive=sensitive,
        stated_by={str(column): () for column in sensitive},
        description=f"{name}: made up by bitveil, with known answers.",
        source="bitveil.datasets.worlds",
        licence="none needed",
        answers=answers,
    )


def coins(rng: np.random.Generator, n: int, p: float) -> NDArray[np.int64]:
    """Throw n coins that show 1 with probability p."""

    return (rng.random(n) < p).astype(np.int64)


def on_the_diagonal(along: NDArray[np.float64], across: NDArray[np.float64]) -> pd.DataFrame:
    """Turn two numbers by 45 degrees, so that each feature has its part of both.

    Example:
        >>> on_the_diagonal(np.array([math.sqrt(2)]), np.zeros(1)).to_numpy().round(4)
        array([[1., 1.]])
    """

    x_1, x_2 = (along + across) / math.sqrt(2), (along - across) / math.sqrt(2)

    return pd.DataFrame({"x_1": x_1, "x_2": x_2})


def expect(function: str, **values: tuple[float, float, float]) -> None:
    """Refuse a value that is not between its low and its high, both included."""

    for name, (value, low, high) in values.items():
        if not low <= value <= high:
            raise ValueError(f"`{function}` expects {name} from {low} to {high}; got {value}.")


# What is known of them


def harmless(noise: float) -> dict[str, float]:
    """The answers about a target that is one of the bits, with noise, and blind to the group."""

    return {
        "bayes_accuracy": 1 - noise,
        "parity_gap": 0.0,
        "parity_accuracy": 1 - noise,
        "odds_accuracy": 1 - noise,
    }


def search_answers(n: int, signal_fraction: float) -> dict[str, float]:
    """What a search with n events is expected to find, and could find: `make_resonance_search`."""

    seen = 1 + BLUR**2 / 2  # the variance of the asymmetry less the mean of two hints at mass
    distance = math.sqrt(
        APART["isolation"] ** 2 + APART["substructure"] ** 2 + APART["asymmetry"] ** 2 / seen
    )
    low, high, last = (math.exp((LOW - m) / FALL) for m in (PEAK - 10, PEAK + 10, HIGH))
    background = n * (1 - signal_fraction) * (low - high) / (1 - last)
    signal = n * signal_fraction * math.erf(math.sqrt(2))
    kept = np.geomspace(0.01, 1, 2001)
    passed = ndtr(ndtri(kept) + distance)

    return {
        "blind_distance": distance,
        "blind_auc": float(ndtr(distance / math.sqrt(2))),
        "signal": signal,
        "background": background,
        "significance": float(asimov(np.array(signal), np.array(background))),
        "blind_significance": float(asimov(signal * passed, background * kept).max()),
    }


def asimov(signal: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median significance of a count, where the expected background is known.

    Example:
        >>> asimov(np.array([0.0, 10.0]), np.array([100.0, 10_000.0])).round(3)
        array([0. , 0.1])
    """

    with np.errstate(divide="ignore"):
        odds = np.log1p(signal / background)

    return np.sqrt(np.maximum(2 * ((signal + background) * odds - signal), 0))


def domain_answers(shift: float, faded: float) -> dict[str, float]:
    """The accuracies of linear rules in simulation and data: `make_simulation_and_data`."""

    robust, modelled = np.array([*ROBUST.values()]), np.array([*MODELLED.values()])
    both = np.concatenate([robust, modelled])
    size = float(np.sqrt((both**2).sum()))
    # In data the score of the rule from simulation is normal, moved, and less far apart.
    moved = shift * modelled.sum() / size
    half = ((robust**2).sum() + faded * (modelled**2).sum()) / 2 / size
    in_data = np.concatenate([robust, faded * modelled])

    return {
        "simulation_accuracy": float(ndtr(size / 2)),
        "transferred_accuracy": float(ndtr(half + moved) + ndtr(half - moved)) / 2,
        "robust_accuracy": float(ndtr(np.sqrt((robust**2).sum()) / 2)),
        "data_accuracy": float(ndtr(np.sqrt((in_data**2).sum()) / 2)),
    }


def entropy(p: float) -> float:
    """The entropy of a coin, in nats.

    Example:
        >>> entropy(0.5) == math.log(2)
        True
    """

    return float(entr(p) + entr(1 - p))


def spread(distance: float) -> float:
    """The total variation between two standard normals at a distance."""

    return math.erf(distance / math.sqrt(8))


def divergence(in_a: NDArray[np.float64], in_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value, its part of the information on a fair group; no part is negative."""

    middle = (in_a + in_b) / 2

    return (kl_div(in_a, middle) + kl_div(in_b, middle)) / 2


def mixture_information(rate_a: float, rate_b: float, distance: float) -> float:
    """What a number tells of a fair group, in nats: a mixture of two normals in each group.

    Example:
        >>> mixture_information(0.3, 0.3, 2.0), round(mixture_information(0.0, 1.0, 20.0), 6)
        (0.0, 0.693147)
    """

    def part(x: float) -> float:
        low, high = normal(x + distance / 2), normal(x - distance / 2)
        in_a, in_b = (np.asarray((1 - rate) * low + rate * high) for rate in (rate_a, rate_b))
        return float(divergence(in_a, in_b))

    return integral(part, -distance / 2 - 10, distance / 2 + 10)


def probit_accuracy(mean: float, noise: float) -> float:
    """How often the sign of a normal with this mean survives added noise of this deviation.

    Example:
        >>> probit_accuracy(0.7, 0.0), round(probit_accuracy(0.0, 1.0), 6)
        (1.0, 0.75)
    """

    if noise == 0:
        return 1.0

    return integral(lambda z: normal(z - mean) * float(ndtr(abs(z) / noise)), mean - 10, mean + 10)


def normal(x: float) -> float:
    """The density of the standard normal."""

    return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def integral(function: Callable[[float], float], low: float, high: float) -> float:
    """The integral of a function that is smooth but for 0, where it is cut in two."""

    return sum(
        float(quad(function, *ends, epsabs=1e-12, epsrel=1e-12, limit=500)[0])
        for ends in ((low, 0.0), (0.0, high))
    )
