"""Worlds of physics: a search for a resonance, and simulation beside data."""

__all__ = ["asimov", "make_resonance_search", "make_simulation_and_data"]

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bitveil.datasets.dataset import Dataset
from bitveil.datasets.worlds.parts import MOST_ROWS, State, coins, expect, made_up

LOW, HIGH, FALL = 60.0, 160.0, 40.0  # GeV: the ends of the spectrum, and its decay length
PEAK, WIDTH, UNIT = 100.0, 5.0, 20.0  # GeV: the resonance, and the unit of mass in features
APART = {"isolation": 1.2, "substructure": 1.2, "asymmetry": 1.5}  # standard deviations
BLUR = 0.5  # of each measured hint at the mass, in units of UNIT

ROBUST = {"energy": 1.0, "shape": 1.0}  # standard deviations between signal and background
MODELLED = {"timing": 2.0, "pile_up": 1.5}  # the same, as simulation has it


def make_resonance_search(
    n: int = 10_000, *, signal_fraction: float = 0.5, random_state: State = None
) -> Dataset:
    r"""Events with six features: background with falling mass, and signal at one mass.

    The mass of background falls as :math:`e^{-m / 40}` from 60 to 160 GeV; that of signal is
    normal around 100 GeV with a standard deviation of 5 GeV. With :math:`u = (m - 100) / 20`,
    Y = 1 for signal, and standard normal :math:`\varepsilon`, the features are

    - `isolation` and `substructure`: :math:`1.2 (Y - \tfrac12) + \varepsilon`, independent of the
      mass of background;
    - `momentum` and `opening`: :math:`u + 0.5 \varepsilon`, which reveal signal only through the
      mass;
    - `asymmetry`: :math:`1.5 (Y - \tfrac12) + u + \varepsilon`, a good feature that depends on the
      mass;
    - `noise`: :math:`\varepsilon`.

    A classifier learns that events near 100 GeV are signal more often, and keeps background that
    looks like them: a bump without any signal. S is the `mass`, a number in GeV, which is not a
    feature. One classifier is known that does not change the shape of the background spectrum:

    .. math:: \text{blind} = 1.2 (x_\text{isolation} + x_\text{substructure}) + \tfrac43
        \left(x_\text{asymmetry} - \tfrac12 (x_\text{momentum} + x_\text{opening})\right).

    Given any mass, it is normal in both classes, at a distance of :math:`\sqrt{4.88}` standard
    deviations. A better classifier of this kind may exist. The answers are

    - `blind_distance`: that distance.
    - `blind_auc`: the area under its ROC curve.
    - `signal`, `background`: how many events of each kind are expected within two standard
      deviations of the peak, among n.
    - `significance`: Asimov's :math:`Z = \sqrt{2 ((s + b) \log(1 + s / b) - s)}` of these.
    - `blind_significance`: the same after the best cut on the blind classifier that keeps 1 % of
      background or more.

    Both significances take the expected background as known. With a fit they are smaller.

    Arguments:
        n: The number of rows.
        signal_fraction: The probability that a row is signal, from 0 to 1.
        random_state: A seed or a generator. None draws from the system's randomness.

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

    expect("make_resonance_search", n=(n, 1, MOST_ROWS), signal_fraction=(signal_fraction, 0, 1))
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
        answers=_search_answers(n, signal_fraction),
    )


def make_simulation_and_data(
    n: int = 10_000,
    *,
    shift: float = 1.5,
    faded: float = 0.0,
    labelled: bool = False,
    random_state: State = None,
) -> Dataset:
    r"""Simulation with labels and data without labels, which disagree in some features.

    Each row is simulation or data, signal or background, with one half each, independently. Four
    features are standard normal around :math:`\pm\tfrac12` of a distance, plus for signal:

    - `energy` and `shape`, with a distance of 1 each, are well modelled;
    - `timing` and `pile_up` have distances of 2 and 1.5 in simulation. In data these are
      multiplied by `faded`, and the features are moved by `shift`.

    S is the `domain`, "simulation" or "data". The target is NaN in data, as in an experiment.
    `labelled=True` gives the same rows with their labels, for evaluation. The answers are

    - `simulation_accuracy`: the best accuracy in simulation.
    - `transferred_accuracy`: the accuracy in data of the classifier that is best in simulation.
    - `robust_accuracy`: the accuracy, in either domain, of the best classifier of the well
      modelled features.
    - `data_accuracy`: the best accuracy in data, which needs labels there.

    A code that reveals nothing about the domain may still fail in data: with `shift=0` and
    `faded=-1` both domains look alike, and everything learned about two features is wrong.

    Arguments:
        n: The number of rows.
        shift: How far two features are moved in data, from -10 to 10 standard deviations.
        faded: The factor of their distances in data, from -1 to 1.
        labelled: Whether data have labels too.
        random_state: A seed or a generator. None draws from the system's randomness.

    Example:
        >>> both = make_simulation_and_data(1000, random_state=0)
        >>> both.target.isna().equals(both.sensitive["domain"] == "data")
        True
        >>> round(both.answers["robust_accuracy"], 4)  # P(Z < sqrt(2) / 2)
        0.7602
    """

    expect("make_simulation_and_data", n=(n, 1, MOST_ROWS))
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
        answers=_domain_answers(shift, faded),
    )


def _search_answers(n: int, signal_fraction: float) -> dict[str, float]:
    """The answers of `make_resonance_search` for n events."""

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
    """The median significance of a count if the expected background is known.

    Example:
        >>> asimov(np.array([0.0, 10.0]), np.array([100.0, 10_000.0])).round(3)
        array([0. , 0.1])
    """

    with np.errstate(divide="ignore"):
        odds = np.log1p(signal / background)

    return np.sqrt(np.maximum(2 * ((signal + background) * odds - signal), 0))


def _domain_answers(shift: float, faded: float) -> dict[str, float]:
    """The answers of `make_simulation_and_data`: accuracies of linear rules."""

    robust, modelled = np.array([*ROBUST.values()]), np.array([*MODELLED.values()])
    both = np.concatenate([robust, modelled])
    size = float(np.sqrt((both**2).sum()))
    # In data the score of the rule from simulation is normal, moved, and less separated.
    moved = shift * modelled.sum() / size
    half = ((robust**2).sum() + faded * (modelled**2).sum()) / 2 / size
    in_data = np.concatenate([robust, faded * modelled])

    return {
        "simulation_accuracy": float(ndtr(size / 2)),
        "transferred_accuracy": float(ndtr(half + moved) + ndtr(half - moved)) / 2,
        "robust_accuracy": float(ndtr(np.sqrt((robust**2).sum()) / 2)),
        "data_accuracy": float(ndtr(np.sqrt((in_data**2).sum()) / 2)),
    }
