import pytest
import torch
from worlds import random_rows

from bitveil.gradients import straight_through
from bitveil.layers import StochasticBinary, table_encoder


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
