"""Data sets for a benchmark, one file each: some come with the package, some are fetched.

Every loader is also a name here: `from bitveil.datasets import load_adult`. `catalogue` finds the
loaders in the files of this folder, so a new data set is a new file and nothing else.
"""

__all__ = [
    "Dataset",
]

from typing import Any

from bitveil.datasets.dataset import Dataset


def __getattr__(name: str) -> Any:
    from bitveil.datasets.catalogue import PREFIXES, loaders

    if name.startswith(PREFIXES) and name in loaders():
        return loaders()[name]

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from bitveil.datasets.catalogue import loaders

    return sorted([*__all__, *loaders()])
