"""Tasks with the table as decoder, and with a network as decoder."""

import pytest
import torch
from torch import nn

from bitveil.batches import Batch
from bitveil.tables import joint_table
from bitveil.tasks import DecoderTask, explained, task_information
from worlds import random_rows


def batch_of(logits, groups, y=None, k=3):
    y = groups if y is None else y
    return Batch.of_target(logits, y, groups, n_classes=int(y.max()) + 1, n_groups=k)


def test_the_task_is_the_gain_of_the_best_decoder():
    logits, y = random_rows(n=200, m=3)
    batch = batch_of(logits, y)
    table = batch.tables.known.sum(1)
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


def test_strata_and_targets_are_two_things():
    logits, y = random_rows(n=60, m=3)
    s, bins = torch.arange(60) % 2, torch.arange(60) % 4
    settings = {"n_groups": 2, "n_labels": (3,)}
    joined = Batch.of_target(logits, y, s, n_classes=3, n_groups=2)
    apart = Batch(logits, s, bins, y.unsqueeze(1), n_strata=4, **settings)

    assert apart.tables.known.shape == (4, 2, 8)
    torch.testing.assert_close(apart.targets[0], joint_table(logits, y, 3))
    torch.testing.assert_close(apart.targets[0], joined.targets[0])
    torch.testing.assert_close(task_information(apart), task_information(joined))


@pytest.mark.parametrize("known", ["all", "some"])
def test_a_target_that_is_also_the_stratum_has_the_same_table(known):
    logits, y = random_rows(n=60, m=3)
    y = y if known == "all" else torch.where(torch.arange(60) % 5 == 0, -1, y)
    batch = Batch.of_target(logits, y, torch.arange(60) % 2, n_classes=3, n_groups=2)

    torch.testing.assert_close(batch.targets[0], joint_table(logits[y >= 0], y[y >= 0], 3))


def test_a_batch_without_a_known_number_explains_nothing():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.zeros(6, dtype=torch.long)
    values = torch.stack([torch.full((6,), torch.nan), torch.arange(6.0)], 1)
    batch = Batch.of_target(logits, y, y, n_classes=1, n_groups=1, values=values)
    task_information(batch).backward()

    assert explained(batch)[0].item() == 0
    assert explained(batch)[1].item() > 0
    assert logits.grad.isfinite().all()
