"""FPGA: bits drawn from shift registers have the probabilities of their logits."""

import shutil
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from bitveil.exports.fpga import FEEDBACK, drawn_probabilities, lfsr_numbers, to_hls
from bitveil.layers import StochasticBinary, table_encoder

SIZE = 32


def shift():
    """One shift of a register, as a matrix over the bits 0 and 1."""

    matrix = np.eye(SIZE, k=1, dtype=np.int64)
    matrix[:, 0] = [FEEDBACK >> row & 1 for row in range(SIZE)]

    return matrix


def power(matrix, n):
    whole = np.eye(SIZE, dtype=np.int64)
    while n:
        if n & 1:
            whole = whole @ matrix % 2
        matrix, n = matrix @ matrix % 2, n >> 1

    return whole


def rank(matrix):
    matrix, found = matrix.copy() % 2, 0
    for column in range(matrix.shape[1]):
        places = np.flatnonzero(matrix[found:, column]) + found
        if len(places):
            matrix[[found, places[0]]] = matrix[[places[0], found]]
            others = np.flatnonzero(matrix[:, column])
            matrix[others[others != found]] ^= matrix[found]
            found += 1

    return found


def test_the_matrix_is_the_register():
    bits = power(shift(), 10) @ np.array([1] + [0] * 31) % 2
    number = sum(int(bit) << place for place, bit in enumerate(bits[:10]))

    assert lfsr_numbers(np.array([1], np.uint32), 1).tolist() == [[number]]


def test_a_register_has_the_longest_period():
    """It passes through every state but 0: its order is 2^32 - 1, and no divisor of that."""

    assert (power(shift(), 2**32 - 1) == np.eye(SIZE)).all()
    for prime in (3, 5, 17, 257, 65537):
        assert (power(shift(), (2**32 - 1) // prime) != np.eye(SIZE)).any()


@pytest.mark.parametrize("draw_bits", [4, 10, 16])
def test_two_numbers_in_a_row_are_independent(draw_bits):
    """Their bits are independent functions of the state, so all pairs are equally frequent."""

    both = np.vstack([np.eye(SIZE, dtype=np.int64), power(shift(), draw_bits)])
    rows = [*range(draw_bits), *range(SIZE, SIZE + draw_bits)]

    assert rank(both[rows]) == 2 * draw_bits
    assert rank(both[[0, 1, 0]]) == 2


@pytest.mark.parametrize("draw_bits", [4, 8, 10])
def test_the_drawn_probability_is_near_the_wanted_one(draw_bits):
    logits = np.linspace(-9, 9, 2001)
    drawn = drawn_probabilities(logits, draw_bits)

    np.testing.assert_allclose(drawn, expit(logits), rtol=0, atol=0.5**draw_bits / 2 + 0.25 / 1024)
    assert (drawn * 2**draw_bits % 1 == 0).all()
    assert (np.diff(drawn) >= 0).all()


def test_the_simulated_chip_draws_what_its_registers_say(tmp_path):
    """A compiled C++ simulation, bit by bit, and its frequencies."""

    pytest.importorskip("hls4ml")
    if shutil.which("g++") is None:
        pytest.skip("g++ not installed")
    generator = torch.Generator().manual_seed(0)
    encoder = table_encoder(4, 3, (8,), generator=generator)
    model = to_hls(encoder, tmp_path / "project", shape=(4,), random_state=0)
    model.compile()
    n, rows = 4000, np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    bits = model.predict(np.repeat(rows, n, axis=0)).reshape(5, n, 3)

    with torch.no_grad():
        logits = encoder(torch.from_numpy(rows)).double().numpy()
    numbers = lfsr_numbers(model.lfsr_seeds, 5 * n).reshape(5, n, 3)
    agree = bits == (numbers < np.rint(1024 * drawn_probabilities(logits))[:, None])
    assert agree.mean() > 0.998  # logits are rounded on the chip
    theta = expit(logits)
    assert (abs(bits.mean(1) - theta) < 4.5 * np.sqrt(theta * (1 - theta) / n) + 0.003).all()


# Refusals


@pytest.mark.parametrize("encoder", [nn.Sequential(nn.Linear(4, 2), StochasticBinary())])
def test_layers_that_draw_are_refused(tmp_path, encoder):
    with pytest.raises(ValueError, match="leave out stochastic layers before the last"):
        to_hls(encoder, tmp_path / "project", shape=(4,))


def test_an_unknown_backend_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`backend` expects one of .*got 'Quartus'"):
        to_hls(nn.Linear(4, 2), tmp_path / "project", shape=(4,), backend="Quartus")


def test_hls4ml_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hls4ml", None)
    with pytest.raises(ImportError, match="pip install hls4ml"):
        to_hls(nn.Linear(4, 2), tmp_path / "project", shape=(4,))
