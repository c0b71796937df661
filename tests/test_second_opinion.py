"""scipy and scikit-learn, which share no code with bitveil, read the same tables."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

import brute
from bitveil.entropies import group_entropy
from bitveil.information import conditional_mutual_information, mutual_information
from bitveil.tables import joint_table, pair_groups
from worlds import random_rows


def entropy_of(p, *axes):
    """The entropy of the marginal over these axes, by scipy, in nats."""

    others = tuple(set(range(p.ndim)) - set(axes))
    return entropy(p.sum(others).ravel())


def whole_counts(*shape, seed):
    """Rows that were counted, some cells empty: scikit-learn takes no expected counts."""

    return np.random.default_rng(seed).poisson(2.0, size=shape)


@pytest.mark.parametrize("seed", range(3))
def test_entropies_give_the_information_of_expected_counts(seed):
    logits, groups = random_rows(m=4, seed=seed)
    table = joint_table(logits, groups, 3)
    p = brute.joint(brute.table(logits, groups, 3))

    theirs = entropy_of(p, 0) + entropy_of(p, 1) - entropy_of(p, 0, 1)
    assert theirs > 1e-3
    assert mutual_information(table).item() == pytest.approx(theirs, rel=1e-9)
    assert group_entropy(table).item() == pytest.approx(entropy_of(p, 0), rel=1e-9)


def test_entropies_give_the_conditional_information():
    logits, s = random_rows(n=60, m=3, k=2)
    y = (logits[:, 0] > 0).long()
    table = joint_table(logits, pair_groups(y, s, 2), 4).view(2, 2, -1)
    p = brute.joint(brute.table(logits, 2 * y + s, 4)).reshape(2, 2, -1)

    theirs = entropy_of(p, 0, 1) + entropy_of(p, 0, 2) - entropy_of(p, 0, 1, 2) - entropy_of(p, 0)
    assert theirs > 1e-3
    assert conditional_mutual_information(table).item() == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_gives_the_information_of_whole_counts(seed):
    counts = whole_counts(3, 16, seed=seed)
    ours = mutual_information(torch.from_numpy(counts).double()).item()

    assert (counts == 0).any()
    assert ours == pytest.approx(mutual_info_score(None, None, contingency=counts), rel=1e-9)


def test_scikit_learn_gives_the_conditional_information():
    """I(s; t | y) is the mean of the informations given each y."""

    counts = whole_counts(2, 3, 8, seed=0)
    each = [mutual_info_score(None, None, contingency=part) for part in counts]
    theirs = np.average(each, weights=counts.sum((1, 2)))
    ours = conditional_mutual_information(torch.from_numpy(counts).double()).item()

    assert ours == pytest.approx(theirs, rel=1e-9)
