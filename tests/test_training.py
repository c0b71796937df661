import pytest
import torch

from bitveil.batches import Rows
from bitveil.layers import table_encoder
from bitveil.measures import Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.tasks import task_information
from bitveil.training import train


def world(n=3_000, seed=0):
    """Two columns: the first predicts Y and leans on S, the second predicts S."""

    generator = torch.Generator().manual_seed(seed)
    s = torch.randint(2, (n,), generator=generator)
    x = torch.randn(n, 2, generator=generator)
    y = (x[:, 0] + 0.8 * (s - 0.5) > 0).long()
    return Rows.of_target(
        x + torch.stack([0.8 * (s - 0.5), 2.0 * s], 1), y, s, n_classes=2, n_groups=2
    )


def encoder(seed=0):
    return table_encoder(2, 3, (16,), generator=torch.Generator().manual_seed(seed))


def penalised(strength=0.0):
    return Weighted(task_information, Measure(), strength=strength)


def measures(network, rows):
    with torch.no_grad():
        batch = rows.batch(network)
        return -task_information(batch).item(), Measure()(batch).item()


def fitted(objective, **settings):
    network = encoder()
    settings = {
        "epochs": 40,
        "batch_size": 500,
        "generator": torch.Generator().manual_seed(1),
        **settings,
    }
    history = train(network, objective, world(), world(seed=1), **settings)
    return network, history


def test_without_a_penalty_the_code_is_useful_and_leaks():
    information, gap = measures(fitted(penalised())[0], world(20_000, seed=7))

    assert information > 0.4
    assert gap > 0.3


def test_a_limit_on_the_gap_is_kept_on_new_rows():
    objective = Constrained(task_information, Measure(), limit=0.1)
    information, gap = measures(fitted(objective)[0], world(20_000, seed=7))

    assert gap == pytest.approx(0.1, abs=0.05)
    assert information > 0.2


def test_same_seeds_same_weights_and_other_seeds_others():
    first, again = (fitted(penalised(1.0), epochs=3)[0] for _ in range(2))
    other, _ = fitted(penalised(1.0), epochs=3, batch_size=500, generator=torch.Generator())

    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_the_history_has_every_epoch_and_the_kept_one_has_the_lowest_merit():
    seen = []
    _, history = fitted(penalised(1.0), epochs=12, after_epoch=seen.append)
    merits = [epoch.merit for epoch in history.epochs]

    assert seen == history.epochs
    assert len(seen) == 12
    assert history.best == merits.index(min(merits))


def test_the_kept_weights_are_those_of_the_best_epoch():
    network, history = fitted(penalised(1.0), epochs=12, learning_rate=0.3)
    information, _ = measures(network, world(seed=1))

    assert information == pytest.approx(-history.epochs[history.best].held_out_task)


def test_patience_stops_early():
    few, others = world(n=50), world(n=50, seed=9)
    history = train(encoder(), penalised(), few, others, epochs=300, patience=5, learning_rate=0.3)

    assert len(history.epochs) < 300
    assert len(history.epochs) - 1 - history.best == 5


def test_without_held_out_rows_the_last_epoch_is_kept():
    history = train(encoder(), penalised(), world(n=100), epochs=4)

    assert history.best == 3
    assert history.epochs[0].merit is None


def test_training_does_not_change_the_global_generators():
    state = torch.get_rng_state()
    fitted(penalised(), epochs=2)

    assert torch.equal(torch.get_rng_state(), state)


def test_no_rows_and_patience_without_held_out_rows_are_refused():
    empty = Rows.of_target(torch.zeros(0, 2), torch.zeros(0).long(), torch.zeros(0).long(), 2, 2)
    with pytest.raises(ValueError, match="at least one row, got none"):
        train(encoder(), penalised(), empty)
    with pytest.raises(ValueError, match="`patience` needs `held_out` rows"):
        train(encoder(), penalised(), world(n=10), patience=3)
