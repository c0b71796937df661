import math

import pytest
import torch

from bitveil.blocks import block_information, information_given_others, most_revealing
from bitveil.information import mutual_information
from bitveil.tables import joint_table
from worlds import parity_trap, random_rows


def test_a_block_is_read_as_a_code_of_its_own():
    logits, groups = random_rows(m=6)
    blocks = [[0], [5, 2], [1, 3, 4], list(range(6))]
    alone = [mutual_information(joint_table(logits[:, b], groups, 3)) for b in blocks]

    assert torch.equal(block_information(logits, groups, 3, blocks), torch.stack(alone))


def test_the_first_bit_is_the_best_one_and_all_bits_make_the_whole():
    logits, groups = random_rows(m=6)
    found = most_revealing(logits, groups, 3, size=6)
    single = block_information(logits, groups, 3, [[j] for j in range(6)])
    values = [nats for _, nats in found]

    assert found[0][0] == int(single.argmax())
    assert values == sorted(values)
    assert sorted(bit for bit, _ in found) == list(range(6))
    assert values[-1] == pytest.approx(mutual_information(joint_table(logits, groups, 3)).item())


def test_each_step_of_the_search_is_the_best_of_its_step():
    logits, groups = random_rows(m=7)
    (first, _), (second, nats) = most_revealing(logits, groups, 3, size=2)
    pairs = [[first, j] for j in range(7) if j != first]
    values = block_information(logits, groups, 3, pairs)

    assert pairs[int(values.argmax())] == [first, second]
    assert values.max().item() == pytest.approx(nats)


def test_a_revealing_bit_among_200_is_found():
    logits = torch.randn(300, 200, generator=torch.Generator().manual_seed(0)) * 0.01
    groups = torch.arange(300) % 2
    logits[:, 137] = 4.0 * groups - 2

    assert most_revealing(logits, groups, 2, size=1)[0][0] == 137


def test_copies_reveal_nothing_beyond_each_other_and_parity_needs_both():
    world = parity_trap(extra=1)
    copies = torch.cat([world.logits, world.logits[:, :1]], 1)
    beyond = information_given_others(world.logits, world.groups, 2)
    with_copy = information_given_others(copies, world.groups, 2)

    assert beyond.tolist() == pytest.approx([math.log(2), math.log(2), 0], abs=1e-12)
    assert with_copy.tolist() == pytest.approx([0, math.log(2), 0, 0], abs=1e-12)


def test_what_a_bit_reveals_beyond_the_others_is_lost_without_it():
    logits, groups = random_rows(m=5)
    whole = mutual_information(joint_table(logits, groups, 3))
    for j, nats in enumerate(information_given_others(logits, groups, 3)):
        others = [i for i in range(5) if i != j]
        without = mutual_information(joint_table(logits[:, others], groups, 3))
        assert nats.item() == pytest.approx((whole - without).item(), abs=1e-12)


@pytest.mark.parametrize("block", [[], [0, 0], [7], [-1]])
def test_invalid_blocks_are_refused(block):
    with pytest.raises(ValueError, match=r"`blocks` expects lists of different bits from 0 to 4"):
        block_information(*random_rows(m=5), 3, [block])


@pytest.mark.parametrize("size", [0, 6])
def test_sizes_that_do_not_fit_are_refused(size):
    with pytest.raises(ValueError, match=r"expects a number from 1 to 5, the number of bits"):
        most_revealing(*random_rows(m=5), 3, size=size)
