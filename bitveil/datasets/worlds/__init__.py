r"""Worlds that bitveil makes up, with known answers, in the form of any other data set.

Each function draws `n` rows of a population that is known exactly. The features are X, the target
is Y, and the sensitive attribute S is the column `group`, "a" or "b" with one half each. `answers`
describes the population, not the drawn rows:

- `information`: :math:`I(X;S)`, the information of all features together about the group, in nats.
- `information_each`: :math:`\sum_j I(X_j;S)`, the sum over single features, in nats.
- `conditional_information`: :math:`I(X;S|Y)`, in nats.
- `total_variation`: the total variation between the two groups' features. It is the largest
  parity gap of any classifier of the features.
- `bayes_accuracy`: the best accuracy for Y of any classifier of the features.
- `parity_gap`: the demographic-parity gap of that classifier.
- `parity_accuracy`: the best accuracy for Y of any classifier of the features whose
  demographic-parity gap is 0. The classifier may draw its answers.
- `odds_accuracy`: the same with equal true and false positive rates in both groups.

The information, conditional or not, and the total variation are upper bounds for every code of the
features. The accuracies are upper bounds for every classifier of such a code.

The two worlds in `physics`, a search for a resonance and simulation beside data, have a different
S and different answers, which their docstrings list.
"""
