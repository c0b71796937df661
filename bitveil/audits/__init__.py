"""What a code reveals: certified, attacked, and said in a way that a person can read.

Audits know logits, bits and tables, and no estimator: they can audit anybody's codes.
"""

from bitveil.audits.fairness import Difference, fairness_differences
from bitveil.audits.meaning import Meaning
from bitveil.audits.page import html_report
from bitveil.audits.probes import (
    Probe,
    Split,
    Use,
    attack,
    repeated_draw_attack,
    search_attack,
    use,
    within,
)
from bitveil.audits.report import Audit, audit, audit_table
from bitveil.certificates.lower import (
    Interval,
    certain_attack,
    certain_gap,
    certain_information,
    certain_odds,
    certain_opportunity,
)
from bitveil.certificates.upper import (
    Certificate,
    UncertifiableError,
    certify_attack,
    certify_columns,
    certify_gap,
    certify_information,
    certify_odds,
    certify_opportunity,
    certify_sequence,
    dobrushin_bound,
    least_bound,
    least_gap,
    rows_needed,
)

__all__ = [
    "Audit",
    "Certificate",
    "Difference",
    "Interval",
    "Meaning",
    "Probe",
    "Split",
    "UncertifiableError",
    "Use",
    "attack",
    "audit",
    "audit_table",
    "certain_attack",
    "certain_gap",
    "certain_information",
    "certain_odds",
    "certain_opportunity",
    "certify_attack",
    "certify_columns",
    "certify_gap",
    "certify_information",
    "certify_odds",
    "certify_opportunity",
    "certify_sequence",
    "dobrushin_bound",
    "fairness_differences",
    "html_report",
    "least_bound",
    "least_gap",
    "repeated_draw_attack",
    "rows_needed",
    "search_attack",
    "use",
    "within",
]
