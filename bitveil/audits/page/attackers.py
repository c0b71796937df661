"""The figure of attackers: what they reach, beside the certificate."""

import re
from typing import NamedTuple

from bitveil.audits.page.labels import POINTS, interval_text, merged, merged_lines
from bitveil.audits.page.marks import DataTable, Line, Mark, Row, RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.probes import Probe
from bitveil.audits.rounding import at_most, points
from bitveil.certificates.compared import slack

__all__ = ["attackers_of"]

_ASKED_AGAIN = (
    " Hollow marks are attackers that saw several draws of each row, or its logits. They show "
    "what an attacker could learn by asking twice if codes were not frozen. The certificate "
    "covers one draw."
)


class _Reached(NamedTuple):
    """What an attacker reaches: measured, and between two bounds on new rows.

    Attributes:
        name: What it is called.
        probe: Its scores.
        noise: How far the measured gap may be from the gap on new rows, to either side.
        verdict: Whether the certificate covers it, and whether it keeps to it.
    """

    name: str
    probe: Probe
    noise: float
    verdict: str

    @property
    def low(self) -> float:
        """The lower end of its interval."""

        k = len(self.probe.sizes)  # whoever always guesses wrong has this gap

        return max(-1 / (k - 1), self.probe.gap - self.noise)

    @property
    def high(self) -> float:
        """The upper end of its interval."""

        return min(1.0, self.probe.gap + self.noise)

    @property
    def covered(self) -> bool:
        """Whether it saw one draw, so that the certificate covers it."""

        return self.verdict != "not covered"

    @property
    def text(self) -> str:
        """Its gap, with both ends."""

        return f"{points(self.probe.gap)} ({points(self.low)} to {points(self.high)})"


def attackers_of(view: View) -> RowPlot:
    """The gaps that trained attackers reach, beside the certified one."""

    found = view.audit
    reached = _all_reached(view)
    exact, bound = view.parity.certificate.estimate, view.parity.certificate.bound
    best = Row(
        "best rule for these rows",
        f"{points(exact)} points",
        (Mark(exact, f"exact for these rows: {points(exact)} points", series=2),),
        "knows the groups of all rows",
    )
    rows = (best, *merged([_attacker_row(each) for each in reached]))
    values = [exact, bound, *(end for each in reached for end in (each.low, each.high))]
    low = 0.0 if min(values) >= 0 else None

    return RowPlot(
        f"{view.key}-attackers",
        f"How well attackers guess {view.attribute}",
        "Each attacker guesses the group from the code. The mark shows how much its answers "
        "differ between the groups, on rows that it was not trained on. Below 0 it does worse "
        "than a blind guess. The line shows where this lies on new rows. Each of its ends is "
        "wrong for any of the attackers with probability at most "
        f"{found.certificate.delta:g}. Attackers are scored on half of the rows. So by chance one "
        "can lie above the best rule for all of them." + _ASKED_AGAIN * bool(found.repeated_draws),
        axis_of(values, "points", POINTS.label, low=low),
        rows,
        _attackers_table(reached),
        (Line(bound, f"certified: at most {at_most(bound)}{view.doubt}"),),
    )


def _all_reached(view: View) -> list[_Reached]:
    """All attackers: those that see the codes, and those that ask again. They share delta."""

    found = view.audit
    seen = [(f"boosting, {draws}", probe) for draws, probe in found.repeated_draws.items()]
    n = len(found.attackers) + len(seen)
    noises = [
        slack(probe.sizes, found.certificate.delta / n) / (len(probe.sizes) - 1)
        for probe in (*found.attackers, *found.repeated_draws.values())
    ]
    verdicts = ["yes" if check.holds else "NO" for check in found.checks[: len(found.attackers)]]
    verdicts += ["one draw" if name == "boosting, 1 draw" else "not covered" for name, _ in seen]
    named = [(probe.family, probe) for probe in found.attackers] + seen

    return [
        _Reached(name, probe, noise, verdict)
        for (name, probe), noise, verdict in zip(named, noises, verdicts, strict=True)
    ]


def _attacker_row(each: _Reached) -> Row:
    series, kind = (0, "") if each.covered else (1, "hollow")
    says = f"{each.text} points, AUC {each.probe.auc:.3f}"
    marks = (
        Mark(each.low, says, end=each.high, kind="whisker"),
        Mark(each.probe.gap, f"{each.name}: {says}", series=series, kind=kind),
    )
    note = "not covered" if not each.covered else _made_settings(each.probe)

    return Row(each.name, f"{each.text} points", marks, note)


def _attackers_table(reached: list[_Reached]) -> DataTable:
    return DataTable(
        (
            "Attacker",
            "Balanced accuracy",
            "Accuracy",
            "AUC",
            "As a gap, points",
            "On new rows, points",
            "Within the certificate",
        ),
        merged_lines(
            (
                each.name,
                f"{each.probe.balanced_accuracy:.3f}",
                f"{each.probe.accuracy:.3f}",
                f"{each.probe.auc:.3f}{interval_text(each.probe.auc_interval)}",
                points(each.probe.gap),
                f"{points(each.low)} to {points(each.high)}",
                each.verdict,
            )
            for each in reached
        ),
    )


def _made_settings(probe: Probe) -> str:
    """The settings that a search chose, with three digits of each number."""

    return re.sub(r"\d+\.\d+(e-\d+)?", lambda found: f"{float(found[0]):.3g}", probe.settings)
