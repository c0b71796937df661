"""Summaries of verdicts for other programs: Markdown for a pull request, and JUnit XML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from bitveil.audits.verdicts import Outcome, Verdict
from bitveil.audits.words import group_name
from bitveil.columns.printing import printable

__all__ = ["JUNIT", "MARKDOWN", "Judged", "junit_xml", "markdown_summary", "worst_outcome"]

MARKDOWN = "<!-- bitveil.summary/1 -->"
"""The first line of each Markdown summary, by which a later one knows that it may replace it."""

JUNIT = 'testsuites name="bitveil"'
"""What each JUnit report begins with, for the same purpose."""

_OUTCOMES: tuple[Outcome, ...] = ("broken", "not shown", "kept")
_SILENT = (
    "Rows that were used in fitting, or a population unlike these rows.",
    "Someone who sees two draws for one row, or other columns of the row besides its code.",
    "How useful the codes are.",
)
"""What no verdict covers."""

_UNDECIDED = (
    "“Not shown” means that these rows prove neither that the limit is kept nor that it is "
    "broken. More rows may decide it."
)

_OBEYED = re.compile(r"[^\w\s\-./,'()+%≤≥=;:\"]|_|:(?! |$)|(?i:(?<=\bwww)\.)")
"""Characters that Markdown or HTML could obey, also the colons and points of links."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Judged:
    """Codes and the verdict on them.

    Attributes:
        name: Where the codes come from, such as the folder of an encoder.
        verdict: The verdict.
        sensitive: The names of the sensitive columns.
        groups: The values of the sensitive attribute.
        sizes: The number of rows of each.
        counted: What was counted, and why.
        notes: What else a reader must know.
    """

    name: str
    verdict: Verdict
    sensitive: tuple[str, ...]
    groups: tuple[Any, ...]
    sizes: tuple[int, ...]
    counted: str
    notes: tuple[str, ...] = ()


def worst_outcome(judged: Sequence[Judged]) -> Outcome:
    """What a gate says of several codes: the worst of their outcomes."""

    outcomes = {each.verdict.outcome for each in judged}

    return next(each for each in _OUTCOMES if each in outcomes)


def markdown_summary(judged: Sequence[Judged]) -> str:
    """A page for a pull request: the verdict, a table, and what the verdict does not cover.

    Names from the data stand in `<code>`, with everything that Markdown or HTML could obey as an
    entity.

    Arguments:
        judged: The codes with their verdicts, of the same rows and groups. Each may have a
            limit of its own.

    Example:
        >>> verdict = Verdict("parity gap", 0.1, 0.02, 0.08, 0.05, 2000, "soft", "kept")
        >>> one = Judged("encoder", verdict, ("sex",), ("f", "m"), (900, 1100), "drawn codes")
        >>> print(markdown_summary([one]).splitlines()[2])
        ## Kept: limit of 0.1 on the parity gap
    """

    first = judged[0]
    groups = ", ".join(
        f"{_coded_name(group_name(group))} {size:,}"
        for group, size in zip(first.groups, first.sizes, strict=True)
    )
    limits = ", ".join(dict.fromkeys(_limit_on(each.verdict) for each in judged))
    about = " and ".join(map(_coded_name, first.sensitive)) or "the sensitive attribute"
    parts = [
        [MARKDOWN],
        [f"## {worst_outcome(judged).capitalize()}: {limits}"],
        [f"- {_coded_name(each.name)}: {_harmless_words(str(each.verdict))}" for each in judged],
        _verdict_rows(judged),
        [f"Groups of {about}: {groups}. Counted: {_harmless_words(first.counted)}."],
        _several(judged),
        [_UNDECIDED] if any(each.verdict.outcome == "not shown" for each in judged) else [],
        ["**What this does not cover**"],
        [f"- {each}" for each in _SILENT],
        ["**Notes**"] if any(each.notes for each in judged) else [],
        [
            f"- {each}"
            for each in dict.fromkeys(_harmless_words(n) for one in judged for n in one.notes)
        ],
    ]

    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def junit_xml(judged: Sequence[Judged]) -> str:
    """A JUnit report: one test case for each encoder, which fails unless its limit is kept.

    The type of a failure is the outcome, and its text the sentence of the verdict.

    Arguments:
        judged: The codes with their verdicts.

    Example:
        >>> verdict = Verdict("parity gap", 0.05, 0.08, 0.12, 0.05, 2000, "soft", "broken")
        >>> one = Judged("encoder", verdict, ("sex",), ("f", "m"), (900, 1100), "drawn codes")
        >>> root = ElementTree.fromstring(junit_xml([one]))
        >>> root.get("failures"), root.find(".//failure").get("type")
        ('1', 'broken')
    """

    failures = sum(not each.verdict.kept for each in judged)
    counts = {"tests": str(len(judged)), "failures": str(failures), "errors": "0", "time": "0"}
    root = ElementTree.Element("testsuites", {"name": "bitveil", **counts})
    about = {"name": "bitveil.audit", "skipped": "0", **counts}
    suite = ElementTree.SubElement(root, "testsuite", about)
    for each in judged:
        name = _xml_words(f"{each.name}: {_limit_on(each.verdict)}")
        case = ElementTree.SubElement(
            suite, "testcase", classname="bitveil.audit", name=name, time="0"
        )
        said = _xml_words(str(each.verdict))
        if each.verdict.kept:
            ElementTree.SubElement(case, "system-out").text = said
        else:
            failure = ElementTree.SubElement(
                case, "failure", message=said, type=each.verdict.outcome
            )
            failure.text = said
    ElementTree.indent(root)

    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _limit_on(verdict: Verdict) -> str:
    """The limit in words."""

    if verdict.unit == "bits":
        return f"limit of {verdict.limit:g} bits on the information"

    return f"limit of {verdict.limit:g} on the {verdict.quantity}"


def _verdict_rows(judged: Sequence[Judged]) -> list[str]:
    """A row for each encoder."""

    lines = [
        "| codes | verdict | some rule reaches | limit | no rule exceeds | held-out rows |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for each in judged:
        verdict = each.verdict
        most = "refuted" if verdict.reason else verdict.shown(verdict.bound)
        cells = (
            _coded_name(each.name),
            verdict.outcome,
            verdict.shown(verdict.least),
            f"{verdict.limit:g}",
            most,
            f"{verdict.n_rows:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")

    return lines


def _several(judged: Sequence[Judged]) -> list[str]:
    """With what probability the verdicts on several codes hold at once."""

    if len(judged) == 1:
        return []
    sure = max(0.0, 1 - sum(each.verdict.delta for each in judged))

    return [f"The {len(judged)} verdicts are right at once with probability ≥ {sure:g}."]


def _coded_name(name: str) -> str:
    """A name from the data, as code."""

    return f"<code>{_escaped_markdown(printable(name))}</code>"


def _harmless_words(words: str) -> str:
    """A sentence that may hold names from the data. It mentions nobody and links nowhere.

    GitHub looks for people (@) and issues (#) after it has read the entities, so something
    invisible stands between the sign and the name.
    """

    return re.sub("(&#(?:35|64);)", r"\1&#8288;", _escaped_markdown(printable(words, most=None)))


def _escaped_markdown(words: str) -> str:
    """Words with everything that Markdown or HTML could obey as an entity."""

    return _OBEYED.sub(lambda found: f"&#{ord(found[0])};", words.strip())


def _xml_words(words: str) -> str:
    """Words without characters that XML cannot hold."""

    return _NO_XML.sub("?", printable(words, most=None))
