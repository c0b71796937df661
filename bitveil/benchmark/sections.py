"""The report on one data set: its tables at equal gaps, other scores, cost, and what was run."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from bitveil.benchmark.document import Block, Figure, Heading, PageTable, Text
from bitveil.benchmark.fronts import GapKind, done, reached
from bitveil.benchmark.losses import in_percent
from bitveil.benchmark.methods import RULE, UNPROTECTED
from bitveil.benchmark.names import GAP_NAMES, is_ours, label, marks_explained, ranked, title
from bitveil.benchmark.plots import AXES
from bitveil.benchmark.standings import LEVELS, best_first, means
from bitveil.certificates.planning import least_gap

__all__ = ["confidence", "dates", "minutes", "of_splits", "sections", "versions"]

TREES = ("tree", "tree-posterior")
"""The methods that also have FARE's own bound."""

LEVEL = 0.10
"""The gap at which the report shows all scores."""


def sections(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """The report on one data set.

    Arguments:
        records: Its records. At least one is finished.
    """

    rows = done(records)
    yield from _dataset(rows)
    yield from _certified(rows)
    yield from _at_equal_gaps(rows)
    yield from _against_rule(rows)
    yield from _beside_accuracy(rows)
    yield from _cost(records)
    yield from _what_was_run(records)


def of_splits(splits: int, all_splits: int) -> str:
    """The number of splits, if it is not all of them.

    Example:
        >>> of_splits(2, 3), of_splits(3, 3)
        (' (2 of 3 splits)', '')
    """

    return "" if splits == all_splits else f" ({splits} of {all_splits} splits)"


def confidence(rows: pd.DataFrame) -> str:
    """The probability with which a certificate holds."""

    return ", ".join(f"{100 * (1 - d):g} %" for d in sorted(rows["delta"].unique()))


def _dataset(rows: pd.DataFrame) -> Iterator[Block]:
    row = rows.iloc[0]
    sizes = row["rows_certify_by_group"]
    by_group = " and ".join(f"{n:,} {g}" for g, n in zip(row["groups"], sizes, strict=True))
    yield Text(
        f"{row['rows_fit']:,} rows for fitting, {row['rows_select']:,} for selection, "
        f"{row['rows_certify']:,} for certification ({by_group}) and {row['rows_test']:,} for the "
        f"test. Always giving the majority's answer is right for "
        f"{100 * rows['test_majority'].mean():.1f} % of the test rows."
    )
    yield Text(
        "With these rows for certification, a code that reveals nothing has the bound "
        f"{least_gap(sizes, row['delta']):.3f}. At a lower level some rows stay blank, whatever "
        "the method."
    )


def _certified(rows: pd.DataFrame) -> Iterator[Block]:
    found = reached(rows, "certified", LEVELS)
    yield Heading(f"{_dataset_name(rows)}: at a certified gap")
    if found.empty:
        yield Text("No method in these records has codes that can be certified.")
        return
    yield _figure(rows, "certified")
    fare = reached(rows[rows["method"].isin(TREES)], "fare", LEVELS)
    yield _levels("certified gap", rows, found, _fare_lines(rows, fare))
    over = found[found["variation"] > found["level"]]
    yield Text(
        f"Accuracy on the test rows in %, mean ± standard deviation over splits. {_BOLD} For each "
        "number one configuration is chosen on the rows to select, and certified once. A row gets "
        "its code with the probability that brings the bound to the level. All other rows stay "
        "blank, and get the majority's answer. **Each number alone holds with probability "
        f"{confidence(rows)}, not all at once.** In {len(over)} of {len(found)} cases (a method, "
        "a level and a split) the total variation measured on the test rows is above the level. "
        "This measurement is on average a little too large. "
        + (_FARE_TEXT if len(fare) else "")
        + _own_goals(rows)
        + marks_explained(found["method"].unique())
    )


_BOLD = "Bold is the highest of the competing methods."

_FARE_TEXT = (
    "The lines with FARE's own bound are the same trees with the bound of their paper. The slack "
    "that their choice expects comes from the rows to certify, which is in their favour. "
)


def _own_goals(rows: pd.DataFrame) -> str:
    """What is different for methods with goals of their own, if there are any."""

    named = " and ".join(map(title, _goals(rows)))

    return (
        f"About {named}: it gets all rows but those for the test, and a goal. It splits the rows, "
        "certifies the goal and leaves rows blank by itself. Here we take the fit with the "
        "largest goal within the level. It is not in the tables of measured gaps, because it has "
        "seen the rows that choose there. "
        if named
        else ""
    )


def _goals(rows: pd.DataFrame) -> list[str]:
    """The methods that have goals of their own."""

    goals = rows["own_goal"] if "own_goal" in rows else pd.Series(float("nan"), rows.index)

    return [str(name) for name in rows.loc[goals.notna(), "method"].unique()]


def _dataset_name(rows: pd.DataFrame) -> str:
    return str(rows["dataset"].iloc[0])


def _figure(rows: pd.DataFrame, kind: GapKind) -> Figure:
    (name, along), dataset = AXES[kind], _dataset_name(rows)

    return Figure(
        f"{dataset}-{name}.svg",
        f"Accuracy on the test rows of {dataset} against the {along}, a line for each method",
    )


def _levels(
    name: str, rows: pd.DataFrame, found: pd.DataFrame, more: Iterable[tuple[str, ...]] = ()
) -> PageTable:
    """A line for each method, with its accuracy at each level."""

    values = means(found)
    most = values[values["method"].map(ranked).astype(bool)].groupby("level")["value"].max()
    lines = [
        (_with_splits(rows, method), *(_accuracy(row, most) for row in _records(values, method)))
        for method in best_first(found)
    ]

    return PageTable((name, *(f"{level:.2f}" for level in LEVELS)), (*lines, *more))


def _with_splits(rows: pd.DataFrame, method: str) -> str:
    """The label of a method, and the number of its splits if it lacks some."""

    ran = rows.loc[rows["method"] == method, "seed"].nunique()

    return label(method) + of_splits(ran, rows["seed"].nunique())


def _records(values: pd.DataFrame, method: str) -> list[dict[str, Any]]:
    """The rows of a method, in the order of the levels."""

    some = values[values["method"] == method].sort_values("level").to_dict("records")

    return [{str(name): value for name, value in row.items()} for row in some]


def _accuracy(row: dict[str, Any], most: "pd.Series[float]") -> str:
    text = in_percent(row["value"], row["sd"])
    is_best = ranked(row["method"]) and row["value"] == most[row["level"]]

    return f"**{text}**" if is_best else text


def _fare_lines(rows: pd.DataFrame, found: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    if found.empty:
        return
    values = means(found)
    for method in best_first(found):
        cells = (in_percent(row["value"], row["sd"]) for row in _records(values, method))
        yield f"{_with_splits(rows, method)}; FARE's own bound", *cells


def _at_equal_gaps(rows: pd.DataFrame) -> Iterator[Block]:
    """The accuracies at equal gaps on the test rows."""

    kinds: tuple[GapKind, GapKind] = ("attack_gap", "gap")
    yield Heading(f"{_dataset_name(rows)}: at an equal gap on the test rows")
    yield Text(
        "Nothing is certified here, so representations of real numbers take part. A configuration "
        "is chosen on the rows to select. Then rows stay blank until the gap on the test rows is "
        "at the level, for all methods alike. The attackers and the classifiers are of four "
        "families. A stronger attacker can find more in real numbers."
    )
    for kind in kinds:
        yield _figure(rows, kind)
        yield _levels(GAP_NAMES[kind], rows, reached(rows, kind, LEVELS))
    yield Text(
        "Accuracy on the test rows in %, mean ± standard deviation over splits. "
        + " ".join((_BOLD, marks_explained(rows["method"].unique())))
    )


def _against_rule(rows: pd.DataFrame) -> Iterator[Block]:
    """bitveil beside the best single bit, at equal variation on the test rows."""

    found = reached(rows, "variation", LEVELS)
    if RULE not in set(found["method"]):
        return
    ours = [m for m in best_first(found) if is_ours(m)]
    yield Heading(f"{_dataset_name(rows)}: against the closed-form rule")
    for column, kind in (("accuracy", "accuracy in %"), ("task_bits", "bits about the target")):
        yield PageTable(
            (f"{kind}, at a total variation of", *(f"{level:.2f}" for level in LEVELS)),
            tuple(
                (_with_splits(rows, method), *_beside_rule(found, column, method))
                for method in (RULE, *ours)
            ),
        )
    yield Text(
        "The rule publishes one bit: the answer of a classifier that is best within the gap, if "
        "the predictions of target and group that it reads are right. A code of several bits can "
        "say more about the target within the same gap. The total variation is that on the test "
        "rows. Rows stay blank as in the tables above. In brackets: the difference in points of "
        "accuracy, and the ratio of bits, over the splits that both ran."
    )


def _beside_rule(found: pd.DataFrame, column: str, method: str) -> Iterator[str]:
    """The values of a method at each level, with its distance from the rule."""

    by = found.pivot(index=["level", "seed"], columns="method", values=column)
    for level in LEVELS:
        mine, rule = by.loc[level][method].dropna(), by.loc[level][RULE].dropna()
        text, both = _spread(mine.mean(), mine.std(), column), mine.index.intersection(rule.index)
        difference = _distance(rule[both].mean(), mine[both].mean(), column)
        yield text if method == RULE else f"{text} ({difference})"


def _distance(rule: float, mine: float, column: str) -> str:
    """How far a value is from that of the rule.

    Example:
        >>> _distance(0.80, 0.81, "accuracy"), _distance(0.8, 0.79999, "accuracy")
        ('+1.0', '+0.0')
        >>> _distance(0.1, 0.15, "task_bits")
        '1.50 ×'
    """

    if column == "accuracy":
        return f"{round(100 * (mine - rule), 1) + 0.0:+.1f}"  # the sum turns -0.0 into 0.0

    return f"{mine / rule:.2f} ×" if rule > 0 else "–"


def _spread(mean: float, sd: float, column: str) -> str:
    """A score, and its spread over splits if there is one. Shares are in per cent."""

    if math.isnan(mean):
        return "–"
    if column in ("accuracy", "share"):
        return in_percent(mean, sd)

    return f"{mean:.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


_BESIDE = {
    "accuracy": "accuracy",
    "share": "rows with a code",
    "task_bits": "bits about the target",
    "log_loss": "log-loss",
    "auc": "AUC",
    "variation": "total variation",
    "attack_auc": "attack AUC",
}
"""The scores beside accuracy, and their names."""


def _beside_accuracy(rows: pd.DataFrame) -> Iterator[Block]:
    """All scores at one level, certified and with attackers alone."""

    kinds: tuple[GapKind, GapKind] = ("certified", "attack_gap")
    yield Heading(f"{_dataset_name(rows)}: beside accuracy, at {LEVEL:.2f}")
    for kind in kinds:
        found = reached(rows, kind, [LEVEL])
        if len(found):
            lines = [_scores(found, m, _with_splits(rows, m)) for m in best_first(found)]
            free = reached(rows[rows["method"] == UNPROTECTED], kind, [1.0])
            if len(free):
                lines.append(_scores(free, UNPROTECTED, f"{title(UNPROTECTED)}, no limit"))
            yield PageTable((f"{GAP_NAMES[kind]} {LEVEL:.2f}", *_BESIDE.values()), tuple(lines))
    yield Text(
        "Means ± standard deviations over splits, on the test rows. Accuracy and rows with a code "
        "are in %, log-loss is in nats. Accuracy, bits, log-loss and total variation count blank "
        "rows too, with the majority's answer and the shares of the target. The AUCs of the "
        "target, and of the best attacker for the group, are of the rows with a code"
        + (", or of all rows if a method leaves blanks by itself. " if _goals(rows) else ". ")
        + _more_than_single_bits(rows)
        + marks_explained(rows["method"].unique())
    )


def _scores(found: pd.DataFrame, method: str, name: str) -> tuple[str, ...]:
    some = found[found["method"] == method]

    return name, *(_spread(some[column].mean(), some[column].std(), column) for column in _BESIDE)


def _more_than_single_bits(rows: pd.DataFrame) -> str:
    """How often the codes of the paper's method reveal more than the number that it reports."""

    some = rows[rows["method"] == "paper"]
    if some.empty or "test_neuron_bits" not in some:
        return ""
    more = (some["test_information_bits"] > some["test_neuron_bits"]).sum()

    return (
        "The paper reports the summed information of single bits about the group. In "
        f"{more} of {len(some)} of its configurations the whole code reveals more. "
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


def _what_was_run(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """What was run: when, with which versions, for how long, and what did not finish."""

    statuses = Counter(record["status"] for record in records)
    seeds = sorted({record["seed"] for record in records})
    counted = ", ".join(f"{n} {status}" for status, n in statuses.most_common())
    yield Heading(f"{records[0]['dataset']}: what was run")
    yield Text(
        f"{len(records)} configurations: {counted}. Splits: {', '.join(map(str, seeds))}. Date: "
        f"{dates(records)}. Processor time: {minutes(records):,.0f} minutes. Versions: "
        f"{versions(records)}."
    )


def dates(records: Iterable[dict[str, Any]]) -> str:
    """The first and the last date of the records."""

    known = sorted({str(record["date"]) for record in records})

    return " to ".join(dict.fromkeys((known[0], known[-1])))


def minutes(records: Iterable[dict[str, Any]]) -> float:
    """The minutes of processor time, or by the clock for records without it."""

    clocks = ("seconds", "seconds_shared", "seconds_scoring")

    return sum(r.get("seconds_cpu") or sum(r.get(c, 0.0) for c in clocks) for r in records) / 60


def versions(records: Iterable[dict[str, Any]]) -> str:
    """The versions of the packages that made the records."""

    table = pd.DataFrame(records)
    packages = ("bitveil", "python", "torch", "scikit-learn", "numpy")

    return ", ".join(
        f"{name} {' and '.join(map(str, sorted(table[name].unique())))}" for name in packages
    )
