"""The report: what the records say, in tables, figures and words. No result stands in this file.

The same records give the same Markdown, byte by byte.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bitveil.benchmark.document import Block, Heading, Items, Table, Text, html, markdown
from bitveil.benchmark.fronts import done
from bitveil.benchmark.losses import losses
from bitveil.benchmark.methods import METHODS
from bitveil.benchmark.plots import draw_all, ranked, title
from bitveil.benchmark.published import beside
from bitveil.benchmark.run import Plan
from bitveil.benchmark.sections import sections

__all__ = ["blocks", "write"]

TITLE = "The benchmark"


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
    yield from losses(table)
    for dataset in table["dataset"].unique():
        yield from sections([record for record in records if record["dataset"] == dataset])
    yield from beside(table)
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
            "say of them), and get the same number of configurations (one where there is nothing "
            "to choose) and the same minutes: of processor time, or by the clock in records that "
            "do not tell it.",
            "The accuracy is the mean of a linear model, a network, a forest and boosting that "
            "are trained on the representation; the classifiers' gap is the worst of theirs, the "
            "attack gap the worst of the same four families trained to tell the group.",
            f"A certified gap holds for every classifier of the codes, with probability {delta}, "
            "corrected for all configurations of the method that is certified. It is not "
            "corrected for the number of methods: it is for who uses one of them.",
            "± is the standard deviation over splits, which share their test rows.",
        )
    )


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
        f"{dataset}, {title(method)}, split {seed}: {len(some)} of {of} configurations"
        for (dataset, method, seed), some in found.items()
        if len(some) < (of := _planned(some[0]))
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


def _planned(record: dict[str, Any]) -> int:
    """How many configurations the cell of a record is to have."""

    plan, method = Plan(record["configurations"]), METHODS.get(record["method"])

    return plan.configurations if method is None else plan.trials(method)


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
        ("method", "short name", "swept", "chosen by Optuna", "competes"),
        tuple(_tried(str(name), rows) for name, rows in table.groupby("method", sort=False)),
    )


def _tried(name: str, rows: pd.DataFrame) -> tuple[str, ...]:
    """A method, and the values of its settings that were tried."""

    method = METHODS.get(name)
    swept = method.sweep.name if method is not None and method.sweep is not None else ""
    values: dict[str, list[Any]] = {}
    for settings in rows["settings"]:
        for setting, value in settings.items():
            values.setdefault(setting, []).append(value)
    told = {setting: f"{setting} {_range(some)}" for setting, some in values.items()}

    return (
        title(name),
        f"`{name}`",
        told.pop(swept, "–"),
        "; ".join(told.values()) or "–",
        "yes" if ranked(name) else "no",
    )


def _range(values: Sequence[Any]) -> str:
    """Fractions by their ends, all else one by one.

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
            "Baselines are mostly our own implementations, in one form and with a budget of "
            "minutes. Their authors' code with more tuning can do better.",
            "What is neither swept nor Optuna's (ranges, steps, batches) was set beforehand, but "
            "not blindly: for bitveil (no fewer than 480 steps), the adversary and FCRL after a "
            "look at test rows of Adult or COMPAS in earlier runs.",
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
