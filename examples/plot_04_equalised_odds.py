"""
Equalised odds
==============

"Treat groups alike" can mean two things. Parity compares the codes of all
rows. Equalised odds compares the codes among rows with the same target, so
groups may differ as far as the target does. In this made-up world we know what
each of them costs, and they could not be further apart.
"""

import matplotlib.pyplot as plt
import numpy as np

from bitveil import InvariantClassifier, Training
from bitveil.certificates import EQUALISED_ODDS_GAP, PARITY_GAP
from bitveil.datasets import make_unequal_rates

# %%
# The world
# ---------
# The target occurs in 20 % of group a and in 80 % of group b. The features say
# something about the target, and about the group only through the target. The
# best classifier is right in 84 % of the rows and has equalised odds already.
# But any code that helps with the target differs between the groups, so a code
# with exact parity is no better than a coin.

known = make_unequal_rates(8000, random_state=0)
new = make_unequal_rates(8000, random_state=1)
for name in (
    "bayes_accuracy",
    "odds_accuracy",
    "parity_accuracy",
    "parity_gap",
):
    print(f"{name:16} {known.answers[name]:.3f}")

# %%
# Two criteria, one goal
# ----------------------
# Both models get the goal 0.15, each for its own criterion. We give the rows
# names, as you would give the numbers of people, and other names to the new
# rows.

models, audits = {}, {}
for criterion in ("independence", "separation"):
    model = InvariantClassifier(
        3,
        criterion=criterion,
        max_gap=0.15,
        features="raw",
        training=Training(epochs=40, hidden=(16,), learning_rate=0.03),
        random_state=0,
    )
    model.fit(
        known.features,
        known.target,
        sensitive_features=known.sensitive["group"],
        ids=range(8000),
    )
    audit = model.audit(
        new.features,
        new.target,
        sensitive_features=new.sensitive["group"],
        ids=range(8000, 16_000),
    )
    models[criterion], audits[criterion] = model, audit
    right = np.mean(
        model.predict(new.features, ids=range(8000, 16_000)) == new.target
    )
    print(f"\n{criterion}: right in {right:.3f} of the new rows")
    print(model.certificate_)
    for interval in audit.intervals:
        if interval.certificate.quantity.unit == "gap":
            print(interval)

# %%
# What each certificate is silent about
# -------------------------------------
# The code with parity knows little of the target. The code with equalised odds
# is about as good as the best classifier, and some rule that reads it treats
# the groups 40 points differently. Neither criterion implies the other, and no
# number says which one is fair here. That depends on whether you trust the
# target: if the 20 and the 80 % are themselves unjust, equalised odds hands
# that on.

figure, axes = plt.subplots(figsize=(7, 3))
compared = {
    PARITY_GAP: "among all rows",
    EQUALISED_ODDS_GAP: "among rows of the same target",
}
for number, (quantity, label) in enumerate(compared.items()):
    found = [
        interval
        for audit in audits.values()
        for interval in audit.intervals
        if interval.certificate.quantity == quantity
    ]
    heights = np.arange(len(found)) + 0.2 - 0.4 * number
    low, high = (
        [each.least for each in found],
        [each.certificate.bound for each in found],
    )
    axes.hlines(heights, low, high, f"C{number}", lw=3)
    measured = [each.certificate.estimate for each in found]
    axes.plot(
        measured, heights, "os"[number], color=f"C{number}", ms=8, label=label
    )
axes.axvline(0.15, ls=":", color="0.47")
axes.annotate(" the goal", (0.15, 0.5))
axes.set_yticks([0, 1], ["fitted for\nparity", "fitted for\nequalised odds"])
axes.set_ylim(-0.6, 1.6)
axes.set_xlim(0, 0.5)
axes.grid(axis="x")
axes.grid(axis="y", visible=False)
axes.set_xlabel(
    "largest gap of any classifier: "
    "measured, and certified on each side (δ = 0.05)"
)
axes.set_title("Two codes, each compared in two ways")
axes.legend(loc="center right", title="compared")
plt.show()
