"""Names that every doctest may use, and seeds for those that draw."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def optional_packages(request: pytest.FixtureRequest) -> None:
    """Skip the doctests of modules that need a package which is no dependency, by its name."""

    if request.node.name.startswith("bitveil.plots"):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Supply the usual names, and start torch's global generator anew."""

    torch.manual_seed(0)
    doctest_namespace.update(math=math, np=np, pd=pd, torch=torch, nn=nn)
