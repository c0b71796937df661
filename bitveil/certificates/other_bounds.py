r"""Other bounds on the same gap from the same counts, to compare certificates with.

All of them hold for every classifier at once by a union: over cells, over sets of codes, or over
signs. Each pays for the number of codes, which `bitveil.certificates.certify` does not. They count
drawn codes. No audit needs them.
"""

import math
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.stats import beta
from torch import Tensor

from bitveil.certificates.slacks import hoeffding_slack
from bitveil.certificates.upper import Certificate, certify
from bitveil.group_tables import GroupTables
from bitveil.information import total_variation

__all__ = ["fare_certificate", "rademacher_gap", "weissman_gap"]


def fare_certificate(
    sizes: Float[Tensor, "2"],
    table: Float[Tensor, "2 c"],
    codes: Float[Tensor, " c"],
    *,
    delta: float = 0.05,
) -> Certificate:
    r"""The certificate of FARE, implemented from its paper: a balanced adversary, cell by cell.

    With :math:`\alpha = 1/2P(s=0)` and :math:`\beta = 1/2P(s=1)` the best balanced accuracy is the
    mean over codes of :math:`\max(\alpha P(s=0|t), \beta P(s=1|t))`, and the gap is twice that
    minus one. Three samples bound it. The first bounds the frequency of the groups
    (Clopper-Pearson, with a tenth of :math:`\delta`). The second bounds the frequency of the
    groups within each code (Clopper-Pearson, with eight tenths divided among the codes). The
    third, which needs no groups, bounds the mean over codes (Hoeffding, with the last tenth).

    Source:
        FARE: Provably Fair Representation Learning with Practical Certificates (Jovanović,
        Balunović, Dimitrov, Vechev, 2023), https://arxiv.org/abs/2210.07213

    Arguments:
        sizes: The number of rows of each group in the first sample, with shape (2,).
        table: The counts of drawn codes over (group, code) in the second, with shape (2, c).
        codes: The counts over codes in the third, with shape (c,).
        delta: The probability that the bound may be wrong.

    Example:
        >>> sizes, table = torch.tensor([2000.0, 2000.0]), torch.tensor([[600.0, 400], [500, 500]])
        >>> round(fare_certificate(sizes, table, torch.tensor([1100.0, 900.0])).bound, 4)
        0.2294
    """

    plug_in = certify(GroupTables.of(table), delta=delta, draws="hard")
    least, most = _clopper_pearson(sizes[:1], sizes.sum(), delta / 10)
    alpha, beta_ = 1 / (2 * least), 1 / (2 * (1 - most))
    first_least, first_most = _clopper_pearson(
        table[0], table.sum(0), 0.8 * delta / table.shape[1]
    )
    cells = np.maximum(alpha * first_most, beta_ * (1 - first_least))
    cells = np.minimum(cells, np.maximum(alpha, beta_))
    n = codes.sum().item()
    noise = np.ptp(cells) * math.sqrt(math.log(10 / delta) / (2 * n))
    accuracy = float(cells @ codes.double().numpy() / n + noise)

    return Certificate(
        min(1.0, 2 * accuracy - 1), delta, plug_in.estimate, plug_in.sizes, draws="hard"
    )


def weissman_gap(table: Float[Tensor, "k c"], *, delta: float = 0.05) -> float:
    r"""The gap by a union over all sets of codes, for each group on its own.

    :math:`\lVert \hat p - p \rVert_1 \le \sqrt{2 \ln((2^c - 2)/\delta) / n}` with probability
    :math:`1 - \delta`. :math:`\delta` is divided among the groups. The gap of a pair is at most
    the measured gap plus half of both radii.

    Source:
        Inequalities for the L1 Deviation of the Empirical Distribution (Weissman, Ordentlich,
        Seroussi, Verdú, Weinberger, 2003), Hewlett-Packard Labs HPL-2003-97R1

    Arguments:
        table: The counts of drawn codes over (group, code), with shape (k, c).
        delta: The probability that the bound may be wrong.

    Example:
        >>> table = torch.tensor([[600.0, 400.0], [500.0, 500.0]])
        >>> weissman_gap(table)  # 0.1 + sqrt(2 ln(2 / 0.025) / 1000)
        0.1936...
    """

    k, c = table.shape
    sets = c * math.log(2) + math.log1p(-(2.0 ** (1 - c))) if c > 1 else -math.inf
    radius = [
        math.sqrt(max(0.0, 2 * (sets + math.log(k / delta))) / n) for n in _group_sizes(table)
    ]

    return min(
        1.0,
        max(
            total_variation(table[[i, j]]).item() + (radius[i] + radius[j]) / 2
            for i, j in combinations(range(k), 2)
        ),
    )


def rademacher_gap(table: Float[Tensor, "k c"], *, delta: float = 0.05) -> float:
    r"""The gap by uniform convergence over all classifiers of c codes.

    The gap of any classifier in the population exceeds its gap on the rows by at most twice the
    Rademacher complexity of all classifiers, :math:`\tfrac12 \sqrt{c/n}` for each group, plus
    Hoeffding's slack. A certificate with that slack is this bound without the complexity.

    Source:
        Rademacher and Gaussian Complexities: Risk Bounds and Structural Results (Bartlett,
        Mendelson, 2002), https://www.jmlr.org/papers/v3/bartlett02a.html

    Arguments:
        table: The counts of drawn codes over (group, code), with shape (k, c).
        delta: The probability that the bound may be wrong.

    Example:
        >>> table = torch.tensor([[600.0, 400.0], [500.0, 500.0]])
        >>> rademacher_gap(table)  # 0.1 + 0.0547 + 2 sqrt(2 / 1000)
        0.2441...
    """

    k, c = table.shape
    sizes = _group_sizes(table)
    pairs = list(combinations(range(k), 2))

    return min(
        1.0,
        max(
            total_variation(table[[i, j]]).item()
            + math.sqrt(c / sizes[i])
            + math.sqrt(c / sizes[j])
            + hoeffding_slack([sizes[i], sizes[j]], delta)
            for i, j in pairs
        ),
    )


def _group_sizes(table: Tensor) -> list[int]:
    return table.sum(-1).round().long().tolist()


def _clopper_pearson(counts: Tensor, n: Tensor, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """The two-sided interval for a share, each side wrong with probability delta / 2."""

    x, total = counts.double().numpy(), n.double().numpy()
    least = np.where(x > 0, beta.ppf(delta / 2, np.maximum(x, 1), total - x + 1), 0.0)
    most = np.where(x < total, beta.ppf(1 - delta / 2, x + 1, np.maximum(total - x, 1)), 1.0)

    return least, most
