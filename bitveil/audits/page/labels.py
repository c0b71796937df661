"""Labels that several figures share."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bitveil.audits.page.marks import Axis, Mark, Row
from bitveil.audits.rounding import at_least, at_most, points
from bitveil.certificates.lower import Interval

__all__ = [
    "POINTS",
    "band",
    "between",
    "dot",
    "interval_text",
    "merged",
    "merged_lines",
    "points_text",
]

POINTS = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "points", "percentage points")


def band(interval: Interval) -> Mark:
    """Both bounds on a gap, as a band."""

    least, bound = interval.least, interval.certificate.bound
    says = (
        f"at least {at_least(least)} and at most {at_most(bound)} points, each bound wrong with "
        f"probability at most {interval.certificate.delta:g}"
    )

    return Mark(least, says, end=bound, kind="band")


def dot(interval: Interval) -> Mark:
    """The measured value of a gap."""

    estimate = interval.certificate.estimate

    return Mark(estimate, f"measured: {points(estimate)} points")


def between(interval: Interval) -> str:
    """Both bounds on a gap, as text."""

    return f"{at_least(interval.least)} to {at_most(interval.certificate.bound)} points"


def interval_text(interval: tuple[float, float] | None) -> str:
    """A bootstrap interval in brackets, or nothing."""

    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def points_text(share: float | None) -> str:
    """A share in points, or that there were no rows."""

    return "no rows" if share is None else points(share)


def merged(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows with the same numbers as one row that names them all.

    Example:
        >>> rows = [Row("linear", "0.3", ()), Row("mlp", "0.4", ()), Row("forest", "0.3", ())]
        >>> [row.label for row in merged(rows)]
        ['linear, forest', 'mlp']
    """

    found: dict[tuple[str, tuple[tuple[float, float | None], ...]], Row] = {}
    for row in rows:
        key = row.text, tuple((mark.value, mark.end) for mark in row.marks)
        same = found.get(key)
        found[key] = row if same is None else replace(same, label=f"{same.label}, {row.label}")

    return tuple(found.values())


def merged_lines(lines: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Lines of a table that differ only in their names as one line that has them all.

    Example:
        >>> merged_lines([("linear", "0.3"), ("mlp", "0.4"), ("forest", "0.3")])
        (('linear, forest', '0.3'), ('mlp', '0.4'))
    """

    found: dict[tuple[str, ...], list[str]] = {}
    for name, *numbers in lines:
        found.setdefault(tuple(numbers), []).append(name)

    return tuple((", ".join(names), *numbers) for numbers, names in found.items())
