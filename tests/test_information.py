import math
from functools import partial

import pytest
import torch

import brute
from bitveil import information as info
from bitveil.distributions import given_group
from bitveil.entropies import bit_entropy, code_entropy, group_entropy, input_information
from bitveil.tables import joint_table, neuron_tables, pair_groups
from worlds import blind, noisy_copy, parity_trap, random_rows

# Every reading of a table over (group, code), with its brute-force twin.
READINGS = {
    "mutual_information": (info.mutual_information, brute.mutual_information),
    "total_variation": (info.total_variation, brute.total_variation),
    "separation": (lambda table: 1 - info.doeblin_coefficient(table), brute.separation),
    "squared_hellinger": (info.squared_hellinger, brute.squared_hellinger),
    "chi_square_information": (info.chi_square_information, brute.chi_square_information),
    "sibson_information_half": (
        partial(info.sibson_information, alpha=0.5),
        partial(brute.sibson_information, alpha=0.5),
    ),
    "sibson_information_2": (
        partial(info.sibson_information, alpha=2.0),
        partial(brute.sibson_information, alpha=2.0),
    ),
    "sibson_information_30": (
        partial(info.sibson_information, alpha=30.0),
        partial(brute.sibson_information, alpha=30.0),
    ),
    "maximal_leakage": (info.maximal_leakage, brute.maximal_leakage),
    "maximal_correlation": (info.maximal_correlation, brute.maximal_correlation),
    "guessing_advantage": (info.guessing_advantage, brute.guessing_advantage),
}
PRIORS = {"empirical": None, "uniform": [1 / 3] * 3, "given": [0.2, 0.5, 0.3]}

# Readings that depend on the prior.
WITH_PRIOR = set(READINGS) - {"total_variation", "separation", "squared_hellinger"}

reading = pytest.mark.parametrize("name", READINGS)


def table_of(m=5, k=3, seed=0, scale=2.0, n=40):
    logits, groups = random_rows(n=n, m=m, k=k, seed=seed, scale=scale)
    return joint_table(logits, groups, k)


def read(name, table, **kwargs):
    return READINGS[name][0](table, **kwargs)


@reading
@pytest.mark.parametrize("seed", range(3))
def test_equals_brute_force(name, seed):
    table = table_of(seed=seed)

    assert read(name, table).item() == pytest.approx(READINGS[name][1](table.numpy()), rel=1e-9)


@pytest.mark.parametrize("name", sorted(WITH_PRIOR))
@pytest.mark.parametrize("prior", PRIORS)
def test_equals_brute_force_under_each_prior(name, prior):
    table = table_of(seed=4)
    given = torch.tensor(PRIORS["given"]) if prior == "given" else prior
    expected = READINGS[name][1](table.numpy(), weights=PRIORS[prior])

    assert read(name, table, prior=given).item() == pytest.approx(expected, rel=1e-6)


@reading
def test_is_zero_where_code_and_group_are_independent(name):
    world = blind()

    assert read(name, joint_table(world.logits, world.groups, 3)).item() == pytest.approx(
        0, abs=1e-9 if name == "maximal_correlation" else 1e-14
    )


@reading
@pytest.mark.parametrize("seed", range(3))
def test_is_not_negative_and_positive_where_they_depend(name, seed):
    value = read(name, table_of(seed=seed), **({"prior": "uniform"} if "guess" in name else {}))

    assert value > 1e-3


@reading
@pytest.mark.parametrize("seed", range(5))
def test_dropping_a_bit_reveals_no_more(name, seed):
    table = table_of(seed=seed)
    fewer = table.view(3, 2, 16).sum(1)

    assert read(name, fewer) <= read(name, table) + 1e-12


@pytest.mark.parametrize("name", ["mutual_information", "chi_square_information"])
@pytest.mark.parametrize("seed", range(5))
def test_merging_groups_reveals_no_more(name, seed):
    table = table_of(k=4, seed=seed)
    merged = torch.stack([table[0] + table[1], table[2], table[3]])

    assert read(name, merged) <= read(name, table) + 1e-12


