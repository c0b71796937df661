"""The report: what the records say, in tables, figures and words. No result stands in this file.

The same records give the same Markdown, byte by byte.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bitveil.benchmark.document import Block, Figure, Heading, Items, Table, Text, html, markdown
from bitveil.benchmark.fronts import (
    LEVELS,
    Gap,
    areas,
    beaten,
    certified,
    chosen,
    done,
    least_certified,
    reached,
    standing,
    standings,
)
from bitveil.benchmark.methods import METHODS, UNPROTECTED
from bitveil.benchmark.plots import KINDS, draw_all, ranked, title

__all__ = ["blocks", "write"]

TITLE = "The benchmark"
TREES = ("tree", "tree-posterior")
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


def write(records: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write `report.html`, `benchmark.md` and the figures into a folder.

    Arguments:
        records: The records: see `bitveil.benchmark.run.read`.
        folder: The folder, which is made where it is missing.

    Returns:
        The paths that were written.

    Raises:
        ValueError: If no record came to an end.
        ImportError: If matplotlib is not installed.
    """

    table = done(records)
    if table.empty:
        raise ValueError(
            f"A report expects records of which one at least is done; got {len(records)}, none of "
            "them done. Their `error` says what failed."
        )
    folder.mkdir(parents=True, exist_ok=True)
    drawn = list(draw_all(table, folder))
    content = list(blocks(records))
    page = html(TITLE, content, {path.name: path.read_bytes() for path in drawn})
    texts = {"report.html": page, "benchmark.md": markdown(TITLE, content)}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")

    return [*(folder / name for name in texts), *drawn]


