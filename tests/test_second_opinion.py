"""`dit`, an independent library for discrete information, reads the same tables."""

import itertools

import pytest

from bitveil.information import conditional_mutual_information, group_entropy, mutual_information
from bitveil.tables import joint_table, pair_groups
from worlds import random_rows

dit = pytest.importorskip("dit", reason="dit, which gives the second opinion, is not installed")
BITS = 1.4426950408889634


def distribution(p):
    """A dit distribution of a joint one over (group, bits...), or (y, group, bits...)."""

    outcomes = [
        tuple(map(str, where)) for where in itertools.product(*(range(size) for size in p.shape))
    ]
    d = dit.Distribution(outcomes, p.flatten().tolist())
    d.make_dense()
    return d


@pytest.mark.parametrize("seed", range(3))
def test_mutual_information_and_entropy(seed):
    logits, groups = random_rows(m=4, seed=seed)
    table = joint_table(logits, groups, 3)
    d = distribution((table / table.sum()).view(3, 2, 2, 2, 2))

    theirs = dit.shannon.mutual_information(d, [0], [1, 2, 3, 4])
    assert mutual_information(table).item() * BITS == pytest.approx(theirs, rel=1e-9)
    assert group_entropy(table).item() * BITS == pytest.approx(dit.shannon.entropy(d, [0]))


def test_conditional_mutual_information():
    logits, s = random_rows(n=60, m=3, k=2)
    y = (logits[:, 0] > 0).long()
    table = joint_table(logits, pair_groups(y, s, 2), 4).view(2, 2, -1)
    d = distribution((table / table.sum()).view(2, 2, 2, 2, 2))

    theirs = dit.multivariate.coinformation(d, [[1], [2, 3, 4]], [0])
    assert conditional_mutual_information(table).item() * BITS == pytest.approx(theirs, rel=1e-9)
