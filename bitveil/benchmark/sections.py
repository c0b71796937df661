"""The report on one data set: certified and measured gaps, scores, leakage and cost."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bitveil.benchmark.document import Block, Figure, Heading, PageTable, Text
from bitveil.benchmark.fronts import LEAST_USE, Gap, areas, chosen, done
from bitveil.benchmark.methods import UNPROTECTED
from bitveil.benchmark.plots import GAPS, ranked, title
from bitveil.benchmark.standings import LEVELS, certified_accuracy, least_certified, reached

__all__ = ["NAMES", "OUTSIDE", "TREES", "label", "of_splits", "sections"]

TREES = ("tree", "tree-posterior")
"""The methods that also have FARE's own bound."""

FARE = "FARE's own bound, not corrected"
LEVEL = 0.10
"""The gap of the worst attacker for which the report shows all scores."""

NAMES: dict[str, str] = {
    "bound": "certified",
    "bound_fare": "certified, trees with FARE's own bound,",
    "attack_gap": "worst attacker",
    "gap": "classifiers",
}
"""The names of the kinds of gaps."""

OUTSIDE = "†"
"""The mark of methods that do not compete."""


def sections(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """The report on one data set.

    Arguments:
        records: Its records. At least one is finished.
    """

    rows = done(records)
    dataset = str(rows["dataset"].iloc[0])
    yield from _dataset(dataset, rows)
    yield from _certified(dataset, rows)
    yield from _area_table(rows)
    yield from _measured_gaps(dataset, rows)
    yield from _chosen_models(rows)
    yield from _leak(rows)
    yield from _cost(records)


def label(method: str) -> str:
    """The title of a method, with a mark if it does not compete."""

    return title(method) + ("" if ranked(method) else f" {OUTSIDE}")


def of_splits(splits: int, all_splits: int) -> str:
    """The number of splits, if it is not all of them.

    Example:
        >>> of_splits(2, 3), of_splits(3, 3)
        (' (2 of 3)', '')
    """

    return "" if splits == all_splits else f" ({splits:.0f} of {all_splits:.0f})"


def _dataset(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    row, least = rows.iloc[0], least_certified(rows).iloc[0]
    by_group = " and ".join(
        f"{n:,} {g}" for g, n in zip(least["groups"], least["rows"], strict=True)
    )
    floor = math.floor(1e4 * least["all"]) / 1e4
    yield Text(
        f"{row['rows_fit']:,} rows for fitting, {row['rows_select']:,} for selection, "
        f"{row['rows_certify']:,} for certification and {row['rows_test']:,} for the test. Of the "
        f"test rows {100 * rows['test_majority'].mean():.1f} % have the more frequent class. "
        f"Splits: {', '.join(map(str, sorted(rows['seed'].unique())))}."
    )
    yield Text(
        f"With these rows for certification ({by_group}) and {least['configurations']} "
        f"configurations **no gap below {floor:.4f} can be certified**, for any code. bitveil "
        "refuses smaller goals today. With a single configuration the limit would be "
        f"{least['alone']:.4f}."
    )


def _certified(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    found = certified_accuracy(rows)
    yield Heading(f"{dataset}: certified")
    if found.empty:
        yield Text("No method in these records has codes that can be certified.")
        return
    yield _figure(dataset, "bound")
    order = _best_first(rows, found["method"].unique())
    known = certified_accuracy(rows[rows["method"].isin(TREES)], bound="bound_fare")
    lines = [
        *_accuracies(found, order),
        *_accuracies(known, [m for m in order if m in set(known["method"])], FARE),
    ]
    yield _table_of_levels("certified gap ≤", lines)
    over = found[found["worst"] > found["level"]]
    picks = int(found["certified"].sum())
    yield Text(
        f"Accuracy on the test rows in %, for {picks} certified choices. – means that no choice "
        "is certified. In brackets is the number of certified splits, if not all. Bold is the "
        "highest accuracy of the competing methods that are certified on all splits with the "
        "corrected bound. "
        + (
            "For all of these choices, the total variation between the groups' codes on the test "
            "rows is within the level."
            if over.empty
            else "For some of these choices the total variation on the test rows is above the "
            "level (it is measured on a sample, which makes it a little too large): "
            + "; ".join(
                f"{title(row['method'])} at {row['level']:.2f}: {row['worst']:.3f}"
                for _, row in over.iterrows()
            )
            + "."
        )
    )


def _best_first(rows: pd.DataFrame, methods: Iterable[Any]) -> list[str]:
    """Sort methods by certified area, then by the worst attacker's area, unranked ones last."""

    found = areas(rows, unprotected=UNPROTECTED)
    by = {kind: some.set_index("method")["mean"].to_dict() for kind, some in found.groupby("kind")}
    low = -math.inf

    def place(method: str) -> tuple[bool, float, float]:
        bound, attack = (by.get(kind, {}).get(method, low) for kind in ("bound", "attack_gap"))
        return not ranked(method), -bound, -attack

    return sorted(map(str, methods), key=place)


def _accuracies(found: pd.DataFrame, order: list[str], note: str = "") -> list[tuple[str, ...]]:
    """A line for each method, with its accuracy at each level."""

    there = {(row["method"], row["level"]): row for _, row in found.iterrows()}
    lines = []
    for method in order:
        cells = [_accuracy(there[method, level], [*there.values()], note) for level in LEVELS]
        lines.append((label(method) + (f"; {note}" if note else ""), *cells))

    return lines


def _accuracy(row: "pd.Series[Any]", others: "list[pd.Series[Any]]", note: str) -> str:
    """One cell. The highest accuracy of its level is bold."""

    if row["certified"] == 0:
        return "–"
    text = _with_spread(row["accuracy"], row["sd"], row)
    known = [other for other in others if other["level"] == row["level"] and _competes(other)]
    highest = max((other["accuracy"] for other in known), default=math.inf)

    return f"**{text}**" if not note and _competes(row) and row["accuracy"] == highest else text


def _competes(row: "pd.Series[Any]") -> bool:
    return ranked(row["method"]) and row["certified"] == row["splits"]


def _with_spread(mean: float, sd: float, row: "pd.Series[Any]") -> str:
    """An accuracy in per cent, its spread, and the number of splits if not all."""

    spread = f" ± {100 * sd:.1f}" if row["certified"] > 1 else ""

    return f"{100 * mean:.1f}{spread}" + of_splits(row["certified"], row["splits"])


def _table_of_levels(name: str, lines: Iterable[tuple[str, ...]]) -> PageTable:
    return PageTable((name, *(f"{level:.2f}" for level in LEVELS)), tuple(lines))


def _figure(dataset: str, gap: Gap) -> Figure:
    name, along = GAPS[gap]

    return Figure(
        f"{dataset}-{name}.svg",
        f"Accuracy on the test rows of {dataset} against the {along}, a line for each method",
    )


def _area_table(rows: pd.DataFrame) -> Iterator[Block]:
    found = areas(rows, unprotected=UNPROTECTED, intervals=True)
    yield Heading(f"{rows['dataset'].iloc[0]}: areas")
    if found.empty:
        yield Text(
            f"There are no areas. They need records of `{UNPROTECTED}`, with an accuracy at least "
            f"{100 * LEAST_USE:.1f} points above that of the majority class."
        )
        return
    there = {(row["method"], row["kind"]): row for _, row in found.iterrows()}
    yield PageTable(
        ("method", *(NAMES[kind] for kind in GAPS)),
        tuple(
            (label(method), *(_area(there, method, kind) for kind in GAPS))
            for method in _best_first(rows, found["method"].unique())
        ),
    )
    yield Text(
        "The area under the accuracy as a function of the gap. It is 0 for the majority class at "
        "every gap, and 1 for the accuracy without protection at a gap of 0. Gaps go up to the "
        f"gap of `{UNPROTECTED}`. Bold is the highest of the competing methods. {OUTSIDE} means "
        "outside the ranking, – a representation that cannot be certified. In brackets is the "
        "bootstrap interval of 95 % over the test rows, averaged over splits, with fixed choices "
        "and box. It assumes that all choices err on the same rows, which makes it as wide as "
        "possible."
    )


def _area(there: "dict[tuple[Any, Any], pd.Series[Any]]", method: str, kind: str) -> str:
    """One cell. The highest area of its kind is bold."""

    if (method, kind) not in there:
        return "–"
    row = there[method, kind]
    text = f"{row['mean']:.3f}" + (f" ± {row['sd']:.3f}" if row["splits"] > 1 else "")
    if not math.isnan(row["low"]):
        text += f" ({row['low']:.2f} to {row['high']:.2f})"
    known = [each["mean"] for (m, k), each in there.items() if k == kind and ranked(m)]

    return f"**{text}**" if ranked(method) and row["mean"] == max(known) > 0 else text


def _measured_gaps(dataset: str, rows: pd.DataFrame) -> Iterator[Block]:
    """The accuracies at measured gaps."""

    yield Heading(f"{dataset}: attackers and classifiers")
    kinds: tuple[Gap, Gap] = ("attack_gap", "gap")
    for gap in kinds:
        found = reached(rows, gap)
        yield _figure(dataset, gap)
        yield _table_of_levels(
            f"gap of the {NAMES[gap]} ≤",
            _accuracies(found, _best_first(rows, found["method"].unique())),
        )
    yield Text(
        "Accuracy on the test rows in %, at gaps on the rows for selection. – means that no "
        "configuration is within the gap."
    )


def _chosen_models(rows: pd.DataFrame) -> Iterator[Block]:
    """All scores of the models chosen at one level."""

    dataset = rows["dataset"].iloc[0]
    yield Heading(f"{dataset}: models within an attack gap of {LEVEL:.2f}")
    free = chosen(rows[rows["method"] == UNPROTECTED], "attack_gap", math.inf)
    picked = chosen(rows, "attack_gap", LEVEL)
    order = _best_first(rows, picked["method"].unique())
    lines = [_scores(picked[picked["method"] == m], rows, label(m)) for m in order]
    if len(free):
        lines.append(_scores(free, rows, f"{title(UNPROTECTED)}, without a limit"))
    yield PageTable(_SCORE_COLUMNS, tuple(lines))
    without = [str(m) for m in rows["method"].unique() if m not in set(picked["method"])]
    yield Text(
        "Means over splits, on the test rows, for the most accurate configuration whose worst "
        f"attacker is within {LEVEL:.2f} on the rows for selection. Parity gap, odds (the larger "
        "difference of true or false positive rates) and impact (the lowest rate of positive "
        "answers over the highest) are those of the worst of the four classifiers. Information is "
        "in bits: that of the whole code about the group, and the paper's sum over single bits. "
        + (f"Not within it on any split: {', '.join(map(title, without))}." if without else "")
    )


_SCORE_COLUMNS = (
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
        *(_mean_text(some, column) for column in ("test_auc", "test_gap")),
        f"{odds:.3f}",
        *(_mean_text(some, column) for column in ("test_impact",)),
        *(_mean_text(some, column, 4) for column in ("test_information_bits", "test_neuron_bits")),
        *(_mean_text(some, column) for column in ("test_attack_gap", "test_attack_auc")),
        ", ".join(str(family) for family in families.index),
    )


def _mean_text(some: pd.DataFrame, column: str, digits: int = 3) -> str:
    value = some[column].mean() if column in some else np.nan

    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _leak(rows: pd.DataFrame) -> Iterator[Block]:
    """The paper's own number beside the information of its codes."""

    some = rows[rows["method"] == "paper"]
    if some.empty or "test_neuron_bits" not in some:
        return
    some = some.assign(gamma=some["settings"].map(lambda settings: settings["gamma"]))
    more = (some["test_information_bits"] > some["test_neuron_bits"]).sum()
    columns = ["test_neuron_bits", "test_information_bits", "test_variation", "test_attack_gap"]
    means = some.groupby("gamma")[[*columns, "test_attack_auc", "test_accuracy"]].mean()
    yield Heading(f"{rows['dataset'].iloc[0]}: the paper in its own terms")
    yield PageTable(
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
        "The paper penalises the information of single bits about the group, and reports its sum. "
        f"In {more} of {len(some)} configurations the whole code reveals more than this sum. "
        "Means over splits, on the test rows. The attackers took no part in the training."
    )


def _cost(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    table = pd.DataFrame(records)
    yield Heading(f"{records[0]['dataset']}: seconds")
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
    yield PageTable(
        ("method", "fit", "score", "features, once for each split and process", "done"),
        tuple(lines),
    )
    yield Text("Means over finished configurations, on machines that also did other work.")