@reading
def test_does_not_change_with_names_of_bits_values_and_groups(name):
    logits, groups = random_rows()
    value = read(name, joint_table(logits, groups, 3))
    order = torch.tensor([3, 0, 4, 1, 2])
    flips = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0])
    renamed = joint_table((flips * logits)[:, order], (groups + 1) % 3, 3)

    assert read(name, renamed).item() == pytest.approx(value.item(), rel=1e-12)


@reading
def test_a_bit_that_is_a_coin_changes_nothing(name):
    logits, groups = random_rows()
    wider = torch.cat([logits, torch.zeros(len(logits), 1)], 1)
    value = read(name, joint_table(logits, groups, 3)).item()

    assert read(name, joint_table(wider, groups, 3)).item() == pytest.approx(value, rel=1e-12)


@reading
def test_reads_each_table_of_a_batch_alone(name):
    tables = torch.stack([table_of(seed=seed) for seed in range(4)])
    alone = torch.stack([read(name, table) for table in tables])

    assert torch.allclose(read(name, tables), alone, rtol=1e-12)


@reading
def test_gradients_are_those_of_finite_differences(name):
    logits, groups = random_rows(n=9, m=3)
    logits.requires_grad_()

    assert torch.autograd.gradcheck(
        lambda ell: read(name, joint_table(ell, groups, 3)), logits, rtol=1e-3, atol=1e-5
    )


@reading
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_sure_bits_empty_cells_and_absent_groups(name, dtype):
    logits = 300 * torch.tensor([[1, 1, -1], [1, -1, -1], [-1, 1, -1], [1, 1, -1.0]], dtype=dtype)
    logits.requires_grad_()
    read(name, joint_table(logits, torch.tensor([0, 1, 1, 3]), 5)).backward()

    assert logits.grad.isfinite().all()


@reading
def test_float32_is_precise_near_independence(name):
    # The same rows in every group, but that one leans on every bit by a little.
    logits = torch.randn(2_700, 4, generator=torch.Generator().manual_seed(0)).double()
    groups = torch.arange(3).repeat_interleave(2_700)
    logits = logits.repeat(3, 1) + 0.006 * (groups == 1).unsqueeze(1)
    exact = read(name, joint_table(logits, groups, 3)).item()
    single = read(name, joint_table(logits.float(), groups, 3)).item()
    if name == "mutual_information":
        assert 2e-7 < exact < 5e-6

    assert single == pytest.approx(exact, rel=0.01, abs=1e-7 if "guess" in name else 0)


@reading
def test_a_group_without_rows_changes_nothing(name):
    table = table_of()
    more = torch.cat([table, torch.zeros(1, 32).double()])

    assert read(name, more).item() == pytest.approx(read(name, table).item(), rel=1e-12)


def test_the_parity_trap_has_no_information_by_neuron_and_one_bit_jointly():
    world = parity_trap(extra=2)
    alone = info.neuron_information(neuron_tables(world.logits, world.groups, 2))
    joint = info.mutual_information(joint_table(world.logits, world.groups, 2))

    assert alone.item() == pytest.approx(0, abs=1e-15)
    assert joint.item() / math.log(2) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("flip", [0.01, 0.3, 0.49])
