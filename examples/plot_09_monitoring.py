"""
Monitoring month by month
=========================

A certificate is about people like those who were counted. People change. A
monitor keeps the counts of each month, gives bounds that all hold at once, and
raises an alarm where the gap is certainly too large or where the groups have
certainly moved apart.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bitveil import InvariantClassifier, Training
from bitveil.monitors import Monitor
from bitveil.plots import plot_monitor
from bitveil.streams import count

# %%
# People who change
# -----------------
# The people are made up. For eight months a test of skill treats men and women
# alike. From September on, a new test favours men by 0.4 standard deviations.
# Nobody tells the monitor.

months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def people(number, n, favoured=0.0):
    rng = np.random.default_rng(number)
    sex = rng.choice(["f", "m"], n)
    skill = rng.normal(size=n)
    rows = pd.DataFrame({"id": np.arange(n) + 1_000_000 * number, "sex": sex})
    rows["test"] = skill + favoured * (sex == "m") + 0.3 * rng.normal(size=n)
    rows["hired"] = np.where(skill + 0.5 * rng.normal(size=n) > 0, "yes", "no")
    return rows


first = people(0, 6000)
model = InvariantClassifier(
    2,
    max_gap=0.10,
    features="raw",
    training=Training(epochs=40, hidden=(16,), learning_rate=0.03),
    random_state=0,
)
model.fit(
    first[["test"]],
    first["hired"],
    sensitive_features=first[["sex"]],
    ids=first["id"],
)
print(model.certificate_)

# %%
# A month is a few numbers
# ------------------------
# ``count`` turns the rows of a month into two small tables. The monitor needs
# no row, and ``save`` writes it as a folder. From a shell: ``bitveil count``
# and ``bitveil monitor``.

monitor = Monitor(limit=0.10, delta=0.05)
for number, month in enumerate(months, start=1):
    rows = people(number, 3000, favoured=0.4 if number > 8 else 0.0)
    tally, _ = count(rows, model, sensitive="sex", target="hired", ids="id")
    monitor.add(month, tally)
for period in monitor.periods:
    low, high = period.interval.least, period.interval.certificate.bound
    alarm = ", alarm" if period.alarm else ""
    print(f"{period.name}: {low:.3f} to {high:.3f}{alarm}")
print(*monitor.alarms[0].reasons, sep="\n")

# %%
# What an alarm means
# -------------------
# No month is certainly above the limit, but in September the groups have
# certainly moved apart. With probability 0.95 or more, no alarm in all the
# months to come is false, and with the same probability all upper bounds hold.
# For that, every month gets a smaller share of δ than the one before. A month
# without an alarm proves nothing by itself: look at its upper bound.

plot_monitor(monitor)
plt.show()
