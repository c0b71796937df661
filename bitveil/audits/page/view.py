"""What the page shows of an audit: words, lists and tables."""

import json
import math
from dataclasses import dataclass

from bitveil.audits.attacks import Comparison
from bitveil.audits.given import BLANK
from bitveil.audits.headlines import (
    Sentence,
    among_those,
    certainty,
    groups_compared,
    headline,
)
from bitveil.audits.meaning import CodeShares
from bitveil.audits.page.marks import Axis, DataTable, Mark, axis_of
from bitveil.audits.parts import Part
from bitveil.audits.patterns import Pattern
from bitveil.audits.record import Audit
from bitveil.audits.words import and_listed, group_name, rows_with_code
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import (
    BALANCED_ATTACK_ACCURACY,
    INFORMATION,
    PARITY_GAP,
    Quantity,
)
from bitveil.columns.printing import printable

__all__ = ["GROUPS", "SMALL", "View"]

NAMED = 30
"""A pattern of fewer rows is not named at the head of the page."""

SMALL = 10
"""Codes and patterns of fewer rows are not listed: they could reveal the group of single rows."""


GROUPS = 6
"""The most groups that a plot shows, since only so many shapes are easy to distinguish."""


@dataclass(frozen=True)
class View:
    """What the page shows of one audit.

    Attributes:
        key: Its name in the links of the page.
        label: What its code is called; nothing if it is the only one.
        audit: The audit.
        small_cells: Whether codes and patterns of few rows are listed.
    """

    key: str
    label: str
    audit: Audit
    small_cells: bool = False

    @property
    def named(self) -> str:
        """The heading that distinguishes its sections from those of another audit."""

        return f"{self.key}-title " if self.label else ""

    @property
    def attribute(self) -> str:
        """What is sensitive."""

        return and_listed([*map(printable, self.audit.sensitive)]) or "the sensitive attribute"

    @property
    def target(self) -> str:
        """What the code should be useful for."""

        return printable(self.audit.target)

    @property
    def headline(self) -> Interval:
        """Both bounds on the gap that comes first: the one for which the encoder was fitted."""

        return self.audit.intervals[0]

    @property
    def parity(self) -> Interval:
        """Both bounds on the parity gap, with which attackers are compared."""

        return self.certified(PARITY_GAP) or self.headline

    @property
    def guessing(self) -> Interval | None:
        """Both bounds on the balanced accuracy of attackers."""

        return self.certified(BALANCED_ATTACK_ACCURACY)

    @property
    def information(self) -> Interval | None:
        """Both bounds on the information."""

        return self.certified(INFORMATION)

    @property
    def gaps(self) -> list[Interval]:
        """Both bounds on each gap."""

        return [each for each in self.audit.intervals if each.certificate.quantity.unit == "gap"]

    def certified(self, quantity: Quantity) -> Interval | None:
        """Both bounds on a quantity, if it was certified."""

        found = (each for each in self.audit.intervals if each.certificate.quantity == quantity)

        return next(found, None)

    def among(self, interval: Interval) -> str:
        """The rows that a gap compares, as the start of a sentence; empty if it compares all."""

        words = among_those(interval, self.audit.target, self.audit.positive)

        return words[:1].upper() + words[1:]

    @property
    def among_leading(self) -> str:
        """The rows that the gap that comes first compares; empty if it compares all."""

        return among_those(self.headline, self.audit.target, self.audit.positive)

    @property
    def refuting(self) -> Comparison | None:
        """The attacker that exceeds the certificate by most, or None."""

        return max(self.audit.broken, key=lambda check: check.excess, default=None)

    @property
    def doubt(self) -> str:
        """What follows each upper bound if an attacker refutes it."""

        return " (does not hold)" if self.audit.broken else ""

    @property
    def cells(self) -> tuple[CodeShares, ...]:
        """The codes that are listed."""

        found = self.audit.meaning.cells

        return tuple(c for c in found if self.small_cells or c.rows >= SMALL)

    @property
    def left_out(self) -> str:
        """Which codes are not listed, and why; nothing if all are."""

        few = [cell.rows for cell in self.audit.meaning.cells if cell.rows < SMALL]
        if not few or self.small_cells:
            return ""

        return (
            f"Left out: {len(few)} of {len(self.audit.meaning.cells)} codes, which have fewer "
            f"than {SMALL} rows each and {sum(few):.0f} in all. Anyone who has the published "
            "codes could tell the group of those rows."
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
        """The groups that a gap compares."""

        return f"between {self.compared}"

    @property
    def compared(self) -> str:
        """Which groups are treated differently if there is a gap."""

        return groups_compared(self.audit.groups)

    @property
    def certainty(self) -> str:
        """The probability with which a bound holds."""

        return certainty(self.headline.certificate.delta)

    @property
    def sentences(self) -> tuple[Sentence, Sentence]:
        """The first sentences: about the upper bound and about the lower bound."""

        return headline(self.headline, self.audit.groups, self.among_leading)

    @property
    def fitted(self) -> bool:
        """Whether the codes are those of an encoder that bitveil fitted."""

        return bool(self.audit.path)

    @property
    def drawn(self) -> bool:
        """Whether the codes are known to be draws, so that another draw is possible."""

        return self.fitted or self.audit.certificate.draws == "soft"

    @property
    def outstanding(self) -> Pattern | None:
        """The pattern that is named first: the first of enough rows."""

        return next((p for p in self.audit.meaning.patterns if p.rows >= NAMED), None)

    @property
    def are_bits(self) -> bool:
        """Whether the code has bits."""

        return all(part.ones is not None for part in self.parts)

    @property
    def part(self) -> str:
        """What a part of the code is called."""

        return "bit" if self.are_bits else "column"

    @property
    def code(self) -> str:
        """What a code is, in words."""

        if self.are_bits:
            return f"a code of {self.audit.n_bits} bit" + "s" * (self.audit.n_bits > 1)
        named = and_listed([printable(p.name) for p in self.parts if p.name != self._blank])

        return f"the value of {named} ({self.audit.meaning.n_cells:,} different ones)"

    @property
    def blanks(self) -> str:
        """How many rows get a code; nothing if all do."""

        return rows_with_code(self.audit.share) if self.audit.share < 1 else ""

    @property
    def _blank(self) -> str:
        """The part that says which rows are blank; nothing if every row has a code."""

        return BLANK if self.audit.share < 1 else ""

    @property
    def in_this_table(self) -> str:
        """The largest gap on the codes of these very rows, in points."""

        drawn, certificate = 100 * self.audit.published_gap, self.headline.certificate
        if certificate.draws == "hard":
            return f"{drawn:.1f} points"

        over = 100 * certificate.estimate

        return f"{drawn:.1f} points as drawn, {over:.1f} on average over all draws"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the code."""

        return self.audit.meaning.parts

    @property
    def most_drawn(self) -> tuple[str, str, str]:
        """The most draws that an attacker saw, its gap from these, and its gap from logits."""

        *_, (seen, drawn), (_, logits) = self.audit.repeated_draws.items()

        return seen, f"{100 * drawn.gap:.0f}", f"{100 * logits.gap:.0f}"

    @property
    def certificates(self) -> DataTable:
        """Both bounds on all that is certified."""

        return DataTable(
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
                    interval.certificate.quantity.name,
                    f"{interval.least:.4f}",
                    f"{self._measured(interval):.4f}",
                    f"{interval.certificate.bound:.4f}{self.doubt}",
                    f"{interval.certificate.entropy or 1:.4g}",
                    " + ".join(map(str, interval.certificate.sizes)),
                    f"≤ {interval.certificate.delta:g} for each bound",
                )
                for interval in self.audit.intervals
            ),
        )

    def _measured(self, interval: Interval) -> float:
        """The quantity on these rows. A certificate of information only has a bound on it."""

        if interval.certificate.entropy is not None:
            return self.audit.information_bits

        return interval.certificate.estimate

    @property
    def legend(self) -> list[tuple[str, int]]:
        """The series of marks of each group."""

        return [(group, series) for series, group in enumerate(self.groups[:GROUPS])]

    @property
    def shares(self) -> Axis:
        """An axis of shares, for the small plots in tables."""

        return Axis(0.0, 1.0, (0.0, 0.5, 1.0), "percent", "")

    @property
    def leakage(self) -> Axis:
        """An axis for what the parts reveal about the group."""

        values = [v or 0.0 for part in self.parts for v in (part.information, part.given_others)]

        return axis_of(values, "bits", "bits", low=0.0, most=math.inf)

    @property
    def target_leakage(self) -> Axis:
        """An axis for what the parts reveal about the target."""

        values = [part.target_information or 0.0 for part in self.parts]

        return axis_of(values, "bits", "bits", low=0.0, most=math.inf)

    def ones(self, shares: tuple[float, ...] | None) -> list[Mark]:
        """How often a bit is 1 in each group, as marks."""

        return [Mark(share, "", series=g) for g, share in enumerate((shares or ())[:GROUPS])]

    def match(self, pattern: Pattern) -> str | None:
        """The places and values that make a code match a pattern, for the script."""

        if not self.are_bits or pattern.sure:
            return None
        named = [part.name for part in self.parts if part.name != self._blank]
        places = {name: place for place, name in enumerate(named)}
        if not set(pattern.parts) <= set(places):
            return None
        pairs = zip(pattern.parts, pattern.values, strict=True)

        return json.dumps([[places[part], str(value)] for part, value in pairs])
