"""The report on the records, in tables, figures and sentences. This file contains no results.

The same records give the same Markdown, byte by byte.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bitveil.benchmark.document import (
    Block,
    Heading,
    Items,
    Page,
    PageTable,
    Text,
    html,
    linked,
    markdown,
)
from bitveil.benchmark.fronts import done
from bitveil.benchmark.losses import losses
from bitveil.benchmark.methods import METHODS, RULE
from bitveil.benchmark.names import label, marks_explained, title
from bitveil.benchmark.overview import overview, save_overview
from bitveil.benchmark.plots import draw_all
from bitveil.benchmark.published import beside
from bitveil.benchmark.run import Plan
from bitveil.benchmark.sections import confidence, dates, minutes, sections, versions
from bitveil.benchmark.standings import standings

__all__ = ["pages", "write"]

TITLE = "The benchmark"
PAGES = "benchmark"  # the folder of all pages but the first


def write(records: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write the report into a folder, in two forms, with its figures.

    `report.html` is everything in one page. `benchmark.md` is the overview, and the folder
    `benchmark` has a page for each data set, one about the protocol, one with all losses, and the
    figures.

    Arguments:
        records: The records: see `bitveil.benchmark.run.read_results`.
        folder: The folder. It is made if it is missing.

    Returns:
        The paths of the written files.

    Raises:
        ValueError: If no record is finished.
        ImportError: If matplotlib is not installed.
    """

    table = done(records)
    if table.empty:
        raise ValueError(
            f"A report expects at least one finished record, got {len(records)} records, none of "
            "them finished. Their `error` says what failed."
        )
    inside = folder / PAGES
    inside.mkdir(parents=True, exist_ok=True)
    drawn = [*draw_all(table, inside), save_overview(table, inside)]
    first, *others = pages(records)
    content = [*first.blocks, *(block for page in others for block in page.section)]
    texts = {
        folder / "report.html": html(TITLE, content, {d.name: d.read_bytes() for d in drawn}),
        folder / f"{first.name}.md": f"{markdown(TITLE, first.blocks, figures=f'{PAGES}/')}\n"
        + linked(others, PAGES),
        **{inside / f"{page.name}.md": markdown(page.title, page.blocks) for page in others},
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")

    return [*texts, *drawn]


def pages(records: Sequence[dict[str, Any]]) -> list[Page]:
    """All pages of the report: the overview, the data sets, the protocol, and the losses."""

    table = done(records)
    each = [
        Page(
            str(dataset),
            str(dataset),
            tuple(sections([r for r in records if r["dataset"] == dataset])),
        )
        for dataset in sorted(table["dataset"].unique())
    ]
    protocol = (
        *_protocol(records, table),
        *beside(table),
        *_failures(records),
        *_made(records),
        *_silent(),
    )

    return [
        Page("benchmark", TITLE, tuple(overview(records))),
        *each,
        Page("protocol", "How the benchmark was made", protocol),
        Page("losses", "Where a baseline is better than bitveil", tuple(losses(standings(table)))),
    ]


_RULE_TEXT = (
    "**The closed-form rule** takes part as a code of one bit. With two classes this bit is its "
    "answer, so answers alone would have the same numbers."
)


def _protocol(records: Sequence[dict[str, Any]], table: pd.DataFrame) -> Iterator[Block]:
    yield Text(
        f"{len(records)} records of {len(_by_cell(records))} cells. A cell is one method on one "
        "split of one data set. A record is one configuration of a cell. `bitveil bench report` "
        "makes these pages from the records, and `bitveil bench run` makes the records."
    )
    yield Items(
        (
            "Each configuration uses the test rows of a data set once, for the report. Of the "
            "other rows half are for fitting, a fifth for selection, and three tenths for "
            "certification.",
            "All methods see the same columns, and some see predictions from these columns "
            "instead. All methods get the same number of configurations (one if there is nothing "
            "to choose) and the same minutes: of processor time, or by the clock in records "
            "without it.",
            "The accuracy is the mean over a linear model, a network, a forest and boosting, "
            "trained on the representation. The gap of the classifiers is their worst one. The "
            "attack gap is the worst of the same four families, trained to predict the group.",
            "**Blanks.** If a row gets its code with probability λ, and else a blank, every gap "
            "is λ times as large, and so is the information. A row with a blank gets the "
            "majority's answer, and the shares of the target as its prediction: the accuracy is λ "
            "times that of the codes plus 1 - λ times that of the majority, and the log-loss "
            "likewise. We compute these means, and draw no blanks.",
            "**Choice.** For each level and method the rows for selection choose one "
            "configuration, the one with the largest expected gain over the majority: λ, so that "
            "the expected gap is at most the level, times the gain in accuracy. The expected "
            "certificate is the total variation on these rows plus the slack, which depends only "
            "on the numbers of rows and the probability of error. If no gain is above 0, nothing "
            "is published.",
            "**Certified.** The rows for certification certify this one configuration, and its "
            "bound gives λ. The bound is about the code without blanks, so λ may depend on it. It "
            "is not corrected for the number of configurations, and holds for every classifier of "
            f"the codes with probability {confidence(table)}. This is true of each number alone, "
            "and not of all at once.",
            "**Equal gap on the test rows.** The gap on the test rows gives λ. The choice is on "
            "the rows for selection, as before.",
            *([_RULE_TEXT] if RULE in set(table.method) else []),
            "± is the standard deviation over splits, which share their test rows. The bands in "
            "the figures go from the lowest split to the highest.",
        )
    )


def _failures(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    yield Heading("What failed or ran out of time")
    rest = [record for record in records if record["status"] != "done"]
    names = ("dataset", "method", "status", "error")
    counted = Counter(tuple(str(record.get(name, "")) for name in names) for record in rest)
    if not rest:
        yield Text(f"All {len(records)} configurations finished.")
    else:
        yield PageTable(
            ("data set", "method", "status", "error", "configurations"),
            tuple(
                (dataset, title(method), status, f"`{_code(error)}`" if error else "", str(n))
                for (dataset, method, status, error), n in counted.items()
            ),
        )
    if short := _unfinished(records):
        yield Text("Unfinished cells:")
        yield Items(tuple(short))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())[:200]


def _by_cell(
    records: Sequence[dict[str, Any]],
) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for record in records:
        cell = record["dataset"], record["method"], record["seed"]
        found.setdefault(cell, []).append(record)

    return found


def _unfinished(records: Sequence[dict[str, Any]]) -> list[str]:
    """Cells with fewer configurations than planned, and the missing splits of methods."""

    found = _by_cell(records)
    short = [
        f"{dataset}, {title(method)}, split {seed}: {len(some)} of {of} configurations"
        for (dataset, method, seed), some in found.items()
        if len(some) < (of := _planned(some[0]))
    ]

    return [*short, *_missing_splits(found)]


def _missing_splits(found: Iterable[tuple[str, str, int]]) -> list[str]:
    """Which methods lack which splits that others have, for each data set."""

    cells = pd.DataFrame([*found], columns=["dataset", "method", "seed"])
    lacking: dict[tuple[str, str], list[str]] = {}
    for dataset, rows in cells.groupby("dataset", sort=False):
        for method, own in rows.groupby("method", sort=False)["seed"]:
            if missing := sorted({*rows["seed"]} - {*own}):
                splits = ", ".join(map(str, missing))
                lacking.setdefault((str(dataset), splits), []).append(title(str(method)))

    return [
        f"{dataset}: no split {splits} of {', '.join(methods)}"
        for (dataset, splits), methods in lacking.items()
    ]


def _planned(record: dict[str, Any]) -> int:
    """How many configurations the cell of a record should have."""

    plan, method = Plan(record["configurations"]), METHODS.get(record["method"])

    return plan.configurations if method is None else plan.trials(method)


def _made(records: Sequence[dict[str, Any]]) -> Iterator[Block]:
    yield Heading("Versions, machines and settings")
    table = pd.DataFrame(records)
    cores = sorted({int(n) for n in table.get("cores", pd.Series(dtype=float)).dropna()})
    machine = (
        f"Machine: {' or '.join(map(str, cores))} cores, one process for each cell."
        if cores
        else f"The report was made on {os.cpu_count()} cores. The records do not name theirs."
    )
    seeds = ", ".join(str(seed) for seed in sorted(table["seed"].unique()))
    numbers = " or ".join(str(n) for n in sorted(table["configurations"].unique()))
    yield Items(
        (
            f"Date: {dates(records)}.",
            f"Versions: {versions(records)}.",
            f"Processor time: {minutes(records):,.0f} minutes for {len(records)} configurations.",
            f"Seeds of the splits: {seeds}. Configurations of a cell: {numbers}. The seed of a "
            "configuration is 1000 times that of the split and its number.",
            machine,
        )
    )
    yield Text(
        "The configurations sweep the setting that trades use for leakage evenly over its range, "
        "with the same number of values for all methods. Optuna chooses the other settings, by "
        "accuracy and attack gap on the rows for selection."
    )
    yield PageTable(
        ("method", "short name", "swept", "chosen by Optuna"),
        tuple(
            _settings_row(str(name), rows) for name, rows in table.groupby("method", sort=False)
        ),
    )
    if marks := marks_explained(table["method"].unique()):
        yield Text(marks)


def _settings_row(name: str, rows: pd.DataFrame) -> tuple[str, ...]:
    """A method, and the values that its settings had."""

    method = METHODS.get(name)
    swept = method.sweep.name if method is not None and method.sweep is not None else ""
    values: dict[str, list[Any]] = {}
    for settings in rows["settings"]:
        for setting, value in settings.items():
            values.setdefault(setting, []).append(value)
    texts = {setting: f"{setting} {_range(some)}" for setting, some in values.items()}

    return (
        label(name),
        f"`{name}`",
        texts.pop(swept, "–"),
        "; ".join(texts.values()) or "–",
    )


def _range(values: Sequence[Any]) -> str:
    """Fractions as a range, everything else as a list.

    Example:
        >>> _range([[64], [64, 64], [64]]), _range([0.5, 0.01, 30.0])
        ('[64], [64, 64]', '0.01 to 30')
    """

    if any(isinstance(value, float) for value in values):
        return f"{min(values):.3g} to {max(values):.3g}"

    return ", ".join(sorted({json.dumps(v) for v in values}, key=lambda text: (len(text), text)))


def _silent() -> Iterator[Block]:
    yield Heading("What these numbers do not say")
    yield Items(
        (
            "Most baselines are our own implementations, in one form and with a budget of "
            "minutes. Their authors' code with more tuning can do better.",
            "We fixed the remaining settings (ranges, steps, batches) before these runs, but not "
            "blindly: for bitveil (at least 480 steps), the adversary and FCRL we had seen test "
            "rows of Adult or COMPAS in earlier runs.",
            "A measured gap comes from four families of attackers. Without a certificate, a "
            "stronger attacker can find more. A certificate covers all attackers.",
            "A certificate is for new rows of the same population, with one code for each row. It "
            "says nothing about another population, about two draws for a row, or about a person "
            "who has other columns of the row beside its code.",
            "The splits share their test rows, and the spread over a few splits is rough. "
            "Differences between methods that are smaller than it mean nothing.",
            "A blank tells nothing about its row, but a user may prefer a worse code for all rows "
            "to a good one for some. The tables of accuracy do not show the share of blanks.",
            "Methods outside the ranking are not representations: their output is only useful for "
            "this target.",
            "The data sets are public ones from the literature, some of them decades old. They do "
            "not describe the people of today.",
        )
    )
