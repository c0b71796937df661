import math

import pytest
import torch

from bitveil import wide_codes
from bitveil.information import conditional_mutual_information, mutual_information, total_variation
from bitveil.tables import joint_table
from bitveil.wide_codes import (
    conditional_information_slope,
    information_slope,
    joint_information,
    sampled_reading,
    total_variation_slope,
)
from worlds import blind, noisy_copy, parity_trap, random_rows

SEEDS = 200


def rows(m, k=2, n=200, scale=1.0):
    generator = torch.Generator().manual_seed(m)
    groups = torch.arange(n) % k
    x = torch.randn(n, 6, generator=generator).double()
    weight = torch.randn(6, m, generator=generator).double() / 2
    lean = torch.randn(k, m, generator=generator).double() / 3
    return (scale * (x @ weight + lean[groups])).requires_grad_(), groups


def exact_conditional(logits, groups):
    return conditional_mutual_information(joint_table(logits, groups, 4).view(2, 2, -1))


CASES = {
    "information": (
        10,
        2,
        information_slope,
        lambda ell, g: mutual_information(joint_table(ell, g, 2)),
    ),
    "information of 3 groups": (
        6,
        3,
        information_slope,
        lambda ell, g: mutual_information(joint_table(ell, g, 3)),
    ),
    "conditional": (8, 4, conditional_information_slope(2), exact_conditional),
    "total variation": (
        8,
        2,
        total_variation_slope,
        lambda ell, g: total_variation(joint_table(ell, g, 2)),
    ),
}


@pytest.fixture(scope="module", params=CASES)
def estimates(request):
    """The exact value and gradient of a reading, and those of many seeds."""

    m, k, slope, exact = CASES[request.param]
    logits, groups = rows(m, k)
    value = exact(logits, groups)
    (gradient,) = torch.autograd.grad(value, logits)
    values, errors, gradients = [], [], []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        estimate = sampled_reading(logits, groups, k, slope, generator=generator)
        gradients.append(torch.autograd.grad(estimate.value, logits)[0])
        values.append(estimate.value.item())
        errors.append(estimate.standard_error.item())
    tensors = (torch.tensor(values), torch.tensor(errors), torch.stack(gradients))
    return value.item(), gradient, *tensors


def test_the_value_is_unbiased_and_inside_its_own_error_at_the_right_rate(estimates):
    value, _, values, errors, _ = estimates
    inside = ((values - value).abs() < 1.96 * errors).double().mean()

    assert abs(values.mean() - value) < 3.5 * values.std() / math.sqrt(SEEDS)
    assert inside > 0.9  # draws are spread over the rows, so the error is stated too large


def test_the_mean_gradient_tends_to_the_exact_one_at_the_rate_of_draws(estimates):
    _, gradient, _, _, gradients = estimates
    for n in (10, 40, 160):
        means = gradients[:n].mean(0)
        spread = (gradients - gradient).square().sum((1, 2)).mean() / n

        assert (means - gradient).square().sum() < 4 * spread


def test_the_gradient_has_a_fraction_of_the_variance_of_reinforce():
    """Against leave-one-out REINFORCE with twice the draws, two a row, and the exact slope."""

    m, k = 10, 2
    logits, groups = rows(m, k)
    table = joint_table(logits, groups, k)
    (exact,) = torch.autograd.grad(mutual_information(table), logits)
    p = table.detach() / len(groups)
    ratio = (p / p.sum(0) / p.sum(1, keepdim=True)).log()
    theta, weights = logits.detach().sigmoid(), 2 ** torch.arange(m - 1, -1, -1)
    ours = theirs = 0.0
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        estimate = sampled_reading(logits, groups, k, generator=generator).value
        ours += (torch.autograd.grad(estimate, logits)[0] - exact).square().sum()

        bits = torch.bernoulli(theta.expand(2, -1, -1), generator=generator)
        slope = ratio[groups.expand(2, -1), (bits.long() * weights).sum(-1)]
        score = (slope - slope.flip(0)).unsqueeze(-1) * (bits - theta)
        theirs += (score.mean(0) / len(groups) - exact).square().sum()

    assert ours < theirs / 10


def test_the_parity_trap_and_a_blind_code_have_the_right_values_at_64_bits():
    trap = parity_trap(extra=62, copies=50)
    fair = blind(n=60, m=64, k=3)
    found = sampled_reading(trap.logits, trap.groups, 2).value.item()

    assert found == pytest.approx(math.log(2), abs=1e-4)  # sure bits count as sure to 1e-6
    assert sampled_reading(fair.logits, fair.groups, 3).value.item() == pytest.approx(0, abs=1e-9)


def test_a_wide_noisy_copy_reveals_what_its_channel_carries():
    world = noisy_copy(0.2, extra=255)
    logits, groups = world.logits.repeat(1000, 1).float(), world.groups.repeat(1000)
    value, error = sampled_reading(logits, groups, 2, generator=torch.Generator().manual_seed(0))

    assert value.item() == pytest.approx(world.information, abs=max(4 * error.item(), 1e-3))


