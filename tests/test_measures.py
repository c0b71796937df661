"""Measures: each entry is complete. A second opinion checks each of its fields."""

import math

import numpy as np
import pytest
import torch

import brute
from bitveil.batches import Batch
from bitveil.criteria import CRITERIA
from bitveil.group_tables import GroupTables
from bitveil.measures import MEASURES, Measure
from bitveil.tables import joint_table, neuron_tables
from worlds import blind, random_rows, trap_batch

SECOND = {
    "total_variation": brute.total_variation,
    "mutual_information": brute.mutual_information,
    "neuron_information": brute.mutual_information,  # of the table of a bit
    "chi_square_information": brute.chi_square_information,
    "squared_hellinger": brute.squared_hellinger,
    "sibson_information": lambda counts: brute.sibson_information(counts, alpha=2.0),
    "maximal_leakage": brute.maximal_leakage,
    "maximal_correlation": brute.maximal_correlation,
    "guessing_advantage": brute.guessing_advantage,
    "doeblin_complement": brute.separation,
}
OVER_STRATA = {
    "mean": lambda values, rows: np.average(values, weights=rows),
    "worst": lambda values, rows: max(values),
}

each = pytest.mark.parametrize("name", MEASURES)
drawn = pytest.mark.parametrize(
    "name", [name for name, reading in MEASURES.items() if reading.drawn is not None]
)


def batch_of(n=90, m=3, k=2, scale=2.0, seed=0, weights=None):
    """Rows that lean on their group, with strata of different sizes, some of them unknown."""

    logits, s = random_rows(n, m, k, scale=scale, seed=seed)
    strata = torch.arange(n) % 6 // 2 - 1
    strata = torch.where(strata < 1, strata, torch.arange(n) % 2)

    return Batch.of_target(logits, strata, s, n_classes=2, n_groups=k, weights=weights)


def near_independence(leaning, k=3):
    """A table in which each group leans a little its own way."""

    generator = torch.Generator().manual_seed(0)
    whole = 1 + torch.rand(1, 8, generator=generator).double()
    lean = torch.randn(k, 8, generator=generator).double()
    lean = lean - (lean * whole).sum(1, keepdim=True) / whole.sum()

    return whole * (1 + leaning * lean) / whole.sum()


@each
def test_the_value_is_that_of_the_definition(name):
    logits, s = random_rows()
    table = joint_table(logits, s, 3)

    assert MEASURES[name].read(table).item() == pytest.approx(SECOND[name](table.numpy()))


@each
def test_it_is_zero_where_code_and_group_are_independent(name):
    world = blind()
    table = joint_table(world.logits, world.groups, 3)

    assert MEASURES[name].read(table).item() == pytest.approx(0, abs=1e-8)


@each
def test_it_has_a_gradient(name):
    logits, s = random_rows(n=12, m=3)
    logits.requires_grad_()
    MEASURES[name].read(joint_table(logits, s, 3), "uniform").backward()

    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() > 0


@each
def test_it_falls_near_independence_as_its_order_says(name):
    values = [
        MEASURES[name].read(near_independence(leaning), "uniform").item()
        for leaning in (2e-3, 1e-3)
    ]

    assert math.log2(values[0] / values[1]) == pytest.approx(MEASURES[name].order, abs=0.02)


@each
def test_it_depends_on_the_prior_if_it_has_one(name):
    logits, s = random_rows(scale=0.5)
    table = joint_table(logits, s, 3)
    values = [
        MEASURES[name].read(table, torch.tensor(prior)).item()
        for prior in ([1 / 3, 1 / 3, 1 / 3], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5])
    ]

    assert (len(set(values)) > 1) is MEASURES[name].has_prior


@each
@pytest.mark.parametrize("criterion", CRITERIA)
def test_it_combines_strata_as_it_says(name, criterion):
    reading, batch = MEASURES[name], batch_of()
    table = neuron_tables if reading.each_bit else joint_table
    tables = [table(batch.logits[rows], batch.s[rows], 2) for rows in batch.compared(criterion, 1)]
    parts = torch.stack([t if reading.each_bit else t.unsqueeze(0) for t in tables], 1).numpy()
    expected = sum(
        OVER_STRATA[reading.strata]([SECOND[name](part) for part in bit], bit.sum((1, 2)))
        for bit in parts
    )

    assert len(tables) == {"separation": 2}.get(criterion, 1)
    assert Measure(name, criterion)(batch).item() == pytest.approx(expected)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_compared_rows_are_those_of_the_tables(criterion):
    batch = batch_of()
    counts = [torch.bincount(batch.s[rows], minlength=2) for rows in batch.compared(criterion, 1)]

    assert torch.equal(torch.stack(counts), batch.tables.compared_rows(criterion, 1))
    assert torch.equal(torch.stack(counts), batch.neurons.compared_rows(criterion, 1))


