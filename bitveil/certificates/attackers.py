r"""Attackers and classifiers that are fixed on some rows and scored on others.

On the rows of a table nobody guesses better than by its most frequent group: see
`bitveil.information.attack_accuracy`. Fixed on some rows and scored on others, such an attacker
shows what the codes leak for sure. This is the lower side of a certificate.

On the other rows the gap of a fixed classifier is a difference of two means. It exceeds the gap in
the population by more than the slack with probability at most :math:`\delta`: see
`bitveil.certificates.slacks`, as for a certificate. The first rows alone choose which groups,
targets and codes it separates. So :math:`\delta` is not divided among these choices. The slack is
that of what the other rows count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from bitveil.certificates.compared import Compared, slack
from bitveil.certificates.slacks import hoeffding_slack
from bitveil.distributions import Prior, given_group, group_prior
from bitveil.information import BITS

__all__ = ["attacker_accuracy", "classifier_bits", "classifier_gap"]


class _Apart(NamedTuple):
    """Two groups: by how much more than the noise they differ, and where they are."""

    excess: float
    part: int
    pair: tuple[int, int]


def classifier_gap(
    fixed: Sequence[Compared], scored: Sequence[Compared], prior: Prior, delta: float, draws: str
) -> float:
    """The gap of a classifier, minus its slack, or 0.

    It separates the two groups that differ most clearly on the first rows, and answers 1 for the
    codes that are more frequent in the first of them.
    """

    apart = _farthest_pair(fixed, delta)
    first, second = given_group(fixed[apart.part].table)[list(apart.pair)]
    answer = (first > second).double()
    table, sizes = scored[apart.part]
    rates = given_group(table)[list(apart.pair)] @ answer

    noise = slack([sizes[i] for i in apart.pair], delta, draws=draws)

    return max(0.0, (rates[0] - rates[1]).item() - noise)


def attacker_accuracy(
    fixed: Sequence[Compared], scored: Sequence[Compared], prior: Prior, delta: float, draws: str
) -> float:
    """The balanced accuracy of an attacker, minus its slack, or 1/k, which is chance.

    It guesses the group whose rows have a code most often on the first rows, with all groups taken
    as equally large. Of several targets it takes the one where the groups differ most clearly.
    """

    part = _farthest_pair(fixed, delta).part
    table, sizes = scored[part]
    k = len(table)
    guess = given_group(fixed[part].table).argmax(0)
    right = given_group(table)[guess, torch.arange(table.shape[1])].sum().item()

    return max(1 / k, (right - slack(sizes, delta, draws=draws)) / k)


def classifier_bits(
    fixed: Sequence[Compared], scored: Sequence[Compared], prior: Prior, delta: float, draws: str
) -> float:
    r"""The information that follows from the gap of a classifier, in bits.

    A classifier of the code reveals no more than the code. If its rates of answering 1 differ by g
    between two groups with the weights a and b, its answers have at least
    :math:`\tfrac{2 a b}{a + b} g^2` nats of information. Pinsker's inequality bounds the
    information of each of the two groups against the whole; this is the least their sum can be.
    """

    gap = classifier_gap(fixed, scored, prior, delta, draws)
    _, part, (first, second) = _farthest_pair(fixed, delta)
    weight = group_prior(scored[part].table.sum(-1), prior)
    a, b = weight[first].item(), weight[second].item()

    return 2 * a * b / (a + b) * gap**2 * BITS if gap else 0.0


def _farthest_pair(compared: Sequence[Compared], delta: float) -> _Apart:
    """The two groups that differ most clearly, among the rows of any target."""

    return max(
        _Apart(
            (p[i] - p[j]).abs().sum().item() / 2 - hoeffding_slack([sizes[i], sizes[j]], delta),
            part,
            (i, j),
        )
        for part, (table, sizes) in enumerate(compared)
        for p in [given_group(table)]
        for i, j in torch.combinations(torch.arange(len(p))).tolist()
    )
