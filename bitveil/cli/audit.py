"""`bitveil audit`: what codes reveal, as text, as JSON or as a page."""

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitveil.cli.checks import (
    check_alone,
    check_encoders,
    check_grouping,
    check_needed,
    check_output,
    check_suffix,
)
from bitveil.cli.gate import check_different, gate_of, judged_audit
from bitveil.cli.messages import CAVEAT, in_options, listed, say
from bitveil.cli.options import (
    EncodingOption,
    Force,
    Id,
    Json,
    JunitFile,
    LimitOption,
    QuantityOption,
    Sep,
    SummaryFile,
)
from bitveil.cli.progress import shown_steps
from bitveil.cli.subjects import Attackers, Question, audit_codes, audit_counts, audit_encoder
from bitveil.delimited import CsvForm

if TYPE_CHECKING:
    from bitveil.audits import Audit, Verdict

__all__ = ["audit_command"]


def audit_command(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="The folder that `bitveil fit` wrote. Leave it out with --codes and --counts.",
            metavar="ENCODER",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The table of rows: .csv or .parquet. With --codes, a table with the attributes "
            "if the codes lack them.",
            metavar="TABLE",
        ),
    ] = None,
    codes: Annotated[
        Path | None,
        typer.Option(help="A .csv or .parquet with codes from anywhere, instead of an encoder."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="A published column of --codes. Can be repeated. Default: all columns without "
            "another role."
        ),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            help="A table of counts instead of codes, with a row for each value of --sensitive "
            "and a column for each code. What `bitveil count` wrote goes to `bitveil merge`."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The column of the target. Default: the fitted one, if the table has it."
        ),
    ] = None,
    sensitive: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive column. Can be repeated. Default: the fitted ones."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another encoder to compare on the same rows. Can be repeated."),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            help="The probability that the certificate may be wrong. Default: that of the "
            "encoder, or 0.05."
        ),
    ] = None,
    attackers: Annotated[
        Attackers | None,
        typer.Option(
            help="The attackers to train; all takes minutes. Default: all with --report, "
            "otherwise quick."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the audit as one .html page, which opens offline."),
    ] = None,
    small_cells: Annotated[
        bool,
        typer.Option(
            "--small-cells",
            help="Let the report list codes of fewer than 10 rows with their group. Together "
            "with the published codes, they can reveal the group of a single person.",
        ),
    ] = False,
    limit: LimitOption = None,
    quantity: QuantityOption = None,
    summary: SummaryFile = None,
    junit: JunitFile = None,
    force: Force = False,
    id_: Id = None,
    bins: Annotated[
        int | None,
        typer.Option(
            help="With --codes: cut sensitive numbers of more values than this into so many "
            "groups, at quantiles of these rows. An encoder keeps the bins of its fit."
        ),
    ] = None,
    sep: Sep = None,
    encoding: EncodingOption = None,
    json_: Json = False,
) -> None:
    """Measure what codes reveal about a sensitive column.

    Audit an encoder on a table of rows (`bitveil audit encoder people.csv`), or any published
    columns (`bitveil audit --codes codes.csv --column postcode --sensitive sex`). If the
    attributes are in another table, name it too: --id joins both.

    Use new rows. On rows that an encoder was fitted on, all numbers are too good, so the audit
    refuses rows that the encoder knows.
    """

    check_needed("--codes", codes, {"--column": column, "--bins": bins})
    check_needed("--report", report, {"--small-cells": small_cells})
    check_needed("--report, --summary or --junit", report or summary or junit, {"--force": force})
    check_different({"--report": report, "--summary": summary, "--junit": junit})
    read = [path for path in (model, file, codes, counts, *(against or [])) if path]
    if report is not None:
        check_suffix(report, ".html")
        check_output(report, read, force=force)
    gate = gate_of(limit, quantity, summary, junit, read, force=force)
    attackers = attackers or ("quick" if report is None else "all")
    check_grouping(bins)
    form = CsvForm(sep, encoding)
    asked = Question(target, list(sensitive or []), delta, attackers, id_, form, bins)
    rows = ""
    if counts is not None:
        others = {"--codes": codes, "--against": against, "--id": id_}
        check_alone("--counts", {"an encoder or another table": model or file, **others})
        found = {str(counts): audit_counts(counts, asked)}
        sources = [counts]
    elif codes is not None:
        check_alone("--codes", {"a third table": file, "--against": against})
        found = {str(codes): audit_codes(codes, model, list(column or []), asked)}
        sources = [codes, *([model] if model else [])]
    elif model is not None and file is not None:
        models = [model, *(against or [])]
        if against:
            check_encoders(models)
        found = {str(each): audit_encoder(each, file, asked) for each in models}
        sources = [file, *(each / "encoder.json" for each in models)]
        rows = f", measured on the rows of {file}"
    else:
        raise ValueError("Name an encoder and a table of rows, or use --codes or --counts.")
    found = {name: _in_options(one) for name, one in found.items()}
    judged = [judged_audit(gate, name, one) for name, one in found.items()] if gate else []
    if report is not None:
        asked_limit = {"limit": gate.limit, "quantity": gate.quantity} if gate else {}
        shown = {"small_cells": small_cells, **asked_limit}
        _write_report(report, found, sources, form, shown, force=force)
    if gate is not None:
        gate.write(judged)
    if json_:
        print(_audit_as_json(found, {each.name: each.verdict for each in judged}))
    else:
        _print_audit(found, rows)
        if report is not None:
            print()
            say(f"The report is in {report}")
    if gate is not None:
        gate.leave(judged, silent=json_)


@shown_steps()
def _write_report(
    report: Path,
    found: "Mapping[str, Audit]",
    sources: Sequence[Path],
    form: CsvForm,
    shown: Mapping[str, Any],
    *,
    force: bool,
) -> None:
    """Write the page, which names the command and the files that were read, with checksums."""

    from bitveil.audits.page import html_report
    from bitveil.sources import is_large, open_source
    from bitveil.staging import staged
    from bitveil.steps import say_step

    files = [
        each
        for path in sources
        for each in (open_source(str(path), form).files if is_large(path) else [path])
    ]
    say_step("writing the page")
    lines = [f"{path}, SHA-256 {_file_checksum(path)}" for path in files]
    command = shlex.join(["bitveil", *sys.argv[1:]])
    content = html_report(found, sources=lines, data=sources[0].name, command=command, **shown)
    with staged(report, overwrite=force) as path:
        path.write_text(content, encoding="utf-8")


def _in_options(one: "Audit") -> "Audit":
    """The same audit, whose notes name options of the command line."""

    return replace(one, notes=tuple(map(in_options, one.notes)))


def _file_checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _audit_as_json(found: "Mapping[str, Audit]", verdicts: "Mapping[str, Verdict]") -> str:
    """One audit alone, several by the names of their codes; each with its verdict, if any."""

    audits = {name: json.loads(one.to_json()) for name, one in found.items()}
    for name, verdict in verdicts.items():
        audits[name]["verdict"] = verdict.to_dict()
    if len(audits) == 1:
        return json.dumps(audits.popitem()[1])
    kept = {"kept": all(each.kept for each in verdicts.values())} if verdicts else {}

    return json.dumps({"schema": "bitveil.audits/1", **kept, "audits": audits})


def _print_audit(found: "Mapping[str, Audit]", rows: str) -> None:
    for name, one in found.items():
        say(f"What codes from {name} reveal about {listed(one.sensitive)}{rows}")
        print(f"\n{one}\n")
    print(CAVEAT)
