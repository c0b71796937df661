"""Goals: every one comes out, and what each costs.

We fit a model with its defaults for each goal, on every data set that is there: for the attribute
of the benchmark, for attributes of many values and of pairs of columns, for equalised odds and
equal opportunity, three classes, and a number as target. Rows are named by their number in the
table, and the test rows are those of the benchmark's protocol. Each fit is a line of JSON in
--records. Fits that are already there are not repeated.

Fits that differ only in their goal have the same rows and the same posteriors, so these are fitted
once for each seed. That changes no number; `seconds` are those of the first goal with them.

    python benchmarks/bench_goals.py [--records FILE] [--only NAME] [--kind NAME] [--seeds 3]
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from runs import Runs, options
from sklearn.metrics import log_loss, r2_score

from bitveil.datasets.catalogue import entries
from bitveil.datasets.dataset import Dataset
from bitveil.entropies import group_entropy
from bitveil.features import Features
from bitveil.information import mutual_information
from bitveil.models import InvariantClassifier, InvariantRegressor
from bitveil.tables import observed_table

GOALS = (0.03, 0.05, 0.08, 0.10, 0.15, 0.20)
TWO = (0.05, 0.10)

Columns = pd.Series | pd.DataFrame


@dataclass(frozen=True)
class Case:
    """A data set with a sensitive attribute, a target and settings."""

    dataset: str
    kind: str = "two groups"
    sensitive: Callable[[Dataset], Columns] | None = None
    goals: tuple[float, ...] = TWO
    without: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    target: Callable[[Dataset], pd.Series] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def both(*names: str) -> Callable[[Dataset], pd.DataFrame]:
    return lambda data: data.sensitive[list(names)]


def joined(column: str, least: int) -> Callable[[Dataset], pd.Series]:
    """A column in which rare values, of fewer rows than this, become one value."""

    def sensitive(data: Dataset) -> pd.Series:
        values = data.features[column].astype(str)
        return values.where(values.map(values.value_counts()) >= least, "other")

    return sensitive


def shares(data: Dataset) -> pd.DataFrame:
    hispanic = np.where(data.features["racePctHisp"] > 0.04, "over 0.04", "0.04 or less")

    return data.sensitive[["black_share"]].assign(hispanic_share=hispanic)


def sex_and_marriage(data: Dataset) -> pd.DataFrame:
    single = np.where(data.features["MARRIAGE"] == "single", "single", "not single")

    return data.sensitive[["sex"]].assign(marriage=single)


def number(name: str) -> Callable[[Dataset], pd.Series]:
    return lambda data: data.features[name].astype(float)


def three(name: str) -> Callable[[Dataset], pd.Series]:
    """A column of numbers, cut into three classes at its terciles."""

    return lambda data: pd.qcut(
        data.features[name].rank(method="first"), 3, labels=["low", "middle", "high"]
    ).astype(str)


MAIN = ("adult", "compas", "heritage", "german", "bank", "law", "communities", "credit", "census")
ODDS, OPPORTUNITY = {"criterion": "separation"}, {"criterion": "equal_opportunity"}
CASES = [
    *(Case(name, goals=GOALS) for name in MAIN),
    Case("adult", "equalised odds", settings=ODDS),
    Case("adult", "equal opportunity", settings=OPPORTUNITY),
    Case("adult", "five groups", lambda d: d.sensitive["race"], without=("race",)),
    Case("adult", "pairs", both("sex", "age_group"), without=("sex", "age_group")),
    Case("adult", "three classes", target=three("hours_per_week"), drop=("hours_per_week",)),
    Case("adult", "number", target=number("hours_per_week"), drop=("hours_per_week",)),
    Case("german", "four groups", lambda d: d.features["personal_status"], without=("sex",)),
    Case("german", "equalised odds", settings=ODDS),
    Case("german", "pairs", both("sex", "age_group"), without=("sex", "age_group")),
    Case("bank", "equal opportunity", settings=OPPORTUNITY),
    Case("bank", "three groups", lambda d: d.features["marital"], without=("marital",)),
    Case("credit", "pairs", sex_and_marriage, without=("sex",), drop=("MARRIAGE",)),
    Case("communities", "pairs", shares, without=("black_share",), drop=("racePctHisp",)),
    Case("adult", "raw columns", settings={"features": "raw"}, goals=(0.10,)),
    Case("adult", "no names", goals=TWO),
]


@contextmanager
def shared_posteriors(known: dict[Any, Any]) -> Iterator[None]:
    """Fit features that were fitted before on the same rows only once."""

    fit = Features.fit_transform

    def fit_once(self: Features, X: Any, *labels: Any, **weights: Any) -> Any:
        key = self.kind, self.random_state, len(X), tuple(hash(each.tobytes()) for each in labels)
        if key not in known:
            x = fit(self, X, *labels, **weights)
            known.clear()
            known[key] = x, deepcopy(vars(self))
        x, state = known[key]
        vars(self).update(deepcopy(state))
        return x

    Features.fit_transform = fit_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        Features.fit_transform = fit  # type: ignore[method-assign]


def run(case: Case, data: Dataset, max_gap: float, seed: int) -> dict[str, Any]:
    """Fit for one goal, and score the codes on the test rows."""

    entry = entries()[case.dataset]
    taken = np.ones(len(data.target), dtype=bool)
    if case.sensitive is None and entry.groups is not None:
        taken = data.sensitive[entry.sensitive].isin(entry.groups).to_numpy()
    s = data.sensitive[entry.sensitive] if case.sensitive is None else case.sensitive(data)
    X = data.without(*(case.without or (entry.sensitive,))).drop(columns=list(case.drop))
    y = data.target if case.target is None else case.target(data)
    X, y, s, test = X[taken], y[taken], s[taken], np.asarray(data.test[taken])
    named = case.kind != "no names"
    form = InvariantRegressor if case.kind == "number" else InvariantClassifier
    model = form(max_gap=max_gap, random_state=seed, **case.settings)
    start = time.process_time()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        ids = {"ids": X.index[~test]} if named else {}
        model.fit(X[~test], y[~test], sensitive_features=s[~test], **ids)
    seconds = time.process_time() - start
    certificate = model.certificate_
    assert certificate is not None

    return {
        "bound": certificate.bound,
        "measured": certificate.estimate,
        "share": model.share_,
        "groups": len(model.groups_),
        "held_out": sum(certificate.sizes),
        **scores(model, X[test], y[test], s[test], X.index[test] if named else None),
        "remarks": list(model.remarks_),
        "warnings": sorted({str(warning.message) for warning in heard}),
        "cpu_seconds": round(seconds, 1),
    }


def scores(model: Any, X: pd.DataFrame, y: pd.Series, s: Columns, ids: Any) -> dict[str, float]:
    """How useful the published codes of the test rows are, and what they reveal."""

    bits = model.transform(X, ids=ids)
    codes = torch.from_numpy(bits.astype(np.int64) @ (1 << np.arange(bits.shape[1])))
    names = {value: n for n, value in enumerate(model.groups_.tolist())}
    groups = torch.tensor([names[value] for value in model.sensitive_groups(s).tolist()])
    by_group = observed_table(codes, groups, len(names), 2 ** bits.shape[1])
    rates = by_group / by_group.sum(1, keepdim=True)
    found = {"test_gap": (torch.cdist(rates, rates, p=1).max() / 2).item()}
    if isinstance(model, InvariantRegressor):
        return found | {"score": r2_score(y, model.decode(bits)), "constant": 0.0}
    answers, truth = model.decode(bits), np.asarray(y)
    numbers = torch.from_numpy(np.searchsorted(model.classes_, truth))
    table = observed_table(codes, numbers, len(model.classes_), 2 ** bits.shape[1])

    return found | {
        "score": float(np.mean(model.classes_[answers.argmax(1)] == truth)),
        "constant": float(pd.Series(truth).value_counts(normalize=True).max()),
        "information": mutual_information(table).item(),
        "entropy": group_entropy(table).item(),
        "log_loss": float(log_loss(truth, answers, labels=model.classes_)),
    }


def summary(records: pd.DataFrame) -> str:
    """One row for each case: the mean score at each goal, and the mean share of rows with a code.

    The score is the accuracy in per cent, or the share of variance explained.
    """

    goals = sorted(records["max_gap"].unique())
    lines = [
        "| data set | case | a constant | " + " | ".join(f"{goal:g}" for goal in goals) + " |",
        "| --- | --- | --- |" + " --- |" * len(goals),
    ]
    for (name, kind), part in records.groupby(["dataset", "kind"], sort=False):
        cells = []
        for goal in goals:
            some = part[part["max_gap"] == goal]
            blank = "" if some.empty or some["share"].mean() > 0.995 else " of "
            cells.append(
                ""
                if some.empty
                else f"{100 * some['score'].mean():.1f}"
                + (f" ({some['share'].mean():.0%})" if blank else "")
            )
        constant = f"{100 * part['constant'].mean():.1f}"
        lines.append(f"| {name} | {kind} | {constant} | {' | '.join(cells)} |")

    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""

    parser = options(__doc__, "goals", seeds=3)
    parser.add_argument("--only", help="the name of one data set")
    parser.add_argument("--kind", help="one kind of case")
    arguments = parser.parse_args()
    runs = Runs(arguments.records)
    done = runs.done("dataset", "kind", "seed", "max_gap")
    for case in CASES:
        if arguments.only not in (None, case.dataset) or arguments.kind not in (None, case.kind):
            continue
        data = entries()[case.dataset].load()
        for seed in range(arguments.seeds):
            with shared_posteriors({}):
                for max_gap in case.goals:
                    if (case.dataset, case.kind, seed, max_gap) in done:
                        continue
                    named = {"dataset": case.dataset, "kind": case.kind}
                    named |= {"seed": seed, "max_gap": max_gap}
                    runs.add(named | run(case, data, max_gap, seed))
    print(summary(runs.table()))


if __name__ == "__main__":
    main()
