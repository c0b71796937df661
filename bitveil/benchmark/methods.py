"""The methods that compete, with the one setting that trades use for leakage, and the others.

The configurations of a cell sweep that setting evenly over its range. Optuna chooses the other
settings. All methods get the same number of configurations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bitveil.baselines.cell_code import CellCode
from bitveil.baselines.limited import LimitedCode
from bitveil.baselines.paper import PerNeuron

__all__ = ["METHODS", "RULE", "UNPROTECTED", "Method", "Sweep"]

Range = list[Any] | tuple[float, float]
"""Choices, or the ends of an interval on a logarithmic scale."""


@dataclass(frozen=True)
class Sweep:
    """The setting that trades use for leakage, and its values.

    Attributes:
        name: The name of the setting.
        low: Its least value.
        high: Its largest value.
        scale: `"log"`: equal ratios; `"power"`: denser at the low end; `"odds"`: equal ratios of
            p / (1 - p), for shares near 1.
    """

    name: str
    low: float
    high: float
    scale: Literal["log", "power", "odds"] = "log"

    def value(self, number: int, of: int) -> float:
        """The value for a configuration. Early configurations cover the whole range.

        Example:
            >>> [round(Sweep("strength", 1, 1000).value(i, 4)) for i in range(4)]
            [1, 100, 10, 1000]
        """

        place = _scattered(of)[number] / max(1, of - 1)
        if self.scale == "log":
            return float(self.low * (self.high / self.low) ** place)
        if self.scale == "odds":
            low, high = (end / (1 - end) for end in (self.low, self.high))
            odds = low * (high / low) ** place
            return float(odds / (1 + odds))
        return float(self.low + (self.high - self.low) * place**1.6)


def _scattered(n: int) -> list[int]:
    """The numbers below n, in the order of their reversed bits.

    Example:
        >>> _scattered(6)
        [0, 4, 2, 1, 5, 3]
    """

    width = max(1, (n - 1).bit_length())

    return sorted(range(n), key=lambda number: int(f"{number:0{width}b}"[::-1], 2))


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        title: Its name in tables.
        make: Makes it, unfitted, from settings and a `random_state`.
        sweep: The setting that trades use for leakage, or None.
        ranges: The other settings.
        posterior: Whether it sees posterior features instead of the columns.
        ranked: Whether it competes. Only representations do.
        binary: Whether it is for two groups only.
        package: The package that it needs beside bitveil's own, or nothing.
        sees_sensitive: Whether it needs the sensitive attribute of each row to encode it.
        goals: The goals of a method that splits the rows itself, and certifies each of them. It
            gets all rows but those for the test, and a fit for each goal.
    """

    title: str
    make: Callable[..., Any]
    sweep: Sweep | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)
    posterior: bool = False
    ranked: bool = True
    binary: bool = False
    package: str = ""
    sees_sensitive: bool = False
    goals: tuple[float, ...] = ()


_LIMIT = Sweep("limit", 0.004, 0.36, "power")
_BITS: dict[str, Range] = {
    "n_bits": [3, 4, 6, 8],
    "hidden": [(64, 64), (128, 128)],
    "learning_rate": (0.005, 0.03),
}
_NETWORK: dict[str, Range] = {
    "dimensions": [3, 6, 12],
    "hidden": [(64, 64), (128, 128)],
    "learning_rate": (0.001, 0.01),
    "epochs": [20, 40],
}
_LEAKAGE = Sweep("strength", 0.1, 0.999, "odds")
_LEAVES: dict[str, Range] = {"max_leaves": [8, 16, 32, 64], "min_leaf": [60, 150, 400]}


def _of(module: str, name: str) -> Callable[..., Any]:
    """Make a method of `bitveil.baselines`, which is imported only then."""

    def make(**settings: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(f"bitveil.baselines.{module}"), name)(**settings)

    return make


def _keeping_erasure(**settings: Any) -> Any:
    return _of("leace", "LinearErasure")(keep_target=True, **settings)


