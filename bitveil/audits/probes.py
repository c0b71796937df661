"""Probes: classifiers trained afresh on codes, to attack the group or to use the target.

A probe shows what one family of classifiers finds, with the rows it was given. That it finds
nothing proves nothing: the parity trap is invisible to a linear one. A certificate holds for all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.audits.fairness import Difference, fairness_differences, parity_gap, resampled
from bitveil.audits.families import (
    FAMILIES,
    QUICK,
    Configuration,
    configuration,
    counts_of,
    distinct,
    fit,
)
from bitveil.certificates.upper import Certificate, slack
from bitveil.workers import run

__all__ = [
    "FAMILIES",
    "Comparison",
    "Probe",
    "Split",
    "Use",
    "attack",
    "parity_gap",
    "repeated_draw_attack",
    "search_attack",
    "use",
    "within",
]


@dataclass(frozen=True)
class Split:
    """Rows for training a probe, and other rows for scoring it: what it sees, and the labels."""

    seen: NDArray[Any]
    labels: NDArray[np.int64]
    scored: NDArray[Any]
    scored_labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        for seen, labels in ((self.seen, self.labels), (self.scored, self.scored_labels)):
            _check_lengths(seen, labels)

    @classmethod
    def halves(cls, seen: NDArray[Any], labels: NDArray[np.int64], seed: int) -> "Split":
        """Half of the rows for training and half for scoring, at random."""

        _check_lengths(seen, labels)
        order = np.random.default_rng(seed).permutation(len(labels))
        first, second = np.array_split(order, 2)

        return cls(seen[first], labels[first], seen[second], labels[second])


@dataclass(frozen=True)
class Probe:
    """What one family of classifiers scored on rows that it was not trained on.

    Attributes:
        family: The name of the family.
        accuracy: The share of rows guessed right.
        auc: The area under the ROC curve; with more than two labels the mean over one against the
            rest. One half is a guess.
        balanced_accuracy: The mean over labels of the share of its rows guessed right, by the same
            probe where it takes all labels to be as frequent.
        sizes: The number of rows scored of each label.
        accuracy_interval: The bootstrap interval of 95 % over the rows scored, or None.
        auc_interval: The same of the AUC.
        settings: What a search chose.
    """

    family: str
    accuracy: float
    auc: float
    balanced_accuracy: float
    sizes: tuple[int, ...]
    accuracy_interval: tuple[float, float] | None = None
    auc_interval: tuple[float, float] | None = None
    settings: str = ""

    @property
    def gap(self) -> float:
        """The balanced accuracy b as a gap, :math:`(k b - 1)/(k - 1)`, of k labels.

        With two labels it is by how much the rates of answering one of them differ. It is never
        more than the largest total variation between two labels.
        """

        k = len(self.sizes)
        if k < 2:
            raise ValueError(f"A gap is between labels; all {self.sizes} rows scored have one.")

        return (k * self.balanced_accuracy - 1) / (k - 1)


def attack(
    split: Split,
    *,
    families: Iterable[str] = QUICK,
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> list[Probe]:
    """Train each family to guess the labels, and score it.

    Arguments:
        split: What is seen, and the labels, of the rows to train on and of those to score.
        families: Which of `FAMILIES` are tried.
        n_boot: How often the rows scored are drawn anew for bootstrap intervals; 0: no intervals.
        random_state: The seed of these draws.
        n_jobs: How many families are trained at once; None: one.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> trap = bits[:, 0] ^ bits[:, 1]
        >>> {p.family: round(p.auc, 1) for p in attack(Split.halves(bits, trap, seed=0))}
        {'linear': 0.5, 'boosting': 1.0}
    """

    chosen = [Configuration(name, {}) for name in families]

    return run([partial(_probe, one, split, n_boot, random_state) for one in chosen], n_jobs)


def search_attack(
    split: Split,
    *,
    validation_share: float = 0.3,
    n_configurations: int = 30,
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Probe:
    """A random search over all families and their settings, as a determined attacker would do.

    Configurations are drawn, trained on a part of the rows to train on, and compared by their
    balanced accuracy on the rest of these. The best is trained again on all of them, and scored on
    the rows to score, of which the search saw nothing.

    Source:
        Random Search for Hyper-Parameter Optimization (Bergstra, Bengio, 2012),
        https://www.jmlr.org/papers/v13/bergstra12a.html

    Arguments:
        split: What is seen, and the labels.
        validation_share: The share of the rows to train on that compare configurations.
        n_configurations: How many are tried.
        n_boot: How often the rows scored are drawn anew for bootstrap intervals.
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
    probes = run([partial(_probe, one, inner, 0, 0) for one in tried], n_jobs)
    best = tried[int(np.argmax([probe.balanced_accuracy for probe in probes]))]
    (found,) = run([partial(_probe, best, split, n_boot, random_state)])

    return replace(found, settings=str(best))


