"""Stochastic layers at several depths: each is penalised, and why that is needed."""

import pytest
import torch
from torch import nn

from bitveil.batches import Batch, Rows
from bitveil.codes import all_codes, code_likelihood
from bitveil.information import mutual_information
from bitveil.layers import StochasticBinary, conv_encoder, stochastic_layers
from bitveil.measures import Measure
from bitveil.objectives import Constrained, Weighted
from bitveil.tables import joint_table

NEURON = Measure("neuron_information", "separation")


def nothing(batch):
    return batch.logits.sum() * 0


def deep_images():
    """A convolutional network with bits after both convolutions, and rows for it."""

    generator = torch.Generator().manual_seed(0)
    network = conv_encoder((3, 8, 8), 5, (4, 6), generator=generator)
    for place, layer in enumerate(network):
        if isinstance(layer, nn.ReLU):
            network[place] = StochasticBinary(generator=generator)
    x = torch.randn(60, 3, 8, 8, generator=generator)
    y, s = (torch.randint(2, (60,), generator=generator) for _ in range(2))

    return network, Rows.of_target(x, y, s, 2, 2)


@pytest.mark.parametrize("form", ["weighted", "constrained"])
def test_bits_after_every_convolution_are_measured_as_a_code_would_be(form):
    network, rows = deep_images()
    forms = {
        "weighted": Weighted(nothing, NEURON, strength=1.0, ramp=False),
        "constrained": Constrained(nothing, NEURON, limit=0.1),
    }
    batch = rows.batch(network)
    codes = [batch.logits, *(layer.logits for layer in stochastic_layers(network))]
    alone = [
        NEURON(Batch.of_target(code, rows.strata, rows.s, n_classes=2, n_groups=2))
        for code in codes
    ]
    measures = forms[form].measures(batch)
    whole = torch.stack(alone).sum() if form == "weighted" else torch.stack(alone).amax()

    assert [code.shape[1] for code in codes] == [5, 4 * 8 * 8, 6 * 4 * 4]
    torch.testing.assert_close(measures, torch.stack(alone))
    torch.testing.assert_close(forms[form](batch).measure, whole)


def test_a_term_may_penalise_only_some_layers():
    network, rows = deep_images()

    def first_alone(layer):
        return NEURON(layer) if layer.logits.shape[1] == 256 else nothing(layer)

    batch = rows.batch(network)
    Weighted(nothing, first_alone, strength=1.0, ramp=False)(batch).loss.backward()
    slopes = [p.grad.abs().sum().item() for p in network.parameters()]

    assert min(slopes[:2]) > 0
    assert max(slopes[2:]) == 0


class Differ(nn.Module):
    """From the bits of a layer to the logit that two of them differ."""

    def forward(self, bits):
        return 400 * (bits[:, :1] - bits[:, 1:]).abs() - 200


def test_a_layer_with_a_sum_of_zero_feeds_a_neuron_that_reveals_everything():
    coin, s = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    logits = 400.0 * torch.stack([coin, coin ^ s], 1) - 200
    rows = Rows.of_target(logits, s * 0, s, 1, 2)
    batch = rows.batch(nn.Sequential(StochasticBinary(), Differ()))
    last, inner = Weighted(nothing, NEURON, strength=1.0).measures(batch).tolist()
    joint = Measure("mutual_information", "separation")(batch.at(batch.inner[0]))

    assert inner == pytest.approx(0, abs=1e-6)
    assert last == pytest.approx(0.6931, abs=1e-4)
    assert joint.item() == pytest.approx(last, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_joint_information_of_a_layer_bounds_that_of_later_layers(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(50, 6, generator=generator)
    inner = joint_table(logits, torch.randint(3, (50,), generator=generator), 3)
    weights = 5 * torch.randn(6, 4, generator=generator)
    behind = code_likelihood(all_codes(6, like=logits) @ weights)  # p(t2 | t1)

    assert mutual_information(inner @ behind) <= mutual_information(inner) + 1e-6


def test_draws_of_a_layer_far_wider_than_a_code_identify_the_row_and_give_no_slope():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100, 1000, generator=generator).requires_grad_()
    s = torch.arange(100) % 4
    sampled = Measure("mutual_information", engine="sampled", generator=generator)
    value = sampled(Batch.of_target(logits, s * 0, s, n_classes=1, n_groups=4))
    value.backward()

    assert value.item() == pytest.approx(1.3863, abs=1e-3)  # log 4: everything about the group
    assert logits.grad.abs().max() < 1e-6