def test_a_noisy_copy_reveals_what_its_channel_carries(flip):
    world = noisy_copy(flip, extra=3)
    table = joint_table(world.logits, world.groups, 2)

    assert info.mutual_information(table).item() == pytest.approx(world.information, rel=1e-9)
    assert info.total_variation(table).item() == pytest.approx(1 - 2 * flip, rel=1e-9)
    assert info.maximal_correlation(table).item() == pytest.approx(1 - 2 * flip, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_between_readings_hold(seed):
    table = table_of(k=2, seed=seed)
    tv, h2 = info.total_variation(table), info.squared_hellinger(table)
    mi, chi = info.mutual_information(table), info.chi_square_information(table)
    prior = table.sum(1) / table.sum()
    entropy = group_entropy(table)

    assert h2 <= tv <= (2 * h2).sqrt()
    assert mi <= chi  # KL <= log(1 + χ²) <= χ²
    assert mi <= entropy * tv + 1e-12  # I <= h(π) TV
    assert 2 * (prior.prod() * tv) ** 2 <= mi  # Pinsker, for joint against product
    assert mi <= min(entropy, code_entropy(table))
    balanced = info.attack_accuracy(table, prior="uniform").item()
    assert balanced == pytest.approx((1 + tv.item()) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prior", PRIORS)
def test_information_is_at_most_a_share_of_the_entropy_whatever_the_prior(seed, prior):
    table = table_of(seed=seed)
    given = torch.tensor(PRIORS["given"]) if prior == "given" else prior
    share = 1 - info.doeblin_coefficient(table)
    entropy = group_entropy(table, prior=given)

    assert info.mutual_information(table, prior=given) <= share * entropy + 1e-12
    assert info.total_variation(table) <= share + 1e-12


def test_an_erasure_channel_attains_the_bound():
    # The group, or nothing with probability 0.3: the bound is attained.
    table = torch.tensor([[0.3, 0.7, 0.0, 0.0], [0.3, 0.0, 0.7, 0.0], [0.3, 0.0, 0.0, 0.7]])
    told = info.mutual_information(table) / group_entropy(table)

    assert info.doeblin_coefficient(table).item() == pytest.approx(0.3)
    assert told.item() == pytest.approx(0.7, rel=1e-6)


def test_for_two_groups_the_overlap_is_one_minus_the_total_variation():
    table = table_of(k=2)

    assert info.doeblin_coefficient(table).item() == pytest.approx(
        1 - info.total_variation(table).item()
    )


def test_sibson_grows_with_its_order_from_information_to_leakage():
    table = table_of(seed=2)
    orders = [0.3, 0.9, 0.999, 1.0, 1.001, 1.5, 4.0, 50.0, 5000.0, math.inf]
    values = [info.sibson_information(table, alpha).item() for alpha in orders]

    assert values == sorted(values)
    assert values[2] == pytest.approx(values[3], rel=5e-3)
    assert values[-2] == pytest.approx(values[-1], rel=5e-3)
    assert values[-1] == info.maximal_leakage(table).item()


def test_sibson_of_a_high_order_does_not_overflow():
    counts = torch.tensor([[1.0, 999_999.0], [0.0, 1_000_000.0]])
    tiny_prior = torch.tensor([1e-6, 1 - 1e-6])

    assert info.sibson_information(counts, 200.0, prior=tiny_prior).isfinite()


def test_chain_rule_over_bits():
    table = table_of(m=4).view(3, 4, 4)  # (s, first two bits, last two bits)
    whole = info.mutual_information(table.flatten(1))
    first = info.mutual_information(table.sum(2))
    rest = info.conditional_mutual_information(table.transpose(0, 1))

    assert whole.item() == pytest.approx((first + rest).item(), rel=1e-12)


def test_chain_rule_over_target_and_group():
    logits, s = random_rows(n=80, k=2)
    y = torch.randint(3, (80,), generator=torch.Generator().manual_seed(0))
    table = joint_table(logits, pair_groups(y, s, 2), 6).view(3, 2, -1)
    both = info.mutual_information(table.flatten(0, 1))
    parts = info.mutual_information(table.sum(1)) + info.conditional_mutual_information(table)
    dependence = info.mutual_information(table.sum(2))
    # I(Y;S) - I(Y;S|T) = I(T;S) - I(T;S|Y)
    left = dependence - info.residual_information(table)
    right = info.mutual_information(table.sum(0)) - info.conditional_mutual_information(table)

    assert both.item() == pytest.approx(parts.item(), rel=1e-12)
    assert left.item() == pytest.approx(right.item(), rel=1e-9)


def test_conditional_total_variation_is_the_worst_over_targets():
    table = torch.stack([table_of(k=2, seed=seed) for seed in range(3)])
    alone = [info.total_variation(part).item() for part in table]

    assert info.conditional_total_variation(table).item() == pytest.approx(max(alone))


def test_weighted_total_variation_is_a_mean_over_pairs():
    table = table_of()
    pairs = [(0, 1), (0, 2), (1, 2)]
    alone = [info.total_variation(table[list(pair)]).item() for pair in pairs]
    mean = info.total_variation(table, pairs="weighted", prior="uniform").item()

    assert mean == pytest.approx(sum(alone) / 3)
    assert info.total_variation(table).item() == pytest.approx(max(alone))


def test_rare_groups_vanish_under_the_empirical_prior_only():
    table = torch.tensor([[990.0, 0.0], [0.0, 10.0]])

    assert info.mutual_information(table) < 0.06
    assert info.mutual_information(table, prior="uniform").item() == pytest.approx(math.log(2))
    assert info.guessing_advantage(table, prior="uniform").item() == pytest.approx(0.5)


def test_input_information_is_information_about_the_row_number():
    logits, _ = random_rows(n=20, m=6)
    rows = info.mutual_information(joint_table(logits, torch.arange(20), 20))

    assert input_information(logits).item() == pytest.approx(rows.item(), rel=1e-9)


def test_bit_entropy_has_no_nan_at_sure_bits():
    logits = torch.tensor([[-300.0, 0.0, 300.0]], requires_grad=True)
    entropy = bit_entropy(logits)
    entropy.sum().backward()

    assert torch.allclose(entropy, torch.tensor([[0.0, math.log(2), 0.0]]))
    assert logits.grad.isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_prior_is_refused():
    with pytest.raises(ValueError, match=r"`prior` expects 'empirical', 'uniform'.*'even'"):
        info.mutual_information(torch.ones(2, 2), prior="even")


def test_an_order_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"`alpha` expects an order above 0, got 0"):
        info.sibson_information(torch.ones(2, 2), alpha=0.0)


@pytest.mark.parametrize("of_table", [info.mutual_information, info.total_variation])
@pytest.mark.parametrize("shape", [(1, 4), (2, 8), (3, 2, 4)])
def test_gradients_by_the_table_are_those_of_finite_differences(of_table, shape):
    table = torch.rand(shape, dtype=torch.float64).add(0.1).requires_grad_()

    assert torch.autograd.gradcheck(of_table, table)


def test_a_group_without_rows_pulls_nothing():
    table = torch.tensor([[3.0, 1.0], [0.0, 0.0]], requires_grad=True)
    distance = info.total_variation(table)
    distance.backward()

    assert distance == 0
    assert (table.grad == 0).all()


@pytest.mark.parametrize("shape", [(1, 4), (2, 8), (3, 2, 4), (4, 3)])
@pytest.mark.parametrize("empty", [False, True])
def test_the_gradient_of_given_group_is_that_of_finite_differences(shape, empty):
    """Also where a group has no rows, and its codes are those of all others."""

    table = torch.rand(shape, dtype=torch.float64).add(0.1)
    if empty and shape[-2] > 1:
        table[..., -1, :] = 0
    weights = torch.rand(shape, dtype=torch.float64)

    def moved(change):  # the empty group stays empty
        return (given_group(table + change * (table > 0)) * weights).sum((-2, -1))

    change = torch.zeros_like(table, requires_grad=True)
    assert torch.autograd.gradcheck(moved, change)


def test_an_empty_group_hands_its_gradient_to_all():
    table = torch.tensor([[3.0, 1.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    given_group(table)[1, 0].backward()  # 3 of 4: the derivative of a / (a + b)

    assert table.grad.tolist() == [[1 / 16, -3 / 16], [1 / 16, -3 / 16]]


def test_tables_without_rows_have_a_gradient_of_zero():
    for reading in (given_group, info.total_variation, info.mutual_information):
        table = torch.zeros(2, 4, requires_grad=True)
        reading(table).sum().backward()

        assert table.grad.abs().sum() == 0
