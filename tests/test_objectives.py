"""Objectives: the weighted form, and the form with a limit."""

import math

import pytest
import torch

from bitveil.batches import Batch
from bitveil.measures import Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.tasks import task_information
from worlds import trap_batch


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_the_form_of_the_paper_mixes_task_and_measure(gamma):
    batch = trap_batch()
    loss = Weighted.gamma(task_information, Measure("mutual_information"), gamma)(batch).loss

    assert loss.item() == pytest.approx((1 - gamma) * -math.log(2) + gamma * math.log(2))


@pytest.mark.usefixtures("unchecked")
def test_a_gamma_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"`gamma` expects a number from 0 to 1, got 2"):
        Weighted.gamma(task_information, Measure("mutual_information"), 2)


def test_the_multiplier_grows_with_a_violation_in_training_only():
    objective = Constrained(task_information, Measure(), limit=0.2)
    objective(trap_batch())
    grown = objective.multiplier.item()
    objective.eval()
    objective(trap_batch())

    assert grown == pytest.approx(1 + 0.5 * 0.8)
    assert objective.multiplier.item() == grown


def test_the_constraint_is_met_where_a_weight_jumps():
    # Y = S: every bit of use is a bit of leakage, so the best code sits on the limit.
    s = torch.arange(2).repeat(500)
    logits = torch.zeros(1000, 1, requires_grad=True)
    slope = torch.full((1,), 0.1, requires_grad=True)
    optimizer = torch.optim.Adam([slope], lr=0.05)
    objective = Constrained(task_information, Measure(), limit=0.3)
    for _ in range(400):
        tilted = logits + slope * (2 * s - 1).unsqueeze(1)
        batch = Batch.of_target(tilted, s, s, n_classes=2, n_groups=2)
        optimizer.zero_grad()
        terms = objective(batch)
        terms.loss.backward()
        optimizer.step()

    assert terms.measure.item() == pytest.approx(0.3, abs=0.01)


def test_merit_counts_what_is_above_the_limit():
    objective = Constrained(task_information, Measure(), limit=0.2).eval()
    terms = objective(trap_batch())

    assert objective.merit(terms) == pytest.approx(-math.log(2) * (1 - 40 * 0.8))  # its worth
