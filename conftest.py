"""Names that every doctest may use, and seeds for those that draw."""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

NEEDS = {
    "bitveil.plots": "matplotlib",
    "bitveil.baselines.correlation": "fairlearn",
    "bitveil.baselines.exponentiated": "fairlearn",
    "bitveil.baselines.prototypes": "fairlearn",
}
"""The packages, no dependencies, that the doctests of a module need."""


@pytest.fixture(autouse=True)
def optional_packages(request: pytest.FixtureRequest) -> None:
    """Skip the doctests of modules that need a package which is no dependency, by its name."""

    for module, package in NEEDS.items():
        if request.node.name.startswith(module) and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Supply the usual names, and start torch's global generator anew."""

    torch.manual_seed(0)
    doctest_namespace.update(math=math, np=np, pd=pd, torch=torch, nn=nn)
