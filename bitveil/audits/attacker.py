"""The attacker who knows the table: what is certainly revealed.

On the rows of a table nobody guesses better than by its most frequent group: see
`bitveil.information.attack_accuracy`. Fixed on some rows and scored on others, such an attacker
shows what is certain to be revealed: the lower side of a certificate.
"""

import torch

from bitveil.audits.certificates import slack
from bitveil.shapes import Table

__all__ = ["certain_gap"]


def certain_gap(fixed: Table, scored: Table, *, delta: float = 0.05) -> float:
    r"""A gap that some classifier of the codes reaches, with probability at least 1 - delta.

    The classifier answers 1 for the codes that the first rows show more often in one group than in
    another, for the two groups that are farthest apart there. On the other rows its gap is a
    difference of two means, and at most :math:`\sqrt{\tfrac12 \ln \tfrac1\delta (\tfrac1{n_0} +
    \tfrac1{n_1})}` above that of the population (McDiarmid, as in `certificates`).

    Arguments:
        fixed: The counts over (group, code) by which the classifier is made, with shape (k, c).
        scored: The counts of other rows, with shape (k, c).
        delta: The probability that the classifier's gap may be smaller.

    Returns:
        The gap, or 0 where none is certain.

    Example:
        >>> leaky = torch.tensor([[900.0, 100.0], [100.0, 900.0]])
        >>> certain_gap(leaky, leaky)  # 0.8 - 0.0547
        0.7452...
    """

    p = fixed / fixed.sum(-1, keepdim=True)
    first, second = divmod(int(torch.cdist(p, p, p=1).argmax()), len(p))
    answer = (p[first] > p[second]).to(p)
    shares = (scored @ answer) / scored.sum(-1)
    sizes = scored.sum(-1)
    noise = slack([round(sizes[first].item()), round(sizes[second].item())], delta)

    return max(0.0, (shares[first] - shares[second]).item() - noise)