def blocks(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    """All blocks of the report."""

    table = done(records)
    yield from _protocol(records, table)
    yield from _losses(table)
    for dataset in table["dataset"].unique():
        rows = table[table["dataset"] == dataset]
        yield from _dataset(str(dataset), rows)
        yield from _certified(str(dataset), rows)
        yield from _areas(rows)
        yield from _levels(str(dataset), rows)
        yield from _models(rows)
        yield from _leak(rows)
        yield from _cost([r for r in records if r["dataset"] == dataset])
    yield from _failures(records)
    yield from _made(records)
    yield from _silent()


def _protocol(records: Sequence[dict[str, Any]], table: pd.DataFrame) -> Iterator[Block]:
    delta = ", ".join(f"{100 * (1 - d):g} %" for d in sorted(table["delta"].unique()))
    yield Text(
        f"{len(records)} records of {len(_cells(records))} cells: a cell is one method on one "
        "split of one data set, a record one configuration of it. This page is made from the "
        "records by `bitveil bench report`; `bitveil bench run` makes them, or more of them."
    )
    yield Items(
        (
            "The test rows of a data set are touched once a configuration, to report. Of the "
            "others half fit the method, a fifth selects, three tenths certify.",
            "Every choice, of a configuration at a gap, is made on the rows to select. What is "
            "told of it is its score on the test rows.",
            "All methods see the same columns (those with posterior features what boosted trees "
            "say of them), and get the same number of configurations and the same minutes.",
            "The accuracy is the mean of a linear model, a network, a forest and boosting that "
            "are trained on the representation; the classifiers' gap is the worst of theirs, the "
            "attack gap the worst of the same four families trained to tell the group.",
            f"A certified gap holds for every classifier of the codes, with probability {delta}, "
            "corrected for all configurations of the method that is certified. It is not "
            "corrected for the number of methods: it is for who uses one of them.",
            "± is the standard deviation over splits, which share their test rows.",
        )
    )


def _losses(table: pd.DataFrame) -> Iterator[Block]:
    """Every place where another method is higher than one of bitveil's."""

    yield Heading("Where a baseline is better than bitveil")
    ours = [str(m) for m in table["method"].unique() if str(m).startswith("bitveil")]
    if not ours:
        yield Text("These records are of no method of bitveil.")
        return
    stands = _standings(table, ours)
    found = beaten(stands, ours)
    competing = found[found["method"].map(ranked).astype(bool)]
    places = len(stands[_PLACE].drop_duplicates())
    yield Text(
        f"Compared are {places} numbers: for every data set three areas, and the accuracies at "
        "every level of the three kinds of gaps, and of trees by FARE's own bound against "
        "bitveil by the corrected one. Here is every one in which another method is higher than "
        "bitveil, however little; what cannot be reached at a level counts as lower than what "
        f"can. In **{_places(competing[competing['all'].astype(bool)])} of {places}** a method "
        "that competes is better than every form of bitveil that was run, in "
        f"{_places(competing)} better than one of them at least; with the methods outside the "
        f"ranking it is {_places(found[found['all'].astype(bool)])} and {_places(found)}."
    )
    if found.empty:
        return
    yield Table(
        ("data set", "number", *map(title, ours), "better"),
        tuple(
            (
                str(rows["dataset"].iloc[0]),
                _measure(rows.iloc[0]),
                *(_mine(stands, rows.iloc[0], name) for name in ours),
                "; ".join(_better(row) for _, row in rows.iterrows()),
            )
            for _, rows in _sorted(found).groupby(_PLACE, dropna=False, sort=False)
        ),
    )
    yield Text(
        f"Areas, and accuracies in %. Bold: better than every form of bitveil. {OUTSIDE} outside "
        "the ranking. In brackets: on how many splits, where it is not on all."
    )


_PLACE = ["dataset", "kind", "level"]
OUTSIDE = "†"


def _label(method: str) -> str:
    """What a method is called, with a mark where it does not compete."""

    return title(method) + ("" if ranked(method) else f" {OUTSIDE}")


def _standings(table: pd.DataFrame, ours: list[str]) -> pd.DataFrame:
    """All numbers that are compared, trees by FARE's own bound among them."""

    trees, mine = (table[table["method"].isin(names)] for names in (TREES, ours))
    fare = standing(certified(trees, bound="bound_fare"), "bound_fare")
    if len(fare):
        fare = pd.concat([fare, standing(certified(mine), "bound_fare")])
    some = [standings(table, unprotected=UNPROTECTED), fare]

    return pd.concat([each for each in some if len(each)], ignore_index=True)


def _places(found: pd.DataFrame) -> int:
    return len(found[_PLACE].drop_duplicates())


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    """Data set by data set: areas first, and the certified before the others."""

    order = found.assign(place=found["kind"].map(list(NAMES).index), high=-found["value"])

    return order.sort_values(
        ["dataset", "place", "level", "high"], na_position="first", kind="stable"
    )


def _better(row: "pd.Series[Any]") -> str:
    text = f"{_label(row['method'])} {_value(row)}"

    return f"**{text}**" if row["all"] else text


def _measure(row: "pd.Series[Any]") -> str:
    if math.isnan(row["level"]):
        return f"area, {NAMES[row['kind']]}"

    return f"accuracy at {NAMES[row['kind']]} ≤ {row['level']:.2f}"


def _value(row: "pd.Series[Any]") -> str:
    value = f"{row['value']:.3f}" if math.isnan(row["level"]) else f"{100 * row['value']:.2f}"

    return value + _of(row["splits"], row["of"])


def _of(splits: int, of: int) -> str:
    return "" if splits == of else f" ({splits:.0f} of {of:.0f})"


def _mine(stands: pd.DataFrame, row: "pd.Series[Any]", name: str) -> str:
    """What a method of bitveil has where another one is better."""

    at = stands["level"].eq(row["level"]) | (stands["level"].isna() & math.isnan(row["level"]))
    same = stands[
        (stands["dataset"] == row["dataset"])
        & (stands["kind"] == row["kind"])
        & (stands["method"] == name)
        & at
    ]
    if same.empty or math.isnan(same["value"].iloc[0]):
        return "–"

    return _value(same.iloc[0])


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
        f"**no gap below {floor:.4f} can be certified**, whatever the code; smaller wishes are "
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
        lines.append((_label(method) + (f"; {note}" if note else ""), *cells))

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

    return f"{100 * mean:.1f}{spread}" + _of(row["certified"], row["splits"])


def _table_of_levels(name: str, lines: Iterable[tuple[str, ...]]) -> Table:
    return Table((name, *(f"{level:.2f}" for level in LEVELS)), tuple(lines))


def _figure(dataset: str, gap: Gap) -> Figure:
    name, along = KINDS[gap]

    return Figure(
        f"benchmark-{dataset}-{name}.svg",
        f"Accuracy on the test rows of {dataset} against the {along}, a line for each method",
    )


def _areas(rows: pd.DataFrame) -> Iterator[Block]:
    found = areas(rows, unprotected=UNPROTECTED)
    yield Heading(f"{rows['dataset'].iloc[0]}: areas", 3)
    if found.empty:
        yield Text(
            f"Areas need the records of `{UNPROTECTED}`, whose gap and accuracy they are of."
        )
        return
    there = {(row["method"], row["kind"]): row for _, row in found.iterrows()}
    yield Table(
        ("method", *(NAMES[kind] for kind in KINDS)),
        tuple(
            (_label(method), *(_area(there, method, kind) for kind in KINDS))
            for method in _order(rows, found["method"].unique())
        ),
    )
    yield Text(
        "The area under accuracy against the gap, from 0, the majority class at every gap, to 1, "
        "the accuracy without protection at a gap of 0. Gaps go up to that of "
        f"`{UNPROTECTED}`. Bold is the highest of those that compete, {OUTSIDE} is outside the "
        "ranking, – a representation that cannot be certified."
    )


def _area(there: "dict[tuple[Any, Any], pd.Series[Any]]", method: str, kind: str) -> str:
    """One cell; bold if it is the highest of its kind."""

    if (method, kind) not in there:
        return "–"
    row = there[method, kind]
    text = f"{row['mean']:.3f}" + (f" ± {row['sd']:.3f}" if row["splits"] > 1 else "")
    known = [each["mean"] for (m, k), each in there.items() if k == kind and ranked(m)]

    return f"**{text}**" if ranked(method) and row["mean"] == max(known) else text


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
    lines = [_scores(picked[picked["method"] == m], rows, _label(m)) for m in order]
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
        name + _of(len(some), splits),
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


def _failures(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    yield Heading("What failed, and what there was no time for")
    rest = [record for record in records if record["status"] != "done"]
    names = ("dataset", "method", "status", "error")
    counted = Counter(tuple(str(record.get(name, "")) for name in names) for record in rest)
    if not rest:
        yield Text(f"All {len(records)} configurations came to an end.")
    else:
        yield Table(
            ("data set", "method", "what", "error", "configurations"),
            tuple(
                (dataset, title(method), status, f"`{_code(error)}`" if error else "", str(n))
                for (dataset, method, status, error), n in counted.items()
            ),
        )
    if short := _unfinished(records):
        yield Text("Cells that are not at their end:")
        yield Items(tuple(short))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())[:200]


def _cells(records: Sequence[dict[str, Any]]) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for record in records:
        cell = record["dataset"], record["method"], record["seed"]
        found.setdefault(cell, []).append(record)

    return found


def _unfinished(records: Sequence[dict[str, Any]]) -> list[str]:
    """Cells with fewer configurations than planned, and splits that a method has not."""

    found = _cells(records)
    short = [
        f"{dataset}, {title(method)}, split {seed}: {len(some)} of {some[0]['configurations']} "
        "configurations"
        for (dataset, method, seed), some in found.items()
        if len(some) < some[0]["configurations"]
    ]
    for dataset in dict.fromkeys(d for d, _, _ in found):
        seeds = {seed for d, _, seed in found if d == dataset}
        for method in dict.fromkeys(m for d, m, _ in found if d == dataset):
            lacking = sorted(seed for seed in seeds if (dataset, method, seed) not in found)
            if lacking:
                short.append(
                    f"{dataset}, {title(method)}: no split {', '.join(map(str, lacking))}"
                )

    return short


def _made(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    yield Heading("How it was made")
    table = pd.DataFrame(records)
    dates = sorted(table["date"].unique())
    packages = ("bitveil", "python", "torch", "scikit-learn", "numpy")
    versions = ", ".join(
        f"{name} {' and '.join(map(str, sorted(table[name].unique())))}" for name in packages
    )
    cores = sorted({int(n) for n in table.get("cores", pd.Series(dtype=float)).dropna()})
    machine = (
        f"Machine: {' or '.join(map(str, cores))} cores; one process a cell."
        if cores
        else f"The report was made on a machine of {os.cpu_count()} cores; the records do not say."
    )
    seeds = ", ".join(str(seed) for seed in sorted(table["seed"].unique()))
    numbers = " or ".join(str(n) for n in sorted(table["configurations"].unique()))
    yield Items(
        (
            f"Date: {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "") + ".",
            f"Versions: {versions}.",
            f"Seeds of the splits: {seeds}. Configurations of a cell: {numbers}. The seed of a "
            "configuration is 1000 times that of the split and its number.",
            machine,
        )
    )
    yield Text(
        "The setting that trades use for leakage is swept evenly over its range, the same number "
        "of values for all; Optuna chooses the others, by accuracy and attack gap on the rows to "
        "select."
    )
    yield Table(
        ("method", "short name", "swept", "chosen by Optuna", "ranked"),
        tuple(
            (
                title(name),
                f"`{name}`",
                f"{m.sweep.name}, {m.sweep.low:g} to {m.sweep.high:g}" if m.sweep else "–",
                ", ".join(m.ranges) or "–",
                "yes" if m.ranked else "no",
            )
            for name, m in METHODS.items()
            if name in set(table["method"])
        ),
    )


def _silent() -> Iterator[Block]:
    yield Heading("What these numbers do not say")
    yield Items(
        (
            "Baselines are mostly our own implementations, in one form and with a budget of "
            "minutes. Their authors' code with more tuning can do better.",
            "A measured gap is that of four families of attackers. Where there is no certificate, "
            "a stronger one can find more; a certificate covers all.",
            "A certificate is for new rows of the same population, one code for each row. It says "
            "nothing of another population, of two draws for a row, or of someone who holds other "
            "columns of the row beside its code.",
            "The splits share their test rows, and a spread of a few splits is a rough one: "
            "methods that are less apart than it are not told apart.",
            "An area weighs all gaps alike, which no user does. It depends on the gap without "
            "protection, up to which it goes.",
            "Methods outside the ranking are no representations: what they give is of use for "
            "this target alone.",
            "The data sets are public ones of the literature, some decades old, and no picture of "
            "today's people.",
        )
    )
