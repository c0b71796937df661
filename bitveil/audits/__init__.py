"""What a code reveals: certified, attacked, and said in a way that a person can read.

Audits know logits, bits and tables, and no estimator: they can audit anybody's codes.
"""

from bitveil.audits.certificates import (
    Certificate,
    UncertifiableError,
    certify_gap,
    certify_sequence,
    least_gap,
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
    "certify_gap",
    "certify_sequence",
    "least_gap",
    "use",
]