def repeated_draw_attack(
    logits: ArrayLike,
    labels: NDArray[np.int64],
    *,
    draws: Sequence[int] = (1, 5, 50),
    family: str = "boosting",
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> dict[str, Probe]:
    """What an attacker gains from fresh draws of the same rows, which frozen draws deny him.

    He sees the mean of so many draws of each row's bits, which tends to the probabilities; last
    the logits themselves. A certificate covers one draw.

    Arguments:
        logits: The logits of the code, with shape (n, m).
        labels: The group of each row, with shape (n,).
        draws: How many draws of each row are seen.
        family: The family that attacks.
        n_boot: How often the rows scored are drawn anew for bootstrap intervals.
        random_state: The seed of the draws and of the halves for training and scoring.
        n_jobs: How many attackers are trained at once; None: one.

    Returns:
        A probe for each number of draws, and one for the logits, by what was seen.

    Example:
        >>> s = np.arange(2000) % 2
        >>> found = repeated_draw_attack(0.4 * s[:, None] - 0.2, s)
        >>> {seen: round(probe.auc, 1) for seen, probe in found.items()}
        {'1 draw': 0.5, '5 draws': 0.7, '50 draws': 0.8, 'logits': 1.0}
    """

    rng = np.random.default_rng(random_state)
    rows = np.asarray(logits, dtype=np.float64)
    theta = 1 / (1 + np.exp(-rows))
    seen = {f"{k} draw" + "s" * (k > 1): rng.binomial(k, theta) / k for k in draws}
    seen["logits"] = rows
    splits = [Split.halves(x, labels, random_state) for x in seen.values()]
    chosen = Configuration(family, {})
    probes = run([partial(_probe, chosen, s, n_boot, random_state) for s in splits], n_jobs)

    return dict(zip(seen, probes, strict=True))


@dataclass(frozen=True)
class Comparison:
    """A probe beside a certificate.

    Attributes:
        family: The family of the probe.
        measured: Its gap, or its balanced accuracy, on the rows scored.
        noise: How far above its value in the population that may lie.
        bound: The certified bound.
        delta: The probability that bound or noise may be wrong.
        holds: Whether the measured value less its noise is within the bound.
    """

    family: str
    measured: float
    noise: float
    bound: float
    delta: float
    holds: bool

    @property
    def least(self) -> float:
        """What the probe reaches at least in the population, but for `delta`."""

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
            f"{self.delta:g}; otherwise these rows are of another population than those "
            "certified, those were used in training or selection, or the attacker saw more than "
            "one draw of the code"
        )


def within(certificate: Certificate, probe: Probe, *, delta: float = 0.05) -> Comparison:
    r"""Compare a probe of the group with a certificate of its code.

    The probe was fixed before the rows were scored. Its balanced accuracy there is a mean over k
    groups of means, and exceeds its expectation by more than :math:`\tfrac1k \sqrt{\tfrac12 \ln
    \tfrac1\delta \sum_g \tfrac1{n_g}}` with probability at most :math:`\delta` (McDiarmid). With a
    gap it is compared as a gap.

    Arguments:
        certificate: A certificate of a gap or of the balanced attack accuracy. For gaps within a
            target the probe must have been trained and scored within it.
        probe: A probe whose labels are the groups that were certified.
        delta: The probability that the noise may be larger.

    Raises:
        ValueError: If the certificate bounds an information, or the groups are not as many.

    Example:
        >>> probe = Probe("mlp", 0.55, 0.56, 0.55, (1000, 1000))
        >>> print(within(Certificate(0.08, 0.05, 0.03, (2000, 2000)), probe))
        mlp: 0.1000 - 0.0547 ≤ 0.0800, within the certificate
    """

    if certificate.quantity == "information (bits)":
        raise ValueError(
            "`within` compares answers, and a certificate of information bounds none. Certify a "
            "gap or the balanced attack accuracy."
        )
    k = len(probe.sizes)
    accuracy = certificate.quantity == "balanced attack accuracy"
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


@dataclass(frozen=True)
class Use:
    """What one family of classifiers reached for the target, and how fair its answers are.

    Attributes:
        probe: Its scores.
        gap: The largest difference between two groups in how often any one value is answered.
        differences: The fairness metrics, where they were asked for.
    """

    probe: Probe
    gap: float
    differences: tuple[Difference, ...] = ()