@drawn
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("weighted", [False, True])
def test_drawn_codes_estimate_the_value_of_the_table(name, criterion, weighted):
    weights = 0.5 + torch.arange(90).double() % 3 if weighted else None
    batch = batch_of(weights=weights)
    found = []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        found.append(Measure(name, criterion, "sampled", generator=generator)(batch).item())
    exact = Measure(name, criterion)(batch).item()
    largest = 0.02 if MEASURES[name].strata == "worst" else 0.0  # of several noisy values

    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / 60**0.5 + largest)
    assert np.std(found) < 0.5 * exact


@drawn
def test_drawn_codes_carry_a_gradient(name):
    batch = batch_of(m=20, scale=0.2)
    batch.logits.requires_grad_()
    generator = torch.Generator().manual_seed(0)
    Measure(name, "separation", "sampled", n_draws=30, generator=generator)(batch).backward()

    assert batch.logits.grad.isfinite().all()
    assert batch.logits.grad.abs().max() > 0


@each
def test_wide_codes_are_measured_or_refused(name):
    batch = batch_of(m=40)
    if not MEASURES[name].any_width:
        with pytest.raises(ValueError, match="The sampled engine expects one of"):
            Measure(name, engine="sampled")
        return

    generator = torch.Generator().manual_seed(0)
    assert Measure(name, engine="sampled", generator=generator)(batch) > 0.05


@each
def test_same_of_two_names_the_measure_that_is_equal_for_two_groups(name):
    logits, s = random_rows(k=2)
    table = joint_table(logits, s, 2)
    same = {
        other
        for other, reading in MEASURES.items()
        if other != name
        and torch.isclose(reading.read(table), MEASURES[name].read(table))
        and not reading.each_bit
        and not MEASURES[name].each_bit
    }
    twin = MEASURES[name].same_of_two

    assert same == ({twin} if twin else {n for n in MEASURES if MEASURES[n].same_of_two == name})


def test_neuron_information_adds_up_what_each_bit_reveals():
    batch = batch_of(m=5, k=3)
    alone = [
        Measure("mutual_information", "separation")(batch.at(batch.logits[:, [j]])).item()
        for j in range(5)
    ]

    assert Measure("neuron_information", "separation")(batch).item() == pytest.approx(sum(alone))


def test_the_sum_over_bits_is_blind_to_the_trap():
    assert Measure("neuron_information")(trap_batch()).item() == pytest.approx(0, abs=1e-6)


def test_the_table_of_all_codes_is_made_only_where_it_is_needed(monkeypatch):
    monkeypatch.setattr("bitveil.group_tables.joint_table", None)

    assert Measure("neuron_information")(trap_batch()).item() == pytest.approx(0)


def test_tables_of_single_bits_are_the_margins_of_the_table_of_all_codes():
    batch = batch_of(m=3)
    known = batch.tables.known.view(2, 2, 2, 2, 2)
    margins = [known.sum((3, 4)), known.sum((2, 4)), known.sum((2, 3))]

    torch.testing.assert_close(batch.neurons.known, torch.stack(margins))
    torch.testing.assert_close(batch.neurons.groups[0], batch.tables.groups.view(2, 2, 4).sum(2))
    assert isinstance(batch.tables, GroupTables)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_measures_read_the_parity_trap(criterion):
    values = {name: Measure(name, criterion)(trap_batch()).item() for name in MEASURES}

    assert values == pytest.approx(
        {
            "total_variation": 1.0,
            "mutual_information": math.log(2),
            "neuron_information": 0.0 if criterion == "independence" else math.log(2),
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reading": "variation"}, "`reading` expects one of .*'total_variation'.*'variation'"),
        ({"criterion": "parity"}, "`criterion` expects one of .*got 'parity'"),
        ({"engine": "neuron"}, r"`engine` expects one of \['exact', 'sampled'\], got 'neuron'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Measure(**settings)
