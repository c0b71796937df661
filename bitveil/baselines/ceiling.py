"""The ceiling: the best accuracy under a limit of one bit that is made for this target."""

__all__ = ["Ceiling"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitveil.baselines.baseline import TableBaseline
from bitveil.baselines.inputs import LabelledRows, check_range, check_two, one_hot, seed

FOLDS = 5
BISECTIONS = 50


@dataclass(eq=False, repr=False)
class Ceiling(TableBaseline):
    r"""The most accurate answer whose rate differs little between two groups, as a code.

    .. math:: h(x) = 1\left[2 p(y{=}1|x) - 1 >
        \lambda \left(\frac{p(s{=}1|x)}{\pi} - \frac{p(s{=}0|x)}{1 - \pi}\right)\right]

    with :math:`\pi = p(s{=}1)`. If the total variation between the groups' codes is
    :math:`\epsilon`, no answer from the code has a larger parity gap. So the code is at most as
    accurate for this target as the best answer with a parity gap of :math:`\epsilon`. If the
    posteriors are known, the method of Lagrange multipliers gives h for some :math:`\lambda`. Here
    they are estimated, so the curve is a ceiling only as far as boosted trees are right. The
    ceiling knows one target, so it is not a representation to publish, and does not compete.

    The posteriors come from scikit-learn's `HistGradientBoostingClassifier`. Bisection on
    posteriors out of five folds finds the :math:`\lambda` nearest to 0 whose gap is within the
    limit. The models that answer are fitted to all rows and not to four folds, so the gap on fresh
    rows can differ from the limit: on Adult at 0.05, from 0.03 to 0.05 in three runs with
    different splits and seeds. Plot the measured gap.
    This is bitveil's own code; the authors below treat fairness at test time more generally.

    Source:
        The Cost of Fairness in Binary Classification (Menon, Williamson, 2018),
        https://proceedings.mlr.press/v81/menon18a.html

    Arguments:
        limit: How much the groups' rates may differ at most, from 0 to 1.
        random_state: A seed, or a source of seeds.

    Attributes:
        multiplier_: The :math:`\lambda`.
        gap_: The gap on the rows for fitting, out of fold. It is above the limit only if so many
            rows share one posterior that no threshold separates them.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, s = rng.normal(size=(400, 2)), np.arange(400) % 2
        >>> ceiling = Ceiling(0.05, random_state=0)
        >>> ceiling.fit(X, (X[:, 0] > 0).astype(int), sensitive_features=s).transform(X).shape
        (400, 1)
    """

    limit: float = 0.1

    def _check_settings(self) -> None:
        check_range("limit", self.limit, 0, 1)

    def _fit_rows(self, rows: LabelledRows) -> None:
        check_two("y", "classes", rows.classes, "the ceiling")
        check_two("sensitive_features", "groups", rows.groups, "the ceiling")
        start = seed(self.random_state)
        self.share_ = float(rows.s.mean())
        self.target_, target = _posterior(rows.X, rows.y, start)
        self.sensitive_, sensitive = _posterior(rows.X, rows.s, start)
        gain, cost = self._gain_and_cost(target, sensitive)
        self.multiplier_ = _multiplier(gain, cost, rows.s, self.limit)
        self.gap_ = abs(_ceiling_gap(gain, cost, rows.s, self.multiplier_))

    def _gain_and_cost(
        self, target: NDArray[np.float64], sensitive: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a positive answer adds to the accuracy, and to the gap between the groups."""

        cost = sensitive / self.share_ - (1 - sensitive) / (1 - self.share_)

        return 2 * target - 1, cost

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """The answer, 0 or 1, with shape (n, 1)."""

        features = self._features(X)
        gain, cost = self._gain_and_cost(
            self.target_.predict_proba(features)[:, 1],
            self.sensitive_.predict_proba(features)[:, 1],
        )

        return (gain > self.multiplier_ * cost).astype(np.uint8)[:, None]

    def likelihoods(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each answer for each row, 0 or 1, with shape (n, 2)."""

        return one_hot(self.transform(X)[:, 0].astype(np.int64), 2)


def _posterior(
    X: NDArray[np.float64], labels: NDArray[np.int64], start: int
) -> tuple[Any, NDArray[np.float64]]:
    """A model of p(label = 1 | x) from all rows, and each row's probability out of fold."""

    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if (fewest := np.bincount(labels).min()) < FOLDS:
        raise ValueError(
            f"`fit` expects at least {FOLDS} rows of each class and group, one for each fold, "
            f"got {fewest}."
        )
    model = HistGradientBoostingClassifier(random_state=start)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=start)
    out_of_fold = cross_val_predict(model, X, labels, cv=folds, method="predict_proba")

    return model.fit(X, labels), out_of_fold[:, 1]


def _ceiling_gap(
    gain: NDArray[np.float64], cost: NDArray[np.float64], s: NDArray[np.int64], multiplier: float
) -> float:
    """How much more often the second group gets a positive answer."""

    answers = gain > multiplier * cost

    return float(answers[s == 1].mean() - answers[s == 0].mean())


def _multiplier(
    gain: NDArray[np.float64], cost: NDArray[np.float64], s: NDArray[np.int64], limit: float
) -> float:
    """The multiplier nearest to 0 whose gap is within the limit, by bisection.

    Example:
        >>> gain, s = np.array([0.4, 0.2, -0.1, -0.4]), np.array([1, 1, 0, 0])
        >>> round(_multiplier(gain, np.where(s == 1, 2.0, -2.0), s, 0.5), 3)  # -0.1 = 0.05 * -2
        0.05
    """

    start = _ceiling_gap(gain, cost, s, 0.0)
    if abs(start) <= limit:
        return 0.0
    sign = 1.0 if start > 0 else -1.0
    low, high = 0.0, 1.0
    # With an infinite multiplier the answers follow the cost alone, and the gap changes its sign.
    while sign * _ceiling_gap(gain, cost, s, sign * high) > limit and high < 1e6:
        low, high = high, 2 * high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        within = sign * _ceiling_gap(gain, cost, s, sign * middle) <= limit
        low, high = (low, middle) if within else (middle, high)

    return sign * high