def use(
    split: Split,
    groups: NDArray[np.int64],
    *,
    families: Iterable[str] = ("boosting",),
    fairness: bool = False,
    positive: int = 1,
    certificates: Sequence[Certificate] = (),
    n_boot: int = 0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> list[Use]:
    """Train each family for the target, and say how good and how fair its answers are.

    Arguments:
        split: What is seen, and the target as labels.
        groups: The group of each scored row.
        families: Which of `FAMILIES` are tried.
        fairness: Whether fairness metrics are made; needs fairlearn.
        positive: The label that counts as positive in them.
        certificates: Certificates of the same code, whose bounds stand beside the metrics.
        n_boot: How often the rows scored are drawn anew for bootstrap intervals; 0: no intervals.
        random_state: The seed of these draws.
        n_jobs: How many families are trained at once; None: one.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> split = Split.halves(bits, bits[:, 0], seed=0)
        >>> [(found.probe.accuracy, found.gap) for found in use(split, split.scored[:, 0])]
        [(1.0, 1.0)]
    """

    _check_lengths(split.scored, groups)
    found = []
    chosen = [Configuration(name, {}) for name in families]
    for guesses in run([partial(_Guesses.of, one, split) for one in chosen], n_jobs):
        answers = guesses.answers()
        differences: tuple[Difference, ...] = ()
        if fairness:
            differences = fairness_differences(
                answers == positive,
                split.scored_labels == positive,
                groups,
                certificates=certificates,
                n_boot=n_boot,
                random_state=random_state,
            )
        probe = guesses.probe(n_boot, random_state)
        found.append(Use(probe, parity_gap(answers, groups), differences))

    return found


def _probe(chosen: Configuration, split: Split, n_boot: int, random_state: int) -> Probe:
    """A classifier of these settings, trained and scored."""

    return _Guesses.of(chosen, split).probe(n_boot, random_state)


@dataclass(frozen=True)
class _Guesses:
    """What a fitted classifier says of the distinct rows to score.

    Attributes:
        family: Its family.
        posterior: The probability of each label for each distinct row, with shape (rows, k).
        prior: The shares of the labels in the rows that it was trained on, with shape (k,).
        counts: How many rows to score of each label each distinct row stands for, (k, rows).
        numbers: Which distinct row each row to score is.
        labels: The labels, with shape (k,).
    """

    family: str
    posterior: NDArray[np.float64]
    prior: NDArray[np.float64]
    counts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, chosen: Configuration, split: Split) -> "_Guesses":
        model = fit(chosen, split.seen, split.labels)
        rows, numbers = distinct(split.scored)
        # A label that only the rows to score have is one that is never guessed.
        labels = np.union1d(split.labels, split.scored_labels)
        sizes = np.bincount(np.searchsorted(labels, split.labels), minlength=len(labels))
        posterior = np.zeros((len(rows), len(labels)))
        posterior[:, sizes > 0] = model.predict_proba(rows)
        counts = counts_of(np.searchsorted(labels, split.scored_labels), numbers, len(labels))

        return cls(chosen.family, posterior, sizes / sizes.sum(), counts, numbers, labels)

    def answers(self) -> NDArray[np.int64]:
        return self.labels[self.posterior.argmax(1)][self.numbers]

    def probe(self, n_boot: int, random_state: int) -> Probe:
        sizes = self.counts.sum(1)
        there = sizes > 0
        accuracy, auc = self._scores(self.counts)
        intervals = self._intervals(n_boot, random_state) if n_boot else (None, None)

        return Probe(
            self.family,
            accuracy,
            auc,
            float((self._balanced() / np.maximum(sizes, 1))[there].mean()),
            tuple(sizes[there].tolist()),
            *intervals,
        )

    @cached_property
    def _order(self) -> list[NDArray[np.int64]]:
        """The place of each distinct row by its score for each label; equal scores share one."""

        return [np.unique(scores, return_inverse=True)[1] for scores in self.posterior.T]

    def _balanced(self) -> NDArray[Any]:
        """How many rows of each label are guessed right, each label taken to be as frequent."""

        telling = (self.posterior / np.where(self.prior > 0, self.prior, 1)).argmax(1)
        right = self.counts[telling, np.arange(len(telling))]

        return np.bincount(telling, right, len(self.labels))

    def _scores(self, counts: NDArray[np.int64]) -> tuple[float, float]:
        likely = self.posterior.argmax(1)
        right = counts[likely, np.arange(len(likely))].sum()

        return float(right / counts.sum()), self._auc(counts)

    def _auc(self, counts: NDArray[np.int64]) -> float:
        """The area under the ROC curve; a row with the score of another is half above it."""

        areas = []
        for label in [1] if len(counts) == 2 else range(len(counts)):
            positive = np.bincount(self._order[label], counts[label])
            negative = np.bincount(self._order[label], counts.sum(0)) - positive
            if pairs := positive.sum() * negative.sum():
                areas.append(positive @ (negative.cumsum() - negative / 2) / pairs)

        return float(np.mean(areas)) if areas else 0.5

    def _intervals(
        self, n_boot: int, random_state: int
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """The percentile intervals of accuracy and AUC, over rows drawn with replacement."""

        drawn = resampled(self.counts, n_boot, random_state)
        low, high = np.quantile([self._scores(counts) for counts in drawn], [0.025, 0.975], axis=0)

        return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _check_lengths(seen: NDArray[Any], labels: NDArray[np.int64]) -> None:
    if len(seen) != len(labels) or not len(seen):
        raise ValueError(
            "Probes expect rows, and one label for each of them, got "
            f"{len(seen)} rows and {len(labels)} labels."
        )
