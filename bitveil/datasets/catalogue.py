"""What the files of this folder hold: loaders, and data sets of the benchmark.

A loader is a function in the `__all__` of a file, whose name begins with `load_`, `fetch_` or
`make_`. A data set of the benchmark is an `Entry` in a file.
"""

__all__ = ["PREFIXES", "entries", "loaders"]

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

from bitveil.datasets.dataset import Entry

PREFIXES = ("load_", "fetch_", "make_")
"""How the names of loaders begin."""


@cache
def loaders() -> dict[str, Callable[..., Any]]:
    """The loaders, by name.

    Example:
        >>> loaders()["load_adult"]()
        <Dataset Adult: 48842 rows, 14 features, target income_above_50k, sensitive sex, race, ...
    """

    return {
        name: getattr(module, name)
        for module in _modules()
        for name in getattr(module, "__all__", ())
        if name.startswith(PREFIXES)
    }


@cache
def entries() -> dict[str, Entry]:
    """The data sets of the benchmark, by short name.

    Example:
        >>> entries()["compas"].groups
        ('African-American', 'Caucasian')
    """

    found = (each for module in _modules() for each in vars(module).values())

    return {entry.name: entry for entry in found if isinstance(entry, Entry)}


def _modules() -> Iterator[ModuleType]:
    """The modules of this folder and its subfolders."""

    package = import_module("bitveil.datasets")
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        yield import_module(found.name)
