"""
Physics: simulation and data
============================

An experiment knows which events are signal only in simulation, and simulation
is wrong about some quantities. So the domain is the sensitive attribute: a
code that looks alike in simulation and in data cannot rest on what simulation
gets wrong. The target is missing in data, and those events count only for the
comparison.
"""

import matplotlib.pyplot as plt
import numpy as np

from bitveil import InvariantClassifier, Training
from bitveil.datasets import make_simulation_and_data

# %%
# The events
# ----------
# Four quantities tell signal from background. Simulation gets ``timing`` and
# ``pile_up`` wrong, and there they look like the best. The events are made up,
# so we know what can be reached: the rule that is best in simulation, in data,
# and the best rule that uses only what simulation gets right.

known = make_simulation_and_data(10_000, random_state=0)
truth = make_simulation_and_data(
    12_000, labelled=True, random_state=1
)  # to check afterwards
domain = known.sensitive["domain"]
print(
    known.target.groupby(domain).count().to_dict(),
    "events with a known target",
)
for name in ("simulation_accuracy", "transferred_accuracy", "robust_accuracy"):
    print(f"{name:21} {known.answers[name]:.3f}")

# %%
# Without and with data
# ---------------------
# ``strength=0`` is the classifier that learns from simulation alone. The other
# one pays for every difference between the codes of simulation and of data.

data = (truth.sensitive["domain"] == "data").to_numpy()
models = {}
for name, strength in {"simulation alone": 0.0, "with data": 3.0}.items():
    model = InvariantClassifier(
        4,
        strength=strength,
        missing_target="unlabelled",
        features="raw",
        training=Training(epochs=80, learning_rate=0.02),
        random_state=0,
    )
    models[name] = model.fit(
        known.features, known.target, sensitive_features=domain
    )
    there = model.score(truth.features[~data], truth.target[~data])
    here = model.score(truth.features[data], truth.target[data])
    print(
        f"{name:16} right in {there:.3f} of simulation, in {here:.3f} of data"
    )

# %%
# What moves, and what does not
# -----------------------------
# The figure shows the codes that occur, ordered by the probability of signal
# that they stand for. To the model from simulation alone most of data looks
# like signal: its most confident code is more than twice as frequent in data
# as in simulation. The codes of the second model are about as frequent in
# both.
#
# That codes look alike does not prove that they mean the same in both domains.
# If simulation had a quantity the wrong way round, but with the same spectrum,
# no unlabelled event would show it.

figure, axes = plt.subplots(1, 2, sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    numbers = model.transform(truth.features) @ [8, 4, 2, 1]
    answers = model.predict_proba(truth.features)[:, 1]
    codes = sorted(set(numbers), key=lambda code: answers[numbers == code][0])
    simulated, seen = (
        [np.mean(numbers[d] == code) for code in codes] for d in (~data, data)
    )
    where = np.arange(len(codes))
    ax.bar(where - 0.2, simulated, 0.38, label="simulation")
    ax.bar(
        where + 0.2,
        seen,
        0.38,
        label="data",
        hatch="//",
        edgecolor="white",
        lw=0,
    )
    ax.set_xticks(
        where, [f"{answers[numbers == code][0]:.2f}" for code in codes]
    )
    ax.set_xlabel("probability of signal of a code")
    ax.set_title(name)
axes[0].set_ylabel("share of the domain's new events")
axes[0].legend(loc="upper left")
plt.show()
