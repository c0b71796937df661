import os

import jaxtyping
import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # one core for each worker, or they wait for one another


@pytest.fixture
def unchecked():
    """Without the shape checks of the tests: what a person's own process says of bad input."""

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
