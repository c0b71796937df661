"""
A weight or a goal
==================

There are two ways to ask for a code. A weight says how much training pays for
a difference between the groups, and you see afterwards what came out. A goal
says which gap you can live with, and the fit certifies it or says what is
possible. This page runs both and draws what they reach.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from skrub import TableVectorizer

from bitveil import InvariantClassifier, Training
from bitveil.datasets import load_adult
from bitveil.information import total_variation
from bitveil.tables import joint_table

# %%
# 6,000 rows of Adult to fit and 10,000 others to see what was reached. Raw
# features and a small network keep this page fast; the default features make
# better codes and take longer.

adult = load_adult()
rows = adult.features.sample(16_000, random_state=0).index
table = (
    adult.without("sex").drop(columns=["fnlwgt", "native_country"]).loc[rows]
)
X = StandardScaler().fit_transform(
    TableVectorizer().fit_transform(table).fillna(0)
)
y, sex = adult.target[rows].to_numpy(), adult.sensitive["sex"][rows].to_numpy()
fitted, new = np.arange(6000), np.arange(6000, 16_000)
quick = {
    "features": "raw",
    "training": Training(epochs=60, hidden=(32,), learning_rate=0.01),
    "random_state": 2,
}


man = torch.tensor(sex[new] == "Male", dtype=torch.int64)


def reached(**asked):
    model = InvariantClassifier(4, **asked, **quick)
    model.fit(X[fitted], y[fitted], sensitive_features=sex[fitted], ids=fitted)
    logits = torch.from_numpy(model.logits(X[new], ids=new))
    gap = model.share_ * total_variation(joint_table(logits, man, k=2)).item()
    right = np.mean(model.predict(X[new], ids=new) == y[new])
    return gap, right, model


# %%
# Weights
# -------
# Each gap is the largest that any reader of the codes can make, exact for the
# new rows. It moves fast: from a weight of 0.2 to one of 0.5 it falls to about
# a tenth. On other data these weights are others.

weights = [0.0, 0.1, 0.2, 0.3, 0.5]
by_weight = [reached(strength=weight)[:2] for weight in weights]
for weight, (gap, right) in zip(weights, by_weight, strict=True):
    print(f"weight {weight:3g}: gap {gap:.3f}, right about income {right:.3f}")

# %%
# Goals
# -----
# A goal holds out rows to certify: here one half of the 6,000. The encoder
# stays below the goal by the slack that so few rows need. Where that leaves no
# room for a useful code, some rows stay blank, as for the tighter goal here:
# their answer is the more frequent one.

goals = [0.1, 0.2]
by_goal = [reached(max_gap=goal) for goal in goals]
for goal, (gap, right, model) in zip(goals, by_goal, strict=True):
    print(f"\ngoal {goal:g}: gap {gap:.3f}, right about income {right:.3f}")
    print(model.certificate_)

# %%
# A point by weight is what these rows happen to show. The line to the right of
# a point by goal ends at its certificate: no reader has a larger gap among all
# people of this kind, except with probability 0.05. That has a price. Half of
# the rows certified and did not train, and with few rows some stay blank.

figure, axes = plt.subplots()
axes.plot(
    *zip(*by_weight, strict=True), "o--", label="a weight (beside the point)"
)
for weight, place in zip(weights, by_weight, strict=True):
    axes.annotate(
        f"{weight:g}", place, xytext=(4, -13), textcoords="offset points"
    )
gaps, scores, models = zip(*by_goal, strict=True)
bounds = [model.certificate_.bound for model in models]
axes.hlines(scores, gaps, bounds, "C1", lw=2)
axes.plot(
    bounds,
    scores,
    "|",
    color="C1",
    ms=14,
    mew=2,
    label="certified for the goal",
)
axes.plot(gaps, scores, "s", color="C1", ms=8, label="a goal")
axes.axhline(1 - y[new].mean(), ls=":", color="0.47")
axes.annotate(
    "always the more frequent answer",
    (0.36, 1 - y[new].mean() + 0.001),
    ha="right",
)
axes.set_xlim(0, 0.37)
axes.set_title("Codes by weight, and codes by goal")
axes.set_xlabel("largest gap of any reader of the codes, on 10,000 new rows")
axes.set_ylabel("accuracy for income, on the same rows")
axes.legend(loc="center right")
plt.show()
