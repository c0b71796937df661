"""Families of classifiers, which probes train and search.

Narrow codes have few distinct values. Some families fit equal rows just like one row with a count.
They are fitted on the distinct rows with counts, so many rows cost no more than their codes.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from bitveil.quotes import quoted

__all__ = [
    "FAMILIES",
    "QUICK_FAMILIES",
    "Configuration",
    "configuration",
    "counts_of",
    "distinct",
    "fit_family",
]

NEIGHBOUR_ROWS = 5_000
"""Neighbours are searched among this many rows at most, unless the codes are narrow."""

_COUNTED = ("linear", "mlp", "forest")  # fitted on distinct rows with counts
_PRODUCTS = 64  # columns up to which products of pairs are tried


def _linear(C: float = 1.0, degree: int = 1) -> Pipeline:
    products = [PolynomialFeatures(degree, interaction_only=True)] if degree > 1 else []

    return make_pipeline(StandardScaler(), *products, LogisticRegression(C=C, max_iter=1000))


def _mlp(hidden: tuple[int, ...] = (64, 64), alpha: float = 1e-4, seed: int = 0) -> Pipeline:
    model = MLPClassifier(hidden, alpha=alpha, early_stopping=True, random_state=seed)

    return make_pipeline(StandardScaler(), model)


def _forest(
    max_features: str | None = "sqrt", min_weight_fraction_leaf: float = 1e-3, seed: int = 0
) -> Pipeline:
    # No bootstrap, and leaves by weight: rows with counts then grow the same trees as single rows.
    model = RandomForestClassifier(
        max_features=max_features,
        min_weight_fraction_leaf=min_weight_fraction_leaf,
        bootstrap=False,
        random_state=seed,
    )

    return make_pipeline(model)


def _boosting(**settings: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(**settings, random_state=0)


def _neighbours(n_neighbors: int = 50) -> Pipeline:
    return make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors, algorithm="brute"))


FAMILIES: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "mlp": _mlp,
    "forest": _forest,
    "boosting": _boosting,
    "neighbours": _neighbours,
}
"""The classifiers that can be tried. Each call makes an unfitted one. If there are more than 5,000
rows, neighbours are searched among 5,000 random ones, unless the codes are narrow."""

QUICK_FAMILIES = ("linear", "boosting")
"""The families that are tried by default."""

_SPACES: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "linear": lambda rng: {
        "C": 10 ** rng.uniform(-3, 3),
        "degree": int(rng.integers(1, 3)),
    },
    "mlp": lambda rng: {
        "hidden": [(32,), (128,), (64, 64)][rng.integers(3)],
        "alpha": 10 ** rng.uniform(-5, 0),
        "seed": int(rng.integers(2**31)),
    },
    "forest": lambda rng: {
        "max_features": ["sqrt", None][rng.integers(2)],
        "min_weight_fraction_leaf": 10 ** rng.uniform(-4, -2),
        "seed": int(rng.integers(2**31)),
    },
    "boosting": lambda rng: {
        "learning_rate": 10 ** rng.uniform(-2, -0.5),
        "max_leaf_nodes": int(rng.choice([4, 15, 31, 63])),
        "min_samples_leaf": int(rng.choice([5, 20, 100])),
    },
    "neighbours": lambda rng: {"n_neighbors": int(rng.choice([5, 25, 100, 300]))},
}


class Configuration(NamedTuple):
    """A family and its settings."""

    family: str
    settings: dict[str, Any]

    def make(self) -> Any:
        """An unfitted classifier."""

        if self.family not in FAMILIES:
            raise ValueError(
                f"`families` expects some of {list(FAMILIES)}, got {quoted(self.family)}."
            )
        return FAMILIES[self.family](**self.settings)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


def configuration(rng: np.random.Generator, n_columns: int) -> Configuration:
    """A random family with random settings.

    Arguments:
        rng: The source of randomness.
        n_columns: The number of columns that are seen. A linear classifier may also get the
            products of pairs of them, unless there are too many.
    """

    family = str(rng.choice(list(FAMILIES)))
    settings = _SPACES[family](rng)
    if family == "linear" and n_columns > _PRODUCTS:
        settings["degree"] = 1

    return Configuration(family, settings)


def fit_family(chosen: Configuration, seen: NDArray[Any], labels: NDArray[np.int64]) -> Any:
    """Fit a classifier to the rows.

    Arguments:
        chosen: The family and its settings.
        seen: What is seen, with shape (n, columns).
        labels: The labels, with shape (n,).

    Raises:
        ValueError: If all rows have the same label.
    """

    found, numbered = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        raise ValueError(
            f"A probe separates labels, but all rows for training have {quoted(found)}."
        )
    model, (rows, numbers) = chosen.make(), distinct(seen)
    narrow = len(rows) * len(found) < len(seen)
    if chosen.family == "neighbours":
        seen, labels = _some(model, seen, labels, len(seen) if narrow else NEIGHBOUR_ROWS)
    if chosen.family == "boosting" and np.bincount(numbered).min() < 2:
        model.set_params(early_stopping=False)  # one row cannot be held out and trained on
    weights: dict[str, Any] = {}
    if narrow and chosen.family in _COUNTED:
        counts = counts_of(numbered, numbers, len(found))
        label, row = counts.nonzero()
        seen, labels, weights = rows[row], found[label], _weights(model, counts[label, row])
        if chosen.family == "mlp":  # with so few rows each step sees all of them
            model[-1].solver = "lbfgs"
    with warnings.catch_warnings():
        # An attacker that stops early is still an attacker, and is scored for what it found.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(seen, labels, **weights)


def distinct(seen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The distinct rows of a code, and which of them each row equals; other tables as they are.

    Example:
        >>> distinct(np.array([[1, 0], [0, 1], [1, 0]]))
        (array([[0, 1],
                [1, 0]]), array([1, 0, 1]))
    """

    if seen.dtype.kind not in "bui":
        return seen, np.arange(len(seen))
    rows, numbers = np.unique(seen, axis=0, return_inverse=True)

    return rows, numbers.ravel()


def counts_of(labels: NDArray[np.int64], numbers: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """How often each label occurs with each distinct row, with shape (k, rows).

    Example:
        >>> counts_of(np.array([0, 1, 1]), np.array([1, 0, 1]), 2)
        array([[0, 1],
               [1, 1]])
    """

    u = int(numbers.max()) + 1

    return np.bincount(labels * u + numbers, minlength=k * u).reshape(k, u)


def _some(
    model: Pipeline, seen: NDArray[Any], labels: NDArray[np.int64], most: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A random sample of at most this many rows, and no more neighbours than there are rows."""

    neighbours = model[-1]
    if len(seen) > most:
        chosen = np.random.default_rng(0).choice(len(seen), most, replace=False)
        seen, labels = seen[chosen], labels[chosen]
    neighbours.n_neighbors = min(neighbours.n_neighbors, len(seen))

    return seen, labels


def _weights(model: Pipeline, counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    steps = [name for name, step in model.steps if not isinstance(step, PolynomialFeatures)]

    return {f"{name}__sample_weight": counts.astype(np.float64) for name in steps}
