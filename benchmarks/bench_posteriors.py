"""Posteriors: how good they are, and what they cost, beside one boosting with its own settings.

Every data set is split as in `bitveil benchmark`. Posteriors are made from the rows to fit, and
scored on the test rows. Each line has both for one label: the log-loss, the area under the curve
and the slope of a logistic regression on the log-odds, which is 1 if they are calibrated. The
seconds are of one core, for all labels together.

    python benchmarks/bench_posteriors.py [--data compas adult] [--seeds 3]
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from bitveil.benchmark.protocol import entries, split
from bitveil.features import Features
from bitveil.workers import one_thread

KINDS = {"boosting": "boosting", "ours": None}


def parts(name: str, seed: int) -> dict[str, tuple[Any, ...]]:
    """The columns, the target and the attribute of the rows to fit and to test."""

    entry = entries()[name]
    data = entry.load()
    taken = np.ones(len(data.target), dtype=bool)
    if entry.groups is not None:
        taken = data.sensitive[entry.sensitive].isin(entry.groups).to_numpy()
    table, y = data.without(entry.sensitive)[taken], data.target[taken].to_numpy(np.int64)
    s = pd.factorize(data.sensitive.loc[taken, entry.sensitive], sort=True)[0]
    test = data.test[taken]
    rest = np.flatnonzero(~test)
    rows = {"fit": rest[split(s[rest], seed)["fit"]], "test": np.flatnonzero(test)}

    return {use: (table.iloc[some], y[some], s[some]) for use, some in rows.items()}


def quality(labels: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """The log-loss, the area under the curve and the calibration slope of binary posteriors."""

    odds = np.log(p[:, 1] / p[:, 0]).reshape(-1, 1)
    line = LogisticRegression(C=1e6).fit(odds, labels)

    return {
        "loss": log_loss(labels, p),
        "auc": roc_auc_score(labels, p[:, 1]),
        "slope": float(line.coef_[0, 0]),
    }


def run(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """The quality of each label, and the seconds, for each kind of posteriors."""

    known, test = (parts(name, seed)[use] for use in ("fit", "test"))
    with one_thread():
        for kind, posteriors in KINDS.items():
            start = time.process_time()
            features = Features("posterior", posteriors=posteriors, random_state=seed)
            features.fit_transform(*known)
            fitted = time.process_time()
            made = features.transform(test[0])
            seconds = {"fit": fitted - start, "encode": time.process_time() - fitted}
            for label, values, p, score in zip(
                "YS", test[1:], features.posteriors_of(made), features.scores_, strict=True
            ):
                what = {"data": name, "label": label, "kind": kind, "rows": len(known[1])}
                constant = log_loss(
                    values, np.tile(np.bincount(values) / len(values), (len(p), 1))
                )
                found = quality(values, p) | {"oof": score.loss, "constant": constant}
                yield what | found | seconds | {"chosen": score.chosen}


def main() -> None:
    """Print a table."""

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["german", "compas", "adult", "heritage"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.data:
        found = pd.DataFrame([line for seed in range(options.seeds) for line in run(name, seed)])
        mean = found.groupby(["data", "rows", "label", "kind"]).mean(numeric_only=True)
        print(mean.round(3).to_string(), flush=True)
        ours, alone = (mean.xs(kind, level="kind") for kind in ("ours", "boosting"))
        ratios = (ours[["fit", "encode"]] / alone[["fit", "encode"]]).iloc[0].round(2)
        print(
            f"{name}: {ratios.to_dict()} times", *found["chosen"].unique(), sep="\n  ", flush=True
        )


if __name__ == "__main__":
    main()
