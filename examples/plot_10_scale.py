"""
Many rows, counted in batches
=============================

A certificate needs the counts of codes by group, and nothing else of the rows.
Counts add up over batches, files and machines. So rows that fit into no
memory, or lie in two houses that must not share them, still make one
certificate. This page counts a stream piece by piece.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bitveil import InvariantClassifier, Training
from bitveil.streams import count
from bitveil.tallies import Tally

# %%
# A stream
# --------
# The rows are made up, and come in batches. Each has an id. The encoder is
# fitted once, on the first batch, and stays as it is.


def batch(number, n):
    rng = np.random.default_rng(number)
    sex = rng.choice(["f", "m"], n, p=[0.3, 0.7])
    skill = rng.normal(size=n) + 0.4 * (sex == "m")
    rows = pd.DataFrame(
        {"id": np.arange(n) + 10_000_000 * number, "sex": sex, "skill": skill}
    )
    rows["years"] = rng.gamma(2.0, 4.0, n) * (1 + 0.2 * (sex == "m"))
    rows["hired"] = np.where(
        skill + 0.1 * rows["years"] + rng.normal(size=n) > 1, "yes", "no"
    )
    return rows


first = batch(0, 6000)
model = InvariantClassifier(
    3,
    max_gap=0.15,
    features="raw",
    training=Training(epochs=40, hidden=(16,), learning_rate=0.03),
    random_state=0,
)
model.fit(
    first[["skill", "years"]],
    first["hired"],
    sensitive_features=first[["sex"]],
    ids=first["id"],
)
print(model.certificate_)

# %%
# Count
# -----
# ``count`` reads a table, a file, a folder or a stream of Arrow batches, piece
# by piece. Its result is a :class:`bitveil.tallies.Tally`: two small tables,
# and no row. It checks that no row was used in fitting and that no id occurs
# twice. The file of a tally is what travels.

folder = Path(mkdtemp())
sizes = [1000, 3000, 10_000, 30_000, 100_000, 300_000]
for number, size in enumerate(sizes, start=1):
    tally, caution = count(
        batch(number, size), model, sensitive="sex", target="hired", ids="id"
    )
    file = folder / f"{number}.counts"
    tally.save(file)
    print(f"{size:7,} rows, {file.stat().st_size:,} bytes of counts")

# %%
# Add and certify
# ---------------
# ``+`` adds tallies. It refuses counts of another encoder, and the same rows
# twice.

total = Tally.load(folder / "1.counts")
seen, intervals = [total.n_rows], [total.interval()]
for number in range(2, len(sizes) + 1):
    total = total + Tally.load(folder / f"{number}.counts")
    seen.append(total.n_rows)
    intervals.append(total.interval())
for n_rows, interval in zip(seen, intervals, strict=True):
    low, high = interval.least, interval.certificate.bound
    print(f"{n_rows:7,} rows: {low:.4f} to {high:.4f}")
try:
    total + Tally.load(folder / "1.counts")
except ValueError as error:
    print(error)

# %%
# The bounds close in on what the code really reveals, in proportion to one
# over the root of the number of rows. More rows do not make the code better.
# They show how good it is.

figure, axes = plt.subplots()
axes.fill_between(
    seen,
    [interval.least for interval in intervals],
    [interval.certificate.bound for interval in intervals],
    alpha=0.35,
    label="certified: at least, at most (each with probability 0.95)",
)
axes.plot(
    seen,
    [each.certificate.estimate for each in intervals],
    "o-",
    label="counted",
)
axes.axhline(0.15, ls=":", color="0.47")
axes.annotate("the goal of the fit", (seen[-1], 0.152), ha="right")
axes.set_xscale("log")
axes.set_xlabel("rows counted so far")
axes.set_ylabel("largest gap of any reader of the codes")
axes.set_ylim(0, None)
axes.set_title("The bounds close in on what the code reveals")
axes.legend()
plt.show()
