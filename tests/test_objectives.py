import math

import pytest
import torch
from torch import nn

from bitveil.batches import Batch
from bitveil.criteria import CRITERIA
from bitveil.measures import MEASURES, Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.tasks import DecoderTask, task_information
from worlds import parity_trap, random_rows


def batch_of(logits, groups, y=None, k=3):
    y = groups if y is None else y
    return Batch(logits, y, groups, n_classes=int(y.max()) + 1, n_groups=k)


def trap_batch():
    world = parity_trap(copies=5)
    y = (world.logits[:, 0] > 0).long()
    return Batch(world.logits, y, world.groups, n_classes=2, n_groups=2)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_measures_read_the_parity_trap(criterion):
    values = {name: Measure(name, criterion)(trap_batch()).item() for name in MEASURES}

    assert values == pytest.approx(
        {
            "total_variation": 1.0,
            "mutual_information": math.log(2),
            "chi_square_information": 1.0,
            "squared_hellinger": 1.0,
            "sibson_information": math.log(2),
            "maximal_leakage": math.log(2),
            "maximal_correlation": 1.0,
            "guessing_advantage": 0.5,
            "doeblin_complement": 1.0,
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("reading", sorted(set(MEASURES) - {"total_variation"}))
def test_the_sum_over_bits_is_blind_to_the_trap(reading):
    assert Measure(reading, engine="neuron")(trap_batch()).item() == pytest.approx(0, abs=1e-6)


def test_tables_are_made_only_when_asked_for(monkeypatch):
    monkeypatch.setattr("bitveil.objectives.joint_table", None)

    assert Measure("mutual_information", engine="neuron")(trap_batch()).item() == pytest.approx(0)


def test_the_task_is_what_the_best_decoder_saves():
    logits, y = random_rows(n=200, m=3)
    batch = batch_of(logits, y)
    table = batch.joint.sum(1)
    best = -(table * (table / table.sum(0)).log()).sum() / 200  # H(Y|T)
    prior = table.sum(1) / 200
    entropy = -(prior * prior.log()).sum()

    assert task_information(batch).item() == pytest.approx((best - entropy).item())


def test_exact_decoder_loss_is_the_mean_over_draws():
    logits, y = random_rows(n=50, m=4)
    decoder = nn.Linear(4, 3).double()
    exact = DecoderTask(decoder)(batch_of(logits, y)).item()
    many = batch_of(logits.repeat(2_000, 1), y.repeat(2_000))
    drawn = DecoderTask(decoder, exact=False, generator=torch.Generator().manual_seed(0))(many)

    assert drawn.item() == pytest.approx(exact, abs=0.01)


def test_no_decoder_beats_the_table():
    logits, y = random_rows(n=200, m=3)
    batch = batch_of(logits, y)
    decoder = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 3)).double()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        loss = DecoderTask(decoder)(batch)
        loss.backward()
        optimizer.step()
    entropy = -task_information(batch) + 0
    prior = torch.bincount(y) / 200
    bound = -(prior * prior.log()).sum() - entropy

    assert bound < loss < bound + 0.02


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_the_papers_form_mixes_task_and_measure(gamma):
    batch = trap_batch()
    loss = Weighted.gamma(task_information, Measure("mutual_information"), gamma)(batch).loss

    assert loss.item() == pytest.approx((1 - gamma) * -math.log(2) + gamma * math.log(2))


@pytest.mark.usefixtures("unchecked")
def test_a_gamma_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"`gamma` expects a number from 0 to 1, got 2"):
        Weighted.gamma(task_information, Measure("mutual_information"), 2)


def test_the_multiplier_grows_with_violation_in_training_only():
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
        batch = Batch(logits + slope * (2 * s - 1).unsqueeze(1), s, s, n_classes=2, n_groups=2)
        optimizer.zero_grad()
        terms = objective(batch)
        terms.loss.backward()
        optimizer.step()

    assert terms.measure.item() == pytest.approx(0.3, abs=0.01)


def test_merit_counts_what_is_above_the_limit():
    objective = Constrained(task_information, Measure(), limit=0.2).eval()
    terms = objective(trap_batch())

    assert objective.merit(terms) == pytest.approx(-math.log(2) * (1 - 40 * 0.8))  # its worth
