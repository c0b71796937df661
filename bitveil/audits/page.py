"""The page of an audit: one HTML file that opens offline and that a person can read.

Its plots are inline SVG with a table each, made livelier by a short script: plotly.js would make
every file 4.5 MB, draw nothing on paper or without a script, and have no table to read aloud.
The page forbids itself every request (content security policy), and escapes all text of the data.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bitveil.audits.figures import GROUPS, among, compared, figures
from bitveil.audits.meaning import Cell, Part, Pattern
from bitveil.audits.plots import (
    SHAPES,
    Axis,
    Mark,
    Points,
    Rows,
    Table,
    at_least,
    at_most,
    axis_of,
    bits_at_most,
    percent,
)
from bitveil.audits.probes import Comparison
from bitveil.audits.subject import group_name
from bitveil.certificates.lower import Interval
from bitveil.columns.printing import printable

if TYPE_CHECKING:
    from bitveil.audits.report import Audit

__all__ = ["SMALL", "View", "html_report"]

SMALL = 10
"""Codes and patterns of fewer rows are not listed: they could tell the group of single rows."""


def html_report(
    audits: "Mapping[str, Audit]",
    *,
    title: str | None = None,
    sources: Sequence[str] = (),
    small_cells: bool = False,
) -> str:
    """One page of an audit, or of several that are compared.

    Arguments:
        audits: The audits by the name of their code; a single one needs no name.
        title: A title; None: what was audited.
        sources: Where the rows came from, line by line.
        small_cells: Whether codes and patterns of fewer than 10 rows are listed with their group.

    Raises:
        ValueError: If there is no audit.
    """

    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not audits:
        raise ValueError("`html_report` expects at least one audit, got none.")
    environment = Environment(
        loader=PackageLoader("bitveil.audits", "pages"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        at_most=at_most,
        at_least=at_least,
        bits_at_most=bits_at_most,
        name=group_name,
        short=printable,
    )
    environment.globals.update(shapes=SHAPES, small=SMALL)
    views = [
        View(f"a{i}", printable(label) if len(audits) > 1 else "", found, small_cells)
        for i, (label, found) in enumerate(audits.items())
    ]
    folder = files("bitveil.audits").joinpath("pages")
    style, script = (folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))

    return environment.get_template("page.html").render(
        views=views,
        title=title or _title(views),
        sources=list(sources),
        style=style,
        script=script,
        hashes={"style": _integrity(style), "script": _integrity(script)},
        compared=compared(views) if len(views) > 1 else [],
    )


@dataclass(frozen=True)
class View:
    """What the page shows of one audit.

    Attributes:
        key: Its name in the page's links.
        label: What its code is called; nothing where it is alone.
        audit: The audit.
        small_cells: Whether codes and patterns of few rows are listed.
    """

    key: str
    label: str
    audit: "Audit"
    small_cells: bool = False

    @property
    def named(self) -> str:
        """The heading that tells its sections from those of another audit, for their names."""

        return f"{self.key}-title " if self.label else ""

    @property
    def attribute(self) -> str:
        """What is sensitive."""

        return _and([*map(printable, self.audit.sensitive)]) or "the sensitive attribute"

    @property
    def target(self) -> str:
        """What the code is to be useful for."""

        return printable(self.audit.target)

    @property
    def headline(self) -> Interval:
        """What the audit is about first: the gap that the encoder was fitted for."""

        return self.audit.intervals[0]

    @property
    def parity(self) -> Interval:
        """The parity gap, with which attackers are compared."""

        return self.certified("parity gap") or self.headline

    def certified(self, quantity: str) -> Interval | None:
        """Both sides of a quantity, where it was certified."""

        found = (i for i in self.audit.intervals if i.certificate.quantity == quantity)

        return next(found, None)

    @property
    def among(self) -> str:
        """Among which rows the gap of the headline is; nothing where it is among all."""

        return among(self, self.headline)

    @property
    def refuting(self) -> Comparison | None:
        """The attacker who exceeds the certificate by most, or None."""

        return max(self.audit.broken, key=lambda check: check.excess, default=None)

    @property
    def doubt(self) -> str:
        """What is said behind each certified number where an attacker refutes it."""

        return " (does not stand)" if self.audit.broken else ""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The codes that are listed."""

        found = self.audit.meaning.cells

        return tuple(c for c in found if self.small_cells or c.rows >= SMALL)

    @property
    def left_out(self) -> str:
        """Which codes are not listed, and why; nothing where all are."""

        few = [cell.rows for cell in self.audit.meaning.cells if cell.rows < SMALL]
        if not few or self.small_cells:
            return ""

        return (
            f"Left out: {len(few)} of {len(self.audit.meaning.cells)} codes, which have fewer "
            f"than {SMALL} rows each and {sum(few):.0f} in all. Whoever has the published codes "
            "could tell the group of those rows."
        )

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns that are listed."""

        found = self.audit.meaning.patterns

        return tuple(p for p in found if self.small_cells or p.rows >= SMALL)

    def few(self, part: Part) -> bool:
        """Whether a bit is 0 or 1 in so few rows that its shares are not listed."""

        sizes = self.audit.sizes
        ones = sum(n * share for n, share in zip(sizes, part.ones or (), strict=True))

        return not self.small_cells and 0 < min(ones, sum(sizes) - ones) < SMALL

    @property
    def groups(self) -> list[str]:
        """The groups as a person reads them."""

        return [group_name(group) for group in self.audit.groups]

    @property
    def between(self) -> str:
        """Between whom a gap is."""

        return f"between {self.compared}"

    @property
    def compared(self) -> str:
        """Who is treated differently where there is a gap."""

        if len(self.groups) == 2:
            return f"{self.groups[0]} and {self.groups[1]}"

        return f"any two of the {len(self.groups)} groups"

    @property
    def certainty(self) -> str:
        """The probability with which a bound holds."""

        return f"{100 * (1 - self.headline.certificate.delta):g} %"

    @property
    def are_bits(self) -> bool:
        """Whether the code is of bits."""

        return all(part.ones is not None for part in self.parts)

    @property
    def part(self) -> str:
        """What a part of the code is called."""

        return "bit" if self.are_bits else "column"

    @property
    def code(self) -> str:
        """What a code is."""

        if self.are_bits:
            return f"a code of {self.audit.n_bits} bit" + "s" * (self.audit.n_bits > 1)
        named = _and([printable(part.name) for part in self.parts])

        return f"the value of {named} ({self.audit.meaning.n_cells:,} different ones)"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the code."""

        return self.audit.meaning.parts

    @property
    def most_drawn(self) -> tuple[str, str, str]:
        """The most draws that an attacker was given, what it reached, and that from logits."""

        *_, (seen, drawn), (_, logits) = self.audit.repeated_draws.items()

        return seen, f"{100 * drawn.gap:.0f}", f"{100 * logits.gap:.0f}"

    @cached_property
    def plots(self) -> dict[str, Rows | Points]:
        """The plots by name."""

        return figures(self)

    @property
    def certificates(self) -> Table:
        """Both sides of all that is certified."""

        return Table(
            (
                "Quantity",
                "At least",
                "Measured",
                "At most",
                "Of",
                "Rows",
                "Wrong with probability",
            ),
            tuple(
                (
                    interval.certificate.quantity,
                    f"{interval.least:.4f}",
                    f"{self._measured(interval):.4f}",
                    f"{interval.certificate.bound:.4f}{self.doubt}",
                    f"{interval.certificate.entropy or 1:.4g}",
                    " + ".join(map(str, interval.certificate.sizes)),
                    f"≤ {interval.certificate.delta:g} each side",
                )
                for interval in self.audit.intervals
            ),
        )

    def _measured(self, interval: Interval) -> float:
        """The quantity on these rows: a certificate of information knows a bound on it only."""

        if interval.certificate.entropy is not None:
            return self.audit.information_bits

        return interval.certificate.estimate

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Which series of marks is which group."""

        return [(group, series) for series, group in enumerate(self.groups[:GROUPS])]

    @property
    def shares(self) -> Axis:
        """An axis of shares, for the small plots in tables."""

        return Axis(0.0, 1.0, (0.0, 0.5, 1.0), "percent", "")

    @property
    def told(self) -> Axis:
        """An axis of what the parts tell of the group."""

        values = [v or 0.0 for part in self.parts for v in (part.information, part.given_others)]

        return axis_of(values, "bits", "bits", low=0.0, most=math.inf)

    @property
    def told_of_target(self) -> Axis:
        """An axis of what the parts tell of the target."""

        values = [part.target_information or 0.0 for part in self.parts]

        return axis_of(values, "bits", "bits", low=0.0, most=math.inf)

    def ones(self, shares: tuple[float, ...] | None) -> list[Mark]:
        """How often a bit is 1 in each group, as marks."""

        return [Mark(share, "", series=g) for g, share in enumerate((shares or ())[:GROUPS])]

    def match(self, pattern: Pattern) -> str | None:
        """Where a code must have what to have a pattern, for the script."""

        if not self.are_bits or pattern.sure:
            return None
        places = {part.name: place for place, part in enumerate(self.parts)}
        pairs = zip(pattern.parts, pattern.values, strict=True)

        return json.dumps([[places[part], str(value)] for part, value in pairs])


def _title(views: Sequence[View]) -> str:
    if len(views) > 1:
        return f"What {len(views)} codes reveal of {views[0].attribute}"

    return f"What these codes reveal of {views[0].attribute}"


def _shown(value: Any) -> Any:
    """What stands on the page: text of the data with what a browser would obey spelled."""

    return printable(value, most=None) if type(value) is str else value


def _and(words: Sequence[str]) -> str:
    return " and ".join([part for part in (", ".join(words[:-1]), *words[-1:]) if part])


def _integrity(content: str) -> str:
    """The hash by which the page allows its own style and script, and no other."""

    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
