"""The README's picture: what a certified goal costs, from the records of `bench_goals.py`.

Each panel is a data set with two groups: the accuracy on the test rows against the certified gap,
mean of three seeds, with defaults. A hollow mark means that some rows stay blank at this goal.
Dots are the majority class. Dashes are boosted trees on all columns but the sensitive one, fitted
on the same rows.

    python benchmarks/draw_front.py [--out docs/front.svg]
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from runs import Runs

from bitveil.audits.families import FAMILIES
from bitveil.datasets.catalogue import entries
from bitveil.features import Features

RECORDS = Path(__file__).parent / "records"
PANELS = {
    "adult": "Adult, blind to sex",
    "heritage": "Heritage Health, blind to age ≥ 60",
    "compas": "COMPAS, blind to race",
}
BLUE, PURPLE = "#0072b2", "#a6448b"


def without_protection(name: str) -> dict[str, float | str]:
    """The accuracy of boosted trees on all columns but the sensitive one, on the test rows."""

    entry = entries()[name]
    data = entry.load()
    taken = np.ones(len(data.target), dtype=bool)
    if entry.groups is not None:
        taken = data.sensitive[entry.sensitive].isin(entry.groups).to_numpy()
    X, y = data.without(entry.sensitive)[taken], data.target[taken].to_numpy()
    test = np.asarray(data.test[taken])
    features = Features("raw").fit(X[~test])
    trees = FAMILIES["boosting"]().fit(features.transform(X[~test]), y[~test])

    return {"dataset": name, "accuracy": float(trees.score(features.transform(X[test]), y[test]))}


def panel(axes: Axes, rows: pd.DataFrame, free: float) -> None:
    mean = rows.groupby("max_gap")[["score", "share"]].mean()
    whole = mean["share"] > 0.995
    axes.axhline(100 * rows["constant"].mean(), color="black", lw=1, ls=":")
    axes.axhline(100 * free, color=PURPLE, lw=1.2, ls="--")
    axes.plot(mean.index, 100 * mean["score"], color=BLUE, lw=2)
    for some, fill in ((whole, BLUE), (~whole, "white")):
        axes.plot(
            mean.index[some],
            100 * mean["score"][some],
            "o",
            color=BLUE,
            markerfacecolor=fill,
            ms=6,
        )
    axes.set_xlim(0, 0.21)
    axes.set_xlabel("certified gap of any classifier (at most)")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/front.svg"))
    out = parser.parse_args().out
    lines = (RECORDS / "goals.jsonl").read_text().splitlines()
    goals = pd.DataFrame([json.loads(line) for line in lines])
    goals = goals[goals["kind"] == "two groups"]
    runs = Runs(RECORDS / "unprotected.jsonl")
    runs.complete(without_protection, ("dataset",), [(name,) for name in PANELS])
    free = runs.table().set_index("dataset")["accuracy"]
    with matplotlib.rc_context({"svg.hashsalt": "bitveil", "font.size": 9}):
        figure = Figure(figsize=(9.6, 2.9), layout="constrained")
        all_axes = figure.subplots(1, len(PANELS))
        for axes, (name, title) in zip(all_axes, PANELS.items(), strict=True):
            panel(axes, goals[goals["dataset"] == name], free[name])
            axes.set_title(title, fontsize="medium", loc="left")
        all_axes[0].set_ylabel("accuracy in %")
        _legend(figure)
        figure.savefig(out, metadata={"Date": None})


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=PURPLE, ls="--", label="boosted trees, no protection"),
        Line2D([], [], color=BLUE, marker="o", lw=2, label="bitveil, all rows have a code"),
        Line2D(
            [], [], color=BLUE, marker="o", lw=2, markerfacecolor="white", label="some stay blank"
        ),
        Line2D([], [], color="black", ls=":", label="majority class"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=4, frameon=False)


if __name__ == "__main__":
    main()
