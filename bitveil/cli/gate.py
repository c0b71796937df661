"""The gate: a limit on the command line, its verdicts, and the files and exit code for them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bitveil.cli.checks import check_needed, check_output, check_suffix
from bitveil.cli.messages import say

if TYPE_CHECKING:
    from bitveil.audits import Audit
    from bitveil.audits.summaries import Judged
    from bitveil.tallies import Tally

__all__ = ["Gate", "check_different", "gate_of", "judged_audit", "judged_tally"]

_GOAL_WORD = "goal"


@dataclass(frozen=True)
class Gate:
    """What is limited, and where the verdict goes.

    Attributes:
        limit: The limit; None: the goal of the fit.
        quantity: What is limited; None: what the goal is about, or the gap of the criterion.
        summary: The Markdown file to write, or None.
        junit: The JUnit file to write, or None.
    """

    limit: float | None
    quantity: str | None
    summary: Path | None = None
    junit: Path | None = None

    def write(self, judged: "Sequence[Judged]") -> None:
        """Write the files for a pull request and for a program that collects tests."""

        from bitveil.audits.summaries import junit_xml, markdown_summary
        from bitveil.staging import staged

        for file, content in ((self.summary, markdown_summary), (self.junit, junit_xml)):
            if file is not None:
                with staged(file, overwrite=True) as path:
                    path.write_text(content(judged), encoding="utf-8")

    def leave(self, judged: "Sequence[Judged]", *, silent: bool) -> None:
        """Print the verdicts, and leave with exit code 1 unless all codes keep the limit."""

        for each in () if silent else judged:
            say(str(each.verdict) if len(judged) == 1 else f"{each.name}: {each.verdict}")
        if not all(each.verdict.kept for each in judged):
            raise typer.Exit(1)


def gate_of(
    limit: str | None,
    quantity: str | None,
    summary: Path | None,
    junit: Path | None,
    read: Sequence[Path],
    *,
    force: bool,
) -> Gate | None:
    """The gate that the options ask for, or None without a limit.

    Arguments:
        limit: The option --limit.
        quantity: The option --quantity.
        summary: The option --summary.
        junit: The option --junit.
        read: The files and folders that the command reads.
        force: The option --force.

    Raises:
        ValueError: If the limit is out of range, an option needs another one, or a file would
            overwrite an input or another output.
        FileExistsError: If a file exists that is no earlier summary or report.
    """

    others = {"--quantity": quantity, "--summary": summary, "--junit": junit}
    check_needed("--limit", limit, others)
    if limit is None:
        return None
    number = _limit_number(limit, quantity)
    check_different({"--summary": summary, "--junit": junit})
    if summary is not None:
        check_output(summary, read, force=force or _is_own(summary))
    if junit is not None:
        check_suffix(junit, ".xml")
        check_output(junit, read, force=force or _is_own(junit))

    return Gate(number, quantity, summary, junit)


def check_different(files: dict[str, Path | None]) -> None:
    """Refuse options that name the same file."""

    places: dict[str, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        place = os.path.realpath(file)
        if place in places:
            raise ValueError(f"{places[place]} and {option} both name {file}. Name two files.")
        places[place] = option


def judged_audit(gate: Gate, name: str, audit: "Audit") -> "Judged":
    """The verdict on audited codes."""

    from bitveil.audits.summaries import Judged

    return Judged(
        name,
        audit.check(gate.limit, gate.quantity),
        audit.sensitive,
        audit.groups,
        audit.sizes,
        audit.counted,
        audit.notes,
    )


def judged_tally(
    gate: Gate, name: str, tally: "Tally", intervals: Sequence[Any], notes: Sequence[str]
) -> "Judged":
    """The verdict on counted codes."""

    from bitveil.audits.summaries import Judged
    from bitveil.audits.verdicts import judge

    if gate.limit is None:
        raise ValueError("Files of counts know no goal. Give a number to --limit.")
    counted = tally.counted
    expected = "expected codes, of rows that each have a name"

    return Judged(
        name,
        judge(intervals, gate.limit, gate.quantity),
        counted.sensitive,
        counted.groups,
        tuple(tally.tables.rows.sum(0).tolist()),
        expected if counted.draws == "soft" else "codes as they are published",
        tuple(notes),
    )


def _limit_number(limit: str, quantity: str | None) -> float | None:
    """The limit as a number, refused if it is out of any range; None for the goal."""

    from bitveil.checks import check_number

    if limit == _GOAL_WORD:
        return None
    try:
        number = float(limit)
    except ValueError as error:
        raise ValueError(
            f"--limit expects a number, or {_GOAL_WORD} for the goal of the fit, got {limit!r}."
        ) from error
    if quantity == "information":
        check_number("limit", number, above=0, unit="a number of bits")
    else:
        unit = "a balanced accuracy" if quantity == "balanced_attack_accuracy" else "a gap"
        check_number("limit", number, above=0, most=1, unit=unit)

    return number


def _is_own(path: Path) -> bool:
    """Whether a file is empty, or a summary or report of an earlier gate."""

    from bitveil.audits.summaries import JUNIT, MARKDOWN

    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(500)

    return not start or any(mark.encode() in start for mark in (JUNIT, MARKDOWN))