def test_chunks_of_draws_change_nothing():
    logits, groups = rows(12, n=150)
    whole, parts = (
        sampled_reading(
            logits, groups, 2, memory=memory, generator=torch.Generator().manual_seed(0)
        ).value
        for memory in (2**28, 20_000)
    )

    assert whole.item() == pytest.approx(parts.item(), rel=1e-12)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (whole, parts)]
    assert torch.allclose(*gradients, rtol=1e-9, atol=1e-15)


def test_priors_are_those_of_the_exact_reading():
    logits, groups = rows(8, k=3)
    groups = torch.where(torch.arange(200) < 170, 0, groups)  # rare groups
    exact = mutual_information(joint_table(logits, groups, 3), prior="uniform").item()
    values = [
        sampled_reading(
            logits, groups, 3, prior="uniform", generator=torch.Generator().manual_seed(seed)
        ).value.item()
        for seed in range(100)
    ]
    values = torch.tensor(values)

    assert abs(values.mean() - exact) < 3.5 * values.std() / 10


def test_fewer_draws_than_rows_are_unbiased():
    logits, groups = rows(8)
    exact = mutual_information(joint_table(logits, groups, 2)).item()
    found = [
        sampled_reading(
            logits, groups, 2, n_draws=40, generator=torch.Generator().manual_seed(seed)
        )
        for seed in range(SEEDS)
    ]
    values = torch.tensor([estimate.value.item() for estimate in found])
    errors = torch.tensor([estimate.standard_error.item() for estimate in found])

    assert abs(values.mean() - exact) < 3.5 * values.std() / math.sqrt(SEEDS)
    assert ((values - exact).abs() < 1.96 * errors).double().mean() > 0.88


def test_sure_bits_and_absent_groups_have_finite_gradients():
    logits = (300 * torch.randn(40, 70, generator=torch.Generator().manual_seed(0)).sign()).float()
    logits.requires_grad_()
    sampled_reading(logits, torch.arange(40) % 2, 3).value.backward()

    assert logits.grad.isfinite().all()


def estimate_and_gradient(slope, groups, k):
    logits, _ = rows(8)
    value = sampled_reading(
        logits, groups, k, slope, generator=torch.Generator().manual_seed(0)
    ).value
    value.backward()
    return value.detach(), logits.grad


def test_absent_groups_change_nothing():
    groups = torch.arange(200) % 2
    value, gradient = estimate_and_gradient(information_slope, groups, 2)
    wider, same_gradient = estimate_and_gradient(information_slope, groups, 5)

    assert torch.allclose(value, wider)
    assert torch.allclose(gradient, same_gradient)


def test_targets_and_pairs_without_rows_change_nothing():
    y, s = torch.arange(200) % 2, torch.arange(200) // 2 % 2
    value, gradient = estimate_and_gradient(conditional_information_slope(2), 2 * y + s, 4)
    wider, same_gradient = estimate_and_gradient(conditional_information_slope(3), 3 * y + s, 9)

    assert torch.allclose(value, wider)
    assert torch.allclose(gradient, same_gradient)


def test_the_engine_follows_the_width_is_returned_and_can_be_set():
    logits, groups = random_rows(n=60, m=6)
    exact = joint_information(logits, groups, 3)
    told = joint_information(logits, groups, 3, engine="sampled")
    wide = joint_information(torch.zeros(60, 100), groups, 3)
    tight = joint_information(torch.zeros(60, 20), groups, 3, memory=2**20)

    assert exact.engine == "exact"
    assert exact.standard_error is None
    assert exact.value.item() == pytest.approx(
        mutual_information(joint_table(logits, groups, 3)).item()
    )
    assert told.engine == wide.engine == tight.engine == "sampled"
    assert told.standard_error > 0


def test_same_generator_same_estimate():
    logits, groups = rows(8)
    state = torch.get_rng_state()
    first, again = (
        sampled_reading(logits, groups, 2, generator=torch.Generator().manual_seed(5)).value
        for _ in range(2)
    )

    assert first.item() == again.item()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_draws": 0}, r"at most one for each row, got 40 rows and n_draws = 0"),
        ({"n_draws": 41}, r"n_draws = 41"),
        ({"slope": total_variation_slope}, r"compares two groups, got 3"),
        ({"groups": torch.zeros(40)}, r"integer tensor of shape \(40,\)"),
        ({"logits": torch.full((40, 5), torch.nan)}, r"finite `logits`"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(change, message):
    logits, groups = random_rows()
    with pytest.raises(ValueError, match=message):
        sampled_reading(**{"logits": logits, "groups": groups, "k": 3, **change})


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match=r"`engine` expects 'auto', 'exact' or 'sampled'"):
        joint_information(*random_rows(), 3, engine="fast")


def test_the_docstring_has_the_formulas():
    assert "local expectations" in wide_codes.__doc__