METHODS: dict[str, Method] = {
    "unprotected": Method(
        "no protection: a network of real numbers",
        _of("unprotected", "FullPrecision"),
        ranges=_NETWORK,
    ),
    "boosting": Method(
        "no protection: boosted trees",
        _of("boosting", "Boosting"),
        ranges={"learning_rate": (0.03, 0.2), "max_iter": [60, 100, 200]},
    ),
    "paper": Method(
        "the paper: information of single neurons",
        PerNeuron,
        Sweep("gamma", 0.01, 0.98),
        ranges={
            "n_bits": [3, 4, 6, 8],
            "hidden": [(64,), (64, 64)],
            "learning_rate": (0.003, 0.03),
        },
    ),
    "bitveil": Method(
        "bitveil",
        CellCode,
        _LIMIT,
        posterior=True,
    ),
    "bitveil-goal": Method(
        "bitveil's estimator, own splits",
        _of("goal", "GoalCode"),
        goals=(0.03, 0.05, 0.08, 0.10, 0.15, 0.20),
    ),
    "bitveil-raw": Method("bitveil, raw columns", LimitedCode, _LIMIT, _BITS),
    "adversary": Method(
        "gradient-reversal adversary",
        _of("adversary", "Adversary"),
        Sweep("strength", 0.1, 30.0),
        _NETWORK,
    ),
    "cvib": Method(
        "ICVAE / CVIB",
        _of("cvib", "ConditionalBottleneck"),
        Sweep("strength", 0.001, 1.0),
        {**_NETWORK, "compression": (1e-4, 1e-2)},
    ),
    "fcrl": Method(
        "FCRL",
        _of("fcrl", "Contrastive"),
        Sweep("strength", 0.003, 3.0),
        {**_NETWORK, "compression": (0.2, 1.0)},
    ),
    "frg": Method(
        "FRG",
        _of("frg", "FRG"),
        Sweep("epsilon", 0.03, 0.4),
        {
            "dimensions": [12, 50],
            "learning_rate": (0.001, 0.01),
            "task_weight": [1.0, 10.0, 100.0],
        },
        sees_sensitive=True,
    ),
    "characteristic": Method(
        "characteristic-function distance",
        _of("characteristic", "CharacteristicDistance"),
        Sweep("strength", 0.1, 100.0),
        _NETWORK,
    ),
    "distance": Method(
        "distance covariance",
        _of("distance_covariance", "DistanceCovariance"),
        Sweep("strength", 0.1, 100.0),
        _NETWORK,
    ),
    "prototypes": Method(
        "LFR (Fairlearn)",
        _of("prototypes", "Prototypes"),
        Sweep("strength", 0.01, 100.0),
        {"n_prototypes": [3, 5, 10]},
        package="fairlearn",
    ),
    "correlation": Method(
        "correlation remover (Fairlearn)",
        _of("correlation", "CorrelationRemoved"),
        Sweep("strength", 0.05, 1.0),
        package="fairlearn",
        sees_sensitive=True,
    ),
    "leace": Method("LEACE", _of("leace", "LinearErasure")),
    "splince": Method("SPLINCE", _keeping_erasure),
    "tree": Method(
        "FARE-style tree",
        _of("tree", "FairTree"),
        _LEAKAGE,
        _LEAVES,
    ),
    "tree-posterior": Method(
        "FARE-style tree, posterior features",
        _of("tree", "FairTree"),
        _LEAKAGE,
        _LEAVES,
        posterior=True,
    ),
    "rule": Method(
        "closed-form rule: one bit made for this target",
        _of("rule", "Rule"),
        _LIMIT,
        posterior=True,
    ),
    "fmc": Method(
        "FMC: fair model-based clustering",
        _of("fair_mixture", "FairMixture"),
        Sweep("strength", 0.03, 100.0),
        {"n_codes": [4, 8, 16, 32]},
    ),
    "reduction": Method(
        "exponentiated gradient (Fairlearn): answers only",
        _of("exponentiated", "Reduction"),
        Sweep("strength", 0.004, 0.36, "power"),
        ranked=False,
        package="fairlearn",
    ),
    "front": Method(
        "front (FairPareto): one bit for this target, group seen",
        _of("pareto_front", "ParetoFront"),
        _LIMIT,
        ranked=False,
        binary=True,
        sees_sensitive=True,
    ),
}
"""The methods, by short name."""

UNPROTECTED = "unprotected"
"""The method that shows what there is without protection."""

RULE = "rule"
"""The method that is the most accurate answer of one bit, as far as posteriors are right."""
