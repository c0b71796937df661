"""What the report says of one data set: what is certified, reached, told, and what it took."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bitveil.benchmark.document import Block, Figure, Heading, Table, Text
from bitveil.benchmark.fronts import (
    LEAST_USE,
    LEVELS,
    Gap,
    areas,
    certified,
    chosen,
    done,
    least_certified,
    reached,
)
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.plots import KINDS, ranked, title

__all__ = ["NAMES", "OUTSIDE", "TREES", "label", "of_splits", "sections"]

TREES = ("tree", "tree-posterior")
"""The methods that have FARE's own bound too."""

FARE = "FARE's own bound, not corrected"
LEVEL = 0.10
"""The gap of the worst attacker at which chosen models are shown in full."""

NAMES: dict[str, str] = {
    "bound": "certified",
    "bound_fare": "certified, trees by FARE's own bound,",
    "attack_gap": "worst attacker",
    "gap": "classifiers",
}
"""What the kinds of gaps are called."""

OUTSIDE = "†"


def sections(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """All of one data set.

    Arguments:
        records: Its records, one of which at least is done.
    """

    rows = done(records)
    dataset = str(rows["dataset"].iloc[0])
    yield from _dataset(dataset, rows)
    yield from _certified(dataset, rows)
    yield from _areas(rows)
    yield from _levels(dataset, rows)
    yield from _models(rows)
    yield from _leak(rows)
    yield from _cost(records)


def label(method: str) -> str:
    """What a method is called, with a mark where it does not compete."""

    return title(method) + ("" if ranked(method) else f" {OUTSIDE}")


def of_splits(splits: int, of: int) -> str:
    """On how many splits something is, where it is not on all.

    Example:
        >>> of_splits(2, 3), of_splits(3, 3)
        (' (2 of 3)', '')
    """

    return "" if splits == of else f" ({splits:.0f} of {of:.0f})"


def _dataset(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    row, least = rows.iloc[0], least_certified(rows).iloc[0]
    by_group = " and ".join(
        f"{n:,} {g}" for g, n in zip(least["groups"], least["rows"], strict=True)
    )
    floor = math.floor(1e4 * least["all"]) / 1e4
    yield Heading(dataset)
    yield Text(
        f"{row['rows_fit']:,} rows to fit, {row['rows_select']:,} to select, "
        f"{row['rows_certify']:,} to certify, {row['rows_test']:,} to test, of which "
        f"{100 * rows['test_majority'].mean():.1f} % are of the more frequent class. Splits: "
        f"{', '.join(map(str, sorted(rows['seed'].unique())))}."
    )
    yield Text(
        f"With these rows to certify ({by_group}) and {least['configurations']} configurations "
        f"**no gap below {floor:.4f} can be certified**, whatever the code; smaller goals are "
        f"refused. For a single configuration it would be {least['alone']:.4f}."
    )


def _certified(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    found = certified(rows)
    yield Heading(f"{dataset}: certified", 3)
    if found.empty:
        yield Text("No method of these records has codes that can be certified.")
        return
    yield _figure(dataset, "bound")
    order = _order(rows, found["method"].unique())
    known = certified(rows[rows["method"].isin(TREES)], bound="bound_fare")
    lines = [
        *_accuracies(found, order),
        *_accuracies(known, [m for m in order if m in set(known["method"])], FARE),
    ]
    yield _table_of_levels("certified gap ≤", lines)
    over = found[found["worst"] > found["level"]]
    picks = int(found["certified"].sum())
    yield Text(
        f"Accuracy on the test rows in %, of {picks} certified choices; – where none is "
        "certified, and how many splits it is where it is not on all. Bold is the highest of "
        "those that compete, are certified on all splits, and by the corrected bound. "
        + (
            "The total variation between the groups' codes on the test rows is within the level "
            "for all of these choices."
            if over.empty
            else "On the test rows the total variation is above the level for some of these "
            "choices (it is measured on a sample, and so a little too large): "
            + "; ".join(
                f"{title(row['method'])} at {row['level']:.2f}: {row['worst']:.3f}"
                for _, row in over.iterrows()
            )
            + "."
        )
    )


def _order(rows: pd.DataFrame, methods: Iterable[Any]) -> list[str]:
    """Methods by their certified area, then by that of the worst attacker; unranked ones last."""

    found = areas(rows, unprotected=UNPROTECTED)
    by = {kind: some.set_index("method")["mean"].to_dict() for kind, some in found.groupby("kind")}
    low = -math.inf

    def place(method: str) -> tuple[bool, float, float]:
        bound, attack = (by.get(kind, {}).get(method, low) for kind in ("bound", "attack_gap"))
        return not ranked(method), -bound, -attack

    return sorted(map(str, methods), key=place)


def _accuracies(found: pd.DataFrame, order: list[str], note: str = "") -> list[tuple[str, ...]]:
    """A line for each method: its accuracy at each level."""

    there = {(row["method"], row["level"]): row for _, row in found.iterrows()}
    lines = []
    for method in order:
        cells = [_accuracy(there[method, level], [*there.values()], note) for level in LEVELS]
        lines.append((label(method) + (f"; {note}" if note else ""), *cells))

    return lines


def _accuracy(row: "pd.Series[Any]", others: "list[pd.Series[Any]]", note: str) -> str:
    """One cell; bold if it is the highest of its level."""

    if row["certified"] == 0:
        return "–"
    text = _spread(row["accuracy"], row["sd"], row)
    known = [other for other in others if other["level"] == row["level"] and _competes(other)]
    highest = max((other["accuracy"] for other in known), default=math.inf)

    return f"**{text}**" if not note and _competes(row) and row["accuracy"] == highest else text


def _competes(row: "pd.Series[Any]") -> bool:
    return ranked(row["method"]) and row["certified"] == row["splits"]


def _spread(mean: float, sd: float, row: "pd.Series[Any]") -> str:
    """An accuracy in per cent, its spread, and on how many splits it is there."""

    spread = f" ± {100 * sd:.1f}" if row["certified"] > 1 else ""

    return f"{100 * mean:.1f}{spread}" + of_splits(row["certified"], row["splits"])


def _table_of_levels(name: str, lines: Iterable[tuple[str, ...]]) -> Table:
    return Table((name, *(f"{level:.2f}" for level in LEVELS)), tuple(lines))


def _figure(dataset: str, gap: Gap) -> Figure:
    name, along = KINDS[gap]

    return Figure(
        f"benchmark-{dataset}-{name}.svg",
        f"Accuracy on the test rows of {dataset} against the {along}, a line for each method",
    )


def _areas(rows: pd.DataFrame) -> Iterator[Block]:
    found = areas(rows, unprotected=UNPROTECTED, intervals=True)
    yield Heading(f"{rows['dataset'].iloc[0]}: areas", 3)
    if found.empty:
        yield Text(
            f"There are no areas: they need the records of `{UNPROTECTED}`, and its accuracy at "
            f"least {100 * LEAST_USE:.1f} points above that of the majority class."
        )
        return
    there = {(row["method"], row["kind"]): row for _, row in found.iterrows()}
    yield Table(
        ("method", *(NAMES[kind] for kind in KINDS)),
        tuple(
            (label(method), *(_area(there, method, kind) for kind in KINDS))
            for method in _order(rows, found["method"].unique())
        ),
    )
    yield Text(
        "The area under accuracy against the gap, from 0, the majority class at every gap, to 1, "
        "the accuracy without protection at a gap of 0. Gaps go up to that of "
        f"`{UNPROTECTED}`. Bold is the highest of those that compete, {OUTSIDE} is outside the "
        "ranking, – a representation that cannot be certified. In brackets is the bootstrap "
        "interval of 95 % over the test rows in the mean of the splits, with choices and box as "
        "they are: as if all that was chosen erred on the same rows, which is the widest that it "
        "can be."
    )


def _area(there: "dict[tuple[Any, Any], pd.Series[Any]]", method: str, kind: str) -> str:
    """One cell; bold if it is the highest of its kind."""

    if (method, kind) not in there:
        return "–"
    row = there[method, kind]
    text = f"{row['mean']:.3f}" + (f" ± {row['sd']:.3f}" if row["splits"] > 1 else "")
    if not math.isnan(row["low"]):
        text += f" ({row['low']:.2f} to {row['high']:.2f})"
    known = [each["mean"] for (m, k), each in there.items() if k == kind and ranked(m)]

    return f"**{text}**" if ranked(method) and row["mean"] == max(known) > 0 else text


def _levels(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    """What is reached at measured gaps."""

    yield Heading(f"{dataset}: attackers and classifiers", 3)
    kinds: tuple[Gap, Gap] = ("attack_gap", "gap")
    for gap in kinds:
        found = reached(rows, gap)
        yield _figure(dataset, gap)
        yield _table_of_levels(
            f"gap of the {NAMES[gap]} ≤",
            _accuracies(found, _order(rows, found["method"].unique())),
        )
    yield Text(
        "Accuracy on the test rows in %, at gaps on the rows to select; – where no configuration "
        "is within the gap."
    )


def _models(rows: pd.DataFrame) -> Iterator[Block]:
    """All scores of the models that are chosen at one level."""

    dataset = rows["dataset"].iloc[0]
    yield Heading(f"{dataset}: models within an attack gap of {LEVEL:.2f}", 3)
    free = chosen(rows[rows["method"] == UNPROTECTED], "attack_gap", math.inf)
    picked = chosen(rows, "attack_gap", LEVEL)
    order = _order(rows, picked["method"].unique())
    lines = [_scores(picked[picked["method"] == m], rows, label(m)) for m in order]
    if len(free):
        lines.append(_scores(free, rows, f"{title(UNPROTECTED)}, without a limit"))
    yield Table(_SCORES, tuple(lines))
    without = [str(m) for m in rows["method"].unique() if m not in set(picked["method"])]
    yield Text(
        "Means over splits, on the test rows, of the most accurate configuration whose worst "
        f"attacker is within {LEVEL:.2f} on the rows to select. Parity gap, odds (the larger "
        "difference of true or false positive rates) and impact (the lowest rate of positive "
        "answers by the highest) are the worst of the four classifiers. Information is in bits: "
        "that of the whole code about the group, and the paper's sum over single bits. "
        + (f"Within no split: {', '.join(map(title, without))}." if without else "")
    )


_SCORES = (
    "method",
    "accuracy",
    "AUC",
    "parity gap",
    "odds",
    "impact",
    "joint bits",
    "sum over bits",
    "attack gap",
    "attack AUC",
    "best attacker",
)


def _scores(some: pd.DataFrame, rows: pd.DataFrame, name: str) -> tuple[str, ...]:
    splits = rows.loc[rows["method"] == some["method"].iloc[0], "seed"].nunique()
    odds = some[["test_true_positive_rate", "test_false_positive_rate"]].max(axis=1).mean()
    families = some["test_attack_family"].value_counts()

    return (
        name + of_splits(len(some), splits),
        f"{100 * some['test_accuracy'].mean():.1f}",
        *(_number(some, column) for column in ("test_auc", "test_gap")),
        f"{odds:.3f}",
        *(_number(some, column) for column in ("test_impact",)),
        *(_number(some, column, 4) for column in ("test_information_bits", "test_neuron_bits")),
        *(_number(some, column) for column in ("test_attack_gap", "test_attack_auc")),
        ", ".join(str(family) for family in families.index),
    )


def _number(some: pd.DataFrame, column: str, digits: int = 3) -> str:
    value = some[column].mean() if column in some else np.nan

    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _leak(rows: pd.DataFrame) -> Iterator[Block]:
    """The paper's own number beside what its codes tell."""

    some = rows[rows["method"] == "paper"]
    if some.empty or "test_neuron_bits" not in some:
        return
    some = some.assign(gamma=some["settings"].map(lambda settings: settings["gamma"]))
    more = (some["test_information_bits"] > some["test_neuron_bits"]).sum()
    columns = ["test_neuron_bits", "test_information_bits", "test_variation", "test_attack_gap"]
    means = some.groupby("gamma")[[*columns, "test_attack_auc", "test_accuracy"]].mean()
    yield Heading(f"{rows['dataset'].iloc[0]}: the paper in its own terms", 3)
    yield Table(
        (
            *("γ", "sum over single bits", "joint bits", "total variation", "attack gap"),
            *("attack AUC", "accuracy"),
        ),
        tuple(
            (
                f"{gamma:.3g}",
                *(f"{row[name]:.4f}" for name in columns[:2]),
                *(f"{row[name]:.3f}" for name in (*columns[2:], "test_attack_auc")),
                f"{100 * row['test_accuracy']:.1f}",
            )
            for gamma, row in zip(means.index, means.to_dict("records"), strict=True)
        ),
    )
    yield Text(
        "The paper trains the information of single bits about the group, and reports its sum. "
        f"In {more} of {len(some)} configurations the whole code tells more than this sum. Means "
        "over splits, on the test rows; the attackers were no part of the training."
    )


def _cost(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    table = pd.DataFrame(records)
    yield Heading(f"{records[0]['dataset']}: seconds", 3)
    lines = []
    for method, rows in table.groupby("method", sort=False):
        ended = rows[rows["status"] == "done"]
        seconds = [ended[name].mean() for name in ("seconds", "seconds_scoring")]
        shared = ended["seconds_shared"].sum() if "seconds_shared" in ended else 0.0
        lines.append(
            (
                title(str(method)),
                *("–" if math.isnan(each) else f"{each:.1f}" for each in seconds),
                f"{shared / rows['seed'].nunique():.0f}" if shared else "–",
                f"{len(ended)} of {len(rows)}",
            )
        )
    yield Table(
        ("method", "fit", "score", "features, once a split and process", "done"), tuple(lines)
    )
    yield Text("Means of configurations that are done, on machines that did other things as well.")
