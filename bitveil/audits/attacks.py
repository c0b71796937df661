"""Attacks: probes that guess the group from the code, beside what a certificate allows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.audits.families import QUICK_FAMILIES, Configuration, configuration
from bitveil.audits.probes import Probe, Split, probe
from bitveil.certificates.compared import slack
from bitveil.certificates.upper import Certificate
from bitveil.workers import run

__all__ = ["Comparison", "attack", "repeated_draw_attack", "search_attack", "within"]


def attack(
    split: Split,
    *,
    families: Iterable[str] = QUICK_FAMILIES,
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> list[Probe]:
    """Train each family to guess the labels, and score it.

    Arguments:
        split: What is seen, and the labels, for training and for scoring.
        families: Which of `FAMILIES` are tried.
        n_boot: How often the scored rows are resampled for bootstrap intervals; 0: no intervals.
        random_state: The seed of the resampling.
        n_jobs: How many families are trained at once; None: one.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> trap = bits[:, 0] ^ bits[:, 1]
        >>> {p.family: round(p.auc, 1) for p in attack(Split.halves(bits, trap, seed=0))}
        {'linear': 0.5, 'boosting': 1.0}
    """

    chosen = [Configuration(name, {}) for name in families]

    calls = [partial(probe, one, split, n_boot, random_state) for one in chosen]

    return run(calls, n_jobs, step="training attackers")


def search_attack(
    split: Split,
    *,
    validation_share: float = 0.3,
    n_configurations: int = 30,
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Probe:
    """A random search over all families and their settings, as a determined attacker would do it.

    Random configurations are trained on a part of the rows for training, and compared by their
    balanced accuracy on the rest of them. The best is trained again on all of these rows, and
    scored on the rows for scoring, which the search never sees.

    Source:
        Random Search for Hyper-Parameter Optimization (Bergstra, Bengio, 2012),
        https://www.jmlr.org/papers/v13/bergstra12a.html

    Arguments:
        split: What is seen, and the labels.
        validation_share: The share of the rows for training that compare configurations.
        n_configurations: How many configurations are tried.
        n_boot: How often the scored rows are resampled for bootstrap intervals.
        random_state: The seed of the search.
        n_jobs: How many configurations are trained at once; None: one.

    Returns:
        The probe of the best configuration, with its settings.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> split = Split.halves(bits, bits[:, 0] ^ bits[:, 1], seed=0)
        >>> search_attack(split, n_configurations=5).balanced_accuracy
        1.0
    """

    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(split.labels))
    held, kept = np.split(order, [math.ceil(validation_share * len(order))])
    inner = Split(split.seen[kept], split.labels[kept], split.seen[held], split.labels[held])
    tried = [configuration(rng, split.seen.shape[1]) for _ in range(n_configurations)]
    calls = [partial(probe, one, inner, 0, 0) for one in tried]
    probes = run(calls, n_jobs, step="searching for the best attacker")
    best = tried[int(np.argmax([probe.balanced_accuracy for probe in probes]))]
    (found,) = run([partial(probe, best, split, n_boot, random_state)])

    return replace(found, settings=str(best))


def repeated_draw_attack(
    logits: ArrayLike,
    labels: NDArray[np.int64],
    *,
    share: float = 1.0,
    draws: Sequence[int] = (1, 5, 50),
    family: str = "boosting",
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> dict[str, Probe]:
    """What an attacker gains from fresh draws of the same rows, which frozen draws deny them.

    The attacker sees the mean of several draws of each row's bits, which tends to the
    probabilities, and at last the logits themselves. A certificate covers one draw.

    Arguments:
        logits: The logits of the code, with shape (n, m).
        labels: The group of each row, with shape (n,).
        share: The probability that a draw is not blank.
        draws: How many draws of each row the attacker sees, one attack for each number.
        family: The family that attacks.
        n_boot: How often the scored rows are resampled for bootstrap intervals.
        random_state: The seed of the draws and of the halves for training and scoring.
        n_jobs: How many attackers are trained at once; None: one.

    Returns:
        A probe for each number of draws and one for the logits, by what was seen.

    Example:
        >>> s = np.arange(2000) % 2
        >>> found = repeated_draw_attack(0.4 * s[:, None] - 0.2, s)
        >>> {seen: round(probe.auc, 1) for seen, probe in found.items()}
        {'1 draw': 0.5, '5 draws': 0.7, '50 draws': 0.8, 'logits': 1.0}
    """

    rng = np.random.default_rng(random_state)
    rows = np.asarray(logits, dtype=np.float64)
    theta = 1 / (1 + np.exp(-rows))
    seen = {f"{k} draw" + "s" * (k > 1): _mean_draw(theta, k, share, rng) for k in draws}
    seen["logits"] = rows
    splits = [Split.halves(x, labels, random_state) for x in seen.values()]
    chosen = Configuration(family, {})
    calls = [partial(probe, chosen, s, n_boot, random_state) for s in splits]
    probes = run(calls, n_jobs, step="training attackers who see several draws")

    return dict(zip(seen, probes, strict=True))


def _mean_draw(
    theta: NDArray[np.float64], k: int, share: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The mean of k draws of each row's bits, and how many of them were blank."""

    if share == 1:
        return rng.binomial(k, theta) / k
    shown = rng.binomial(k, share, size=(len(theta), 1))

    return np.hstack([rng.binomial(shown, theta), k - shown]) / k


