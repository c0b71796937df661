r"""Certificates: bounds on what any use of a code can reveal, from held-out rows.

**Theorem.** Let the encoder be fixed. Let :math:`n_g` rows of each group g be independent given
their group, used neither in training nor in selection, and get one draw of the code each. A rule r
gives every group a function :math:`r_g` of the code with values in [0, 1]. Let the quantity be

.. math:: \theta(p) = \max_r \sum_g \sum_t p(t|g) \, r_g(t) - \text{constant},

the largest over some set of rules. With probability at least :math:`1 - \delta`

.. math:: \theta(p) \le \theta(\hat p) + \text{slack}(n, \delta), \qquad \text{slack} \le
    \sqrt{\tfrac12 \ln \tfrac1\delta \sum_g \tfrac1{n_g}} .

Here :math:`\hat p(t|g)` is the mean of :math:`p(t|x)` over the rows of the group, or the share of
rows whose drawn code is t. The sum goes over the groups that the rules read.

**Proof.** Let :math:`r^*` be the best rule in the population. The population fixes it, whatever
the rows. On the rows :math:`\theta(\hat p)` is the largest over all rules, so at least the value
of :math:`r^*`. So :math:`\theta` is missed by more than the slack only if the value of this one
rule is. That is a sum of means of independent numbers in [0, 1], one mean for each group, and the
slack bounds how far it falls below its expectation: see `bitveil.certificates.slacks`. ∎

No term grows with the number of codes or of rules. The slack is the least of several bounds, 25 to
30 % below the root for some thousand rows. If the codes of any two rows are within total variation
D, the numbers stay in an interval of width D, and the slack for expected counts is D times as
large.

**Certain codes.** Let the code be a function of the row alone, whatever the key and the name, as
`bitveil.cells` gives it. Then the value of :math:`r^*` in a row is 0 or 1, and not just between.
So for two groups the slack of drawn codes holds for expected counts too: `draws="certain"`. Rows
of equal content have the same code, but that is no matter, since each code depends on its own row
only. Codes like these can be diluted as expected counts are, where every row has a name and so a
coin of its own. Where rows share their coins they are counted as drawn. The *encoder* must ensure
all this for every row that may come. Nobody may conclude it from the rows, because the slack is
fixed before anyone looks at them.

**The largest of several needs no correction.** Let :math:`\theta_1, \theta_2, \dots` be such
quantities: for pairs of groups, targets or attributes. Let each have an upper bound that is wrong
with probability :math:`\delta` at most. Then the largest bound is below the largest quantity with
probability :math:`\delta` at most. Proof: the population fixes which quantity is the largest. The
largest bound is at least the bound of this one. ∎ Statements about each of them, all at once, need
their shares of :math:`\delta`. So do codes that someone chooses among after a look at the rows.

The quantities that are certified stand in `bitveil.certificates.quantities`:

- The total variation of two groups: :math:`r_1` is a classifier of the code, and :math:`r_0` is
  one minus it. It bounds the demographic-parity gap of every classifier that sees the code,
  randomised or not. Among the rows of one target it bounds the gap of equal opportunity, and among
  those of each target the gap of equalised odds. The certificate is about the largest over pairs
  of groups and over targets.
- The balanced accuracy of the best attacker, :math:`\tfrac1k \sum_t \max_g p(t|g)`: :math:`r_g` is
  1 for the codes where an attacker guesses g, and the sum is k times his accuracy. With two groups
  the accuracy is :math:`(1 + TV)/2`.
- One minus the overlap :math:`\sum_t \min_g p(t|g)`: :math:`r_g` is 0 for the codes that are
  assigned to g, and each code is assigned to the group that has it least often. It bounds the
  information, as a share of the entropy of the groups.

**A blank for a goal.** A certified code can be published with some probability, and a blank
otherwise. That makes its gap smaller by the same factor: see `bitveil.certificates.dilution`.

**Coarser groups.** A certificate of the gap also holds for groups that are joined from its groups.
If pairs of values of two attributes were certified, it covers each attribute. Proof: the codes of
joined groups are mixtures, and :math:`TV(\sum_i w_i p_i, \sum_j v_j q_j) \le \max_{ij} TV(p_i,
q_j)`, since total variation is convex. ∎

A certificate does not say anything about two draws of one row (that is why draws are frozen),
about another population, about rows used in training, or about someone who holds other columns of
the row beside the code.

Source:
    Probability Inequalities for Sums of Bounded Random Variables (Hoeffding, 1963),
    https://doi.org/10.1080/01621459.1963.10500830;
    Multiparameter Hypothesis Testing and Acceptance Sampling (Berger, 1982),
    https://doi.org/10.1080/00401706.1982.10487790
"""

from bitveil.certificates.compared import UncertifiableError, slack
from bitveil.certificates.dilution import certify_shares, diluted
from bitveil.certificates.lower import Interval, lower_bound
from bitveil.certificates.planning import (
    groups_in_the_way,
    least_bound,
    least_gap,
    least_gap_within,
    rows_needed,
)
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
    "groups_in_the_way",
    "information_of",
    "least_bound",
    "least_gap",
    "least_gap_within",
    "lower_bound",
    "rows_needed",
    "slack",
]
