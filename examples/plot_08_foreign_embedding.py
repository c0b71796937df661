"""
An embedding from another model
===============================

Somebody made an embedding of each person, without any thought of a sensitive
attribute, and wants to publish it in a quantised form. An audit needs no
encoder, only the published values and the attribute. This page asks how many
bits of such an embedding could be published.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skrub import TableVectorizer

from bitveil import audit
from bitveil.datasets import load_adult

# %%
# The embedding
# -------------
# Principal components stand in for the embedding: of the columns of Adult,
# without sex and income, fitted on the official training rows. Each number is
# published as one bit, whether it is above its median. Quantised embeddings
# for search are made like this.

adult = load_adult()
X = adult.without("sex").drop(columns=["fnlwgt", "native_country"])
test = adult.official_test
embed = make_pipeline(
    TableVectorizer(), StandardScaler(), PCA(8, random_state=0)
)
fitted = (
    X[~test]
    .fillna({"workclass": "?", "occupation": "?"})
    .sample(8000, random_state=0)
)
middle = np.median(embed.fit_transform(fitted), axis=0)
new = X[test].fillna({"workclass": "?", "occupation": "?"})
codes = (embed.transform(new) > middle).astype(np.uint8)
sex, income = adult.sensitive["sex"][test], adult.target[test]

# %%
# The audit of all eight bits
# ---------------------------
# The codes are counted as they would be published. Both bounds are for new
# people of this kind, each with probability 0.95: some rule that reads the
# codes treats women and men differently by at least the first number, and no
# rule does by more than the last.

found = audit(codes, sex, income)
print(found.intervals[0])
print(found.meaning.revealing)
for attacker in found.attackers:
    print(
        f"trained attacker ({attacker.family}): "
        f"AUC {attacker.auc:.3f} for the sex"
    )

# %%
# So this embedding gives much away, although the sex was not among its
# columns, and although each person gets eight bits only.
#
# How many bits?
# --------------
# Fewer components reveal less. Each point is an audit of the first bits only.
# The use is the accuracy of boosting for income, trained on one half of the
# codes and scored on the other.

audits = [audit(codes[:, :width], sex, income) for width in range(1, 8)] + [
    found
]
for width, each in enumerate(audits, start=1):
    print(
        f"first {width}: gap between {each.certain_gap:.3f} "
        f"and {each.certificate.bound:.3f}, "
        f"right about income {each.use_accuracy:.3f}"
    )
print(f"always the more frequent answer: {found.most_frequent_target:.3f}")

# %%
# Alone, the first bit does not help to guess income at all, and it separates
# women and men by some 40 points. So publishing fewer bits is no protection
# here. An encoder that is trained for both, as in the first example, is. Each
# interval holds with probability 0.95 on its own: to choose a width by these
# numbers and quote its bound, divide δ by eight.

figure, (left, right) = plt.subplots(1, 2, sharex=True, figsize=(7, 3.4))
widths = range(1, 9)
left.fill_between(
    widths,
    [each.certain_gap for each in audits],
    [each.certificate.bound for each in audits],
    alpha=0.4,
    label="certified for new people",
)
left.plot(
    widths,
    [each.total_variation for each in audits],
    "o-",
    label="in this table",
)
left.set(
    xlabel="bits published", ylabel="largest gap of any reader", ylim=(0, 0.6)
)
left.legend(loc="lower right")
right.plot(widths, [each.use_accuracy for each in audits], "s-", color="C1")
right.axhline(found.most_frequent_target, ls=":", color="0.47")
right.annotate(
    "always the more frequent answer",
    (1.2, found.most_frequent_target + 0.002),
)
right.set(
    xlabel="bits published", ylabel="accuracy for income", ylim=(0.74, 0.84)
)
right.set_xticks(widths)
left.set_title("What the first bits reveal")
right.set_title("What they are good for")
plt.show()
