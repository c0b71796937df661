import numpy as np
import pytest
import torch

from bitveil import codes
from worlds import random_rows


def test_likelihoods_of_all_codes_sum_to_one():
    logits, _ = random_rows(m=7)

    assert torch.allclose(codes.code_likelihood(logits).sum(1), torch.ones(len(logits)).double())


def test_likelihood_is_the_product_over_bits():
    logits, _ = random_rows(n=6, m=4)
    theta = logits.sigmoid().unsqueeze(1)
    every = codes.all_codes(4, like=logits)
    expected = (every * theta + (1 - every) * (1 - theta)).prod(-1)

    assert torch.allclose(codes.code_likelihood(logits), expected, rtol=1e-13, atol=0)


def test_certain_bits_make_contradicting_codes_impossible():
    likelihood = codes.code_likelihood(torch.tensor([[200.0, -200.0, 200.0]]))

    assert likelihood[0, 0b101] == 1
    assert likelihood.sum() == 1


@pytest.mark.parametrize("m", [1, 5, 10])
def test_numbers_of_all_codes_count_up(m):
    assert codes.code_index(codes.all_codes(m)).equal(torch.arange(2**m))


def test_draws_follow_their_probabilities_and_their_generator():
    logits = torch.tensor([[-1.0, 0.0, 2.0]]).repeat(20_000, 1)
    first = codes.draw(logits, generator=torch.Generator().manual_seed(3))
    again = codes.draw(logits, generator=torch.Generator().manual_seed(3))

    assert first.equal(again)
    assert torch.allclose(first.mean(0), logits[0].sigmoid(), atol=0.015)


@pytest.mark.parametrize("m", [1, 7, 8, 9, 64, 65])
def test_packing_loses_nothing(m):
    bits = np.random.default_rng(m).integers(0, 2, (50, m), dtype=np.uint8)
    packed = codes.pack(bits)

    assert packed.shape == (50, -(-m // 8))
    assert np.array_equal(codes.unpack(packed, m), bits)


def test_unpacking_refuses_bytes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expects 2 bytes a row for 9 bits.*\(3, 1\)"):
        codes.unpack(np.zeros((3, 1), dtype=np.uint8), 9)


def test_codes_too_wide_for_a_number_are_refused():
    with pytest.raises(ValueError, match=r"at most 62 bits, got 63.*pack"):
        codes.code_index(torch.zeros(1, 63))
