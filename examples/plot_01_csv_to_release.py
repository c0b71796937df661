"""
From a CSV file to published codes
==================================

A table of people has texts, numbers and missing values. We want to publish a
code for each person that says something about their income and little about
their sex. This page goes all the way: plan, fit, look at the certificate,
audit on new people, and write the files to hand on.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bitveil import InvariantClassifier
from bitveil.certificates import least_gap
from bitveil.codes import all_codes
from bitveil.datasets import load_adult

# %%
# A file like yours
# -----------------
# We write 9,000 rows of Adult, a census of 1994, to a file and read it again.
# ``person`` names the rows. Some cells of ``workclass`` and ``occupation`` are
# empty, and stay so: bitveil reads texts, categories and missing values as
# they are. We leave out three values that occur in at most 21 rows: a value
# that the fit did not see counts as none of the known ones, with a warning.

folder = Path(mkdtemp())
adult = load_adult()
table = adult.features.drop(columns=["fnlwgt", "native_country"])
table["income_above_50k"] = adult.target
rare = ["Without-pay", "Never-worked", "Armed-Forces"]
known = ~(table["workclass"].isin(rare) | table["occupation"].isin(rare))
chosen = (
    table[known]
    .sample(9000, random_state=0)
    .rename_axis("person")
    .reset_index()
)
chosen.to_csv(folder / "people.csv", index=False)

people = pd.read_csv(folder / "people.csv")
print(people.dtypes.to_string())
print(
    "empty cells:", people.isna().sum().loc[lambda count: count > 0].to_dict()
)

# %%
# Plan
# ----
# The last 5,000 rows play the new people, for the audit. The other 4,000 are
# fitted. bitveil holds out half of these to certify (three tenths, if there
# are 10,000 or more). ``least_gap`` says which gap so many rows certify for a
# code that reveals nothing: no goal below it can be met for every row, and a
# useful code needs more room.

fitted, new = people[:4000], people[4000:]
sizes = fitted["sex"].value_counts() // 2
print(sizes.to_dict(), "rows certify", round(least_gap(sizes), 3))

# %%
# Fit
# ---
# The goal is a gap of 0.12: no rule that sees the codes may say yes to men
# more than 12 percentage points more often than to women, or the other way
# round. Without ``random_state`` the secret key of the draws is random, as it
# must be if you publish. We set it here so that this page stays the same.

hidden = ["person", "sex", "income_above_50k"]
model = InvariantClassifier(2, max_gap=0.12, random_state=0)
model.fit(
    fitted.drop(columns=hidden),
    fitted["income_above_50k"],
    sensitive_features=fitted["sex"],
    ids=fitted["person"],
)
print(model.certificate_)
print(f"rows that get a code: {model.share_:.0%}")

# %%
# Codes, and an audit
# -------------------
# ``transform`` returns what may be published, and the same person always gets
# the same code. The audit reads the codes of people whom the fit never saw.

X, y, sex, person = (
    new.drop(columns=hidden),
    new["income_above_50k"],
    new["sex"],
    new["person"],
)
codes = model.transform(X, ids=person)
audit = model.audit(X, y, sensitive_features=sex, ids=person)
print(audit.intervals[0])
right = np.mean(model.predict(X, ids=person) == y)
print(f"right about the income of {right:.1%} of the new people")
print(f"always the more frequent answer: {max(y.mean(), 1 - y.mean()):.1%}")

# %%
# What to hand on
# ---------------
# Two files leave the house: the codes, sorted and without ``person``, and the
# table that says what each code means. The folder of ``model.save`` stays: it
# holds the secret key.

names = list(model.get_feature_names_out())
published = pd.DataFrame(codes, columns=names).sort_values(names)
published.to_csv(folder / "codes.csv", index=False)

every = all_codes(2).numpy().astype(np.uint8)
if model.share_ < 1:  # a last column says which rows are blank
    every = np.column_stack([every, np.zeros(4, np.uint8)])
    every = np.vstack([every, [[0, 0, 1]]]).astype(np.uint8)
meaning = pd.DataFrame(every, columns=names).assign(
    above_50k=model.decode(every)[:, 1].round(3)
)
meaning.to_csv(folder / "meaning.csv", index=False)
print(published.value_counts(sort=False).to_string())
print(meaning.to_string(index=False))

# %%
# The figure shows the codes of the new people. Height is how frequent a code
# is in each group. Half of the summed differences is the largest gap of any
# rule, for these people and these draws. The certificate is for all people of
# this kind.

rows = ["".join(map(str, row)) for row in codes]
listed = ["".join(map(str, row)) for row in every]
shares = (
    pd.crosstab(rows, sex.to_numpy(), normalize="columns")
    .reindex(listed)
    .dropna()
)
rates = meaning.set_axis(listed)["above_50k"].loc[shares.index]
shares = shares.loc[rates.sort_values().index]

figure, axes = plt.subplots()
where = np.arange(len(shares))
axes.bar(where - 0.2, shares["Female"], 0.38, label="women")
axes.bar(
    where + 0.2,
    shares["Male"],
    0.38,
    label="men",
    hatch="///",
    edgecolor="white",
    lw=0,
)
axes.set_xticks(where, [f"{code}\n{rates[code]:.0%}" for code in shares.index])
axes.set_xlabel(
    "published code, and the share of incomes above 50k that it stands for"
)
axes.set_ylabel("share of the group's new people")
gap = (shares["Female"] - shares["Male"]).abs().sum() / 2
axes.set_title(
    f"Half of the summed differences is {gap:.3f}; "
    f"certified for the population: at most {model.certificate_.bound:.2f}"
)
axes.legend()
plt.show()
