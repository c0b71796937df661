"""What a notebook shows of an audit or of a fitted model: a few lines of HTML.

It needs no style sheet and no script, takes its colours from the page around it, and so fits a
light and a dark notebook. All text is escaped.
"""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bitveil.audits.headlines import among_those, certainty, headline
from bitveil.audits.rounding import at_least, at_most, percent, points
from bitveil.audits.words import and_listed, group_name, rows_with_code
from bitveil.columns.printing import printable

__all__ = ["audit_glance", "glance", "groups_with_sizes"]

_GROUPS = 12
"""The most groups whose sizes are listed."""

_BOX = Markup(
    "<div style='max-width:46rem;margin:.3rem 0;padding:.7rem 1rem;border:1px solid;"
    "border-radius:.4rem;line-height:1.45;color:inherit'>"
    "<div style='font-weight:600'>{}</div>{}"
    "<table style='margin:.4rem 0 0;border-collapse:collapse;color:inherit'>{}</table></div>"
)
_PARAGRAPH = Markup("<p style='margin:.4rem 0;font-size:1.1em'>{}</p>")
_FACT = Markup(
    "<tr style='background:none;color:inherit'>"
    "<th scope='row' style='text-align:left;vertical-align:top;padding:.1rem 1.2rem .1rem 0;"
    "font-weight:400;opacity:.8'>{}</th>"
    "<td style='text-align:left;padding:.1rem 0'>{}</td></tr>"
)


def glance(title: str, sentences: Sequence[str], facts: Sequence[tuple[str, str]]) -> str:
    """A box with a title, sentences, and pairs of a name and words.

    Example:
        >>> shown = glance("Codes", ["No rule does."], [("groups", "<b>, m")])
        >>> "&lt;b&gt;, m" in shown, "<b>" in shown
        (True, False)
    """

    said = Markup().join(_PARAGRAPH.format(_safe(each)) for each in sentences)
    rows = Markup().join(_FACT.format(_safe(name), _safe(words)) for name, words in facts)

    return str(_BOX.format(_safe(title), said, rows))


def audit_glance(found: Any) -> str:
    """An audit at a glance: the verdict, both bounds, and of which rows.

    Arguments:
        found: A `bitveil.audits.record.Audit`.
    """

    first = found.intervals[0]
    upper, lower = headline(first, found.groups, among_those(first, found.target, found.positive))
    sentences = [f"{upper} {lower}"]
    if found.broken:
        sentences = ["An attacker refutes the certificate. Do not rely on this audit."]
    facts = [
        ("rows", f"{found.n_rows:,}: {groups_with_sizes(found.groups, found.sizes)}"),
        *((_gap_name(found, i), _bounds_words(i)) for i in found.intervals[1:] if _is_gap(i)),
        *_target_words(found),
        *([("blank rows", rows_with_code(found.share))] if found.share < 1 else []),
        ("certainty", f"each bound is {certainty(first.certificate.delta)} certain"),
        *(("note", note) for note in found.notes),
    ]
    about = and_listed([*map(printable, found.sensitive)]) or "the sensitive attribute"

    return glance(
        f"{_verdict_words(found)}What these codes reveal about {about}", sentences, facts
    )


def groups_with_sizes(groups: Sequence[Any], sizes: Sequence[int]) -> str:
    """Groups with their numbers of rows; of many groups the largest.

    Example:
        >>> groups_with_sizes(["f", "m"], [1200, 800])
        'f 1,200, m 800'
    """

    pairs = sorted(zip(map(group_name, groups), sizes, strict=True), key=lambda pair: -pair[1])
    separator = "; " if any("," in name for name, _ in pairs) else ", "
    named = separator.join(f"{name} {size:,}" for name, size in pairs[:_GROUPS])
    more = len(pairs) - _GROUPS

    return named + (f"{separator}{more} smaller groups" if more > 0 else "")


def _verdict_words(found: Any) -> str:
    if not found.has_goal:
        return ""
    verdict = found.check()
    limit = f"{100 * verdict.limit:.4g} points"
    if verdict.unit == "bits":
        limit = f"{verdict.limit:g} bits"

    return f"{verdict.outcome.capitalize()}: at most {limit} promised. "


def _target_words(found: Any) -> list[tuple[str, str]]:
    """How well the target is predicted, with and without protection."""

    name = f"predicting {printable(found.target)}"
    if found.price is not None:
        said = percent if found.price.measure == "accuracy" else "R² {:.3f}".format
        both = (found.price.protected, found.price.unprotected)
        code, all_ = (f"{said(each.score)} (gap {points(each.gap)} points)" for each in both)
        return [(name, f"{code} from the codes; {all_} from all columns, without protection")]
    if found.use_accuracy is None:
        return []

    return [
        (
            name,
            f"{percent(found.use_accuracy)} right from the codes; "
            f"{percent(found.most_frequent_target)} without them",
        )
    ]


def _is_gap(interval: Any) -> bool:
    return interval.certificate.quantity.unit == "gap"


def _gap_name(found: Any, interval: Any) -> str:
    among = among_those(interval, found.target, found.positive) or "among all rows"

    return f"gap {among}"


def _bounds_words(interval: Any) -> str:
    bound = at_most(interval.certificate.bound)

    return f"from {at_least(interval.least)} to {bound} percentage points"


def _safe(text: object) -> str:
    return printable(text, most=None)
