"""Goals on every bundled data set: each is certified, or refused with advice that we follow.

We fit a classifier for each gap, for a binary, a multi-class and an intersectional sensitive
attribute of each data set. If the goal is refused, we take the number from the text, add five per
cent, and ask for that once. Each fit is a line of JSON in --records. Fits that are already there
are not repeated. The seed is 0, and the test rows are those of `Dataset.test`.

    python benchmarks/bench_goals.py [--records FILE] [--only NAME]
"""

import argparse
import re
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from runs import FOLDER, Runs

from bitveil import datasets
from bitveil.certificates import UncertifiableError
from bitveil.datasets import Dataset
from bitveil.information import total_variation
from bitveil.models import InvariantClassifier
from bitveil.tables import joint_table

LARGE, SMALL = (0.1, 0.2), (0.1, 0.2, 0.3)
NUMBER = re.compile(r"certified at ([\d.]+) only|more than ([\d.]+\d)")


@dataclass(frozen=True)
class Case:
    """A data set with one form of its sensitive attribute."""

    dataset: str
    kind: str
    sensitive: Callable[[Dataset], pd.Series | pd.DataFrame]
    without: tuple[str, ...]
    gaps: tuple[float, ...]
    drop: tuple[str, ...] = ()
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


CASES = [
    Case("german_credit", "binary", lambda d: d.sensitive["sex"], ("sex",), SMALL),
    Case("german_credit", "multi", lambda d: d.features["personal_status"], ("sex",), SMALL),
    Case("german_credit", "pairs", both("sex", "age_group"), ("sex", "age_group"), SMALL),
    Case(
        "communities_crime",
        "binary",
        lambda d: d.sensitive["black_share"],
        ("black_share",),
        SMALL,
    ),
    Case(
        "communities_crime",
        "multi",
        lambda d: d.features["racepctblack"],
        ("black_share",),
        SMALL,
        settings={"bins": 3},
    ),
    Case("communities_crime", "pairs", shares, ("black_share",), SMALL, ("racePctHisp",)),
    Case("adult", "binary", lambda d: d.sensitive["sex"], ("sex",), LARGE),
    Case("adult", "multi", lambda d: d.sensitive["race"], ("race",), LARGE),
    Case("adult", "pairs", both("sex", "age_group"), ("sex", "age_group"), LARGE),
    Case("bank_marketing", "binary", lambda d: d.sensitive["marital"], ("marital",), LARGE),
    Case("bank_marketing", "multi", lambda d: d.features["marital"], ("marital",), LARGE),
    Case("bank_marketing", "pairs", both("marital", "age_group"), ("marital", "age_group"), LARGE),
    Case("credit_card", "binary", lambda d: d.sensitive["sex"], ("sex",), LARGE),
    Case("credit_card", "multi", joined("EDUCATION", 1000), (), LARGE, ("EDUCATION",)),
    Case("credit_card", "pairs", sex_and_marriage, ("sex",), LARGE, ("MARRIAGE",)),
    Case("credit_card", "rare", lambda d: d.features["EDUCATION"], (), (0.2,), ("EDUCATION",)),
]


def run(case: Case, data: Dataset, max_gap: float) -> dict[str, Any]:
    """Fit for one goal: the outcome, and how the codes do on the test rows."""

    X, s = data.without(*case.without).drop(columns=list(case.drop)), case.sensitive(data)
    test, y = data.test, data.target
    model = InvariantClassifier(max_gap=max_gap, random_state=0, **case.settings)
    start = time.perf_counter()
    record: dict[str, Any] = {"rows": int((~test).sum())}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            model.fit(X[~test], y[~test], sensitive_features=s[~test], ids=X.index[~test])
            record |= {"outcome": "certified", **judged(model, X[test], y[test], s[test])}
        except (UncertifiableError, ValueError) as error:
            record |= {"outcome": "refused", "message": str(error)}
        except Exception:
            record |= {"outcome": "crashed", "message": traceback.format_exc()}
    if hasattr(model, "grouping_"):
        record["groups"] = len(model.groups_)
    record["warnings"] = sorted({str(warning.message) for warning in heard})

    return record | {"seconds": round(time.perf_counter() - start, 1)}


def judged(
    model: InvariantClassifier, X: pd.DataFrame, y: pd.Series, s: pd.Series | pd.DataFrame
) -> dict[str, Any]:
    """The certificate, and the scores of the codes on the test rows."""

    certificate = model.certificate_
    assert certificate is not None
    names = {value: number for number, value in enumerate(model.groups_.tolist())}
    groups = torch.tensor([names[value] for value in model.sensitive_groups(s).tolist()])
    table = joint_table(torch.from_numpy(model.logits(X)), groups, len(names))

    return {
        "bound": certificate.bound,
        "measured": certificate.estimate,
        "smallest_group": min(certificate.sizes),
        "test_gap": total_variation(table).item(),
        "accuracy": float(np.mean(model.predict(X) == y)),
        "majority": float(y.value_counts(normalize=True).max()),
        "path": [(step.limit, step.gap, step.score, step.information) for step in model.path_],
    }


def advised(message: str) -> float | None:
    """The number that a refusal advises, plus five per cent."""

    found = NUMBER.findall(message)

    return round(1.05 * float("".join(found[-1])), 4) if found else None


def goals(case: Case, done: dict[Any, dict[str, Any]]) -> Iterator[tuple[float, float | None]]:
    """The goals that are not recorded yet: the gap, and the refused gap before it."""

    for gap in case.gaps:
        if (case.dataset, case.kind, gap) not in done:
            yield gap, None
        advice = advised(done[case.dataset, case.kind, gap].get("message", ""))
        known = advice is None or (case.dataset, case.kind, advice) in done
        if advice is not None and advice < 1 and not known:
            yield advice, gap


def table(records: list[dict[str, Any]]) -> str:
    """The goals as Markdown, each with the outcome of its advice."""

    lines = [
        "| data set | attribute | groups | goal | outcome | measured | test gap | accuracy | "
        "majority |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        goal = f"{record['max_gap']:g}"
        if record["followed"] is not None:
            goal += f" (advised after {record['followed']:g})"
        said = [record["dataset"], record["kind"], str(record["groups"]), goal, record["outcome"]]
        names = ("measured", "test_gap", "accuracy", "majority")
        cells = [f"{record[name]:.3f}" if name in record else "" for name in names]
        lines.append(f"| {' | '.join([*said, *cells])} |")

    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, default=FOLDER / "goals.jsonl")
    parser.add_argument("--only", help="the name of one data set")
    arguments = parser.parse_args()
    runs = Runs(arguments.records)
    done = {(r["dataset"], r["kind"], r["max_gap"]): r for r in runs.read()}
    for case in CASES:
        if arguments.only not in (None, case.dataset):
            continue
        data = getattr(datasets, f"load_{case.dataset}")()
        for max_gap, followed in goals(case, done):
            named = {"dataset": case.dataset, "kind": case.kind}
            record = named | {"max_gap": max_gap, "followed": followed}
            record |= run(case, data, max_gap)
            done[case.dataset, case.kind, max_gap] = record
            runs.add(record)
    print(table(list(done.values())))


if __name__ == "__main__":
    main()
