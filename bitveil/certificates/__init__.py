r"""Certificates: bounds on what any use of a code can reveal, from held-out rows.

**Theorem.** Let the encoder be fixed. Let :math:`n_g` rows of each group g be independent given
their group, used neither in training nor in selection, and get one draw of the code each. Let f be
a convex function of the groups' distributions :math:`p(t|g)` that moves by at most L times the
total variation by which one of them is moved. With probability at least :math:`1 - \delta`

.. math:: f(p) \le f(\hat p) + L D \sqrt{\tfrac12 \ln \tfrac1\delta \sum_g \tfrac1{n_g}} .

Here :math:`\hat p(t|g)` is the mean of :math:`p(t|x)` over the rows of the group, and the sum
goes over the groups that f reads. D is 1, or less where the codes of any two rows are known to be
within total variation D.

**Proof.** :math:`\hat p` is unbiased and f is convex, so :math:`E f(\hat p) \ge f(p)` (Jensen).
Exchanging one row of group g for another moves :math:`\hat p(t|g)` by at most :math:`D / n_g` in
total variation, and so :math:`f(\hat p)` by at most :math:`L D / n_g`. By McDiarmid's inequality
:math:`f(\hat p)` falls short of its expectation by the root above with probability at most
:math:`\delta`. With drawn codes in place of :math:`p(t|x)` the same holds with D = 1. ∎

No term grows with the number of codes. The functions that are certified stand in
`bitveil.certificates.quantities`:

- The total variation of two groups, L = 1. It bounds the demographic-parity gap of every
  classifier that sees the code, randomised or not. Among the rows of one target it bounds the gap
  of equal opportunity, and among those of each target the gap of equalised odds. Every target and
  every pair of groups gets its share of :math:`\delta`.
- The balanced accuracy of the best attacker, :math:`\tfrac1k \sum_t \max_g p(t|g)`, L = 1/k. With
  two groups it is :math:`(1 + TV)/2`.
- One minus the overlap :math:`\sum_t \min_g p(t|g)`, L = 1. It bounds the information, as a share
  of the entropy of the groups.

**Coarser groups.** A certificate of the gap also holds for groups that are joined from its groups.
If pairs of values of two attributes were certified, it covers each attribute. Proof: the codes of
joined groups are mixtures, and :math:`TV(\sum_i w_i p_i, \sum_j v_j q_j) \le \max_{ij} TV(p_i,
q_j)`, since total variation is convex. ∎

A certificate does not say anything about two draws of one row (that is why draws are frozen),
about another population, about rows used in training, or about someone who holds other columns of
the row beside the code.

Source:
    On the method of bounded differences (McDiarmid, 1989),
    https://doi.org/10.1017/CBO9781107359949.008
"""

from bitveil.certificates.compared import UncertifiableError, slack
from bitveil.certificates.dilution import certify_shares, diluted
from bitveil.certificates.lower import Interval, lower_bound
from bitveil.certificates.planning import least_bound, least_gap, rows_needed
from bitveil.certificates.quantities import (
    BALANCED_ATTACK_ACCURACY,
    EQUAL_OPPORTUNITY_GAP,
    EQUALISED_ODDS_GAP,
    INFORMATION,
    PARITY_GAP,
    QUANTITIES,
    Quantity,
    gap_of,
    information_of,
)
from bitveil.certificates.sequence import certify_columns, certify_sequence
from bitveil.certificates.upper import Certificate, certify, dobrushin_bound

__all__ = [
    "BALANCED_ATTACK_ACCURACY",
    "EQUALISED_ODDS_GAP",
    "EQUAL_OPPORTUNITY_GAP",
    "INFORMATION",
    "PARITY_GAP",
    "QUANTITIES",
    "Certificate",
    "Interval",
    "Quantity",
    "UncertifiableError",
    "certify",
    "certify_columns",
    "certify_sequence",
    "certify_shares",
    "diluted",
    "dobrushin_bound",
    "gap_of",
    "information_of",
    "least_bound",
    "least_gap",
    "lower_bound",
    "rows_needed",
    "slack",
]
