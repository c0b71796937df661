"""What a code reveals: certified, attacked, and said in a way that a person can read.

Audits know logits, bits and tables, and no estimator: they can audit anybody's codes.
"""

from bitveil.audits.certificates import (
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
from bitveil.audits.probes import Probe, attack, use
from bitveil.audits.report import Audit, audit

__all__ = [
    "Audit",
    "Certificate",
    "Probe",
    "UncertifiableError",
    "attack",
    "audit",
    "certify_attack",
    "certify_columns",
    "certify_gap",
    "certify_information",
    "certify_odds",
    "certify_opportunity",
    "certify_sequence",
    "dobrushin_bound",
    "least_bound",
    "least_gap",
    "rows_needed",
    "use",
]
