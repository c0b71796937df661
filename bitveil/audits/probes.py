"""Probes: classifiers trained afresh on codes, to attack the group or to use the target.

A probe shows what one family of classifiers finds, with the rows it was given. That it finds
nothing proves nothing: the parity trap is invisible to a linear one. A certificate holds for all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["FAMILIES", "Probe", "Split", "attack", "use"]

FAMILIES: dict[str, Any] = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}
"""The classifiers that are tried; each call makes an unfitted one."""


@dataclass(frozen=True)
class Split:
    """Rows for training a probe, and other rows for scoring it: what it sees, and the labels."""

    seen: NDArray[Any]
    labels: NDArray[np.int64]
    scored: NDArray[Any]
    scored_labels: NDArray[np.int64]

    @classmethod
    def halves(cls, seen: NDArray[Any], labels: NDArray[np.int64], seed: int) -> "Split":
        """Half of the rows for training and half for scoring, at random."""

        order = np.random.default_rng(seed).permutation(len(labels))
        first, second = np.array_split(order, 2)

        return cls(seen[first], labels[first], seen[second], labels[second])


@dataclass(frozen=True)
class Probe:
    """What one family of classifiers scored on rows that it was not trained on.

    Attributes:
        family: The name of the family.
        accuracy: The share of rows guessed right.
        auc: The area under the ROC curve; with more than two values the mean over one against the
            rest. One half is a guess.
    """

    family: str
    accuracy: float
    auc: float


def attack(split: Split) -> list[Probe]:
    """Train each family to guess the labels, and score it.

    Example:
        >>> bits = np.tile([[0, 0], [0, 1], [1, 0], [1, 1]], (50, 1))
        >>> trap = bits[:, 0] ^ bits[:, 1]
        >>> {p.family: round(p.auc, 1) for p in attack(Split.halves(bits, trap, seed=0))}
        {'linear': 0.5, 'boosting': 1.0}
    """

    return [_score(name, split) for name in FAMILIES]


def use(split: Split, groups: NDArray[np.int64]) -> tuple[float, float]:
    """The accuracy of boosting for the labels, and the parity gap of its answers.

    Arguments:
        split: What is seen, and the target as labels.
        groups: The group of each scored row.

    Returns:
        The accuracy, and the largest difference between two groups in how often any one value is
        answered.
    """

    answers = FAMILIES["boosting"]().fit(split.seen, split.labels).predict(split.scored)

    return float((answers == split.scored_labels).mean()), parity_gap(answers, groups)


def parity_gap(answers: NDArray[Any], groups: NDArray[np.int64]) -> float:
    """The largest difference between two groups in how often any one value is answered.

    Example:
        >>> parity_gap(np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1]))
        0.5
    """

    shares = np.array(
        [
            [np.mean(answers[groups == g] == value) for value in np.unique(answers)]
            for g in np.unique(groups)
        ]
    )

    return float(np.ptp(shares, axis=0).max())


def _score(family: str, split: Split) -> Probe:
    model = FAMILIES[family]().fit(split.seen, split.labels)
    posterior = model.predict_proba(split.scored)
    accuracy = float((model.classes_[posterior.argmax(1)] == split.scored_labels).mean())
    scores = posterior[:, 1] if posterior.shape[1] == 2 else posterior
    auc = roc_auc_score(split.scored_labels, scores, multi_class="ovr", labels=model.classes_)

    return Probe(family, accuracy, float(auc))
