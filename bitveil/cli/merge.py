"""`bitveil merge`: counts of many parts added up, and what they certify."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.cli.checks import check_output, check_suffix
from bitveil.cli.count import described_counts
from bitveil.cli.gate import check_different, gate_of, judged_tally
from bitveil.cli.messages import CAVEAT, listed, print_table, say
from bitveil.cli.options import (
    Force,
    Json,
    JunitFile,
    LimitOption,
    QuantityOption,
    SummaryFile,
)
from bitveil.cli.progress import shown_steps

if TYPE_CHECKING:
    from bitveil.certificates.lower import Interval
    from bitveil.tallies import Tally

__all__ = ["merge_command"]

_ONE_FILE = """Rows are compared with each other within one file of counts only: see to it that no
person is in two of them."""


def merge_command(
    files: Annotated[
        list[Path], typer.Argument(help="Files that `bitveil count` wrote.", metavar="FILE...")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write the sum, as a file that ends in .counts."),
    ] = None,
    delta: Annotated[
        float, typer.Option(help="The probability that each bound may be wrong.")
    ] = 0.05,
    limit: LimitOption = None,
    quantity: QuantityOption = None,
    summary: SummaryFile = None,
    junit: JunitFile = None,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Add counts of different rows, and certify what their codes reveal.

    All files need counts of one encoder, of the same columns. Each bound holds with its own
    probability over the rows that were counted. Information and total variation of these very
    rows are exact.
    """

    from bitveil.staging import staged

    if output is not None:
        check_suffix(output, ".counts")
        check_output(output, files, force=force)
    check_different({"--output": output, "--summary": summary, "--junit": junit})
    gate = gate_of(limit, quantity, summary, junit, files, force=force)
    tally = _sum_of(files)
    _check_groups_have_rows(tally)
    intervals = tally.intervals(delta)
    notes = [" ".join(_ONE_FILE.split()), *_unseen(tally)]
    name = listed(files)
    judged = [] if gate is None else [judged_tally(gate, name, tally, intervals, notes)]
    if output is not None:
        with staged(output, overwrite=force) as path:
            tally.save(path)
    if gate is not None:
        gate.write(judged)
    if json_:
        verdict = {"verdict": judged[0].verdict.to_dict()} if judged else {}
        print(json.dumps(_found(files, tally, intervals) | verdict))
    else:
        _print_certified(files, tally, intervals)
    if gate is not None:
        gate.leave(judged, silent=json_)


@shown_steps()
def _sum_of(files: Sequence[Path]) -> "Tally":
    """The sum of the counts. Errors name the file."""

    from bitveil.steps import counted_step

    done = counted_step("adding counts", len(files))
    total = _read_tallies(files[0])
    for number, file in enumerate(files[1:], 1):
        done(number)
        other = _read_tallies(file)
        try:
            total = total + other
        except ValueError as error:
            before = listed(files[:number])
            raise ValueError(f"{file} cannot be added to {before}: {error}") from error

    return total


def _read_tallies(file: Path) -> "Tally":
    from bitveil.tallies import Tally

    tally = Tally.load(file)
    if tally.marks is not None or not tally.parts:
        raise ValueError(
            f"{file} holds counts of rows that were not checked. Count them with `bitveil count`."
        )

    return tally


def _check_groups_have_rows(tally: "Tally") -> None:
    """Refuse counts that lack a group, or a group among the rows of a target."""

    from bitveil.audits.words import group_name

    counted = tally.counted
    for sizes, where in _compared_sizes(tally):
        for group, size in zip(counted.groups, sizes, strict=True):
            if not size:
                raise ValueError(
                    f"No row of the group {group_name(group)} of {listed(counted.sensitive)} was "
                    f"counted{where}, in {listed([part.name for part in tally.parts])}. A "
                    "certificate compares all groups: add counts of rows that have it."
                )


def _compared_sizes(tally: "Tally") -> list[tuple[list[int], str]]:
    """The sizes of the groups, among all rows and among those of each target that is compared."""

    from bitveil.audits.words import group_name
    from bitveil.criteria import compared_strata, compares_within_strata

    counted, rows = tally.counted, tally.tables.rows
    found = [(rows.sum(0).tolist(), "")]
    if compares_within_strata(counted.criterion):
        strata = compared_strata(counted.criterion, len(counted.targets), counted.positive)
        about = f" among the rows whose {counted.target} is"
        for sizes, target in zip(rows[:-1][strata], counted.targets[strata], strict=True):
            if sizes.sum():
                found.append((sizes.tolist(), f"{about} {group_name(target)}"))

    return found


def _unseen(tally: "Tally") -> list[str]:
    """What the bounds say nothing about, if no row has some value of the target."""

    from bitveil.audits.words import unseen_targets
    from bitveil.criteria import compares_within_strata

    if not compares_within_strata(tally.counted.criterion):
        return []
    rows = tally.tables.rows[:-1].sum(1).tolist()

    return [*filter(None, [unseen_targets(tally.counted.target, tally.counted.targets, rows)])]


def _found(
    files: Sequence[Path], tally: "Tally", intervals: "Sequence[Interval]"
) -> dict[str, Any]:
    """All that was found, as plain values."""

    counted = tally.counted
    sizes = tally.tables.rows.sum(0).tolist()
    bounds = [
        {"least": each.least, "delta": each.delta, "certificate": each.certificate.to_dict()}
        for each in intervals
    ]

    return {
        "schema": "bitveil.counts/1",
        "files": [str(file) for file in files],
        "parts": [{"name": part.name, "rows": part.n_rows} for part in tally.parts],
        "rows": tally.n_rows,
        "groups": list(counted.groups),
        "sizes": sizes,
        "sensitive": list(counted.sensitive),
        "target": counted.target,
        "criterion": counted.criterion,
        "draws": counted.draws,
        "n_bits": counted.n_bits,
        "share": counted.share,
        "information_bits": tally.information_bits,
        "entropy_bits": tally.entropy_bits,
        "total_variation": tally.total_variation,
        "intervals": bounds,
        "caveats": [" ".join(words.split()) for words in (_ONE_FILE, *_unseen(tally), CAVEAT)],
    }


def _print_certified(
    files: Sequence[Path], tally: "Tally", intervals: "Sequence[Interval]"
) -> None:
    information = f"{tally.information_bits:.6f} of {tally.entropy_bits:.4f} bits"
    lines = described_counts(tally) | {
        "certified": str(intervals[0]),
        **{"" + " " * i: str(each) for i, each in enumerate(intervals[1:])},
        "joint information": f"{information}, exact for these rows",
        "total variation": f"{tally.total_variation:.4f}, exact for these rows: the largest "
        "parity gap of any classifier of the codes among them",
    }
    about = listed(tally.counted.sensitive)
    print_table(f"What the codes counted in {listed(files)} reveal about {about}", lines)
    print()
    say(_ONE_FILE)
    for words in _unseen(tally):
        say(words)
    print(CAVEAT)