@dataclass(frozen=True)
class Comparison:
    """A probe beside a certificate.

    Attributes:
        family: The family of the probe.
        measured: Its gap, or its balanced accuracy, on the scored rows.
        noise: How far that may lie above the value in the population.
        bound: The certified bound.
        delta: The probability that the bound or the noise may be wrong.
        holds: Whether the measured value minus the noise is within the bound.
    """

    family: str
    measured: float
    noise: float
    bound: float
    delta: float
    holds: bool

    @property
    def least(self) -> float:
        """What the probe reaches in the population at least, except with probability `delta`."""

        return self.measured - self.noise

    @property
    def excess(self) -> float:
        """By how much that is above the bound."""

        return self.least - self.bound

    def __str__(self) -> str:
        least = f"{self.family}: {self.measured:.4f} - {self.noise:.4f}"
        if self.holds:
            return f"{least} ≤ {self.bound:.4f}, within the certificate"

        return (
            f"{least} > {self.bound:.4f}, above the certificate. By chance with probability ≤ "
            f"{self.delta:g}; otherwise these rows come from another population than the "
            "certified ones, the certified ones were used in training or selection, or the "
            "attacker saw more than one draw of the code"
        )


def within(certificate: Certificate, probe: Probe, *, delta: float = 0.05) -> Comparison:
    r"""Compare a probe of the group with a certificate of its code.

    The probe was fixed before the rows were scored. Its balanced accuracy is the mean over k
    groups of the means of their rows. It exceeds its expectation by more than one k-th of the
    slack with probability at most :math:`\delta`: see `bitveil.certificates.slacks`. If the
    certificate bounds a gap, the balanced accuracy is turned into a gap.

    Arguments:
        certificate: A certificate of a gap or of the balanced attack accuracy. For a gap among the
            rows of a target, the probe must have been trained and scored on such rows.
        probe: A probe whose labels are the certified groups.
        delta: The probability that the noise may be larger.

    Raises:
        ValueError: If the certificate bounds an information, or all scored rows have one label.

    Example:
        >>> probe = Probe("mlp", 0.55, 0.56, 0.55, (1000, 1000))
        >>> print(within(Certificate(0.08, 0.05, 0.03, (2000, 2000)), probe))
        mlp: 0.1000 - 0.0400 ≤ 0.0800, within the certificate
    """

    if certificate.quantity.unit == "bits":
        raise ValueError(
            "`within` compares answers, and a certificate of information does not bound answers. "
            "Certify a gap or the balanced attack accuracy."
        )
    k = len(probe.sizes)
    accuracy = certificate.quantity.unit == "accuracy"
    measured = probe.balanced_accuracy if accuracy else probe.gap
    noise = slack(probe.sizes, delta) / (k if accuracy else k - 1)

    return Comparison(
        probe.family,
        measured,
        noise,
        certificate.bound,
        certificate.delta + delta,
        holds=measured - noise <= certificate.bound,
    )
