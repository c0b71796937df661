import pytest
import torch

from bitveil.gradients import (
    arm,
    concrete,
    disarm,
    enumerated,
    reinforce,
    reinmax,
    straight_through,
)
from bitveil.layers import StochasticBinary, table_encoder
from worlds import random_rows


def test_straight_through_draws_bits_with_the_gradient_of_their_probability():
    logits, _ = random_rows(n=500, m=3)
    logits.requires_grad_()
    bits = straight_through(logits, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(3, generator=torch.Generator().manual_seed(1)).double()
    (bits @ weight).sum().backward()
    theta = logits.detach().sigmoid()

    assert torch.allclose(bits.detach().round(), bits.detach(), atol=1e-12)
    assert torch.allclose(logits.grad, theta * (1 - theta) * weight)
    assert torch.allclose(bits.detach().mean(0), theta.mean(0), atol=0.08)


def test_straight_through_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    straight_through(torch.zeros(5, 2), generator=torch.Generator().manual_seed(0))

    assert torch.equal(torch.get_rng_state(), state)


def test_a_binary_layer_in_the_middle_lets_gradients_through_and_keeps_its_logits():
    layer = StochasticBinary(generator=torch.Generator().manual_seed(0))
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), layer, torch.nn.Linear(3, 1))
    network(torch.ones(10, 4)).sum().backward()

    assert layer.logits.shape == (10, 3)
    assert network[0].weight.grad.abs().sum() > 0


def test_a_binary_layer_draws_in_evaluation_too():
    layer = StochasticBinary(generator=torch.Generator().manual_seed(0)).eval()

    assert 0.4 < layer(torch.zeros(1000, 1)).mean() < 0.6


def test_encoders_with_one_seed_are_equal_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (
        table_encoder(5, 4, (8, 8), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )

    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


@pytest.mark.parametrize("hidden", [(), (7,), (9, 5, 3)])
def test_encoders_have_the_layers_that_were_asked_for(hidden):
    encoder = table_encoder(5, 4, hidden)

    assert encoder(torch.zeros(2, 5)).shape == (2, 4)
    assert [layer.out_features for layer in encoder[::2]] == [*hidden, 4]


UNBIASED = {
    "reinforce": lambda ell, loss, g: reinforce(ell, loss, 4, generator=g),
    "arm": lambda ell, loss, g: arm(ell, loss, generator=g),
    "disarm": lambda ell, loss, g: disarm(ell, loss, generator=g),
}
THROUGH_BITS = {"straight_through": straight_through, "concrete": concrete, "reinmax": reinmax}


def world_of_losses(n=5, m=4):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(m, 6, generator=generator).double()
    out = torch.randn(6, generator=generator).double()
    target = torch.randn(n, generator=generator).double()
    logits = torch.randn(n, m, generator=generator).double().requires_grad_()
    return logits, lambda bits: (torch.tanh(bits @ weight) @ out - target) ** 2


def gradients_of(estimate, logits, n):
    generator = torch.Generator().manual_seed(1)
    found = [torch.autograd.grad(estimate(generator).mean(), logits)[0] for _ in range(n)]
    return torch.stack(found)


def test_enumeration_is_the_expected_loss_and_its_gradient():
    logits, loss = world_of_losses(n=3, m=3)
    bits = torch.bernoulli(
        logits.detach().sigmoid().expand(40_000, -1, -1), generator=torch.Generator()
    )

    assert torch.allclose(enumerated(logits, loss), loss(bits).mean(0), rtol=0.03)
    assert torch.autograd.gradcheck(lambda ell: enumerated(ell, loss), logits)


@pytest.mark.parametrize("name", UNBIASED)
def test_score_estimators_are_unbiased(name):
    logits, loss = world_of_losses()
    (exact,) = torch.autograd.grad(enumerated(logits, loss).mean(), logits)
    found = gradients_of(lambda g: UNBIASED[name](logits, loss, g), logits, 1500)
    noise = ((found - exact).square().sum((1, 2)).mean() / 1500).sqrt()

    assert (found.mean(0) - exact).norm() < 2 * noise


def test_disarm_has_less_variance_than_arm():
    logits, loss = world_of_losses()
    arms, disarms = (
        gradients_of(lambda g, name=name: UNBIASED[name](logits, loss, g), logits, 800)
        for name in ("arm", "disarm")
    )

    assert disarms.var(0).sum() < arms.var(0).sum()


def test_reinmax_is_less_biased_than_straight_through():
    logits, loss = world_of_losses()
    (exact,) = torch.autograd.grad(enumerated(logits, loss).mean(), logits)
    bias = {
        name: (
            gradients_of(lambda g, e=e: loss(e(logits, generator=g)[None])[0], logits, 1500)
            .mean(0)
            .sub(exact)
            .norm()
        )
        for name, e in THROUGH_BITS.items()
    }

    assert bias["reinmax"] < bias["straight_through"]


@pytest.mark.parametrize("name", ["straight_through", "reinmax"])
def test_a_linear_loss_has_no_bias_through_bits(name):
    # A loss that is linear in the bits has one slope everywhere.
    logits, _ = world_of_losses()
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    estimate = THROUGH_BITS[name]
    found = gradients_of(lambda g: estimate(logits, generator=g) @ weight, logits, 3000)
    theta = logits.detach().sigmoid()
    exact = theta * (1 - theta) * weight / len(logits)

    noise = found.std(0).max() / 3000**0.5
    assert torch.allclose(found.mean(0), exact, atol=4 * noise.item() + 1e-12)


@pytest.mark.parametrize("name", UNBIASED)
def test_the_losses_own_parameters_get_their_gradient(name):
    logits, _ = world_of_losses()
    decoder = torch.nn.Linear(4, 1).double()
    losses = UNBIASED[name](logits, lambda bits: decoder(bits).squeeze(-1), torch.Generator())
    losses.sum().backward()

    assert decoder.weight.grad.abs().sum() > 0
    assert decoder.bias.grad.item() == pytest.approx(5)


def test_concrete_bits_are_rounded_to_draws():
    logits = torch.tensor([[-1.0, 0.5]]).double().expand(20_000, 2)
    relaxed = concrete(logits, 0.3, generator=torch.Generator().manual_seed(0))

    assert relaxed.min() >= 0
    assert ((relaxed > 0) & (relaxed < 1)).double().mean() > 0.9
    assert torch.allclose(relaxed.round().mean(0), logits[0].sigmoid(), atol=0.015)


@pytest.mark.usefixtures("unchecked")
def test_bad_settings_are_refused():
    logits, loss = world_of_losses()
    with pytest.raises(ValueError, match=r"`temperature` expects a number above 0, got 0"):
        concrete(logits, 0)
    with pytest.raises(ValueError, match=r"`n_draws` expects at least 2"):
        reinforce(logits, loss, 1)
    with pytest.raises(ValueError, match=r"all 2\*\*m codes of every row.*`disarm`"):
        enumerated(torch.zeros(10, 40), loss)
