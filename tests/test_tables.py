import pytest
import torch

import brute
from bitveil import tables
from bitveil.codes import code_index, code_likelihood, draw
from bitveil.information import mutual_information, total_variation
from worlds import parity_trap, random_rows


@pytest.fixture(autouse=True, params=["few rows", "many rows"])
def way(request, monkeypatch):
    """Each law holds for the way that a few rows take, and for that of many."""

    if request.param == "many rows":
        monkeypatch.setattr(tables, "_FEW", 0)


@pytest.mark.parametrize("m", range(1, 12))
def test_table_equals_brute_force(m):
    logits, groups = random_rows(n=12, m=m)
    table = tables.joint_table(logits, groups, 4)

    assert torch.allclose(table, torch.tensor(brute.table(logits, groups, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("m", [3, 9, 12])
def test_many_rows_in_many_chunks_equal_the_dense_way(m, monkeypatch):
    monkeypatch.setattr(tables, "_CACHED", 1)  # chunks of 512 rows
    logits, groups = random_rows(n=2_000, m=m, k=7)
    dense = torch.nn.functional.one_hot(groups, 7).double().T @ code_likelihood(logits)

    assert torch.allclose(tables.joint_table(logits, groups, 7), dense, rtol=1e-12, atol=1e-12)


def test_tables_of_shards_add_up():
    logits, groups = random_rows(n=101, m=8)
    parts = [
        tables.joint_table(logits[rows], groups[rows], 3)
        for rows in torch.randperm(101).tensor_split(5)
    ]

    assert torch.allclose(sum(parts), tables.joint_table(logits, groups, 3), atol=1e-12)


@pytest.mark.parametrize("m", [1, 4, 6, 9])
@pytest.mark.parametrize("reading", [mutual_information, total_variation])
def test_gradients_are_those_of_finite_differences(m, reading):
    logits, groups = random_rows(n=9, m=m)
    logits.requires_grad_()

    assert torch.autograd.gradcheck(
        lambda ell: reading(tables.joint_table(ell, groups, 4)), logits, fast_mode=m > 4
    )


@pytest.mark.parametrize("k", [1, 2, 40])
@pytest.mark.parametrize("m", [3, 5])
def test_weighted_tables_of_any_number_of_groups_equal_brute_force(m, k):
    logits, groups = random_rows(n=40, m=m, k=k)
    weights = torch.rand(40, dtype=torch.float64)
    alone = torch.stack([torch.tensor(brute.table(row[None], [0], 1))[0] for row in logits])
    dense = torch.nn.functional.one_hot(groups, k).double().T @ (weights[:, None] * alone)
    logits.requires_grad_()

    assert torch.allclose(tables.joint_table(logits, groups, k, weights=weights), dense)
    assert torch.autograd.gradcheck(
        lambda ell: tables.joint_table(ell, groups, k, weights=weights), logits, fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [4, 9])
def test_certain_bits_have_finite_and_correct_gradients(m, dtype):
    logits, groups = random_rows(n=30, m=m)
    logits = torch.where(torch.rand(logits.shape) < 0.5, 300 * logits.sign(), logits).to(dtype)
    logits.requires_grad_()
    mutual_information(tables.joint_table(logits, groups, 3)).backward()

    assert logits.grad.isfinite().all()
    assert logits.grad[logits.detach().abs() >= 300].abs().max() < 4 * torch.finfo(dtype).eps
    assert logits.grad.abs().max() > 0


def test_gradient_reaches_through_several_uses_of_one_table():
    logits, groups = random_rows(n=20, m=7)
    logits.requires_grad_()
    table = tables.joint_table(logits, groups, 3)
    both = mutual_information(table) + total_variation(table)
    (gradient,) = torch.autograd.grad(both, logits)
    alone = [
        torch.autograd.grad(reading(tables.joint_table(logits, groups, 3)), logits)[0]
        for reading in (mutual_information, total_variation)
    ]

    assert torch.allclose(gradient, sum(alone), atol=1e-14)


def test_a_group_without_rows_has_zeros():
    logits, groups = random_rows(m=8)
    table = tables.joint_table(logits, groups, 5)

    assert (table[3:] == 0).all()
    assert torch.allclose(table[:3].sum(1), torch.bincount(groups).double())


def test_one_row_and_no_rows():
    one = tables.joint_table(torch.zeros(1, 7), torch.tensor([1]), 2)

    assert torch.allclose(one[1], torch.full((128,), 1 / 128))
    assert (tables.joint_table(torch.zeros(0, 7), torch.zeros(0, dtype=torch.long), 2) == 0).all()


def test_neuron_tables_are_the_margins_of_the_joint_table():
    logits, groups = random_rows(m=5)
    joint = tables.joint_table(logits, groups, 3).view(3, 2, 2, 2, 2, 2)
    neurons = tables.neuron_tables(logits, groups, 3)

    for j in range(5):
        others = tuple(axis + 1 for axis in range(5) if axis != j)
        assert torch.allclose(neurons[j], joint.sum(others))


def test_observed_tables_of_draws_tend_to_the_expected_table():
    logits, groups = random_rows(n=20, m=3)
    logits, groups = logits.repeat(2_000, 1), groups.repeat(2_000)
    drawn = code_index(draw(logits, generator=torch.Generator().manual_seed(0)))
    observed = tables.observed_table(drawn, groups, 3, 8).double()
    expected = tables.joint_table(logits, groups, 3)

    assert ((observed - expected).abs() < 5 * expected.sqrt() + 1).all()


def test_a_table_over_pairs_can_be_viewed_with_two_axes():
    world = parity_trap(copies=3)
    y = world.logits[:, 0] > 0
    pairs = tables.pair_groups(y.long(), world.groups, 2)
    table = tables.joint_table(world.logits, pairs, 4).view(2, 2, 4)

    assert torch.equal(table.sum(0), tables.joint_table(world.logits, world.groups, 2))
    assert torch.equal(table.sum(1), tables.joint_table(world.logits, y.long(), 2))


@pytest.mark.parametrize(
    ("logits", "groups", "k", "message"),
    [
        (torch.zeros(3, 0), torch.zeros(3).long(), 1, r"`logits`.*m >= 1.*\(3, 0\)"),
        (torch.zeros(3), torch.zeros(3).long(), 1, r"`logits`.*\(n, m\).*\(3,\)"),
        (torch.zeros(3, 2).long(), torch.zeros(3).long(), 1, r"floating-point.*int64"),
        (torch.full((3, 2), torch.nan), torch.zeros(3).long(), 1, r"finite `logits`.*NaN"),
        (torch.full((3, 2), torch.inf), torch.zeros(3).long(), 1, r"finite `logits`.*±200"),
        (torch.zeros(3, 2), torch.zeros(2).long(), 1, r"shape \(3,\).*\(2,\)"),
        (torch.zeros(3, 2), torch.zeros(3), 1, r"integer tensor.*float32.*numpy.unique"),
        (torch.zeros(3, 2), torch.tensor([0, -1, 0]), 1, r"from 0 to k - 1 = 0, got -1 to 0"),
        (torch.zeros(3, 2), torch.tensor([0, 1, 2]), 2, r"got 0 to 2.*larger `k`"),
        (torch.zeros(0, 2), torch.zeros(0).long(), 0, r"at least one group, got k = 0"),
        (torch.zeros(3, 30), torch.zeros(3).long(), 1, r"2\*\*m codes; m = 30.*1073741824"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(logits, groups, k, message):
    with pytest.raises(ValueError, match=message):
        tables.joint_table(logits, groups, k)


def test_many_groups_of_many_rows_take_the_way_of_little_memory(monkeypatch):
    logits, groups = random_rows(n=200, m=4, k=30)
    logits.requires_grad_()
    weights = torch.randn(30, 16, generator=torch.Generator().manual_seed(0)).double()
    found = []
    for listed in (2**24, 2**8):
        monkeypatch.setattr("bitveil.tables._MAX_LISTED", listed)
        table = tables.joint_table(logits, groups, 30)
        (slope,) = torch.autograd.grad((table * weights).sum(), logits)
        found.append((table.detach(), slope))

    torch.testing.assert_close(found[0], found[1])
