"""What a code reveals: certified, attacked, and described so that a person can read it.

Audits know logits, bits and tables, and no estimator. They can audit anybody's codes.
"""

from bitveil.audits.attacks import attack, repeated_draw_attack, search_attack, within
from bitveil.audits.fairness import Difference, fairness_differences
from bitveil.audits.meaning import Meaning
from bitveil.audits.page import html_report
from bitveil.audits.prices import Answers, Price
from bitveil.audits.probes import Probe, Split
from bitveil.audits.record import Audit
from bitveil.audits.runner import audit, audit_table
from bitveil.audits.uses import Use, use
from bitveil.audits.verdicts import Verdict

__all__ = [
    "Answers",
    "Audit",
    "Difference",
    "Meaning",
    "Price",
    "Probe",
    "Split",
    "Use",
    "Verdict",
    "attack",
    "audit",
    "audit_table",
    "fairness_differences",
    "html_report",
    "repeated_draw_attack",
    "search_attack",
    "use",
    "within",
]
