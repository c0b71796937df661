"""Probes: classifiers that are trained on codes, and scored on other rows.

A probe shows what one family of classifiers finds with the rows it was given. If it finds nothing,
that proves nothing: a linear probe cannot see the parity trap. A certificate holds for all.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitveil.audits.fairness import resampled
from bitveil.audits.families import Configuration, counts_of, distinct, fit_family

__all__ = ["Guesses", "Probe", "Split", "check_lengths", "probe"]


@dataclass(frozen=True)
class Split:
    """Rows for training a probe and other rows for scoring it: what it sees, and the labels."""

    seen: NDArray[Any]
    labels: NDArray[np.int64]
    scored: NDArray[Any]
    scored_labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        for seen, labels in ((self.seen, self.labels), (self.scored, self.scored_labels)):
            check_lengths(seen, labels)

    @classmethod
    def halves(cls, seen: NDArray[Any], labels: NDArray[np.int64], seed: int) -> "Split":
        """Half of the rows for training and half for scoring, at random."""

        check_lengths(seen, labels)
        order = np.random.default_rng(seed).permutation(len(labels))
        first, second = np.array_split(order, 2)

        return cls(seen[first], labels[first], seen[second], labels[second])


@dataclass(frozen=True)
class Probe:
    """How one family of classifiers scores on rows that it was not trained on.

    Attributes:
        family: The name of the family.
        accuracy: The share of rows guessed right.
        auc: The area under the ROC curve; with more than two labels the mean over one against the
            rest. One half is chance.
        balanced_accuracy: The mean over labels of the share of their rows that it guesses right
            when it takes all labels to be equally frequent.
        sizes: The number of scored rows of each label.
        accuracy_interval: The bootstrap interval of 95 % over the scored rows, or None.
        auc_interval: The same for the AUC.
        settings: The settings that a search chose.
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

        With two labels it is the difference between their rates of one answer. It is never more
        than the largest total variation between two labels.
        """

        k = len(self.sizes)
        if k < 2:
            raise ValueError(
                f"A gap is between labels, but all {self.sizes} scored rows have one."
            )

        return (k * self.balanced_accuracy - 1) / (k - 1)


def probe(chosen: Configuration, split: Split, n_boot: int, random_state: int) -> Probe:
    """Train a classifier with these settings, and score it."""

    return Guesses.of(chosen, split).probe(n_boot, random_state)


@dataclass(frozen=True)
class Guesses:
    """The predictions of a fitted classifier for the distinct rows to score.

    Attributes:
        family: Its family.
        posterior: The probability of each label for each distinct row, with shape (rows, k).
        prior: The shares of the labels among the rows for training, with shape (k,).
        counts: How many scored rows of each label equal each distinct row, with shape (k, rows).
        numbers: Which distinct row each scored row equals.
        labels: The labels, with shape (k,).
    """

    family: str
    posterior: NDArray[np.float64]
    prior: NDArray[np.float64]
    counts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, chosen: Configuration, split: Split) -> "Guesses":
        """Those of a classifier with these settings."""

        model = fit_family(chosen, split.seen, split.labels)
        rows, numbers = distinct(split.scored)
        # A label that only scored rows have is never guessed.
        labels = np.union1d(split.labels, split.scored_labels)
        sizes = np.bincount(np.searchsorted(labels, split.labels), minlength=len(labels))
        posterior = np.zeros((len(rows), len(labels)))
        posterior[:, sizes > 0] = model.predict_proba(rows)
        counts = counts_of(np.searchsorted(labels, split.scored_labels), numbers, len(labels))

        return cls(chosen.family, posterior, sizes / sizes.sum(), counts, numbers, labels)

    def answers(self) -> NDArray[np.int64]:
        """The label that it guesses for each scored row."""

        return self.labels[self.posterior.argmax(1)][self.numbers]

    def probe(self, n_boot: int, random_state: int) -> Probe:
        """The scores of these guesses."""

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
        """The rank of each distinct row by its score for each label; equal scores share a rank."""

        return [np.unique(scores, return_inverse=True)[1] for scores in self.posterior.T]

    def _balanced(self) -> NDArray[Any]:
        """How many rows of each label are guessed right if all labels are equally frequent."""

        guess = (self.posterior / np.where(self.prior > 0, self.prior, 1)).argmax(1)
        right = self.counts[guess, np.arange(len(guess))]

        return np.bincount(guess, right, len(self.labels))

    def _scores(self, counts: NDArray[np.int64]) -> tuple[float, float]:
        likely = self.posterior.argmax(1)
        right = counts[likely, np.arange(len(likely))].sum()

        return float(right / counts.sum()), self._auc(counts)

    def _auc(self, counts: NDArray[np.int64]) -> float:
        """The area under the ROC curve; a row with an equal score counts as half above."""

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


def check_lengths(seen: NDArray[Any], labels: NDArray[np.int64]) -> None:
    """Refuse an empty set of rows, and more or fewer labels than rows."""

    if len(seen) != len(labels) or not len(seen):
        raise ValueError(
            "Probes expect rows and one label for each of them, got "
            f"{len(seen)} rows and {len(labels)} labels."
        )
