"""The figure of attackers: what they reach, beside the certificate."""

import re

from bitveil.audits.page.labels import POINTS, interval_text, probe_text
from bitveil.audits.page.marks import DataTable, Line, Mark, Row, RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.probes import Probe
from bitveil.audits.rounding import at_least, at_most

__all__ = ["attackers_of"]

_ASKED_AGAIN = (
    " Hollow marks are attackers that saw several draws of each row, or its logits. They show "
    "what an attacker could learn from asking twice if codes were not frozen. The certificate "
    "covers one draw."
)


def attackers_of(view: View) -> RowPlot:
    """The gaps that trained attackers reach, beside the certified one."""

    found = view.audit
    checks = {check.family: check for check in found.checks[: len(found.attackers)]}
    exact = view.parity.certificate.estimate
    rows = [
        Row(
            "best possible",
            f"{100 * exact:.1f} points",
            (
                Mark(
                    exact,
                    f"exact for these rows: {100 * exact:.1f} points",
                    series=2,
                ),
            ),
            "exact for these rows, too large for new ones",
        )
    ]
    for probe in found.attackers:
        least = max(0.0, probe.gap - checks[probe.family].noise)
        says = f"{probe_text(probe)}; at least {at_least(least)} points on new rows"
        marks = (
            Mark(least, says, end=max(0.0, probe.gap), kind="whisker"),
            Mark(max(0.0, probe.gap), f"{probe.family}: {says}"),
        )
        rows.append(Row(probe.family, probe_text(probe), marks, _made_settings(probe)))
    for seen, probe in found.repeated_draws.items():
        covered = seen == "1 draw"
        mark = Mark(
            max(0.0, probe.gap),
            f"{seen}: {probe_text(probe)}",
            series=1,
            kind="" if covered else "hollow",
        )
        rows.append(
            Row(f"boosting, {seen}", probe_text(probe), (mark,), "" if covered else "not covered")
        )
    bound = view.parity.certificate.bound
    reached = [mark.value for row in rows for mark in row.marks]

    return RowPlot(
        f"{view.key}-attackers",
        f"How well attackers guess {view.attribute}",
        "Each attacker guesses the group from the code. The mark shows how much its answers "
        "differ between the groups, on rows that it was not trained on. The thin line goes down "
        "to its lower bound on new rows." + _ASKED_AGAIN * bool(found.repeated_draws),
        axis_of([*reached, bound], "points", POINTS.label, low=0.0),
        tuple(rows),
        _attackers_table(view),
        (Line(bound, f"certified: at most {at_most(bound)}{view.doubt}"),),
        other=POINTS,
    )


def _attackers_table(view: View) -> DataTable:
    found = view.audit
    checks = {check.family: check for check in found.checks[: len(found.attackers)]}
    rows = []
    for probe in found.attackers:
        check = checks[probe.family]
        rows.append(
            (
                probe.family,
                f"{probe.balanced_accuracy:.3f}",
                f"{probe.accuracy:.3f}",
                f"{probe.auc:.3f}{interval_text(probe.auc_interval)}",
                f"{100 * probe.gap:.1f}",
                f"{100 * check.noise:.1f}",
                "yes" if check.holds else "NO",
            )
        )
    for seen, probe in found.repeated_draws.items():
        rows.append(
            (
                f"boosting, {seen}",
                f"{probe.balanced_accuracy:.3f}",
                f"{probe.accuracy:.3f}",
                f"{probe.auc:.3f}",
                f"{100 * probe.gap:.1f}",
                "",
                "" if seen == "1 draw" else "not covered",
            )
        )

    return DataTable(
        (
            "Attacker",
            "Balanced accuracy",
            "Accuracy",
            "AUC",
            "As a gap, points",
            "Noise, points",
            "Within the certificate",
        ),
        tuple(rows),
    )


def _made_settings(probe: Probe) -> str:
    """The settings that a search chose, with three digits of each number."""

    return re.sub(r"\d+\.\d+(e-\d+)?", lambda found: f"{float(found[0]):.3g}", probe.settings)
