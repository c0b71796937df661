"""Representations that can be published: stochastic bits with known, certified leakage.

The names below are what most people need. They are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitveil.audits import audit
    from bitveil.estimators import InvariantEncoder
    from bitveil.models import InvariantClassifier, InvariantRegressor, load
    from bitveil.training import Training

__all__ = [
    "InvariantClassifier",
    "InvariantEncoder",
    "InvariantRegressor",
    "Training",
    "audit",
    "load",
]

__version__ = "0.1.0"

_WHERE = {
    "InvariantClassifier": "bitveil.models",
    "InvariantEncoder": "bitveil.estimators",
    "InvariantRegressor": "bitveil.models",
    "Training": "bitveil.training",
    "audit": "bitveil.audits",
    "load": "bitveil.models",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bitveil' has no attribute {name!r}")

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
