"""Chances: how often rows are taken, and what that does for rare groups."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bitveil.batches import Rows, balancing_chances
from bitveil.layers import table_encoder
from bitveil.measures import Measure
from bitveil.models import InvariantClassifier
from bitveil.objectives import Weighted
from bitveil.tasks import task_information
from bitveil.training import train
from builders import build


class Recording(nn.Module):
    """Remembers the rows that it sees. Their only column is their number."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.linear = nn.Linear(1, 2)

    def forward(self, x):
        self.seen.append(x[:, 0].long())
        return self.linear(x / 100)


def numbered(n):
    zeros = torch.zeros(n, dtype=torch.long)
    return Rows.of_target(torch.arange(float(n)).unsqueeze(1), zeros, zeros, 1, 1)


def plain():
    return Weighted(task_information, Measure(), strength=0.0)


def seen(chances, *, epochs=1, seed=0, n=100):
    network, generator = Recording(), torch.Generator().manual_seed(seed)
    train(
        network,
        plain(),
        numbered(n),
        epochs=epochs,
        batch_size=30,
        chances=chances,
        generator=generator,
    )
    return torch.cat(network.seen)


def shortcut(n, rare, seed):
    """The first column is S without noise, the second Y with much noise. S is nearly Y."""

    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=generator)
    s = torch.where(torch.rand(n, generator=generator) < rare, 1 - y, y)
    x = torch.stack([4.0 * s - 2, 2.0 * y - 1 + torch.randn(n, generator=generator)], 1)
    return Rows.of_target(x, y, s, n_classes=2, n_groups=2)


def test_without_chances_every_row_comes_once():
    assert seen(None).sort().values.tolist() == list(range(100))


def test_rows_come_as_often_as_their_chances_say():
    chances = torch.tensor([0.0, 3.0, 1.0, 0.0]).repeat(25)
    counts = torch.bincount(seen(chances), minlength=100).view(25, 4)

    assert (counts == torch.tensor([0, 3, 1, 0])).all()


def test_fractional_chances_hold_on_average():
    chances = 0.2 + torch.arange(100) / 100
    counts = torch.bincount(seen(chances, epochs=200), minlength=100) / 200
    expected = chances / chances.mean()

    assert torch.allclose(counts, expected, atol=0.12)
    assert counts.sum().item() == pytest.approx(100)


def test_only_the_proportions_count():
    chances = torch.rand(100, generator=torch.Generator().manual_seed(0))

    assert (seen(chances) == seen(7 * chances)).all()
    assert (seen(chances) != seen(chances, seed=1)).any()


def test_balanced_groups_are_equally_frequent_within_each_stratum():
    rows = shortcut(4_000, 0.02, seed=0)
    chances = balancing_chances(rows)
    chosen = rows.strata * 2 + rows.s
    of_pair = torch.zeros(4).double().index_add(0, chosen, chances.double()).view(2, 2)

    assert chances.mean().item() == pytest.approx(1)
    assert torch.allclose(of_pair[:, 0], of_pair[:, 1])
    assert torch.allclose(of_pair.sum(1), torch.bincount(rows.strata).double())


def test_weights_are_balanced_and_rows_of_unknown_stratum_among_themselves():
    y, s = torch.tensor([0, 0, 0, -1, -1, -1]), torch.tensor([0, 0, 1, 1, 1, 0])
    weights = torch.tensor([1.0, 3.0, 2.0, 1.0, 1.0, 1.0])
    rows = replace(numbered(6), strata=y, s=s, n_groups=2, weights=weights)
    mass = balancing_chances(rows) * weights

    assert mass[:2].sum().item() == pytest.approx(mass[2].item())
    assert mass[3:5].sum().item() == pytest.approx(mass[5].item())


def test_balancing_makes_a_rare_group_count():
    rows, test = shortcut(6_000, 0.01, seed=0), shortcut(6_000, 0.5, seed=1)
    measure = Measure("mutual_information", "separation")
    told = []
    for chances in (None, balancing_chances(rows)):
        generator = torch.Generator().manual_seed(0)
        network = table_encoder(2, 3, (16,), generator=generator)
        objective = Weighted(task_information, measure, strength=3.0)
        train(
            network,
            objective,
            rows,
            epochs=20,
            batch_size=500,
            chances=chances,
            generator=generator,
        )
        told.append(-task_information(test.batch(network)).item())

    assert told[1] > told[0] + 0.15  # nats, on rows where the shortcut is useless


@pytest.mark.parametrize(
    "chances",
    [torch.ones(99), torch.full((100,), -1.0), torch.full((100,), torch.nan), torch.zeros(100)],
    ids=["too few", "negative", "NaN", "none"],
)
def test_invalid_chances_are_refused(chances):
    with pytest.raises(ValueError, match="`chances` expects a number of at least 0 for each"):
        seen(chances)


def test_balancing_makes_a_rare_group_count_in_an_estimator():
    rows, test = shortcut(4_000, 0.01, seed=0), shortcut(4_000, 0.5, seed=1)
    settings = {"n_bits": 3, "criterion": "separation", "measure": "mutual_information"}
    settings |= {"strength": 3.0, "features": "raw", "hidden": (16,), "epochs": 20}
    settings |= {"batch_size": 500, "random_state": 0}
    scores = []
    for balanced in (False, True):
        model = build(InvariantClassifier, balanced=balanced, **settings)
        model.fit(rows.x.numpy(), rows.strata.numpy(), sensitive_features=rows.s.numpy())
        scores.append(model.score(test.x.numpy(), test.strata.numpy()))

    assert scores[1] > scores[0] + 0.1


def test_balanced_is_yes_or_no():
    with pytest.raises(ValueError, match="`balanced` expects True or False, got 'yes'"):
        build(InvariantClassifier, balanced="yes").fit([[0.0]], [0], sensitive_features=[0])
